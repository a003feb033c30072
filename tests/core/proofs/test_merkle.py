"""The tree of RFC 6962 against its recursive definition, and the forms of a proof that are refused."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs import merkle
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.merkle import MerkleProof

FIVE = [b"a", b"b", b"c", b"d", b"e"]


def _root(items: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word: k is the largest power of two smaller than n."""
    if not items:
        return hashlib.sha256(b"").digest()
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    k = 1
    while 2 * k < len(items):
        k *= 2
    return hashlib.sha256(b"\x01" + _root(items[:k]) + _root(items[k:])).digest()


@given(st.lists(st.binary(max_size=3), max_size=40))
def test_root_is_that_of_the_recursive_definition(items: list[bytes]) -> None:
    assert merkle.root(items) == merkle.Tree(items).root == _root(items)
    for index, item in enumerate(items):
        proof = merkle.Tree(items).prove(index)
        assert proof == merkle.prove(items, index)
        merkle.verify(_root(items), item, proof)


def test_proof_goes_from_the_leaf_upwards() -> None:
    a, b, c, d, e = (merkle.leaf_hash(item) for item in FIVE)
    left = merkle.inner_hash(merkle.inner_hash(a, b), merkle.inner_hash(c, d))
    assert merkle.prove(FIVE, 2) == MerkleProof(5, 2, c, (d, merkle.inner_hash(a, b), e))
    assert merkle.prove(FIVE, 4) == MerkleProof(5, 4, e, (left,))


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_leaf_outside_the_list_is_refused(index: int) -> None:
    with pytest.raises(MalformedProofError, match="no such leaf"):
        merkle.prove(FIVE, index)


@pytest.mark.parametrize(("index", "total"), [(-1, 5), (5, 5), (6, 5), (0, 0), (0, merkle.MAX_LEAVES + 1)])
def test_index_outside_the_tree_is_refused(index: int, total: int) -> None:
    proof = replace(merkle.prove(FIVE, 0), index=index, total=total)
    with pytest.raises(MalformedProofError, match="outside the tree"):
        merkle.verify(merkle.root(FIVE), b"a", proof)


def test_largest_tree_is_walked_to_its_end() -> None:
    leaf, aunts = merkle.leaf_hash(b"x"), tuple(bytes([depth]) * 32 for depth in range(32))
    last = MerkleProof(merkle.MAX_LEAVES, merkle.MAX_LEAVES - 1, leaf, aunts)
    root = leaf
    for aunt in aunts:
        root = merkle.inner_hash(aunt, root)
    merkle.verify(root, b"x", last)
    with pytest.raises(MalformedProofError, match="too many"):
        merkle.verify(root, b"x", replace(last, aunts=(*aunts, bytes(32))))


def test_sibling_hashes_have_their_shape() -> None:
    proof = merkle.prove(FIVE, 0)
    for aunts in ((bytes(31),), (bytes(33),), (*proof.aunts, b"")):
        with pytest.raises(MalformedProofError, match="wrong shape"):
            merkle.verify(merkle.root(FIVE), b"a", replace(proof, aunts=aunts))
    with pytest.raises(MalformedProofError, match="wrong shape"):
        merkle.verify(merkle.root(FIVE), b"a", replace(proof, aunts=(bytes(32),) * (merkle.MAX_AUNTS + 1)))
    with pytest.raises(MalformedProofError, match="too many"):
        merkle.verify(merkle.root(FIVE), b"a", replace(proof, aunts=(bytes(32),) * merkle.MAX_AUNTS))
    with pytest.raises(MalformedProofError, match="too many"):
        merkle.verify(merkle.root(FIVE), b"a", replace(proof, aunts=(*proof.aunts, bytes(32))))
    with pytest.raises(MalformedProofError, match="too few"):
        merkle.verify(merkle.root(FIVE), b"a", replace(proof, aunts=proof.aunts[:-1]))


def test_proof_of_another_leaf_place_or_root_is_refused() -> None:
    proof, root = merkle.prove(FIVE, 1), merkle.root(FIVE)
    with pytest.raises(InvalidProofError, match="belong to the item"):
        merkle.verify(root, b"a", proof)
    with pytest.raises(InvalidProofError, match="another root"):
        merkle.verify(root, b"b", replace(proof, index=0))
    with pytest.raises(InvalidProofError, match="another root"):
        merkle.verify(merkle.root(FIVE[:4]), b"b", proof)
