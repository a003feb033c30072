"""Trie nodes made by hand: each form that no honest trie has is refused, wherever it stands."""

import pytest

from core.proofs import mpt, rlp
from core.proofs.errors import InvalidProofError, MalformedProofError, ProofError
from core.proofs.keccak import keccak256

VALUE = b"v" * 40
KEY = b"\x12"


def _branch(children: dict[int, rlp.Rlp], value: bytes = b"") -> list[rlp.Rlp]:
    return [*(children.get(nibble, b"") for nibble in range(16)), value]


def _hashed(node: rlp.Rlp) -> bytes:
    return keccak256(rlp.encode(node))


def _verify(*nodes: rlp.Rlp, key: bytes = KEY) -> bytes | None:
    return mpt.verify(_hashed(nodes[0]), key, [rlp.encode(node) for node in nodes])


def test_leaf_holds_the_value_of_its_own_path_only() -> None:
    assert _verify([b"\x20\x12", VALUE]) == VALUE
    assert _verify([b"\x20\x13", VALUE]) is None
    assert _verify([b"\x20\x12\x34", VALUE]) is None
    assert _verify([b"\x31", VALUE]) is None  # the path is one nibble longer than this odd leaf
    assert _verify(_branch({1: [b"\x32", b"v"]})) == b"v"
    assert _verify(_branch({1: [b"\x33", b"v"]})) is None


def test_branch_holds_what_ends_there() -> None:
    assert _verify(_branch({0: VALUE[:32]}, b"here"), key=b"") == b"here"
    assert _verify(_branch({0: VALUE[:32]}), key=b"") is None
    assert _verify(_branch({0: VALUE[:32]}, b"here")) is None


def test_extension_is_followed_or_proves_absence() -> None:
    below = _branch({2: [b"\x20", VALUE[:20]]})
    assert _verify([b"\x11", _hashed(below)], below) == VALUE[:20]
    assert _verify([b"\x13", _hashed(below)]) is None
    assert _verify([b"\x00\x12", _hashed(_branch({}, VALUE))], _branch({}, VALUE)) == VALUE
    assert _verify([b"\x00\x12", _hashed(below)], key=b"") is None


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ([b"\x20\x12"], "neither 2 nor 17"),
        ([b"\x20\x12", VALUE, b""], "neither 2 nor 17"),
        ([b""] * 16, "neither 2 nor 17"),
        ([b""] * 18, "neither 2 nor 17"),
        ([b"\x20\x12", b""], "leaf is empty"),
        ([b"\x00", VALUE[:32]], "leads nowhere"),
        ([b"\x00\x12", b""], "leads nowhere"),
        ([b"\x00\x12", VALUE[:31]], "not a hash"),
        ([b"\x00\x12", VALUE[:33]], "not a hash"),
        (_branch({1: VALUE[:31]}), "not a hash"),
        (_branch({1: []}), "neither empty nor long"),
        (_branch({1: [b"\x32", VALUE]}), "neither empty nor long"),
        (_branch({1: [b"\x32", VALUE[:29]]}), "neither empty nor long"),  # 32 bytes: it has a hash of its own
        ([b"", VALUE], "path is not canonical"),
        ([b"\x40", VALUE], "path is not canonical"),
        ([b"\x21\x12", VALUE], "path is not canonical"),
        ([b"\x0f\x12", VALUE[:32]], "path is not canonical"),
        ([[], VALUE], "not a string"),
        ([*_branch({}, b"")[:16], [b"x"]], "not a string"),
    ],
)
def test_form_that_no_trie_has_is_refused(node: rlp.Rlp, why: str) -> None:
    key = b"" if why == "not a string" and isinstance(node, list) and len(node) == 17 else KEY
    with pytest.raises(MalformedProofError, match=why):
        _verify(node, key=key)


def test_longest_node_in_place_is_accepted() -> None:
    inner: rlp.Rlp = [b"\x32", VALUE[:28]]
    assert len(rlp.encode(inner)) == mpt.HASH_SIZE - 1
    assert _verify(_branch({1: inner})) == VALUE[:28]


def test_short_node_by_its_hash_is_refused() -> None:
    short: rlp.Rlp = [b"\x32", b"v"]
    with pytest.raises(MalformedProofError, match="inside its parent"):
        _verify(_branch({1: _hashed(short)}), short)
    exact: rlp.Rlp = [b"\x32", VALUE[:29]]
    assert len(rlp.encode(exact)) == mpt.HASH_SIZE
    assert _verify(_branch({1: _hashed(exact)}), exact) == VALUE[:29]


def test_nodes_are_all_there_and_none_to_spare() -> None:
    leaf: rlp.Rlp = [b"\x32", VALUE]
    root = _branch({1: _hashed(leaf)})
    assert _verify(root, leaf) == VALUE
    for nodes, why in (
        ((root,), "ends before"),
        ((root, leaf, leaf), "more nodes than"),
        ((root, root), "hash its parent"),
    ):
        with pytest.raises(InvalidProofError, match=why):
            _verify(*nodes)
    with pytest.raises(InvalidProofError, match="hash its parent"):
        mpt.verify(_hashed(leaf), KEY, [rlp.encode(root)])


def test_proof_ends_at_its_limits() -> None:
    leaf = rlp.encode([b"\x20\x12", bytes(mpt.MAX_STATE_NODE_BYTES - 9)])
    assert len(leaf) == mpt.MAX_STATE_NODE_BYTES
    assert mpt.verify(keccak256(leaf), KEY, [leaf]) == bytes(mpt.MAX_STATE_NODE_BYTES - 9)
    longer = rlp.encode([b"\x20\x12", bytes(mpt.MAX_STATE_NODE_BYTES - 8)])
    with pytest.raises(MalformedProofError, match="exceeds its limits"):
        mpt.verify(keccak256(longer), KEY, [longer])
    assert mpt.verify(keccak256(longer), KEY, [longer], max_node_bytes=len(longer)) is not None
    with pytest.raises(InvalidProofError, match="more nodes than"):
        mpt.verify(keccak256(leaf), KEY, [leaf] * mpt.MAX_NODES)
    with pytest.raises(MalformedProofError, match="exceeds its limits"):
        mpt.verify(keccak256(leaf), KEY, [leaf] * (mpt.MAX_NODES + 1))


def test_empty_trie_has_its_one_node_at_most() -> None:
    assert mpt.verify(mpt.EMPTY_ROOT, KEY, []) is None
    assert mpt.verify(mpt.EMPTY_ROOT, KEY, [mpt.EMPTY_NODE]) is None
    for nodes in ([mpt.EMPTY_NODE, mpt.EMPTY_NODE], [b"\xc0"], [b""]):
        with pytest.raises(InvalidProofError, match="empty trie"):
            mpt.verify(mpt.EMPTY_ROOT, KEY, nodes)


def test_root_that_is_a_string_is_refused() -> None:
    with pytest.raises(ProofError):
        _verify(VALUE)
