"""Light client verification of CometBFT headers (CometBFT spec "Light client", ICS-07).

`verify_` proves or raises, `check_` detects, `update_` returns the state that follows. Trust is a header and the
validator set of the height after it, whose hash that header carries.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from core.proofs.cometbft.hashing import header_hash, validator_set_hash
from core.proofs.cometbft.sign_bytes import commit_sign_bytes, verify_quickly, verify_signature
from core.proofs.cometbft.types import (
    ADDRESS_SIZE,
    HASH_SIZE,
    MAX_CHAIN_ID_BYTES,
    BlockIdFlag,
    Commit,
    Header,
    LightBlock,
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
    LightClientError,
    NotEnoughTrustError,
    TrustExpiredError,
)

ONE_THIRD = Fraction(1, 3)
TWO_THIRDS = Fraction(2, 3)
_NOTHING = Fraction(0)
MAX_EXACT_CHECKS = 200
"""Signatures of one commit that libsodium refuses and that are judged by the exact rule all the same: 2 ms each."""


@dataclass(frozen=True, slots=True)
class LightClientPolicy:
    """Periods in nanoseconds. `trust_threshold` is the share of the trusted set that must be *exceeded*."""

    trusting_period_ns: int
    max_clock_drift_ns: int
    trust_threshold: Fraction = ONE_THIRD

    def __post_init__(self) -> None:
        if not ONE_THIRD <= self.trust_threshold < 1:
            raise InvalidHeaderError("trust threshold must be at least 1/3 and below 1")
        if self.trusting_period_ns <= 0 or self.max_clock_drift_ns < 0:
            raise InvalidHeaderError("trusting period must be positive and clock drift not negative")


@dataclass(frozen=True, slots=True)
class TrustedState:
    """A header that is believed, and the validators of the height after it."""

    header: Header
    next_validators: ValidatorSet


class Verdict(StrEnum):
    """Outcome of a light-client step, for those who tabulate rather than catch."""

    SUCCESS = "success"
    NOT_ENOUGH_TRUST = "not-enough-trust"
    EXPIRED = "expired"
    INVALID = "invalid"


class MisbehaviourKind(StrEnum):
    """How two verified headers of one chain contradict each other."""

    CONFLICTING_HEADERS = "conflicting-headers"
    TIME_NOT_INCREASING = "time-not-increasing"


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Two headers, both signed by enough trusted power, that cannot both be of one chain."""

    kind: MisbehaviourKind
    first: LightBlock
    second: LightBlock


def verify_signed_header(signed: SignedHeader, chain_id: str) -> None:
    """The header is well formed, of this chain, and the one its commit names. No signature is looked at."""
    header, commit = signed.header, signed.commit
    if header.chain_id != chain_id:
        raise InvalidHeaderError("header is of another chain", expected=chain_id, found=header.chain_id)
    if not 0 < len(header.chain_id.encode()) <= MAX_CHAIN_ID_BYTES or header.height <= 0:
        raise InvalidHeaderError("header has no usable chain id or height")
    hashes = (header.validators_hash, header.next_validators_hash, header.consensus_hash)
    if any(len(value) != HASH_SIZE for value in hashes) or len(header.proposer_address) != ADDRESS_SIZE:
        raise InvalidHeaderError("header lacks a hash or its proposer")
    if commit.height != header.height or commit.round < 0:
        raise InvalidCommitError("commit is for another height", header=header.height, commit=commit.height)
    if commit.block_id.hash != header_hash(header):
        raise InvalidCommitError("commit is for another header", height=header.height)


def verify_commit(chain_id: str, validators: ValidatorSet, commit: Commit) -> None:
    """More than ⅔ of `validators`, the set of the commit's own height, signed its block.

    An entry whose signature does not verify counts as absent. Raise InvalidCommitError for a commit of another form,
    InsufficientPowerError.
    """
    _verify_commit(chain_id, validators, commit, validators, _NOTHING)


