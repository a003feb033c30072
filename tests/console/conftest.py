"""Chromium, and a devnet on which a swap was made."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from console.application import missing_files
from gateway.devnet import Devnet, DevnetSettings
from gateway.devnet.info import DevnetInfo

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWAP_S = 120


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Skip without Chromium: `.ci/run` installs Debian's."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install it (Debian: apt-get install chromium)")
    if missing := missing_files():
        pytest.skip(f"the console's scripts are not built ({', '.join(missing)}): `make console`")
    async with async_playwright() as playwright:
        # Root, as containers have it, may not use Chromium's sandbox; the pages are our own.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def swap(
    directory: Path, amount: str = "0.01", give: str = "eth", get: str = "cnyd", user: str = "alice"
) -> None:
    """A user of the devnet in `directory` swaps, to the end."""
    command = ("swap", amount, give, get, "--user", user, "--yes", "--dir", str(directory))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *command,
        env={**os.environ, "ETH_HASH_BACKEND": "pysha3"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SWAP_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[DevnetInfo]:
    """A devnet with one completed swap."""
    directory = tmp_path / "devnet"
    # By production's allowances: the gates of a devnet close on a slow machine.
    async with Devnet(DevnetSettings(directory, policy="production")) as devnet:
        await swap(directory)
        yield devnet.info
