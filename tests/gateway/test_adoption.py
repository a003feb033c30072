"""`causeway relayer adopt`: what nobody here signed is shown, and acknowledged on purpose only."""

import json
from pathlib import Path

import pytest

from core.model.types import AccountId, ChainId
from core.runtime.database import create_schema, open_database
from gateway.config import to_toml
from relayer.transactions.accounts import note_foreign_use, open_account, unacknowledged
from tests.gateway.test_cli import causeway
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

ACCOUNTS = {chain.id: AccountId(f"{chain.id}:0x{'7' * 40}") for chain in (ETHEREUM, LEDGER)}


@pytest.fixture
async def used(tmp_path: Path) -> Path:
    """A relayer's directory; somebody used both of its accounts."""
    (tmp_path / "relayer.toml").write_text(to_toml(relayer()))
    database = open_database(f"sqlite:///{tmp_path}/relayer.sqlite")
    await database.write(create_schema)
    for chain, account in ACCOUNTS.items():
        name = ChainId(chain)
        await database.write(lambda c, n=name, a=account: open_account(c, n, a, 0, False, 1))  # type: ignore[misc]
        await database.write(
            lambda c, n=name, a=account: note_foreign_use(c, n, a, 3, 5, 10**18, tx_hash=b"\xab" * 32)  # type: ignore[misc]
        )
    await database.close()
    return tmp_path


async def waiting(directory: Path) -> list[str]:
    database = open_database(f"sqlite:///{directory}/relayer.sqlite")
    found = await database.read(unacknowledged)
    await database.close()
    return [use.chain for use in found]


async def test_uses_are_shown_and_acknowledged_on_purpose(used: Path) -> None:
    shown = causeway("relayer", "adopt", cwd=used)
    assert shown.returncode == 1
    assert f"{ETHEREUM.id}  {ACCOUNTS[ETHEREUM.id]}  sequence 3 to 4, seen 2001-09-09" in shown.stdout
    assert "ab" * 32 in shown.stdout
    assert "--yes" in shown.stderr
    assert len(await waiting(used)) == 2
    shown = causeway("relayer", "adopt", "--chain", ETHEREUM.id, "--yes", cwd=used)
    assert (shown.returncode, "1 of 1 acknowledged" in shown.stdout) == (0, True)
    assert await waiting(used) == [LEDGER.id]
    shown = causeway("relayer", "adopt", "--json", cwd=used)
    [found] = json.loads(shown.stdout)["found"]
    assert (found["chain"], found["first"], found["last"], json.loads(shown.stdout)["acknowledged"]) == (
        LEDGER.id,
        3,
        4,
        0,
    )
    assert json.loads(causeway("relayer", "adopt", "--json", "--yes", cwd=used).stdout)["acknowledged"] == 1
    assert await waiting(used) == []
    assert "nothing to acknowledge" in causeway("relayer", "adopt", cwd=used).stdout


def test_an_unknown_chain_and_a_missing_database_are_refused(tmp_path: Path) -> None:
    (tmp_path / "relayer.toml").write_text(to_toml(relayer()))
    shown = causeway("relayer", "adopt", "--chain", "eip155:31338", cwd=tmp_path)
    assert (shown.returncode, "did you mean eip155:31337?" in shown.stderr) == (1, True)
    shown = causeway("relayer", "adopt", cwd=tmp_path)
    assert (shown.returncode, "causeway relayer run --adopt" in shown.stderr) == (1, True)
    assert not (tmp_path / "relayer.sqlite").exists()
