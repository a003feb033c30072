"""The canonical chains at the end of a story."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from core.model.facts import Claimed, Locked, LockStatus, LoggedEvent, Refunded
from core.model.types import ChainId, Hashlock, Height, LockId, LockTerms
from gateway.simulation.chains import LockState, PlayedChain


@dataclass(frozen=True, slots=True)
class LockOutcome:
    """One lock as its canonical chain has it in the end. `settled`: claimed or refunded in a final block.

    `made_at_s` and `settled_at_s` are the times of the blocks, as the chain's clock had them.
    """

    lock_id: LockId
    terms: LockTerms
    status: LockStatus
    settled: bool
    made_at_s: int
    settled_at_s: int | None


def events_of(chain: PlayedChain) -> Iterator[tuple[LoggedEvent, int, bool]]:
    """Every event of the canonical chain, with its block's time and whether that is final."""
    for height in range(chain.height + 1):
        block = chain.block(Height(height))
        for logged in block.events:
            yield logged, block.header.time.seconds, height <= chain.finalized_height


_READ: Final[WeakKeyDictionary[PlayedChain, tuple[bytes, Height, Sequence[LockOutcome]]]] = WeakKeyDictionary()
"""The last reading of each chain: up to which block, and what was final then. Many ask between two blocks."""


def all_locks(chain: PlayedChain) -> Sequence[LockOutcome]:
    """Every lock of a canonical chain, with what became of it."""
    newest, final = chain.block(chain.height).header.ref.hash, chain.finalized_height
    known = _READ.get(chain)
    if known is None or known[:2] != (newest, final):
        known = _READ[chain] = (newest, final, _locks(chain))
    return known[2]


def _locks(chain: PlayedChain) -> list[LockOutcome]:
    made: list[tuple[LockId, LockTerms, int]] = []
    newest: dict[LockId, int] = {}  # a place may be used again once its lock is settled
    ended: dict[int, tuple[LockStatus, bool, int]] = {}
    for logged, time_s, final in events_of(chain):
        match logged.event:
            case Locked(lock_id, terms):
                newest[lock_id] = len(made)
                made.append((lock_id, terms, time_s))
            case Claimed(lock_id, _, _):
                ended[newest[lock_id]] = LockStatus.CLAIMED, final, time_s
            case Refunded(lock_id, _):
                ended[newest[lock_id]] = LockStatus.REFUNDED, final, time_s
            case _:
                pass
    return [
        LockOutcome(lock_id, terms, status, settled, made_s, settled_s)
        for number, (lock_id, terms, made_s) in enumerate(made)
        for status, settled, settled_s in [ended.get(number, (LockStatus.LOCKED, False, None))]
    ]


def locks_under(chains: Mapping[ChainId, PlayedChain], hashlock: Hashlock) -> list[LockOutcome]:
    """Every lock under this hashlock on either chain."""
    return [lock for chain in chains.values() for lock in all_locks(chain) if lock.terms.hashlock == hashlock]


def shown_at_s(chains: Mapping[ChainId, PlayedChain], skew_s: Mapping[ChainId, int], hashlock: Hashlock) -> int | None:
    """When a block that stayed first showed the preimage (Unix seconds of true time), None if none has."""
    times = [
        lock.settled_at_s - skew_s[lock.terms.chain]
        for lock in locks_under(chains, hashlock)
        if lock.status is LockStatus.CLAIMED and lock.settled_at_s is not None
    ]
    return min(times, default=None)


def lock_at(chain: PlayedChain, lock_id: LockId, at: Height | None = None) -> LockState | None:
    """A lock in the state after the block at a height, by default the newest."""
    return chain.lock_at(lock_id, at)
