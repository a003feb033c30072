"""Clients that strangers' generators make of our OpenAPI documents: they build, strictly, and read real answers."""

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from core.model.types import Preimage
from relayer.api import wire
from tests.regulator_api.test_evidence import a_leg_proven
from tests.relayer.api.world import ApiWorld, served
from tests.relayer.house import A, B

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
GENERATORS = ROOT / ".tools/clients/bin"
BUILD_S = 600
STRICT = ("--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess")
MODERN = ("--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext")


async def run(folder: Path, *command: str) -> str:
    """Return what a program printed. Fail with its complaint if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, "PATH": f"{GENERATORS}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(BUILD_S):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, printed.decode()
    return printed.decode().strip()


async def typescript(folder: Path, name: str, address: str, *arguments: str) -> str:
    """Generate types, compile the program `<name>_client.ts` against them, run it, and return what it printed."""
    node = shutil.which("node")
    tools = ROOT / "node_modules/.bin"
    if node is None or not (tools / "tsc").exists():
        pytest.skip("no Node with TypeScript here: `make setup` installs it")
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    shutil.copy(HERE / f"{name}_client.ts", folder)
    await run(folder, node, str(tools / "openapi-typescript"), f"{address}/openapi.json", "--output", f"{name}.ts")
    await run(folder, node, str(tools / "tsc"), *STRICT, *MODERN, f"{name}_client.ts")
    return await run(folder, node, f"{name}_client.js", address, *arguments)


async def python(folder: Path, name: str, package: str, address: str, *arguments: str) -> str:
    """Generate a client, run the program `<name>_client.py` on it, and return what it printed."""
    generator = GENERATORS / "openapi-python-client"
    if not generator.exists():
        pytest.skip("no openapi-python-client here: `make test` installs it")
    target = ("--meta", "none", "--output-path", package, "--fail-on-warning")
    await run(folder, str(generator), "generate", "--url", f"{address}/openapi.json", *target)
    shutil.copy(HERE / f"{name}_client.py", folder)
    return await run(folder, str(GENERATORS / "python"), f"{name}_client.py", address, *arguments)


def opened(build: Callable[[str, list[str]], Coroutine[Any, Any, str]]) -> tuple[str, list[str]]:
    """Return what the program printed that is built, and the ids of the swaps that a real relayer has then."""
    found: list[tuple[str, list[str]]] = []

    async def story(world: ApiWorld) -> None:
        hashlock = wire.hex_of(Preimage(b"\x09" * 32).hashlock())
        accounts = [world.initiator[chain].account for chain in (A, B)]
        printed = await build(world.address, [hashlock, *accounts])
        found.append((printed, [swap.id for swap in await world.api.swaps()]))

    served(story)
    return found[0]


@pytest.mark.long
def test_typescript_client_of_the_relayer_opens_a_swap(tmp_path: Path) -> None:
    printed, swaps = opened(lambda address, given: typescript(tmp_path, "relayer", address, *given))
    assert swaps == [printed]


@pytest.mark.long
def test_python_client_of_the_relayer_opens_a_swap(tmp_path: Path) -> None:
    printed, swaps = opened(lambda address, given: python(tmp_path, "relayer", "relayer_api", address, *given))
    assert swaps == [printed]


@pytest.mark.long
async def test_clients_of_the_supervision_api_read_evidence(tmp_path: Path) -> None:
    for folder in ("chain", "ts", "py"):
        (tmp_path / folder).mkdir()
    async with a_leg_proven(tmp_path / "chain") as proven:
        address, key = proven.api.address, proven.api.keys["prover"]
        printed = await typescript(tmp_path / "ts", "regulator", address, key)
        digest = await python(tmp_path / "py", "regulator", "regulator_api_client", address, key)
        assert printed.split()[0] == digest
