"""Each party's database in the end, held against its journal, by code of its own, and against the chains."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import CausewayError, NotFoundError
from core.model.facts import ChainEvent, Claimed, LockStatus
from core.model.types import Height, LockTerms, SwapId
from core.runtime import journal
from core.runtime.clock import NS_PER_S
from gateway.simulation.plan import CHAINS, FINALITY_DEPTH, FORGETFUL
from gateway.simulation.process import Process
from gateway.simulation.verdict.chains import LockOutcome, all_locks, events_of
from gateway.simulation.verdict.money import excused
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import ROUNDED_S, Agreed, Record
from gateway.simulation.world import GAS
from htlc import engine
from htlc.model import Leg, LegStatus, Phase, Role, SwapState
from relayer.pump.tables import relayer_swaps

FINISHED: Final = "finished"
EXIT_TIMES: Final = 5
"""The reserve of an exit, in times of the dearest base fee: it doubles under congestion, and bids double it."""
_SEEN: Final = {"lock": LegStatus.LOCKED, "claim": LegStatus.CLAIMED, "refund": LegStatus.REFUNDED}


async def problems(record: Record) -> list[Problem]:
    """States that did not end, effects that wait, journals and chains that say something else."""
    found: list[Problem] = []
    locks = [lock for chain in CHAINS for lock in all_locks(record.world.chains[chain])]
    for process in record.processes:
        found += await process.database.read(lambda c, one=process: list(_of_process(c, record, one, locks)))  # type: ignore[misc]
    return found


def _of_process(
    connection: Connection, record: Record, process: Process, locks: list[LockOutcome]
) -> Iterator[Problem]:
    for row in connection.execute(sa.select(relayer_swaps.c.swap_id)).all():
        swap_id = SwapId(row.swap_id)
        state = state_in(connection, swap_id)
        if state is None:
            continue
        who = f"{process.name}: {swap_id[:8]}"
        undone = state.agreement.hashlock in record.world.undone  # nothing is certain of it any more
        if not state.phase.terminal and not undone and not _waits_for_gas(record, process, state):
            yield Problem(Kind.MACHINE_UNENDED, f"{who} has not ended: {state.phase}")
        elif state.phase is Phase.LOST and _should_not_be(record, swap_id, locks):
            yield Problem(Kind.MACHINE_LOST, f"{who} is lost")
        pending = [one.key for one in journal.stream_effects(connection, swap_id) if one.status == "pending"]
        if state.phase.terminal and pending:
            yield Problem(Kind.EFFECT_PENDING, f"{who}: effects wait for ever: {', '.join(pending)}")
        yield from _journal_problems(connection, who, state)
        if state.phase.terminal and not undone and not record.plan.rough & FORGETFUL:
            yield from _chain_problems(who, state, locks)
            if process.name != record.plan.clock_of:
                yield from _early(connection, record, who, state, locks)


def _waits_for_gas(record: Record, process: Process, state: SwapState) -> bool:
    """Nobody here agreed on it, strangers have it watched, and an exit may cost more than the watcher has to spare."""
    if any(deal.swap_id == state.swap_id for deal in record.agreed):
        return False
    for leg in (state.agreement.initiator_leg, state.agreement.participant_leg):
        here = record.world.chains[leg.chain]
        if here.native is None:
            continue
        account = record.world.signer(process.name, leg.chain).account
        if here.balance(account, here.native) < EXIT_TIMES * GAS * record.world.dearest[leg.chain]:
            return True
    return False


def _should_not_be(record: Record, swap_id: SwapId, locks: list[LockOutcome]) -> bool:
    """Somebody agreed on it, and it could have been saved; strangers have other swaps watched, which nobody could. A
    cheat who reveals too late loses by that alone: the provider is paid."""
    return any(
        deal.swap_id == swap_id and not excused(record, deal) and not _cheat_lost(deal, locks) for deal in record.agreed
    )


def _cheat_lost(deal: Agreed, locks: list[LockOutcome]) -> bool:
    paid = [lock.terms for lock in locks if lock.status is LockStatus.CLAIMED]
    return deal.dapp is None and deal.initiator_leg in paid and deal.participant_leg not in paid


def state_in(connection: Connection, swap_id: SwapId) -> SwapState | None:
    """A swap's state in this database, None if there is none."""
    try:
        return engine.load(connection, swap_id)
    except NotFoundError:
        return None


def _journal_problems(connection: Connection, who: str, state: SwapState) -> Iterator[Problem]:
    try:
        engine.check_replay(connection, state.swap_id)
    except CausewayError as error:
        yield Problem(Kind.STATE_OFF_JOURNAL, f"{who}: {error.message}")
    events = [msgspec.json.decode(entry.event) for entry in journal.replay(connection, state.swap_id)]
    for leg in Leg:
        shown = shown_leg(events, leg, msgspec.to_builtins(state.agreement.terms(leg)))
        if shown is not None and shown is not state.leg(leg).status:
            text = (
                f"{who}: its journal shows a {leg} leg that is {shown}, its state one that is {state.leg(leg).status}"
            )
            yield Problem(Kind.STATE_OFF_JOURNAL, text)


