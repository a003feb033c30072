"""The light client of the beacon chain: what it takes, and that nothing in an update can be changed."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from core.model.beacon import BeaconFork, BeaconNetwork, ForkStart
from core.model.errors import RejectedError
from core.proofs.beacon import ssz
from core.proofs.beacon.bls import DOMAIN_SEPARATION_TAG, fast_aggregate_verify
from core.proofs.beacon.chain import MAX_UPDATES, SyncChain, verify_sync_chain
from core.proofs.beacon.containers import LightHeader, Update
from core.proofs.errors import (
    AnchorMismatchError,
    FutureHeaderError,
    InsufficientPowerError,
    InvalidCommitError,
    InvalidHeaderError,
    LightClientError,
    MalformedProofError,
    NotEnoughTrustError,
    ProofError,
    TrustExpiredError,
)
from core.proofs.evidence import canonical
from core.proofs.evidence.beacon_json import chain_from_json, chain_to_json
from tests.core.proofs.beacons import ELECTRA, FORKS, GENESIS_ROOT, GENESIS_TIME, NETWORK, PERIOD, SIZE, ToyBeacon

BEACON = ToyBeacon()
START = ELECTRA + 8
TARGET = ELECTRA + PERIOD + 16
CHAIN = BEACON.chain(START, TARGET)
ANCHOR = BEACON.anchor(START)
NOW = NETWORK.time_of(TARGET + 20)
TWO_THIRDS = SIZE * 2 // 3
"""21 of 32 are fewer than ⅔, 22 are more."""

Changed = tuple[str, Any]


def target(chain: SyncChain, now_s: int = NOW) -> LightHeader:
    return verify_sync_chain(chain, ANCHOR, now_s)


def with_update(place: int, **changes: Any) -> SyncChain:
    updates = list(CHAIN.updates)
    updates[place] = replace(updates[place], **changes)
    return replace(CHAIN, updates=tuple(updates))


# --- what is taken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [fork.fork for fork in FORKS])
def test_chain_from_any_fork_leads_to_its_target(fork: BeaconFork) -> None:
    start = PERIOD * (fork - 1) + 8
    final = PERIOD * 6 + 32
    chain = BEACON.chain(start, final)
    header = verify_sync_chain(chain, BEACON.anchor(start), NETWORK.time_of(final + 20))
    assert header == BEACON.header(final)
    assert header.execution is not None


def test_anchor_alone_is_its_own_target() -> None:
    assert target(replace(CHAIN, updates=())) == BEACON.header(START)


def test_update_signed_by_just_over_two_thirds_is_taken() -> None:
    update = BEACON.update(START + 20, START + 8, signers=range(TWO_THIRDS + 1))
    assert target(replace(CHAIN, updates=(update,))).slot == START + 8


def test_update_signed_by_under_two_thirds_is_refused() -> None:
    update = BEACON.update(START + 20, START + 8, signers=range(TWO_THIRDS))
    with pytest.raises(InsufficientPowerError):
        target(replace(CHAIN, updates=(update,)))


def test_signature_on_a_forks_first_slot_is_of_the_older_fork() -> None:
    """The version is that of the slot before the signature's."""
    first = PERIOD * 5
    update = BEACON.update(first - 1, first - 20, signed=first)
    beacon = BEACON.anchor(first - 30)
    chain = SyncChain(BEACON.bootstrap(first - 30), (BEACON.update(first - 21, first - 29), update))
    later = NETWORK.time_of(first + 9)
    assert verify_sync_chain(chain, beacon, later).slot == first - 20
    wrong = replace(NETWORK, forks=(*FORKS[:-1], replace(FORKS[-1], epoch=FORKS[-1].epoch - 1)))
    forged = BEACON.signed(update, range(SIZE), wrong)
    with pytest.raises(InvalidCommitError):
        verify_sync_chain(replace(chain, updates=(chain.updates[0], forged)), beacon, later)


