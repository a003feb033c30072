"""The kit as a dApp's developer has it: packed, installed into an empty project, and swapping on a devnet."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.devnet import Devnet, DevnetSettings

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SWAP_S = 120
INSTALL_S = 300
KILLED = -signal.SIGKILL
LIES = 10
"""Of a relayer, in `swapping.mjs`."""

pytestmark = [pytest.mark.long, pytest.mark.alone]


async def run(folder: Path, *command: str | Path, within_s: float = SWAP_S) -> tuple[int, str, str]:
    """Return what a program ended with, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=folder,
        env={**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within_s):
            said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


@pytest.fixture
async def project(kit: Path, tmp_path: Path) -> Path:
    """An empty project with the packed kit and viem in it, as `npm install` makes it."""
    package = tmp_path / "kit"
    shutil.copytree(kit, package / "dist")
    for name in ("package.json", "README.md"):
        shutil.copy(ROOT / "kit" / name, package)
    code, said, complained = await run(package, "npm", "pack", "--json", "--ignore-scripts")
    assert code == 0, complained
    [packed] = json.loads(said)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "mine", "private": true, "type": "module"}', encoding="utf-8")
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]["viem"]
    # Whoever made this environment has these packages in npm's cache already.
    install = ("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")
    code, _, complained = await run(
        folder, *install, package / packed["filename"], f"viem@{wanted}", within_s=INSTALL_S
    )
    assert code == 0, complained
    return folder


@pytest.fixture
async def devnet(tmp_path: Path) -> AsyncIterator[Path]:
    async with Devnet(DevnetSettings(tmp_path / "devnet")):
        yield tmp_path / "devnet"


async def swapping(project: Path, devnet: Path, mode: str, *more: str) -> tuple[int, list[dict[str, Any]]]:
    (project / "swapping.mjs").write_bytes((HERE / "swapping.mjs").read_bytes())
    code, said, complained = await run(project, "node", "swapping.mjs", devnet, project / "store", mode, *more)
    assert code in (0, KILLED), complained
    return code, [json.loads(line) for line in said.splitlines()]


async def test_packed_kit_swaps_resumes_and_refunds(project: Path, devnet: Path) -> None:
    """The example of the package's page first, both ways round; then what goes wrong in a user's life."""
    shutil.copy(ROOT / "kit/examples/swap.mjs", project)
    code, said, complained = await run(project, "node", "swap.mjs", devnet)
    assert code == 0, complained
    assert said.count("completed 0x") == 2

    code, lines = await swapping(project, devnet, "stop")
    assert code == KILLED
    assert lines[-1]["stage"] == "locked"
    kept = b"".join(one.read_bytes() for one in (project / "store").iterdir())
    assert b"preimage" not in kept
    assert b"eip155" not in kept
    _, lines = await swapping(project, devnet, "resume")
    assert lines[0]["stage"] == "locked"
    assert lines[-1] == {"result": "completed"}

    _, lines = await swapping(project, devnet, "stop", "token")
    assert lines[-1]["stage"] == "locked"
    _, lines = await swapping(project, devnet, "resume")
    assert lines[-1] == {"result": "completed"}

    _, lines = await swapping(project, devnet, "refund")
    assert lines[-1] == {"result": "refunded", "why": "called off: changed my mind"}
    assert all(line.get("stage") != "revealing" for line in lines)

    _, lines = await swapping(project, devnet, "lies")
    assert lines[0] == {"lie": "none", "stage": "agreed"}
    assert len(lines) == 1 + LIES
    assert {line.get("refused") for line in lines[1:]} <= {"rejected", "gate-closed"}, lines
