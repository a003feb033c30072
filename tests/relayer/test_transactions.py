"""The transactions pipeline over the memory chain: nothing is lost, nothing is sent twice."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory import Endpoint, FaultRates, MemoryChain, MemoryRules
from adapters.memory.transactions import transfer
from core.model.errors import FencedError, RetryableError, RevertedError
from core.model.ports import ChainTiming
from core.model.transactions import FeeBid, FeeMarket, SignedTransaction, UnsignedTransaction
from core.model.types import Asset, AssetId, BaseUnits, ChainId, ChainTime, LockId, LockTerms, Preimage, Seconds
from core.runtime.clock import ManualClock
from core.runtime.database import Database, InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions import fees, records
from relayer.transactions.pipeline import Pipeline, PipelinePolicy
from relayer.transactions.records import TransactionStatus

CHAIN = ChainId("memory:a")
COIN = AssetId("memory:a/slip44:1")
TIMING = ChainTiming(Seconds(1), Seconds(3), Seconds(2), Seconds(1), Seconds(1), Seconds(1))
GWEI = 10**9


class House:
    """One chain, one account, one pipeline; blocks come when the test says so."""

    def __init__(self, market: FeeMarket | None = None, finality_depth: int = 2) -> None:
        self.clock = ManualClock()
        rules = MemoryRules(TIMING, finality_depth, native=COIN if market else None, fees=market)
        self.chain = MemoryChain(CHAIN, self.clock, {COIN: Asset(COIN, "COIN", 18)}, rules)
        self.signer = self.chain.signer("relayer", {COIN: 10**24})
        self.other = self.chain.signer("other")
        self.endpoint = Endpoint(self.clock)
        self.access = self.chain.access(self.endpoint)
        self.database: Database = InlineDatabase()
        self.metrics = RelayerMetrics(Metrics())
        self.chain.mine()

    async def start(self, **policy: Any) -> Pipeline:
        await self.database.write(create_schema)
        self.board = HeadBoard(self.access.heads)
        self.pipeline = Pipeline(
            self.database, self.access, self.signer, self.board, self.clock, PipelinePolicy(**policy), self.metrics
        )
        await self.pipeline.start()
        return self.pipeline

    def pay(self, amount: int = 1) -> UnsignedTransaction:
        return transfer(CHAIN, self.signer.account, self.other.account, COIN, BaseUnits(amount))

    async def beat(self, count: int = 1, accept: Callable[[bytes], bool] | None = None) -> None:
        for _ in range(count):
            await self.clock.advance(1)
            self.chain.mine(1, accept)
            self.board.latest = None
            await self.pipeline.step()

    async def received(self) -> int:
        return await self.chain.access().state.balance(self.other.account, COIN)


async def test_an_effect_is_sent_once_however_often_it_is_asked_for() -> None:
    house = House()
    pipeline = await house.start()
    first = await pipeline.send("s:1:lock", house.pay())
    again = await pipeline.send("s:1:lock", house.pay())
    assert (again.id, again.newest.hash) == (first.id, first.newest.hash)
    await house.beat()
    included = await pipeline.transaction("s:1:lock")
    assert included is not None
    assert included.status is TransactionStatus.INCLUDED
    await house.beat(2)
    final = await pipeline.until("s:1:lock", TransactionStatus.FINAL)
    assert (final.status, final.reverted, final.tx_hash) == (TransactionStatus.FINAL, False, first.newest.hash)
    assert (await pipeline.send("s:1:lock", house.pay())).status is TransactionStatus.FINAL
    await house.beat(2)
    assert await house.received() == 1


async def test_bytes_are_stored_before_a_broadcast_and_sent_later() -> None:
    house = House()
    pipeline = await house.start()
    real, failed = house.access.transactions.submit, 0

    async def submit(signed: SignedTransaction) -> None:
        nonlocal failed
        stored = await house.database.read(lambda c: records.by_effect(c, "s:1:lock"))
        assert stored is not None
        assert stored.newest.raw == signed.raw
        if failed == 0:
            failed += 1
            house.endpoint.down = True
        await real(signed)

    replace_submit(house, submit)
    await pipeline.send("s:1:lock", house.pay())
    assert house.chain.pending() == ()
    house.endpoint.down = False
    await house.beat()
    await house.beat()
    assert await house.received() == 1


async def test_a_restart_broadcasts_what_is_stored_and_keeps_sequences() -> None:
    house = House()
    pipeline = await house.start()
    replace_submit(house, _nothing)
    await pipeline.send("s:1:lock", house.pay(5))
    house.access = house.chain.access(house.endpoint)
    restarted = await house.start()
    second = await restarted.send("s:2:lock", house.pay(7))
    assert second.sequence == 1
    await house.beat(2)
    assert await house.received() == 12


def replace_submit(house: House, submit: Any) -> None:
    """Stand between the pipeline and the chain."""
    sender: Any = house.access.transactions
    sender.submit = submit


def replace_outcome(house: House, outcome: Any) -> Any:
    """Answer for the chain what became of a transaction; return what answered before."""
    sender: Any = house.access.transactions
    before, sender.outcome = sender.outcome, outcome
    return before


async def _nothing(_: object) -> None:
    """A broadcast that nobody hears."""


async def test_a_dropped_transaction_is_broadcast_again() -> None:
    house = House(finality_depth=5)
    pipeline = await house.start()
    await pipeline.send("s:1:lock", house.pay())
    await house.beat()
    house.chain.reorg(1, keep=lambda _: False)
    house.board.latest = None
    await pipeline.step()
    record = await pipeline.transaction("s:1:lock")
    assert record is not None
    assert record.status is TransactionStatus.BROADCAST
    assert len(house.chain.pending()) == 1
    await house.beat(6)
    assert (await pipeline.until("s:1:lock", TransactionStatus.FINAL)).status is TransactionStatus.FINAL
    assert await house.received() == 1


async def test_a_fee_spike_is_outbid_and_every_hash_is_kept() -> None:
    house = House(market=FeeMarket(GWEI, GWEI))
    pipeline = await house.start()
    first = await pipeline.send("s:1:lock", house.pay(), deadline_s=house.clock.now() + 60)
    house.chain.fees = FeeMarket(50 * GWEI, 2 * GWEI)
    await house.beat()
    replaced = await pipeline.transaction("s:1:lock")
    assert replaced is not None
    assert replaced.attempts[0].hash == first.newest.hash
    assert len(replaced.attempts) == 2
    assert replaced.newest.fee is not None
    assert replaced.newest.fee.max_fee >= 50 * GWEI
    await house.beat(4)
    final = await pipeline.until("s:1:lock", TransactionStatus.FINAL)
    assert final.tx_hash == replaced.newest.hash
    assert await house.received() == 1


async def test_transaction_dropped_as_too_cheap_is_outbid() -> None:
    """Its bytes are of no use while the base fee stays: nodes have forgotten it, and refuse it when they hear of it."""
    house = House(market=FeeMarket(GWEI, GWEI))
    pipeline = await house.start()
    first = await pipeline.send("s:1:lock", house.pay())
    house.chain.fees = FeeMarket(50 * GWEI, GWEI)
    house.chain._mempool.remove(first.newest.hash)
    real = house.access.transactions.submit

    async def picky(signed: SignedTransaction) -> None:
        if signed.hash == first.newest.hash:
            raise RetryableError("max fee per gas less than block base fee")
        await real(signed)

    replace_submit(house, picky)
    await house.beat(4)
    record = await pipeline.until("s:1:lock", TransactionStatus.FINAL)
    assert (len(record.attempts), record.tx_hash) == (2, record.newest.hash)
    assert await house.received() == 1


async def test_expired_transaction_is_signed_again_under_its_sequence() -> None:
    house = House()
    pipeline = await house.start(expiry_blocks=2)
    await pipeline.send("s:1:lock", house.pay())
    await house.beat(6, accept=lambda _: False)
    record = await pipeline.transaction("s:1:lock")
    assert record is not None
    assert len(record.attempts) == 2
    assert record.sequence == 0
    await house.beat(4)
    assert await house.received() == 1


async def test_a_revert_is_an_outcome() -> None:
    house = House()
    pipeline = await house.start()
    legs = house.access.legs
    nowhere = LockId("0" * 40 + "/0")
    claim = legs.claim(_terms(house), nowhere, Preimage(bytes(32)), house.signer.account)
    await pipeline.send("s:1:claim", claim)
    await house.beat(3)
    final = await pipeline.until("s:1:claim", TransactionStatus.FINAL)
    assert final.reverted
    assert final.reason == "no such lock"
    assert final.body is None


async def test_what_would_revert_is_refused_before_it_is_signed() -> None:
    house = House()
    pipeline = await house.start()
    with pytest.raises(RevertedError):
        await pipeline.send("s:1:lock", house.pay(10**30))
    assert await pipeline.transaction("s:1:lock") is None


async def test_the_sequence_of_a_refused_transaction_is_handed_on() -> None:
    house = House()
    pipeline = await house.start()
    real = house.access.transactions.submit

    async def refuse(_: object) -> None:
        raise RevertedError("no endpoint wants this")

    replace_submit(house, refuse)
    refused = await pipeline.send("s:1:lock", house.pay(3))
    replace_submit(house, real)
    await pipeline.step()  # it is nowhere
    heir = await pipeline.send("s:2:lock", house.pay(4))
    assert heir.sequence == refused.sequence == 0
    await house.beat(5)
    assert await house.received() == 4
    first, second = await pipeline.transaction("s:1:lock"), await pipeline.transaction("s:2:lock")
    assert first is not None
    assert second is not None
    assert (first.status, second.status) == (TransactionStatus.SUPERSEDED, TransactionStatus.FINAL)


async def test_a_lock_leaves_the_sequence_that_was_just_refused() -> None:
    """The node took it all the same: a second lock under its sequence would put one of the two out of its swap."""
    house = House()
    pipeline = await house.start()
    real = house.access.transactions.submit

    async def takes_and_refuses(signed: SignedTransaction) -> None:
        await real(signed)
        raise RevertedError("no endpoint wants this")

    replace_submit(house, takes_and_refuses)
    await pipeline.send("s:1:lock", house.pay(3))
    replace_submit(house, real)
    other = await pipeline.send("s:2:lock", house.pay(4))
    assert other.sequence == 1
    await house.beat(5)
    assert await house.received() == 7


async def test_a_process_that_was_replaced_cannot_sign() -> None:
    house = House()
    old = await house.start()
    await house.start()
    with pytest.raises(FencedError, match=rf"another process \(process {os.getpid()} on .*\) has taken over account"):
        await old.send("s:1:lock", house.pay())


def _terms(house: House) -> LockTerms:
    return LockTerms(
        COIN,
        BaseUnits(1),
        house.other.account,
        house.signer.account,
        Preimage(bytes(32)).hashlock(),
        ChainTime(CHAIN, round(house.clock.now()) + 100),
    )


amounts = st.integers(1, 10**12)


@given(amounts, amounts, amounts, amounts, st.floats(0, 1))
def test_a_replacement_always_outbids_by_what_nodes_ask(
    max_fee: int, tip: int, base_fee: int, market_tip: int, share: float
) -> None:
    previous = FeeBid(max(max_fee, tip), tip)
    bid = fees.replacement_bid(previous, FeeMarket(base_fee, market_tip), share, 10**13)
    assert bid is not None
    assert bid.max_fee * 1000 >= previous.max_fee * 1125
    assert bid.priority_fee * 1000 >= previous.priority_fee * 1125
    assert bid.priority_fee <= bid.max_fee <= 10**13


@given(amounts, amounts, st.floats(0, 1), st.floats(0, 1))
def test_bids_rise_with_the_time_that_is_used_up(base_fee: int, tip: int, one: float, other: float) -> None:
    early, late = sorted((one, other))
    market = FeeMarket(base_fee, tip)
    first, second = (fees.first_bid(market, share, 10**14) for share in (early, late))
    assert second.priority_fee >= first.priority_fee
    assert second.max_fee >= first.max_fee


def test_the_ceiling_holds() -> None:
    assert fees.first_bid(FeeMarket(10**12, 10**12), 1.0, 500).max_fee == 500
    assert fees.replacement_bid(FeeBid(500, 500), FeeMarket(1, 1), 1.0, 500) is None


async def test_many_effects_with_a_flaky_endpoint_each_arrive_once() -> None:
    house = House()
    pipeline = await house.start()
    house.endpoint.rates = FaultRates(error=0.2, lost_reply=0.3)
    house.endpoint._rng = random.Random(7)
    keys = [f"s:{n}:lock" for n in range(20)]
    waiting = set(keys)
    for _ in range(200):
        for key in sorted(waiting):
            with suppress(RetryableError):
                await pipeline.send(key, house.pay())
                waiting.discard(key)
        try:
            await house.beat()
        except RetryableError:
            continue
        if not waiting and await house.received() == len(keys):
            break
    await house.beat(0)
    assert await house.received() == len(keys)


async def test_settled_votes_are_forgotten_and_watched_ones_are_kept() -> None:
    house = House()
    pipeline = await house.start()
    await pipeline.send("attest/x", house.pay())
    await pipeline.send("s:1:lock", house.pay(), watched=True)
    await house.beat(3)
    await pipeline.send("attest/y", house.pay())
    later = house.clock.now_ns() + 1
    assert await house.database.write(lambda c: records.prune(c, later, 10)) == 1
    kept = [await pipeline.transaction(key) is not None for key in ("attest/x", "s:1:lock", "attest/y")]
    assert kept == [False, True, True]


async def test_settled_answers_of_one_transaction_are_forgotten() -> None:
    house = House()
    pipeline = await house.start()
    keys = ["q:1:deliver", "q:2:deliver"]
    await pipeline.send_answers(keys, house.clock.now() + 60, house.pay(), lambda _: None, {})
    await house.beat(3)
    assert [await pipeline.transaction(key) is not None for key in keys] == [True, True]
    later = house.clock.now_ns() + 1
    assert await house.database.write(lambda c: records.prune(c, later, 10)) == 1
    assert [await pipeline.transaction(key) for key in keys] == [None, None]
    query = sa.select(sa.func.count()).select_from(records.relayer_batch_items)
    assert await house.database.read(lambda c: c.execute(query).scalar()) == 0
