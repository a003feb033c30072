"""Blocks that are taken back, in statements that are built once: `OF_CHAIN` and `HASHES` name them."""

from typing import Any, Final

import sqlalchemy as sa

from indexer.tables import blocks

OF_CHAIN: Final[sa.BindParameter[Any]] = sa.bindparam("of_chain")
HASHES: Final[sa.BindParameter[Any]] = sa.bindparam("hashes", expanding=True)
LOWEST: Final = (
    sa.select(sa.func.min(blocks.c.height)).where(blocks.c.chain == OF_CHAIN, blocks.c.hash.in_(HASHES))
).scalar_subquery()
"""The lowest height of these blocks. If they are the newest of the chain, all from there on is theirs."""
