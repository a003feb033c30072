"""The memory chain's own powers: exact seconds, waiting sequences, fee spikes, chosen reorgs, faults by seed."""

import asyncio

import pytest

from adapters.memory import Endpoint, FaultRates, MemoryChain, MemorySigner
from adapters.memory.transactions import attest, transfer, write_record
from core.model.errors import ConflictError, NotFoundError, ReorgedError, RetryableError, RevertedError
from core.model.facts import BlockHeader, HeaderAttested, LockStatus, Transferred
from core.model.transactions import FeeBid, FeeMarket, OutcomeStatus, SignedTransaction, UnsignedTransaction
from core.model.types import BaseUnits, BlockRef, ChainId, ChainTime, Height, LockId, LockTerms, Preimage
from core.runtime.clock import ManualClock, VirtualClock, run_virtually
from tests.adapters.memory.harness import CHAIN, COIN, FEES, GOLD, make_chain

START = 1_700_000_000


async def sign(
    chain: MemoryChain, signer: MemorySigner, transaction: UnsignedTransaction, sequence: int, fee: FeeBid | None = None
) -> SignedTransaction:
    transactions = chain.access().transactions
    request = transactions.assemble(transaction, sequence, fee, None)
    return transactions.attach(request, await signer.sign(request))


async def locked(chain: MemoryChain, timelock: int) -> tuple[LockTerms, LockId, Preimage, MemorySigner, MemorySigner]:
    sender, receiver = chain.signer("sender", {GOLD: 100}), chain.signer("receiver", {GOLD: 1})
    chain.mine()
    preimage, access = Preimage(bytes(31) + b"\7"), chain.access()
    terms = LockTerms(
        asset=GOLD,
        amount=BaseUnits(60),
        sender=sender.account,
        receiver=receiver.account,
        hashlock=preimage.hashlock(),
        timelock=ChainTime(CHAIN, timelock),
    )
    lock_id = await access.legs.lock_id(terms)
    await access.transactions.submit(await sign(chain, sender, access.legs.lock(terms, lock_id), 0))
    chain.mine()
    return terms, lock_id, preimage, sender, receiver


@pytest.mark.parametrize(("second", "claimed"), [(9, True), (10, False), (11, False)])
async def test_the_second_of_the_timelock_decides(second: int, claimed: bool) -> None:
    clock = ManualClock(START)
    chain = make_chain(clock)
    terms, lock_id, preimage, sender, receiver = await locked(chain, START + 10)
    await clock.advance(second)
    legs = chain.access().legs
    claim = await sign(chain, receiver, legs.claim(terms, lock_id, preimage, receiver.account), 0)
    refund = await sign(chain, sender, legs.refund(terms, lock_id, sender.account), 1)
    chain.take(claim.raw)
    chain.take(refund.raw)
    chain.mine()
    assert (chain.outcome(claim.hash).status is OutcomeStatus.INCLUDED) == claimed
    assert (chain.outcome(refund.hash).status is OutcomeStatus.INCLUDED) != claimed
    balance = chain.access().state.balance
    assert await balance(receiver.account, GOLD) == (61 if claimed else 1)
    assert await balance(sender.account, GOLD) == (40 if claimed else 100)


async def test_a_gap_waits_until_it_is_filled() -> None:
    chain = make_chain()
    sender, receiver = chain.signer("sender", {GOLD: 100}), chain.signer("receiver")
    chain.mine()
    pay = transfer(CHAIN, sender.account, receiver.account, GOLD, BaseUnits(1))
    late, early = await sign(chain, sender, pay, 1), await sign(chain, sender, pay, 0)
    chain.take(late.raw)
    chain.mine(3)
    assert chain.outcome(late.hash).status is OutcomeStatus.PENDING
    chain.take(early.raw)
    chain.mine()
    assert chain.outcome(early.hash).block == chain.outcome(late.hash).block
    assert chain.outcome(late.hash).status is OutcomeStatus.INCLUDED
    events = [logged.event for logged in chain.block(chain.height).events]
    assert events == [Transferred(GOLD, sender.account, receiver.account, BaseUnits(1))] * 2


async def test_fee_spike_holds_transactions_until_they_are_outbid() -> None:
    chain = make_chain(fees=FEES, knows_expiry=False)
    sender = chain.signer("sender", {GOLD: 100, COIN: 10**12})
    chain.mine()
    pay = transfer(CHAIN, sender.account, sender.account, GOLD, BaseUnits(1))
    low = await sign(chain, sender, pay, 0, FeeBid(20, 2))
    chain.take(low.raw)
    chain.fees = FeeMarket(100, 5)
    chain.mine(3)
    assert chain.outcome(low.hash).status is OutcomeStatus.PENDING
    barely = await sign(chain, sender, pay, 0, FeeBid(21, 2))
    with pytest.raises(ConflictError):
        chain.take(barely.raw)
    high = await sign(chain, sender, pay, 0, FeeBid(200, 10))
    chain.take(high.raw)
    assert chain.outcome(low.hash).status is OutcomeStatus.DROPPED
    before = await chain.access().state.balance(sender.account, COIN)
    chain.mine()
    assert chain.outcome(high.hash).status is OutcomeStatus.INCLUDED
    assert await chain.access().state.balance(sender.account, COIN) == before - 100_000 * (100 + 10)


