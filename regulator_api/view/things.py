"""Assets, records and transactions by their names."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa

from core.model.types import AssetId, ChainId
from core.runtime.web import after
from indexer import tables
from indexer.projections.records import RecordRow, record_row
from regulator_api.view.base import View
from regulator_api.view.whole import first_heights

Key = tuple[str, str, str, int]
"""Chain, namespace, key and version of a record."""
_NEWEST: Final = tables.records.alias("newest")


def transactions(view: View, tx_hash: bytes) -> list[ChainId]:
    """Return the chains on which a transaction with this hash left events that the caller may see."""
    event = tables.events.c
    query = view.few.events().with_only_columns(event.chain).where(event.tx_hash == tx_hash).distinct()
    return [ChainId(chain) for chain in view.connection.execute(query.order_by(event.chain)).scalars()]


def assets_named(view: View, symbol: str, limit: int) -> list[tuple[AssetId, str]]:
    """Return assets that call themselves so, in upper or lower case, with what they call themselves."""
    named = [
        sa.select(table.c.asset, table.c.symbol).where(sa.func.lower(table.c.symbol) == symbol.lower())
        for table in (tables.assets, tables.asset_reports)
    ]
    union = sa.union(*named).subquery()
    query = sa.select(union.c.asset, union.c.symbol).order_by(union.c.asset)
    found = view.connection.execute(query if view.restricted else query.limit(limit))
    named_here = first_heights(view) if view.restricted else None
    seen = ((AssetId(row.asset), row.symbol) for row in found if named_here is None or row.asset in named_here)
    return list(islice(seen, limit))


@dataclass(frozen=True, slots=True)
class RecordHit:
    """A record's newest version."""

    chain: ChainId
    namespace: str
    key: str
    version: int

    @property
    def path(self) -> str:
        """The path of its history in the API."""
        return f"/v1/records/{quote(self.chain)}/{quote(self.namespace, safe='')}/{quote(self.key, safe='')}"


def _records(view: View) -> sa.Select[Any]:
    row = tables.records.c
    return sa.select(tables.records).where(view.exists(row.chain, row.height), view.seen(row.author))


def list_records(
    view: View, chain: ChainId | None, namespace: str | None, limit: int, behind: Key | None = None
) -> list[RecordRow]:
    """Return the newest version of each record, by chain, namespace and key, at most `limit`."""
    row = tables.records.c
    newest = (
        sa.select(sa.func.max(_NEWEST.c.version))
        .where(_NEWEST.c.chain == row.chain, _NEWEST.c.namespace == row.namespace)
        .where(_NEWEST.c.record_key == row.record_key, view.exists(_NEWEST.c.chain, _NEWEST.c.height))
        .where(view.seen(_NEWEST.c.author))
        .scalar_subquery()
    )
    order = (row.chain, row.namespace, row.record_key, row.version)
    query = _records(view).where(row.version == newest, after(order, behind)).order_by(*order).limit(limit)
    if chain is not None:
        query = query.where(row.chain == chain)
    if namespace is not None:
        query = query.where(row.namespace == namespace)
    return [record_row(found) for found in view.connection.execute(query)]


def record_history(
    view: View, chain: ChainId, namespace: str, key: str, limit: int, below: int | None
) -> list[RecordRow]:
    """Return the versions of a record, the newest first, at most `limit`, below the version `below`."""
    row = tables.records.c
    query = _records(view.few).where(row.chain == chain, row.namespace == namespace, row.record_key == key)
    if below is not None:
        query = query.where(row.version < below)
    return [record_row(found) for found in view.connection.execute(query.order_by(row.version.desc()).limit(limit))]


def records_named(view: View, words: str, limit: int) -> list[RecordHit]:
    """Return the records that are called `namespace/key`."""
    namespace, slash, key = words.partition("/")
    if not slash:
        return []
    row = tables.records.c
    query = (
        _records(view.few)
        .with_only_columns(row.chain, sa.func.max(row.version).label("version"))
        .where(row.namespace == namespace, row.record_key == key)
        .group_by(row.chain)
        .order_by(row.chain)
        .limit(limit)
    )
    return [RecordHit(ChainId(one.chain), namespace, key, one.version) for one in view.connection.execute(query)]
