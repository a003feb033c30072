"""Provers that join proofs across chains.

A foreign chain's state is believed under a header that more than ⅔ of a consortium chain's power attested as final.
So evidence about it has two halves: the ledger proves the attestation, the foreign chain's nodes the state.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from core.model.consortium import HeaderLeaf, decode_leaf
from core.model.errors import (
    CausewayError,
    DisagreementError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    RetryableError,
)
from core.model.ports import Prover
from core.model.questions import Evidence, LogQuestion, Question
from core.model.types import BlockRef, ChainId, Height
from core.proofs.errors import ProofError
from core.proofs.evidence import (
    REVIEWED_LAYOUTS,
    EthereumProof,
    ImplementationProof,
    Layouts,
    LogProof,
    StateEntry,
    TokenProof,
    Trail,
    ethereum_evidence,
    is_token_balance,
    log_evidence,
    token_evidence,
)
from core.proofs.evidence.ethereum_log import MAX_BLOCK_LINKS

_log = structlog.get_logger(__name__)


class ProvenBlock(Protocol):
    """The block under whose header something is proven, and the header as RLP."""

    @property
    def block(self) -> BlockRef: ...
    @property
    def header(self) -> bytes: ...


class ProvenNodes(ProvenBlock, Protocol):
    """Account and storage nodes (EIP-1186)."""

    @property
    def account_nodes(self) -> tuple[bytes, ...]: ...
    @property
    def storage_nodes(self) -> tuple[bytes, ...]: ...


class ProvenToken(ProvenBlock, Protocol):
    """Nodes of a token, of the holder's word, and of a proxy's implementation, None if it is not a proxy."""

    @property
    def account_nodes(self) -> tuple[bytes, ...]: ...
    @property
    def balance_nodes(self) -> tuple[bytes, ...]: ...
    @property
    def slot_nodes(self) -> tuple[bytes, ...] | None: ...
    @property
    def implementation_nodes(self) -> tuple[bytes, ...] | None: ...


class ProvenLog(ProvenBlock, Protocol):
    """Nodes of the transactions and the receipts trie of the block, for the entry at `index`."""

    @property
    def index(self) -> int: ...
    @property
    def transaction_nodes(self) -> tuple[bytes, ...]: ...
    @property
    def receipt_nodes(self) -> tuple[bytes, ...]: ...


class StateProofs(Protocol):
    """The half that the foreign chain gives. All raise `NotYetFinalError` above the finalized height, `NotFoundError`
    if the state is pruned or the transaction unknown."""

    async def state_proof(self, question: Question, at: Height | None = None) -> ProvenNodes: ...
    async def token_proof(self, question: Question, layouts: Layouts, at: Height | None = None) -> ProvenToken: ...
    async def log_proof(self, question: LogQuestion) -> ProvenLog: ...
    async def headers(self, newest: Height, oldest: Height) -> tuple[bytes, ...]: ...


class Attestations(Protocol):
    """The half that the consortium's ledger gives."""

    async def provable_height(self, at: Height | None = None) -> Height: ...
    async def attested_height(self, foreign: ChainId, height: Height) -> Height: ...
    async def attested_from(self, foreign: ChainId, foreign_height: Height, height: Height) -> Height: ...
    async def attestation(self, foreign: ChainId, foreign_height: Height, height: Height) -> StateEntry: ...
    async def trail(self, target: Height, trusted: Height | None = None) -> Trail: ...


