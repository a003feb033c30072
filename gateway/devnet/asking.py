"""Questions that a devnet's chains ask each other, and the blocks in which its relayers answer them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from adapters.consortium.messages import unsigned
from adapters.consortium.rpc import CometRpc
from adapters.consortium.state import read_count, read_leaf
from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.contracts.deployer import send_in_order
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.names import hex_address
from adapters.evm.query_board import ANSWERED_TOPIC, ASKED_TOPIC
from adapters.evm.rpc import data_bytes, quantity
from adapters.evm.transactions import EvmTransactionSender
from adapters.registry import ConnectedChain
from core.model.consortium import (
    QUERIES,
    AskQuery,
    QueryLeaf,
    asset_symbol,
    query_key,
    sequence_count_key,
)
from core.model.consortium import quantity as encode_quantity
from core.model.errors import NotFoundError, RetryableError
from core.model.identifiers import parse_account, parse_asset
from core.model.questions import Question
from core.model.types import AccountId, ChainId, Height, address_of
from core.model.uris import print_uri
from core.proofs.lanes import evm_address
from gateway.devnet.info import DevnetInfo
from gateway.sending import send

ASKED_FOR_S: Final = 600
FEE: Final = 5
"""In base units of the ledger's asset."""
FEE_WEI: Final = 10**16
CALLBACK_GAS: Final = 300_000
ASK_GAS: Final = 500_000
LOOK_S: Final = 0.1
PATIENCE_S: Final = 75.0
ANY: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Pushed:
    """A question, the blocks of the asking chain with its request and with its answer, and what was answered. `height`:
    the header under which a contract has it, or the block as of which the ledger does."""

    number: int
    asked: Height
    answered: Height
    height: Height
    answer: Any

    @property
    def blocks(self) -> int:
        """The blocks of the asking chain from the request to the answer."""
        return self.answered - self.asked


class _Log(msgspec.Struct, rename="camel"):
    block_number: str
    topics: list[str]


@dataclass(frozen=True, slots=True)
class DevnetAsker:
    """Asks on the chains of a running devnet, with the accounts of `user`."""

    info: DevnetInfo
    chains: Mapping[ChainId, ConnectedChain]
    user: str = "alice"

    async def contract(self, key: bytes, first: int = 1) -> Pushed:
        """A contract on Ethereum asks for a key of the ledger, as of header `first` or later; return what its callback
        got. Raise `TimeoutError` if it gets nothing."""
        connected, endpoints = self.chains[self.info.ethereum], Endpoints([Endpoint(self._url("evm"))])
        signer = connected.signer(bytes.fromhex(self.info.user(self.user).ethereum))
        asker = parse_account(self.info.asker)
        now = (await connected.access.heads.head()).head
        data = encode_call("testing/Asker", "ask", key, first, ANY, CALLBACK_GAS, now.time.seconds + ASKED_FOR_S)
        call = unsigned_call(
            signer.account, evm_address(asker), data, gas=ASK_GAS, value=FEE_WEI, summary="ask for a key of the ledger"
        )
        try:
            await send_in_order(EvmTransactionSender(self.info.ethereum, endpoints), signer, [call])
            request = (await self._logs(endpoints, ASKED_TOPIC, now.height + 1))[-1]
            asked, number = Height(quantity(request.block_number)), request.topics[1]
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._answered(endpoints, asked, number)
            raw = await _read(endpoints, asker, "lastValue")
            value = raw[64 : 64 + int.from_bytes(raw[32:64], "big")]
            header = Height(int.from_bytes(await _read(endpoints, asker, "lastHeight"), "big"))
            return Pushed(quantity(number), asked, answer, header, value)
        finally:
            await endpoints.close()

    async def ledger(self, question: Question, first: int = 0) -> Pushed:
        """The ledger asks about Ethereum, as of block `first` or later; return the answer that it keeps. Raise
        `TimeoutError` if it gets none."""
        connected, rpc = self.chains[self.info.consortium], CometRpc(self._url("consortium"))
        signer = connected.signer(bytes.fromhex(self.info.user(self.user).consortium))
        deadline = (await connected.access.heads.head()).head.time.seconds + ASKED_FOR_S
        symbol = asset_symbol(parse_asset(self.info.yuan))
        message = AskQuery(print_uri(question), first, ANY, deadline, symbol, encode_quantity(FEE))
        transaction = unsigned(self.info.consortium, signer.account, (message,), "ask about Ethereum")
        try:
            asked = await send(connected.access.transactions, connected.access.heads, signer, transaction)
            number = await read_count(rpc, sequence_count_key(QUERIES), asked)
            async with asyncio.timeout(PATIENCE_S):
                height, leaf = asked, await self._leaf(rpc, number, asked)
                while leaf.status != "answered":
                    height = Height(height + 1)
                    leaf = await self._leaf(rpc, number, height)
            return Pushed(number, asked, height, Height(leaf.height), json.loads(leaf.answer))
        finally:
            await rpc.close()

    async def _leaf(self, rpc: CometRpc, number: int, height: Height) -> QueryLeaf:
        """The question as it is after a block, once there is such a block."""
        while True:
            try:
                leaf = await read_leaf(rpc, query_key(number), QueryLeaf, height)
            except (RetryableError, NotFoundError):  # not there yet
                leaf = None
            if leaf is not None:
                return leaf
            await asyncio.sleep(LOOK_S)

    async def _answered(self, endpoints: Endpoints, first: int, number: str) -> Height:
        while True:
            for answer in await self._logs(endpoints, ANSWERED_TOPIC, first, number):
                return Height(quantity(answer.block_number))
            await asyncio.sleep(LOOK_S)

    async def _logs(self, endpoints: Endpoints, topic: str, first: int, number: str | None = None) -> list[_Log]:
        queries = self.info.chain("evm").queries
        assert queries is not None
        where = {
            "fromBlock": hex(first),
            "address": hex_address(evm_address(parse_account(queries))),
            "topics": [topic] if number is None else [topic, number],
        }
        return await endpoints.call("eth_getLogs", where, into=list[_Log])

    def _url(self, kind: str) -> str:
        return self.info.chain(kind).endpoints[0].url


async def _read(endpoints: Endpoints, contract: AccountId, name: str) -> bytes:
    call = {"to": address_of(contract), "data": f"0x{encode_call('testing/Asker', name).hex()}"}
    return data_bytes(await endpoints.call("eth_call", call, "latest"))
