"""`causeway keys`: keys come in, go out and are shown, and nothing is lost or printed on the way."""

import json
from pathlib import Path

import pytest
from eth_account import Account

from local_chains.consortium.node import load_operator_key
from relayer.keys.keystore import read_keystore
from tests.gateway.test_cli import causeway

SECRET = {"CAUSEWAY_PASSPHRASE": "long enough"}
SEED = bytes(range(1, 33))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    assert causeway("keys", "new", "keys.json", "ethereum", "quote", cwd=tmp_path, **SECRET).returncode == 0
    return tmp_path


def test_fresh_keys_join_those_that_are_there(here: Path) -> None:
    assert (here / "keys.json").stat().st_mode & 0o777 == 0o600
    before = read_keystore(here / "keys.json", "long enough")
    assert causeway("keys", "new", "keys.json", "consortium", cwd=here, **SECRET).returncode == 0
    after = read_keystore(here / "keys.json", "long enough")
    assert after.names() == ("consortium", "ethereum", "quote")
    assert all(before.key(name) == after.key(name) for name in before.names())
    again = causeway("keys", "new", "keys.json", "other", "quote", cwd=here, **SECRET)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    assert read_keystore(here / "keys.json", "long enough").names() == after.names()


def test_operators_key_comes_into_the_keystore(here: Path) -> None:
    assert (
        causeway("chain", "init-network", "home", "--engine", "embedded", "--validators", "1", cwd=here).returncode == 0
    )
    [file] = (here / "home" / "validators").glob("*/operator_key.json")
    arguments = ["keys", "import", "keys.json", "operator", "--operator", str(file)]
    shown = causeway(*arguments, cwd=here, **SECRET)
    assert (shown.returncode, 'keys = ["operator"]' in shown.stdout) == (0, True), shown.stderr
    keys = read_keystore(here / "keys.json", "long enough")
    assert keys.key("operator").expose() == load_operator_key(file).seed
    again = causeway(*arguments, cwd=here, **SECRET)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    stranger = causeway("keys", "import", "keys.json", "x", "--operator", "keys.json", cwd=here, **SECRET)
    assert (stranger.returncode, "is not an operator's key" in stranger.stderr) == (3, True)


def test_ethereum_key_goes_out_and_comes_back(here: Path) -> None:
    (here / "seed").write_text(f"0x{SEED.hex()}\n")
    (here / "word").write_text("another passphrase\n")
    came = causeway("keys", "import", "keys.json", "wallet", "--seed", "seed", cwd=here, **SECRET)
    address = Account.from_key(SEED).address
    assert (came.returncode, address in came.stdout, SEED.hex() in came.stdout) == (0, True, False), came.stderr
    export = ["keys", "export", "keys.json", "wallet", "--out", "UTC.json", "--to-passphrase-file", "word"]
    assert causeway(*export, cwd=here, **SECRET).returncode == 0
    assert (here / "UTC.json").stat().st_mode & 0o777 == 0o600
    assert bytes(Account.decrypt((here / "UTC.json").read_text(), "another passphrase")) == SEED
    assert causeway(*export, cwd=here, **SECRET).returncode == 1
    back = ["keys", "import", "other.json", "wallet", "--ethereum", "UTC.json", "--from-passphrase-file"]
    wrong = causeway(*back, "seed", cwd=here, **SECRET)
    assert (wrong.returncode, "does not open" in wrong.stderr) == (3, True)
    right = causeway(*back, "word", cwd=here, **SECRET)
    assert (right.returncode, address in right.stdout) == (0, True), right.stderr
    assert read_keystore(here / "other.json", "long enough").key("wallet").expose() == SEED


def test_addresses_are_shown_without_a_chain(here: Path) -> None:
    listed = json.loads(causeway("keys", "list", "keys.json", "--json", cwd=here, **SECRET).stdout)
    assert [one["name"] for one in listed] == ["ethereum", "quote"]
    shown = causeway("keys", "address", "keys.json", "ethereum", "--chain", "eip155:8453", cwd=here, **SECRET)
    assert shown.stdout == f"eip155:8453:{listed[0]['ethereum']}\n"
    shown = causeway("keys", "address", "keys.json", "quote", "--chain", "causeway:net-1", cwd=here, **SECRET)
    assert shown.stdout == f"causeway:net-1:{listed[1]['consortium']}\n"
    for chain, code in (("eip155", 1), ("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", 1)):
        refused = causeway("keys", "address", "keys.json", "quote", "--chain", chain, cwd=here, **SECRET)
        assert (refused.returncode, "Traceback" in refused.stderr) == (code, False)


def test_passphrase_changes_and_keys_are_removed(here: Path) -> None:
    before = read_keystore(here / "keys.json", "long enough").key("quote")
    (here / "word").write_text("another passphrase\n")
    (here / "short").write_text("short\n")
    refused = causeway("keys", "passphrase", "keys.json", "--new-file", "short", cwd=here, **SECRET)
    assert (refused.returncode, "at least 8" in refused.stderr) == (1, True)
    assert causeway("keys", "passphrase", "keys.json", "--new-file", "word", cwd=here, **SECRET).returncode == 0
    assert read_keystore(here / "keys.json", "another passphrase").key("quote") == before
    remove = ["keys", "remove", "keys.json", "ethereum", "--passphrase-file", "word"]
    unasked = causeway(*remove, cwd=here)
    assert (unasked.returncode, "--yes" in unasked.stderr) == (1, True)
    assert causeway(*remove, "--yes", cwd=here).returncode == 0
    assert read_keystore(here / "keys.json", "another passphrase").names() == ("quote",)


@pytest.mark.parametrize("passphrase", ["", "short", "        "])
def test_keystore_under_a_weak_passphrase_is_not_made(tmp_path: Path, passphrase: str) -> None:
    shown = causeway("keys", "new", "keys.json", "quote", cwd=tmp_path, CAUSEWAY_PASSPHRASE=passphrase)
    assert shown.returncode in (1, 3)
    assert "passphrase" in shown.stderr
    assert not (tmp_path / "keys.json").exists()


def test_passphrase_opens_in_either_unicode_form(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9 noir", "cafe\u0301 noir"
    assert causeway("keys", "new", "k.json", "quote", cwd=tmp_path, CAUSEWAY_PASSPHRASE=composed).returncode == 0
    assert causeway("keys", "list", "k.json", cwd=tmp_path, CAUSEWAY_PASSPHRASE=apart).returncode == 0
