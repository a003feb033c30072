"""Claims and refunds that are due at once share a transaction, and none of them depends on another."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from adapters.memory import Endpoint, FaultRates, MemoryChain, MemoryRules, ledger
from adapters.memory.transactions import Batch, decode_wire
from core.model.errors import ConflictError, RejectedError, UnaffordableError
from core.model.facts import Claimed, Refunded
from core.model.transactions import FeeBid, FeeMarket, LeftOut, SignedTransaction, UnsignedTransaction
from core.model.types import (
    AccountId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Preimage,
    PublicPreimage,
    SwapId,
)
from core.runtime.clock import run_virtually
from core.runtime.database import InlineDatabase
from htlc import effects, events
from htlc.model import Leg, Phase
from relayer.provider.desk import LegView, OpenSwap, SwapView
from relayer.provider.quoting import QuoteRequest
from relayer.pump.acting import submitted
from relayer.transactions import orders, records
from relayer.transactions.records import TransactionRecord, TransactionStatus
from tests.relayer.house import COIN, TIMING, A, B, FlakyDatabase, House
from tests.relayer.test_transactions import House as OneChain

COUNT = 3
MAX_WRITES = 200


class Hall(House):
    """A relayer with several swaps of the same moment."""

    batches = True

    def _chain(self, chain: ChainId, market: FeeMarket | None, finality_depth: int) -> MemoryChain:
        made = super()._chain(chain, market, finality_depth)
        rules = made.rules
        made.rules = MemoryRules(TIMING, finality_depth, native=rules.native, fees=market, batches=self.batches)
        return made

    async def both_locked(self, count: int = COUNT) -> list[SwapView]:
        """Opened at one moment, so that all timelocks are the same; both legs locked, finally."""
        return [await self.locked(view.id, Leg.PARTICIPANT) for view in await self.begun(count)]

    async def begun(self, count: int = COUNT) -> list[SwapView]:
        """Opened at one moment; the initiator's locks are sent, all for one block."""
        views = await self.opened(count)
        await self.lock_all(views)
        return views

    async def opened(self, count: int) -> list[SwapView]:
        self.preimages = {}
        views = []
        for number in range(count):
            preimage = Preimage(bytes([number + 1] * 32))
            quote = await self.service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1000)))
            request = OpenSwap(quote, preimage.hashlock(), self.initiator[A].account, self.initiator[B].account)
            views.append(await self.service.desk.open_swap(request))
            self.preimages[views[-1].id] = preimage
        return views

    async def lock_all(self, views: list[SwapView]) -> None:
        legs = self.chains[A].access().legs
        places: list[LockId] = []
        for view in views:
            places.append(await legs.lock_id(view.initiator.terms, places))
        await self.send_all(
            A, [legs.lock(view.initiator.terms, place) for view, place in zip(views, places, strict=True)]
        )

    async def send_all(self, chain: ChainId, calls: list[UnsignedTransaction]) -> None:
        """By the initiator's own hand, into one block."""
        sender, signer = self.chains[chain].access().transactions, self.initiator[chain]
        first, market = (await sender.sequences(signer.account)).latest, await sender.fee_market()
        bid = None if market is None else FeeBid(16 * market.base_fee, 8 * market.priority_fee)
        for number, unsigned in enumerate(calls):
            request = sender.assemble(unsigned, first + number, bid, None)
            await sender.submit(sender.attach(request, await signer.sign(request)))

    async def claim_all(self, views: list[SwapView]) -> None:
        legs, account = self.chains[B].access().legs, self.initiator[B].account
        ones = [(view.participant, self.preimages[view.id]) for view in views]
        await self.send_all(B, [legs.claim(one.terms, place_of(one), preimage, account) for one, preimage in ones])

    async def exits(self, views: list[SwapView], kind: str) -> list[TransactionRecord]:
        """The transactions of the relayer's claims or refunds, each once."""
        found: dict[int, TransactionRecord] = {}
        for view in views:
            for record in await self.database.read(partial(records.of_effect_prefix, prefix=view.id)):
                if any(f":{kind}-" in item.effect_key for item in record.effects):
                    found[record.id] = record
        return list(found.values())

    def settled(self, chain: ChainId, kind: type[Any], views: list[SwapView]) -> int:
        return sum(len(self.made(chain, kind, view.initiator.terms.hashlock)) for view in views)


def place_of(leg: LegView) -> LockId:
    assert leg.lock_id is not None
    return leg.lock_id


