"""A small Merkle Patricia trie builder over the `rlp` package, independent of the verifier that it tests."""

from collections.abc import Mapping
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak


class Trie:
    """A trie over a fixed mapping; `prove` returns the nodes from the root down."""

    def __init__(self, entries: Mapping[bytes, bytes]) -> None:
        self._nodes: dict[bytes, bytes] = {}
        items = [(_nibbles(key), value) for key, value in entries.items()]
        root = rlp.encode(self._build(items) if items else b"")
        self.root = keccak(root)
        self._nodes[self.root] = root

    def prove(self, key: bytes) -> list[bytes]:
        """Nodes that prove the key's value or its absence."""
        path = _nibbles(key)
        nodes = [self._nodes[self.root]]
        node: Any = rlp.decode(nodes[0])
        while isinstance(node, list) and node:
            if len(node) == 17:
                if not path:
                    break
                node, path = node[path[0]], path[1:]
            else:
                prefix = _nibbles(node[0])
                shared = prefix[1:] if prefix[0] & 1 else prefix[2:]
                if prefix[0] >= 2 or path[: len(shared)] != shared:
                    break
                node, path = node[1], path[len(shared) :]
            if isinstance(node, bytes) and node:
                nodes.append(self._nodes[node])
                node = rlp.decode(nodes[-1])
        return nodes

    def _reference(self, node: Any) -> Any:
        raw = rlp.encode(node)
        if len(raw) < 32:
            return node
        self._nodes[keccak(raw)] = raw
        return keccak(raw)

    def _build(self, items: list[tuple[list[int], bytes]]) -> Any:
        if len(items) == 1:
            return [_hex_prefix(items[0][0], leaf=True), items[0][1]]
        shared = 0
        while all(len(path) > shared and path[shared] == items[0][0][shared] for path, _ in items):
            shared += 1
        if shared:
            below = self._build([(path[shared:], value) for path, value in items])
            return [_hex_prefix(items[0][0][:shared], leaf=False), self._reference(below)]
        branch: list[Any] = [b""] * 17
        for nibble in range(16):
            under = [(path[1:], value) for path, value in items if path and path[0] == nibble]
            if under:
                branch[nibble] = self._reference(self._build(under))
        branch[16] = next((value for path, value in items if not path), b"")
        return branch


def _nibbles(data: bytes) -> list[int]:
    return [nibble for byte in data for nibble in (byte >> 4, byte & 15)]


def _hex_prefix(path: list[int], *, leaf: bool) -> bytes:
    odd = len(path) % 2
    nibbles = [2 * leaf + odd, *([] if odd else [0]), *path]
    return bytes(nibbles[i] << 4 | nibbles[i + 1] for i in range(0, len(nibbles), 2))
