"""Projections against a recomputation from the chain's own blocks, written without the indexer's code."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, Claimed, Locked, LoggedEvent, Refunded, Transferred
from core.model.types import AccountId, AssetId, ChainId, Height, chain_of
from core.runtime.database import Database
from indexer import tables
from indexer.moves import MoveKind
from indexer.projections.balances import balance_at, supply
from indexer.projections.conservation import conservation
from indexer.projections.contracts import holders
from indexer.projections.keeping import count_set_aside
from indexer.projections.moves import ledger_keeper, move_of, select_moves
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


MoveLine = tuple[str, int, str, int, int, int, str | None, str, int, bytes]
"""Account, block time, chain, height, index, direction, other party, asset, amount, transaction."""


def moves_of_blocks(blocks: Sequence[Block], keeper: str) -> list[MoveLine]:
    """Both sides of whatever these blocks move, by account and place; locks pass through `keeper`."""
    lines: list[MoveLine] = []
    standing: dict[str, Locked] = {}
    for block in blocks:
        header = block.header
        moved: list[tuple[LoggedEvent, str, int, str | None, str | None]] = []
        for logged in block.events:
            event = logged.event
            if isinstance(event, Locked):
                standing[event.lock_id] = event
                moved.append((logged, event.terms.asset, event.terms.amount, event.terms.sender, keeper))
            elif isinstance(event, Claimed | Refunded) and event.lock_id in standing:
                terms = standing.pop(event.lock_id).terms
                to = terms.receiver if isinstance(event, Claimed) else terms.sender
                moved.append((logged, terms.asset, terms.amount, keeper, to))
        verbs = {(logged.tx_hash, asset) for logged, asset, *_ in moved}
        for logged in block.events:
            event = logged.event
            if isinstance(event, Transferred):
                if keeper in (event.sender, event.receiver) and (logged.tx_hash, event.asset) in verbs:
                    continue
                moved.append((logged, event.asset, event.amount, event.sender, event.receiver))
        for logged, asset, amount, sender, receiver in moved:
            place = header.time.seconds, header.chain, header.height, logged.index
            if sender is not None:
                lines.append((sender, *place, 0, receiver, asset, amount, logged.tx_hash))
            if receiver is not None:
                lines.append((receiver, *place, 1, sender, asset, amount, logged.tx_hash))
    return sorted(lines, key=lambda line: line[:6])


def stored_moves(connection: Connection, chain: ChainId) -> list[MoveLine]:
    of = tables.moves.c.chain == chain, tables.moves.c.kind != MoveKind.COVERED
    found = map(move_of, connection.execute(select_moves().where(*of)))
    return sorted(
        ((one.account, *one.key, one.other, one.asset, one.amount, one.tx_hash) for one in found),
        key=lambda line: line[:6],
    )


def keeper_of(connection: Connection, chain: ChainId) -> str:
    """The contract that was reported, from the first block on; there is one in these tests."""
    held = holders(connection, chain)
    return held[0][1] if held else ledger_keeper(chain)


async def check_projections(database: Database, chain: ChainId, blocks: Sequence[Block]) -> None:
    """The projections are what `blocks`, the whole chain, say, and what a rebuild gives; nothing was set aside."""
    assert await database.read(partial(count_set_aside, chain=chain)) == 0
    assert await database.read(partial(stored_locks, chain=chain)) == locks_of(blocks)
    keeper = await database.read(partial(keeper_of, chain=chain))
    assert await database.read(partial(stored_moves, chain=chain)) == moves_of_blocks(blocks, keeper)
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