def left_out(record: TransactionRecord) -> dict[str, str]:
    """Why, by swap, for each item of a batch that did nothing."""
    return {item.effect_key.split(":")[0]: item.left_out for item in record.items if item.left_out is not None}


def played(story: Callable[[Hall], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        house = Hall(**options)
        try:
            await house.start()
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


async def completed(house: Hall, views: list[SwapView]) -> None:
    for view in views:
        await house.phase(view.id, Phase.COMPLETED)
    assert house.settled(A, Claimed, views) == len(views)
    assert (await house.gains())["relayer"] == (1000 * len(views), -2000 * len(views))


def test_claims_that_are_due_at_once_are_one_transaction() -> None:
    async def story(house: Hall) -> None:
        views = await house.both_locked()
        await house.claim_all(views)
        await completed(house, views)
        [record] = await house.exits(views, "claim")
        assert [item.left_out for item in record.items] == [None] * COUNT
        assert record.status is TransactionStatus.FINAL
        assert record.deadline_ns == views[0].initiator.terms.timelock.seconds * 10**9
        assert house.metrics.value("relayer_exits_together_total", chain=A) == COUNT

    played(story)


def test_refunds_that_are_due_at_once_are_one_transaction() -> None:
    async def story(house: Hall) -> None:
        views = await house.both_locked()
        for view in views:
            await house.phase(view.id, Phase.REFUNDED, deadline_s=400)
        [record] = await house.exits(views, "refund")
        assert len(record.items) == COUNT
        assert record.deadline_ns is None
        assert house.settled(B, Refunded, views) == COUNT
        assert (await house.gains())["relayer"] == (0, 0)

    played(story)


def test_more_than_one_transaction_holds_go_out_in_several() -> None:
    async def story(house: Hall) -> None:
        views = await house.both_locked(11)
        await house.claim_all(views)
        await completed(house, views)
        assert sorted(len(record.items) for record in await house.exits(views, "claim")) == [3, 8]

    played(story)


def test_where_exits_share_nothing_they_go_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hall, "batches", False)

    async def story(house: Hall) -> None:
        views = await house.both_locked()
        await house.claim_all(views)
        await completed(house, views)
        records = await house.exits(views, "claim")
        assert [len(record.items) for record in records] == [0] * COUNT

    played(story)


def test_item_that_fails_gets_its_own_reason_and_hurts_nobody() -> None:
    """Somebody else claims one leg first, in the very block that holds our batch."""

    async def story(house: Hall) -> None:
        views = await house.both_locked()
        legs, poisoned = house.chains[A].access().legs, views[1]
        one = poisoned.initiator
        real = house.service.pump.pipelines[A]._sender.submit

        async def overtaken(signed: SignedTransaction) -> None:
            preimage = house.preimages[poisoned.id]
            claim = legs.claim(one.terms, place_of(one), preimage, house.initiator[A].account)
            await house.send_all(A, [claim])
            await real(signed)

        house.service.pump.pipelines[A]._sender.submit = overtaken  # type: ignore[method-assign]
        await house.claim_all(views)
        await completed(house, views)
        [record] = await house.exits(views, "claim")
        assert left_out(record) == {poisoned.id: "the lock is claimed"}

    played(story)


def test_an_item_that_failed_is_asked_for_again_and_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(house: Hall) -> None:
        views = await house.both_locked()
        poisoned, refused = views[1].initiator.lock_id, 0
        real = ledger._claim

        def moody(state: Any, message: Any, time: Any) -> Any:
            nonlocal refused
            if message.lock_id == poisoned and refused < 2:
                refused += 1
                raise ledger.Refused("the payee refuses")
            return real(state, message, time)

        monkeypatch.setattr(ledger, "_claim", moody)
        await house.claim_all(views)
        await completed(house, views)
        records = await house.exits(views, "claim")
        assert [len(record.items) for record in records] == [COUNT, 0, 0]
        assert left_out(records[0]) == {views[1].id: "the payee refuses"}
        assert [record.reverted for record in records] == [False, True, False]
        assert {record.effect_key.split(":")[0] for record in records[1:]} == {views[1].id}

    played(story)


def test_claims_near_their_timelocks_go_alone() -> None:
    """The initiator reveals at the last moment: what is left until T_A is what a claim may need."""

    async def story(house: Hall) -> None:
        views = await house.both_locked()
        await house.clock.sleep(views[0].participant.terms.timelock.seconds - 2 - house.clock.now())
        await house.claim_all(views)
        await completed(house, views)
        assert [len(record.items) for record in await house.exits(views, "claim")] == [0] * COUNT

    played(story)


def test_batch_beyond_the_purse_is_given_up_its_items_go_alone() -> None:
    async def story(house: Hall) -> None:
        views = await house.both_locked()
        real = house.service.pump.pipelines[A]._sender.submit

        async def poor(signed: SignedTransaction) -> None:
            if isinstance(decode_wire(signed.raw).body.message, Batch):
                raise UnaffordableError("fund the account")
            await real(signed)

        house.service.pump.pipelines[A]._sender.submit = poor  # type: ignore[method-assign]
        await house.claim_all(views)
        await completed(house, views)
        batch, *alone = sorted(await house.exits(views, "claim"), key=lambda record: record.id)
        assert len(batch.items) == COUNT

        async def superseded() -> bool:
            return (await house.exits(views, "claim"))[0].status is TransactionStatus.SUPERSEDED

        await house.until(superseded)
        assert [len(record.items) for record in alone] == [0] * COUNT
        assert alone[0].sequence == batch.sequence

    played(story)


def test_a_reorg_takes_a_batch_away_and_brings_it_back() -> None:
    async def story(house: Hall) -> None:
        views = await house.both_locked()
        await house.claim_all(views)
        await house.until(lambda: all_claimed(house, views))
        chain = house.chains[A]
        blocks = [chain.block(Height(height)) for height in range(chain.height + 1)]
        [gone] = [block.header.ref for block in blocks if any(isinstance(one.event, Claimed) for one in block.events)]
        chain.reorg(chain.height - gone.height + 1)
        await completed(house, views)
        [batch] = await house.exits(views, "claim")
        assert len(batch.items) == len(views)
        assert batch.block not in (None, gone)

    played(story, finality_depth=4)


async def all_claimed(house: Hall, views: list[SwapView]) -> bool:
    return house.settled(A, Claimed, views) == len(views)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_a_batch_everybody_gets_their_due(seed: int) -> None:
    """Endpoints that fail and lose replies, a database that others lock, an item that fails at first, a reorg."""

    async def story(house: Hall) -> None:
        source = random.Random(seed)
        views = await house.both_locked(4)
        await house.kill()
        house.around = lambda inner: FlakyDatabase(inner, seed, rate=0.05)
        for chain in (A, B):
            rates = FaultRates(error=0.05, lost_reply=0.2, latency_s=(0.0, 0.1))
            house.endpoints[chain] = Endpoint(house.clock, seed, rates)
        spoiled, fails, apply = source.choice(views).initiator.lock_id, 2, ledger._claim

        def moody(state: Any, message: Any, time: Any) -> Any:
            nonlocal fails
            if message.lock_id == spoiled and fails:
                fails -= 1
                raise ledger.Refused("not now")
            return apply(state, message, time)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "_claim", moody)
            await house.start()
            await house.claim_all(views)
            await house.until(lambda: some_claimed(house, views))
            house.chains[A].reorg(1, keep=lambda _: source.random() < 0.5)
            await completed(house, views)
        assert fails == 0, "the item failed as often as it was to"

    played(story, finality_depth=3)


