"""How many signed transfers a second the consortium chain takes, end to end.

    python -m bench.ledger                       # the embedded engine
    python -m bench.ledger --engine cometbft     # a network of four CometBFT nodes on this machine
    python -m bench.ledger --flood               # such a network while it is flooded: how soon a claim is in a block
    python -m bench.ledger --latency             # such a network: from broadcast to fact at another node
    python -m bench.ledger --json                # the last line alone

The embedded engine is fed in two ways: in process (`EmbeddedEngine.admit`, in groups of 256) and over its RPC
(JSON-RPC batches of ten `broadcast_tx_sync` from another process). Each transfer is decoded, its ed25519 signature
verified, it is executed, written into the Merkle tree and committed to disk (SQLite, `synchronous=FULL`) with the
block; counted are the ones that a committed block shows as successful. Senders and receivers are chosen at random
among the accounts. The first group of them, which starts the processes that check signatures, is not counted.
`ledger_cpu_us` and `rpc_cpu_us` are the CPU time of the node's own process for one transfer, those processes aside.

The network is fed over its four nodes' RPC at a fixed rate; each transfer's signature is verified by every node. Its
`rss_mb` is that of the largest process.

The limit is what all cores together verify of the same transactions, doing nothing else, by libsodium in the same
processes; it is measured just before and just after, since a machine that others use too is not the same all the time.
`rss_mb` is the highest resident size of the node with its child processes while it ran.
"""

import argparse
import asyncio
import json
import os
import random
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from nacl.signing import SigningKey

from bench._cometbft import Load
from bench._cometbft import measure as run_network
from bench._flood import Flood
from bench._flood import measure as run_flood
from bench._latency import Probe
from bench._latency import measure as run_latency
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
from core.runtime.garbage import collect_seldom
from local_chains.consortium.engine.embedded import EmbeddedEngine, Pace, open_engine
from local_chains.consortium.engine.verification import SignaturePool
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset
from local_chains.consortium.node import ConsortiumNode, init_home

REPOSITORY: Final = Path(__file__).resolve().parent.parent
CHAIN: Final = "bench-1"
SYMBOL: Final = "coin"
ACCOUNTS: Final = 200_000
SENDERS: Final = 5_000
TRANSFERS: Final = 60_000
RPC_TRANSFERS: Final = 30_000
GROUP: Final = 256
"""Transactions handed to the engine at once."""
FEEDERS: Final = 8
MEMPOOL_TARGET: Final = 12_000
RPC_BATCH: Final = 10
RPC_CONNECTIONS: Final = 8
LIMIT_SAMPLE: Final = 8_192
PACE: Final = Pace(interval_s=None)
NEVER: Final = 2**62
SAMPLE_S: Final = 0.2
STALLED_S: Final = 120.0
SEED: Final = 7


# --- preparation -------------------------------------------------------------------------------------------------


def sender_key(number: int) -> SigningKey:
    return SigningKey(b"bench sender" + number.to_bytes(20, "big"))


def make_chain(home: Path, accounts: int) -> list[bytes]:
    """A chain in which every account owns something; returns the addresses of those that do not send."""
    senders = [address(bytes(sender_key(number).verify_key)) for number in range(SENDERS)]
    others = [secrets.token_bytes(20) for _ in range(accounts - SENDERS)]
    # Whoever only receives needs nobody to answer for it.
    genesis = [
        GenesisAccount(raw.hex(), {SYMBOL: "1000000"}, admitted=sends)
        for sends, some in ((True, senders), (False, others))
        for raw in some
    ]
    init_home(home, CHAIN, assets=[GenesisAsset(SYMBOL, senders[0].hex(), 2)], accounts=genesis)
    return others


