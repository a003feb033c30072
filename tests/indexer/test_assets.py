"""Assets and contracts as facts show them and as they were reported: exact through reorgs, and after a rebuild."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.facts import (
    AssetDefined,
    ChainEvent,
    Claimed,
    ContractEvent,
    Locked,
    Refunded,
    Transferred,
)
from core.model.types import (
    AccountId,
    Asset,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    PublicPreimage,
)
from core.runtime.clock import ManualClock, run_virtually
from core.runtime.database import Database, InlineDatabase, create_schema
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.assets import AssetRow, AssetSource, list_assets
from indexer.projections.balances import balance_at
from indexer.projections.contracts import ContractKind, ContractRow, list_contracts
from indexer.projections.rebuild import rebuild
from tests.indexer.scripted import Parameters, ScriptedBlocks, ScriptedChain
from tests.indexer.test_swaps import projected

CHAIN = ChainId("eip155:7")
ALICE, BOB = AccountId(f"{CHAIN}:0xa1"), AccountId(f"{CHAIN}:0xb2")
TOKENS = [AssetId(f"{CHAIN}/erc20:0x{number}0") for number in (1, 2, 3)]
ETHER, POINTS = AssetId(f"{CHAIN}/slip44:60"), AssetId(f"{CHAIN}/asset:points")
SHOP = AccountId(f"{CHAIN}:0x50")
HTLC, LATER_HTLC = AccountId(f"{CHAIN}:0xc1"), AccountId(f"{CHAIN}:0xc2")


def moved(asset: AssetId) -> Transferred:
    return Transferred(asset, ALICE, BOB, BaseUnits(1))


def defined(asset: AssetId, symbol: str = "PTS") -> AssetDefined:
    return AssetDefined(asset, ALICE, symbol, 3)


def locked(number: int, asset: AssetId) -> Locked:
    name, lock = LockId(f"0xa1/{number}/1"), Hashlock(number.to_bytes(32, "big"))
    return Locked(name, LockTerms(asset, BaseUnits(5), ALICE, BOB, lock, ChainTime(CHAIN, 9_999)))


@dataclass
class House:
    """A scripted chain, and a follower of it that knows what `assets` are called and which contract holds locks."""

    database: Database
    chain: ScriptedChain = field(default_factory=lambda: ScriptedChain(CHAIN))

    def __post_init__(self) -> None:
        self.chain.blocks.clear()
        self.mine([])

    async def follow(
        self,
        assets: Mapping[AssetId, Asset] | None = None,
        holder: AccountId | None = HTLC,
        names: Mapping[str, str] | None = None,
    ) -> Follower:
        follower = Follower(
            Parameters(
                CHAIN,
                assets=assets or {},
                htlc_holder=holder,
                contract_names={AccountId(f"{CHAIN}:{address}"): name for address, name in (names or {}).items()},
            ),
            self.chain,
            ScriptedBlocks(self.chain),
            self.database,
            FactSignal(),
            ManualClock(),
            Height(0),
            max_range=4,
        )
        await follower.open()
        await follower.catch_up(self.chain.update)
        return follower

    def mine(self, *blocks: Sequence[ChainEvent]) -> None:
        for events in blocks:
            self.chain.extend(1, lambda _, events=events: events)  # type: ignore[misc]

    async def assets(self) -> list[AssetRow]:
        return await self.database.read(lambda c: list_assets(c, None, 100))

    async def contracts(self) -> list[ContractRow]:
        return await self.database.read(lambda c: list_contracts(c, None, 100))

    async def check_rebuild(self) -> None:
        grown = await self.database.read(projected)
        shown = await self.assets(), await self.contracts()
        await self.database.write(rebuild)
        assert await self.database.read(projected) == grown
        assert (await self.assets(), await self.contracts()) == shown


async def test_assets_are_named_by_whoever_knows(database: Database) -> None:
    """By an event of the ledger, else by who was asked, else not at all."""
    house = House(database)
    house.mine([moved(TOKENS[0]), locked(1, TOKENS[1])], [defined(POINTS), moved(POINTS)], [moved(ETHER)])
    known = {
        TOKENS[0]: Asset(TOKENS[0], "ONE", 6, "Number One"),
        TOKENS[2]: Asset(TOKENS[2], "THREE", 0),
        POINTS: Asset(POINTS, "old", 9, "Points"),
        ETHER: Asset(ETHER, "ETH", 18),
    }
    await house.follow(known)
    assert await house.assets() == [
        AssetRow(POINTS, "PTS", "Points", 3, AssetSource.EVENT, ALICE, Height(2)),
        AssetRow(TOKENS[0], "ONE", "Number One", 6, AssetSource.CONTRACT, None, Height(1)),
        AssetRow(TOKENS[1], None, "", None, None, None, Height(1)),
        AssetRow(TOKENS[2], "THREE", "", 0, AssetSource.CONTRACT, None, None),
        AssetRow(ETHER, "ETH", "", 18, AssetSource.CONFIGURATION, None, Height(3)),
    ]
    await house.check_rebuild()
    # It calls itself otherwise now.
    await house.follow({TOKENS[0]: Asset(TOKENS[0], "UNO", 6)})
    found = {row.asset: row.symbol for row in await house.assets()}
    assert (found[TOKENS[0]], found[TOKENS[2]]) == ("UNO", "THREE")
    pages = [await database.read(lambda c: list_assets(c, CHAIN, 2))]
    while pages[-1]:
        pages.append(await database.read(lambda c: list_assets(c, CHAIN, 2, pages[-1][-1].asset)))
    assert [row for page in pages for row in page] == await house.assets()
    assert await database.read(lambda c: list_assets(c, ChainId("eip155:8"), 9)) == []


async def test_a_reorg_takes_names_and_counts_back(database: Database) -> None:
    house = House(database)
    house.mine([moved(TOKENS[0])], [moved(POINTS)])
    follower = await house.follow()
    before = await house.assets(), await house.contracts()
    house.mine([defined(POINTS), moved(TOKENS[0]), moved(TOKENS[1])])
    await follower.catch_up(house.chain.update)
    assert {row.asset: row.symbol for row in await house.assets()}[POINTS] == "PTS"
    assert [(row.contract, row.events) for row in await house.contracts()] == [
        (AccountId(f"{CHAIN}:0x10"), 2),
        (AccountId(f"{CHAIN}:0x20"), 1),
    ]
    house.chain.reorg(1, 0)
    house.mine([], [])
    await follower.catch_up(house.chain.update)
    assert (await house.assets(), await house.contracts()) == before
    await house.check_rebuild()


async def test_contracts_are_counted_by_kind(database: Database) -> None:
    house = House(database)
    house.mine(
        [locked(1, TOKENS[0]), moved(TOKENS[0]), ContractEvent(SHOP, "Sold", ())],
        [Claimed(LockId("0xa1/1/1"), Hashlock(bytes(32)), PublicPreimage(bytes(32))), moved(ETHER)],
        [ContractEvent(AccountId(f"{CHAIN}:0x10"), "Approval", ())],
    )
    names = {"0x50": "shop", "0xc1": "HashedTimelock"}
    await house.follow({TOKENS[0]: Asset(TOKENS[0], "ONE", 6, "Number One")}, names=names)
    token = AccountId(f"{CHAIN}:0x10")
    assert await house.contracts() == [
        ContractRow(token, ContractKind.TOKEN, "Number One", Height(1), Height(3), 2),
        ContractRow(SHOP, ContractKind.NAMED, "shop", Height(1), Height(1), 1),
        ContractRow(HTLC, ContractKind.HTLC, "HashedTimelock", Height(1), Height(2), 2),
    ]
    paged = await database.read(lambda c: list_contracts(c, CHAIN, 5, token))
    assert paged == (await house.contracts())[1:]
    assert await database.read(lambda c: list_contracts(c, ChainId("eip155:8"), 5)) == []
    await house.check_rebuild()
    await house.follow(names={"0x50": "the shop", "0x10": "our token"})
    assert [row.name for row in await house.contracts()] == ["our token", "the shop", "HashedTimelock"]


async def test_another_htlc_counts_from_the_block_that_it_is_followed(database: Database) -> None:
    house = House(database)
    house.mine([locked(1, ETHER)], [locked(2, ETHER)])
    await house.follow(holder=HTLC)
    follower = await house.follow(holder=LATER_HTLC)
    house.mine([locked(3, ETHER)])
    await follower.catch_up(house.chain.update)
    assert [(row.contract, row.events) for row in await house.contracts()] == [(HTLC, 2), (LATER_HTLC, 1)]
    await house.check_rebuild()


async def test_locks_indexed_before_their_contract_was_known_count(database: Database) -> None:
    """As in a database of a version that reported none."""
    house = House(database)
    house.mine([locked(1, ETHER)], [])
    await house.follow(holder=HTLC)
    await database.write(lambda c: c.execute(sa.delete(tables.htlc_reports)))
    await database.write(rebuild)
    assert await house.contracts() == []
    await house.follow(holder=HTLC)
    assert [(row.contract, row.events) for row in await house.contracts()] == [(HTLC, 1)]
    await house.check_rebuild()


EVENTS: Sequence[ChainEvent] = (
    *(moved(token) for token in TOKENS),
    moved(ETHER),
    moved(POINTS),
    defined(POINTS),
    ContractEvent(SHOP, "Sold", ()),
    ContractEvent(AccountId(f"{CHAIN}:0x20"), "Approval", ()),
    Refunded(LockId("0xa1/77/1"), Hashlock(bytes(32))),
)


def counted(house: House) -> dict[AccountId, tuple[int, int, int]]:
    """First block, last block and number of events of each contract, by looking at the chain."""
    found: dict[AccountId, tuple[int, int, int]] = {}
    for block in house.chain.blocks:
        for logged in block.events:
            match logged.event:
                case Transferred(asset) if "/erc20:" in asset:
                    contract = AccountId(asset.replace("/erc20", ""))
                case ContractEvent(contract):
                    pass
                case Locked() | Refunded():
                    contract = HTLC
                case _:
                    continue
            first, _, events = found.get(contract, (block.header.height, 0, 0))
            found[contract] = (first, block.header.height, events + 1)
    return found


def first_seen(house: House) -> dict[AssetId, tuple[int, str | None]]:
    found: dict[AssetId, tuple[int, str | None]] = {}
    for block in house.chain.blocks:
        for logged in block.events:
            match logged.event:
                case Transferred(asset) | AssetDefined(asset):
                    pass
                case Locked(_, terms):
                    asset = terms.asset
                case _:
                    continue
            first, symbol = found.get(asset, (block.header.height, None))
            if isinstance(logged.event, AssetDefined):
                symbol = symbol or logged.event.symbol
            found[asset] = (first, symbol)
    return found


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_assets_and_contracts_follow_through_reorgs(seed: int) -> None:
    async def tell() -> None:
        rng = random.Random(seed)
        house = House(InlineDatabase())
        await house.database.write(lambda c: create_schema(c, tables.TABLES))
        follower = await house.follow()
        numbers = itertools.count(1)
        for _ in range(25):
            if rng.random() < 0.3 and len(house.chain.blocks) > 2:
                house.chain.reorg(rng.randrange(1, min(6, len(house.chain.blocks))), 0)
            for _ in range(rng.randrange(1, 4)):
                some = rng.choices(EVENTS, k=rng.randrange(0, 4))
                house.mine([*some, locked(next(numbers), rng.choice(TOKENS))] if rng.random() < 0.2 else some)
            if rng.random() < 0.6:
                await follower.catch_up(house.chain.update)
            if rng.random() < 0.1:
                follower = await house.follow()
        house.mine([])
        await follower.catch_up(house.chain.update)
        seen = {row.contract: (row.first_height, row.last_height, row.events) for row in await house.contracts()}
        assert seen == counted(house)
        assert {row.asset: (row.first_height, row.symbol) for row in await house.assets()} == first_seen(house)
        paid = sum(one.event == moved(ETHER) for block in house.chain.blocks for one in block.events)
        height = house.chain.blocks[-1].header.height
        for account, amount in ((BOB, paid), (ALICE, -paid)):
            of = partial(balance_at, account=account, asset=ETHER, height=height)
            assert await house.database.read(of) == amount
        await house.check_rebuild()
        await house.database.close()

    run_virtually(tell())
