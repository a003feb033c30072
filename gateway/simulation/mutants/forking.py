"""A process that imports everything once, and plays each seed in a fork of itself.

`python -m gateway.simulation.mutants.forking` reads a line of JSON for each try, `[seed, the bug's name or null]`, and
answers with one: what the fork found, or null if that ended by itself, or by `TRY_S`. A bug inside of functions is put
into the fork as code; for another one the fork becomes a new process, which imports the edited text.
"""

import builtins
import gc
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from importlib import import_module
from pathlib import PurePosixPath
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from gateway.simulation.mutants import MUTANTS, ROOT, Mutant
from gateway.simulation.mutants.places import CAME_BY, Change, Place, changes, checking_lines, probed
from gateway.simulation.mutants.planting import Planter

MODULE: Final = "gateway.simulation.mutants.forking"
TRY_S: Final = 900
"""The time after which a try is over: on a busy machine a dense town takes a minute."""
MEMORY_BYTES: Final = 4 << 30
"""A try that wants more finds no memory; without a bug it takes 0.3 GiB."""
_PIECE: Final = 1 << 16

Answer = dict[str, Any]
"""`problems`: pairs of kind and text; and without a bug `passed_by`: the marks of bugs that change nothing there."""
_Place = tuple[str, int, str]


def main() -> int:
    """Answer each line until there are no more; or play `[seed, name]` of the command line with the bug imported."""
    if len(sys.argv) > 1:
        seed, name = json.loads(sys.argv[1])
        sys.meta_path.insert(0, Planter(_named(name).edits))
        _settle()
        print(json.dumps(_play(seed)))
        return 0
    imported = Imported()
    for line in sys.stdin:
        seed, name = json.loads(line)
        work = imported.noted(seed) if name is None else imported.tried(seed, _named(name))
        print(_forked(work) or "null", flush=True)
    return 0


class Imported:
    """Everything that a story needs, and whatever bugs change, as this process has it."""

    def __init__(self) -> None:
        self._ran = _import_everything()
        self._functions = _functions()
        self._inside: dict[str, tuple[Change, ...] | None] = {}
        _settle()

    def tried(self, seed: int, mutant: Mutant) -> Callable[[], Answer]:
        """Return what a fork does to play a seed with a bug."""
        if (changed := self._changed(mutant)) is None:
            command = [sys.executable, "-m", MODULE, json.dumps([seed, mutant.name])]
            return partial(os.execv, sys.executable, command)
        codes = [pair for change in changed for pair in change.codes]

        def work() -> Answer:
            self._put(codes)
            return _play(seed)

        return work

    def noted(self, seed: int) -> Callable[[], Answer]:
        """Return what a fork does to play a seed without a bug, and to note of which bugs it comes to no place."""
        probes, marks = self._probes

        def work() -> Answer:
            came_by: set[str] = set()
            setattr(builtins, CAME_BY, came_by.add)  # a name that each module finds
            self._put(probes)
            return {**_play(seed), "passed_by": sorted(marks - came_by)}

        return work

    @cached_property
    def _probes(self) -> tuple[list[tuple[CodeType, CodeType]], set[str]]:
        """Functions' code with a probe at each place of a bug, and the marks of these bugs."""
        marks: dict[str, dict[Place, set[str]]] = {}
        for mutant in MUTANTS:
            for change in self._changed(mutant) or ():
                for place in change.places:
                    marks.setdefault(change.path, {}).setdefault(place, set()).add(mutant.mark)
        codes = [pair for path, places in marks.items() for pair in probed(path, places)]
        return codes, {mark for places in marks.values() for those in places.values() for mark in those}

    def _changed(self, mutant: Mutant) -> tuple[Change, ...] | None:
        """Return the changes of a bug, if other code for functions is enough: whatever one of them did at import, it
        would have done otherwise with the bug."""
        if mutant.name not in self._inside:
            found = changes(mutant)
            places = [_place(code) for change in found or () for code, _ in change.codes]
            enough = all(place in self._functions and place not in self._ran for place in places)
            self._inside[mutant.name] = found if enough else None
        return self._inside[mutant.name]

    def _put(self, codes: Iterable[tuple[CodeType, CodeType]]) -> None:
        """Give functions other code, whoever holds them."""
        for code, other in codes:
            for function in self._functions.get(_place(code), ()):
                function.__code__ = other


def _named(name: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.name == name)


def _import_everything() -> set[_Place]:
    """Import what a story needs, and whatever a bug changes. Return the functions that ran meanwhile, but for those
    that only checks in modules' bodies asked for: what these return is kept nowhere."""
    ran: set[_Place] = set()
    paths = sorted({edit.path for mutant in MUTANTS for edit in mutant.edits})
    changed = {str(ROOT / path) for path in paths}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename in changed and not _is_for_a_check(frame):
            ran.add(_place(frame.f_code))

    sys.setprofile(note)
    try:
        import_module("gateway.simulation.story")
        for path in paths:
            import_module(".".join(PurePosixPath(path).with_suffix("").parts))
    finally:
        sys.setprofile(None)
    return ran


def _is_for_a_check(frame: FrameType) -> bool:
    """Return true if a module's body makes this call in one of its checks, or something that it calls there does."""
    outer: FrameType | None = frame
    while outer is not None and outer.f_code.co_name != "<module>":
        outer = outer.f_back
    return outer is not None and outer.f_lineno in checking_lines(outer.f_code.co_filename)


def _settle() -> None:
    from gateway.simulation.campaign import settle

    settle()


def _place(code: CodeType) -> _Place:
    return code.co_filename, code.co_firstlineno, code.co_name


def _functions() -> Mapping[_Place, list[FunctionType]]:
    """All functions that are known here, by the place of their code."""
    found: dict[_Place, list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(f"{ROOT}{os.sep}"):
            found.setdefault(_place(one.__code__), []).append(one)
    return found


def _play(seed: int) -> Answer:
    from gateway.simulation.story import run
    from gateway.simulation.verdict.problem import Kind

    try:
        return {"problems": [(problem.kind.value, problem.text) for problem in run(seed).problems]}
    except Exception as error:
        return {"problems": [(Kind.STORY_UNENDED.value, f"{type(error).__name__}: {error}")]}


def _forked(work: Callable[[], Answer]) -> str:
    """Return what `work` answers in a fork, as JSON; empty if that did not come to its end."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        _work(work, writing)
    os.close(writing)
    said = b"".join(_pieces(reading))
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return said.decode().strip() if status == 0 else ""


def _pieces(reading: int) -> Iterator[bytes]:
    while piece := os.read(reading, _PIECE):
        yield piece


def _work(work: Callable[[], Answer], writing: int) -> None:
    """In the fork: whatever it becomes, its standard output is the pipe, and its time and memory are bounded."""
    code = 1
    try:
        signal.setitimer(signal.ITIMER_REAL, TRY_S)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writing, 1)
        os.close(writing)
        answer = json.dumps(work()).encode()
        while answer:
            answer = answer[os.write(1, answer) :]
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
