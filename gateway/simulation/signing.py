"""A signer that takes its time over one act, as a device does that somebody has to touch, while the world moves on.

What comes to pass meanwhile is others' business: they wait for `World.at_work`. Whatever leaves afterwards is judged as
of the moment in which it leaves.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from core.model.ports import Signer
from core.model.transactions import SigningRequest
from core.model.types import Hashlock
from gateway.simulation.chains import Body, PlayedChain
from gateway.simulation.mortal import Troubled
from gateway.simulation.plan import Act, Meanwhile, Signing
from gateway.simulation.verdict.chains import all_locks
from gateway.simulation.world import AtWork, World

BEHIND_S: Final = 2.5
"""How long behind the close of its act's gate the signature comes, if that is what it is about."""
MOST_S: Final = 26.0
"""The longest that it takes: whoever asks gives up soon after that."""


class SlowHand:
    """The one act over which the signers of a party take their time, whichever of its processes asks them."""

    def __init__(self, world: World, signing: Signing) -> None:
        self._world = world
        self._signing = signing
        self._begun: set[frozenset[Hashlock]] = set()
        self._is_over = False

    def begins(self, request: SigningRequest) -> float:
        """Return how long a signature takes that is asked for now, seconds: 0 for all but one."""
        chain = self._world.chains[request.transaction.chain]
        hashlocks = _about(self._signing.act, chain, chain.meant(request.transaction))
        if self._is_over or not hashlocks:
            return 0.0
        again = hashlocks in self._begun
        self._begun.add(hashlocks)
        if again is not self._signing.again or len(self._begun) < self._signing.number:
            return 0.0
        self._is_over = True
        lasts_s, now_s = self._lasts_s(hashlocks), self._world.clock.now()
        self._world.at_work.append(AtWork(self._signing.party, hashlocks, now_s, now_s + lasts_s))
        self._world.aims.disturbed |= hashlocks
        self._world.faults[f"signing-{self._signing.meanwhile}"] += 1
        return lasts_s

    def _lasts_s(self, hashlocks: frozenset[Hashlock]) -> float:
        closes = [at_s for one in hashlocks if (at_s := self._world.closes(self._signing, one)) is not None]
        if self._signing.meanwhile is not Meanwhile.TIME or not closes:
            return min(MOST_S, self._signing.for_s)
        return max(0.0, min(MOST_S, min(closes) + BEHIND_S - self._world.clock.now()))


class Slow(Troubled):
    """One account's signer, by this hand."""

    def __init__(self, inner: Signer, hand: SlowHand, sleep: Callable[[float], Any]) -> None:
        super().__init__(inner)
        self._hand = hand
        self._sleep = sleep

    async def sign(self, request: SigningRequest) -> bytes:
        if lasts_s := self._hand.begins(request):
            await self._sleep(lasts_s)
        return await self._inner.sign(request)


def _about(act: Act, chain: PlayedChain, body: Body) -> frozenset[Hashlock]:
    """The swaps that a transaction of this kind is about; none for one of another kind."""
    if act is Act.CLAIM:
        return frozenset(Hashlock(hashlib.sha256(one).digest()) for one in body.preimages)
    if act is Act.REFUND:
        returned = () if body.preimages else body.settles
        return frozenset(lock.terms.hashlock for lock in all_locks(chain) if lock.lock_id in returned)
    return frozenset(terms.hashlock for terms in body.locks)
