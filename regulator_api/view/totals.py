"""Sums over a chain's whole history, which grow at its end: what lies below finality is added up once.

Of each chain the sums through one irreversible block are remembered, and an answer adds what came behind it. They are
used for as long as that block stands: one that is replaced after all, or a moment before it, is added up from the
beginning. For callers who see all.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from core.model.facts import BlockHeader
from core.model.types import AssetId, BlockRef, ChainId, Height, chain_of
from indexer import reading, tables
from indexer.projections.conservation import Conservation, Verbs, conservation, verbs_at
from regulator_api.view.base import View
from regulator_api.view.figures import height_of


@dataclass(frozen=True, slots=True)
class _Kept:
    """Sums through an irreversible block."""

    block: BlockRef
    transfers: int
    verbs: Verbs


class Totals:
    """Remembers sums of the chains of one database. Threads may share it: what they keep is never changed."""

    def __init__(self) -> None:
        self._kept: dict[ChainId, _Kept] = {}

    def transfers(self, view: View) -> int:
        """Return the number of transfers as of the view's moment."""
        return sum(self._transfers(view, chain, block.ref) for chain, block in view.as_of.blocks.items())

    def conservation(self, view: View, asset: AssetId) -> Conservation:
        """Return what was locked of the asset, and what became of it, as of the view's moment."""
        chain = chain_of(asset)
        block = view.as_of.blocks.get(chain)
        if block is None:
            return conservation(view.connection, asset, height_of(view, chain))
        kept = self._at(view, chain, block.ref)
        if kept is not None and kept.block == block.ref:
            verbs = kept.verbs
        else:
            verbs = verbs_at(view.connection, chain, block.ref, None if kept is None else kept.verbs)
        return conservation(view.connection, asset, block.height, verbs)

    def _transfers(self, view: View, chain: ChainId, block: BlockRef) -> int:
        kept = self._at(view, chain, block)
        if kept is None:
            return reading.transfers(view.connection, chain, block.height)
        return kept.transfers + reading.transfers(view.connection, chain, block.height, kept.block.height)

    def _at(self, view: View, chain: ChainId, block: BlockRef) -> _Kept | None:
        """The sums to go on from for an answer as of this block, None if there are none at or below it."""
        final = _final(view, chain)
        kept = self._kept.get(chain)
        if kept is not None and not _stands(view, kept.block):
            self._kept.pop(chain, None)
            kept = None
        if final is not None and final.height <= block.height and (kept is None or kept.block.height < final.height):
            kept = self._kept[chain] = _through(view, chain, final.ref, kept)
        return kept if kept is not None and kept.block.height <= block.height else None


def _through(view: View, chain: ChainId, block: BlockRef, before: _Kept | None) -> _Kept:
    above: Height | None = None if before is None else before.block.height
    return _Kept(
        block,
        reading.transfers(view.connection, chain, block.height, above) + (0 if before is None else before.transfers),
        verbs_at(view.connection, chain, block, None if before is None else before.verbs),
    )


def _final(view: View, chain: ChainId) -> BlockHeader | None:
    place = view.as_of.chains.get(chain)
    return None if place is None else place.finalized


def _stands(view: View, block: BlockRef) -> bool:
    of = tables.blocks.c
    query = sa.select(of.hash).where(of.chain == block.chain, tables.CANONICAL_BLOCK, of.height == block.height)
    found = view.connection.execute(query).scalar()
    return found is not None and bytes(found) == block.hash
