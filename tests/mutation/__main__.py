"""`python -m tests.mutation [MODULE…] [--jobs 2] [--json]`: puts each fault in place, and sees that a test fails.

One session of pytest collects the tests and runs them once, to learn which lines each executes. For every fault a
process is forked, which gives the function its faulty code and runs the tests of those lines, the shortest first, until
one fails. Survivors are listed in `explained.txt` with a reason, or fail the run; so does a line there whose fault is
found now, or gone.
"""

import argparse
import ast
import gc
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import coverage
import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests import support
from tests.mutation.faults import Fault, faults

ROOT: Final = Path(__file__).resolve().parents[2]
EXPLAINED: Final = Path(__file__).with_name("explained.txt")
PATIENCE: Final = 10.0
"""With a fault, a test may take so many times as long as without it, and `GRACE_S` on top: if it hangs, it fails."""
GRACE_S: Final = 5.0
MEMORY_BYTES: Final = 3 << 30
"""A test that wants more fails, too."""
_HELD: Final = {
    "tests/htlc": "htlc/timelocks htlc/decisions htlc/facts htlc/transition",
    "tests/relayer/test_promises.py tests/relayer/test_inventory.py": "relayer/inventory",
    "tests/relayer/test_checks.py tests/relayer/test_purse.py tests/relayer/test_switches.py": "relayer/pump/checks",
    "rlp ethereum ethereum_forms mpt": "rlp mpt ethereum keccak",
    "protobuf ics23 smt merkle cometbft": "protobuf ics23 smt merkle",
    "lanes ethereum_evidence": "lanes",
    "zip215": "zip215",
    "beacon beacon_store": "beacon/bls beacon/chain beacon/containers beacon/light_client beacon/ssz",
    "light_client cometbft cometbft_bytes cometbft_json block_evidence": "cometbft/encoding cometbft/hashing "
    "cometbft/json cometbft/light_client cometbft/signing cometbft/types",
    "cometbft cometbft_bytes light_client zip215": "cometbft/sign_bytes ed25519",
    "evidence ethereum_evidence leaves canonical trails": "evidence/canonical evidence/codec evidence/state "
    "evidence/trail evidence/verification",
    "question_evidence synced_evidence ethereum_evidence trails": "evidence/attested evidence/ethereum_log "
    "evidence/ethereum_state evidence/ethereum_token evidence/forms evidence/layouts",
}
"""The tests and what they hold; those without a folder are of the proofs."""


def _held() -> Iterator[tuple[str, tuple[str, ...]]]:
    for tests, modules in _HELD.items():
        paths = tuple(one if "/" in one else f"tests/core/proofs/test_{one}.py" for one in tests.split())
        for module in modules.split():
            inside = module.startswith(("htlc/", "relayer/"))
            yield f"{module}.py" if inside else f"core/proofs/{module}.py", paths


TESTS: Final[Mapping[str, tuple[str, ...]]] = dict(_held())
"""Each module by its path, and the tests that hold it."""
_PLUGINS: Final = ("cacheprovider", "xdist", "terminal")
OPTIONS: Final = ("-s", "-m", "not alone and not long", "-k", "not real_node", *(f"-pno:{name}" for name in _PLUGINS))
"""Nothing that starts a process."""

Functions = Mapping[tuple[str, str], Sequence[FunctionType]]


