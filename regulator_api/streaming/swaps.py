"""Swaps as they come about: proposed, locked on either chain, claimed, refunded, each with its number.

A lock belongs to a swap if its terms are exactly those of a leg, as everywhere (`indexer.projections.swaps`). What is
streamed is a function of the facts and of the reports in their one order, so that whoever reads it again from any
number gets the same: an event on chain counts for the swaps that were reported before it, and a report brings along
what its legs had shown before. A reverted block's events come again as undone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy.engine import Connection

from core.model.facts import Claimed, Locked, LoggedEvent, Refunded
from core.model.types import AccountId, ChainId, Hashlock, LockId, LockTerms
from indexer.feed import Fact, FactKind, history_of, read_facts, terms_of_locks, times_of
from indexer.projections import ReportedAgreement
from indexer.projections.agreements import INITIATOR, PARTICIPANT, agreement_of, agreements_under
from regulator_api.access.scope import Scope
from regulator_api.knowledge.reading import seen_among
from regulator_api.streaming.proposals import (
    CHUNK,
    PLACES,
    Proposal,
    keep_proposal,
    number_of,
    read_proposals,
    reported_after,
)

MAX_FACTS_AT_ONCE: Final = 200
MAX_PROPOSALS_AT_ONCE: Final = 200
MAX_EARLIER_LOCKS: Final = 4
"""Locks of one leg, by exactly its terms, that a late report brings along."""


class SwapLegView(msgspec.Struct, frozen=True, kw_only=True):
    """A leg as it was agreed. Amounts are integer strings of base units, the timelock Unix seconds of its chain."""

    chain: str
    asset: str
    amount: str
    sender: str
    receiver: str
    timelock_s: int


class SwapHappening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of the stream of swaps. `kind`: `proposed` with both legs, `locked`, `claimed` or `refunded` with the
    `leg` (`initiator` or `participant`) and its place on chain, or `finalized` for all of a chain up to that block.

    `time_s` is the block's, or the report's. `undone`: the block was replaced. `late`: it stood on chain before the
    swap was reported."""

    kind: str
    time_s: int
    swap_id: str = ""
    hashlock: str = ""
    initiator: SwapLegView | None = None
    participant: SwapLegView | None = None
    leg: str = ""
    chain: str = ""
    height: int = 0
    block_hash: str = ""
    tx_hash: str = ""
    index: int = 0
    lock_id: str = ""
    undone: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class NumberedSwaps:
    """The events of one fact or report, under its number: a client that has the number has all of them."""

    number: int
    happenings: tuple[SwapHappening, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One event on chain, and the leg of a swap that it is about."""

    agreement: ReportedAgreement
    leg: str
    kind: str
    logged: LoggedEvent
    lock_id: LockId


Terms = Mapping[tuple[ChainId, LockId], LockTerms]


def keep_report(connection: Connection, agreement: ReportedAgreement, now_ns: int) -> None:
    """Store a fresh report's place, and what its legs have shown so far. In the transaction that stores its terms."""
    steps = list[SwapHappening]()
    for leg, terms in _legs(agreement):
        history = history_of(connection, terms, MAX_EARLIER_LOCKS)
        locked = {(terms.chain, one.event.lock_id): terms for one in history if isinstance(one.event, Locked)}
        times = times_of(connection, terms.chain, [one.block.hash for one in history])
        for one in history:
            for step in _steps(one, [agreement], locked):
                if step.leg == leg:
                    steps.append(_on_chain(step, times[one.block.hash].seconds, late=True))
    keep_proposal(connection, agreement.swap_id, now_ns, msgspec.json.encode(steps).decode())


def read_swap_happenings(connection: Connection, scope: Scope, behind: int) -> tuple[list[NumberedSwaps], int]:
    """Return what happened to swaps behind a number, and the last number that was looked at (`behind` if none)."""
    facts = read_facts(connection, behind // PLACES, MAX_FACTS_AT_ONCE)
    reports = read_proposals(connection, behind, MAX_PROPOSALS_AT_ONCE)
    # What lies beyond the shorter of the two is for the next look: nothing is passed over.
    bounds = [number_of(facts[-1].seq + 1) - 1] if len(facts) == MAX_FACTS_AT_ONCE else []
    bounds += [reports[-1].number] if len(reports) == MAX_PROPOSALS_AT_ONCE else []
    facts = [fact for fact in facts if not bounds or number_of(fact.seq) <= min(bounds)]
    reports = [report for report in reports if not bounds or report.number <= min(bounds)]
    steps = _steps_of(connection, facts)
    agreed = {one.swap_id: agreement_of(connection, one.swap_id) for one in reports}
    involved = [step.agreement for found in steps.values() for step in found] + [one for one in agreed.values() if one]
    seen = seen_among(connection, scope, {party for one in involved for party in _parties(one)})

    def shown(agreement: ReportedAgreement | None) -> bool:
        return agreement is not None and (seen is None or any(party in seen for party in _parties(agreement)))

    made: dict[int, list[SwapHappening]] = defaultdict(list)
    for fact in facts:
        made[number_of(fact.seq)] += _of_fact(fact, [step for step in steps[fact.seq] if shown(step.agreement)])
    for report in reports:
        terms = agreed[report.swap_id]
        made[report.number] += _of_report(report, terms) if terms is not None and shown(terms) else []
    numbered = [NumberedSwaps(number, tuple(found)) for number, found in sorted(made.items()) if found]
    return numbered, max(made, default=behind)


def _of_report(report: Proposal, agreement: ReportedAgreement) -> list[SwapHappening]:
    proposed = SwapHappening(
        kind="proposed",
        time_s=report.reported_s,
        swap_id=agreement.swap_id,
        hashlock=agreement.hashlock.hex(),
        initiator=_leg_view(agreement.initiator),
        participant=_leg_view(agreement.participant),
    )
    return [proposed, *msgspec.json.decode(report.earlier, type=list[SwapHappening])]


def _of_fact(fact: Fact, steps: Sequence[_Step]) -> list[SwapHappening]:
    time_s = fact.header.time.seconds
    if fact.kind is FactKind.FINALIZED:
        ref = fact.header.ref
        return [
            SwapHappening(
                kind="finalized", time_s=time_s, chain=ref.chain, height=ref.height, block_hash=ref.hash.hex()
            )
        ]
    return [_on_chain(step, time_s, undone=fact.kind is FactKind.REVERTED) for step in steps]


def _on_chain(step: _Step, time_s: int, *, undone: bool = False, late: bool = False) -> SwapHappening:
    block = step.logged.block
    return SwapHappening(
        kind=step.kind,
        time_s=time_s,
        swap_id=step.agreement.swap_id,
        hashlock=step.agreement.hashlock.hex(),
        leg=step.leg,
        chain=block.chain,
        height=block.height,
        block_hash=block.hash.hex(),
        tx_hash=step.logged.tx_hash.hex(),
        index=step.logged.index,
        lock_id=step.lock_id,
        undone=undone,
        late=late,
    )


def _steps_of(connection: Connection, facts: Iterable[Fact]) -> dict[int, list[_Step]]:
    """Return what the events of each fact did to the swaps that had been reported before it."""
    found: dict[int, list[_Step]] = defaultdict(list)
    events = [(fact.seq, logged) for fact in facts for logged in fact.events if _hashlock(logged) is not None]
    under = _agreements(connection, sorted({lock for _, one in events if (lock := _hashlock(one)) is not None}))
    events = [(seq, one) for seq, one in events if _hashlock(one) in under]
    known = reported_after(connection, sorted({one.swap_id for group in under.values() for one in group}))
    terms = _terms_of(connection, [logged for _, logged in events])
    for seq, logged in events:
        candidates = [one for one in under[_hashlock(logged)] if known.get(one.swap_id, -1) < seq]
        found[seq] += _steps(logged, candidates, terms)
    return found


def _steps(logged: LoggedEvent, candidates: Iterable[ReportedAgreement], terms: Terms) -> Iterable[_Step]:
    event, chain = logged.event, logged.block.chain
    locked: LockTerms | None
    match event:
        case Locked():
            kind, lock_id, locked = "locked", event.lock_id, event.terms
        case Claimed():
            kind, lock_id, locked = "claimed", event.lock_id, terms.get((chain, event.lock_id))
        case Refunded():
            kind, lock_id, locked = "refunded", event.lock_id, terms.get((chain, event.lock_id))
        case _:
            return
    for agreement in candidates:
        for leg, agreed in _legs(agreement):
            if agreed == locked:
                yield _Step(agreement, leg, kind, logged, lock_id)


def _agreements(
    connection: Connection, hashlocks: Sequence[Hashlock]
) -> dict[Hashlock | None, list[ReportedAgreement]]:
    found: dict[Hashlock | None, list[ReportedAgreement]] = defaultdict(list)
    for first in range(0, len(hashlocks), CHUNK):
        for one in agreements_under(connection, hashlocks[first : first + CHUNK]):
            found[one.hashlock].append(one)
    return dict(found)


def _terms_of(connection: Connection, events: Iterable[LoggedEvent]) -> Terms:
    """Return the terms of the locks that these events settle, whatever became of their blocks."""
    wanted: dict[ChainId, set[LockId]] = defaultdict(set)
    for logged in events:
        if isinstance(logged.event, Claimed | Refunded):
            wanted[logged.block.chain].add(logged.event.lock_id)
    found: dict[tuple[ChainId, LockId], LockTerms] = {}
    for chain, names in wanted.items():
        found |= {(chain, name): terms for name, terms in terms_of_locks(connection, chain, names).items()}
    return found


def _hashlock(logged: LoggedEvent) -> Hashlock | None:
    match logged.event:
        case Locked(terms=terms):
            return terms.hashlock
        case Claimed(hashlock=hashlock) | Refunded(hashlock=hashlock):
            return hashlock
        case _:
            return None


def _legs(agreement: ReportedAgreement) -> tuple[tuple[str, LockTerms], tuple[str, LockTerms]]:
    return (INITIATOR, agreement.initiator), (PARTICIPANT, agreement.participant)


def _parties(agreement: ReportedAgreement) -> Iterable[AccountId]:
    return (account for _, terms in _legs(agreement) for account in (terms.sender, terms.receiver))


def _leg_view(terms: LockTerms) -> SwapLegView:
    return SwapLegView(
        chain=terms.chain,
        asset=terms.asset,
        amount=str(terms.amount),
        sender=terms.sender,
        receiver=terms.receiver,
        timelock_s=terms.timelock.seconds,
    )
