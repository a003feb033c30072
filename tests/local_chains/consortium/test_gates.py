"""A transaction's gates before its messages are looked at, and what a failure leaves behind."""

import msgspec
import pytest

from core.model.consortium import (
    CLOCK_PREFIX,
    AttestHeader,
    Burn,
    ResultCode,
    Transaction,
    Transfer,
    WriteRecord,
    decode_transaction,
    encode_clock,
    encode_transaction,
    quantity,
)
from core.model.errors import RejectedError
from core.proofs.ed25519 import verify_ed25519
from local_chains.consortium.ledger.execution import (
    MAX_CLOCK_DIFFERENCE_MS,
    check_transaction,
    execute_block,
    ledger_time_ms,
    process_proposal,
    proposer_clock_ms,
)
from local_chains.consortium.ledger.prices import Tariff
from local_chains.consortium.ledger.signatures import SignatureChecker, verify_all
from local_chains.consortium.ledger.view import Overlay
from tests.local_chains.consortium.support import ANN, BEN, CHAIN, START_MS, Chain

PAY = Transfer("cnyd", BEN.address, quantity(7))


def flipped(raw: bytes, place: int) -> bytes:
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", ResultCode.MALFORMED),
        (b"\x92" * 50, ResultCode.MALFORMED),
        (ANN.signed(0, PAY) + b"\0", ResultCode.MALFORMED),
        (ANN.signed(0), ResultCode.MALFORMED),
        (ANN.signed(0, *[PAY] * 65), ResultCode.MALFORMED),
        (ANN.signed(0, PAY, chain="other-1"), ResultCode.WRONG_CHAIN),
        (ANN.signed(1, PAY), ResultCode.WRONG_SEQUENCE),
        (ANN.signed(0, PAY, expiry=0), ResultCode.EXPIRED),
        (flipped(ANN.signed(0, PAY), -1), ResultCode.BAD_SIGNATURE),
        (encode_clock(START_MS + 5_000), ResultCode.MALFORMED),
    ],
)
def test_a_failed_gate_changes_nothing(raw: bytes, code: ResultCode) -> None:
    chain = Chain()
    chain.block()
    before = dict(chain.leaves)
    (result,) = chain.block(raw)
    assert result.code is code
    assert result.log.startswith(f"{code.word}: ")
    assert result.events == ()
    assert {key for key in chain.leaves if chain.leaves[key] != before.get(key)} == {b"clock"}


def test_every_bit_of_a_transaction_is_signed() -> None:
    raw = ANN.signed(0, PAY)
    for place in range(len(raw)):
        chain = Chain()
        (result,) = chain.block(flipped(raw, place))
        assert result.code is not ResultCode.OK
        assert chain.balance(BEN.address) == 50


def test_a_forged_sender_is_found_out_even_in_a_block() -> None:
    honest = decode_transaction(ANN.signed(0, PAY))
    forged = encode_transaction(type(honest)(honest.body, b"\0" * 64))
    chain = Chain()
    assert chain.block(forged)[0].code is ResultCode.BAD_SIGNATURE
    assert chain.balance(BEN.address) == 50


def test_a_failed_message_uses_up_the_sequence_and_nothing_else() -> None:
    chain = Chain()
    raw = ANN.signed(0, PAY, Burn("cnyd", quantity(5_000)))
    (result,) = chain.block(raw)
    assert result.code is ResultCode.INSUFFICIENT_FUNDS
    assert result.events == ()
    assert chain.balance(ANN.address) == 1000
    assert chain.balance(BEN.address) == 50
    assert chain.sequence(ANN) == 1
    assert chain.block(raw)[0].code is ResultCode.WRONG_SEQUENCE


def test_transaction_is_valid_up_to_its_expiry_height_inclusive() -> None:
    chain = Chain()
    chain.block()
    assert chain.block(ANN.signed(0, PAY, expiry=2))[0].code is ResultCode.OK
    assert chain.block(ANN.signed(1, PAY, expiry=2))[0].code is ResultCode.EXPIRED


