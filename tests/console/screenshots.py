"""Pictures of each page, of a devnet with a few swaps, into `.screenshots`: `make screenshots`."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.async_api import Browser, async_playwright

from gateway.devnet import Devnet, DevnetSettings
from gateway.devnet.info import DevnetInfo
from tests.console.conftest import CHROMIUM, swap
from tests.console.swapper import Place, comes, connects, enters, priced
from tests.console.test_console import PAGES, PHONE, listed
from tests.console.visitor import Visitor

FOLDER = Path(__file__).resolve().parents[2] / ".screenshots"


async def main() -> None:
    """Raise what stops it."""
    if CHROMIUM is None:
        sys.exit("There is no Chromium here: install it (Debian: apt-get install chromium).")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        async with Devnet(DevnetSettings(Path(directory))) as devnet, async_playwright() as playwright:
            for _ in range(2):
                await swap(Path(directory))
            await listed(devnet.info, devnet.info.user("alice").ethereum_account)
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for name, options in (("laptop", {}), ("phone", PHONE), ("dark", {"color_scheme": "dark"})):
                visitor = await Visitor.arrives(browser, devnet.info.regulator, **options)
                await visitor.signs_in(devnet.info.regulator_tokens["officer"])
                await pictures(visitor, devnet.info, name)
                await swapping(await Place.of(devnet), browser, name, options)
            await browser.close()


async def swapping(place: Place, browser: Browser, name: str, options: dict[str, Any]) -> None:
    """The swap page: its door, a price, and a swap that is done."""
    visitor = await place.visited(await place.profile(browser, **options))
    await taken(visitor, f"swap-page-door-{name}")
    await enters(visitor.page)
    await connects(visitor.page)
    await priced(visitor.page, "0.1", "ETH", "CNYD")
    await visitor.page.wait_for_selector("#offer dl")
    await taken(visitor, f"swap-page-price-{name}")
    await visitor.page.click("#offer button:text-is('Swap')")
    await comes(visitor.page, "done", "completed")
    await taken(visitor, f"swap-page-{name}")


async def pictures(visitor: Visitor, info: DevnetInfo, name: str) -> None:
    alice = quote(info.user("alice").ethereum_account, safe="")
    for page in (*PAGES, f"accounts/{alice}", f"assets/{quote(info.ether, safe='')}"):
        await visitor.opens(page)
        await taken(visitor, f"{page.split('/')[0] or 'overview'}-{name}")
    await visitor.opens("swaps")
    await visitor.page.click("tbody a")
    await taken(visitor, f"swap-{name}")
    await visitor.opens(f"trace?account={alice}&asset={quote(info.ether)}")
    await visitor.page.click("main form button")
    await visitor.page.wait_for_selector("#graph[data-edges]")
    await taken(visitor, f"trace-{name}")


async def taken(visitor: Visitor, name: str) -> None:
    await visitor.page.wait_for_load_state("networkidle")
    await visitor.page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
    print(FOLDER / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
