"""The ways that are taken most: what is read and written by hand there is what the general codec reads and writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.consortium import AssetMoved, LedgerEvent, RecordStored, ResultCode, event_to_attributes
from core.model.consortium_members import MemberVoted
from core.proofs.errors import MalformedProofError
from core.proofs.protobuf import bytes_field, message_field, varint_field
from local_chains.consortium.engine.abci import outcomes
from local_chains.consortium.engine.abci.messages import CheckTx, Flush, decode_request
from local_chains.consortium.engine.abci.plain import FLUSH, plain_check_tx
from local_chains.consortium.ledger.execution import Result

kinds = st.integers(0, 2)


@given(st.binary(max_size=40) | st.integers(0, 70_000).map(bytes), kinds)
def test_plain_check_is_read_as_the_codec_reads_it(raw: bytes, kind: int) -> None:
    request = message_field(8, bytes_field(1, raw) + varint_field(2, kind))
    read = plain_check_tx(request)
    assert read == (raw if kind < 2 and (raw or not kind) else None)
    assert decode_request(request) == CheckTx(raw, kind)


@given(st.binary(max_size=8) | st.binary(max_size=8).map(lambda tail: b"\x42" + tail))
def test_no_bytes_are_read_otherwise_than_by_the_codec(raw: bytes) -> None:
    read = plain_check_tx(raw)
    if read is None:
        return
    request = decode_request(raw)
    assert isinstance(request, CheckTx)
    assert request.tx == read


@given(st.binary(max_size=30), kinds, st.integers(0, 40), st.integers(0, 255))
def test_a_changed_byte_is_read_as_the_codec_reads_it(raw: bytes, kind: int, place: int, byte: int) -> None:
    changed = bytearray(message_field(8, bytes_field(1, raw) + varint_field(2, kind)))
    changed[place % len(changed)] = byte
    read = plain_check_tx(bytes(changed))
    try:
        expected = decode_request(bytes(changed))
    except MalformedProofError:
        assert read is None
        return
    if read is not None:
        assert isinstance(expected, CheckTx)
        assert expected.tx == read


def test_flush_is_the_codecs_flush() -> None:
    assert decode_request(FLUSH) == Flush()


EVENTS: tuple[LedgerEvent, ...] = (
    AssetMoved("cnyd", b"", bytes(20), 2**255),
    RecordStored("n" * 64, "k" * 64, 1, bytes(20), bytes(32)),
    MemberVoted(7, bytes(20), "yes", "open"),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_an_event_of_protobuf(event: LedgerEvent) -> None:
    """`proto/tendermint/abci/types.proto`: Event and EventAttribute."""
    kind, attributes = event_to_attributes(event)
    expected = bytes_field(1, kind.encode()) + b"".join(
        message_field(2, bytes_field(1, key.encode()) + bytes_field(2, value.encode()) + varint_field(3, 1))
        for key, value in attributes.items()
    )
    result = Result(ResultCode.OK, "", (event,), 300)
    assert outcomes.tx_result(result) == varint_field(5, 300) + varint_field(6, 300) + message_field(7, expected)


@given(st.integers(0, 2**40))
def test_what_is_taken_is_answered_with_its_cost(cost: int) -> None:
    taken = Result(ResultCode.OK, "", EVENTS, cost)
    assert outcomes.check_tx(taken) == message_field(9, varint_field(5, cost) + varint_field(6, cost))
    refused = Result(ResultCode.EXPIRED, "expired: x", (), cost)
    assert bytes_field(3, b"expired: x") in outcomes.check_tx(refused)
