"""`causeway audit` and `causeway regulator init|token|lists` as people type them, the anchors on a running chain."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from core.proofs.evidence.codec import encode_anchor
from core.runtime.database import create_schema, open_database
from gateway import keyring, regulator_setup
from gateway.anchors import fetch_anchor
from gateway.config import AnchoringConfig, RegulatorConfig, load
from gateway.supervision import signing_seed
from local_chains.consortium.node import ConsortiumNode, GenesisAccount, GenesisAsset, Pace, init_home
from regulator_api import audit
from regulator_api.audit import Access
from regulator_api.signing import Signer
from tests.gateway.test_cli import causeway
from tests.support import eventually

PASSPHRASE = "correct horse battery"
SECRET = {"CAUSEWAY_PASSPHRASE": PASSPHRASE}
ADDRESS = "ab" * 20


@pytest.fixture(autouse=True)
def _passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSEWAY_PASSPHRASE", PASSPHRASE)


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    """A chain on which the regulator's account is admitted, whose keystore is in `tmp_path`."""
    keys = keyring.complete(
        tmp_path / "keystore.json", regulator_setup.KEYS, keyring.Passphrase(None, "CAUSEWAY_PASSPHRASE")
    )
    account = GenesisAccount(keys[regulator_setup.SIGNING_KEY]["consortium"], {})
    init_home(tmp_path / "home", "test-1", assets=[GenesisAsset("cnyd", ADDRESS, 2)], accounts=[account])
    async with ConsortiumNode(tmp_path / "home", pace=Pace(interval_s=0.1)) as running:

        async def began() -> bool:
            return running.engine.tip.height > 0

        await eventually(began)
        yield running


async def run(cwd: Path, *arguments: str) -> Any:
    """The JSON that a command prints, or its status and its words."""
    ended = await asyncio.to_thread(causeway, *arguments, cwd=cwd, **SECRET)
    if ended.returncode == 0:
        return json.loads(ended.stdout)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


async def set_up(node: ConsortiumNode, tmp_path: Path) -> RegulatorConfig:
    started = ["regulator", "init", ".", "--consortium", node.rpc_url, "--asset", "cnyd"]
    ended = await asyncio.to_thread(causeway, *started, cwd=tmp_path, **SECRET)
    assert ended.returncode == 0, ended.stderr
    file = tmp_path / "regulator.toml"
    text = file.read_text().replace(
        "[signing]", '[anchoring]\nchain = "causeway:test-1"\nnamespace = "audit"\n\n[signing]'
    )
    file.write_text(text)
    return load(file, RegulatorConfig)


async def log_reads(config: RegulatorConfig, base: Path, count: int) -> None:
    database = open_database(f"sqlite:///{base}/regulator.sqlite")
    signer = Signer(signing_seed(config, base))

    def fill(connection: Any) -> None:
        create_schema(connection)
        audit.prepare(connection)
        for number in range(count):
            read = Access(number, "client:analyst", "GET", "/v1/tags", "", f"request-{number}", 200, bytes(32))
            audit.append(connection, read, signer)

    await database.write(fill)
    await database.close()


