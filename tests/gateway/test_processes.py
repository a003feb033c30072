"""Children: ready, stopped, killed, and a start that fails."""

import os
from pathlib import Path

import pytest

from core.model.errors import FatalError, RejectedError
from gateway.devnet.directory import MARKER, claimed
from gateway.processes import Daemon
from local_chains.consortium.node import init_home


def chain(tmp_path: Path, listen: str = "127.0.0.1:0") -> Daemon:
    home = tmp_path / "home"
    if not home.exists():
        init_home(home, "test-1")
    return Daemon("chain", ["chain", "run", str(home), "--listen", listen, "--json"], tmp_path / "chain.log")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_daemon_is_ready_stops_and_starts_again(tmp_path: Path) -> None:
    daemon = chain(tmp_path)
    await daemon.start()
    pid = daemon.pid
    assert pid is not None
    assert daemon.url.startswith("http://127.0.0.1:")
    await daemon.stop()
    assert not alive(pid)
    await daemon.start()
    try:
        assert daemon.running
    finally:
        await daemon.kill()
    assert not daemon.running


async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    first = chain(tmp_path)
    await first.start()
    try:
        with pytest.raises(FatalError, match="while starting"):
            await chain(tmp_path).start()
    finally:
        await first.stop()


def test_one_devnet_at_a_time_in_a_directory(tmp_path: Path) -> None:
    with claimed(tmp_path):
        (tmp_path / "left-over").write_text("x")
        with pytest.raises(RejectedError, match="already"), claimed(tmp_path):
            pass
    with claimed(tmp_path):
        assert [entry.name for entry in tmp_path.iterdir()] == [MARKER]


def test_somebody_elses_directory_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(RejectedError, match="something else"), claimed(tmp_path):
        pass
    assert (tmp_path / "thesis.tex").exists()
