"""Evidence about Ethereum under headers that sync committees call final, alone and next to attestation."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.beacon import BeaconAnchor, BeaconFork
from core.model.errors import RejectedError
from core.model.questions import Anchor, Evidence
from core.model.types import ChainId, Seconds
from core.proofs import ethereum
from core.proofs.errors import (
    AnchorMismatchError,
    InvalidProofError,
    LightClientError,
    MalformedProofError,
    ProofError,
    TrustExpiredError,
)
from core.proofs.evidence import (
    Anchors,
    SyncProof,
    Trusted,
    Verified,
    consortium_evidence,
    decode_beacon_anchor,
    decode_evidence,
    decode_trusted,
    encode_anchor,
    encode_beacon_anchor,
    encode_evidence,
    ethereum_evidence,
    installed_verifiers,
    joined_anchors,
    verify,
)
from core.proofs.evidence.ethereum_state import decode_ethereum_proof
from core.proofs.evidence.synced import MAX_SYNC_LINKS
from tests.core.proofs.beacons import PERIOD, plain_header
from tests.core.proofs.forgery import forge, proven_by, refuse_flipped, replant
from tests.core.proofs.synced import START, TARGET, anchor_of, beacon_over, carrying, synced
from tests.core.proofs.test_question_evidence import ALL, ANSWERS, EVIDENCE, LAYOUTS
from tests.core.proofs.worlds import RECORD, World

NOW = ALL.world.now_s
BEACON = beacon_over(ALL.header, NOW)
LEDGER_ANCHOR, BEACON_ANCHOR = ALL.world.anchor(), anchor_of(BEACON)
BOTH = Anchors(LEDGER_ANCHOR, BEACON_ANCHOR)
ABOUT_ETHEREUM = sorted(name for name, one in EVIDENCE.items() if one.kind.startswith("ethereum"))
SYNCED = {name: synced(EVIDENCE[name], BEACON, LAYOUTS, attested=False) for name in ABOUT_ETHEREUM}
DOUBLE = {name: synced(EVIDENCE[name], BEACON, LAYOUTS, attested=True) for name in ABOUT_ETHEREUM}
STORAGE = EVIDENCE["storage"]
CHAIN = BEACON.chain(START, TARGET)


def believed(evidence: Evidence, trusted: Trusted, now_s: int = NOW) -> Verified:
    return verify(decode_evidence(encode_evidence(evidence)), trusted, now_s, installed_verifiers(LAYOUTS))


# --- which trust -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ABOUT_ETHEREUM)
def test_answer_is_proven_by_either_trust_and_by_both(name: str) -> None:
    for evidence, trusted, relies in (
        (EVIDENCE[name], LEDGER_ANCHOR, ("attested",)),
        (EVIDENCE[name], BOTH, ("attested",)),
        (SYNCED[name], BEACON_ANCHOR, ("sync-committee",)),
        (SYNCED[name], BOTH, ("sync-committee",)),
        (DOUBLE[name], LEDGER_ANCHOR, ("attested",)),
        (DOUBLE[name], BEACON_ANCHOR, ("sync-committee",)),
        (DOUBLE[name], BOTH, ("attested", "sync-committee")),
    ):
        proven = believed(evidence, trusted)
        assert (proven.answer, proven.relies_on) == (ANSWERS[name], relies)
    finality = [evidence[name].as_of.finality for evidence in (EVIDENCE, SYNCED, DOUBLE)]
    assert finality == ["attested", "sync-committee", "attested+sync-committee"]


@pytest.mark.parametrize(
    ("evidence", "trusted"),
    [(STORAGE, BEACON_ANCHOR), (SYNCED["storage"], LEDGER_ANCHOR), (EVIDENCE["leaf"], BEACON_ANCHOR)],
)
def test_evidence_without_the_readers_trust_is_refused(evidence: Evidence, trusted: Trusted) -> None:
    with pytest.raises(AnchorMismatchError, match="take an anchor"):
        believed(evidence, trusted)


def test_ledgers_own_state_needs_no_beacon_anchor() -> None:
    assert believed(EVIDENCE["leaf"], BOTH).relies_on == ("commit",)


@pytest.mark.parametrize("name", ABOUT_ETHEREUM)
def test_one_false_way_is_not_made_good_by_the_other(name: str) -> None:
    """A reader of one trust does not see that the other does not hold; a reader of both refuses."""
    other = beacon_over(plain_header(40), NOW)
    forged = synced(EVIDENCE[name], other, LAYOUTS, attested=True)
    assert believed(forged, LEDGER_ANCHOR).relies_on == ("attested",)
    with pytest.raises(ProofError):
        believed(forged, Anchors(LEDGER_ANCHOR, anchor_of(other)))
    with pytest.raises(ProofError):
        believed(DOUBLE[name], replace(BOTH, ledger=replace(LEDGER_ANCHOR, trusted_hash=bytes(32))))


def test_time_ends_each_trust_by_itself() -> None:
    later = NOW + BEACON_ANCHOR.trusting_period_s
    patient = replace(LEDGER_ANCHOR, trusting_period_s=Seconds(10**8))
    believed(DOUBLE["storage"], patient, later)
    for trusted in (BEACON_ANCHOR, Anchors(patient, BEACON_ANCHOR)):
        with pytest.raises(TrustExpiredError):
            believed(DOUBLE["storage"], trusted, later)


# --- what hangs under it -----------------------------------------------------------------------------------------


def linked(count: int, first_parent: bytes) -> list[ethereum.EthereumHeader]:
    """Headers above block 40, oldest first."""
    headers: list[ethereum.EthereumHeader] = []
    for number in range(count):
        parent = ethereum.header_hash(headers[-1]) if headers else first_parent
        headers.append(replace(plain_header(41 + number), parent_hash=parent))
    return headers


def proof_by_links(headers: list[ethereum.EthereumHeader]) -> tuple[SyncProof, BeaconAnchor]:
    beacon = beacon_over(headers[-1], NOW)
    links = tuple(ethereum.encode_header(header) for header in reversed(headers))
    return SyncProof(beacon.chain(START, TARGET), links), anchor_of(beacon)


def test_hashes_lead_back_from_the_final_block() -> None:
    proof, anchor = proof_by_links(linked(MAX_SYNC_LINKS, ethereum.header_hash(ALL.header)))
    proven = believed(carrying(STORAGE, proof, LAYOUTS, attested=False), anchor)
    assert (proven.answer, proven.as_of.block.height) == (ANSWERS["storage"], 40)


@pytest.mark.parametrize(
    "change",
    [
        lambda links: links[1:],
        lambda links: links[:-1],
        lambda links: links[::-1],
        lambda links: (*links, links[-1]),
        lambda links: (*links[:2], ethereum.encode_header(plain_header(43)), *links[3:]),
    ],
)
def test_broken_links_are_refused(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> None:
    proof, anchor = proof_by_links(linked(5, ethereum.header_hash(ALL.header)))
    forged = replace(proof, links=change(proof.links))
    with pytest.raises(InvalidProofError):
        believed(carrying(STORAGE, forged, LAYOUTS, attested=False), anchor)


def test_too_many_links_are_refused() -> None:
    proof, anchor = proof_by_links(linked(MAX_SYNC_LINKS + 1, ethereum.header_hash(ALL.header)))
    with pytest.raises(MalformedProofError):
        believed(carrying(STORAGE, proof, LAYOUTS, attested=False), anchor)


def test_header_that_is_not_the_final_one_is_refused() -> None:
    beacon = beacon_over(plain_header(40), NOW)
    with pytest.raises(InvalidProofError):
        believed(synced(STORAGE, beacon, LAYOUTS, attested=False), anchor_of(beacon))


def test_beacon_block_before_capella_shows_nothing() -> None:
    start, final = 8, PERIOD + 16
    proof = SyncProof(BEACON.chain(start, final))
    anchor = BEACON.anchor(start, trusting_period_s=10**7)
    with pytest.raises(InvalidProofError, match="Capella"):
        believed(carrying(STORAGE, proof, LAYOUTS, attested=False), anchor)


def test_beacon_anchor_of_another_chain_is_refused() -> None:
    with pytest.raises(AnchorMismatchError):
        believed(SYNCED["storage"], replace(BEACON_ANCHOR, chain=ChainId("eip155:1")))


def test_header_signed_but_not_final_is_refused() -> None:
    """The attested header's own block is not the one that is final."""
    signed = TARGET + 16
    beacon = replace(BEACON, blocks={signed: ALL.header})
    with pytest.raises(InvalidProofError):
        believed(carrying(STORAGE, SyncProof(beacon.chain(START, TARGET)), LAYOUTS, attested=False), anchor_of(beacon))


