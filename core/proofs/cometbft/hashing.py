"""Every hash a CometBFT header contains, and the hash of the header itself (spec "Core data structures")."""

import hashlib
from collections.abc import Sequence

from core.proofs import merkle
from core.proofs.cometbft.encoding import (
    encode_block,
    encode_block_id,
    encode_commit_sig,
    encode_evidence,
    encode_simple_validator,
    encode_timestamp,
    encode_tx_result,
    encode_version,
)
from core.proofs.cometbft.types import (
    Block,
    BlockId,
    Commit,
    Evidence,
    Header,
    PartSetHeader,
    TxResult,
    ValidatorSet,
)
from core.proofs.protobuf import bytes_field, varint_field

BLOCK_PART_BYTES = 65_536

# Leaves of the header tree that others need to prove (spec "Header").
HEADER_LEAVES = 14
CHAIN_ID_LEAF = 1
HEIGHT_LEAF = 2
TIME_LEAF = 3
VALIDATORS_HASH_LEAF = 7
NEXT_VALIDATORS_HASH_LEAF = 8
APP_HASH_LEAF = 10


def header_leaves(header: Header) -> list[bytes]:
    """The 14 leaves of the header tree; scalars are wrapped as protobuf Int64/String/BytesValue."""
    wrapped = (
        header.last_commit_hash,
        header.data_hash,
        header.validators_hash,
        header.next_validators_hash,
        header.consensus_hash,
        header.app_hash,
        header.last_results_hash,
        header.evidence_hash,
        header.proposer_address,
    )
    return [
        encode_version(header),
        bytes_field(1, header.chain_id.encode()),
        varint_field(1, header.height),
        encode_timestamp(header.time),
        encode_block_id(header.last_block_id),
        *(bytes_field(1, value) for value in wrapped),
    ]


def header_hash(header: Header) -> bytes:
    """Block hash: root over the header's leaves, 32 bytes."""
    return merkle.root(header_leaves(header))


def validator_set_hash(validators: ValidatorSet) -> bytes:
    """`validators_hash`: root over SimpleValidator in canonical order."""
    return merkle.root([encode_simple_validator(validator) for validator in validators.validators])


def commit_hash(commit: Commit) -> bytes:
    """`last_commit_hash`: root over the commit's signatures; the empty root for the empty commit."""
    return merkle.root([encode_commit_sig(entry) for entry in commit.signatures])


def transaction_hash(tx: bytes) -> bytes:
    """SHA-256 of the transaction's bytes."""
    return hashlib.sha256(tx).digest()


def data_hash(txs: Sequence[bytes]) -> bytes:
    """`data_hash`: root over transaction hashes."""
    return merkle.root([transaction_hash(tx) for tx in txs])


def evidence_hash(evidence: Sequence[Evidence]) -> bytes:
    """`evidence_hash`: root over the pieces of evidence, without their oneof wrapper."""
    return merkle.root([encode_evidence(entry) for entry in evidence])


def consensus_hash(max_bytes: int, max_gas: int) -> bytes:
    """`consensus_hash`: SHA-256 of HashedParams, the only two parameters a header commits to."""
    return hashlib.sha256(varint_field(1, max_bytes) + varint_field(2, max_gas)).digest()


def results_hash(results: Sequence[TxResult]) -> bytes:
    """`last_results_hash`: root over the deterministic transaction results of the previous block."""
    return merkle.root([encode_tx_result(result) for result in results])


def part_set_header(block_bytes: bytes) -> PartSetHeader:
    """Cut a block's bytes into 64 KiB parts and take the root over them."""
    parts = [block_bytes[i : i + BLOCK_PART_BYTES] for i in range(0, len(block_bytes), BLOCK_PART_BYTES)]
    return PartSetHeader(len(parts), merkle.root(parts))


def block_id(block: Block) -> BlockId:
    """Return the block id that validators sign: header hash and part set."""
    return BlockId(header_hash(block.header), part_set_header(encode_block(block)))
