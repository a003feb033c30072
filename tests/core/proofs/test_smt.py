"""Sparse Merkle proofs against a naive tree and against the published ICS-23 vectors."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs import ics23, smt
from core.proofs.errors import InvalidProofError, MalformedProofError, ProofError
from tests.core.proofs.trees import SparseTree
from tests.support import VECTORS, vectors

SPECS = {"smt": ics23.SMT_SPEC, "tendermint": ics23.TENDERMINT_SPEC}
ENTRIES = st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=8), max_size=40)


@given(ENTRIES, st.binary(min_size=1, max_size=8), st.binary(max_size=8))
def test_a_proof_proves_presence_or_absence_and_never_both(
    entries: dict[bytes, bytes], key: bytes, other_value: bytes
) -> None:
    tree = SparseTree(entries)
    proof = smt.decode_proof(smt.encode_proof(tree.prove(key)))
    if key in entries:
        smt.verify_inclusion(tree.root, key, entries[key], proof)
        with pytest.raises(InvalidProofError):
            smt.verify_absence(tree.root, key, proof)
    else:
        smt.verify_absence(tree.root, key, proof)
    if entries.get(key) != other_value:
        with pytest.raises(InvalidProofError):
            smt.verify_inclusion(tree.root, key, other_value, proof)


@given(ENTRIES.filter(bool), st.data())
def test_no_flipped_bit_of_an_encoded_proof_is_accepted(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    tree = SparseTree(entries)
    key = data.draw(st.sampled_from(sorted(entries)))
    encoded = bytearray(smt.encode_proof(tree.prove(key)))
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProofError):
        smt.verify_inclusion(tree.root, key, entries[key], smt.decode_proof(bytes(encoded)))


def test_an_other_leaf_must_stand_in_the_keys_place() -> None:
    entries = {bytes([i]): b"value" for i in range(32)}
    tree = SparseTree(entries)
    absent = next(key for key in (bytes([i]) for i in range(100, 256)) if tree.prove(key).other_leaf is not None)
    proof = tree.prove(absent)
    elsewhere = next(
        key for key in entries if smt.path_bit(smt.path_of(key), 0) != smt.path_bit(smt.path_of(absent), 0)
    )
    stolen = smt.OtherLeaf(smt.path_of(elsewhere), smt.value_hash(b"value"))
    with pytest.raises(InvalidProofError, match="not in the key's place"):
        smt.verify_absence(tree.root, absent, replace(proof, other_leaf=stolen))


def test_bits_of_a_path_are_read_from_the_left() -> None:
    for depth in range(smt.MAX_DEPTH):
        path = (1 << 255 - depth).to_bytes(32, "big")
        assert [smt.path_bit(path, at) for at in range(smt.MAX_DEPTH)] == [int(at == depth) for at in range(256)]


def test_leaf_of_the_key_itself_proves_no_absence() -> None:
    entries = {bytes([i]): b"value" for i in range(32)}
    tree, key = SparseTree(entries), b"\x05"
    own = smt.OtherLeaf(smt.path_of(key), smt.value_hash(b"value"))
    with pytest.raises(InvalidProofError, match="the key's own"):
        smt.verify_absence(tree.root, key, replace(tree.prove(key), other_leaf=own))


def test_other_leaf_has_to_be_under_the_root() -> None:
    tree = SparseTree({bytes([i]): b"value" for i in range(32)})
    absent = next(key for key in (bytes([i]) for i in range(100, 256)) if tree.prove(key).other_leaf is not None)
    proof = tree.prove(absent)
    assert proof.other_leaf is not None
    smt.verify_absence(tree.root, absent, proof)
    invented = replace(proof.other_leaf, value_hash=smt.value_hash(b"another value"))
    for wrong in (replace(proof, other_leaf=invented), replace(proof, siblings=(b"\x01" * 32, *proof.siblings[1:]))):
        with pytest.raises(InvalidProofError, match="another root"):
            smt.verify_absence(tree.root, absent, wrong)


def test_encoding_is_written_as_documented() -> None:
    one, nine = b"\x01" * 32, (smt.EMPTY,) * 8 + (b"\x09" * 32,)
    assert smt.encode_proof(smt.SmtProof(())) == b"\x00\x00\x00"
    assert smt.encode_proof(smt.SmtProof((one,))) == b"\x00\x00\x01\x80" + one
    assert smt.encode_proof(smt.SmtProof((smt.EMPTY, one))) == b"\x00\x00\x02\x40" + one
    other = smt.OtherLeaf(b"\x02" * 32, b"\x03" * 32)
    encoded = b"\x01\x00\x09" + b"\x02" * 32 + b"\x03" * 32 + b"\x00\x80" + b"\x09" * 32
    assert smt.encode_proof(smt.SmtProof(nine, other)) == encoded
    assert smt.decode_proof(encoded) == smt.SmtProof(nine, other)


def test_inclusion_proof_names_no_other_leaf() -> None:
    entries = {bytes([i]): b"value" for i in range(32)}
    tree, key = SparseTree(entries), b"\x05"
    smt.verify_inclusion(tree.root, key, b"value", tree.prove(key))
    other = smt.OtherLeaf(smt.path_of(b"\x06"), smt.value_hash(b"value"))
    with pytest.raises(InvalidProofError, match="names no other leaf"):
        smt.verify_inclusion(tree.root, key, b"value", replace(tree.prove(key), other_leaf=other))


@pytest.mark.parametrize(
    "wrong",
    [
        smt.SmtProof((smt.EMPTY,) * 257),
        smt.SmtProof((bytes(31),)),
        smt.SmtProof((bytes(32), bytes(33))),
        smt.SmtProof((), smt.OtherLeaf(bytes(31), bytes(32))),
        smt.SmtProof((), smt.OtherLeaf(bytes(32), bytes(33))),
    ],
)
def test_proof_of_another_shape_is_refused(wrong: smt.SmtProof) -> None:
    for verify in (
        lambda: smt.verify_inclusion(bytes(32), b"k", b"v", wrong),
        lambda: smt.verify_absence(bytes(32), b"k", wrong),
        lambda: smt.encode_proof(wrong),
    ):
        with pytest.raises(MalformedProofError, match="wrong shape"):
            verify()


def test_proof_reaches_its_depth() -> None:
    deepest = smt.SmtProof((b"\x01" * 32,) * smt.MAX_DEPTH, smt.OtherLeaf(bytes(32), bytes(32)))
    encoded = smt.encode_proof(deepest)
    assert len(encoded) == smt.MAX_ENCODED_BYTES
    assert smt.decode_proof(encoded) == deepest
    with pytest.raises(InvalidProofError):
        smt.verify_absence(bytes(32), b"k", deepest)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00\x00", "size or kind"),
        (bytes(smt.MAX_ENCODED_BYTES + 1), "size or kind"),
        (b"\x02\x00\x00", "size or kind"),
        (b"\x00\x01\x01" + bytes(40), "too deep"),
        (b"\x00\x00\x09\x00", "cut short"),
        (b"\x01\x00\x01" + bytes(64), "cut short"),
        (b"\x00\x00\x00\x00", "canonical form"),
        (b"\x00\x00\x01\x01", "canonical form"),
        (b"\x00\x00\x01\x80" + bytes(32), "canonical form"),
        (b"\x00\x00\x01\x80" + b"\x01" * 33, "canonical form"),
        (b"\x00\x00\x01\x80" + b"\x01" * 31, "wrong shape|canonical form"),
    ],
)
def test_other_encodings_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        smt.decode_proof(data)


def test_proofs_are_bounded_and_canonical() -> None:
    with pytest.raises(MalformedProofError):
        smt.encode_proof(smt.SmtProof((smt.EMPTY,) * 257))
    padded_bitmap = b"\x00\x00\x01" + b"\x7f"
    empty_sibling_written_out = b"\x00\x00\x01" + b"\x80" + smt.EMPTY
    for data in (b"", b"\x02\x00\x00", padded_bitmap, empty_sibling_written_out, b"\x01\x00\x00"):
        with pytest.raises(MalformedProofError):
            smt.decode_proof(data)


@given(ENTRIES.filter(bool), st.data())
def test_our_proofs_verify_as_ics23_existence(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    tree = SparseTree(entries)
    key = data.draw(st.sampled_from(sorted(entries)))
    converted = ics23.existence_from_smt(key, entries[key], tree.prove(key))
    parsed = ics23.decode_commitment_proof(ics23.encode_commitment_proof(converted))
    ics23.verify_existence(ics23.SMT_SPEC, tree.root, key, entries[key], parsed)
    absent = data.draw(st.binary(min_size=9, max_size=9))
    order = sorted(entries, key=lambda name: hashlib.sha256(name).digest())
    before = [name for name in order if smt.path_of(name) < smt.path_of(absent)]
    after = [name for name in order if smt.path_of(name) > smt.path_of(absent)]

    def neighbour(name: bytes | None) -> ics23.ExistenceProof | None:
        return None if name is None else ics23.existence_from_smt(name, entries[name], tree.prove(name))

    left, right = before[-1] if before else None, after[0] if after else None
    proof = ics23.NonExistenceProof(absent, neighbour(left), neighbour(right))
    ics23.verify_non_existence(ics23.SMT_SPEC, tree.root, absent, proof)
    if len(before) > 1:
        skipping = ics23.NonExistenceProof(absent, neighbour(before[-2]), neighbour(right))
        with pytest.raises(InvalidProofError):
            ics23.verify_non_existence(ics23.SMT_SPEC, tree.root, absent, skipping)


def _published() -> list[str]:
    folder = VECTORS / "ics23"
    found = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.json"))
    return found or ["(no vectors)"]


@pytest.mark.parametrize("name", _published())
def test_published_ics23_proofs_verify_and_do_not_when_touched(name: str) -> None:
    path: Path = vectors("ics23") / name
    case = json.loads(path.read_text())
    spec = SPECS[path.parent.name]
    root, key, value = (bytes.fromhex(case[part]) for part in ("root", "key", "value"))
    raw = bytes.fromhex(case["proof"])

    def verify(data: bytes, wanted_root: bytes = root) -> None:
        proof = ics23.decode_commitment_proof(data)
        if value:
            ics23.verify_existence(spec, wanted_root, key, value, proof)
        else:
            ics23.verify_non_existence(spec, wanted_root, key, proof)

    verify(raw)
    assert ics23.encode_commitment_proof(ics23.decode_commitment_proof(raw)) == raw
    with pytest.raises(InvalidProofError):
        verify(raw, bytes(32))
    for bit in range(0, 8 * len(raw), 7):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProofError):
            verify(bytes(flipped))
