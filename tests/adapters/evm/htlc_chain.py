"""A HashedTimelock on a real anvil that mines one block per transaction, for tests that set the time themselves."""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from eth_abi.abi import decode
from eth_typing import ChecksumAddress
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.contract import AsyncContract
from web3.types import RPCEndpoint

from adapters.evm.contracts.artifacts import load_artifact
from local_chains.evm import AnvilChain, AnvilSettings

AMOUNT = 123_456_789_012_345_678
ZERO = "0x" + "00" * 20
GAS = 1_000_000
ERC20_KIND = 1


@dataclass(frozen=True)
class Lock:
    """One lock's terms and its preimage; `token` None is the native coin."""

    sender: str
    receiver: str
    timelock: int
    preimage: bytes = field(default_factory=lambda: os.urandom(32))
    amount: int = AMOUNT
    token: str | None = None
    lane: int = 0
    generation: int = 1
    flags: int = 0

    @property
    def hashlock(self) -> bytes:
        return hashlib.sha256(self.preimage).digest()

    @property
    def terms(self) -> int:
        return int(self.receiver, 16) << 96 | self.timelock << 56 | self.flags << 48 | self.generation << 32 | self.lane

    @property
    def lock_id(self) -> int:
        return int(self.sender, 16) << 96 | self.terms % 2**96

    def but(self, **changes: Any) -> "Lock":
        return replace(self, **changes)


class Chain:
    """anvil, its accounts and the contract under test."""

    def __init__(self, web3: AsyncWeb3[Any], accounts: list[str]) -> None:
        self.web3 = web3
        self.accounts = accounts
        self.deployer, self.sender, self.receiver, self.stranger = accounts[:4]
        self.htlc: AsyncContract
        self.token: AsyncContract

    async def rpc(self, method: str, *params: Any) -> Any:
        answer = await self.web3.provider.make_request(RPCEndpoint(method), list(params))
        assert "error" not in answer, answer
        return answer["result"]

    async def deploy(self, name: str, *arguments: Any) -> AsyncContract:
        artifact = load_artifact(name)
        factory = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = await self.web3.eth.wait_for_transaction_receipt(
            await factory.constructor(*arguments).transact({"from": self.deployer})
        )
        return cast(AsyncContract, self.web3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi))

    async def now(self) -> int:
        return int((await self.web3.eth.get_block("latest"))["timestamp"])

    async def set_next_time(self, seconds: int) -> None:
        await self.rpc("evm_setNextBlockTimestamp", seconds)

    async def balance(self, account: str, token: AsyncContract | None = None) -> int:
        if token is None:
            return await self.web3.eth.get_balance(cast(ChecksumAddress, account))
        return int(await token.functions.balanceOf(account).call())

    async def word(self, sender: str, lane: int) -> int:
        """Read straight from storage at the key that the page documents."""
        raw = await self.web3.eth.get_storage_at(self.htlc.address, int(sender, 16) << 96 | lane)
        return int.from_bytes(raw, "big")

    async def new_lock(self, **changes: Any) -> Lock:
        return Lock(self.sender, self.receiver, await self.now() + 1_000).but(**changes)

    def lock_call(self, lock: Lock) -> Any:
        if lock.token is None:
            return self.htlc.functions.lock(lock.hashlock, lock.terms)
        return self.htlc.functions.lockToken(lock.hashlock, lock.terms, lock.amount, lock.token)

    def claim_call(self, lock: Lock) -> Any:
        if lock.token is None:
            return self.htlc.functions.claim(lock.preimage, lock.terms, lock.sender, lock.amount)
        return self.htlc.functions.claimToken(lock.preimage, lock.terms, lock.sender, lock.amount, lock.token)

    def refund_call(self, lock: Lock) -> Any:
        if lock.token is None:
            return self.htlc.functions.refund(lock.hashlock, lock.terms, lock.sender, lock.amount)
        return self.htlc.functions.refundToken(lock.hashlock, lock.terms, lock.sender, lock.amount, lock.token)

    async def mine(self, call: Any, by: str, value: int = 0) -> Any:
        """Send without simulating, so that the call is judged in the block that holds it; returns its receipt."""
        sent = await call.transact({"from": by, "value": value, "gas": GAS})
        return await self.web3.eth.wait_for_transaction_receipt(sent)

    async def succeed(self, call: Any, by: str, value: int = 0) -> Any:
        receipt = await self.mine(call, by, value)
        assert receipt["status"] == 1
        return receipt

    async def error_of(self, call: Any, by: str, value: int = 0, at_time: int | None = None) -> str:
        """The name and values of the custom error that the mined call reverts with, like `LaneBusy(0)`."""
        if at_time is not None:
            await self.set_next_time(at_time)
        receipt = await self.mine(call, by, value)
        assert receipt["status"] == 0, "the call went through"
        # The trace shows the revert data of the transaction as it was mined.
        trace = await self.rpc(
            "debug_traceTransaction", receipt["transactionHash"].to_0x_hex(), {"tracer": "callTracer"}
        )
        return self.error_text(bytes.fromhex(trace["output"][2:]))

    def error_text(self, data: bytes) -> str:
        for entry in self.htlc.abi:
            if entry["type"] != "error":
                continue
            types = [item["type"] for item in entry["inputs"]]
            selector = self.web3.keccak(text=f"{entry['name']}({','.join(types)})")[:4]
            if selector == data[:4]:
                return f"{entry['name']}({', '.join(str(value) for value in decode(types, data[4:]))})"
        return f"unknown {data.hex()}"

    async def open(self, lock: Lock) -> Any:
        return await self.succeed(self.lock_call(lock), lock.sender, lock.amount if lock.token is None else 0)

    async def give(self, token: AsyncContract, owner: str, amount: int) -> None:
        """Mint, and allow the contract to take it."""
        await self.succeed(token.functions.mint(owner, amount), self.deployer)
        await self.succeed(token.functions.approve(self.htlc.address, amount), owner)


@asynccontextmanager
async def htlc_chain() -> AsyncIterator[Chain]:
    async with AnvilChain(AnvilSettings(block_time_s=None)) as anvil:
        web3: AsyncWeb3[Any] = AsyncWeb3(AsyncHTTPProvider(anvil.rpc_url))
        try:
            chain = Chain(web3, list(await web3.eth.accounts))
            chain.htlc = await chain.deploy("HashedTimelock")
            chain.token = await chain.deploy("TestToken", "Test Dollar", "TUSD", 6)
            yield chain
        finally:
            await web3.provider.disconnect()
