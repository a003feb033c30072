"""ed25519 as CometBFT verifies it: what libsodium refuses and ZIP-215 takes, and what neither takes."""

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_seed_keypair

from core.proofs import zip215
from core.proofs.cometbft import light_client, signing
from core.proofs.cometbft.sign_bytes import commit_sign_bytes, verify_quickly, verify_signature
from core.proofs.cometbft.types import KeyKind, LightBlock, PublicKey, SignedHeader
from core.proofs.errors import InsufficientPowerError
from tests.core.proofs.chains import ToyChain, ValidatorKey, validator_keys

ED25519: Final = KeyKind.ED25519
# All encodings of the eight points of small order, the six of them that are not the shortest included: the test set of
# ZIP-215 signs "Zcash" with S = 0, every one of them as A with every one of them as R, and all 196 are valid.
SMALL_ORDER: Final = tuple(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)
ORDER_8: Final = SMALL_ORDER[4]


def torsioned(seed: bytes, message: bytes, torsion: bytes = ORDER_8) -> bytes:
    """A signature whose R has a part of small order, as a validator's own signer may make it."""
    public, _ = crypto_sign_seed_keypair(seed)
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    nonce = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % zip215.L
    part = zip215.decompress(torsion)
    assert part is not None
    point = zip215.compress(zip215.added(zip215.multiplied(nonce, zip215.BASE), part))
    k = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little")
    return point + ((nonce + k * secret) % zip215.L).to_bytes(32, "little")


def test_all_196_pairs_of_small_order_are_valid() -> None:
    """The test vectors of ZIP-215, section "Test vectors"."""
    assert len(set(SMALL_ORDER)) == 14
    for key in SMALL_ORDER:
        for point in SMALL_ORDER:
            assert zip215.verify(key, b"Zcash", point + bytes(32))


def test_points_of_small_order_are_eight_in_their_shortest_form() -> None:
    points = [zip215.decompress(raw) for raw in SMALL_ORDER]
    shortest = {zip215.compress(point) for point in points if point is not None}
    assert shortest == set(SMALL_ORDER[:8])
    neutral = SMALL_ORDER[0]
    assert all(zip215.compress(zip215.multiplied(8, point)) == neutral for point in points if point is not None)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.sampled_from(SMALL_ORDER))
def test_signature_with_torsion_holds_by_the_exact_rule_only(seed: bytes, message: bytes, torsion: bytes) -> None:
    key = signing.public_key_of(ED25519, seed)
    signature = torsioned(seed, message, torsion)
    assert verify_signature(key, message, signature)
    point = zip215.decompress(torsion)
    assert point is not None
    assert verify_quickly(key, message, signature) is (zip215.compress(point) == SMALL_ORDER[0])
    assert not verify_signature(key, message + b"x", signature)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511))
