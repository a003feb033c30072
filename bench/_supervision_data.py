"""The generated traffic as an index: blocks of three chains through the indexer's own code, labels, rates, agreements.

Made once for each size, seed and database, and kept in a folder: a marker says what the database holds.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection

from bench.traffic import ASSETS, CHAINS, Plan, Traffic, Transfer, generate
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
from core.runtime.database import METADATA, Database, create_schema, open_database
from indexer import store
from indexer.chain_view import ChainView, advance
from indexer.projections import ReportedAgreement, report_agreement
from indexer.projections.contracts import report_holder
from regulator_api.knowledge.store import import_list
from regulator_api.knowledge.tags import Statement

BLOCK_S: Final = 60
"""All chains have a block a minute here: 90 days of quicker ones would be millions of empty headers."""
BATCH: Final = 1_000
VERSION: Final = 1
TIMELOCK_S: Final = 7_200


def preimage_of(swap: int) -> Preimage:
    return Preimage(hashlib.sha256(b"swap %d" % swap).digest())


def transaction_of(block_hash: bytes, index: int) -> bytes:
    return hashlib.sha256(block_hash + index.to_bytes(4, "big")).digest()


class Filling:
    """Fills a database with one traffic."""

    def __init__(self, database: Database, traffic: Traffic) -> None:
        self._database = database
        self._traffic = traffic
        self._assets = [AssetId(asset) for asset, _, _ in ASSETS]

    async def fill(self) -> None:
        await self._database.write(_fresh)
        await self._database.write(self._agree)
        for number, chain in enumerate(CHAINS):
            await self._follow(number, ChainId(chain))
        await self._database.write(self._label)

    async def _follow(self, number: int, chain: ChainId) -> None:
        mine = [one for one in self._traffic.transfers if one.chain == number]
        keeper = next(
            (AccountId(self._traffic.accounts[one.receiver]) for one in mine if one.step.startswith("lock")), None
        )

        def begin(connection: Connection) -> None:
            store.register_chain(connection, chain, b"\1" * 32, Height(0))
            if chain.startswith("eip155:"):
                report_holder(connection, chain, keeper)

        await self._database.write(begin)
        view = ChainView(chain, Height(0))
        blocks = list(self._blocks(number, chain, mine))
        for first in range(0, len(blocks), BATCH):
            part = blocks[first : first + BATCH]
            tip = None if view.tip is None else view.tip.height
            step = advance(view, tip, part, part[-1].header)
            seen = store.Observation("live", "", part[-1].header, part[-1].header.time.seconds * 10**9)
            await self._database.write(partial(store.commit, before=view, step=step, seen=seen))
            view = step.view

    def _blocks(self, number: int, chain: ChainId, mine: Sequence[Transfer]) -> Iterator[Block]:
        parent = b""
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
            yield Block(BlockHeader(ref, parent, ChainTime(chain, seconds)), logged)
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

    def _agree(self, connection: Connection) -> None:
        for number in range(len(self._traffic.swaps)):
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


def _fresh(connection: Connection) -> None:
    METADATA.drop_all(connection)
    create_schema(connection)
    store.prepare(connection)


def filled(url: str, marker: Path, plan: Plan) -> dict[str, int]:
    """Fill the database at `url` unless the marker says that it holds this plan. Return the counts of what it holds."""
    wanted = {"version": VERSION, "seed": plan.seed, "transfers": plan.transfers, "days": plan.days}
    if marker.exists():
        found = json.loads(marker.read_text(encoding="utf-8"))
        if found["plan"] == wanted:
            return {str(name): int(count) for name, count in found["counts"].items()}
    marker.unlink(missing_ok=True)
    traffic = generate(plan)
    asyncio.run(_fill(url, traffic))
    counts = {"transfers": len(traffic.transfers), "swaps": len(traffic.swaps), "accounts": len(traffic.accounts)}
    marker.write_text(json.dumps({"plan": wanted, "counts": counts}), encoding="utf-8")
    return counts


async def _fill(url: str, traffic: Traffic) -> None:
    database = open_database(url)
    try:
        await Filling(database, traffic).fill()
    finally:
        await database.close()
