"""Signing as a validator, from raw private key bytes. Callers keep the bytes; nothing here stores or prints them."""

from coincurve import PrivateKey as Secp256k1PrivateKey
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from core.proofs.cometbft.sign_bytes import vote_sign_bytes
from core.proofs.cometbft.types import BlockId, BlockIdFlag, CommitSig, KeyKind, PublicKey, Timestamp
from core.proofs.ed25519 import SIGNATURE_BYTES
from core.proofs.errors import MalformedProofError
from core.proofs.keccak import keccak256

PRIVATE_KEY_SIZE = 32


def public_key_of(kind: KeyKind, private_key: bytes) -> PublicKey:
    """Public key of a 32-byte private key (for ed25519 the seed). Raise MalformedProofError on its length."""
    _require_length(private_key)
    if kind is KeyKind.ED25519:
        public, _ = crypto_sign_seed_keypair(private_key)
        return PublicKey(kind, public)
    return PublicKey(kind, Secp256k1PrivateKey(private_key).public_key.format())


def sign(kind: KeyKind, private_key: bytes, message: bytes) -> bytes:
    """64 bytes of ed25519, or 65 bytes R‖S‖V over Keccak-256 for secp256k1eth (RFC 6979 nonce, low S)."""
    _require_length(private_key)
    if kind is KeyKind.ED25519:
        _, secret = crypto_sign_seed_keypair(private_key)
        return crypto_sign(message, secret)[:SIGNATURE_BYTES]
    return Secp256k1PrivateKey(private_key).sign_recoverable(keccak256(message), hasher=None)


def sign_precommit(
    kind: KeyKind,
    private_key: bytes,
    chain_id: str,
    height: int,
    round_: int,
    block_id: BlockId,
    timestamp: Timestamp,
) -> CommitSig:
    """A validator's entry in the commit for `block_id`; the nil block id gives a vote for nil."""
    message = vote_sign_bytes(chain_id, height, round_, block_id, timestamp)
    flag = BlockIdFlag.NIL if block_id.is_nil else BlockIdFlag.COMMIT
    address = public_key_of(kind, private_key).address
    return CommitSig(flag, address, timestamp, sign(kind, private_key, message))


def _require_length(private_key: bytes) -> None:
    if len(private_key) != PRIVATE_KEY_SIZE:
        raise MalformedProofError("a private key has 32 bytes", length=len(private_key))
