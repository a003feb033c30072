"""Each party's word on what became of its transactions, as its database has it, held against the chains."""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.memory.transactions import transaction_hash
from core.model.facts import Claimed, Locked, LoggedEvent, Refunded, hashlock_of
from core.model.transactions import OutcomeStatus
from core.model.types import ChainId, LockTerms, SwapId
from core.runtime import journal
from core.runtime.clock import NS_PER_S
from gateway.simulation.plan import FORGETFUL, Rough
from gateway.simulation.process import Process
from gateway.simulation.verdict.chains import all_locks, events_of
from gateway.simulation.verdict.forms import locks_of, may_be_mined
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from htlc import codec, engine, events
from htlc.facts import leg_of
from htlc.model import Phase, SwapState
from relayer.pump.acting import FUND_KINDS
from relayer.pump.tables import relayer_swaps
from relayer.transactions import accounts, records
from relayer.transactions.records import TransactionRecord, TransactionStatus

FINISHED = "finished"
_SHOWN = {"claim": Claimed, "reveal": Claimed, "refund": Refunded, "fund": Locked}
"""By the first word of an effect's kind, what a block shows that holds its transaction."""


async def problems(record: Record) -> list[Problem]:
    """Every outcome that no chain shows, and every lock given up that might still have come."""
    if Rough.DEEP_REORG in record.plan.rough:
        return []
    found: list[Problem] = []
    shown = {name: [logged for logged, _, _ in events_of(chain)] for name, chain in record.world.chains.items()}
    for process in record.processes:
        found += await process.database.read(lambda c, one=process: list(_of_process(c, record, one, shown)))  # type: ignore[misc]
    return found


def _of_process(
    connection: Connection, record: Record, process: Process, shown: dict[ChainId, list[LoggedEvent]]
) -> Iterator[Problem]:
    yield from _transactions(connection, record, process)
    if not record.plan.rough & FORGETFUL:
        yield from _foreign(connection, record, process)
    for swap_id in connection.execute(sa.select(relayer_swaps.c.swap_id)).scalars().all():
        state = engine.load(connection, SwapId(swap_id))
        who = f"{process.name}: {swap_id[:8]}"
        if process.name == record.plan.clock_of:
            continue  # its times are its own
        yield from _journal(connection, record, process.name, state, shown)
        if not record.plan.rough & FORGETFUL:
            yield from _given_up(connection, record, process, who, state)


def _transactions(connection: Connection, record: Record, process: Process) -> Iterator[Problem]:
    """A final transaction stands in its block, and a lock that is called impossible in none."""
    for chain, here in record.world.memory.items():
        for one in _settled(connection, chain):
            outcomes = {form.hash: here.outcome(form.hash) for form in one.attempts if not form.cancels}
            mined = [hash_ for hash_, found in outcomes.items() if found.status is OutcomeStatus.INCLUDED]
            who = f"{process.name}: {one.effect_key}"
            if one.status is TransactionStatus.FINAL and one.tx_hash in outcomes:
                if outcomes[one.tx_hash].block != one.block:
                    yield Problem(Kind.OUTCOME_OFF_CHAIN, f"{who} is final in a block that does not hold it")
            elif one.status is not TransactionStatus.FINAL and mined and not one.exits:
                yield Problem(Kind.OUTCOME_OFF_CHAIN, f"{who} is {one.status}, and a block holds it")


def _foreign(connection: Connection, record: Record, process: Process) -> Iterator[Problem]:
    """Nothing that a block holds of a party's own counts as somebody else's use of its account."""
    sent = [one for one in record.world.wire.firsts() if one.party == process.name and one.chain in record.world.memory]
    for row in connection.execute(sa.select(accounts.relayer_foreign_uses)).all():
        uses = range(row.sequence, row.end_sequence)
        mine = [one for one in sent if (one.chain, one.body.sender) == (row.chain, row.account)]
        for one in mine:
            held = record.world.memory[one.chain].outcome(transaction_hash(one.raw)).block
            if one.body.sequence in uses and held is not None:
                text = f"{process.name} takes sequence {one.body.sequence} of {one.chain}, which is its own"
                yield Problem(Kind.USE_INVENTED, f"{text}, for somebody else's")


