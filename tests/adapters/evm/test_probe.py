"""At connect each endpoint is asked once what it offers: what is missing is said with what follows, or refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.evm.chain import EvmChain
from adapters.evm.endpoints import Endpoint
from adapters.evm.probe import BATCH_CALLS
from adapters.evm.rpc import RpcClient
from core.model.errors import RejectedError
from core.model.types import Height
from core.runtime.sockets import free_port
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal, Tamper
from tests.adapters.evm.harness import EvmHarness, settings_for
from tests.adapters.evm.provider import Limits, provider
from tests.adapters.evm.test_quorum import connect_through

ALL = {"eth_getBlockReceipts", "eth_maxPriorityFeePerGas", "eth_getProof"}


async def connected(evm: EvmHarness, *endpoints: Endpoint) -> EvmChain:
    return await EvmChain.connect(replace(settings_for(evm.anvil, evm.contracts), endpoints=endpoints))


def refusing(*methods: str, code: int = -32601, words: str = "the method does not exist/is not available") -> Tamper:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method in methods or (method == "eth_getBlockByNumber" and params[0] in methods):
            raise RpcRefusal(code, words)
        return result

    return tamper


async def test_complete_endpoint_has_nothing_to_report(evm: EvmHarness) -> None:
    await evm.advance(150)
    chain = await connected(evm, Endpoint(evm.anvil.rpc_url, ws_url=evm.anvil.ws_url))
    [report] = chain.reports
    assert (report.warnings, report.faults, report.answers) == ((), (), True)
    assert (report.state_blocks, report.finality_lag, report.keeps_finalized_state) == (128, 2, True)
    assert (report.offers_receipts, report.offers_tip, report.offers_proofs) == (True, True, True)
    assert (report.pushes_heads, report.base_fees, report.batch_calls) == (True, True, BATCH_CALLS)
    assert report.client.startswith("anvil")
    await chain.close()


async def test_what_is_missing_is_said_with_what_follows(evm: EvmHarness, liar: MiddleMan) -> None:
    await evm.advance(40)
    head = int(await evm.rpc("eth_blockNumber"), 16)

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method in ALL:
            raise RpcRefusal(-32601, "the method does not exist/is not available")
        if method == "eth_getBalance" and int(params[1], 16) < head - 10:
            raise RpcRefusal(-32000, "missing trie node 8f6a (path ) state 0x8f6a is not available")
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            return {**result, "number": hex(head - 20)}
        return result

    liar.tamper = tamper
    chain = await connected(evm, Endpoint(liar.url, ws_url=f"ws://127.0.0.1:{free_port()}"))
    [report] = chain.reports
    said = "; ".join(report.warnings)
    for part in ("no state of its finalized block, 20 below", "archive", "eth_getBlockReceipts", "tip", "it is polled"):
        assert part in said
    assert report.faults == ()
    assert (report.state_blocks, report.finality_lag) == (8, 20)
    assert (report.offers_receipts, report.offers_tip, report.offers_proofs) == (False, False, False)
    assert report.pushes_heads is False
    await chain.close()


async def test_endpoint_without_proofs_is_named_at_connect(evm: EvmHarness, liar: MiddleMan) -> None:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getProof":
            raise RpcRefusal(-32601, "the method eth_getProof does not exist/is not available")
        return result

    liar.tamper = tamper
    chain = await connected(evm, Endpoint(liar.url))
    assert [one for one in chain.reports[0].warnings if "eth_getProof" in one] == [
        "it offers no eth_getProof: it proves nothing; for proofs, name one that does"
    ]
    await chain.close()


@pytest.mark.parametrize(
    ("methods", "code", "words", "consequence"),
    [
        (("finalized",), -32602, "invalid argument 0: hex string without 0x prefix", "finalized"),
        (("finalized",), -32000, "words that nobody has said before", "finalized"),
        (("eth_getLogs",), -32601, "the method eth_getLogs does not exist/is not available", "eth_getLogs"),
        (("eth_getLogs",), -32600, "eth_getLogs is only available on the Growth plan", "eth_getLogs"),
    ],
)
async def test_what_cannot_work_is_refused_with_what_to_change(
    evm: EvmHarness, liar: MiddleMan, methods: tuple[str, ...], code: int, words: str, consequence: str
) -> None:
    liar.tamper = refusing(*methods, code=code, words=words)
    with pytest.raises(RejectedError, match=consequence) as refused:
        await connected(evm, Endpoint(liar.url))
    assert "use a client" in refused.value.message or "choose a plan" in refused.value.message
    chain = await connected(evm, Endpoint(liar.url), Endpoint(evm.anvil.rpc_url))
    assert [bool(report.faults) for report in chain.reports] == [True, False]
    await chain.close()


@pytest.mark.parametrize("words", ["finalized block not found", None])
async def test_chain_before_its_first_finalized_block_is_waited_for(
    evm: EvmHarness, liar: MiddleMan, words: str | None
) -> None:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            if words is None:
                return None
            raise RpcRefusal(-32000, words)
        return result

    liar.tamper = tamper
    chain = await connected(evm, Endpoint(liar.url))
    [report] = chain.reports
    assert report.faults == ()
    assert "names no finalized block yet" in report.warnings[0]
    await chain.close()


async def test_endpoint_that_is_down_is_reported_and_comes_later(evm: EvmHarness) -> None:
    down = f"http://127.0.0.1:{free_port()}/v3/secret"
    chain = await connected(evm, Endpoint(down), Endpoint(evm.anvil.rpc_url))
    first, second = chain.reports
    assert (first.answers, second.answers) == (False, True)
    assert "counts against the quorum" in first.warnings[0]
    assert "secret" not in repr(chain.reports)
    await chain.close()


@pytest.mark.parametrize("answer", [None, 5, "0x", [], {"number": "latest"}, "x" * 10_000])
async def test_endpoint_that_answers_nonsense_spoils_no_connect(
    evm: EvmHarness, liar: MiddleMan, answer: object
) -> None:
    liar.tamper = lambda method, params, result: answer
    chain = await connect_through(evm, [evm.anvil.rpc_url, liar.url])
    assert [bool(report.warnings) for report in chain.reports] == [False, True]
    assert len(json.dumps([report.warnings for report in chain.reports])) < 2_000
    await chain.close()


async def test_one_endpoint_cannot_hide_the_base_fees(evm: EvmHarness, liar: MiddleMan) -> None:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and result:
            return {key: value for key, value in result.items() if key != "baseFeePerGas"}
        return result

    liar.tamper = tamper
    chain = await connected(evm, Endpoint(liar.url), Endpoint(evm.anvil.rpc_url))
    assert chain.parameters.base_fees
    await chain.close()
    alone = await connected(evm, Endpoint(liar.url))
    assert not alone.parameters.base_fees
    await alone.close()


async def test_connected_chain_hands_its_reports_on(evm: EvmHarness) -> None:
    chain = await connect_through(evm, [evm.anvil.rpc_url])
    assert [report.url for report in chain.reports] == [evm.anvil.rpc_url]
    await chain.close()


async def test_endpoint_that_hangs_is_waited_for_once(
    evm: EvmHarness, liar: MiddleMan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RpcClient.__init__, "__defaults__", (0.5, None, None))
    liar.hanging.clear()
    chain = await connected(evm, Endpoint(liar.url), Endpoint(evm.anvil.rpc_url))
    assert [report.answers for report in chain.reports] == [False, True]
    assert liar.requests == 1
    await chain.close()


@pytest.mark.parametrize("style", ["object", "list", "each", "silent", "text"])
@pytest.mark.parametrize(("batch", "found"), [(100, 62), (10, 7), (1, 1)])
async def test_limit_of_a_batch_is_found_at_connect(evm: EvmHarness, style: str, batch: int, found: int) -> None:
    await evm.advance(8)
    limits = Limits(batch=batch, batch_style=style, status=400 if style == "text" else 200, words="never said before")
    async with provider(evm.anvil.rpc_url, limits) as one:
        chain = await connected(evm, Endpoint(one.url))
        [report] = chain.reports
        assert report.batch_calls == found
        said = f"{found} calls in a request" if found > 1 else "takes no batches"
        assert any(said in sentence for sentence in report.warnings)
        refused = one.refused
        await chain.blocks.blocks(Height(0), Height(6))
        assert one.refused <= refused + 1, "what was found is remembered: only the gap above it is searched"
        await chain.close()


async def test_batches_that_are_answered_in_part_are_halved(evm: EvmHarness) -> None:
    async with provider(evm.anvil.rpc_url, Limits(short=3)) as one:
        chain = await connected(evm, Endpoint(one.url))
        assert 1 < chain.reports[0].batch_calls <= 3
        await chain.close()


async def test_limited_endpoint_is_asked_little_at_connect(evm: EvmHarness) -> None:
    async with provider(evm.anvil.rpc_url, Limits()) as one:
        chain = await connected(evm, Endpoint(one.url, calls_per_s=20))
        assert chain.reports[0].batch_calls == 20
        assert one.methods.count("eth_chainId") < 25
        await chain.close()


async def test_endpoint_that_hangs_on_batches_can_be_used(evm: EvmHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RpcClient.__init__, "__defaults__", (0.5, None, None))
    async with provider(evm.anvil.rpc_url, Limits(batch=100, batch_style="hang")) as one:
        chain = await connected(evm, Endpoint(one.url))
        [report] = chain.reports
        assert (report.batch_calls, report.answers) == (0, True)
        assert "is found in use" in report.warnings[-1]
        assert chain.endpoints.clients[0].batches.known < BATCH_CALLS
        await chain.close()