def test_committee_of_two_thirds_less_one_is_refused() -> None:
    few = BEACON.update(TARGET + 16, TARGET, following=False, signers=range(21))
    proof = SyncProof(replace(CHAIN, updates=(*CHAIN.updates[:-1], few)))
    with pytest.raises(LightClientError):
        believed(carrying(STORAGE, proof, LAYOUTS, attested=False), BEACON_ANCHOR)


# --- the file ----------------------------------------------------------------------------------------------------

FILES = {
    f"{name} {kind}": encode_evidence(one[name]) for kind, one in (("sync", SYNCED), ("both", DOUBLE)) for name in one
}


def _verify(file: bytes) -> Verified:
    trusted: Trusted = BOTH if b"attested+" in file else BEACON_ANCHOR
    return verify(decode_evidence(file), trusted, NOW, installed_verifiers(LAYOUTS))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_no_file_with_a_flipped_bit_is_believed(name: str, data: st.DataObject) -> None:
    refuse_flipped(FILES[name], data, _verify)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.sampled_from(["question", "answer", "as_of", "proof"]), st.data())
def test_no_forger_who_repairs_the_digest_proves_anything_else(name: str, part: str, data: st.DataObject) -> None:
    proven = proven_by(forge(FILES[name], part, data), _verify)
    if proven is None:
        return
    assert part == "proof"
    assert proven == _verify(FILES[name])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_value_of_another_kind_is_refused_or_changes_nothing(name: str, data: st.DataObject) -> None:
    proven = proven_by(replant(FILES[name], data), _verify)
    assert proven is None or proven.answer == ANSWERS[name.split()[0]]