def shown_leg(events: list[dict[str, Any]], leg: Leg, terms: dict[str, Any]) -> LegStatus | None:
    """Return what a journal's events say of a leg, added up without the machine; None if they speak of several locks.

    Only a lock under the agreed `terms` makes it one, and only what happened to that one counts.
    """
    places, seen = set[str](), dict[str, str]()
    for event in events:
        what, _, how = str(event["type"]).partition("-")
        if event.get("leg") != leg or what not in _SEEN or how not in ("seen", "reverted"):
            continue
        if what == "lock" and how == "seen" and event["terms"] == terms:
            places.add(event["lock_id"])
        if event["lock_id"] not in places:
            continue
        if how == "seen":
            seen[what] = event["block"]["hash"]
        elif seen.get(what) == event["block"]["hash"]:
            del seen[what]
    if len(places) > 1:
        return None
    return next((_SEEN[what] for what in ("claim", "refund", "lock") if what in seen), LegStatus.ABSENT)


def _early(
    connection: Connection, record: Record, who: str, state: SwapState, locks: list[LockOutcome]
) -> Iterator[Problem]:
    """A swap is complete once its claims are final: for an initiator the own claim, for everybody else both."""
    if state.phase is not Phase.COMPLETED:
        return
    # At the event that it ended with: others may have come later.
    last = [one.sequence for one in journal.stream_effects(connection, state.swap_id) if one.kind == FINISHED]
    entries = [one for one in journal.replay(connection, state.swap_id) if not last or one.sequence <= min(last)]
    ended_s = max(entry.recorded_ns for entry in entries) / NS_PER_S
    agreement = state.agreement
    legs = (agreement.initiator_leg, agreement.participant_leg)
    for terms in legs[1:] if agreement.role is Role.INITIATOR else legs:
        claims = [one for one in locks if one.terms == terms and one.status is LockStatus.CLAIMED]
        final_s = min((_final_at_s(record, one) for one in claims), default=0.0)
        if ended_s < final_s - ROUNDED_S:
            text = f"{who} is complete {final_s - ended_s:.0f} s before the claim on {terms.chain} is final"
            yield Problem(Kind.MACHINE_ENDED_EARLY, text)


def _final_at_s(record: Record, lock: LockOutcome) -> float:
    """When the lock's end became final at the earliest, Unix seconds of true time."""
    world, chain = record.world, lock.terms.chain
    here = world.chains[chain]
    depth = FINALITY_DEPTH if chain in world.memory else 0
    ended = [one.block.height for one, _, _ in events_of(here) if _ends(one.event, lock)]
    skew_s, began_s = world.plan.skew_s[chain], world.clock.now() - world.seconds
    in_block_s = here.block(Height(max(ended))).header.time.seconds - skew_s
    final_s = here.block(Height(min(max(ended) + depth, here.height))).header.time.seconds - skew_s
    # What made it final may have been replaced since by blocks that are younger.
    reorged = any(one == chain and in_block_s <= began_s + at_s for one, at_s in world.reorged)
    return in_block_s if reorged else final_s


def _ends(event: ChainEvent, lock: LockOutcome) -> bool:
    """A claim of this lock, and of no other one that had its place before or has it since."""
    if not isinstance(event, Claimed):
        return False
    return (event.lock_id, event.hashlock) == (lock.lock_id, lock.terms.hashlock)


def _chain_problems(who: str, state: SwapState, locks: list[LockOutcome]) -> Iterator[Problem]:
    """How a swap ended is what the chains show."""
    agreement = state.agreement

    def on_chain(terms: LockTerms) -> set[LockStatus]:
        return {lock.status for lock in locks if lock.terms == terms}

    ended = [on_chain(agreement.initiator_leg), on_chain(agreement.participant_leg)]
    own = None if agreement.own_leg is None else on_chain(agreement.terms(agreement.own_leg))
    match state.phase:
        case Phase.COMPLETED:
            # A provider who was paid may have its own lock back, too: after a claim that a reorg took out.
            needed = ended[:1] if agreement.role is Role.LIQUIDITY_PROVIDER else ended
            wrong = not all(LockStatus.CLAIMED in one for one in needed)
        case Phase.REFUNDED if own is not None:
            wrong = bool(own - {LockStatus.REFUNDED})
        case Phase.ABANDONED if own is not None and agreement.role is not Role.WATCHTOWER:
            wrong = bool(own)
        case _:
            wrong = False
    if wrong:
        yield Problem(Kind.STATE_OFF_CHAIN, f"{who} is {state.phase}, and the chains show {ended}")
