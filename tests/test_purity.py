"""Pure modules load nothing that does I/O: each is imported in an interpreter of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("aiohttp", "asyncio", "asyncpg", "prometheus_client", "sqlalchemy", "sqlite3", "structlog")
IMPURE = {"htlc.engine", "queries.engine", "queries.together"}
"""The machines over a database, and what asks provers."""


def modules(folder: str) -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    )


PURE = [
    *(name for room in ("htlc", "queries") for name in modules(room) if name not in IMPURE),
    *modules("core/model"),
    *modules("core/proofs"),
    "relayer.inventory",
]


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """For each pure module, which of `HEAVY` a fresh interpreter has after importing it."""
    program = (
        "import importlib, json, os, sys\n"
        "heavy, names, found = json.loads(sys.argv[1]), json.loads(sys.argv[2]), {}\n"
        "for name in names:\n"
        "    reader, writer = os.pipe()\n"
        "    if (child := os.fork()) == 0:\n"
        "        importlib.import_module(name)\n"
        "        os.write(writer, json.dumps([one for one in heavy if one in sys.modules]).encode())\n"
        "        os._exit(0)\n"
        "    os.close(writer)\n"
        "    with os.fdopen(reader) as answer:\n"
        "        found[name] = answer.read()\n"
        "    os.waitpid(child, 0)\n"
        "print(json.dumps({name: json.loads(text) if text else ['does not import'] for name, text in found.items()}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(HEAVY), json.dumps(PURE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_loads_nothing_that_does_io(loaded: dict[str, list[str]], name: str) -> None:
    assert loaded[name] == []


def test_the_check_can_fail() -> None:
    program = "import sys, htlc.engine; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
