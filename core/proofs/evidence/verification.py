"""Verifiers by kind of trust, and `verify`, which decides whether an evidence file is believed.

    consortium-state        a ledger's state, under commits of its validators
    consortium-transaction  a transaction of a ledger, and how it ended
    ethereum-state          an account and a storage word, under a header that the ledger attests, or sync committees
    ethereum-token          a token's balance, for reviewed layouts
    ethereum-log            a log of a transaction

Third parties add theirs under the entry point group `causeway.verifiers`, named by kind: a function
`(evidence, trusted, now_s) -> Verified` that recomputes question, answer and as-of from the proof alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final

from core.model.questions import Answer, AsOf, Evidence, Question
from core.model.types import BlockRef, Height
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.consortium_transaction import CONSORTIUM_TRANSACTION, verify_consortium_transaction
from core.proofs.evidence.ethereum_log import ETHEREUM_LOG, verify_ethereum_log
from core.proofs.evidence.ethereum_state import ETHEREUM_STATE, verify_ethereum_state
from core.proofs.evidence.ethereum_token import ETHEREUM_TOKEN, TokenVerifier
from core.proofs.evidence.kinds import FINAL_BY_COMMIT, Trusted, Verified, Verifier
from core.proofs.evidence.layouts import REVIEWED_LAYOUTS, Layouts
from core.proofs.evidence.state import (
    ProvenState,
    StateEntry,
    answer_from_state,
    entries_from_json,
    entries_to_json,
)
from core.proofs.evidence.trail import Trail, trail_from_json, trail_to_json, verify_ledger

CONSORTIUM_STATE: Final = "consortium-state"
ENTRY_POINT_GROUP: Final = "causeway.verifiers"


@dataclass(frozen=True, slots=True)
class ConsortiumProof:
    """Kind `consortium-state`: leaves under the app hash of the header that the trail leads to.

    That header, of height H + 1, commits to the state after block H. The first entry is the ledger's clock.
    """

    trail: Trail
    entries: tuple[StateEntry, ...]


def verify(
    evidence: Evidence, trusted: Trusted, now_s: int, verifiers: Mapping[str, Verifier] | None = None
) -> Verified:
    """Believe the evidence or raise. `trusted`: the reader's anchor or anchors; `now_s`: the reader's own Unix time.

    Question, answer and as-of are recomputed from the proof and compared with what the evidence says. Raise
    MalformedProofError, InvalidProofError, AnchorMismatchError or a LightClientError, all of them ProofErrors, and
    RejectedError for a question that its chain cannot prove.
    """
    verifier = (BUILT_IN_VERIFIERS if verifiers is None else verifiers).get(evidence.kind)
    if verifier is None:
        raise MalformedProofError(f"there is no verifier for evidence of kind {evidence.kind[:64]!r}")
    proven = verifier(evidence, trusted, now_s)
    if (proven.question, proven.answer, proven.as_of) != (evidence.question, evidence.answer, evidence.as_of):
        raise InvalidProofError("the proof shows another answer than the evidence says")
    return proven


def installed_verifiers(layouts: Layouts = REVIEWED_LAYOUTS) -> dict[str, Verifier]:
    """Built-in verifiers and those of installed packages, which cannot replace built-in ones.

    `layouts`: of the tokens whose balances are believed.
    """
    found = {point.name: point.load() for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**found, **BUILT_IN_VERIFIERS, ETHEREUM_TOKEN: TokenVerifier(layouts)}


# --- consortium --------------------------------------------------------------------------------------------------


def consortium_evidence(question: Question, proof: ConsortiumProof) -> Evidence:
    """Evidence from its proof: answer and as-of are computed as a verifier computes them.

    The entries are checked, the trail is not: it means nothing without an anchor.
    """
    answer, as_of = _consortium_claim(question, proof)
    return Evidence(question, answer, as_of, CONSORTIUM_STATE, encode_consortium_proof(proof))


def verify_consortium_state(evidence: Evidence, trusted: Trusted, now_s: int) -> Verified:
    """Verifier of kind `consortium-state`."""
    proof = decode_consortium_proof(evidence.proof)
    verify_ledger(evidence.question, proof.trail, trusted, now_s)
    answer, as_of = _consortium_claim(evidence.question, proof)
    return Verified(evidence.question, answer, as_of, (FINAL_BY_COMMIT,))


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


BUILT_IN_VERIFIERS: Final[Mapping[str, Verifier]] = {
    CONSORTIUM_STATE: verify_consortium_state,
    CONSORTIUM_TRANSACTION: verify_consortium_transaction,
    ETHEREUM_STATE: verify_ethereum_state,
    ETHEREUM_TOKEN: TokenVerifier(REVIEWED_LAYOUTS),
    ETHEREUM_LOG: verify_ethereum_log,
}
