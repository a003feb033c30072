"""The tries of a block's transactions and receipts, built from all its entries, so that one can be proven.

Source: Ethereum Yellow Paper §4.3 and appendix "Modified Merkle Patricia Tree". Nodes do not keep such proofs.
"""

from collections.abc import Sequence
from typing import Final

from core.proofs import rlp
from core.proofs.ethereum import index_key
from core.proofs.keccak import keccak256
from core.proofs.mpt import EMPTY_NODE

_HASH_SIZE: Final = 32


class IndexTrie:
    """The trie of these entries under their indices. `nodes(index)` are a proof's, from the root down."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self._raw: dict[bytes, bytes] = {}
        paths = [(_nibbles(index_key(index)), entry) for index, entry in enumerate(entries)]
        top = rlp.encode(self._build(paths, 0)) if paths else EMPTY_NODE
        self.root = keccak256(top)
        self._raw[self.root] = top

    def nodes(self, index: int) -> tuple[bytes, ...]:
        """Nodes that prove the entry at `index`, or that there is none."""
        path = _nibbles(index_key(index))
        found = [self._raw[self.root]]
        node = rlp.decode(found[0])
        while isinstance(node, list):
            child, path = _descend(node, path)
            if isinstance(child, bytes) and child:
                found.append(self._raw[child])
                child = rlp.decode(found[-1])
            node = child
        return tuple(found)

    def _build(self, paths: list[tuple[bytes, bytes]], depth: int) -> list[rlp.Rlp]:
        """The node over all entries whose paths share their first `depth` nibbles."""
        first, last = min(paths)[0], max(paths)[0]
        if len(paths) == 1:
            return [_hex_prefix(first[depth:], leaf=True), paths[0][1]]
        shared = depth
        while shared < len(first) and first[shared] == last[shared]:
            shared += 1
        if shared > depth:
            return [_hex_prefix(first[depth:shared], leaf=False), self._reference(self._build(paths, shared))]
        branch: list[rlp.Rlp] = [b""] * 17
        for nibble in range(16):
            under = [one for one in paths if one[0][depth : depth + 1] == bytes([nibble])]
            if under:
                branch[nibble] = self._reference(self._build(under, depth + 1))
        branch[16] = next((entry for path, entry in paths if len(path) == depth), b"")
        return branch

    def _reference(self, node: list[rlp.Rlp]) -> rlp.Rlp:
        raw = rlp.encode(node)
        if len(raw) < _HASH_SIZE:
            return node
        self._raw[keccak256(raw)] = raw
        return keccak256(raw)


def _descend(node: list[rlp.Rlp], path: bytes) -> tuple[rlp.Rlp, bytes]:
    """(child on the way of the path, rest of the path); no child at its end."""
    if len(node) == 17:
        return (node[path[0]], path[1:]) if path else (b"", path)
    prefix = _nibbles(rlp.as_bytes(node[0]))
    shared = prefix[1:] if prefix[0] & 1 else prefix[2:]
    if prefix[0] >= 2 or not path.startswith(shared):
        return b"", path
    return node[1], path[len(shared) :]


def _nibbles(data: bytes) -> bytes:
    return bytes(nibble for byte in data for nibble in (byte >> 4, byte & 15))


def _hex_prefix(path: bytes, *, leaf: bool) -> bytes:
    odd = len(path) % 2
    nibbles = [2 * leaf + odd, *([] if odd else [0]), *path]
    return bytes(nibbles[place] << 4 | nibbles[place + 1] for place in range(0, len(nibbles), 2))
