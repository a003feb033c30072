"""`causeway anchor update` moves a beacon anchor on by sync committees, over a beacon node's HTTP API."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.model.beacon import BeaconAnchor
from core.model.errors import RetryableError
from core.model.types import Seconds
from core.proofs.errors import TrustExpiredError
from core.proofs.evidence import decode_beacon_anchor, encode_beacon_anchor
from gateway.anchors import update_beacon_anchor
from gateway.cli import app, queries  # noqa: F401 (registers the command)
from tests.adapters.beacon.node import Node, serving
from tests.core.proofs.beacons import ELECTRA, NETWORK, PERIOD, ToyBeacon

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
