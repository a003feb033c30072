"""Trails, anchors and evidence files at their limits, and in the forms that are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import BalanceAnswer, Evidence, LockAnswer, RecordAnswer
from core.model.types import BaseUnits, ChainId, LockId
from core.proofs.cometbft.types import BlockIdFlag, CommitSig, LightBlock, SignedHeader, Timestamp
from core.proofs.errors import (
    AnchorMismatchError,
    FutureHeaderError,
    InsufficientPowerError,
    InvalidHeaderError,
    MalformedProofError,
    NotEnoughTrustError,
    TrustExpiredError,
)
from core.proofs.evidence import (
    canonical,
    codec,
    consortium_evidence,
    decode_evidence,
    encode_evidence,
    ethereum_state,
    forms,
    trail,
    verification,
)
from core.proofs.evidence.trail import Trail, trail_from_json, trail_to_json, verify_trail
from tests.core.proofs.chains import validator_keys, validator_set
from tests.core.proofs.test_ethereum_evidence import BALANCE as ETHER
from tests.core.proofs.test_ethereum_evidence import CODE_HASH, LOCKED
from tests.core.proofs.test_ethereum_evidence import LOCK as ETHER_LOCK
from tests.core.proofs.worlds import BALANCE, LOCK, RECORD, World

WORLD = World()
EVIDENCE = consortium_evidence(RECORD, WORLD.proof(RECORD))


def test_trail_leads_to_its_last_header() -> None:
    assert verify_trail(WORLD.skip(), WORLD.anchor(), WORLD.now_s) == WORLD.header(6) == WORLD.skip().target
    back = replace(WORLD.trail(5, ()), links=(WORLD.header(4), WORLD.header(3)))
    assert verify_trail(back, WORLD.anchor(5), WORLD.now_s) == WORLD.header(3) == back.target
    assert WORLD.trail(5, ()).target == WORLD.header(5)


def test_trail_of_several_steps_leads_to_the_last() -> None:
    steps = (WORLD.blocks[2], WORLD.blocks[4], WORLD.blocks[5])
    made = replace(WORLD.trail(2, steps), trusted_next_validators=WORLD.blocks[1].next_validators)
    assert made.target == WORLD.header(6) == verify_trail(made, WORLD.anchor(), WORLD.now_s)


def _unsigned(block: LightBlock) -> LightBlock:
    commit = replace(block.commit, signatures=(CommitSig.absent(),) * len(block.commit.signatures))
    return replace(block, signed_header=SignedHeader(block.header, commit))


@pytest.mark.parametrize("height", [3, 6], ids=["the next block", "a later block"])
def test_step_that_nobody_signed_leads_nowhere(height: int) -> None:
    signed = WORLD.blocks[height - 1]
    following = WORLD.blocks[1].next_validators
    made = replace(WORLD.trail(2, (signed,)), trusted_next_validators=following)
    assert verify_trail(made, WORLD.anchor(), WORLD.now_s) == signed.header
    with pytest.raises((InsufficientPowerError, NotEnoughTrustError)):
        verify_trail(replace(made, steps=(_unsigned(signed),)), WORLD.anchor(), WORLD.now_s)


def test_next_block_of_unannounced_validators_leads_nowhere() -> None:
    """Their own block is signed by all of them."""
    other = World(length=3, validators=5)
    assert verify_trail(other.trail(2, (other.blocks[2],)), other.anchor(), other.now_s) == other.header(3)
    with pytest.raises(InvalidHeaderError):
        verify_trail(WORLD.trail(2, (other.blocks[2],)), WORLD.anchor(), WORLD.now_s)


def test_trail_of_another_chain_is_refused() -> None:
    elsewhere = replace(WORLD.anchor(), chain=ChainId("causeway:elsewhere"))
    with pytest.raises(AnchorMismatchError, match="evidence is of another chain"):
        verify_trail(WORLD.skip(), elsewhere, WORLD.now_s)


def test_trail_ends_at_its_length() -> None:
    for made in (
        replace(WORLD.skip(), steps=WORLD.skip().steps * (trail.MAX_STEPS + 1)),
        replace(WORLD.skip(), links=(WORLD.header(5),) * (trail.MAX_LINKS + 1)),
    ):
        with pytest.raises(MalformedProofError, match="too long"):
            verify_trail(made, WORLD.anchor(), WORLD.now_s)
        with pytest.raises(MalformedProofError, match="within its limit"):
            trail_from_json(trail_to_json(made))
    for made, error in (
        (replace(WORLD.skip(), steps=WORLD.skip().steps * trail.MAX_STEPS), "height does not increase"),
        (replace(WORLD.skip(), links=(WORLD.header(5),) * trail.MAX_LINKS), "not the one before"),
    ):
        with pytest.raises(InvalidHeaderError, match=error):
            verify_trail(made, WORLD.anchor(), WORLD.now_s)
        assert trail_from_json(trail_to_json(made)) == made


def test_header_is_ten_seconds_ahead_at_most_and_not_too_old() -> None:
    newest = WORLD.header(6).time.seconds
    verify_trail(WORLD.skip(), WORLD.anchor(), newest - 9)
    with pytest.raises(FutureHeaderError):
        verify_trail(WORLD.skip(), WORLD.anchor(), newest - 10)
    ends = WORLD.header(2).time.seconds + WORLD.anchor().trusting_period_s
    verify_trail(WORLD.skip(), WORLD.anchor(), ends - 1)
    with pytest.raises(TrustExpiredError):
        verify_trail(WORLD.skip(), WORLD.anchor(), ends)


def test_validators_after_the_anchor_are_the_announced_ones() -> None:
    other = validator_set(validator_keys(4, seed="other"))
    for steps in (WORLD.skip().steps, ()):
        with pytest.raises(InvalidHeaderError, match="the trusted header announces"):
            verify_trail(replace(WORLD.trail(2, steps), trusted_next_validators=other), WORLD.anchor(), WORLD.now_s)


def test_anchor_at_the_first_block_is_that_block() -> None:
    first = WORLD.trail(1, ())
    assert verify_trail(first, WORLD.anchor(1), WORLD.now_s) == WORLD.header(1)
    other = replace(first, genesis_hash=bytes(32))
    with pytest.raises(AnchorMismatchError, match="first block is not the anchor's"):
        verify_trail(other, replace(WORLD.anchor(1), genesis_hash=bytes(32)), WORLD.now_s)
    back = replace(WORLD.trail(2, ()), links=(WORLD.header(1),), genesis_hash=bytes(32))
    with pytest.raises(AnchorMismatchError, match="first block is not the anchor's"):
        verify_trail(back, replace(WORLD.anchor(2), genesis_hash=bytes(32)), WORLD.now_s)


def test_step_without_its_next_validators_leads_on_if_they_stay() -> None:
    """The set after the fourth header is the same; a skip from there needs none of its own."""
    fourth, sixth = replace(WORLD.blocks[3], next_validators=None), WORLD.blocks[5]
    there = replace(WORLD.trail(2, (fourth, sixth)), trusted_next_validators=WORLD.blocks[1].next_validators)
    assert verify_trail(there, WORLD.anchor(), WORLD.now_s) == sixth.header


def test_step_without_its_next_validators_ends_if_they_change() -> None:
    world = World(length=2)
    world.chain.next_keys = [*world.chain.keys, *validator_keys(1, seed="newcomer")]
    world.blocks.extend(world.chain.produce() for _ in range(4))
    third = world.blocks[2]
    assert third.header.next_validators_hash != third.header.validators_hash
    skips = (replace(third, next_validators=None), world.blocks[5])
    with pytest.raises(MalformedProofError, match="skips heights"):
        verify_trail(world.trail(2, skips), world.anchor(), world.now_s)
    verify_trail(world.trail(2, (third, world.blocks[5])), world.anchor(), world.now_s)


def test_absent_entry_of_a_step_is_empty() -> None:
    made = trail_to_json(WORLD.skip())
    entry = made["steps"][0]["signed_header"]["commit"]["signatures"][0]
    entry.update(block_id_flag=int(BlockIdFlag.ABSENT))
    with pytest.raises(MalformedProofError, match="absent validator's entry is not empty"):
        trail_from_json(made)


# --- anchors ----------------------------------------------------------------------------------------------------------


def _anchor(**changes: Any) -> bytes:
    return json.dumps({**json.loads(codec.encode_anchor(WORLD.anchor())), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": 0},
        {"chain": "not a chain"},
        {"chain": "x" * 500},
        {"chain": 5},
        {"genesis_hash": "11" * 31},
        {"trusted_hash": "11" * 33},
        {"trusted_hash": None},
        {"trusted_height": -1},
        {"trusted_height": 2**63},
        {"trusted_height": "2"},
        {"trusting_period_s": codec.MAX_TRUSTING_PERIOD_S + 1},
        {"more": 1},
    ],
)
def test_anchor_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedProofError):
        codec.decode_anchor(_anchor(**changes))


def test_anchor_reaches_its_limits() -> None:
    most = codec.decode_anchor(_anchor(trusting_period_s=codec.MAX_TRUSTING_PERIOD_S, trusted_height=2**63 - 1))
    assert (most.trusting_period_s, most.trusted_height) == (10 * 365 * 86_400, 2**63 - 1)


# --- files ------------------------------------------------------------------------------------------------------------


def _repacked(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The file with something changed and a digest that fits."""
    body = json.loads(encode_evidence(EVIDENCE))
    del body["digest"]
    change(body)
    return canonical.dump({**body, "digest": codec._digest(body)})


