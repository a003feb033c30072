"""Locks that are ready at once share a transaction, and none of them depends on another."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.endpoints.voting import PATIENCE_S
from adapters.memory import Endpoint, FaultRates, MemoryChain, ledger
from adapters.memory.transactions import Batch, decode_message, decode_wire
from core.model.errors import RejectedError, RetryableError, RevertedError
from core.model.facts import Locked
from core.model.transactions import FeeBid, FeeMarket, SignedTransaction, UnsignedTransaction
from core.model.types import AssetId, BlockRef, ChainId, Height, PublicPreimage, SwapId
from core.runtime.clock import run_virtually
from core.runtime.database import InlineDatabase
from htlc import events
from htlc.model import Leg, Phase
from relayer.provider.desk import SwapView
from relayer.pump import swaps
from relayer.pump.locks import ReadyLock
from relayer.transactions.orders import Purse
from relayer.transactions.pipeline import TAKEN_OUT
from relayer.transactions.records import TransactionRecord, TransactionStatus
from relayer.transactions.signing import Asked
from tests.relayer.house import A, B, FlakyDatabase
from tests.relayer.test_together import COUNT, Hall, left_out

MARKET = FeeMarket(10, 1)
MAX_WRITES = 300
Mine = Callable[[bytes], bool]


class Square(Hall):
    """Swaps that begin together, and what becomes of the provider's locks on B."""

    def _chain(self, chain: ChainId, market: FeeMarket | None, finality_depth: int) -> MemoryChain:
        return super()._chain(chain, market if chain == B else None, finality_depth)

    async def locks(self, views: list[SwapView], how_many: int | None = None) -> list[TransactionRecord]:
        """The transactions of the provider's locks, each once, in the order of their making; once there are so many."""

        async def there() -> bool:
            return len(await self.exits(views, "fund")) == how_many

        if how_many is not None:
            await self.until(there, what=f"{how_many} transactions of locks")
        return sorted(await self.exits(views, "fund"), key=lambda record: record.id)

    def takes(self, chain: ChainId, accept: Mine) -> None:
        """Blocks take of transactions only what `accept` lets them, from now on."""
        played = self.chains[chain]

        def mine(count: int = 1, _: Mine | None = None) -> list[BlockRef]:
            return type(played).mine(played, count, accept)

        played.mine = mine  # type: ignore[assignment, method-assign]

    async def take_in(self, view: SwapView, event: events.SwapEvent) -> None:
        now_ns = self.clock.now_ns()
        await self.database.write(lambda c: swaps.take(c, view.id, [event], now_ns=now_ns))

    async def publish(self, view: SwapView) -> None:
        """Somebody shows the preimage: whatever is not locked yet is not to be locked any more."""
        preimage = PublicPreimage(self.preimages[view.id].expose())
        await self.take_in(view, events.PreimageSeen(preimage, "x"))

    async def finish(self, views: list[SwapView]) -> None:
        """The initiator claims each of these, and each completes."""
        found = [await self.locked(view.id, Leg.PARTICIPANT) for view in views]
        await self.claim_all(found)
        for view in found:
            await self.phase(view.id, Phase.COMPLETED)
            assert len(self.made(B, Locked, view.initiator.terms.hashlock)) == 1


