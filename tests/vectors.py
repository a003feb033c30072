"""Checks the proofs against published vectors: `python -m tests.vectors [--json]`.

Each folder has a check that takes one file, raises AssertionError (or what the verifier raises) if we disagree
with it, and returns how many things it compared; a file with nothing to compare counts as neither passed nor failed.
The last line printed is one JSON object; the exit status is 0 only if every folder is there and no file fails.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.proofs import ics23, merkle
from core.proofs.cometbft import hashing, light_client, sign_bytes, types
from core.proofs.cometbft import json as rpc_json
from core.proofs.errors import MalformedProofError
from core.proofs.keccak import keccak256
from tests.support import VECTORS

SECP256K1ETH_PARTS = (
    ("adjacent", "trustedValidators"),
    ("conflict", "trustedValidators"),
    ("nonAdjacent", "untrustedValidators"),
    ("nonAdjacentConflict", "untrustedValidators"),
)
VERDICTS = {
    "SUCCESS": {light_client.Verdict.SUCCESS},
    "NOT_ENOUGH_TRUST": {light_client.Verdict.NOT_ENOUGH_TRUST},
    "FAILED_TRUSTING_PERIOD": {light_client.Verdict.EXPIRED},
    # The harness these were made for does not distinguish an expired header from an invalid one.
    "INVALID": {light_client.Verdict.INVALID, light_client.Verdict.EXPIRED},
}


def check_light_client(path: Path) -> int:
    """The verdict of every step, each verified block becoming the trusted one."""
    case = _load(path)
    initial = case["initial"]
    trusted = light_client.TrustedState(
        rpc_json.header_from_json(initial["signed_header"]["header"]),
        rpc_json.validator_set_from_json(initial["next_validator_set"]),
    )
    policy = light_client.LightClientPolicy(int(initial["trusting_period"]), max_clock_drift_ns=0)
    for step in case["input"]:
        now = rpc_json.timestamp_from_json(step["now"])
        try:
            block = rpc_json.light_block_from_json(step["block"])
        except MalformedProofError:
            assert step["verdict"] == "INVALID", step["verdict"]
            continue
        verdict = light_client.check_update(trusted, block, now, policy)
        assert verdict in VERDICTS[step["verdict"]], (step["verdict"], verdict)
        if verdict is light_client.Verdict.SUCCESS:
            trusted = light_client.update_trusted(trusted, block, now, policy)
    return len(case["input"])


def check_rpc(path: Path) -> int:
    """Every hash of every block, header and transaction proof in an RPC response."""
    document = _load(path)
    compared = 0
    for found in _objects(document):
        if isinstance(found.get("block"), dict) and "header" in found["block"]:
            compared += _check_block(found["block"], found.get("block_id"))
        elif isinstance(found.get("header"), dict) and isinstance(found.get("block_id"), dict):
            _require_header_hash(found["header"], found["block_id"]["hash"])
            compared += 1
        elif isinstance(found.get("signed_header"), dict):
            signed = found["signed_header"]
            _require_header_hash(signed["header"], signed["commit"]["block_id"]["hash"])
            compared += 1
        elif isinstance(found.get("proof"), dict) and "root_hash" in found["proof"]:
            compared += _check_transaction(found)
    return compared


def _check_block(value: Any, identity: Any) -> int:
    block = rpc_json.block_from_json(value)
    header = block.header
    assert hashing.data_hash(block.txs) == header.data_hash
    assert hashing.commit_hash(block.last_commit) == header.last_commit_hash
    assert hashing.evidence_hash(block.evidence) == header.evidence_hash
    assert hashing.consensus_hash(max_bytes=22_020_096, max_gas=-1) == header.consensus_hash
    assert rpc_json.block_from_json(rpc_json.block_to_json(block)) == block
    if identity is None:
        return 4
    assert hashing.block_id(block) == rpc_json.block_id_from_json(identity)
    return 6


def _check_transaction(entry: Any) -> int:
    tx = rpc_json.bytes_from_base64(entry["tx"])
    assert hashing.transaction_hash(tx).hex().upper() == entry["hash"]
    listed = entry["proof"]["proof"]
    proof = merkle.MerkleProof(
        int(listed["total"]),
        int(listed["index"]),
        rpc_json.bytes_from_base64(listed["leaf_hash"]),
        tuple(rpc_json.bytes_from_base64(aunt) for aunt in listed["aunts"]),
    )
    merkle.verify(bytes.fromhex(entry["proof"]["root_hash"]), hashing.transaction_hash(tx), proof)
    return 2


def _require_header_hash(value: Any, expected: str) -> None:
    assert hashing.header_hash(rpc_json.header_from_json(value)).hex().upper() == expected


def check_secp256k1eth(path: Path) -> int:
    """Signers recovered from signatures. The digests are of that project's own packed vote, not CometBFT sign bytes."""
    case = _load(path)
    compared = 0
    for part, members in SECP256K1ETH_PARTS:
        commit = case[part]["commit"]
        validators = [bytes.fromhex(address[2:]) for address in case[members]["validators"]]
        signers = [address for place, address in enumerate(validators) if commit["signerBitmap"] >> place & 1]
        for address, message, signature in zip(signers, commit["voteSignBytes"], commit["signatures"], strict=True):
            digest = keccak256(bytes.fromhex(message[2:]))
            recovered = sign_bytes.recover_secp256k1_eth(digest, bytes.fromhex(signature[2:]))
            assert recovered is not None
            assert types.PublicKey(types.KeyKind.SECP256K1_ETH, recovered.format()).address == address
            compared += 1
    return compared


def check_ics23(path: Path) -> int:
    """One existence or non-existence proof under its root."""
    case = _load(path)
    spec = {"smt": ics23.SMT_SPEC, "tendermint": ics23.TENDERMINT_SPEC}[path.parent.name]
    root, key, value = (bytes.fromhex(case[part]) for part in ("root", "key", "value"))
    proof = ics23.decode_commitment_proof(bytes.fromhex(case["proof"]))
    if value:
        ics23.verify_existence(spec, root, key, value, proof)
    else:
        ics23.verify_non_existence(spec, root, key, proof)
    return 1


FOLDERS: dict[str, Callable[[Path], int]] = {
    "cometbft/light_client/single_step": check_light_client,
    "cometbft/rpc_kvstore_v0_38": check_rpc,
    "cometbft/secp256k1eth": check_secp256k1eth,
    "ics23/smt": check_ics23,
    "ics23/tendermint": check_ics23,
}


def files(folder: str) -> list[Path]:
    """The vector files of a folder, none on a machine without them."""
    return sorted((VECTORS / folder).glob("*.json"))


def _load(path: Path) -> Any:
    return json.loads(path.read_text())


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from _objects(member)


def main(arguments: list[str]) -> int:
    counts = {}
    ok = True
    for folder, check in FOLDERS.items():
        passed = failed = compared = 0
        for path in files(folder):
            try:
                found = check(path)
                passed += found > 0
                compared += found
            except Exception as error:
                failed += 1
                print(f"{folder}/{path.name}: {error!r}", file=sys.stderr)
        ok = ok and passed > 0 and not failed
        counts[folder] = {"files": len(files(folder)), "passed": passed, "failed": failed, "checks": compared}
        if "--json" not in arguments:
            print(f"{folder}: {passed} files passed, {failed} failed, {compared} checks")
    print(json.dumps({"ok": ok, "folders": counts}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
