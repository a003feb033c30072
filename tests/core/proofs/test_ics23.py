"""ICS-23 in both layouts, over trees of the tests' own: neighbours, edges, and the forms that are refused."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs import ics23, smt
from core.proofs.errors import InvalidProofError, MalformedProofError, ProofError
from core.proofs.ics23 import SHA256, SMT_SPEC, TENDERMINT_SPEC, ExistenceProof, InnerOp, NonExistenceProof
from core.proofs.protobuf import bytes_field, message_field, varint_field
from tests.core.proofs.trees import SparseTree

KEYS = [b"apple", b"cherry", b"fig", b"lemon", b"mango", b"olive", b"pear"]


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class OrderedTree:
    """The Tendermint layout over keys in their order, halved by recursion; a value is `value of ` and its key."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.root, paths = self._build(list(keys))
        self._paths = dict(zip(keys, paths, strict=True))

    def prove(self, key: bytes) -> ExistenceProof:
        """The existence proof of a key that is there."""
        return ExistenceProof(key, b"value of " + key, TENDERMINT_SPEC.leaf, self._paths[key])

    def _build(self, keys: list[bytes]) -> tuple[bytes, list[tuple[InnerOp, ...]]]:
        if len(keys) == 1:
            hashed = _sha256(b"value of " + keys[0])
            return _sha256(b"\x00" + bytes([len(keys[0])]) + keys[0] + b"\x20" + hashed), [()]
        middle = (len(keys) + 1) // 2
        (left, to_left), (right, to_right) = self._build(keys[:middle]), self._build(keys[middle:])
        before, behind = InnerOp(SHA256, b"\x01", right), InnerOp(SHA256, b"\x01" + left, b"")
        paths = [*((*path, before) for path in to_left), *((*path, behind) for path in to_right)]
        return _sha256(b"\x01" + left + right), paths


TREE = OrderedTree(KEYS)


def _exists(key: bytes, proof: ics23.CommitmentProof, root: bytes = TREE.root) -> None:
    ics23.verify_existence(TENDERMINT_SPEC, root, key, b"value of " + key, proof)


def _absent(key: bytes, left: bytes | None, right: bytes | None) -> None:
    sides = (None if side is None else TREE.prove(side) for side in (left, right))
    ics23.verify_non_existence(TENDERMINT_SPEC, TREE.root, key, NonExistenceProof(key, *sides))


@given(st.sets(st.binary(min_size=1, max_size=3), min_size=1, max_size=20), st.binary(min_size=1, max_size=3))
def test_ordered_tree_proves_presence_or_absence(keys: set[bytes], wanted: bytes) -> None:
    order = sorted(keys)
    tree = OrderedTree(order)
    if wanted in keys:
        _exists(wanted, tree.prove(wanted), tree.root)
        return
    left, right = [key for key in order if key < wanted], [key for key in order if key > wanted]
    sides = [tree.prove(left[-1]) if left else None, tree.prove(right[0]) if right else None]
    ics23.verify_non_existence(TENDERMINT_SPEC, tree.root, wanted, NonExistenceProof(wanted, *sides))
    for other in order:
        for wrong in ([tree.prove(other), sides[1]], [sides[0], tree.prove(other)], [tree.prove(other), None]):
            if wrong != sides:
                with pytest.raises(InvalidProofError):
                    ics23.verify_non_existence(TENDERMINT_SPEC, tree.root, wanted, NonExistenceProof(wanted, *wrong))


def test_absence_needs_the_two_neighbours() -> None:
    _absent(b"banana", b"apple", b"cherry")
    _absent(b"grape", b"fig", b"lemon")
    _absent(b"aaa", None, b"apple")
    _absent(b"zzz", b"pear", None)
    for key, left, right, why in (
        (b"banana", b"apple", b"fig", "not neighbours"),
        (b"grape", b"cherry", b"lemon", "not neighbours"),
        (b"grape", b"fig", b"mango", "not neighbours"),
        (b"banana", None, b"cherry", "not neighbours"),
        (b"banana", b"apple", None, "not neighbours"),
        (b"banana", None, None, "not neighbours"),
        (b"apple", b"apple", b"cherry", "not left"),
        (b"aaa", b"apple", b"cherry", "not left"),
        (b"cherry", b"apple", b"cherry", "not right"),
        (b"zzz", b"olive", b"pear", "not right"),
        (b"banana", b"cherry", b"apple", "not left"),
    ):
        with pytest.raises(InvalidProofError, match=why):
            _absent(key, left, right)


def test_neighbours_stand_on_the_sides_of_their_keys() -> None:
    """A tree out of order proves no absence: its left leaf has the greater key."""
    tree = OrderedTree([b"pear", b"apple"])
    for key in (b"apple", b"pear"):
        _exists(key, tree.prove(key), tree.root)
    between = NonExistenceProof(b"fig", tree.prove(b"apple"), tree.prove(b"pear"))
    with pytest.raises(InvalidProofError, match="not neighbours"):
        ics23.verify_non_existence(TENDERMINT_SPEC, tree.root, b"fig", between)


