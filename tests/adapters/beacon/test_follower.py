"""Following sync committees over a beacon node's HTTP API: right data proves itself, and nothing else is handed out."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.beacon import BeaconApi, Follower
from adapters.beacon.client import MAX_ANSWER_BYTES
from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.types import Seconds
from core.proofs import ethereum
from core.proofs.beacon.chain import MAX_UPDATES, verify_sync_chain
from core.proofs.errors import TrustExpiredError
from tests.adapters.beacon.node import Node, serving
from tests.core.proofs.beacons import ELECTRA, NETWORK, PERIOD, ToyBeacon, plain_header

BEACON = ToyBeacon()
START = 8
FINAL = ELECTRA + 2 * PERIOD + 16


def now_after(slot: int) -> float:
    return NETWORK.time_of(slot + 20)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with serving(BEACON, START, FINAL) as served:
        yield served


class Clock:
    def __init__(self, slot: int) -> None:
        self.slot = slot

    def __call__(self) -> float:
        return now_after(self.slot)


def follower(*nodes: Node, clock: Clock | None = None) -> Follower:
    apis = [BeaconApi(one.url, NETWORK) for one in nodes]
    return Follower(BEACON.anchor(START), apis, clock or Clock(FINAL))


async def test_way_through_all_forks_proves_itself(node: Node) -> None:
    following = follower(node)
    final = await following.final()
    assert final.execution.block_hash == ethereum.header_hash(plain_header(FINAL))
    header = verify_sync_chain(final.chain, following.anchor, int(now_after(FINAL)))
    assert header.execution == final.execution
    assert node.asked == ["finality_update", "bootstrap", "updates"]
    await following.close()


async def test_node_is_asked_once_a_slot_and_for_what_is_new_only(node: Node) -> None:
    clock = Clock(FINAL)
    following = follower(node, clock=clock)
    first = await following.final()
    assert await following.final() is first
    clock.slot += 1
    assert await following.final() is first
    assert node.asked[3:] == ["finality_update"]
    node.slot = FINAL + PERIOD
    clock.slot = FINAL + PERIOD
    later = await following.final()
    assert later.execution.block_number == FINAL + PERIOD
    assert node.asked[4:] == ["finality_update", "updates"]
    assert len(later.chain.updates) == len(first.chain.updates) + 1
    await following.close()


async def test_node_that_fails_is_asked_once_a_slot(node: Node) -> None:
    """Else every answer that waits for its turn would wait for a node that hangs, one after another."""
    clock = Clock(FINAL)
    following = follower(node, clock=clock)

    def late(_: Any) -> Any:
        clock.slot += 2
        return {}

    node.change = late
    for _ in range(3):
        with pytest.raises(RetryableError, match="malformed"):
            await following.final()
    assert node.asked == ["finality_update"]
    node.change = lambda body: body
    clock.slot += 1
    assert (await following.final()).execution.block_number == FINAL
    await following.close()


async def test_clock_that_was_set_back_holds_up_no_look(node: Node) -> None:
    clock = Clock(FINAL + PERIOD)
    following = follower(node, clock=clock)
    await following.final()
    node.slot = FINAL + 8
    clock.slot = FINAL + 8
    assert (await following.final()).execution.block_number == FINAL + 8
    await following.close()


async def test_second_node_is_asked_if_the_first_lies(node: Node) -> None:
    async with serving(replace(BEACON, blocks={FINAL: plain_header(1)}), START, FINAL) as liar:
        liar.change = tampered("attested_header", "beacon", "slot", value="400")
        following = follower(liar, node)
        final = await following.final()
        assert final.execution.block_hash == ethereum.header_hash(plain_header(FINAL))
        assert "finality_update" in liar.asked
        await following.close()


def tampered(*path: str, value: Any) -> Callable[[Any], Any]:
    def change(body: Any) -> Any:
        copy = json.loads(json.dumps(body))
        for one in copy if isinstance(copy, list) else [copy]:
            part = one["data"]
            for name in path[:-1]:
                part = part.get(name) or {}
            if path[-1] in part:
                part[path[-1]] = value
        return copy

    return change


@pytest.mark.parametrize(
    "change",
    [
        tampered("finalized_header", "beacon", "proposer_index", value="12345"),
        tampered("finalized_header", "execution", "block_hash", value=f"0x{'11' * 32}"),
        tampered("sync_aggregate", "sync_committee_bits", value="0x00000000"),
        tampered("sync_aggregate", "sync_committee_signature", value=f"0xc0{'00' * 95}"),
        tampered("next_sync_committee", "aggregate_pubkey", value=f"0x{'11' * 48}"),
        tampered("current_sync_committee", "pubkeys", value=[]),
        tampered("signature_slot", value=str(2**64 - 1)),
        tampered("signature_slot", value=-1),
        tampered("attested_header", value=None),
        tampered("finality_branch", value=[f"0x{'00' * 32}"] * 7),
        tampered("finalized_header", "beacon", value=[]),
        lambda body: [],
        lambda body: {},
        lambda body: {"data": body},
        lambda body: None,
        lambda body: body * 40 if isinstance(body, list) else body,
    ],
)
async def test_data_that_does_not_prove_itself_is_refused(node: Node, change: Callable[[Any], Any]) -> None:
    node.change = change
    clock = Clock(FINAL)
    following = follower(node, clock=clock)
    with pytest.raises(RetryableError):
        await following.final()
    node.change = lambda body: body
    clock.slot += 1
    assert (await following.final()).execution.block_number == FINAL
    await following.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 200),
        (b"no json", 200),
        (b"[" * 100_000, 200),
        (b'{"data":' * 20_000, 200),
        (b"\xff\xfe", 200),
        (b" " * (MAX_ANSWER_BYTES + 1), 200),
        (b"{}", 500),
        (b"{}", 302),
        (b"{}", 404),
    ],
)
async def test_answer_that_is_none_is_refused(node: Node, raw: bytes, status: int) -> None:
    node.raw, node.status = raw, status
    following = follower(node)
    with pytest.raises(RetryableError):
        await following.final()
    await following.close()


async def test_node_that_is_down_is_retryable() -> None:
    api = BeaconApi("http://127.0.0.1:1", NETWORK)
    following = Follower(BEACON.anchor(START), [api], Clock(FINAL))
    with pytest.raises(RetryableError, match="cannot be reached"):
        await following.final()
    await following.close()


async def test_anchor_that_a_node_does_not_have_is_said(node: Node) -> None:
    api = BeaconApi(node.url, NETWORK)
    with pytest.raises(NotFoundError):
        await api.bootstrap(bytes(32))
    unknown = Follower(replace(BEACON.anchor(START), trusted_root=bytes(32)), [api], Clock(FINAL))
    with pytest.raises(RetryableError):
        await unknown.final()
    await unknown.close()


async def test_anchor_that_is_too_old_is_said(node: Node) -> None:
    api = BeaconApi(node.url, NETWORK)
    old = Follower(replace(BEACON.anchor(START), trusting_period_s=Seconds(60)), [api], Clock(FINAL))
    with pytest.raises(TrustExpiredError):
        await old.final()
    await old.close()


async def test_way_over_too_many_periods_is_refused(node: Node) -> None:
    node.slot = START + MAX_UPDATES * PERIOD
    following = follower(node, clock=Clock(node.slot))
    with pytest.raises(RetryableError, match="periods lie between"):
        await following.final()
    assert "updates" not in node.asked
    await following.close()


def test_follower_without_nodes_is_refused() -> None:
    with pytest.raises(RejectedError):
        Follower(BEACON.anchor(START), [])
