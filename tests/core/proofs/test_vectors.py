"""Every published vector, and what else the real node's responses allow to check."""

import json

import pytest

from core.proofs.cometbft import json as rpc_json
from core.proofs.cometbft import light_client, types
from tests.support import vectors
from tests.vectors import FOLDERS, files

KVSTORE = "cometbft/rpc_kvstore_v0_38"
CASES = [(folder, path.name) for folder in FOLDERS for path in files(folder)] or [(next(iter(FOLDERS)), "(no vectors)")]


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_published_vector(folder: str, name: str) -> None:
    FOLDERS[folder](vectors(folder) / name)


@pytest.mark.parametrize(
    ("folder", "least"),
    [
        ("cometbft/light_client/single_step", 51),
        (KVSTORE, 54 * 4 + 53 * 2 + 9 * 2 + 11),
        ("cometbft/secp256k1eth", 2 * 4 * 7),
        ("ics23/smt", 6),
        ("ics23/tendermint", 6),
    ],
)
def test_the_vectors_are_really_looked_at(folder: str, least: int) -> None:
    vectors(folder)
    assert sum(map(FOLDERS[folder], files(folder))) >= least


def test_a_real_commit_verifies_under_the_genesis_validators() -> None:
    genesis = json.loads((vectors(KVSTORE) / "genesis.json").read_text())["result"]["genesis"]
    validators = rpc_json.validator_set_from_json(genesis["validators"])
    answer = json.loads((vectors(KVSTORE) / "commit_at_height_10.json").read_text())["result"]
    signed = rpc_json.signed_header_from_json(answer["signed_header"])
    light_client.verify_light_block(types.LightBlock(signed, validators), genesis["chain_id"])
    light_client.verify_commit(genesis["chain_id"], validators, signed.commit)
