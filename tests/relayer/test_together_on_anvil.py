"""Exits that are due at once, on a real node: one transaction, and a payee that spoils only its own item."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest_asyncio
from sqlalchemy.engine import Connection

from adapters.conformance.harness import Leg as Locked
from adapters.conformance.harness import lock, make_terms, send
from adapters.evm.batches import SKIPPED_TOPIC
from adapters.evm.calls import encode_call, unsigned_call
from core.model.facts import LockStatus
from core.model.types import (
    AccountId,
    BaseUnits,
    BlockRef,
    ChainTime,
    Height,
    LockId,
    Preimage,
    PublicPreimage,
    SwapId,
)
from core.proofs.lanes import evm_address, packed_terms, parse_lane
from core.runtime import journal
from core.runtime.clock import SystemClock
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from htlc import codec, events
from htlc.model import Agreement, Attempt, AttemptStatus, Leg, Role, SwapState, swap_id
from htlc.timelocks import DEVNET_POLICY
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.policy import RelayerPolicy
from relayer.pump import swaps
from relayer.pump.allowances import Allowances
from relayer.pump.checks import Checks
from relayer.pump.execute import Executor
from relayer.pump.hands import ActingChain, Hands
from relayer.pump.outcomes import OutcomeRecorder
from relayer.pump.updates import SwapUpdates
from relayer.transactions import records
from relayer.transactions.pipeline import Pipeline, PipelinePolicy
from relayer.transactions.records import TransactionRecord
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness
from tests.adapters.evm.test_consents import deployed
from tests.relayer.house import COIN, TIMING, B
from tests.support import eventually


@dataclass
class Watch:
    """A provider's executor over anvil. Facts are given by hand; what follows from them is its own doing."""

    evm: EvmHarness
    database: InlineDatabase
    executor: Executor
    pipeline: Pipeline
    teller: OutcomeRecorder
    updates: SwapUpdates
    clock: SystemClock

    async def agree(self, leg: Locked, role: Role = Role.LIQUIDITY_PROVIDER, funded: bool = True) -> SwapId:
        """The lock as the initiator's leg of a swap, seen on chain; our own leg's, too, if we `funded` it."""
        other = replace(
            leg.terms,
            asset=COIN[B],
            sender=AccountId(f"{B}:{'1' * 40}"),
            receiver=AccountId(f"{B}:{'2' * 40}"),
            timelock=ChainTime(B, leg.terms.timelock.seconds - 500),
        )
        agreement = Agreement(
            swap_id=swap_id(leg.terms, other),
            role=role,
            initiator_leg=leg.terms,
            participant_leg=other,
            initiator_timing=self.evm.access.parameters.timing,
            participant_timing=TIMING,
            policy=DEVNET_POLICY,
            lock_deadline_s=round(self.clock.now()) + 100,
        )
        now_ns = self.clock.now_ns()
        seen = events.LockSeen(Leg.INITIATOR, leg.lock_id, leg.terms, BlockRef(CHAIN, Height(1), b"x"), b"y")
        await self.database.write(
            lambda c: swaps.begin(c, agreement, None, now_s=round(self.clock.now()), now_ns=now_ns)
        )
        await self.tell({agreement.swap_id: seen})
        if funded:
            ours = events.LockSeen(Leg.PARTICIPANT, LockId("ours"), other, BlockRef(B, Height(1), b"x"), b"z")
            await self.tell({agreement.swap_id: ours})
        return agreement.swap_id

    async def tell(self, told: dict[SwapId, events.SwapEvent]) -> None:
        """In one transaction, as a block's facts are."""

        def take(connection: Connection) -> None:
            for swap, event in told.items():
                swaps.take(connection, swap, [event], now_ns=self.clock.now_ns())

        await self.database.write(take)
        self.updates.changed(told)

    async def reveal(self, legs: dict[SwapId, Locked]) -> None:
        await self.tell(
            {swap: events.PreimageSeen(PublicPreimage(leg.preimage.expose()), "x") for swap, leg in legs.items()}
        )

    async def head(self, swaps: list[SwapId], later_s: int = 0) -> None:
        """Report the time of the chain's head, as the swap worker does."""
        time = (await self.evm.access.heads.head()).head.time
        told = ChainTime(CHAIN, time.seconds + later_s)
        await self.tell(
            {swap: events.TimeAdvanced(Leg.INITIATOR, told, time, round(self.clock.now())) for swap in swaps}
        )

    async def transactions(self, swaps: list[SwapId], how_many: int) -> list[TransactionRecord]:
        """Once there are so many, in the order in which they were signed."""

        def read(connection: Connection) -> list[TransactionRecord]:
            found = {one.id: one for swap in swaps for one in records.of_effect_prefix(connection, swap)}
            return [found[number] for number in sorted(found)]

        async def there() -> bool:
            return len(await self.database.read(read)) == how_many

        await eventually(there)
        return await self.database.read(read)

    async def block(self) -> None:
        """Mine, look at what became of our transactions, and notify the swaps."""
        await self.evm.advance()
        await self.pipeline.step()
        await self.teller.step()

    async def state(self, swap: SwapId) -> SwapState:
        return await self.database.read(lambda c: swaps.load(c, swap))

    async def attempt(self, swap: SwapId, kind: str = "claim-initiator") -> Attempt:
        found = (await self.state(swap)).attempt(kind)
        assert found is not None
        return found

    async def reasons(self, swap: SwapId) -> list[str]:
        """Return what the swap's journal says of reverts."""

        def read(connection: Connection) -> list[str]:
            told = [codec.decode_event(entry.event) for entry in journal.replay(connection, swap)]
            return [event.reason for event in told if isinstance(event, events.EffectReverted)]

        return await self.database.read(read)

    async def status(self, leg: Locked) -> LockStatus:
        await self.evm.advance(3)
        return (await self.evm.access.locks.lock(leg.lock_id, leg.terms)).status

    async def transactions_in_head(self) -> int:
        return len((await self.evm.rpc("eth_getBlockByNumber", "latest", False))["transactions"])


