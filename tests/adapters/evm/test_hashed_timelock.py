"""HashedTimelock's behaviour, on a real EVM, with the clock set block by block."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from eth_hash.auto import keccak
from web3.logs import DISCARD
from web3.types import Wei

from adapters.evm.lanes import ONE_SHOT
from tests.adapters.evm.htlc_chain import AMOUNT, ERC20_KIND, ZERO, Chain, Lock, htlc_chain

LOCKED, CLAIMED, REFUNDED = 1, 2, 3
TOKEN_AMOUNT = 5_000_000


@pytest_asyncio.fixture
async def chain() -> AsyncIterator[Chain]:
    async with htlc_chain() as running:
        yield running


@pytest.fixture(params=["native", "erc20"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def funded_lock(chain: Chain, kind: str, **changes: Any) -> Lock:
    """Terms whose sender can pay, not locked yet."""
    if kind == "native":
        return await chain.new_lock(**changes)
    await chain.give(chain.token, chain.sender, TOKEN_AMOUNT)
    return await chain.new_lock(**{"amount": TOKEN_AMOUNT, "token": chain.token.address, **changes})


def expected_word(lock: Lock, status: int) -> int:
    """The documented encoding, computed without the contract."""
    asset = ERC20_KIND << 160 | int(lock.token, 16) if lock.token else 0
    words = (int.from_bytes(lock.hashlock, "big"), lock.terms, int(lock.sender, 16), lock.amount, asset)
    digest = int.from_bytes(keccak(b"".join(word.to_bytes(32, "big") for word in words)), "big")
    return digest >> 32 << 32 | lock.generation << 16 | status


async def test_a_lock_is_one_word_that_can_be_computed_off_chain(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind, lane=7)
    await chain.open(lock)
    assert await chain.word(lock.sender, 7) == expected_word(lock, LOCKED)
    assert await chain.htlc.functions.laneWord(lock.sender, 7).call() == expected_word(lock, LOCKED)
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    assert await chain.word(lock.sender, 7) == expected_word(lock, CLAIMED)


async def test_claim_one_second_before_the_timelock_pays_the_receiver(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind)
    await chain.open(lock)
    token = chain.token if lock.token else None
    before = await chain.balance(lock.receiver, token)
    await chain.set_next_time(lock.timelock - 1)
    await chain.succeed(chain.claim_call(lock), chain.stranger)
    assert await chain.balance(lock.receiver, token) == before + lock.amount
    assert await chain.balance(chain.htlc.address, token) == 0


async def test_claim_at_the_timelock_is_refused(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind)
    await chain.open(lock)
    error = await chain.error_of(chain.claim_call(lock), chain.receiver, at_time=lock.timelock)
    assert error == f"ClaimTooLate({lock.timelock}, {lock.timelock})"
    assert await chain.word(lock.sender, 0) == expected_word(lock, LOCKED)


async def test_refund_one_second_before_the_timelock_is_refused(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind)
    await chain.open(lock)
    error = await chain.error_of(chain.refund_call(lock), chain.sender, at_time=lock.timelock - 1)
    assert error == f"RefundTooEarly({lock.timelock}, {lock.timelock - 1})"


async def test_refund_at_the_timelock_pays_the_sender_whoever_sends_it(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind)
    await chain.open(lock)
    token = chain.token if lock.token else None
    before = await chain.balance(lock.sender, token)
    await chain.set_next_time(lock.timelock)
    await chain.succeed(chain.refund_call(lock), chain.stranger)
    assert await chain.balance(lock.sender, token) == before + lock.amount
    assert await chain.word(lock.sender, 0) == expected_word(lock, REFUNDED)


async def test_a_lock_settles_once(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind)
    await chain.open(lock)
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    assert await chain.error_of(chain.claim_call(lock), chain.receiver) == f"NotLocked(1, {CLAIMED})"
    error = await chain.error_of(chain.refund_call(lock), chain.sender, at_time=lock.timelock)
    assert error == f"NotLocked(1, {CLAIMED})"

    refunded = (await chain.new_lock()).but(lane=1)
    await chain.open(refunded)
    await chain.set_next_time(refunded.timelock)
    await chain.succeed(chain.refund_call(refunded), chain.sender)
    assert await chain.error_of(chain.refund_call(refunded), chain.sender) == f"NotLocked(1, {REFUNDED})"


async def test_the_wrong_preimage_never_pays(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind)
    await chain.open(lock)
    assert await chain.error_of(chain.claim_call(lock.but(preimage=b"\x01" * 32)), chain.receiver) == (
        "WrongTermsOrPreimage()"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"receiver": "0x" + "99" * 20},
        {"amount": AMOUNT + 1},
        {"amount": AMOUNT - 1},
        {"timelock": 2**40 - 1},
        {"flags": 1},
        {"token": "0x" + "77" * 20},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_wrong_terms_are_refused(chain: Chain, change: dict[str, Any]) -> None:
    lock = await chain.new_lock()
    await chain.open(lock)
    assert await chain.error_of(chain.claim_call(lock.but(**change)), chain.receiver) == "WrongTermsOrPreimage()"


async def test_native_lock_is_not_claimed_as_a_token_at_address_zero(chain: Chain) -> None:
    lock = await chain.new_lock()
    await chain.open(lock)
    assert await chain.error_of(chain.claim_call(lock.but(token=ZERO)), chain.receiver) == "WrongTermsOrPreimage()"


async def test_another_lane_or_sender_holds_nothing(chain: Chain) -> None:
    lock = await chain.new_lock()
    await chain.open(lock)
    assert await chain.error_of(chain.claim_call(lock.but(lane=1)), chain.receiver) == "NotLocked(0, 0)"
    assert await chain.error_of(chain.claim_call(lock.but(sender=chain.stranger)), chain.receiver) == "NotLocked(0, 0)"
    assert await chain.error_of(chain.claim_call(lock.but(generation=2)), chain.receiver) == "WrongGeneration(2, 1)"


async def test_a_refund_needs_the_right_terms(chain: Chain) -> None:
    lock = await chain.new_lock()
    await chain.open(lock)
    early = lock.but(timelock=await chain.now())
    assert await chain.error_of(chain.refund_call(early), chain.sender) == "WrongTermsOrPreimage()"


async def test_a_lane_is_used_again_by_the_next_generation(chain: Chain, kind: str) -> None:
    first = await funded_lock(chain, kind)
    await chain.open(first)
    await chain.succeed(chain.claim_call(first), chain.receiver)
    second = await funded_lock(chain, kind, generation=2)
    await chain.open(second)
    assert await chain.word(chain.sender, 0) == expected_word(second, LOCKED)
    # The first lock's terms are now another generation's.
    assert await chain.error_of(chain.claim_call(first), chain.receiver) == "WrongGeneration(1, 2)"
    await chain.succeed(chain.claim_call(second), chain.receiver)


async def test_a_lock_that_was_signed_twice_is_mined_once(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind)
    await chain.open(lock)
    value = lock.amount if lock.token is None else 0
    assert await chain.error_of(chain.lock_call(lock), lock.sender, value) == "WrongGeneration(1, 2)"
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    assert await chain.error_of(chain.lock_call(lock), lock.sender, value) == "WrongGeneration(1, 2)"


async def test_an_open_lane_is_busy(chain: Chain) -> None:
    lock = await chain.new_lock(lane=5)
    await chain.open(lock)
    assert await chain.error_of(chain.lock_call(lock.but(generation=2)), lock.sender, AMOUNT) == "LaneBusy(5)"


async def test_the_generation_wraps(chain: Chain) -> None:
    lock = await chain.new_lock(generation=0)
    last = lock.but(generation=0xFFFF)
    await chain.rpc(
        "anvil_setStorageAt",
        chain.htlc.address,
        f"0x{int(lock.sender, 16) << 96:064x}",
        f"0x{expected_word(last, CLAIMED):064x}",
    )
    assert await chain.error_of(chain.lock_call(lock.but(generation=1)), lock.sender, AMOUNT) == "WrongGeneration(1, 0)"
    await chain.open(lock)
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    # So ids come round again.
    again = lock.but(generation=1)
    await chain.open(again)
    await chain.set_next_time(again.timelock)
    await chain.succeed(chain.refund_call(again), chain.stranger)
    assert await chain.word(lock.sender, 0) == expected_word(again, REFUNDED)


async def test_nobody_writes_anothers_lane(chain: Chain) -> None:
    mine = await chain.new_lock()
    theirs = mine.but(sender=chain.stranger)
    await chain.open(mine)
    await chain.open(theirs)
    await chain.succeed(chain.claim_call(theirs), chain.receiver)
    assert await chain.word(chain.sender, 0) == expected_word(mine, LOCKED)
    assert await chain.word(chain.stranger, 0) == expected_word(theirs, CLAIMED)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"amount": 0}, "AmountIsZero()"),
        ({"receiver": ZERO}, "ReceiverIsZero()"),
        ({"flags": ONE_SHOT}, "UnknownFlags(1)"),
        ({"flags": 128}, "UnknownFlags(128)"),
        ({"flags": 255}, "UnknownFlags(255)"),
        ({"generation": 2}, "WrongGeneration(2, 1)"),
        ({"generation": 0}, "WrongGeneration(0, 1)"),
    ],
)
async def test_a_lock_that_makes_no_sense_is_refused(chain: Chain, change: dict[str, Any], error: str) -> None:
    lock = (await chain.new_lock()).but(**change)
    assert await chain.error_of(chain.lock_call(lock), lock.sender, lock.amount) == error


async def test_the_contract_is_nobodys_receiver(chain: Chain, kind: str) -> None:
    """Otherwise anybody could give the lock back through `settleStrangers`, and a token claimed so is lost."""
    lock = await funded_lock(chain, kind, receiver=chain.htlc.address)
    value = lock.amount if lock.token is None else 0
    assert await chain.error_of(chain.lock_call(lock), lock.sender, value) == "ReceiverIsThisContract()"


@pytest.mark.parametrize("late_s", [0, 1, 1_000])
async def test_a_timelock_that_has_come_is_refused(chain: Chain, late_s: int) -> None:
    lock = await chain.new_lock()
    time = lock.timelock + late_s
    error = await chain.error_of(chain.lock_call(lock), lock.sender, AMOUNT, at_time=time)
    assert error == f"TimelockNotInFuture({lock.timelock}, {time})"


async def test_events_carry_all_terms_and_the_preimage(chain: Chain, kind: str) -> None:
    lock = await funded_lock(chain, kind, lane=3)
    receipt = await chain.open(lock)
    name = "LockedToken" if lock.token else "Locked"
    (opened,) = getattr(chain.htlc.events, name)().process_receipt(receipt, errors=DISCARD)
    expected = {"hashlock": lock.hashlock, "terms": lock.terms, "sender": lock.sender, "amount": lock.amount}
    assert dict(opened["args"]) == expected | ({"token": lock.token} if lock.token else {})

    receipt = await chain.succeed(chain.claim_call(lock), chain.stranger)
    (claimed,) = chain.htlc.events.Claimed().process_receipt(receipt, errors=DISCARD)
    assert dict(claimed["args"]) == {"hashlock": lock.hashlock, "lockId": lock.lock_id, "preimage": lock.preimage}

    again = await funded_lock(chain, kind, lane=3, generation=2)
    await chain.open(again)
    await chain.set_next_time(again.timelock)
    receipt = await chain.succeed(chain.refund_call(again), chain.stranger)
    (refunded,) = chain.htlc.events.Refunded().process_receipt(receipt, errors=DISCARD)
    assert dict(refunded["args"]) == {"hashlock": again.hashlock, "lockId": again.lock_id}


async def test_a_receiver_that_refuses_ether_hurts_only_himself(chain: Chain) -> None:
    payee = await chain.deploy("testing/RefusingPayee")
    lock = await chain.new_lock(receiver=payee.address)
    await chain.open(lock)
    assert (await chain.error_of(chain.claim_call(lock), chain.stranger)).lower() == (
        f"PaymentRefused({payee.address})".lower()
    )
    before = await chain.balance(chain.sender)
    await chain.set_next_time(lock.timelock)
    await chain.succeed(chain.refund_call(lock), chain.stranger)
    assert await chain.balance(chain.sender) == before + AMOUNT


async def test_a_contract_can_be_a_sender(chain: Chain) -> None:
    payee = await chain.deploy("testing/RefusingPayee")
    lock = await chain.new_lock(sender=payee.address)
    call = payee.functions.lock(chain.htlc.address, lock.hashlock, lock.terms)
    await chain.succeed(call, chain.stranger, AMOUNT)
    await chain.succeed(payee.functions.setAccepting(True), chain.stranger)
    await chain.set_next_time(lock.timelock)
    await chain.succeed(chain.refund_call(lock), chain.stranger)
    assert await chain.balance(payee.address) == AMOUNT


async def test_a_receiver_that_calls_back_is_paid_once(chain: Chain) -> None:
    payee = await chain.deploy("testing/ReenteringPayee")
    lock = await chain.new_lock(receiver=payee.address)
    other = await chain.new_lock(lane=1)
    await chain.open(lock)
    await chain.open(other)
    data = chain.htlc.encode_abi("claim", [lock.preimage, lock.terms, lock.sender, lock.amount])
    await chain.succeed(payee.functions.arm(chain.htlc.address, data), chain.stranger)
    await chain.succeed(chain.claim_call(lock), chain.stranger)
    assert await payee.functions.called().call()
    assert not await payee.functions.innerSucceeded().call()
    assert await chain.balance(payee.address) == AMOUNT
    assert await chain.balance(chain.htlc.address) == AMOUNT


async def test_a_token_that_returns_nothing_works(chain: Chain) -> None:
    token = await chain.deploy("testing/SilentToken")
    await chain.give(token, chain.sender, 100)
    lock = await chain.new_lock(amount=100, token=token.address)
    await chain.open(lock)
    await chain.succeed(chain.claim_call(lock), chain.stranger)
    assert await chain.balance(chain.receiver, token) == 100


async def test_a_token_that_returns_false_is_refused_and_loses_nothing(chain: Chain) -> None:
    token = await chain.deploy("testing/RefusingToken")
    await chain.give(token, chain.sender, 100)
    lock = await chain.new_lock(amount=100, token=token.address)
    refused = f"TokenCallFailed({token.address})".lower()
    assert (await chain.error_of(chain.lock_call(lock), chain.sender)).lower() == refused
    assert await chain.word(chain.sender, 0) == 0

    await chain.succeed(token.functions.setRefusing(False), chain.stranger)
    await chain.open(lock)
    await chain.succeed(token.functions.setRefusing(True), chain.stranger)
    assert (await chain.error_of(chain.claim_call(lock), chain.receiver)).lower() == refused
    await chain.succeed(token.functions.setRefusing(False), chain.stranger)
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    assert await chain.balance(chain.receiver, token) == 100


@pytest.mark.parametrize(("name", "received"), [("FeeToken", 99), ("LyingToken", 0)])
async def test_a_token_that_delivers_less_is_refused(chain: Chain, name: str, received: int) -> None:
    token = await chain.deploy(f"testing/{name}")
    await chain.give(token, chain.sender, 100)
    lock = await chain.new_lock(amount=100, token=token.address)
    assert await chain.error_of(chain.lock_call(lock), chain.sender) == f"TokenAmountNotExact({received}, 100)"
    assert await chain.word(chain.sender, 0) == 0


async def test_a_delivery_below_nothing_is_refused(chain: Chain) -> None:
    """An amount near 2**256 is what a balance that falls looks like to arithmetic that wraps."""
    token = await chain.deploy("testing/TakingToken")
    await chain.succeed(token.functions.mint(chain.htlc.address, 100), chain.deployer)
    lock = await chain.new_lock(amount=2**256 - 60, token=token.address)
    assert await chain.error_of(chain.lock_call(lock), chain.sender) == f"TokenAmountNotExact(0, {2**256 - 60})"


async def test_an_address_without_code_is_no_token(chain: Chain) -> None:
    lock = await chain.new_lock(token=chain.stranger)
    expected = f"TokenCallFailed({chain.stranger})".lower()
    assert (await chain.error_of(chain.lock_call(lock), chain.sender)).lower() == expected


async def test_a_lock_without_allowance_is_refused(chain: Chain) -> None:
    await chain.succeed(chain.token.functions.mint(chain.sender, 100), chain.deployer)
    lock = await chain.new_lock(amount=100, token=chain.token.address)
    expected = f"TokenCallFailed({chain.token.address})".lower()
    assert (await chain.error_of(chain.lock_call(lock), chain.sender)).lower() == expected


async def test_a_token_that_calls_back_while_paying_out_is_paid_once(chain: Chain) -> None:
    token = await chain.deploy("testing/ReenteringToken")
    await chain.give(token, chain.sender, 300)
    lock = await chain.new_lock(amount=100, token=token.address)
    await chain.open(lock)
    await chain.open(lock.but(lane=1))
    arguments = [lock.preimage, lock.terms, lock.sender, lock.amount, lock.token]
    await chain.succeed(
        token.functions.arm(chain.htlc.address, chain.htlc.encode_abi("claimToken", arguments)), chain.stranger
    )
    await chain.succeed(chain.claim_call(lock), chain.stranger)
    assert not await token.functions.innerSucceeded().call()
    assert await chain.balance(chain.receiver, token) == 100
    assert await chain.balance(chain.htlc.address, token) == 100


async def test_one_delivery_is_not_counted_for_two_locks(chain: Chain) -> None:
    """The token delivers nothing for the outer lock and opens a second one, from itself, inside."""
    token = await chain.deploy("testing/DoubleCountingToken")
    await chain.give(token, chain.sender, 100)
    await chain.succeed(token.functions.mint(token.address, 100), chain.deployer)
    outer = await chain.new_lock(amount=100, token=token.address)
    inner = outer.but(sender=token.address)
    data = chain.htlc.encode_abi("lockToken", [inner.hashlock, inner.terms, inner.amount, inner.token])
    await chain.succeed(token.functions.arm(chain.htlc.address, data), chain.stranger)
    assert await chain.error_of(chain.lock_call(outer), chain.sender) == "Reentered()"
    assert await chain.word(chain.sender, 0) == 0
    assert await chain.word(token.address, 0) == 0


async def test_two_token_locks_in_one_transaction_pass_unless_nested(chain: Chain) -> None:
    locker = await chain.deploy("testing/TokenLocker")
    await chain.succeed(chain.token.functions.mint(locker.address, 200), chain.deployer)
    locks = [await chain.new_lock(sender=locker.address, amount=100, token=chain.token.address, lane=n) for n in (0, 1)]
    call = locker.functions.lockAll(
        chain.htlc.address, chain.token.address, [lock.hashlock for lock in locks], [lock.terms for lock in locks], 100
    )
    await chain.succeed(call, chain.stranger)
    assert [await chain.word(locker.address, n) for n in (0, 1)] == [expected_word(lock, LOCKED) for lock in locks]


async def test_the_contract_takes_no_ether_but_by_lock(chain: Chain) -> None:
    with pytest.raises(Exception, match="revert"):
        await chain.web3.eth.send_transaction({"from": chain.sender, "to": chain.htlc.address, "value": Wei(1)})


async def test_the_whole_bill(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    """Gas of the lean path; the bounds are what a reader of docs/internals/htlc-contract.md may rely on."""
    used: dict[str, int] = {}
    await chain.open(await chain.new_lock(receiver=chain.deployer, lane=9))  # the contract holds something
    lock = await chain.new_lock()
    await chain.open(lock)
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    second = await chain.new_lock(generation=2)
    used["lock, recycled lane"] = (await chain.open(second))["gasUsed"]
    used["claim, recycled lane"] = (await chain.succeed(chain.claim_call(second), chain.receiver))["gasUsed"]
    first = await chain.new_lock(lane=2)
    used["lock, fresh lane"] = (await chain.open(first))["gasUsed"]
    used["claim, fresh lane"] = (await chain.succeed(chain.claim_call(first), chain.receiver))["gasUsed"]
    with capsys.disabled():
        print("", *(f"{name}: {gas:,}" for name, gas in used.items()), sep="\n  ")
    assert used["lock, recycled lane"] + used["claim, recycled lane"] <= 67_000
    assert used["lock, fresh lane"] + used["claim, fresh lane"] <= 84_100
