"""The first steps of two readers' pages, as they are written, on a devnet: dApp and supervisor."""

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.devnet import Devnet, DevnetSettings
from tests.gateway.reader import Reader, block

DIRECTORY = Path(".causeway/devnet")

MISSING = [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


def without(text: str, *beginnings: str) -> str:
    """The lines that do not begin so: what the test has done already."""
    kept = [line for line in text.splitlines() if not line.startswith(beginnings)]
    assert len(kept) == len(text.splitlines()) - len(beginnings)
    return "\n".join(kept)


@pytest.fixture
async def devnet(tmp_path: Path) -> AsyncIterator[Devnet]:
    async with Devnet(DevnetSettings(tmp_path / DIRECTORY)) as running:
        yield running


async def test_the_first_steps_of_each_reader_work_as_written(devnet: Devnet, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    page = "dapps/first-swap.md"
    assert "completed" in await reader.types(block(page, "causeway swap"))
    (reader.directory / "first_swap.py").write_text(block(page, "import asyncio"))
    command = block(page, "ETH_HASH_BACKEND").replace(".venv/bin/python", sys.executable)
    assert (await reader.types(command)).rstrip().endswith("completed")
    relayer_url = next(iter(devnet.info.relayers.values()))
    shown = await reader.types(block(page, "curl -s $RELAYER/v1/relayer"), {"RELAYER": relayer_url})
    assert '"watchtower"' in shown
    assert devnet.info.yuan in shown
    steps = without(block("supervising/api.md", "export API="), "export API=")
    shown = await reader.types(steps, {"API": devnet.info.regulator, "KEY": devnet.info.regulator_key})
    assert '"conservation"' in shown
    assert "proven" in shown
