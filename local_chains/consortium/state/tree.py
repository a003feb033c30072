"""A persistent compact sparse Merkle tree: an update makes new nodes and leaves the old tree as it was.

Old roots stay provable for as long as somebody keeps them, and trees share all nodes that did not change. Node hashes
and layout are those of `core.proofs.smt`.

A tree has hundreds of thousands of nodes and a block makes tens of thousands of new ones, none of which is ever in a
cycle: they are structs that Python's garbage collector knows nothing of, which also makes them a third smaller.
"""

import hashlib
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Final

import msgspec

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


class LeafNode(msgspec.Struct, gc=False):
    """`content` is the hash of the key, that of the value, and the key itself, which neighbours are named by."""

    hash: bytes
    content: bytes


class InnerNode(msgspec.Struct, gc=False):
    """At least two leaves lie below. None is an empty subtree."""

    hash: bytes
    left: "Node"
    right: "Node"


Node = LeafNode | InnerNode | None

_Change = tuple[int, LeafNode | None]
"""A path as an integer, so that it sorts and splits by bits, and the leaf to be there."""
Progress = Callable[[int, int], None]
_TOP: Final = MAX_DEPTH - 1
_PART_DEPTH: Final = 8
_PARTS: Final = 1 << _PART_DEPTH
_PART_SHIFT: Final = MAX_DEPTH - _PART_DEPTH
"""Number of parts in which a whole tree is built, by the first bits of the paths."""
_KEY_AT: Final = 2 * HASH_SIZE
_PATH: Final = itemgetter(0)
_sha256: Final = hashlib.sha256


def root_hash(root: Node) -> bytes:
    """The 32 bytes that name a whole tree."""
    return EMPTY if root is None else root.hash


def update(root: Node, writes: Mapping[bytes, bytes | None]) -> Node:
    """The tree after `writes` (None deletes)."""
    changes: list[_Change] = []
    for key, value in writes.items():
        changes.append((int.from_bytes(path_of(key), "big"), None) if value is None else _leaf(key, value))
    if len(changes) < 2:
        return _one_updated(root, changes[0], 0) if changes else root
    changes.sort(key=_PATH)
    return _updated(root, changes, 0, len(changes), 0)


def build(leaves: Mapping[bytes, bytes], progress: Progress | None = None) -> Node:
    """The tree of these leaves and nothing else. `progress` hears how many of how many are in it."""
    parts: list[list[_Change]] = [[] for _ in range(_PARTS)]
    for key, value in leaves.items():
        path, leaf = _leaf(key, value)
        parts[path >> _PART_SHIFT].append((path, leaf))
    subtrees: list[Node] = []
    done = 0
    for part in parts:
        part.sort(key=_PATH)
        subtrees.append(_built(part, _PART_DEPTH))
        done += len(part)
        if progress is not None:
            progress(done, len(leaves))
    while len(subtrees) > 1:
        subtrees = [_joined(*subtrees[place : place + 2]) for place in range(0, len(subtrees), 2)]
    return subtrees[0]


def _leaf(key: bytes, value: bytes) -> tuple[int, LeafNode]:
    path = _sha256(key).digest()
    content = path + _sha256(value).digest()
    return int.from_bytes(path, "big"), LeafNode(_sha256(LEAF_PREFIX + content).digest(), content + key)


def prove(root: Node, key: bytes) -> SmtProof:
    """Inclusion proof for `key` if it is in the tree, else its absence proof."""
    path = path_of(key)
    siblings: list[bytes] = []
    node = root
    while isinstance(node, InnerNode):
        children = (node.left, node.right)
        side = path_bit(path, len(siblings))
        siblings.append(root_hash(children[1 - side]))
        node = children[side]
    if node is None or node.content.startswith(path):
        return SmtProof(tuple(siblings), None)
    return SmtProof(tuple(siblings), OtherLeaf(node.content[:HASH_SIZE], node.content[HASH_SIZE:_KEY_AT]))


