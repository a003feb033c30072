"""Batches at their worst, on a real node: payees that use up all the gas they are given."""

from dataclasses import replace

from adapters.conformance.harness import Leg, claim, lock, make_terms
from adapters.evm.batches import MAX_EXITS, EvmBatchBuilder, left_out
from adapters.evm.calls import body_of, encode_call, unsigned_call
from adapters.evm.contracts.deployer import CREATE_GAS, created_address
from core.model.facts import LockStatus
from core.model.transactions import OutcomeStatus
from core.model.types import AccountId, BaseUnits, Preimage
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


def test_other_transactions_leave_nothing_out() -> None:
    assert left_out("0x" + "11" * 20, encode_call("TestToken", "mint", bytes(20), 1), []) == ()
