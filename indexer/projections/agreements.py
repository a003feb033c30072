"""Agreed terms: what turns two locks under one hashlock into a swap. Reported by whoever took part, never guessed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RejectedError
from core.model.types import (
    MAX_IDENTIFIER_CHARS,
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    LockTerms,
    SwapId,
)
from core.runtime.inserts import insert_if_absent
from core.runtime.statements import MAX_LIST
from indexer.tables import agreement_legs, agreements

INITIATOR: Final = "initiator"
PARTICIPANT: Final = "participant"
_LEGS: Final = sa.select(agreements.c.hashlock, agreements.c.source, agreement_legs).join(
    agreement_legs, agreement_legs.c.swap_id == agreements.c.swap_id
)
_LEGS_OF_SWAP: Final = _LEGS.where(agreements.c.swap_id == sa.bindparam("of_swap"))
_LEGS_OF_SWAPS: Final = _LEGS.where(agreements.c.swap_id.in_(sa.bindparam("swap_ids", expanding=True)))
_LEGS_UNDER: Final = _LEGS.where(agreements.c.hashlock.in_(sa.bindparam("hashlocks", expanding=True)))
_INSERT_LEGS: Final = sa.insert(agreement_legs)


@dataclass(frozen=True, slots=True)
class ReportedAgreement:
    """Both legs as they were agreed, and who says so. Raise `RejectedError` when the legs do not make a swap."""

    swap_id: SwapId
    initiator: LockTerms
    participant: LockTerms
    source: str

    def __post_init__(self) -> None:
        if self.initiator.hashlock != self.participant.hashlock:
            raise RejectedError("both legs of a swap are under one hashlock")
        if self.initiator.chain == self.participant.chain:
            raise RejectedError("the legs of a swap are on two chains")
        if not 0 < len(self.swap_id) <= MAX_IDENTIFIER_CHARS or self.swap_id.startswith("hashlock:"):
            raise RejectedError(
                f"a swap id has 1 to {MAX_IDENTIFIER_CHARS} characters and does not begin with hashlock:"
            )
        if not 0 < len(self.source) <= MAX_IDENTIFIER_CHARS:
            raise RejectedError(f"a source has 1 to {MAX_IDENTIFIER_CHARS} characters")

    @property
    def hashlock(self) -> Hashlock:
        return self.initiator.hashlock


def forget_agreement(connection: Connection, swap_id: SwapId) -> None:
    """Delete agreed terms that nobody has locked on. What is left of their hashlock is for the caller to refresh."""
    connection.execute(sa.delete(agreement_legs).where(agreement_legs.c.swap_id == swap_id))
    connection.execute(sa.delete(agreements).where(agreements.c.swap_id == swap_id))


def store_agreement(connection: Connection, agreement: ReportedAgreement, now_ns: int) -> bool:
    """Store agreed terms. Return false if exactly this was reported before.

    Raise `ConflictError` for other terms under a swap id that is taken.
    """
    new = insert_if_absent(
        connection,
        agreements,
        swap_id=agreement.swap_id,
        hashlock=agreement.hashlock,
        source=agreement.source,
        reported_ns=now_ns,
    )
    if not new:
        known = agreement_of(connection, agreement.swap_id)
        if known is None or (known.initiator, known.participant) != (agreement.initiator, agreement.participant):
            raise ConflictError(f"other terms were reported for swap {agreement.swap_id}", swap_id=agreement.swap_id)
        return False
    connection.execute(
        _INSERT_LEGS,
        [
            {"swap_id": agreement.swap_id, "role": role, **_leg_columns(terms)}
            for role, terms in ((INITIATOR, agreement.initiator), (PARTICIPANT, agreement.participant))
        ],
    )
    return True


def agreement_of(connection: Connection, swap_id: SwapId) -> ReportedAgreement | None:
    """The agreed terms of one swap, None if nobody reported any."""
    found = _agreements(connection, _LEGS_OF_SWAP, of_swap=swap_id)
    return found[0] if found else None


def agreements_of(connection: Connection, swap_ids: Sequence[SwapId]) -> list[ReportedAgreement]:
    """The agreed terms of these swaps."""
    return [
        one
        for first in range(0, len(swap_ids), MAX_LIST)
        for one in _agreements(connection, _LEGS_OF_SWAPS, swap_ids=list(swap_ids[first : first + MAX_LIST]))
    ]


def agreements_under(connection: Connection, hashlocks: Sequence[Hashlock]) -> list[ReportedAgreement]:
    """All agreements under these hashlocks (at most 500 of them), by swap id."""
    return _agreements(connection, _LEGS_UNDER, hashlocks=list(hashlocks))


def _agreements(connection: Connection, statement: sa.Select[Any], **asked: object) -> list[ReportedAgreement]:
    terms: dict[str, dict[str, LockTerms]] = defaultdict(dict)
    sources: dict[str, str] = {}
    for row in connection.execute(statement, asked):
        terms[row.swap_id][row.role] = _terms(row)
        sources[row.swap_id] = row.source
    return [
        ReportedAgreement(SwapId(swap_id), terms[swap_id][INITIATOR], terms[swap_id][PARTICIPANT], sources[swap_id])
        for swap_id in sorted(terms)
    ]


def _terms(leg: Any) -> LockTerms:
    return LockTerms(
        asset=AssetId(leg.asset),
        amount=BaseUnits(leg.amount),
        sender=AccountId(leg.sender),
        receiver=AccountId(leg.receiver),
        hashlock=Hashlock(leg.hashlock),
        timelock=ChainTime(ChainId(leg.chain), leg.timelock),
    )


def _leg_columns(terms: LockTerms) -> dict[str, Any]:
    return {
        "chain": terms.chain,
        "asset": terms.asset,
        "amount": terms.amount,
        "sender": terms.sender,
        "receiver": terms.receiver,
        "timelock": terms.timelock.seconds,
    }
