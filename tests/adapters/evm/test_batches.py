"""Batches at their worst, on a real node: payees that use up all the gas they are given."""

from dataclasses import replace

import pytest

from adapters.conformance.harness import Leg, claim, lock, make_terms, refund
from adapters.evm import legs as legs_module
from adapters.evm.batches import MAX_EXITS, MAX_LOCKS, EvmBatchBuilder, left_out
from adapters.evm.calls import body_of, encode_call, unsigned_call
from adapters.evm.contracts.deployer import CREATE_GAS, created_address
from core.model.facts import LockStatus
from core.model.ports import Signer
from core.model.transactions import OutcomeStatus
from core.model.types import AccountId, AssetId, BaseUnits, Preimage
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import EvmHarness

ENDLESS = bytes.fromhex("635b6000566000526004601cf3")
"""Creates a contract whose code is JUMPDEST PUSH1 0 JUMP."""
TX_GAS_CAP = 2**24
"""EIP-7825."""


async def burner(evm: EvmHarness) -> AccountId:
    nonce = (await evm.access.transactions.sequences(evm.bank.account)).latest
    await evm.send(evm.bank, unsigned_call(evm.bank.account, None, ENDLESS, gas=CREATE_GAS, summary="burner"))
    return created_address(evm.bank.account, nonce)


async def locks_for(evm: EvmHarness, payee: AccountId, count: int) -> list[Leg]:
    """Of one sender, in one block."""
    sender, legs = await evm.account(), list[Leg]()
    for _ in range(count):
        preimage = Preimage.generate()
        terms = replace(await make_terms(evm, sender, sender, preimage, amount=BaseUnits(7)), receiver=payee)
        place = await evm.access.legs.lock_id(terms, [leg.lock_id for leg in legs])
        legs.append(Leg(terms, place, preimage, sender, sender, None))  # type: ignore[arg-type]
    await evm.send(sender, *(evm.access.legs.lock(leg.terms, leg.lock_id) for leg in legs))
    return legs


async def test_payees_that_burn_all_their_gas_reach_nobody_behind_them(evm: EvmHarness) -> None:
    """As many as fit: the last of the batch still has all of its gas, and the limit that we name suffices."""
    bad = await locks_for(evm, await burner(evm), MAX_EXITS - 1)
    good, third = await lock(evm, evm.assets[1]), await evm.account()
    batch = EvmBatchBuilder(evm_address(evm.contracts.htlc)).batch([claim(evm, leg, third) for leg in (*bad, good)])
    assert int(body_of(batch).gas, 16) < TX_GAS_CAP
    [tx_hash] = await evm.send(third, batch)
    outcome = await evm.access.transactions.outcome(tx_hash)
    assert outcome.status is OutcomeStatus.INCLUDED
    assert [item.index for item in outcome.left_out] == list(range(MAX_EXITS - 1))
    assert not any("OutOfGas" in item.reason or "ended" in item.reason for item in outcome.left_out)
    await evm.advance(3)
    assert (await evm.access.locks.lock(good.lock_id, good.terms)).status is LockStatus.CLAIMED


async def test_batch_that_ends_early_names_all_that_it_left_out(evm: EvmHarness) -> None:
    """With less gas than we name the contract stops, and keeps what is done."""
    legs, third = [await lock(evm) for _ in range(3)], await evm.account()
    batch = evm.chain.batches.batch([claim(evm, leg, third) for leg in legs])
    body = body_of(batch)
    short = unsigned_call(
        third.account, evm_address(evm.contracts.htlc), bytes.fromhex(body.data[2:]), gas=200_000, summary="short"
    )
    [tx_hash] = await evm.send(third, short)
    outcome = await evm.access.transactions.outcome(tx_hash)
    assert [(item.index, item.reason) for item in outcome.left_out] == [
        (1, "OutOfGas()"),
        (2, "the batch ended before it"),
    ]
    await evm.advance(3)
    standing = [(await evm.access.locks.lock(leg.lock_id, leg.terms)).status for leg in legs]
    assert standing == [LockStatus.CLAIMED, LockStatus.LOCKED, LockStatus.LOCKED]


# --- of our own ---


