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
    with pytest.raises(InvalidProofError):
        smt.verify_absence(tree.root, absent, replace(proof, other_leaf=stolen))


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
