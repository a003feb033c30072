"""Pictures of each page, of a devnet with something on all of them, into `.screenshots`: `make screenshots`.

With arguments only of these views (laptop, phone, dark, phone-dark). `.screenshots/docs` has those of `docs/images`.
"""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from playwright.async_api import Browser, FloatRect, async_playwright

from gateway.devnet import Devnet, DevnetSettings
from gateway.devnet.info import DevnetInfo
from tests.console import furnished
from tests.console.conftest import CHROMIUM
from tests.console.swapper import Place, comes, connects, enters, priced
from tests.console.test_console import PAGES, PHONE, eventually
from tests.console.visitor import Visitor

FOLDER: Final = Path(__file__).resolve().parents[2] / ".screenshots"
VIEWS: Final[Mapping[str, dict[str, Any]]] = {
    "laptop": {"viewport": {"width": 1280, "height": 800}},
    "phone": PHONE,
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone-dark": {**PHONE, "color_scheme": "dark"},
}
DOCS: Final = {
    "overview-laptop": "console-overview",
    "swap-laptop": "console-swap",
    "trace-laptop": "console-trace",
    "operator-money-laptop": "console-money",
    "swap-page-laptop": "swap-page",
}
"""Pictures of the first screen that `docs/images` has, by what they are called there."""
DOCS_HEIGHT: Final = 900
REPORT: Final = "reports?from=2026-01-01&to=2026-12-31"


async def main() -> None:
    """Raise what stops it."""
    if CHROMIUM is None:
        sys.exit("There is no Chromium here: install it (Debian: apt-get install chromium).")
    (FOLDER / "docs").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        # By production's allowances: the gates of a devnet close on a machine that draws pictures.
        async with Devnet(DevnetSettings(Path(directory), policy="production")) as devnet:
            await furnished.furnish(devnet)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                await drawn(devnet, browser)
                await browser.close()


async def drawn(devnet: Devnet, browser: Browser) -> None:
    """All pictures of a furnished devnet."""
    visitor = await signed_in(devnet.info, browser, {})
    await visitor.opens("alerts")
    await eventually(visitor, "text=Dealings with a listed account")
    case = await furnished.opens_case(devnet.info)
    for name in sys.argv[1:] or VIEWS:
        options = VIEWS[name]
        visitor = await signed_in(devnet.info, browser, options)
        await pictures(visitor, devnet.info, name, case)
        await oversight(devnet.info, browser, name, options)
        await furnished.opens(devnet)
        await operator(devnet, browser, name, options)
        await swapping(await Place.of(devnet), browser, name, options)


async def signed_in(info: DevnetInfo, browser: Browser, options: dict[str, Any], role: str = "officer") -> Visitor:
    visitor = await Visitor.arrives(browser, info.regulator, **options)
    await visitor.signs_in(info.regulator_tokens[role])
    return visitor


async def pictures(visitor: Visitor, info: DevnetInfo, name: str, case: str) -> None:
    """A supervisor's pages, as an officer sees them."""
    alice = quote(info.user("alice").ethereum_account, safe="")
    record = f"records/{quote(info.consortium, safe='')}/{furnished.NAMESPACE}/{furnished.KEY}"
    more = {
        "account": f"accounts/{alice}",
        "asset": f"assets/{quote(info.ether, safe='')}",
        "report": REPORT,
        "case": f"cases/{case}",
        "record": record,
        "search-of-nothing": "search?q=nobody-at-all",
        "entity": "entities/west-lake-trading",
        "cases": "cases",
    }
    for title, page in {**{one or "overview": one for one in PAGES}, **more}.items():
        await visitor.opens(page)
        await taken(visitor, f"{title}-{name}")
    for title, page in (("alert", "alerts"), ("swap", "swaps?status=claimed"), ("list", "lists")):
        await visitor.opens(page)
        await visitor.page.click("tbody a >> nth=0")
        await taken(visitor, f"{title}-{name}")
    await visitor.opens(f"trace?account={alice}&asset={quote(info.ether)}")
    await visitor.page.click("main form button")
    await visitor.page.wait_for_selector("#graph[data-edges]")
    await taken(visitor, f"trace-{name}")


async def oversight(info: DevnetInfo, browser: Browser, name: str, options: dict[str, Any]) -> None:
    """Pages of other roles: the access log, and a rule that is tried on the past."""
    overseer = await signed_in(info, browser, options, "overseer")
    await overseer.opens("log")
    await taken(overseer, f"log-{name}")
    librarian = await signed_in(info, browser, options, "librarian")
    await librarian.opens("rules")
    await librarian.page.click("tr:has(.draft) a")
    await librarian.page.click("form[action$='/dry-run'] button")
    await librarian.page.wait_for_selector("main [role=status]")
    await taken(librarian, f"rule-{name}")


async def operator(devnet: Devnet, browser: Browser, name: str, options: dict[str, Any]) -> None:
    """An operator's pages, with a switch set and the doctor's findings."""
    async with furnished.operated(devnet) as address:
        visitor = await Visitor.arrives(browser, address.partition("/console")[0], **options)
        await visitor.page.goto(address)
        await taken(visitor, f"operator-swaps-{name}")
        for page in ("?all=yes", "transactions", "money", "health?look=yes"):
            await visitor.opens(page)
            title = page.partition("?")[0] or "all-swaps"
            await taken(visitor, f"operator-{title}-{name}")
        await visitor.opens("?all=yes")
        await visitor.page.click("tr:has(.completed) a >> nth=0")
        await taken(visitor, f"operator-swap-{name}")
        await visitor.opens("")
        await visitor.page.fill("#reason", "the node is replaced")
        await visitor.page.click("form[action$='/pause'] button")
        await visitor.page.wait_for_selector("[role=status]")
        await taken(visitor, f"operator-paused-{name}")
        await visitor.page.click("form[action$='/resume'] button")
        await visitor.page.wait_for_selector("text=no switch is set")


async def swapping(place: Place, browser: Browser, name: str, options: dict[str, Any]) -> None:
    """The swap page: its door, a wallet, a price, and a swap that is done."""
    visitor = await place.visited(await place.profile(browser, **options))
    await taken(visitor, f"swap-page-door-{name}")
    await enters(visitor.page)
    await visitor.page.wait_for_selector("#wallets button")
    await taken(visitor, f"swap-page-wallet-{name}")
    await connects(visitor.page)
    await priced(visitor.page, "0.1", "ETH", "CNYD")
    await visitor.page.wait_for_selector("#offer dl")
    await taken(visitor, f"swap-page-price-{name}")
    await visitor.page.click("#offer button:text-is('Swap')")
    await comes(visitor.page, "done", "completed")
    await visitor.page.wait_for_selector("#swaps .leg:first-child .light:text-is('claimed, final')")
    await taken(visitor, f"swap-page-{name}")


async def taken(visitor: Visitor, name: str) -> None:
    """Raise if something was wrong on the page."""
    await visitor.settles()
    await visitor.page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
    print(FOLDER / f"{name}.png", flush=True)
    if name in DOCS:
        await visitor.page.evaluate("scrollTo(0, 0)")
        clip: FloatRect = {"x": 0, "y": 0, "width": 1280, "height": DOCS_HEIGHT}
        await visitor.page.screenshot(path=FOLDER / "docs" / f"{DOCS[name]}.png", full_page=True, clip=clip)


if __name__ == "__main__":
    asyncio.run(main())
