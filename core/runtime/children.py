"""Child processes, always by process id: ended, and what they logged last.

Each is started with `start_new_session=True`, so that Ctrl-C in a terminal reaches only us and we end them in order.
"""

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MAX_TAIL_BYTES: Final = 4_000
"""How much of a log's end is looked at for its last line."""


async def end(child: asyncio.subprocess.Process, timeout_s: float) -> None:
    """Ask a child to end (SIGTERM), and end it if it does not in time. Safe if it has ended."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await child.wait()
    await kill(child)


async def kill(*children: asyncio.subprocess.Process) -> None:
    """SIGKILL to all at once: what a power cut looks like to everybody else. Safe for those that have ended."""
    for child in children:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
    for child in children:
        await child.wait()


def last_line(log: Path) -> str:
    """Return the last line of a log, as an error message may show it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_TAIL_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    return lines[-1] if lines else "it said nothing"


class Running(ABC):
    """Something that runs while a `with` block does."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @abstractmethod
    async def start(self) -> None:
        """Return once it runs; if that raises, nothing is left running."""

    @abstractmethod
    async def stop(self) -> None:
        """End it. Safe to call twice."""
