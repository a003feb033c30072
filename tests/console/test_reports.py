"""Reports, flows and a record's history in a real browser: figures, what each is made of, and files that prove it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, expect

from adapters.consortium.messages import write_record
from core.model.types import Height
from gateway import wiring
from gateway.devnet.info import DevnetInfo
from gateway.sending import send
from regulator_api import bundles
from tests.console.test_console import content, eventually, proves
from tests.console.visitor import Visitor

LOOK_MS = 120_000
GIVEN_WEI = 10**16
NAMESPACE, KEY = "provenance", "lot-7"

pytestmark = [pytest.mark.long, pytest.mark.alone]


async def test_a_report_is_made_of_what_it_links_to(browser: Browser, town: DevnetInfo) -> None:
    today = datetime.now(UTC).date()
    span = f"from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
    visitor = await Visitor.arrives(browser, town.regulator, accept_downloads=True)
    visitor.page.set_default_timeout(LOOK_MS)
    await visitor.signs_in(town.regulator_key)
    await visitor.opens("swaps")
    await eventually(visitor, "tbody .light.good:text-is('final')")
    await visitor.opens(f"reports?{span}")
    assert await visitor.faults() == []
    ether = visitor.page.locator("[aria-label=Movements] tr").filter(has_text="ETH").last
    assert "0.01" in await ether.inner_text()
    report = visitor.page.url

    await ether.locator("a[href*='/console/swaps']").first.click()
    await expect(visitor.page.locator("tbody tr")).to_have_count(1)
    assert "as of" in await visitor.page.inner_text(".limits"), "the rows of the same days and the same moment"

    for form, read in (("CSV", csv_rows), ("JSON Lines", json_rows)):
        await visitor.page.goto(report)
        async with visitor.page.expect_download() as download:
            await visitor.page.click(f"text=Figures as {form}")
        rows = read(content(await (await download.value).path()))
        (claimed,) = [row for row in rows if row["name"] == "claims" and row["asset"] == town.ether]
        assert (claimed["base_units"], claimed["amount"], str(claimed["count"])) == (str(GIVEN_WEI), "0.01", "1"), form

    await visitor.page.goto(report)
    await visitor.page.select_option("[name=what]", "swaps")
    await visitor.page.click("text=Export them")
    async with visitor.page.expect_download() as download:
        await visitor.page.click("text=Download")
    assert len(csv_rows(content(await (await download.value).path()))) == 1

    await visitor.opens(f"flows?{span}")
    assert await visitor.faults() == []
    await expect(visitor.page.locator("[aria-label='Swaps from chain to chain'] tbody a")).to_have_text("1")
    async with visitor.page.expect_download() as download:
        await visitor.page.click("text=Bundle")
    assert bundles.verify(content(await (await download.value).path())).kind == "figure"
    await visitor.opens(f"reports?{span}&jurisdiction=LI")
    assert "Nothing moved" in await visitor.page.inner_text("main")
    assert await visitor.opens("reports?from=never") == 422
    assert [one for one in visitor.noticed if "422" not in one] == []


async def test_a_records_history_is_a_trail_with_proof(browser: Browser, town: DevnetInfo, tmp_path: Path) -> None:
    heights = [await written(town, {"kilograms": kilograms}) for kilograms in (120, 119)]
    visitor = await Visitor.arrives(browser, town.regulator, accept_downloads=True)
    visitor.page.set_default_timeout(LOOK_MS)
    await visitor.signs_in(town.regulator_key)
    place = f"records/{quote(town.consortium, safe='')}/{NAMESPACE}/{KEY}"
    await visitor.opens(place)
    await eventually(visitor, ".trail li >> nth=1")
    assert await visitor.faults() == []
    newest, first = await visitor.page.locator(".trail li").all_inner_texts()
    for text, version, height in ((newest, 2, heights[1]), (first, 1, heights[0])):
        assert f"Version {version}" in text
        assert str(height) in text
    assert town.user("alice").consortium_account in await visitor.page.inner_html(".trail")
    for link, tampered in (("of this version >> nth=1", False), ("Proof of the whole history", True)):
        async with visitor.page.expect_download() as download:
            await visitor.page.click(f"text={link}")
        file = tmp_path / "record.json"
        await (await download.value).save_as(file)
        if tampered:
            document = json.loads(file.read_bytes())
            document["answer"]["count"] = str(document["answer"]["count"]) + "1"
            file.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
        await proves(visitor, file, Path(town.anchor), "Not proven" if tampered else "Proven")
        await visitor.opens(place)
    assert visitor.noticed == []


async def written(town: DevnetInfo, document: dict[str, int]) -> Height:
    """Write a version of the record as a user of the ledger; return its block."""
    raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    async with wiring.connected(town.chains) as chains:
        connected = chains[town.consortium]
        signer = connected.signer(bytes.fromhex(town.user("alice").consortium))
        transaction = write_record(signer.account, NAMESPACE, KEY, raw)
        return await send(connected.access.transactions, connected.access.heads, signer, transaction)


def csv_rows(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode())))


def json_rows(raw: bytes) -> list[dict[str, str]]:
    return [json.loads(line) for line in raw.splitlines()]
