"""Verifiers by kind of trust, and `verify`, which decides whether an evidence file is believed.

Two kinds are built in. Third parties add theirs under the entry point group `causeway.verifiers`, named by kind: a
function `(evidence, anchor, now_s) -> Verified` that recomputes question, answer and as-of from the proof alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final

from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import (
    Anchor,
    Answer,
    AsOf,
    BalanceAnswer,
    BalanceQuestion,
    Evidence,
    LockAnswer,
    LockQuestion,
    Question,
)
from core.model.types import BaseUnits, BlockRef, ChainTime, Height, chain_of
from core.proofs import ethereum, lanes, mpt
from core.proofs.errors import AnchorMismatchError, InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.state import (
    ProvenState,
    StateEntry,
    answer_from_state,
    attested_header,
    entries_from_json,
    entries_to_json,
)
from core.proofs.evidence.trail import Trail, trail_from_json, trail_to_json, verify_trail

CONSORTIUM_STATE: Final = "consortium-state"
ETHEREUM_STATE: Final = "ethereum-state"
ENTRY_POINT_GROUP: Final = "causeway.verifiers"

FINAL_BY_COMMIT: Final = "commit"
FINAL_BY_ATTESTATION: Final = "attested"

MAX_HEADER_BYTES: Final = ethereum.MAX_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Verified:
    """A proven answer. Only a verifier makes one."""

    question: Question
    answer: Answer
    as_of: AsOf


Verifier = Callable[[Evidence, Anchor, int], Verified]


@dataclass(frozen=True, slots=True)
class ConsortiumProof:
    """Kind `consortium-state`: leaves under the app hash of the header that the trail leads to.

    That header, of height H + 1, commits to the state after block H. The first entry is the ledger's clock.
    """

    trail: Trail
    entries: tuple[StateEntry, ...]


@dataclass(frozen=True, slots=True)
class EthereumProof:
    """Kind `ethereum-state`: account and storage word under a header that the consortium's ledger attests as final.

    `attestation` is the ledger's leaf about the header, `header` its RLP; node lists are EIP-1186's.
    """

    trail: Trail
    attestation: StateEntry
    header: bytes
    account_nodes: tuple[bytes, ...]
    storage_nodes: tuple[bytes, ...]


def verify(evidence: Evidence, anchor: Anchor, now_s: int, verifiers: Mapping[str, Verifier] | None = None) -> Verified:
    """Believe the evidence or raise. `now_s` is the verifier's own Unix time.

    Question, answer and as-of are recomputed from the proof and compared with what the evidence says. Raise
    MalformedProofError, InvalidProofError, AnchorMismatchError or a LightClientError, all of them ProofErrors, and
    RejectedError for a question that its chain cannot prove.
    """
    verifier = (BUILT_IN_VERIFIERS if verifiers is None else verifiers).get(evidence.kind)
    if verifier is None:
        raise MalformedProofError(f"there is no verifier for evidence of kind {evidence.kind[:64]!r}")
    proven = verifier(evidence, anchor, now_s)
    if (proven.question, proven.answer, proven.as_of) != (evidence.question, evidence.answer, evidence.as_of):
        raise InvalidProofError("the proof shows another answer than the evidence says")
    return proven


def installed_verifiers() -> dict[str, Verifier]:
    """Built-in verifiers and those of installed packages, which cannot replace built-in ones."""
    found = {point.name: point.load() for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**found, **BUILT_IN_VERIFIERS}


# --- consortium --------------------------------------------------------------------------------------------------


def consortium_evidence(question: Question, proof: ConsortiumProof) -> Evidence:
    """Evidence from its proof: answer and as-of are computed as a verifier computes them.

    The entries are checked, the trail is not: it means nothing without an anchor.
    """
    answer, as_of = _consortium_claim(question, proof)
    return Evidence(question, answer, as_of, CONSORTIUM_STATE, encode_consortium_proof(proof))


def verify_consortium_state(evidence: Evidence, anchor: Anchor, now_s: int) -> Verified:
    """Verifier of kind `consortium-state`."""
    proof = decode_consortium_proof(evidence.proof)
    if evidence.question.chain != anchor.chain:
        raise AnchorMismatchError("question is about another chain", expected=anchor.chain)
    verify_trail(proof.trail, anchor, now_s)
    answer, as_of = _consortium_claim(evidence.question, proof)
    return Verified(evidence.question, answer, as_of)


def _consortium_claim(question: Question, proof: ConsortiumProof) -> tuple[Answer, AsOf]:
    header = proof.trail.target
    if header.last_block_id.is_nil:
        raise InvalidProofError("the first header commits to no block's state")
    state = ProvenState(header.app_hash, proof.entries)
    answer, time = answer_from_state(question, state.read, header.app_version)
    state.finish()
    block = BlockRef(question.chain, Height(header.height - 1), header.last_block_id.hash)
    return answer, AsOf(block, time, FINAL_BY_COMMIT)


def encode_consortium_proof(proof: ConsortiumProof) -> bytes:
    """Canonical JSON of the proof."""
    return canonical.dump({"trail": trail_to_json(proof.trail), "entries": entries_to_json(proof.entries)})


def decode_consortium_proof(data: bytes) -> ConsortiumProof:
    """Inverse of `encode_consortium_proof`; one form only. Raise MalformedProofError."""
    fields = canonical.members(canonical.load(data), "trail", "entries")
    proof = ConsortiumProof(trail_from_json(fields["trail"]), entries_from_json(fields["entries"]))
    if encode_consortium_proof(proof) != data:
        raise MalformedProofError("proof is not in its canonical form")
    return proof


# --- Ethereum ----------------------------------------------------------------------------------------------------


def ethereum_evidence(question: Question, proof: EthereumProof) -> Evidence:
    """Evidence from its proof, computed as a verifier computes it; the trail is not checked."""
    answer, as_of = _ethereum_claim(question, proof)
    return Evidence(question, answer, as_of, ETHEREUM_STATE, encode_ethereum_proof(proof))


def verify_ethereum_state(evidence: Evidence, anchor: Anchor, now_s: int) -> Verified:
    """Verifier of kind `ethereum-state`."""
    proof = decode_ethereum_proof(evidence.proof)
    verify_trail(proof.trail, anchor, now_s)
    answer, as_of = _ethereum_claim(evidence.question, proof)
    return Verified(evidence.question, answer, as_of)


def storage_slot(question: Question) -> int | None:
    """The storage slot of its holder that the question is about, None if the account alone answers."""
    return lanes.lane_slot(lanes.parse_lane(question.lock_id)) if isinstance(question, LockQuestion) else None


def proven_address(question: Question) -> bytes:
    """The account whose proof answers. Raise RejectedError for what Ethereum's state cannot prove."""
    if isinstance(question, LockQuestion):
        if question.holder is None:
            raise RejectedError("a lock on Ethereum is held by a contract, and the question names none")
        account = question.holder
    elif isinstance(question, BalanceQuestion) and question.asset == f"{question.chain}/slip44:60":
        account = question.account
    else:
        raise RejectedError("Ethereum's state proves locks and balances of the native coin only")
    if chain_of(account) != question.chain:
        raise RejectedError(f"{account[:128]!r} is not on {question.chain}")
    return lanes.evm_address(account)


