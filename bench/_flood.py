"""How soon a claim is in a block while others fill everything that they may, on four real CometBFT nodes.

The attackers are accounts that an organisation admitted: they write the longest records there are, as fast as the nodes
take them, which fills the share of transactions that are not exits. Keys that own nothing send records, which are
refused, and a client asks one node's RPC without a pause. Meanwhile one claim after another is sent, each by a key that
nobody knows, to each node in turn, and is timed from its broadcast until a node shows the block with it.
"""

import asyncio
import hashlib
import itertools
import statistics
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
    MAX_DOCUMENT_BYTES,
    PROMISED_INCLUSION_S,
    Claim,
    Lock,
    Message,
    ResultCode,
    Transaction,
    TransactionBody,
    WriteRecord,
    address,
    encode_transaction,
    quantity,
    sign_bytes,
    transaction_hash,
)
from core.proofs.cometbft.json import bytes_from_base64, bytes_to_base64, timestamp_from_json
from core.runtime.sockets import free_port
from local_chains.consortium.cometbft import CometNetwork, CometNode, init_network
from local_chains.consortium.engine.abci.network import NodeAddress
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset

CHAIN: Final = "bench-1"
SYMBOL: Final = "cnyd"
NEVER: Final = 1 << 40
POLL_S: Final = 0.05
PAUSE_S: Final = 0.2
"""An attacker's pause after it was refused."""
LOCKS_OF_A_TRANSACTION: Final = 32
BODY: Final = b'"' + b"x" * (MAX_DOCUMENT_BYTES - 2) + b'"'


@dataclass(frozen=True)
class Flood:
    """`attackers` admitted accounts and `strangers` keys attack for `seconds`; a claim is sent every `claim_every_s`.
    Before that the chain is watched for `quiet_s`, and for `calls_s` while one client asks one node over `callers`
    connections without a pause."""

    attackers: int = 12
    strangers: int = 4
    askers: int = 1
    callers: int = 4
    seconds: float = 60.0
    quiet_s: float = 20.0
    calls_s: float = 10.0
    claim_every_s: float = 1.0
    validators: int = 4


class Account:
    """A key and its next sequence."""

    def __init__(self, name: str) -> None:
        self._key = SigningKey(hashlib.sha256(name.encode()).digest())
        self.public_key = bytes(self._key.verify_key)
        self.address = address(self.public_key)
        self.sequence = 0

    def signed(self, *messages: Message) -> bytes:
        body = TransactionBody(CHAIN, self.public_key, self.sequence, NEVER, messages)
        return encode_transaction(Transaction(body, bytes(self._key.sign(sign_bytes(body)).signature)))


async def measure(flood: Flood) -> dict[str, Any]:
    """Run a fresh network under `flood`. Times are in seconds."""
    locker = Account("locker")
    attackers = [Account(f"attacker {number}") for number in range(flood.attackers)]
    claims = int(flood.seconds / flood.claim_every_s)
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as name:
        directory = Path(name) / "network"
        init_network(
            directory,
            CHAIN,
            flood.validators,
            assets=[GenesisAsset(SYMBOL, locker.address.hex(), 2)],
            accounts=[GenesisAccount(one.address.hex(), {SYMBOL: "1000000"}) for one in (locker, *attackers)],
            addresses=[NodeAddress(peer_port=free_port(), rpc_port=free_port()) for _ in range(flood.validators)],
        )
        timeout = aiohttp.ClientTimeout(total=60)
        async with CometNetwork(directory) as network, aiohttp.ClientSession(timeout=timeout) as session:
            return await _attacked(network, session, flood, locker, attackers, claims)


async def _attacked(
    network: CometNetwork,
    session: aiohttp.ClientSession,
    flood: Flood,
    locker: Account,
    attackers: Sequence[Account],
    claims: int,
) -> dict[str, Any]:
    nodes = network.nodes
    watch = _Watch(session, nodes[0])
    watching = asyncio.create_task(watch.run())
    preimages = [hashlib.sha256(b"preimage %d" % number).digest() for number in range(claims)]
    await watch.reached(2)
    await _lock(session, nodes[0], watch, locker, preimages)
    quiet_from = watch.height
    await asyncio.sleep(flood.quiet_s)
    quiet_to = watch.height
    calls_from, calls_to, calls = await _called(session, nodes[1], watch, flood)
    attack = [
        *(_write_for_ever(session, nodes[place % len(nodes)], one, True) for place, one in enumerate(attackers)),
        *(
            _write_for_ever(session, nodes[place % len(nodes)], Account(f"stranger {place}"), False)
            for place in range(flood.strangers)
        ),
        *(_ask_for_ever(session, nodes[1]) for _ in range(flood.askers)),
    ]
    tasks = [asyncio.create_task(one) for one in attack]
    try:
        # Until what waits is as much as may.
        await asyncio.sleep(3 * flood.claim_every_s)
        flood_from = watch.height
        times = await _claim_all(session, nodes, watch, flood, locker, preimages)
        flood_to = watch.height
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    quiet_s, flooded_s = watch.interval_s(quiet_from, quiet_to), watch.interval_s(flood_from, flood_to)
    called_s = watch.interval_s(calls_from, calls_to)
    return {
        "engine": "cometbft",
        "claims": len(times),
        "claim_inclusion_s_p50": round(statistics.median(times), 3),
        "claim_inclusion_s_max": round(max(times), 3),
        "promised_s": PROMISED_INCLUSION_S,
        "block_interval_s": round(flooded_s, 3),
        "quiet_block_interval_s": round(quiet_s, 3),
        "block_interval_ratio": round(flooded_s / quiet_s, 3),
        "calls_per_s": round(calls / flood.calls_s),
        "calls_block_interval_ratio": round(called_s / quiet_s, 3),
        "flood_mb_per_block": round(watch.megabytes(flood_from, flood_to), 3),
    }


