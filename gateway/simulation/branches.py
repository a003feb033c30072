"""A liar that agrees with itself: one endpoint's memory chain parts from the true one, and goes on.

Its headers, events, locks, balances, sequences, outcomes and finality all follow from blocks that it has; nobody else
has them. What gives it away is that a quorum shows other ones.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from adapters.endpoints import Member
from adapters.memory import Endpoint
from adapters.memory.transactions import GiveBack, Lock, Message
from core.model.consortium import quantity
from core.model.facts import LockStatus
from core.model.types import AccountId, BlockRef, Height, LockId, LockTerms
from gateway.simulation.chains import PlayedMemory
from gateway.simulation.plan import Branching, Twist
from gateway.simulation.verdict.chains import all_locks

STANDS_BLOCKS: Final = 2
"""How many blocks a lock stands on the branch before it is given back there: parties have seen it by then."""
FIRST_INVENTED: Final = 900
"""The number of the first place of an account that an invented lock takes: its own come to no such number."""


class Branch:
    """The chain as one endpoint has it: the true one until it parts from that, and then its own.

    `agreed`: the terms of every leg that anybody has agreed on by now. Call `grow` whenever the true chain has made a
    block.
    """

    def __init__(
        self,
        truth: PlayedMemory,
        branching: Branching,
        seconds: Callable[[], float],
        agreed: Sequence[LockTerms],
        source: random.Random,
        faults: Counter[str],
    ) -> None:
        self._truth = truth
        self._here = truth
        self._branching = branching
        self._seconds = seconds
        self._agreed = agreed
        self._source = source
        self._faults = faults
        self._invented: dict[LockTerms, LockId] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._here, name)

    def member(self, operator: str, endpoint: Endpoint) -> Member:
        """The endpoint of this operator, which has this chain."""
        return PlayedMemory.member(cast("PlayedMemory", self), operator, endpoint)

    def access(self, endpoint: Endpoint) -> Any:
        """The ports over this chain."""
        return PlayedMemory.access(cast("PlayedMemory", self), endpoint)

    def has(self, block: BlockRef) -> bool:
        """Return true for a block of the branch, also one that it has in common with the true chain."""
        here = self._here
        return block.height <= here.height and here.block(block.height).header.ref == block

    def grow(self) -> None:
        """Part once it is time; from then on make a block for each of the true chain, or two."""
        if self._here is self._truth and not self._parts():
            return
        here = self._here
        here.fees = self._truth.fees
        if self._branching.twist is not Twist.EMPTY:
            here.repeat(self._truth)
        for sender, message in self._inventions(here):
            here.invent(sender, message)
        made = here.mine(2 if self._source.random() < self._branching.faster else 1)
        self._faults["said-branch"] += len(made)

    def _parts(self) -> bool:
        truth = self._truth
        if self._seconds() < self._branching.at_s or truth.height < 1:
            return False
        self._here = truth.parted()
        depth = self._source.randint(0, truth.height - truth.finalized_height)
        if depth:
            self._here.reorg(depth, depth)
        self._faults[f"branch-{self._branching.twist}"] += 1
        return True

    def _inventions(self, here: PlayedMemory) -> list[tuple[AccountId, Message]]:
        """Return what happens in the branch's next block, and nowhere else."""
        mine = [terms for terms in self._agreed if terms.chain == here.chain]
        if self._branching.twist is Twist.GIVEN_BACK:
            known = {terms.hashlock for terms in mine}
            return [
                (lock.terms.receiver, GiveBack(lock.lock_id))
                for lock in all_locks(here)
                if lock.terms.hashlock in known
                and lock.status is LockStatus.LOCKED
                and self._stands(here, lock.lock_id)
            ]
        fresh = [terms for terms in mine if terms not in self._invented]
        self._invented |= {terms: self._place(terms) for terms in fresh}
        return [(terms.sender, _lock(terms, self._invented[terms])) for terms in fresh]

    def _stands(self, here: PlayedMemory, lock_id: LockId) -> bool:
        then = Height(max(0, here.height - STANDS_BLOCKS))
        return here.lock_at(lock_id, then) is not None

    def _place(self, terms: LockTerms) -> LockId:
        return LockId(f"{terms.sender.rsplit(':', 1)[1]}/{FIRST_INVENTED + len(self._invented)}")


def _lock(terms: LockTerms, place: LockId) -> Lock:
    return Lock(place, terms.asset, quantity(terms.amount), terms.receiver, terms.hashlock, terms.timelock.seconds)
