"""Whatever an endpoint answers, every port of the chain returns or raises one of our errors, and one bad endpoint of
three stops nothing."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.conformance.harness import Leg, claim, finalized, lock, refund, send, signed
from adapters.evm.chain import EvmChain
from adapters.evm.contracts.deployer import pay_native
from adapters.evm.endpoints import Endpoint
from adapters.learnt import LearntLimit
from adapters.rates import Pace
from adapters.registry import ConnectedChain
from core.model.errors import CausewayError
from core.model.questions import BalanceQuestion, LockQuestion
from core.model.transactions import FeeBid, SignedTransaction, UnsignedTransaction
from core.model.types import BaseUnits, Height
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal, middle_man
from tests.adapters.evm.harness import EvmHarness, evm_harness, settings_for
from tests.adapters.evm.test_quorum import connect_through

T = TypeVar("T")

DEEP: Any = 1
for _ in range(300):
    DEEP = [DEEP]

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    1e300,
    "",
    "0x",
    "0X1",
    "0x0",
    "-0x1",
    "0x-1",
    " 0x1",
    "0x_1",
    "1",
    "latest",
    "null",
    "\x00",
    "\u0661\u0662",
    "0xzz",
    "0x" + "f" * 16,
    "0x" + "f" * 65,
    "0x" + "ff" * 33,
    "0x" + "00" * 100_000,
    "0x123",
    [],
    {},
    [[]],
    [None],
    {"": None},
    DEEP,
]

JSON = st.recursive(
    st.sampled_from(ODD) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@dataclass
class Stage:
    """A chain behind an endpoint that answers what a test says, and one behind three of which it is one."""

    evm: EvmHarness
    liar: MiddleMan
    chain: EvmChain
    joined: ConnectedChain
    leg: Leg
    included: bytes
    reverted: bytes
    batched: bytes
    pending: SignedTransaction
    head: Height
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 60) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)


async def prepared(stack: AsyncExitStack, loop: asyncio.AbstractEventLoop) -> Stage:
    evm = await stack.enter_async_context(evm_harness())
    liar = await stack.enter_async_context(middle_man(evm.anvil.rpc_url))
    leg = await lock(evm, evm.assets[1])
    sent = await send(evm, leg.receiver, claim(evm, leg, leg.receiver))
    again = await signed(evm, leg.receiver, refund(evm, leg, leg.receiver))
    await evm.access.transactions.submit(again)
    await evm.advance()
    batch = evm.access.batches
    assert batch is not None
    parts = batch.batch([refund(evm, leg, leg.receiver)])
    together = await signed(evm, leg.receiver, parts)
    await evm.access.transactions.submit(together)
    await evm.advance()
    open_leg = await lock(evm)
    pending = await signed(evm, open_leg.receiver, claim(evm, open_leg, open_leg.receiver))
    head = (await evm.access.heads.head()).head.height
    await finalized(evm, head)
    await evm.advance(20)
    chain = await EvmChain.connect(settings_with(evm, Endpoint(liar.url)))
    stack.push_async_callback(chain.close)
    joined = await connect_through(evm, [liar.url, evm.anvil.rpc_url, evm.anvil.rpc_url + "/"])
    stack.push_async_callback(joined.close)
    return Stage(
        evm, liar, chain, joined, open_leg, sent.hash, again.hash, together.hash, pending, Height(head + 20), loop
    )


def settings_with(evm: EvmHarness, *endpoints: Endpoint) -> Any:
    return replace(settings_for(evm.anvil, evm.contracts), endpoints=endpoints)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """On an event loop of its own: Hypothesis runs its examples in one call."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()
    try:
        yield asyncio.run_coroutine_threadsafe(prepared(stack, loop), loop).result(120)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


Port = Callable[[Stage, EvmChain], Awaitable[object]]

