"""The first steps of two readers' pages, as they are written, on a devnet: dApp and supervisor."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway.devnet import Devnet, DevnetSettings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DIRECTORY = Path(".causeway/devnet")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
STEP_S = 120.0

MISSING = [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


def block(page: str, begins: str) -> str:
    """The block of code on a page in which a line begins so."""
    found: list[str] = [
        text for _, text in FENCE.findall((DOCS / page).read_text(encoding="utf-8")) if f"\n{begins}" in f"\n{text}"
    ]
    assert len(found) == 1, (page, begins)
    return found[0]


def without(text: str, *beginnings: str) -> str:
    """The lines that do not begin so: what the test has done already."""
    kept = [line for line in text.splitlines() if not line.startswith(beginnings)]
    assert len(kept) == len(text.splitlines()) - len(beginnings)
    return "\n".join(kept)


class Reader:
    """Somebody who types what a page says, in a directory next to the devnet's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment: dict[str, str] = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
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


@pytest.fixture
async def devnet(tmp_path: Path) -> AsyncIterator[Devnet]:
    async with Devnet(DevnetSettings(tmp_path / DIRECTORY)) as running:
        yield running


async def test_the_first_steps_of_each_reader_work_as_written(devnet: Devnet, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    await developer(reader, devnet)
    await supervisor(reader, devnet)


async def developer(reader: Reader, devnet: Devnet) -> None:
    page = "dapps/first-swap.md"
    assert "completed" in await reader.types(block(page, "causeway swap"))
    (reader.directory / "first_swap.py").write_text(block(page, "import asyncio"))
    command = block(page, "ETH_HASH_BACKEND").replace(".venv/bin/python", sys.executable)
    assert (await reader.types(command)).rstrip().endswith("completed")
    relayer_url = next(iter(devnet.info.relayers.values()))
    shown = await reader.types(block(page, "curl -s $RELAYER/v1/relayer"), {"RELAYER": relayer_url})
    assert '"watchtower"' in shown
    assert devnet.info.yuan in shown


async def supervisor(reader: Reader, devnet: Devnet) -> None:
    steps = without(block("supervising/api.md", "export API="), "export API=")
    shown = await reader.types(steps, {"API": devnet.info.regulator, "KEY": devnet.info.regulator_key})
    assert '"conservation"' in shown
    assert "proven" in shown
