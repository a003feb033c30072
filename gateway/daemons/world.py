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
        self._chains: dict[ChainId, ConnectedChain] = {}

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
        await side_by_side(self._keep_trying(spec) for spec in self._specs)
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

    async def close(self) -> None:
        for chain in self._chains.values():
            await chain.close()

    async def _keep_trying(self, spec: ChainSpec) -> None:
        refused = False
        while True:
            try:
                chain = await self._waits.until(spec.chain, partial(self._admitted, spec), self._clock)
            except Exception as error:
                if not self.at_work:
                    raise
                if not refused:
                    log.error("a chain cannot be used", chain=spec.chain, reason=str(error), exc_info=error)
                refused = True
                self._waits.note(spec.chain, str(error))
                await self._clock.sleep(REFUSED_S)
                continue
            self._chains[spec.chain] = chain
            self.changed.notify()
            return

    async def _admitted(self, spec: ChainSpec) -> ConnectedChain:
        chain = await connect(spec)
        try:
            await self._admit(chain)
        except BaseException:
            await chain.close()
            raise
        return chain
