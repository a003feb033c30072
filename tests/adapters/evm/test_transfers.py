"""Payments out of an account, on anvil: they move what they say and cost no more than was said, or are refused."""

import pytest

from adapters.conformance.harness import send
from adapters.evm.names import account, native_asset, token_asset
from core.model.errors import RejectedError
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import CHAIN, EvmHarness

TOKEN = bytes.fromhex("70" * 20)
PAYEE = account(CHAIN, bytes.fromhex("c0" * 20))
SAYS_FALSE, SAYS_NOTHING, REVERTS, SAYS_TRUE = "60206000f3", "00", "60006000fd", "600160005260206000f3"
"""Code of tokens that answer every call alike."""


async def transfer(
    evm: EvmHarness, receiver: AccountId, asset: AssetId, amount: int, payer: AccountId | None = None
) -> UnsignedTransaction:
    assert evm.access.transfers is not None
    return await evm.access.transfers.transfer(payer or evm.bank.account, receiver, asset, BaseUnits(amount))


@pytest.mark.parametrize("token", [False, True])
async def test_payment_moves_its_amount(evm: EvmHarness, token: bool) -> None:
    native = native_asset(CHAIN)
    asset = token_asset(CHAIN, evm_address(evm.contracts.tokens[0])) if token else native
    payer = await evm.account()
    payment = await transfer(evm, PAYEE, asset, 1_000, payer.account)
    before = await evm.access.state.balance(payer.account, native)
    bid = FeeBid(10**10, 1)
    await send(evm, payer, payment)
    assert await evm.access.state.balance(PAYEE, asset) == 1_000
    cost = evm.access.transactions.cost(payment, bid)
    assert cost[asset] >= 1_000
    assert (cost.get(asset), len(cost)) == ((1_000, 2) if token else (cost[native], 1))
    spent = before - await evm.access.state.balance(payer.account, native)
    assert 0 < spent <= cost[native]


@pytest.mark.parametrize(("code", "taken"), [(SAYS_FALSE, False), (REVERTS, False), (SAYS_NOTHING, True)])
async def test_token_that_does_not_move_is_not_sent(evm: EvmHarness, code: str, taken: bool) -> None:
    await evm.rpc("anvil_setCode", f"0x{TOKEN.hex()}", f"0x{code}")
    if taken:
        assert (await transfer(evm, PAYEE, token_asset(CHAIN, TOKEN), 5)).summary.startswith("Transfer 5 of")
        return
    with pytest.raises(RejectedError, match="refuses the transfer"):
        await transfer(evm, PAYEE, token_asset(CHAIN, TOKEN), 5)


async def test_payee_from_whom_nothing_comes_back_is_refused(evm: EvmHarness) -> None:
    await evm.rpc("anvil_setCode", f"0x{TOKEN.hex()}", f"0x{SAYS_TRUE}")
    token, native = token_asset(CHAIN, TOKEN), native_asset(CHAIN)
    for receiver, asset, said in (
        (account(CHAIN, bytes(20)), native, "zero address"),
        (account(CHAIN, evm_address(evm.contracts.htlc)), native, "HTLC contract"),
        (account(CHAIN, TOKEN), token, "token's own contract"),
        (AccountId(PAYEE.replace("31337", "1")), native, "not all of"),
    ):
        with pytest.raises(RejectedError, match=said):
            await transfer(evm, receiver, asset, 5)
    for amount in (0, -1, 2**256):
        with pytest.raises(RejectedError, match="is not an amount"):
            await transfer(evm, PAYEE, native, amount)
