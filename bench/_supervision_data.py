"""The generated traffic as an index: blocks of three chains through the indexer, labels, rates, agreements."""

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from bench.traffic import ASSETS, CHAINS, Traffic, Transfer
from core.model.facts import Block, BlockHeader, ChainEvent, Claimed, Locked, LoggedEvent, Transferred
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    Preimage,
    PublicPreimage,
    SwapId,
)
from core.runtime.database import METADATA, Database, create_schema
from indexer import store
from indexer.chain_view import advance
from indexer.projections import ReportedAgreement, report_agreement
from indexer.projections.contracts import report_holder
from regulator_api.knowledge.store import import_list
from regulator_api.knowledge.tags import Statement
from regulator_api.rules.versions import store_rates
from regulator_api.values import rate_of

BLOCK_S: Final = 60
"""All chains have a block a minute here: 90 days of quicker ones would be millions of empty headers."""
AGREEMENTS: Final = 1_000
"""Agreements of one transaction."""
TIMELOCK_S: Final = 7_200


class Placed(NamedTuple):
    """A block, its time in Unix seconds, and the place of its chain in `CHAINS`."""

    time_s: int
    chain: int
    block: Block


def preimage_of(swap: int) -> Preimage:
    return Preimage(hashlib.sha256(b"swap %d" % swap).digest())


class Filling:
    """Fills a database with one traffic, the blocks of all chains in the order of time, as three followers at their
    heads do."""

    def __init__(self, database: Database, traffic: Traffic) -> None:
        self._database = database
        self._traffic = traffic
        self._assets = [AssetId(asset) for asset, _, _ in ASSETS]

    async def begin(self) -> None:
        """Drop what the database has, and store everything that is known before the first block."""
        await self._database.write(_fresh)
        for first in range(0, len(self._traffic.swaps), AGREEMENTS):
            numbers = range(first, min(first + AGREEMENTS, len(self._traffic.swaps)))
            await self._database.write(partial(self._agree, numbers))
        await self._database.write(self._label)
        await self._database.write(self._name_owners)
        await self._database.write(_rates)
        for number, name in enumerate(CHAINS):
            await self._database.write(partial(self._register, number, ChainId(name)))

    def count(self) -> int:
        """Return how many blocks there are."""
        return len({(one.chain, one.time_s // BLOCK_S) for one in self._traffic.transfers})

    def blocks(self) -> Iterator[Placed]:
        """Return all blocks in the order of time, each made when it is asked for."""
        return heapq.merge(
            *(self._blocks(number, ChainId(name)) for number, name in enumerate(CHAINS)), key=itemgetter(0, 1)
        )

    async def store(self, blocks: Sequence[Placed]) -> None:
        """Store the blocks that come next, in one transaction."""

        def work(connection: Connection) -> None:
            for number, name in enumerate(CHAINS):
                part = [one.block for one in blocks if one.chain == number]
                if not part:
                    continue
                before = store.load_view(connection, ChainId(name))
                tip, newest = None if before.tip is None else before.tip.height, part[-1].header
                step = advance(before, tip, part, newest)
                seen = store.Observation("live", "", newest, newest.time.seconds * 10**9)
                store.commit(connection, before, step, seen)

        await self._database.write(work)

    # --- facts ---------------------------------------------------------------------------------------------------

    def _blocks(self, number: int, chain: ChainId) -> Iterator[Placed]:
        parent = b""
        mine = (one for one in self._traffic.transfers if one.chain == number)
        by_minute = groupby(mine, key=lambda one: one.time_s // BLOCK_S)
        for height, (minute, some) in enumerate(by_minute):
            seconds = (minute + 1) * BLOCK_S
            block_hash = hashlib.sha256(f"{chain}/{height}".encode()).digest()
            ref = BlockRef(chain, Height(height), block_hash)
            logged = tuple(
                LoggedEvent(
                    ref, hashlib.sha256(block_hash + index.to_bytes(4, "big")).digest(), index, self._event(number, one)
                )
                for index, one in enumerate(some)
            )
            yield Placed(seconds, number, Block(BlockHeader(ref, parent, ChainTime(chain, seconds)), logged))
            parent = block_hash

    def _event(self, number: int, one: Transfer) -> ChainEvent:
        accounts = self._traffic.accounts
        if not one.step:
            sender, receiver = AccountId(accounts[one.sender]), AccountId(accounts[one.receiver])
            return Transferred(self._assets[number], sender, receiver, BaseUnits(one.amount))
        preimage = preimage_of(one.swap)
        lock_id = LockId(f"{one.step.partition(' ')[2]}/{one.swap}")
        if one.step.startswith("claim"):
            return Claimed(lock_id, preimage.hashlock(), PublicPreimage(preimage.expose()))
        return Locked(lock_id, self._terms(one.swap, one.step.endswith("initiator")))

    def _terms(self, number: int, initiator: bool) -> LockTerms:
        swap = self._traffic.swaps[number]
        chain, sender, receiver, amount = swap.initiator if initiator else swap.participant
        names = self._traffic.accounts
        timelock = swap.opened_s + TIMELOCK_S * (2 if initiator else 1)
        hashlock: Hashlock = preimage_of(number).hashlock()
        return LockTerms(
            self._assets[chain],
            BaseUnits(amount),
            AccountId(names[sender]),
            AccountId(names[receiver]),
            hashlock,
            ChainTime(ChainId(CHAINS[chain]), timelock),
        )

    # --- what is known before -------------------------------------------------------------------------------------

    def _register(self, number: int, chain: ChainId, connection: Connection) -> None:
        transfers, accounts = self._traffic.transfers, self._traffic.accounts
        locks = (one for one in transfers if one.chain == number and one.step.startswith("lock"))
        keeper = next((AccountId(accounts[one.receiver]) for one in locks), None)
        store.register_chain(connection, chain, b"\1" * 32, Height(0))
        if chain.startswith("eip155:"):
            report_holder(connection, chain, keeper)

    def _agree(self, numbers: range, connection: Connection) -> None:
        for number in numbers:
            agreement = ReportedAgreement(
                SwapId(f"swap-{number}"), self._terms(number, True), self._terms(number, False), "bench"
            )
            report_agreement(connection, agreement, number + 1)

    def _label(self, connection: Connection) -> None:
        traffic = self._traffic
        statements = [
            Statement(
                subject=AccountId(account),
                label=category,
                category="sanctioned" if category == "listed" else category,
                source="bench",
                confidence=100,
                valid_from_s=traffic.listed_from_s.get(account, 0),
                entity=traffic.entities.get(account),
            )
            for account, categories in sorted(traffic.labels.items())
            for category in sorted(categories)
            if category != "htlc"
        ]
        import_list(connection, "bench", "own", statements, sha256=bytes(32), published_s=1, who="bench", now_ns=1)

    def _name_owners(self, connection: Connection) -> None:
        """A tag for each account that belongs to an entity: only a tag joins accounts."""
        owners = [
            Statement(AccountId(account), "person", "person", "bench", 100, 0, None, None, entity)
            for account, entity in sorted(self._traffic.entities.items())
        ]
        import_list(connection, "owners", "own", owners, sha256=bytes(32), published_s=1, who="bench", now_ns=2)


def _fresh(connection: Connection) -> None:
    METADATA.drop_all(connection)
    create_schema(connection)
    store.prepare(connection)


def _rates(connection: Connection) -> None:
    store_rates(
        connection, [rate_of(asset, 0, f"{cents / 100:.2f}", decimals, "bench") for asset, decimals, cents in ASSETS]
    )
