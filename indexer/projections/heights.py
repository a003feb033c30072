"""The heights of blocks that are taken back."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from core.model.types import ChainId
from indexer.tables import blocks


def lowest_height(chain: ChainId, hashes: Sequence[bytes]) -> sa.ScalarSelect[Any]:
    """Return the lowest height of these blocks. If they are the newest of the chain, all from there on is theirs."""
    query = sa.select(sa.func.min(blocks.c.height)).where(blocks.c.chain == chain, blocks.c.hash.in_(hashes))
    return query.scalar_subquery()
