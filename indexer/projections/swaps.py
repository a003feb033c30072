"""Two legs and what became of them, joined by hashlock *and* agreed terms.

A hashlock is public as soon as one leg is locked, and anyone can lock under it. So a lock belongs to a swap only if
its terms are exactly those that were agreed; every other lock under the hashlock is a candidate, shown and ranked but
never merged. A swap's row is recomputed from locks and agreements whenever one of them changes, which makes a reorg
undo it exactly and a rebuild give the same rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import LockStatus
from core.model.types import Hashlock, SwapId, address_of
from indexer.projections.agreements import (
    INITIATOR,
    PARTICIPANT,
    ReportedAgreement,
    agreements_of,
    agreements_under,
    forget_agreement,
    store_agreement,
)
from indexer.projections.locks import LockRow, locks_under, matching_lock, matching_locks
from indexer.tables import agreements, locks, swaps
from indexer.writing import hold_projections

CHUNK: Final = 500
MAX_OTHER_LOCKS: Final = 50
"""Locks under one hashlock that are read to be shown or ranked; first made, first read."""
UNAGREED_PREFIX: Final = "hashlock:"
_HASHLOCKS: Final[sa.BindParameter[Any]] = sa.bindparam("hashlocks", expanding=True)
_FORGET: Final = sa.delete(swaps).where(swaps.c.hashlock.in_(_HASHLOCKS))
_INSERT: Final = sa.insert(swaps)
_COUNT_LOCKS: Final = (
    sa.select(locks.c.hashlock, sa.func.count().label("made"), sa.func.min(locks.c.lock_time_s).label("first_s"))
    .where(locks.c.hashlock.in_(_HASHLOCKS))
    .group_by(locks.c.hashlock)
)
_REPORTED: Final = sa.select(agreements.c.reported_ns).where(agreements.c.swap_id == sa.bindparam("of_swap"))


class SwapStatus(StrEnum):
    """A swap's status by both legs together. `UNJOINED`: no agreement was reported. `ONE_SIDED`: one leg was claimed
    and the other was not and cannot be any more, or was never locked."""

    UNJOINED = "unjoined"
    AGREED = "agreed"
    INITIATOR_LOCKED = "initiator-locked"
    PARTICIPANT_LOCKED = "participant-locked"
    LOCKED = "locked"
    REVEALED = "revealed"
    CLAIMED = "claimed"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    ONE_SIDED = "one-sided"


_A, _L, _C, _R = LockStatus.ABSENT, LockStatus.LOCKED, LockStatus.CLAIMED, LockStatus.REFUNDED
_STATUS: Final = {
    (_A, _A): SwapStatus.AGREED,
    (_L, _A): SwapStatus.INITIATOR_LOCKED,
    (_A, _L): SwapStatus.PARTICIPANT_LOCKED,
    (_L, _L): SwapStatus.LOCKED,
    (_L, _C): SwapStatus.REVEALED,
    (_C, _L): SwapStatus.REVEALED,
    (_C, _C): SwapStatus.CLAIMED,
    (_L, _R): SwapStatus.REFUNDING,
    (_R, _L): SwapStatus.REFUNDING,
    (_R, _R): SwapStatus.REFUNDED,
    (_R, _A): SwapStatus.REFUNDED,
    (_A, _R): SwapStatus.REFUNDED,
    (_C, _A): SwapStatus.ONE_SIDED,
    (_A, _C): SwapStatus.ONE_SIDED,
    (_C, _R): SwapStatus.ONE_SIDED,
    (_R, _C): SwapStatus.ONE_SIDED,
}


def swap_status(initiator: LockStatus, participant: LockStatus) -> SwapStatus:
    """The status of a swap whose legs stand like this; `LockStatus.ABSENT` if a leg is not locked."""
    return _STATUS[initiator, participant]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two locks that may be the legs of one swap, with a score and the reasons for it. Never taken for granted."""

    initiator: LockRow
    participant: LockRow
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JoinedSwap:
    """A swap as it is shown. Without an agreement (`agreed` None) there are `candidates`, and no legs are joined.

    `others` are locks under the same hashlock that are not the agreed legs, at most `MAX_OTHER_LOCKS`.
    """

    swap_id: SwapId
    hashlock: Hashlock
    status: SwapStatus
    opened_s: int
    agreed: ReportedAgreement | None
    initiator: LockRow | None
    participant: LockRow | None
    others: tuple[LockRow, ...]
    candidates: tuple[Candidate, ...]


