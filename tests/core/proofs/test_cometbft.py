"""Light client, signing and JSON on chains made by ourselves, where every rule can be broken on purpose."""

import hashlib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs import merkle
from core.proofs.cometbft import hashing, light_client, sign_bytes, signing
from core.proofs.cometbft import json as rpc_json
from core.proofs.cometbft.types import (
    EMPTY_COMMIT,
    NIL_BLOCK_ID,
    BlockId,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    KeyKind,
    LightBlock,
    PartSetHeader,
    PublicKey,
    SignedHeader,
    Timestamp,
    Validator,
    ValidatorSet,
)
from core.proofs.errors import (
    FutureHeaderError,
    InsufficientPowerError,
    InvalidCommitError,
    InvalidHeaderError,
    InvalidProofError,
    MalformedProofError,
    NotEnoughTrustError,
    ProofError,
    TrustExpiredError,
)
from tests.core.proofs.chains import CHAIN_ID, ToyChain, validator_keys, validator_set

POLICY = light_client.LightClientPolicy(trusting_period_ns=10**12, max_clock_drift_ns=10**9)
TEST_KEY = bytes.fromhex("289c2857d4598e37fb9647507e47a309d6133539bf21a8b9cb6df88fd5232032")


def test_header_hash_of_cometbfts_own_unit_test() -> None:
    def digest(word: str) -> bytes:
        return hashlib.sha256(word.encode()).digest()

    header = Header(
        chain_id="chainId",
        height=3,
        time=rpc_json.timestamp_from_json("2019-10-13T16:14:44Z"),
        last_block_id=BlockId(bytes(32), PartSetHeader(6, bytes(32))),
        last_commit_hash=digest("last_commit_hash"),
        data_hash=digest("data_hash"),
        validators_hash=digest("validators_hash"),
        next_validators_hash=digest("next_validators_hash"),
        consensus_hash=digest("consensus_hash"),
        app_hash=digest("app_hash"),
        last_results_hash=digest("last_results_hash"),
        evidence_hash=digest("evidence_hash"),
        proposer_address=digest("proposer_address")[:20],
        block_version=1,
        app_version=2,
    )
    expected = "F740121F553B5418C3EFBD343C2DBFE9E007BB67B0D020A0741374BAB65242A4"
    assert hashing.header_hash(header).hex().upper() == expected


def test_secp256k1eth_address_and_signature_match_cometbft() -> None:
    message = b"cometbft secp256k1eth cross-compatibility"
    key = signing.public_key_of(KeyKind.SECP256K1_ETH, TEST_KEY)
    assert key.address.hex() == "970e8128ab834e8eac17ab8e3812f010678cf791"
    signature = signing.sign(KeyKind.SECP256K1_ETH, TEST_KEY, message)
    assert signature.hex() == (
        "1286c5fe4bdd3ad17ee1245b19a953d7422db02c0404a9c13bb95094d440f07d"
        "2dd0c7a09c45b7f02e4eb633156ad7f649a604016471dde6c14c3ecf50175e0f00"
    )


@pytest.mark.parametrize("kind", list(KeyKind))
def test_signatures_verify_and_any_flipped_bit_does_not(kind: KeyKind) -> None:
    key = signing.public_key_of(kind, TEST_KEY)
    signature = signing.sign(kind, TEST_KEY, b"message")
    assert sign_bytes.verify_signature(key, b"message", signature)
    assert not sign_bytes.verify_signature(key, b"massage", signature)
    assert not sign_bytes.verify_signature(key, b"message", signature + b"\x00")
    for bit in range(8 * len(signature)):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not sign_bytes.verify_signature(key, b"message", bytes(flipped))


