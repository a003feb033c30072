"""The page that checks evidence, in a real browser: what it loads, what it believes, and without a network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser

from console.application import regulator_console
from console.sessions import Sessions
from core.proofs.evidence import encode_anchor, encode_beacon_anchor
from core.runtime.clock import SeededSecrets, SystemClock
from core.runtime.web import serve
from tests.console.visitor import Visitor
from tests.core.proofs import test_synced_evidence as synced
from tests.core.proofs.test_question_evidence import ALL, FILES

pytestmark = [pytest.mark.long, pytest.mark.alone]
LOADED = "performance.getEntriesByType('resource').map((one) => one.name.split('/').at(-1))"


@asynccontextmanager
async def console() -> AsyncIterator[str]:
    clock, secrets = SystemClock(), SeededSecrets(1)
    app = web.Application()
    pages = regulator_console(lambda: "", Sessions(clock, secrets, secure=False), clock, secrets, name="here")
    app.add_subapp("/console", pages)
    async with serve(app, "127.0.0.1", 0) as address:
        yield address


async def verdict(visitor: Visitor, evidence: Path, anchor: Path) -> str:
    """Choose the files on the open page, and return what it says of them."""
    page = visitor.page
    await page.evaluate("document.querySelector('#verdict').replaceChildren()")
    await page.set_input_files("#file", evidence)
    await page.set_input_files("#anchor", anchor)
    await page.fill("#now", str(synced.NOW))
    await page.click("#verify button")
    await page.wait_for_selector("#verdict h2")
    return await page.inner_text("#verdict")


async def test_page_loads_sync_committees_only_for_their_evidence(browser: Browser, tmp_path: Path) -> None:
    attested, by_beacon = FILES["log"], synced.FILES["storage sync"]
    for name, data in {
        "attested": attested,
        "sync": by_beacon,
        "bad": by_beacon.replace(b'"sync_committee_signature":"0x', b'"sync_committee_signature":"0xa', 1),
        "ledger anchor": encode_anchor(ALL.world.anchor()),
        "beacon anchor": encode_beacon_anchor(synced.BEACON_ANCHOR),
    }.items():
        (tmp_path / name).write_bytes(data)
    async with console() as address:
        visitor = await Visitor.arrives(browser, address)
        assert await visitor.opens("verify") == 200
        assert (await verdict(visitor, tmp_path / "attested", tmp_path / "ledger anchor")).startswith("Proven")
        assert not [one for one in await visitor.page.evaluate(LOADED) if "part-sync" in one]

        # If a part does not come, nothing is said of the evidence.
        await visitor.page.context.set_offline(True)
        assert "did not load" in await verdict(visitor, tmp_path / "sync", tmp_path / "beacon anchor")
        await visitor.page.context.set_offline(False)
        visitor.noticed.clear()

        assert await visitor.opens("verify") == 200
        assert (await verdict(visitor, tmp_path / "sync", tmp_path / "beacon anchor")).startswith("Proven")
        assert [one for one in await visitor.page.evaluate(LOADED) if "part-sync" in one]
        # Once loaded, the page needs nobody.
        await visitor.page.context.set_offline(True)
        for evidence, anchor, expected in (
            ("sync", "beacon anchor", "Proven"),
            ("attested", "ledger anchor", "Proven"),
            ("bad", "beacon anchor", "Not proven"),
        ):
            assert (await verdict(visitor, tmp_path / evidence, tmp_path / anchor)).startswith(expected)
        assert visitor.noticed == []