def test_file_is_read_as_it_was_written() -> None:
    assert decode_evidence(encode_evidence(EVIDENCE)) == EVIDENCE
    assert decode_evidence(_repacked(lambda body: None)) == EVIDENCE


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", 2),
        ("kind", "x" * 500),
        ("kind", 5),
        ("question", {"type": "other"}),
        ("question", {}),
        ("question", None),
        ("question", {"type": "record", "chain": "no chain", "namespace": "a", "key": "b"}),
        ("question", {"type": "record", "chain": RECORD.chain, "namespace": "a"}),
        ("question", {"type": "balance", "chain": RECORD.chain, "account": "nobody", "asset": BALANCE.asset}),
        ("answer", {"type": "other"}),
        ("answer", []),
        ("answer", {"type": "record", "version": -1, "author": None, "document": ""}),
        ("answer", {"type": "record", "version": 1, "author": "nobody", "document": ""}),
        ("answer", {"type": "lock", "status": "lost", "terms_match": True, "code_hash": ""}),
        ("answer", {"type": "lock", "status": "locked", "terms_match": 1, "code_hash": ""}),
        ("answer", {"type": "balance", "amount": "01"}),
        ("answer", {"type": "balance", "amount": str(2**256)}),
        ("as_of", {}),
        ("as_of", {"chain": "no chain", "height": 1, "block_hash": "11" * 32, "time": 1, "finality": "x"}),
        ("as_of", {"chain": RECORD.chain, "height": -1, "block_hash": "11" * 32, "time": 1, "finality": "x"}),
        ("as_of", {"chain": RECORD.chain, "height": 1, "block_hash": "11" * 31, "time": 1, "finality": "x"}),
    ],
)
def test_file_of_another_form_is_refused(member: str, value: Any) -> None:
    with pytest.raises(MalformedProofError):
        decode_evidence(_repacked(lambda body: body.update({member: value})))