PORTS: dict[str, Port] = {
    "head": lambda s, c: c.heads.head(),
    "final block": lambda s, c: c.heads.final_block(Height(s.head - 10)),
    "header by height": lambda s, c: c.blocks.header(s.head),
    "header by hash": lambda s, c: c.blocks.header(b"\1" * 32),
    "blocks": lambda s, c: c.blocks.blocks(Height(s.head - 24), Height(s.head - 18)),
    "many blocks": lambda s, c: c.blocks.blocks(Height(s.head - 30), s.head),
    "balance": lambda s, c: c.state.balance(s.leg.sender.account, s.evm.assets[0]),
    "token balance": lambda s, c: c.state.balance(s.leg.sender.account, s.evm.assets[1], s.head),
    "lock": lambda s, c: c.locks.lock(s.leg.lock_id, s.leg.terms),
    "payout": lambda s, c: c.locks.check_payout(s.leg.terms),
    "lock id": lambda s, c: c.legs.lock_id(s.leg.terms),
    "prepare": lambda s, c: c.legs.prepare(token_terms(s)),
    "sequences": lambda s, c: c.transactions.sequences(s.leg.sender.account),
    "fee market": lambda s, c: c.transactions.fee_market(),
    "simulate": lambda s, c: c.transactions.simulate(refund(s.evm, s.leg, s.leg.sender), FeeBid(10**10, 10**9)),
    "fitted": lambda s, c: c.transactions.fitted(refund(s.evm, s.leg, s.leg.sender), 1),
    "submit": lambda s, c: c.transactions.submit(s.pending),
    "outcome included": lambda s, c: c.transactions.outcome(s.included),
    "outcome reverted": lambda s, c: c.transactions.outcome(s.reverted),
    "outcome of a batch": lambda s, c: c.transactions.outcome(s.batched),
    "outcome unknown": lambda s, c: c.transactions.outcome(b"\2" * 32),
    "created": lambda s, c: c.transactions.created_contract(s.included),
    "consent": lambda s, c: c.consents.lock(token_terms(s), s.leg.lock_id, s.leg.terms.timelock),
    "balance proof": lambda s, c: c.proofs.state_proof(
        BalanceQuestion(s.leg.terms.chain, s.leg.sender.account, s.evm.assets[0])
    ),
    "lock proof": lambda s, c: c.proofs.state_proof(
        LockQuestion(s.leg.terms.chain, s.leg.lock_id, s.leg.terms, s.evm.contracts.htlc)
    ),
    "connect": lambda s, c: connect(s),
}


def token_terms(stage: Stage) -> Any:
    return replace(stage.leg.terms, asset=stage.evm.assets[1], amount=BaseUnits(7))


async def connect(stage: Stage) -> None:
    chain = await EvmChain.connect(settings_with(stage.evm, Endpoint(stage.liar.url)))
    await chain.close()