async def some_claimed(house: Hall, views: list[SwapView]) -> bool:
    return house.settled(A, Claimed, views) > 0


@pytest.mark.long
def test_a_crash_at_any_commit_around_a_batch_loses_nothing(tmp_path: Path) -> None:
    """The relayer dies at each write from the reveals on, and starts again over the same file."""
    deaths = 0
    for fatal in range(1, MAX_WRITES):
        if not run_virtually(claims_with_a_death(f"sqlite:///{tmp_path / str(fatal)}", fatal)):
            break
        deaths = fatal
    assert 5 < deaths < MAX_WRITES - 1, f"{deaths} writes were tried"


async def claims_with_a_death(url: str, fatal: int) -> bool:
    """False if it finished before."""
    house = Hall(url)
    await house.start()
    views = await house.both_locked()
    await house.kill()
    await house.claim_all(views)
    await house.start(fatal, after_commit=bool(fatal % 2))
    while not house.mortal.dead and not all([(await house.look(view.id)).phase.terminal for view in views]):
        await house.clock.sleep(0.25)
    died = house.mortal.dead
    if died:
        await house.died()
        await house.database.close()
        house.database = InlineDatabase(url)
        await house.start()
    await completed(house, views)
    await house.stop()
    await house.database.close()
    return died


KEY = "a:1:claim-initiator"
CLAIM = effects.ClaimLeg(
    swap_id=SwapId("a"),
    sequence=1,
    leg=Leg.INITIATOR,
    lock_id=LockId("x/1"),
    terms=LockTerms(
        COIN[A],
        BaseUnits(1),
        AccountId(f"{A}:{'1' * 40}"),
        AccountId(f"{A}:{'2' * 40}"),
        Preimage(bytes(32)).hashlock(),
        ChainTime(A, 10**9),
    ),
    preimage=PublicPreimage(bytes(32)),
)


