"""Nothing stands before an exit for long, and the purse carries whatever is signed."""

import asyncio
import operator
import random
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import Endpoint, MemoryChain, MemoryRules
from core.model.errors import (
    CausewayError,
    ConflictError,
    DisagreementError,
    GateClosedError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.model.transactions import FeeMarket, Outcome, OutcomeStatus, SignedTransaction
from core.model.types import Asset, Height
from core.runtime.clock import ManualClock, run_virtually
from core.runtime.database import InlineDatabase
from core.runtime.metrics import Metrics
from relayer.metrics import RelayerMetrics
from relayer.transactions import orders, records
from relayer.transactions.fees import MARKETS_KEPT, MAX_CEILING, MEMORY_S, FeePolicy, Market, first_bid
from relayer.transactions.pipeline import EXIT_IDLE_S, IDLE_S, MAX_REFUSALS, Pipeline
from relayer.transactions.records import TransactionRecord, TransactionStatus
from tests.relayer.test_transactions import CHAIN, COIN, GWEI, TIMING, House, _nothing, replace_outcome, replace_submit

MARKET = FeeMarket(10 * GWEI, GWEI)
FEE = 100_000 * (2 * MARKET.base_fee + MARKET.priority_fee)
"""The most that a transaction under a first bid may cost."""
FUND, CLAIM, REFUND = "a:1:fund-participant", "b:1:claim-initiator", "c:1:refund-initiator"


class Poor(House):
    """A house whose purse holds so much, and no more."""

    def __init__(self, coins: int, market: FeeMarket | None = MARKET, finality_depth: int = 2) -> None:
        self.clock = ManualClock()
        rules = MemoryRules(TIMING, finality_depth, native=COIN if market else None, fees=market)
        self.chain = MemoryChain(CHAIN, self.clock, {COIN: Asset(COIN, "COIN", 18)}, rules)
        self.signer = self.chain.signer("relayer", {COIN: coins})
        self.other = self.chain.signer("other")
        self.endpoint = Endpoint(self.clock)
        self.access = self.chain.access(self.endpoint)
        self.database = InlineDatabase()
        self.metrics = RelayerMetrics(Metrics())
        self.chain.mine()

    async def exit(self, key: str = CLAIM, left_s: float = 120, amount: int = 1) -> TransactionRecord:
        """Sent as claims and refunds are."""
        deadline_s = self.clock.now() + left_s
        return await self.pipeline.send(key, self.pay(amount), deadline_s, simulate=False, watched=True)

    async def found(self, key: str) -> TransactionRecord:
        record = await self.pipeline.transaction(key)
        assert record is not None
        return record


def taken(rng: random.Random, share: float, _: bytes) -> bool:
    return rng.random() < share


def nobody(_: bytes) -> bool:
    return False


async def test_what_was_refused_and_may_be_there_makes_no_way() -> None:
    """A node refuses what it took, and then does not say what became of it: nothing fills its sequence before that."""
    house = Poor(100 * FEE)
    pipeline = await house.start()
    for key in (FUND, "z:1:fund-participant"):
        await pipeline.send(key, house.pay(5))
    submit, outcome, silent = house.access.transactions.submit, house.access.transactions.outcome, set[bytes]()

    async def takes_and_refuses(signed: SignedTransaction) -> None:
        await submit(signed)
        silent.update(attempt.hash for attempt in (await house.found(FUND)).attempts)
        raise RevertedError("no")

    async def says_nothing_of_it(tx_hash: bytes) -> Outcome:
        if tx_hash in silent:
            raise RetryableError("transactions are being indexed")
        return await outcome(tx_hash)

    replace_submit(house, takes_and_refuses)
    await house.clock.advance(FeePolicy().patience_s)
    await house.beat(accept=nobody)
    assert (await house.found(FUND)).status is TransactionStatus.REFUSED
    replace_submit(house, submit)
    replace_outcome(house, says_nothing_of_it)
    for _ in range(4):
        with pytest.raises(RetryableError):
            await house.beat(accept=nobody)
    replace_outcome(house, outcome)
    await house.beat(3)
    [record] = await house.database.read(lambda c: records.with_sequence(c, CHAIN, house.signer.account, 0))
    assert (record.effect_key, record.status) == (FUND, TransactionStatus.FINAL)


# --- the purse ---------------------------------------------------------------------------------------------------


async def test_locks_together_never_exceed_the_purse() -> None:
    house = Poor(10 * FEE + 1_000)
    pipeline = await house.start()
    await pipeline.send(FUND, house.pay(600), watched=True)
    with pytest.raises(UnaffordableError, match="promised to open transactions"):
        await pipeline.send("z:1:fund-participant", house.pay(9 * FEE), watched=True)
    assert await pipeline.transaction("z:1:fund-participant") is None
    assert (await house.exit()).sequence == 1
    await house.beat(4)
    assert await house.received() == 601


async def test_a_lock_leaves_what_exits_need() -> None:
    house = Poor(3 * FEE)
    pipeline = await house.start()
    with pytest.raises(UnaffordableError, match=f"kept for exits {2 * FEE}"):
        await pipeline.send(FUND, house.pay(1), keep={COIN: 2 * FEE})
    await pipeline.send(FUND, house.pay(1), keep={COIN: FEE})


async def test_what_is_included_is_not_counted_twice() -> None:
    house = Poor(2 * FEE + 2_000, finality_depth=50)
    pipeline = await house.start()
    await pipeline.send(FUND, house.pay(1_000))
    await house.beat()
    assert (await house.found(FUND)).status is TransactionStatus.INCLUDED
    await pipeline.send("z:1:fund-participant", house.pay(900))
    await house.beat()
    assert await house.received() == 1_900


async def test_an_exit_bids_what_the_purse_holds() -> None:
    house = Poor(100_000 * 12 * GWEI)
    await house.start()
    record = await house.exit(amount=1)
    assert record.newest.fee is not None
    assert MARKET.base_fee < record.newest.fee.max_fee < 12 * GWEI
    await house.beat(4)
    assert (await house.found(CLAIM)).status is TransactionStatus.FINAL


async def test_an_exit_that_cannot_be_paid_is_not_signed() -> None:
    house = Poor(100_000 * 9 * GWEI)
    pipeline = await house.start()
    with pytest.raises(UnaffordableError, match="fund the account"):
        await house.exit()
    assert await pipeline.transaction(CLAIM) is None
    house.chain.fund(house.signer.account, COIN, FEE)
    house.chain.mine()
    house.board.latest = None
    await house.exit()
    await house.beat(4)
    assert await house.received() == 1


async def test_an_exit_does_not_wait_for_a_look_into_the_purse() -> None:
    house = Poor(10 * FEE)
    await house.start()
    state: Any = house.access.state

    async def silent(*_: object) -> int:
        raise RetryableError("no answer")

    state.balance = silent
    await house.exit()
    with pytest.raises(RetryableError, match="cannot be read"):
        await house.pipeline.send(FUND, house.pay(1))
    await house.beat(2)
    assert await house.received() == 1


async def test_lock_beyond_the_balance_is_simulated_with_its_fee() -> None:
    house = Poor(FEE + 1_000)
    pipeline = await house.start()
    with pytest.raises(RevertedError, match="insufficient"):
        await pipeline.send(FUND, house.pay(1_001))


# --- cancellations -----------------------------------------------------------------------------------------------


async def test_a_late_lock_is_cancelled_and_the_exit_behind_it_goes() -> None:
    house = Poor(100 * FEE)
    pipeline = await house.start()
    await pipeline.send(FUND, house.pay(500), house.clock.now() + 20, watched=True)
    await house.beat(19, accept=nobody)
    assert not any(attempt.cancels for attempt in (await house.found(FUND)).attempts)
    await house.exit(amount=2)
    await house.beat(3, accept=nobody)
    late = await house.found(FUND)
    assert late.cancelling
    assert late.newest.fee is not None
    claim = await house.found(CLAIM)
    assert claim.newest.fee is not None
    assert late.newest.fee.max_fee >= claim.newest.fee.max_fee
    await house.beat(1)
    assert not (await house.found(FUND)).included
    await house.beat(4)
    ended = [(await house.found(key)).status for key in (FUND, CLAIM)]
    assert ended == [TransactionStatus.SUPERSEDED, TransactionStatus.FINAL]
    assert await house.received() == 2


async def test_a_lock_that_comes_before_its_cancellation_counts() -> None:
    house = Poor(100 * FEE)
    pipeline = await house.start()
    first = await pipeline.send(FUND, house.pay(500), house.clock.now() + 5, watched=True)
    cancelled: list[Any] = []
    real = house.access.transactions.submit

    async def lost(signed: Any) -> None:
        cancelled.append(signed)
        if signed.hash == first.newest.hash:
            await real(signed)

    replace_submit(house, lost)
    await house.beat(8, accept=nobody)
    assert (await house.found(FUND)).cancelling
    await house.beat(4)
    record = await house.found(FUND)
    assert (record.status, record.included, record.tx_hash) == (TransactionStatus.FINAL, True, first.newest.hash)
    assert await house.received() == 500


async def test_a_lock_whose_gate_has_closed_is_cancelled() -> None:
    house = Poor(100 * FEE)
    pipeline = await house.start()
    closed: list[str] = []
    pipeline.closed_gate = lambda _, key, in_time: "the preimage is public" if key in closed else None
    await pipeline.send(FUND, house.pay(500), house.clock.now() + 300)
    await house.beat(2, accept=nobody)
    assert not (await house.found(FUND)).cancelling
    closed.append(FUND)
    await house.beat(1, accept=nobody)
    await house.beat(4)
    assert (await house.found(FUND)).status is TransactionStatus.SUPERSEDED
    assert await house.received() == 0


async def test_a_late_lock_is_not_outbid_but_cancelled() -> None:
    """Its time gate has closed, though it may still be mined by what was offered before."""
    house = Poor(1000 * FEE)
    pipeline = await house.start()
    pipeline.closed_gate = lambda _, key, in_time: "too late" if in_time else None
    first = await pipeline.send(FUND, house.pay(500), house.clock.now() + 300)
    await house.beat(2, accept=nobody)
    assert (await house.found(FUND)).attempts == first.attempts
    house.chain.fees = FeeMarket(40 * GWEI, GWEI)
    await house.beat(6)
    record = await house.found(FUND)
    assert [attempt.cancels for attempt in record.attempts] == [False, True]
    assert (record.status, await house.received()) == (TransactionStatus.SUPERSEDED, 0)


async def test_a_form_whose_gate_closes_as_it_is_signed_stays() -> None:
    """Another form of a lock, by a signer that takes longer than the gate stays open."""
    house = Poor(1000 * FEE)
    pipeline = await house.start()
    signed: list[Any] = []
    pipeline.closed_gate = lambda _, key, in_time: "too late" if in_time and signed else None
    first = await pipeline.send(FUND, house.pay(500), house.clock.now() + 300)
    signer: Any = house.signer
    sign = signer.sign

    async def slow(request: Any) -> Any:
        signed.append(request)
        return await sign(request)

    signer.sign = slow
    house.chain.fees = FeeMarket(40 * GWEI, GWEI)
    await house.beat(1, accept=nobody)
    assert len(signed) == 1
    assert (await house.found(FUND)).attempts == first.attempts
    await house.beat(6)
    assert [attempt.cancels for attempt in (await house.found(FUND)).attempts] == [False, True]
    assert await house.received() == 0


@pytest.mark.parametrize("left", [30, 61])
async def test_an_unpayable_lock_before_an_exit_is_cancelled(left: int) -> None:
    """Somebody takes from the purse what our lock was to move, or what the exit behind it needs."""
    house = Poor(100 * FEE)
    pipeline = await house.start()
    await pipeline.send(FUND, house.pay(60 * FEE), house.clock.now() + 300)
    await house.beat(1, accept=nobody)
    house.chain.state.put(house.chain.height, {("balance", house.signer.account, COIN): left * FEE})
    await house.exit()
    await house.beat(2, accept=nobody)
    await house.beat(5)
    assert (await house.found(FUND)).status is TransactionStatus.SUPERSEDED
    assert (await house.found(CLAIM)).status is TransactionStatus.FINAL


async def test_an_exit_is_never_cancelled() -> None:
    house = Poor(1000 * FEE)
    pipeline = await house.start()
    pipeline.closed_gate = lambda *_: "closed"
    await house.exit(left_s=5)
    await house.beat(40, accept=nobody)
    record = await house.found(CLAIM)
    assert not any(attempt.cancels for attempt in record.attempts)
    await house.beat(4)
    assert (await house.found(CLAIM)).included


async def test_a_lock_is_not_sent_again_once_its_gate_has_closed() -> None:
    """After a restart, and when nodes have forgotten it."""
    for market in (MARKET, None):
        house = Poor(100 * FEE, market=market)
        pipeline = await house.start()
        replace_submit(house, _nothing)
        first = await pipeline.send(FUND, house.pay(500), house.clock.now() + 300)
        heard: list[bytes] = []
        access = house.chain.access(house.endpoint)
        real = access.transactions.submit

        async def hear(signed: Any, heard: list[bytes] = heard, real: Any = real) -> None:
            heard.append(signed.hash)
            await real(signed)

        transactions: Any = access.transactions
        transactions.submit = hear
        house.access = access
        pipeline = await house.start()
        pipeline.closed_gate = lambda _, key, in_time: "too late" if in_time else None
        await house.beat(80)
        assert first.newest.hash not in heard
        assert (await house.found(FUND)).status is TransactionStatus.SUPERSEDED
        assert await house.received() == 0


async def test_a_lost_lock_whose_gate_has_closed_keeps_none_behind_it() -> None:
    """On a chain without fees: it is nowhere, and makes way long before it would expire."""
    house = Poor(1_000, market=None)
    pipeline = await house.start(expiry_blocks=50)
    closed = False
    pipeline.closed_gate = lambda _, key, in_time: "too late" if closed and key == FUND else None
    lost = await pipeline.send(FUND, house.pay(500), house.clock.now() + 300)
    await pipeline.send("z:1:fund-participant", house.pay(5), house.clock.now() + 300)
    forgotten = partial(operator.ne, lost.newest.hash)
    await house.beat(2, accept=forgotten)
    assert (await house.found("z:1:fund-participant")).status is TransactionStatus.BROADCAST
    closed = True
    house.chain.forget(lost.newest.hash)
    await house.beat(8)
    record = await house.found(FUND)
    assert [attempt.cancels for attempt in record.attempts] == [False, True]
    assert record.status is TransactionStatus.SUPERSEDED
    assert (await house.found("z:1:fund-participant")).status is TransactionStatus.FINAL
    assert await house.received() == 5


async def test_expired_lock_is_not_void_while_the_count_is_unknown() -> None:
    house = Poor(1_000, market=None)
    pipeline = await house.start(expiry_blocks=3)
    await pipeline.send(FUND, house.pay(5), house.clock.now() + 2, watched=True)
    transactions: Any = house.access.transactions
    real = transactions.sequences

    async def silent(_: object) -> Any:
        raise RetryableError("no answer")

    transactions.sequences = silent
    for _ in range(20):
        with suppress(RetryableError):
            await house.beat(1, accept=nobody)
    assert (await house.found(FUND)).status is TransactionStatus.BROADCAST
    transactions.sequences = real
    await house.beat(4, accept=nobody)
    assert (await house.found(FUND)).status is TransactionStatus.EXPIRED


# --- urgency -----------------------------------------------------------------------------------------------------


async def test_what_stands_before_an_exit_bids_as_high() -> None:
    house = Poor(1000 * FEE)
    pipeline = await house.start()
    vote = await pipeline.send("attest/x", house.pay(3))
    await house.beat(1, accept=nobody)
    house.chain.fees = FeeMarket(60 * GWEI, 3 * GWEI)
    replace_submit(house, _nothing)
    await house.exit(left_s=60)
    await house.beat(2, accept=nobody)
    before, claim = await house.found("attest/x"), await house.found(CLAIM)
    assert before.newest.fee is not None
    assert claim.newest.fee is not None
    assert before.newest.fee.max_fee >= claim.newest.fee.max_fee
    assert before.newest.fee.priority_fee >= claim.newest.fee.priority_fee
    assert len(before.attempts) > len(vote.attempts)


async def test_an_exit_is_sent_to_everybody_at_every_block() -> None:
    house = Poor(100 * FEE)
    await house.start()
    sent: list[bytes] = []

    async def hear(signed: Any) -> None:
        sent.append(signed.hash)

    replace_submit(house, hear)
    transactions: Any = house.access.transactions

    async def pending(_: bytes) -> Outcome:
        return Outcome(OutcomeStatus.PENDING)

    transactions.outcome = pending
    record = await house.exit(left_s=10_000)
    await house.beat(6)
    assert sent == [record.newest.hash] * 7


async def test_exits_outbid_past_their_deadline_and_above_the_ceiling() -> None:
    house = Poor(10**9 * FEE)
    await house.start(fees=FeePolicy(ceiling=30 * GWEI, exit_factor=3))
    await house.exit(left_s=30)
    house.chain.fees = FeeMarket(40 * GWEI, GWEI)
    await house.beat(60, accept=nobody)
    record = await house.found(CLAIM)
    assert record.newest.fee is not None
    assert 40 * GWEI < record.newest.fee.max_fee <= 90 * GWEI
    await house.beat(3)
    assert (await house.found(CLAIM)).included


# --- expiries ----------------------------------------------------------------------------------------------------


async def test_an_exit_is_signed_again_before_it_expires() -> None:
    house = Poor(1_000, market=None)
    await house.start(expiry_blocks=9)
    await house.exit(left_s=10_000)
    expiries = set()
    for _ in range(40):
        await house.beat(1, accept=nobody)
        newest = (await house.found(CLAIM)).newest
        assert newest.expiry_height is not None
        assert newest.expiry_height > house.chain.height
        expiries.add(newest.expiry_height)
    assert len(expiries) > 4
    await house.beat(4)
    assert await house.received() == 1


async def test_an_exit_of_unknown_fate_is_signed_again_in_time() -> None:
    """Between a liar and a node that does not answer there is no quorum: another form does no harm, none would."""
    house = Poor(1_000, market=None)
    await house.start(expiry_blocks=9)
    await house.exit(left_s=10_000)

    async def undecided(_: bytes) -> Outcome:
        raise DisagreementError("no 2 of 3 operators say the same")

    outcome = replace_outcome(house, undecided)
    for _ in range(40):
        with suppress(RetryableError):
            await house.beat(1, accept=nobody)
        newest = (await house.found(CLAIM)).newest
        assert newest.expiry_height is not None
        assert newest.expiry_height > house.chain.height
        assert newest.hash in house.chain.pending()
    replace_outcome(house, outcome)
    await house.beat(4)
    assert await house.received() == 1


async def test_exit_is_resigned_for_ever_and_its_dead_forms_forgotten() -> None:
    house = Poor(1_000, market=None)
    await house.start(expiry_blocks=3)
    await house.exit(left_s=10_000)
    await house.beat(4 * records.MAX_ATTEMPTS, accept=nobody)
    record = await house.found(CLAIM)
    assert len(record.attempts) <= records.MAX_ATTEMPTS
    assert record.newest.expiry_height is not None
    assert record.newest.expiry_height > house.chain.height
    await house.beat(4)
    assert await house.received() == 1


async def test_a_late_lock_expires_and_its_sequence_is_handed_on() -> None:
    house = Poor(1_000, market=None)
    pipeline = await house.start(expiry_blocks=9)
    await pipeline.send(FUND, house.pay(5), house.clock.now() + 4, watched=True)
    await house.exit(left_s=300)
    await house.beat(12, accept=nobody)
    assert (await house.found(FUND)).status is TransactionStatus.EXPIRED
    assert len((await house.found(FUND)).attempts) == 1
    await house.beat(6)
    assert (await house.found(CLAIM)).status is TransactionStatus.FINAL
    assert await house.received() == 1


async def test_a_lock_that_no_block_takes_ends_without_a_fatal_error() -> None:
    house = Poor(1_000, market=None)
    pipeline = await house.start(expiry_blocks=3)
    await pipeline.send(FUND, house.pay(5), watched=True)
    await house.beat(8 * records.MAX_ATTEMPTS, accept=nobody)
    record = await house.found(FUND)
    assert (record.status, len(record.attempts)) == (TransactionStatus.EXPIRED, records.MAX_ATTEMPTS)
    pipeline = await house.start(expiry_blocks=3)
    await house.beat(3)
    assert await house.received() == 0


# --- refusals ----------------------------------------------------------------------------------------------------


async def refuse(_: object) -> None:
    raise RevertedError("the lock is claimed already")


@pytest.mark.parametrize("market", [None, MARKET])
async def test_a_refused_exit_is_signed_once_for_ever(market: FeeMarket | None) -> None:
    house = Poor(100 * FEE, market=market)
    await house.start(expiry_blocks=5)
    replace_submit(house, refuse)
    await house.exit()
    for _ in range(2):
        await house.beat(300)
        record = await house.found(CLAIM)
        assert len(record.attempts) == 1
        await house.start(expiry_blocks=5)
    assert record.status is (TransactionStatus.EXPIRED if market is None else TransactionStatus.REFUSED)


async def test_a_lock_never_takes_the_place_of_a_refused_exit() -> None:
    """Some node may still mine the exit's bytes, and the lock would be gone from its swap."""
    house = Poor(100 * FEE)
    pipeline = await house.start()
    real = house.access.transactions.submit
    replace_submit(house, refuse)
    exit_ = await house.exit()
    await house.beat(300)
    assert (await house.found(CLAIM)).status is TransactionStatus.REFUSED
    replace_submit(house, real)
    lock = await pipeline.send(FUND, house.pay(50))
    assert lock.sequence == exit_.sequence + 1
    await house.beat(20)
    assert (await house.found(FUND)).status is TransactionStatus.FINAL
    assert await house.received() == 50


async def test_another_exit_takes_the_place_of_a_refused_one() -> None:
    house = Poor(100 * FEE)
    await house.start()
    real = house.access.transactions.submit
    replace_submit(house, refuse)
    refused = await house.exit()
    await house.beat(300)
    replace_submit(house, real)
    heir = await house.exit(REFUND)
    assert heir.sequence == refused.sequence
    await house.beat(20)
    assert (await house.found(REFUND)).status is TransactionStatus.FINAL
    assert (await house.found(CLAIM)).status is TransactionStatus.SUPERSEDED


async def test_a_refused_transaction_does_not_return_at_a_restart() -> None:
    house = Poor(100 * FEE)
    pipeline = await house.start()
    real = house.access.transactions.submit
    replace_submit(house, refuse)
    await pipeline.send(FUND, house.pay(50))
    heard: list[bytes] = []

    async def hear(signed: Any) -> None:
        heard.append(signed.hash)
        await real(signed)

    replace_submit(house, hear)
    refused = await house.found(FUND)
    restarted = await house.start()
    await restarted.step()
    assert heard == []
    heir = await house.exit()
    assert heir.sequence == refused.sequence
    await house.beat(5)
    assert refused.newest.hash not in heard
    assert (await house.found(FUND)).status is TransactionStatus.SUPERSEDED
    assert await house.received() == 1


@pytest.mark.parametrize("market", [None, MARKET])
async def test_a_sequence_that_nobody_uses_is_filled(market: FeeMarket | None) -> None:
    """A lock is refused when an exit stands behind it already."""
    house = Poor(100 * FEE, market=market)
    pipeline = await house.start()
    replace_submit(house, _nothing)
    await pipeline.send(FUND, house.pay(5))
    await house.exit()
    replace_submit(house, refuse)
    fund = await house.found(FUND)
    await pipeline._submit(fund, fund.newest)
    house.access = house.chain.access(house.endpoint)
    pipeline = await house.start()
    await house.beat(8)
    assert (await house.found(CLAIM)).status is TransactionStatus.FINAL
    assert (await house.found(FUND)).status is TransactionStatus.SUPERSEDED
    assert await house.received() == 1


@pytest.mark.parametrize("error", [UnclearRefusalError("?"), RetryableError("pool?"), UnaffordableError("poor")])
async def test_a_refused_batch_makes_way_whatever_was_said(error: Exception) -> None:
    house = Poor(100 * FEE)
    pipeline = await house.start()
    said = 0

    async def unclear(_: object) -> None:
        nonlocal said
        said += 1
        raise error

    replace_submit(house, unclear)
    await pipeline.send_together([CLAIM, REFUND], house.pay(7), house.clock.now() + 60)
    for _ in range(MAX_REFUSALS):
        with suppress(RetryableError):
            await house.beat()
    assert (await house.found(CLAIM)).status is TransactionStatus.REFUSED
    assert said <= MAX_REFUSALS


@pytest.mark.parametrize(
    "error", [UnclearRefusalError("?"), ConflictError("nonce too low"), UnaffordableError("poor"), KeyError("bug")]
)
async def test_a_single_exit_goes_on_whatever_was_said(error: Exception) -> None:
    house = Poor(100 * FEE)
    await house.start()
    real = house.access.transactions.submit
    refusals = 0

    async def unclear(signed: Any) -> None:
        nonlocal refusals
        refusals += 1
        if refusals < 8:
            raise error
        await real(signed)

    replace_submit(house, unclear)
    await house.exit()
    await house.beat(20)
    assert (await house.found(CLAIM)).status is TransactionStatus.FINAL


async def test_one_unreadable_outcome_keeps_no_exit_waiting() -> None:
    house = Poor(100 * FEE)
    pipeline = await house.start()
    vote = await pipeline.send("attest/x", house.pay(3))
    transactions: Any = house.access.transactions
    real = transactions.outcome

    async def outcome(tx_hash: bytes) -> Outcome:
        if tx_hash == vote.newest.hash:
            raise KeyError("blockNumber")
        answer: Outcome = await real(tx_hash)
        return answer

    transactions.outcome = outcome
    await house.exit()
    for _ in range(5):
        with suppress(RetryableError):
            await house.beat()
    assert (await house.found(CLAIM)).status is TransactionStatus.FINAL


async def test_a_gate_is_asked_inside_the_transaction_that_stores() -> None:
    """It closes while the bytes are signed: nothing is stored, nothing goes out."""
    house = Poor(100 * FEE)
    pipeline = await house.start()
    asked = 0

    def gate(_: object) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise GateClosedError("too late by now")

    with pytest.raises(GateClosedError, match="too late by now"):
        await pipeline.send(FUND, house.pay(5), gate=gate)
    assert await pipeline.transaction(FUND) is None
    assert house.chain.pending() == ()


def test_an_exit_goes_out_again_though_no_head_comes() -> None:
    """An endpoint that loses word of heads delays an exit by some seconds; nothing else is looked at so often."""

    async def sent_s(exits: bool) -> list[float]:
        house, at_s = Poor(100 * FEE), list[float]()
        pipeline = await house.start()
        await (house.exit() if exits else pipeline.send(FUND, house.pay(5)))
        ask, loop = house.access.transactions.outcome, asyncio.get_running_loop()
        transactions: Any = house.access.transactions

        async def outcome(tx_hash: bytes) -> Outcome:
            at_s.append(round(loop.time(), 3))
            return await ask(tx_hash)

        transactions.outcome = outcome
        running = asyncio.create_task(pipeline.run())
        await asyncio.sleep(IDLE_S + 1)
        running.cancel()
        return [later - sooner for sooner, later in pairwise(at_s)]

    assert set(run_virtually(sent_s(exits=True))[1:]) == {EXIT_IDLE_S}
    assert EXIT_IDLE_S not in run_virtually(sent_s(exits=False))


def test_an_exit_that_is_sent_between_heads_goes_out_again() -> None:
    async def story() -> float:
        house, sent_s = Poor(100 * FEE), list[float]()
        pipeline, loop = await house.start(), asyncio.get_running_loop()
        running = asyncio.create_task(pipeline.run())
        await asyncio.sleep(1)  # no exit is there, and no head comes any more
        transactions: Any = house.access.transactions

        async def submit(_: object) -> None:
            sent_s.append(loop.time())

        transactions.submit = submit
        await house.exit()
        await asyncio.sleep(IDLE_S)
        running.cancel()
        return sent_s[1] - sent_s[0]

    assert run_virtually(story()) <= EXIT_IDLE_S


# --- fees --------------------------------------------------------------------------------------------------------


async def test_one_strange_fee_market_costs_nothing() -> None:
    clock = ManualClock()
    asked = [MARKET, MARKET, MARKET, FeeMarket(1_900 * GWEI, 50 * GWEI)]

    async def ask() -> FeeMarket:
        return asked.pop(0)

    market = Market(ask, clock, 1)
    policy = FeePolicy()
    for _ in range(4):
        last = await market.now()
        await clock.advance(1)
    assert last is not None
    assert last.base_fee == 1_900 * GWEI
    assert policy.most(market.usual, 0.0, exits=False) == policy.market_factor * (MARKET.base_fee + MARKET.priority_fee)


async def test_an_answer_that_took_long_stands_for_as_long_again() -> None:
    """But for a block at most; one that came at once is asked for again."""
    clock = ManualClock()
    answers: list[FeeMarket | None] = [MARKET, replace(MARKET, base_fee=1), replace(MARKET, base_fee=2), None, MARKET]
    takes_s = [1.0, 5.0, 0.1, 1.0, 0.0]

    async def ask() -> FeeMarket | None:
        await clock.advance(takes_s.pop(0))
        return answers.pop(0)

    market = Market(ask, clock, 2)
    assert await market.now() == await market.now() == MARKET
    await clock.advance(0.9)
    assert await market.now() == MARKET
    await clock.advance(0.1)
    assert (await market.now()) == FeeMarket(1, MARKET.priority_fee)
    await clock.advance(1.9)
    assert (await market.now()) == FeeMarket(1, MARKET.priority_fee)
    await clock.advance(0.1)
    assert (await market.now()) == FeeMarket(2, MARKET.priority_fee)
    assert await market.now() is None
    assert await market.now() is None
    await clock.advance(1)
    assert await market.now() == MARKET


async def test_a_restart_does_not_forget_the_market() -> None:
    house = Poor(10**9 * FEE)
    await house.start()
    for number in range(6):
        await house.pipeline.send(f"{number:032x}:1:claim-initiator", house.pay(), simulate=False)
        await house.beat()
    house.access = house.chain.access(house.endpoint)
    await house.start()
    usual = house.pipeline._hand.market.usual
    assert usual == MARKET.base_fee + MARKET.priority_fee
    liar: Any = house.access.transactions

    async def lie() -> FeeMarket:
        return FeeMarket(1_900 * GWEI, 100 * GWEI)

    liar.fee_market = lie
    house.pipeline._hand.market._ask = lie
    record = await house.exit()
    assert record.newest.fee is not None
    assert record.newest.fee.max_fee <= FeePolicy().market_factor * usual


async def test_bids_from_long_ago_are_no_memory() -> None:
    house = Poor(10**9 * FEE)
    await house.start()
    await house.pipeline.send(CLAIM, house.pay(), simulate=False)
    await house.clock.advance(MEMORY_S + 1)
    await house.start()
    assert house.pipeline._hand.market.usual == 0


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**12)), max_size=12))
def test_recalled_bids_are_the_markets_they_were_made_for(seen: list[tuple[int, int]]) -> None:
    markets = [FeeMarket(base, tip) for base, tip in seen]
    market = Market(_nobody_asks, ManualClock(), 1)
    market.recall([first_bid(one, 0.0, 10**30) for one in markets])
    assert list(market._seen) == markets[-MARKETS_KEPT:]


