"""People who change their minds: they call a lock or a reveal off when they are asked, hesitate, or withdraw."""

from functools import partial
from typing import Final

from core.model.errors import CausewayError
from gateway.simulation.plan import Doubt, Rough
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.record import Agreed, CalledOff, Record
from htlc.model import SwapState
from relayer.client.hooks import Hook

TRIES: Final = 3
TRY_AGAIN_S: Final = 1.0
STANDS_ON_S: Final = 2.0
"""How long a chain that stands still goes on so once the gate has closed, after which nobody reveals."""


def hooks_of(record: Record, agreed: Agreed) -> tuple[Hook | None, Hook | None]:
    """Return what the initiator of this swap wants to be asked before the lock, and before the reveal."""
    call_off, hesitate = partial(_call_off, record, agreed), partial(_hesitate, record, agreed)
    match agreed.deal.doubt:
        case Doubt.LOCK:
            return call_off, None
        case Doubt.REVEAL:
            return None, call_off
        case Doubt.LATE:
            return None, hesitate
        case _:
            return None, None


async def _call_off(record: Record, agreed: Agreed, _state: SwapState) -> None:
    _note(record, agreed)
    raise ValueError("the user said no")


async def _hesitate(record: Record, agreed: Agreed, _state: SwapState) -> None:
    """Go on at about the time at which the gate of the reveal closes."""
    record.world.faults[f"doubt-{Doubt.LATE}"] += 1
    closes_s = agreed.participant_leg.timelock.seconds - needed_by(record.plan, agreed).reveal_s
    goes_on_s = closes_s - agreed.deal.doubt_s
    if (stands_s := record.plan.at_s.get(Rough.CHAIN_STANDS)) is not None:
        record.world.stand(agreed.participant_leg.chain, goes_on_s - stands_s, closes_s + STANDS_ON_S)
    await record.world.clock.sleep(max(0.0, goes_on_s - record.world.clock.now()))


async def withdraw(record: Record, agreed: Agreed) -> None:
    """Withdraw from the swap some time after the agreement; in vain if it has ended by then, or was never begun."""
    await record.world.clock.sleep(agreed.deal.doubt_s)
    for _ in range(TRIES):
        client = await record.dapps[agreed.deal.relayer].ready()
        try:
            await client.cancel(agreed.swap_id)
        except CausewayError:
            await record.world.clock.sleep(TRY_AGAIN_S)
        else:
            _note(record, agreed)
            return


def _note(record: Record, agreed: Agreed) -> None:
    record.world.faults[f"doubt-{agreed.deal.doubt}"] += 1
    record.called_off.append(CalledOff(agreed, record.world.clock.now()))
