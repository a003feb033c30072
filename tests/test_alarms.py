"""`docs/operating/alarms.md` says what to do about every alert, error in the log and notice about a swap."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from htlc.decisions import GIVEN_UP
from tests.test_docs import anchors

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/operating/alarms.md"
ROOMS = ("core", "adapters", "htlc", "queries", "indexer", "relayer", "regulator_api", "gateway", "local_chains")
EVENT = re.compile(r"`([^`]+)`")
CODED = re.compile(r'(?:Reason|close)\((?:[a-z]+, )?\s*(f?"[a-z{][\w.{}-]+")')
"""The code of a notice where it is made."""


def section(heading: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """Return what is quoted in the first column of the tables."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return {name for line in lines for name in EVENT.findall(line.split(" | ")[0])}


def logged(*levels: str) -> Iterator[str]:
    """The events that the rooms log at these levels, the simulation's aside."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "simulation" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log" | "_log"), attr=level),
                    args=[ast.Constant(value=str(event)), *_],
                ) if level in levels:
                    yield event


def rules() -> list[dict[str, str]]:
    groups = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [{"alert": rule["alert"], **rule["annotations"]} for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_what_to_do(rule: Any) -> None:
    path, _, anchor = rule["runbook"].partition("#")
    assert ROOT / path == PAGE
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(PAGE)


def test_a_runbook_is_about_an_alert_that_exists() -> None:
    headings = re.findall(r"^### (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(headings) == {rule["alert"] for rule in rules()}


def test_every_error_of_the_log_is_on_the_page() -> None:
    documented = first_cells(section("Errors in the log"))
    errors = set(logged("error", "exception", "critical"))
    assert len(errors) > 20
    assert errors - documented == set()
    assert documented - errors == set()


def test_a_log_event_that_the_page_quotes_exists() -> None:
    text = PAGE.read_text(encoding="utf-8")
    events = set(logged("info", "warning", "error", "exception"))
    for event in ("a swap needs attention", "swap finished", "worker backs off", "effect is tried again"):
        assert f"`{event}`" in text
        assert event in events


def test_every_notice_about_a_swap_is_on_the_page() -> None:
    documented = first_cells(section("Notices about swaps"))
    made = set()
    for path in (ROOT / "htlc").glob("*.py"):
        made |= {code.removeprefix("f").strip('"') for code in CODED.findall(path.read_text(encoding="utf-8"))}
    assert {"quote-expired", "{event.leg}-lock-differs", "final-{name}-reverted"} <= made
    spelt = {GIVEN_UP, "gate-closed"} | {code for code in made if "{" not in code}
    spelt |= {f"{leg}-{what}" for leg in ("initiator", "participant") for what in ("lock-differs", "locked-again")}
    spelt |= {f"final-{name}-reverted" for name in ("lock", "claim", "refund")}
    assert {code for code in made if "{" in code} == {
        "{event.leg}-lock-differs",
        "{event.leg}-locked-again",
        "final-{name}-reverted",
    }
    assert documented == spelt
