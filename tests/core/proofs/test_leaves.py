"""Answers read from leaves that a ledger may hold, and from leaves that contradict each other or their keys."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from core.model.consortium import (
    CLOCK_KEY,
    AccountLeaf,
    HeaderLeaf,
    LockLeaf,
    RecordLeaf,
    account_key,
    attested_header_key,
    caip_account,
    caip_asset,
    caip_chain,
    encode_leaf,
    lock_key,
    quantity,
    record_count_key,
    record_key,
)
from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import BalanceAnswer, LockAnswer, Question, RecordAnswer, RecordQuestion
from core.model.types import BaseUnits, ChainId, ChainTime, Hashlock
from core.proofs import smt
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import ledger_code_hash
from core.proofs.evidence import state as evidence_state
from core.proofs.evidence.state import ProvenState, StateEntry, answer_from_state, attested_header, needed_keys
from tests.core.proofs.trees import SparseTree
from tests.core.proofs.worlds import ALICE, BALANCE, BOB, CHAIN, CLOCK_MS, HASHLOCK, LOCK, RECORD, ledger_state

STATE = ledger_state()
CODE = ledger_code_hash(3)
OTHER_CHAIN = caip_chain("other-1")
LOCK_LEAF = LockLeaf("cnyd", quantity(5_000), ALICE, BOB, HASHLOCK, 1_700_001_000, "claimed", b"p" * 32)
COUNT_KEY, SECOND_KEY = record_count_key("provenance", "crate-7"), record_key("provenance", "crate-7", 2)


def _answer(question: Question, changes: Mapping[bytes, bytes | None] | None = None) -> Any:
    state: dict[bytes, bytes | None] = {**STATE, **(changes or {})}
    answer, time = answer_from_state(question, state.get, 3)
    assert time.chain == question.chain
    return answer


def test_clock_is_read_in_whole_seconds() -> None:
    _, time = answer_from_state(RECORD, STATE.get, 0)
    assert time == ChainTime(CHAIN, CLOCK_MS // 1000)
    empty: dict[bytes, bytes] = {}
    assert answer_from_state(RECORD, empty.get, 0) == (RecordAnswer(0, None, b""), ChainTime(CHAIN, 0))


@pytest.mark.parametrize("size", [0, 7, 9])
def test_counter_has_eight_bytes(size: int) -> None:
    for key in (CLOCK_KEY, COUNT_KEY):
        with pytest.raises(InvalidProofError, match="eight bytes"):
            _answer(RECORD, {key: bytes(size)})


def test_newest_version_of_a_record_answers() -> None:
    assert _answer(RECORD) == RecordAnswer(2, caip_account(CHAIN, ALICE), b'{"version":2}')
    assert _answer(RECORD, {COUNT_KEY: bytes(8)}) == RecordAnswer(0, None, b"")
    with pytest.raises(InvalidProofError, match="newest version of the record is missing"):
        _answer(RECORD, {SECOND_KEY: None})
    older = encode_leaf(RecordLeaf(b"{}", ALICE, 1, CLOCK_MS))
    with pytest.raises(InvalidProofError, match="of another version"):
        _answer(RECORD, {SECOND_KEY: older})


@pytest.mark.parametrize("name", ["", "A", "a/b", "a" * 65, "ü"])
def test_name_that_no_record_has_is_rejected(name: str) -> None:
    for question in (RecordQuestion(CHAIN, name, "crate-7"), RecordQuestion(CHAIN, "provenance", name)):
        with pytest.raises(RejectedError, match="not a name of a record"):
            _answer(question)


@pytest.mark.parametrize("status", [LockStatus.LOCKED, LockStatus.CLAIMED, LockStatus.REFUNDED])
def test_status_of_a_lock_is_its_leafs(status: LockStatus) -> None:
    leaf = msgspec.structs.replace(LOCK_LEAF, status=status.value)
    assert _answer(LOCK, {lock_key(ALICE, HASHLOCK): encode_leaf(leaf)}) == LockAnswer(status, True, CODE)


def test_lock_that_is_not_there_is_absent() -> None:
    absent = {lock_key(ALICE, HASHLOCK): None}
    assert _answer(LOCK, absent) == LockAnswer(LockStatus.ABSENT, False, CODE)


@pytest.mark.parametrize(
    "changes",
    [
        {"asset": "gold"},
        {"amount": quantity(5_001)},
        {"sender": BOB},
        {"receiver": ALICE},
        {"hashlock": Hashlock(bytes(32))},
        {"timelock": 1_700_001_001},
    ],
)
def test_each_term_of_a_lock_has_to_match(changes: dict[str, Any]) -> None:
    leaf = encode_leaf(msgspec.structs.replace(LOCK_LEAF, **changes))
    assert _answer(LOCK, {lock_key(ALICE, HASHLOCK): leaf}) == LockAnswer(LockStatus.CLAIMED, False, CODE)


def test_question_about_another_chains_identifiers_is_rejected() -> None:
    foreign = caip_asset(OTHER_CHAIN, "cnyd")
    for question in (
        replace(LOCK, chain=OTHER_CHAIN),
        replace(BALANCE, asset=foreign),
        replace(BALANCE, account=caip_account(OTHER_CHAIN, BOB)),
    ):
        with pytest.raises(RejectedError, match="is not of"):
            _answer(question)


def test_balance_is_that_of_its_symbol() -> None:
    assert _answer(BALANCE) == BalanceAnswer(BaseUnits(700))
    assert _answer(replace(BALANCE, asset=caip_asset(CHAIN, "gold"))) == BalanceAnswer(BaseUnits(1))
    assert _answer(replace(BALANCE, asset=caip_asset(CHAIN, "iron"))) == BalanceAnswer(BaseUnits(0))
    assert _answer(BALANCE, {account_key(BOB): None}) == BalanceAnswer(BaseUnits(0))


@pytest.mark.parametrize(
    ("question", "key", "leaf"),
    [
        (RECORD, SECOND_KEY, b"\xc1"),
        (RECORD, SECOND_KEY, encode_leaf(HeaderLeaf(bytes(32), 1))),
        (LOCK, lock_key(ALICE, HASHLOCK), encode_leaf(msgspec.structs.replace(LOCK_LEAF, amount=b"\x00\x01"))),
        (LOCK, lock_key(ALICE, HASHLOCK), encode_leaf(msgspec.structs.replace(LOCK_LEAF, amount=b"\x01" * 33))),
        (LOCK, lock_key(ALICE, HASHLOCK), encode_leaf(LOCK_LEAF) + b"\x00"),
        (BALANCE, account_key(BOB), encode_leaf(AccountLeaf(3, (("cnyd", b"\x01" * 33),)))),
        (BALANCE, account_key(BOB), b""),
    ],
)
def test_leaf_that_is_not_what_its_key_says_is_refused(question: Question, key: bytes, leaf: bytes) -> None:
    with pytest.raises(InvalidProofError, match="not what its key says"):
        _answer(question, {key: leaf})


def test_header_that_the_ledger_attests() -> None:
    chain = ChainId("eip155:1")
    known = {attested_header_key(chain, 5): encode_leaf(HeaderLeaf(b"\x01" * 32, 9))}
    assert attested_header(chain, 5, known.get) == HeaderLeaf(b"\x01" * 32, 9)
    with pytest.raises(InvalidProofError, match="not attested a header at this height"):
        attested_header(chain, 6, known.get)


# --- the entries of a proof -----------------------------------------------------------------------------------------


def test_keys_are_asked_for_as_far_as_leaves_are_known() -> None:
    known: dict[bytes, bytes | None] = {}
    assert needed_keys(RECORD, known) == (CLOCK_KEY,)
    known[CLOCK_KEY] = STATE[CLOCK_KEY]
    assert needed_keys(RECORD, known) == (CLOCK_KEY, COUNT_KEY)
    known[COUNT_KEY] = STATE[COUNT_KEY]
    assert needed_keys(RECORD, known) == (CLOCK_KEY, COUNT_KEY, SECOND_KEY)
    known[SECOND_KEY] = STATE[SECOND_KEY]
    assert needed_keys(RECORD, known) == (CLOCK_KEY, COUNT_KEY, SECOND_KEY)
    assert needed_keys(RECORD, {CLOCK_KEY: None, COUNT_KEY: None}) == (CLOCK_KEY, COUNT_KEY)


def test_entries_are_proven_in_their_order_and_all_used() -> None:
    tree = SparseTree({b"a": b"1", b"b": b"2"})
    here, absent = StateEntry(b"1", tree.prove(b"a")), StateEntry(None, tree.prove(b"x"))
    state = ProvenState(tree.root, (here, absent))
    assert (state.read(b"a"), state.read(b"x")) == (b"1", None)
    state.finish()
    with pytest.raises(InvalidProofError, match="lacks a leaf"):
        state.read(b"b")
    with pytest.raises(InvalidProofError, match="more leaves than"):
        ProvenState(tree.root, (here,)).finish()
    for entries, key in (((here,), b"b"), ((absent,), b"a"), ((StateEntry(b"2", here.proof),), b"a")):
        with pytest.raises(InvalidProofError):
            ProvenState(tree.root, entries).read(key)


def _entry(value: bytes | None = b"1") -> dict[str, Any]:
    return {"value": None if value is None else value.hex(), "proof": smt.encode_proof(smt.SmtProof(())).hex()}


def test_entries_survive_json_within_their_limits() -> None:
    entries = (StateEntry(b"1", smt.SmtProof(())), StateEntry(None, smt.SmtProof((b"\x01" * 32,))))
    assert evidence_state.entries_from_json(evidence_state.entries_to_json(entries)) == entries
    assert len(evidence_state.entries_from_json([_entry()] * evidence_state.MAX_ENTRIES)) == 102
    largest = _entry(bytes(evidence_state.MAX_LEAF_BYTES))
    assert evidence_state.entries_from_json([largest])[0].value == bytes(1 << 18)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([_entry()] * (evidence_state.MAX_ENTRIES + 1), "within its limit"),
        ({}, "within its limit"),
        ([_entry(b"")], "never empty"),
        ([_entry(bytes(evidence_state.MAX_LEAF_BYTES + 1))], "within its limit"),
        ([{**_entry(), "more": 1}], "exactly its members"),
        ([{"value": None}], "exactly its members"),
        ([{**_entry(), "value": 5}], "lower-case hex"),
        ([{**_entry(), "proof": None}], "lower-case hex"),
        ([{**_entry(), "proof": "00" * (smt.MAX_ENCODED_BYTES + 1)}], "within its limit"),
    ],
)
def test_entry_of_another_form_is_refused(value: Any, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        evidence_state.entries_from_json(value)