def test_exact_rule_takes_libsodiums_signatures_unflipped_only(seed: bytes, message: bytes, bit: int) -> None:
    key = signing.public_key_of(ED25519, seed)
    signature = bytearray(signing.sign(ED25519, seed, message))
    assert zip215.verify(key.data, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not zip215.verify(key.data, message, bytes(signature))
    assert not verify_signature(key, message, bytes(signature))


def test_base_point_is_that_of_rfc_8032() -> None:
    """Section 5.1: its y is 4/5, its x is even."""
    x = 15112221349535400772501151409588531511454012693041857206046113283949847762202
    y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
    assert zip215._base() == zip215.BASE == (x, y, 1, x * y % zip215.P)
    assert zip215.compress(zip215.BASE).hex() == "58" + "66" * 31


def test_key_keeps_its_length_next_to_the_message() -> None:
    """The bytes that are hashed are the same, where the key ends is not."""
    seed = bytes(range(32))
    key, signature = signing.public_key_of(ED25519, seed).data, signing.sign(ED25519, seed, b"\0m")
    assert zip215.verify(key, b"\0m", signature)
    assert not zip215.verify(key + b"\0", b"m", signature)


def test_s_is_below_the_order_of_the_group() -> None:
    """With a key and an R that vanish, S = 0 is good for any message; S = L, the same number there, is not."""
    neutral = zip215.compress((0, 1, 1, 0))
    assert zip215.verify(neutral, b"m", neutral + bytes(32))
    for s in (zip215.L, 2 * zip215.L):
        assert not zip215.verify(neutral, b"m", neutral + s.to_bytes(32, "little"))


def unusable() -> Iterator[tuple[bytes, bytes]]:
    """(key, signature) that no rule takes."""
    seed = bytes(range(32))
    key, good = signing.public_key_of(ED25519, seed).data, signing.sign(ED25519, seed, b"m")
    s = int.from_bytes(good[32:], "little")
    yield key, good[:32] + (s + zip215.L).to_bytes(32, "little")
    yield key, good[:-1]
    yield key, good + b"\0"
    yield key, b""
    yield key[:-1], good
    yield key + b"\0", good
    yield b"", good
    # 2 is the y of no point.
    yield (2).to_bytes(32, "little"), good
    yield key, (2).to_bytes(32, "little") + good[32:]


@pytest.mark.parametrize(("key", "signature"), list(unusable()))
def test_malformed_keys_and_signatures_are_refused(key: bytes, signature: bytes) -> None:
    assert not zip215.verify(key, b"m", signature)
    if len(key) == 32:
        assert not verify_signature(PublicKey(ED25519, key), b"m", signature)


def published(pattern: str) -> Any:
    """Vectors in sources that building CometBFT leaves in Go's module cache. Skips if it was not built."""
    cache = Path(os.environ.get("GOMODCACHE") or Path(os.environ.get("GOPATH") or Path.home() / "go") / "pkg" / "mod")
    found = sorted(cache.glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in {cache}: `make cometbft` fetches it")
    return json.loads(gzip.decompress(found[-1].read_bytes()))


def test_exact_rule_agrees_with_wycheproof() -> None:
    vectors = published("github.com/cloudflare/circl@*/sign/ed25519/testdata/wycheproof_Ed25519.json.gz")
    count = 0
    for group in vectors["testGroups"]:
        key = bytes.fromhex(group["key"]["pk"])
        for case in group["tests"]:
            held = zip215.verify(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert held is (case["result"] == "valid"), case
            count += 1
    assert count == vectors["numberOfTests"] == 145


def test_exact_rule_agrees_with_the_published_196_cases() -> None:
    where = "github.com/oasisprotocol/curve25519-voi@*/primitives/ed25519/testdata/zip215.json.gz"
    pairs = [(bytes.fromhex(key), bytes.fromhex(signature)) for key, signature in published(where)]
    assert set(pairs) == {(key, point + bytes(32)) for key in SMALL_ORDER for point in SMALL_ORDER}
    assert all(zip215.verify(key, b"Zcash", signature) for key, signature in pairs)


def test_commit_of_a_validator_with_torsion_is_verified() -> None:
    keys = validator_keys(4, ED25519)
    chain = ToyChain(keys)
    first, second = chain.produce(), chain.produce()
    trusted, now = light_client.trust(first), second.header.time
    policy = light_client.LightClientPolicy(trusting_period_ns=10**12, max_clock_drift_ns=10**9)
    for count in range(5):
        block = _with_torsion(second, keys[:count])
        assert light_client.update_trusted(trusted, block, now, policy) == light_client.trust(block)
        light_client.verify_commit_trusting(chain.chain_id, block.validators, block.commit, light_client.TWO_THIRDS)


def test_exact_checks_of_one_commit_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light_client, "MAX_EXACT_CHECKS", 2)
    keys = validator_keys(4, ED25519)
    chain = ToyChain(keys)
    chain.produce()
    second = chain.produce()
    light_client.verify_commit(chain.chain_id, second.validators, _with_torsion(second, keys[:3]).commit)
    with pytest.raises(InsufficientPowerError):
        light_client.verify_commit(chain.chain_id, second.validators, _with_torsion(second, keys).commit)


def _with_torsion(block: LightBlock, keys: list[ValidatorKey]) -> LightBlock:
    seeds = {key.validator.address: key.private_key for key in keys}
    chain_id = block.header.chain_id
    entries = list(block.commit.signatures)
    for place, entry in enumerate(entries):
        if entry.validator_address in seeds:
            message = commit_sign_bytes(chain_id, block.commit, place)
            entries[place] = replace(entry, signature=torsioned(seeds[entry.validator_address], message))
    return replace(block, signed_header=SignedHeader(block.header, replace(block.commit, signatures=tuple(entries))))
