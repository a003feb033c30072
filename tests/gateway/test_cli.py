"""The command line as somebody meets it for the first time."""

import json
import os
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from core.runtime.metrics import Metrics
from core.runtime.version import VERSION
from local_chains.consortium.node import load_operator_key
from relayer.keys.keystore import read_keystore

COMMANDS = [
    [],
    ["up"],
    ["demo"],
    ["swap"],
    ["status"],
    ["verify"],
    ["relayer"],
    ["relayer", "run"],
    ["relayer", "check"],
    ["relayer", "adopt"],
    ["relayer", "keys"],
    ["relayer", "accounts"],
    ["relayer", "import-operator"],
    ["regulator", "run"],
    ["regulator", "check"],
    ["index", "run"],
    ["index", "check"],
    ["index", "status"],
    ["index", "rebuild"],
    ["index", "verify"],
    ["index", "acknowledge"],
    ["chain", "init"],
    ["chain", "init-network"],
    ["chain", "run"],
]


def causeway(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_version_has_one_source(tmp_path: Path) -> None:
    shown = causeway("--version", cwd=tmp_path)
    with (Path(__file__).parents[2] / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert shown.stdout == f"causeway {version}\n"
    assert version == VERSION
    assert f'causeway_build_info{{python="{platform.python_version()}",version="{version}"}} 1.0' in (
        Metrics().exposition()[0].decode()
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str], tmp_path: Path) -> None:
    shown = causeway(*command, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "Usage:" in shown.stdout
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("command", "code", "word"),
    [
        (["status"], 1, "causeway up"),
        (["swap", "1", "eth", "cnyd"], 1, "causeway up"),
        (["verify", "none.json"], 1, "none.json"),
        (["relayer", "run"], 1, "--config"),
        (["relayer", "accounts", "--config", "none.toml"], 1, "--config"),
        (["regulator", "run", "--config", "none.toml"], 1, "--config"),
        (["index", "run"], 1, "--config"),
        (["index", "status"], 1, "--config"),
        (["chain", "run", "nowhere"], 1, "nowhere"),
        (["chain", "run", "nowhere", "--listen", "x"], 1, "host:port"),
        (["chain", "init", "home", "--key-type", "rsa"], 1, "secp256k1eth"),
        (["chain", "init", "home", "--asset", "gold"], 1, "symbol:decimals"),
        (["chain", "run", "nowhere"], 1, "causeway chain init"),
        (["chain", "init-network", "--engine", "raft"], 1, "cometbft or embedded"),
        (["chain", "init-network", "--key-type", "rsa"], 1, "secp256k1eth"),
        (["chain", "init-network", "--node", "a.example:26656"], 1, "once for each of the 4 validators"),
        (["chain", "init-network", "--node", "a.example"], 1, "--node"),
        (["relayer", "keys", "keys.json", "one"], 3, "CAUSEWAY_PASSPHRASE"),
        (["chain", "run", "nowhere", "--interval-s", "nan"], 2, "--interval-s"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_gets_one_sentence_that_says_what_to_do(
    command: list[str], code: int, word: str, tmp_path: Path
) -> None:
    shown = causeway(*command, cwd=tmp_path, CAUSEWAY_PASSPHRASE="")
    assert shown.returncode == code, shown.stderr
    assert word in shown.stderr
    assert "Traceback" not in shown.stderr


def test_keys_are_made_once(tmp_path: Path) -> None:
    arguments = ["relayer", "keys", "keys.json", "ethereum", "quote"]
    assert causeway(*arguments, cwd=tmp_path, CAUSEWAY_PASSPHRASE="long enough").returncode == 0
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    again = causeway(*arguments, cwd=tmp_path, CAUSEWAY_PASSPHRASE="long enough")
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_an_operators_key_comes_into_the_keystore(tmp_path: Path) -> None:
    secret = {"CAUSEWAY_PASSPHRASE": "long enough"}
    assert causeway("chain", "init", "home", "--validators", "1", cwd=tmp_path).returncode == 0
    assert causeway("relayer", "keys", "keys.json", "quote", cwd=tmp_path, **secret).returncode == 0
    [file] = (tmp_path / "home" / "validators").glob("*/operator_key.json")
    arguments = ["relayer", "import-operator", "keys.json", "operator", str(file)]
    shown = causeway(*arguments, cwd=tmp_path, **secret)
    assert (shown.returncode, 'keys = ["operator"]' in shown.stdout) == (0, True), shown.stderr
    keys = read_keystore(tmp_path / "keys.json", "long enough")
    assert keys.names() == ("operator", "quote")
    assert keys.key("operator").expose() == load_operator_key(file).seed
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    again = causeway(*arguments, cwd=tmp_path, **secret)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    stranger = causeway("relayer", "import-operator", "keys.json", "x", "keys.json", cwd=tmp_path, **secret)
    assert (stranger.returncode, "is not an operator's key" in stranger.stderr) == (3, True)


def test_a_file_that_is_no_evidence_is_not_proven(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text("{}")
    (tmp_path / "anchor.json").write_text("{}")
    shown = causeway("verify", "evidence.json", "--json", cwd=tmp_path)
    assert shown.returncode == 2
    assert json.loads(shown.stdout)["verified"] is False
