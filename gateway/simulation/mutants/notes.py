"""Notes of each seed without a bug: its problems, and which bugs make no difference to it. They are kept for as long as
the code that is played stays as it is."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from gateway.simulation.mutants.planting import ROOT, Mutant
from gateway.simulation.verdict.problem import Kind

FOLDER: Final = ROOT / ".simulation"
_ROOMS: Final = ("core", "adapters", "htlc", "queries", "indexer", "local_chains", "relayer", "gateway", "docs/spec")
_SUFFIXES: Final = (".py", ".json", ".sql", ".tla")
_BUGS: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Note:
    """A seed without a bug. `passed_by`: the marks of bugs whose places it does not come to."""

    kinds: frozenset[Kind]
    passed_by: frozenset[str]

    def is_passed_by(self, mutant: Mutant) -> bool:
        """Return true if the seed's story is the same with this bug. One that is new may make a difference."""
        return mutant.mark in self.passed_by


class Notes:
    """The notes of all seeds, each made when it is first asked for, by one thread for all."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder / _code_s_mark()
        self._lock = threading.Lock()
        self._made: dict[int, Future[Note]] = {}
        if folder.exists():
            for older in folder.iterdir():
                if older != self._folder:
                    shutil.rmtree(older, ignore_errors=True)

    def of(self, seed: int, play: Callable[[int], Note]) -> Note:
        """Return a seed's note; `play` makes it if there is none. Whatever that raises everybody gets who waits."""
        with self._lock:
            made = self._made.get(seed)
            if mine := made is None:
                made = self._made[seed] = Future()
        if mine:
            try:
                made.set_result(self._kept(seed) or self._keep(seed, play(seed)))
            except BaseException as error:
                made.set_exception(error)
        return made.result()

    def _kept(self, seed: int) -> Note | None:
        try:
            kept = json.loads((self._folder / f"{seed}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Note(frozenset(map(Kind, kept["kinds"])), frozenset(kept["passed_by"]))

    def _keep(self, seed: int, note: Note) -> Note:
        kept = {"kinds": sorted(note.kinds), "passed_by": sorted(note.passed_by)}
        self._folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", encoding="utf-8", dir=self._folder, delete=False) as file:
            json.dump(kept, file)
        os.replace(file.name, self._folder / f"{seed}.json")
        return note


def _code_s_mark() -> str:
    """A short name for the code that is played, the bugs' own left out, and for what runs it."""
    mark = sha256(sys.version.encode())
    for path in _files():
        mark.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return mark.hexdigest()[:16]


def _files() -> Iterator[Path]:
    yield ROOT / "requirements.lock"
    for room in _ROOMS:
        files = (path for path in (ROOT / room).rglob("*") if path.suffix in _SUFFIXES)
        yield from sorted(path for path in files if _BUGS not in path.parents)