class AttestedStateProver:
    """`Prover` for an Ethereum chain whose headers are attested on a consortium chain.

    `layouts`: of the tokens whose balances can be asked for.
    """

    def __init__(self, states: StateProofs, attestations: Attestations, layouts: Layouts = REVIEWED_LAYOUTS) -> None:
        self._states = states
        self._attestations = attestations
        self._layouts = layouts

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        """`at` is a height of the foreign chain, which must be an attested one; None takes the newest attested.

        A log is as of its own block, and `at` can only be that one's height.
        """
        home_height = await self._attestations.provable_height()
        if isinstance(question, LogQuestion):
            return await self._prove_log(question, at, trusted, home_height)
        newest = await self._newest(question.chain, at, home_height)
        height = newest if at is None else at
        attestation = await self._attestations.attestation(question.chain, height, home_height)
        if attestation.value is None:
            raise NotFoundError(f"height {height} of {question.chain} was never attested: take {newest}", newest=newest)
        if is_token_balance(question):
            token = await self._states.token_proof(question, self._layouts, height)
            _require_attested(attestation, token.block)
            trail = await self._attestations.trail(Height(home_height + 1), trusted)
            return _joined(lambda: token_evidence(question, _token(trail, attestation, token), self._layouts))
        nodes = await self._states.state_proof(question, height)
        _require_attested(attestation, nodes.block)
        trail = await self._attestations.trail(Height(home_height + 1), trusted)
        proof = EthereumProof(trail, attestation, nodes.header, nodes.account_nodes, nodes.storage_nodes)
        return _joined(lambda: ethereum_evidence(question, proof))

    async def _prove_log(
        self, question: LogQuestion, at: Height | None, trusted: Height | None, home_height: Height
    ) -> Evidence:
        found = await self._states.log_proof(question)
        height = found.block.height
        if at is not None and at != height:
            raise RejectedError(f"the transaction stands in block {height} of {question.chain}, not in {at}")
        await self._newest(question.chain, height, home_height)
        nearest = await self._attestations.attested_from(question.chain, height, home_height)
        if nearest - height > MAX_BLOCK_LINKS:
            raise RejectedError(
                f"block {height} of {question.chain} is more than {MAX_BLOCK_LINKS} blocks before an attested one: "
                f"have the operators attest a nearer one than {nearest}"
            )
        attestation = await self._attestations.attestation(question.chain, nearest, home_height)
        linked = () if nearest == height else await self._states.headers(nearest, Height(height + 1))
        trail = await self._attestations.trail(Height(home_height + 1), trusted)
        nodes = (found.transaction_nodes, found.receipt_nodes)
        proof = LogProof(trail, attestation, (*linked, found.header), found.index, *nodes)
        return _joined(lambda: log_evidence(question, proof))

    async def _newest(self, foreign: ChainId, at: Height | None, home_height: Height) -> Height:
        """The newest attested height. Raise `NotYetFinalError` if `at` is above it, or there is none."""
        newest = await self._attestations.attested_height(foreign, home_height)
        if not newest or (at is not None and at > newest):
            raise NotYetFinalError(f"{foreign} is attested up to height {newest} so far", newest=newest)
        return newest


def _require_attested(attestation: StateEntry, block: BlockRef) -> None:
    """Raise `DisagreementError` if the endpoint shows another block than the ledger attests."""
    assert attestation.value is not None
    if decode_leaf(attestation.value, HeaderLeaf).block_hash != block.hash:
        raise DisagreementError(f"the endpoint shows another block {block.height} of {block.chain} than the attested")


def _token(trail: Trail, attestation: StateEntry, nodes: ProvenToken) -> TokenProof:
    behind = None
    if nodes.slot_nodes is not None and nodes.implementation_nodes is not None:
        behind = ImplementationProof(nodes.slot_nodes, nodes.implementation_nodes)
    return TokenProof(trail, attestation, nodes.header, nodes.account_nodes, nodes.balance_nodes, behind)


def _joined(make: Callable[[], Evidence]) -> Evidence:
    try:
        return make()
    except ProofError as error:
        raise RetryableError(f"the endpoints' halves do not make a proof: {error.message}") from error


class FailoverProver:
    """`Prover` over several that answer alike: the first that can. Proofs need no quorum, they prove themselves."""

    def __init__(self, provers: Sequence[Prover]) -> None:
        if not provers:
            raise RejectedError("there is no prover to ask")
        self._provers = tuple(provers)

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        """Raise what the last prover raises; a refusal only if all refuse, since one may be of a bad endpoint."""
        failure: CausewayError | None = None
        for prover in self._provers:
            try:
                return await prover.prove(question, at, trusted=trusted)
            except (RetryableError, NotFoundError) as error:
                failure = error
            except CausewayError as error:
                failure = failure or error
            except Exception as error:
                _log.exception("an endpoint made its prover fail")
                failure = RetryableError(f"a prover failed: {type(error).__name__}")
        assert failure is not None
        raise failure


class ProverByChain:
    """`Prover` for several chains: each question goes to the prover of its chain."""

    def __init__(self, provers: Mapping[ChainId, Prover]) -> None:
        self._provers = dict(provers)

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        """Raise `RejectedError` for a chain that nobody here can prove."""
        prover = self._provers.get(question.chain)
        if prover is None:
            raise RejectedError(f"nothing on {question.chain} can be proven here")
        return await prover.prove(question, at, trusted=trusted)
