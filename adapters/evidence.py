"""Provers that join proofs across chains.

A foreign chain's state is believed under a header that more than ⅔ of a consortium chain's power attested as final.
So evidence about it has two halves: the ledger proves the attestation, the foreign chain's nodes the state.
"""

from collections.abc import Mapping, Sequence
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
from core.model.questions import Evidence, Question
from core.model.types import BlockRef, ChainId, Height
from core.proofs.errors import ProofError
from core.proofs.evidence import EthereumProof, StateEntry, Trail, ethereum_evidence

_log = structlog.get_logger(__name__)


class ProvenNodes(Protocol):
    """Account and storage nodes under the header of `block` (EIP-1186), the header as RLP."""

    @property
    def block(self) -> BlockRef: ...
    @property
    def header(self) -> bytes: ...
    @property
    def account_nodes(self) -> tuple[bytes, ...]: ...
    @property
    def storage_nodes(self) -> tuple[bytes, ...]: ...


class StateProofs(Protocol):
    """The half that the foreign chain gives."""

    async def state_proof(self, question: Question, at: Height | None = None) -> ProvenNodes:
        """Raise `NotYetFinalError` above the finalized height, `NotFoundError` if the state is pruned."""


class Attestations(Protocol):
    """The half that the consortium's ledger gives."""

    async def provable_height(self, at: Height | None = None) -> Height: ...
    async def attested_height(self, foreign: ChainId, height: Height) -> Height: ...
    async def attestation(self, foreign: ChainId, foreign_height: Height, height: Height) -> StateEntry: ...
    async def trail(self, target: Height) -> Trail: ...


class AttestedStateProver:
    """`Prover` for an Ethereum chain whose headers are attested on a consortium chain."""

    def __init__(self, states: StateProofs, attestations: Attestations) -> None:
        self._states = states
        self._attestations = attestations

    async def prove(self, question: Question, at: Height | None = None) -> Evidence:
        """`at` is a height of the foreign chain, which must be an attested one; None takes the newest attested."""
        home_height = await self._attestations.provable_height()
        newest = await self._attestations.attested_height(question.chain, home_height)
        if not newest or (at is not None and at > newest):
            raise NotYetFinalError(f"{question.chain} is attested up to height {newest} so far", newest=newest)
        height = newest if at is None else at
        attestation = await self._attestations.attestation(question.chain, height, home_height)
        if attestation.value is None:
            raise NotFoundError(f"height {height} of {question.chain} was never attested: take {newest}", newest=newest)
        nodes = await self._states.state_proof(question, height)
        if decode_leaf(attestation.value, HeaderLeaf).block_hash != nodes.block.hash:
            raise DisagreementError(f"the endpoint shows another block {height} of {question.chain} than the attested")
        trail = await self._attestations.trail(Height(home_height + 1))
        proof = EthereumProof(trail, attestation, nodes.header, nodes.account_nodes, nodes.storage_nodes)
        try:
            return ethereum_evidence(question, proof)
        except ProofError as error:
            raise RetryableError(f"the endpoints' halves do not make a proof: {error.message}") from error


class FailoverProver:
    """`Prover` over several that answer alike: the first that can. Proofs need no quorum, they prove themselves."""

    def __init__(self, provers: Sequence[Prover]) -> None:
        if not provers:
            raise RejectedError("there is no prover to ask")
        self._provers = tuple(provers)

    async def prove(self, question: Question, at: Height | None = None) -> Evidence:
        """Raise what the last prover raises; a refusal only if all refuse, since one may be of a bad endpoint."""
        failure: CausewayError | None = None
        for prover in self._provers:
            try:
                return await prover.prove(question, at)
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

    async def prove(self, question: Question, at: Height | None = None) -> Evidence:
        """Raise `RejectedError` for a chain that nobody here can prove."""
        prover = self._provers.get(question.chain)
        if prover is None:
            raise RejectedError(f"nothing on {question.chain} can be proven here")
        return await prover.prove(question, at)
