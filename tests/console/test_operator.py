"""An operator's pages in a real browser, next to a running relayer: what they show is so, what they set holds."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace
from playwright.async_api import Browser, expect

from gateway import operating
from gateway.config import LimitConfig, RelayerConfig, load
from tests.console.visitor import Visitor
from tests.gateway.town import PASSPHRASE, RelayerProcess, Town, town
from tests.support import eventually

WAIT_S = 120.0
LOOK_MS = 120_000

pytestmark = [pytest.mark.long, pytest.mark.alone]


async def test_an_operator_sees_swaps_and_money_and_pauses(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSEWAY_PASSPHRASE", PASSPHRASE)
    async with town(tmp_path, ("operator", "alice")) as here:
        # By production's allowances: a devnet's swap that nobody locks for ends while a slow machine draws its row.
        relayer = here.relayer("relayer", here.devnet.info.user("operator"), policy="production")
        try:
            await relayer.start()
            await eventually(relayer.is_ready, WAIT_S)
            opened = await opens_a_swap(here, relayer)
            config = limited(load(relayer.file, RelayerConfig), here.chains[1].assets[0])
            async with operating.served(config, relayer.file.parent, 0) as address:
                await keeps_others_out(browser, address)
                visitor = await Visitor.arrives(browser, address.partition("/console")[0])
                visitor.page.set_default_timeout(LOOK_MS)
                await visitor.page.goto(address)
                assert visitor.page.url.endswith("/console/"), "the token stays in no address"
                await is_live(visitor, here, relayer)
                await shows(visitor, opened)
                await pauses(visitor, lambda: is_quoted(here, relayer))
                assert visitor.noticed == []
        finally:
            await relayer.end()


async def keeps_others_out(browser: Browser, address: str) -> None:
    """Without the token, and under another name that leads here (DNS rebinding)."""
    other = await Visitor.arrives(browser, address.partition("/console")[0])
    assert await other.opens("enter?token=" + "0" * 48) == 403
    await other.opens("money")
    assert other.page.url.partition("?")[0].endswith("/console/signin")
    async with (
        aiohttp.ClientSession() as session,
        session.get(address, headers={"Host": "evil.example"}, allow_redirects=False) as answer,
    ):
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


async def is_live(visitor: Visitor, here: Town, relayer: RelayerProcess) -> None:
    """A swap that is opened while somebody looks comes by itself."""
    rows = visitor.page.locator("tbody tr")
    await expect(visitor.page.locator("#liveness")).to_have_text("Live", timeout=LOOK_MS)
    await expect(rows).to_have_count(1, timeout=LOOK_MS)
    await opens_a_swap(here, relayer, "cd")
    await expect(rows).to_have_count(2, timeout=LOOK_MS)


async def shows(visitor: Visitor, opened: str) -> None:
    assert await visitor.faults() == []
    await visitor.page.click(f"a[href='/console/swaps/{opened}']")
    assert "Effects" in await visitor.page.inner_text("main")
    assert await visitor.faults() == []
    await visitor.opens("transactions")
    assert await visitor.faults() == []
    await visitor.opens("money")
    money = await visitor.page.inner_text("main")
    assert "ETH" in money
    assert "10 CNYD left" in money, "of the limit, in all"
    assert await visitor.page.locator("meter").count() == 1, "one asset has a limit, nobody is promised anything"
    assert "No transaction of the last 7 days" in money
    assert await visitor.faults() == []
    await visitor.opens("health")
    await visitor.page.click("text=Have it look")
    assert await visitor.page.locator("td .light.good").count() > 0
    assert await visitor.faults() == []


def limited(config: RelayerConfig, asset: str) -> RelayerConfig:
    """The relayer's configuration, by which 10 CNYD may be at stake."""
    return replace(config, limits=(LimitConfig(asset=asset, total=1_000, per_counterparty=500, per_window=1_000),))


async def pauses(visitor: Visitor, is_quoted: Callable[[], Awaitable[bool]]) -> None:
    await visitor.opens("")
    assert await is_quoted()
    await visitor.page.fill("#reason", "a look at the books")
    await visitor.page.click("form[action$='/pause'] button")
    assert "a look at the books" in await visitor.page.inner_text("[role=status]")

    async def is_paused() -> bool:
        return not await is_quoted()

    await eventually(is_paused, WAIT_S, 0.5)
    await visitor.page.click("form[action$='/resume'] button")
    await eventually(is_quoted, WAIT_S, 0.5)


def asked(here: Town) -> dict[str, str]:
    ethereum, consortium = here.chains
    return {
        "initiator_asset": ethereum.assets[0],
        "participant_asset": consortium.assets[0],
        "initiator_amount": str(10**16),
    }


async def is_quoted(here: Town, relayer: RelayerProcess) -> bool:
    async with aiohttp.ClientSession() as session, session.post(f"{relayer.url}/v1/quotes", json=asked(here)) as answer:
        return answer.status == 200


async def opens_a_swap(here: Town, relayer: RelayerProcess, byte: str = "ab") -> str:
    """A swap that its initiator never locks for."""
    alice = here.devnet.info.user("alice")
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{relayer.url}/v1/quotes", json=asked(here)) as answer:
            quote = await answer.json()
        body = {
            "quote": quote,
            "hashlock": "0x" + byte * 32,
            "initiator_sender": alice.ethereum_account,
            "initiator_receiver": alice.consortium_account,
        }
        async with session.post(f"{relayer.url}/v1/swaps", json=body) as answer:
            opened = await answer.json()
    assert answer.status in (200, 201), opened
    return str(opened["id"])
