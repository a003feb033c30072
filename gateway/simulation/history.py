"""The history of every lock on one chain, step by step: blocks as they came, were replaced, and became final.

In the end a chain shows only the blocks that stayed. What parties saw on the way, and acted on, is in here.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from core.model.facts import Block, Claimed, Locked, Refunded
from core.model.types import BlockRef, ChainId, Height, LockId, LockTerms
from core.runtime.clock import NS_PER_S, Clock
from gateway.simulation.chains import PlayedChain

SEEN, REVERTED, FINAL = "Seen", "Reverted", "Final"
_VERBS: Final = {Locked: "Lock", Claimed: "Claim", Refunded: "Refund"}


@dataclass(frozen=True, slots=True)
class Happened:
    """`event` as `htlc.events` names it: `LockSeen`, `ClaimReverted`. `at_ns`: true time, Unix nanoseconds."""

    at_ns: int
    chain: ChainId
    event: str
    lock_id: LockId
    terms: LockTerms


class History:
    """`happened` grows with every `look`, which is due whenever the chain has changed."""

    def __init__(self, chain: PlayedChain, clock: Clock) -> None:
        self.happened: list[Happened] = []
        self._chain = chain
        self._clock = clock
        self._blocks: list[Block] = []
        self._had: set[BlockRef] = set()
        self._final = 0
        self._finals: list[tuple[int, Height]] = []
        """From when on (Unix nanoseconds) which height was final."""
        self._terms: dict[LockId, LockTerms] = {}

    def look(self) -> None:
        """Note what the chain did since the last look: replaced blocks from the newest down, then new ones, then
        what is final now."""
        while self._blocks and not self._stands(self._blocks[-1]):
            self._note(self._blocks.pop(), REVERTED)
        for height in range(len(self._blocks), self._chain.height + 1):
            self._blocks.append(self._chain.block(Height(height)))
            self._had.add(self._blocks[-1].header.ref)
            self._note(self._blocks[-1], SEEN)
        for block in self._blocks[self._final : self._chain.finalized_height + 1]:
            self._note(block, FINAL)
        if self._final != self._chain.finalized_height + 1:
            self._finals.append((self._clock.now_ns(), self._chain.finalized_height))
        self._final = self._chain.finalized_height + 1

    def final_at(self, at_ns: int) -> Height:
        """Return the height that was final at that time, Unix nanoseconds; 0 before any was."""
        return next((height for since_ns, height in reversed(self._finals) if since_ns <= at_ns), Height(0))

    def final_since_s(self, height: Height) -> float:
        """Return when (Unix seconds) the block at this height became final first; infinity before it is."""
        return next((since_ns / NS_PER_S for since_ns, final in self._finals if final >= height), inf)

    def had(self, block: BlockRef) -> bool:
        """Return true for a block that the chain had at any time."""
        return block in self._had

    def _stands(self, block: Block) -> bool:
        ref = block.header.ref
        return ref.height <= self._chain.height and self._chain.block(ref.height).header.ref == ref

    def _note(self, block: Block, what: str) -> None:
        now_ns = self._clock.now_ns()
        for logged in block.events if what != REVERTED else reversed(block.events):
            event = logged.event
            if isinstance(event, Locked):
                self._terms[event.lock_id] = event.terms
            if isinstance(event, Locked | Claimed | Refunded):
                name = _VERBS[type(event)] + what
                terms = self._terms[event.lock_id]
                self.happened.append(Happened(now_ns, self._chain.chain, name, event.lock_id, terms))
