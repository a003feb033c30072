"""The console in a real browser, on a devnet: every page with real data, and nothing from outside."""

import json
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from playwright.async_api import Browser

from gateway.devnet.info import DevnetInfo
from tests.console.visitor import Visitor

PAGES = (
    "",
    "alerts",
    "rules",
    "trace",
    "flows",
    "reports",
    "swaps",
    "transfers",
    "assets",
    "records",
    "contracts",
    "lists",
    "entities",
    "orders",
    "log",
    "search",
    "verify",
)
PHONE = {"viewport": {"width": 390, "height": 844}}
WAITS = 60
PIXELS_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MOST_BYTES = 600 * 1024
"""Compressed, of a first visit: the page with all that it needs."""

pytestmark = [pytest.mark.long, pytest.mark.alone]


async def test_a_supervisor_sees_every_page_and_proves_a_swap(
    browser: Browser, town: DevnetInfo, tmp_path: Path
) -> None:
    visitor = await Visitor.arrives(browser, town.regulator, accept_downloads=True)
    await turns_strangers_away(visitor)
    await visitor.signs_in(town.regulator_key)
    named = f"assets/{quote(town.ether, safe='')}", f"accounts/{quote(town.user('alice').ethereum_account, safe='')}"
    for page in (*PAGES, *named):
        # The key that `up` shows may read, and trace nothing.
        assert await visitor.opens(page) == (403 if page == "trace" else 200), page
        assert await visitor.faults() == [], page
    await visitor.page.emulate_media(color_scheme="dark")
    await visitor.opens("")
    assert await visitor.faults() == []

    await visitor.opens("swaps")
    await visitor.page.click("tbody a")
    assert "claimed" in await visitor.page.inner_text("main")
    assert await visitor.page.locator(".events li").count() == 6
    await visitor.page.click("text=Prove both legs")
    files = []
    for leg in ("initiator", "participant"):
        async with visitor.page.expect_download() as download:
            await visitor.page.click(f"li:has-text('{leg}') >> text=evidence file")
        files.append(tmp_path / f"{leg}.json")
        await (await download.value).save_as(files[-1])
    for file in files:
        await proves(visitor, file, Path(town.anchor), "Proven")
        tampered = json.loads(file.read_bytes())
        tampered["answer"]["terms_match"] = not tampered["answer"].get("terms_match", False)
        file.write_text(json.dumps(tampered, separators=(",", ":")), encoding="utf-8")
        await proves(visitor, file, Path(town.anchor), "Not proven")

    await finds(visitor, town)
    await visitor.page.click("text=Sign out")
    assert visitor.page.url.endswith("/console/signin")
    assert [one for one in visitor.noticed if "403" not in one] == []


async def test_two_people_close_a_case_of_a_traced_alert(browser: Browser, town: DevnetInfo) -> None:
    """A list names the account of the swap: its alert is looked at, its value followed, its case closed by two."""
    alice = town.user("alice").ethereum_account
    await listed(town, alice)
    visitor = await Visitor.arrives(browser, town.regulator, accept_downloads=True)
    await visitor.signs_in(town.regulator_tokens["officer"])
    await visitor.opens(f"accounts/{quote(alice, safe='')}")
    await eventually(visitor, "text=Dealings with a listed account")
    assert await visitor.faults() == []

    librarian = await Visitor.arrives(browser, town.regulator)
    await librarian.signs_in(town.regulator_tokens["librarian"])
    await librarian.opens(f"rules/{await proposed(town)}")
    await librarian.page.click("text=Dry run")
    assert "moves of" in await librarian.page.inner_text("main [role=status]")
    assert await librarian.page.locator("button:text-is('Put it in force')").count() == 1
    assert await librarian.faults() == []
    assert librarian.noticed == []

    await visitor.opens("swaps")
    await eventually(visitor, "tbody .light.good:text-is('final')")
    await visitor.opens(f"trace?account={quote(alice)}&asset={quote(town.ether)}")
    await visitor.page.click("main form button")
    await visitor.page.wait_for_url("**/console/traces/*")
    await visitor.page.wait_for_selector("#graph[data-edges]")
    assert await visitor.faults() == []
    edges = int(await visitor.page.get_attribute("#graph", "data-edges") or 0)
    assert edges >= 2, "into the lock, and out of the other one"
    assert town.yuan in await visitor.page.inner_html("main")
    await visitor.page.select_option("#method", "poison")
    assert await visitor.page.locator(".method:visible h2").inner_text() == "Poison"
    async with visitor.page.expect_download() as download:
        await visitor.page.click("#csv")
    assert len(content(await (await download.value).path()).splitlines()) == edges + 1
    async with visitor.page.expect_download() as download:
        await visitor.page.click("#png")
    assert content(await (await download.value).path()).startswith(b"\x89PNG")

    await visitor.opens("alerts")
    await visitor.page.click("tbody a >> nth=0")
    await visitor.page.click("text=Open a case")
    await visitor.page.wait_for_url("**/console/cases/*")
    place = visitor.page.url
    await visitor.page.fill("#text", "Looked at the swap: the lists name its initiator.")
    await visitor.page.click("text=Add the note")
    await closes(visitor)
    assert "Somebody else has to agree" in await visitor.page.inner_text("main")
    await closes(visitor)
    assert "Closed as" not in await visitor.page.inner_text("main"), "one person closed a case alone"

    other = await Visitor.arrives(browser, town.regulator)
    await other.signs_in(town.regulator_tokens["officer-2"])
    await other.page.goto(place)
    await closes(other)
    assert "Closed as referred" in await other.page.inner_text("main")
    assert await other.faults() == []
    assert other.noticed == []


