"""Ballots of attestors: one block for each height, on both kinds of databases, for as long as they are kept."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from core.model.errors import ConflictError
from core.model.facts import BlockHeader
from core.model.types import AccountId, BlockRef, ChainId, ChainTime, Height
from core.runtime.database import InlineDatabase, create_schema
from relayer.bridging import ballots
from relayer.bridging.ballots import MAX_KEPT, cast_ballot

OPERATOR, OTHER = AccountId("causeway:devnet-1:aa"), AccountId("causeway:devnet-1:bb")
ETHEREUM, SEPOLIA = ChainId("eip155:1"), ChainId("eip155:11155111")


def header(height: int, name: bytes = b"a", chain: ChainId = ETHEREUM, time: int = 12) -> BlockHeader:
    ref = BlockRef(chain, Height(height), name * 32)
    return BlockHeader(ref, bytes(32), ChainTime(chain, time))


async def cast(database: InlineDatabase, account: AccountId, one: BlockHeader) -> bool:
    try:
        await database.write(lambda connection: cast_ballot(connection, account, one))
    except ConflictError:
        return False
    return True


async def test_account_attests_one_block_for_each_height(tmp_path: Path) -> None:
    path = tmp_path / "ballots.db"
    for _ in range(2):
        database = InlineDatabase(f"sqlite:///{path}")
        await database.write(create_schema)
        assert await cast(database, OPERATOR, header(7))
        assert await cast(database, OTHER, header(7, b"b"))
        assert await cast(database, OPERATOR, header(7, b"b", SEPOLIA))
        assert await cast(database, OPERATOR, header(8, b"b"))
        assert not await cast(database, OPERATOR, header(7, b"b"))
        assert not await cast(database, OPERATOR, header(7, time=13))
        await database.close()


async def test_heights_below_those_that_are_kept_are_refused() -> None:
    database = InlineDatabase()
    await database.write(create_schema)
    for height in range(100, 100 + MAX_KEPT):
        assert await cast(database, OPERATOR, header(height))
    assert not await cast(database, OPERATOR, header(99, b"b"))
    assert await cast(database, OTHER, header(99, b"b"))
    assert await cast(database, OPERATOR, header(5_000))
    assert not await cast(database, OPERATOR, header(100))
    assert not await cast(database, OPERATOR, header(5_000, b"b"))
    assert await cast(database, OPERATOR, header(101))
    query = sa.select(sa.func.count()).where(ballots.ballots.c.account == OPERATOR)
    assert await database.read(lambda connection: connection.execute(query).scalar_one()) == MAX_KEPT


@pytest.mark.parametrize("height", [0, 2**63 - 1])
async def test_every_height_of_a_chain_can_be_kept(height: int) -> None:
    database = InlineDatabase()
    await database.write(create_schema)
    assert await cast(database, OPERATOR, header(height))
    assert not await cast(database, OPERATOR, header(height, b"b"))
