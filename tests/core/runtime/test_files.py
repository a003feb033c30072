"""One file, one process; and files that are replaced whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.model.errors import ConflictError, FatalError
from core.runtime.files import FileLock, locked, replace_file

HOLDER = """
import sys, time
from pathlib import Path
from core.runtime.files import FileLock
lock = FileLock(Path(sys.argv[1])); lock.take(); print("held", flush=True); time.sleep(60)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds `path` while the block runs; it is killed in the end."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_with_the_firsts_id(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "relayer.sqlite"
    with holder(path) as process:
        with pytest.raises(ConflictError, match=f"relayer.sqlite is in use by process {process.pid} on "):
            FileLock(path).take()
        assert (path.parent / "relayer.sqlite.lock").stat().st_mode & 0o777 == 0o600
    with locked(path), pytest.raises(ConflictError, match=f"process {os.getpid()} on "):
        FileLock(path).take()
    with locked(path):
        pass


def test_a_kill_lets_go_and_a_stopped_process_does_not(tmp_path: Path) -> None:
    path = tmp_path / "relayer.sqlite"
    with holder(path) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(ConflictError):
            FileLock(path).take()
    with locked(path):
        pass


def test_a_file_has_one_lock_under_all_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "alias.sqlite").symlink_to(tmp_path / "real" / "a.sqlite")
    monkeypatch.chdir(tmp_path)
    with locked(tmp_path / "real" / "a.sqlite"):
        for name in ("link/a.sqlite", "alias.sqlite", "real/../real/a.sqlite"):
            with pytest.raises(ConflictError):
                FileLock(Path(name)).take()


def test_a_lock_file_of_nonsense_still_counts(tmp_path: Path) -> None:
    path, place = tmp_path / "a", tmp_path / "a.lock"
    place.write_bytes(b"\xff{not json" * 1_000)
    with locked(path):
        place.write_bytes(b"\xff")
        with pytest.raises(ConflictError, match="in use by another process"):
            FileLock(path).take()


def test_a_lock_that_cannot_be_made_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match="cannot lock"):
        FileLock(tmp_path / "file" / "under").take()


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "keys.json"
    replace_file(path, b"first")
    replace_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600

    def fail(_: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, b"third")
    assert path.read_bytes() == b"second"
    assert [one.name for one in path.parent.iterdir()] == ["keys.json"]


def test_names_are_made_durable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    replace_file(tmp_path / "a", b"x")
    assert synced[-1] == str(tmp_path)
    assert Path(synced[0]).name.startswith(".a.")


async def test_a_store_is_for_one_client_at_a_time(tmp_path: Path) -> None:
    from relayer.client import SwapStore

    path = tmp_path / "swaps.sqlite"
    store = SwapStore.file(path)
    with (
        holder(path) as process,
        pytest.raises(ConflictError, match=f"process {process.pid} on .*one client at a time"),
    ):
        await store.prepare()
    await store.prepare()
    other = SwapStore.file(path)
    with pytest.raises(ConflictError):
        await other.prepare()
    store.release()
    await other.prepare()
    await store.close()
    await other.close()
