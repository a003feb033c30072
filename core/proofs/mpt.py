"""Ethereum's hexary Merkle Patricia trie: inclusion and exclusion from a list of nodes.

Source: Ethereum Yellow Paper, appendix "Modified Merkle Patricia Tree"; the proof form is EIP-1186's.
"""

from collections.abc import Iterator, Sequence

from core.proofs import rlp
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.keccak import keccak256

HASH_SIZE = 32
MAX_NODES = 65
MAX_STATE_NODE_BYTES = 1024
MAX_RECEIPT_NODE_BYTES = 1 << 21

EMPTY_NODE = rlp.encode(b"")
EMPTY_ROOT = keccak256(EMPTY_NODE)

_BRANCH_ITEMS = 17


def verify(
    root: bytes, key: bytes, nodes: Sequence[bytes], *, max_node_bytes: int = MAX_STATE_NODE_BYTES
) -> bytes | None:
    """Value that `key` holds under `root`, or None if the nodes prove that it holds none.

    `nodes` are the nodes from the root down, each in full, none to spare; nodes below 32 bytes lie inside their
    parents. Raise MalformedProofError or InvalidProofError.
    """
    if len(nodes) > MAX_NODES or any(len(node) > max_node_bytes for node in nodes):
        raise MalformedProofError("trie proof exceeds its limits", nodes=len(nodes))
    if root == EMPTY_ROOT:
        if any(node != EMPTY_NODE for node in nodes) or len(nodes) > 1:
            raise InvalidProofError("trie proof has nodes of an empty trie")
        return None
    path = _nibbles(key)
    remaining = iter(nodes)
    node = _fetch(root, remaining, is_root=True)
    while True:
        value, child, path = _step(node, path)
        if not child:
            break
        node = child if isinstance(child, list) else _fetch(child, remaining)
    if next(remaining, None) is not None:
        raise InvalidProofError("trie proof has more nodes than the path needs")
    return value


def _fetch(wanted: bytes, remaining: Iterator[bytes], *, is_root: bool = False) -> list[rlp.Rlp]:
    raw = next(remaining, None)
    if raw is None:
        raise InvalidProofError("trie proof ends before the key does")
    if keccak256(raw) != wanted:
        raise InvalidProofError("trie node does not have the hash its parent names")
    if len(raw) < HASH_SIZE and not is_root:
        raise MalformedProofError("a short trie node has to lie inside its parent")
    return rlp.decode_list(raw)


def _step(node: list[rlp.Rlp], path: list[int]) -> tuple[bytes | None, rlp.Rlp, list[int]]:
    """(value, child, rest of the path); the child is empty if the walk ends."""
    if len(node) == _BRANCH_ITEMS:
        if not path:
            return rlp.as_bytes(node[16]) or None, b"", path
        return None, _child(node[path[0]]), path[1:]
    if len(node) != 2:
        raise MalformedProofError("trie node has neither 2 nor 17 items")
    shared, is_leaf = _hex_prefix(rlp.as_bytes(node[0]))
    if is_leaf:
        value = rlp.as_bytes(node[1])
        if not value:
            raise MalformedProofError("trie leaf is empty")
        return value if path == shared else None, b"", path
    child = _child(node[1])
    if not shared or not child:
        raise MalformedProofError("trie extension leads nowhere")
    if path[: len(shared)] != shared:
        return None, b"", path
    return None, child, path[len(shared) :]


def _child(item: rlp.Rlp) -> rlp.Rlp:
    """A reference to a child: 32 bytes of hash, a short node in place, or nothing."""
    if isinstance(item, bytes):
        if len(item) not in (0, HASH_SIZE):
            raise MalformedProofError("trie reference is not a hash")
    elif not item or len(rlp.encode(item)) >= HASH_SIZE:
        raise MalformedProofError("a trie node in place is neither empty nor long")
    return item


def _hex_prefix(encoded: bytes) -> tuple[list[int], bool]:
    """(nibbles, is leaf) of a hex-prefix encoded path."""
    nibbles = _nibbles(encoded)
    if not nibbles or nibbles[0] > 3 or (not nibbles[0] & 1 and nibbles[1]):
        raise MalformedProofError("trie path is not canonical")
    return nibbles[1 if nibbles[0] & 1 else 2 :], nibbles[0] >= 2


def _nibbles(data: bytes) -> list[int]:
    return [nibble for byte in data for nibble in (byte >> 4, byte & 15)]
