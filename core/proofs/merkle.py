"""The RFC 6962 Merkle tree over SHA-256, as CometBFT uses it for headers, validators, transactions and results.

Leaf = H(0x00 ‖ item), inner = H(0x01 ‖ left ‖ right), split at the largest power of two below the size, the
empty tree is H(""). Source: RFC 6962 §2.1, CometBFT spec "Merkle trees".
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from core.proofs.errors import InvalidProofError, MalformedProofError

HASH_SIZE = 32
MAX_LEAVES = 1 << 32
MAX_AUNTS = 100

_LEAF_PREFIX = b"\x00"
_INNER_PREFIX = b"\x01"

EMPTY_ROOT = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class MerkleProof:
    """Inclusion of one leaf: its place, the size of the tree, and sibling hashes from the leaf upwards."""

    total: int
    index: int
    leaf_hash: bytes
    aunts: tuple[bytes, ...]


def leaf_hash(item: bytes) -> bytes:
    """Hash of a leaf (RFC 6962 §2.1)."""
    return hashlib.sha256(_LEAF_PREFIX + item).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962 §2.1)."""
    return hashlib.sha256(_INNER_PREFIX + left + right).digest()


def root(items: Sequence[bytes]) -> bytes:
    """Root over the items in their order."""
    if not items:
        return EMPTY_ROOT
    return _root_of_hashes([leaf_hash(item) for item in items])


def _root_of_hashes(hashes: list[bytes]) -> bytes:
    """Pairing neighbours level by level gives the same tree as splitting at powers of two, without recursion."""
    while len(hashes) > 1:
        hashes = _paired(hashes)
    return hashes[0]


def _paired(hashes: list[bytes]) -> list[bytes]:
    paired = [inner_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
    if len(hashes) % 2:
        paired.append(hashes[-1])
    return paired


def prove(items: Sequence[bytes], index: int) -> MerkleProof:
    """Inclusion proof for `items[index]`. Raise MalformedProofError for an index outside the list."""
    return Tree(items).prove(index)


class Tree:
    """All hashes of one tree, for as many proofs as are wanted."""

    __slots__ = ("_levels",)

    def __init__(self, items: Sequence[bytes]) -> None:
        level = [leaf_hash(item) for item in items]
        self._levels = [level]
        while len(level) > 1:
            level = _paired(level)
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """Root over the items in their order."""
        return self._levels[-1][0] if self._levels[0] else EMPTY_ROOT

    def prove(self, index: int) -> MerkleProof:
        """Inclusion proof for the leaf at `index`. Raise MalformedProofError for an index outside the list."""
        leaves = self._levels[0]
        if not 0 <= index < len(leaves):
            raise MalformedProofError("no such leaf", index=index, total=len(leaves))
        aunts = []
        place = index
        for level in self._levels:
            sibling = place ^ 1
            if sibling < len(level):
                aunts.append(level[sibling])
            place //= 2
        return MerkleProof(len(leaves), index, leaves[index], tuple(aunts))


def verify(expected_root: bytes, item: bytes, proof: MerkleProof) -> None:
    """Prove that `item` is leaf `proof.index` of a tree of `proof.total` leaves under `expected_root`.

    Raise MalformedProofError (shape) or InvalidProofError (it proves something else).
    """
    if not 0 <= proof.index < proof.total <= MAX_LEAVES:
        raise MalformedProofError("leaf index is outside the tree", index=proof.index, total=proof.total)
    if len(proof.aunts) > MAX_AUNTS or any(len(aunt) != HASH_SIZE for aunt in proof.aunts):
        raise MalformedProofError("sibling hashes have the wrong shape")
    if leaf_hash(item) != proof.leaf_hash:
        raise InvalidProofError("leaf hash does not belong to the item")
    computed = proof.leaf_hash
    aunts = iter(proof.aunts)
    place, last = proof.index, proof.total - 1
    while last:
        if place % 2 or place < last:
            aunt = next(aunts, None)
            if aunt is None:
                raise MalformedProofError("too few sibling hashes")
            computed = inner_hash(aunt, computed) if place % 2 else inner_hash(computed, aunt)
        place, last = place // 2, last // 2
    if next(aunts, None) is not None:
        raise MalformedProofError("too many sibling hashes")
    if computed != expected_root:
        raise InvalidProofError("Merkle proof leads to another root")
