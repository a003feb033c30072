"""A persistent compact sparse Merkle tree: an update makes new nodes and leaves the old tree as it was.

Old roots stay provable for as long as somebody keeps them, and trees share all nodes that did not change. Node hashes
and layout are those of `core.proofs.smt`.

Nodes are bare tuples, since a tree has hundreds of thousands: Python's garbage collector stops looking at tuples that
can be in no cycle, but never at objects of a class of ours.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from core.proofs.smt import (
    EMPTY,
    HASH_SIZE,
    INNER_PREFIX,
    LEAF_PREFIX,
    MAX_DEPTH,
    OtherLeaf,
    SmtProof,
    path_bit,
    path_of,
)

LeafNode = tuple[bytes, bytes]
"""The leaf's hash; its key's hash, its value's hash, and the key itself, which neighbours are named by."""
InnerNode = tuple[bytes, "Node", "Node"]
"""Its hash, and two subtrees; at least two leaves lie below."""
Node = LeafNode | InnerNode | None
"""None is an empty subtree."""

_Change = tuple[int, LeafNode | None]
"""A path as an integer, so that it sorts and splits by bits, and the leaf to be there."""
_TOP: Final = MAX_DEPTH - 1
_KEY_AT: Final = 2 * HASH_SIZE
_sha256: Final = hashlib.sha256


def root_hash(root: Node) -> bytes:
    """The 32 bytes that name a whole tree."""
    return EMPTY if root is None else root[0]


def update(root: Node, writes: Mapping[bytes, bytes | None]) -> Node:
    """The tree after `writes` (None deletes)."""
    changes: list[_Change] = []
    for key, value in writes.items():
        path = _sha256(key).digest()
        leaf = None
        if value is not None:
            content = path + _sha256(value).digest()
            leaf = (_sha256(LEAF_PREFIX + content).digest(), content + key)
        changes.append((int.from_bytes(path, "big"), leaf))
    changes.sort()
    return _updated(root, changes, 0, len(changes), 0)


def prove(root: Node, key: bytes) -> SmtProof:
    """Inclusion proof for `key` where it is in the tree, else its absence proof."""
    path = path_of(key)
    siblings: list[bytes] = []
    node = root
    while node is not None and len(node) == 3:
        side = path_bit(path, len(siblings))
        children = (node[1], node[2])
        siblings.append(root_hash(children[1 - side]))
        node = children[side]
    if node is None or node[1].startswith(path):
        return SmtProof(tuple(siblings), None)
    return SmtProof(tuple(siblings), OtherLeaf(node[1][:HASH_SIZE], node[1][HASH_SIZE:_KEY_AT]))


def neighbours(root: Node, key: bytes) -> tuple[bytes | None, bytes | None]:
    """The keys whose leaves lie next to where `key` would: the nearest to the left and to the right, None at an edge.

    `key` itself must not be in the tree.
    """
    path = path_of(key)
    beside: list[Node] = [None, None]
    node, depth = root, 0
    while node is not None and len(node) == 3:
        side = path_bit(path, depth)
        children = (node[1], node[2])
        if children[1 - side] is not None:
            beside[1 - side] = children[1 - side]
        node, depth = children[side], depth + 1
    if node is not None:
        beside[node[1][:HASH_SIZE] > path] = node
    return _outermost(beside[0], 1), _outermost(beside[1], 0)


def _outermost(node: Node, side: int) -> bytes | None:
    """The key of the last leaf on a side of a subtree."""
    while node is not None and len(node) == 3:
        children = (node[1], node[2])
        node = children[side] if children[side] is not None else children[1 - side]
    return None if node is None else node[1][_KEY_AT:]


def _updated(node: Node, changes: list[_Change], start: int, end: int, depth: int) -> Node:
    """`node` after `changes[start:end]`, all of which lie below it. Most of a block's work happens here."""
    if start == end:
        return node
    if node is None or len(node) == 2:
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
    return _joined(
        _updated(node[1], changes, start, low, depth + 1),
        _updated(node[2], changes, low, end, depth + 1),
    )


def _one_updated(node: Node, change: _Change, depth: int) -> Node:
    """`_updated` for a single change, without recursion."""
    path = change[0]
    way: list[tuple[Node, Node]] = []
    while node is not None and len(node) == 3:
        if path >> (_TOP - depth) & 1:
            way.append((node[1], None))
            node = node[2]
        else:
            way.append((None, node[2]))
            node = node[1]
        depth += 1
    node = _replaced(node, [change], depth)
    for left, right in reversed(way):
        depth -= 1
        node = _joined(left, node) if path >> (_TOP - depth) & 1 else _joined(node, right)
    return node


def _replaced(node: LeafNode | None, changes: list[_Change], depth: int) -> Node:
    """The subtree of `changes` where there was a leaf or nothing."""
    if node is not None:
        here = int.from_bytes(node[1][:HASH_SIZE], "big")
        if len(changes) == 1 and changes[0][0] == here:
            return changes[0][1]
        if all(path != here for path, _ in changes):
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
        if right is None or len(right) == 2:
            return right
        return (_sha256(INNER_PREFIX + EMPTY + right[0]).digest(), None, right)
    if right is None:
        if len(left) == 2:
            return left
        return (_sha256(INNER_PREFIX + left[0] + EMPTY).digest(), left, None)
    return (_sha256(INNER_PREFIX + left[0] + right[0]).digest(), left, right)
