"""Straightforward trees for tests: correct by being simple, not by sharing code with what they test against."""

import hashlib
from collections.abc import Mapping

from core.proofs.smt import OtherLeaf, SmtProof


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class SparseTree:
    """The compact sparse Merkle tree over a fixed mapping, rebuilt by recursion over sorted paths."""

    def __init__(self, entries: Mapping[bytes, bytes]) -> None:
        self._leaves = sorted((_bits(key), _hash(key), _hash(value)) for key, value in entries.items())
        self.root = _root(self._leaves, 0)

    def prove(self, key: bytes) -> SmtProof:
        """Inclusion proof if the key is there, absence proof otherwise."""
        bits, leaves = _bits(key), self._leaves
        siblings: list[bytes] = []
        while len(leaves) > 1:
            depth = len(siblings)
            beside = [leaf for leaf in leaves if leaf[0][depth] != bits[depth]]
            leaves = [leaf for leaf in leaves if leaf[0][depth] == bits[depth]]
            siblings.append(_root(beside, depth + 1))
        if not leaves or leaves[0][1] == _hash(key):
            return SmtProof(tuple(siblings))
        return SmtProof(tuple(siblings), OtherLeaf(leaves[0][1], leaves[0][2]))


def _bits(key: bytes) -> str:
    return f"{int.from_bytes(_hash(key), 'big'):0256b}"


def _root(leaves: list[tuple[str, bytes, bytes]], depth: int) -> bytes:
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return _hash(b"\x00" + leaves[0][1] + leaves[0][2])
    left = [leaf for leaf in leaves if leaf[0][depth] == "0"]
    right = [leaf for leaf in leaves if leaf[0][depth] == "1"]
    return _hash(b"\x01" + _root(left, depth + 1) + _root(right, depth + 1))
