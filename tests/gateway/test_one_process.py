"""Two daemons on one file: the second says whose it is, and neither says that it is ready."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gateway.config import IndexConfig, to_toml
from relayer.keys.keystore import write_keystore
from tests.gateway.test_cli import causeway
from tests.gateway.test_config import ETHEREUM, relayer
from tests.support import eventually

PASSPHRASE = "correct horse"
KEYS = dict.fromkeys(("ethereum", "consortium", "quote"), bytes(31) + b"\1")


@pytest.mark.parametrize("command", ["relayer", "index"])
async def test_a_second_daemon_is_refused_with_the_first(tmp_path: Path, command: str) -> None:
    write_keystore(tmp_path / "keystore.json", PASSPHRASE, KEYS)
    (tmp_path / "relayer.toml").write_text(to_toml(relayer()))
    (tmp_path / "index.toml").write_text(to_toml(IndexConfig("sqlite:///relayer.sqlite", (ETHEREUM,))))
    held = tmp_path / "relayer.sqlite.lock"
    environment = {**os.environ, "PASSPHRASE": PASSPHRASE}
    first = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "relayer", "run", "--json",
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await eventually(lambda: held.exists() and held.read_bytes(), deadline_s=30)
        second = await asyncio.to_thread(causeway, command, "run", "--json", cwd=tmp_path, PASSPHRASE=PASSPHRASE)
        assert second.returncode == 1
        assert f"relayer.sqlite is in use by process {first.pid} on " in second.stderr
        assert "relayer run" in second.stderr
        assert "ready" not in second.stdout
        assert "Traceback" not in second.stderr
    finally:
        if first.returncode is None:
            first.kill()
        out, _ = await first.communicate()
        assert b"ready" not in out


@pytest.mark.parametrize(
    ("database", "code", "word"),
    [
        ("sqlite:///keystore.json", 1, "is not an SQLite database"),
        ("sqlite:///.", 1, "is a directory"),
    ],
)
def test_a_database_that_cannot_be_used_gets_a_sentence(tmp_path: Path, database: str, code: int, word: str) -> None:
    write_keystore(tmp_path / "keystore.json", PASSPHRASE, KEYS)
    (tmp_path / "relayer.toml").write_text(to_toml(relayer(database=database)))
    shown = causeway("relayer", "run", cwd=tmp_path, PASSPHRASE=PASSPHRASE)
    assert (shown.returncode, word in shown.stderr) == (code, True), shown.stderr
    assert "Traceback" not in shown.stderr
