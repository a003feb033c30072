"""Allowances that `prepare` asks for succeed, also with particular tokens and with an allowance left over."""

from dataclasses import dataclass

import pytest

from adapters.conformance.harness import make_terms, send
from adapters.evm.calls import encode_call, encode_creation, unsigned_call
from adapters.evm.names import token_asset
from core.model.errors import RejectedError
from core.model.transactions import OutcomeStatus
from core.model.types import BaseUnits, LockTerms, Preimage
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import EvmHarness

NAME = "testing/GuardedToken"
MAX = 2**256 - 1
MAX_STEPS = 3


@dataclass(frozen=True)
class Rules:
    only_from_zero: bool = False
    never_zero: bool = False
    most: int = MAX
    quiet: bool = False


async def terms_for(evm: EvmHarness, rules: Rules, left_over: int, amount: int = 7) -> LockTerms:
    """Of a lock by the bank, which holds the token and has allowed `left_over` before."""
    me = evm.bank
    data = encode_creation(NAME, rules.only_from_zero, rules.never_zero, rules.most, rules.quiet)
    made = await send(evm, me, unsigned_call(me.account, None, data, gas=2_000_000, summary="make a token"))
    token = await evm.chain.transactions.created_contract(made.hash)
    assert token is not None
    calls = [encode_call(NAME, "mint", evm_address(me.account), 10**30)]
    if left_over:
        calls.append(encode_call(NAME, "approve", evm_address(evm.contracts.htlc), left_over))
    for call in calls:
        await send(evm, me, unsigned_call(me.account, token, call, gas=200_000, summary="call"))
    friend = await evm.account()
    return await make_terms(
        evm, me, friend, Preimage.generate(), token_asset(evm.chain.parameters.chain, token), BaseUnits(amount)
    )


@pytest.mark.parametrize(
    ("rules", "left_over", "steps_needed"),
    [
        (Rules(), 0, 1),
        (Rules(), 5, 1),
        (Rules(only_from_zero=True), 0, 1),
        (Rules(only_from_zero=True), 5, 2),
        (Rules(only_from_zero=True, quiet=True), 5, 2),
        (Rules(never_zero=True), 5, 1),
        (Rules(most=2**96 - 1), 0, 1),
        (Rules(only_from_zero=True, most=2**96 - 1), 5, 2),
        (Rules(only_from_zero=True, most=1_000, quiet=True), 5, 2),
        (Rules(never_zero=True, most=1_000), 5, 1),
    ],
    ids=str,
)
async def test_every_step_succeeds_and_the_lock_is_made(
    evm: EvmHarness, rules: Rules, left_over: int, steps_needed: int
) -> None:
    terms = await terms_for(evm, rules, left_over)
    steps = 0
    while (step := await evm.access.legs.prepare(terms)) is not None:
        steps += 1
        assert steps <= MAX_STEPS
        await evm.access.transactions.simulate(step)
        await send(evm, evm.bank, step)
    assert steps == steps_needed
    lock_id = await evm.access.legs.lock_id(terms)
    sent = await send(evm, evm.bank, evm.access.legs.lock(terms, lock_id))
    assert (await evm.access.transactions.outcome(sent.hash)).status is OutcomeStatus.INCLUDED


async def test_enough_allowance_needs_nothing(evm: EvmHarness) -> None:
    assert await evm.access.legs.prepare(await terms_for(evm, Rules(only_from_zero=True), 7)) is None


async def test_token_that_takes_no_allowance_is_refused_with_its_name(evm: EvmHarness) -> None:
    terms = await terms_for(evm, Rules(only_from_zero=True, never_zero=True), 5)
    with pytest.raises(RejectedError, match=terms.asset.rpartition(":")[2]):
        await evm.access.legs.prepare(terms)


async def test_permit2_is_allowed_step_by_step_too(evm: EvmHarness) -> None:
    """Nothing was allowed to it before: one step, of the most that the token takes."""
    terms = await terms_for(evm, Rules(most=2**96 - 1), 0)
    step = await evm.chain.signed_locks.prepare_permit2(terms)
    assert step is not None
    await send(evm, evm.bank, step)
    assert await evm.chain.signed_locks.prepare_permit2(terms) is None
