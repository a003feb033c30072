"""Payments of the native coin on a real node: of transactions, inside of calls, and none if something failed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.conformance.harness import lock
from adapters.evm.blocks import EvmBlockSource
from adapters.evm.calls import unsigned_call
from adapters.evm.chain import EvmChain
from adapters.evm.contracts.deployer import created_address
from adapters.evm.decode import FIRST_PAYMENT
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.names import account, native_asset
from adapters.evm.native import (
    MAX_DIRECT_RANGE,
    MAX_TRACED_RANGE,
    Payment,
    RawAction,
    RawResult,
    RawTrace,
    payments_of,
)
from adapters.evm.signing import LocalSigner
from core.model.errors import RejectedError, ReorgedError, RetryableError
from core.model.facts import Locked, NativeTransfers, Transferred
from core.model.types import AccountId, BaseUnits, Height
from core.proofs.lanes import evm_address
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal
from tests.adapters.evm.harness import CHAIN, EvmHarness, settings_for

PAID = 1_000_000_007
SHOP = bytes.fromhex("51" * 20)
NATIVE = native_asset(CHAIN)


def place(number: int) -> bytes:
    return bytes.fromhex(f"{number:02x}" * 20)


FORWARDER, REFUSER, REGRETTER, BORROWER, COPIER, DYING, MAKER, DEEP = map(place, range(0xC1, 0xC9))
FORWARD = "5f5f5f5f345f355af1"
"""CALL the first word of the call data, with all that was paid."""
CODES = {
    FORWARDER: FORWARD + "00",
    REFUSER: "5f5ffd",
    REGRETTER: FORWARD + "5f5ffd",
    # The call data is handed on to FORWARDER's code, by DELEGATECALL and by CALLCODE with the value.
    BORROWER: "365f5f375f5f365f73" + FORWARDER.hex() + "5af400",
    COPIER: "5f5f5f5f3473" + SHOP.hex() + "5af200",
    DYING: "73" + SHOP.hex() + "ff",
    MAKER: "5f5f34f000",
    # Calls itself until gas runs out.
    DEEP: "5f5f5f5f5f305af100",
}


async def pay(evm: EvmHarness, signer: LocalSigner, *calls: tuple[bytes | None, bytes]) -> Height:
    """One block with these calls (to whom, data), each paying `PAID`. Return its height."""
    sent = [unsigned_call(signer.account, to, data, gas=2_000_000, value=PAID, summary="pay") for to, data in calls]
    await evm.send(signer, *sent)
    return (await evm.access.heads.head()).head.height


def word(address: bytes) -> bytes:
    return address.rjust(32, b"\0")


@dataclass
class Town:
    """Contracts that move what they are paid, and somebody who pays."""

    evm: EvmHarness
    payer: LocalSigner

    def moves(self, *pairs: tuple[bytes | AccountId, bytes | AccountId]) -> list[Transferred]:
        named = [[one if isinstance(one, str) else account(CHAIN, one) for one in pair] for pair in pairs]
        return [Transferred(NATIVE, sender, receiver, BaseUnits(PAID)) for sender, receiver in named]


@pytest.fixture
async def town(evm: EvmHarness) -> Town:
    for address, code in CODES.items():
        await evm.rpc("anvil_setCode", f"0x{address.hex()}", f"0x{code}")
    return Town(evm, await evm.account())


@asynccontextmanager
async def source(evm: EvmHarness, native: NativeTransfers, url: str = "") -> AsyncIterator[EvmBlockSource]:
    pool = Endpoints([Endpoint(url or evm.anvil.rpc_url)])
    tokens = [evm_address(token) for token in evm.contracts.tokens]
    yield EvmBlockSource(CHAIN, pool, evm_address(evm.contracts.htlc), tokens, native=native)
    await pool.close()


async def told(evm: EvmHarness, native: NativeTransfers, height: Height, url: str = "") -> list[Transferred]:
    async with source(evm, native, url) as blocks:
        [block] = await blocks.blocks(height, height)
    assert [one.index for one in block.events] == [FIRST_PAYMENT + place for place in range(len(block.events))]
    return [one.event for one in block.events if isinstance(one.event, Transferred)]


async def test_what_transactions_pay_themselves(town: Town) -> None:
    """A payment, one that fails, a creation, a call with nothing to pay; in the order of the block."""
    evm, payer = town.evm, town.payer
    nonce = (await evm.access.transactions.sequences(payer.account)).latest
    height = await pay(evm, payer, (SHOP, b""), (REFUSER, b""), (None, bytes.fromhex("5f5ff3")), (FORWARDER, b""))
    made = created_address(payer.account, nonce + 2)
    expected = town.moves((payer.account, SHOP), (payer.account, made), (payer.account, FORWARDER))
    assert await told(evm, NativeTransfers.DIRECT, height) == expected
    assert await told(evm, NativeTransfers.NONE, height) == []
    await evm.send(payer, unsigned_call(payer.account, SHOP, b"", gas=100_000, summary="nothing"))
    assert await told(evm, NativeTransfers.DIRECT, Height(height + 1)) == []
    assert await told(evm, NativeTransfers.TRACED, Height(height + 1)) == []


async def test_what_is_paid_inside_of_calls(town: Town) -> None:
    evm, me = town.evm, town.payer.account
    identity = (4).to_bytes(20, "big")
    height = await pay(
        evm,
        town.payer,
        (FORWARDER, word(SHOP)),
        (FORWARDER, word(REFUSER)),
        (FORWARDER, word(REGRETTER)),
        (REGRETTER, word(SHOP)),
        (BORROWER, word(SHOP)),
        (COPIER, b""),
        (DYING, b""),
        (FORWARDER, word(identity)),
        (DEEP, b""),
    )
    assert await told(evm, NativeTransfers.TRACED, height) == town.moves(
        (me, FORWARDER),
        (FORWARDER, SHOP),
        # Inside, the refuser sends it back by failing; the transaction goes well.
        (me, FORWARDER),
        (me, FORWARDER),
        # The fourth fails as a whole.
        (me, BORROWER),
        (BORROWER, SHOP),
        (me, COPIER),
        (me, DYING),
        (DYING, SHOP),
        (me, FORWARDER),
        (FORWARDER, identity),
        (me, DEEP),
    )
    outer = await told(evm, NativeTransfers.DIRECT, height)
    assert [one.sender for one in outer] == [me] * 8


async def test_contracts_made_by_contracts_are_paid(town: Town) -> None:
    height = await pay(town.evm, town.payer, (MAKER, b""))
    outer, inner = await told(town.evm, NativeTransfers.TRACED, height)
    assert [outer] == town.moves((town.payer.account, MAKER))
    assert (inner.sender, inner.amount) == (account(CHAIN, MAKER), PAID)
    assert inner.receiver is not None
    held = await town.evm.rpc("eth_getBalance", inner.receiver.rpartition(":")[2], "latest")
    assert int(held, 16) == PAID


@pytest.mark.parametrize("tracer", ["flatCallTracer", "callTracer"])
async def test_all_ways_to_trace_show_the_same(town: Town, liar: MiddleMan, tracer: str) -> None:
    """Nodes have one of them; the next is asked if one is unknown, and what is offered is asked alone from then on.

    anvil has no flatCallTracer: its trace_block, which has the same traces, is put into the other method's answer.
    """
    calls = [(FORWARDER, word(SHOP)), (REGRETTER, word(SHOP)), (BORROWER, word(SHOP)), (DYING, b""), (MAKER, b"")]
    others = [(COPIER, b""), (FORWARDER, word(REGRETTER)), (None, bytes.fromhex("5f5ff3"))]
    height = await pay(town.evm, town.payer, *calls, *others)
    block = await town.evm.rpc("eth_getBlockByNumber", hex(height), False)
    flat = await town.evm.rpc("trace_block", hex(height))

    def poor(method: str, params: Any, result: Any) -> Any:
        if method == "trace_block":
            raise RpcRefusal(-32601, "the method trace_block does not exist/is not available")
        if method == "debug_traceBlockByHash" and params[1]["tracer"] != tracer:
            raise RpcRefusal(-32000, "ReferenceError: flatCallTracer is not defined at <eval>:1:2(0)")
        if method == "debug_traceBlockByHash" and tracer == "flatCallTracer":
            return [
                {"txHash": sent, "result": [one for one in flat if one["transactionHash"] == sent]}
                for sent in block["transactions"]
            ]
        return result

    expected = await told(town.evm, NativeTransfers.TRACED, height)
    assert len(expected) == 11
    liar.tamper = poor
    async with source(town.evm, NativeTransfers.TRACED, liar.url) as blocks:
        for _ in range(2):
            [traced] = await blocks.blocks(height, height)
            assert [one.event for one in traced.events] == expected
    asked = [method for method in liar.methods if "race" in method]
    assert asked == ["trace_block"] + ["debug_traceBlockByHash"] * (2 if tracer == "flatCallTracer" else 3)


async def test_a_tracer_that_a_node_passes_over_is_not_taken_for_one(town: Town, liar: MiddleMan) -> None:
    """anvil answers the flatCallTracer with empty objects."""
    height = await pay(town.evm, town.payer, (FORWARDER, word(SHOP)))

    def no_trace_block(method: str, params: Any, result: Any) -> Any:
        if method == "trace_block":
            raise RpcRefusal(-32601, "the method trace_block does not exist/is not available")
        return result

    liar.tamper = no_trace_block
    expected = town.moves((town.payer.account, FORWARDER), (FORWARDER, SHOP))
    assert await told(town.evm, NativeTransfers.TRACED, height, liar.url) == expected


@pytest.mark.parametrize("native", [NativeTransfers.DIRECT, NativeTransfers.TRACED])
async def test_payments_stand_behind_the_logs_of_their_block(evm: EvmHarness, native: NativeTransfers) -> None:
    """A lock of the native coin is a payment, too."""
    leg = await lock(evm)
    height = (await evm.access.heads.head()).head.height
    async with source(evm, native) as blocks:
        [block] = [one for one in await blocks.blocks(Height(height - 5), height) if one.events and _locks(one)]
    locked, paid = block.events
    assert isinstance(locked.event, Locked)
    assert (locked.index, paid.index) == (0, FIRST_PAYMENT)
    assert paid.tx_hash == locked.tx_hash
    assert paid.event == Transferred(NATIVE, leg.sender.account, evm.contracts.htlc, leg.terms.amount)


def _locks(block: Any) -> bool:
    return any(isinstance(one.event, Locked) for one in block.events)


async def test_nothing_more_is_asked_where_payments_are_not_wanted(town: Town, liar: MiddleMan) -> None:
    """Neither receipts nor traces, nor the transactions of blocks."""
    height = await pay(town.evm, town.payer, (SHOP, b""))
    asked: set[str] = set()

    def note(method: str, params: Any, result: Any) -> Any:
        asked.add(f"{method} {params[1]}" if method == "eth_getBlockByNumber" else method)
        return result

    liar.tamper = note
    async with source(town.evm, NativeTransfers.NONE, liar.url) as blocks:
        await blocks.blocks(Height(height - 2), height)
    assert asked - {"eth_blockNumber"} == {"eth_getBlockByNumber False", "eth_getLogs"}


async def test_ranges_are_shorter_with_payments(evm: EvmHarness) -> None:
    for native, limit in ((NativeTransfers.DIRECT, MAX_DIRECT_RANGE), (NativeTransfers.TRACED, MAX_TRACED_RANGE)):
        await evm.advance(limit)
        async with source(evm, native) as blocks:
            assert len(await blocks.blocks(Height(0), Height(limit - 1))) == limit
            with pytest.raises(RejectedError):
                await blocks.blocks(Height(0), Height(limit))


async def test_endpoint_without_payments_is_refused_at_start(evm: EvmHarness, liar: MiddleMan) -> None:
    def poor(method: str, params: Any, result: Any) -> Any:
        if method in ("eth_getBlockReceipts", "trace_block", "debug_traceBlockByHash"):
            raise RpcRefusal(-32601, "the method does not exist")
        return result

    await evm.account()
    honest = settings_for(evm.anvil, evm.contracts)
    both = replace(honest, endpoints=(*honest.endpoints, Endpoint(liar.url, "other")))
    for native, sentence in (
        (NativeTransfers.DIRECT, "eth_getBlockReceipts"),
        (NativeTransfers.TRACED, "native_transfers = true"),
    ):
        liar.tamper = poor
        # The newest block has to have a transaction to be traced.
        await evm.send(evm.bank, unsigned_call(evm.bank.account, SHOP, b"", gas=30_000, value=1, summary="pay"))
        with pytest.raises(RejectedError, match=f"endpoint {liar.url[:-1]}.*{sentence}"):
            await EvmChain.connect(replace(both, native=native))
        liar.tamper = None
        chain = await EvmChain.connect(replace(both, native=native))
        await chain.close()


@pytest.mark.parametrize("native", [NativeTransfers.DIRECT, NativeTransfers.TRACED])
async def test_what_an_endpoint_leaves_out_is_noticed(town: Town, liar: MiddleMan, native: NativeTransfers) -> None:
    height = await pay(town.evm, town.payer, (SHOP, b""), (FORWARDER, word(SHOP)))
    methods = ("eth_getBlockReceipts", "trace_block")
    for change, error in (
        (lambda method, params, result: result[1:] if method in methods else result, RetryableError),
        (lambda method, params, result: None if method in methods else result, ReorgedError),
    ):
        liar.tamper = change
        async with source(town.evm, native, liar.url) as blocks:
            with pytest.raises(error):
                await blocks.blocks(height, height)


async def test_traces_of_another_branch_are_a_reorg(town: Town, liar: MiddleMan) -> None:
    height = await pay(town.evm, town.payer, (SHOP, b""))
    liar.tamper = lambda method, params, result: (
        [{**one, "blockHash": "0x" + "11" * 32} for one in result] if method == "trace_block" else result
    )
    async with source(town.evm, NativeTransfers.TRACED, liar.url) as blocks:
        with pytest.raises(ReorgedError):
            await blocks.blocks(height, height)


async def test_receipts_that_do_not_say_what_failed_are_refused(town: Town, liar: MiddleMan) -> None:
    height = await pay(town.evm, town.payer, (SHOP, b""))
    liar.tamper = lambda method, params, result: (
        [{**one, "status": None} for one in result] if method == "eth_getBlockReceipts" else result
    )
    async with source(town.evm, NativeTransfers.DIRECT, liar.url) as blocks:
        with pytest.raises(RejectedError, match="traced"):
            await blocks.blocks(height, height)


@pytest.mark.parametrize("native", [NativeTransfers.DIRECT, NativeTransfers.TRACED])
@pytest.mark.parametrize("value", ["0x" + "f" * 65, "-0x1", "much"])
async def test_amounts_that_cannot_be_are_the_endpoints_fault(
    town: Town, liar: MiddleMan, native: NativeTransfers, value: str
) -> None:
    height = await pay(town.evm, town.payer, (SHOP, b""))

    def rich(method: str, params: Any, result: Any) -> Any:
        if method == "trace_block":
            return [{**one, "action": {**one["action"], "value": value}} for one in result]
        if method == "eth_getBlockByNumber" and params[1]:
            return {**result, "transactions": [{**one, "value": value} for one in result["transactions"]]}
        return result

    liar.tamper = rich
    async with source(town.evm, native, liar.url) as blocks:
        with pytest.raises(RetryableError):
            await blocks.blocks(height, height)


@dataclass
class Node:
    """A call as it happened, with what it called."""

    failed: bool
    borrowed: bool
    value: int
    inner: list["Node"] = field(default_factory=list)


nodes = st.recursive(
    st.builds(Node, st.booleans(), st.booleans(), st.integers(0, 3)),
    lambda deeper: st.builds(Node, st.booleans(), st.booleans(), st.integers(0, 3), st.lists(deeper, max_size=3)),
    max_leaves=12,
)


def happened(node: Node, name: str = "0x") -> list[Payment]:
    """Return what moved, by following the calls."""
    if node.failed:
        return []
    own = [Payment("tx", "a", name, node.value)] if node.value and not node.borrowed else []
    return own + [paid for place, one in enumerate(node.inner) for paid in happened(one, f"{name}{place}.")]


def traces(node: Node, name: str = "0x", where: tuple[int, ...] = ()) -> list[RawTrace]:
    kind = "delegatecall" if node.borrowed else "call"
    action = RawAction(sender="a", to=name, value=hex(node.value), call_type=kind)
    own = RawTrace("call", action, list(where), error="Reverted" if node.failed else None, result=RawResult())
    inner = [t for place, one in enumerate(node.inner) for t in traces(one, f"{name}{place}.", (*where, place))]
    return [own, *inner]


@given(nodes, st.randoms(use_true_random=False))
def test_whatever_is_inside_of_what_failed_moves_nothing(node: Node, random: Any) -> None:
    """Parts of a failed call look as if they had gone well, and nodes may list them in any order."""
    flat = traces(node)
    random.shuffle(flat)
    assert list(payments_of("tx", flat)) == happened(node)
