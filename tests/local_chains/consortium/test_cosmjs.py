"""Cosmos' own client library reads both engines: all of it with ed25519 validators, and with secp256k1eth ones all but
the calls in which it decodes their keys, a kind that it does not know."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.model.consortium import AccountLeaf, Transfer, account_key, decode_leaf, quantity, transaction_hash
from core.proofs.cometbft.types import KeyKind
from core.proofs.errors import InvalidProofError
from core.proofs.ics23 import SMT_SPEC, decode_commitment_proof, verify_non_existence
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.embedded import Pace
from local_chains.consortium.node import ConsortiumNode, init_home
from tests.local_chains.consortium.abci.comet import begun, make_network, need_cometbft
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN
from tests.support import REPOSITORY, eventually

SCRIPT = Path(__file__).with_name("comet38.mjs")
ANSWER_S = 40.0
DECODING_KEYS = {"connectComet", "genesis", "status", "validators", "validatorsAll"}
TRANSACTIONS = [ANN.signed(number, Transfer("cnyd", BEN.address, quantity(number + 1))) for number in range(3)]
REFUSED = ANN.signed(3, Transfer("cnyd", BEN.address, quantity(10**6)))


@asynccontextmanager
async def embedded(directory: Path, kind: KeyKind) -> AsyncIterator[str]:
    init_home(directory, CHAIN, key_type=kind, assets=ASSETS, accounts=ACCOUNTS)
    async with ConsortiumNode(directory, pace=Pace(interval_s=0.2, min_delay_s=0.02)) as node:
        yield node.rpc_url


@asynccontextmanager
async def cometbft(directory: Path, kind: KeyKind) -> AsyncIterator[str]:
    need_cometbft()
    make_network(directory, kind)
    async with CometNetwork(directory) as network:
        await begun(network.nodes, 1)
        yield network.nodes[0].rpc_url


async def absent_key(url: str) -> bytes:
    """Return a key that is not there, and whose two neighbours have no placeholders next to them: the library names the
    placeholder in its `SmtSpec`, but takes it for a leaf when it looks for neighbours."""
    spec = replace(SMT_SPEC, empty_child=None)
    async with aiohttp.ClientSession() as session:

        async def call(method: str, **arguments: str) -> dict[str, Any]:
            async with session.get(f"{url}/{method}", params=arguments) as answer:
                result: dict[str, Any] = (await answer.json())["result"]
                return result

        async def next_header() -> dict[str, Any] | None:
            if int((await call("status"))["sync_info"]["latest_block_height"]) < 2:
                return None
            return await call("header", height="2")

        header = await eventually(next_header, ANSWER_S, 0.1)
        assert header is not None
        root = bytes.fromhex(header["header"]["app_hash"])
        for number in range(1_000):
            key = account_key(number.to_bytes(20, "big"))
            asked = {"path": '"/ics23"', "data": f"0x{key.hex()}", "height": "1", "prove": "true"}
            [op] = (await call("abci_query", **asked))["response"]["proofOps"]["ops"]
            with suppress(InvalidProofError):
                verify_non_existence(spec, root, key, decode_commitment_proof(base64.b64decode(op["data"])))
                return key
    raise AssertionError("every gap has a placeholder next to it")


async def asked_by_cosmjs(url: str) -> tuple[dict[str, Any], dict[str, str]]:
    """(what each call said, what went wrong)."""
    node = shutil.which("node")
    if node is None or not (REPOSITORY / "node_modules" / "@cosmjs").is_dir():
        pytest.skip("no Node with cosmjs here: `make setup` installs it")
    request = {
        "url": url,
        "transactions": [base64.b64encode(raw).decode() for raw in (*TRANSACTIONS, REFUSED)],
        "present": account_key(BEN.address).hex(),
        "absent": (await absent_key(url)).hex(),
        "search": f"bank.transfer.receiver = '{BEN.address.hex()}'",
    }
    process = await asyncio.create_subprocess_exec(
        node, str(SCRIPT), json.dumps(request), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            printed, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    said = json.loads(printed)
    return said["answers"], said["failures"]


@pytest.mark.parametrize("kind", list(KeyKind), ids=lambda kind: kind.value)
@pytest.mark.parametrize("engine", [embedded, cometbft], ids=lambda make: make.__name__)
async def test_comet38_client_reads_both_engines(tmp_path: Path, engine: Any, kind: KeyKind) -> None:
    async with engine(tmp_path / "chain", kind) as url:
        answers, failures = await asked_by_cosmjs(url)
    if kind is KeyKind.ED25519:
        assert failures == {}
        assert answers["connectComet"] == {"height": 1, "results": 1}
        assert answers["genesis"] == {"chain": CHAIN, "keys": ["ed25519"] * 4}
        assert answers["status"]["chain"] == CHAIN
        assert answers["status"]["key"] == "ed25519"
        assert answers["validators"] == ["ed25519"] * 4
        assert answers["validatorsAll"] == 4
    else:
        assert set(failures) == DECODING_KEYS
        assert all("pubkey" in sentence for sentence in failures.values()), failures
    first, second, third = (transaction_hash(raw).hex() for raw in TRANSACTIONS)
    sent = answers["broadcastTxCommit"]
    height = sent["height"]
    assert (sent["check"], sent["result"], sent["hash"]) == (0, 0, first)
    assert {"key": "amount", "value": "1"} in sent["events"][0]["attributes"]
    assert answers["broadcastTxSync"] == {"code": 0, "hash": second}
    assert answers["broadcastTxAsync"] == third
    assert answers["refused"]["code"] != 0
    assert answers["refused"]["codespace"] == "causeway"
    for heard in ("subscribeTx", "subscribeNewBlock", "subscribeNewBlockHeader"):
        assert answers[heard]["height"] > height
    assert answers["abciInfo"] == "causeway"
    assert answers["block"] == {"height": height, "hash": answers["commit"]["hash"], "txs": 2}
    assert answers["commit"]["signatures"] == 4
    assert answers["blockResults"] == [0, 0]
    assert answers["blockchain"] == [2, 1]
    assert answers["blockSearch"] == 1
    assert answers["blockSearchAll"] == [1, 2]
    assert answers["tx"] == {"height": height, "index": 1, "proof": 2, "code": 0}
    assert answers["txSearch"] == answers["txSearchAll"]
    assert answers["txSearch"] >= 2
    assert answers["abciQuery"] == {"code": 0, "op": "causeway:smt", "value": True}
    assert decode_leaf(bytes.fromhex(answers["present"]), AccountLeaf).sequence == 0
    assert answers["absent"] is None
