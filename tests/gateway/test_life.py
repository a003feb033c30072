"""A daemon's life without its world: what it shows before it works, and after it has ended for good."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from adapters.registry import ConnectedChain
from core.model.errors import FatalError, RetryableError
from core.model.types import ChainId
from core.runtime.clock import SystemClock
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from core.runtime.sockets import HOST, free_port
from core.runtime.web import Health, build_application
from gateway.daemons import life as life_module
from gateway.daemons.life import Life, Setting, Work
from relayer.metrics import RelayerMetrics
from tests.support import eventually


class Story:
    """A daemon without chains: it is opened once `there` is set, works, and dies once `broken` is."""

    def __init__(self, directory: Path) -> None:
        self.there, self.broken, self.done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        metrics = Metrics()
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        setting = Setting(
            kind="relayer",
            name="story",
            listen=f"{HOST}:{port}",
            database="sqlite:///story.sqlite",
            base=directory,
            chains=(),
            as_json=True,
        )

        async def admit(_: ConnectedChain) -> None: ...

        async def ready() -> Health:
            return Health(ok=True)

        def begin(_: Database, chains: Mapping[ChainId, ConnectedChain], away: Collection[ChainId]) -> Work:
            app = build_application([], title="story", version="1", metrics=metrics, clock=SystemClock(), ready=ready)
            return Work(app, [self.work], self.opened, self.done.wait)

        critical = RelayerMetrics(metrics).critical_error
        self.life = Life(setting, admit, begin, SystemClock(), metrics, critical)

    async def opened(self) -> None:
        if not self.there.is_set():
            raise RetryableError("it is not there")

    async def work(self) -> None:
        await self.broken.wait()
        raise FatalError("the disk is full")

    async def ask(self, path: str) -> tuple[int, str]:
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
                return response.status, await response.text()
        except aiohttp.ClientError:
            return 0, ""

    async def answers(self, path: str, status: int, word: str = "") -> str:
        async def says() -> str:
            found, text = await self.ask(path)
            return text if found == status and word in text else ""

        return await eventually(says, 30)


async def test_metrics_of_a_daemon_that_ended_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(tmp_path)
    living = asyncio.create_task(story.life.run())
    await story.answers("/readyz", 503, "it is not there")
    assert '"ready"' not in capsys.readouterr().out
    assert '"state":"starting"' in await story.answers("/healthz", 200)
    assert "urn:causeway:problem:starting" in await story.answers("/v1/swaps", 503)
    story.there.set()
    await story.answers("/readyz", 200)
    await eventually(lambda: '"ready": true' in capsys.readouterr().out)
    story.broken.set()
    await story.answers("/readyz", 503, "the disk is full")
    await story.answers("/healthz", 503)
    assert not living.done()
    assert "causeway_relayer_critical_error 1.0" in await story.answers("/metrics", 200)
    with pytest.raises(FatalError, match="the disk is full"):
        await living
    assert await story.ask("/healthz") == (0, "")


async def test_a_daemon_that_is_done_ends_as_by_a_signal(tmp_path: Path) -> None:
    """As a relayer does that has drained: without an error, and without waiting for anybody who reads metrics."""
    story = Story(tmp_path)
    story.there.set()
    living = asyncio.create_task(story.life.run())
    await story.answers("/readyz", 200)
    assert not living.done()
    story.done.set()
    await asyncio.wait_for(living, 30)
    assert await story.ask("/healthz") == (0, "")


async def test_a_daemon_whose_metrics_nobody_reads_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_module, "LAST_WORDS_S", 0.1)
    story = Story(tmp_path)
    story.there.set()
    story.broken.set()
    with pytest.raises(FatalError, match="the disk is full"):
        await asyncio.wait_for(story.life.run(), 30)


class Again(Story):
    """A daemon whose work begins again: each one shows its number, and is ready once `readies` says so."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.there.set()
        self.begun, self.over, self.at_work = 0, list[int](), list[int]()
        self.readies = asyncio.Event()
        metrics = Metrics()

        def begin(_: Database, chains: Mapping[ChainId, ConnectedChain], away: Collection[ChainId]) -> Work:
            self.begun += 1
            number = self.begun

            async def ready() -> Health:
                return Health(ok=True, details={"work": str(number)})

            async def work() -> None:
                self.at_work.append(number)
                try:
                    await self.work()
                finally:
                    self.at_work.remove(number)

            app = build_application([], title="story", version="1", metrics=metrics, clock=SystemClock(), ready=ready)
            over = partial(self.over.append, number)
            return Work(app, [work], self.opened, self.done.wait, self.readies.is_set, over)

        self.life._begin = begin

    async def works(self, number: int) -> None:
        """This work runs, and no other."""
        await eventually(lambda: self.at_work == [number], 30)

    async def shows(self, number: int) -> None:
        await self.answers("/readyz", 200, f'"work":"{number}"')


async def test_former_work_answers_until_the_next_is_ready(tmp_path: Path) -> None:
    story = Again(tmp_path)
    living = asyncio.create_task(story.life.run())
    await story.shows(1)
    statuses = Counter[int]()

    async def hammer() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{story.url}/readyz") as response:
                    statuses[response.status] += 1

    hammering = asyncio.create_task(hammer())
    try:
        for number in range(2, 22):
            story.readies.clear()
            story.life.world.changed.notify()
            await story.works(number)
            seen = statuses[200]

            async def asked(seen: int = seen) -> bool:
                return statuses[200] > seen + 2

            await eventually(asked, 30)
            assert story.over == list(range(2, number))
            await story.shows(number - 1)
            story.readies.set()
            await story.shows(number)
    finally:
        hammering.cancel()
        await asyncio.gather(hammering, return_exceptions=True)
    assert set(statuses) == {200}
    story.done.set()
    await asyncio.wait_for(living, 30)


async def test_next_work_answers_in_the_end_though_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_module, "HAND_OVER_S", 0.3)
    story = Again(tmp_path)
    living = asyncio.create_task(story.life.run())
    await story.shows(1)
    story.life.world.changed.notify()
    await story.shows(2)
    assert story.over == [2]
    story.done.set()
    await asyncio.wait_for(living, 30)


async def test_nobody_answers_for_work_that_has_died(tmp_path: Path) -> None:
    story = Again(tmp_path)
    living = asyncio.create_task(story.life.run())
    await story.shows(1)
    story.life.world.changed.notify()
    await story.works(2)
    assert story.over == []
    story.broken.set()
    said = json.loads(await story.answers("/readyz", 503, "the disk is full"))
    assert said["state"] == "ended"
    assert "work" not in said, "the work before it does not answer for the one that died"
    assert (await story.ask("/v1/swaps"))[0] == 503
    assert (story.at_work, story.over) == ([], [])
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