@pytest_asyncio.fixture
async def watch() -> AsyncIterator[Watch]:
    async with evm_harness() as evm:
        database, clock, metrics, updates = (
            InlineDatabase(),
            SystemClock(),
            RelayerMetrics(Metrics()),
            SwapUpdates(),
        )
        await database.write(create_schema)
        signer = await evm.account()
        pipeline = Pipeline(database, evm.access, signer, HeadBoard(evm.access.heads), clock, PipelinePolicy(), metrics)
        checks = Checks(
            database, {CHAIN: evm.access}, {CHAIN: signer.account}, RelayerPolicy(swap=DEVNET_POLICY), clock
        )
        acting = ActingChain(evm.access, pipeline, Allowances(database, evm.access, pipeline))
        executor = Executor(database, Hands({CHAIN: acting}), checks, updates, clock, metrics)
        await pipeline.start()
        running = asyncio.create_task(executor.run())
        try:
            teller = OutcomeRecorder(database, [pipeline], updates, clock)
            yield Watch(evm, database, executor, pipeline, teller, updates, clock)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def lock_for(evm: EvmHarness, payee: AccountId) -> Locked:
    """A lock of ETH that pays a contract."""
    sender, receiver, preimage = await evm.account(), await evm.account(), Preimage.generate()
    terms = replace(await make_terms(evm, sender, receiver, preimage), receiver=payee)
    place = await evm.access.legs.lock_id(terms)
    sent = await send(evm, sender, evm.access.legs.lock(terms, place))
    return Locked(terms, place, preimage, sender, receiver, sent)


async def call(evm: EvmHarness, contract: AccountId, name: str, function: str, *arguments: Any) -> None:
    data = encode_call(f"testing/{name}", function, *arguments)
    made = unsigned_call(evm.bank.account, evm_address(contract), data, gas=500_000, summary=function)
    [tx_hash] = await evm.send(evm.bank, made)
    assert (await evm.access.transactions.outcome(tx_hash)).reason is None


async def test_claims_of_several_swaps_are_one_transaction(watch: Watch) -> None:
    locks = [await lock(watch.evm, watch.evm.assets[number % 2]) for number in range(4)]
    legs = {await watch.agree(leg): leg for leg in locks}
    await watch.reveal(legs)
    [record] = await watch.transactions(list(legs), 1)
    assert {item.effect_key.split(":")[0] for item in record.items} == set(legs)
    await watch.block()
    assert await watch.transactions_in_head() == 1
    for swap, leg in legs.items():
        attempt = await watch.attempt(swap)
        assert (attempt.status, attempt.tx_hash) == (AttemptStatus.SENT, record.newest.hash)
        assert await watch.status(leg) is LockStatus.CLAIMED
    await watch.block()
    assert [(await watch.attempt(swap)).status for swap in legs] == [AttemptStatus.DONE] * len(legs)
    assert await watch.transactions(list(legs), 1)


async def test_refunds_of_several_swaps_are_one_transaction(watch: Watch) -> None:
    locks = [await lock(watch.evm) for _ in range(3)]
    legs = {await watch.agree(leg, Role.INITIATOR, funded=False): leg for leg in locks}
    await watch.evm.wait_until(max((leg.terms.timelock for leg in locks), key=lambda time: time.seconds))
    await watch.evm.advance()
    await watch.head(list(legs))
    [record] = await watch.transactions(list(legs), 1)
    assert len(record.items) == 3
    await watch.block()
    for leg in locks:
        assert await watch.status(leg) is LockStatus.REFUNDED


