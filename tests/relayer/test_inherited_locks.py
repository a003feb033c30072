"""Locks that an earlier process signed: nothing of them is sent or signed again before it was checked again."""

import asyncio

import pytest

from core.model.errors import RejectedError, RetryableError
from core.model.transactions import FeeMarket, Outcome
from core.runtime.metrics import Metrics
from relayer.metrics import RelayerMetrics
from relayer.transactions.inherited import HELD_UP_S
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import TransactionRecord, TransactionStatus
from tests.relayer.test_exits import MARKET
from tests.relayer.test_locks_taken_out import Several
from tests.relayer.test_transactions import replace_outcome

LATE_S = 60
EXIT = "e:1:claim-initiator"


class Successor(Several):
    """A process that takes over locks which nobody has heard of. `silent` and `refused`: the locks of which the chains
    say nothing, or that must not happen any more."""

    expiry_blocks = 50

    def __init__(self, market: FeeMarket | None, count: int) -> None:
        super().__init__(market, count)
        self.silent = set[str]()
        self.refused = set[str]()

    async def restart(self) -> Pipeline:
        pipeline = await super().restart()
        pipeline.check_again = self._check_again
        await pipeline.start()
        for tx_hash in self.chain.pending():
            self.chain.forget(tx_hash)
        return pipeline

    async def _check_again(self, key: str) -> None:
        if key in self.silent:
            raise RetryableError("no answer")
        if key in self.refused:
            raise RejectedError("the token has stopped")

    async def exit(self) -> TransactionRecord:
        """Behind the locks, as a claim is sent that an hour is left for."""
        return await self.pipeline.send(EXIT, self.pay(), self.clock.now() + 3_600, simulate=False, watched=True)

    async def send_each(self) -> None:
        """One transaction for each lock."""
        pipeline = await self.restart()
        for number, key in enumerate(self.keys):
            await pipeline.send(key, self.batch([number]), self.clock.now() + LATE_S)


async def test_locks_that_pass_the_checks_are_sent() -> None:
    house = Successor(MARKET, 2)
    await house.begin([LATE_S, LATE_S])
    house.silent = {house.keys[1]}
    await house.restart()
    await house.beat(3)
    assert (house.chain.pending(), house.locked()) == ((), []), "it waits"
    house.silent.clear()
    await house.beat(3)
    assert house.locked() == [0, 1]


async def test_a_refused_lock_is_taken_out_before_the_batch_is_sent() -> None:
    house = Successor(MARKET, 2)
    await house.begin([LATE_S, LATE_S])
    house.refused = {house.keys[0]}
    await house.restart()
    await house.beat(5)
    assert house.locked() == [1]


async def test_an_unchecked_batch_is_called_off_as_a_whole() -> None:
    """One of its locks must not happen, and of the other nobody knows."""
    house = Successor(MARKET, 2)
    await house.begin([LATE_S, LATE_S])
    house.silent = set(house.keys)
    await house.restart()
    house.closed[house.keys[1]] = house.clock.now()
    await house.beat(1, accept=lambda _: False)
    assert [house.holds(one.raw) for one in (await house.record()).attempts] == [[0, 1], []]
    for tx_hash in house.chain.pending():
        house.chain.forget(tx_hash)
    await house.beat(6)
    assert (await house.record()).status is TransactionStatus.SUPERSEDED, "its cancellation is sent again"
    assert house.locked() == []


async def test_locks_that_wait_are_checked_side_by_side() -> None:
    house = Successor(MARKET, 4)
    await house.send_each()
    pipeline = await house.restart()
    begun, all_begun = set[str](), asyncio.Event()

    async def check_again(key: str) -> None:
        begun.add(key)
        if len(begun) == len(house.keys):
            all_begun.set()
        await all_begun.wait()

    pipeline.check_again = check_again
    await house.beat(3)
    assert house.locked() == [0, 1, 2, 3]


async def test_a_check_that_breaks_stops_no_other_lock() -> None:
    house, metrics = Successor(MARKET, 2), Metrics()
    house.metrics = RelayerMetrics(metrics)
    await house.send_each()
    pipeline = await house.restart()

    async def check_again(key: str) -> None:
        if key == house.keys[1]:
            raise ZeroDivisionError

    pipeline.check_again = check_again
    await house.beat(3)
    assert house.locked() == [0]
    assert metrics.value("relayer_faults_total", part="transactions")


@pytest.mark.parametrize("market", [MARKET, None])
async def test_a_lock_before_an_exit_is_checked_before_it_leaves(market: FeeMarket | None) -> None:
    house = Successor(market, 1)
    await house.send_each()
    await house.exit()
    house.silent = {*house.keys}
    await house.restart()
    await house.beat(round(HELD_UP_S) - 2)
    assert (house.locked(), await house.received()) == ([], 0), "the exit waits for the check"
    house.silent.clear()
    await house.beat(4)
    assert (house.locked(), await house.received()) == ([0], 1)


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("market", [MARKET, None])
async def test_a_lock_of_unknown_fate_waits_all_the_same(market: FeeMarket | None, refused: bool) -> None:
    """An exit behind it sends nothing that waits for its check, or must not happen."""
    house = Successor(market, 1)
    await house.send_each()
    exit_ = await house.exit()
    house.silent, house.refused = (set(), {*house.keys}) if refused else ({*house.keys}, set())
    pipeline = await house.restart()

    async def says_nothing(_: bytes) -> Outcome:
        raise RetryableError("no answer")

    outcome = replace_outcome(house, says_nothing)
    for _ in range(3):
        await house.clock.advance(1)
        house.board.latest = None
        with pytest.raises(RetryableError, match="no answer"):
            await pipeline.step()
    assert house.chain.pending() == (exit_.newest.hash,), "the exit alone, which no block can take before it"
    replace_outcome(house, outcome)
    await house.beat(round(HELD_UP_S) + 3)
    assert (house.locked(), await house.received()) == ([], 1)


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("market", [MARKET, None])
async def test_an_exit_takes_the_place_of_an_unchecked_or_refused_lock(market: FeeMarket | None, refused: bool) -> None:
    """Whatever the chain asks for, something else uses the lock's sequence up, and in time."""
    house = Successor(market, 1)
    await house.send_each()
    await house.exit()
    house.silent, house.refused = (set(), {*house.keys}) if refused else ({*house.keys}, set())
    await house.restart()
    await house.beat(3 if refused else round(HELD_UP_S) + 3)
    assert (house.locked(), await house.received()) == ([], 1)
    assert (await house.record()).newest.cancels
    await house.beat(6)
    assert (await house.record()).status is TransactionStatus.SUPERSEDED


async def test_a_new_exit_waits_for_no_lock_that_nobody_could_check() -> None:
    house = Successor(None, 1)
    await house.send_each()
    house.silent = {*house.keys}
    await house.restart()
    await house.beat(round(HELD_UP_S) + 2)
    assert house.chain.pending() == (), "it waits as long as nothing stands behind it"
    await house.exit()
    await house.beat(3)
    assert (house.locked(), await house.received()) == ([], 1)


@pytest.mark.parametrize("market", [MARKET, None])
async def test_locks_that_may_go_out_stay_in_a_batch_before_an_exit(market: FeeMarket | None) -> None:
    house = Successor(market, 2)
    await house.begin([LATE_S, LATE_S])
    await house.exit()
    house.refused = {house.keys[0]}
    await house.restart()
    await house.beat(5)
    assert (house.locked(), await house.received()) == ([1], 1)
