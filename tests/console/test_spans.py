"""Days that people ask for, and the files of a report."""

import csv
import io
from datetime import date
from typing import Any

import msgspec
import pytest

from console.reporting import COLUMNS, csv_of, lines_of, made_of, matrix_of, rows_of
from console.spans import Span, asked_span, newest_day, presets
from core.model.errors import RejectedError

TODAY = date(2026, 11, 29)


def test_a_span_is_whole_days_in_utc() -> None:
    span = asked_span({"from": "2026-11-28", "to": "2026-11-29"}, TODAY, 7)
    assert (span.since_s, span.until_s) == (1_795_824_000, 1_795_996_799)
    assert asked_span({}, TODAY, 7) == Span(date(2026, 11, 23), TODAY)
    assert asked_span({}, TODAY, 1) == Span(TODAY, TODAY)


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "2026-11-30"},
        {"to": "29.11.2026"},
        {"from": "2026-02-30"},
        {"to": "1969-12-31"},
        {"to": "9999-12-31"},
        {"from": "x" * 10_000},
    ],
)
def test_days_that_are_none_are_refused(asked: dict[str, str]) -> None:
    with pytest.raises(RejectedError):
        asked_span(asked, TODAY, 7)


def test_presets_are_the_periods_that_people_report() -> None:
    assert dict(presets(TODAY)) == {
        "Yesterday": Span(date(2026, 11, 28), date(2026, 11, 28)),
        "Last week": Span(date(2026, 11, 16), date(2026, 11, 22)),
        "Last month": Span(date(2026, 10, 1), date(2026, 10, 31)),
        "Last quarter": Span(date(2026, 7, 1), date(2026, 9, 30)),
        "This month": Span(date(2026, 11, 1), TODAY),
        "This quarter": Span(date(2026, 10, 1), TODAY),
    }
    january = dict(presets(date(2027, 1, 1)))
    assert january["Last quarter"] == Span(date(2026, 10, 1), date(2026, 12, 31))
    assert january["Last month"] == Span(date(2026, 12, 1), date(2026, 12, 31))


def test_the_newest_day_is_that_of_the_newest_block() -> None:
    chains: list[dict[str, Any]] = [
        {"indexed": None},
        {"indexed": {"time_s": 1_795_996_799}},
        {"indexed": {"time_s": 1}},
    ]
    assert newest_day(chains, 0) == TODAY
    assert newest_day([{"indexed": {"time_s": 2**40}}], 0) == date(9999, 1, 1)
    assert newest_day([], 86_400) == date(1970, 1, 2)


def amount(asset: str, base_units: int) -> dict[str, Any]:
    return {"asset": asset, "base_units": str(base_units), "decimals": 6, "symbol": "USD"}


def report() -> dict[str, Any]:
    nothing = {"count": 0, "amount": amount("eip155:1/erc20:0x1", 0)}
    moved = {"count": 2, "amount": amount("eip155:1/erc20:0x1", 12_345_678_000_000)}
    asset = {"transferred": moved, "locked": nothing, "claimed": nothing, "refunded": nothing}
    activity = {
        "assets": [asset],
        "corridors": [],
        "swaps": {"claimed": 3},
        "alerts": {"=cmd()": 1},
        "cases": {"opened": 2, "closed": 1, "outcomes": {"reported": 1}},
        "whole": True,
        "jurisdiction": None,
        "moment": {"as_of": "eip155:1@7"},
    }
    return {"span": Span(TODAY, TODAY), "activity": activity, "conservation": None, "orders": None}


def test_a_reports_files_have_every_figure_exactly() -> None:
    rows = rows_of(report())
    [moved] = [row for row in rows if row["name"] == "transfers"]
    assert (moved["count"], moved["base_units"], moved["amount"]) == (2, "12345678000000", "12345678")
    assert [row["count"] for row in rows if row["section"] == "cases closed"] == [1]
    assert [msgspec.json.decode(line) for line in lines_of(rows).splitlines()] == rows
    head, *read = csv.reader(io.StringIO(csv_of(rows).decode()))
    assert tuple(head) == COLUMNS
    assert len(read) == len(rows)
    alert = next(line for line in read if line[0] == "alerts")
    assert alert[:2] == ["alerts", "'=cmd()"], "no formula for a spreadsheet"


def test_a_figures_link_is_to_its_own_span_moment_and_place() -> None:
    found = made_of(Span(TODAY, TODAY), "eip155:1@7", {"jurisdiction": "CH", "as_of": "latest"})
    assert found == "since_s=1795910400&until_s=1795996799&as_of=eip155%3A1%407&jurisdiction=CH"


def test_a_matrix_has_every_pair_of_chains() -> None:
    pairs = [("a", "b", 2), ("a", "b", 3), ("b", "a", 1)]
    found = matrix_of([{"from_chain": one, "to_chain": two, "swaps": count} for one, two, count in pairs])
    assert (found["from"], found["to"], found["swaps"]) == (["a", "b"], ["a", "b"], [[0, 5], [1, 0]])
