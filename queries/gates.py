"""The check right before a delivery is signed, and again before each broadcast: it could still be in time."""

from core.model.errors import GateClosedError
from core.model.ports import ChainTiming
from core.model.types import ChainTime
from queries.model import Request


def check_delivery_now(request: Request, now: ChainTime, timing: ChainTiming) -> None:
    """Return if a delivery that is sent now can be in a block before the deadline, at worst.

    `now` is the asking chain's newest block time and `timing` that chain's. Raise `GateClosedError` with the
    inequality's numbers. A caller's deadline (no place) asks for nothing.
    """
    if request.place is None:
        return
    left_s = request.deadline_s - now.seconds
    needed_s = timing.inclusion_s + timing.lead_s + timing.lag_s
    if left_s <= needed_s:
        raise GateClosedError(
            f"an answer would be late: {left_s} s are left until the deadline, and its inclusion may take {needed_s} s",
            deadline_s=request.deadline_s,
        )
