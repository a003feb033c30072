"""Sign-in at the devnet's own provider, in a real browser: each role gets in, sees what it may, and gets out."""

import pytest
from playwright.async_api import Browser

from console.application import MENU
from gateway.devnet.info import DevnetInfo
from gateway.regulator_setup import ROLES_OF_CLIENTS
from tests.console.visitor import Visitor

pytestmark = [pytest.mark.long, pytest.mark.alone]


async def test_each_role_signs_in_sees_its_own_and_leaves(browser: Browser, town: DevnetInfo) -> None:
    for role, scopes in ROLES_OF_CLIENTS.items():
        visitor = await Visitor.arrives(browser, town.regulator)
        await visitor.opens("")
        assert visitor.page.url.startswith(f"{town.regulator}/console/signin")
        assert await visitor.faults() == []
        await visitor.page.click("text=Sign in with the devnet")
        assert visitor.page.url.startswith(f"{town.sign_in}/authorize?")
        assert await visitor.faults() == []
        await visitor.page.click(f"button[value='{role}']")
        await visitor.page.wait_for_url(f"{town.regulator}/console/**")
        assert "/signin" not in visitor.page.url
        assert role in await visitor.page.inner_text(".who")

        shown = (await visitor.page.locator("nav a").all_inner_texts()) or []
        assert shown == [page.title for page in MENU if page.scope is None or page.scope in scopes]
        for page in MENU:
            # The front page sends whoever may not see it to a page of theirs.
            allowed = page.scope is None or page.scope in scopes or not page.path
            answer = await visitor.page.request.get(f"{town.regulator}/console/{page.path}")
            assert answer.status == (200 if allowed else 403), (role, page)

        await visitor.page.click("text=Sign out")
        await visitor.opens("swaps")
        assert visitor.page.url.startswith(f"{town.regulator}/console/signin"), "signed out"
        assert [one for one in visitor.noticed if not is_provider(one, town)] == []


def is_provider(noticed: str, town: DevnetInfo) -> bool:
    """The way to the provider, which is the only other place that the browser goes to."""
    return noticed.startswith(f"request to {town.sign_in}/")
