"""A prover about Ethereum whose headers sync committees call final, with the consortium's attestation or without it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from adapters.evidence import StateProofs
from core.model.beacon import BeaconAnchor
from core.model.errors import CausewayError, NotFoundError, NotYetFinalError, RejectedError, RetryableError
from core.model.ports import Prover
from core.model.questions import Evidence, LogQuestion, Question
from core.model.types import Height
from core.proofs import ethereum
from core.proofs.beacon.chain import SyncChain
from core.proofs.beacon.containers import ExecutionHeader
from core.proofs.errors import ProofError
from core.proofs.evidence import (
    ETHEREUM_LOG,
    ETHEREUM_TOKEN,
    REVIEWED_LAYOUTS,
    EthereumProof,
    ImplementationProof,
    Layouts,
    LogProof,
    SyncProof,
    TokenProof,
    encode_evidence,
    ethereum_evidence,
    is_token_balance,
    log_evidence,
    token_evidence,
)
from core.proofs.evidence.ethereum_log import MAX_BLOCK_LINKS, decode_log_proof
from core.proofs.evidence.ethereum_state import decode_ethereum_proof
from core.proofs.evidence.ethereum_token import decode_token_proof
from core.proofs.evidence.synced import MAX_SYNC_LINKS
from core.runtime.logging import get_logger

log = get_logger("adapters.synced")

P = TypeVar("P", EthereumProof, TokenProof, LogProof)


class FinalBlock(Protocol):
    """An Ethereum block that sync committees call final, with the proven way to it."""

    @property
    def chain(self) -> SyncChain: ...
    @property
    def execution(self) -> ExecutionHeader: ...


class FinalBlocks(Protocol):
    """Source of the newest final block. `final` raises `RetryableError`, or `TrustExpiredError`."""

    @property
    def anchor(self) -> BeaconAnchor: ...
    async def final(self) -> FinalBlock: ...


class SyncedStateProver:
    """`Prover` for an Ethereum chain with a beacon chain that is followed.

    `attested` proves by attestation, None if nobody attests the chain: then sync committees alone vouch. Evidence
    carries both ways if both reach its block; if one does not, it carries the other.
    """

    def __init__(
        self, states: StateProofs, blocks: FinalBlocks, attested: Prover | None, layouts: Layouts = REVIEWED_LAYOUTS
    ) -> None:
        self._states = states
        self._blocks = blocks
        self._attested = attested
        self._layouts = layouts

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        """As of an attested height, or of the newest block that sync committees call final if none is attested."""
        if self._attested is None:
            return await self._alone(question, at)
        try:
            evidence = await self._attested.prove(question, at, trusted=trusted)
        except (NotYetFinalError, NotFoundError) as error:
            try:
                return await self._alone(question, at)
            except CausewayError as other:
                log.info("no way to the block", chain=question.chain, reason=other.message)
            raise error
        try:
            both = await self._also(evidence)
        except CausewayError as error:
            # The answer is proven without it.
            log.warning("evidence without sync committees", chain=question.chain, reason=error.message)
            return evidence
        return both

    async def _also(self, evidence: Evidence) -> Evidence:
        """The evidence with sync committees next to its attestation. Raise if they do not reach it, or it gets too
        large for a file."""
        question, layouts = evidence.question, self._layouts
        if evidence.kind == ETHEREUM_LOG:
            log_proof = await self._carrying(decode_log_proof(evidence.proof), lambda proof: proof.headers[0])
            made = log_evidence(question, log_proof)
        elif evidence.kind == ETHEREUM_TOKEN:
            token = await self._carrying(decode_token_proof(evidence.proof), lambda proof: proof.header)
            made = token_evidence(question, token, layouts)
        else:
            state = await self._carrying(decode_ethereum_proof(evidence.proof), lambda proof: proof.header)
            made = ethereum_evidence(question, state)
        encode_evidence(made)
        return made

    async def _carrying(self, proof: P, header_of: Callable[[P], bytes]) -> P:
        return replace(proof, sync=await self._way_to(ethereum.decode_header(header_of(proof))))

    async def _way_to(self, header: ethereum.EthereumHeader) -> SyncProof:
        """The way to a header at or before the newest final block."""
        final = await self._blocks.final()
        newest = final.execution.block_number
        if header.number > newest:
            raise NotYetFinalError(f"sync committees call final up to block {newest} so far", newest=newest)
        if newest - header.number > MAX_SYNC_LINKS:
            raise RejectedError(f"block {header.number} is more than {MAX_SYNC_LINKS} before the final one {newest}")
        links: Sequence[bytes] = ()
        if header.number < newest:
            links = await self._states.headers(Height(newest), Height(header.number + 1))
        last = ethereum.decode_header(links[-1]).parent_hash if links else final.execution.block_hash
        first = ethereum.header_hash(ethereum.decode_header(links[0])) if links else ethereum.header_hash(header)
        if last != ethereum.header_hash(header) or first != final.execution.block_hash:
            raise RetryableError("the endpoint shows other blocks than the one that sync committees call final")
        return SyncProof(final.chain, tuple(links))

    async def _alone(self, question: Question, at: Height | None) -> Evidence:
        """Evidence for which sync committees alone vouch."""
        final = await self._blocks.final()
        newest = Height(final.execution.block_number)
        if isinstance(question, LogQuestion):
            return await self._log_alone(question, at, newest)
        height = newest if at is None else at
        if height > newest:
            raise NotYetFinalError(f"sync committees call final up to block {newest} so far", newest=newest)
        if is_token_balance(question):
            token = await self._states.token_proof(question, self._layouts, height)
            behind = None
            if token.slot_nodes is not None and token.implementation_nodes is not None:
                behind = ImplementationProof(token.slot_nodes, token.implementation_nodes)
            sync = await self._way_to(ethereum.decode_header(token.header))
            nodes = token.account_nodes, token.balance_nodes, behind
            return _joined(
                lambda: token_evidence(question, TokenProof(None, None, token.header, *nodes, sync), self._layouts)
            )
        state = await self._states.state_proof(question, height)
        sync = await self._way_to(ethereum.decode_header(state.header))
        parts = state.account_nodes, state.storage_nodes
        return _joined(lambda: ethereum_evidence(question, EthereumProof(None, None, state.header, *parts, sync)))

    async def _log_alone(self, question: LogQuestion, at: Height | None, newest: Height) -> Evidence:
        found = await self._states.log_proof(question)
        height = found.block.height
        if at is not None and at != height:
            raise RejectedError(f"the transaction stands in block {height} of {question.chain}, not in {at}")
        if height > newest:
            raise NotYetFinalError(f"sync committees call final up to block {newest} so far", newest=newest)
        if newest - height > MAX_BLOCK_LINKS:
            raise RejectedError(f"block {height} is more than {MAX_BLOCK_LINKS} blocks before the final one {newest}")
        linked = () if height == newest else await self._states.headers(newest, Height(height + 1))
        headers = (*linked, found.header)
        sync = await self._way_to(ethereum.decode_header(headers[0]))
        nodes = found.transaction_nodes, found.receipt_nodes
        return _joined(lambda: log_evidence(question, LogProof(None, None, headers, found.index, *nodes, sync)))


def _joined(make: Callable[[], Evidence]) -> Evidence:
    try:
        return make()
    except ProofError as error:
        raise RetryableError(f"the endpoints' parts do not make a proof: {error.message}") from error
