"""A double attestation is proven by two signed transactions, and by nothing else."""

import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.consortium import (
    AttestHeader,
    Message,
    Transaction,
    TransactionBody,
    Transfer,
    decode_transaction,
    encode_transaction,
    quantity,
)
from core.proofs.equivocation import (
    MAX_ATTESTATION_BYTES,
    Equivocation,
    decode_equivocation,
    encode_equivocation,
    verify_equivocation,
)
from core.proofs.errors import InvalidProofError, MalformedProofError, ProofError
from tests.local_chains.consortium.support import ANN, BEN, CHAIN, Actor

ONE, OTHER = b"\x01" * 32, b"\x02" * 32


def vote(block_hash: bytes = ONE, height: int = 40, time: int = 480, chain: str = "eip155:1") -> AttestHeader:
    return AttestHeader(chain, height, block_hash, time)


def signed(*messages: Message, by: Actor = ANN, sequence: int = 3, chain: str = CHAIN) -> bytes:
    return by.signed(sequence, *messages, chain=chain)


FIRST, SECOND = signed(vote()), signed(vote(OTHER), sequence=4)
PROVEN = Equivocation(CHAIN, ANN.address, "eip155:1", 40, (ONE, 480), (OTHER, 480))


def test_two_blocks_at_one_height_are_proven() -> None:
    assert verify_equivocation(CHAIN, FIRST, SECOND) == PROVEN
    turned = replace(PROVEN, first=PROVEN.second, second=PROVEN.first)
    assert verify_equivocation(CHAIN, SECOND, FIRST) == turned


def test_two_times_of_one_block_are_proven() -> None:
    proven = verify_equivocation(CHAIN, FIRST, signed(vote(time=481)))
    assert (proven.first, proven.second) == ((ONE, 480), (ONE, 481))


def test_height_is_found_among_other_messages() -> None:
    pay = Transfer("cnyd", BEN.address, quantity(1))
    first = signed(pay, vote(height=39), vote(), vote(height=41))
    second = signed(vote(height=39), pay, vote(OTHER))
    assert verify_equivocation(CHAIN, first, second) == PROVEN


def test_one_transaction_may_contradict_itself() -> None:
    both = signed(vote(), vote(OTHER))
    assert verify_equivocation(CHAIN, both, both) == PROVEN
    assert verify_equivocation(CHAIN, both, signed(vote(height=1))) == PROVEN


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (FIRST, FIRST, InvalidProofError),
        (FIRST, signed(vote(), sequence=9), InvalidProofError),
        (FIRST, signed(vote(OTHER, height=41)), InvalidProofError),
        (FIRST, signed(vote(OTHER, chain="eip155:10")), InvalidProofError),
        (FIRST, signed(vote(OTHER), by=BEN), InvalidProofError),
        (FIRST, signed(vote(OTHER), chain="test-2"), InvalidProofError),
        (signed(vote(), chain="test-2"), signed(vote(OTHER), chain="test-2"), InvalidProofError),
        (FIRST, signed(vote(OTHER[:31])), InvalidProofError),
        (FIRST, signed(Transfer("cnyd", BEN.address, quantity(1))), InvalidProofError),
        (FIRST, b"", MalformedProofError),
        (FIRST, SECOND + b"\0", MalformedProofError),
        (FIRST, b"\x90" * 100, MalformedProofError),
        (b"\x91" * (MAX_ATTESTATION_BYTES + 1), SECOND, MalformedProofError),
    ],
)
def test_transactions_that_prove_nothing_are_refused(first: bytes, second: bytes, error: type[ProofError]) -> None:
    with pytest.raises(error):
        verify_equivocation(CHAIN, first, second)


def test_signature_of_somebody_else_proves_nothing() -> None:
    """Whoever accuses an account cannot sign for it."""
    body = decode_transaction(SECOND).body
    stolen = TransactionBody(CHAIN, ANN.public_key, 4, body.expiry_height, body.messages)
    by_ben = decode_transaction(signed(vote(OTHER), by=BEN)).signature
    for signature in (by_ben, bytes(64), decode_transaction(FIRST).signature, b""):
        with pytest.raises(InvalidProofError):
            verify_equivocation(CHAIN, FIRST, encode_transaction(Transaction(stolen, signature)))


@given(st.integers(0, 8 * len(SECOND) - 1))
def test_flipped_bit_proves_nothing(bit: int) -> None:
    touched = bytearray(SECOND)
    touched[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProofError):
        verify_equivocation(CHAIN, FIRST, bytes(touched))


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_refused_in_words(raw: bytes) -> None:
    with pytest.raises(ProofError):
        verify_equivocation(CHAIN, raw, SECOND)


def test_file_is_read_as_it_was_written() -> None:
    data = encode_equivocation(CHAIN, FIRST, SECOND)
    assert decode_equivocation(data) == (CHAIN, FIRST, SECOND)
    assert decode_equivocation(json.dumps(json.loads(data), indent=2).encode()) == (CHAIN, FIRST, SECOND)
    fields = msgspec.json.decode(data)
    too_long = "00" * (MAX_ATTESTATION_BYTES + 1)
    wrong = {"version": 2, "kind": "other", "first": "0x", "second": too_long, "ledger": 7, "more": 1}
    for member, value in wrong.items():
        with pytest.raises(MalformedProofError):
            decode_equivocation(json.dumps({**fields, member: value}).encode())
