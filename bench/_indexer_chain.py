"""The chain that the indexer is measured on: anvil with 100,000 events in 2,000 blocks, built once and kept.

Contracts that do nothing but repeat what calldata says stand at the addresses of a token and of a HashedTimelock: for
an indexer their logs are like any others', and 100,000 of them are mined in a minute. A block holds 40 transfers among
1,000 accounts, 5 locks and 5 claims of locks made in the block before.
"""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapters.evm.decode import CLAIMED_TOPIC, LOCKED_TOPIC, TRANSFER_TOPIC
from local_chains.evm import AnvilChain, AnvilSettings

CACHE: Final = Path(__file__).resolve().parents[1] / ".bench"
"""Git-ignored; `rm -r` it to build the chain again."""
BUILT: Final = "indexer-2"
"""The version of what is built; raise it with any change of the workload."""
BLOCKS: Final = 2_000
TRANSFERS: Final = 40
LOCKS: Final = 5
EVENTS_PER_BLOCK: Final = TRANSFERS + 2 * LOCKS
ACCOUNTS: Final = 1_000
TOKEN: Final = bytes.fromhex("70" * 20)
HTLC: Final = bytes.fromhex("48" * 20)
SENDER: Final = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
GAS: Final = "0x1c9c380"
BUILD_TIMEOUT_S: Final = 600.0
LOCK_S: Final = 10_000_000_000
TIMESTAMP: Final = 1_800_000_000


def repeater(topic_words: int, data_words: int) -> str:
    """Runtime code that logs each record of its calldata: topic_words topics, then data_words of data."""
    record = (topic_words + data_words) * 32
    code = bytearray()

    def op(text: str) -> None:
        code.extend(bytes.fromhex(text))

    op("5f")  # offset 0
    loop = len(code)
    op("5b")
    op("368110")  # calldatasize, dup2, lt: offset < size
    op("15")  # iszero
    jump = len(code)
    op("610000")  # push2 end
    op("57")  # jumpi
    op(f"60{data_words * 32:02x}")  # size
    op("81")  # dup2: offset
    op(f"60{topic_words * 32:02x}01")  # + topics
    op("5f37")  # calldatacopy(0, offset + topics, size)
    for topic in reversed(range(topic_words)):
        depth = topic_words - 1 - topic
        op(f"{0x80 + depth:02x}")  # dup the offset from under what was pushed
        op(f"60{topic * 32:02x}0135")  # calldataload(offset + topic)
    op(f"60{data_words * 32:02x}5f")
    op(f"{0xA0 + topic_words:02x}")
    op(f"61{record:04x}01")
    op(f"60{loop:02x}56")
    code[jump + 1 : jump + 3] = len(code).to_bytes(2, "big")
    op("5b00")
    return "0x" + code.hex()


def _account(number: int) -> bytes:
    return hashlib.sha256(b"account %d" % (number % ACCOUNTS)).digest()[12:]


def _word(value: bytes | int) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def _preimage(block: int, number: int) -> bytes:
    return hashlib.sha256(b"preimage %d %d" % (block, number)).digest()


def transfer_records(block: int) -> bytes:
    records = []
    for number in range(TRANSFERS):
        seed = block * TRANSFERS + number
        sender, receiver = _account(seed * 7), _account(seed * 13 + 1)
        records.append(bytes.fromhex(TRANSFER_TOPIC[2:]) + _word(sender) + _word(receiver) + _word(10**18 + seed))
    return b"".join(records)


def lock_records(block: int) -> bytes:
    records = []
    for number in range(LOCKS):
        lane = block * LOCKS + number
        hashlock = hashlib.sha256(_preimage(block, number)).digest()
        terms = int.from_bytes(_account(lane)) << 96 | (LOCK_S + lane) << 56 | 1 << 32 | lane
        sender = _account(lane + 500)
        records.append(bytes.fromhex(LOCKED_TOPIC[2:]) + hashlock + _word(terms) + _word(sender) + _word(10**17 + lane))
    return b"".join(records)


def claim_records(block: int) -> bytes:
    records = []
    for number in range(LOCKS):
        lane = block * LOCKS + number
        preimage = _preimage(block, number)
        lock_id = int.from_bytes(_account(lane + 500)) << 96 | 1 << 32 | lane
        records.append(
            bytes.fromhex(CLAIMED_TOPIC[2:]) + hashlib.sha256(preimage).digest() + _word(lock_id) + preimage + _word(0)
        )
    return b"".join(records)


def block_calls(block: int) -> list[dict[str, Any]]:
    """The transactions of one block of the workload."""
    locks = lock_records(block) + (claim_records(block - 1) if block > 1 else claim_records(0))
    return [
        {"from": SENDER, "to": f"0x{to.hex()}", "gas": GAS, "data": f"0x{data.hex()}"}
        for to, data in ((TOKEN, transfer_records(block)), (HTLC, locks))
    ]


class Rpc:
    """Plain JSON-RPC for building; `close` it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))

    async def close(self) -> None:
        await self._session.close()

    async def __call__(self, method: str, *params: Any) -> Any:
        [answer] = await self.batch([(method, params)])
        return answer

    async def batch(self, calls: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        async with self._session.post(self._url, json=body) as response:
            answers = {answer["id"]: answer for answer in await response.json()}
        for answer in answers.values():
            if "error" in answer:
                raise RuntimeError(f"anvil: {answer['error']}")
        return [answers[number].get("result") for number in range(len(calls))]


async def mine(rpc: Rpc, block: int, timestamp: int | None = None) -> None:
    """One block of the workload on top."""
    stamp = [] if timestamp is None else [("evm_setNextBlockTimestamp", (timestamp,))]
    await rpc.batch([*[("eth_sendTransaction", (call,)) for call in block_calls(block)], *stamp, ("evm_mine", ())])


async def prepare(rpc: Rpc) -> None:
    """Contracts in place, blocks only when asked for."""
    await rpc.batch(
        [
            ("anvil_setCode", (f"0x{TOKEN.hex()}", repeater(3, 1))),
            ("anvil_setCode", (f"0x{HTLC.hex()}", repeater(2, 3))),
            ("evm_setAutomine", (False,)),
        ]
    )


async def build(state: Path, blocks: int) -> None:
    """Mine the workload and save it to `state`."""
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = state.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    async with AnvilChain(AnvilSettings(block_time_s=None, state=partial)) as chain:
        rpc = Rpc(chain.rpc_url)
        try:
            await prepare(rpc)
            for block in range(1, blocks + 1):
                await mine(rpc, block, TIMESTAMP + block)
            await mine_empty(rpc, 2)
        finally:
            await rpc.close()
    partial.rename(state)


async def mine_empty(rpc: Rpc, count: int) -> None:
    for _ in range(count):
        await rpc("evm_mine")


@asynccontextmanager
async def workload(directory: Path, blocks: int = BLOCKS) -> AsyncIterator[AnvilChain]:
    """The chain, running; built if it is not there yet. `directory` takes what anvil writes at its end."""
    state = CACHE / f"{BUILT}-{blocks}.json"
    if not state.exists():
        async with asyncio.timeout(BUILD_TIMEOUT_S * max(1, blocks // BLOCKS)):
            await build(state, blocks)
    own = directory / "anvil-state.json"
    await asyncio.to_thread(shutil.copyfile, state, own)
    async with AnvilChain(AnvilSettings(block_time_s=None, state=own)) as chain:
        rpc = Rpc(chain.rpc_url)
        try:
            # Code set by anvil_setCode is state, and comes back; automining is not.
            await rpc("evm_setAutomine", False)
        finally:
            await rpc.close()
        yield chain