# --- what is not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chain", "error"),
    [
        (replace(CHAIN, updates=CHAIN.updates[1:]), NotEnoughTrustError),
        (replace(CHAIN, updates=(CHAIN.updates[0], *CHAIN.updates)), InvalidHeaderError),
        (replace(CHAIN, updates=CHAIN.updates[::-1]), NotEnoughTrustError),
        (replace(CHAIN, updates=CHAIN.updates * MAX_UPDATES), MalformedProofError),
        (replace(CHAIN, bootstrap=BEACON.bootstrap(START + 1)), AnchorMismatchError),
        (with_update(1, finality=None), InvalidHeaderError),
        (with_update(1, participation=bytes(4)), InsufficientPowerError),
        (with_update(1, participation=b"\xff" * 64), InvalidCommitError),
        (with_update(1, signature=b""), InvalidCommitError),
        (with_update(1, signature_slot=TARGET + 16), InvalidHeaderError),
        (with_update(1, signature_slot=2**64 - 1), FutureHeaderError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_chain_that_breaks_a_rule_is_refused(chain: SyncChain, error: type[ProofError]) -> None:
    with pytest.raises(error):
        target(chain)


def test_chain_is_refused_once_the_anchor_is_too_old() -> None:
    expiry = NETWORK.time_of(START) + ANCHOR.trusting_period_s
    target(CHAIN, expiry - 1)
    with pytest.raises(TrustExpiredError):
        target(CHAIN, expiry)


def test_update_from_the_future_is_refused() -> None:
    signed = NETWORK.time_of(CHAIN.updates[-1].signature_slot)
    target(CHAIN, signed - 10)
    with pytest.raises(FutureHeaderError):
        target(CHAIN, signed - 11)


def test_signature_of_another_chain_or_committee_is_refused() -> None:
    update = CHAIN.updates[-1]
    elsewhere = replace(NETWORK, genesis_validators_root=bytes(32))
    other_period = replace(update, signature_slot=update.signature_slot - PERIOD)
    seeds_of_another = replace(BEACON.signed(other_period, range(SIZE)), signature_slot=update.signature_slot)
    for forged in (BEACON.signed(update, range(SIZE), elsewhere), seeds_of_another):
        with pytest.raises(InvalidCommitError):
            target(replace(CHAIN, updates=(*CHAIN.updates[:-1], forged)))


def test_unproven_next_committee_is_refused() -> None:
    """Members of another committee sign, and the update names them as the next one."""
    first = CHAIN.updates[0]
    assert first.following is not None
    forged = replace(first.following, committee=BEACON.committee(9))
    with pytest.raises(InvalidHeaderError):
        target(with_update(0, following=forged))
    following = ToyBeacon(committees={5: BEACON.committee(9)}).update(first.attested.slot, None).following
    with pytest.raises(InvalidHeaderError):
        target(with_update(0, following=following))


def test_header_that_is_signed_but_not_final_is_not_the_target() -> None:
    assert target(CHAIN).slot == TARGET < CHAIN.updates[-1].attested.slot


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything in the JSON that is not a container."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None:
        yield path
        return
    for name, member in members:
        yield from leaves(member, (*path, name))


def touched(value: Any) -> Any:
    """Another value of the same form."""
    if isinstance(value, str) and value.startswith("0x"):
        return f"{value[:-1]}{int(value[-1], 16) ^ 1:x}" if len(value) > 2 else "0x00"
    return str(int(value) + 1)


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], change)
    return copy


def test_every_field_of_a_chain_is_held_by_the_proof() -> None:
    document = chain_to_json(CHAIN)
    assert chain_from_json(document) == CHAIN
    paths = [path for path in leaves(document) if "pubkeys" not in path or path[-1] in (0, SIZE - 1)]
    assert len(paths) > 150
    for path in paths:
        forged = changed(document, path, touched)
        if path[-1] == "signature_slot":
            # The protocol calls it untrusted: it only has to name the committee and the fork.
            assert target(chain_from_json(forged)) == target(CHAIN)
            continue
        with pytest.raises(ProofError):
            target(chain_from_json(forged))


BAD_VALUES: tuple[Any, ...] = (
    None, 1, True, "", "0X00", "0x0", "00", "-1", "01", "0xZZ", [], {}, "0x" + "00" * 300, "9" * 30,
)  # fmt: skip


