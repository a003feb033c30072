"""Moves: two rows a transfer, in one order, kept through reorgs, with a feed of what changed."""

from functools import partial

from sqlalchemy.engine import Connection

from core.model.facts import Block, BlockHeader, Claimed, Locked, LoggedEvent, Transferred
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Preimage,
    PublicPreimage,
)
from core.runtime.database import Database, InlineDatabase, create_schema
from indexer.moves import Direction, Move, MoveKind
from indexer.projections.contracts import report_holder
from indexer.projections.histories import read_changes
from indexer.projections.keeping import keep
from indexer.projections.moves import key_columns, ledger_keeper, move_of, select_moves
from indexer.store import prepare
from indexer.tables import TABLES, accounts, moves
from tests.indexer.test_swaps import make_world
from tests.indexer.world import GOLD, PURSE, B, World

EVM = ChainId("eip155:31337")
TOKEN = AssetId(f"{EVM}/erc20:0x{'aa' * 20}")
HTLC, PAYER, PAYEE = (AccountId(f"{EVM}:0x{digit * 40}") for digit in "123")


def moves_of(connection: Connection, account: AccountId) -> list[Move]:
    of = accounts.c.account == account, moves.c.kind != MoveKind.COVERED
    return [move_of(row) for row in connection.execute(select_moves().where(*of).order_by(*key_columns()))]


async def history(world: World, account: AccountId) -> list[Move]:
    return await world.database.read(lambda c: moves_of(c, account))


async def test_a_claimed_lock_passes_through_the_keeper(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    lock = await world.lock(deal.participant)
    await world.claim(deal.participant, lock, deal.preimage)
    await world.index()
    keeper, amount = ledger_keeper(B), deal.participant.amount
    paid = await history(world, world.participant[B].account)
    assert [(one.key.direction, one.other, one.asset, one.amount) for one in paid] == [
        (Direction.IN, None, GOLD, PURSE),
        (Direction.OUT, keeper, GOLD, amount),
    ]
    kept = await history(world, keeper)
    assert [(one.key.direction, one.other) for one in kept] == [
        (Direction.IN, world.participant[B].account),
        (Direction.OUT, world.initiator[B].account),
    ]
    (got,) = await history(world, world.initiator[B].account)
    assert (got.key.direction, got.other, got.amount) == (Direction.IN, keeper, amount)


async def test_changes_name_who_moved_and_since_when(database: Database) -> None:
    world = await make_world(database)
    begun, _ = await database.read(partial(read_changes, after_seq=0, limit=1_000))
    deal = world.deal()
    lock = await world.lock(deal.participant)
    await world.claim(deal.participant, lock, deal.preimage)
    await world.index()
    _, changed = await database.read(partial(read_changes, after_seq=begun, limit=1_000))
    locked, claimed = changed
    assert locked.accounts >= {deal.participant.sender}
    assert claimed.accounts >= {deal.participant.receiver}
    assert locked.lowest < claimed.lowest
    assert not claimed.reverted
    seq, _ = await database.read(partial(read_changes, after_seq=begun, limit=1_000))
    # A reorg takes both blocks back, the lock's too: its parties are still named.
    world.b.reorg(2, keep=lambda _: False)
    await world.index()
    assert await history(world, deal.participant.receiver) == []
    _, undone = await database.read(partial(read_changes, after_seq=seq, limit=1_000))
    gone = [one for one in undone if one.reverted]
    assert [one.lowest for one in gone] == [claimed.lowest, locked.lowest]
    assert gone[0].accounts >= {deal.participant.receiver}


def block_of(height: int, *happened: object) -> Block:
    ref = BlockRef(EVM, Height(height), bytes([height]) * 32)
    logged = tuple(
        LoggedEvent(ref, b"\x01" * 32, index, event)  # type: ignore[arg-type]
        for index, event in enumerate(happened)
    )
    return Block(BlockHeader(ref, b"", ChainTime(EVM, 1_000 + height)), logged)


async def test_transfers_of_a_contract_that_locks_count_once() -> None:
    preimage = Preimage(b"\x07" * 32)
    terms = LockTerms(TOKEN, BaseUnits(5), PAYER, PAYEE, preimage.hashlock(), ChainTime(EVM, 9_999))
    locked = block_of(1, Transferred(TOKEN, PAYER, HTLC, BaseUnits(5)), Locked(LockId("a"), terms))
    claimed = block_of(
        2,
        Claimed(LockId("a"), preimage.hashlock(), PublicPreimage(preimage.expose())),
        Transferred(TOKEN, HTLC, PAYEE, BaseUnits(5)),
    )
    # Nobody locks with this one: it is a gift, and a move.
    gift = block_of(3, Transferred(TOKEN, PAYER, HTLC, BaseUnits(9)))

    def work(connection: Connection) -> list[Move]:
        create_schema(connection, TABLES)
        prepare(connection)
        report_holder(connection, EVM, HTLC)
        keep(connection, EVM, (), [locked, claimed, gift])
        return moves_of(connection, HTLC)

    found = await InlineDatabase().write(work)
    assert [(one.key.height, one.key.event_index, one.key.direction, one.amount) for one in found] == [
        (1, 1, Direction.IN, 5),
        (2, 0, Direction.OUT, 5),
        (3, 0, Direction.IN, 9),
    ]
    assert ledger_keeper(EVM) != HTLC
