"""SSZ hash tree roots and Merkle branches, as far as light clients need them.

A value is cut into chunks of 32 bytes, padded with zeros to a power of two, and hashed in pairs by SHA-256. A
generalized index names a node: 1 is the root, 2·g and 2·g + 1 are the children of g. Source: consensus-specs
`ssz/simple-serialize.md` and `ssz/merkle-proofs.md`.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

CHUNK_SIZE: Final = 32
MAX_DEPTH: Final = 40
ZERO_CHUNK: Final = bytes(CHUNK_SIZE)


def hash_pair(left: bytes, right: bytes) -> bytes:
    """The node above two nodes."""
    return hashlib.sha256(left + right).digest()


def _zero_roots() -> tuple[bytes, ...]:
    roots = [ZERO_CHUNK]
    for _ in range(MAX_DEPTH):
        roots.append(hash_pair(roots[-1], roots[-1]))
    return tuple(roots)


_ZERO_ROOTS: Final = _zero_roots()
"""By depth: the root of a tree of zeros."""


def merkleize(chunks: Sequence[bytes], limit: int | None = None) -> bytes:
    """The root over chunks, padded with zeros to `limit` chunks (None: to as many as there are)."""
    most = max(len(chunks) if limit is None else limit, 1)
    if len(chunks) > most:
        raise ValueError(f"{len(chunks)} chunks are more than the limit {most}")
    nodes = list(chunks)
    for depth in range((most - 1).bit_length()):
        if len(nodes) % 2:
            nodes.append(_ZERO_ROOTS[depth])
        nodes = [hash_pair(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
    return nodes[0] if nodes else _ZERO_ROOTS[(most - 1).bit_length()]


def bytes_root(raw: bytes) -> bytes:
    """The root of a vector of bytes."""
    return merkleize(_chunks(raw))


def byte_list_root(raw: bytes, limit: int) -> bytes:
    """The root of a list of at most `limit` bytes."""
    return hash_pair(merkleize(_chunks(raw), -(-limit // CHUNK_SIZE)), uint_root(len(raw)))


def uint_root(number: int) -> bytes:
    """The root of an unsigned integer of up to 256 bits."""
    return number.to_bytes(CHUNK_SIZE, "little")


def branch_depth(index: int) -> int:
    """Number of siblings between the node with this generalized index and the root."""
    return index.bit_length() - 1


def root_by_branch(leaf: bytes, branch: Sequence[bytes], index: int) -> bytes:
    """The root to which siblings, from the leaf upwards, lead. `branch` has `branch_depth(index)` of them."""
    node = leaf
    for sibling in branch:
        node = hash_pair(sibling, node) if index & 1 else hash_pair(node, sibling)
        index >>= 1
    return node


def _chunks(raw: bytes) -> list[bytes]:
    padded = raw + bytes(-len(raw) % CHUNK_SIZE)
    return [padded[at : at + CHUNK_SIZE] for at in range(0, len(padded), CHUNK_SIZE)]
