"""Incidents that began with an account's sequence: here none of them stops or repeats a payment."""

import asyncio

import pytest

from adapters.memory import FaultRates
from core.model.errors import ConflictError, RetryableError
from core.model.transactions import FeeMarket, SignedTransaction
from relayer.transactions.records import TransactionStatus
from tests.relayer.test_transactions import GWEI, House, replace_submit

LOCKUPS = 24
CLAIMS = ("a:1:claim-initiator", "b:1:claim-initiator")


async def test_boltz_1201_sequences_far_ahead_of_the_chain() -> None:
    """The lockup transaction had sequence 312, the chain was at 288, and nothing closed the gap."""
    house = House()
    pipeline = await house.start()
    for number in range(LOCKUPS):
        await pipeline.send(f"s:{number}:lock", house.pay())
    for tx_hash in house.chain.pending():
        house.chain.forget(tx_hash)
    assert house.chain.pending() == ()
    await house.start()
    await house.beat(2 * LOCKUPS)
    assert await house.received() == LOCKUPS


async def test_boltz_816_lockups_side_by_side_share_no_sequence() -> None:
    house = House()
    pipeline = await house.start()
    sent = await asyncio.gather(*(pipeline.send(f"s:{number}:lock", house.pay()) for number in range(LOCKUPS)))
    assert sorted(record.sequence for record in sent) == list(range(LOCKUPS))
    await house.beat(LOCKUPS)
    assert await house.received() == LOCKUPS


@pytest.mark.parametrize("restarted", [False, True])
async def test_boltz_double_lockups_of_a_chain_swap(restarted: bool) -> None:
    """The node took the lock and its answer was lost; the lock was asked for once more."""
    house = House()
    house.endpoint.rates = FaultRates(lost_reply=1.0)
    pipeline = await house.start()
    asked = [asyncio.create_task(pipeline.send("s:1:lock", house.pay())) for _ in range(5)]
    await asyncio.gather(*asked, return_exceptions=True)
    if restarted:
        pipeline = await house.start()
    await pipeline.send("s:1:lock", house.pay())
    await house.beat(5)
    assert house.endpoint.counts["lost_reply"]
    assert await house.received() == 1


async def test_hermes_1264_node_that_is_behind_names_used_sequences() -> None:
    """The node's sequence was that of a former block: what was signed for it was refused without a word."""
    house = House(finality_depth=4)
    pipeline = await house.start()
    for number in range(3):
        await pipeline.send(f"s:{number}:lock", house.pay())
        await house.beat()
    house.endpoint.lag_blocks = 3
    pipeline = await house.start()
    heir = await pipeline.send("s:3:lock", house.pay())
    assert heir.sequence == 3
    house.endpoint.lag_blocks = 0
    await house.beat(8)
    assert await house.received() == 4


async def test_raiden_2933_restart_repeats_what_the_node_knows() -> None:
    """The node called the repeated transaction underpriced, and the client ended."""
    house = House()
    pipeline = await house.start()
    await pipeline.send("s:1:lock", house.pay())
    real, repeats = house.access.transactions.submit, 0

    async def submit(signed: SignedTransaction) -> None:
        nonlocal repeats
        repeats += 1
        await real(signed)
        raise ConflictError("replacement transaction underpriced")

    replace_submit(house, submit)
    await house.start()
    await house.beat(5)
    assert repeats
    assert await house.received() == 1


async def test_hyperlane_2924_refused_replacement_blocks_no_other() -> None:
    """Whatever was underpriced was tried for ever, and all that came behind it waited."""
    house = House(market=FeeMarket(GWEI, GWEI))
    pipeline = await house.start()
    stuck = await pipeline.send("s:1:lock", house.pay(), deadline_s=house.clock.now() + 5)
    real = house.access.transactions.submit

    async def submit(signed: SignedTransaction) -> None:
        if signed.hash != stuck.newest.hash and signed.sequence == stuck.sequence:
            raise ConflictError("replacement transaction underpriced")
        await real(signed)

    replace_submit(house, submit)
    house.chain.fees = FeeMarket(50 * GWEI, 2 * GWEI)
    await house.beat(3)
    for number in range(2, 6):
        await pipeline.send(f"s:{number}:lock", house.pay())
    house.chain.fees = FeeMarket(GWEI, GWEI)
    await house.beat(10)
    assert await house.received() == 5


async def test_dcrdex_1467_redeems_of_one_moment_both_arrive() -> None:
    """The second redeem took the sequence of the first, and replaced it."""
    house = House(market=FeeMarket(GWEI, GWEI))
    pipeline = await house.start()
    first, second = await asyncio.gather(
        *(pipeline.send(key, house.pay(10**n), simulate=False, watched=True) for n, key in enumerate(CLAIMS))
    )
    assert first.sequence != second.sequence
    house.chain.fees = FeeMarket(20 * GWEI, 2 * GWEI)
    await house.beat(6)
    assert await house.received() == 11


async def test_dcrdex_3135_cheap_swap_is_outbid() -> None:
    house = House(market=FeeMarket(GWEI, GWEI))
    pipeline = await house.start()
    await pipeline.send("s:1:lock", house.pay(), deadline_s=house.clock.now() + 30)
    house.chain.fees = FeeMarket(30 * GWEI, 3 * GWEI)
    await house.beat(6)
    record = await pipeline.until("s:1:lock", TransactionStatus.FINAL)
    assert len(record.attempts) > 1
    assert await house.received() == 1


async def test_openzeppelin_818_counter_above_the_chain_recovers() -> None:
    """The first transaction was given up, its sequence was never used, and nothing noticed the gap."""
    house = House()
    pipeline = await house.start()
    lost = await pipeline.send("s:0:lock", house.pay(100))
    for number in range(1, 4):
        await pipeline.send(f"s:{number}:lock", house.pay())
    house.chain.forget(lost.newest.hash)
    real = house.access.transactions.submit

    async def deaf(signed: SignedTransaction) -> None:
        if signed.hash == lost.newest.hash:
            raise RetryableError("the node is busy")
        await real(signed)

    replace_submit(house, deaf)
    await house.beat(5)
    assert await house.received() == 0
    house.access = house.chain.access(house.endpoint)
    await house.start()
    await house.beat(10)
    assert await house.received() == 103


async def test_kdf_491_error_although_the_transaction_is_mined() -> None:
    house = House()
    pipeline = await house.start()
    house.endpoint.rates = FaultRates(lost_reply=1.0)
    await pipeline.send(CLAIMS[0], house.pay(), simulate=False, watched=True)
    await house.beat(4)
    final = await pipeline.until(CLAIMS[0], TransactionStatus.FINAL)
    assert not final.reverted
    assert await house.received() == 1
