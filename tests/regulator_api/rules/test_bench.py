"""The bench of the rules reports the same of a kept folder, and keeps nothing that other texts of the program made."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import _supervision_feed as feed
from bench._supervision_feed import Marker, read_marker
from bench.rules import Place, history, measure
from bench.traffic import Plan
from core.runtime.database import open_database
from regulator_api.rules.observation import encode_alerts
from regulator_api.rules.store import standing_alerts

PLAN = Plan(7, 1_500)


def measured(folder: Path) -> dict[str, Any]:
    return asyncio.run(measure(Place(folder, PLAN), "local", "", None))


def test_kept_folder_gives_the_same_detection(tmp_path: Path) -> None:
    first = measured(tmp_path)
    kept = measured(tmp_path)
    for found in (first, kept):
        assert found["same"]
        assert found["alerts"] > 0
        assert all(one["met"] >= one["cases"] > 0 for one in found["detection"].values())
    assert kept["detection"] == first["detection"]
    assert kept["catch_up_s"] == first["catch_up_s"]  # nothing was read again

    # What another text of the rules said is forgotten: its alerts are none that a cold run gives now.
    place, marker = Place(tmp_path, PLAN), tmp_path / "history.json"
    before = asyncio.run(said(place))
    with sqlite3.connect(tmp_path / "history.sqlite") as connection:
        connection.execute("UPDATE regulator_alerts SET rule = 'another-1', alert_id = 'a' || substr(alert_id, 2)")
    had = msgspec.json.decode(marker.read_bytes(), type=Marker)
    stale = msgspec.structs.replace(had, rules="another", figures={"catch_up_per_s": -1})
    marker.write_bytes(msgspec.json.encode(stale))
    made = asyncio.run(history(place))
    assert made.rules == had.rules
    assert made.figures["catch_up_per_s"] > 0
    assert asyncio.run(said(place)) == before != b"[]"


async def said(place: Place) -> bytes:
    database = open_database(place.url("history"))
    found = await database.read(standing_alerts)
    await database.close()
    return encode_alerts(sorted(found, key=lambda one: one.alert_id))


def test_data_set_of_other_tables_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "history.json"
    marker.write_bytes(msgspec.json.encode(Marker(feed.plan_of(PLAN), {}, 1, False)))
    assert read_marker(marker, PLAN) is not None
    monkeypatch.setattr(feed, "STORED_BY", ("bench/traffic.py",))
    assert read_marker(marker, PLAN) is None
    marker.write_bytes(marker.read_bytes()[:10])
    assert read_marker(marker, PLAN) is None
    assert read_marker(tmp_path / "none.json", PLAN) is None
