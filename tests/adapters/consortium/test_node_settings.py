"""Real CometBFT nodes whose operators keep less than everything."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.consortium import ConsortiumChain, Ed25519Signer, connect, unsigned
from adapters.consortium.probe import probe
from adapters.registry import ChainSpec, EndpointSpec
from adapters.registry import connect as connect_any
from core.model.consortium import Transfer, quantity, raw_address
from core.model.errors import RejectedError
from core.model.facts import Transferred
from core.model.transactions import OutcomeStatus, SignedTransaction
from core.model.types import ChainId, Height
from core.runtime.sockets import free_port
from local_chains.consortium.cometbft import CometNetwork, CometNode
from local_chains.consortium.ledger.genesis import GenesisAccount
from tests.adapters.consortium.harness import CHAIN as HARNESS
from tests.adapters.consortium.harness import running
from tests.adapters.consortium.proxy import Forward, error_of, proxy
from tests.local_chains.consortium.abci.comet import begun, make_network, need_cometbft
from tests.local_chains.consortium.support import ACCOUNTS, ASSETS, CHAIN

COMET = ChainId(f"causeway:{CHAIN}")
SYMBOL = ASSETS[0].symbol
SETTINGS = {"index": '[tx_index]\nindexer = "null"\n', "results": "[storage]\ndiscard_abci_responses = true\n"}


def leave_out(directory: Path, missing: tuple[str, ...]) -> None:
    [config] = directory.rglob("config.toml")
    text = config.read_text()
    for name in missing:
        table = SETTINGS[name]
        header = table.partition("\n")[0]
        text = text.replace(header, "[left-out]") if header in text else text
        text += f"\n{table}"
    config.write_text(text)


@asynccontextmanager
async def network_without(directory: Path, *missing: str) -> AsyncIterator[tuple[CometNode, Ed25519Signer]]:
    """One validator that keeps no `index`, no `results`, or neither, and an account that owns something."""
    need_cometbft()
    signer = Ed25519Signer(COMET, hashlib.sha256(b"owner").digest())
    owner = GenesisAccount(raw_address(signer.account).hex(), {SYMBOL: "1000"})
    make_network(directory, accounts=[*ACCOUNTS, owner], validators=1)
    leave_out(directory, missing)
    async with CometNetwork(directory) as network:
        [node] = network.nodes
        await begun([node], 3)
        yield node, signer


async def signed_transfer(chain: ConsortiumChain, signer: Ed25519Signer, sequence: int) -> SignedTransaction:
    message = Transfer(SYMBOL, raw_address(signer.account), quantity(1))
    request = chain.access.transactions.assemble(
        unsigned(COMET, signer.account, (message,), "pay"), sequence, None, None
    )
    return chain.access.transactions.attach(request, await signer.sign(request))


async def included_at(chain: ConsortiumChain, signed: SignedTransaction) -> Height:
    async with asyncio.timeout(20):
        while True:
            outcome = await chain.access.transactions.outcome(signed.hash)
            if outcome.status is OutcomeStatus.INCLUDED and outcome.block is not None:
                assert outcome.final
                return outcome.block.height
            assert outcome.status is not OutcomeStatus.REVERTED
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("", ""),
        ("index", "no index of transactions"),
        ("results", "discard_abci_responses"),
    ],
)
async def test_outcomes_and_events_are_read_whatever_the_node_keeps(
    tmp_path: Path, missing: str, sentence: str
) -> None:
    async with network_without(tmp_path, *filter(None, [missing])) as (node, signer):
        chain = await connect(node.rpc_url, COMET, [SYMBOL])
        try:
            assert chain.report is not None
            assert (not chain.report.warnings) == (not missing)
            assert all(sentence in warning for warning in chain.report.warnings)
            chain.learn(signer.public_key)
            first, second = [await signed_transfer(chain, signer, sequence) for sequence in (0, 1)]
            await chain.access.transactions.submit(first)
            height = await included_at(chain, first)
            await chain.access.transactions.submit(first)
            blocks = await chain.access.blocks.blocks(Height(1), height)
            events = [logged for block in blocks for logged in block.events if logged.tx_hash == first.hash]
            assert [type(logged.event) for logged in events] == [Transferred]
            assert (await chain.access.transactions.outcome(second.hash)).status is OutcomeStatus.DROPPED
        finally:
            await chain.close()
        # Another process, which knows nothing of what the first one sent, finds it all the same.
        again = await connect(node.rpc_url, COMET)
        try:
            assert await included_at(again, first) == height
            assert (await again.access.transactions.outcome(second.hash)).status is OutcomeStatus.DROPPED
        finally:
            await again.close()


async def test_a_node_that_keeps_neither_is_refused_at_connect(tmp_path: Path) -> None:
    async with network_without(tmp_path, "index", "results") as (node, _):
        with pytest.raises(RejectedError, match="discard_abci_responses.*tx_index.*Change one of the settings"):
            await connect(node.rpc_url, COMET)


KEEPS_NEITHER = ("block_results", "tx_search")


@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_endpoints_are_looked_at_and_one_that_can_work_will_do(tmp_path: Path, bad: int) -> None:
    """Each of three endpoints is one node's; so many of them keep neither results nor an index."""

    async def refuse(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        return error_of(asked, -32603, "not kept here") if asked["method"] in KEEPS_NEITHER else await forward()

    async def pass_on(_: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        return await forward()

    async with running(tmp_path / "chain") as harness, AsyncExitStack() as stack:
        answers = [refuse] * bad + [pass_on] * (3 - bad)
        urls = [await stack.enter_async_context(proxy(harness.node.rpc_url, answer)) for answer in answers]
        spec = ChainSpec(
            "consortium",
            HARNESS,
            harness.access.parameters.genesis_hash,
            (*(EndpointSpec(url, url) for url in urls), EndpointSpec(f"http://127.0.0.1:{free_port()}", "down")),
            harness.access.parameters.timing,
            tuple(harness.assets),
        )
        if bad == 3:
            with pytest.raises(RejectedError, match="Change one of the settings"):
                await connect_any(spec)
            return
        connected = await connect_any(spec)
        assert [bool(report.faults) for report in connected.reports] == [True] * bad + [False] * (3 - bad)
        await harness.advance(2)
        assert len(await connected.access.blocks.blocks(Height(1), Height(2))) == 2
        await connected.close()


async def test_an_endpoint_of_another_chain_of_that_name_is_reported(tmp_path: Path) -> None:
    async with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        await one.advance(1)
        other = two.access.parameters.genesis_hash
        assert other != one.access.parameters.genesis_hash
        report = await probe(one.chain.rpc, HARNESS, other)
        assert any("another" in fault for fault in report.faults)
        assert not (await probe(one.chain.rpc, HARNESS, one.access.parameters.genesis_hash)).faults
