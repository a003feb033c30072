"""Questions that contracts ask of a consortium chain (`CrossChainQuery`), and their answers as transactions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from adapters.evm import light_client
from adapters.evm.calls import body_of, encode_call, unsigned_call
from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address, native_asset
from adapters.evm.rpc import data_bytes, quantity
from core.model.errors import CausewayError, RejectedError, RetryableError
from core.model.ports import ChainQuery
from core.model.questions import Evidence, LeafQuestion
from core.model.transactions import FeeMarket, UnsignedTransaction
from core.model.types import AccountId, BaseUnits, ChainId, ChainTime, Height
from core.model.uris import print_uri
from core.proofs.evidence import CONSORTIUM_STATE
from core.proofs.evidence.verification import decode_consortium_proof
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address

ASKED_TOPIC: Final = "0x" + keccak256(b"Asked(uint256,address,(uint256,uint256,bytes32),bytes)").hex()
OPEN: Final = 1
"""`statusOf` of a question that nobody has answered."""
MAX_BLOCKS_A_LOOK: Final = 500
LOOKED_AGAIN: Final = 64
"""Newest blocks that every look reads again: a reorg may have changed them."""
MAX_OPEN: Final = 4_096
"""Open questions that are remembered; beyond them those of the lowest fees are left to others."""
ANSWER_GAS: Final = 350_000
GAS_A_VALIDATOR: Final = 12_000
GAS_A_BYTE: Final = 40
"""Of calldata and its hash."""
_HEIGHT: Final = 2**64 - 1


class RawAsked(msgspec.Struct, rename="camel"):
    """The fields of an `Asked` log that are read."""

    topics: list[str]
    data: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    """A question's words, which its answer repeats, and the key that it asks for."""

    words: light_client.Question
    key: bytes

    @property
    def callback_gas(self) -> int:
        return self.words.asked >> 32 & 0xFFFF_FFFF

    @property
    def terms(self) -> tuple[int, int, int, int]:
        """(first header, last header, deadline, fee)."""
        terms = self.words.terms
        return terms >> 192, terms >> 128 & _HEIGHT, terms >> 88 & (1 << 40) - 1, terms >> 8 & (1 << 80) - 1


class EvmQueryBoard:
    """`QueryBoard` over the contract `queries`, whose light client follows the consortium chain `home`.

    A question names headers, and a header's state is that after the block before it: heights of a `ChainQuery` are
    those of blocks. What endpoints say here is unproven; the contract verifies.
    """

    def __init__(
        self,
        chain: ChainId,
        endpoints: Endpoints,
        queries: AccountId,
        home: ChainId,
        market: Callable[[], Awaitable[FeeMarket | None]],
    ) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._contract = evm_address(queries)
        self._home = home
        self._market = market
        self._next: int | None = None
        self._open: dict[int, _Question] = {}

    async def open_queries(self, now: ChainTime) -> tuple[ChainQuery, ...]:
        newest = quantity(await self._endpoints.call("eth_blockNumber"))
        start = max(0, newest - MAX_BLOCKS_A_LOOK) if self._next is None else self._next
        end = min(newest, start + MAX_BLOCKS_A_LOOK)
        where = {"fromBlock": hex(start), "toBlock": hex(end), "address": hex_address(self._contract)}
        logs: list[RawAsked] | None = await self._endpoints.call(
            "eth_getLogs", {**where, "topics": [ASKED_TOPIC]}, into=list[RawAsked] | None
        )
        for log in logs or []:
            if not log.removed:
                self._read(log)
        self._next = max(start, end + 1 - LOOKED_AGAIN)
        found = {number: self._query(number, one) for number, one in self._open.items()}
        for number in [number for number, one in found.items() if one.deadline <= now]:
            del self._open[number], found[number]
        beyond = max(0, len(self._open) - MAX_OPEN)
        for number in sorted(self._open, key=lambda one: self._open[one].terms[3])[:beyond]:
            del self._open[number], found[number]
        return tuple(found.values())

    async def is_open(self, number: int) -> bool:
        data = encode_call(light_client.QUERIES, "statusOf", number)
        call = {"to": hex_address(self._contract), "data": f"0x{data.hex()}"}
        if quantity(await self._endpoints.call("eth_call", call, "latest")) == OPEN:
            return True
        self._open.pop(number, None)
        return False

    async def cost(self, query: ChainQuery, answer: UnsignedTransaction | None = None) -> BaseUnits:
        market = await self._market()
        if market is None:
            raise RetryableError(f"{self._chain} shows no price of gas")
        least = ANSWER_GAS + self._asked(query.number).callback_gas
        gas = least if answer is None else int(body_of(answer).gas, 16)
        return BaseUnits(gas * (2 * market.base_fee + market.priority_fee))

    def answer(self, number: int, evidence: Evidence, sender: AccountId) -> UnsignedTransaction:
        asked = self._asked(number)
        if evidence.kind != CONSORTIUM_STATE:
            raise RejectedError(f"the contract takes proofs of a consortium chain's state, not {evidence.kind[:64]!r}")
        proof = decode_consortium_proof(evidence.proof)
        if proof.trail.links or not proof.trail.steps:
            raise RejectedError("the evidence has no signed header newer than its anchor: ask for a later height")
        block, entry = proof.trail.steps[-1], proof.entries[-1]
        item = light_client.answer_argument(number, asked.words, entry.value, entry.proof)
        data = light_client.update_and_answer_call(block, [item])
        validators = len(block.validators.validators)
        gas = ANSWER_GAS + GAS_A_VALIDATOR * validators + GAS_A_BYTE * len(data) + asked.callback_gas * 64 // 63
        return unsigned_call(sender, self._contract, data, gas=gas, summary=f"answer question {number}")

    def _asked(self, number: int) -> _Question:
        asked = self._open.get(number)
        if asked is None:
            raise RejectedError(f"question {number} of {self._chain} is not known here any more")
        return asked

    def _read(self, log: RawAsked) -> None:
        """Remember what the log asks; a log that is not one of the contract's is passed over."""
        try:
            words, key = decode(["(uint256,uint256,bytes32)", "bytes"], data_bytes(log.data))
            number = quantity(log.topics[1])
            LeafQuestion(self._home, key)
        except (DecodingError, IndexError, CausewayError, OverflowError, ValueError):
            return
        self._open[number] = _Question(light_client.Question(*words), key)

    def _query(self, number: int, asked: _Question) -> ChainQuery:
        first, last, deadline, fee = asked.terms
        return ChainQuery(
            number=number,
            uri=print_uri(LeafQuestion(self._home, asked.key)),
            first=Height(max(0, first - 1)),
            last=Height(max(0, last - 1)),
            deadline=ChainTime(self._chain, deadline),
            asset=native_asset(self._chain) if fee else None,
            fee=BaseUnits(fee),
        )
