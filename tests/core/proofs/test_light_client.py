"""The light client at the edge of each of its rules: one step inside is accepted, one step outside refused."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from core.proofs.cometbft import hashing, light_client, signing
from core.proofs.cometbft.light_client import LightClientPolicy, MisbehaviourKind, TrustedState, Verdict
from core.proofs.cometbft.types import (
    BlockIdFlag,
    CommitSig,
    Header,
    KeyKind,
    LightBlock,
    PublicKey,
    SignedHeader,
    Timestamp,
)
from core.proofs.errors import (
    FutureHeaderError,
    InsufficientPowerError,
    InvalidCommitError,
    InvalidHeaderError,
    LightClientError,
    MalformedProofError,
    NotEnoughTrustError,
    TrustExpiredError,
)
from tests.core.proofs.chains import CHAIN_ID, ToyChain, ValidatorKey, validator_keys, validator_set

POLICY = LightClientPolicy(trusting_period_ns=10**12, max_clock_drift_ns=10**9)


def _blocks(count: int, keys: list[ValidatorKey] | None = None) -> list[LightBlock]:
    chain = ToyChain(keys or validator_keys(4))
    return [chain.produce() for _ in range(count)]


def _signed(header: Header, keys: list[ValidatorKey], like: LightBlock) -> LightBlock:
    """The block with another header, signed by these keys in the order of their set."""
    block_id = replace(like.commit.block_id, hash=hashing.header_hash(header))
    by_address = {key.validator.address: key for key in keys}
    entries = tuple(
        signing.sign_precommit(
            (key := by_address[validator.address]).kind,
            key.private_key,
            header.chain_id,
            header.height,
            0,
            block_id,
            header.time,
        )
        for validator in validator_set(keys).validators
    )
    commit = replace(like.commit, height=header.height, block_id=block_id, signatures=entries)
    return LightBlock(SignedHeader(header, commit), validator_set(keys), None)


def _with_entries(block: LightBlock, entries: Sequence[CommitSig]) -> LightBlock:
    commit = replace(block.commit, signatures=tuple(entries))
    return replace(block, signed_header=SignedHeader(block.header, commit))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"trust_threshold": Fraction(1)}, "threshold"),
        ({"trust_threshold": Fraction(333, 1000)}, "threshold"),
        ({"trusting_period_ns": 0}, "trusting period"),
        ({"max_clock_drift_ns": -1}, "trusting period"),
    ],
)
def test_policy_outside_its_range_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidHeaderError, match=why):
        replace(POLICY, **changes)


def test_policy_reaches_the_ends_of_its_range() -> None:
    for threshold in (Fraction(1, 3), Fraction(999, 1000)):
        made = LightClientPolicy(trusting_period_ns=1, max_clock_drift_ns=0, trust_threshold=threshold)
        assert made.trust_threshold == threshold


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0},
        {"height": -1},
        {"validators_hash": bytes(31)},
        {"next_validators_hash": b""},
        {"consensus_hash": bytes(33)},
        {"proposer_address": bytes(19)},
        {"proposer_address": bytes(21)},
    ],
)
def test_header_without_its_parts_is_refused(changes: dict[str, Any]) -> None:
    block = _blocks(1)[0]
    signed = SignedHeader(replace(block.header, **changes), block.commit)
    with pytest.raises(InvalidHeaderError, match="no usable|lacks"):
        light_client.verify_signed_header(signed, CHAIN_ID)


@pytest.mark.parametrize(
    ("chain_id", "usable"), [("", False), ("x", True), ("x" * 50, True), ("x" * 51, False), ("ü" * 26, False)]
)
def test_chain_id_is_of_its_size(chain_id: str, usable: bool) -> None:
    chain = ToyChain(validator_keys(1), chain_id=chain_id)
    signed = chain.produce().signed_header
    if usable:
        light_client.verify_signed_header(signed, chain_id)
    else:
        with pytest.raises(InvalidHeaderError, match="no usable"):
            light_client.verify_signed_header(signed, chain_id)
    with pytest.raises(InvalidHeaderError, match="another chain"):
        light_client.verify_signed_header(signed, chain_id + "y")


def test_commit_is_the_headers_own() -> None:
    first, second = _blocks(2)
    light_client.verify_signed_header(first.signed_header, CHAIN_ID)
    for wrong in (replace(first.commit, height=2), replace(first.commit, round=-1)):
        with pytest.raises(InvalidCommitError, match="another height"):
            light_client.verify_signed_header(SignedHeader(first.header, wrong), CHAIN_ID)
    other = replace(first.header, app_hash=b"\x01" * 32)
    with pytest.raises(InvalidCommitError, match="another header"):
        light_client.verify_signed_header(SignedHeader(other, first.commit), CHAIN_ID)
    assert second.commit.round == 0


def test_absent_entry_is_empty() -> None:
    first = _blocks(1)[0]
    rest, last = first.commit.signatures[:-1], first.commit.signatures[-1]
    light_client.verify_commit(CHAIN_ID, first.validators, _with_entries(first, [*rest, CommitSig.absent()]).commit)
    absent = replace(last, flag=BlockIdFlag.ABSENT)
    for entry in (replace(absent, signature=b""), replace(absent, validator_address=b"")):
        with pytest.raises(InvalidCommitError, match="absent entry"):
            light_client.verify_commit(CHAIN_ID, first.validators, _with_entries(first, [*rest, entry]).commit)


def test_signed_power_is_weighed_not_counted() -> None:
    """6 + 1 of 10 are more than two thirds; 6 are not, and neither are 2 + 1 + 1 by three validators of four."""
    keys = [replace(key, power=power) for key, power in zip(validator_keys(4), (6, 2, 1, 1), strict=True)]
    block = _blocks(1, keys)[0]
    entries = list(block.commit.signatures)

    def only(*places: int) -> LightBlock:
        return _with_entries(block, [one if at in places else CommitSig.absent() for at, one in enumerate(entries)])

    light_client.verify_commit(CHAIN_ID, block.validators, only(0, 2).commit)
    for places in ((0,), (1, 2, 3)):
        with pytest.raises(InsufficientPowerError) as refused:
            light_client.verify_commit(CHAIN_ID, block.validators, only(*places).commit)
        assert refused.value.fields == {"signed": 6 if places == (0,) else 4, "total": 10}


def test_signed_power_of_just_two_thirds_is_not_enough() -> None:
    keys = [replace(key, power=power) for key, power in zip(validator_keys(3), (20, 9, 1), strict=True)]
    block = _blocks(1, keys)[0]
    twenty = [block.commit.signatures[0], CommitSig.absent(), CommitSig.absent()]
    with pytest.raises(InsufficientPowerError):
        light_client.verify_commit(CHAIN_ID, block.validators, _with_entries(block, twenty).commit)
    with_one = [twenty[0], CommitSig.absent(), block.commit.signatures[2]]
    light_client.verify_commit(CHAIN_ID, block.validators, _with_entries(block, with_one).commit)


def test_trusted_power_has_to_exceed_its_threshold() -> None:
    """Of a trusted 30, 10 are a third and not more; 11 are."""
    for power, enough in ((10, False), (11, True)):
        old = [replace(key, power=p) for key, p in zip(validator_keys(2), (power, 30 - power), strict=True)]
        chain = ToyChain(old)
        first = chain.produce()
        chain.next_keys = [old[0], *(replace(key, power=2) for key in validator_keys(3, seed="other"))]
        chain.produce()
        third = chain.produce()
        trusted, now = light_client.trust(first), third.header.time
        assert light_client.check_update(trusted, third, now, POLICY) is (
            Verdict.SUCCESS if enough else Verdict.NOT_ENOUGH_TRUST
        )


def test_validator_vouches_under_its_trusted_power_only() -> None:
    """In the new set it has all the power; in the trusted one it had little."""
    old = [replace(key, power=p) for key, p in zip(validator_keys(2), (1, 9), strict=True)]
    chain = ToyChain(old)
    first = chain.produce()
    chain.next_keys = [replace(old[0], power=1000)]
    chain.produce()
    third = chain.produce()
    with pytest.raises(NotEnoughTrustError) as refused:
        light_client.verify_update(light_client.trust(first), third, third.header.time, POLICY)
    assert refused.value.fields == {"signed": 1, "total": 10, "needed": "1/3"}


def test_commit_by_strangers_is_not_vouched_for() -> None:
    first = _blocks(1)[0]
    strangers = _blocks(1, validator_keys(4, seed="other"))[0]
    for flagged in (strangers.commit, replace(first.commit, signatures=(CommitSig.absent(),) * 4)):
        with pytest.raises(NotEnoughTrustError) as refused:
            light_client.verify_commit_trusting(CHAIN_ID, first.validators, flagged, light_client.ONE_THIRD)
        assert refused.value.fields["signed"] == 0


def test_trust_ends_with_the_trusting_period() -> None:
    first, second, third = _blocks(3)
    trusted, ends = light_client.trust(first), first.header.time.to_nanos() + POLICY.trusting_period_ns
    for block in (second, third):
        light_client.verify_update(trusted, block, Timestamp.from_nanos(ends - 1), POLICY)
        with pytest.raises(TrustExpiredError):
            light_client.verify_update(trusted, block, Timestamp.from_nanos(ends), POLICY)
        assert light_client.check_update(trusted, block, Timestamp.from_nanos(ends), POLICY) is Verdict.EXPIRED


def test_header_may_be_ahead_by_less_than_the_drift() -> None:
    first, second, third = _blocks(3)
    trusted = light_client.trust(first)
    for block in (second, third):
        earliest = block.header.time.to_nanos() - POLICY.max_clock_drift_ns
        light_client.verify_update(trusted, block, Timestamp.from_nanos(earliest + 1), POLICY)
        with pytest.raises(FutureHeaderError):
            light_client.verify_update(trusted, block, Timestamp.from_nanos(earliest), POLICY)
        assert light_client.check_update(trusted, block, Timestamp.from_nanos(earliest), POLICY) is Verdict.INVALID


def test_height_and_time_have_to_increase() -> None:
    keys = validator_keys(4)
    first, second, third = _blocks(3, keys)
    trusted, now = light_client.trust(second), third.header.time
    with pytest.raises(InvalidHeaderError, match="height does not increase"):
        light_client.verify_update(trusted, second, now, POLICY)
    with pytest.raises(InvalidHeaderError, match="height does not increase"):
        light_client.verify_update(trusted, first, now, POLICY)
    for header in (third.header, replace(third.header, height=4)):
        same_time = _signed(replace(header, time=second.header.time), keys, third)
        with pytest.raises(InvalidHeaderError, match="time does not increase"):
            light_client.verify_update(trusted, same_time, now, POLICY)
        later = Timestamp(second.header.time.seconds, second.header.time.nanos + 1)
        light_client.verify_update(trusted, _signed(replace(header, time=later), keys, third), now, POLICY)


def test_next_header_has_the_announced_validators() -> None:
    keys = validator_keys(4)
    first, second = _blocks(2, keys)
    newcomers = validator_keys(4, seed="other")
    header = replace(second.header, validators_hash=hashing.validator_set_hash(validator_set(newcomers)))
    taken_over = _signed(header, newcomers, second)
    with pytest.raises(InvalidHeaderError, match="announced"):
        light_client.verify_sequential(first.header, taken_over, second.header.time, POLICY)
    with pytest.raises(InvalidHeaderError, match="announced"):
        light_client.verify_update(light_client.trust(first), taken_over, second.header.time, POLICY)
    verdict = light_client.check_update(light_client.trust(first), taken_over, second.header.time, POLICY)
    assert verdict is Verdict.INVALID


def test_sequential_step_goes_one_height_up() -> None:
    first, second, third = _blocks(3)
    now = third.header.time
    light_client.verify_sequential(first.header, second, now, POLICY)
    for trusted, block in ((first, third), (second, second), (second, first)):
        with pytest.raises(InvalidHeaderError, match="not the next one"):
            light_client.verify_sequential(trusted.header, block, now, POLICY)


def test_light_block_holds_its_own_validator_sets() -> None:
    block, other = _blocks(1)[0], validator_set(validator_keys(4, seed="other"))
    light_client.verify_light_block(block, CHAIN_ID)
    light_client.verify_light_block(replace(block, next_validators=None), CHAIN_ID)
    with pytest.raises(InvalidHeaderError, match="not the header's"):
        light_client.verify_light_block(replace(block, validators=other), CHAIN_ID)
    with pytest.raises(InvalidHeaderError, match="announces"):
        light_client.verify_light_block(replace(block, next_validators=other), CHAIN_ID)
    with pytest.raises(InvalidHeaderError, match="announces"):
        light_client.trust(replace(block, next_validators=other))
    assert light_client.trust(replace(block, next_validators=None)) == TrustedState(block.header, block.validators)


def test_trusted_set_is_the_announced_one() -> None:
    first, _, third = _blocks(3)
    wrong = TrustedState(first.header, validator_set(validator_keys(4, seed="other")))
    with pytest.raises(InvalidHeaderError, match="announces"):
        light_client.verify_update(wrong, third, third.header.time, POLICY)


def test_misbehaviour_is_the_same_in_either_order() -> None:
    keys = validator_keys(4)
    chain, fork = ToyChain(keys), ToyChain(keys)
    first = chain.produce()
    fork.produce()
    second, third = chain.produce(), chain.produce()
    other = fork.produce(txs=(b"x",))
    same_time = _signed(replace(third.header, time=second.header.time), keys, third)
    for pair, kind in (
        ((second, other), MisbehaviourKind.CONFLICTING_HEADERS),
        ((second, same_time), MisbehaviourKind.TIME_NOT_INCREASING),
        ((second, third), None),
        ((second, second), None),
    ):
        assert light_client.check_misbehaviour(*pair) is kind
        assert light_client.check_misbehaviour(*pair[::-1]) is kind
    trusted, now = light_client.trust(first), third.header.time
    proven = light_client.verify_misbehaviour(trusted, second, same_time, now, POLICY)
    assert (proven.kind, proven.first, proven.second) == (MisbehaviourKind.TIME_NOT_INCREASING, second, same_time)
    unsigned = _with_entries(second, [CommitSig.absent()] * 4)
    with pytest.raises(LightClientError):
        light_client.verify_misbehaviour(trusted, unsigned, other, now, POLICY)


def test_hash_link_is_of_the_same_chain_and_the_height_before() -> None:
    first, second, third = (block.header for block in _blocks(3))
    light_client.verify_hash_link(second, first)
    for newer, older in ((third, first), (first, second), (second, second), (second, replace(first, chain_id="x"))):
        with pytest.raises(InvalidHeaderError, match="not the one before"):
            light_client.verify_hash_link(newer, older)


def test_exact_rule_is_asked_until_signers_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of what libsodium refuses, the most powerful first: 6 + 5 + 4 of 20 are more than two thirds."""
    powers = (6, 5, 4, 3, 2)
    keys = [replace(k, power=p) for k, p in zip(validator_keys(5, KeyKind.ED25519), powers, strict=True)]
    block = _blocks(1, keys)[0]
    asked: list[bytes] = []

    def exact(key: PublicKey, message: bytes, signature: bytes) -> bool:
        asked.append(signature)
        return True

    monkeypatch.setattr(light_client, "verify_signature", exact)
    light_client.verify_commit(CHAIN_ID, block.validators, block.commit)
    assert asked == []
    doubtful = [replace(entry, signature=bytes([at]) * 64) for at, entry in enumerate(block.commit.signatures)]
    light_client.verify_commit(CHAIN_ID, block.validators, _with_entries(block, doubtful).commit)
    assert asked == [bytes([at]) * 64 for at in range(3)]
    asked.clear()
    backwards = _with_entries(block, doubtful[::-1]).commit
    light_client.verify_commit_trusting(CHAIN_ID, block.validators, backwards, light_client.ONE_THIRD)
    assert asked == [bytes([at]) * 64 for at in range(2)]


