"""SQL stands where a newcomer looks for it, and a room's tables are its own."""

import ast
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("core", "htlc", "queries", "adapters", "relayer", "regulator_api", "gateway")
SQL_STANDS_IN = (
    *("core/runtime/", "relayer/pump/tables.py", "relayer/pump/promises.py", "relayer/pump/places.py"),
    *("relayer/pump/set_aside.py", "relayer/transactions/records.py", "relayer/transactions/sequences.py"),
    *("relayer/transactions/accounts.py", "relayer/transactions/orders.py", "relayer/client/store.py"),
    *(
        "regulator_api/audit.py",
        "regulator_api/access/usage.py",
        "regulator_api/knowledge/",
        "regulator_api/streaming/hooks.py",
        "regulator_api/streaming/proposals.py",
        "regulator_api/travel/records.py",
        "gateway/simulation/",
        "relayer/provider/price_rows.py",
        "relayer/switchboard.py",
    ),
    *(
        "relayer/treasury/orders.py",
        "relayer/notices/webhook_rows.py",
        "relayer/reloads.py",
    ),
    *("relayer/api/access.py", "relayer/asking/rows.py", "relayer/asking/follow_rows.py", "relayer/bridging/asked.py"),
    *(f"regulator_api/rules/{name}.py" for name in ("alerts", "cases", "engine", "store", "tables", "versions")),
    *(
        "relayer/bridging/ballots.py",
        "relayer/bridging/attestations_seen.py",
        "regulator_api/tracing/store.py",
        "regulator_api/exports/store.py",
    ),
    *("gateway/backup.py", "regulator_api/view/"),
)
"""The indexer is a room about SQL, a backup about every table; the simulation reads what the code under test stores."""
OWN_TABLES = {"indexer.tables": ("indexer/", "relayer/client/store.py", "gateway/simulation/", "regulator_api/view/")}
"""A client's store makes the indexer's tables in its own file. The view of the supervision API is where a caller's
scope and the moment of an answer go into every query."""
JOIN_PARTS = (
    *("relayer/service.py", "relayer/pump/wiring.py", "relayer/client/process.py", "relayer/client/swap_client.py"),
    "relayer/signals.py",
)
"""They hand a chain on to parts of which each needs another port; `signals` is what programs of version 0.1 import."""


def imports(path: Path) -> set[str]:
    """The modules that a file imports, `from a import b` as both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found


def files(*rooms: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for room in rooms for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", files(*ROOMS))
def test_sql_is_written_in_few_modules(path: str) -> None:
    if not path.startswith(SQL_STANDS_IN):
        # A `Connection` is passed through by many; building statements needs the package itself.
        assert "sqlalchemy" not in imports(ROOT / path)


@pytest.mark.parametrize(("tables", "owners"), OWN_TABLES.items())
def test_nobody_else_writes_sql_against_a_room_s_tables(tables: Any, owners: Any) -> None:
    others = [path for path in files("indexer", *ROOMS) if not path.startswith(owners)]
    assert [path for path in others if tables in imports(ROOT / path)] == []


@pytest.mark.parametrize("path", files("relayer", "indexer", "regulator_api", "htlc", "queries"))
def test_a_part_takes_ports_and_no_chain_as_a_whole(path: str) -> None:
    if path not in JOIN_PARTS:
        assert "core.model.ports.ChainAccess" not in imports(ROOT / path)