def put(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def test_form_of_a_chain_is_strict() -> None:
    document = chain_to_json(CHAIN)
    for path in leaves(document):
        for bad in BAD_VALUES:
            with pytest.raises(ProofError):
                target(chain_from_json(changed(document, path, put(bad))))
        if path[-1] == "body_root":
            break
    update = document["updates"][1]
    for extra in ("version", "next_sync_committee"):
        with pytest.raises(MalformedProofError):
            chain_from_json(changed(document, ("updates", 1), put({**update, extra: "1"})))


def test_chain_fits_a_file_for_two_weeks_of_mainnet() -> None:
    """512 members, 27 hours a period."""
    mainnet = replace(NETWORK, committee_size=512)
    beacon = ToyBeacon(network=mainnet)
    chain = beacon.chain(START, TARGET)
    size = len(canonical.dump(chain_to_json(chain)))
    assert size < 160_000
    assert 14 * (size - len(canonical.dump(chain_to_json(CHAIN)))) // 2 < canonical.MAX_DOCUMENT_BYTES
    assert verify_sync_chain(chain, beacon.anchor(START), NOW) == beacon.header(TARGET)


# --- networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"forks": ()},
        {"forks": (ForkStart(BeaconFork.ALTAIR, 1, bytes(4)),)},
        {"forks": (FORKS[0], FORKS[2], FORKS[1])},
        {"forks": (FORKS[0], replace(FORKS[1], epoch=20), FORKS[2])},
        {"forks": (replace(FORKS[0], version=bytes(3)),)},
        {"genesis_validators_root": bytes(31)},
        {"genesis_time": -1},
        {"seconds_per_slot": 0},
        {"slots_per_epoch": 65},
        {"epochs_per_period": 0},
        {"committee_size": 33},
    ],
)
def test_network_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RejectedError):
        replace(NETWORK, **changes)


def test_slots_are_placed_in_time_and_forks() -> None:
    network = BeaconNetwork(GENESIS_TIME, GENESIS_ROOT, 12, 32, 256, 512, FORKS)
    assert network.period_of(8191) == 0
    assert network.period_of(8192) == 1
    assert network.slot_at(GENESIS_TIME - 1) == -1
    assert network.slot_at(GENESIS_TIME + 23) == 1
    assert network.time_of(2) == GENESIS_TIME + 24
    assert network.fork_at(40 * 32 - 1).fork is BeaconFork.ELECTRA
    assert network.fork_at(40 * 32).fork is BeaconFork.FULU


# --- signatures --------------------------------------------------------------------------------------------------


def sign(secret: int, message: bytes) -> bytes:
    return bytes((G2Point.hash_to_curve(message, DOMAIN_SEPARATION_TAG) * Scalar(secret)).to_compressed_bytes())


def key(secret: int) -> bytes:
    return bytes((G1Point() * Scalar(secret)).to_compressed_bytes())


MESSAGE = b"m" * 32
# A point of the curve that is not in the subgroup: x = 4 with the lesser y.
OUTSIDE = bytes([0x80]) + bytes(46) + bytes([4])


def test_known_signature_is_accepted() -> None:
    """From draft-irtf-cfrg-bls-signature's implementations: secret key and message of ethereum's `sign` vectors."""
    secret = 0x263DBD792F5B1BE47ED85F8938C0F29586AF0D3AC7B977F21C278FE1462040E3
    signature = (
        "b6ed936746e01f8ecf281f020953fbf1f01debd5657c4a383940b020b26507f6076334f91e2366c96e9ab279fb5158090352ea1c5b0c9274"
        "504f4f0e7053af24802e51e4568d164fe986834f41e55c8e850ce1f98458c0cfc9ab380b55285a55"
    )
    assert sign(secret, bytes(32)).hex() == signature
    assert fast_aggregate_verify([key(secret)], bytes(32), bytes.fromhex(signature))


