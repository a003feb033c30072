"""Evidence about the consortium's state: believed when true, refused when anything about it is not."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.consortium import caip_account, caip_asset, lock_id, record_count_key, record_key
from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import (
    BalanceAnswer,
    BalanceQuestion,
    Evidence,
    LockAnswer,
    LockQuestion,
    Question,
    RecordAnswer,
    RecordQuestion,
)
from core.model.types import BaseUnits, Hashlock, Height
from core.proofs.cometbft.types import CommitSig, Header
from core.proofs.errors import (
    AnchorMismatchError,
    InsufficientPowerError,
    InvalidHeaderError,
    InvalidProofError,
    MalformedProofError,
    NotEnoughTrustError,
    ProofError,
    TrustExpiredError,
)
from core.proofs.evidence import (
    Trail,
    Verified,
    consortium_evidence,
    decode_anchor,
    decode_evidence,
    encode_anchor,
    encode_evidence,
    ledger_code_hash,
    verify,
)
from core.proofs.evidence.verification import encode_consortium_proof
from tests.core.proofs.chains import validator_keys
from tests.core.proofs.forgery import forge, proven_by, refuse_flipped, replant
from tests.core.proofs.worlds import ALICE, BALANCE, BOB, CHAIN, CLOCK_MS, LOCK, RECORD, TERMS, World

WORLD = World()
QUESTIONS: dict[str, Question] = {"record": RECORD, "lock": LOCK, "balance": BALANCE}
FILES = {
    kind: encode_evidence(consortium_evidence(question, WORLD.proof(question))) for kind, question in QUESTIONS.items()
}


def _believe(world: World, question: Question, trail: Trail | None = None) -> Any:
    data = encode_evidence(consortium_evidence(question, world.proof(question, trail)))
    return verify(decode_evidence(data), world.anchor(), world.now_s).answer


def test_every_question_is_answered_from_proof() -> None:
    assert _believe(WORLD, RECORD) == RecordAnswer(2, caip_account(CHAIN, ALICE), b'{"version":2}')
    assert _believe(WORLD, LOCK) == LockAnswer(LockStatus.CLAIMED, True, ledger_code_hash(0))
    assert _believe(WORLD, BALANCE) == BalanceAnswer(BaseUnits(700))


def test_absence_is_an_answer_too() -> None:
    stranger = caip_account(CHAIN, b"\xcc" * 20)
    assert _believe(WORLD, RecordQuestion(CHAIN, "provenance", "crate-8")) == RecordAnswer(0, None, b"")
    assert _believe(WORLD, BalanceQuestion(CHAIN, stranger, BALANCE.asset)) == BalanceAnswer(BaseUnits(0))
    assert _believe(WORLD, BalanceQuestion(CHAIN, BALANCE.account, caip_asset(CHAIN, "iron"))) == BalanceAnswer(
        BaseUnits(0)
    )
    other = Hashlock(bytes(32))
    question = LockQuestion(CHAIN, lock_id(CHAIN, ALICE, other), replace(TERMS, hashlock=other), None)
    assert _believe(WORLD, question) == LockAnswer(LockStatus.ABSENT, False, ledger_code_hash(0))


@pytest.mark.parametrize(
    "terms",
    [
        replace(TERMS, amount=BaseUnits(5_001)),
        replace(TERMS, receiver=TERMS.sender),
        replace(TERMS, sender=TERMS.receiver),
        replace(TERMS, asset=caip_asset(CHAIN, "gold")),
        replace(TERMS, timelock=replace(TERMS.timelock, seconds=TERMS.timelock.seconds + 1)),
        replace(TERMS, hashlock=Hashlock(bytes(32))),
    ],
)
def test_a_lock_with_other_terms_does_not_match(terms: Any) -> None:
    answer = _believe(WORLD, replace(LOCK, terms=terms))
    assert answer == LockAnswer(LockStatus.CLAIMED, False, ledger_code_hash(0))


def test_as_of_is_the_block_before_the_header_at_ledger_time() -> None:
    proven = verify(decode_evidence(FILES["record"]), WORLD.anchor(), WORLD.now_s)
    assert proven.as_of.block.height == 5
    assert proven.as_of.block.hash == WORLD.header(6).last_block_id.hash
    assert proven.as_of.time.seconds == CLOCK_MS // 1000
    assert proven.as_of.finality == "commit"


# --- damage and forgery ------------------------------------------------------------------------------------------


def _verify(file: bytes) -> Verified:
    return verify(decode_evidence(file), WORLD.anchor(), WORLD.now_s)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_no_file_with_a_flipped_bit_is_believed(kind: str, data: st.DataObject) -> None:
    refuse_flipped(FILES[kind], data, _verify)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.sampled_from(["question", "answer", "as_of", "proof"]), st.data())
def test_no_forger_who_repairs_the_digest_is_believed(kind: str, part: str, data: st.DataObject) -> None:
    """Without the digest's help: every bit of these three files matters to what is proven, but for one signer's entry
    in a commit, which counts as absent then; the other three are still enough."""
    forged = forge(FILES[kind], part, data)
    proven = proven_by(forged, _verify)
    if forged is None or proven is None:
        return
    assert proven == _verify(FILES[kind])
    assert _without_votes(json.loads(forged)) == _without_votes(json.loads(FILES[kind]))


def _without_votes(value: Any) -> Any:
    """JSON without the digest, and without what a single validator signs of a commit: flag, time and signature."""
    if isinstance(value, list):
        return [_without_votes(one) for one in value]
    if not isinstance(value, dict):
        return value
    left_out = {"digest"} if "validator_address" not in value else {"block_id_flag", "timestamp", "signature"}
    return {name: _without_votes(one) for name, one in value.items() if name not in left_out}


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_value_of_another_kind_is_refused_or_changes_nothing(kind: str, data: st.DataObject) -> None:
    """It changes nothing if a validator set is left out that the trail does not need."""
    proven = proven_by(replant(FILES[kind], data), _verify)
    assert proven is None or proven == _verify(FILES[kind])


def _evidence(kind: str) -> Evidence:
    return decode_evidence(FILES[kind])


def test_an_answer_is_never_taken_from_the_file() -> None:
    richer = replace(_evidence("balance"), answer=BalanceAnswer(BaseUnits(701)))
    with pytest.raises(InvalidProofError):
        verify(decode_evidence(encode_evidence(richer)), WORLD.anchor(), WORLD.now_s)
    later = _evidence("balance")
    as_of = replace(later.as_of, block=replace(later.as_of.block, height=Height(7)))
    with pytest.raises(InvalidProofError):
        verify(replace(later, as_of=as_of), WORLD.anchor(), WORLD.now_s)


def test_a_proof_of_one_question_answers_no_other() -> None:
    for wrong in (RECORD, LOCK, replace(BALANCE, account=caip_account(CHAIN, ALICE))):
        with pytest.raises(ProofError):
            verify(replace(_evidence("balance"), question=wrong), WORLD.anchor(), WORLD.now_s)


def test_leaves_may_be_neither_missing_nor_spare() -> None:
    proof = WORLD.proof(RECORD)
    for entries in (proof.entries[:-1], (*proof.entries, proof.entries[-1]), proof.entries[::-1]):
        with pytest.raises(InvalidProofError):
            consortium_evidence(RECORD, replace(proof, entries=entries))


def test_an_old_version_is_not_passed_off_as_the_newest() -> None:
    proof = WORLD.proof(RECORD)
    old = WORLD.entry(record_key("provenance", "crate-7", 1))
    with pytest.raises(InvalidProofError):
        consortium_evidence(RECORD, replace(proof, entries=(*proof.entries[:-1], old)))
    hidden = replace(proof.entries[1], value=None)
    with pytest.raises(ProofError):
        consortium_evidence(RECORD, replace(proof, entries=(proof.entries[0], hidden)))


def test_names_cannot_be_bent_into_other_keys() -> None:
    for namespace, key in (("provenance/crate-7", "count"), ("provenance", "crate-7/2"), ("", "x"), ("A", "x")):
        question = RecordQuestion(CHAIN, namespace, key)
        with pytest.raises(RejectedError):
            consortium_evidence(question, WORLD.proof(RECORD))
    assert record_count_key("a", "b") == b"records/a/b/count"


def test_questions_the_ledger_does_not_know_are_rejected() -> None:
    upper = LockQuestion(CHAIN, lock_id(CHAIN, ALICE, TERMS.hashlock).replace("a", "A"), TERMS, None)  # type: ignore[arg-type]
    for question in (upper, replace(LOCK, holder=caip_account(CHAIN, BOB))):
        with pytest.raises(RejectedError):
            consortium_evidence(question, WORLD.proof(LOCK))


# --- anchors and trails ------------------------------------------------------------------------------------------


def test_anchors_survive_json_and_people() -> None:
    anchor = WORLD.anchor()
    assert decode_anchor(encode_anchor(anchor)) == anchor
    assert decode_anchor(json.dumps(json.loads(encode_anchor(anchor)), indent=2).encode() + b"\n") == anchor
    with pytest.raises(MalformedProofError):
        decode_anchor(encode_anchor(anchor).replace(b'{"chain"', b'{"chain":"causeway:x-1","chain"'))


@pytest.mark.parametrize(
    "change",
    [
        {"chain": "causeway:other-1"},
        {"genesis_hash": bytes(32)},
        {"trusted_hash": bytes(32)},
        {"trusted_height": 3},
    ],
)
def test_the_anchor_decides_which_chain_is_believed(change: dict[str, Any]) -> None:
    with pytest.raises(AnchorMismatchError):
        verify(_evidence("record"), replace(WORLD.anchor(), **change), WORLD.now_s)


def test_another_chain_of_the_same_name_is_not_believed() -> None:
    fork = World(state={**WORLD.state, b"extra": b"1"})
    evidence = consortium_evidence(RECORD, fork.proof(RECORD))
    verify(evidence, fork.anchor(), fork.now_s)
    with pytest.raises(AnchorMismatchError):
        verify(evidence, WORLD.anchor(), WORLD.now_s)


def test_trust_expires_for_newer_headers_only() -> None:
    late = WORLD.now_s + 86_400
    with pytest.raises(TrustExpiredError):
        verify(_evidence("record"), WORLD.anchor(), late)
    at_anchor = consortium_evidence(RECORD, WORLD.proof(RECORD, WORLD.trail(2, ())))
    assert verify(at_anchor, WORLD.anchor(), late).as_of.block.height == 1


def test_every_way_to_the_header_is_accepted() -> None:
    sequential = WORLD.trail(2, tuple(replace(block, next_validators=None) for block in WORLD.blocks[2:]))
    two_skips = WORLD.trail(2, (WORLD.blocks[3], WORLD.blocks[5]), following=True)
    for trail in (sequential, two_skips):
        found = verify(consortium_evidence(RECORD, WORLD.proof(RECORD, trail)), WORLD.anchor(), WORLD.now_s)
        assert found.question == RECORD
        assert found.as_of.block.height == WORLD.blocks[5].header.height - 1


def _links(world: World, *heights: int) -> tuple[Header, ...]:
    return tuple(world.header(height) for height in heights)


def test_older_headers_are_believed_by_their_hash_links() -> None:
    trail = replace(WORLD.trail(5, ()), links=_links(WORLD, 4, 3))
    evidence = consortium_evidence(RECORD, WORLD.proof(RECORD, trail))
    assert verify(evidence, WORLD.anchor(5), WORLD.now_s).as_of.block.height == 2
    gap = replace(trail, links=_links(WORLD, 3))
    touched = replace(trail, links=(WORLD.header(4), replace(WORLD.header(3), last_results_hash=bytes(32))))
    for wrong in (gap, touched):
        with pytest.raises(InvalidHeaderError):
            verify(consortium_evidence(RECORD, WORLD.proof(RECORD, wrong)), WORLD.anchor(5), WORLD.now_s)


def test_the_first_header_proves_no_blocks_state() -> None:
    trail = replace(WORLD.trail(2, ()), links=_links(WORLD, 1))
    with pytest.raises(InvalidProofError):
        consortium_evidence(RECORD, WORLD.proof(RECORD, trail))


def test_skipping_needs_over_two_thirds_of_trusted_validators() -> None:
    without = WORLD.trail(2, (WORLD.blocks[5],))
    with pytest.raises(MalformedProofError):
        verify(consortium_evidence(RECORD, WORLD.proof(RECORD, without)), WORLD.anchor(), WORLD.now_s)
    world = World(length=2)
    world.chain.next_keys = world.chain.keys[:2] + validator_keys(2, seed="newcomers")
    world.blocks.extend(world.chain.produce() for _ in range(4))
    with pytest.raises(NotEnoughTrustError):
        _believe(world, RECORD)
    _believe(world, RECORD, world.trail(2, (world.blocks[2], world.blocks[3], world.blocks[5])))


def test_a_minority_cannot_sign_a_header() -> None:
    world = World(validators=3, length=5)
    world.blocks.append(world.chain.produce(signers=2))
    with pytest.raises(ProofError) as refused:
        _believe(world, RECORD)
    assert isinstance(refused.value, NotEnoughTrustError | InsufficientPowerError)


def test_other_validator_set_with_the_same_next_hash_is_refused() -> None:
    wrong = World(state=WORLD.state, validators=5).blocks[1].next_validators
    trail = replace(WORLD.skip(), trusted_next_validators=wrong)
    with pytest.raises(InvalidHeaderError):
        verify(consortium_evidence(RECORD, WORLD.proof(RECORD, trail)), WORLD.anchor(), WORLD.now_s)


# --- form --------------------------------------------------------------------------------------------------------


def test_unknown_members_and_other_forms_are_refused() -> None:
    plain = json.loads(FILES["record"])
    with pytest.raises(MalformedProofError):
        decode_evidence(json.dumps({**plain, "note": "x"}, sort_keys=True, separators=(",", ":")).encode())
    with pytest.raises(MalformedProofError):
        decode_evidence(json.dumps(plain, indent=1).encode())
    for data in (
        b"",
        b"null",
        b"[" * 100_000,
        b"{}" * 600_000,
        b'{"version":1e3}',
        "{ÿ}".encode("latin-1"),
        b'["' + b'\\"' * 400_000,
    ):
        with pytest.raises(MalformedProofError):
            decode_evidence(data)


def test_priorities_and_absent_entries_carry_nothing_unchecked() -> None:
    world = World(length=5)
    world.blocks.append(world.chain.produce(signers=3))
    evidence = consortium_evidence(RECORD, world.proof(RECORD))
    verify(evidence, world.anchor(), world.now_s)
    for find, put in (('"proposer_priority":"0"', '"proposer_priority":"1"'), ("0001-01-01", "0001-01-02")):
        assert find in evidence.proof.decode()
        touched = replace(evidence, proof=evidence.proof.decode().replace(find, put, 1).encode())
        with pytest.raises(MalformedProofError):
            verify(touched, world.anchor(), world.now_s)
    assert CommitSig.absent() in world.blocks[-1].commit.signatures


def test_kind_without_verifier_is_refused_and_added_one_checked() -> None:
    foreign = replace(_evidence("balance"), kind="somebody-else")
    with pytest.raises(MalformedProofError):
        verify(foreign, WORLD.anchor(), WORLD.now_s)
    lax = {"somebody-else": lambda evidence, anchor, now_s: verify(_evidence("balance"), anchor, now_s)}
    assert verify(foreign, WORLD.anchor(), WORLD.now_s, lax).answer == foreign.answer
    richer = replace(foreign, answer=BalanceAnswer(BaseUnits(701)))
    with pytest.raises(InvalidProofError):
        verify(richer, WORLD.anchor(), WORLD.now_s, lax)


def test_proofs_have_one_form() -> None:
    proof = WORLD.proof(RECORD)
    encoded = encode_consortium_proof(proof)
    spaced = encoded.replace(b":", b": ", 1)
    with pytest.raises(MalformedProofError):
        verify(replace(_evidence("record"), proof=spaced), WORLD.anchor(), WORLD.now_s)
