"""Spans of days (UTC) that people ask for, and the presets of reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from core.model.errors import RejectedError

DAY_S: Final = 86_400
FIRST: Final = date(1970, 1, 1)
LAST: Final = date(9999, 12, 30)
LAST_S: Final = 253_370_764_800
"""The beginning of 9999: chains say what time they like."""


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days, both inclusive."""

    first: date
    last: date

    @property
    def since_s(self) -> int:
        return (self.first - FIRST).days * DAY_S

    @property
    def until_s(self) -> int:
        """The last second of the last day."""
        return ((self.last - FIRST).days + 1) * DAY_S - 1

    @property
    def query(self) -> dict[str, str]:
        """Return the span as the pages' own addresses have it."""
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


def asked_span(asked: Mapping[str, str], today: date, days: int) -> Span:
    """Return the days `from` and `to`, or the last `days` until `today`. Raise `RejectedError` for no such span."""
    last = _day(asked["to"]) if asked.get("to") else today
    first = _day(asked["from"]) if asked.get("from") else max(FIRST, last - timedelta(days=days - 1))
    if first > last:
        raise RejectedError(f"{first} is behind {last}: write the earlier day first")
    return Span(first, last)


def newest_day(chains: list[dict[str, Any]], now_s: float) -> date:
    """Return the day of the newest block of all chains, or of `now_s` before there is one."""
    times = [one["indexed"]["time_s"] for one in chains if one["indexed"] is not None]
    at = datetime.fromtimestamp(min(max(times, default=now_s), LAST_S), UTC)
    return at.date()


def presets(today: date) -> list[tuple[str, Span]]:
    """Return the usual periods: the last whole ones, and those that are under way."""
    monday = today - timedelta(days=today.weekday())
    month = today.replace(day=1)
    quarter = today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1)
    day = timedelta(days=1)
    last_month, last_quarter = month - day, quarter - day
    return [
        ("Yesterday", Span(today - day, today - day)),
        ("Last week", Span(monday - 7 * day, monday - day)),
        ("Last month", Span(last_month.replace(day=1), last_month)),
        ("Last quarter", Span(last_quarter.replace(month=last_quarter.month - 2, day=1), last_quarter)),
        ("This month", Span(month, today)),
        ("This quarter", Span(quarter, today)),
    ]


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise RejectedError(f"{text[:40]!a} is not a day: write it as 2026-11-29") from None
    if not FIRST <= found <= LAST:
        raise RejectedError(f"{found} is beyond the calendar: write a day from {FIRST} to {LAST}")
    return found
