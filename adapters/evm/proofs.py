"""EIP-1186 proofs under a finalized header: the Ethereum part of evidence.

What vouches for the header is another chain's matter (an attestation on the consortium's ledger); the prover that
joins the two takes the parts from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from adapters.evm.decode import RawHeader, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.log_proofs import ReceiptNodes, read_log_proof
from adapters.evm.names import hex_address
from adapters.evm.rpc import Call, data_bytes
from core.model.errors import NotFoundError, NotYetFinalError, RejectedError, ReorgedError, RetryableError
from core.model.facts import BlockHeader
from core.model.questions import LogQuestion, Question
from core.model.types import BlockRef, ChainId, ChainTime, Height
from core.proofs import ethereum
from core.proofs.errors import InvalidProofError, ProofError
from core.proofs.evidence import Layouts, proven_address, storage_slot
from core.proofs.evidence.ethereum_token import chosen_layout, implementation_address, token_and_holder
from core.proofs.evidence.layouts import ProxyLayout, TokenLayout, proxy_slots

_HEADER: Final = RawHeader | None


class RawSlotProof(msgspec.Struct):
    """One entry of eth_getProof's storageProof."""

    proof: list[str]


class RawProof(msgspec.Struct, rename="camel"):
    """The fields of eth_getProof that a verifier needs."""

    account_proof: list[str]
    storage_proof: list[RawSlotProof]


@dataclass(frozen=True, slots=True)
class AccountNodes:
    """One account's nodes, and the account itself, None if it does not exist; words and their nodes by slot."""

    account: ethereum.Account | None
    nodes: tuple[bytes, ...]
    words: dict[int, tuple[int, tuple[bytes, ...]]]


@dataclass(frozen=True, slots=True)
class TokenNodes:
    """The proof of a token's balance: nodes of the token, of the holder's word, and, for a proxy, of the word that
    names its implementation (`slot_nodes`) and of that one's account; both None otherwise."""

    block: BlockRef
    header: bytes
    account_nodes: tuple[bytes, ...]
    balance_nodes: tuple[bytes, ...]
    slot_nodes: tuple[bytes, ...] | None
    implementation_nodes: tuple[bytes, ...] | None


@dataclass(frozen=True, slots=True)
class StateProof:
    """Account and storage nodes under a header's state root, and the header itself as RLP.

    `storage_nodes` are empty if the question needs none, or the account does not exist.
    """

    block: BlockRef
    time: ChainTime
    header: bytes
    account_nodes: tuple[bytes, ...]
    storage_nodes: tuple[bytes, ...]


