"""Transfers per second of a network of CometBFT nodes, all on this machine, fed over RPC.

Timed from the first broadcast until every node has executed the last block with a transfer in it. CPU time is that of
all the nodes' processes, user and system, from the first broadcast on. `cpu_share` is the share of all cores that nodes
and client had meanwhile: well below 1 if others used the machine, too, or if the offered rate was the limit.
"""

import asyncio
import hashlib
import itertools
import os
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
    ResultCode,
    Transaction,
    TransactionBody,
    Transfer,
    address,
    encode_transaction,
    quantity,
    sign_bytes,
)
from core.model.errors import RejectedError
from core.proofs.cometbft.json import bytes_to_base64
from core.runtime.sockets import free_port
from local_chains.consortium.cometbft import CometNetwork, CometNode, init_network
from local_chains.consortium.engine.abci.network import NodeAddress
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset

CHAIN: Final = "bench-1"
SYMBOL: Final = "cnyd"
NEVER: Final = 1 << 40
BATCH: Final = 10
"""Calls in one HTTP request: as many as CometBFT takes."""
SETTLE_S: Final = 30.0
"""How long transfers may take to arrive after the last was sent."""
MAX_IN_FLIGHT: Final = 64
PAUSE_S: Final = 0.1
"""Before a transfer that found no room is sent again."""
POLL_S: Final = 0.05


@dataclass(frozen=True)
class Load:
    """`accounts` take turns; `rate` transfers per second are offered for `seconds`, fewer while nodes have no room."""

    accounts: int = 10_000
    rate: int = 1_200
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
            addresses=[NodeAddress(peer_port=free_port(), rpc_port=free_port()) for _ in range(load.validators)],
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
    go_s, python_s = _cpu_s(network)
    client_s = time.process_time()
    began = time.monotonic()
    refused = await _feed(network, transfers, load)
    fed_s = time.monotonic() - began
    blocks = await _blocks(network.nodes[0], first + 1, len(transfers) - refused, fed_s + SETTLE_S)
    for node in network.nodes[1:]:
        await _results(node, first + len(blocks))
    span_s = time.monotonic() - began
    go_s, python_s = (after - before for after, before in zip(_cpu_s(network), (go_s, python_s), strict=True))
    client_s = time.process_time() - client_s
    done = sum(blocks)
    each = done * load.validators
    return {
        "engine": "cometbft",
        "tps": round(done / span_s, 1),
        "offered_tps": load.rate,
        "transfers": done,
        "refused": refused,
        "seconds": round(span_s, 1),
        "blocks": sum(1 for good in blocks if good),
        "validators": load.validators,
        "node_cpu_us": round((go_s + python_s) / each * 1e6, 1),
        "cometbft_cpu_us": round(go_s / each * 1e6, 1),
        "ledger_cpu_us": round(python_s / each * 1e6, 1),
        "client_cpu_us": round(client_s / done * 1e6, 1),
        "cpu_share": round((go_s + python_s + client_s) / (span_s * (os.cpu_count() or 1)), 3),
        "per_core_second": round(each / (go_s + python_s), 1),
        "rss_mb": round(max(_rss_mb(pid) for node in network.nodes for pid in node.pids), 1),
        "rss_all_mb": round(sum(_rss_mb(pid) for node in network.nodes for pid in node.pids), 1),
    }


async def _feed(network: CometNetwork, transfers: Sequence[bytes], load: Load) -> int:
    """Send all of them at the wanted rate; how many a node refused for good."""
    places: Iterator[CometNode] = itertools.cycle(network.nodes)
    slots = asyncio.Semaphore(MAX_IN_FLIGHT)
    refused = 0

    async def send(session: aiohttp.ClientSession, node: CometNode, batch: Sequence[bytes]) -> None:
        nonlocal refused
        try:
            left = list(batch)
            while left:
                codes = await _broadcast(session, node, left)
                refused += sum(1 for code in codes if code not in (ResultCode.OK, ResultCode.NO_ROOM))
                left = [raw for raw, code in zip(left, codes, strict=True) if code == ResultCode.NO_ROOM]
                if left:
                    await asyncio.sleep(PAUSE_S)
        finally:
            slots.release()

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


async def _broadcast(session: aiohttp.ClientSession, node: CometNode, batch: Sequence[bytes]) -> list[int]:
    """CheckTx's code for each, in order; -1 for an error of the node's own."""
    calls = [
        {"jsonrpc": "2.0", "id": index, "method": "broadcast_tx_sync", "params": {"tx": bytes_to_base64(raw)}}
        for index, raw in enumerate(batch)
    ]
    async with session.post(node.rpc_url, data=msgspec.json.encode(calls)) as response:
        answers = msgspec.json.decode(await response.read())
    # A batch of one gets one answer without a list around it.
    given = {answer["id"]: answer for answer in (answers if isinstance(answers, list) else [answers])}
    return [given.get(index, {}).get("result", {"code": -1})["code"] for index in range(len(batch))]


async def _blocks(node: CometNode, first: int, wanted: int, timeout_s: float) -> list[int]:
    """Successful transfers of each block from `first` on, until all that were wanted are in."""
    found: list[int] = []
    give_up = time.monotonic() + timeout_s
    while sum(found) < wanted and time.monotonic() < give_up:
        results = await _results(node, first + len(found))
        found.append(sum(1 for result in results[1:] if not result["code"]))
    return found


async def _results(node: CometNode, height: int) -> list[dict[str, Any]]:
    """The results of a block, once this node has executed it."""
    while await node.height() < height:  # noqa: ASYNC110 - another process
        await asyncio.sleep(POLL_S)
    while True:
        try:
            results: list[dict[str, Any]] = (await node.call("block_results", height=str(height)))["txs_results"]
            return results
        except RejectedError:
            # It has the block, and is executing it.
            await asyncio.sleep(POLL_S)


def _cpu_s(network: CometNetwork) -> tuple[float, float]:
    """CPU time that all nodes have used: `cometbft`, and the ledgers' processes."""
    ledgers, nodes = zip(*(node.pids for node in network.nodes), strict=True)
    return sum(_used_s(pid) for pid in nodes), sum(_used_s(pid) for pid in ledgers)


def _used_s(pid: int) -> float:
    """User and system time of a process (proc(5), fields 14 and 15 of `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
