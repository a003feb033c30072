"""A persistent compact sparse Merkle tree: an update makes new nodes and leaves the old tree as it was.

Old roots stay provable for as long as somebody keeps them, and trees share all nodes that did not change. Node hashes
and layout are those of `core.proofs.smt`.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from core.proofs.smt import (
    EMPTY,
    INNER_PREFIX,
    MAX_DEPTH,
    OtherLeaf,
    SmtProof,
    inner_hash,
    leaf_hash,
    path_bit,
    path_of,
    value_hash,
)

PROGRESS_STEP: Final = 10_000
"""Leaves between two reports of progress."""


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
_new_node: Final[Callable[[Any, tuple[Any, ...]], Any]] = tuple.__new__
_sha256: Final = hashlib.sha256
_TOP: Final = MAX_DEPTH - 1


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
    changes.sort()
    return _updated(root, changes, 0, len(changes), 0)


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


def _updated(node: Node, changes: list[_Change], start: int, end: int, depth: int) -> Node:
    """`node` after `changes[start:end]`, all of which lie below it. Most of a block's work happens here."""
    if start == end:
        return node
    if node.__class__ is not InnerNode:
        return _replaced(node, changes[start:end], depth)
    if end - start == 1:
        return _one_updated(node, changes[start], depth)
    bit = 1 << (_TOP - depth)
    low, high = start, end
    while low < high:
        middle = (low + high) >> 1
        if changes[middle][0] & bit:
            high = middle
        else:
            low = middle + 1
    _, left, right = node  # type: ignore[misc]
    return _joined(
        _updated(left, changes, start, low, depth + 1),
        _updated(right, changes, low, end, depth + 1),
    )


def _one_updated(node: Node, change: _Change, depth: int) -> Node:
    """`_updated` for a single change, without recursion."""
    path = change[0]
    way: list[tuple[Node, Node, bool]] = []
    while node.__class__ is InnerNode:
        _, left, right = node  # type: ignore[misc]
        went_right = bool(path >> (_TOP - depth) & 1)
        way.append((left, right, went_right))
        node = right if went_right else left
        depth += 1
    node = _replaced(node, [change], depth)
    for left, right, went_right in reversed(way):
        node = _joined(left, node) if went_right else _joined(node, right)
    return node


def _replaced(node: Node, changes: list[_Change], depth: int) -> Node:
    """The subtree of `changes` where there was a leaf or nothing."""
    if isinstance(node, LeafNode):
        here = int.from_bytes(node.path, "big")
        if not any(path == here for path, _ in changes):
            changes = sorted([*changes, (here, node)])
    return _built([change for change in changes if change[1] is not None], depth)


def _built(changes: list[_Change], depth: int) -> Node:
    """A subtree of these leaves and nothing else."""
    if len(changes) < 2:
        return changes[0][1] if changes else None
    bit = 1 << (_TOP - depth)
    middle = sum(not path & bit for path, _ in changes)
    return _joined(_built(changes[:middle], depth + 1), _built(changes[middle:], depth + 1))


def _joined(left: Node, right: Node) -> Node:
    """A subtree that holds a single leaf is that leaf; an empty one is nothing."""
    if left is None:
        if right.__class__ is not InnerNode:
            return right
    elif right is None:
        if left.__class__ is not InnerNode:
            return left
    else:
        hashed = _sha256(INNER_PREFIX + left[0] + right[0]).digest()
        return _new_node(InnerNode, (hashed, left, right))  # type: ignore[no-any-return]
    return InnerNode(inner_hash(root_hash(left), root_hash(right)), left, right)
