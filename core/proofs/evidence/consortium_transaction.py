"""Kind `consortium-transaction`: a transaction of the ledger in its block, and how it ended.

A header commits to the entries of its block (`data_hash`), and the header after it to their results
(`last_results_hash`: code, data and gas, without logs and events). So the trail leads to the header of H + 1, which
names the hash of the header of H. The first entry of a block is its clock, which says the ledger's time.
Source: CometBFT spec "Data Structures", header.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.model.consortium import MAX_TRANSACTION_BYTES, decode_clock, transaction_hash
from core.model.errors import RejectedError
from core.model.questions import MAX_CODE, AsOf, Evidence, Question, TransactionAnswer, TransactionQuestion
from core.model.types import BlockRef, ChainTime, Height
from core.proofs import merkle
from core.proofs.cometbft import json as rpc_json
from core.proofs.cometbft.encoding import encode_tx_result
from core.proofs.cometbft.light_client import verify_hash_link
from core.proofs.cometbft.types import Header, TxResult
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.kinds import FINAL_BY_COMMIT, Trusted, Verified
from core.proofs.evidence.trail import Trail, trail_from_json, trail_to_json, verify_ledger

CONSORTIUM_TRANSACTION: Final = "consortium-transaction"
MAX_BLOCK_ENTRIES: Final = 1 << 20
MAX_AUNTS: Final = 20
MAX_CLOCK_BYTES: Final = 64
MAX_RESULT_BYTES: Final = 1 << 16
"""Data of a result; the ledger's own results have none."""


@dataclass(frozen=True, slots=True)
class TransactionProof:
    """`header` is that of the transaction's block, which has `total` entries; the transaction stands at `index`.

    Aunts are sibling hashes from the leaf upwards: of the transaction and of the clock under the block's `data_hash`,
    of the result under the next header's `last_results_hash`, all in trees of `total` leaves.
    """

    trail: Trail
    header: Header
    total: int
    index: int
    transaction: bytes
    transaction_aunts: tuple[bytes, ...]
    clock: bytes
    clock_aunts: tuple[bytes, ...]
    result: TxResult
    result_aunts: tuple[bytes, ...]


def transaction_evidence(question: Question, proof: TransactionProof) -> Evidence:
    """Evidence from its proof, computed as a verifier computes it; the trail is not checked."""
    answer, as_of = _claim(question, proof)
    return Evidence(question, answer, as_of, CONSORTIUM_TRANSACTION, encode_transaction_proof(proof))


def verify_consortium_transaction(evidence: Evidence, trusted: Trusted, now_s: int) -> Verified:
    """Verifier of kind `consortium-transaction`."""
    proof = decode_transaction_proof(evidence.proof)
    verify_ledger(evidence.question, proof.trail, trusted, now_s)
    answer, as_of = _claim(evidence.question, proof)
    return Verified(evidence.question, answer, as_of, (FINAL_BY_COMMIT,))


def _claim(question: Question, proof: TransactionProof) -> tuple[TransactionAnswer, AsOf]:
    if not isinstance(question, TransactionQuestion):
        raise RejectedError("a block's entry proves a transaction only")
    following, header = proof.trail.target, proof.header
    verify_hash_link(following, header)
    if transaction_hash(proof.transaction) != question.transaction:
        raise InvalidProofError("another transaction stands at this place of the block", index=proof.index)
    if proof.index == 0:
        raise InvalidProofError("the first entry of a block is its clock, and not a transaction")
    _verify(header.data_hash, transaction_hash(proof.transaction), proof.total, proof.index, proof.transaction_aunts)
    _verify(header.data_hash, transaction_hash(proof.clock), proof.total, 0, proof.clock_aunts)
    result = encode_tx_result(proof.result)
    _verify(following.last_results_hash, result, proof.total, proof.index, proof.result_aunts)
    try:
        time_s = decode_clock(proof.clock) // 1_000
    except RejectedError as error:
        raise InvalidProofError(f"the block does not begin with its clock: {error.message}") from error
    block = BlockRef(question.chain, Height(header.height), following.last_block_id.hash)
    answer = TransactionAnswer(proof.result.code, proof.transaction)
    return answer, AsOf(block, ChainTime(question.chain, time_s), FINAL_BY_COMMIT)


def _verify(root: bytes, item: bytes, total: int, index: int, aunts: tuple[bytes, ...]) -> None:
    merkle.verify(root, item, merkle.MerkleProof(total, index, merkle.leaf_hash(item), aunts))


# --- JSON --------------------------------------------------------------------------------------------------------


def encode_transaction_proof(proof: TransactionProof) -> bytes:
    """Canonical JSON of the proof."""
    result = proof.result
    return canonical.dump(
        {
            "trail": trail_to_json(proof.trail),
            "header": rpc_json.header_to_json(proof.header),
            "total": proof.total,
            "index": proof.index,
            "transaction": proof.transaction.hex(),
            "transaction_aunts": _aunts_to_json(proof.transaction_aunts),
            "clock": proof.clock.hex(),
            "clock_aunts": _aunts_to_json(proof.clock_aunts),
            "result": {
                "code": result.code,
                "data": result.data.hex(),
                "gas_used": str(result.gas_used),
                "gas_wanted": str(result.gas_wanted),
            },
            "result_aunts": _aunts_to_json(proof.result_aunts),
        }
    )


def decode_transaction_proof(data: bytes) -> TransactionProof:
    """Inverse of `encode_transaction_proof`; one form only. Raise MalformedProofError."""
    names = ("trail", "header", "total", "index", "transaction", "transaction_aunts")
    fields = canonical.members(canonical.load(data), *names, "clock", "clock_aunts", "result", "result_aunts")
    proof = TransactionProof(
        trail_from_json(fields["trail"]),
        rpc_json.header_from_json(fields["header"]),
        canonical.integer(fields["total"], MAX_BLOCK_ENTRIES),
        canonical.integer(fields["index"], MAX_BLOCK_ENTRIES),
        canonical.hex_bytes(fields["transaction"], MAX_TRANSACTION_BYTES),
        _aunts_from_json(fields["transaction_aunts"]),
        canonical.hex_bytes(fields["clock"], MAX_CLOCK_BYTES),
        _aunts_from_json(fields["clock_aunts"]),
        _result_from_json(fields["result"]),
        _aunts_from_json(fields["result_aunts"]),
    )
    if encode_transaction_proof(proof) != data:
        raise MalformedProofError("proof is not in its canonical form")
    return proof


def _result_from_json(value: Any) -> TxResult:
    fields = canonical.members(value, "code", "data", "gas_used", "gas_wanted")
    return TxResult(
        canonical.integer(fields["code"], MAX_CODE),
        canonical.hex_bytes(fields["data"], MAX_RESULT_BYTES),
        canonical.decimal(fields["gas_wanted"], 2**63 - 1),
        canonical.decimal(fields["gas_used"], 2**63 - 1),
    )


def _aunts_to_json(aunts: Sequence[bytes]) -> list[str]:
    return [aunt.hex() for aunt in aunts]


def _aunts_from_json(value: Any) -> tuple[bytes, ...]:
    return tuple(canonical.hex_bytes(aunt, merkle.HASH_SIZE) for aunt in canonical.items(value, MAX_AUNTS))