def test_the_other_root_of_an_ethereum_signature_is_refused() -> None:
    order = 2 * sign_bytes.SECP256K1_HALF_ORDER + 1
    signature = signing.sign(KeyKind.SECP256K1_ETH, TEST_KEY, b"message")
    high_s = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    malleated = signature[:32] + high_s + bytes([signature[64] ^ 1])
    key = signing.public_key_of(KeyKind.SECP256K1_ETH, TEST_KEY)
    assert not sign_bytes.verify_signature(key, b"message", malleated)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_adjacent_and_skipping_updates(kind: KeyKind) -> None:
    chain = ToyChain(validator_keys(4, kind))
    blocks = [chain.produce() for _ in range(5)]
    trusted = light_client.trust(blocks[0])
    now = blocks[-1].header.time
    for block in blocks[1:]:
        light_client.verify_update(trusted, block, now, POLICY)
    light_client.verify_sequential(blocks[1].header, blocks[2], now, POLICY)
    with pytest.raises(InvalidHeaderError):
        light_client.verify_sequential(blocks[0].header, blocks[2], now, POLICY)


def test_exactly_two_thirds_of_the_power_is_too_little() -> None:
    chain = ToyChain(validator_keys(3))
    first = chain.produce()
    second = chain.produce(signers=2)
    with pytest.raises(InsufficientPowerError):
        light_client.verify_update(light_client.trust(first), second, second.header.time, POLICY)


def test_votes_for_nil_do_not_count_as_votes_for_the_block() -> None:
    chain = ToyChain(validator_keys(4))
    first = chain.produce()
    second = chain.produce(signers=3, nil_voters=1)
    trusted, now = light_client.trust(first), second.header.time
    light_client.verify_update(trusted, second, now, POLICY)
    entries = list(second.commit.signatures)
    place = next(i for i, entry in enumerate(entries) if entry.flag is BlockIdFlag.NIL)
    other = next(i for i, entry in enumerate(entries) if entry.flag is BlockIdFlag.COMMIT)
    entries[place] = replace(entries[place], flag=BlockIdFlag.COMMIT)
    light_client.verify_update(trusted, _with_signatures(second, entries), now, POLICY)
    entries[other] = CommitSig.absent()
    with pytest.raises(InsufficientPowerError):
        light_client.verify_update(trusted, _with_signatures(second, entries), now, POLICY)


def test_trusting_period_clock_drift_and_monotonicity() -> None:
    chain = ToyChain(validator_keys(4))
    first, second = chain.produce(), chain.produce()
    trusted = light_client.trust(first)
    late = Timestamp.from_nanos(first.header.time.to_nanos() + POLICY.trusting_period_ns)
    with pytest.raises(TrustExpiredError):
        light_client.verify_update(trusted, second, late, POLICY)
    early = Timestamp.from_nanos(second.header.time.to_nanos() - POLICY.max_clock_drift_ns)
    with pytest.raises(FutureHeaderError):
        light_client.verify_update(trusted, second, early, POLICY)
    with pytest.raises(InvalidHeaderError):
        light_client.verify_update(light_client.trust(second), first, second.header.time, POLICY)


def test_a_replaced_validator_set_needs_steps_in_between() -> None:
    old, new = validator_keys(4), validator_keys(4, seed="other")
    chain = ToyChain(old)
    first = chain.produce()
    chain.next_keys = new
    second = chain.produce()
    third = chain.produce()
    fourth = chain.produce()
    now = fourth.header.time
    trusted = light_client.trust(first)
    with pytest.raises(NotEnoughTrustError):
        light_client.verify_update(trusted, fourth, now, POLICY)
    trusted = light_client.update_trusted(trusted, second, now, POLICY)
    trusted = light_client.update_trusted(trusted, third, now, POLICY)
    light_client.verify_update(trusted, fourth, now, POLICY)


def test_trusted_validators_count_only_with_genuine_signatures() -> None:
    chain = ToyChain(validator_keys(4))
    first = chain.produce()
    chain.produce()
    third = chain.produce()
    trusted, now = light_client.trust(first), third.header.time
    entries = list(third.commit.signatures)
    for place in range(4):
        forged = [*entries]
        forged[place] = replace(entries[place], signature=entries[place - 1].signature)
        # It counts as absent, and three of four are enough; two are not.
        light_client.verify_update(trusted, _with_signatures(third, forged), now, POLICY)
        forged[place - 1] = replace(entries[place - 1], signature=bytes(64))
        with pytest.raises(InsufficientPowerError):
            light_client.verify_update(trusted, _with_signatures(third, forged), now, POLICY)
    with pytest.raises(InvalidCommitError):
        light_client.verify_update(trusted, _with_signatures(third, entries[::-1]), now, POLICY)
    with pytest.raises(InvalidCommitError):
        light_client.verify_update(trusted, _with_signatures(third, [entries[0]] * 4), now, POLICY)
    with pytest.raises(InvalidCommitError):
        light_client.verify_update(trusted, _with_signatures(third, entries[:3]), now, POLICY)


