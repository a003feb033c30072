"""CometBFT structures and light client against published vectors of real nodes and other implementations."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.proofs import merkle
from core.proofs.cometbft import hashing, light_client, sign_bytes, types
from core.proofs.cometbft import json as rpc_json
from core.proofs.errors import MalformedProofError
from core.proofs.keccak import keccak256
from tests.support import VECTORS, vectors

SINGLE_STEP = "cometbft/light_client/single_step"
KVSTORE = "cometbft/rpc_kvstore_v0_38"


def _load(path: Path) -> Any:
    return json.loads(path.read_text())


def _steps() -> list[str]:
    folder = VECTORS / SINGLE_STEP
    return sorted(path.name for path in folder.glob("*.json")) or ["(no vectors)"]


@pytest.mark.parametrize("name", _steps())
def test_light_client_reaches_the_published_verdicts(name: str) -> None:
    case = _load(vectors(SINGLE_STEP) / name)
    initial = case["initial"]
    trusted = light_client.TrustedState(
        rpc_json.header_from_json(initial["signed_header"]["header"]),
        rpc_json.validator_set_from_json(initial["next_validator_set"]),
    )
    policy = light_client.LightClientPolicy(int(initial["trusting_period"]), max_clock_drift_ns=0)
    assert case["input"]
    for step in case["input"]:
        now = rpc_json.timestamp_from_json(step["now"])
        try:
            block = rpc_json.light_block_from_json(step["block"])
        except MalformedProofError:
            assert step["verdict"] == "INVALID"
            continue
        verdict = light_client.check_update(trusted, block, now, policy)
        expected = {
            "SUCCESS": {light_client.Verdict.SUCCESS},
            "NOT_ENOUGH_TRUST": {light_client.Verdict.NOT_ENOUGH_TRUST},
            "INVALID": {light_client.Verdict.INVALID, light_client.Verdict.EXPIRED},
        }[step["verdict"]]
        assert verdict in expected
        if verdict is light_client.Verdict.SUCCESS:
            trusted = light_client.update_trusted(trusted, block, now, policy)


def _blocks(value: Any) -> Iterator[tuple[types.Block, Any]]:
    if isinstance(value, dict):
        block = value.get("block")
        if isinstance(block, dict) and "header" in block:
            yield rpc_json.block_from_json(block), value.get("block_id")
        for member in value.values():
            yield from _blocks(member)
    elif isinstance(value, list):
        for member in value:
            yield from _blocks(member)


def _all_blocks() -> list[tuple[types.Block, Any]]:
    folder = vectors(KVSTORE)
    return [found for path in sorted(folder.glob("*.json")) for found in _blocks(_load(path))]


def test_every_hash_of_every_real_block_is_recomputed() -> None:
    found = _all_blocks()
    assert len(found) >= 54
    assert any(block.evidence for block, _ in found)
    for block, identity in found:
        header = block.header
        assert hashing.data_hash(block.txs) == header.data_hash
        assert hashing.commit_hash(block.last_commit) == header.last_commit_hash
        assert hashing.evidence_hash(block.evidence) == header.evidence_hash
        assert hashing.consensus_hash(max_bytes=22_020_096, max_gas=-1) == header.consensus_hash
        if identity is not None:
            assert hashing.block_id(block) == rpc_json.block_id_from_json(identity)


def test_blocks_survive_the_way_to_json_and_back() -> None:
    for block, identity in _all_blocks():
        assert rpc_json.block_from_json(rpc_json.block_to_json(block)) == block
        if identity is not None:
            assert rpc_json.block_id_to_json(rpc_json.block_id_from_json(identity)) == identity


def test_real_transactions_are_proven_under_their_data_hash() -> None:
    found = _load(vectors(KVSTORE) / "tx_search_with_prove.json")["result"]["txs"]
    assert found
    for entry in found:
        tx = rpc_json.bytes_from_base64(entry["tx"])
        assert hashing.transaction_hash(tx).hex().upper() == entry["hash"]
        listed = entry["proof"]["proof"]
        proof = merkle.MerkleProof(
            int(listed["total"]),
            int(listed["index"]),
            rpc_json.bytes_from_base64(listed["leaf_hash"]),
            tuple(rpc_json.bytes_from_base64(aunt) for aunt in listed["aunts"]),
        )
        root = bytes.fromhex(entry["proof"]["root_hash"])
        merkle.verify(root, hashing.transaction_hash(tx), proof)
        if proof.total == 1:
            assert hashing.data_hash([tx]) == root


def test_block_summaries_have_the_hash_of_their_header() -> None:
    metas = _load(vectors(KVSTORE) / "blockchain_from_1_to_10.json")["result"]["block_metas"]
    assert len(metas) == 10
    for meta in metas:
        header = rpc_json.header_from_json(meta["header"])
        assert hashing.header_hash(header) == bytes.fromhex(meta["block_id"]["hash"])


def test_a_real_commit_verifies_under_the_genesis_validators() -> None:
    genesis = _load(vectors(KVSTORE) / "genesis.json")["result"]["genesis"]
    validators = rpc_json.validator_set_from_json(genesis["validators"])
    signed = rpc_json.signed_header_from_json(
        _load(vectors(KVSTORE) / "commit_at_height_10.json")["result"]["signed_header"]
    )
    light_client.verify_light_block(types.LightBlock(signed, validators), genesis["chain_id"])
    light_client.verify_commit(genesis["chain_id"], validators, signed.commit)


@pytest.mark.parametrize("name", ["update_10_equal.json", "misbehaviour_10_equal.json"])
def test_foreign_ethereum_style_signatures_recover_the_listed_validators(name: str) -> None:
    """The digests are of that project's own packed vote, so this checks recovery and addresses, not sign bytes."""
    case = _load(vectors("cometbft/secp256k1eth") / name)
    checked = 0
    for part, members in (
        ("adjacent", "trustedValidators"),
        ("conflict", "trustedValidators"),
        ("nonAdjacent", "untrustedValidators"),
        ("nonAdjacentConflict", "untrustedValidators"),
    ):
        commit = case[part]["commit"]
        signers = [
            bytes.fromhex(address[2:])
            for place, address in enumerate(case[members]["validators"])
            if commit["signerBitmap"] >> place & 1
        ]
        for address, message, signature in zip(signers, commit["voteSignBytes"], commit["signatures"], strict=True):
            raw = bytes.fromhex(signature[2:])
            recovered = sign_bytes.recover_secp256k1_eth(keccak256(bytes.fromhex(message[2:])), raw)
            assert recovered is not None
            assert types.PublicKey(types.KeyKind.SECP256K1_ETH, recovered.format()).address == address
            checked += 1
    assert checked >= 24