def played(story: Callable[[Square], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        square = Square(**options)
        try:
            await square.start()
            await story(square)
        finally:
            await square.stop()

    run_virtually(whole())


def is_batch(raw: bytes) -> bool:
    return isinstance(decode_wire(raw).body.message, Batch)


def hashes(record: TransactionRecord) -> set[bytes]:
    return {attempt.hash for attempt in record.attempts}


def test_locks_that_are_due_at_once_are_one_transaction() -> None:
    async def story(square: Square) -> None:
        views = await square.begun()
        await square.finish(views)
        [record] = await square.locks(views)
        assert [item.left_out for item in record.items] == [None] * COUNT
        assert (record.status, record.exits, record.newest.without) == (TransactionStatus.FINAL, False, frozenset())
        assert square.metrics.value("relayer_locks_together_total", chain=B) == COUNT

    played(story)


def test_more_locks_than_a_transaction_holds_are_in_several() -> None:
    async def story(square: Square) -> None:
        views = await square.begun(11)
        await square.finish(views)
        assert sorted(len(record.items) for record in await square.locks(views)) == [3, 8]

    played(story)


def test_a_lone_lock_is_a_transaction_of_its_own() -> None:
    async def story(square: Square) -> None:
        views = await square.begun(1)
        await square.finish(views)
        [record] = await square.locks(views)
        assert record.items == ()

    played(story)


def test_without_batches_each_lock_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Square, "batches", False)

    async def story(square: Square) -> None:
        views = await square.begun()
        await square.finish(views)
        assert [record.items for record in await square.locks(views)] == [()] * COUNT

    played(story)


# --- gates before the signature -----------------------------------------------------------------------------------


def test_a_lock_whose_gate_closes_meanwhile_is_left_behind() -> None:
    """Its preimage becomes public while the others gather: nothing is signed for that swap."""

    async def story(square: Square) -> None:
        pipeline = square.service.pump.pipelines[B]
        ask, views = pipeline.ask_for_lock, list[SwapView]()

        async def asked(lock: UnsignedTransaction) -> Asked:
            answer = await ask(lock)
            await square.clock.sleep(0.5)  # the others come
            await square.publish(views[1])
            return answer

        pipeline.ask_for_lock = asked  # type: ignore[method-assign]
        views += await square.begun()
        await square.phase(views[1].id, Phase.ABANDONED)
        await square.finish([views[0], views[2]])
        [record] = await square.locks(views)
        assert {item.effect_key.split(":")[0] for item in record.items} == {views[0].id, views[2].id}
        assert square.made(B, Locked, views[1].initiator.terms.hashlock) == []

    played(story)


def test_a_gate_that_closes_while_others_are_signed_holds() -> None:
    """Between the last look and the transaction that stores the bytes: the others are signed again, without it."""

    async def story(square: Square) -> None:
        pipeline, views = square.service.pump.pipelines[B], list[SwapView]()
        simulate, closed = pipeline._sender.simulate, False

        async def simulated(unsigned: UnsignedTransaction, fee: FeeBid | None = None) -> None:
            nonlocal closed
            await simulate(unsigned, fee)
            if not closed and isinstance(decode_message(unsigned.body), Batch):
                closed = True
                await square.publish(views[0])

        pipeline._sender.simulate = simulated  # type: ignore[assignment, method-assign]
        views += await square.begun()
        await square.phase(views[0].id, Phase.ABANDONED)
        await square.finish(views[1:])
        [record] = await square.locks(views)
        assert len(record.items) == COUNT - 1
        assert square.made(B, Locked, views[0].initiator.terms.hashlock) == []

    played(story)


@pytest.mark.parametrize("error", [RevertedError("too much at once"), RetryableError("not now"), ValueError("what?")])
def test_a_batch_that_is_refused_leaves_its_locks_to_go_alone(error: Exception) -> None:
    """A token may move less at once than all of them are. Each lock makes all its checks a second time."""

    async def story(square: Square) -> None:
        pipeline = square.service.pump.pipelines[B]
        simulate, checks, checked = pipeline._sender.simulate, square.service.pump.checks, list[SwapId]()
        before = checks.before_funding

        async def simulated(unsigned: UnsignedTransaction, fee: FeeBid | None = None) -> None:
            if isinstance(decode_message(unsigned.body), Batch):
                raise error
            await simulate(unsigned, fee)

        async def before_funding(state: Any) -> None:
            checked.append(state.swap_id)
            await before(state)

        pipeline._sender.simulate = simulated  # type: ignore[assignment, method-assign]
        checks.before_funding = before_funding  # type: ignore[method-assign]
        views = await square.begun()
        await square.finish(views)
        assert [record.items for record in await square.locks(views)] == [()] * COUNT
        assert sorted(checked) == sorted([view.id for view in views] * 2)

    played(story)


def test_a_chain_that_hangs_keeps_no_lock_waiting_for_others() -> None:
    """The first lock's question is not answered for long: the others ask for themselves."""

    async def story(square: Square) -> None:
        pipeline = square.service.pump.pipelines[B]

        async def hangs(_: UnsignedTransaction) -> Asked:
            await asyncio.sleep(25)
            raise RetryableError("at last")

        pipeline.ask_for_lock = hangs  # type: ignore[assignment, method-assign]
        views = await square.begun()
        began_s = square.clock.monotonic()
        await square.locks(views, COUNT)
        assert square.clock.monotonic() - began_s < 20
        await square.finish(views)

    played(story)


def test_locks_share_a_transaction_next_to_one_that_hangs() -> None:
    """Its answer is waited for every time; whoever locks waits longer than that."""

    async def story(square: Square) -> None:
        pipeline = square.service.pump.pipelines[B]
        ask = pipeline.ask_for_lock

        async def waits(lock: UnsignedTransaction) -> Asked:
            await square.clock.sleep(PATIENCE_S)
            return await ask(lock)

        pipeline.ask_for_lock = waits  # type: ignore[method-assign]
        views = await square.begun()
        await square.finish(views)
        [record] = await square.locks(views)
        assert len(record.items) == COUNT

    played(story)


def test_a_purse_that_is_short_of_a_batch_pays_for_singles() -> None:
    """At first it is enough for two of three: these are locked, and the third when there is more."""

    async def story(square: Square) -> None:
        pipeline, short = square.service.pump.pipelines[B], True
        purse = pipeline._hand.purse

        async def held(cost: Mapping[AssetId, int], lenient: bool) -> Purse | None:
            found = await purse(cost, lenient)
            return replace(found, held=dict.fromkeys(found.held, 4_500)) if found is not None and short else found

        pipeline._hand.purse = held  # type: ignore[method-assign]
        views = await square.begun()
        assert [record.items for record in await square.locks(views, 2)] == [(), ()]
        short = False
        await square.finish(views)

    played(story)


# --- gates behind the signature -----------------------------------------------------------------------------------


def test_a_batch_that_waits_is_signed_again_without_what_is_over() -> None:
    """The preimage of one becomes public while no block takes the batch: the others are locked, that one never is."""

    async def story(square: Square) -> None:
        waiting = set[bytes]()
        square.takes(B, lambda tx_hash: tx_hash not in waiting)
        pipeline = square.service.pump.pipelines[B]
        submit = pipeline._sender.submit

        async def noted(signed: SignedTransaction) -> None:
            if is_batch(signed.raw) and not waiting:
                waiting.add(signed.hash)  # the first form of it is left lying
            await submit(signed)

        pipeline._sender.submit = noted  # type: ignore[method-assign]
        views = await square.begun()
        [first] = await square.locks(views, 1)
        spoiled = views[1]
        await square.publish(spoiled)
        await square.phase(spoiled.id, Phase.ABANDONED)
        await square.finish([views[0], views[2]])
        [record] = await square.locks(views)
        number = next(n for n, item in enumerate(record.items) if item.effect_key.startswith(spoiled.id))
        assert (record.sequence, record.newest.without) == (first.sequence, frozenset({number}))
        assert left_out(record) == {spoiled.id: TAKEN_OUT}
        assert square.made(B, Locked, spoiled.initiator.terms.hashlock) == []

    played(story, market=MARKET)


def test_all_of_a_batch_that_is_over_is_cancelled() -> None:
    async def story(square: Square) -> None:
        square.takes(B, lambda _: False)
        views = await square.begun()
        [first] = await square.locks(views, 1)
        for view in views:
            await square.publish(view)

        async def cancelling() -> bool:
            return (await square.locks(views))[0].cancelling

        await square.until(cancelling)
        [record] = await square.locks(views)
        square.takes(B, lambda tx_hash: tx_hash not in hashes(first))
        for view in views:
            await square.phase(view.id, Phase.ABANDONED)
        assert record.sequence == first.sequence
        assert all(square.made(B, Locked, view.initiator.terms.hashlock) == [] for view in views)

    played(story, market=MARKET)


def test_the_first_form_that_is_mined_all_the_same_counts() -> None:
    """A block takes the bytes with the lock that was taken out: it is locked, and its swap goes on by a refund."""

    async def story(square: Square) -> None:
        square.takes(B, lambda _: False)
        views = await square.begun()
        [first] = await square.locks(views, 1)
        spoiled = views[1]
        await square.publish(spoiled)

        async def again() -> bool:
            return len((await square.locks(views))[0].attempts) > 1

        await square.until(again)
        square.takes(B, lambda tx_hash: tx_hash not in hashes(first) or tx_hash == first.newest.hash)
        replaced = [one.hash for one in (await square.locks(views))[0].attempts[1:]]
        for tx_hash in replaced:
            square.chains[B].forget(tx_hash)
        await square.chains[B].access().transactions.submit(first.signed(first.newest))
        for view in views:
            await square.locked(view.id, Leg.PARTICIPANT)
        [record] = await square.locks(views)
        assert left_out(record) == {}

    played(story, market=MARKET)


def test_an_early_refund_waits_until_a_lock_can_never_be_mined() -> None:
    """Out of the batch is not out of the world: its first form may still be mined, until another one is final."""

    async def story(square: Square) -> None:
        square.takes(B, lambda _: False)
        views = await square.begun()
        [first] = await square.locks(views, 1)
        spoiled = views[1]
        await square.publish(spoiled)

        async def without_it() -> bool:
            return bool((await square.locks(views))[0].newest.without)

        await square.until(without_it)
        await square.take_in(spoiled, events.EarlyRefundRequested())
        assert (await square.look(spoiled.id)).phase is not Phase.ABANDONED
        assert await square.exits([spoiled], "give") == []
        square.takes(B, lambda tx_hash: tx_hash not in hashes(first))
        await square.phase(spoiled.id, Phase.ABANDONED)

    played(story, market=MARKET)


def test_a_lock_that_fails_in_the_block_is_left_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(square: Square) -> None:
        real, views = ledger._lock, list[SwapView]()

        def moody(rules: Any, state: Any, sender: Any, message: Any, time: Any) -> Any:
            if sender == square.relayer[B].account and message.hashlock == views[2].initiator.terms.hashlock:
                raise ledger.Refused("the lock id is used up")
            return real(rules, state, sender, message, time)

        async def simulated(unsigned: UnsignedTransaction, fee: FeeBid | None = None) -> None:
            """It goes through, as far as can be known before."""

        square.service.pump.pipelines[B]._sender.simulate = simulated  # type: ignore[assignment, method-assign]
        views += await square.begun()
        monkeypatch.setattr(ledger, "_lock", moody)
        await square.phase(views[2].id, Phase.ABANDONED)
        await square.finish(views[:2])
        [record] = await square.locks(views)
        assert left_out(record) == {views[2].id: "the lock id is used up"}

    played(story)


def test_a_reorg_takes_a_batch_of_locks_away_and_brings_it_back() -> None:
    async def story(square: Square) -> None:
        views = await square.begun()
        chain = square.chains[B]

        def blocks() -> list[Any]:
            found = [chain.block(Height(height)) for height in range(chain.height + 1)]
            return [one.header.ref for one in found if any(isinstance(event.event, Locked) for event in one.events)]

        async def there() -> bool:
            return bool(blocks())

        await square.until(there)
        [gone] = blocks()
        chain.reorg(chain.height - gone.height + 1)
        await square.finish(views)
        [record] = await square.locks(views)
        assert record.block not in (None, gone)

    played(story, finality_depth=4)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_each_swap_completes_or_costs_nothing(seed: int) -> None:
    """Endpoints that fail and lose replies, a database that others lock, blocks that leave forms lying, gates that
    close at some moment, a reorg: what is locked is claimed or refunded, and what is not, never was."""

    async def story(square: Square) -> None:
        source = random.Random(seed)
        views = await square.opened(4)
        await square.kill()
        square.around = lambda inner: FlakyDatabase(inner, seed, rate=0.03)
        for chain in (A, B):
            rates = FaultRates(error=0.03, lost_reply=0.1, latency_s=(0.0, 0.2))
            square.endpoints[chain] = Endpoint(square.clock, seed, rates)
        await square.lock_all(views)
        await square.start()
        square.takes(B, lambda _: source.random() < 0.3)
        await square.clock.sleep(source.uniform(2, 8))
        spoiled = source.choice(views)
        await square.take_in(spoiled, events.QuoteCancelled("enough"))
        await square.publish(spoiled)
        await square.clock.sleep(source.uniform(0, 4))
        if seed % 2:
            square.chains[B].reorg(1, keep=lambda _: source.random() < 0.5)
        for view in views:
            await square.phase(
                view.id, Phase.ABANDONED, Phase.REFUNDED, Phase.COMPLETED, Phase.CLAIMING, deadline_s=400
            )
        for view in views:
            if view.id != spoiled.id:
                await square.phase(view.id, Phase.REFUNDED, Phase.ABANDONED, deadline_s=400)
        sequences = [record.sequence for record in await square.locks(views)]
        assert len(sequences) == len(set(sequences))

    played(story, finality_depth=3, **({"market": MARKET} if seed % 4 < 2 else {}))


# --- the shape of it ----------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_crash_at_any_commit_around_locks_loses_nothing(tmp_path: Path) -> None:
    """The relayer dies at each write from the first locks on, and starts again over the same file."""
    deaths = 0
    for fatal in range(1, MAX_WRITES):
        if not run_virtually(locks_with_a_death(f"sqlite:///{tmp_path / str(fatal)}", fatal)):
            break
        deaths = fatal
    assert 5 < deaths < MAX_WRITES - 1, f"{deaths} writes were tried"


async def locks_with_a_death(url: str, fatal: int) -> bool:
    """False if all was locked before."""
    square = Square(url)
    await square.start()
    views = await square.opened(COUNT)
    await square.kill()
    await square.lock_all(views)
    await square.start(fatal, after_commit=bool(fatal % 2))

    async def all_locked() -> bool:
        looks = [await square.look(view.id) for view in views]
        return all(one.participant.lock is not None and one.participant.lock.final for one in looks)

    while not square.mortal.dead and not await all_locked():
        await square.clock.sleep(0.25)
    died = square.mortal.dead
    if died:
        await square.died()
        await square.database.close()
        square.database = InlineDatabase(url)
        await square.start()
    square.mortal.fatal = None
    await square.finish(views)
    locked = sum(len(square.made(B, Locked, view.initiator.terms.hashlock)) for view in views)
    assert locked == len(views)
    await square.stop()
    await square.database.close()
    return died


def test_ready_locks_know_if_their_gate_is_open() -> None:
    def closed(_: object) -> None:
        raise RejectedError("closed")

    def paused(_: object) -> None:
        raise RetryableError("paused")

    made = [ReadyLock("k", SwapId("s"), None, None, 0.0, gate, {}, 0.0) for gate in (closed, paused, lambda _: None)]  # type: ignore[arg-type]
    assert [one.is_open(None) for one in made] == [False, False, True]  # type: ignore[arg-type]
