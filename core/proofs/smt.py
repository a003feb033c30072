"""Compact sparse Merkle tree over SHA-256, in the node layout of ICS-23's SmtSpec.

leaf = H(0x00 ‖ H(key) ‖ H(value)), inner = H(0x01 ‖ left ‖ right), an empty subtree is 32 zero bytes, and a subtree
that holds a single leaf *is* that leaf. The path of a key is H(key), most significant bit first, 1 to the right.
Source: ICS-23 `SmtSpec`; the layout is that of celestiaorg/smt.
"""

import hashlib
from dataclasses import dataclass

from core.proofs.errors import InvalidProofError, MalformedProofError

HASH_SIZE = 32
MAX_DEPTH = 256
EMPTY = bytes(HASH_SIZE)

LEAF_PREFIX = b"\x00"
INNER_PREFIX = b"\x01"

_HEADER_SIZE = 3
_OTHER_LEAF_SIZE = 2 * HASH_SIZE
MAX_ENCODED_BYTES = _HEADER_SIZE + _OTHER_LEAF_SIZE + MAX_DEPTH // 8 + MAX_DEPTH * HASH_SIZE


@dataclass(frozen=True, slots=True)
class OtherLeaf:
    """The leaf that stands where an absent key would: hashes of its key and of its value."""

    key_hash: bytes
    value_hash: bytes


@dataclass(frozen=True, slots=True)
class SmtProof:
    """Sibling hashes from the root downwards, 32 bytes each; `other_leaf` only in absence proofs that end at one."""

    siblings: tuple[bytes, ...]
    other_leaf: OtherLeaf | None = None


def path_of(key: bytes) -> bytes:
    """Place of a key in the tree: 32 bytes, read bit by bit."""
    return hashlib.sha256(key).digest()


def path_bit(path: bytes, depth: int) -> int:
    """Bit `depth` of a path, 0 for left."""
    return path[depth >> 3] >> (7 - (depth & 7)) & 1


def value_hash(value: bytes) -> bytes:
    """Return the hash that a leaf commits to in place of the value."""
    return hashlib.sha256(value).digest()


def leaf_hash(path: bytes, hashed_value: bytes) -> bytes:
    """Hash of a leaf, from H(key) and H(value)."""
    return hashlib.sha256(LEAF_PREFIX + path + hashed_value).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(INNER_PREFIX + left + right).digest()


def verify_inclusion(root: bytes, key: bytes, value: bytes, proof: SmtProof) -> None:
    """Prove that `key` holds `value` under `root`. Raise MalformedProofError or InvalidProofError."""
    _require_shape(proof)
    if proof.other_leaf is not None:
        raise InvalidProofError("an inclusion proof names no other leaf")
    path = path_of(key)
    _require_root(root, path, leaf_hash(path, value_hash(value)), proof.siblings)


def verify_absence(root: bytes, key: bytes, proof: SmtProof) -> None:
    """Prove that `key` is not under `root`: its place is empty, or taken by another key's leaf.

    Raise MalformedProofError or InvalidProofError.
    """
    _require_shape(proof)
    path = path_of(key)
    other = proof.other_leaf
    if other is None:
        _require_root(root, path, EMPTY, proof.siblings)
        return
    if other.key_hash == path:
        raise InvalidProofError("the leaf in the key's place is the key's own")
    unused_bits = MAX_DEPTH - len(proof.siblings)
    if int.from_bytes(other.key_hash, "big") >> unused_bits != int.from_bytes(path, "big") >> unused_bits:
        raise InvalidProofError("the other leaf is not in the key's place")
    _require_root(root, path, leaf_hash(other.key_hash, other.value_hash), proof.siblings)


def encode_proof(proof: SmtProof) -> bytes:
    """Canonical bytes: has-other-leaf (1) ‖ depth (2, big-endian) ‖ other leaf (64) ‖ bitmap ‖ non-empty siblings.

    Bit `i` of the bitmap, most significant first, says that sibling `i` is not an empty subtree.
    """
    _require_shape(proof)
    depth = len(proof.siblings)
    bitmap = bytearray((depth + 7) // 8)
    for place, sibling in enumerate(proof.siblings):
        if sibling != EMPTY:
            bitmap[place >> 3] |= 0x80 >> (place & 7)
    other = proof.other_leaf
    return b"".join(
        (
            bytes([other is not None]),
            depth.to_bytes(2, "big"),
            b"" if other is None else other.key_hash + other.value_hash,
            bytes(bitmap),
            *(sibling for sibling in proof.siblings if sibling != EMPTY),
        )
    )


def decode_proof(data: bytes) -> SmtProof:
    """Inverse of `encode_proof`; refuses every other form. Raise MalformedProofError."""
    if not _HEADER_SIZE <= len(data) <= MAX_ENCODED_BYTES or data[0] > 1:
        raise MalformedProofError("sparse Merkle proof has the wrong size or kind")
    depth = int.from_bytes(data[1:3], "big")
    if depth > MAX_DEPTH:
        raise MalformedProofError("sparse Merkle proof is too deep", depth=depth)
    offset = _HEADER_SIZE
    other = None
    if data[0]:
        other = OtherLeaf(data[offset : offset + HASH_SIZE], data[offset + HASH_SIZE : offset + _OTHER_LEAF_SIZE])
        offset += _OTHER_LEAF_SIZE
    bitmap = data[offset : offset + (depth + 7) // 8]
    if len(bitmap) != (depth + 7) // 8:
        raise MalformedProofError("sparse Merkle proof is cut short")
    offset += len(bitmap)
    siblings = []
    for place in range(depth):
        if path_bit(bitmap, place):
            siblings.append(data[offset : offset + HASH_SIZE])
            offset += HASH_SIZE
        else:
            siblings.append(EMPTY)
    proof = SmtProof(tuple(siblings), other)
    if offset != len(data) or encode_proof(proof) != data:
        raise MalformedProofError("sparse Merkle proof is not in its canonical form")
    return proof


def _require_shape(proof: SmtProof) -> None:
    if len(proof.siblings) > MAX_DEPTH or any(len(sibling) != HASH_SIZE for sibling in proof.siblings):
        raise MalformedProofError("sibling hashes have the wrong shape")
    other = proof.other_leaf
    if other is not None and (len(other.key_hash) != HASH_SIZE or len(other.value_hash) != HASH_SIZE):
        raise MalformedProofError("other leaf has the wrong shape")


def _require_root(root: bytes, path: bytes, node: bytes, siblings: tuple[bytes, ...]) -> None:
    for depth in range(len(siblings) - 1, -1, -1):
        sibling = siblings[depth]
        node = inner_hash(sibling, node) if path_bit(path, depth) else inner_hash(node, sibling)
    if node != root:
        raise InvalidProofError("sparse Merkle proof leads to another root")
