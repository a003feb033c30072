"""How fast a chain of 2-second blocks is caught up with through the narrowest of providers.

    python -m bench.narrow_provider            # a table
    python -m bench.narrow_provider --json     # the last line alone

The provider stands before anvil and refuses, in words that nobody knows, logs of more than 10 blocks, batches of more
than 10 calls, and with HTTP 429 every request above 5 in any second. Nothing of it is configured: the follower, into a
SQLite file with all projections, starts with what it asks of everybody, and learns. The chain makes 0.5 blocks a second
meanwhile, so that more than this is needed to catch up at all. The limit by the provider's own numbers: ten blocks cost
a request for their headers, and 100 blocks one for their logs.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from adapters.evm.chain import EvmChain
from adapters.evm.contracts.deployer import mint_token
from adapters.evm.endpoints import Endpoint, Endpoints
from core.model.types import BaseUnits, Height, Seconds
from core.runtime.clock import SystemClock
from core.runtime.database import create_schema, open_database
from core.runtime.logging import configure_logging
from indexer.feed import FactSignal
from indexer.follower import Follower, FollowerState
from tests.adapters.evm.harness import TIMING, EvmHarness, evm_harness, settings_for
from tests.adapters.evm.provider import Limits, Provider, provider

BLOCKS: Final = 1_000
BLOCK_S: Final = 2
EVENT_EVERY: Final = 10
"""Blocks from one transfer to the next."""
RANGE_BLOCKS: Final = 10
BATCH_CALLS: Final = 10
REQUESTS_PER_S: Final = 5
TIMEOUT_S: Final = 600.0
LIMITS: Final = Limits(
    blocks=RANGE_BLOCKS, batch=BATCH_CALLS, per_s=REQUESTS_PER_S, words="your plan is too small for this", status=400
)


async def lengthen(evm: EvmHarness) -> None:
    [token] = evm.contracts.tokens
    for _ in range(BLOCKS // EVENT_EVERY):
        await evm.send(evm.bank, mint_token(evm.bank.account, token, evm.bank.account, BaseUnits(1)))
        await evm.rpc("anvil_mine", hex(EVENT_EVERY - 1), hex(BLOCK_S))


async def catch_up(evm: EvmHarness, narrow: Provider, directory: Path) -> tuple[int, float]:
    """Blocks, and seconds until all of them are stored."""
    database = open_database(f"sqlite:///{directory / 'index.sqlite'}")
    await database.write(create_schema)
    pool = Endpoints([Endpoint(narrow.url)])
    timing = replace(TIMING, block_time_s=Seconds(BLOCK_S))
    settings = replace(settings_for(evm.anvil, evm.contracts), endpoints=(Endpoint(narrow.url),), timing=timing)
    chain = EvmChain(settings, replace(evm.chain.parameters, timing=timing), pool)
    heads, source = chain.heads, chain.blocks
    follower = Follower(chain.parameters, heads, source, database, FactSignal(), SystemClock(), Height(0))
    begun_s = time.monotonic()
    following = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while follower.status.state is not FollowerState.LIVE or follower.status.lag_blocks:
                if following.done():
                    following.result()
                await asyncio.sleep(0.05)
        taken_s = time.monotonic() - begun_s
        tip = follower.status.tip
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await chain.close()
        await database.close()
    if tip is None:
        raise SystemExit("nothing was followed")
    return tip.height + 1, taken_s


async def measure() -> dict[str, float]:
    async with evm_harness() as evm, provider(evm.anvil.rpc_url, LIMITS) as narrow:
        await lengthen(evm)
        with tempfile.TemporaryDirectory() as directory:
            blocks, taken_s = await catch_up(evm, narrow, Path(directory))
        return {
            "narrow_provider_blocks_per_s": round(blocks / taken_s, 1),
            "narrow_provider_blocks": blocks,
            "narrow_provider_requests": narrow.requests,
            "narrow_provider_refused": narrow.refused,
            "narrow_provider_too_soon": narrow.too_soon,
            "narrow_provider_limit_blocks_per_s": round(
                REQUESTS_PER_S / (1 / BATCH_CALLS + 1 / (RANGE_BLOCKS * BATCH_CALLS)), 1
            ),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON object")
    arguments = parser.parse_args()
    configure_logging("error", "console", sys.stderr)
    figures = asyncio.run(measure())
    if not arguments.json:
        for name, value in figures.items():
            print(f"{name:42} {value:>10}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
