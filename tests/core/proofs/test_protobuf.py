"""The protobuf encodings, held against the ones that protobuf.dev prints and against the limits of each form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs import protobuf
from core.proofs.errors import MalformedProofError
from core.proofs.protobuf import Field

VARINTS = [
    (0, "00"),
    (1, "01"),
    (127, "7f"),
    (128, "8001"),
    (150, "9601"),
    (300, "ac02"),
    (2**63 - 1, "ff" * 8 + "7f"),
    (2**64 - 1, "ff" * 9 + "01"),
]


@pytest.mark.parametrize(("value", "encoded"), VARINTS)
def test_varint_has_its_published_form(value: int, encoded: str) -> None:
    assert protobuf.varint(value).hex() == encoded
    assert protobuf.decode_varint(b"\xff" + bytes.fromhex(encoded) + b"\xff", 1) == (value, 1 + len(encoded) // 2)


@pytest.mark.parametrize(
    ("value", "encoded"), [(-1, "ff" * 9 + "01"), (-2, "fe" + "ff" * 8 + "01"), (-(2**63), "80" * 9 + "01")]
)
def test_negative_varint_is_its_twos_complement(value: int, encoded: str) -> None:
    assert protobuf.varint(value).hex() == encoded


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_varint_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(MalformedProofError, match="64-bit varint"):
        protobuf.varint(value)


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("", "cut short"),
        ("80", "cut short"),
        ("80" * 9, "cut short"),
        ("8000", "not canonical"),
        ("ff00", "not canonical"),
        ("ff" * 9 + "02", "not canonical"),
        ("80" * 9 + "02", "not canonical"),
        ("ff" * 9 + "7f", "not canonical"),
        ("80" * 10, "too long"),
        ("80" * 10 + "01", "too long"),
    ],
)
def test_other_forms_of_a_varint_are_refused(encoded: str, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        protobuf.decode_varint(bytes.fromhex(encoded), 0)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_varint_comes_back_and_ends_where_it_ends(value: int, behind: bytes) -> None:
    encoded = protobuf.varint(value)
    assert protobuf.decode_varint(encoded + behind, 0) == (value, len(encoded))
    with pytest.raises(MalformedProofError):
        protobuf.decode_varint(encoded[:-1], 0)


def test_fields_have_their_published_form() -> None:
    assert protobuf.varint_field(1, 150).hex() == "089601"
    assert protobuf.bytes_field(2, b"testing").hex() == "120774657374696e67"
    assert protobuf.message_field(3, protobuf.varint_field(1, 150)).hex() == "1a03089601"
    assert protobuf.sfixed64_field(2, 1).hex() == "110100000000000000"
    assert protobuf.sfixed64_field(2, -2).hex() == "11feffffffffffffff"
    assert protobuf.delimited(b"\x01\x02").hex() == "020102"


def test_defaults_are_left_out_but_for_embedded_messages() -> None:
    assert protobuf.varint_field(1, 0) == protobuf.sfixed64_field(1, 0) == protobuf.bytes_field(1, b"") == b""
    assert protobuf.message_field(1, b"").hex() == "0a00"
    assert protobuf.delimited(b"") == b"\x00"


def test_sfixed64_holds_its_range_and_no_more() -> None:
    assert protobuf.sfixed64_field(1, 2**63 - 1).hex() == "09" + "ff" * 7 + "7f"
    assert protobuf.sfixed64_field(1, -(2**63)).hex() == "09" + "00" * 7 + "80"
    for value in (2**63, -(2**63) - 1):
        with pytest.raises(MalformedProofError, match="sfixed64"):
            protobuf.sfixed64_field(1, value)


def test_fields_are_decoded_in_their_order() -> None:
    data = bytes.fromhex("089601" + "120774657374696e67" + "110100000000000080" + "1200" + "0801")
    assert list(protobuf.decode_fields(data)) == [
        Field(1, protobuf.WIRE_VARINT, 150),
        Field(2, protobuf.WIRE_BYTES, b"testing"),
        Field(2, protobuf.WIRE_FIXED64, 2**63 + 1),
        Field(2, protobuf.WIRE_BYTES, b""),
        Field(1, protobuf.WIRE_VARINT, 1),
    ]
    assert list(protobuf.decode_fields(b"")) == []


def test_field_numbers_end_where_protobuf_ends_them() -> None:
    last = protobuf.varint(protobuf.MAX_FIELD_NUMBER << 3) + b"\x01"
    assert list(protobuf.decode_fields(last)) == [Field(2**29 - 1, protobuf.WIRE_VARINT, 1)]
    for number in (0, 2**29):
        with pytest.raises(MalformedProofError, match="out of range"):
            list(protobuf.decode_fields(protobuf.varint(number << 3) + b"\x01"))


@pytest.mark.parametrize("wire", [3, 4, 5, 6, 7])
def test_groups_and_fixed32_are_refused(wire: int) -> None:
    with pytest.raises(MalformedProofError, match="wire type"):
        list(protobuf.decode_fields(protobuf.varint(1 << 3 | wire) + bytes(8)))


@pytest.mark.parametrize("data", ["0903" + "00" * 6, "1203aabb", "12ffffffffffffffffff01aa"])
def test_field_that_is_cut_short_is_refused(data: str) -> None:
    with pytest.raises(MalformedProofError, match="field is cut short"):
        list(protobuf.decode_fields(bytes.fromhex(data)))


def test_message_holds_so_many_fields_and_no_more() -> None:
    field = protobuf.varint_field(1, 1)
    assert len(list(protobuf.decode_fields(3 * field, max_fields=3))) == 3
    assert len(list(protobuf.decode_fields(protobuf.MAX_MESSAGE_FIELDS * field))) == 4096
    with pytest.raises(MalformedProofError, match="too many fields"):
        list(protobuf.decode_fields(4 * field, max_fields=3))