def test_the_memory_of_signatures_never_decides() -> None:
    raw = ANN.signed(0, PAY)
    asked: list[bytes] = []

    def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(message)
        return verify_ed25519(public_key, message, signature)

    checker = SignatureChecker(verify)
    forged = flipped(raw, -1)
    for _ in range(2):
        assert checker.holds(raw, decode_transaction(raw))
        assert not checker.holds(forged, decode_transaction(forged))
    assert len(asked) == 3, "a good one is verified once, a bad one each time"


def test_what_is_not_known_to_be_signed_is_decoded_anew() -> None:
    raw = ANN.signed(0, PAY)
    checker = SignatureChecker()
    assert checker.decode(raw) is not checker.decode(raw)
    checker.remember([raw])
    assert checker.decode(raw) is checker.decode(raw)
    assert checker.decode(raw) == decode_transaction(raw)
    with pytest.raises(RejectedError):
        checker.decode(raw + b"x")


def test_the_memory_of_signatures_is_bounded() -> None:
    checker = SignatureChecker(limit=2)
    for sequence in range(5):
        raw = ANN.signed(sequence, PAY)
        assert checker.holds(raw, decode_transaction(raw))
    assert len(checker._verified) == 2


def test_check_transaction_keeps_only_what_would_succeed() -> None:
    chain = Chain()
    pending = Overlay(chain.leaves)
    checks = (chain.signatures,)
    good = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(900)))
    assert check_transaction(pending, CHAIN, 1, START_MS + 1, good, *checks).code is ResultCode.OK
    poor = ANN.signed(1, Transfer("cnyd", BEN.address, quantity(900)))
    assert check_transaction(pending, CHAIN, 1, START_MS + 1, poor, *checks).code is ResultCode.INSUFFICIENT_FUNDS
    fits = ANN.signed(1, Transfer("cnyd", BEN.address, quantity(100)))
    assert check_transaction(pending, CHAIN, 1, START_MS + 1, fits, *checks).code is ResultCode.OK


@pytest.mark.parametrize(
    "raw",
    [
        ANN.signed(0, PAY),
        ANN.signed(0),
        ANN.signed(0, *[PAY] * 64),
        ANN.signed(0, *[PAY] * 65),
        ANN.signed(0, PAY, chain="other-1"),
        ANN.signed(1, PAY),
        ANN.signed(0, PAY, expiry=0),
        flipped(ANN.signed(0, PAY), -1),
        ANN.signed(0, *[WriteRecord("n", f"k{number}", b'"' + b"x" * 1_000 + b'"') for number in range(60)]),
        ANN.signed(0, *[AttestHeader("eip155:1", 1, bytes(32), 1)] * 64),
    ],
)
def test_transaction_that_was_decoded_is_checked_alike(raw: bytes) -> None:
    chain = Chain()
    tariff = Tariff(chain.leaves)
    results = []
    for known in (False, True):
        pending = Overlay(chain.leaves)
        transaction = decode_transaction(raw)
        priced = (transaction, tariff.of(raw, transaction)) if known else None
        checker = SignatureChecker()
        result = check_transaction(pending, CHAIN, 1, START_MS + 1, raw, checker, tariff, priced)
        results.append((result, pending.writes))
    assert results[0] == results[1]


# --- the clock ---


def test_a_block_is_judged_by_the_clock_in_its_first_entry() -> None:
    chain = Chain()
    outcome = execute_block(chain.leaves, CHAIN, 1, [encode_clock(START_MS + 1)], chain.signatures)
    assert outcome.writes == {b"clock": (START_MS + 1).to_bytes(8, "big")}
    for bad in (encode_clock(START_MS), CLOCK_PREFIX, b"", ANN.signed(0, PAY)):
        outcome = execute_block(chain.leaves, CHAIN, 1, [bad, ANN.signed(0, PAY)], chain.signatures)
        assert outcome.results[0].code is ResultCode.BAD_CLOCK
        assert outcome.results[1].code is ResultCode.OK
        assert b"clock" not in outcome.writes