def test_proof_with_half_an_attestation_is_malformed() -> None:
    proof = json.loads(decode_evidence(FILES["storage both"]).proof)
    for member in ("trail", "attestation"):
        half = json.dumps({name: part for name, part in proof.items() if name != member}, sort_keys=True)
        with pytest.raises(MalformedProofError):
            decode_ethereum_proof(half.replace(", ", ",").replace(": ", ":").encode())
    bare = {name: part for name, part in proof.items() if name not in ("trail", "attestation", "sync")}
    with pytest.raises(MalformedProofError):
        decode_ethereum_proof(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode())


def test_proof_that_nothing_vouches_for_is_not_made() -> None:
    with pytest.raises(MalformedProofError, match="nothing vouches"):
        carrying(STORAGE, None, LAYOUTS, attested=False)
    whole = decode_ethereum_proof(DOUBLE["storage"].proof)
    for half in (replace(whole, trail=None), replace(whole, attestation=None)):
        for proof in (half, replace(half, sync=None)):
            with pytest.raises(MalformedProofError, match="belong together"):
                ethereum_evidence(STORAGE.question, proof)


# --- anchors -----------------------------------------------------------------------------------------------------


def test_beacon_anchor_is_read_as_it_was_written() -> None:
    data = encode_beacon_anchor(BEACON_ANCHOR)
    assert decode_beacon_anchor(data) == decode_trusted(data) == BEACON_ANCHOR
    assert decode_beacon_anchor(json.dumps(json.loads(data), indent=2).encode()) == BEACON_ANCHOR
    assert decode_trusted(encode_anchor(LEDGER_ANCHOR)) == LEDGER_ANCHOR


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", 2),
        ("chain", "nothing"),
        ("genesis_validators_root", "00"),
        ("trusted_root", "00" * 31),
        ("trusted_root", "0x" + "00" * 32),
        ("genesis_time", -1),
        ("seconds_per_slot", 0),
        ("slots_per_epoch", 1 << 62),
        ("committee_size", 31),
        ("trusting_period_s", 366 * 86_400),
        ("forks", []),
        ("forks", [{"fork": "gloas", "epoch": 0, "version": "00000000"}]),
        ("forks", [{"fork": "altair", "epoch": 0, "version": "000000"}]),
        ("forks", [{"fork": "altair", "epoch": 0}]),
        ("forks", [{"fork": "altair", "epoch": 0, "version": "00000000"}] * 8),
        ("more", 1),
    ],
)
def test_malformed_beacon_anchor_is_refused(member: str, value: Any) -> None:
    body = {**json.loads(encode_beacon_anchor(BEACON_ANCHOR)), member: value}
    with pytest.raises(MalformedProofError):
        decode_beacon_anchor(json.dumps(body).encode())


def test_anchors_are_one_of_each_kind() -> None:
    ground: list[Anchor | BeaconAnchor] = [BEACON_ANCHOR, LEDGER_ANCHOR]
    assert joined_anchors(ground) == joined_anchors(ground[::-1]) == BOTH
    assert joined_anchors(ground[:1]) == BEACON_ANCHOR
    for bad in ([], ground * 2, ground[:1] * 2, [LEDGER_ANCHOR] * 2):
        with pytest.raises(RejectedError):
            joined_anchors(bad)


def test_world_of_another_ledger_is_not_covered_by_the_beacon() -> None:
    world = World()
    evidence = consortium_evidence(RECORD, world.proof(RECORD))
    with pytest.raises(AnchorMismatchError):
        believed(evidence, BEACON_ANCHOR)


def test_anchor_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs/concepts/proofs.md").read_text(encoding="utf-8")
    [example] = [block for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "trusted_root" in block]
    anchor = decode_beacon_anchor(example.encode())
    assert anchor.network.fork_at(364032 * 32).fork is BeaconFork.ELECTRA
    assert anchor.network.period_of(364032 * 32) == 1422