async def locks_of(evm: EvmHarness, me: Signer, asset: AssetId, count: int) -> list[Leg]:
    """Of one sender, in one block, all to be paid to `me`."""
    sender, legs = await evm.account(), list[Leg]()
    for _ in range(count):
        preimage = Preimage.generate()
        terms = await make_terms(evm, sender, me, preimage, asset)
        place = await evm.access.legs.lock_id(terms, [leg.lock_id for leg in legs])
        legs.append(Leg(terms, place, preimage, sender, me, None))  # type: ignore[arg-type]
    if (allowance := await evm.access.legs.prepare(legs[0].terms)) is not None:
        await evm.send(sender, allowance)
    await evm.send(sender, *(evm.access.legs.lock(leg.terms, leg.lock_id) for leg in legs))
    return legs


@pytest.mark.parametrize("kind", [0, 1], ids=["ether", "token"])
async def test_own_claims_share_one_payment(evm: EvmHarness, kind: int) -> None:
    me = await evm.account()
    legs = await locks_of(evm, me, evm.assets[kind], 10)
    before = await held(evm, me, evm.assets[kind])
    exits = [claim(evm, leg, me) for leg in legs]
    [part] = evm.chain.batches.divided(exits)
    assert list(part) == list(range(10))
    batch = evm.chain.batches.batch(exits)
    [tx_hash] = await evm.send(me, batch)
    outcome = await evm.access.transactions.outcome(tx_hash)
    assert (outcome.status, outcome.left_out) == (OutcomeStatus.INCLUDED, ())
    receipt = await evm.rpc("eth_getTransactionReceipt", "0x" + tx_hash.hex())
    used, price = int(receipt["gasUsed"], 16), int(receipt["effectiveGasPrice"], 16)
    assert used < 10 * (12_500 if kind == 0 else 13_500)
    assert used * 2 < int(body_of(batch).gas, 16)
    fee = used * price if kind == 0 else 0
    assert await held(evm, me, evm.assets[kind]) - before + fee == sum(leg.terms.amount for leg in legs)
    await evm.advance(3)
    for leg in legs:
        assert (await evm.access.locks.lock(leg.lock_id, leg.terms)).status is LockStatus.CLAIMED


