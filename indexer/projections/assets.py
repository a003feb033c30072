"""Which assets there are, and what they call themselves.

Three sources, and each says which it is. A ledger that defines assets by itself says so in an event: that is a fact.
What a token's contract says, or a ledger's state, has to be asked for and is in no block: whoever asks reports it, it
stands in a table of its own that no rebuild touches, and it gives way to facts. What only moved, or was locked, stands
here without a name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import AssetDefined, Block, ChainEvent, Locked, Transferred
from core.model.types import AccountId, Asset, AssetId, ChainId, Height, chain_of
from core.runtime.inserts import insert_if_absent
from indexer.projections.heights import HASHES, OF_CHAIN
from indexer.tables import asset_reports, assets
from indexer.writing import insert_many

CHUNK: Final = 500
MAX_TEXT_CHARS: Final = 128
_KNOWN: Final = sa.select(assets.c.asset).where(assets.c.asset.in_(sa.bindparam("wanted", expanding=True)))
_SAID: Final = ("name", "symbol", "decimals", "source")
"""The columns of a report of an asset."""
_CHANGE_REPORT: Final = sa.update(asset_reports).where(
    asset_reports.c.asset == sa.bindparam("of_asset"),
    sa.or_(*(asset_reports.c[name] != sa.bindparam(f"new_{name}") for name in _SAID)),
)
_UNDEFINED: Final = {"issuer": None, "symbol": None, "decimals": None, "defined_block": None}
_UNDEFINE: Final = (
    sa.update(assets).where(assets.c.chain == OF_CHAIN, assets.c.defined_block.in_(HASHES)).values(_UNDEFINED)
)
_FORGET: Final = sa.delete(assets).where(assets.c.chain == OF_CHAIN, assets.c.first_block.in_(HASHES))


class AssetSource(StrEnum):
    """Who says what an asset is called: an event of its ledger, its contract when asked, its ledger's state when asked,
    or the operator's configuration."""

    EVENT = "event"
    CONTRACT = "contract"
    LEDGER = "ledger"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class AssetRow:
    """One asset. `symbol`, `decimals` and `source` are None if nobody said; `first_height` is None before a block
    that was indexed names it. `issuer` is known of assets that an event defined."""

    asset: AssetId
    symbol: str | None
    name: str
    decimals: int | None
    source: AssetSource | None
    issuer: AccountId | None
    first_height: Height | None

    @property
    def chain(self) -> ChainId:
        return chain_of(self.asset)


def apply(connection: Connection, blocks: Sequence[Block]) -> None:
    """Store what these blocks, oldest first, say of assets."""
    made: dict[AssetId, dict[str, Any]] = {}
    defined: dict[AssetId, dict[str, Any]] = {}
    for block in blocks:
        place = block.header.ref
        for logged in block.events:
            asset = _named(logged.event)
            if asset is None:
                continue
            if isinstance(logged.event, AssetDefined):
                defined.setdefault(asset, _definition(logged.event, place.hash))
            if asset not in made:
                row = {"asset": asset, "chain": place.chain, "first_height": place.height, "first_block": place.hash}
                made[asset] = row | _UNDEFINED
    known = _known(connection, sorted(made))
    insert_many(connection, assets, [row | defined.get(asset, {}) for asset, row in made.items() if asset not in known])
    for asset, values in defined.items():
        if asset in known:
            only_first = sa.and_(assets.c.asset == asset, assets.c.defined_block.is_(None))
            connection.execute(sa.update(assets).where(only_first).values(values))


def _named(event: ChainEvent) -> AssetId | None:
    if isinstance(event, Transferred | AssetDefined):
        return event.asset
    return event.terms.asset if isinstance(event, Locked) else None


def _definition(event: AssetDefined, block_hash: bytes) -> dict[str, Any]:
    return {
        "issuer": event.issuer,
        "symbol": event.symbol,
        "decimals": event.decimals,
        "defined_block": block_hash,
    }


