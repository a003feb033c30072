"""A node killed at any moment: blocks that it reported as committed stay, and the state is that of a replay."""

import asyncio
import base64
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.model.consortium import AccountLeaf, Transfer, account_key, decode_leaf, quantity, transaction_hash
from core.runtime.sockets import free_port
from local_chains.consortium.engine.embedded import open_engine
from local_chains.consortium.ledger.genesis import GenesisAccount
from local_chains.consortium.node import init_home
from tests.local_chains.consortium.support import ANN, ASSETS, BEN, CHAIN, replayed_app_hash
from tests.support import LONG, REPOSITORY, eventually

KILLS = 100 if LONG else 5
SEED = 20_261_122
RUN = """
import asyncio, sys
from pathlib import Path
from local_chains.consortium.node import Pace, run_node
from local_chains.consortium.state import backlog
backlog.CHECKPOINT_BLOCKS = 3  # so that it is killed in the middle of those, too
asyncio.run(run_node(Path(sys.argv[1]), port=int(sys.argv[2]), pace=Pace(interval_s=0.05, min_delay_s=0.005)))
"""


async def start(home: Path, port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, str(home), str(port), cwd=REPOSITORY, stderr=asyncio.subprocess.DEVNULL
    )


async def call(session: aiohttp.ClientSession, port: int, method: str, **params: Any) -> Any:
    """The result, None if the node is not there or refuses."""
    try:
        async with session.post(
            f"http://127.0.0.1:{port}", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        ) as response:
            return (await response.json()).get("result")
    except aiohttp.ClientError:
        return None


async def answers(session: aiohttp.ClientSession, port: int) -> bool:
    return await call(session, port, "health") is not None


async def load(session: aiohttp.ClientSession, port: int, first: int, committed: dict[bytes, int]) -> None:
    """Send transfers without waiting, and note which of them the node says are in a block."""
    sequence = first
    sent: list[bytes] = []
    while True:
        raw = ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(1)))
        answer = await call(session, port, "broadcast_tx_sync", tx=base64.b64encode(raw).decode())
        if answer is None:
            return
        if answer["code"] == 0:
            sequence += 1
            sent.append(raw)
        for waiting in sent[:4]:
            name = base64.b64encode(transaction_hash(waiting)).decode()
            found = await call(session, port, "tx", hash=name)
            if found is not None and found["tx_result"]["code"] == 0:
                committed[transaction_hash(waiting)] = int(found["height"])
                sent.remove(waiting)


def reached(committed: dict[bytes, int], wanted: int) -> bool:
    return len(committed) >= wanted


@pytest.mark.endurance
async def test_kill_9_under_load_loses_nothing(tmp_path: Path) -> None:
    home, port, rng = tmp_path / "chain", free_port(), random.Random(SEED)
    init_home(home, CHAIN, assets=ASSETS, accounts=[GenesisAccount(ANN.address.hex(), {"cnyd": "1000000000"})])
    committed: dict[bytes, int] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        for _ in range(KILLS):
            process = await start(home, port)
            try:
                await eventually(lambda: answers(session, port), deadline_s=30, interval_s=0.05)
                account = await call(session, port, "abci_query", path="/store", data=account_key(ANN.address).hex())
                sequence = decode_leaf(base64.b64decode(account["response"]["value"]), AccountLeaf).sequence
                wanted = len(committed) + rng.randint(3, 12)
                loading = asyncio.create_task(load(session, port, sequence, committed))
                await eventually(partial(reached, committed, wanted), 30, rng.uniform(0.001, 0.01))
            finally:
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
            await loading
    engine = await open_engine(home)
    for name, height in committed.items():
        place = await engine.store.transaction(name)
        assert place is not None
        assert place[0] == height
    assert await replayed_app_hash(engine) == engine.state.app_hash
    await engine.close()


async def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    home, port = tmp_path / "chain", free_port()
    init_home(home, CHAIN)
    async with aiohttp.ClientSession() as session:
        process = await start(home, port)
        try:
            await eventually(lambda: answers(session, port), deadline_s=30, interval_s=0.05)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