class _Watch:
    """Every block of one node: when it was seen, the header's time, and where transactions are."""

    def __init__(self, session: aiohttp.ClientSession, node: CometNode) -> None:
        self._session = session
        self._node = node
        self.height = 0
        self.seen: dict[bytes, float] = {}
        self._times: dict[int, float] = {}
        self._sizes: dict[int, int] = {}
        self._news = asyncio.Condition()

    async def run(self) -> None:
        while True:
            try:
                answer = await _call(self._session, self._node, "block", height=str(self.height + 1))
            except (aiohttp.ClientError, TimeoutError):
                answer = {}
            block = answer.get("result", {}).get("block")
            if block is None:
                await asyncio.sleep(POLL_S)
                continue
            now = time.monotonic()
            entries = [bytes_from_base64(entry) for entry in block["data"]["txs"]]
            for entry in entries:
                self.seen[transaction_hash(entry)] = now
            self.height += 1
            self._times[self.height] = timestamp_from_json(block["header"]["time"]).to_nanos() / 1e9
            self._sizes[self.height] = sum(len(entry) for entry in entries)
            async with self._news:
                self._news.notify_all()

    async def reached(self, height: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: self.height >= height)

    async def included(self, raw: bytes) -> float:
        """When a block with this transaction was seen."""
        name = transaction_hash(raw)
        async with self._news:
            await self._news.wait_for(lambda: name in self.seen)
        return self.seen[name]

    def interval_s(self, first: int, last: int) -> float:
        return (self._times[last] - self._times[first]) / (last - first)

    def megabytes(self, first: int, last: int) -> float:
        sizes = [self._sizes[height] for height in range(first + 1, last + 1)]
        return sum(sizes) / len(sizes) / 1e6


async def _lock(
    session: aiohttp.ClientSession, node: CometNode, watch: _Watch, locker: Account, preimages: Sequence[bytes]
) -> None:
    timelock = int(time.time()) + 3_600
    for start in range(0, len(preimages), LOCKS_OF_A_TRANSACTION):
        some = preimages[start : start + LOCKS_OF_A_TRANSACTION]
        locks = [Lock(SYMBOL, quantity(1), bytes(20), hashlib.sha256(preimage).digest(), timelock) for preimage in some]
        raw = locker.signed(*locks)
        code = await broadcast(session, node, raw)
        if code:
            raise SystemExit(f"the locks were refused with code {code}")
        locker.sequence += 1
        await watch.included(raw)


async def _claim_all(
    session: aiohttp.ClientSession,
    nodes: Sequence[CometNode],
    watch: _Watch,
    flood: Flood,
    locker: Account,
    preimages: Sequence[bytes],
) -> list[float]:
    async def one(number: int, node: CometNode, preimage: bytes) -> float:
        await asyncio.sleep(number * flood.claim_every_s)
        raw = Account(f"claimer {number}").signed(Claim(locker.address, preimage))
        begun = time.monotonic()
        code = await broadcast(session, node, raw)
        if code:
            raise SystemExit(f"a claim was refused with code {code}")
        return await watch.included(raw) - begun

    places = itertools.cycle(nodes)
    async with asyncio.timeout(flood.seconds + 120), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, next(places), preimage)) for number, preimage in enumerate(preimages)]
    return [task.result() for task in tasks]


async def _write_for_ever(session: aiohttp.ClientSession, node: CometNode, account: Account, admitted: bool) -> None:
    """Send records as long as a transaction may be, as fast as the node answers; an admitted account's are taken."""
    for number in itertools.count():
        documents = [WriteRecord(account.address.hex(), f"{number}-{place}", BODY) for place in range(3)]
        raw = account.signed(*documents)
        while (code := await broadcast(session, node, raw)) != ResultCode.OK:
            await asyncio.sleep(PAUSE_S)
            if not admitted or code != ResultCode.NO_ROOM:
                break
        if code == ResultCode.OK:
            account.sequence += 1


async def _called(session: aiohttp.ClientSession, node: CometNode, watch: _Watch, flood: Flood) -> tuple[int, int, int]:
    """(first height, last height, number of calls) while one client asks `node` and does nothing else."""
    asked = itertools.count()
    calling = [asyncio.create_task(_ask_for_ever(session, node, asked)) for _ in range(flood.callers)]
    first = watch.height
    await asyncio.sleep(flood.calls_s)
    last = watch.height
    for one in calling:
        one.cancel()
    await asyncio.gather(*calling, return_exceptions=True)
    return first, last, next(asked)


async def _ask_for_ever(session: aiohttp.ClientSession, node: CometNode, asked: Iterator[int] | None = None) -> None:
    """Count the calls in `asked`."""
    while True:
        if asked is not None:
            next(asked)
        try:
            await _call(session, node, "abci_query", path="/store", data=b"clock".hex(), height="0", prove=True)
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(PAUSE_S)


async def broadcast(session: aiohttp.ClientSession, node: CometNode, raw: bytes) -> int:
    """CheckTx's code; `NO_ROOM` also for what the node itself says."""
    try:
        answer = await _call(session, node, "broadcast_tx_sync", tx=bytes_to_base64(raw))
    except (aiohttp.ClientError, TimeoutError):
        return ResultCode.NO_ROOM
    code: int = answer.get("result", {"code": int(ResultCode.NO_ROOM)})["code"]
    return code


async def _call(session: aiohttp.ClientSession, node: CometNode, method: str, **params: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with session.post(node.rpc_url, data=msgspec.json.encode(request)) as response:
        return msgspec.json.decode(await response.read())
