"""Endpoints that fail in every way they can, and errors that say who acts."""

import asyncio
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from adapters.evm import rpc as rpc_module
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.errors import AlreadyKnownError, revert_reason, translate
from adapters.evm.rpc import Call, RpcClient
from adapters.observed import RpcMetrics
from core.model.errors import (
    CausewayError,
    ConflictError,
    NotFoundError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
)
from core.proofs.keccak import keccak256
from core.runtime.metrics import Metrics
from core.runtime.sockets import free_port
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal, middle_man
from tests.adapters.evm.harness import CHAIN, EvmHarness


async def client_call(url: str, timeout_s: float = 5.0) -> str:
    client = RpcClient(url, timeout_s=timeout_s)
    try:
        answer: str = await client.call("eth_chainId")
        return answer
    finally:
        await client.close()


async def test_nobody_listens() -> None:
    with pytest.raises(RetryableError, match="cannot be reached"):
        await client_call(f"http://127.0.0.1:{free_port()}")


async def test_an_endpoint_that_hangs(liar: MiddleMan) -> None:
    liar.hanging.clear()
    with pytest.raises(RetryableError, match="cannot be reached"):
        await client_call(liar.url, timeout_s=0.2)


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_an_http_error(liar: MiddleMan, status: int) -> None:
    liar.status = status
    with pytest.raises(RetryableError, match=str(status)):
        await client_call(liar.url)


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"id": 0, "result": {"not": "text"}}', b'"\xff"'])
async def test_an_answer_that_is_none(liar: MiddleMan, raw: bytes) -> None:
    liar.raw = raw
    with pytest.raises(RetryableError):
        await client_call(liar.url)


async def test_an_answer_that_is_too_large_is_cut_off(liar: MiddleMan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_module, "MAX_ANSWER_BYTES", 1_000)
    liar.raw = b'{"id": 0, "result": "' + b"a" * 2_000 + b'"}'
    with pytest.raises(RetryableError, match="cut off"):
        await client_call(liar.url)


async def test_a_batch_with_a_call_left_out(liar: MiddleMan) -> None:
    liar.raw = b'[{"id": 1, "result": "0x1"}]'
    client = RpcClient(liar.url)
    with pytest.raises(RetryableError, match="unanswered"):
        await client.batch([Call("eth_chainId"), Call("eth_blockNumber")])
    await client.close()


async def test_batch_keeps_its_order_whatever_the_endpoint_does(liar: MiddleMan) -> None:
    liar.raw = b'[{"id": 1, "result": "0xb"}, {"id": 0, "result": "0xa"}]'
    client = RpcClient(liar.url)
    assert await client.batch([Call("eth_chainId"), Call("eth_blockNumber")]) == ["0xa", "0xb"]
    await client.close()


async def test_one_failure_of_a_batch_can_be_seen_alone(liar: MiddleMan) -> None:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_blockNumber":
            raise RpcRefusal(-32000, "header not found")
        return result

    liar.tamper = tamper
    client = RpcClient(liar.url)
    calls = [Call("eth_chainId"), Call("eth_blockNumber")]
    first, second = await client.batch_each(calls)
    assert first == "0x7a69"
    assert isinstance(second, NotFoundError)
    with pytest.raises(NotFoundError):
        await client.batch(calls)
    await client.close()


async def test_an_address_with_a_key_in_it_is_not_shown() -> None:
    client = RpcClient("https://user:hidden@node.example:8545/v3/0123456789abcdef?token=hidden")
    assert str(client) == repr(client) == "https://node.example:8545"


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-32000, "already known", AlreadyKnownError),
        (-32003, "transaction already imported", AlreadyKnownError),
        (-32000, "nonce too low: next nonce 5, tx nonce 4", ConflictError),
        (-32000, "replacement transaction underpriced", ConflictError),
        (-32000, "header not found", NotFoundError),
        (-32000, "insufficient funds for gas * price + value", UnaffordableError),
        (-32000, "intrinsic gas too low", RevertedError),
        (-32000, "max fee per gas less than block base fee", RetryableError),
        (-32005, "limit exceeded", RetryableError),
        (-32603, "internal error", RetryableError),
        (-32601, "method not found", RejectedError),
        (-32602, "invalid params", RejectedError),
        (3, "execution reverted", RevertedError),
        (-32000, "execution reverted: too early", RevertedError),
    ],
)
def test_what_nodes_say_becomes_what_to_do(code: int, message: str, kind: type[CausewayError]) -> None:
    assert type(translate("eth_x", code, message)) is kind


def test_revert_data_in_words() -> None:
    def selector(signature: str) -> bytes:
        return keccak256(signature.encode())[:4]

    assert revert_reason(selector("LaneBusy(uint256)") + encode(["uint256"], [7])) == "LaneBusy(7)"
    assert revert_reason(selector("WrongTermsOrPreimage()")) == "WrongTermsOrPreimage()"
    assert revert_reason(selector("Error(string)") + encode(["string"], ["no"])) == "no"
    assert revert_reason(selector("Panic(uint256)") + encode(["uint256"], [0x11])) == "Panic(0x11)"
    assert revert_reason(b"\x01\x02\x03\x04") == "unknown error 0x01020304"
    assert revert_reason(b"") is None