def test_proof_of_the_other_kind_is_refused() -> None:
    with pytest.raises(InvalidProofError, match="not an existence"):
        _exists(b"apple", NonExistenceProof(b"apple", None, None))
    with pytest.raises(InvalidProofError, match="not a non-existence"):
        ics23.verify_non_existence(TENDERMINT_SPEC, TREE.root, b"apple", TREE.prove(b"apple"))


def test_proof_of_another_key_value_or_root_is_refused() -> None:
    with pytest.raises(InvalidProofError, match="another key or value"):
        _exists(b"fig", TREE.prove(b"apple"))
    with pytest.raises(InvalidProofError, match="another key or value"):
        _exists(b"fig", replace(TREE.prove(b"fig"), value=b"another"))
    with pytest.raises(InvalidProofError, match="another key or value"):
        ics23.verify_existence(TENDERMINT_SPEC, TREE.root, b"fig", b"value of apple", TREE.prove(b"apple"))
    with pytest.raises(InvalidProofError, match="another root"):
        _exists(b"fig", TREE.prove(b"fig"), bytes(32))
    with pytest.raises(InvalidProofError, match="of another key"):
        ics23.verify_non_existence(TENDERMINT_SPEC, TREE.root, b"banana", NonExistenceProof(b"grape", None, None))
    for side in (0, 1):
        sides = [TREE.prove(b"apple"), TREE.prove(b"cherry")]
        sides[side] = replace(sides[side], value=b"another")
        with pytest.raises(InvalidProofError, match="another root"):
            ics23.verify_non_existence(TENDERMINT_SPEC, TREE.root, b"banana", NonExistenceProof(b"banana", *sides))


def test_absence_may_name_the_hashed_key() -> None:
    entries = {b"one": b"1", b"two": b"2"}
    tree, order = SparseTree(entries), sorted(entries, key=smt.path_of)
    absent = next(bytes([i]) for i in range(256) if smt.path_of(order[1]) < smt.path_of(bytes([i])))
    last = ics23.existence_from_smt(order[1], entries[order[1]], tree.prove(order[1]))
    for named in (absent, _sha256(absent)):
        ics23.verify_non_existence(SMT_SPEC, tree.root, absent, NonExistenceProof(named, last, None))
    with pytest.raises(InvalidProofError, match="of another key"):
        hashed = NonExistenceProof(_sha256(b"banana"), TREE.prove(b"apple"), TREE.prove(b"cherry"))
        ics23.verify_non_existence(TENDERMINT_SPEC, TREE.root, b"banana", hashed)


def test_empty_keys_and_values_prove_nothing() -> None:
    for proof in (replace(TREE.prove(b"fig"), value=b""), replace(TREE.prove(b"fig"), key=b"")):
        with pytest.raises(MalformedProofError, match="empty"):
            ics23.verify_existence(TENDERMINT_SPEC, TREE.root, proof.key, proof.value, proof)


def test_leaf_is_hashed_as_the_layout_says() -> None:
    with pytest.raises(InvalidProofError, match="leaf is not hashed"):
        _exists(b"fig", replace(TREE.prove(b"fig"), leaf=SMT_SPEC.leaf))


@pytest.mark.parametrize(
    "step",
    [
        InnerOp(SHA256, b"\x00", bytes(32)),
        InnerOp(SHA256, b"", bytes(32)),
        InnerOp(SHA256, b"\x01", bytes(31)),
        InnerOp(SHA256, b"\x01", bytes(33)),
        InnerOp(SHA256, b"\x01", b""),
        InnerOp(SHA256, b"\x01" + bytes(32), bytes(32)),
        InnerOp(SHA256, b"\x01" + bytes(31), b""),
        InnerOp(SHA256, b"\x01" + bytes(33), b""),
        InnerOp(SHA256, b"\x02" + bytes(32), b""),
        InnerOp(2, b"\x01", bytes(32)),
        InnerOp(0, b"\x01" + bytes(32), b""),
    ],
)
def test_inner_node_is_hashed_as_the_layout_says(step: InnerOp) -> None:
    proof = TREE.prove(b"fig")
    hashed = _sha256(step.prefix + TREE.root + step.suffix)
    with pytest.raises(InvalidProofError, match="inner node"):
        _exists(b"fig", replace(proof, path=(*proof.path, step)), hashed)


def test_path_ends_at_its_limit() -> None:
    step = InnerOp(SHA256, b"\x01", bytes(32))
    proof = TREE.prove(b"fig")
    with pytest.raises(MalformedProofError, match="too deep"):
        _exists(b"fig", replace(proof, path=(step,) * (TENDERMINT_SPEC.max_depth + 1)))
    with pytest.raises(InvalidProofError, match="another root"):
        _exists(b"fig", replace(proof, path=(step,) * TENDERMINT_SPEC.max_depth))


