"""Loose ends: what should have come to its end and did not."""

from collections.abc import Collection, Iterator
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import CausewayError, NotFoundError
from core.model.facts import LockStatus
from core.model.types import Preimage, SwapId
from core.runtime import journal
from gateway.simulation.plan import CHAINS, POLICY, Rough
from gateway.simulation.process import Process
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.money import excused
from gateway.simulation.verdict.record import Agreed, Record
from htlc import engine
from htlc.model import Phase, SwapState
from relayer.client.store import client_swaps
from relayer.swaps import relayer_swaps

ALLOWANCE_S: Final = 20.0
"""How much longer than the protocol's least an honest pair may take, outages aside."""
LEAST_S: Final = 60.0
"""From the agreement to both claims, each in a block and final, with every bound used up."""


def problems(record: Record) -> Iterator[str]:
    """Everything that did not end, or not as it had to, but for the states of machines (see `machines`)."""
    locks = [lock for chain in CHAINS for lock in all_locks(record.world.chains[chain])]
    for lock in locks:
        owner = record.owner(lock.terms.sender)
        if not lock.settled and owner is not None and not _left_to_the_provider(record, lock, locks):
            yield f"{lock.lock_id} of {lock.terms.chain}, by {owner}, is {lock.status} in the end"
    for deal in record.agreed:
        yield from _liveness(record, deal, locks)
        yield from _watched(record, deal, locks)
    for process in record.processes:
        yield from process.ends


def _left_to_the_provider(record: Record, lock: LockOutcome, locks: list[LockOutcome]) -> bool:
    """True for the leg of an initiator who was paid, if its provider is gone or has lost its memory."""
    for deal in record.agreed:
        if lock.terms == deal.initiator_leg and excused(record, deal):
            return any(one.terms == deal.participant_leg and one.status is LockStatus.CLAIMED for one in locks)
    return False


def _liveness(record: Record, deal: Agreed, locks: list[LockOutcome]) -> Iterator[str]:
    """An honest pair completes while the faults stay within what was promised, in time."""
    if deal.dapp is None or not _undisturbed(record, deal):
        return
    claimed = [lock for leg in deal.legs for lock in locks if lock.terms == leg and lock.status is LockStatus.CLAIMED]
    if len(claimed) < 2:
        yield f"deal {deal.deal.number} ({deal.deal.style}): an honest pair did not complete"
        return
    took_s = max(lock.settled_at_s or 0 for lock in claimed) - deal.agreed_at_s
    bound_s = (
        LEAST_S
        + ALLOWANCE_S
        + sum(until - since for name in (deal.dapp, deal.relayer) for since, until in record.process(name).away)
    )
    if took_s > bound_s:
        yield f"deal {deal.deal.number}: an honest pair took {took_s:.0f} s, more than {bound_s:.0f} s"


def _undisturbed(record: Record, deal: Agreed) -> bool:
    """No rough fault; and until both had locked neither party died, nor did a reorg take a lock out.

    A person's time to act does not cover the first, and the gates leave room for the second where money is at stake,
    which is at the claims: a lock that comes too late is taken back.
    """
    if record.plan.rough:
        return False
    # From the agreement on, which the initiator's process may have heard of later.
    agreed_at_s = min(deal.agreed_at_s, deal.lock_deadline_s - POLICY.lock_s)
    began = agreed_at_s - record.world.clock.now() + record.world.seconds
    both_locked = began + LEAST_S
    if any(began - 1 < at_s < both_locked for _, at_s in record.world.reorged):
        return False
    return not any(
        since < both_locked and until > began - 1
        for name in (deal.dapp or "", deal.relayer)
        for since, until in record.process(name).away
    )


def _watched(record: Record, deal: Agreed, locks: list[LockOutcome]) -> Iterator[str]:
    """Whoever is watched is saved: once the participant's leg is claimed, the initiator's is, too."""
    if not deal.watched_since_s or record.tower is None or Rough.TOKEN_PAUSES in record.plan.rough:
        return
    first = [lock for lock in locks if lock.terms == deal.initiator_leg]
    second = [lock for lock in locks if lock.terms == deal.participant_leg and lock.status is LockStatus.CLAIMED]
    if first and second and not any(lock.status is LockStatus.CLAIMED for lock in first):
        yield f"deal {deal.deal.number}: the tower watched, and the participant lost"


async def machines(record: Record) -> list[str]:
    """What each party's database says in the end: states that did not end, effects that wait, journals that differ."""
    found: list[str] = []
    agreed = {deal.swap_id for deal in record.agreed}
    for process in record.processes:
        found += await process.database.read(lambda c, process=process: list(_machine_problems(c, process, agreed)))  # type: ignore[misc]
    return found


def _machine_problems(connection: Connection, process: Process, agreed: Collection[SwapId]) -> Iterator[str]:
    """`agreed`: the swaps that somebody agreed on; strangers have others watched, which nobody could save."""
    for row in connection.execute(sa.select(relayer_swaps.c.swap_id)).all():
        swap_id = SwapId(row.swap_id)
        state = state_in(connection, swap_id)
        if state is None:
            continue
        if not state.phase.terminal:
            yield f"{process.name}: {swap_id[:8]} has not ended: {state.phase}"
        elif state.phase is Phase.LOST and swap_id in agreed:
            yield f"{process.name}: {swap_id[:8]} is lost"
        pending = [one.key for one in journal.stream_effects(connection, swap_id) if one.status == "pending"]
        if state.phase.terminal and pending:
            yield f"{process.name}: effects wait for ever: {', '.join(pending)}"
        try:
            engine.check_replay(connection, swap_id)
        except CausewayError as error:
            yield f"{process.name}: {error.message}"


def state_in(connection: Connection, swap_id: SwapId) -> SwapState | None:
    """A swap's state in this database, None if there is none."""
    try:
        return engine.load(connection, swap_id)
    except NotFoundError:
        return None


async def leaks(record: Record) -> list[str]:
    """Preimages in bytes that were sent, simulated or estimated before the reveal."""
    found: list[str] = []
    for dapp in record.dapps:
        secrets = await dapp.database.read(_preimages)
        for preimage in secrets:
            raw = preimage.expose()
            reveal_s = _first_claim_s(record, raw)
            found += [
                f"{who} shows a preimage to an endpoint before its reveal"
                for at_s, who, body in record.world.wire.shown
                if raw in body and (reveal_s is None or at_s < reveal_s)
            ]
    return found


def _preimages(connection: Connection) -> list[Preimage]:
    if not sa.inspect(connection).has_table(client_swaps.name):
        return []
    return [Preimage(row.preimage) for row in connection.execute(sa.select(client_swaps.c.preimage))]


def _first_claim_s(record: Record, preimage: bytes) -> float | None:
    return next((sent.at_s for sent in record.world.wire.sent if preimage in sent.raw), None)
