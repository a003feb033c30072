"""A SQLite file is one daemon's: a second one learns whose."""

import os
from pathlib import Path

import pytest

from core.model.errors import ConflictError
from core.runtime.database_hold import held


def test_a_sqlite_file_is_one_daemons(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/relayer.sqlite"
    with held(url):
        for _ in range(2):
            with pytest.raises(ConflictError, match=f"in use by process {os.getpid()} on .*one database"), held(url):
                pass
    with held(url):
        pass


def test_a_postgres_is_held_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not even be there: leases say who works on it."""
    monkeypatch.chdir(tmp_path)
    url = "postgresql://nobody@127.0.0.1:1/none"
    inside = 0
    with held(url), held(url):
        inside += 1
    assert inside == 1
    assert list(tmp_path.iterdir()) == []
