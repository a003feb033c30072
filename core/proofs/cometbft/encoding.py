"""Protobuf bytes of the CometBFT structures that are hashed, signed or cut into parts.

Field numbers: CometBFT spec "Core data structures" and proto/tendermint/{types,version,crypto}.
"""

from core.proofs.cometbft.types import (
    Block,
    BlockId,
    Commit,
    CommitSig,
    DuplicateVoteEvidence,
    Evidence,
    Header,
    KeyKind,
    LightClientAttackEvidence,
    PartSetHeader,
    PublicKey,
    Timestamp,
    TxResult,
    Validator,
    Vote,
)
from core.proofs.protobuf import bytes_field, message_field, varint_field

KEY_FIELD = {KeyKind.ED25519: 1, KeyKind.SECP256K1_ETH: 5}

_EVIDENCE_DUPLICATE_VOTE = 1
_EVIDENCE_LIGHT_CLIENT_ATTACK = 2


def encode_timestamp(time: Timestamp) -> bytes:
    """google.protobuf.Timestamp."""
    return varint_field(1, time.seconds) + varint_field(2, time.nanos)


def encode_part_set_header(parts: PartSetHeader) -> bytes:
    """PartSetHeader and CanonicalPartSetHeader, which encode alike."""
    return varint_field(1, parts.total) + bytes_field(2, parts.hash)


def encode_block_id(block_id: BlockId) -> bytes:
    """BlockID and CanonicalBlockID, which encode alike."""
    return bytes_field(1, block_id.hash) + message_field(2, encode_part_set_header(block_id.parts))


def encode_version(header: Header) -> bytes:
    """version.Consensus of a header."""
    return varint_field(1, header.block_version) + varint_field(2, header.app_version)


def encode_header(header: Header) -> bytes:
    """Header, as it lies inside a block."""
    return (
        message_field(1, encode_version(header))
        + bytes_field(2, header.chain_id.encode())
        + varint_field(3, header.height)
        + message_field(4, encode_timestamp(header.time))
        + message_field(5, encode_block_id(header.last_block_id))
        + bytes_field(6, header.last_commit_hash)
        + bytes_field(7, header.data_hash)
        + bytes_field(8, header.validators_hash)
        + bytes_field(9, header.next_validators_hash)
        + bytes_field(10, header.consensus_hash)
        + bytes_field(11, header.app_hash)
        + bytes_field(12, header.last_results_hash)
        + bytes_field(13, header.evidence_hash)
        + bytes_field(14, header.proposer_address)
    )


def encode_commit_sig(entry: CommitSig) -> bytes:
    """CommitSig; also the leaf under `last_commit_hash`."""
    return (
        varint_field(1, entry.flag)
        + bytes_field(2, entry.validator_address)
        + message_field(3, encode_timestamp(entry.timestamp))
        + bytes_field(4, entry.signature)
    )


def encode_commit(commit: Commit) -> bytes:
    """Commit, as it lies inside the next block."""
    return (
        varint_field(1, commit.height)
        + varint_field(2, commit.round)
        + message_field(3, encode_block_id(commit.block_id))
        + b"".join(message_field(4, encode_commit_sig(entry)) for entry in commit.signatures)
    )


def encode_public_key(key: PublicKey) -> bytes:
    """crypto.PublicKey, a oneof by key type (secp256k1eth is new in v0.40)."""
    return message_field(KEY_FIELD[key.kind], key.data)


def encode_simple_validator(validator: Validator) -> bytes:
    """SimpleValidator, the leaf under `validators_hash`."""
    return message_field(1, encode_public_key(validator.public_key)) + varint_field(2, validator.power)


def encode_vote(vote: Vote) -> bytes:
    """Vote, as duplicate-vote evidence carries it."""
    return (
        varint_field(1, vote.kind)
        + varint_field(2, vote.height)
        + varint_field(3, vote.round)
        + message_field(4, encode_block_id(vote.block_id))
        + message_field(5, encode_timestamp(vote.timestamp))
        + bytes_field(6, vote.validator_address)
        + varint_field(7, vote.validator_index)
        + bytes_field(8, vote.signature)
        + bytes_field(9, vote.extension)
        + bytes_field(10, vote.extension_signature)
    )


def encode_duplicate_vote(evidence: DuplicateVoteEvidence) -> bytes:
    """DuplicateVoteEvidence; also the leaf under `evidence_hash`."""
    return (
        message_field(1, encode_vote(evidence.vote_a))
        + message_field(2, encode_vote(evidence.vote_b))
        + varint_field(3, evidence.total_voting_power)
        + varint_field(4, evidence.validator_power)
        + message_field(5, encode_timestamp(evidence.timestamp))
    )


def encode_validator(validator: Validator) -> bytes:
    """Validator with its address and proposer priority, as evidence carries it."""
    return (
        bytes_field(1, validator.address)
        + message_field(2, encode_public_key(validator.public_key))
        + varint_field(3, validator.power)
        + varint_field(4, validator.proposer_priority)
    )


def encode_light_client_attack(evidence: LightClientAttackEvidence) -> bytes:
    """LightClientAttackEvidence; also the leaf under `evidence_hash`. CometBFT leaves the set's total power out."""
    block = evidence.conflicting_block
    signed = message_field(1, encode_header(block.header)) + message_field(2, encode_commit(block.commit))
    members = b"".join(message_field(1, encode_validator(validator)) for validator in block.validators.validators)
    if evidence.proposer is not None:
        members += message_field(2, encode_validator(evidence.proposer))
    return (
        message_field(1, message_field(1, signed) + message_field(2, members))
        + varint_field(2, evidence.common_height)
        + b"".join(message_field(3, encode_validator(validator)) for validator in evidence.byzantine_validators)
        + varint_field(4, evidence.total_voting_power)
        + message_field(5, encode_timestamp(evidence.timestamp))
    )


def encode_evidence(evidence: Evidence) -> bytes:
    """A piece of evidence without its oneof wrapper: the leaf under `evidence_hash`."""
    if isinstance(evidence, DuplicateVoteEvidence):
        return encode_duplicate_vote(evidence)
    return encode_light_client_attack(evidence)


def encode_tx_result(result: TxResult) -> bytes:
    """ExecTxResult reduced to its deterministic fields; the leaf under `last_results_hash`."""
    return (
        varint_field(1, result.code)
        + bytes_field(2, result.data)
        + varint_field(5, result.gas_wanted)
        + varint_field(6, result.gas_used)
    )


def encode_block(block: Block) -> bytes:
    """Block: the bytes that are cut into parts."""
    data = b"".join(message_field(1, tx) for tx in block.txs)
    evidence = b"".join(
        message_field(
            1,
            message_field(
                _EVIDENCE_DUPLICATE_VOTE if isinstance(entry, DuplicateVoteEvidence) else _EVIDENCE_LIGHT_CLIENT_ATTACK,
                encode_evidence(entry),
            ),
        )
        for entry in block.evidence
    )
    return (
        message_field(1, encode_header(block.header))
        + message_field(2, data)
        + message_field(3, evidence)
        + message_field(4, encode_commit(block.last_commit))
    )