def _all_good(asked: list[bytes]) -> Callable[[PublicKey, bytes, bytes], bool]:
    def exact(key: PublicKey, message: bytes, signature: bytes) -> bool:
        asked.append(signature)
        return True

    return exact


def _doubtful(block: LightBlock, addresses: Collection[bytes]) -> LightBlock:
    """The block with signatures of these validators that only the exact rule may take."""
    entries = [
        replace(entry, signature=bytes(64)) if entry.validator_address in addresses else entry
        for entry in block.commit.signatures
    ]
    return _with_entries(block, entries)


def test_exact_rule_goes_on_at_just_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 of 30 are two thirds and 1 of 3 is a third: one more is asked, and it is enough."""
    asked: list[bytes] = []
    monkeypatch.setattr(light_client, "verify_signature", _all_good(asked))
    keys = [replace(k, power=p) for k, p in zip(validator_keys(3, KeyKind.ED25519), (20, 9, 1), strict=True)]
    block = _blocks(1, keys)[0]
    doubtful = _doubtful(block, {key.validator.address for key in keys})
    light_client.verify_commit(CHAIN_ID, block.validators, doubtful.commit)
    assert len(asked) == 2
    asked.clear()
    equal = _blocks(1, validator_keys(3, KeyKind.ED25519))[0]
    doubtful = _doubtful(equal, {validator.address for validator in equal.validators.validators})
    light_client.verify_commit_trusting(CHAIN_ID, equal.validators, doubtful.commit, light_client.ONE_THIRD)
    assert len(asked) == 2


def test_exact_rule_goes_on_until_trusted_power_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newcomers alone have the power to sign; of the trusted 30, more than 10 have to vouch."""
    old = [replace(key, power=10) for key in validator_keys(3, KeyKind.ED25519)]
    chain = ToyChain(old)
    first = chain.produce()
    newcomers = [replace(key, power=100) for key in validator_keys(3, KeyKind.ED25519, seed="other")]
    chain.next_keys = [*newcomers, *(replace(key, power=1) for key in old)]
    chain.produce()
    third = _doubtful(chain.produce(), {key.validator.address for key in old})
    asked: list[bytes] = []
    monkeypatch.setattr(light_client, "verify_signature", _all_good(asked))
    light_client.verify_update(light_client.trust(first), third, third.header.time, POLICY)
    assert len(asked) == 2


