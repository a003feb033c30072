"""EIP-1186 proofs under a finalized header: the Ethereum part of evidence.

What vouches for the header is another chain's matter (an attestation on the consortium's ledger); the prover that
joins the two takes the parts from here.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from adapters.evm.decode import RawHeader, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address
from adapters.evm.rpc import Call, data_bytes
from core.model.errors import NotFoundError, NotYetFinalError, RejectedError, ReorgedError, RetryableError
from core.model.facts import BlockHeader
from core.model.questions import Question
from core.model.types import BlockRef, ChainId, ChainTime, Height
from core.proofs import ethereum
from core.proofs.errors import ProofError
from core.proofs.evidence import proven_address, storage_slot

_HEADER: Final = RawHeader | None


class RawSlotProof(msgspec.Struct):
    """One entry of eth_getProof's storageProof."""

    proof: list[str]


class RawProof(msgspec.Struct, rename="camel"):
    """The fields of eth_getProof that a verifier needs."""

    account_proof: list[str]
    storage_proof: list[RawSlotProof]


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
        if question.chain != self._chain:
            raise RejectedError(f"the question is about {question.chain}, this is {self._chain}")
        address, slot = proven_address(question), storage_slot(question)
        height = await self._finalized_height(at)
        before, nodes = await self._read(address, slot, height)
        return self._checked(before, nodes, address, slot)

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

    async def _read(self, address: bytes, slot: int | None, height: Height) -> tuple[dict[str, Any], RawProof]:
        slots = [] if slot is None else [f"0x{slot:064x}"]
        block = Call("eth_getBlockByNumber", (hex(height), False), dict[str, Any] | None)
        try:
            before, nodes, after = await self._endpoints.batch(
                [block, Call("eth_getProof", (hex_address(address), slots, hex(height)), RawProof), block]
            )
        except NotFoundError as error:
            raise NotFoundError(f"the state of {self._chain} at {height} is not kept any more") from error
        if before is None or after is None:
            raise NotFoundError(f"{self._chain} has no block {height}")
        if before.get("hash") != after.get("hash"):
            raise ReorgedError(f"block {height} of {self._chain} was replaced while its state was read")
        return before, nodes

    def _checked(self, block: dict[str, Any], raw: RawProof, address: bytes, slot: int | None) -> StateProof:
        account_nodes = tuple(data_bytes(node) for node in raw.account_proof)
        storage_nodes = tuple(data_bytes(node) for proof in raw.storage_proof for node in proof.proof)
        try:
            header = ethereum.header_from_rpc(block)
            block_hash = ethereum.header_hash(header)
            account = ethereum.verify_account(header.state_root, address, account_nodes)
            if account is None or slot is None:
                storage_nodes = ()
            else:
                ethereum.verify_storage(account.storage_root, slot, storage_nodes)
        except ProofError as error:
            raise RetryableError(f"an endpoint of {self._chain} gave a proof that does not verify: {error}") from error
        if block_hash != data_bytes(str(block.get("hash"))):
            raise RetryableError(f"an endpoint of {self._chain} gave a header that does not have its own hash")
        return StateProof(
            block=BlockRef(self._chain, Height(header.number), block_hash),
            time=ChainTime(self._chain, header.timestamp),
            header=ethereum.encode_header(header),
            account_nodes=account_nodes,
            storage_nodes=storage_nodes,
        )
