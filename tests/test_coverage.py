"""`make coverage`: its pieces are the whole suite and add up, and a room that nothing measured is below its floor."""

from pathlib import Path

from coverage import CoverageData

from tests.coverage import FLOOR, FLOORS, ROOMS, ROOT, added_up, below, pieces

MODULE = "htlc/facts.py"


def measured(path: Path, arcs: list[tuple[int, int]]) -> Path:
    """Data of a run in which execution went from line to line of `MODULE` like this."""
    data = CoverageData(str(path))
    data.add_arcs({MODULE: arcs})
    data.write()
    return path


def test_every_test_file_is_in_one_piece() -> None:
    files = [file for paths in pieces().values() for path in paths for file in [*path.rglob("test_*.py"), path]]
    found = sorted(file for file in files if file.is_file())
    assert found == sorted((ROOT / "tests").rglob("test_*.py"))


def test_pieces_add_up(tmp_path: Path) -> None:
    lines = len((ROOT / MODULE).read_text(encoding="utf-8").splitlines())
    steps = [(line, line + 1) for line in range(1, lines)]
    one, two = measured(tmp_path / "one", steps[: lines // 2]), measured(tmp_path / "two", steps[lines // 2 :])
    whole = measured(tmp_path / "whole", steps)
    parts = [added_up([data])["htlc"] for data in (one, two)]
    assert 0 < min(parts) <= max(parts) < added_up([whole])["htlc"]
    assert added_up([one, two]) == added_up([whole])
    assert added_up([one, two]) == added_up([two, one, one])


def test_room_that_nothing_measured_is_below_its_floor(tmp_path: Path) -> None:
    rooms = added_up([measured(tmp_path / "one", [(line, line + 1) for line in range(1, 40)])])
    assert set(rooms) == set(ROOMS)
    assert {room for room, percent in rooms.items() if percent == 0} == set(ROOMS) - {"htlc"}
    assert below(rooms) == list(ROOMS)


def test_each_room_is_held_to_its_own_floor() -> None:
    at = {room: FLOORS.get(room, FLOOR) for room in ROOMS}
    assert below(at) == []
    for room in ROOMS:
        assert below(at | {room: at[room] - 0.1}) == [room]