class Session:
    """The plugin that takes the place of pytest's own loop over the tests."""

    def __init__(self, modules: Sequence[str], jobs: int, explained: Set[str]) -> None:
        self.planted: list[Fault] = []
        self.survived: list[Fault] = []
        self._modules, self._jobs, self._explained, self._failed = modules, jobs, explained, False
        self._items: dict[str, pytest.Item] = {}
        self._seconds: dict[str, float] = {}
        self._tests: dict[str, dict[str, list[str]]] = {}
        self._running: dict[int, Fault] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._measure()
        known = _functions()
        count = sum(1 for module in self._modules for _ in faults(module, parsed(module)))
        # Without a thread of its own: this process forks.
        with Progress(console=Console(stderr=True), auto_refresh=False) as progress:
            bar = progress.add_task("mutants", total=count)
            for module in self._modules:
                tree = parsed(module)
                for fault in faults(module, tree):
                    self._start(fault, tree, known)
                    progress.update(bar, advance=self._reap(self._jobs - 1), refresh=True)
            progress.update(bar, advance=self._reap(0), refresh=True)
        return True

    def _measure(self) -> None:
        """Learn each test's seconds and lines, in a forked process. Raise RuntimeError if a test fails."""

        def measure() -> int:
            paths = {module: str(ROOT / module) for module in self._modules}
            watch = coverage.Coverage(None, config_file=False, include=[*paths.values()], concurrency="greenlet")
            watch.start()
            for name in self._items:
                watch.switch_context(name)
                began = time.monotonic()
                if self._fails(name):
                    Path(file.name).write_text(json.dumps(name), encoding="utf-8")
                    return 1
                self._seconds[name] = time.monotonic() - began
            watch.stop()
            lines = {module: watch.get_data().contexts_by_lineno(path) for module, path in paths.items()}
            Path(file.name).write_text(json.dumps([self._seconds, lines]), encoding="utf-8")
            return 0

        with tempfile.NamedTemporaryFile() as file:
            _, status = os.waitpid(_forked(measure), 0)
            found = json.loads(Path(file.name).read_text(encoding="utf-8"))
        if status != 0:
            raise RuntimeError(f"{found} fails without a fault")
        self._seconds, self._tests = found

    def _fails(self, name: str) -> bool:
        self._items[name].config.hook.pytest_runtest_protocol(item=self._items[name], nextitem=None)
        return self._failed

    def _start(self, fault: Fault, tree: ast.Module, known: Functions) -> None:
        lines = (self._tests[fault.module].get(str(line), []) for line in fault.lines)
        tests = sorted(set().union(*lines), key=lambda name: (self._seconds[name], name))

        def fails(name: str) -> bool:
            # The signal of this timer ends the process.
            signal.setitimer(signal.ITIMER_REAL, GRACE_S + PATIENCE * self._seconds[name])
            return self._fails(name)

        def run() -> int:
            return 0 if not _put(tree, fault, known) else int(any(fails(name) for name in tests))

        self._running[_forked(run)] = fault
        self.planted.append(fault)

    def _reap(self, most: int) -> int:
        """Wait until at most this many run; return how many ended."""
        ended = 0
        while len(self._running) > most:
            pid, status = os.wait()
            with suppress(ProcessLookupError):  # what its tests started ends with it
                os.killpg(pid, signal.SIGKILL)
            fault = self._running.pop(pid)
            ended += 1
            if status == 0:
                self.survived.append(fault)
                if fault.key not in self._explained:
                    print(f"survived: {fault.key}  (line {fault.lines.start})", flush=True)
        return ended


def parsed(module: str) -> ast.Module:
    """The syntax tree of a module, by its path from the repository's root."""
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def _functions() -> Functions:
    """All functions that are known here, by the file and the name of their code."""
    found: dict[tuple[str, str], list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType):
            found.setdefault((one.__code__.co_filename, one.__code__.co_qualname), []).append(one)
    return found


def _put(tree: ast.Module, fault: Fault, known: Functions) -> bool:
    """Give the fault's function its code from this tree, whoever holds it. Return False if nobody does."""
    path = str(ROOT / fault.module)
    new = {(code.co_qualname, code.co_firstlineno): code for code in _codes(compile(tree, path, "exec"))}
    held = known.get((path, fault.place), ())
    for function in held:
        function.__code__ = new[fault.place, function.__code__.co_firstlineno]
    return bool(held)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _codes(one)


def _forked(work: Callable[[], int]) -> int:
    """Run `work` in a process and a process group of its own, without a voice; return its id."""
    if (pid := os.fork()) != 0:
        return pid
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        code = work()
    finally:
        os._exit(code)


def _explained(modules: Sequence[str]) -> set[str]:
    lines = EXPLAINED.read_text(encoding="utf-8").splitlines()
    keys = {line.rpartition(" | ")[0] for line in lines if line and not line.startswith("#")}
    return {key for key in keys if key.partition(" ")[0] in modules}


def main() -> int:
    """Plant the faults of the named modules; print a table, the survivors without a reason, and idle reasons."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help="paths of modules or folders; all without one")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--json", action="store_true", help="end with one JSON object, for programs")
    given = parser.parse_args()
    modules = [module for module in TESTS if not given.modules or module.startswith(tuple(given.modules))]
    # Published vectors are not on every machine: what they alone find has survived.
    support.VECTORS = Path(os.devnull)
    explained = _explained(modules)
    session, began = Session(modules, given.jobs, explained), time.monotonic()
    code = pytest.main([*OPTIONS, *sorted({path for module in modules for path in TESTS[module]})], plugins=[session])
    if code != 0 or not session.planted:
        print(f"no mutants were run: pytest ended with {code}", file=sys.stderr)
        return 2
    keys = {fault.key for fault in session.survived}
    left, idle = [fault for fault in session.survived if fault.key not in explained], sorted(explained - keys)
    counts = [Counter(fault.module for fault in group) for group in (session.planted, session.survived, left)]
    rows: list[dict[str, Any]] = []
    for module in modules:
        planted, survived, open_ones = (count[module] for count in counts)
        row = {"mutants": planted, "killed": planted - survived, "explained": survived - open_ones}
        rows.append({"module": module, **row, "survived": open_ones})
    table = Table("module", "mutants", "killed", "explained", "survived")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=100).print(table)
    print(*(f"explained, but found now or gone: {key}" for key in idle), sep="\n")
    print(f"{len(session.planted)} mutants, {time.monotonic() - began:.0f} s")
    if given.json:
        print(json.dumps({"modules": rows, "survived": [fault.key for fault in left], "idle": idle}))
    return int(bool(left or idle))


if __name__ == "__main__":
    sys.exit(main())