def test_absence_from_the_sparse_tree_has_no_existence_form() -> None:
    entries = {b"one": b"1", b"two": b"2"}
    absent = next(bytes([i]) for i in range(256) if SparseTree(entries).prove(bytes([i])).other_leaf is not None)
    with pytest.raises(MalformedProofError, match="no existence form"):
        ics23.existence_from_smt(absent, b"", SparseTree(entries).prove(absent))


# --- protobuf ---------------------------------------------------------------------------------------------------------


def test_proofs_come_back_from_their_encoding() -> None:
    for left, right in ((b"apple", b"cherry"), (None, b"apple"), (b"pear", None), (None, None)):
        sides = (None if side is None else TREE.prove(side) for side in (left, right))
        proof = NonExistenceProof(b"banana", *sides)
        assert ics23.decode_commitment_proof(ics23.encode_commitment_proof(proof)) == proof
    for key in KEYS:
        assert ics23.decode_commitment_proof(ics23.encode_commitment_proof(TREE.prove(key))) == TREE.prove(key)


def test_encoding_is_that_of_the_published_schema() -> None:
    leaf = "0801" + "1801" + "2001" + "2a0100"  # hash, prehash_value, length, prefix; prehash_key is NO_HASH
    step = "0801" + "120101" + "1a02aabb"
    body = "0a016b" + "120176" + "1a09" + leaf + "2209" + step
    proof = ExistenceProof(b"k", b"v", TENDERMINT_SPEC.leaf, (InnerOp(SHA256, b"\x01", b"\xaa\xbb"),))
    assert ics23.encode_commitment_proof(proof).hex() == "0a1c" + body
    absence = NonExistenceProof(b"k", proof, replace(proof, path=()))
    right = "0a016b" + "120176" + "1a09" + leaf
    inside = "0a016b" + "121c" + body + "1a11" + right
    assert ics23.encode_commitment_proof(absence).hex() == "12" + f"{len(inside) // 2:02x}" + inside


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a single"),
        (message_field(3, b""), "not a single"),
        (message_field(4, b""), "not a single"),
        (message_field(1, b"") * 2, "not a single"),
        (varint_field(1, 7), "not bytes"),
        (message_field(1, varint_field(1, 7)), "not bytes"),
        (message_field(1, varint_field(4, 7)), "not bytes"),
        (message_field(2, varint_field(2, 7)), "not bytes"),
        (message_field(1, message_field(3, bytes_field(1, b"x"))), "not an integer"),
        (message_field(1, message_field(4, bytes_field(1, b"x"))), "not an integer"),
        (message_field(1, message_field(4, varint_field(2, 1))), "not bytes"),
        (message_field(1, bytes_field(1, b"k") * 2), "doubled"),
        (message_field(1, bytes_field(5, b"k")), "unknown"),
        (message_field(1, message_field(3, varint_field(6, 1))), "unknown"),
        (message_field(1, message_field(3, varint_field(1, 1) * 2)), "doubled"),
        (message_field(1, message_field(4, varint_field(4, 1))), "unknown"),
        (message_field(1, message_field(4, bytes_field(2, b"x") * 2)), "doubled"),
        (message_field(2, bytes_field(1, b"k") * 2), "doubled"),
        (message_field(2, message_field(2, b"") * 2), "doubled"),
        (message_field(2, bytes_field(4, b"k")), "unknown"),
    ],
)
def test_other_messages_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        ics23.decode_commitment_proof(data)


def test_what_is_left_out_is_its_default() -> None:
    nothing = ics23.LeafOp(0, 0, 0, 0, b"")
    assert ics23.decode_commitment_proof(message_field(1, b"")) == ExistenceProof(b"", b"", nothing, ())
    assert ics23.decode_commitment_proof(message_field(2, b"")) == NonExistenceProof(b"", None, None)
    one_step = message_field(1, message_field(4, b"") * 2)
    assert ics23.decode_commitment_proof(one_step) == ExistenceProof(b"", b"", nothing, (InnerOp(0, b"", b""),) * 2)


def test_message_ends_at_its_size() -> None:
    def sized(size: int) -> bytes:
        return message_field(1, message_field(2, bytes(size)))

    room = ics23.MAX_PROOF_BYTES - (len(sized(ics23.MAX_PROOF_BYTES - 100)) - (ics23.MAX_PROOF_BYTES - 100))
    assert len(sized(room)) == ics23.MAX_PROOF_BYTES
    assert isinstance(ics23.decode_commitment_proof(sized(room)), ExistenceProof)
    with pytest.raises(MalformedProofError, match="too large"):
        ics23.decode_commitment_proof(sized(room + 1))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_proof_or_refused(data: bytes) -> None:
    try:
        proof = ics23.decode_commitment_proof(message_field(1, data))
    except ProofError:
        return
    assert isinstance(proof, ExistenceProof)
