"""Projections against a recomputation from the chain's own blocks, written without the indexer's code."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, Claimed, Locked, Refunded, Transferred
from core.model.types import AccountId, AssetId, ChainId, Height, chain_of
from core.runtime.database import Database
from indexer import tables
from indexer.projections.balances import balance_at, supply
from indexer.projections.conservation import conservation
from indexer.projections.keeping import count_set_aside
from indexer.projections.rebuild import rebuild
from tests.indexer.test_swaps import projected

LockLine = tuple[int, int, str, bytes, str, int, str, str, int, str, tuple[int, int] | None, bytes | None]
"""Height, index, id, hashlock, asset, amount, sender, receiver, timelock, status, where it ended, preimage."""


def locks_of(blocks: Sequence[Block]) -> list[LockLine]:
    """Every lock of these blocks and how it ended. In a valid chain an id has one open lock at most."""
    standing: dict[str, list[Any]] = {}
    lines: list[list[Any]] = []
    for block in blocks:
        for logged in block.events:
            match logged.event:
                case Locked(lock_id, terms):
                    assert lock_id not in standing, "a chain has locked one id twice at once"
                    line = [block.header.height, logged.index, lock_id, terms.hashlock, terms.asset, terms.amount]
                    line += [terms.sender, terms.receiver, terms.timelock.seconds, "locked", None, None]
                    standing[lock_id] = line
                    lines.append(line)
                case Claimed(lock_id, hashlock, preimage):
                    line = standing.pop(lock_id)
                    assert line[3] == hashlock
                    line[9:] = ["claimed", (block.header.height, logged.index), preimage]
                case Refunded(lock_id, hashlock):
                    line = standing.pop(lock_id)
                    assert line[3] == hashlock
                    line[9:11] = ["refunded", (block.header.height, logged.index)]
    return [tuple(line) for line in lines]


def stored_locks(connection: Connection, chain: ChainId) -> list[LockLine]:
    table = tables.locks
    query = sa.select(table).where(table.c.chain == chain).order_by(table.c.lock_height, table.c.lock_index)
    return [
        (
            row.lock_height, row.lock_index, row.lock_id, row.hashlock, row.asset, row.amount, row.sender, row.receiver,
            row.timelock, row.status, None if row.settle_height is None else (row.settle_height, row.settle_index),
            row.preimage,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def holdings_of(blocks: Sequence[Block]) -> dict[tuple[AssetId, AccountId], int]:
    """Return what every account holds in the end by these blocks' movements; the ledger's own locks among them."""
    held: dict[tuple[AssetId, AccountId], int] = defaultdict(int)
    standing: dict[str, Locked] = {}
    for block in blocks:
        for logged in block.events:
            event = logged.event
            if isinstance(event, Transferred):
                if event.sender is not None:
                    held[event.asset, event.sender] -= event.amount
                if event.receiver is not None:
                    held[event.asset, event.receiver] += event.amount
            elif not block.header.chain.startswith("eip155:") and isinstance(event, Locked | Claimed | Refunded):
                if isinstance(event, Locked):
                    standing[event.lock_id] = event
                    held[event.terms.asset, event.terms.sender] -= event.terms.amount
                else:
                    terms = standing.pop(event.lock_id).terms
                    to = terms.receiver if isinstance(event, Claimed) else terms.sender
                    held[terms.asset, to] += terms.amount
    return dict(held)


async def check_projections(database: Database, chain: ChainId, blocks: Sequence[Block]) -> None:
    """The projections are what `blocks`, the whole chain, say, and what a rebuild gives; nothing was set aside."""
    assert await database.read(partial(count_set_aside, chain=chain)) == 0
    assert await database.read(partial(stored_locks, chain=chain)) == locks_of(blocks)
    tip = blocks[-1].header.height
    held = holdings_of(blocks)
    for (moved, account), amount in held.items():
        assert await database.read(partial(balance_at, account=account, asset=moved, height=tip)) == amount
    for asset in sorted({AssetId(line[4]) for line in locks_of(blocks)} | {moved for moved, _ in held}):
        assert chain_of(asset) == chain
        for height in {Height(tip // 2), tip}:
            sums = await database.read(partial(conservation, asset=asset, height=height))
            assert sums.adds_up, sums
            whole = await database.read(partial(supply, asset=asset, height=height))
            assert whole.adds_up or blocks[0].header.height > 1, whole
    grown = await database.read(projected)
    await database.write(rebuild)
    assert await database.read(projected) == grown
