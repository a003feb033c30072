"""Prices of files and addresses that answer anything; the rows that remember them; the desk that quotes them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.types import Asset, AssetId, BaseUnits, ChainId, Seconds
from core.runtime.clock import NS_PER_S, ManualClock, run_virtually
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from core.runtime.sockets import HOST, free_port
from htlc.model import Leg, Phase
from relayer.metrics import RelayerMetrics
from relayer.provider import price_rows, prices
from relayer.provider.prices import MAX_DOCUMENT_BYTES, Feed, PriceBoard, http_session
from relayer.provider.pricing import Offer, PriceBounds, parse_path, premium
from tests.relayer.house import COIN_A, COIN_B, A, House

ETHEREUM, LEDGER = ChainId("eip155:1"), ChainId("causeway:devnet-1")
ETH, CNYD = AssetId("eip155:1/slip44:60"), AssetId("causeway:devnet-1/asset:cnyd")
NOW_S = 1_800_000_000
BOUNDS = PriceBounds(Seconds(60), 500)
CHAINS: Any = {
    ETHEREUM: SimpleNamespace(assets={ETH: Asset(ETH, "ETH", 18)}),
    LEDGER: SimpleNamespace(assets={CNYD: Asset(CNYD, "CNYD", 2)}),
}
OFFERS = [
    Offer(
        initiator_asset=give,
        participant_asset=get,
        source="p",
        minimum=BaseUnits(1),
        maximum=BaseUnits(10**30),
        inverse=give == CNYD,
    )
    for give, get in ((ETH, CNYD), (CNYD, ETH))
]


def feed(**given: Any) -> Feed:
    members: dict[str, Any] = {"name": "p", "bounds": BOUNDS, "every_s": 1.0}
    return Feed(**members | given)


class Stall:
    """A board over one feed, and its database, which outlives it."""

    def __init__(self, one: Feed, database: InlineDatabase | None = None) -> None:
        self.feed = one
        self.clock = ManualClock(NOW_S)
        self.metrics = Metrics()
        self.database = database or InlineDatabase()
        self.board = PriceBoard(self.database, CHAINS, (), OFFERS, (one,), self.clock, RelayerMetrics(self.metrics))

    async def look(self) -> None:
        await self.database.write(create_schema)
        async with http_session() as session:
            await self.board.look(self.feed, session)

    def rate(self) -> Fraction:
        rate = self.board.priced(ETH, CNYD, 0).rate
        return Fraction(rate.numerator, rate.denominator)

    async def error(self) -> str | None:
        return (await self.database.read(lambda c: price_rows.load(c, "p"))).error


def write(path: Path, text: str, at_s: int = NOW_S) -> None:
    path.write_text(text)
    os.utime(path, (at_s, at_s))


@asynccontextmanager
async def served(answer: Any) -> AsyncIterator[str]:
    """An address whose answers `answer` makes; yields its URL."""
    app = web.Application()
    app.router.add_get("/price", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port).start()
    try:
        yield f"http://{HOST}:{port}/price?key=secret-of-ours"
    finally:
        await runner.cleanup()


# --- files ---


async def test_price_of_a_file_is_quoted_both_ways(tmp_path: Path) -> None:
    write(tmp_path / "p", "25000.50\n")
    stall = Stall(feed(file=tmp_path / "p"))
    with pytest.raises(RetryableError, match="no price p yet"):
        stall.rate()
    assert stall.board.pairs() == ()
    await stall.look()
    assert stall.rate() == Fraction(2_500_050, 10**18)
    back = stall.board.priced(CNYD, ETH, 0).rate
    assert Fraction(back.numerator, back.denominator) <= Fraction(10**18, 2_500_050)
    assert len(stall.board.pairs()) == 2
    assert stall.metrics.value("relayer_price_usable", price="p") == 1
    with pytest.raises(NotFoundError):
        stall.board.priced(ETH, ETH, 0)


async def test_file_that_nobody_writes_grows_old(tmp_path: Path) -> None:
    write(tmp_path / "p", "25000")
    stall = Stall(feed(file=tmp_path / "p"))
    await stall.look()
    await stall.clock.advance(61)
    await stall.look()
    with pytest.raises(RetryableError, match="is 61 s old"):
        stall.rate()
    assert stall.metrics.value("relayer_price_usable", price="p") == 0


async def test_jump_outlives_a_restart_until_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "p"
    write(path, "25000")
    stall = Stall(feed(file=path))
    await stall.look()
    write(path, "40000", NOW_S + 1)
    await stall.look()
    again = Stall(feed(file=path), stall.database)
    await again.look()
    with pytest.raises(RetryableError, match="from 25000 to 40000"):
        again.rate()
    assert await again.database.write(lambda c: price_rows.confirm(c, "p")) == 40_000
    await again.look()
    assert again.rate() == Fraction(4_000_000, 10**18)
    with pytest.raises(RejectedError, match="has not jumped"):
        await again.database.write(lambda c: price_rows.confirm(c, "p"))


async def test_first_price_after_a_restart_is_bounded_too(tmp_path: Path) -> None:
    write(tmp_path / "p", "25000")
    stall = Stall(feed(file=tmp_path / "p"))
    await stall.look()
    write(tmp_path / "p", "250", NOW_S + 1)
    again = Stall(feed(file=tmp_path / "p"), stall.database)
    await again.look()
    with pytest.raises(RetryableError, match="until it comes back or is confirmed"):
        again.rate()


@pytest.mark.parametrize(
    ("content", "path", "says"),
    [
        ("nonsense", None, "not a price"),
        ("", None, "not a price"),
        ("{", "$.a", "not JSON"),
        ("[" * 60_000, "$[0]", "not JSON"),
        ('{"a": null}', "$.a", "nothing at"),
        ('{"a": [1]}', "$.a[1]", "nothing at"),
        ('{"a": {"0": 1}}', "$.a[0]", "nothing at"),
        ('{"a": true}', "$.a", "neither"),
        ('{"a": NaN}', "$.a", "neither"),
        ('{"a": -5}', "$.a", "not a price"),
        ('{"a": "' + "9" * 5_000 + '"}', "$.a", "not a price"),
        ('{"a": ' + "9" * 50_000 + "}", "$.a", "not a price"),
        ("1" * (MAX_DOCUMENT_BYTES + 1), None, f"more than {MAX_DOCUMENT_BYTES} bytes"),
    ],
)
async def test_odd_file_leaves_the_price_as_it_was(tmp_path: Path, content: str, path: str | None, says: str) -> None:
    file = tmp_path / "p"
    steps = None if path is None else parse_path(path)
    stall = Stall(feed(file=file, path=steps))
    await stall.database.write(create_schema)
    write(file, content)
    await stall.look()
    assert says in str(await stall.error())
    with pytest.raises(RetryableError, match="no price p yet"):
        stall.rate()


async def test_fifo_and_missing_file_hold_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, says in (("fifo", "it is not a file"), ("missing", "No such file"), (".", "it is not a file")):
        stall = Stall(feed(file=tmp_path / name))
        async with asyncio.timeout(5):
            await stall.look()
        assert says in str(await stall.error())


# --- addresses ---


async def test_price_of_an_address_is_read_with_its_time() -> None:
    async def answer(_: web.Request) -> web.Response:
        document = {"data": [{"last": "25000.10", "price": 25000.1, "at": NOW_S * 1000 - 5_000}]}
        return web.Response(text=json.dumps(document))

    async with served(answer) as url:
        stall = Stall(feed(url=url, path=parse_path("$.data[0].price"), time_path=parse_path("$.data[0].at")))
        await stall.look()
        assert stall.rate() == Fraction(2_500_010, 10**18)
        state = await stall.database.read(lambda c: price_rows.load(c, "p"))
        assert state.accepted_ns == (NOW_S - 5) * NS_PER_S


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "status 302"),
        (lambda: web.Response(status=500, text="25000"), "status 500"),
        (lambda: web.Response(body=b"1" * (MAX_DOCUMENT_BYTES + 1)), "more than"),
        (lambda: web.Response(body=b"\xff\xfe1"), "not JSON in UTF-8"),
        (lambda: web.Response(body=b"25000", headers={"Content-Encoding": "gzip"}), None),
    ],
)
async def test_odd_answer_is_one_sentence_without_secrets(answer: Any, says: str | None) -> None:
    async def handler(_: web.Request) -> web.Response:
        response: web.Response = answer()
        return response

    async with served(handler) as url:
        stall = Stall(feed(url=url))
        await stall.look()
        error = await stall.error()
        assert (error is None) if says is None else (says in str(error))
        assert "secret" not in str(error)


async def test_address_that_hangs_or_is_gone_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "LOOK_TIMEOUT_S", 0.2)

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response(text="25000")

    async with served(hang) as url:
        stall = Stall(feed(url=url))
        await stall.look()
        assert "no answer within" in str(await stall.error())
    await stall.look()
    assert "does not answer" in str(await stall.error())


async def test_one_feed_that_fails_stops_no_other(tmp_path: Path) -> None:
    write(tmp_path / "p", "25000")
    good, bad = feed(file=tmp_path / "p"), feed(name="bad", url="http://127.0.0.1:1/")
    stall = Stall(good)
    await stall.database.write(create_schema)
    stall.board.replace((), OFFERS, (good, bad))
    running = asyncio.create_task(stall.board.run())
    try:
        async with asyncio.timeout(10):
            await stall.board.looked.wait_beyond(1)
        assert stall.rate() == Fraction(2_500_000, 10**18)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.gather(running, return_exceptions=True)


def test_offer_at_an_unknown_price_is_refused() -> None:
    stall = Stall(feed())
    with pytest.raises(RejectedError, match="not configured"):
        stall.board.replace((), OFFERS, ())
    assert stall.board.directions()


# --- the desk ---


def test_swap_at_a_price_with_premium_and_fee_completes() -> None:
    async def story() -> None:
        house = House()
        source = feed(fixed=Fraction(2))
        priced = Offer(
            initiator_asset=COIN_A,
            participant_asset=COIN_B,
            source="p",
            minimum=BaseUnits(10),
            maximum=BaseUnits(10**6),
            spread_bps=100,
            volatility_bps=100_000,
            fee=BaseUnits(7),
        )
        service = await house.start()
        service.prices.replace((), (priced,), (source,))
        view = await house.open(A, 10_000)
        quote_lock_s = view.participant.terms.timelock.seconds - int(view.created_at)
        part = 1 - premium(100_000, quote_lock_s)
        expected = int(10_000 * Fraction(2) * Fraction(99, 100) * part) - 7
        assert abs(view.participant.terms.amount - expected) <= 2
        assert view.participant.terms.amount < 19_800 - 7
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        await house.stop()

    run_virtually(story())
