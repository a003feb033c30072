"""The price of inclusion, from nodes that offer few ways to ask, from liars, and on chains without base fees."""

import secrets
from typing import Any

import pytest

from adapters.evm.contracts.deployer import pay_native
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.market import MAX_TIP, tip_bound
from adapters.evm.signing import LocalSigner, development_signer
from adapters.evm.transactions import EvmTransactionSender
from core.model.errors import RetryableError
from core.model.transactions import FeeBid, FeeMarket, OutcomeStatus
from core.model.types import BaseUnits
from local_chains.evm import AnvilChain, AnvilSettings
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal, Tamper, middle_man
from tests.adapters.evm.harness import CHAIN, MNEMONIC, EvmHarness, rpc
from tests.support import eventually

GWEI = 10**9
NOT_OFFERED = [
    RpcRefusal(-32601, "the method eth_maxPriorityFeePerGas does not exist/is not available"),
    RpcRefusal(-32600, "Unsupported method: eth_maxPriorityFeePerGas"),
    RpcRefusal(-32001, "method not supported"),
    RpcRefusal(-32004, "Method not supported"),
    RpcRefusal(-32603, "not implemented"),
    RpcRefusal(-32602, "words that nobody has said before"),
    RpcRefusal(-32000, "words that nobody has said before"),
]


async def market_of(*urls: str) -> FeeMarket:
    pool = Endpoints([Endpoint(url) for url in urls])
    try:
        market = await EvmTransactionSender(CHAIN, pool).fee_market()
    finally:
        await pool.close()
    assert market is not None
    return market


def lacking(refusal: RpcRefusal, *methods: str) -> Tamper:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method in methods:
            raise refusal
        if method == "eth_feeHistory":
            return {**result, "reward": [["0x0"], ["0x77359400"], ["0x77359400"]]}
        return hex(5 * GWEI) if method == "eth_gasPrice" else result

    return tamper


@pytest.mark.parametrize("refusal", NOT_OFFERED, ids=str)
async def test_tip_is_found_without_the_method_for_it(evm: EvmHarness, liar: MiddleMan, refusal: RpcRefusal) -> None:
    base = (await market_of(evm.anvil.rpc_url)).base_fee
    liar.tamper = lacking(refusal, "eth_maxPriorityFeePerGas")
    assert await market_of(liar.url) == FeeMarket(base, 2 * GWEI)
    liar.tamper = lacking(refusal, "eth_maxPriorityFeePerGas", "eth_feeHistory")
    assert await market_of(liar.url) == FeeMarket(base, 5 * GWEI - base)
    liar.tamper = lacking(refusal, "eth_maxPriorityFeePerGas", "eth_feeHistory", "eth_gasPrice")
    assert await market_of(liar.url) == FeeMarket(base, base // 10)


@pytest.mark.parametrize("answer", [None, "", "0x", 5, "latest", "-0x1", "0x" + "f" * 65, [], {"a": 1}, 1.5])
async def test_malformed_tip_is_asked_for_otherwise(evm: EvmHarness, liar: MiddleMan, answer: object) -> None:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        return answer if method in ("eth_maxPriorityFeePerGas", "eth_feeHistory", "eth_gasPrice") else result

    liar.tamper = tamper
    market = await market_of(liar.url)
    assert market.priority_fee == market.base_fee // 10


async def test_lone_endpoint_cannot_make_tips_absurd(evm: EvmHarness, liar: MiddleMan) -> None:
    liar.tamper = lambda method, params, result: hex(10**24) if method == "eth_maxPriorityFeePerGas" else result
    market = await market_of(liar.url)
    assert market.priority_fee == tip_bound(market.base_fee) == max(MAX_TIP, 10 * market.base_fee)


@pytest.mark.parametrize("factor", [0, 1_000])
async def test_one_of_three_moves_no_fee(evm: EvmHarness, liar: MiddleMan, factor: int) -> None:
    true = await market_of(evm.anvil.rpc_url)

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber":
            return {**result, "baseFeePerGas": hex(true.base_fee * factor)}
        return hex(true.priority_fee * factor) if method == "eth_maxPriorityFeePerGas" else result

    liar.tamper = tamper
    async with middle_man(evm.anvil.rpc_url) as other:
        assert await market_of(liar.url, evm.anvil.rpc_url, other.url) == true


async def test_endpoint_without_a_head_gives_no_market(evm: EvmHarness, liar: MiddleMan) -> None:
    liar.tamper = lambda method, params, result: None if method == "eth_getBlockByNumber" else result
    with pytest.raises(RetryableError):
        await market_of(liar.url)


async def test_chain_without_base_fees_takes_our_transactions() -> None:
    """Berlin is the last rule set before EIP-1559: its transactions have one price (EIP-155)."""
    async with AnvilChain(AnvilSettings(block_time_s=None, hardfork="berlin")) as anvil:
        pool = Endpoints([Endpoint(anvil.rpc_url)])
        sender = EvmTransactionSender(CHAIN, pool, base_fees=False)
        market = await sender.fee_market()
        assert market is not None
        assert market.base_fee == 0
        assert market.priority_fee > 0
        bank, friend = development_signer(CHAIN, MNEMONIC, 0), LocalSigner(CHAIN, secrets.token_bytes(32))
        payment = pay_native(bank.account, friend.account, BaseUnits(5))
        bid = FeeBid(2 * market.priority_fee, market.priority_fee)
        await sender.simulate(payment, bid)
        request = sender.assemble(payment, 0, bid, None)
        signed = sender.attach(request, await bank.sign(request))
        await sender.submit(signed)

        async def included() -> bool:  # anvil answers first, and mines after that
            return (await sender.outcome(signed.hash)).status is OutcomeStatus.INCLUDED

        await eventually(included)
        seen = await rpc(anvil.rpc_url, "eth_getTransactionByHash", f"0x{signed.hash.hex()}")
        assert (seen["type"], int(seen["gasPrice"], 16)) == ("0x0", bid.max_fee)
        await pool.close()