def _verify_commit(
    chain_id: str, validators: ValidatorSet, commit: Commit, trusted: ValidatorSet, threshold: Fraction
) -> None:
    """More than ⅔ of `validators` signed, and with the same signatures more than `threshold` of `trusted`.

    Raise InvalidCommitError, NotEnoughTrustError, InsufficientPowerError.
    """
    if len(commit.signatures) != len(validators):
        raise InvalidCommitError(
            "commit and validator set differ in length", signatures=len(commit.signatures), validators=len(validators)
        )
    signers: dict[int, Validator] = {}
    vouching: dict[int, int] = {}
    for index, (entry, validator) in enumerate(zip(commit.signatures, validators.validators, strict=True)):
        if entry.flag is BlockIdFlag.ABSENT:
            if entry.signature or entry.validator_address:
                raise InvalidCommitError("absent entry is not empty", index=index)
            continue
        if entry.validator_address != validator.address:
            raise InvalidCommitError("commit entry is out of place", index=index)
        if entry.flag is BlockIdFlag.COMMIT:
            signers[index] = validator
            known = trusted.by_address(validator.address)
            # A validator counts under the key that is trusted only.
            vouching[index] = known.power if known is not None and known.public_key == validator.public_key else 0
    needed, wanted = validators.total_power * TWO_THIRDS, trusted.total_power * threshold

    def enough(held: Collection[int]) -> bool:
        signed = sum(signers[index].power for index in held)
        return signed > needed and sum(vouching[index] for index in held) > wanted

    held = _verified(chain_id, commit, signers, enough)
    if threshold:
        _require_power(sum(vouching[index] for index in held), trusted, threshold)
    signed = sum(signers[index].power for index in held)
    if signed <= needed:
        raise InsufficientPowerError(
            "no more than 2/3 of the validators signed", signed=signed, total=validators.total_power
        )


def verify_commit_trusting(chain_id: str, trusted: ValidatorSet, commit: Commit, threshold: Fraction) -> None:
    """More than `threshold` of a *trusted* set signed, whatever set the commit's height really has.

    For a commit whose own validator set is not at hand. An entry whose signature does not verify counts as absent.
    Raise InvalidCommitError for a validator that stands twice, else NotEnoughTrustError.
    """
    signers: dict[int, Validator] = {}
    seen: set[bytes] = set()
    for index, entry in enumerate(commit.signatures):
        validator = trusted.by_address(entry.validator_address)
        if validator is None or entry.flag is not BlockIdFlag.COMMIT:
            continue
        if entry.validator_address in seen:
            raise InvalidCommitError("commit counts a validator twice", index=index)
        seen.add(entry.validator_address)
        signers[index] = validator
    wanted = trusted.total_power * threshold

    def enough(held: Collection[int]) -> bool:
        return sum(signers[index].power for index in held) > wanted

    held = _verified(chain_id, commit, signers, enough)
    _require_power(sum(signers[index].power for index in held), trusted, threshold)


def _verified(
    chain_id: str, commit: Commit, signers: Mapping[int, Validator], enough: Callable[[Collection[int]], bool]
) -> set[int]:
    """The places of entries whose signatures are known to hold: all that libsodium accepts, and of the others, by
    CometBFT's exact rule, as many as it takes until they are `enough`, the most powerful first."""
    messages = {index: commit_sign_bytes(chain_id, commit, index) for index in signers}
    held, doubtful = set(), []
    for index, validator in signers.items():
        if verify_quickly(validator.public_key, messages[index], commit.signatures[index].signature):
            held.add(index)
        else:
            doubtful.append(index)
    doubtful.sort(key=lambda index: -signers[index].power)
    for index in doubtful[:MAX_EXACT_CHECKS]:
        if enough(held):
            break
        if verify_signature(signers[index].public_key, messages[index], commit.signatures[index].signature):
            held.add(index)
    return held


def verify_light_block(block: LightBlock, chain_id: str) -> None:
    """A light block is consistent in itself: header, commit and validator sets belong together."""
    verify_signed_header(block.signed_header, chain_id)
    if validator_set_hash(block.validators) != block.header.validators_hash:
        raise InvalidHeaderError("validator set is not the header's", height=block.header.height)
    if block.next_validators is not None:
        _require_next_validators(block.header, block.next_validators)


def verify_update(trusted: TrustedState, block: LightBlock, now: Timestamp, policy: LightClientPolicy) -> None:
    """The trusted state vouches for `block`: adjacent by its validator hash, else by overlap of signers.

    Raise the LightClientError that says why not.
    """
    if block.header.height == trusted.header.height + 1:
        verify_sequential(trusted.header, block, now, policy)
        return
    _verify_times(trusted.header, block.header, now, policy)
    verify_light_block(block, trusted.header.chain_id)
    _require_next_validators(trusted.header, trusted.next_validators)
    _verify_commit(
        block.header.chain_id, block.validators, block.commit, trusted.next_validators, policy.trust_threshold
    )


