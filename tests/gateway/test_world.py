"""The chains of a daemon come when they come: which of them are waited for, and what a wrong one ends."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from adapters.memory import Endpoint, MemoryChain, MemoryRules
from adapters.memory.blockchain import default_timing
from adapters.registry import ChainSpec, ConnectedChain
from core.model.errors import FatalError, RejectedError, RetryableError
from core.model.types import ChainId
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.metrics import Metrics
from gateway.daemons import world as module
from gateway.daemons.world import PATIENCE_S, REFUSED_S, Waits, World
from tests.gateway.test_config import ETHEREUM

ONE, TWO = ChainId("eip155:31337"), ChainId("eip155:31338")
CONFIGS = [ETHEREUM, msgspec.structs.replace(ETHEREUM, id=TWO, contract=None)]


@dataclass
class Town:
    """`down` are chains that do not answer, `wrong` those that are others than configured."""

    clock: VirtualClock
    down: set[ChainId] = field(default_factory=set)
    wrong: set[ChainId] = field(default_factory=set)
    waits: Waits = field(default_factory=Waits)

    def world(self) -> World:
        async def admit(_: ConnectedChain) -> None: ...

        return World(CONFIGS, admit, self.waits, self.clock, Metrics())

    async def connect(self, spec: ChainSpec) -> ConnectedChain:
        if spec.chain in self.down:
            raise RetryableError(f"{spec.chain} does not answer")
        if spec.chain in self.wrong:
            raise FatalError(f"{spec.chain} is another chain")
        chain = MemoryChain(spec.chain, self.clock, {}, MemoryRules(default_timing(finality_depth=2)))

        async def close() -> None: ...

        return ConnectedChain(chain.access(Endpoint(self.clock)), lambda _: chain.signer("nobody"), close)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Town], Coroutine[Any, Any, None]]], None]:
    """Plays a story in virtual time."""

    def played(story: Callable[[Town], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            town = Town(VirtualClock())
            monkeypatch.setattr(module, "connect", town.connect)
            await story(town)

        run_virtually(whole())

    return played


Play = Callable[[Callable[[Town], Coroutine[Any, Any, None]]], None]


def test_all_that_answer_are_enough_after_a_while(play: Play) -> None:
    async def story(town: Town) -> None:
        town.down = {TWO}
        world = town.world()
        running = asyncio.create_task(world.run())
        began_s = town.clock.monotonic()
        await world.enough()
        assert town.clock.monotonic() - began_s == pytest.approx(PATIENCE_S, abs=0.1)
        assert set(world.chains) == {ONE}
        assert town.waits.reasons == {TWO: f"{TWO} does not answer"}
        count = world.changed.count
        await town.clock.sleep(100)
        assert not running.done()
        town.down = set()
        await world.grown(count)
        assert list(world.chains) == [ONE, TWO]
        assert town.waits.reasons == {}
        running.cancel()

    with capture_logs() as lines:
        play(story)
    assert [line["what"] for line in lines if line["event"] == "waiting"] == [TWO]


def test_nothing_is_enough_without_any_chain(play: Play) -> None:
    async def story(town: Town) -> None:
        town.down = {ONE, TWO}
        world = town.world()
        running = asyncio.create_task(world.run())
        enough = asyncio.create_task(world.enough())
        await town.clock.sleep(10 * PATIENCE_S)
        assert not enough.done()
        town.down = {ONE}
        await asyncio.wait_for(enough, PATIENCE_S)
        assert set(world.chains) == {TWO}
        running.cancel()

    play(story)


def test_a_wrong_chain_ends_a_daemon_that_only_waits(play: Play) -> None:
    async def story(town: Town) -> None:
        town.down, town.wrong = {ONE}, {TWO}
        with pytest.raises(FatalError, match="another chain"):
            await town.world().run()

    play(story)


def test_a_wrong_chain_that_comes_later_ends_nothing(play: Play) -> None:
    """Exits of the other chains go on, and it is tried again: its endpoint may be corrected."""

    async def story(town: Town) -> None:
        town.down = {TWO}
        world = town.world()
        running = asyncio.create_task(world.run())
        await world.enough()
        world.at_work = True
        town.down, town.wrong = set(), {TWO}
        await town.clock.sleep(10)
        assert not running.done()
        assert town.waits.reasons == {TWO: f"{TWO} is another chain"}
        town.wrong = set()
        await town.clock.sleep(REFUSED_S)
        assert world.complete
        running.cancel()

    play(story)


def test_a_chain_is_configured_once() -> None:
    async def admit(_: ConnectedChain) -> None: ...

    with pytest.raises(RejectedError, match="configured twice"):
        World([ETHEREUM, ETHEREUM], admit, Waits(), VirtualClock(), Metrics())