def test_an_empty_block_is_no_reason_to_fail() -> None:
    chain = Chain()
    assert execute_block(chain.leaves, CHAIN, 1, [], chain.signatures).results == ()


@pytest.mark.parametrize(
    ("entry", "own_ms", "accepted"),
    [
        (encode_clock(START_MS + 1), START_MS + 1, True),
        (encode_clock(START_MS), START_MS, False),
        (encode_clock(START_MS - 1), START_MS, False),
        (encode_clock(START_MS + 50_000), START_MS + 50_000 - MAX_CLOCK_DIFFERENCE_MS, True),
        (encode_clock(START_MS + 50_000), START_MS + 49_999 - MAX_CLOCK_DIFFERENCE_MS, False),
        (encode_clock(START_MS + 50_000), START_MS + 50_000 + MAX_CLOCK_DIFFERENCE_MS, True),
        (encode_clock(START_MS + 50_000), START_MS + 50_001 + MAX_CLOCK_DIFFERENCE_MS, False),
        (b"", START_MS + 1, False),
        (encode_clock(START_MS + 1) + b"\0", START_MS + 1, False),
    ],
)
def test_validators_hold_the_proposer_to_their_own_clock(entry: bytes, own_ms: int, accepted: bool) -> None:
    refusal = process_proposal(Chain().leaves, [entry], own_ms)
    assert (refusal == "") is accepted


def test_a_proposal_without_entries_is_refused() -> None:
    assert process_proposal(Chain().leaves, [], START_MS + 1)


def test_honest_clock_moves_on_even_if_the_machines_was_set_back() -> None:
    chain = Chain()
    assert proposer_clock_ms(chain.leaves, START_MS + 9) == START_MS + 9
    assert proposer_clock_ms(chain.leaves, START_MS - 9) == START_MS + 1
    assert ledger_time_ms(chain.leaves) == START_MS


def test_a_clock_has_one_form() -> None:
    for bad in (0, -1, 1 << 43):
        with pytest.raises(RejectedError):
            encode_clock(bad)


def test_memory_of_signatures_is_bounded_and_forgets_the_oldest() -> None:
    verified = 0

    def counting(key: bytes, message: bytes, signature: bytes) -> bool:
        nonlocal verified
        verified += 1
        return verify_ed25519(key, message, signature)

    checker = SignatureChecker(counting, limit_bytes=20_000)
    long = [ANN.signed(0, WriteRecord("n", f"k{place}", b'"' + b"x" * 16_000 + b'"')) for place in range(200)]
    for raw in long:
        assert checker.holds(raw, checker.decode(raw))
        assert checker.size_bytes <= 20_000
    assert 10 < len(checker._verified) < 200
    assert checker.holds(long[-1], checker.decode(long[-1]))
    assert verified == 200, "it is remembered, by its hash"
    assert checker.holds(long[0], checker.decode(long[0]))
    assert verified == 201, "the oldest is not"
    short = [ANN.signed(place, PAY) for place in range(200)]
    checker.remember(short)
    assert checker.size_bytes <= 20_000
    for raw in (*short, *long):
        checker.forget(raw)
    assert checker.size_bytes == 0


@pytest.mark.parametrize("key", [b"", b"\0" * 31, b"\0" * 33])
def test_key_of_another_length_never_reaches_the_library(key: bytes) -> None:
    assert not verify_ed25519(key, b"message", bytes(64))
    body = decode_transaction(ANN.signed(0, PAY)).body
    wrong = encode_transaction(Transaction(msgspec.structs.replace(body, public_key=key), bytes(64)))
    assert verify_all([wrong]) == [False]
    assert Chain().block(wrong)[0].code is ResultCode.MALFORMED
