"""Lanes as this adapter meets them: names of locks in events, generations that follow each other.

The encodings themselves are in `core.proofs.lanes`, where verifiers need them too. A lock's id is
`<sender>/<lane>/<generation>`. Generations wrap from 65535 to 0: after 65,536 uses of a lane its ids come round again,
so nobody may take an id for unique. The place of its event, or its sender and hashlock, distinguish two locks.
"""

from typing import Final

from core.model.types import LockId
from core.proofs.lanes import MAX_GENERATION, Lane, LaneStatus, lane_lock_id, lane_slot

ONE_SHOT: Final = 1
"""A flag of contracts deployed before, which cleared a lane as it settled (ADR 5). This one refuses every flag."""


def event_lock_id(sender: bytes, terms: int) -> LockId:
    """The id of the lock of `sender` whose packed terms, or their low 96 bits, are these."""
    return lane_lock_id(Lane(sender, terms & 0xFFFFFFFF, terms >> 32 & MAX_GENERATION))


def next_use(sender: bytes, number: int, word: int) -> Lane | None:
    """The lane's next use when it holds `word`, None while a lock is open in it."""
    if word & 0xFFFF == LaneStatus.LOCKED:
        return None
    return Lane(sender, number, ((word >> 16) + 1) & MAX_GENERATION)


def holds(taken: Lane, candidate: Lane) -> bool:
    """Return true if a place that was handed out stands in the candidate's way: same lane, not of the lane's past."""
    ahead = (taken.generation - candidate.generation) & MAX_GENERATION
    return (taken.sender, taken.number) == (candidate.sender, candidate.number) and ahead <= MAX_GENERATION // 2


def slot_hex(lane: Lane) -> str:
    return f"0x{lane_slot(lane):064x}"
