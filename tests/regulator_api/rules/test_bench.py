"""The bench of the rules reports the same of a kept folder, and keeps nothing that other texts of the program made."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from bench import _supervision_feed as feed
from bench._supervision_feed import Marker, feeding, read_marker
from bench.definitions import truth_of
from bench.rules import Place, history, measure
from bench.traffic import Plan, generate
from core.runtime.database import open_database
from regulator_api.rules.observation import encode_alerts
from regulator_api.rules.store import standing_alerts

PLAN = Plan(7, 1_500)


def test_kept_folder_gives_the_same_detection(tmp_path: Path) -> None:
    place, marker = Place(tmp_path, PLAN), tmp_path / "history.json"
    found = asyncio.run(measure(place, "local", "", None))
    assert found["same"]
    assert found["alerts"] > 0
    assert all(one["met"] >= one["cases"] > 0 for one in found["detection"].values())
    before, made = asyncio.run(said(place)), history(place)
    assert made.figures["catch_up_s"] == found["catch_up_s"]  # nothing was read again
    with feeding(place.url("supervision"), PLAN) as kept:
        kept.skip(made.blocks)
        assert kept.truth() == truth_of(generate(PLAN))

    # What another text of the rules said is forgotten: its alerts are none that a cold run gives now.
    with closing(sqlite3.connect(tmp_path / "history.sqlite")) as connection, connection:
        connection.execute("UPDATE regulator_alerts SET rule = 'another-1', alert_id = 'a' || substr(alert_id, 2)")
    stale = msgspec.structs.replace(made, rules="another", figures={"catch_up_per_s": -1})
    marker.write_bytes(msgspec.json.encode(stale))
    again = history(place)
    assert again.rules == made.rules
    assert again.figures["catch_up_per_s"] > 0
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
