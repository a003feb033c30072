"""The audit log and its anchors on a running chain; `causeway regulator init|token|key|lists` as people type them."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

import gateway.cli.audits
import gateway.cli.daemons
import gateway.cli.supervising  # noqa: F401  # they register their commands
from core.model.errors import CausewayError, NotFoundError, RejectedError
from core.proofs.evidence.codec import encode_anchor
from core.runtime.database import create_schema, open_database
from gateway import audits, keyring, regulator_setup
from gateway.anchors import fetch_anchor
from gateway.cli import app
from gateway.cli.verification import read_anchor
from gateway.config import AnchoringConfig, RegulatorConfig, load
from gateway.regulator_setup import WantedSupervision
from gateway.supervision import signing_seed
from local_chains.consortium.node import ConsortiumNode, GenesisAccount, GenesisAsset, Pace, init_home
from regulator_api import audit
from regulator_api.audit import Access
from regulator_api.signing import Signer
from tests.support import eventually

PASSPHRASE = "correct horse battery"
ADDRESS = "ab" * 20
SPOKEN = keyring.Passphrase(None, "CAUSEWAY_PASSPHRASE")
INDEX = """\
database = "sqlite:///index.sqlite"

[[chains]]
kind = "evm"
id = "eip155:31337"
genesis = "6f1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0ff"
contract = "eip155:31337:0x5c9e7ba1b8c2a0c3b0c8d2f6f3a7d9e4b1a2c3d4"
assets = ["eip155:31337/slip44:60"]
endpoints = [{url = "http://127.0.0.1:1", operator = "nobody"}]
timing = {block_time_s = 1, inclusion_s = 8, finality_s = 2, observation_s = 30, lead_s = 10, lag_s = 10}
"""


@pytest.fixture(autouse=True)
def _passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSEWAY_PASSPHRASE", PASSPHRASE)


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    """A chain on which the regulator's account is admitted, whose keystore is in `tmp_path`."""
    keys = keyring.complete(tmp_path / "keystore.json", regulator_setup.KEYS, SPOKEN)
    account = GenesisAccount(keys[regulator_setup.SIGNING_KEY]["consortium"], {})
    init_home(tmp_path / "home", "test-1", assets=[GenesisAsset("cnyd", ADDRESS, 2)], accounts=[account])
    async with ConsortiumNode(tmp_path / "home", pace=Pace(interval_s=0.1)) as running:

        async def began() -> bool:
            return running.engine.tip.height > 0

        await eventually(began)
        yield running


async def set_up(node: ConsortiumNode, folder: Path) -> RegulatorConfig:
    wanted = WantedSupervision(
        "supervision",
        "127.0.0.1:8490",
        "sqlite:///regulator.sqlite",
        consortium=[node.rpc_url],
        symbols=["cnyd"],
    )
    file = regulator_setup.write(folder, await regulator_setup.draft(wanted), SPOKEN)
    anchoring = '[anchoring]\nchain = "causeway:test-1"\nnamespace = "audit"\n\n[signing]'
    file.write_text(file.read_text().replace("[signing]", anchoring))
    return load(file, RegulatorConfig)


async def log_reads(folder: Path, signer: Signer, count: int) -> None:
    database = open_database(f"sqlite:///{folder}/regulator.sqlite")

    def fill(connection: Any) -> None:
        create_schema(connection)
        audit.prepare(connection)
        for number in range(count):
            read = Access(number, "client:analyst", "GET", "/v1/tags", "", f"request-{number}", 200, bytes(32))
            audit.append(connection, read, signer)

    await database.write(fill)
    await database.close()


async def test_log_is_held_against_its_anchors(node: ConsortiumNode, tmp_path: Path) -> None:
    config = await set_up(node, tmp_path)
    assert config.anchoring == AnchoringConfig("causeway:test-1", "audit")
    signer = Signer(signing_seed(config, tmp_path))
    key = signer.public_key
    await log_reads(tmp_path, signer, 5)
    with pytest.raises(NotFoundError, match="nothing was anchored yet"):
        await audits.read_anchors(config, key, None)
    first = await audits.anchor_now(config, tmp_path)
    await log_reads(tmp_path, signer, 3)
    second = await audits.anchor_now(config, tmp_path)
    assert [one.seq for one in (first, second) if one is not None] == [5, 8]
    trusted = tmp_path / "anchor.json"
    trusted.write_bytes(encode_anchor(await fetch_anchor([node.rpc_url])))

    async def provable() -> bool:
        return (await audits.read_anchors(config, key, read_anchor(trusted)))[1] == 2

    await eventually(provable)  # what a block has written is proven under the next one
    known, _ = await audits.read_anchors(config, key, read_anchor(trusted))
    assert sorted(known) == [5, 8]
    found = await audits.verify_database(config, tmp_path, known, [key])
    assert (found.ok, found.entries, found.held, found.unsigned) == (True, 8, 2, 0)

    export = bytearray()
    assert await audits.export(config, tmp_path, export.extend) == 8
    file = tmp_path / "audit.jsonl"
    file.write_bytes(export)
    assert audits.verify_file(file, known, [key]).ok
    file.write_bytes(export.replace(b"/v1/tags", b"/v1/swap", 1))
    assert audits.verify_file(file, known, [key]).wrong == "entry 1 was changed, or an entry before it"

    with closing(sqlite3.connect(tmp_path / "regulator.sqlite")) as connection, connection:
        connection.execute("DELETE FROM regulator_audit WHERE seq > 6")
        hash_of_6 = connection.execute("SELECT hash FROM regulator_audit WHERE seq = 6").fetchone()[0]
        connection.execute("UPDATE regulator_audit_head SET seq = 6, hash = ?", (hash_of_6,))
    assert (await audits.verify_database(config, tmp_path, {}, [key])).ok  # the log itself cannot show it
    cut = await audits.verify_database(config, tmp_path, known, [key])
    assert cut.wrong == "entries after 6 are missing"


