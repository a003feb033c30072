"""The locks that claims and refunds end: a settlement names its lock, and only the lock says what it held."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Claimed, LoggedEvent, Refunded
from core.model.types import AccountId, AssetId, BaseUnits, ChainId
from indexer.tables import locks

CHUNK: Final = 200

_SETTLED_IN: Final = sa.select(
    locks.c.settle_block, locks.c.settle_index, locks.c.asset, locks.c.amount, locks.c.sender, locks.c.receiver
).where(
    locks.c.chain == sa.bindparam("of_chain"),
    locks.c.settle_height.between(sa.bindparam("lowest"), sa.bindparam("highest")),
    locks.c.settle_block.in_(sa.bindparam("blocks", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class Held:
    """A lock's contents and its two parties."""

    asset: AssetId
    amount: BaseUnits
    sender: AccountId
    receiver: AccountId


Settled = dict[tuple[bytes, int], Held]
"""Locks by the block and the index of the event that settled them."""


def settled_locks(connection: Connection, chain: ChainId, blocks: Sequence[Sequence[LoggedEvent]]) -> Settled:
    """Return the locks that the events of these blocks settle. The projection of locks must be up to date."""
    ending = sorted(
        {
            (logged.block.height, logged.block.hash)
            for block in blocks
            for logged in block
            if isinstance(logged.event, Claimed | Refunded)
        }
    )
    found: Settled = {}
    for first in range(0, len(ending), CHUNK):
        part = ending[first : first + CHUNK]
        asked: dict[str, Any] = {"of_chain": chain, "lowest": part[0][0], "highest": part[-1][0]}
        for row in connection.execute(_SETTLED_IN, asked | {"blocks": [block_hash for _, block_hash in part]}):
            held = Held(AssetId(row.asset), row.amount, AccountId(row.sender), AccountId(row.receiver))
            found[bytes(row.settle_block), row.settle_index] = held
    return found