@given(st.binary(max_size=200))
def test_no_revert_data_is_too_strange(data: bytes) -> None:
    for selector in (b"", keccak256(b"LaneBusy(uint256)")[:4], keccak256(b"Error(string)")[:4]):
        reason = revert_reason(selector + data)
        assert reason is None or isinstance(reason, str)


async def test_reads_fail_over_to_the_next_endpoint(evm: EvmHarness, liar: MiddleMan) -> None:
    liar.status = 503
    endpoints = Endpoints([Endpoint(liar.url), Endpoint(evm.anvil.rpc_url)])
    assert await endpoints.call("eth_chainId") == "0x7a69"
    liar.status = 200
    liar.methods.clear()
    assert await endpoints.call("eth_chainId") == "0x7a69"
    assert liar.methods == [], "the one that answered last is asked first"
    await endpoints.close()


async def test_all_endpoints_down() -> None:
    endpoints = Endpoints([Endpoint(f"http://127.0.0.1:{free_port()}"), Endpoint(f"http://127.0.0.1:{free_port()}")])
    with pytest.raises(RetryableError, match="cannot be reached"):
        await endpoints.call("eth_chainId")
    await endpoints.close()


async def test_a_broadcast_does_not_wait_for_a_node_that_hangs(evm: EvmHarness, liar: MiddleMan) -> None:
    liar.hanging.clear()
    endpoints = Endpoints([Endpoint(liar.url), Endpoint(evm.anvil.rpc_url)])

    async def tell(client: RpcClient) -> str:
        return await client.call("eth_chainId")

    answers = await endpoints.broadcast(tell, lambda answer: isinstance(answer, str))
    assert answers == ["0x7a69"]
    await endpoints.close()


async def test_two_endpoints_of_one_operator_are_one_voice() -> None:
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    same = Endpoints([Endpoint(url, operator="one") for url in urls])
    mixed = Endpoints([Endpoint(url, operator=name) for url, name in zip(urls, ["one", "one", "two"], strict=True)])
    alone = Endpoints([Endpoint(url) for url in urls])
    assert (same.quorum, mixed.quorum, alone.quorum) == (1, 2, 2)
    for endpoints in (same, mixed, alone):
        await endpoints.close()


async def test_middle_man_is_honest_until_set_otherwise(evm: EvmHarness) -> None:
    async with middle_man(evm.anvil.rpc_url) as endpoint:
        assert await client_call(endpoint.url) == "0x7a69"


@pytest.mark.parametrize(
    "message",
    [
        "query returned more than 10000 results",
        "eth_getLogs is limited to a 10,000 block range",
        "query exceeds max results 20000",
        "exceed maximum block range: 50000",
        "Log response size exceeded",
        "query timeout exceeded. Consider reducing your block range",
    ],
)
def test_too_long_range_is_distinguished_from_trouble(message: str) -> None:
    """A follower remembers a refused length, and only backs off from trouble."""
    assert type(translate("eth_getLogs", -32005, message)) is RejectedError
    assert type(translate("eth_call", -32005, message)) is RetryableError
    assert type(translate("eth_getLogs", -32005, "rate limit exceeded")) is RetryableError


async def test_calls_keep_to_the_providers_rate_transactions_do_not(liar: MiddleMan) -> None:
    client = RpcClient(liar.url, calls_per_s=10)
    loop = asyncio.get_running_loop()
    try:
        begun = loop.time()
        await client.batch([Call("eth_chainId")] * 10)
        await client.batch([Call("eth_chainId")] * 5)
        assert loop.time() - begun >= 0.5
        begun = loop.time()
        waiting = asyncio.ensure_future(client.batch([Call("eth_chainId")] * 50))
        with pytest.raises(CausewayError):
            await client.call("eth_sendRawTransaction", "0x00")
        assert not waiting.done()
        assert loop.time() - begun < 2
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await client.call("eth_chainId")
        assert loop.time() - begun < 3
    finally:
        await client.close()


async def test_calls_and_errors_are_counted_by_endpoint_and_method(evm: EvmHarness, liar: MiddleMan) -> None:
    metrics = Metrics()
    endpoint = f"{liar.url}v1/secret-key"
    client = RpcClient(endpoint, observed=RpcMetrics(metrics, CHAIN))
    labels = {"chain": CHAIN, "endpoint": liar.url[:-1]}
    liar.status = 503
    with pytest.raises(RetryableError):
        await client.call("eth_chainId")
    with pytest.raises(RetryableError):
        await client.batch([Call("eth_chainId"), Call("eth_blockNumber")])
    assert metrics.value("rpc_calls_total", method="eth_chainId", **labels) == 2
    assert metrics.value("rpc_errors_total", method="eth_chainId", error="unavailable", **labels) == 2
    assert metrics.value("rpc_errors_total", method="eth_blockNumber", error="unavailable", **labels) == 1
    assert b"secret-key" not in metrics.exposition()[0]
    await client.close()
    honest = RpcClient(evm.anvil.rpc_url, observed=RpcMetrics(metrics, CHAIN))
    refused = await honest.batch_each([Call("eth_chainId"), Call("eth_nothing")])
    labels["endpoint"] = evm.anvil.rpc_url
    assert metrics.value("rpc_calls_total", method="eth_nothing", **labels) == 1
    assert metrics.value("rpc_errors_total", method="eth_nothing", error=refused[1].code, **labels) == 1
    assert metrics.value("rpc_errors_total", method="eth_chainId", error="unavailable", **labels) is None
    await honest.close()
