"""Both APIs of a real devnet against their own OpenAPI documents: `python -m tests.apis`, or `make api-test`.

A swap is made first, and tags and an entity are stated, so that there is something to find. Then schemathesis asks
every operation what its document allows and what it does not: no answer may be a server's error, or another than
documented. Streams are left out: they do not end.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import aiohttp

from gateway.devnet.info import DevnetInfo
from gateway.devnet.network import DEVELOPER, Devnet, DevnetSettings

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
ENDLESS: Final = "/(events|socket|stream|stream/[a-z]+|updates)$"
MAX_S: Final = 60
"""For one API: what is not asked by then is not asked."""


async def main(examples: int, max_s: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with Devnet(DevnetSettings(Path(folder) / "devnet")) as devnet:
            await _fill(devnet.info, devnet.settings.directory)
            token = devnet.info.regulator_tokens[DEVELOPER]
            failed = 0
            for name, address, headers in (
                ("regulator", devnet.info.regulator, {"Authorization": f"Bearer {token}", "X-Case": "1"}),
                ("relayer", devnet.info.relayers["relayer-a"], {}),
            ):
                began = time.monotonic()
                code = await asyncio.to_thread(_ask, address, headers, examples, max_s)
                print(
                    f"{name}: {'as documented' if code == 0 else 'NOT as documented'}, {time.monotonic() - began:.0f} s"
                )
                failed |= code
                async with aiohttp.ClientSession() as session, session.get(f"{address}/healthz") as response:
                    failed |= response.status != 200
    return failed


async def _fill(info: DevnetInfo, directory: Path) -> None:
    """A swap from its quote to its claims, and something that is known of its accounts."""
    swap = [sys.executable, "-m", "gateway", "swap", "0.01", "eth", "cnyd", "--dir", str(directory), "--yes"]
    process = await asyncio.create_subprocess_exec(*swap, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait() != 0:
        raise SystemExit("the swap that was to be found failed")
    headers = {"Authorization": f"Bearer {info.regulator_tokens[DEVELOPER]}"}
    async with aiohttp.ClientSession(info.regulator, headers=headers) as session:
        for user in info.users:
            tag = {
                "account": user.ethereum_account,
                "label": user.name,
                "category": "user",
                "source": "tests",
                "confidence": 90,
                "valid_from_s": 1,
                "jurisdiction": "CH",
                "entity": user.name,
            }
            async with session.post("/v1/tags", json=tag) as response:
                response.raise_for_status()
        entity = {"id": "alice", "name": "Alice", "jurisdiction": "CH"}
        async with session.post("/v1/entities", json=entity) as response:
            response.raise_for_status()


def _ask(address: str, headers: dict[str, str], examples: int, max_s: int) -> int:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(examples), "--max-time", str(max_s), "--generation-deterministic", "--no-shrink"]
    command += ["--exclude-path-regex", ENDLESS, "--request-timeout", "10", "--warnings", "off", "--no-color"]
    # Most made-up texts cannot stand in a path, and others are made: that is the generator's matter, not the API's.
    command += ["--suppress-health-check", "filter_too_much"]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10, help="of each operation")
    parser.add_argument("--max-time", type=int, default=MAX_S, help="seconds for each API")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.examples, given.max_time)))
