"""About when a swap will be done, for people who wait. An estimate, and never a ground to act. Pure."""

from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming
from htlc.model import LegStatus, Phase, Sighting
from relayer.provider.desk import LegView, SwapView


def confirmations(seen: Sighting | None, head: HeadUpdate | None) -> int | None:
    """Blocks on top of where something was seen, inclusive; None if nothing was seen, or no head is known."""
    if seen is None or head is None:
        return None
    return max(0, head.head.height - seen.block.height + 1)


def expected_at(
    view: SwapView,
    timings: tuple[ChainTiming, ChainTiming],
    heads: tuple[HeadUpdate | None, HeadUpdate | None],
    now_s: float,
) -> int | None:
    """Unix seconds at which the swap ends if everybody acts at once and blocks come as they usually do.

    `timings` and `heads` are those of the initiator's and of the participant's chain. None once it is done.
    """
    if view.done:
        return None
    if view.phase is Phase.REFUNDING or view.reason_code is not None:
        return _given_back_at(view, timings, now_s)
    first, second = view.initiator, view.participant
    locked = _wait_s(first.lock, heads[0], timings[0]), _wait_s(second.lock, heads[1], timings[1])
    claimed = _wait_s(first.settle, heads[0], timings[0]), _wait_s(second.settle, heads[1], timings[1])
    if view.preimage is None:
        # The relayer locks once the initiator's lock is final, and its own preimage shows in the claim's block.
        return round(now_s + locked[0] + locked[1] + timings[1].block_time_s + max(claimed))
    return round(now_s + max(claimed))


def _given_back_at(view: SwapView, timings: tuple[ChainTiming, ChainTiming], now_s: float) -> int:
    """When the later of the open locks can be back."""
    ends = [
        max(now_s, leg.terms.timelock.seconds) + timing.block_time_s + timing.finality_s
        for leg, timing in ((view.initiator, timings[0]), (view.participant, timings[1]))
        if _may_stand(leg)
    ]
    return round(max(ends, default=now_s))


def _may_stand(leg: LegView) -> bool:
    return leg.status is LegStatus.LOCKED or (leg.settle is not None and not leg.settle.final)


def _wait_s(seen: Sighting | None, head: HeadUpdate | None, timing: ChainTiming) -> float:
    """Seconds until something is final that was seen there, or is sent now."""
    if seen is None:
        return timing.block_time_s + timing.finality_s
    if seen.final:
        return 0
    return max(0, timing.finality_s - timing.block_time_s * (confirmations(seen, head) or 0))
