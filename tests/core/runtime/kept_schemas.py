"""Schemas that stood on disk, as statements of SQL: what migrations have to begin with.

    python -m tests.core.runtime.kept_schemas      keeps the present one, once a version with it is released

All rooms' tables are in them, those of a dApp's client too.
"""

import re
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from core.runtime import deliveries as delivery_tables
from core.runtime import journal as journal_tables
from core.runtime import leases as lease_tables
from core.runtime.database import METADATA, SCHEMA
from indexer import tables as indexer_tables
from regulator_api import audit as audit_tables
from relayer.client import store as client_tables
from relayer.pump import set_aside as kept_fact_tables
from relayer.pump import tables as swap_tables
from relayer.transactions import records as transaction_tables

KEPT: Final = Path(__file__).parent / "schemas"
METADATAS: Final = (METADATA, client_tables.METADATA)
ROOMS: Final = (
    delivery_tables,
    journal_tables,
    lease_tables,
    indexer_tables,
    audit_tables,
    kept_fact_tables,
    swap_tables,
    transaction_tables,
)
"""Imported so that their tables are known."""
DIALECTS: Final = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}  # type: ignore[no-untyped-call]


def statements(file: Path) -> list[str]:
    return [one for one in file.read_text().split(";\n") if one.strip()]


def keep() -> None:
    for name, dialect in DIALECTS.items():
        written = [
            _text(made, dialect)
            for metadata in METADATAS
            for table in metadata.sorted_tables
            for made in _making(table)
        ]
        (KEPT / f"{SCHEMA}.{name}.sql").write_text("".join(f"{one};\n\n" for one in written))


def _making(table: sa.Table) -> list[CreateTable | CreateIndex]:
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    return [CreateTable(table), *map(CreateIndex, indexes)]


def _text(made: CreateTable | CreateIndex, dialect: sa.Dialect) -> str:
    return re.sub(r"[ \t]+$", "", str(made.compile(dialect=dialect)).strip().expandtabs(4), flags=re.MULTILINE)


if __name__ == "__main__":
    keep()