def neighbours(root: Node, key: bytes) -> tuple[bytes | None, bytes | None]:
    """The keys whose leaves lie next to where `key` would: the nearest to the left and to the right, None at an edge.

    `key` itself must not be in the tree.
    """
    path = path_of(key)
    beside: list[Node] = [None, None]
    node, depth = root, 0
    while isinstance(node, InnerNode):
        side = path_bit(path, depth)
        children = (node.left, node.right)
        if children[1 - side] is not None:
            beside[1 - side] = children[1 - side]
        node, depth = children[side], depth + 1
    if node is not None:
        beside[node.content[:HASH_SIZE] > path] = node
    return _outermost(beside[0], 1), _outermost(beside[1], 0)


def _outermost(node: Node, side: int) -> bytes | None:
    """The key of the last leaf on a side of a subtree."""
    while isinstance(node, InnerNode):
        children = (node.left, node.right)
        node = children[1 - side] if children[side] is None else children[side]
    return None if node is None else node.content[_KEY_AT:]


def _updated(node: Node, changes: list[_Change], start: int, end: int, depth: int) -> Node:
    """`node` after `changes[start:end]`, at least two, all of which lie below it. Most of a block's work happens here
    and in `_one_updated`."""
    if type(node) is not InnerNode:
        return _replaced(node, changes[start:end], depth)
    bit = 1 << (_TOP - depth)
    low, high = start, end
    while low < high:
        middle = (low + high) >> 1
        if changes[middle][0] & bit:
            high = middle
        else:
            low = middle + 1
    left, right = node.left, node.right
    if low - start == 1:
        left = _one_updated(left, changes[start], depth + 1)
    elif low > start:
        left = _updated(left, changes, start, low, depth + 1)
    if end - low == 1:
        right = _one_updated(right, changes[low], depth + 1)
    elif end > low:
        right = _updated(right, changes, low, end, depth + 1)
    if left is None or right is None:
        return _joined(left, right)
    return InnerNode(_sha256(INNER_PREFIX + left.hash + right.hash).digest(), left, right)


def _one_updated(node: Node, change: _Change, depth: int) -> Node:
    """`_updated` for a single change, without recursion."""
    path, leaf = change
    bit = 1 << (_TOP - depth)
    way: list[tuple[bool, Node]] = []
    while type(node) is InnerNode:
        if path & bit:
            way.append((True, node.left))
            node = node.right
        else:
            way.append((False, node.right))
            node = node.left
        bit >>= 1
    if type(node) is LeafNode and leaf is not None and node.content[:HASH_SIZE] == leaf.content[:HASH_SIZE]:
        node = leaf
    else:
        node = _replaced(node, [change], depth + len(way))
    way.reverse()
    for right, sibling in way:
        if node is None or sibling is None:
            node = _joined(sibling, node) if right else _joined(node, sibling)
        elif right:
            node = InnerNode(_sha256(INNER_PREFIX + sibling.hash + node.hash).digest(), sibling, node)
        else:
            node = InnerNode(_sha256(INNER_PREFIX + node.hash + sibling.hash).digest(), node, sibling)
    return node


def _replaced(node: Node, changes: list[_Change], depth: int) -> Node:
    """The subtree of `changes` where there was a leaf or nothing."""
    if type(node) is LeafNode:
        here = int.from_bytes(node.content[:HASH_SIZE], "big")
        if len(changes) == 1 and changes[0][0] == here:
            return changes[0][1]
        if all(path != here for path, _ in changes):
            changes = sorted([*changes, (here, node)], key=_PATH)
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
        if right is None or type(right) is LeafNode:
            return right
        return InnerNode(_sha256(INNER_PREFIX + EMPTY + right.hash).digest(), None, right)
    if right is None:
        if type(left) is LeafNode:
            return left
        return InnerNode(_sha256(INNER_PREFIX + left.hash + EMPTY).digest(), left, None)
    return InnerNode(_sha256(INNER_PREFIX + left.hash + right.hash).digest(), left, right)