def test_signatures_of_all_keys_are_needed() -> None:
    signature = sign(3 + 5 + 8, MESSAGE)
    assert fast_aggregate_verify([key(3), key(5), key(8)], MESSAGE, signature)
    assert fast_aggregate_verify([key(8), key(8)], MESSAGE, signature)
    for keys in ([key(3), key(5)], [key(3), key(5), key(7)], [], [key(3), key(5), key(8), key(8)]):
        assert not fast_aggregate_verify(keys, MESSAGE, signature)
    assert not fast_aggregate_verify([key(3), key(5), key(8)], bytes(32), signature)


UNCOMPRESSED = bytes([key(3)[0] & 0x7F]) + key(3)[1:]
INFINITY = bytes([0xC0]) + bytes(47)
ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


@pytest.mark.parametrize(
    "bad",
    [b"", bytes(48), INFINITY, b"\xff" * 48, OUTSIDE, key(3)[:-1], key(3) + b"\0", UNCOMPRESSED,
     ((0b100 << 381) + FIELD).to_bytes(48, "big"), ((0b100 << 381) + FIELD + 4).to_bytes(48, "big")],
)  # fmt: skip
def test_key_that_is_not_a_point_of_the_group_is_refused(bad: bytes) -> None:
    assert not fast_aggregate_verify([bad], MESSAGE, sign(3, MESSAGE))
    assert not fast_aggregate_verify([key(3), bad], MESSAGE, sign(3, MESSAGE))


def test_outside_point_is_on_the_curve() -> None:
    """Otherwise it would show nothing about the subgroup."""
    assert not G1Point.from_compressed_bytes_unchecked(OUTSIDE).is_in_subgroup()


def test_keys_that_cancel_out_are_refused() -> None:
    """Else the point at infinity would be a signature of anything."""
    opposite = bytes((G1Point() * Scalar(ORDER - 3)).to_compressed_bytes())
    for infinity in (bytes([0xC0]) + bytes(95), b"\xff" * 96):
        assert not fast_aggregate_verify([key(3), opposite], MESSAGE, infinity)
        assert not fast_aggregate_verify([key(3)], MESSAGE, infinity)


@pytest.mark.parametrize("bad", [b"", bytes(96), sign(3, MESSAGE)[:-1], sign(3, MESSAGE) + b"\0"])
def test_malformed_signature_is_refused(bad: bytes) -> None:
    assert not fast_aggregate_verify([key(3)], MESSAGE, bad)


# --- SSZ ---------------------------------------------------------------------------------------------------------


def test_roots_of_small_values_are_known() -> None:
    zeros = ssz.hash_pair(bytes(32), bytes(32))
    assert zeros.hex() == "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"
    assert ssz.merkleize([], 1) == ssz.merkleize([]) == bytes(32)
    assert ssz.merkleize([], 2) == zeros
    assert ssz.merkleize([b"a" * 32]) == b"a" * 32
    three = [b"a" * 32, b"b" * 32, b"c" * 32]
    left, right = ssz.hash_pair(*three[:2]), ssz.hash_pair(three[2], bytes(32))
    assert ssz.merkleize(three) == ssz.hash_pair(left, right)
    assert ssz.merkleize(three, 8) == ssz.hash_pair(ssz.hash_pair(left, right), ssz.hash_pair(zeros, zeros))
    assert ssz.uint_root(258) == b"\x02\x01" + bytes(30)
    assert ssz.byte_list_root(b"", 32) == zeros
    with pytest.raises(ValueError):
        ssz.merkleize(three, 2)


def test_dataclasses_of_updates_hold_no_lists() -> None:
    """Nothing that a verified header is made of can be changed afterwards."""

    def frozen(value: Any) -> bool:
        if is_dataclass(value):
            return all(frozen(getattr(value, field.name)) for field in fields(value))
        return not isinstance(value, list | dict | bytearray)

    update: Update = CHAIN.updates[0]
    assert frozen(update)


def test_errors_of_the_light_client_say_who_acts() -> None:
    with pytest.raises(LightClientError) as caught:
        target(with_update(1, participation=bytes(4)))
    assert isinstance(caught.value, RejectedError)
