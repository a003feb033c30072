"""Plays mutants: each in a process of its own, over the seed that found it last and then over the others.

A mutant is found by a problem that the same seed does not have without it, and that names a harm: that the
specification refuses a trace, or that the story itself breaks off, is not enough.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.simulation.mutants.planting import ROOT, Mutant, Planter
from gateway.simulation.verdict.problem import Kind

FOUND: Final = Path(__file__).with_name("found.json")
"""The seed that found each mutant, by its name."""
STUCK_S: Final = 1_800.0
"""The time after which a mutant without a problem has survived."""
NO_HARM: Final = frozenset({Kind.TRACE_REFUSED, Kind.STORY_UNENDED})
"""Kinds that name no harm by themselves."""


@dataclass(frozen=True, slots=True)
class Result:
    """A mutant's fate. `seed` is None if it survived; `kind` and `problem`: the first new one, else why not."""

    mutant: Mutant
    seed: int | None
    kind: str
    problem: str
    seconds: float


def known_seeds() -> dict[str, int]:
    """The seeds that are kept."""
    kept: dict[str, int] = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}
    return kept


def keep_seeds(seeds: Mapping[str, int]) -> None:
    """Keep these seeds in place of the ones that are kept."""
    FOUND.write_text(json.dumps(dict(sorted(seeds.items())), indent=1) + "\n", encoding="utf-8")


def serve(mutant: Mutant | None) -> int:
    """In a process of its own: play each seed that a line of standard input names, and answer with its problems in a
    line of JSON, as pairs of kind and text."""
    if mutant is not None:
        sys.meta_path.insert(0, Planter(mutant.edits))
    from gateway.simulation.campaign import settle
    from gateway.simulation.story import run

    settle()
    for line in sys.stdin:
        try:
            found = [(problem.kind.value, problem.text) for problem in run(int(line)).problems]
        except Exception as error:
            found = [(Kind.STORY_UNENDED.value, f"{type(error).__name__}: {error}")]
        print(json.dumps(found), flush=True)
    return 0


class Player:
    """A process that plays seeds with a mutant, or without any. Close it."""

    def __init__(self, mutant: Mutant | None) -> None:
        command = [sys.executable, "-m", "gateway.simulation.mutants", "--serve", "" if mutant is None else mutant.name]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self._timer = threading.Timer(STUCK_S, self._process.kill)
        if mutant is not None:
            self._timer.start()

    def problems(self, seed: int) -> list[tuple[Kind, str]] | None:
        """Return what is wrong with a seed; None if the process ended or was stuck."""
        if self._process.stdin is None or self._process.stdout is None:
            return None
        try:
            print(seed, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            return None
        answer = self._process.stdout.readline()
        return [(Kind(kind), text) for kind, text in json.loads(answer)] if answer else None

    def close(self) -> None:
        """End the process."""
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()


class Clean:
    """Each seed's problems without a mutant: played once, when first asked for, in one process for all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._player: Player | None = None
        self._kinds: dict[int, frozenset[Kind]] = {}

    def kinds(self, seed: int) -> frozenset[Kind]:
        """The kinds of its problems. Raise RuntimeError if the seed cannot be played."""
        with self._lock:
            if seed not in self._kinds:
                self._player = self._player or Player(None)
                found = self._player.problems(seed)
                if found is None:
                    raise RuntimeError(f"seed {seed} cannot be played without a mutant")
                self._kinds[seed] = frozenset(kind for kind, _ in found)
            return self._kinds[seed]

    def close(self) -> None:
        """End its process."""
        if self._player is not None:
            self._player.close()


def found_by(mutant: Mutant, seeds: Sequence[int], clean: Clean) -> Result:
    """The first seed, the kept one before all others, that has a problem with the mutant and not without it."""
    began, player, known = time.monotonic(), Player(mutant), known_seeds().get(mutant.name)
    order = [*([] if known is None else [known]), *(seed for seed in seeds if seed != known)]
    try:
        for seed in order:
            found = player.problems(seed)
            if found is None:
                return Result(mutant, None, "", f"seed {seed} did not end", time.monotonic() - began)
            named = [one for one in found if one[0] not in NO_HARM]
            new = [one for one in named if one[0] not in clean.kinds(seed)] if named else []
            if new:
                kind, text = new[0]
                return Result(mutant, seed, kind.value, text, time.monotonic() - began)
    finally:
        player.close()
    return Result(mutant, None, "", "", time.monotonic() - began)


def results(mutants: Sequence[Mutant], seeds: Sequence[int], jobs: int) -> Iterator[Result]:
    """Each mutant's fate, as it becomes known."""
    clean = Clean()
    try:
        with ThreadPoolExecutor(jobs) as pool:
            for done in as_completed([pool.submit(found_by, mutant, seeds, clean) for mutant in mutants]):
                yield done.result()
    finally:
        clean.close()
