"""Children end when they are asked, and when they are not."""

import asyncio
import sys
from pathlib import Path

import pytest

from core.runtime import children

POLITE = "print('up', flush=True); import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {POLITE}"


async def started(program: str) -> asyncio.subprocess.Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"up\n"
    return child


async def test_a_child_that_listens_is_asked_to_end() -> None:
    child = await started(POLITE)
    await children.end(child, 10)
    assert child.returncode == -15
    await children.end(child, 10)


async def test_a_child_that_does_not_listen_is_killed() -> None:
    child = await started(STUBBORN)
    await children.end(child, 0.1)
    assert child.returncode == -9


async def test_children_are_killed_together() -> None:
    both = [await started(STUBBORN), await started(POLITE)]
    await children.kill(*both)
    assert [child.returncode for child in both] == [-9, -9]


@pytest.mark.parametrize(
    ("logged", "shown"),
    [(b"one\ntwo\n\n", "two"), (b"", "it said nothing"), (b"x" * 10_000 + b"\nend", "end"), (b"\xff\n", "\ufffd")],
)
def test_the_last_line_of_a_log_is_shown(tmp_path: Path, logged: bytes, shown: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(logged)
    assert children.last_line(log) == shown


def test_a_log_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    assert children.last_line(tmp_path / "no" / "log") == "its log cannot be read: No such file or directory"