def sign_transfers(count: int, receivers: Sequence[bytes], first_sequence: int = 0) -> list[bytes]:
    """`count` transfers, the senders taking turns."""
    rng = random.Random(SEED)
    keys = [sender_key(number) for number in range(SENDERS)]
    made = []
    for number in range(count):
        key = keys[number % SENDERS]
        message = Transfer(SYMBOL, rng.choice(receivers), quantity(rng.randint(1, 9)))
        body = TransactionBody(CHAIN, bytes(key.verify_key), first_sequence + number // SENDERS, NEVER, (message,))
        made.append(encode_transaction(Transaction(body, key.sign(sign_bytes(body)).signature)))
    return made


# --- measurement -------------------------------------------------------------------------------------------------


async def verification_limit(sample: Sequence[bytes]) -> float:
    """Signatures a second on all cores."""
    pool = SignaturePool()
    await pool.verify(sample[:256])
    begun = time.perf_counter()
    held = await pool.verify(sample)
    elapsed = time.perf_counter() - begun
    await pool.close()
    if not all(held):
        raise SystemExit("the benchmark's own signatures do not hold")
    return len(sample) / elapsed


async def feed_in_process(engine: EmbeddedEngine, transactions: Sequence[bytes]) -> None:
    groups = iter([transactions[start : start + GROUP] for start in range(0, len(transactions), GROUP)])
    turn = asyncio.Lock()

    async def feeder() -> None:
        while True:
            async with turn:
                # One at a time asks for room, so that an account's transactions arrive in their order.
                while len(engine.mempool) > MEMPOOL_TARGET:  # noqa: ASYNC110 - polling leaves the engine as it is
                    await asyncio.sleep(0.005)
                group = next(groups, None)
                if group is None:
                    return
                admitting = asyncio.create_task(engine.admit(group))
                await asyncio.sleep(0)
            for admission in await admitting:
                if getattr(admission, "code", None) is not ResultCode.OK:
                    raise SystemExit(f"a transfer was refused: {admission}")

    async with asyncio.TaskGroup() as feeding:
        for _ in range(FEEDERS):
            feeding.create_task(feeder())


async def until_committed(engine: EmbeddedEngine, count: int) -> list[int]:
    """Transfers of each block, until `count` were committed."""
    listener = engine.feed.listen()
    blocks: list[int] = []
    try:
        while sum(blocks) < count:
            async with asyncio.timeout(STALLED_S):
                committed = await listener.next()
            blocks.append(len([result for result in committed.results[1:] if result.code is ResultCode.OK]))
    finally:
        engine.feed.leave(listener)
    return blocks


class Memory:
    """The highest resident size of this process and its children, sampled."""

    def __init__(self) -> None:
        self.highest_kb = 0

    async def watch(self) -> None:
        while True:
            self.highest_kb = max(self.highest_kb, _resident_kb())
            await asyncio.sleep(SAMPLE_S)


def _resident_kb() -> int:
    own = str(os.getpid())
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    grandchildren = [
        name for child in children for name in Path(f"/proc/{child}/task/{child}/children").read_text().split()
    ]
    return sum(_pages_kb(pid) for pid in (own, *children, *grandchildren))


def _pages_kb(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        return 0


async def warm_up(engine: EmbeddedEngine, transactions: Sequence[bytes]) -> None:
    """A first batch, which starts the processes that check signatures: that takes as long as thousands of transfers."""
    counting = asyncio.create_task(until_committed(engine, len(transactions)))
    await asyncio.sleep(0)
    await feed_in_process(engine, transactions)
    await counting


async def measure_in_process(home: Path, transactions: Sequence[bytes]) -> dict[str, Any]:
    engine = await open_engine(home)
    memory = Memory()
    watching = asyncio.create_task(memory.watch())
    running = asyncio.create_task(engine.run(PACE))
    try:
        await warm_up(engine, transactions[:GROUP])
        transactions = transactions[GROUP:]
        counting = asyncio.create_task(until_committed(engine, len(transactions)))
        await asyncio.sleep(0)
        wall, cpu = time.perf_counter(), time.process_time()
        await feed_in_process(engine, transactions)
        blocks = await counting
        elapsed, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        watching.cancel()
        engine.stop()
        await running
        await engine.close()
    return {
        "tps": len(transactions) / elapsed,
        "seconds": elapsed,
        "blocks": len([block for block in blocks if block]),
        "ledger_cpu_us": cpu / len(transactions) * 1e6,
        "rss_mb": memory.highest_kb / 1024,
    }


async def measure_over_rpc(home: Path, transactions: Sequence[bytes], directory: Path) -> dict[str, Any]:
    """Transfers a second when another process sends them to the node's RPC."""
    file = directory / "rpc_transactions"
    file.write_bytes(msgspec.msgpack.encode(transactions[GROUP:]))
    async with ConsortiumNode(home, pace=PACE) as node:
        await warm_up(node.engine, transactions[:GROUP])
        transactions = transactions[GROUP:]
        counting = asyncio.create_task(until_committed(node.engine, len(transactions)))
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.ledger",
            "--client",
            node.rpc_url,
            str(file),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        assert client.stdout is not None
        await client.stdout.readline()
        wall, cpu = time.perf_counter(), time.process_time()
        await counting
        elapsed, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if await client.wait():
            raise SystemExit("the RPC client of the benchmark failed")
    return {"rpc_tps": len(transactions) / elapsed, "rpc_cpu_us": cpu / len(transactions) * 1e6}


async def send_over_rpc(url: str, file: Path) -> None:
    """The client: a line when it begins, then everything, each sender's over one connection in their order.

    What it sends is made before; of HTTP it does only what this needs, since it shares the machine with the node.
    """
    raw_file = await asyncio.to_thread(file.read_bytes)
    transactions = msgspec.msgpack.decode(raw_file, type=list[bytes])
    ways: list[list[bytes]] = [[] for _ in range(RPC_CONNECTIONS)]
    for number, raw in enumerate(transactions):
        ways[number % SENDERS % RPC_CONNECTIONS].append(raw)
    host, port = url.removeprefix("http://").split(":")
    requests = [_requests(host, way) for way in ways]
    print("ready", flush=True)
    await asyncio.gather(*(_send_all(host, int(port), some) for some in requests))


def _requests(host: str, transactions: Sequence[bytes]) -> list[bytes]:
    """HTTP requests of `RPC_BATCH` calls each."""
    made = []
    for start in range(0, len(transactions), RPC_BATCH):
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": "broadcast_tx_sync", "params": {"tx": raw}}
            for number, raw in enumerate(transactions[start : start + RPC_BATCH])
        ]
        body = msgspec.json.encode(calls)
        head = (
            f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def _send_all(host: str, port: int, requests: Sequence[bytes]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise SystemExit(f"the node answers {head!r}")
        answers = msgspec.json.decode(await reader.readexactly(int(length[1])))
        # A batch of one gets one answer without a list around it.
        for answer in answers if isinstance(answers, list) else [answers]:
            if answer.get("result", {}).get("code") != 0:
                raise SystemExit(f"the node refused a transfer: {answer}")
    writer.close()


# --- command line ------------------------------------------------------------------------------------------------


def measure_embedded(accounts: int, transfers: int, rpc_transfers: int) -> dict[str, Any]:
    """Prepare in this process, measure in a fresh one, whose memory is the node's alone. All senders send equally many
    transfers, so that each one's go on where they ended."""
    transfers = -(-transfers // SENDERS) * SENDERS
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as name:
        directory = Path(name)
        receivers = make_chain(directory / "chain", accounts)
        first = sign_transfers(transfers, receivers)
        second = sign_transfers(rpc_transfers, receivers, first_sequence=transfers // SENDERS)
        (directory / "transactions").write_bytes(msgspec.msgpack.encode((first, second)))
        del first, second, receivers
        command = [sys.executable, "-m", "bench.ledger", "--measure", str(directory)]
        run = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(run.stdout)
    return {"engine": "embedded", "accounts": accounts, "transfers": transfers, **figures}


async def measure_cometbft(load: Load) -> dict[str, Any]:
    sample = sign_transfers(LIMIT_SAMPLE, [bytes(20)])
    before = await verification_limit(sample)
    figures = await run_network(load)
    after = await verification_limit(sample)
    limit = (before + after) / 2
    return {**figures, "limit_tps": limit, "ratio": figures["tps"] / limit}


async def measure_prepared(directory: Path) -> dict[str, Any]:
    collect_seldom()  # as the daemon does
    raw = (directory / "transactions").read_bytes()
    first, second = msgspec.msgpack.decode(raw, type=tuple[list[bytes], list[bytes]])
    del raw
    before = await verification_limit(first[:LIMIT_SAMPLE])
    figures = await measure_in_process(directory / "chain", first)
    after = await verification_limit(first[:LIMIT_SAMPLE])
    limit = (before + after) / 2
    over_rpc = await measure_over_rpc(directory / "chain", second, directory)
    return {**figures, "limit_tps": limit, "ratio": figures["tps"] / limit, **over_rpc}


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


def print_table(figures: Mapping[str, Any]) -> None:
    print(f"{figures['engine']} engine: {figures['tps']:,.0f} signed transfers a second")
    print(f"  limit: {figures['limit_tps']:,.0f} ed25519 verifications a second on {os.cpu_count()} cores")
    print(f"  share of the limit reached: {figures['ratio']:.1%}")
    print(f"  memory: {figures['rss_mb']:.0f} MB")
    for name in sorted(figures.keys() - {"engine", "tps", "limit_tps", "ratio", "rss_mb"}):
        print(f"  {name}: {figures[name]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.ledger", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--engine", choices=("embedded", "cometbft"), default="embedded")
    parser.add_argument("--json", action="store_true", help="print the last line alone")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--transfers", type=int, default=TRANSFERS)
    parser.add_argument("--rpc-transfers", type=int, default=RPC_TRANSFERS)
    parser.add_argument("--rate", type=int, default=Load.rate, help="cometbft: transfers offered a second")
    parser.add_argument("--seconds", type=int, default=Load.seconds, help="cometbft: for how long")
    parser.add_argument("--validators", type=int, default=Load.validators, help="cometbft: number of nodes")
    parser.add_argument("--flood", action="store_true", help="four nodes: how soon claims are in blocks under attack")
    parser.add_argument("--quiet-seconds", type=float, default=Flood.quiet_s, help="flood: seconds watched before")
    parser.add_argument("--latency", action="store_true", help="four nodes: from broadcast to fact at another node")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        asyncio.run(send_over_rpc(arguments.client[0], Path(arguments.client[1])))
        return 0
    if arguments.measure:
        print(json.dumps(asyncio.run(measure_prepared(arguments.measure))))
        return 0
    if arguments.flood or arguments.latency:
        running = (
            run_flood(Flood(seconds=arguments.seconds, quiet_s=arguments.quiet_seconds))
            if arguments.flood
            else run_latency(Probe())
        )
        found = asyncio.run(running)
        if not arguments.json:
            for name, value in found.items():
                print(f"  {name}: {value}")
        print(json.dumps(found))
        return 0
    if arguments.engine == "cometbft":
        load = Load(rate=arguments.rate, seconds=arguments.seconds, validators=arguments.validators)
        figures = asyncio.run(measure_cometbft(load))
    else:
        figures = measure_embedded(arguments.accounts, arguments.transfers, arguments.rpc_transfers)
    if not arguments.json:
        print_table(figures)
    print(json.dumps(rounded(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