async def test_refusing_payee_has_its_reason_and_is_tried_again_alone(watch: Watch) -> None:
    payee = await deployed(watch.evm, "testing/RefusingPayee")
    poisoned = await lock_for(watch.evm, payee)
    locks = [await lock(watch.evm), poisoned, await lock(watch.evm)]
    legs = {await watch.agree(leg): leg for leg in locks}
    spoiled = next(swap for swap, leg in legs.items() if leg is poisoned)
    await watch.reveal(legs)
    await watch.transactions(list(legs), 1)
    await watch.block()
    refused = f"PaymentRefused(0x{evm_address(payee).hex()})"
    for swap, leg in legs.items():
        failed = swap == spoiled
        assert (await watch.attempt(swap)).status is (AttemptStatus.FAILED if failed else AttemptStatus.SENT)
        assert await watch.reasons(swap) == ([refused] if failed else [])
        assert await watch.status(leg) is (LockStatus.LOCKED if failed else LockStatus.CLAIMED)

    await watch.head([spoiled], later_s=5)
    batch, alone = await watch.transactions(list(legs), 2)
    assert (len(batch.items), alone.items) == (3, ())
    await watch.block()
    assert (await watch.reasons(spoiled))[-1] == refused

    await call(watch.evm, payee, "RefusingPayee", "setAccepting", True)
    await watch.head([spoiled], later_s=10)
    await watch.transactions(list(legs), 3)
    await watch.block()
    assert await watch.status(poisoned) is LockStatus.CLAIMED


async def test_a_payee_that_forges_reports_is_not_believed(watch: Watch) -> None:
    """From within its payment it has the contract report that the first two items were left out."""
    payee = await deployed(watch.evm, "testing/ReenteringPayee")
    forger = await lock_for(watch.evm, payee)
    locks = [await lock(watch.evm), forger, await lock(watch.evm)]
    legs = {await watch.agree(leg): leg for leg in locks}
    lane = parse_lane(forger.lock_id)
    wrong = encode_call(
        "HashedTimelock", "claim", bytes(32), packed_terms(forger.terms, lane), lane.sender, forger.terms.amount
    )
    reports = encode_call("HashedTimelock", "settleStrangers", [wrong] * 2, 5_000)
    await call(watch.evm, payee, "ReenteringPayee", "arm", evm_address(watch.evm.contracts.htlc), reports)
    await watch.reveal(legs)
    [record] = await watch.transactions(list(legs), 1)
    await watch.block()
    receipt = await watch.evm.rpc("eth_getTransactionReceipt", "0x" + record.newest.hash.hex())
    assert [log["topics"][0] for log in receipt["logs"]].count(SKIPPED_TOPIC) == 2
    outcome = await watch.evm.access.transactions.outcome(record.newest.hash)
    assert outcome.left_out == ()
    for leg in locks:
        assert await watch.status(leg) is LockStatus.CLAIMED


async def test_outbid_batch_stays_one_and_keeps_all_its_hashes(watch: Watch) -> None:
    """The base fee rises beyond what the first form offers; the next form is for the same items."""
    locks = [await lock(watch.evm) for _ in range(3)]
    legs = {await watch.agree(leg): leg for leg in locks}
    await watch.reveal(legs)
    [first] = await watch.transactions(list(legs), 1)
    assert first.newest.fee is not None
    await watch.evm.rpc("anvil_setNextBlockBaseFeePerGas", hex(first.newest.fee.max_fee * 2))
    await watch.block()
    [second] = await watch.transactions(list(legs), 1)
    assert (len(second.attempts), second.items, second.sequence) == (2, first.items, first.sequence)
    await watch.block()
    for swap, leg in legs.items():
        assert (await watch.attempt(swap)).tx_hash == second.newest.hash
        assert await watch.status(leg) is LockStatus.CLAIMED


async def test_the_receiver_gives_a_lock_back_early_when_he_is_asked(watch: Watch) -> None:
    """The provider has funded nothing yet, so it agrees, by a transaction of its own."""
    sender, preimage = await watch.evm.account(), Preimage.generate()
    provider = watch.pipeline.account
    terms = replace(await make_terms(watch.evm, sender, sender, preimage, amount=BaseUnits(10**15)), receiver=provider)
    place = await watch.evm.access.legs.lock_id(terms)
    sent = await send(watch.evm, sender, watch.evm.access.legs.lock(terms, place))
    leg = Locked(terms, place, preimage, sender, sender, sent)
    swap = await watch.agree(leg, funded=False)
    await watch.tell({swap: events.EarlyRefundRequested()})
    await watch.transactions([swap], 1)
    await watch.block()
    assert await watch.status(leg) is LockStatus.REFUNDED