def test_invalid_signatures_of_trusted_validators_do_not_vouch() -> None:
    """A set of strangers signs its own block, and the trusted ones stand in the commit with signatures of nothing."""
    old = validator_keys(2)
    chain = ToyChain(old)
    first = chain.produce()
    chain.next_keys = old + validator_keys(5, seed="other")
    chain.produce()
    third = chain.produce()
    trusted, now = light_client.trust(first), third.header.time
    light_client.verify_update(trusted, third, now, POLICY)
    known = {key.validator.address for key in old}
    entries = [
        replace(entry, signature=bytes(64)) if entry.validator_address in known else entry
        for entry in third.commit.signatures
    ]
    with pytest.raises(NotEnoughTrustError):
        light_client.verify_update(trusted, _with_signatures(third, entries), now, POLICY)


def test_commit_without_its_own_set_is_judged_by_the_trusted_set() -> None:
    keys = validator_keys(3)
    chain = ToyChain(keys)
    commit = chain.produce(signers=2).commit
    trusted = validator_set(keys)
    light_client.verify_commit_trusting(CHAIN_ID, trusted, commit, light_client.ONE_THIRD)
    with pytest.raises(NotEnoughTrustError):
        light_client.verify_commit_trusting(CHAIN_ID, trusted, commit, light_client.TWO_THIRDS)
    doubled = replace(commit, signatures=(commit.signatures[0],) * 3)
    with pytest.raises(InvalidCommitError):
        light_client.verify_commit_trusting(CHAIN_ID, trusted, doubled, light_client.ONE_THIRD)
    stolen = replace(commit.signatures[0], signature=commit.signatures[1].signature)
    with pytest.raises(NotEnoughTrustError):
        forged = replace(commit, signatures=(stolen, *commit.signatures[1:]))
        light_client.verify_commit_trusting(CHAIN_ID, trusted, forged, light_client.ONE_THIRD)


def test_threshold_of_two_thirds_refuses_what_a_third_accepts() -> None:
    old = validator_keys(4)
    chain = ToyChain(old)
    first = chain.produce()
    chain.next_keys = old[:2] + validator_keys(2, seed="other")
    chain.produce()
    third = chain.produce()
    trusted, now = light_client.trust(first), third.header.time
    light_client.verify_update(trusted, third, now, POLICY)
    strict = replace(POLICY, trust_threshold=Fraction(2, 3))
    with pytest.raises(NotEnoughTrustError):
        light_client.verify_update(trusted, third, now, strict)


def test_misbehaviour_needs_two_contradicting_signed_headers() -> None:
    keys = validator_keys(4)
    honest, forked = ToyChain(keys), ToyChain(keys)
    first = honest.produce()
    forked.produce()
    second, other = honest.produce(txs=(b"a",)), forked.produce(txs=(b"b",))
    trusted, now = light_client.trust(first), second.header.time
    proven = light_client.verify_misbehaviour(trusted, second, other, now, POLICY)
    assert proven.kind is light_client.MisbehaviourKind.CONFLICTING_HEADERS
    with pytest.raises(InvalidHeaderError):
        light_client.verify_misbehaviour(trusted, second, second, now, POLICY)
    forged = _with_signatures(other, [CommitSig.absent()] * 4)
    with pytest.raises(ProofError):
        light_client.verify_misbehaviour(trusted, second, forged, now, POLICY)


