"""Daemons as child processes: started, waited for, stopped, killed. Always by process id, never by name.

A daemon says that it is ready in one JSON line on its standard output, `{"ready": true, "url": …}`; its log goes to
a file. The child gets a session of its own, so that Ctrl-C in a terminal reaches only us and we stop things in order.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from core.model.errors import FatalError
from core.runtime import children

START_TIMEOUT_S: Final = 45.0
STOP_TIMEOUT_S: Final = 10.0


@dataclass(slots=True)
class Daemon:
    """One `causeway …` child. `arguments` are those of the command line, without the program."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = ""
    _process: asyncio.subprocess.Process | None = None
    _log_file: IO[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and wait for its word that it is ready. Raise `FatalError` with the end of its log."""
        if self.running:
            raise FatalError(f"{self.name} is running already")
        self._close_log()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_file = self.log.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log_file,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                self.url = await self._ready()
        except TimeoutError:
            await self.kill()
            raise FatalError(f"{self.name} was not ready after {START_TIMEOUT_S:.0f} s; see {self.log}") from None
        except BaseException:
            await self.kill()
            raise

    async def _ready(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                word = json.loads(line)
                if word["ready"]:
                    return str(word["url"])
        code = await self._process.wait()
        raise FatalError(
            f"{self.name} ended with code {code} while starting: {children.last_line(self.log)} (log: {self.log})"
        )

    async def stop(self) -> None:
        """Ask it to stop, and end it if it does not. Safe to call twice."""
        if self._process is not None:
            await children.end(self._process, STOP_TIMEOUT_S)
        self._close_log()

    async def kill(self) -> None:
        """SIGKILL: what a crash looks like."""
        if self._process is not None:
            await children.kill(self._process)
        self._close_log()

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None
        return await self._process.wait()

    def _close_log(self) -> None:
        if self._log_file is not None:
            self._log_file.close()
            self._log_file = None