def changed(value: Any, path: list[int], new: Any) -> Any:
    """The answer with something else at a place in it; places are picked by number."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    value = deepcopy(value)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    if new is DROP and len(path) == 1:
        del value[key]
    else:
        value[key] = changed(value[key], path[1:], None if new is DROP else new)
    return value


DROP = object()


async def asked(stage: Stage, port: Port) -> list[str]:
    """The methods that it calls when all is well."""
    stage.liar.tamper = None
    stage.liar.methods.clear()
    with suppress(CausewayError):
        await port(stage, stage.chain)
    return sorted(set(stage.liar.methods))


async def answered(stage: Stage, port: Port) -> Any:
    """Return what the port gives, or our error that it raises. Any other error fails the test, and so do 20 s."""
    for client in stage.chain.endpoints.clients:
        # What was learnt of the last example's endpoint is not this one's.
        client._pace, client.batches, client.ranges = Pace(), LearntLimit(1_000), LearntLimit(1_000)
    try:
        async with asyncio.timeout(20):
            return await port(stage, stage.chain)
    except CausewayError as error:
        return error


def unsaid(answer: Any) -> bool:
    """Return true for an error without a sentence."""
    return isinstance(answer, CausewayError) and not answer.message


@pytest.mark.parametrize("name", PORTS)
def test_only_our_errors_come_out(stage: Stage, name: str) -> None:
    port = PORTS[name]
    methods = stage.run(asked(stage, port))
    assert methods

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        method=st.sampled_from(methods),
        path=st.lists(st.integers(0, 30), max_size=4),
        new=st.sampled_from([*ODD, DROP]) | JSON,
    )
    def every_answer(method: str, path: list[int], new: Any) -> None:
        place = path if new is not DROP or path else [0]
        stage.liar.tamper = lambda m, p, result: changed(result, place, new) if m == method else result
        assert not unsaid(stage.run(answered(stage, port)))

    every_answer()


@pytest.mark.parametrize("name", PORTS)
def test_only_our_errors_come_out_of_odd_refusals(stage: Stage, name: str) -> None:
    port = PORTS[name]
    methods = stage.run(asked(stage, port))
    assert methods

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        method=st.sampled_from(methods),
        code=st.sampled_from([3, 0, -32000, -32601, -32602, -32603, -32015, 10**30]),
        words=st.sampled_from(["", "words", "execution reverted", "header not found", "nonce too low", "\x00"]),
    )
    def every_refusal(method: str, code: int, words: str) -> None:
        def tamper(m: str, p: list[Any], result: Any) -> Any:
            if m == method:
                raise RpcRefusal(code, words)
            return result

        stage.liar.tamper = tamper
        assert not unsaid(stage.run(answered(stage, port)))

    every_refusal()


BODIES = [b"[" * 100_000, b'{"id":0,"result":' * 5_000, b"\xff" * 10, b"1" * 10_000, b'[{"id":0}]', b"{}", b"null"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(max_size=200) | st.sampled_from(BODIES))
def test_only_our_errors_come_out_of_any_bytes(stage: Stage, raw: bytes) -> None:
    stage.liar.tamper = None
    stage.liar.raw = raw
    try:
        for name in ("head", "blocks", "submit", "sequences"):
            assert isinstance(stage.run(answered(stage, PORTS[name])), CausewayError), name
        outcome = stage.run(answered(stage, PORTS["outcome included"]))
        assert isinstance(outcome, CausewayError) or outcome.block is None, "nonsense includes no transaction"
    finally:
        stage.liar.raw = None


ENTRY = st.fixed_dictionaries({}, optional={"id": JSON, "result": JSON, "error": JSON})


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(entries=st.lists(JSON | ENTRY, max_size=4))
def test_only_our_errors_come_out_of_any_batch(stage: Stage, entries: list[Any]) -> None:
    stage.liar.tamper = None
    stage.liar.raw = json.dumps(entries).encode()
    try:
        for name in ("head", "blocks"):
            assert isinstance(stage.run(answered(stage, PORTS[name])), CausewayError), name
        outcome = stage.run(answered(stage, PORTS["outcome included"]))
        assert isinstance(outcome, CausewayError) or outcome.block is None, "nonsense includes no transaction"
    finally:
        stage.liar.raw = None


def payment(stage: Stage) -> UnsignedTransaction:
    return pay_native(stage.evm.bank.account, stage.leg.sender.account, BaseUnits(1))


GROUNDS: dict[str, Callable[[Stage, Any], Awaitable[object]]] = {
    "head": lambda s, a: a.heads.head(),
    "blocks": lambda s, a: a.blocks.blocks(Height(s.head - 10), s.head),
    "balance": lambda s, a: a.state.balance(s.leg.sender.account, s.evm.assets[0]),
    "lock": lambda s, a: a.locks.lock(s.leg.lock_id, s.leg.terms),
    "lock id": lambda s, a: a.legs.lock_id(s.leg.terms),
    "sequences": lambda s, a: a.transactions.sequences(s.leg.sender.account),
    "fee market": lambda s, a: a.transactions.fee_market(),
    "simulate": lambda s, a: a.transactions.simulate(
        pay_native(s.evm.bank.account, s.leg.sender.account, BaseUnits(1))
    ),
    "outcome": lambda s, a: a.transactions.outcome(s.included),
}


@pytest.mark.parametrize("name", GROUNDS)
def test_one_of_three_that_answers_nonsense_stops_nothing(stage: Stage, name: str) -> None:
    """Its shape is wrong, or it refuses everything: the other two are enough."""
    ask = GROUNDS[name]

    async def answer() -> object:
        async with asyncio.timeout(30):
            return await ask(stage, stage.joined.access)

    stage.liar.tamper = None
    honest = stage.run(answer())
    for new in [None, 5, "0x", "latest", [], {}, DEEP]:
        stage.liar.tamper = lambda m, p, result, new=new: new
        assert stage.run(answer()) == honest
    for code in (-32000, -32601, -32602, -32603):

        def refuse(m: str, p: list[Any], result: Any, code: int = code) -> Any:
            raise RpcRefusal(code, "words that nobody has said before")

        stage.liar.tamper = refuse
        assert stage.run(answer()) == honest
    stage.liar.tamper = None
