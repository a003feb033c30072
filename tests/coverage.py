"""`make coverage`: branch coverage of each room, next to its floor. Exits 1 if one is below."""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

FLOORS: Final = {"core": 95.0, "htlc": 98.0}
"""Percent of lines and branches together, as coverage.py counts them."""
FLOOR: Final = 85.0


def measured() -> dict[str, float]:
    """The percentage of each room, from the data that the last run left."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(report)], check=True)
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    covered: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for name, file in files.items():
        room, summary = name.split("/")[0], file["summary"]
        covered[room] += summary["covered_lines"] + summary["covered_branches"]
        total[room] += summary["num_statements"] + summary["num_branches"]
    return {room: 100 * covered[room] / count for room, count in sorted(total.items()) if count}


def main() -> None:
    table = Table("room", "covered", "floor")
    rooms = measured()
    for room, percent in rooms.items():
        floor = FLOORS.get(room, FLOOR)
        colour = "green" if percent >= floor else "red"
        table.add_row(room, f"[{colour}]{percent:.1f} %[/]", f"{floor:.0f} %")
    Console().print(table)
    sys.exit(any(percent < FLOORS.get(room, FLOOR) for room, percent in rooms.items()))


if __name__ == "__main__":
    main()