@pytest.mark.parametrize(("kind", "most"), [(0, 11_500), (1, 15_500)], ids=["ether", "token"])
async def test_own_locks_share_one_payment(
    evm: EvmHarness, kind: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In lanes that were used before; as many as a batch may hold fit in fresh ones, with gas to spare. The contract
    holds nothing of the token before, which costs 17,100 gas once."""
    monkeypatch.setattr(legs_module, "HANDED_S", 0.0)  # the second round uses the lanes of the first
    me, other = await evm.account(), await evm.account()
    for count in (MAX_LOCKS, 10):
        legs = await legs_of(evm, me, other, evm.assets[kind], count)
        before = await held(evm, me, evm.assets[kind])
        batch = evm.chain.batches.locks([evm.access.legs.lock(leg.terms, leg.lock_id) for leg in legs])
        [tx_hash] = await evm.send(me, batch)
        outcome = await evm.access.transactions.outcome(tx_hash)
        assert (outcome.status, outcome.left_out) == (OutcomeStatus.INCLUDED, ())
        receipt = await evm.rpc("eth_getTransactionReceipt", "0x" + tx_hash.hex())
        used, price = int(receipt["gasUsed"], 16), int(receipt["effectiveGasPrice"], 16)
        assert used * 3 < int(body_of(batch).gas, 16) * 2 < TX_GAS_CAP
        fee = used * price if kind == 0 else 0
        assert before - await held(evm, me, evm.assets[kind]) - fee == sum(leg.terms.amount for leg in legs)
        claims = [claim(evm, leg, other) for leg in legs]
        await evm.send(other, evm.chain.batches.batch(claims))
    assert used < 10 * most


async def legs_of(evm: EvmHarness, sender: Signer, receiver: Signer, asset: AssetId, count: int) -> list[Leg]:
    """Not sent yet; their places are taken, and their allowance is there."""
    legs = list[Leg]()
    for _ in range(count):
        preimage = Preimage.generate()
        terms = await make_terms(evm, sender, receiver, preimage, asset)
        place = await evm.access.legs.lock_id(terms, [leg.lock_id for leg in legs])
        legs.append(Leg(terms, place, preimage, sender, receiver, None))  # type: ignore[arg-type]
    if (allowance := await evm.access.legs.prepare(legs[0].terms)) is not None:
        await evm.send(sender, allowance)
    return legs


async def test_own_claim_that_somebody_else_made_is_left_out(evm: EvmHarness) -> None:
    me, third = await evm.account(), await evm.account()
    legs = await locks_of(evm, me, evm.assets[0], 3)
    await evm.send(third, claim(evm, legs[1], third))
    [tx_hash] = await evm.send(me, evm.chain.batches.batch([claim(evm, leg, me) for leg in legs]))
    outcome = await evm.access.transactions.outcome(tx_hash)
    assert outcome.status is OutcomeStatus.INCLUDED
    assert [item.index for item in outcome.left_out] == [1]
    assert outcome.left_out[0].reason != "left out"  # the contract's own word


async def test_own_exits_of_one_kind_and_asset_go_apart(evm: EvmHarness) -> None:
    me = await evm.account()
    ether, tokens = [await locks_of(evm, me, asset, 2) for asset in evm.assets[:2]]
    others = [await lock(evm), await lock(evm)]
    legs = [ether[0], others[0], tokens[0], ether[1], tokens[1], others[1]]
    exits = [claim(evm, leg, me) for leg in legs]
    parts = [list(part) for part in evm.chain.batches.divided(exits)]
    assert parts == [[0, 3], [2, 4], [1, 5]]
    batches = [evm.chain.batches.batch([exits[index] for index in part]) for part in parts]
    hashes = await evm.send(me, *batches)
    for tx_hash in hashes:
        outcome = await evm.access.transactions.outcome(tx_hash)
        assert (outcome.status, outcome.left_out) == (OutcomeStatus.INCLUDED, ())
    await evm.advance(3)
    for leg in legs:
        assert (await evm.access.locks.lock(leg.lock_id, leg.terms)).status is LockStatus.CLAIMED


async def test_own_refunds_share_one_payment(evm: EvmHarness) -> None:
    me, other = await evm.account(), await evm.account()
    legs = list[Leg]()
    for _ in range(3):
        terms = await make_terms(evm, me, other, Preimage.generate())
        place = await evm.access.legs.lock_id(terms, [leg.lock_id for leg in legs])
        legs.append(Leg(terms, place, Preimage.generate(), me, other, None))  # type: ignore[arg-type]
    await evm.send(me, *(evm.access.legs.lock(leg.terms, leg.lock_id) for leg in legs))
    await evm.wait_until(legs[-1].terms.timelock)
    exits = [refund(evm, leg, me) for leg in legs]
    assert [list(part) for part in evm.chain.batches.divided(exits)] == [[0, 1, 2]]
    batch = evm.chain.batches.batch(exits)
    assert body_of(batch).data.startswith(
        "0x" + keccak256(b"bulkRefund(bool,(bytes32,uint256,address,uint256)[],uint256)")[:4].hex()
    )
    [tx_hash] = await evm.send(me, batch)
    assert (await evm.access.transactions.outcome(tx_hash)).left_out == ()
    await evm.advance(3)
    for leg in legs:
        assert (await evm.access.locks.lock(leg.lock_id, leg.terms)).status is LockStatus.REFUNDED


async def test_lone_own_exit_joins_the_strangers(evm: EvmHarness) -> None:
    me = await evm.account()
    [mine] = await locks_of(evm, me, evm.assets[0], 1)
    other = await lock(evm)
    divided = evm.chain.batches.divided
    assert [list(part) for part in divided([claim(evm, mine, me), claim(evm, other, me)])] == [[0, 1]]
    assert divided([claim(evm, mine, me)]) == []
    assert divided([]) == []


async def held(evm: EvmHarness, signer: Signer, asset: AssetId) -> int:
    height = (await evm.access.heads.head()).head.height
    return await evm.access.state.balance(signer.account, asset, height)


def test_other_transactions_leave_nothing_out() -> None:
    assert left_out("0x" + "11" * 20, encode_call("TestToken", "mint", bytes(20), 1), []) == ()