async def test_a_reorg_decides_what_comes_back() -> None:
    clock = ManualClock(START)
    chain = make_chain(clock)
    terms, lock_id, preimage, _, receiver = await locked(chain, START + 10)
    chain.mine(2)
    claim = await sign(chain, receiver, chain.access().legs.claim(terms, lock_id, preimage, receiver.account), 0)
    chain.take(claim.raw)
    [old] = chain.mine()
    await clock.advance(10)
    chain.reorg(1, fill=False)
    assert chain.pending() == (claim.hash,)
    with pytest.raises(NotFoundError):
        chain.block(old.hash)
    chain.mine()
    # It was in time on the old branch, and is too late on the new one.
    assert chain.outcome(claim.hash).status is OutcomeStatus.REVERTED
    chain.reorg(1, keep=lambda _: False)
    assert chain.outcome(claim.hash).status is OutcomeStatus.DROPPED
    with pytest.raises(ValueError, match="cannot replace"):
        chain.reorg(3)


async def test_finality_never_goes_back() -> None:
    chain = make_chain()
    chain.mine(5)
    final = chain.finalized_height
    chain.reorg(2, length=1)
    assert chain.height < 5
    assert chain.finalized_height == final


async def test_one_seed_is_one_history() -> None:
    async def history() -> list[bytes]:
        chain = make_chain(ManualClock(START))
        await locked(chain, START + 10)
        chain.mine(3)
        chain.reorg(1)
        return [chain.block(Height(height)).header.ref.hash for height in range(chain.height + 1)]

    assert await history() == await history()


async def test_attestations_and_records() -> None:
    operators = [MemorySigner(CHAIN, f"operator {number}") for number in range(4)]
    chain = make_chain(attestors={operator.account: 1 for operator in operators})
    foreign = BlockHeader(BlockRef(ChainId("memory:b"), Height(9), bytes(32)), b"", ChainTime(ChainId("memory:b"), 5))
    bridge = chain.bridge()
    for number, operator in enumerate(operators):
        chain.open(operator.public_key)
        assert await bridge.attested(foreign.chain) == (foreign.ref if number == 3 else None)
        chain.take((await sign(chain, operator, bridge.attest(foreign, operator.account), 0)).raw)
        chain.mine()
    events = [logged.event for height in range(1, 5) for logged in chain.block(Height(height)).events]
    assert events == [HeaderAttested(foreign.ref)]
    stranger, again = chain.signer("stranger"), operators[0]
    for signer, sequence in ((stranger, 0), (again, 1)):
        vote = await sign(chain, signer, attest(CHAIN, signer.account, foreign.ref, foreign.time), sequence)
        chain.take(vote.raw)
        chain.mine()
        assert chain.outcome(vote.hash).status is OutcomeStatus.REVERTED
    written = await sign(chain, stranger, write_record(CHAIN, stranger.account, "notes", "one", b"{}"), 1)
    chain.take(written.raw)
    chain.mine()
    records = chain.access().records
    assert records is not None
    record = await records.record("notes", "one")
    assert record is not None
    assert (record.version, record.author, record.document) == (1, stranger.account, b"{}")


