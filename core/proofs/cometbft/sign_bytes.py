"""The bytes that a validator signs, and the check of its signature (CometBFT spec "Vote", "CanonicalVote")."""

from coincurve import PublicKey as Secp256k1PublicKey

from core.proofs import zip215
from core.proofs.cometbft.encoding import encode_block_id, encode_timestamp
from core.proofs.cometbft.types import (
    NIL_BLOCK_ID,
    BlockId,
    BlockIdFlag,
    Commit,
    KeyKind,
    PublicKey,
    Timestamp,
    Vote,
    VoteKind,
)
from core.proofs.ed25519 import verify_ed25519
from core.proofs.errors import MalformedProofError
from core.proofs.keccak import keccak256
from core.proofs.protobuf import bytes_field, delimited, message_field, sfixed64_field, varint_field

SECP256K1_ETH_SIGNATURE_SIZE = 65
SECP256K1_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def vote_sign_bytes(
    chain_id: str,
    height: int,
    round_: int,
    block_id: BlockId,
    timestamp: Timestamp,
    kind: VoteKind = VoteKind.PRECOMMIT,
) -> bytes:
    """Varint-delimited CanonicalVote; a vote for nil leaves the block id out."""
    return delimited(
        varint_field(1, kind)
        + sfixed64_field(2, height)
        + sfixed64_field(3, round_)
        + (b"" if block_id.is_nil else message_field(4, encode_block_id(block_id)))
        + message_field(5, encode_timestamp(timestamp))
        + bytes_field(6, chain_id.encode())
    )


def commit_sign_bytes(chain_id: str, commit: Commit, index: int) -> bytes:
    """Sign bytes of entry `index` of a commit. Raise MalformedProofError for an absent entry."""
    entry = commit.signatures[index]
    if entry.flag is BlockIdFlag.ABSENT:
        raise MalformedProofError("an absent validator signed nothing", index=index)
    block_id = commit.block_id if entry.flag is BlockIdFlag.COMMIT else NIL_BLOCK_ID
    return vote_sign_bytes(chain_id, commit.height, commit.round, block_id, entry.timestamp)


def single_vote_sign_bytes(chain_id: str, vote: Vote) -> bytes:
    """Sign bytes of a vote that travels by itself."""
    return vote_sign_bytes(chain_id, vote.height, vote.round, vote.block_id, vote.timestamp, vote.kind)


def verify_signature(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Return True if `signature` over `message` is by `key`, by the rule that CometBFT's validators follow.

    For ed25519 that is ZIP-215, for secp256k1eth the only form with a low S. A signature that is not good, or that only
    ZIP-215 takes, costs 2 ms: `verify_quickly` refuses those.
    """
    if verify_quickly(key, message, signature):
        return True
    return key.kind is KeyKind.ED25519 and zip215.verify(key.data, message, signature)


def verify_quickly(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """As `verify_signature`, but ed25519 by libsodium, which takes 0.1 ms and refuses what has parts of small order."""
    if key.kind is KeyKind.ED25519:
        return verify_ed25519(key.data, message, signature)
    recovered = recover_secp256k1_eth(keccak256(message), signature)
    return recovered is not None and recovered.format() == key.data


def recover_secp256k1_eth(digest: bytes, signature: bytes) -> Secp256k1PublicKey | None:
    """Key that signed the 32-byte digest with R‖S‖V, V in {0, 1} and low S (EIP-2), or None."""
    if len(signature) != SECP256K1_ETH_SIGNATURE_SIZE or signature[64] > 1:
        return None
    if int.from_bytes(signature[32:64], "big") > SECP256K1_HALF_ORDER:
        return None
    try:
        return Secp256k1PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # coincurve raises bare Exception for a point that cannot be recovered
        return None
