"""The newest header that sync committees call final, with the way to it from an anchor."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.beacon.client import BeaconApi
from core.model.beacon import BeaconAnchor
from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError
from core.proofs.beacon.chain import MAX_UPDATES, SyncChain, verify_sync_chain
from core.proofs.beacon.containers import Bootstrap, ExecutionHeader, Update
from core.proofs.errors import ProofError
from core.runtime.logging import get_logger

log = get_logger("adapters.beacon.follower")


@dataclass(frozen=True, slots=True)
class Final:
    """A proven way from the anchor, the root of the final beacon block at its end, and the Ethereum block in that."""

    chain: SyncChain
    root: bytes
    execution: ExecutionHeader


class Follower:
    """Follows a beacon chain from `anchor` over nodes that nobody trusts: the first whose data proves itself is enough.

    `now_s` is the Unix time that headers are judged by.
    """

    def __init__(
        self, anchor: BeaconAnchor, nodes: Sequence[BeaconApi], now_s: Callable[[], float] = time.time
    ) -> None:
        """Raise `RejectedError` if there is no node."""
        if not nodes:
            raise RejectedError(f"name a beacon node of {anchor.chain}")
        self._anchor = anchor
        self._nodes = tuple(nodes)
        self._now_s = now_s
        self._turn = asyncio.Lock()
        self._bootstrap: Bootstrap | None = None
        self._periods: tuple[Update, ...] = ()
        """Of the periods from the anchor's on, without a gap; those in a chain that was proven."""
        self._newest: tuple[Final, Update] | None = None
        self._found: Final | CausewayError = RetryableError("no beacon node was asked")
        """By the last look, which ended at `_looked_s`."""
        self._looked_s = float("-inf")

    @property
    def anchor(self) -> BeaconAnchor:
        """The block that the way begins at."""
        return self._anchor

    async def close(self) -> None:
        for node in self._nodes:
            await node.close()

    async def final(self) -> Final:
        """The newest final block and the way to it; asked for once a slot at most, also if no node shows one.

        Raise `RetryableError` if no node shows a way that holds, such as while finality is older than the anchor, and
        the `TrustExpiredError` of an anchor that is too old.
        """
        async with self._turn:
            # A clock that was set back must not hold up the next look, nor a node that hangs everybody who waits here.
            if not 0 <= self._now_s() - self._looked_s < self._anchor.network.seconds_per_slot:
                self._found = await self._look(int(self._now_s()))
                self._looked_s = self._now_s()
            found = self._found
        if isinstance(found, CausewayError):
            raise found.with_traceback(None)
        return found

    async def _look(self, now_s: int) -> Final | CausewayError:
        """Return what the first node with a way that holds shows, or why none does."""
        failure: CausewayError
        for node in self._nodes:
            try:
                return await self._ask(node, now_s)
            except (RetryableError, NotFoundError, ProofError) as error:
                log.info("beacon node shows no way", node=node.name, reason=error.message)
                failure = error
        if isinstance(failure, ProofError | NotFoundError) and failure.code != "trust-expired":
            return RetryableError(f"no beacon node proves a final header: {failure.message}")
        return failure

    async def _ask(self, node: BeaconApi, now_s: int) -> Final:
        last = await node.finality_update()
        if self._newest is not None and self._newest[1] == last:
            return self._newest[0]
        network, bootstrap = self._anchor.network, self._bootstrap
        if bootstrap is None:
            bootstrap = await node.bootstrap(self._anchor.trusted_root)
        first = network.period_of(bootstrap.header.slot)
        needed = network.period_of(last.signature_slot) - first
        if not 0 <= needed < MAX_UPDATES:
            raise RetryableError(f"{needed} periods lie between the anchor and what {node.name} calls final")
        periods = self._periods[:needed]
        if len(periods) < needed:
            more = await node.updates(first + len(periods), needed - len(periods))
            periods = (*periods, *more)
        chain = SyncChain(bootstrap, (*periods, last))
        # Hundreds of keys a period are decoded: other work goes on meanwhile.
        header = await asyncio.to_thread(verify_sync_chain, chain, self._anchor, now_s)
        if header.execution is None:
            raise RetryableError("the final beacon block is from before Capella: it shows no Ethereum block")
        self._bootstrap, self._periods = bootstrap, periods
        self._newest = (Final(chain, header.beacon.root(), header.execution), last)
        return self._newest[0]
