"""`causeway supervise replay|export`, and `causeway verify` of an alert's bundle, over a regulator's database."""

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection
from typer.testing import CliRunner

import gateway.cli.replay
import gateway.cli.verification  # noqa: F401  # they register their commands
from core.runtime.database import SqliteDatabase
from gateway.cli import app
from regulator_api import bundles
from regulator_api.knowledge.store import load_labels
from regulator_api.rules import bundles as alert_bundles
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.reading import Knowledge
from regulator_api.rules.store import standing_alerts
from regulator_api.rules.versions import load_rates, load_rules
from tests.regulator_api.rules.test_routes import _filled

CONFIG = """
name = "supervision"
listen = "127.0.0.1:0"
database = "sqlite:///regulator.sqlite"

[[chains]]
kind = "consortium"
id = "causeway:main"
genesis = "6f1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0ff"
assets = ["causeway:main/asset:cnyd"]
endpoints = [{url = "https://node.bank-a.example", operator = "bank a"}]
timing = {block_time_s = 1, inclusion_s = 8, finality_s = 0, observation_s = 30, lead_s = 10, lag_s = 10}

[[keys]]
name = "inspector"
sha256 = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"
scopes = ["read"]
"""


@pytest.fixture(scope="module")
def supervision(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A configuration next to a database that the engine has read, and how many alerts it raised."""
    folder = tmp_path_factory.mktemp("supervision")
    config = folder / "regulator.toml"
    config.write_text(CONFIG)
    return config, asyncio.run(_fill(folder))


async def _fill(folder: Path) -> int:
    database = SqliteDatabase(folder / "regulator.sqlite")
    await _filled(database)
    found = await database.read(partial(_bundles, folder))
    await database.close()
    return found


def _bundles(folder: Path, connection: Connection) -> int:
    knowledge = Knowledge(RuleSet(load_rules(connection)), load_labels(connection), load_rates(connection))
    standing = standing_alerts(connection)
    alert = next(one for one in standing if one.rule.startswith("chain_hopping"))
    (folder / "bundle.json").write_bytes(bundles.seal("alert", alert_bundles.make(connection, knowledge, alert)))
    return len(standing)


def run(*arguments: str) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])


def test_replay_finds_what_the_daemon_has_raised(supervision: tuple[Path, int], tmp_path: Path) -> None:
    config, alerts = supervision
    out = tmp_path / "alerts.json"
    code, said = run("supervise", "replay", "--config", str(config), "--processes", "1", "--out", str(out))
    assert (code, said["alerts"], said["only_replayed"], said["only_stored"]) == (0, alerts, 0, 0)
    assert len(json.loads(out.read_bytes())) == alerts
    folder = tmp_path / "export"
    code, exported = run("supervise", "export", str(folder), "--config", str(config))
    assert (code, exported["moves"]) == (0, said["moves"])
    code, again = run("supervise", "replay", "--config", str(config), "--processes", "1", "--from", str(folder))
    assert (code, again["sha256"]) == (0, said["sha256"])


def test_alert_that_somebody_removed_is_noticed(supervision: tuple[Path, int], tmp_path: Path) -> None:
    config, alerts = supervision
    for file in config.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copy = tmp_path / "regulator.toml"
    asyncio.run(_remove_one(tmp_path / "regulator.sqlite"))
    code, said = run("supervise", "replay", "--config", str(copy), "--processes", "1")
    assert (code, said["alerts"], said["only_replayed"], said["only_stored"]) == (2, alerts, 1, 0)
    code, said = run("supervise", "replay", "--config", str(copy), "--processes", "1", "--again")
    assert (code, said["again"]) == (0, True)


async def _remove_one(file: Path) -> None:
    database = SqliteDatabase(file)
    statement = (
        "DELETE FROM regulator_alerts WHERE alert_id = "
        "(SELECT alert_id FROM regulator_alerts WHERE NOT withdrawn LIMIT 1)"
    )
    await database.write(lambda connection: connection.exec_driver_sql(statement))
    await database.close()


def test_bundle_of_an_alert_is_verified_without_an_anchor(supervision: tuple[Path, int], tmp_path: Path) -> None:
    file = supervision[0].parent / "bundle.json"
    code, said = run("verify", str(file))
    assert (code, said["verified"]) == (0, True)
    assert "chain_hopping-1 says it again" in str(said["what"])
    changed = tmp_path / "changed.json"
    changed.write_bytes(file.read_bytes().replace(b'"label_version":', b'"label_version":1'))
    code, said = run("verify", str(changed))
    assert (code, said["verified"]) == (2, False)
    assert "digest" in str(said["reason"])


def test_unknown_engine_is_refused(supervision: tuple[Path, int]) -> None:
    result = CliRunner().invoke(app, ["supervise", "replay", "--config", str(supervision[0]), "--engine", "flink"])
    assert result.exit_code == 1
    assert "use local or spark" in str(result.exception)