def report_agreement(connection: Connection, agreement: ReportedAgreement, now_ns: int) -> bool:
    """Store agreed terms and join what is on chain. Return false if exactly this was reported before.

    Raise `ConflictError` for other terms under a swap id that is taken.
    """
    hold_projections(connection)
    new = store_agreement(connection, agreement, now_ns)
    if new:
        refresh_swaps(connection, {agreement.hashlock})
    return new


def withdraw_agreement(connection: Connection, agreement_id: SwapId, hashlock: Hashlock) -> None:
    """Forget agreed terms that came to nothing, and their swap with them."""
    hold_projections(connection)
    forget_agreement(connection, agreement_id)
    refresh_swaps(connection, {hashlock})


def refresh_swaps(connection: Connection, hashlocks: Collection[Hashlock]) -> None:
    """Recompute the swap rows of these hashlocks from locks and agreements."""
    ordered = sorted(hashlocks)
    for first in range(0, len(ordered), CHUNK):
        part = ordered[first : first + CHUNK]
        connection.execute(_FORGET, {"hashlocks": part})
        rows = _swap_rows(connection, part)
        if rows:
            connection.execute(_INSERT, rows)


def _swap_rows(connection: Connection, hashlocks: Sequence[Hashlock]) -> list[dict[str, Any]]:
    counts: dict[bytes, tuple[int, int]] = {}
    for row in connection.execute(_COUNT_LOCKS, {"hashlocks": list(hashlocks)}):
        counts[row.hashlock] = (row.made, row.first_s)
    agreed = agreements_under(connection, hashlocks)
    rows = [_agreed_row(connection, agreement, counts.get(agreement.hashlock, (0, 0))[0]) for agreement in agreed]
    for hashlock in sorted(set(counts) - {agreement.hashlock for agreement in agreed}):
        made, first_s = counts[hashlock]
        rows.append(_unagreed_row(Hashlock(hashlock), made, first_s))
    return rows


def _agreed_row(connection: Connection, agreement: ReportedAgreement, made: int) -> dict[str, Any]:
    legs = [matching_lock(connection, terms) for terms in (agreement.initiator, agreement.participant)]
    found = [leg for leg in legs if leg is not None]
    return {
        "swap_id": agreement.swap_id,
        "hashlock": agreement.hashlock,
        "agreed": True,
        "source": agreement.source,
        "status": swap_status(*(leg.status if leg else LockStatus.ABSENT for leg in legs)).value,
        "opened_s": min((leg.locked.time_s for leg in found), default=_reported_s(connection, agreement.swap_id)),
        "initiator_chain": agreement.initiator.chain,
        "initiator_asset": agreement.initiator.asset,
        "participant_chain": agreement.participant.chain,
        "participant_asset": agreement.participant.asset,
        "other_locks": made - len(found),
    }


def _unagreed_row(hashlock: Hashlock, made: int, first_s: int) -> dict[str, Any]:
    nothing = dict.fromkeys(f"{role}_{part}" for role in ("initiator", "participant") for part in ("chain", "asset"))
    return nothing | {
        "swap_id": UNAGREED_PREFIX + hashlock.hex(),
        "hashlock": hashlock,
        "agreed": False,
        "source": None,
        "status": SwapStatus.UNJOINED.value,
        "opened_s": first_s,
        "other_locks": made,
    }