def test_damage_is_distinguished_from_forgery() -> None:
    body = json.loads(encode_evidence(EVIDENCE))
    with pytest.raises(MalformedProofError, match="damaged"):
        decode_evidence(canonical.dump({**body, "digest": "00" * 32}))
    with pytest.raises(MalformedProofError, match="unknown format version"):
        decode_evidence(_repacked(lambda body: body.update(version=2)))


def test_file_ends_at_its_size() -> None:
    padded: Evidence = replace(EVIDENCE, proof=canonical.dump("x" * (canonical.MAX_DOCUMENT_BYTES - 2)))
    with pytest.raises(MalformedProofError, match="too large"):
        encode_evidence(padded)
    rest = canonical.MAX_DOCUMENT_BYTES - len(encode_evidence(replace(EVIDENCE, proof=canonical.dump(""))))
    largest = replace(EVIDENCE, proof=canonical.dump("x" * rest))
    assert len(encode_evidence(largest)) == canonical.MAX_DOCUMENT_BYTES
    assert decode_evidence(encode_evidence(largest)) == largest
    with pytest.raises(MalformedProofError, match="too large"):
        encode_evidence(replace(EVIDENCE, proof=canonical.dump("x" * (rest + 1))))


@pytest.mark.parametrize(
    "answer",
    [
        RecordAnswer(0, None, b""),
        RecordAnswer(3, BALANCE.account, b"{}"),
        LockAnswer(LockStatus.SUPERSEDED, False, b"\x01" * 32),
        BalanceAnswer(BaseUnits(2**256 - 1)),
    ],
)
def test_answers_survive_json(answer: Any) -> None:
    assert forms.answer_from_json(forms.answer_to_json(answer)) == answer


@pytest.mark.parametrize("question", [RECORD, LOCK, BALANCE, replace(LOCK, holder=BALANCE.account), ETHER])
def test_questions_survive_json(question: Any) -> None:
    assert forms.question_from_json(forms.question_to_json(question)) == question


