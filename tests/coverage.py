"""`make coverage`: branch coverage of each room, next to its floor.

The suite runs in pieces, one for each folder of tests, and each piece leaves its measurements in `.make/coverage`.
`make coverage PIECES="gateway relayer"` measures these again and adds them to what the others left. Exits 1 if a test
fails, or if all pieces are measured and a room is below its floor.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).resolve().parents[1]
MEASURED: Final = Path(".make/coverage")
"""The data of each piece, from the repository's root."""
SUFFIX: Final = ".data"
ROOMS: Final = ("core", "adapters", "htlc", "queries", "indexer", "local_chains", "relayer", "regulator_api", "gateway")
FLOORS: Final = {"core": 95.0, "htlc": 98.0}
"""Percent of lines and branches together, as coverage.py counts them."""
FLOOR: Final = 85.0
REST: Final = "rest"
"""The piece of the tests that stand in no folder."""
NO_TESTS: Final = 5
"""The code that pytest ends with if it selects none."""


def pieces(root: Path = ROOT) -> dict[str, tuple[Path, ...]]:
    """Return the paths of each piece: every test file of the suite is in one."""
    folders = {path.relative_to(root / "tests").parts[0] for path in (root / "tests").glob("*/**/test_*.py")}
    loose = tuple(sorted((root / "tests").glob("test_*.py")))
    return {name: (root / "tests" / name,) for name in sorted(folders)} | {REST: loose}


def measure(piece: str, processes: str, folder: Path = MEASURED) -> bool:
    """Run the tests of a piece, and put its data in the place of what it left before. Return if all passed."""
    folder.mkdir(parents=True, exist_ok=True)
    data = (ROOT / folder / piece).with_suffix(SUFFIX)
    for old in data.parent.glob(f"{data.name}*"):
        old.unlink()
    environment = {**os.environ, "COVERAGE_FILE": str(data)}
    pytest = [sys.executable, "-m", "pytest", "-q", "--cov", "--cov-append", "--cov-report="]
    codes = [
        subprocess.run([*pytest, *options, *pieces()[piece]], cwd=ROOT, env=environment, check=False).returncode
        for options in (["-n", processes, "-m", "not alone and not timed"], ["-n", "0", "-m", "alone and not timed"])
    ]
    return all(code in (0, NO_TESTS) for code in codes)


def added_up(data: Iterable[Path]) -> dict[str, float]:
    """Return the percentage of each room over these data together: a line counts if one of them ran it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder) / "all")}
        for command in (["combine", "--quiet", "--keep", *map(str, data)], ["json", "--quiet", "-o", str(report)]):
            subprocess.run([sys.executable, "-m", "coverage", *command], cwd=ROOT, env=environment, check=True)
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    covered, total = Counter[str](), Counter[str]()
    for name, file in files.items():
        room, summary = name.split("/")[0], file["summary"]
        covered[room] += summary["covered_lines"] + summary.get("covered_branches", 0)
        total[room] += summary["num_statements"] + summary.get("num_branches", 0)
    return {room: 100 * covered[room] / max(total[room], 1) for room in ROOMS}


def below(rooms: Mapping[str, float]) -> list[str]:
    """Return the rooms that are below their floor."""
    return [room for room, percent in rooms.items() if percent < FLOORS.get(room, FLOOR)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__)
    parser.add_argument("pieces", nargs="*", help=f"folders of tests, or `{REST}`; all without one")
    parser.add_argument("--processes", default="3", help="how many run a piece's tests")
    parser.add_argument("--report", action="store_true", help="add up what is measured; run nothing")
    given = parser.parse_args(arguments)
    known = pieces()
    if unknown := sorted(set(given.pieces) - set(known)):
        parser.error(f"unknown pieces {', '.join(unknown)}: use some of {', '.join(known)}")
    chosen = [] if given.report else given.pieces or list(known)
    failed = [piece for piece in chosen if not measure(piece, given.processes)]
    data = {piece: path for piece in known if (path := (ROOT / MEASURED / piece).with_suffix(SUFFIX)).exists()}
    if not data:
        parser.error("nothing is measured yet: run `make coverage`")
    rooms = added_up(data.values())
    table = Table("room", "covered", "floor")
    for room, percent in rooms.items():
        colour = "red" if room in below(rooms) else "green"
        table.add_row(room, f"[{colour}]{percent:.1f} %[/]", f"{FLOORS.get(room, FLOOR):.0f} %")
    Console().print(table)
    if failed:
        print(f"tests failed in {', '.join(failed)}")
    if missing := [piece for piece in known if piece not in data]:
        print(f"not measured yet, so the floors do not count: {', '.join(missing)}")
    return int(bool(failed or (below(rooms) and not missing)))


if __name__ == "__main__":
    sys.exit(main())