def test_exact_checks_of_one_commit_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    block = _blocks(1, validator_keys(4, KeyKind.ED25519))[0]
    asked: list[int] = []
    monkeypatch.setattr(light_client, "MAX_EXACT_CHECKS", 2)

    def exact(key: PublicKey, message: bytes, signature: bytes) -> bool:
        asked.append(len(signature))
        return False

    monkeypatch.setattr(light_client, "verify_signature", exact)
    bad = [replace(entry, signature=bytes(64)) for entry in block.commit.signatures]
    with pytest.raises(InsufficientPowerError):
        light_client.verify_commit(CHAIN_ID, block.validators, _with_entries(block, bad).commit)
    assert len(asked) == 2


def test_private_key_has_its_length() -> None:
    for kind in KeyKind:
        for key in (bytes(31), b"\x01" * 33, b""):
            with pytest.raises(MalformedProofError, match="32 bytes"):
                signing.public_key_of(kind, key)
            with pytest.raises(MalformedProofError, match="32 bytes"):
                signing.sign(kind, key, b"message")


# --- each part of a step is looked at ---------------------------------------------------------------------------------


def test_header_that_its_commit_does_not_name_is_refused() -> None:
    """Whatever else fits: with another app hash the same signatures prove nothing."""
    first, second, third = _blocks(3)
    now = third.header.time
    trusted = light_client.trust(first)

    def bent(block: LightBlock) -> LightBlock:
        header = replace(block.header, app_hash=b"\x01" * 32)
        return replace(block, signed_header=SignedHeader(header, block.commit))

    light_client.verify_light_block(third, CHAIN_ID)
    with pytest.raises(InvalidCommitError, match="another header"):
        light_client.verify_light_block(bent(third), CHAIN_ID)
    for block in (second, third):
        light_client.verify_update(trusted, block, now, POLICY)
        with pytest.raises(InvalidCommitError, match="another header"):
            light_client.verify_update(trusted, bent(block), now, POLICY)
    with pytest.raises(InvalidCommitError, match="another header"):
        light_client.verify_sequential(first.header, bent(second), now, POLICY)