class EvmStateProver:
    """Collects the nodes that prove an answer, and checks them before it hands them out."""

    def __init__(self, chain: ChainId, endpoints: Endpoints) -> None:
        self._chain = chain
        self._endpoints = endpoints

    async def state_proof(self, question: Question, at: Height | None = None) -> StateProof:
        """The nodes for `question` in the state after the finalized block `at` (None: the newest finalized).

        Raise `NotYetFinalError` above the finalized height, `NotFoundError` for a state that the endpoint has pruned,
        `RejectedError` for a question that Ethereum's state cannot prove, `ReorgedError` when the block was replaced
        meanwhile, `RetryableError` when the endpoint's nodes do not verify.
        """
        self._require_chain(question)
        address, slot = proven_address(question), storage_slot(question)
        height = await self._finalized_height(at)
        header, [found] = await self._read(height, [(address, [] if slot is None else [slot])])
        storage_nodes = () if slot is None or found.account is None else found.words[slot][1]
        return StateProof(
            block=self._ref(header),
            time=ChainTime(self._chain, header.timestamp),
            header=ethereum.encode_header(header),
            account_nodes=found.nodes,
            storage_nodes=storage_nodes,
        )

    async def token_proof(self, question: Question, layouts: Layouts, at: Height | None = None) -> TokenNodes:
        """The nodes for a token's balance after block `at`. Raise as `state_proof`, and `RejectedError` for a token
        whose code is in none of the `layouts`."""
        self._require_chain(question)
        token, holder = token_and_holder(question)
        height = await self._finalized_height(at)
        slots = sorted({one.proxy.slot for one in layouts if one.proxy is not None})
        header, [found] = await self._read(height, [(token, slots)])
        if found.account is None or found.account.code_hash == ethereum.EMPTY_CODE_HASH:
            raise RejectedError(f"there is no contract at 0x{token.hex()} on {self._chain}")
        known = [slot for slot in proxy_slots(layouts, found.account.code_hash) if slot is not None]
        behind: list[tuple[bytes, list[int]]] = [(_named(found.words[slot][0]), []) for slot in known[:1]]
        proxy = None
        if behind:
            _, [implementation] = await self._read(height, behind, header)
            code_hash = ethereum.EMPTY_CODE_HASH if implementation.account is None else implementation.account.code_hash
            proxy = ProxyLayout(known[0], code_hash)
        slot = _layout(layouts, found.account.code_hash, proxy).slot_of(holder)
        _, [balance] = await self._read(height, [(token, [slot])], header)
        return TokenNodes(
            block=self._ref(header),
            header=ethereum.encode_header(header),
            account_nodes=found.nodes,
            balance_nodes=balance.words[slot][1],
            slot_nodes=found.words[known[0]][1] if behind else None,
            implementation_nodes=implementation.nodes if behind else None,
        )

    async def log_proof(self, question: LogQuestion) -> ReceiptNodes:
        """The nodes for a transaction's receipt in its own block. Raise `NotFoundError` for a transaction that the
        endpoint does not know, `NotYetFinalError` if its block is not final, `RetryableError` for nonsense."""
        self._require_chain(question)
        return await read_log_proof(self._endpoints, self._chain, question, await self._finalized_height(None))

    async def headers(self, newest: Height, oldest: Height) -> tuple[bytes, ...]:
        """RLP of the headers from `newest` down to `oldest`, as the endpoint has them."""
        heights = range(newest, oldest - 1, -1)
        calls = [Call("eth_getBlockByNumber", (hex(height), False), dict[str, Any] | None) for height in heights]
        return tuple(
            ethereum.encode_header(self._header(block, height))
            for block, height in zip(await self._endpoints.batch(calls), heights, strict=True)
        )

    def _require_chain(self, question: Question) -> None:
        if question.chain != self._chain:
            raise RejectedError(f"the question is about {question.chain}, this is {self._chain}")

    def _ref(self, header: ethereum.EthereumHeader) -> BlockRef:
        return BlockRef(self._chain, Height(header.number), ethereum.header_hash(header))

    async def _finalized_height(self, at: Height | None) -> Height:
        raw: RawHeader | None = await self._endpoints.call("eth_getBlockByNumber", "finalized", False, into=_HEADER)
        if raw is None:
            raise RetryableError("the endpoint knows no finalized block")
        finalized: BlockHeader = header_of(self._chain, raw)
        if at is not None and at > finalized.height:
            raise NotYetFinalError(
                f"{self._chain} is final up to {finalized.height}, not {at}", finalized=finalized.height
            )
        return finalized.height if at is None else at

    async def _read(
        self,
        height: Height,
        wanted: Sequence[tuple[bytes, Sequence[int]]],
        under: ethereum.EthereumHeader | None = None,
    ) -> tuple[ethereum.EthereumHeader, list[AccountNodes]]:
        """The header of block `height`, and each account with some of its words, proven under it.

        `under`: the header that it must be, if some were read before.
        """
        block = Call("eth_getBlockByNumber", (hex(height), False), dict[str, Any] | None)
        proofs = [
            Call("eth_getProof", (hex_address(address), [f"0x{slot:064x}" for slot in slots], hex(height)), RawProof)
            for address, slots in wanted
        ]
        try:
            before, *found, after = await self._endpoints.batch([block, *proofs, block])
        except NotFoundError as error:
            raise NotFoundError(f"the state of {self._chain} at {height} is not kept any more") from error
        if before is None or after is None:
            raise NotFoundError(f"{self._chain} has no block {height}")
        header = self._header(before, height)
        if before.get("hash") != after.get("hash") or under not in (None, header):
            raise ReorgedError(f"block {height} of {self._chain} was replaced while its state was read")
        try:
            accounts = [
                _checked(header.state_root, address, slots, raw)
                for (address, slots), raw in zip(wanted, found, strict=True)
            ]
        except (ProofError, ValueError) as error:
            raise RetryableError(f"an endpoint of {self._chain} gave a proof that does not verify: {error}") from error
        return header, accounts

    def _header(self, block: dict[str, Any] | None, height: int) -> ethereum.EthereumHeader:
        if block is None:
            raise NotFoundError(f"{self._chain} has no block {height}")
        try:
            header = ethereum.header_from_rpc(block)
            block_hash = ethereum.header_hash(header)
        except ProofError as error:
            raise RetryableError(f"an endpoint of {self._chain} gave a header that cannot be read: {error}") from error
        if block_hash != data_bytes(str(block.get("hash"))) or header.number != height:
            raise RetryableError(f"an endpoint of {self._chain} gave a header that does not have its own hash")
        return header


def _checked(state_root: bytes, address: bytes, slots: Sequence[int], raw: RawProof) -> AccountNodes:
    nodes = tuple(data_bytes(node) for node in raw.account_proof)
    account = ethereum.verify_account(state_root, address, nodes)
    words = {}
    for slot, proof in zip(slots, raw.storage_proof if account is not None else [], strict=account is not None):
        assert account is not None
        storage_nodes = tuple(data_bytes(node) for node in proof.proof)
        words[slot] = (ethereum.verify_storage(account.storage_root, slot, storage_nodes), storage_nodes)
    return AccountNodes(account, nodes, words)


def _named(word: int) -> bytes:
    """The implementation that a reviewed proxy names."""
    try:
        return implementation_address(word)
    except InvalidProofError as error:
        raise RejectedError(error.message) from error


def _layout(layouts: Layouts, code_hash: bytes, proxy: ProxyLayout | None) -> TokenLayout:
    try:
        return chosen_layout(layouts, code_hash, proxy)
    except InvalidProofError as error:
        raise RejectedError(error.message) from error
