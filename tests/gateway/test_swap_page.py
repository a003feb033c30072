"""The swap page as it is served: what its document says, what its policy lets it ask, and settings that are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from console import swap_page
from core.model.errors import RejectedError
from core.runtime.web import serve
from gateway import config as settings
from gateway.config import PageChainConfig, RelayerConfig, SwapPageConfig
from gateway.config.swap_page import origin_of
from tests.gateway.test_config import ETHEREUM, LEDGER
from tests.gateway.test_settings import stored, table

PAGE = SwapPageConfig(
    (
        PageChainConfig(ETHEREUM.id, ("https://eth.example/v1", "https://eth.other.example:8443"), "Ethereum"),
        PageChainConfig(LEDGER.id, ("http://127.0.0.1:26657",)),
    )
)


def chain(contents: dict[str, Any], number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = contents["swap_page"]["chains"][number]
    return found


def test_a_swap_page_is_taken(tmp_path: Path) -> None:
    found = settings.load(stored(tmp_path, table(swap_page=PAGE)), RelayerConfig)
    assert found.swap_page == PAGE


@pytest.mark.parametrize(
    ("change", "place", "sentence"),
    [
        (lambda t: t["swap_page"].update(chains=[]), "swap_page.chains", "needs 2 chains"),
        (lambda t: chain(t).update(id="eip155:5"), "swap_page.chains[0].id", "not a configured chain"),
        (lambda t: chain(t).update(id=LEDGER.id), "swap_page.chains[1].id", "named twice"),
        (lambda t: chain(t).update(endpoints=[]), "swap_page.chains[0].endpoints", "write 1 to 32"),
        (lambda t: chain(t).update(endpoints=["ftp://h"]), "swap_page.chains[0].endpoints[0]", "is not a URL"),
        (lambda t: chain(t).update(endpoints=["https://a:b@h"]), "swap_page.chains[0].endpoints[0]", "leave name"),
        (lambda t: chain(t).update(endpoints=["https://h;x"]), "swap_page.chains[0].endpoints[0]", "not an origin"),
        (
            lambda t: chain(t).update(endpoints=["https://h"] * 2),
            "swap_page.chains[0].endpoints[1]",
            "named twice",
        ),
        (lambda t: chain(t).update(name="x" * 65), "swap_page.chains[0].name", "at most 64"),
    ],
)
def test_a_faulty_swap_page_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], place: str, sentence: str
) -> None:
    contents = table(swap_page=PAGE)
    change(contents)
    with pytest.raises(RejectedError) as refused:
        settings.load(stored(tmp_path, contents), RelayerConfig)
    assert place in refused.value.message
    assert sentence in refused.value.message


@pytest.mark.parametrize("url", ["https://*", "https://*.example", "https://h 'unsafe-inline'", "https://H"])
def test_an_endpoint_cannot_widen_the_policy(url: str) -> None:
    with pytest.raises(RejectedError):
        origin_of(url)


async def test_the_page_may_ask_its_relayer_and_endpoints_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap_page, "missing_swap_files", list)
    app = web.Application()
    origins = ["https://eth.example", "http://127.0.0.1:26657"]
    swap_page.mount_swap_page(app, {"version": 1}, origins, "north")
    async with serve(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/swap") as answer:
            text = await answer.text()
            assert answer.url.path == "/swap/"
        rules = dict(one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";"))
        assert rules["connect-src"].split() == ["'self'", *sorted(origins)]
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == "'self'"
        assert "<script>" not in text
        assert "style=" not in text
        async with session.get(f"{url}/swap/page.json") as answer:
            assert await answer.json() == {"version": 1}
        for place, status in (("static/swap.css", 200), ("static/verify.js", 404), ("static/..%2fframe.py", 404)):
            async with session.get(f"{url}/swap/{place}") as answer:
                assert answer.status == status


async def test_no_page_is_served_before_its_scripts_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap_page, "missing_swap_files", lambda: ["built/swap.js"])
    app = web.Application()
    swap_page.mount_swap_page(app, {}, [], "north")
    assert not list(app.router.resources())