async def test_log_is_anchored_and_held_against_its_anchors(node: ConsortiumNode, tmp_path: Path) -> None:
    config = await set_up(node, tmp_path)
    assert config.anchoring == AnchoringConfig("causeway:test-1", "audit")
    await log_reads(config, tmp_path, 5)
    assert (await run(tmp_path, "audit", "verify", "--anchors", "--json"))[0] == 1  # nothing was anchored yet
    first = await run(tmp_path, "audit", "anchor", "--json")
    assert isinstance(first, dict), first
    assert first["seq"] == 5
    await log_reads(config, tmp_path, 3)
    await run(tmp_path, "audit", "anchor", "--json")
    trusted = tmp_path / "anchor.json"
    trusted.write_bytes(encode_anchor(await fetch_anchor([node.rpc_url])))
    found = await run(tmp_path, "audit", "verify", "--anchor", str(trusted), "--json")
    assert isinstance(found, dict), found
    assert (found["ok"], found["entries"], found["held"], found["anchors"]) == (True, 8, 2, 2)
    export = tmp_path / "audit.jsonl"
    assert (await asyncio.to_thread(causeway, "audit", "export", str(export), cwd=tmp_path, **SECRET)).returncode == 0
    key = Signer(signing_seed(config, tmp_path)).public_key.hex()
    kept = f"{first['seq']}:{first['hash']}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    alone = ["audit", "verify", "--file", str(export), "--key", key, "--known", kept, "--json"]
    assert (await run(elsewhere, *alone))["ok"]
    export.write_text(export.read_text().replace("/v1/tags", "/v1/swap", 1))
    assert (await run(elsewhere, *alone))[0] == 2
    with closing(sqlite3.connect(tmp_path / "regulator.sqlite")) as connection, connection:
        connection.execute("DELETE FROM regulator_audit WHERE seq > 6")
        hash_of_6 = connection.execute("SELECT hash FROM regulator_audit WHERE seq = 6").fetchone()[0]
        connection.execute("UPDATE regulator_audit_head SET seq = 6, hash = ?", (hash_of_6,))
    assert (await run(tmp_path, "audit", "verify", "--json"))["ok"]  # the log itself cannot show it
    status, words = await run(tmp_path, "audit", "verify", "--anchor", str(trusted), "--json")
    assert status == 2
    assert "entries after 6 are missing" in words


async def test_lists_and_tokens_by_the_command_line(node: ConsortiumNode, tmp_path: Path) -> None:
    config = await set_up(node, tmp_path)
    assert config.tokens is not None
    assert config.tokens.keys_file == "issuer-keys.json"
    token = (await run(tmp_path, "regulator", "token", "analyst", "--jurisdiction", "CH", "--json"))["access_token"]
    assert token.count(".") == 2
    assert (await run(tmp_path, "regulator", "token", "analyst", "--scope", "everything", "--json"))[0] == 1
    assert (await run(tmp_path, "regulator", "token", "analyst", "--life", "999999", "--json"))[0] == 1
    entry = (await run(tmp_path, "regulator", "key", "relayers", "--scope", "report", "--json"))["entry"]
    assert entry["scopes"] == ["report"]
    listed = tmp_path / "sanctioned_addresses_ETH.json"
    listed.write_text(json.dumps([f"0x{digit * 40}" for digit in "123"]))
    taken = ["regulator", "lists", "import", "ofac", str(listed), "--published", "2024-09-27", "--json"]
    assert (await run(tmp_path, *taken))["added"] == 3
    listed.write_text('[\n"0x1111111111111111111111111111111111111111",\n"junk"\n]')
    status, words = await run(tmp_path, *taken)
    assert status == 1
    assert "line 3" in words
    listed.write_text(json.dumps([f"0x{digit * 40}" for digit in "12"]))
    changes = await run(tmp_path, "regulator", "lists", "diff", "ofac", str(listed), "--json")
    assert (changes["added"]["count"], changes["removed"]["count"]) == (0, 1)
    versions = await run(tmp_path, "regulator", "lists", "show", "--json")
    assert [(one["list"], one["entries"]) for one in versions] == [("ofac", 3)]
    stated = await run(tmp_path, "regulator", "lists", "show", "1", "--json")
    assert {one["subject"] for one in stated} == {f"eip155:1:0x{digit * 40}" for digit in "123"}


def test_init_without_a_chain_that_answers_writes_nothing(tmp_path: Path) -> None:
    ended = causeway("regulator", "init", "here", "--evm", "anvil", cwd=tmp_path, **SECRET)
    assert ended.returncode == 1
    assert "--rpc and --contract" in ended.stderr
    assert causeway("regulator", "init", "here", cwd=tmp_path, **SECRET).returncode == 1
    assert list(tmp_path.rglob("*.json")) == list(tmp_path.rglob("*.toml")) == []
