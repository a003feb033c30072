"""Questions that contracts ask of a consortium chain (`CrossChainQuery`), and their answers as transactions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from adapters.evm import light_client
from adapters.evm.calls import MAX_CALL_BYTES, body_of, rpc_call, unsigned_call
from adapters.evm.endpoints import Endpoints
from adapters.evm.light_client_state import GAS_A_BYTE, GAS_A_VALIDATOR, LightClientState, Market
from adapters.evm.names import account, hex_address, native_asset
from adapters.evm.rpc import RpcClient, data_bytes, quantity
from core.model.boards import AnswerDraft, ChainQuery, QueryEnd, QueryNews
from core.model.errors import CausewayError, RejectedError, RevertedError, UntrustedHeaderError
from core.model.facts import HeadUpdate
from core.model.questions import Evidence, LeafQuestion
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, ChainTime, Height
from core.model.uris import print_uri
from core.proofs.cometbft.types import LightBlock
from core.proofs.evidence import CONSORTIUM_STATE
from core.proofs.evidence.verification import ConsortiumProof, decode_consortium_proof
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address


def _topic(event: str) -> str:
    return f"0x{keccak256(event.encode()).hex()}"


ASKED_TOPIC: Final = _topic("Asked(uint256,address,(uint256,uint256,bytes32),bytes)")
ANSWERED_TOPIC: Final = _topic("Answered(uint256,uint64,bytes32)")
EXPIRED_TOPIC: Final = _topic("Expired(uint256,uint256)")
OPEN: Final = 1
"""`statusOf` of a question that nobody has answered."""
MAX_BLOCKS_A_PAGE: Final = 500
"""Blocks whose logs are asked for at once, and how far a first look goes back."""
MAX_PAGES: Final = 8
"""Pages of one look: blocks that are not final are read with every look, and finality may be late."""
MAX_TOGETHER: Final = 10
SHARED_GAS: Final = 270_000
"""Of a transaction that proves a header: without its validators, its bytes, and the answers."""
KNOWN_GAS: Final = 90_000
"""The same under a header that is proven already."""
ITEM_GAS: Final = 80_000
"""Of one answer, without its bytes and its callback."""
MAX_GAS: Final = 12_000_000
"""Of one transaction with several answers, so that it finds its place in a block. One alone may need more."""
MAX_BATCH_BYTES: Final = MAX_CALL_BYTES * 3 // 4
_HEIGHT: Final = 2**64 - 1
_WORD: Final = light_client.WORD_BYTES


class RawLog(msgspec.Struct, rename="camel"):
    """The fields of a log that are read."""

    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class _Terms:
    """A question's words, which its answer repeats, and the key that it asks for."""

    words: light_client.Question
    key: bytes

    @property
    def callback_gas(self) -> int:
        return self.words.asked >> 32 & 0xFFFF_FFFF

    @property
    def heights(self) -> tuple[int, int]:
        """The first and the last header that answers."""
        return self.words.terms >> 192, self.words.terms >> 128 & _HEIGHT

    @property
    def deadline_s(self) -> int:
        return self.words.terms >> 88 & (1 << 40) - 1

    @property
    def fee_wei(self) -> int:
        return self.words.terms >> 8 & (1 << 80) - 1

    def encode(self) -> bytes:
        words = self.words
        return words.asked.to_bytes(_WORD, "big") + words.terms.to_bytes(_WORD, "big") + words.path + self.key

    @classmethod
    def decode(cls, raw: bytes) -> "_Terms":
        """Raise `RejectedError` for what `encode` has not made."""
        if len(raw) <= 3 * _WORD:
            raise RejectedError("these are not the terms of a question on Ethereum")
        asked, terms = (int.from_bytes(raw[at : at + _WORD], "big") for at in (0, _WORD))
        return cls(light_client.Question(asked, terms, raw[2 * _WORD : 3 * _WORD]), raw[3 * _WORD :])


@dataclass(frozen=True, slots=True)
class _Ready:
    """One answer: its argument, and its gas without what all of a transaction share."""

    argument: light_client.Argument
    gas: int


