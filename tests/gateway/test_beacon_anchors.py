"""`causeway anchor fetch` takes a beacon anchor from nodes, `update` moves it on, over a beacon node's HTTP API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from core.model.beacon import BeaconAnchor
from core.model.errors import ConflictError, DisagreementError, RetryableError
from core.model.types import Seconds
from core.proofs.errors import TrustExpiredError
from core.proofs.evidence import decode_beacon_anchor, encode_beacon_anchor
from gateway.anchors import fetch_beacon_anchor, in_groups, update_beacon_anchor
from gateway.cli import app, queries  # noqa: F401 (registers the command)
from tests.adapters.beacon.node import Node, serving
from tests.core.proofs.beacons import ELECTRA, NETWORK, PERIOD, ToyBeacon, plain_header

START, FINAL = ELECTRA + 8, ELECTRA + 2 * PERIOD + 16


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    genesis_time = int(time.time()) - (FINAL + 20) * NETWORK.seconds_per_slot
    async with serving(ToyBeacon(replace(NETWORK, genesis_time=genesis_time)), START, FINAL) as served:
        yield served


def anchor_of(node: Node) -> BeaconAnchor:
    return node.beacon.anchor(START)


async def test_anchor_moves_to_the_newest_final_block(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "beacon.json"
    file.write_bytes(encode_beacon_anchor(anchor_of(node)))
    command = ["anchor", "update", "--anchor", str(file), "--rpc", "http://127.0.0.1:1", "--rpc", node.url]
    ended = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert ended.exit_code == 0, ended.exception
    renewed = decode_beacon_anchor(file.read_bytes())
    [update] = [node.beacon.update(FINAL + 16, FINAL, following=False)]
    assert update.finality is not None
    assert update.finality.header is not None
    assert renewed == replace(anchor_of(node), trusted_root=update.finality.header.beacon.root())
    assert renewed.trusted_root.hex()[:8] in ended.stdout


async def test_anchor_that_is_too_old_is_not_moved(node: Node) -> None:
    old = replace(anchor_of(node), trusting_period_s=Seconds(60))
    with pytest.raises(TrustExpiredError):
        await update_beacon_anchor(old, [node.url])


async def test_node_of_another_chain_moves_nothing(node: Node) -> None:
    other = replace(anchor_of(node), network=replace(anchor_of(node).network, genesis_validators_root=bytes(32)))
    with pytest.raises(RetryableError):
        await update_beacon_anchor(other, [node.url])


# --- the first one -------------------------------------------------------------------------------------------------


def fetching(*urls: str, out: Path, more: tuple[str, ...] = ()) -> Result:
    beacons = [word for url in urls for word in ("--beacon", url)]
    return CliRunner().invoke(app, ["anchor", "fetch", *beacons, "--out", str(out), *more])


async def test_anchor_is_the_final_block_that_nodes_state(node: Node, tmp_path: Path) -> None:
    out = tmp_path / "beacon.json"
    ended = await asyncio.to_thread(fetching, node.url, f"{node.url}/", out=out, more=("--chain", "eip155:31337"))
    assert ended.exit_code == 0, ended.exception
    found, expected = decode_beacon_anchor(out.read_bytes()), anchor_of(node)
    # The toy's schedule leaves out the first fork, which no slot is in.
    assert found.network.forks[1:] == expected.network.forks
    assert found == replace(
        expected,
        network=replace(expected.network, forks=found.network.forks),
        trusting_period_s=Seconds(14 * 86_400),
    )
    header = node.beacon.header(START)
    assert header.execution is not None
    for raw in (found.trusted_root, header.execution.block_hash, expected.network.genesis_validators_root):
        assert in_groups(raw) in ended.stdout
    assert "compare the root" in ended.stdout
    moved = await update_beacon_anchor(found, [node.url])
    assert moved.trusted_root == node.beacon.header(FINAL).beacon.root()
    again = await asyncio.to_thread(fetching, node.url, out=out)
    assert isinstance(again.exception, ConflictError)


async def test_nodes_at_other_epochs_agree_on_the_oldest(node: Node) -> None:
    async with serving(replace(node.beacon), START + 16, FINAL) as ahead:
        anchor, header = await fetch_beacon_anchor([ahead.url, node.url])
    assert (anchor.trusted_root, header.slot) == (node.beacon.header(START).beacon.root(), START)


async def test_root_that_was_learnt_elsewhere_is_taken(node: Node, tmp_path: Path) -> None:
    named = node.beacon.header(START).beacon.root()
    out = tmp_path / "beacon.json"
    ended = await asyncio.to_thread(fetching, node.url, out=out, more=("--root", f"0x{named.hex()}"))
    assert ended.exit_code == 0, ended.exception
    for root, reason in (("12", "64 hex digits"), ("ab" * 32, "does not call the block")):
        refused = await asyncio.to_thread(fetching, node.url, out=tmp_path / "other", more=("--root", root))
        assert reason in str(refused.exception)
    # It is final, and no light client can begin there.
    with pytest.raises(RetryableError, match="take a newer one"):
        await fetch_beacon_anchor([node.url], node.beacon.header(START + 8).beacon.root())
    assert not (tmp_path / "other").exists()


async def test_nodes_that_differ_give_no_anchor(node: Node, tmp_path: Path) -> None:
    later = replace(
        node.beacon, network=replace(node.beacon.network, genesis_time=node.beacon.network.genesis_time + 6)
    )
    async with serving(later, START, FINAL) as other:
        with pytest.raises(DisagreementError, match="the network"):
            await fetch_beacon_anchor([node.url, other.url])
    async with serving(replace(node.beacon, blocks={START: plain_header(1)}), START, FINAL) as forked:
        with pytest.raises(DisagreementError, match="does not call the block"):
            await fetch_beacon_anchor([node.url, forked.url])
    ended = await asyncio.to_thread(fetching, node.url, out=tmp_path / "one", more=("--chain", "eip155:1"))
    assert "these nodes serve eip155:31337" in str(ended.exception)
    too_long = await asyncio.to_thread(fetching, node.url, out=tmp_path / "one", more=("--trusting-days", "366"))
    assert "365 days at most" in str(too_long.exception)
    assert not (tmp_path / "one").exists()


SPEC = {"DEPOSIT_CHAIN_ID": "1", "GENESIS_FORK_VERSION": "0x00000000", "SECONDS_PER_SLOT": "12"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"\xff",
        b'{"data": null}',
        b'{"data": []}',
        json.dumps({"data": SPEC}).encode(),
        json.dumps({"data": {**SPEC, "SLOTS_PER_EPOCH": "9" * 5_000, "genesis_time": "-1"}}).encode(),
        json.dumps({"data": {"finalized": {"epoch": 3, "root": "0x"}, "root": 7}}).encode(),
    ],
)
async def test_answer_that_is_not_in_form_is_refused(node: Node, raw: bytes) -> None:
    node.raw = raw
    with pytest.raises(RetryableError):
        await fetch_beacon_anchor([node.url])


async def test_chain_with_nothing_final_yet_gives_no_anchor(node: Node) -> None:
    def change(body: Any) -> Any:
        if "finalized" in body.get("data", {}):
            body["data"]["finalized"] = {"epoch": "0", "root": f"0x{'00' * 32}"}
        return body

    node.change = change
    with pytest.raises(RetryableError, match="no block final yet"):
        await fetch_beacon_anchor([node.url])