async def test_tampered_bytes_never_enter_the_mempool() -> None:
    chain = make_chain()
    sender = chain.signer("sender", {GOLD: 5})
    chain.mine()
    pay = transfer(CHAIN, sender.account, chain.signer("other").account, GOLD, BaseUnits(1))
    raw = (await sign(chain, sender, pay, 0)).raw
    for place in range(len(raw)):
        with pytest.raises(RevertedError):
            chain.take(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    chain.take(raw)


def test_a_lost_reply_is_a_transaction_that_was_taken() -> None:
    async def main() -> None:
        chain = make_chain(VirtualClock())
        sender = chain.signer("sender", {GOLD: 5})
        chain.mine()
        endpoint = Endpoint(chain.clock, 1, FaultRates(lost_reply=1.0, latency_s=(1.0, 2.0)))
        sent = await sign(chain, sender, transfer(CHAIN, sender.account, sender.account, GOLD, BaseUnits(1)), 0)
        with pytest.raises(RetryableError):
            await chain.access(endpoint).transactions.submit(sent)
        assert chain.pending() == (sent.hash,)
        assert 1.0 <= chain.clock.monotonic() <= 2.0

    run_virtually(main())


def test_a_reorg_while_blocks_are_read_is_noticed() -> None:
    async def main() -> None:
        chain = make_chain(VirtualClock())
        chain.mine(6)
        slow = chain.access(Endpoint(chain.clock, 1, FaultRates(latency_s=(1.0, 1.0))))
        reading = asyncio.create_task(slow.blocks.blocks(Height(1), Height(6)))
        await asyncio.sleep(5.5)
        chain.reorg(2)
        with pytest.raises(ReorgedError):
            await reading

    run_virtually(main())


def test_head_notifications_are_lost_and_repeated_by_seed() -> None:
    async def notifications(rates: FaultRates) -> int:
        chain = make_chain(VirtualClock())
        stream, heard = chain.access(Endpoint(chain.clock, 3, rates)).heads.heads(), []

        async def listen() -> None:
            async for update in stream:
                heard.append(update)

        listening = asyncio.create_task(listen())
        for _ in range(100):
            await asyncio.sleep(1)
            chain.mine()
        await asyncio.sleep(1)
        listening.cancel()
        return len(heard)

    assert run_virtually(notifications(FaultRates())) == 101
    assert 60 < run_virtually(notifications(FaultRates(drop_head=0.3))) < 85
    assert 115 < run_virtually(notifications(FaultRates(repeat_head=0.3))) < 145


async def test_a_chain_with_foreign_code_shows_it() -> None:
    chain = make_chain(deployed_code_hash=bytes(32))
    terms, lock_id, *_ = await locked(chain, START + 10)
    chain.mine(2)
    seen = await chain.access().locks.lock(lock_id, terms)
    assert seen.status is LockStatus.LOCKED
    assert seen.code_hash != chain.access().parameters.htlc_code_hash


async def test_a_former_branch_comes_back_as_it_was() -> None:
    chain = make_chain()
    somebody = chain.signer("somebody").account
    for amount in range(1, 4):
        chain.fund(somebody, GOLD, amount)
        chain.mine()
    before = [chain.block(Height(height)) for height in range(chain.height + 1)]
    chain.reorg(2, 2)
    assert chain.block(chain.height).header.ref.hash not in [block.header.ref.hash for block in before]
    chain.return_to_former()
    assert [chain.block(Height(height)) for height in range(len(before))] == before
    assert chain.height == len(before)
    state = chain.access().state
    assert await state.balance(somebody, GOLD, before[-1].header.height) == await state.balance(somebody, GOLD) == 6


def test_a_former_branch_that_parts_below_finality_is_gone() -> None:
    chain = make_chain()
    with pytest.raises(ValueError, match="no former branch"):
        chain.return_to_former()
    chain.mine(5)
    chain.reorg(1)
    chain.mine(20)
    with pytest.raises(ValueError, match="no former branch"):
        chain.return_to_former()


def test_what_is_final_goes_only_where_a_test_says_so() -> None:
    chain = make_chain()
    chain.mine(20)
    final = chain.block(chain.finalized_height)
    depth = chain.height - chain.finalized_height + 1
    with pytest.raises(ValueError, match="cannot replace"):
        chain.reorg(depth)
    with pytest.raises(ValueError, match="cannot replace"):
        chain.reorg(depth, depth - 1, deep=True)
    chain.reorg(depth, deep=True)
    assert chain.block(final.header.height) != final
    assert chain.finalized_height >= final.header.height


def test_endpoint_refuses_frequent_calls_and_answers_late() -> None:
    async def main() -> None:
        chain = make_chain(VirtualClock())
        endpoint = Endpoint(chain.clock, 1, FaultRates(calls_per_s=3, late_answer=0.5, latency_s=(0.01, 0.02)))
        heads = chain.access(endpoint).heads
        answers = await asyncio.gather(*(heads.head() for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(answer, RetryableError) for answer in answers) == 2
        assert endpoint.counts["rate_limit"] == 2
        for _ in range(10):
            await asyncio.sleep(1)
            await asyncio.gather(*(heads.head() for _ in range(3)))
        assert endpoint.counts["late_answer"] > 0

    run_virtually(main())


def test_a_node_that_still_indexes_a_block_hides_no_event() -> None:
    async def main() -> None:
        chain = make_chain(VirtualClock())
        chain.fund(chain.signer("somebody").account, GOLD, 5)
        chain.mine()
        endpoint = Endpoint(chain.clock, 1, FaultRates(late_events=1.0))
        [block] = await chain.access(endpoint).blocks.blocks(chain.height, chain.height)
        assert block == chain.block(chain.height)
        assert len(block.events) == endpoint.counts["late_events"] == 1

    run_virtually(main())
