"""Any part of any answer of a node may be anything: only our errors come out, and none of them ends a process."""

import asyncio
import base64
import copy
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.conformance.harness import Leg, lock
from adapters.consortium import ConsortiumChain, transfer, write_record
from adapters.consortium.chain import chain_over, read_parameters
from adapters.consortium.members import read_members
from adapters.consortium.probe import probe
from adapters.consortium.rpc import CometRpc
from adapters.consortium.transport import Reply
from core.model.errors import CausewayError, FatalError
from core.model.questions import RecordQuestion
from core.model.types import BaseUnits, ChainId, Height
from tests.adapters.consortium.harness import CHAIN, CNYD, SYMBOLS, ConsortiumHarness, running

PATIENCE_S = 5.0
FOREIGN = ChainId("eip155:1")
DEEP = "deep"
"""Stands for more levels than a parser takes."""

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["", "0x", "latest", "-1", "+2", "1_0", "٣", "1e3", "null", "A" * 100_000, "\ud800", DEEP]),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 10**400, 1.5, float("inf"), float("nan")]),
    st.sampled_from([[], {}, [[]], [{}], {"": None}, [None] * 1_000]),
    st.binary(max_size=64).map(lambda raw: base64.b64encode(raw).decode()),
    st.binary(max_size=40).map(bytes.hex),
    st.lists(st.one_of(st.integers(), st.text(max_size=8), st.binary(max_size=8), st.none()), max_size=9).map(
        lambda items: base64.b64encode(msgspec.msgpack.encode(items)).decode() if _is_packable(items) else "?"
    ),
)


def _is_packable(items: list[Any]) -> bool:
    try:
        msgspec.msgpack.encode(items)
    except (OverflowError, UnicodeEncodeError):
        return False
    return True


@dataclass
class Lie:
    """In answers to `method`, what the path of `steps` leads to is replaced by `value`, left out, or doubled."""

    method: str = ""
    steps: tuple[int, ...] = ()
    how: str = "replace"
    value: Any = None

    def told(self, envelope: dict[str, Any]) -> dict[str, Any]:
        changed = copy.deepcopy(envelope)
        holder: Any = changed
        key: Any = "result" if "result" in envelope else "error"
        for step in self.steps:
            inner = holder[key]
            if isinstance(inner, dict) and inner:
                holder, key = inner, sorted(inner)[step % len(inner)]
            elif isinstance(inner, list) and inner:
                holder, key = inner, step % len(inner)
            else:
                break
        if self.how == "leave out":
            del holder[key]
        elif self.how == "double" and isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[key] = self.value
        return changed


class LyingRpc(CometRpc):
    """A real endpoint whose answers come changed."""

    lie = Lie()

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout_s=PATIENCE_S)
        self.asked: set[str] = set()

    def _result(self, method: str, request_id: int, reply: Reply) -> Any:
        self.asked.add(method)
        if method == self.lie.method:
            told = json.dumps(self.lie.told(json.loads(reply.body)))
            reply = replace(reply, body=told.replace(f'"{DEEP}"', "[" * 20_000).encode())
        return super()._result(method, request_id, reply)


@dataclass
class World:
    runner: asyncio.Runner
    harness: ConsortiumHarness
    rpc: LyingRpc
    chain: ConsortiumChain
    leg: Leg
    sent: Any
    askers: dict[str, list[int]] = field(default_factory=dict)
    """The places of those `calls` that ask for a method."""

    def calls(self) -> list[Callable[[], Coroutine[Any, Any, Any]]]:
        """Every method of every port that asks the node anything."""
        access, leg, rpc = self.chain.access, self.leg, self.rpc
        sender = leg.sender.account
        pay, records = transfer(sender, sender, CNYD, BaseUnits(1)), access.records
        assert records is not None
        return [
            lambda: read_parameters(rpc, CHAIN, SYMBOLS),
            lambda: probe(rpc, CHAIN),
            lambda: read_members(rpc),
            access.heads.head,
            lambda: access.heads.final_block(Height(2)),
            self.first_head,
            lambda: access.blocks.header(Height(2)),
            lambda: access.blocks.header(self.harness.node.engine.tip.block_id.hash),
            lambda: access.blocks.blocks(Height(1), Height(4)),
            lambda: access.state.balance(sender, CNYD),
            lambda: records.record("notes", "one"),
            lambda: access.locks.lock(leg.lock_id, leg.terms),
            lambda: access.locks.check_payout(leg.terms),
            lambda: access.legs.lock_id(leg.terms),
            lambda: access.legs.prepare(leg.terms),
            lambda: access.transactions.sequences(sender),
            lambda: access.transactions.simulate(pay),
            lambda: access.transactions.simulate(access.legs.lock(leg.terms, leg.lock_id)),
            lambda: access.transactions.simulate(access.legs.refund(leg.terms, leg.lock_id, sender)),
            lambda: access.transactions.simulate(write_record(sender, "notes", "one", b"1")),
            lambda: access.transactions.cancellation(sender),
            lambda: access.transactions.submit(self.sent),
            lambda: access.transactions.outcome(self.sent.hash),
            lambda: access.transactions.outcome(bytes(32)),
            lambda: self.chain.bridge.attested(FOREIGN),
            lambda: self.chain.prover.prove(RecordQuestion(CHAIN, "notes", "one")),
            lambda: self.chain.prover.anchor(),
            lambda: self.chain.prover.attested_height(FOREIGN, Height(2)),
        ]

    async def first_head(self) -> None:
        stream = self.chain.access.heads.heads()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(stream)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("malformed") / "chain"
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> World:
            harness = await stack.enter_async_context(running(home))
            leg = await lock(harness)
            sender = leg.sender
            await harness.send(sender, write_record(sender.account, "notes", "one", b"{}"))
            sent = await harness.send(sender, transfer(sender.account, sender.account, CNYD, BaseUnits(1)))
            rpc = LyingRpc(harness.node.rpc_url)
            parameters = await read_parameters(rpc, CHAIN, SYMBOLS)
            chain = chain_over(rpc, parameters, poll_s=0.01)
            made = World(runner, harness, rpc, chain, leg, sent)
            for place, call in enumerate(made.calls()):
                rpc.asked.clear()
                with suppress(CausewayError):
                    await call()
                for method in rpc.asked:
                    made.askers.setdefault(method, []).append(place)
            return made

        try:
            made = runner.run(start())
            yield made
            runner.run(made.rpc.close())
        finally:
            runner.run(stack.aclose())


METHODS = (
    "abci_query",
    "block",
    "block_by_hash",
    "block_results",
    "broadcast_tx_sync",
    "commit",
    "status",
    "tx",
    "tx_search",
    "unconfirmed_txs",
    "validators",
)


def test_the_calls_ask_for_every_method(world: World) -> None:
    assert set(world.askers) == set(METHODS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lie=st.builds(
        Lie,
        st.sampled_from(METHODS),
        st.lists(st.integers(0, 40), max_size=10).map(tuple),
        st.sampled_from(["replace", "replace", "replace", "leave out", "double"]),
        JUNK,
    )
)
def test_whatever_an_answer_holds_only_our_errors_come_out(world: World, lie: Lie) -> None:
    LyingRpc.lie = lie

    async def all_calls() -> None:
        for call in [world.calls()[place] for place in world.askers[lie.method]]:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await call()
            except CausewayError as error:
                ours.append(error)

    ours: list[CausewayError] = []
    world.runner.run(all_calls())
    assert not [error for error in ours if isinstance(error, FatalError)], "one answer ends no process"
