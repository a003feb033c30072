"""A person in front of a browser, who notices whatever a page should not do."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

AXE: Final = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"
GRAVE: Final = frozenset({"serious", "critical"})
PARTS_MS: Final = 60_000
"""For the parts that a page asks for after it is there."""
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Visitor:
    """One browser window at `url`. `noticed`: errors on the page, and requests to anywhere else but `others` (URLs)."""

    def __init__(self, context: BrowserContext, page: Page, url: str, others: Iterable[str] = ()) -> None:
        self.page = page
        self.url = url.rstrip("/")
        self._expected = {origin(one) for one in (url, *others)}
        self.noticed: list[str] = []
        self.received = 0
        self._context = context
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.noticed.append(f"error: {error}"))
        page.on("request", self._asked)

    @classmethod
    async def arrives(cls, browser: Browser, url: str, **options: Any) -> "Visitor":
        # Axe is put into pages by us, which their own policy would refuse; it holds for everything else.
        context = await browser.new_context(**options)
        return cls(context, await context.new_page(), url)

    async def signs_in(self, key: str) -> None:
        await self.page.goto(f"{self.url}/console/")
        await self.page.fill("#secret", key)
        await self.page.click("main form button")
        # Each role comes to a page of its own.
        await self.page.wait_for_url(lambda url: "/signin" not in url)

    async def opens(self, place: str) -> int:
        """Go there, until every part of the page is there; return the status."""
        response = await self.page.goto(f"{self.url}/console/{place}")
        assert response is not None
        await self.settles()
        return response.status

    async def settles(self) -> None:
        """Wait until every part of the page is there."""
        await self.page.wait_for_load_state("load")
        await expect(self.page.locator("[aria-busy=true]")).to_have_count(0, timeout=PARTS_MS)

    async def faults(self) -> list[str]:
        """Return what axe-core finds grave on the page, each with the first place of it."""
        session = await self._context.new_cdp_session(self.page)
        source = AXE.read_text(encoding="utf-8")
        # By the debugger, since the page's Content-Security-Policy takes no scripts from us.
        await session.send("Runtime.evaluate", {"expression": source})
        asked = f"axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then((found) => JSON.stringify(found.violations))"
        answer = await session.send("Runtime.evaluate", {"expression": asked, "awaitPromise": True})
        found = json.loads(answer["result"]["value"])
        return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found if one["impact"] in GRAVE]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.noticed.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob") and origin(request.url) not in self._expected:
            self.noticed.append(f"request to {request.url}")
