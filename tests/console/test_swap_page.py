"""The swap page in a real browser, against a live devnet: swaps end, whether or not the page or the relayer lasts."""

import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route

from gateway.devnet import Devnet, DevnetSettings
from tests.console.swapper import PASSPHRASE, Place, comes, connects, enters, priced, swaps

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
PIXELS_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SIZES = "performance.getEntries().reduce((sum, one) => sum + (one.encodedBodySize ?? 0), 0)"
MOST_BYTES = 250 * 1024
"""Compressed, of a first visit."""
TRIES = 6
LIES = 2
"""Agreements that a page refuses, each a card of its own."""

pytestmark = [pytest.mark.long, pytest.mark.alone]


@pytest.fixture(params=["production"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """By production's allowances, so that no gate closes on a slow machine; `devnet` where a refund is waited for."""
    settings = DevnetSettings(tmp_path / "devnet", supervised=False, policy=request.param)
    async with Devnet(settings) as devnet:
        yield await Place.of(devnet)


async def test_a_swap_is_interrupted_resumed_and_swapped_back(browser: Browser, place: Place) -> None:
    context = await place.profile(browser)
    visitor = await place.visited(context)
    assert 0 < await visitor.page.evaluate(SIZES) < MOST_BYTES
    assert await visitor.faults() == []
    await enters(visitor.page)
    await visitor.page.wait_for_selector("#wallets button")
    assert await visitor.faults() == []
    await connects(visitor.page)
    await priced(visitor.page, "0.01", "ETH", "CNYD")
    offer = await visitor.page.inner_text("#offer dl")
    assert "200 CNYD, never less" in offer
    assert "1 ETH = 20\u202f000 CNYD" in offer
    assert await visitor.faults() == []

    # The claim of this page never gets out: it is closed between lock and claim, however fast the relayer is.
    await visitor.page.route(re.compile(re.escape(place.consortium)), held("broadcast_tx_sync"))
    await visitor.page.click("#offer button:text-is('Swap')")
    await visitor.page.wait_for_selector("#swaps article:is([data-stage='locked'], [data-stage='revealing'])")
    await visitor.page.close()
    assert visitor.noticed == []

    again = await place.visited(context)
    assert await again.page.locator("#again").is_hidden(), "it knows that there are keys"
    await again.page.fill("#passphrase", "another passphrase")
    await again.page.click("#unlock")
    assert "does not open your keys" in await again.page.inner_text("[role=alert]")
    await enters(again.page, fresh=False)
    said = await comes(again.page, "done", "completed")
    assert "Done: 200 CNYD are yours." in said
    assert await again.faults() == []

    # From now on the ledger shows other blocks in the places of those that this browser saw as final.
    await again.page.route(re.compile(re.escape(place.consortium)), replaced)
    await swaps(again.page, "150", "CNYD", "ETH")
    await again.page.wait_for_selector("#swaps article:first-child .hint:has-text('was replaced')")
    alarm = await again.page.inner_text("#alarms .alert")
    assert "Nothing is locked or revealed on this chain until you say that it may" in alarm
    assert await again.faults() == []
    await again.page.click("#alarms button:text-is('I have looked into it: go on')")
    said = await comes(again.page, "done", "completed", count=2)
    assert await again.page.locator("#alarms .alert").count() == 0
    assert "Done: 0.0075 ETH are yours." in said
    asked = await again.page.evaluate("testWallet.asked")
    assert asked.count("eth_sendTransaction") == 1, "the claim alone: consortium locks are signed by the page's own key"
    assert "eth_requestAccounts" not in asked, "a wallet that let the page in before is not asked again"
    await again.page.reload()
    await enters(again.page, fresh=False)
    await again.page.wait_for_selector("#swaps article >> nth=1")
    assert await again.page.locator("#swaps article[data-result='completed']").count() == 2
    assert again.noticed == []


def held(method: str) -> Any:
    """A handler that never lets calls of this method out."""

    async def handler(route: Route) -> None:
        if method not in (route.request.post_data or ""):
            await route.continue_()

    return handler


async def replaced(route: Route) -> None:
    """Change the hash of every block but the first."""
    asked = json.loads(route.request.post_data or "{}")
    if asked.get("method") != "block" or asked["params"]["height"] == "1":
        return await route.continue_()
    answer = await route.fetch()
    made = await answer.json()
    made["result"]["block_id"]["hash"] = "00" + made["result"]["block_id"]["hash"][2:]
    await route.fulfill(response=answer, json=made)


@pytest.mark.parametrize("place", ["devnet"], indirect=True)
async def test_a_liar_is_refused_and_a_dead_relayer_refunded(browser: Browser, place: Place) -> None:
    context = await place.profile(browser, color_scheme="dark", **PHONE)
    visitor = await place.visited(context)
    page = visitor.page
    await enters(page)
    await connects(page)
    for path, change, word in (
        ("/v1/quotes", cheaper, "signature"),
        ("/v1/swaps", smaller, "amount"),
        ("/v1/swaps", later, "digest"),
    ):
        await page.route(f"**{path}", changed(change))
        await priced(page, "0.01", "ETH", "CNYD")
        if path == "/v1/swaps":
            await page.click("#offer button:text-is('Swap')")
        said = await page.inner_text("[role=alert]")
        assert "Refused: this answer is not what was agreed" in said
        assert word in said
        assert "your money has not moved" in said
        await page.unroute(f"**{path}")
    assert "eth_sendTransaction" not in await page.evaluate("testWallet.asked")
    assert await visitor.faults() == []

    [relayer] = place.devnet.relayers.values()
    assert relayer.pid is not None
    await locks(page)
    os.kill(relayer.pid, signal.SIGSTOP)
    try:
        said = await comes(page, "done", "refunded")
        assert "Your 0.01 ETH are back." in said
        assert await page.evaluate(PIXELS_TOO_WIDE) <= 0
        assert await visitor.faults() == []
        assert visitor.noticed == []
    finally:
        os.kill(relayer.pid, signal.SIGCONT)


async def test_a_pair_without_a_rate_is_not_offered(browser: Browser, place: Place) -> None:
    visitor = await place.visited(await place.profile(browser))
    page = visitor.page
    await page.route("**/v1/pairs", changed(worthless))
    await enters(page)
    await connects(page)
    for give, get in (("CNYD", "USDX"), ("USDX", "CNYD")):
        await page.select_option("#give", label=give)
        assert await page.locator("#give option").all_inner_texts() == ["USDX", "CNYD"]
        assert await page.locator("#get option").all_inner_texts() == [get]
    await page.fill("#get-amount", "25")
    assert float(await page.input_value("#give-amount")) > 0
    assert visitor.noticed == []


def worthless(pairs: list[dict[str, Any]]) -> None:
    """ETH is given for nothing, and got for nothing."""
    for pair in pairs:
        for side, part in (("initiator", "numerator"), ("participant", "denominator")):
            if pair[side]["id"].endswith("/slip44:60"):
                pair["rate"][part] = "0"


async def locks(page: Page) -> None:
    """Swap until the page locks: on a slow machine the seconds that a devnet leaves for it may be over before."""
    for count in range(1 + LIES, 1 + LIES + TRIES):
        await swaps(page, "0.01", "ETH", "CNYD")
        newest = f"#swaps:has(article:nth-child({count})) article:first-child"
        await page.wait_for_selector(
            f"{newest}[data-stage='locking'], {newest}[data-stage='locked'], {newest}[data-stage='done']"
        )
        if await page.locator(f"{newest}[data-stage='done']").count() == 0:
            return
    raise AssertionError(f"nothing was locked: {await page.inner_text('#swaps')}")


def changed(change: Any) -> Any:
    """A handler between the page and the relayer, which changes what the relayer answers."""

    async def handler(route: Route) -> None:
        response = await route.fetch()
        body = await response.json()
        change(body)
        await route.fulfill(response=response, json=body)

    return handler


def cheaper(quote: dict[str, Any]) -> None:
    quote["participant_amount"] = str(int(quote["participant_amount"]) - 1)


def smaller(swap: dict[str, Any]) -> None:
    terms = swap["participant"]["terms"]
    terms["amount"] = str(int(terms["amount"]) - 1)


def later(swap: dict[str, Any]) -> None:
    swap["initiator"]["terms"]["timelock"] += 100_000


async def test_a_passkey_opens_keys_that_a_backup_carries(browser: Browser, place: Place, tmp_path: Path) -> None:
    context = await place.profile(browser, lone=True, accept_downloads=True)
    visitor = await place.visited(context)
    page = visitor.page
    await has_authenticator(context, page)
    await page.click("#passkey")
    await connects(page, "Browser wallet")
    account = await page.inner_text("#keys li:first-child .id")
    file = await saved(page, tmp_path)
    assert set(json.loads(file.read_bytes())) == {"kind", "salt", "iv", "data"}
    await page.reload()
    await page.wait_for_selector("#door:not([hidden])")
    assert await page.locator("#by-passphrase").is_hidden()
    await page.click("#passkey")
    await page.wait_for_selector("#give option", state="attached")
    assert await page.inner_text("#keys li:first-child .id") == account

    await page.evaluate("testWallet.declines.push('eth_signTypedData_v4')")
    await swaps(page, "0.01", "ETH", "CNYD")
    assert "You said no in the wallet" in await page.inner_text("[role=alert]")
    await page.wait_for_selector("#swaps article .state:text-is('expired')")
    assert "your money has not moved" in await page.inner_text("#swaps article")
    assert await visitor.faults() == []
    await page.click("#swaps article button:text-is('Get a new price')")
    await page.wait_for_selector("#offer dl")
    assert await page.locator("#swaps article").count() == 0, "what expired goes when it is asked for again"
    assert "0.01 ETH" in await page.inner_text("#offer")
    assert visitor.noticed == []

    other = await place.visited(await place.profile(browser))
    await other.page.click("#bring summary")
    await other.page.set_input_files("#backup-file", file)
    await other.page.fill("#backup-old", "not its passphrase")
    await other.page.click("#restore button")
    await other.page.wait_for_selector("[role=alert]")
    await other.page.fill("#backup-old", PASSPHRASE)
    await other.page.click("#restore button")
    await other.page.wait_for_selector("#restored:has-text('It is open')")
    await enters(other.page)
    await connects(other.page)
    assert await other.page.inner_text("#keys li:first-child .id") == account
    assert other.noticed == []


async def test_a_token_is_allowed_exactly_and_swapped(browser: Browser, place: Place) -> None:
    await place.has_tokens(60 * 10**6)
    visitor = await place.visited(await place.profile(browser))
    page = visitor.page
    await enters(page)
    await connects(page)
    await priced(page, "25", "USDX", "CNYD")
    await page.wait_for_selector("#offer dl")
    offer = await page.inner_text("#offer")
    assert "take exactly 25 USDX, no more" in offer
    assert str(place.devnet.info.chain("evm").contract).rsplit(":", 1)[-1] in offer
    assert await visitor.faults() == []
    await page.evaluate("testWallet.holds.push('eth_sendTransaction')")
    await page.click("#offer button:text-is('Swap')")
    await page.wait_for_selector("#swaps article:has-text('take exactly 25 USDX, no more')")
    await page.evaluate("testWallet.holds.length = 0; testWallet.release()")
    said = await comes(page, "done", "completed")
    assert "CNYD are yours" in said
    approval, lock = await page.evaluate("testWallet.sent")
    assert approval["to"].lower() == place.token.lower()
    assert approval["data"].startswith("0x095ea7b3"), "approve(address,uint256)"
    assert int(approval["data"][-64:], 16) == 25 * 10**6
    assert lock["to"].lower() != place.token.lower()
    assert await place.allowance() == 0, "nothing is left of it"
    assert visitor.noticed == []


async def test_a_backup_made_while_locking_locks_no_second_time(browser: Browser, place: Place, tmp_path: Path) -> None:
    """The wallet's owner has the lock in front of them while the backup is made, and confirms it only afterwards."""
    first = await place.visited(await place.profile(browser, accept_downloads=True))
    await enters(first.page)
    await connects(first.page)
    await first.page.evaluate("testWallet.holds.push('eth_sendTransaction')")
    await swaps(first.page, "0.01", "ETH", "CNYD")
    await first.page.wait_for_selector("#swaps article[data-stage='locking']")
    file = await saved(first.page, tmp_path)

    other = await place.visited(await place.profile(browser))
    await other.page.click("#bring summary")
    await other.page.set_input_files("#backup-file", file)
    await other.page.fill("#backup-old", PASSPHRASE)
    await other.page.click("#restore button")
    await other.page.wait_for_selector("#restored:has-text('It is open')")
    await enters(other.page)
    await connects(other.page)
    await other.page.wait_for_selector("#swaps article:has-text('It makes no lock itself')")
    await other.page.wait_for_selector("#swaps article:has-text('this one makes none')")
    assert await other.faults() == []

    await first.page.evaluate("testWallet.holds.length = 0; testWallet.release()")
    assert "200 CNYD are yours" in await comes(first.page, "done", "completed")
    assert "200 CNYD are yours" in await comes(other.page, "done", "completed")
    assert await other.page.evaluate("testWallet.sent") == [], "it found the lock of the other browser"
    assert int(await place.rpc("eth_getTransactionCount", place.account, "latest"), 16) == 1
    assert first.noticed == other.noticed == []


async def saved(page: Page, tmp_path: Path) -> Path:
    """A backup, as the page saves it."""
    await page.click("#safe summary")
    await page.fill("#backup-new", PASSPHRASE)
    async with page.expect_download() as download:
        await page.click("#backup button")
    file = tmp_path / "backup.json"
    await (await download.value).save_as(file)
    return file


async def has_authenticator(context: BrowserContext, page: Page) -> None:
    """An authenticator of this device that derives keys (WebAuthn's PRF extension), and says yes at once."""
    session = await context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "ctap2Version": "ctap2_1",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "hasPrf": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
