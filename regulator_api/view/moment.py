"""The moment that an answer is about: of each chain a block, of what is known of accounts a version of the labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError
from core.model.facts import BlockHeader
from core.model.identifiers import parse_chain
from core.model.types import BlockRef, ChainId, ChainTime, Height
from indexer import tables
from indexer.feed import header_of
from regulator_api.knowledge.store import latest, moment_of
from regulator_api.knowledge.tables import label_head

MAX_CHAINS: Final = 64


@dataclass(frozen=True, slots=True)
class ChainPlace:
    """A chain as it is now: its first indexed height, its newest block and the newest that is irreversible."""

    start: Height
    tip: BlockHeader | None
    finalized: BlockHeader | None


_TIP, _FINAL = tables.blocks.alias("tip"), tables.blocks.alias("final")
_PARTS: Final = ("hash", "height", "parent_hash", "time_s")
_KNOWN: Final = ("version", "known_ns")
_PLACES: Final = (
    sa.select(
        tables.chains.c.chain,
        tables.chains.c.start_height,
        *(_TIP.c[name].label(f"tip_{name}") for name in _PARTS),
        *(_FINAL.c[name].label(f"final_{name}") for name in _PARTS),
        # The same in each row: one question instead of three.
        *(sa.select(label_head.c[name]).scalar_subquery().label(name) for name in _KNOWN),
        sa.select(tables.fact_order.c.last_seq).scalar_subquery().label("last_seq"),
    )
    .join(tables.cursors, tables.cursors.c.chain == tables.chains.c.chain)
    .outerjoin(_TIP, sa.and_(_TIP.c.chain == tables.cursors.c.chain, _TIP.c.hash == tables.cursors.c.tip_hash))
    .outerjoin(
        _FINAL, sa.and_(_FINAL.c.chain == tables.cursors.c.chain, _FINAL.c.hash == tables.cursors.c.finalized_hash)
    )
    .order_by(tables.chains.c.chain)
)


def _place(row: Any) -> ChainPlace:
    return ChainPlace(Height(row.start_height), _header(row, "tip"), _header(row, "final"))


def _header(row: Any, which: str) -> BlockHeader | None:
    block_hash, height, parent, time_s = (getattr(row, f"{which}_{name}") for name in _PARTS)
    if block_hash is None:
        return None
    chain = ChainId(row.chain)
    return BlockHeader(BlockRef(chain, Height(height), bytes(block_hash)), bytes(parent), ChainTime(chain, time_s))


@dataclass(frozen=True, slots=True)
class AsOf:
    """The moment that an answer is about: of each chain the newest block that exists for it, and what was known of
    accounts. `chains` are the chains as they are now, `facts` the number of the newest fact; `newest` is true if no
    block is left out."""

    blocks: Mapping[ChainId, BlockHeader]
    chains: Mapping[ChainId, ChainPlace]
    label_version: int
    known_ns: int
    newest: bool
    facts: int

    @property
    def text(self) -> str:
        """The moment as `as_of` takes it: heights by chain."""
        return ",".join(f"{chain}@{self.blocks[chain].height}" for chain in sorted(self.blocks))

    def final(self, chain: ChainId) -> Height:
        """The newest height of the chain that is irreversible, -1 for none."""
        row = self.chains.get(chain)
        return Height(-1) if row is None or row.finalized is None else row.finalized.height

    @property
    def members(self) -> dict[str, str | int]:
        """The moment as members of a problem document: ask for the same one by `as_of` and `labels`."""
        return {"as_of": self.text or "latest", "labels": self.label_version}

    @property
    def time_s(self) -> int:
        """The latest block time of all chains, 0 before there is a block."""
        return max((block.time.seconds for block in self.blocks.values()), default=0)


MOMENT: Final = web.RequestKey("moment", AsOf)
"""The moment that the answer to a request is about, once one is taken: a refusal names it, too."""


def as_of(connection: Connection, text: str | None, labels: int | None, default: str = "latest") -> AsOf:
    """Return the moment that a caller asks for. `text` is `latest`, `finalized`, or `<chain>@<height>` of one or more
    chains, joined by commas; chains that it does not name are as of their finalized block.

    Raise `RejectedError` for another form and for blocks that are not indexed, `NotFoundError` for unknown chains and
    label versions.
    """
    read = connection.execute(_PLACES).all()
    rows = {ChainId(row.chain): _place(row) for row in read}
    asked = text or default
    named = {} if asked in ("latest", "finalized") else _heights(asked, rows)
    blocks: dict[ChainId, BlockHeader] = {}
    for chain, row in rows.items():
        block = row.tip if asked == "latest" else row.finalized
        if chain in named and row.tip is not None and named[chain] != row.tip.height:
            block = _block_at(connection, chain, named[chain])
        elif chain in named:
            block = row.tip
        if block is not None:
            blocks[chain] = block
    head = (read[0].version or 0, read[0].known_ns or 0) if read else latest(connection)
    version, known_ns = head if labels is None else (labels, moment_of(connection, labels))
    newest = all(row.tip is None or blocks.get(chain) == row.tip for chain, row in rows.items())
    return AsOf(blocks, rows, version, known_ns, newest, (read[0].last_seq or 0) if read else 0)


def _heights(text: str, rows: Mapping[ChainId, ChainPlace]) -> dict[ChainId, Height]:
    found: dict[ChainId, Height] = {}
    parts = text.split(",")
    if len(parts) > MAX_CHAINS:
        raise RejectedError(f"as_of names at most {MAX_CHAINS} chains")
    for part in parts:
        name, at, height = part.rpartition("@")
        if not at or not (height.isascii() and height.isdecimal()) or len(height) > 15:
            raise RejectedError(f"as_of is latest, finalized, or <chain>@<height>, …: {part[:80]!a} is none of them")
        chain = parse_chain(name)
        if chain not in rows:
            raise NotFoundError(f"{chain} is not supervised here: /v1/chains lists the chains that are", chain=chain)
        row = rows[chain]
        tip = -1 if row.tip is None else row.tip.height
        if not row.start <= int(height) <= tip:
            raise RejectedError(f"{chain} is indexed from block {row.start} to {tip}: block {height} is not among them")
        if chain in found:
            raise RejectedError(f"as_of names {chain} twice")
        found[chain] = Height(int(height))
    return found


def _block_at(connection: Connection, chain: ChainId, height: Height) -> BlockHeader:
    """Raise `RejectedError` for a height of which no header is stored."""
    of = tables.blocks.c.chain == chain, tables.blocks.c.height == height, tables.CANONICAL_BLOCK
    row = connection.execute(sa.select(tables.blocks).where(*of)).first()
    if row is None:
        raise RejectedError(f"no header of block {height} of {chain} is stored here: ask for the block before or after")
    return header_of(row)
