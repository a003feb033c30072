"""The gas of HashedTimelock's calls, as receipts say.

    python -m bench.htlc_gas            # a table
    python -m bench.htlc_gas --json     # the same as one JSON object, on the last line

Every figure is `gasUsed` of a real transaction on a fresh anvil (prague, chain id 1): 21,000 intrinsic, calldata and
refunds included, no access list unless the name says so. The token is OpenZeppelin's ERC20 with an infinite allowance;
contract, sender and receiver hold some of everything before (warm). Claims are sent by the receiver, refunds by the
sender. "Recycled" is a lane that was used before. Peers' figures, measured the same way, are in
docs/internals/htlc-contract.md.
"""

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from adapters.evm.batches import EvmBatchBuilder
from adapters.evm.calls import body_of, encode_call, encode_creation, unsigned_call
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.legs import LOCK_TOKEN_GAS, SETTLE_TOKEN_GAS
from adapters.evm.names import account, hex_address, token_asset
from adapters.evm.signed_locks import SignedLocks
from adapters.evm.signing import development_signer
from core.model.types import AccountId, BaseUnits, ChainId, ChainTime, Hashlock, LockTerms
from core.proofs.lanes import Lane, lane_lock_id
from local_chains.evm import AnvilChain, AnvilSettings

AMOUNT: Final = 123_456_789_012_345_678
BATCH: Final = 10
TOGETHER: Final = (2, 3, 10, 16)
"""Claims that a relayer sends in one transaction."""
LOCK_S: Final = 100_000
GAS: Final = 10_000_000
WARM_LANE: Final = 99
TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock's terms. The preimage has no zero byte, as a zero byte of calldata is cheaper than another."""

    sender: str
    receiver: str
    timelock: int
    lane: int
    generation: int
    token: str | None = None

    @property
    def preimage(self) -> bytes:
        digest = hashlib.sha256(f"{self.lane} {self.generation} 0 {self.token}".encode()).digest()
        return bytes(byte or 1 for byte in digest)

    @property
    def hashlock(self) -> bytes:
        return hashlib.sha256(self.preimage).digest()

    @property
    def terms(self) -> int:
        return int(self.receiver, 16) << 96 | self.timelock << 56 | self.generation << 32 | self.lane

    def lock_call(self) -> bytes:
        if self.token is None:
            return encode_call("HashedTimelock", "lock", self.hashlock, self.terms)
        return encode_call("HashedTimelock", "lockToken", self.hashlock, self.terms, AMOUNT, raw(self.token))

    def claim_call(self) -> bytes:
        return self._settle("claim", self.preimage)

    def refund_call(self) -> bytes:
        return self._settle("refund", self.hashlock)

    def _settle(self, verb: str, opening: bytes) -> bytes:
        arguments = (opening, self.terms, raw(self.sender), AMOUNT)
        if self.token is None:
            return encode_call("HashedTimelock", verb, *arguments)
        return encode_call("HashedTimelock", f"{verb}Token", *arguments, raw(self.token))


def raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])