async def _nobody_asks() -> FeeMarket | None:
    raise AssertionError


@pytest.mark.parametrize("ceiling", [0, -1, MAX_CEILING + 1])
def test_an_absurd_ceiling_is_refused(ceiling: int) -> None:
    with pytest.raises(RejectedError, match="ceiling"):
        FeePolicy(ceiling=ceiling)


async def test_an_exit_goes_out_by_the_last_known_market() -> None:
    house = Poor(100 * FEE)
    await house.start()
    await house.exit()
    transactions: Any = house.access.transactions

    async def silent() -> FeeMarket:
        raise RetryableError("no answer")

    transactions.fee_market = silent
    house.pipeline._hand.market._ask = silent
    record = await house.exit(REFUND)
    assert record.newest.fee is not None


# --- all at once -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
async def test_every_exit_ends_in_a_block_whatever_the_chain_does(seed: int, fees: bool) -> None:
    """Blocks that take some, endpoints that fail, fees that jump, reorgs, restarts: each exit is done once, no sequence
    twice, and no lock is mined behind its deadline's cancellation."""
    rng = random.Random(seed)
    house = Poor(10_000 * FEE, MARKET if fees else None)
    await house.start(expiry_blocks=12)
    exits: list[str] = []
    locks: list[str] = []
    for moment in range(60):
        if rng.random() < 0.15:
            key = f"{moment}:1:claim-initiator"
            with suppress(CausewayError):
                await house.exit(key, left_s=rng.uniform(5, 60))
                exits.append(key)
        if rng.random() < 0.15:
            key = f"{moment}:1:fund-participant"
            with suppress(CausewayError):
                await house.pipeline.send(key, house.pay(100), house.clock.now() + rng.uniform(1, 20), watched=True)
                locks.append(key)
        if rng.random() < 0.1:
            house.endpoint.rates = replace(house.endpoint.rates, error=rng.choice([0, 0.3]), lost_reply=0.2)
        if fees and rng.random() < 0.2:
            house.chain.fees = FeeMarket(rng.randint(5, 40) * GWEI, rng.randint(1, 3) * GWEI)
        if rng.random() < 0.05 and house.chain.height > house.chain.finalized_height:
            house.chain.reorg(1, keep=lambda _: rng.random() < 0.5)
        if rng.random() < 0.05:
            with suppress(RetryableError):
                await house.start(expiry_blocks=12)
        with suppress(RetryableError):
            await house.beat(1, accept=partial(taken, rng, rng.random()))
    house.endpoint.rates = replace(house.endpoint.rates, error=0, lost_reply=0)
    if fees:
        house.chain.fees = MARKET
    await house.beat(80)
    assert [key for key in exits if (await house.found(key)).status is not TransactionStatus.FINAL] == []
    done = 0
    for key in locks:
        record = await house.found(key)
        assert not record.open
        done += record.included
    assert await house.received() == len(exits) + 100 * done
    assert await house.database.read(lambda c: orders.reserved(c, CHAIN, house.signer.account, Height(0))) == {}


def test_the_pipeline_has_one_way_in() -> None:
    """Whatever signs for the first time goes by the purse and the gates."""
    assert not hasattr(Pipeline, "_sign_first")