def verify_sequential(trusted: Header, block: LightBlock, now: Timestamp, policy: LightClientPolicy) -> None:
    """Like `verify_update`, for the very next height only, where no trusted validator set is needed."""
    if block.header.height != trusted.height + 1:
        raise InvalidHeaderError("header is not the next one", trusted=trusted.height, found=block.header.height)
    _verify_times(trusted, block.header, now, policy)
    verify_light_block(block, trusted.chain_id)
    if block.header.validators_hash != trusted.next_validators_hash:
        raise InvalidHeaderError("validator set is not the one the trusted header announced")
    verify_commit(block.header.chain_id, block.validators, block.commit)


def update_trusted(trusted: TrustedState, block: LightBlock, now: Timestamp, policy: LightClientPolicy) -> TrustedState:
    """Verify `block` and return the state that trusts it. Needs its next validators if the set is about to change."""
    verify_update(trusted, block, now, policy)
    return trust(block)


def trust(block: LightBlock) -> TrustedState:
    """Trusted state of a block that the caller has verified, or trusts from the outset."""
    following = block.next_validators or block.validators
    _require_next_validators(block.header, following)
    return TrustedState(block.header, following)


def check_update(trusted: TrustedState, block: LightBlock, now: Timestamp, policy: LightClientPolicy) -> Verdict:
    """`verify_update` as a verdict."""
    try:
        verify_update(trusted, block, now, policy)
    except NotEnoughTrustError:
        return Verdict.NOT_ENOUGH_TRUST
    except TrustExpiredError:
        return Verdict.EXPIRED
    except LightClientError:
        return Verdict.INVALID
    return Verdict.SUCCESS


def check_misbehaviour(first: LightBlock, second: LightBlock) -> MisbehaviourKind | None:
    """Return true if two light blocks contradict each other (ICS-07 "Misbehaviour predicate"), whoever signed."""
    earlier, later = sorted((first.header, second.header), key=lambda header: header.height)
    if earlier.height == later.height:
        if header_hash(earlier) != header_hash(later):
            return MisbehaviourKind.CONFLICTING_HEADERS
        return None
    return MisbehaviourKind.TIME_NOT_INCREASING if later.time <= earlier.time else None


def verify_misbehaviour(
    trusted: TrustedState, first: LightBlock, second: LightBlock, now: Timestamp, policy: LightClientPolicy
) -> Misbehaviour:
    """Prove that validators the client trusts signed two headers that contradict each other.

    Raise InvalidHeaderError if the two agree, and what `verify_update` raises if either is not vouched for.
    """
    kind = check_misbehaviour(first, second)
    if kind is None:
        raise InvalidHeaderError("the two headers do not contradict each other")
    for block in (first, second):
        verify_update(trusted, block, now, policy)
    return Misbehaviour(kind, first, second)


def verify_hash_link(newer: Header, older: Header) -> None:
    """`older` is the block right before `newer`, by hash; this is how trust goes back in time."""
    if older.chain_id != newer.chain_id or older.height != newer.height - 1:
        raise InvalidHeaderError("header is not the one before", newer=newer.height, older=older.height)
    if header_hash(older) != newer.last_block_id.hash:
        raise InvalidHeaderError("header does not match the hash in its successor", height=older.height)


def _verify_times(trusted: Header, header: Header, now: Timestamp, policy: LightClientPolicy) -> None:
    until_ns = trusted.time.to_nanos() + policy.trusting_period_ns
    if until_ns <= now.to_nanos():
        raise TrustExpiredError(
            "trusted header is older than the trusting period", height=trusted.height, until_s=until_ns // 10**9
        )
    if header.time.to_nanos() >= now.to_nanos() + policy.max_clock_drift_ns:
        raise FutureHeaderError("header is from the future", height=header.height)
    if header.height <= trusted.height:
        raise InvalidHeaderError("height does not increase", trusted=trusted.height, found=header.height)
    if header.time <= trusted.time:
        raise InvalidHeaderError("time does not increase", height=header.height)


def _require_power(signed_power: int, trusted: ValidatorSet, threshold: Fraction) -> None:
    if signed_power <= trusted.total_power * threshold:
        raise NotEnoughTrustError(
            "too few trusted validators signed", signed=signed_power, total=trusted.total_power, needed=str(threshold)
        )


def _require_next_validators(header: Header, following: ValidatorSet) -> None:
    if validator_set_hash(following) != header.next_validators_hash:
        raise InvalidHeaderError("next validator set is not the one the header announces", height=header.height)