class EvmQueryBoard:
    """`QueryBoard` over the contract `queries`, whose light client follows the consortium chain `home`.

    A question names headers, and a header's state is that after the block before it: heights of a `ChainQuery` are
    those of blocks. What endpoints say here is unproven; the contract verifies. The position is the newest final block
    all of whose logs were read.
    """

    def __init__(
        self,
        chain: ChainId,
        endpoints: Endpoints,
        queries: AccountId,
        home: ChainId,
        market: Market,
    ) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._holder = queries
        self._contract = evm_address(queries)
        self._home = home
        self._page = MAX_BLOCKS_A_PAGE
        self.client = LightClientState(endpoints, queries, market)

    @property
    def pays_in(self) -> AssetId | None:
        return native_asset(self._chain)

    @property
    def max_together(self) -> int:
        return MAX_TOGETHER

    # --- reading ---

    async def news(self, position: int, head: HeadUpdate, watched: Collection[int]) -> QueryNews:
        finalized = head.finalized.height
        first = position + 1 if position else max(0, min(finalized, head.head.height - MAX_BLOCKS_A_PAGE) + 1)
        asked, ended, start = list[ChainQuery](), list[QueryEnd](), first
        for _ in range(MAX_PAGES):
            if start > head.head.height:
                break
            logs, end = await self._logs(start, min(head.head.height, start + self._page - 1))
            if end < start:
                break
            for log in logs:
                found = self._read(log)
                if isinstance(found, ChainQuery):
                    asked.append(found)
                elif found is not None:
                    ended.append(found)
            start = end + 1
        last = Height(start - 1)
        position = max(position, min(last, finalized))
        return QueryNews(tuple(asked), tuple(ended), position, (Height(first), last))

    async def is_open(self, number: int) -> bool:
        return await self.client.status_of(number) == OPEN

    async def _logs(self, first: int, last: int) -> tuple[list[RawLog], int]:
        """The logs of these blocks, from one endpoint, and the last block that it has of them.

        A page that no endpoint can answer is halved for the next look.
        """
        where = {"address": hex_address(self._contract), "topics": [[ASKED_TOPIC, ANSWERED_TOPIC, EXPIRED_TOPIC]]}

        async def ask(client: RpcClient) -> tuple[list[RawLog], int]:
            # An endpoint that is behind says nothing of blocks that it does not have: nothing is gone from them.
            end = min(last, quantity(await client.call("eth_blockNumber")))
            if end < first:
                return [], end
            blocks = {"fromBlock": hex(first), "toBlock": hex(end)}
            logs: list[RawLog] | None = await client.call("eth_getLogs", where | blocks, into=list[RawLog] | None)
            return [log for log in logs or [] if not log.removed], end

        try:
            found = await self._endpoints.first(ask)
        except CausewayError:
            self._page = max(1, self._page // 2)
            raise
        self._page = min(MAX_BLOCKS_A_PAGE, self._page * 2)
        return found

    def _read(self, log: RawLog) -> ChainQuery | QueryEnd | None:
        """Return the request or the end that the log reports; None for one that is not the contract's."""
        try:
            number = quantity(log.topics[1])
            block = BlockRef(self._chain, Height(quantity(log.block_number)), data_bytes(log.block_hash))
            if log.topics[0] != ASKED_TOPIC:
                return QueryEnd(number, log.topics[0] == ANSWERED_TOPIC, block)
            words, key = decode(["(uint256,uint256,bytes32)", "bytes"], data_bytes(log.data))
            return self._query(number, _Terms(light_client.Question(*words), key), block)
        except (DecodingError, IndexError, CausewayError, OverflowError, ValueError):
            return None

    def _query(self, number: int, terms: _Terms, block: BlockRef) -> ChainQuery:
        first, last = terms.heights
        return ChainQuery(
            number=number,
            uri=print_uri(LeafQuestion(self._home, terms.key)),
            first=Height(max(0, first - 1)),
            last=Height(max(0, last - 1)),
            deadline=ChainTime(self._chain, terms.deadline_s),
            asset=native_asset(self._chain) if terms.fee_wei else None,
            fee=BaseUnits(terms.fee_wei),
            block=block,
            holder=account(self._chain, self._contract),
            terms=terms.encode(),
        )

    # --- answering ---

    async def least_costs(self, queries: Sequence[ChainQuery]) -> Sequence[BaseUnits]:
        price = await self.client.gas_price()
        return [BaseUnits((ITEM_GAS + _callback_gas(_Terms.decode(one.terms))) * price) for one in queries]

    async def draft(self, answers: Sequence[tuple[ChainQuery, Evidence]], sender: AccountId) -> AnswerDraft:
        if not 0 < len(answers) <= MAX_TOGETHER:
            raise RejectedError(f"a transaction has 1 to {MAX_TOGETHER} answers, not {len(answers)}")
        proofs = [_proof_of(evidence) for _, evidence in answers]
        block = proofs[0].trail.steps[-1]
        if any(one.trail.steps[-1].header != block.header for one in proofs):
            raise RejectedError("answers of one transaction stand under one header")
        ready = [_ready(query, proof) for (query, _), proof in zip(answers, proofs, strict=True)]
        data, shared = await self._under(block, [one.argument for one in ready])
        gas = shared + sum(one.gas for one in ready)
        if len(ready) > 1 and (gas > MAX_GAS or len(data) > MAX_BATCH_BYTES):
            raise RejectedError(f"{len(ready)} answers of {len(data)} bytes are too much for one transaction")
        numbers = ", ".join(str(query.number) for query, _ in answers)
        summary = f"answer question{'s' if len(ready) > 1 else ''} {numbers}"
        price = await self.client.gas_price()
        return AnswerDraft(
            unsigned_call(sender, self._contract, data, gas=gas, summary=summary),
            BaseUnits(shared * price),
            tuple(BaseUnits(one.gas * price) for one in ready),
        )

    async def check(self, transaction: UnsignedTransaction) -> None:
        call = rpc_call(body_of(transaction))

        async def ask(client: RpcClient) -> str | None:
            try:
                await client.call("eth_call", call, "latest")
            except RevertedError as error:
                return error.message
            return None

        reason = await self._endpoints.agreed(ask)
        if reason is not None:
            raise RevertedError(reason, reason=reason)

    async def _under(self, block: LightBlock, items: Sequence[light_client.Argument]) -> tuple[bytes, int]:
        """The call, and the gas that the answers share: under a header that is proven, or with it.

        Raise `UntrustedHeaderError` if the light client does not take the header yet.
        """
        height = Height(block.header.height)
        if await self.client.knows(height):
            return light_client.answer_call(height, items), KNOWN_GAS
        if not await self.client.trusts(block):
            raise UntrustedHeaderError(
                f"the light client on {self._chain} does not know the validators of block {height} yet", height=height
            )
        data = light_client.update_and_answer_call(block, items)
        header = len(data) - len(light_client.answer_call(height, items))
        return data, SHARED_GAS + GAS_A_VALIDATOR * len(block.validators.validators) + GAS_A_BYTE * max(0, header)


def _proof_of(evidence: Evidence) -> ConsortiumProof:
    if evidence.kind != CONSORTIUM_STATE:
        raise RejectedError(f"the contract takes proofs of a consortium chain's state, not {evidence.kind[:64]!r}")
    proof = decode_consortium_proof(evidence.proof)
    if proof.trail.links or not proof.trail.steps:
        raise RejectedError("the evidence has no signed header newer than its anchor: ask for a later height")
    return proof


def _ready(query: ChainQuery, proof: ConsortiumProof) -> _Ready:
    terms, entry = _Terms.decode(query.terms), proof.entries[-1]
    argument = light_client.answer_argument(query.number, terms.words, entry.value, entry.proof)
    size = len(light_client.answer_call(0, [argument]))
    return _Ready(argument, ITEM_GAS + GAS_A_BYTE * size + _callback_gas(terms))


def _callback_gas(terms: _Terms) -> int:
    """With the 64th that the EVM keeps back (EIP-150)."""
    return -(-terms.callback_gas * 64 // 63)
