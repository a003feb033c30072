"""The sparse Merkle tree against the verifier, and against itself built in another order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import NotFoundError, RejectedError
from core.proofs.ics23 import (
    SMT_SPEC,
    NonExistenceProof,
    decode_commitment_proof,
    encode_commitment_proof,
    verify_existence,
    verify_non_existence,
)
from core.proofs.smt import EMPTY, decode_proof, encode_proof, verify_absence, verify_inclusion
from local_chains.consortium.state import ledger_state
from local_chains.consortium.state.ledger_state import LedgerState
from local_chains.consortium.state.store import Store
from local_chains.consortium.state.tree import prove, root_hash, update

keys = st.binary(max_size=3)
writes = st.dictionaries(keys, st.binary(max_size=4) | st.none(), max_size=30)


@given(st.lists(writes, max_size=6), keys)
def test_every_key_is_provable_after_any_updates(batches: list[dict[bytes, bytes | None]], key: bytes) -> None:
    root, expected = None, {}
    for batch in batches:
        root = update(root, batch)
        expected.update(batch)
    present = {key: leaf for key, leaf in expected.items() if leaf is not None}
    assert root_hash(root) == root_hash(update(None, present)), "history leaves no trace"
    for known, leaf in expected.items():
        proof = decode_proof(encode_proof(prove(root, known)))
        if leaf is None:
            verify_absence(root_hash(root), known, proof)
        else:
            verify_inclusion(root_hash(root), known, leaf, proof)
            with pytest.raises(RejectedError):
                verify_inclusion(root_hash(root), known, leaf + b"x", proof)
            with pytest.raises(RejectedError):
                verify_absence(root_hash(root), known, proof)
    if key not in present:
        verify_absence(root_hash(root), key, prove(root, key))


@given(writes, writes)
def test_an_update_leaves_the_old_tree_alone_and_can_be_undone(
    first: dict[bytes, bytes | None], second: dict[bytes, bytes | None]
) -> None:
    old = update(None, first)
    before = root_hash(old)
    new = update(old, second)
    assert root_hash(old) == before
    assert root_hash(update(new, {key: first.get(key) for key in second})) == before


def test_the_empty_tree() -> None:
    assert root_hash(None) == EMPTY
    assert update(None, {}) is None
    assert update(update(None, {b"a": b"1"}), {b"a": None}) is None
    verify_absence(EMPTY, b"a", prove(None, b"a"))


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(min_size=1, max_size=4), max_size=30), keys)
async def test_ics23_proves_every_key_and_the_gaps_between(
    tmp_path_factory: pytest.TempPathFactory, present: dict[bytes, bytes], key: bytes
) -> None:
    root = update(None, present)
    state = LedgerState(0, dict(present), root)
    store = Store(tmp_path_factory.mktemp("ics23") / "unused.sqlite")
    for known, leaf in present.items():
        held, proof = await state.query_ics23(store, 0, known)
        assert held == leaf
        verify_existence(
            SMT_SPEC, root_hash(root), known, leaf, decode_commitment_proof(encode_commitment_proof(proof))
        )
    if key in present:
        return
    if not present:
        with pytest.raises(NotFoundError):
            await state.query_ics23(store, 0, key)
        return
    held, proof = await state.query_ics23(store, 0, key)
    assert held is None
    verify_non_existence(SMT_SPEC, root_hash(root), key, decode_commitment_proof(encode_commitment_proof(proof)))
    assert isinstance(proof, NonExistenceProof)
    left, right = proof.left, proof.right
    for cut in (NonExistenceProof(key, None, right), NonExistenceProof(key, left, None)):
        if cut != proof and (cut.left or cut.right):
            with pytest.raises(RejectedError):
                verify_non_existence(SMT_SPEC, root_hash(root), key, cut)


def test_trees_in_memory_are_bounded_by_what_they_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_state, "KEPT_WRITES", 4)
    state = LedgerState(0, {}, None)
    for height in range(1, 20):
        changes = state.changes({b"a": bytes([height])} | ({b"b": b"1", b"c": b"2"} if height == 10 else {}))
        state.advance(changes, state.root_after(changes.writes))
        apart = sum(len(replaced) for _, _, replaced in list(state._kept)[1:])
        assert apart <= 4
    assert apart == 4
    assert state.app_hash == root_hash(update(None, state.leaves))
