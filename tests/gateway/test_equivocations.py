"""`causeway chain accuse` against a running chain: from two transactions in blocks to a vote on who signed them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.consortium import Ed25519Signer, unsigned
from core.model.consortium import AttestHeader, caip_chain
from core.model.types import ChainId
from gateway.daemons.chain import make_chain_home
from gateway.members import chain_at
from local_chains.consortium.engine.home import load_operator_key
from local_chains.consortium.ledger.bridge import MAX_OPEN_HEIGHTS
from local_chains.consortium.node import ConsortiumNode, Pace
from tests.gateway.test_cli import causeway
from tests.gateway.test_members import run
from tests.support import eventually

CHAIN = caip_chain("test-1")
FOREIGN = ChainId("eip155:31337")


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    make_chain_home(tmp_path / "home", "test-1", 4, "secp256k1eth", [])
    async with ConsortiumNode(tmp_path / "home", pace=Pace(interval_s=0.1)) as running:

        async def began() -> bool:
            return running.engine.tip.height > 0

        await eventually(began)
        yield running


def votes(name: bytes, *heights: int) -> tuple[AttestHeader, ...]:
    return tuple(AttestHeader(FOREIGN, height, name * 32, 480) for height in heights or (40,))


async def attest(node: ConsortiumNode, key: Path, *messages: AttestHeader) -> str:
    """The hash of a transaction with these votes that is in a block."""
    async with chain_at(node.rpc_url) as chain:
        signer = Ed25519Signer(CHAIN, load_operator_key(key).seed)
        chain.learn(signer.public_key)
        transactions = chain.access.transactions
        call = unsigned(CHAIN, signer.account, messages, "votes")
        sequence = (await transactions.sequences(signer.account)).latest
        request = transactions.assemble(call, sequence, None, None)
        signed = transactions.attach(request, await signer.sign(request))
        await transactions.submit(signed)

        async def included() -> bool:
            return (await transactions.outcome(signed.hash)).block is not None

        await eventually(included)
        return signed.hash.hex()


async def test_double_attestation_in_blocks_is_proven_and_reported(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = home / "validators/2/operator_key.json"
    first = await attest(node, key, *votes(b"\x01"))
    # Votes on so many other heights take the first one back: the ledger has forgotten it, its signature stays.
    await attest(node, key, *votes(b"\x01", *range(41, 41 + MAX_OPEN_HEIGHTS)))
    second = await attest(node, key, *votes(b"\x02"))
    proof = tmp_path / "equivocation.json"
    found = await run(node, home, "accuse", first, second.upper(), "--out", str(proof))
    assert (found["chain"], found["height"]) == (FOREIGN, 40)
    assert [one["block_hash"] for one in found["attested"]] == ["01" * 32, "02" * 32]

    def offline(*options: str) -> Any:
        return causeway("chain", "accuse", "--file", str(proof), "--json", *options, cwd=tmp_path)

    checked = await asyncio.to_thread(offline, "--ledger", "test-1")
    assert json.loads(checked.stdout) == found
    other = await asyncio.to_thread(offline, "--ledger", "test-2")
    assert other.returncode == 1
    assert "of ledger 'test-1', not of test-2" in other.stderr

    reported = await run(node, home, "accuse", "--file", str(proof), operator=0)
    assert reported["height_of_report"] > 0
    [listed] = (await run(node, home, "members"))["misbehaviour"]
    assert (listed["kind"], listed["organisation"], listed["power"]) == ("double-attestation", "validator-2", 10)
    again = await run(node, home, "accuse", "--file", str(proof), operator=1)
    assert again[0] == 1
    assert "recorded already" in again[1]

    assert (await run(node, home, "propose", "validator-2", "--leave", operator=0))["proposal"]["number"] == 1
    for operator in (1, 3):
        await run(node, home, "vote", "1", "--yes", operator=operator)
    left = (await run(node, home, "members"))["organisations"]
    assert [one["power"] for one in left] == [10, 10, 0, 10]


async def test_transactions_that_agree_accuse_nobody(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = await attest(node, home / "validators/2/operator_key.json", *votes(b"\x01"))
    other = await attest(node, home / "validators/1/operator_key.json", *votes(b"\x02"))
    for names, reason in (
        ([first, first], "attest no two headers"),
        ([first, other], "of different accounts"),
        ([first, "12"], "is not a transaction's hash"),
        ([first, other, first], "has two transactions"),
        ([], "name the hashes"),
    ):
        code, said = await run(node, home, "accuse", *names)
        assert (code, reason in said) == (1, True), said


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 10_000, b"\xff", b" " * 200_000])
def test_file_that_is_not_a_proof_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_bytes(content)
    ended = causeway("chain", "accuse", "--file", "proof.json", cwd=tmp_path)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