async def listed(town: DevnetInfo, account: str) -> None:
    body = {"account": account, "label": "A test", "category": "sanctioned", "source": "a test", "confidence": 100}
    headers = {"Authorization": f"Bearer {town.regulator_tokens['librarian']}", "X-Purpose": "a test"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{town.regulator}/v1/tags", json={**body, "valid_from_s": 1}, headers=headers) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def proposed(town: DevnetInfo) -> str:
    """A draft of a rule; return its id."""
    body = {"typology": "structuring", "parameters": {"threshold": 50_000}, "reason": "a test"}
    headers = {"Authorization": f"Bearer {town.regulator_tokens['librarian']}", "X-Purpose": "a test"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{town.regulator}/v1/rules", json=body, headers=headers) as answer,
    ):
        made = await answer.json()
    assert answer.status == 201, made
    return str(made["id"])


def content(file: Path) -> bytes:
    return Path(file).read_bytes()


async def eventually(visitor: Visitor, selector: str) -> None:
    """Load the page again until it shows this."""
    for _ in range(WAITS):
        if await visitor.page.locator(selector).count():
            return
        await visitor.page.wait_for_timeout(1_000)
        await visitor.page.reload()
    raise AssertionError(f"{selector} does not come: {await visitor.page.inner_text('main')}")


async def closes(visitor: Visitor) -> None:
    await visitor.page.select_option("#outcome", "referred")
    await visitor.page.fill("#reason", "For others to judge.")
    await visitor.page.locator("form[action$='/close'] button").click()
    await visitor.page.wait_for_load_state()


async def test_what_a_role_may_not_see_is_absent(browser: Browser, town: DevnetInfo) -> None:
    visitor = await Visitor.arrives(browser, town.regulator)
    await visitor.signs_in(town.regulator_tokens["analyst"])
    menu = await visitor.page.locator("nav").inner_text()
    assert "Trace" in menu
    assert not {"Cases", "Access log"} & set(menu.split("\n"))
    assert await visitor.opens("cases") == 403
    assert await visitor.opens("log") == 403
    await visitor.page.click("text=Sign out")
    await visitor.page.fill("#secret", town.regulator_tokens["overseer"])
    await visitor.page.click("main form button")
    await visitor.page.wait_for_url("**/console/log")
    assert "/v1/cases" in await visitor.page.inner_text("main"), "what was refused is logged, too"


async def turns_strangers_away(visitor: Visitor) -> None:
    """Whatever page they ask for, they come to the door; with a wrong key they stay there."""
    await visitor.opens("swaps?status=claimed")
    assert "/console/signin?then=" in visitor.page.url
    assert await visitor.faults() == []
    await visitor.page.fill("#secret", "cwk_" + "x" * 43)
    await visitor.page.click("main form button")
    assert "refused" in await visitor.page.inner_text("[role=alert]")


async def proves(visitor: Visitor, file: Path, anchor: Path, verdict: str) -> None:
    await visitor.opens("verify")
    await visitor.page.set_input_files("#file", file)
    await visitor.page.set_input_files("#anchor", anchor)
    await visitor.page.click("#verify button")
    await visitor.page.wait_for_selector(f"#verdict h2:text-is('{verdict}')")


async def finds(visitor: Visitor, town: DevnetInfo) -> None:
    """By whatever name it has; and what is not there is said to be so."""
    for text, place in (
        (town.yuan, "/console/assets/"),
        (town.user("alice").ethereum_account, "/console/accounts/"),
        ("nobody-at-all", "/console/search"),
    ):
        await visitor.page.fill("#q", text)
        await visitor.page.press("#q", "Enter")
        await visitor.page.wait_for_url(f"**{place}**")
    assert "nobody-at-all" in await visitor.page.inner_text("[role=status]")


async def test_pages_fit_a_phone_and_a_budget(browser: Browser, town: DevnetInfo) -> None:
    visitor = await Visitor.arrives(browser, town.regulator, **PHONE)
    await visitor.signs_in(town.regulator_key)
    for page in PAGES:
        await visitor.opens(page)
        wide = await visitor.page.evaluate(PIXELS_TOO_WIDE)
        assert wide <= 0, f"{page} is {wide} px too wide for a phone"
    await visitor.opens("swaps")
    swap = (await visitor.page.get_attribute("tbody a", "href") or "").removeprefix("/console/")
    account = f"accounts/{quote(town.user('alice').ethereum_account, safe='')}"
    tracer = await Visitor.arrives(browser, town.regulator)
    await tracer.signs_in(town.regulator_tokens["officer"])
    await tracer.opens(f"trace?account={quote(town.user('alice').ethereum_account)}&asset={quote(town.ether)}")
    await tracer.page.click("main form button")
    await tracer.page.wait_for_url("**/console/traces/*")
    trace = tracer.page.url.partition("/console/")[2]
    assert 0 < await weight(browser, tracer, trace) < MOST_BYTES
    days = "reports?from=2026-01-01&to=2026-12-31"
    for page in (*PAGES, swap, account, days, f"assets/{quote(town.ether, safe='')}"):
        assert 0 < await weight(browser, visitor, page) < MOST_BYTES, page
    assert [one for one in visitor.noticed if "403" not in one] == []


async def weight(browser: Browser, visitor: Visitor, page: str) -> int:
    """Return the bytes of a first visit, compressed: the page and all that it loads, in a browser that has nothing.

    A page that this visitor may not see weighs, too.
    """
    fresh = await Visitor.arrives(browser, visitor.url, storage_state=await visitor.page.context.storage_state())
    await fresh.opens(page)
    assert [one for one in fresh.noticed if "403" not in one] == [], page
    sizes = "performance.getEntries().reduce((sum, one) => sum + (one.encodedBodySize ?? 0), 0)"
    found = int(await fresh.page.evaluate(sizes))
    await fresh.page.context.close()
    return found