def _known(connection: Connection, wanted: Sequence[AssetId]) -> set[AssetId]:
    found: set[AssetId] = set()
    for first in range(0, len(wanted), CHUNK):
        rows = connection.execute(_KNOWN, {"wanted": wanted[first : first + CHUNK]})
        found.update(AssetId(row.asset) for row in rows)
    return found


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, said."""
    for first in range(0, len(hashes), CHUNK):
        gone = {"of_chain": chain, "hashes": hashes[first : first + CHUNK]}
        connection.execute(_UNDEFINE, gone)
        connection.execute(_FORGET, gone)


def report_assets(connection: Connection, reported: Iterable[Asset], now_ns: int) -> None:
    """Keep what was learnt by asking; what is said now takes the place of what was said before."""
    for one in reported:
        texts = {"name": one.name[:MAX_TEXT_CHARS], "symbol": one.symbol[:MAX_TEXT_CHARS]}
        values = {**texts, "decimals": one.decimals, "source": _asked(one.id).value}
        if insert_if_absent(
            connection, asset_reports, asset=one.id, chain=chain_of(one.id), reported_ns=now_ns, **values
        ):
            continue
        asked = {"of_asset": one.id, **{f"new_{name}": value for name, value in values.items()}}
        connection.execute(_CHANGE_REPORT, {**asked, **values, "reported_ns": now_ns})


def _asked(asset: AssetId) -> AssetSource:
    """Return the source of an asset's description: no chain knows the name of its native coin."""
    if "/slip44:" in asset:
        return AssetSource.CONFIGURATION
    return AssetSource.CONTRACT if "/erc20:" in asset else AssetSource.LEDGER


def list_assets(
    connection: Connection, chain: ChainId | None, limit: int, after: AssetId | None = None
) -> list[AssetRow]:
    """Every asset that was seen or reported, by id, at most `limit`; `after` is the last one of the page before."""
    every = sa.union(*(sa.select(table.c.asset, table.c.chain) for table in (assets, asset_reports))).subquery()
    query = _described(every).limit(limit)
    if chain is not None:
        query = query.where(every.c.chain == chain)
    if after is not None:
        query = query.where(every.c.asset > after)
    return [_row(row) for row in connection.execute(query)]


def assets_among(connection: Connection, wanted: Sequence[AssetId]) -> list[AssetRow]:
    """Return those of these assets that were seen or reported, by id."""
    found: list[AssetRow] = []
    for first in range(0, len(wanted), CHUNK):
        part = wanted[first : first + CHUNK]
        named = [sa.select(table.c.asset).where(table.c.asset.in_(part)) for table in (assets, asset_reports)]
        found += [_row(row) for row in connection.execute(_described(sa.union(*named).subquery()))]
    return sorted(found, key=lambda row: row.asset)


def reported(connection: Connection, asset: AssetId) -> AssetRow | None:
    """Return the asset as it was reported, None if nobody reported it, without anything that a block says."""
    row = connection.execute(sa.select(asset_reports).where(asset_reports.c.asset == asset)).first()
    if row is None:
        return None
    return AssetRow(asset, row.symbol, row.name, row.decimals, AssetSource(row.source), None, None)


def _described(named: sa.FromClause) -> sa.Select[Any]:
    """Select what is known of these assets, by id, for `_row`."""
    return (
        sa.select(
            named.c.asset,
            assets.c.issuer,
            assets.c.first_height,
            assets.c.symbol.label("defined_symbol"),
            assets.c.decimals.label("defined_decimals"),
            asset_reports.c.name,
            asset_reports.c.symbol,
            asset_reports.c.decimals,
            asset_reports.c.source,
        )
        .outerjoin(assets, assets.c.asset == named.c.asset)
        .outerjoin(asset_reports, asset_reports.c.asset == named.c.asset)
        .order_by(named.c.asset)
    )


def _row(row: Any) -> AssetRow:
    by_event = row.defined_symbol is not None
    source = AssetSource.EVENT if by_event else None if row.source is None else AssetSource(row.source)
    return AssetRow(
        asset=AssetId(row.asset),
        symbol=row.defined_symbol if by_event else row.symbol,
        name=row.name or "",
        decimals=row.defined_decimals if by_event else row.decimals,
        source=source,
        issuer=None if row.issuer is None else AccountId(row.issuer),
        first_height=None if row.first_height is None else Height(row.first_height),
    )


MAX_DESCRIBED: Final = 1_000
"""Assets whose symbols and decimals are given with an answer."""


def described(connection: Connection, configured: Mapping[AssetId, Asset]) -> dict[AssetId, Asset]:
    """Return what events, reports or the configuration call assets; of several the last of these goes first."""
    found: dict[AssetId, Asset] = {}
    for row in connection.execute(_REPORTED).all():
        found[AssetId(row.asset)] = Asset(AssetId(row.asset), row.symbol, row.decimals, row.name)
    for row in connection.execute(_DEFINED).all():
        found[AssetId(row.asset)] = Asset(AssetId(row.asset), row.symbol, row.decimals)
    return {**found, **configured}


_REPORTED: Final = sa.select(asset_reports).order_by(asset_reports.c.asset).limit(MAX_DESCRIBED)
_DEFINED: Final = (
    sa.select(assets.c.asset, assets.c.symbol, assets.c.decimals)
    .where(assets.c.symbol.is_not(None), assets.c.decimals.is_not(None))
    .order_by(assets.c.asset)
    .limit(MAX_DESCRIBED)
)
