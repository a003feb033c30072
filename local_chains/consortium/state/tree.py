"""A persistent compact sparse Merkle tree: an update makes new nodes and leaves the old tree as it was.

Old roots stay provable for as long as somebody keeps them, and trees share all nodes that did not change. Node hashes
and layout are those of `core.proofs.smt`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from core.proofs.smt import (
    EMPTY,
    MAX_DEPTH,
    OtherLeaf,
    SmtProof,
    inner_hash,
    leaf_hash,
    path_bit,
    path_of,
    value_hash,
)


class LeafNode(NamedTuple):
    """A key's hash and its value's hash."""

    hash: bytes
    path: bytes
    hashed_value: bytes


class InnerNode(NamedTuple):
    """Two subtrees; at least two leaves lie below."""

    hash: bytes
    left: "Node"
    right: "Node"


Node = LeafNode | InnerNode | None
"""None is an empty subtree."""

_Change = tuple[int, LeafNode | None]
"""A path as an integer, so that it sorts and splits by bits, and the leaf to be there."""


def root_hash(root: Node) -> bytes:
    """The 32 bytes that name a whole tree."""
    return EMPTY if root is None else root.hash


def update(root: Node, writes: Mapping[bytes, bytes | None]) -> Node:
    """The tree after `writes` (None deletes)."""
    changes: list[_Change] = []
    for key, value in writes.items():
        path = path_of(key)
        leaf = None
        if value is not None:
            hashed = value_hash(value)
            leaf = LeafNode(leaf_hash(path, hashed), path, hashed)
        changes.append((int.from_bytes(path, "big"), leaf))
    changes.sort(key=lambda change: change[0])
    return _updated(root, changes, 0)


def prove(root: Node, key: bytes) -> SmtProof:
    """Inclusion proof for `key` where it is in the tree, else its absence proof."""
    path = path_of(key)
    siblings: list[bytes] = []
    node = root
    while isinstance(node, InnerNode):
        children = (node.left, node.right)
        side = path_bit(path, len(siblings))
        siblings.append(root_hash(children[1 - side]))
        node = children[side]
    other = OtherLeaf(node.path, node.hashed_value) if node is not None and node.path != path else None
    return SmtProof(tuple(siblings), other)


def _updated(node: Node, changes: list[_Change], depth: int) -> Node:
    if not changes:
        return node
    if node is None:
        return _built(changes, depth)
    if isinstance(node, LeafNode):
        here = int.from_bytes(node.path, "big")
        if not any(path == here for path, _ in changes):
            changes = sorted([*changes, (here, node)], key=lambda change: change[0])
        return _built(changes, depth)
    middle = _split(changes, depth)
    left = _updated(node.left, changes[:middle], depth + 1)
    right = _updated(node.right, changes[middle:], depth + 1)
    return _joined(left, right)


def _built(changes: list[_Change], depth: int) -> Node:
    """A subtree of these leaves and nothing else."""
    if not changes:
        return None
    if len(changes) == 1:
        return changes[0][1]
    middle = _split(changes, depth)
    return _joined(_built(changes[:middle], depth + 1), _built(changes[middle:], depth + 1))


def _split(changes: list[_Change], depth: int) -> int:
    """Where paths with bit `depth` set begin."""
    bit = 1 << (MAX_DEPTH - 1 - depth)
    low, high = 0, len(changes)
    while low < high:
        middle = (low + high) // 2
        if changes[middle][0] & bit:
            high = middle
        else:
            low = middle + 1
    return low


def _joined(left: Node, right: Node) -> Node:
    """A subtree that holds a single leaf is that leaf; an empty one is nothing."""
    if left is None and not isinstance(right, InnerNode):
        return right
    if right is None and not isinstance(left, InnerNode):
        return left
    return InnerNode(inner_hash(root_hash(left), root_hash(right)), left, right)
