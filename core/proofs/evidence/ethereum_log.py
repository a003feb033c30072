"""Kind `ethereum-log`: a log of a transaction, in a block that a header commits to which is vouched for.

Some blocks only are vouched for, so hashes lead from such a header back to the block of the transaction. There
the transactions trie shows at which index the transaction stands, and the receipts trie what it logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.model.errors import RejectedError
from core.model.questions import AsOf, EventLog, Evidence, LogAnswer, LogQuestion, Question
from core.model.types import AccountId
from core.proofs import ethereum, mpt
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
from core.proofs.keccak import keccak256

ETHEREUM_LOG: Final = "ethereum-log"
MAX_BLOCK_LINKS: Final = 256
"""Headers between an attested block and that of the transaction."""
MAX_TRANSACTION_INDEX: Final = 2**16 - 1


@dataclass(frozen=True, slots=True)
class LogProof:
    """`headers` are RLP, from the one that is vouched for back to that of the block, each the parent of the one before.

    `index` is the transaction's in its block; node lists are those of the transactions and of the receipts trie.
    """

    trail: Trail | None
    attestation: StateEntry | None
    headers: tuple[bytes, ...]
    index: int
    transaction_nodes: tuple[bytes, ...]
    receipt_nodes: tuple[bytes, ...]
    sync: SyncProof | None = None

    @property
    def vouchers(self) -> Vouchers:
        """The parts that vouch for the header."""
        return Vouchers(self.trail, self.attestation, self.sync)


def log_evidence(question: Question, proof: LogProof) -> Evidence:
    """Evidence from its proof, computed as a verifier computes it; the trail is not checked."""
    answer, as_of = _claim(question, proof)
    return Evidence(question, answer, as_of, ETHEREUM_LOG, encode_log_proof(proof))


def verify_ethereum_log(evidence: Evidence, trusted: Trusted, now_s: int) -> Verified:
    """Verifier of kind `ethereum-log`."""
    proof = decode_log_proof(evidence.proof)
    relies = verify_vouchers(evidence.question, proof.vouchers, proof.headers[0], trusted, now_s)
    answer, as_of = _claim(evidence.question, proof)
    return Verified(evidence.question, answer, as_of, relies)


def _claim(question: Question, proof: LogProof) -> tuple[LogAnswer, AsOf]:
    if not proof.headers:
        raise MalformedProofError("the proof has no header")
    final = vouched_block(question, proof.vouchers, proof.headers[0])
    nodes = proof.transaction_nodes, proof.receipt_nodes
    answer, as_of = log_answer(question, final, proof.headers[1:], proof.index, *nodes)
    return answer, replace(as_of, finality=proof.vouchers.finality)


def log_answer(
    question: Question,
    attested: ethereum.EthereumHeader,
    older: Sequence[bytes],
    index: int,
    transaction_nodes: Sequence[bytes],
    receipt_nodes: Sequence[bytes],
) -> tuple[LogAnswer, AsOf]:
    """The answer and its block, which `older` headers link to one that is believed. Raise as `verify`."""
    if not isinstance(question, LogQuestion):
        raise RejectedError("a receipt proves logs of transactions only")
    header = _linked(attested, older)
    transaction = _leaf(header.transactions_root, index, transaction_nodes)
    if transaction is None or keccak256(transaction) != question.transaction:
        raise InvalidProofError("another transaction stands at this index of the block", index=index)
    receipt = ethereum.verify_receipt(header.receipts_root, index, receipt_nodes)
    if receipt is None:
        raise InvalidProofError("the block has no receipt of the transaction")
    logs = receipt.logs
    log = _event_log(question, logs[question.index]) if question.index < len(logs) else None
    return LogAnswer(receipt.status == 1, len(logs), log), as_of_header(question, header)


def _linked(header: ethereum.EthereumHeader, links: Sequence[bytes]) -> ethereum.EthereumHeader:
    for raw in links:
        older = ethereum.decode_header(raw)
        if ethereum.header_hash(older) != header.parent_hash or older.number + 1 != header.number:
            raise InvalidProofError("a header is not the parent of the one before", height=older.number)
        header = older
    return header


def _leaf(root: bytes, index: int, nodes: Sequence[bytes]) -> bytes | None:
    return mpt.verify(root, ethereum.index_key(index), nodes, max_node_bytes=mpt.MAX_RECEIPT_NODE_BYTES)


def _event_log(question: LogQuestion, log: ethereum.Log) -> EventLog:
    return EventLog(AccountId(f"{question.chain}:0x{log.address.hex()}"), log.topics, log.data)


def encode_log_proof(proof: LogProof) -> bytes:
    """Canonical JSON of the proof."""
    return canonical.dump(
        {
            **vouchers_to_json(proof.vouchers),
            "headers": nodes_to_json(proof.headers),
            "index": proof.index,
            "transaction_nodes": nodes_to_json(proof.transaction_nodes),
            "receipt_nodes": nodes_to_json(proof.receipt_nodes),
        }
    )


def decode_log_proof(data: bytes) -> LogProof:
    """Inverse of `encode_log_proof`; one form only. Raise MalformedProofError."""
    vouchers, fields = proof_members(data, "headers", "index", "transaction_nodes", "receipt_nodes")
    headers = canonical.items(fields["headers"], MAX_BLOCK_LINKS + 1)
    if not headers:
        raise MalformedProofError("the proof has no header")
    proof = LogProof(
        vouchers.trail,
        vouchers.attestation,
        tuple(canonical.hex_bytes(header, ethereum.MAX_HEADER_BYTES) for header in headers),
        canonical.integer(fields["index"], MAX_TRANSACTION_INDEX),
        nodes_from_json(fields["transaction_nodes"], mpt.MAX_RECEIPT_NODE_BYTES),
        nodes_from_json(fields["receipt_nodes"], mpt.MAX_RECEIPT_NODE_BYTES),
        vouchers.sync,
    )
    if encode_log_proof(proof) != data:
        raise MalformedProofError("proof is not in its canonical form")
    return proof