def _reported_s(connection: Connection, swap_id: SwapId) -> int:
    return int(connection.execute(_REPORTED, {"of_swap": swap_id}).scalar_one()) // 10**9


def joined_swap(connection: Connection, row: Any) -> JoinedSwap:
    """The swap of a row of `indexer_swaps`, with its legs and the other locks under its hashlock."""
    return joined_swaps(connection, [row])[0]


def joined_swaps(connection: Connection, rows: Sequence[Any]) -> list[JoinedSwap]:
    """As `joined_swap`, of some rows at once."""
    ids = [SwapId(row.swap_id) for row in rows if row.agreed]
    agreed = {one.swap_id: one for one in agreements_of(connection, ids)}
    found = matching_locks(connection, ids) if ids else {}
    return [
        _joined(
            connection,
            row,
            agreed.get(SwapId(row.swap_id)),
            [found.get((SwapId(row.swap_id), role)) for role in (INITIATOR, PARTICIPANT)],
        )
        for row in rows
    ]


def _joined(
    connection: Connection, row: Any, agreed: ReportedAgreement | None, legs: Sequence[LockRow | None]
) -> JoinedSwap:
    initiator, participant = legs
    joined = {leg.place for leg in legs if leg is not None}
    others: tuple[LockRow, ...] = ()
    if row.other_locks:
        # Two more than are shown: the joined legs may be among those read.
        read = locks_under(connection, Hashlock(row.hashlock), MAX_OTHER_LOCKS + len(joined))
        others = tuple(lock for lock in read if lock.place not in joined)[:MAX_OTHER_LOCKS]
    return JoinedSwap(
        swap_id=SwapId(row.swap_id),
        hashlock=Hashlock(row.hashlock),
        status=SwapStatus(row.status),
        opened_s=row.opened_s,
        agreed=agreed,
        initiator=initiator,
        participant=participant,
        others=others,
        candidates=() if agreed else rank_candidates(others),
    )


MAX_CANDIDATES: Final = 20


def rank_candidates(found: Sequence[LockRow]) -> tuple[Candidate, ...]:
    """Pairs of locks under one hashlock on two chains that may be a swap, best first, at most `MAX_CANDIDATES`.

    The initiator locks first and longer (which is what makes the pair worth showing at all); both claimed, and an
    address that stands on both sides, speak for a pair. Equal scores stay equal: nothing is decided here.
    """
    pairs = [_candidate(a, b) for a in found for b in found if a.chain != b.chain and _longer(a, b)]
    pairs.sort(key=lambda pair: (-pair.score, pair.initiator.place, pair.participant.place))
    return tuple(pairs[:MAX_CANDIDATES])


def _longer(a: LockRow, b: LockRow) -> bool:
    # Chain times do not compare; for a ranking their whole seconds do, and equal ones are tried both ways.
    return a.terms.timelock.seconds >= b.terms.timelock.seconds


def _candidate(initiator: LockRow, participant: LockRow) -> Candidate:
    a, b = initiator, participant
    judged = (
        (1, "the longer timelock is the initiator's", a.terms.timelock.seconds > b.terms.timelock.seconds),
        (1, "the initiator locked first", a.locked.time_s <= b.locked.time_s),
        (2, "both were claimed", a.status is LockStatus.CLAIMED and b.status is LockStatus.CLAIMED),
        (
            1,
            "the participant's leg was claimed first",
            a.settled is not None and b.settled is not None and b.settled.time_s <= a.settled.time_s,
        ),
        (2, "the initiator's sender receives on the other chain", _same_owner(a.terms.sender, b.terms.receiver)),
        (2, "the participant's sender receives on the other chain", _same_owner(b.terms.sender, a.terms.receiver)),
    )
    said = [(points, reason) for points, reason, holds in judged if holds]
    return Candidate(a, b, sum(points for points, _ in said), tuple(reason for _, reason in said))


def _same_owner(a: Any, b: Any) -> bool:
    return address_of(a) == address_of(b)
