"""The world that a daemon needs, and waits for: a database that comes later, chains that do not answer yet.

Each thing that is waited for is logged once, when the wait begins, and once when it is over; `/readyz` names all of
them meanwhile. A chain that is away keeps no other chain's exits waiting: see `World.enough`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from adapters.registry import ChainSpec, ConnectedChain, connect
from core.model.errors import RejectedError, RetryableError
from core.model.types import ChainId
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.retry import RetryPolicy
from core.runtime.signals import Signal, side_by_side
from gateway import wiring
from gateway.config import ChainConfig

T = TypeVar("T")

WAIT: Final = RetryPolicy((0.1, 0.2, 0.5, 1.0, 2.0, 4.0))
REFUSED_S: Final = 30.0
"""How soon a chain that was refused while others are at work is tried again."""
PATIENCE_S: Final = 10.0
"""How long those chains that answer wait for the others."""
SETTLE_S: Final = 1.0
"""Chains that come back together, after an outage of the network, are taken in together."""

log = get_logger("gateway.daemons")


class Waits:
    """The things that are waited for, by name, with the reason. `changed` counts every change."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.changed = Signal()

    def note(self, name: str, reason: str) -> None:
        if name not in self.reasons:
            log.warning("waiting", what=name, reason=reason)
        self.reasons[name] = reason
        self.changed.notify()

    def over(self, name: str) -> None:
        if self.reasons.pop(name, None) is not None:
            log.info("the wait is over", what=name)
            self.changed.notify()

    async def until(self, name: str, call: Callable[[], Awaitable[T]], clock: Clock) -> T:
        """Await `call` until it succeeds, however long that takes. Raise what is not a `RetryableError`."""
        failures = 0
        while True:
            try:
                answer = await call()
            except (RetryableError, TimeoutError) as error:
                failures += 1
                self.note(name, str(error) or "it takes too long")
                await clock.sleep(WAIT.delay_s(failures))
            else:
                self.over(name)
                return answer


class World:
    """The configured chains, each connected as soon as it answers. `run` is one of a daemon's parts; `close` it.

    `admit` looks at a chain that has just been connected, and raises for one that cannot be worked with.
    """

    def __init__(
        self,
        configs: Sequence[ChainConfig],
        admit: Callable[[ConnectedChain], Awaitable[None]],
        waits: Waits,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        specs = [wiring.chain_spec(config, metrics=metrics) for config in configs]
        if len({spec.chain for spec in specs}) != len(specs):
            raise RejectedError("a chain is configured twice")
        self.changed = Signal()
        """Counts the chains that have come."""
        self.at_work = False
        """True once something works on the chains that are there: from then on a wrong one ends nothing."""
        self._specs = specs
        self._admit = admit
        self._waits = waits
        self._clock = clock
        self._metrics = metrics
        self._chains: dict[ChainId, ConnectedChain] = {}
        self._former: list[ConnectedChain] = []

    @property
    def chains(self) -> Mapping[ChainId, ConnectedChain]:
        """Those that are there, in the order of the configuration."""
        return {spec.chain: self._chains[spec.chain] for spec in self._specs if spec.chain in self._chains}

    @property
    def complete(self) -> bool:
        return len(self._chains) == len(self._specs)

    async def run(self) -> None:
        """Connect the chains; runs until cancelled.

        Raise `RejectedError` or `FatalError` for a chain that is configured wrongly, as long as nothing is at work.
        """
        await side_by_side(self._keep_trying(spec.chain) for spec in self._specs)
        await asyncio.Event().wait()

    async def enough(self, patience_s: float = PATIENCE_S) -> None:
        """Return once all chains are there, or any is after `patience_s` seconds: its exits wait no longer."""
        until_s = self._clock.monotonic() + patience_s
        while not self.complete:
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0 and self._chains:
                return
            await self.changed.wait_beyond(self.changed.count, left_s if left_s > 0 else None)

    async def grown(self, count: int) -> None:
        """Return once chains have come since `changed` stood at `count`, and no more come right behind them."""
        await self.changed.wait_beyond(count)
        if not self.complete:
            await self._clock.sleep(SETTLE_S)

    async def connected(self, config: ChainConfig) -> ConnectedChain:
        """Connect a chain by other endpoints than those in use, and look at it. Raise as `connect` and `admit`."""
        return await self._admitted(wiring.chain_spec(config, metrics=self._metrics))

    def replace(self, configs: Sequence[ChainConfig], made: Mapping[ChainId, ConnectedChain]) -> None:
        """Put other settings of the same chains in force, with those that were connected by them: `changed` counts."""
        self._specs = [wiring.chain_spec(config, metrics=self._metrics) for config in configs]
        self._former += [self._chains[chain] for chain in made if chain in self._chains]
        self._chains |= made
        self.changed.notify()

    async def close_former(self) -> None:
        """Close what was replaced, once nothing works with it any more."""
        while self._former:
            await self._former.pop().close()

    async def close(self) -> None:
        await self.close_former()
        for chain in self._chains.values():
            await chain.close()

    async def _keep_trying(self, name: ChainId) -> None:
        refused = False
        while True:
            try:
                chain = await self._waits.until(name, partial(self._came, name), self._clock)
            except Exception as error:
                if not self.at_work:
                    raise
                if not refused:
                    log.error("a chain cannot be used", chain=name, reason=str(error), exc_info=error)
                refused = True
                self._waits.note(name, str(error))
                await self._clock.sleep(REFUSED_S)
                continue
            if name not in self._chains:
                self._chains[name] = chain
                self.changed.notify()
            return

    async def _came(self, name: ChainId) -> ConnectedChain:
        """Return the chain by its endpoints as they are configured now, or by others that it has come by meanwhile."""
        if (known := self._chains.get(name)) is not None:
            return known
        chain = await self._admitted(next(spec for spec in self._specs if spec.chain == name))
        if (known := self._chains.get(name)) is not None:
            await chain.close()
            return known
        return chain

    async def _admitted(self, spec: ChainSpec) -> ConnectedChain:
        chain = await connect(spec)
        try:
            await self._admit(chain)
        except BaseException:
            await chain.close()
            raise
        return chain
