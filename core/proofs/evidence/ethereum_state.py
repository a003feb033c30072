"""Kind `ethereum-state`: one account, and at most one word of its storage, under a header that is vouched for.

Proves locks and lanes of the HashedTimelock contract, storage words, and balances of the native coin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.model.errors import RejectedError
from core.model.questions import (
    Answer,
    AsOf,
    BalanceAnswer,
    BalanceQuestion,
    Evidence,
    LaneAnswer,
    LaneQuestion,
    LockAnswer,
    LockQuestion,
    Question,
    StorageAnswer,
    StorageQuestion,
)
from core.model.types import BaseUnits, chain_of
from core.proofs import ethereum, lanes
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.attested import (
    Vouchers,
    as_of_header,
    nodes_from_json,
    nodes_to_json,
    proof_members,
    verify_vouchers,
    vouched_block,
    vouchers_to_json,
)
from core.proofs.evidence.kinds import Trusted, Verified
from core.proofs.evidence.state import StateEntry
from core.proofs.evidence.synced import SyncProof
from core.proofs.evidence.trail import Trail

ETHEREUM_STATE: Final = "ethereum-state"


@dataclass(frozen=True, slots=True)
class EthereumProof:
    """Account and storage word under a header that the consortium's ledger attests as final, sync committees, or both.

    `attestation` is the ledger's leaf about the header, `header` its RLP; node lists are EIP-1186's.
    """

    trail: Trail | None
    attestation: StateEntry | None
    header: bytes
    account_nodes: tuple[bytes, ...]
    storage_nodes: tuple[bytes, ...]
    sync: SyncProof | None = None

    @property
    def vouchers(self) -> Vouchers:
        """The parts that vouch for the header."""
        return Vouchers(self.trail, self.attestation, self.sync)


def ethereum_evidence(question: Question, proof: EthereumProof) -> Evidence:
    """Evidence from its proof, computed as a verifier computes it; the trail is not checked."""
    answer, as_of = _ethereum_claim(question, proof)
    return Evidence(question, answer, as_of, ETHEREUM_STATE, encode_ethereum_proof(proof))


def verify_ethereum_state(evidence: Evidence, trusted: Trusted, now_s: int) -> Verified:
    """Verifier of kind `ethereum-state`."""
    proof = decode_ethereum_proof(evidence.proof)
    relies = verify_vouchers(evidence.question, proof.vouchers, proof.header, trusted, now_s)
    answer, as_of = _ethereum_claim(evidence.question, proof)
    return Verified(evidence.question, answer, as_of, relies)


def storage_slot(question: Question) -> int | None:
    """The storage slot of its contract that the question is about, None if the account alone answers."""
    match question:
        case LockQuestion():
            return lanes.lane_slot(lanes.parse_lane(question.lock_id))
        case LaneQuestion():
            return lanes.lane_slot(_lane(question))
        case StorageQuestion():
            return question.slot
    return None


def proven_address(question: Question) -> bytes:
    """The account whose proof answers. Raise RejectedError for what one account's state cannot prove."""
    match question:
        case LockQuestion(holder=None):
            raise RejectedError("a lock on Ethereum is held by a contract, and the question names none")
        case LockQuestion(holder=str(account)) | LaneQuestion(holder=account) | StorageQuestion(contract=account):
            pass
        case BalanceQuestion() if question.asset == f"{question.chain}/slip44:60":
            account = question.account
        case _:
            raise RejectedError(
                "an account's state on Ethereum proves locks, lanes, storage words and balances of the native coin only"
            )
    if chain_of(account) != question.chain:
        raise RejectedError(f"{account[:128]!r} is not on {question.chain}")
    return lanes.evm_address(account)


def _ethereum_claim(question: Question, proof: EthereumProof) -> tuple[Answer, AsOf]:
    header = vouched_block(question, proof.vouchers, proof.header)
    answer = state_answer(question, header, proof.account_nodes, proof.storage_nodes)
    return answer, as_of_header(question, header, proof.vouchers.finality)


def state_answer(
    question: Question,
    header: ethereum.EthereumHeader,
    account_nodes: Sequence[bytes],
    storage_nodes: Sequence[bytes],
) -> Answer:
    """The answer under a header that is believed. Raise as `verify`."""
    account = ethereum.verify_account(header.state_root, proven_address(question), account_nodes)
    return _answer(question, account, storage_nodes)


def _answer(question: Question, account: ethereum.Account | None, storage_nodes: Sequence[bytes]) -> Answer:
    slot = storage_slot(question)
    if slot is None:
        if storage_nodes:
            raise InvalidProofError("an account's balance needs no storage proof")
        return BalanceAnswer(BaseUnits(0 if account is None else account.balance))
    if isinstance(question, LockQuestion) and chain_of(question.terms.asset) != question.chain:
        raise RejectedError("the terms are of another chain than the question")
    if account is None:
        if storage_nodes:
            raise InvalidProofError("an absent account has no storage")
        word, code_hash = 0, ethereum.EMPTY_CODE_HASH
    else:
        word, code_hash = ethereum.verify_storage(account.storage_root, slot, storage_nodes), account.code_hash
    match question:
        case LockQuestion():
            status, terms_match = lanes.read_lane(word, question.terms, lanes.parse_lane(question.lock_id))
            return LockAnswer(status, terms_match, code_hash)
        case LaneQuestion():
            return LaneAnswer(*lanes.split_lane(word), code_hash)
    return StorageAnswer(word, code_hash)


def _lane(question: LaneQuestion) -> lanes.Lane:
    return lanes.Lane(lanes.evm_address(question.sender), question.lane, 0)


def encode_ethereum_proof(proof: EthereumProof) -> bytes:
    """Canonical JSON of the proof."""
    return canonical.dump(
        {
            **vouchers_to_json(proof.vouchers),
            "header": proof.header.hex(),
            "account_nodes": nodes_to_json(proof.account_nodes),
            "storage_nodes": nodes_to_json(proof.storage_nodes),
        }
    )


def decode_ethereum_proof(data: bytes) -> EthereumProof:
    """Inverse of `encode_ethereum_proof`; one form only. Raise MalformedProofError."""
    vouchers, fields = proof_members(data, "header", "account_nodes", "storage_nodes")
    proof = EthereumProof(
        vouchers.trail,
        vouchers.attestation,
        canonical.hex_bytes(fields["header"], ethereum.MAX_HEADER_BYTES),
        nodes_from_json(fields["account_nodes"]),
        nodes_from_json(fields["storage_nodes"]),
        vouchers.sync,
    )
    if encode_ethereum_proof(proof) != data:
        raise MalformedProofError("proof is not in its canonical form")
    return proof