def _settled(connection: Connection, chain: ChainId) -> list[TransactionRecord]:
    table = records.relayer_transactions
    final = (TransactionStatus.FINAL, TransactionStatus.SUPERSEDED, TransactionStatus.EXPIRED)
    keys = sa.select(table.c.effect_key).where(table.c.chain == chain, table.c.status.in_(final))
    found = (records.by_effect(connection, key) for key in connection.execute(keys).scalars().all())
    return [one for one in found if one is not None and one.chain == chain]


def _journal(
    connection: Connection, record: Record, party: str, state: SwapState, shown: dict[ChainId, list[LoggedEvent]]
) -> Iterator[Problem]:
    """A journal calls final what was final then, and its block shows what it says of our transactions."""
    who, forgets = f"{party}: {state.swap_id[:8]}", bool(record.plan.rough & FORGETFUL)
    for entry in journal.replay(connection, state.swap_id):
        event = codec.decode_event(entry.event)
        match event:
            case events.LockFinal() | events.ClaimFinal() | events.RefundFinal() | events.EffectFinal():
                if record.world.histories[event.block.chain].final_at(entry.recorded_ns) < event.block.height:
                    text = f"{who} takes block {event.block.height} of {event.block.chain} for final before it is"
                    yield Problem(Kind.FINAL_TOO_EARLY, text)
            case events.EffectVoided(kind=kind) if kind in FUND_KINDS and not forgets:
                yield from _voided(record, party, who, state.agreement.terms(leg_of(kind)), entry.recorded_ns)
            case events.EffectReverted(kind=kind, final=True) if kind in FUND_KINDS and not forgets:
                yield from _failed(record, who, state.agreement.terms(leg_of(kind)))
        if isinstance(event, events.EffectFinal) and not _is_shown(event, state, shown):
            yield Problem(Kind.OUTCOME_OFF_CHAIN, f"{who}: {event.kind} is done, and its block shows nothing of it")


def _voided(record: Record, party: str, who: str, terms: LockTerms, at_ns: int) -> Iterator[Problem]:
    final = record.world.histories[terms.chain].final_at(at_ns)
    forms = locks_of(record, party, terms, at_ns / NS_PER_S)
    if any(may_be_mined(record, one, final) for one in forms if one.raw in record.world.wire.accepted):
        yield Problem(Kind.VOIDED_TOO_EARLY, f"{who} calls its lock impossible, and a block may still hold it")


def _failed(record: Record, who: str, terms: LockTerms) -> Iterator[Problem]:
    """A lock is asked for once: what failed for good is in no block."""
    if any(lock.terms == terms for lock in all_locks(record.world.chains[terms.chain])):
        yield Problem(Kind.OUTCOME_OFF_CHAIN, f"{who} says that its lock failed in a final block, and it stands")


def _is_shown(event: events.EffectFinal, state: SwapState, shown: dict[ChainId, list[LoggedEvent]]) -> bool:
    kind = _SHOWN.get(event.kind.split("-", maxsplit=1)[0])
    if kind is None:
        return True
    here = shown[state.agreement.terms(leg_of(event.kind)).chain]
    there = [one for one in here if (one.tx_hash, one.block) == (event.tx_hash, event.block)]
    return any(isinstance(one.event, kind) and hashlock_of(one) == state.agreement.hashlock for one in there)


def _given_up(
    connection: Connection, record: Record, process: Process, who: str, state: SwapState
) -> Iterator[Problem]:
    """A swap comes to nothing once no block can hold our lock any more, and not before: from its timelock on a chain
    refuses it."""
    own = state.agreement.own_leg
    if own is None or state.phase is not Phase.ABANDONED:
        return
    terms = state.agreement.terms(own)
    last = [one.sequence for one in journal.stream_effects(connection, state.swap_id) if one.kind == FINISHED]
    ended_ns = [one.recorded_ns for one in journal.replay(connection, state.swap_id) if one.sequence in last]
    if not ended_ns:
        return
    ended_s = min(ended_ns) / NS_PER_S
    final = record.world.histories[terms.chain].final_at(min(ended_ns))
    if record.world.chains[terms.chain].block(final).header.time >= terms.timelock:
        return
    for sent in locks_of(record, process.name, terms, ended_s):
        if sent.raw in record.world.wire.accepted and may_be_mined(record, sent, final):
            yield Problem(Kind.MACHINE_ENDED_EARLY, f"{who} came to nothing while its lock might still be mined")
            return
