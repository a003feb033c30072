"""Evidence in blocks, as CometBFT itself wrote it (`data/evidence_v0_40.json`): JSON, bytes and hashes."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.proofs.cometbft import hashing, sign_bytes
from core.proofs.cometbft import json as rpc_json
from core.proofs.cometbft.encoding import encode_block
from core.proofs.cometbft.light_client import verify_commit, verify_light_block
from core.proofs.cometbft.types import Block, DuplicateVoteEvidence, LightClientAttackEvidence
from core.proofs.errors import InsufficientPowerError, MalformedProofError

VECTOR: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "evidence_v0_40.json").read_bytes())


def block() -> Block:
    return rpc_json.block_from_json(VECTOR["block"])


def test_block_with_evidence_has_cometbfts_bytes_and_hashes() -> None:
    read = block()
    assert encode_block(read).hex() == VECTOR["block_bytes"]
    assert hashing.evidence_hash(read.evidence).hex() == VECTOR["evidence_hash"] == read.header.evidence_hash.hex()
    found = hashing.block_id(read)
    assert (found.hash.hex(), found.parts.hash.hex()) == (VECTOR["block_hash"], VECTOR["parts_hash"])


def test_evidence_is_written_as_cometbft_writes_it() -> None:
    assert rpc_json.block_to_json(block())["evidence"] == VECTOR["block"]["evidence"]


def test_duplicate_votes_are_read_with_powers_and_signatures() -> None:
    [duplicate, attack] = block().evidence
    assert isinstance(duplicate, DuplicateVoteEvidence)
    assert isinstance(attack, LightClientAttackEvidence)
    assert (duplicate.total_voting_power, duplicate.validator_power) == (33, 11)
    signer = attack.conflicting_block.validators.by_address(duplicate.vote_a.validator_address)
    assert signer is not None
    for vote in (duplicate.vote_a, duplicate.vote_b):
        message = sign_bytes.single_vote_sign_bytes("evidence-1", vote)
        assert sign_bytes.verify_signature(signer.public_key, message, vote.signature)


def test_light_client_attack_is_read_with_its_block() -> None:
    attack = block().evidence[1]
    assert isinstance(attack, LightClientAttackEvidence)
    assert (attack.common_height, attack.total_voting_power) == (4, 33)
    assert [validator.power for validator in attack.byzantine_validators] == [12]
    conflicting = attack.conflicting_block
    verify_light_block(conflicting, "evidence-1")
    verify_commit("evidence-1", conflicting.validators, conflicting.commit)
    _, second, absent = conflicting.commit.signatures
    fewer = replace(conflicting.commit, signatures=(absent, second, absent))
    with pytest.raises(InsufficientPowerError):
        verify_commit("evidence-1", conflicting.validators, fewer)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("damage", ["type", "power", "time", "value", "votes"])
def test_damaged_evidence_is_refused_or_has_another_hash(place: int, damage: str) -> None:
    changed = copy.deepcopy(VECTOR["block"])
    entry = changed["evidence"]["evidence"][place]
    value = entry["value"]
    if damage == "type":
        entry["type"] = "tendermint/OtherEvidence"
    elif damage == "power":
        value["TotalVotingPower"] = "34"
    elif damage == "time":
        value["Timestamp"] = "2023-11-14T22:13:21Z"
    elif damage == "value":
        entry["value"] = []
    else:
        for name in ("vote_a", "ConflictingBlock"):
            value.pop(name, None)
    try:
        read = rpc_json.block_from_json(changed)
    except MalformedProofError:
        return
    assert damage in ("power", "time")
    assert hashing.evidence_hash(read.evidence).hex() != VECTOR["evidence_hash"]
