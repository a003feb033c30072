"""Somebody who types what a page says."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
STEP_S = 300.0


def block(page: str, begins: str) -> str:
    """The block of code on a page in which a line begins so."""
    found: list[str] = [
        text for _, text in FENCE.findall((DOCS / page).read_text(encoding="utf-8")) if f"\n{begins}" in f"\n{text}"
    ]
    assert len(found) == 1, (page, begins)
    return found[0]


class Reader:
    """Somebody who types what a page says, in one directory."""

    def __init__(self, directory: Path, path: Path | None = None) -> None:
        self.directory = directory
        programs = [str(Path(sys.executable).parent), *([] if path is None else [str(path)])]
        self.environment: dict[str, str] = {
            **os.environ,
            "PATH": ":".join([*programs, os.environ["PATH"]]),
            "ETH_HASH_BACKEND": "pysha3",
            "NO_COLOR": "1",
        }

    async def start(self, script: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script),
            cwd=self.directory,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def types(self, script: str, more: Mapping[str, str] | None = None) -> str:
        """Return what the commands show. Fail if one of them does."""
        self.environment |= more or {}
        process = await self.start(script)
        try:
            async with asyncio.timeout(STEP_S):
                shown, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        text = shown.decode()
        assert process.returncode == 0, text
        return text

    @asynccontextmanager
    async def terminal(self, script: str, ready: str) -> AsyncIterator[None]:
        """Run a command until the block ends, once it has shown `ready`."""
        process = await self.start(script)
        shown: list[str] = []
        try:
            assert process.stdout is not None
            async with asyncio.timeout(STEP_S):
                async for line in process.stdout:
                    shown.append(line.decode())
                    if ready in shown[-1]:
                        break
                else:
                    raise AssertionError(f"it ended: {''.join(shown)}")
            draining = asyncio.create_task(process.stdout.read())
            yield
            draining.cancel()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