def run(*arguments: str) -> Any:
    """The JSON that a command prints; raise what it raises."""
    ended = CliRunner().invoke(app, list(arguments))
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return (ended.exit_code, ended.stdout) if ended.exit_code else json.loads(ended.stdout)


def test_two_minutes_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index.toml").write_text(INDEX)
    assert CliRunner().invoke(app, ["regulator", "init", ".", "--from", "index.toml"]).exit_code == 0
    config = load(tmp_path / "regulator.toml", RegulatorConfig)
    assert config.tokens is not None
    assert config.tokens.keys_file == "issuer-keys.json"
    assert CliRunner().invoke(app, ["regulator", "check"]).exit_code == 0
    assert run("regulator", "token", "analyst", "--jurisdiction", "CH", "--json")["access_token"].count(".") == 2
    for wrong in (["--scope", "everything"], ["--life", "999999"], ["--jurisdiction", "Mars"], ["--person", "a b"]):
        with pytest.raises(CausewayError):
            run("regulator", "token", "analyst", *wrong, "--json")
    assert run("regulator", "key", "relayers", "--scope", "report", "--json")["entry"]["scopes"] == ["report"]

    listed = tmp_path / "sanctioned_addresses_ETH.json"
    listed.write_text(json.dumps([f"0x{digit * 40}" for digit in "123"]))
    taken = ["regulator", "lists", "import", "ofac", str(listed), "--published", "2024-09-27", "--json"]
    assert run(*taken)["added"] == 6  # on Ethereum, and on the chain that is configured
    listed.write_text('[\n"0x1111111111111111111111111111111111111111",\n"junk"\n]')
    with pytest.raises(CausewayError, match="line 3"):
        run(*taken)
    listed.write_text(json.dumps([f"0x{digit * 40}" for digit in "12"]))
    changes = run("regulator", "lists", "diff", "ofac", str(listed), "--json")
    assert (changes["added"]["count"], changes["removed"]["count"]) == (0, 2)
    assert [(one["list"], one["entries"]) for one in run("regulator", "lists", "show", "--json")] == [("ofac", 6)]
    stated = run("regulator", "lists", "show", "1", "--json")
    assert {one["subject"] for one in stated} == {
        f"{chain}:0x{digit * 40}" for digit in "123" for chain in ("eip155:1", "eip155:31337")
    }


def test_audit_verify_ends_with_its_verdict(tmp_path: Path) -> None:
    signer, previous, lines = Signer(b"\x07" * 32), audit.FIRST_HASH, []
    for number in (1, 2):
        read = Access(number, "client:analyst", "GET", "/v1/tags", "", f"request-{number}", 200, bytes(32))
        previous = audit.entry_hash(number, read, previous)
        entry = audits.exported(audit.AuditEntry(number, read, previous, signer.sign_entry(previous)))
        lines.append(audits.line_of(entry))
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(lines))
    alone = ["audit", "verify", "--file", str(file), "--key", signer.public_key.hex(), "--json"]
    assert run(*alone)["ok"]
    for words, unnamed in ((alone[:-1], False), (alone[:4], True)):
        shown = CliRunner().invoke(app, words).stdout
        assert "2 of them signed" in shown
        assert ("nobody named" in shown) is unnamed
    assert run(*alone, "--known", f"2:{previous.hex()}")["held"] == 1
    code, said = run(*alone, "--known", f"3:{previous.hex()}")
    assert (code, json.loads(said)["wrong"]) == (2, "entries after 2 are missing")
    for known in ("x", "0:" + "a" * 64, "1:abc"):
        with pytest.raises(CausewayError, match="number and hash"):
            run(*alone, "--known", known)


@pytest.mark.parametrize("changes", [{"time_ns": 10**30}, {"status": 10**30}, {"seq": -1}, {"hash": "x"}, {"who": 7}])
def test_line_that_is_no_entry_is_refused_by_its_number(changes: dict[str, Any], tmp_path: Path) -> None:
    read = Access(1, "client:analyst", "GET", "/v1/tags", "", "request-1", 200, bytes(32))
    entry = audits.exported(audit.AuditEntry(1, read, audit.entry_hash(1, read, audit.FIRST_HASH)))
    good = json.loads(audits.line_of(entry))
    file = tmp_path / "audit.jsonl"
    file.write_text(json.dumps(good))
    assert audits.verify_file(file, {}, []).ok
    file.write_text(json.dumps(good | changes))
    with pytest.raises(RejectedError, match="line 1 is not an entry"):
        audits.verify_file(file, {}, [])


def test_init_without_a_chain_writes_nothing(tmp_path: Path) -> None:
    for options in (["--evm", "anvil"], []):
        with pytest.raises(CausewayError):
            run("regulator", "init", str(tmp_path / "here"), *options)
    assert list(tmp_path.rglob("*.json")) == list(tmp_path.rglob("*.toml")) == []
