"""Transfers per second of a network of CometBFT nodes, all on this machine, fed over RPC."""

import asyncio
import hashlib
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from nacl.signing import SigningKey

from core.model.consortium import (
    Transaction,
    TransactionBody,
    Transfer,
    address,
    encode_transaction,
    quantity,
    sign_bytes,
)
from core.proofs.cometbft.json import bytes_to_base64
from local_chains.consortium.cometbft import CometNetwork, CometNode, init_network, local_addresses
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset

CHAIN: Final = "bench-1"
SYMBOL: Final = "cnyd"
FIRST_PORT: Final = 38_656
NEVER: Final = 1 << 40
BATCH: Final = 10
"""Calls in one HTTP request: as many as CometBFT takes."""
SETTLE_S: Final = 30.0
"""How long transfers may take to arrive after the last was sent."""
MAX_IN_FLIGHT: Final = 64


@dataclass(frozen=True)
class Load:
    """`accounts` take turns; `rate` transfers per second are offered for `seconds`."""

    accounts: int = 10_000
    rate: int = 700
    seconds: int = 60
    validators: int = 4


async def measure(load: Load) -> dict[str, Any]:
    """Run a fresh network under `load`."""
    keys = [SigningKey(hashlib.sha256(b"bench account %d" % index).digest()) for index in range(load.accounts)]
    addresses = [address(bytes(key.verify_key)) for key in keys]
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as name:
        directory = Path(name) / "network"
        init_network(
            directory,
            CHAIN,
            load.validators,
            assets=[GenesisAsset(SYMBOL, addresses[0].hex(), 2)],
            accounts=[GenesisAccount(raw.hex(), {SYMBOL: "1000000"}) for raw in addresses],
            addresses=local_addresses(load.validators, FIRST_PORT),
        )
        transfers = _transfers(keys, addresses, load.rate * load.seconds)
        async with CometNetwork(directory) as network:
            await _wait_for_height(network, 2)
            return await _run(network, transfers, load)


def _transfers(keys: Sequence[SigningKey], addresses: Sequence[bytes], count: int) -> list[bytes]:
    made = []
    for number in range(count):
        sequence, index = divmod(number, len(keys))
        receiver = addresses[(index + 1) % len(addresses)]
        message = Transfer(SYMBOL, receiver, quantity(1))
        body = TransactionBody(CHAIN, bytes(keys[index].verify_key), sequence, NEVER, (message,))
        made.append(encode_transaction(Transaction(body, keys[index].sign(sign_bytes(body)).signature)))
    return made


async def _wait_for_height(network: CometNetwork, height: int) -> None:
    while min([await node.height() for node in network.nodes]) < height:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.1)


async def _run(network: CometNetwork, transfers: Sequence[bytes], load: Load) -> dict[str, Any]:
    first = await network.nodes[0].height()
    began = time.monotonic()
    refused = await _feed(network, transfers, load)
    fed_s = time.monotonic() - began
    blocks = await _blocks(network.nodes[0], first + 1, len(transfers) - refused, fed_s + SETTLE_S)
    done = sum(good for _, good in blocks)
    busy = [moment for moment, good in blocks if good]
    # From the block before the first transfers to the block with the last.
    span_s = busy[-1] - max((moment for moment, _ in blocks if moment < busy[0]), default=busy[0] - 1)
    return {
        "engine": "cometbft",
        "tps": round(done / span_s, 1),
        "transfers": done,
        "refused": refused,
        "seconds": round(span_s, 1),
        "blocks": len(busy),
        "validators": load.validators,
        "rss_mb": round(max(_rss_mb(pid) for node in network.nodes for pid in node.pids), 1),
        "rss_all_mb": round(sum(_rss_mb(pid) for node in network.nodes for pid in node.pids), 1),
    }


async def _feed(network: CometNetwork, transfers: Sequence[bytes], load: Load) -> int:
    """Send all of them at the wanted rate; how many a node refused."""
    places: Iterator[CometNode] = itertools.cycle(network.nodes)
    slots = asyncio.Semaphore(MAX_IN_FLIGHT)
    refused = 0

    async def send(session: aiohttp.ClientSession, node: CometNode, batch: Sequence[bytes]) -> None:
        nonlocal refused
        calls = [
            {"jsonrpc": "2.0", "id": index, "method": "broadcast_tx_sync", "params": {"tx": bytes_to_base64(raw)}}
            for index, raw in enumerate(batch)
        ]
        try:
            async with session.post(node.rpc_url, data=msgspec.json.encode(calls)) as response:
                answers = msgspec.json.decode(await response.read())
        finally:
            slots.release()
        refused += sum(1 for answer in answers if answer.get("result", {"code": 1})["code"])

    async with (
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session,
        asyncio.TaskGroup() as tasks,
    ):
        began = time.monotonic()
        for start in range(0, len(transfers), BATCH):
            await asyncio.sleep(max(0.0, began + start / load.rate - time.monotonic()))
            await slots.acquire()
            tasks.create_task(send(session, next(places), transfers[start : start + BATCH]))
    return refused


async def _blocks(node: CometNode, first: int, wanted: int, timeout_s: float) -> list[tuple[float, int]]:
    """(time, successful transfers) of each block from `first` on, until all that were wanted are in."""
    found: list[tuple[float, int]] = []
    height, done, give_up = first, 0, time.monotonic() + timeout_s
    while done < wanted and time.monotonic() < give_up:
        if await node.height() < height:
            await asyncio.sleep(0.2)
            continue
        header = (await node.call("header", height=str(height)))["header"]
        results = (await node.call("block_results", height=str(height)))["txs_results"]
        good = sum(1 for result in results[1:] if not result["code"])
        found.append((_seconds(header["time"]), good))
        done += good
        height += 1
    return found


def _seconds(moment: str) -> float:
    from core.proofs.cometbft.json import timestamp_from_json

    return timestamp_from_json(moment).to_nanos() / 1e9


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
