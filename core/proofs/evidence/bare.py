"""Proofs about Ethereum without what vouches for the header: what a ledger takes that attests the header itself.

An evidence file is for those who have an anchor and nothing else. The ledger has the attested headers in its own state,
so it takes the rest: MessagePack arrays, their first member the kind of evidence, in one form only.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from core.model.errors import RejectedError
from core.model.questions import Answer, AsOf, Evidence, Question
from core.proofs import ethereum
from core.proofs.errors import MalformedProofError
from core.proofs.evidence.attested import as_of_header
from core.proofs.evidence.ethereum_log import ETHEREUM_LOG, MAX_BLOCK_LINKS, decode_log_proof, log_answer
from core.proofs.evidence.ethereum_state import ETHEREUM_STATE, decode_ethereum_proof, state_answer
from core.proofs.evidence.ethereum_token import (
    ETHEREUM_TOKEN,
    ImplementationProof,
    decode_token_proof,
    token_answer,
)
from core.proofs.evidence.layouts import REVIEWED_LAYOUTS, Layouts

MAX_BARE_BYTES: Final = 48 * 1024
MAX_INDEX: Final = 2**16 - 1

Nodes = tuple[bytes, ...]


class BareState(msgspec.Struct, frozen=True, array_like=True, tag=ETHEREUM_STATE, forbid_unknown_fields=True):
    """As `EthereumProof`."""

    header: bytes
    account_nodes: Nodes
    storage_nodes: Nodes


class BareToken(msgspec.Struct, frozen=True, array_like=True, tag=ETHEREUM_TOKEN, forbid_unknown_fields=True):
    """As `TokenProof`; `implementation` are the nodes of the proxy's word and of the implementation, None without."""

    header: bytes
    account_nodes: Nodes
    balance_nodes: Nodes
    implementation: tuple[Nodes, Nodes] | None


class BareLog(msgspec.Struct, frozen=True, array_like=True, tag=ETHEREUM_LOG, forbid_unknown_fields=True):
    """As `LogProof`; `header` is the attested one, `older` those that lead back to the transaction's block."""

    header: bytes
    older: Nodes
    index: int
    transaction_nodes: Nodes
    receipt_nodes: Nodes


BareProof = BareState | BareToken | BareLog

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(BareProof)


@dataclass(frozen=True, slots=True)
class Bare:
    """A decoded proof and the header under which it answers: the caller says if that is believed."""

    proof: BareProof
    header: ethereum.EthereumHeader

    @property
    def block_hash(self) -> bytes:
        """The hash of the header that has to be attested."""
        return ethereum.header_hash(self.header)


def bare_of(evidence: Evidence) -> bytes:
    """The proof in evidence about Ethereum, without its trail and attestation.

    Raise `RejectedError` for evidence of another kind, MalformedProofError if it is too large for a ledger.
    """
    proof: BareProof
    if evidence.kind == ETHEREUM_STATE:
        state = decode_ethereum_proof(evidence.proof)
        proof = BareState(state.header, state.account_nodes, state.storage_nodes)
    elif evidence.kind == ETHEREUM_TOKEN:
        token = decode_token_proof(evidence.proof)
        behind = token.implementation
        nodes = None if behind is None else (behind.slot_nodes, behind.account_nodes)
        proof = BareToken(token.header, token.account_nodes, token.balance_nodes, nodes)
    elif evidence.kind == ETHEREUM_LOG:
        log = decode_log_proof(evidence.proof)
        proof = BareLog(log.headers[0], log.headers[1:], log.index, log.transaction_nodes, log.receipt_nodes)
    else:
        raise RejectedError(f"a ledger proves nothing by evidence of kind {evidence.kind[:64]!r}")
    raw = _encode(proof)
    if len(raw) > MAX_BARE_BYTES:
        raise MalformedProofError("the proof is too large for a ledger", limit=MAX_BARE_BYTES, size=len(raw))
    return raw


def decode_bare(raw: bytes) -> Bare:
    """Parse untrusted bytes. Raise MalformedProofError if too long, malformed or not in their only form."""
    if len(raw) > MAX_BARE_BYTES:
        raise MalformedProofError("the proof is too large for a ledger", limit=MAX_BARE_BYTES, size=len(raw))
    try:
        proof = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedProofError("not a proof about Ethereum") from error
    if _encode(proof) != raw:
        raise MalformedProofError("the proof is not in its canonical form")
    if isinstance(proof, BareLog) and not (0 <= proof.index <= MAX_INDEX and len(proof.older) <= MAX_BLOCK_LINKS):
        raise MalformedProofError("the proof exceeds its limits", links=len(proof.older))
    return Bare(proof, ethereum.decode_header(proof.header))


def bare_answer(question: Question, bare: Bare, layouts: Layouts = REVIEWED_LAYOUTS) -> tuple[Answer, AsOf]:
    """Return what the proof answers, once its header is believed. Raise `RejectedError` if it does not answer this."""
    header = bare.header
    match bare.proof:
        case BareState() as state:
            answer: Answer = state_answer(question, header, state.account_nodes, state.storage_nodes)
        case BareToken() as token:
            behind = None if token.implementation is None else ImplementationProof(*token.implementation)
            nodes = token.account_nodes, token.balance_nodes
            answer = token_answer(question, header, *nodes, behind, layouts)
        case BareLog() as log:
            return log_answer(question, header, log.older, log.index, log.transaction_nodes, log.receipt_nodes)
    return answer, as_of_header(question, header)
