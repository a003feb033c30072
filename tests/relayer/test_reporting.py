"""Agreements reach a regulator, however often it is away."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.ports import ChainTiming
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, ChainTime, Hashlock, LockTerms, Seconds
from core.runtime import deliveries
from core.runtime.clock import SystemClock
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.deliveries import DeliveryStatus
from core.runtime.sockets import free_port
from htlc.model import Agreement, Role, swap_id
from htlc.timelocks import DEVNET_POLICY
from relayer.notices import reports
from relayer.notices.reports import Reporter, ReportTarget
from tests.support import eventually

TIMING = ChainTiming(*(Seconds(1) for _ in range(6)))


def agreement() -> Agreement:
    def leg(chain: str, timelock: int) -> LockTerms:
        return LockTerms(
            AssetId(f"{chain}/slip44:1"),
            BaseUnits(10**30),
            AccountId(f"{chain}:aa"),
            AccountId(f"{chain}:bb"),
            Hashlock(bytes(32)),
            ChainTime(ChainId(chain), timelock),
        )

    first, second = leg("memory:a", 200), leg("memory:b", 100)
    return Agreement(
        swap_id=swap_id(first, second),
        role=Role.LIQUIDITY_PROVIDER,
        initiator_leg=first,
        participant_leg=second,
        initiator_timing=TIMING,
        participant_timing=TIMING,
        policy=DEVNET_POLICY,
        lock_deadline_s=50,
    )


class Regulator:
    """Answers with the given statuses, then with 201."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[tuple[str | None, dict[str, Any]]] = []

    async def __aenter__(self) -> "Regulator":
        application = web.Application()
        application.router.add_post("/v1/agreements", self._take)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        self.port = free_port()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.headers.get("X-API-Key"), json.loads(await request.read())))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 201, text="why")


async def report(regulator: Regulator, port: int | None = None) -> tuple[InlineDatabase, asyncio.Task[None]]:
    database = InlineDatabase()
    await database.write(create_schema)
    await database.write(lambda c: reports.enqueue(c, agreement(), "relayer-1", 0))
    target = ReportTarget(f"http://127.0.0.1:{port or regulator.port}", "secret key")
    assert "secret key" not in repr(target)
    reporter = Reporter(database, target, SystemClock())

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(reporter.run())
            while True:
                reporter.wake.notify()
                await asyncio.sleep(0.05)

    return database, asyncio.create_task(run())


async def status_of(database: InlineDatabase) -> tuple[str, int]:
    row = (await database.read(lambda c: c.execute(deliveries.deliveries.select()).all()))[0]
    return row.status, row.attempts


async def test_it_posts_until_the_regulator_takes_it() -> None:
    async with Regulator(503, 401) as regulator:
        database, running = await report(regulator)
        await eventually(lambda: len(regulator.seen) == 3)

        async def taken() -> bool:
            return await status_of(database) == ("taken", 3)

        await eventually(taken)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    key, body = regulator.seen[-1]
    assert key == "secret key"
    assert body["swap_id"] == agreement().swap_id
    assert body["initiator"]["amount"] == str(10**30)
    assert body["participant"]["timelock"] == 100
    assert body["source"] == "relayer-1"


async def test_a_refusal_for_good_is_kept_and_not_repeated() -> None:
    async with Regulator(422) as regulator:
        database, running = await report(regulator)

        async def refused() -> bool:
            return (await status_of(database))[0] == "refused"

        await eventually(refused)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(regulator.seen) == 1


class Odd(Regulator):
    """Answers with what no regulator should."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.headers.get("X-API-Key"), {}))
        if self.how == "redirect" and len(self.seen) == 1:
            return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{self.port}/v1/agreements"})
        if self.how == "no-text":
            return web.Response(status=422, body=b"\xff\xfe", headers={"Content-Type": "text/plain; charset=no-such"})
        endless = web.StreamResponse(status=422)
        await endless.prepare(request)
        while self.how == "endless":
            await endless.write(b"x" * 65_536)
        return endless


@pytest.mark.parametrize(("how", "status"), [("redirect", "pending"), ("no-text", "refused"), ("endless", "refused")])
async def test_an_odd_answer_is_read_no_further_than_is_needed(how: str, status: str) -> None:
    async with Odd(how) as regulator:
        database = InlineDatabase()
        await database.write(create_schema)
        await database.write(lambda c: reports.enqueue(c, agreement(), "relayer-1", 0))
        reporter = Reporter(database, ReportTarget(f"http://127.0.0.1:{regulator.port}", "key"), SystemClock())
        async with asyncio.timeout(5), reports.http_session() as session:
            assert await reporter.step(session) == 0
    assert len(regulator.seen) == 1
    assert await status_of(database) == (status, 1)


async def test_a_regulator_who_is_away_costs_nothing() -> None:
    async with Regulator() as regulator:
        database, running = await report(regulator, port=free_port())

        async def tried() -> bool:
            status, attempts = await status_of(database)
            return status == "pending" and attempts >= 1

        await eventually(tried)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert regulator.seen == []
    assert (await status_of(database))[0] == "pending"


@pytest.mark.parametrize(("status", "tries"), [(401, 1), (403, 1), (408, 1), (429, 1), (503, 1), (500, 3), (307, 3)])
async def test_what_is_not_about_one_report_stops_the_look(status: int, tries: int) -> None:
    """A busy regulator, or one that does not know our key, is asked once a look, however many reports wait."""
    async with Regulator(*[status] * 3) as regulator:
        database = InlineDatabase()
        await database.write(create_schema)

        def wait(connection: Connection) -> None:
            for topic in "abc":
                deliveries.enqueue(connection, reports.REPORTS, reports.REGULATOR, b"{}", now_ns=0, topic=topic)

        await database.write(wait)
        target = ReportTarget(f"http://127.0.0.1:{regulator.port}", "key")
        async with reports.http_session() as session:
            assert await Reporter(database, target, SystemClock()).step(session) == 0
        assert len(regulator.seen) == tries
        assert await database.read(deliveries.counts) == {("reports", DeliveryStatus.PENDING): 3}
