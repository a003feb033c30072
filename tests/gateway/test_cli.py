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

NETWORK = ["chain", "init-network", "home", "--engine", "embedded", "--validators", "1"]
INIT = ["chain", "init", "home", "--chain-id", "test-1", "--name", "bank-a", "--node", "a.example:26656"]
COMMANDS = [
    [],
    ["up"],
    ["demo"],
    ["swap"],
    ["swap", "list"],
    ["swap", "show"],
    ["swap", "explain"],
    ["swap", "replay"],
    ["status"],
    ["doctor"],
    ["verify"],
    ["query"],
    ["anchor", "fetch"],
    ["anchor", "update"],
    ["relayer"],
    ["relayer", "run"],
    ["relayer", "check"],
    ["relayer", "init"],
    ["relayer", "adopt"],
    ["relayer", "accounts"],
    ["contract", "hash"],
    ["contract", "deploy"],
    ["contract", "verify"],
    ["keys", "new"],
    ["keys", "list"],
    ["keys", "address"],
    ["keys", "import"],
    ["keys", "export"],
    ["keys", "passphrase"],
    ["keys", "remove"],
    ["regulator", "run"],
    ["regulator", "check"],
    ["index", "run"],
    ["index", "check"],
    ["index", "status"],
    ["index", "rebuild"],
    ["index", "verify"],
    ["index", "acknowledge"],
    ["chain", "init"],
    ["chain", "collect"],
    ["chain", "join"],
    ["chain", "members"],
    ["chain", "proposals"],
    ["chain", "propose"],
    ["chain", "vote"],
    ["chain", "admit"],
    ["chain", "appoint"],
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
        ([*INIT, "--key-type", "rsa"], 1, "secp256k1eth"),
        ([*INIT, "--asset", "gold"], 1, "SYMBOL:DECIMALS"),
        ([*INIT, "--role", "validator"], 1, "there is no role 'validator'"),
        ([*INIT, "--chain-id", "a b"], 1, "CAIP-2"),
        ([*INIT, "--node", "a.example"], 1, "HOST:PORT"),
        ([*INIT, "--power", str(2**40 + 1)], 1, "1099511627776"),
        (["chain", "collect", "none.json"], 3, "none.json"),
        (["chain", "join", "nowhere"], 1, "causeway chain init nowhere"),
        (["chain", "join", "nowhere", "--genesis", "g.json"], 1, "--genesis-hash"),
        (["chain", "run", "nowhere"], 1, "causeway chain init"),
        (["chain", "propose", "--key", "k.json"], 1, "--application"),
        (["chain", "init-network", "home", "--engine", "embedded", "--asset", "gold"], 1, "symbol:decimals"),
        (["chain", "init-network", "--engine", "raft"], 1, "cometbft or embedded"),
        (["chain", "init-network", "--key-type", "rsa"], 1, "secp256k1eth"),
        (["chain", "init-network", "--node", "a.example:26656"], 1, "once for each of the 4 validators"),
        (["chain", "init-network", "--node", "a.example"], 1, "--node"),
        (["keys", "new", "keys.json", "one"], 3, "CAUSEWAY_PASSPHRASE"),
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


def test_a_file_that_is_no_evidence_is_not_proven(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text("{}")
    (tmp_path / "anchor.json").write_text("{}")
    shown = causeway("verify", "evidence.json", "--json", cwd=tmp_path)
    assert shown.returncode == 2
    assert json.loads(shown.stdout)["verified"] is False