class Meter:
    """Sends from anvil's own accounts and reads what it cost."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url
        self.sender = self.receiver = self.deployer = self.htlc = self.token = ""

    async def rpc(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        async with self._session.post(self.url, json=request) as response:
            answer = await response.json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def set_up(self) -> None:
        self.htlc = (await self.send(self.deployer, None, encode_creation("HashedTimelock")))["contractAddress"]
        created = await self.send(self.deployer, None, encode_creation("TestToken", "Test Dollar", "TUSD", 18))
        self.token = created["contractAddress"]
        for owner in (self.deployer, self.sender, self.receiver):
            await self.send(self.deployer, self.token, encode_call("TestToken", "mint", raw(owner), 1_000 * AMOUNT))
        approve = encode_call("TestToken", "approve", raw(self.htlc), 2**256 - 1)
        for owner in (self.deployer, self.sender):
            await self.send(owner, self.token, approve)
        for token in (None, self.token):  # the contract holds something
            warm = Lock(self.deployer, self.receiver, await self.now() + LOCK_S * 100, WARM_LANE, 1)
            kept = Lock(warm.sender, warm.receiver, warm.timelock, WARM_LANE + (token is not None), 1, token=token)
            await self.open(kept)

    async def send(
        self, sender: str, to: str | None, data: bytes, value: int = 0, warm: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The receipt of a transaction that succeeded."""
        call: dict[str, Any] = {"from": sender, "data": "0x" + data.hex(), "value": hex(value), "gas": hex(GAS)}
        if to is not None:
            call["to"] = to
        if warm:
            call["accessList"] = [{"address": address, "storageKeys": []} for address in warm]
        tx_hash = await self.rpc("eth_sendTransaction", call)
        deadline = time.monotonic() + TIMEOUT_S
        while (receipt := await self.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            if time.monotonic() > deadline:
                raise RuntimeError("a transaction was not mined in time")
            await asyncio.sleep(POLL_S)
        if int(receipt["status"], 16) != 1:
            raise RuntimeError("a measured transaction failed")
        return dict(receipt)

    async def gas(self, sender: str, to: str | None, data: bytes, value: int = 0, warm: tuple[str, ...] = ()) -> int:
        return int((await self.send(sender, to, data, value, warm))["gasUsed"], 16)

    async def now(self) -> int:
        return int((await self.rpc("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

    async def new_lock(self, lane: int, generation: int, token: str | None = None) -> Lock:
        return Lock(self.sender, self.receiver, await self.now() + LOCK_S, lane, generation, token)

    async def open(self, lock: Lock, warm: tuple[str, ...] = ()) -> int:
        return await self.gas(lock.sender, self.htlc, lock.lock_call(), 0 if lock.token else AMOUNT, warm)

    async def claim(self, lock: Lock, warm: tuple[str, ...] = ()) -> int:
        return await self.gas(lock.receiver, self.htlc, lock.claim_call(), warm=warm)

    async def refund(self, lock: Lock) -> int:
        await self.rpc("evm_setNextBlockTimestamp", lock.timelock)
        return await self.gas(lock.sender, self.htlc, lock.refund_call())


async def measure(meter: Meter) -> dict[str, int]:
    """Single operations and pairs by name."""
    gas: dict[str, int] = {}
    creation = encode_creation("HashedTimelock")
    gas["deploy"] = await meter.gas(meter.deployer, None, creation)
    for kind, token in (("eth", None), ("erc20", meter.token)):
        name = "erc20_warm" if token else kind
        exact = "_exact" if token else ""
        lane = 1 if token else 0
        first = await meter.new_lock(lane, 1, token=token)
        gas[f"{name}_lock_first"] = await meter.open(first)
        gas[f"{name}_claim_first"] = await meter.claim(first)
        gas[f"{name}_lock_claim_first"] = gas[f"{name}_lock_first"] + gas[f"{name}_claim_first"]
        second = await meter.new_lock(lane, 2, token=token)
        gas[f"{name}_lock_recycled"] = await meter.open(second)
        gas[f"{name}_claim_recycled"] = await meter.claim(second)
        gas[f"{name}_lock_claim_recycled{exact}"] = gas[f"{name}_lock_recycled"] + gas[f"{name}_claim_recycled"]
        third = await meter.new_lock(lane, 3, token=token)
        lock_gas = await meter.open(third)
        gas[f"{name}_refund_recycled"] = await meter.refund(third)
        gas[f"{name}_lock_refund_recycled"] = lock_gas + gas[f"{name}_refund_recycled"]
    listed = await meter.new_lock(1, 4, token=meter.token)
    warm = (meter.token,)
    gas["erc20_warm_lock_claim_recycled_exact_access_list"] = await meter.open(listed, warm) + await meter.claim(
        listed, warm
    )
    gas |= await measure_batches(meter, "eth", None)
    gas |= await measure_batches(meter, "erc20_warm", meter.token)
    gas |= await measure_signed_locks(meter)
    for size in TOGETHER:
        gas |= await measure_together(meter, size, "eth", None)
        gas |= await measure_together(meter, size, "erc20_warm", meter.token)
    return gas


async def measure_batches(meter: Meter, name: str, token: str | None) -> dict[str, int]:
    """Gas per swap in batches of `BATCH`, one receiver, on recycled lanes."""
    prefix = "batch10" if token is None else f"batch10_{name}"
    base = 100 if token is None else 200
    result: dict[str, int] = {}
    asset = 0 if token is None else 1 << 160 | int(token, 16)
    for generation, settle in ((1, "claim"), (2, "claim"), (3, "refund"), (4, "each")):
        locks = [await meter.new_lock(base + i, generation, token=token) for i in range(BATCH)]
        items = [(lock.hashlock, lock.terms, AMOUNT) for lock in locks]
        data = encode_call("HashedTimelock", "bulkLock", False, items, asset)
        value = 0 if token else BATCH * AMOUNT
        locked = await meter.gas(meter.sender, meter.htlc, data, value)
        if settle == "refund":
            await meter.rpc("evm_setNextBlockTimestamp", locks[-1].timelock)
        if settle == "each":
            calls = [lock.claim_call() for lock in locks]
            data = encode_call("HashedTimelock", "settleStrangers", calls, 200_000)
            result[f"{prefix}_claim_each_stranger_per_swap"] = (
                await meter.gas(meter.deployer, meter.htlc, data) // BATCH
            )
            continue
        opened = [
            (lock.preimage if settle == "claim" else lock.hashlock, lock.terms, raw(lock.sender), AMOUNT)
            for lock in locks
        ]
        data = encode_call("HashedTimelock", f"bulk{settle.capitalize()}", False, opened, asset)
        by = meter.receiver if settle == "claim" else meter.sender
        settled = await meter.gas(by, meter.htlc, data)
        if generation > 1:
            result[f"{prefix}_lock_per_swap"] = locked // BATCH
            result[f"{prefix}_{settle}_per_swap"] = settled // BATCH
            result[f"{prefix}_lock_{settle}_per_swap"] = (locked + settled) // BATCH
    return result


async def measure_signed_locks(meter: Meter) -> dict[str, int]:
    """Token locks in one transaction, on recycled lanes; the sender has used the token's signatures before."""
    chain = ChainId("eip155:1")
    created = await meter.send(meter.deployer, None, encode_creation("testing/SignedToken"))
    token = raw(created["contractAddress"])
    await meter.send(
        meter.deployer,
        created["contractAddress"],
        encode_call("testing/SignedToken", "mint", raw(meter.sender), 2**128),
    )
    signer = development_signer(chain, AnvilSettings().mnemonic, 1)
    endpoints = Endpoints([Endpoint(meter.url)])
    locks = SignedLocks(chain, endpoints, raw(meter.htlc))
    gas = {}
    try:
        for generation in (1, 2):
            for number, (name, draw) in enumerate((("permit", locks.permit), ("authorization", locks.authorization))):
                lock = await meter.new_lock(900 + number, generation, token=hex_address(token))
                terms = LockTerms(
                    token_asset(chain, token),
                    BaseUnits(AMOUNT),
                    signer.account,
                    account(chain, raw(lock.receiver)),
                    Hashlock(lock.hashlock),
                    ChainTime(chain, lock.timelock),
                )
                place = lane_lock_id(Lane(raw(lock.sender), lock.lane, lock.generation))
                draft = await draw(terms, place, terms.timelock)
                body = body_of(draft.complete(await signer.consent(draft.consent), signer.account))
                listed = tuple(entry.address for entry in body.access_list)
                gas[f"erc20_warm_lock_by_{name}"] = await meter.gas(
                    meter.sender, meter.htlc, raw(body.data), warm=listed
                )
                await meter.claim(lock)
    finally:
        await endpoints.close()
    return gas


async def measure_together(meter: Meter, size: int, name: str, token: str | None) -> dict[str, int]:
    """Gas per lock and per claim of `size` that a relayer makes for itself at once, in the adapter's transactions."""
    base = (300 if token is None else 400) + size * 20
    sender, receiver = (AccountId(f"eip155:1:{one.lower()}") for one in (meter.sender, meter.receiver))
    htlc, value, warm = raw(meter.htlc), AMOUNT if token is None else 0, () if token is None else (raw(token),)
    locks, locked = list[Lock](), 0
    for generation in (1, 2):
        locks = [await meter.new_lock(base + i, generation, token=token) for i in range(size)]
        calls = [
            unsigned_call(sender, htlc, lock.lock_call(), gas=LOCK_TOKEN_GAS, value=value, warm=warm, summary="lock")
            for lock in locks
        ]
        body = body_of(EvmBatchBuilder(htlc).locks(calls))
        listed = tuple(entry.address for entry in body.access_list)
        locked = await meter.gas(meter.sender, meter.htlc, raw(body.data), int(body.value, 16), listed)
        if generation == 1:  # so that the lanes are recycled ones
            for lock in locks:
                await meter.claim(lock)
    claims = [
        unsigned_call(receiver, htlc, lock.claim_call(), gas=SETTLE_TOKEN_GAS, warm=warm, summary="claim")
        for lock in locks
    ]
    body = body_of(EvmBatchBuilder(htlc).batch(claims))
    listed = tuple(entry.address for entry in body.access_list)
    used = await meter.gas(meter.receiver, meter.htlc, raw(body.data), warm=listed)
    return {
        f"together{size}_{name}_lock_per_swap": locked // size,
        f"together{size}_{name}_claim_per_swap": used // size,
    }


@asynccontextmanager
async def opened_meter() -> AsyncIterator[Meter]:
    """A meter on a chain of its own, which has accounts and nothing else."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with (
        AnvilChain(AnvilSettings(chain_id=1, block_time_s=None)) as anvil,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        meter = Meter(session, anvil.rpc_url)
        meter.deployer, meter.sender, meter.receiver = (await meter.rpc("eth_accounts"))[:3]
        yield meter


async def run() -> dict[str, int]:
    """All figures on a chain of their own."""
    async with opened_meter() as meter:
        await meter.set_up()
        return await measure(meter)


def report(module: str, description: str | None, run: Callable[[], Coroutine[Any, Any, dict[str, int]]]) -> None:
    """The command of a module that measures gas: print what `run` returns, as a table or as JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    gas = asyncio.run(run())
    if options.json:
        print(json.dumps(gas))
        return
    for name, used in gas.items():
        print(f"{name:55} {used:>9,}")


if __name__ == "__main__":
    report("bench.htlc_gas", __doc__, run)
