"""Lulls of a small town: while nobody has anything under way but timelocks that are far off, its chains skip blocks.

A block in which nothing happens costs as much to follow as any other. Whoever waits for a timelock needs few of them,
and chains without work make fewer. From shortly before each timelock until all that followed from it is final, and as
long as an honest pair is under way, every block comes.
"""

from typing import Final

from core.model.facts import LockStatus
from core.model.types import Height
from gateway.simulation.chains import PlayedChain
from gateway.simulation.plan import MAX_SKEW_S, STORY_S
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.record import Agreed, Record

BEGUN_S: Final = 2 * STORY_S / 3
"""By then all deals of a small town have begun, and those that were agreed on have met their first gate."""
QUIET_S: Final = 10.0
"""The least time without anything sent or agreed on."""
NEAR_S: Final = 10.0 + MAX_SKEW_S
"""How far off the next timelock is at least."""


def is_lull(record: Record) -> bool:
    """Return true if chains may skip a block now."""
    world = record.world
    now_s = world.clock.now()
    if world.seconds < BEGUN_S or (world.wire.sent and now_s - world.wire.sent[-1].at_s < QUIET_S):
        return False
    if any(now_s - deal.agreed_at_s < BEGUN_S for deal in record.agreed):
        return False
    if not all(_is_idle(chain) for chain in world.chains.values()):
        return False
    locks = [lock for chain in world.chains.values() for lock in all_locks(chain)]
    standing = [lock for lock in locks if lock.status is LockStatus.LOCKED]
    if any(abs(lock.terms.timelock.seconds - now_s) < NEAR_S for lock in standing):
        return False
    return all(_is_over(deal, locks) for deal in record.agreed if deal.dapp is not None)


def _is_idle(chain: PlayedChain) -> bool:
    """Nothing waits for a block, and whatever happened is final."""
    newer = range(chain.finalized_height + 1, chain.height + 1)
    return not chain.waiting and not any(chain.block(Height(height)).events for height in newer)


def _is_over(deal: Agreed, locks: list[LockOutcome]) -> bool:
    """Both were paid, or neither is to be."""
    mine = [lock for lock in locks if lock.terms in deal.legs]
    return all(lock.settled for lock in mine)