# --- the journal of transactions ---------------------------------------------------------------------------------


async def a_batch(house: OneChain, *keys: str) -> None:
    await house.pipeline.send_together(keys, house.pay())


async def test_an_effect_has_one_transaction_alone_or_in_a_batch() -> None:
    house = OneChain()
    pipeline = await house.start()
    await a_batch(house, "a:1:claim-initiator", "b:1:claim-initiator")
    found = [await pipeline.transaction(key) for key in ("a:1:claim-initiator", "b:1:claim-initiator")]
    assert found[0] == found[1]
    batch = found[0]
    assert batch is not None
    assert await pipeline.send("b:1:claim-initiator", house.pay()) == batch
    await a_batch(house, "c:1:claim-initiator", "b:1:claim-initiator")
    assert await pipeline.transaction("c:1:claim-initiator") is None
    await pipeline.send("d:1:claim-initiator", house.pay())
    await a_batch(house, "e:1:claim-initiator", "d:1:claim-initiator")
    assert await pipeline.transaction("e:1:claim-initiator") is None
    assert await house.database.read(lambda c: len(records.of_effect_prefix(c, "b:"))) == 1
    with pytest.raises(ConflictError, match="has a transaction already"):
        await house.database.write(lambda c: stored_again(c, house, batch))
    with pytest.raises(RejectedError, match="this pipeline signs for"):
        await pipeline.send_together(["x:1:claim-initiator"], other_account(house))


def stored_again(connection: Connection, house: OneChain, record: TransactionRecord) -> None:
    order = orders.Order("b:1:claim-initiator", house.pay(), watched=True)
    orders.store_first(connection, house.pipeline._hand.epoch, order, 9, record.newest, {}, None)


def other_account(house: OneChain) -> UnsignedTransaction:
    return replace(house.pay(), sender=house.other.account)


async def test_same_batch_in_another_block_may_leave_out_other_items() -> None:
    house = OneChain()
    await house.start()
    await a_batch(house, "a:1:claim-initiator", "b:1:claim-initiator", "c:1:claim-initiator")

    def note(connection: Connection, left_out: tuple[LeftOut, ...]) -> list[str | None]:
        [record] = records.open_transactions(connection, house.chain.chain, house.signer.account)
        block = BlockRef(house.chain.chain, Height(7), b"x")
        records.store_status(connection, record.id, TransactionStatus.INCLUDED, block=block, left_out=left_out)
        for unreported in records.unreported(connection, 10):
            records.note_reported(connection, unreported)
            return [item.left_out for item in unreported.items]
        return ["nothing new"]

    first, second = LeftOut(0, "NotLocked(1, 2)"), LeftOut(2, "PaymentRefused(0x1)")
    found = [await house.database.write(partial(note, left_out=said)) for said in ((first,), (first,), (second,), ())]
    assert found == [[first.reason, None, None], ["nothing new"], [None, None, second.reason], [None, None, None]]


@pytest.mark.parametrize(
    ("status", "reverted", "reason", "reported"),
    [
        (TransactionStatus.BROADCAST, False, None, events.EffectSubmitted),
        (TransactionStatus.REFUSED, False, None, events.EffectDropped),
        (TransactionStatus.INCLUDED, False, None, events.EffectIncluded),
        (TransactionStatus.INCLUDED, False, "NotLocked(1, 2)", events.EffectReverted),
        (TransactionStatus.FINAL, True, None, events.EffectReverted),
        (TransactionStatus.SUPERSEDED, False, None, events.EffectVoided),
    ],
)
async def test_late_effect_does_not_contradict_what_was_reported(
    status: TransactionStatus, reverted: bool, reason: str | None, reported: type[events.SwapEvent]
) -> None:
    """Its batch may be in a block, or given up, before it comes to say that it was submitted."""
    house = OneChain()
    await house.start()
    await a_batch(house, KEY, "b:1:claim-initiator")
    [record] = await house.database.read(partial(records.of_effect_prefix, prefix="a:"))
    block, first = BlockRef(house.chain.chain, Height(7), b"x"), replace(record.items[0], left_out=reason)
    later = replace(
        record, status=status, reverted=reverted, block=block, tx_hash=b"h", items=(first, *record.items[1:])
    )
    assert isinstance(submitted(CLAIM, later), reported)