def test_update_of_trust_is_verified() -> None:
    first, second, third = _blocks(3)
    trusted, now = light_client.trust(first), third.header.time
    assert light_client.update_trusted(trusted, third, now, POLICY) == light_client.trust(third)
    unsigned = _with_entries(third, [CommitSig.absent()] * 4)
    for block in (unsigned, first):
        with pytest.raises(LightClientError):
            light_client.update_trusted(trusted, block, now, POLICY)
    assert second.header.height == 2


def test_next_header_needs_no_trusted_validator_set() -> None:
    first, second, third = _blocks(3)
    unknown, now = TrustedState(first.header, validator_set(validator_keys(4, seed="other"))), third.header.time
    assert light_client.update_trusted(unknown, second, now, POLICY) == light_client.trust(second)
    with pytest.raises(LightClientError):
        light_client.update_trusted(unknown, third, now, POLICY)


def test_votes_for_nil_do_not_vouch() -> None:
    chain = ToyChain(validator_keys(3))
    commit = chain.produce(signers=1, nil_voters=2).commit
    with pytest.raises(NotEnoughTrustError) as refused:
        trusted = validator_set(validator_keys(3))
        light_client.verify_commit_trusting(CHAIN_ID, trusted, commit, light_client.ONE_THIRD)
    assert refused.value.fields["signed"] == 10