def _ethereum_claim(question: Question, proof: EthereumProof) -> tuple[Answer, AsOf]:
    header = ethereum.decode_header(proof.header)
    state = ProvenState(proof.trail.target.app_hash, (proof.attestation,))
    attested = attested_header(question.chain, header.number, state.read)
    block_hash = ethereum.header_hash(header)
    if (attested.block_hash, attested.time) != (block_hash, header.timestamp):
        raise InvalidProofError("the ledger attests another header at this height", height=header.number)
    account = ethereum.verify_account(header.state_root, proven_address(question), proof.account_nodes)
    answer = _ethereum_answer(question, account, proof.storage_nodes)
    block = BlockRef(question.chain, Height(header.number), block_hash)
    return answer, AsOf(block, ChainTime(question.chain, header.timestamp), FINAL_BY_ATTESTATION)


def _ethereum_answer(question: Question, account: ethereum.Account | None, storage_nodes: Sequence[bytes]) -> Answer:
    if not isinstance(question, LockQuestion):
        if storage_nodes:
            raise InvalidProofError("an account's balance needs no storage proof")
        return BalanceAnswer(BaseUnits(0 if account is None else account.balance))
    if chain_of(question.terms.asset) != question.chain:
        raise RejectedError("the terms are of another chain than the question")
    lane = lanes.parse_lane(question.lock_id)
    if account is None:
        if storage_nodes:
            raise InvalidProofError("an absent account has no storage")
        return LockAnswer(LockStatus.ABSENT, False, ethereum.EMPTY_CODE_HASH)
    word = ethereum.verify_storage(account.storage_root, lanes.lane_slot(lane), storage_nodes)
    status, terms_match = lanes.read_lane(word, question.terms, lane)
    return LockAnswer(status, terms_match, account.code_hash)


def encode_ethereum_proof(proof: EthereumProof) -> bytes:
    """Canonical JSON of the proof."""
    return canonical.dump(
        {
            "trail": trail_to_json(proof.trail),
            "attestation": entries_to_json((proof.attestation,)),
            "header": proof.header.hex(),
            "account_nodes": [node.hex() for node in proof.account_nodes],
            "storage_nodes": [node.hex() for node in proof.storage_nodes],
        }
    )


def decode_ethereum_proof(data: bytes) -> EthereumProof:
    """Inverse of `encode_ethereum_proof`; one form only. Raise MalformedProofError."""
    names = ("trail", "attestation", "header", "account_nodes", "storage_nodes")
    fields = canonical.members(canonical.load(data), *names)
    attestation = entries_from_json(fields["attestation"])
    if len(attestation) != 1:
        raise MalformedProofError("exactly one leaf attests the header")
    account_nodes, storage_nodes = (
        tuple(canonical.hex_bytes(node, mpt.MAX_STATE_NODE_BYTES) for node in canonical.items(nodes, mpt.MAX_NODES))
        for nodes in (fields["account_nodes"], fields["storage_nodes"])
    )
    proof = EthereumProof(
        trail_from_json(fields["trail"]),
        attestation[0],
        canonical.hex_bytes(fields["header"], MAX_HEADER_BYTES),
        account_nodes,
        storage_nodes,
    )
    if encode_ethereum_proof(proof) != data:
        raise MalformedProofError("proof is not in its canonical form")
    return proof


BUILT_IN_VERIFIERS: Final[Mapping[str, Verifier]] = {
    CONSORTIUM_STATE: verify_consortium_state,
    ETHEREUM_STATE: verify_ethereum_state,
}
