"""Claims that could not pay are found before they are made: on anvil, with tokens and receivers that refuse."""

from dataclasses import replace

import pytest
from eth_abi.abi import encode

from adapters.evm.calls import encode_creation, unsigned_call
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.errors import translate
from adapters.evm.names import account, token_asset
from adapters.evm.payouts import Payouts
from adapters.evm.rpc import RpcClient
from core.model.errors import DisagreementError, PayoutBlockedError, RetryableError
from core.model.types import AccountId, BaseUnits, ChainTime, LockTerms, Preimage
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import CHAIN, EvmHarness

AMOUNT = BaseUnits(1_000)


async def deployed(evm: EvmHarness, name: str, *arguments: object) -> AccountId:
    """One of the hostile contracts."""
    data = encode_creation(name, *arguments)
    [tx_hash] = await evm.send(
        evm.bank, unsigned_call(evm.bank.account, None, data, gas=2_000_000, summary=f"make {name}")
    )
    address = await evm.chain.transactions.created_contract(tx_hash)
    assert address is not None
    return account(CHAIN, address)


async def call(evm: EvmHarness, contract: AccountId, signature: str, *arguments: object) -> None:
    types = signature[signature.index("(") + 1 : -1].split(",")
    data = keccak256(signature.encode())[:4] + encode(types, arguments)
    await evm.send(evm.bank, unsigned_call(evm.bank.account, evm_address(contract), data, gas=200_000, summary="call"))


async def native_terms(evm: EvmHarness, receiver: AccountId | None = None) -> LockTerms:
    sender, other = await evm.account(), await evm.account()
    return LockTerms(
        evm.assets[0],
        AMOUNT,
        sender.account,
        receiver or other.account,
        Preimage.generate().hashlock(),
        ChainTime(CHAIN, 2**33),
    )


async def test_an_unfunded_ether_leg_is_payable(evm: EvmHarness) -> None:
    """The contract does not hold that much: its balance is overridden."""
    terms = await native_terms(evm)
    await evm.access.locks.check_payout(replace(terms, amount=BaseUnits(10**24)))


async def test_a_receiver_that_refuses_ether_is_blocked(evm: EvmHarness) -> None:
    refusing = await deployed(evm, "testing/RefusingPayee")
    with pytest.raises(PayoutBlockedError):
        await evm.access.locks.check_payout(await native_terms(evm, refusing))


async def refusing_token(evm: EvmHarness, refusing: bool) -> LockTerms:
    token = await deployed(evm, "testing/RefusingToken")
    terms = replace(await native_terms(evm), asset=token_asset(CHAIN, evm_address(token)))
    await call(evm, token, "mint(address,uint256)", evm_address(terms.sender).hex(), int(AMOUNT))
    await call(evm, token, "setRefusing(bool)", refusing)
    return terms


@pytest.mark.parametrize("refusing", [True, False])
async def test_a_token_that_answers_false_is_blocked(evm: EvmHarness, refusing: bool) -> None:
    terms = await refusing_token(evm, refusing)
    if refusing:
        with pytest.raises(PayoutBlockedError, match="does not answer true"):
            await evm.access.locks.check_payout(terms)
    else:
        await evm.access.locks.check_payout(terms)


async def test_an_address_without_token_code_is_blocked(evm: EvmHarness) -> None:
    terms = await native_terms(evm)
    nowhere = replace(terms, asset=token_asset(CHAIN, b"\x77" * 20))
    with pytest.raises(PayoutBlockedError, match="not an ERC-20"):
        await evm.access.locks.check_payout(nowhere)


async def test_a_silent_token_is_payable(evm: EvmHarness) -> None:
    token = await deployed(evm, "testing/SilentToken")
    terms = replace(await native_terms(evm), asset=token_asset(CHAIN, evm_address(token)))
    await evm.access.locks.check_payout(terms)


async def test_overrides_not_offered_leave_what_is_held(evm: EvmHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = RpcClient.call, []

    async def poor(self: RpcClient, method: str, *params: object, into: object = str) -> object:
        if len(params) > 2:
            seen.append(method)
            raise translate(method, -32602, "too many arguments, want at most 2")
        return await real(self, method, *params, into=into)

    monkeypatch.setattr(RpcClient, "call", poor)
    await evm.access.locks.check_payout(await native_terms(evm))
    assert seen == ["eth_call"]
    refusing = await deployed(evm, "testing/RefusingPayee")
    with pytest.raises(PayoutBlockedError):
        await evm.access.locks.check_payout(await native_terms(evm, refusing))


async def test_a_payment_needs_a_quorum(evm: EvmHarness) -> None:
    dead = [Endpoint(f"http://127.0.0.1:{port}", operator=str(port)) for port in (9, 10)]
    pool = Endpoints([Endpoint(evm.anvil.rpc_url, operator="real"), *dead])
    try:
        payouts = Payouts(CHAIN, pool, evm_address(evm.contracts.htlc))
        with pytest.raises(DisagreementError):
            await payouts.check(await native_terms(evm))
    finally:
        await pool.close()


async def test_no_endpoint_is_no_answer(evm: EvmHarness) -> None:
    pool = Endpoints([Endpoint("http://127.0.0.1:9")])
    try:
        with pytest.raises(RetryableError) as caught:
            await Payouts(CHAIN, pool, evm_address(evm.contracts.htlc)).check(await native_terms(evm))
        assert not isinstance(caught.value, PayoutBlockedError)
    finally:
        await pool.close()
