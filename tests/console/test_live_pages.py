"""Live pages in a real browser: they change while somebody looks at them, by a stream or, without one, by asking."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Request, Route, expect

from gateway.devnet.info import DevnetInfo
from tests.console.conftest import swap
from tests.console.visitor import Visitor

LOOK_MS = 120_000
NO_TIMERS = "window.setInterval = () => 0"
"""Nothing that a page asks for by the clock is asked for: what changes it then comes by its stream."""

pytestmark = [pytest.mark.long, pytest.mark.alone]


async def test_pages_change_by_their_stream_or_by_asking(browser: Browser, town: DevnetInfo, tmp_path: Path) -> None:
    streamed = await Visitor.arrives(browser, town.regulator)
    await streamed.page.add_init_script(NO_TIMERS)
    cut = await Visitor.arrives(browser, town.regulator)

    async def cuts(route: Route) -> None:
        await route.fulfill(status=503)

    await cut.page.route("**/console/live*", cuts)
    asked: list[str] = []

    def notes(request: Request) -> None:
        asked.append(request.url)

    rows = re.compile(r"claimed")
    for visitor in (streamed, cut):
        await visitor.signs_in(town.regulator_key)
        await visitor.opens("swaps")
        await expect(visitor.page.locator("tbody tr")).to_have_count(1)
    await expect(streamed.page.locator("#liveness")).to_have_text("Live")
    await expect(cut.page.locator("#liveness")).to_contain_text("Not live")
    streamed.page.on("request", notes)
    await streamed.page.focus("tbody a")

    await swap(tmp_path / "devnet")
    for visitor in (streamed, cut):
        await expect(visitor.page.locator("tbody .state").filter(has_text=rows)).to_have_count(2, timeout=LOOK_MS)
    assert asked, "the page asked for its own part again"
    assert set(asked) == {f"{town.regulator}/console/swaps"}, "and for nothing else"
    focused = await streamed.page.evaluate("document.activeElement.closest('#fresh') !== null")
    assert focused, "what had the focus is replaced: its place has it"
    assert streamed.noticed == []

    # Without a session the page goes to the door: it does not stay and look as if nothing happened.
    await streamed.page.context.clear_cookies()
    await streamed.page.evaluate("document.querySelector('[data-live]').dispatchEvent(new Event('live'))")
    await streamed.page.wait_for_url("**/console/signin?then=*")
