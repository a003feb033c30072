"""Plays mutants: each over the seed that found it last, and then over those that come to where it makes a difference.

A mutant is found by a problem that the same seed does not have without it, and that names a harm: that the
specification refuses a trace, or that the story itself breaks off, is not enough.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from gateway.simulation.mutants.forking import MODULE
from gateway.simulation.mutants.notes import Note, Notes
from gateway.simulation.mutants.planting import ROOT, Mutant
from gateway.simulation.verdict.problem import Kind

FOUND: Final = Path(__file__).with_name("found.json")
"""The seed that found each mutant, by its name."""
NO_HARM: Final = frozenset({Kind.TRACE_REFUSED, Kind.STORY_UNENDED})
"""Kinds that name no harm by themselves."""


@dataclass(frozen=True, slots=True)
class Result:
    """A mutant's fate. `seed` is None if it survived; `kind` and `problem`: the first new one, else why not. `played`:
    how many seeds were played with it, `passed_by`: how many others do not come to where it makes a difference."""

    mutant: Mutant
    seed: int | None
    kind: str
    problem: str
    played: int
    passed_by: int
    seconds: float


def known_seeds() -> dict[str, int]:
    """The seeds that are kept."""
    kept: dict[str, int] = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}
    return kept


def keep_seeds(seeds: Mapping[str, int]) -> None:
    """Keep these seeds in place of the ones that are kept, all or nothing: whoever stops a run keeps what it found."""
    written = FOUND.with_suffix(".new")
    written.write_text(json.dumps(dict(sorted(seeds.items())), indent=1) + "\n", encoding="utf-8")
    os.replace(written, FOUND)


class Player:
    """A process that has imported everything, and plays each seed in a fork. Close it."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", MODULE]
        # A group of its own: forks end with it.
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1, process_group=0
        )

    def problems(self, seed: int, mutant: Mutant) -> list[tuple[Kind, str]] | None:
        """Return what is wrong with a seed with a mutant; None if the story did not end, and was ended."""
        answer = self._answer(seed, mutant.name)
        return None if answer is None else [(Kind(kind), text) for kind, text in answer["problems"]]

    def note(self, seed: int) -> Note:
        """Play a seed without a mutant. Raise RuntimeError if it cannot be played."""
        if (answer := self._answer(seed, None)) is None:
            raise RuntimeError(f"seed {seed} cannot be played without a mutant")
        return Note(frozenset(Kind(kind) for kind, _ in answer["problems"]), frozenset(answer["passed_by"]))

    def _answer(self, seed: int, name: str | None) -> Any:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a player without pipes")
        try:
            print(json.dumps([seed, name]), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise RuntimeError(f"the process that plays seeds has ended, asked for {seed} with {name}") from error

    def close(self) -> None:
        """End the process, and what it plays."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


class Players:
    """Players for some threads, each started when it is first needed, and notes that all of them use. Close them."""

    def __init__(self, notes: Notes | None = None) -> None:
        self._idle: SimpleQueue[Player] = SimpleQueue()
        self._all: list[Player] = []
        self._notes = notes or Notes()
        self._known = known_seeds()

    @contextmanager
    def one(self) -> Iterator[Player]:
        """Give a player, for one thread at a time."""
        try:
            player = self._idle.get_nowait()
        except Empty:
            player = Player()
            self._all.append(player)
        try:
            yield player
        finally:
            self._idle.put(player)

    def close(self) -> None:
        """End all of them."""
        for player in self._all:
            player.close()

    def found_by(self, mutant: Mutant, seeds: Sequence[int]) -> Result:
        """The first seed, the kept one before all others, that has a problem with the mutant and not without it."""
        began, known, played, passed_by = time.monotonic(), self._known.get(mutant.name), 0, 0

        def result(seed: int | None, kind: str, problem: str) -> Result:
            return Result(mutant, seed, kind, problem, played, passed_by, time.monotonic() - began)

        order = [*([] if known is None else [known]), *(seed for seed in seeds if seed != known)]
        with self.one() as player:
            for seed in order:
                if seed != known and self._notes.of(seed, player.note).is_passed_by(mutant):
                    passed_by += 1
                    continue
                played += 1
                if (found := player.problems(seed, mutant)) is None:
                    return result(None, "", f"seed {seed} did not end")
                named = [one for one in found if one[0] not in NO_HARM]
                before = self._notes.of(seed, player.note).kinds if named else frozenset[Kind]()
                if new := [one for one in named if one[0] not in before]:
                    return result(seed, new[0][0].value, new[0][1])
        return result(None, "", "")


def results(mutants: Sequence[Mutant], seeds: Sequence[int], jobs: int) -> Iterator[Result]:
    """Each mutant's fate, as it becomes known."""
    players, pool = Players(), ThreadPoolExecutor(jobs)
    try:
        for done in as_completed([pool.submit(players.found_by, mutant, seeds) for mutant in mutants]):
            yield done.result()
    finally:  # a player that has ended ends what waits for it
        pool.shutdown(wait=False, cancel_futures=True)
        players.close()
        pool.shutdown()
