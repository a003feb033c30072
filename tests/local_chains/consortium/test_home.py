"""Homes: genesis files, key files, and what is refused."""

import json
import stat
from pathlib import Path

import pytest

from core.model.errors import FatalError, RejectedError
from core.proofs.cometbft.types import KeyKind
from local_chains.consortium.engine.home import (
    create_genesis,
    init_home,
    load_genesis,
    load_operator_keys,
    load_validator_keys,
    parse_genesis,
)
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, CHAIN


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_home_holds_a_genesis_file_and_its_keys(tmp_path: Path, kind: KeyKind) -> None:
    made = init_home(tmp_path / "chain", CHAIN, 3, kind, ASSETS, ACCOUNTS)
    assert load_genesis(tmp_path / "chain") == made
    keys, operators = load_validator_keys(tmp_path / "chain"), load_operator_keys(tmp_path / "chain")
    assert {key.public_key.address for key in keys} == {member.address for member in made.validators.validators}
    assert [key.public_key.hex() for key in operators] == [entry.public_key for entry in made.app_state.operators]
    document = json.loads((tmp_path / "chain/genesis.json").read_text())
    assert document["consensus_params"]["validator"]["pub_key_types"] == [kind.value]


def test_secrets_are_for_the_owner_s_eyes(tmp_path: Path) -> None:
    init_home(tmp_path / "chain", CHAIN, 2)
    files = list((tmp_path / "chain/validators").rglob("*.json"))
    assert len(files) == 4
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    secrets = [(repr(key), key.secret) for key in load_validator_keys(tmp_path / "chain")]
    secrets += [(repr(key), key.seed) for key in load_operator_keys(tmp_path / "chain")]
    assert all(repr(secret) not in shown and secret.hex() not in shown for shown, secret in secrets)


def test_a_home_is_made_once(tmp_path: Path) -> None:
    init_home(tmp_path / "chain", CHAIN, 1)
    with pytest.raises(RejectedError, match="already"):
        init_home(tmp_path / "chain", CHAIN, 1)


def test_no_home(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="genesis.json is missing"):
        load_genesis(tmp_path)


@pytest.mark.parametrize(
    ("assets", "accounts"),
    [
        ((GenesisAsset("CNYD", ANN.address.hex(), 2),), ()),
        ((GenesisAsset("cnyd", "00", 2),), ()),
        ((GenesisAsset("cnyd", ANN.address.hex(), -1),), ()),
        ((ASSETS[0], ASSETS[0]), ()),
        (ASSETS, (ACCOUNTS[0], ACCOUNTS[0])),
        (ASSETS, (GenesisAccount(ANN.address.hex(), {"none": "1"}),)),
        (ASSETS, (GenesisAccount(ANN.address.hex(), {"cnyd": "-1"}),)),
        (ASSETS, (GenesisAccount(ANN.address.hex(), {"cnyd": "1.5"}),)),
        (ASSETS, (GenesisAccount(ANN.address.hex(), {"cnyd": str(2**256)}),)),
        (ASSETS, (GenesisAccount("zz", {"cnyd": "1"}),)),
    ],
)
def test_a_genesis_file_that_contradicts_itself_is_refused(
    tmp_path: Path, assets: tuple[GenesisAsset, ...], accounts: tuple[GenesisAccount, ...]
) -> None:
    with pytest.raises(RejectedError):
        init_home(tmp_path / "chain", CHAIN, 1, assets=assets, accounts=accounts)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"chain_id":"x"}'])
def test_what_is_no_genesis_file(raw: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_genesis(raw)


def test_a_chain_has_validators() -> None:
    with pytest.raises(RejectedError):
        create_genesis(CHAIN, 0, [])


def test_a_damaged_key_file_is_fatal_and_not_shown(tmp_path: Path) -> None:
    init_home(tmp_path / "chain", CHAIN, 1)
    path = tmp_path / "chain/validators/0/priv_validator_key.json"
    document = json.loads(path.read_text())
    secret = document["priv_key"]["value"]
    document["pub_key"] = {"type": "tendermint/PubKeyEd25519", "value": "A" * 43 + "="}
    path.write_text(json.dumps(document))
    with pytest.raises(FatalError) as caught:
        load_validator_keys(tmp_path / "chain")
    assert secret not in str(caught.value)


@pytest.mark.parametrize("chain_id", ["", "a b", "a:b", "a/b", "x" * 33, "é", "a\n"])
def test_id_that_caip_2_forbids_is_refused(tmp_path: Path, chain_id: str) -> None:
    with pytest.raises(RejectedError, match="chain id"):
        init_home(tmp_path / "chain", chain_id)
    assert not (tmp_path / "chain" / "genesis.json").exists()


@pytest.mark.parametrize("size", ["-1", "0", "4194305", "104857600"])
def test_genesis_with_blocks_beyond_the_ledgers_limit_is_refused(tmp_path: Path, size: str) -> None:
    raw = init_home(tmp_path / "chain", CHAIN).raw
    assert b'"max_bytes": "4194304"' in raw
    with pytest.raises(RejectedError, match=r"block\.max_bytes"):
        parse_genesis(raw.replace(b'"max_bytes": "4194304"', f'"max_bytes": "{size}"'.encode()))