@pytest.mark.parametrize(
    ("read", "value", "why"),
    [
        (forms.question_from_json, {"type": "record", "chain": RECORD.chain}, "exactly its members"),
        (forms.question_from_json, {"type": "other"}, "unknown type"),
        (forms.answer_from_json, {"type": "balance"}, "exactly its members"),
        (forms.answer_from_json, {"type": "lock", "status": "lost", "terms_match": True, "code_hash": ""}, "malformed"),
        (forms.answer_from_json, {"type": "record", "version": 1, "author": "nobody", "document": ""}, "malformed"),
        (forms.answer_from_json, {"type": "other"}, "unknown type"),
    ],
)
def test_refusal_says_what_is_wrong(read: Callable[[Any], Any], value: Any, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        read(value)


def test_terms_of_two_chains_are_no_question() -> None:
    mixed = forms.question_to_json(LOCK)
    mixed["terms"]["receiver"] = ETHER.account
    with pytest.raises(MalformedProofError, match="question is malformed"):
        forms.question_from_json(mixed)


# --- proofs -----------------------------------------------------------------------------------------------------------


def test_question_about_another_chain_is_refused() -> None:
    proof = EVIDENCE.proof
    elsewhere = Evidence(ETHER, BalanceAnswer(BaseUnits(0)), EVIDENCE.as_of, EVIDENCE.kind, proof)
    with pytest.raises(AnchorMismatchError, match="another chain"):
        verification.verify_consortium_state(elsewhere, WORLD.anchor(), WORLD.now_s)


def test_lock_is_asked_for_in_lower_case() -> None:
    """Otherwise one lock had many names."""
    shouted = replace(LOCK, lock_id=LockId(LOCK.lock_id.replace("a1" * 20, "A1" * 20)))
    assert shouted.lock_id != LOCK.lock_id
    with pytest.raises(RejectedError, match="is not a lock id"):
        WORLD.proof(shouted)


def test_terms_on_another_chain_than_the_lock_are_refused() -> None:
    proof = LOCKED.proof(ETHER_LOCK)
    assert ethereum_state.ethereum_evidence(ETHER_LOCK, proof).answer == LockAnswer(LockStatus.LOCKED, True, CODE_HASH)
    with pytest.raises(RejectedError, match="the terms are of another chain"):
        ethereum_state.ethereum_evidence(replace(ETHER_LOCK, terms=LOCK.terms), proof)


@pytest.mark.parametrize("place", ["header", "validator"])
def test_proof_with_members_of_no_meaning_is_refused(place: str) -> None:
    """Two files that prove the same have the same bytes."""
    raw = json.loads(ethereum_state.encode_ethereum_proof(LOCKED.proof(ETHER)))
    assert ethereum_state.decode_ethereum_proof(canonical.dump(raw)) == LOCKED.proof(ETHER)
    if place == "header":
        raw["trail"]["trusted"]["more"] = "1"
    else:
        raw["trail"]["steps"][0]["validators"][0]["proposer_priority"] = "7"
    with pytest.raises(MalformedProofError, match="canonical form"):
        ethereum_state.decode_ethereum_proof(canonical.dump(raw))


@pytest.mark.parametrize("leaves", [0, 2])
def test_one_leaf_attests_an_ethereum_header(leaves: int) -> None:
    raw = json.loads(ethereum_state.encode_ethereum_proof(LOCKED.proof(ETHER)))
    raw["attestation"] = raw["attestation"] * leaves
    with pytest.raises(MalformedProofError, match="exactly one leaf"):
        ethereum_state.decode_ethereum_proof(canonical.dump(raw))


def test_proof_of_a_balance_has_no_storage() -> None:
    proof = LOCKED.proof(ETHER)
    with pytest.raises(RejectedError, match="needs no storage proof"):
        ethereum_state.ethereum_evidence(ETHER, replace(proof, storage_nodes=proof.account_nodes))


def test_installed_verifiers_replace_no_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self) -> str:
            return f"loaded {self.name}"

    points = [Point("consortium-state"), Point("added")]
    monkeypatch.setattr(verification, "entry_points", lambda group: points)
    installed: dict[str, Any] = dict(verification.installed_verifiers())
    assert installed.pop("added") == "loaded added"
    assert installed == dict(verification.BUILT_IN_VERIFIERS)


def test_trail_survives_json() -> None:
    made = Trail(bytes(32), WORLD.header(2), None, WORLD.blocks[2:4], (WORLD.header(1),))  # type: ignore[arg-type]
    again = trail_from_json(json.loads(json.dumps(trail_to_json(replace(made, steps=tuple(made.steps))))))
    assert again == replace(made, steps=tuple(made.steps))
    assert again.steps[0].header.time > Timestamp(0)