def test_time_running_backwards_is_misbehaviour() -> None:
    chain = ToyChain(validator_keys(4))
    chain.produce()
    second, third = chain.produce(), chain.produce()
    backwards = replace(third.header, time=second.header.time)
    signed = replace(third, signed_header=replace(third.signed_header, header=backwards))
    kind = light_client.check_misbehaviour(signed, second)
    assert kind is light_client.MisbehaviourKind.TIME_NOT_INCREASING


def test_hash_links_go_back_one_block_at_a_time() -> None:
    chain = ToyChain(validator_keys(4))
    first, second, third = (chain.produce().header for _ in range(3))
    light_client.verify_hash_link(third, second)
    with pytest.raises(InvalidHeaderError):
        light_client.verify_hash_link(third, first)
    with pytest.raises(InvalidHeaderError):
        light_client.verify_hash_link(third, replace(second, app_hash=b"\x01" * 32))


def test_light_blocks_survive_json() -> None:
    chain = ToyChain(validator_keys(3))
    chain.produce()
    block = chain.produce(signers=2, nil_voters=1)
    assert rpc_json.light_block_from_json(rpc_json.light_block_to_json(block)) == block
    partial = chain.produce(signers=1)
    assert rpc_json.commit_from_json(rpc_json.commit_to_json(partial.commit)) == partial.commit


def test_validator_sets_are_ordered_and_refuse_doubles() -> None:
    keys = [signing.public_key_of(KeyKind.ED25519, bytes([i]) * 32) for i in range(1, 6)]
    members = [Validator(key, power) for key, power in zip(keys, (1, 5, 3, 5, 2), strict=True)]
    ordered = ValidatorSet.of(members)
    assert [validator.power for validator in ordered.validators] == [5, 5, 3, 2, 1]
    assert ordered.validators[0].address < ordered.validators[1].address
    assert ordered.total_power == 16
    assert ordered.by_address(keys[2].address) == members[2]
    with pytest.raises(MalformedProofError):
        ValidatorSet(tuple(reversed(ordered.validators)))
    with pytest.raises(MalformedProofError):
        ValidatorSet.of([*members, members[0]])
    with pytest.raises(MalformedProofError):
        PublicKey(KeyKind.ED25519, b"short")


@given(st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))
def test_times_survive_json(seconds: int, nanos: int) -> None:
    moment = Timestamp(seconds, nanos)
    assert rpc_json.timestamp_from_json(rpc_json.timestamp_to_json(moment)) == moment
    assert Timestamp.from_nanos(moment.to_nanos()) == moment


@pytest.mark.parametrize("text", ["2023-02-30T00:00:00Z", "2023-01-01T00:00:00", "2023-01-01T00:00:00+01:00", 5])
def test_times_that_are_not_utc_are_refused(text: object) -> None:
    with pytest.raises(MalformedProofError):
        rpc_json.timestamp_from_json(text)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=40), st.data())
def test_merkle_proofs_hold_for_their_leaf_only(items: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    proof = merkle.prove(items, index)
    root = merkle.root(items)
    merkle.verify(root, items[index], proof)
    with pytest.raises(InvalidProofError):
        merkle.verify(root, items[index] + b"x", proof)
    with pytest.raises(ProofError):
        merkle.verify(root, items[index], replace(proof, aunts=(*proof.aunts, bytes(32))))
    if proof.aunts:
        with pytest.raises(ProofError):
            merkle.verify(root, items[index], replace(proof, aunts=proof.aunts[:-1]))


def test_merkle_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.root([]) == hashlib.sha256(b"").digest() == hashing.commit_hash(EMPTY_COMMIT)


def test_absent_entries_have_no_sign_bytes() -> None:
    commit = Commit(1, 0, NIL_BLOCK_ID, (CommitSig.absent(),))
    with pytest.raises(MalformedProofError):
        sign_bytes.commit_sign_bytes(CHAIN_ID, commit, 0)


def _with_signatures(block: LightBlock, entries: list[CommitSig]) -> LightBlock:
    commit = replace(block.commit, signatures=tuple(entries))
    return replace(block, signed_header=SignedHeader(block.header, commit))
