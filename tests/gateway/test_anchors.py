"""Anchors from the nodes of a running chain, renewed by its light client; and questions to the chain under one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from core.model.errors import ConflictError, DisagreementError, RejectedError
from core.model.questions import RecordAnswer
from core.model.types import ChainId, Height, Seconds
from core.proofs.errors import ProofError, TrustExpiredError
from core.runtime.sockets import HOST, free_port
from gateway.anchors import consortium_of, fetch_anchor, in_groups, require_chain, update_anchor
from gateway.cli import app, queries  # noqa: F401 (registers the commands)
from gateway.cli.verification import read_anchor
from gateway.config import ChainConfig, EndpointConfig
from gateway.daemons.chain import make_chain_home
from gateway.devnet import info
from gateway.queries import through_chains
from local_chains.consortium.node import ConsortiumNode, Pace
from relayer.client import Proven
from tests.gateway.test_config import LEDGER
from tests.support import eventually

BLOCKS = 6
LEDGER_CHAIN = ChainConfig(
    kind="consortium",
    id="causeway:test-1",
    genesis="00" * 32,
    endpoints=(EndpointConfig("http://127.0.0.1:1", "operator"),),
    timing=LEDGER.timing,
    assets=(),
)
FIRST = Height(1)


@asynccontextmanager
async def chain(home: Path, name: str) -> AsyncIterator[ConsortiumNode]:
    make_chain_home(home, name, 4, "secp256k1eth", [])
    async with ConsortiumNode(home, pace=Pace(interval_s=0.1)) as running:
        await eventually(lambda: running.engine.tip.height >= BLOCKS)
        yield running


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    async with chain(tmp_path / "home", "test-1") as running:
        yield running


async def test_anchor_moves_on_to_what_the_nodes_state(node: ConsortiumNode) -> None:
    first = await fetch_anchor([node.rpc_url, f"{node.rpc_url}/"], FIRST, Seconds(1_000))
    assert (first.chain, first.trusted_height, first.trusting_period_s) == ("causeway:test-1", FIRST, 1_000)
    assert first.trusted_hash == first.genesis_hash
    later = await update_anchor(first, [f"http://{HOST}:{free_port()}", node.rpc_url])
    assert later.trusted_height > FIRST
    assert later == await fetch_anchor([node.rpc_url], later.trusted_height, Seconds(1_000))
    assert (await fetch_anchor([node.rpc_url])).trusted_height >= later.trusted_height


async def test_anchor_is_not_taken_from_nodes_that_differ(node: ConsortiumNode, tmp_path: Path) -> None:
    """The error names the nodes without the keys in their addresses."""
    async with chain(tmp_path / "other", "test-1") as other:
        with pytest.raises(DisagreementError, match="first block") as refused:
            await fetch_anchor([node.rpc_url, f"{other.rpc_url}/?key=hidden"])
    assert other.rpc_url in refused.value.message
    assert "hidden" not in refused.value.message
    for urls in ([], [node.rpc_url] * 17):
        with pytest.raises(RejectedError, match="name 1 to 16 nodes"):
            await fetch_anchor(urls)


async def test_anchor_that_vouches_for_nothing_stays(node: ConsortiumNode) -> None:
    first = await fetch_anchor([node.rpc_url], FIRST, Seconds(1_000))
    with pytest.raises(TrustExpiredError):
        await update_anchor(first, [node.rpc_url], int(time.time()) + 10_000)
    with pytest.raises(ProofError):
        await update_anchor(replace(first, trusted_hash=bytes(32)), [node.rpc_url])
    with pytest.raises(RejectedError, match="name a node"):
        await update_anchor(first, [])


async def test_anchor_commands_write_what_they_show(node: ConsortiumNode, tmp_path: Path) -> None:
    file = tmp_path / "anchor.json"

    async def says(*words: str) -> str:
        found = await asyncio.to_thread(CliRunner().invoke, app, ["anchor", *words, "--rpc", node.rpc_url])
        if found.exception is not None:
            raise found.exception
        return found.stdout

    said = await says("fetch", "--height", "1", "--out", str(file), "--trusting-days", "2")
    first = read_anchor(file)
    assert (first.trusted_height, first.trusting_period_s) == (FIRST, 2 * 86_400)
    assert in_groups(first.trusted_hash) in said
    with pytest.raises(ConflictError, match="exists already"):
        await says("fetch", "--out", str(file))
    said = await says("update", "--anchor", str(file))
    later = read_anchor(file)
    assert later.trusted_height > FIRST
    assert in_groups(later.trusted_hash) in said


async def test_anchor_of_another_chain_than_was_meant_is_refused(node: ConsortiumNode, tmp_path: Path) -> None:
    file = tmp_path / "anchor.json"
    for chain_id, words in (("causeway:other-1", "serve causeway:test-1"), ("eip155:1", "serve"), ("frob", "CAIP-2")):
        command = ["anchor", "fetch", "--rpc", node.rpc_url, "--chain", chain_id, "--out", str(file)]
        found = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert isinstance(found.exception, RejectedError)
        assert words in found.exception.message
        assert not file.exists()
    anchor = await fetch_anchor([node.rpc_url], FIRST)
    require_chain(anchor, anchor.chain, "0x" + anchor.genesis_hash.hex().upper())
    with pytest.raises(RejectedError, match="do not trust"):
        require_chain(anchor, None, "00" * 32)


async def test_configured_nodes_are_asked_without_rpc(
    node: ConsortiumNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchor = await fetch_anchor([node.rpc_url], FIRST)
    configured = replaced(LEDGER_CHAIN, id=anchor.chain, genesis=anchor.genesis_hash.hex(), url=node.rpc_url)
    monkeypatch.setattr(info, "load_info", lambda _: SimpleNamespace(chains=(configured,)))
    file = tmp_path / "anchor.json"
    for command in (["fetch", "--chain", anchor.chain, "--height", "1"], ["update"]):
        place = "--out" if command[0] == "fetch" else "--anchor"
        found = await asyncio.to_thread(CliRunner().invoke, app, ["anchor", *command, place, str(file)])
        assert found.exception is None
    assert read_anchor(file).genesis_hash == anchor.genesis_hash
    assert read_anchor(file).trusted_height > FIRST


def test_chain_is_found_among_those_configured() -> None:
    one = replaced(LEDGER_CHAIN, id="causeway:one-1")
    two = replaced(LEDGER_CHAIN, id="causeway:two-1")
    assert consortium_of([one], None) is one
    assert consortium_of([one, two], ChainId("causeway:two-1")) is two
    with pytest.raises(RejectedError, match="configured: causeway:one-1, causeway:two-1"):
        consortium_of([one, two], None)
    with pytest.raises(RejectedError, match="beacon block"):
        consortium_of([one], ChainId("eip155:1"))
    with pytest.raises(RejectedError, match="configured: none"):
        consortium_of([], None)


def replaced(config: ChainConfig, url: str = "http://127.0.0.1:1", **members: str) -> ChainConfig:
    return msgspec.structs.replace(config, endpoints=(EndpointConfig(url, "operator"),), **members)


async def test_question_is_answered_by_the_chain_itself(node: ConsortiumNode) -> None:
    anchor = await fetch_anchor([node.rpc_url], FIRST)
    config = replaced(LEDGER_CHAIN, id=anchor.chain, genesis=anchor.genesis_hash.hex(), url=node.rpc_url)
    async with through_chains([config], anchor) as asking:
        [said] = await asking.answers([f"{anchor.chain}/records/charity/x"])
        with pytest.raises(RejectedError, match="is not a question"):
            await asking.answers([f"{anchor.chain}/nothing"])
    assert isinstance(said, Proven)
    assert isinstance(said.verified.answer, RecordAnswer)
    with pytest.raises(RejectedError, match="no consortium chain"):
        async with through_chains([], anchor):
            pass
