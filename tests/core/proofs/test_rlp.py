"""RLP against the examples that Ethereum's documentation prints, and at the edges of each form."""

import pytest

from core.proofs import rlp
from core.proofs.errors import MalformedProofError

LOREM = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"  # 56 bytes: the shortest with a long prefix
EXAMPLES: list[tuple[rlp.Rlp, str]] = [
    (b"dog", "83646f67"),
    ([b"cat", b"dog"], "c88363617483646f67"),
    (b"", "80"),
    ([], "c0"),
    (b"\x00", "00"),
    (b"\x0f", "0f"),
    (b"\x7f", "7f"),
    (b"\x80", "8180"),
    (b"\x04\x00", "820400"),
    ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
    (LOREM, "b838" + LOREM.hex()),
    (LOREM[:55], "b7" + LOREM[:55].hex()),
    ([LOREM[:54]], "f7b6" + LOREM[:54].hex()),
    ([LOREM[:55]], "f838b7" + LOREM[:55].hex()),
    (b"\x11" * 256, "b90100" + "11" * 256),
    ([b"\x11"] * 256, "f90100" + "11" * 256),
]


@pytest.mark.parametrize(("item", "encoded"), EXAMPLES)
def test_item_has_its_published_form(item: rlp.Rlp, encoded: str) -> None:
    assert rlp.encode(item).hex() == encoded
    assert rlp.decode(bytes.fromhex(encoded)) == item


@pytest.mark.parametrize(
    ("value", "raw"),
    [(0, ""), (1, "01"), (15, "0f"), (127, "7f"), (255, "ff"), (256, "0100"), (2**64, "01" + "00" * 8)],
)
def test_scalar_is_big_endian_without_zeros(value: int, raw: str) -> None:
    assert rlp.encode_integer(value).hex() == raw
    assert rlp.as_integer(bytes.fromhex(raw)) == value


def test_negative_scalar_is_refused() -> None:
    with pytest.raises(MalformedProofError, match="not negative"):
        rlp.encode_integer(-1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "cut short"),
        ("83646f", "cut short"),
        ("b838", "cut short"),
        ("c88363617483646f", "cut short"),
        ("b838" + "11" * 55, "cut short"),
        ("c28363", "cut short"),  # the string inside is longer than its list
        ("c3820411" + "11", "bytes behind"),
        ("0000", "bytes behind"),
        ("8100", "single byte is not canonical"),
        ("817f", "single byte is not canonical"),
        ("b8", "length is not canonical"),
        ("b90", "length is not canonical"),
        ("b837" + "11" * 55, "length is not canonical"),
        ("b90038" + "11" * 56, "length is not canonical"),
        ("f80180", "length is not canonical"),
        ("bb000000", "length is not canonical"),
    ],
)
def test_other_forms_are_refused(data: str, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        rlp.decode(bytes.fromhex(data + "0" * (len(data) % 2)))


def test_nesting_ends_at_its_limit() -> None:
    def nested(depth: int) -> rlp.Rlp:
        return [nested(depth - 1)] if depth else b"x"

    assert rlp.decode(rlp.encode(nested(rlp.MAX_DEPTH))) == nested(rlp.MAX_DEPTH)
    with pytest.raises(MalformedProofError, match="too deeply"):
        rlp.decode(rlp.encode(nested(rlp.MAX_DEPTH + 1)))


def test_size_ends_at_its_limit() -> None:
    largest = rlp.encode(bytes(rlp.MAX_BYTES - 4))
    assert len(largest) == rlp.MAX_BYTES
    assert rlp.decode(largest) == bytes(rlp.MAX_BYTES - 4)
    with pytest.raises(MalformedProofError, match="too large"):
        rlp.decode(largest + b"\x00")


def test_kinds_and_sizes_are_asked_for() -> None:
    assert rlp.as_bytes(b"ab", 2) == rlp.as_bytes(b"ab") == b"ab"
    assert rlp.as_list([b"a"]) == rlp.decode_list(b"\xc1a") == [b"a"]
    assert rlp.as_integer(b"\xff" * 32) == 2**256 - 1
    assert rlp.as_integer(b"\xff\xff", 2) == 65_535
    wrong: list[tuple[rlp.Rlp, int | None]] = [([b"ab"], None), (b"ab", 3), (b"ab", 1)]
    for item, size in wrong:
        with pytest.raises(MalformedProofError, match="not a string"):
            rlp.as_bytes(item, size)
    with pytest.raises(MalformedProofError, match="not a list"):
        rlp.as_list(b"a")
    with pytest.raises(MalformedProofError, match="not a list"):
        rlp.decode_list(b"a")
    for raw in (b"\x00", b"\x00\x01", b"\x01" * 33):
        with pytest.raises(MalformedProofError, match="not minimal or too large"):
            rlp.as_integer(raw)
    with pytest.raises(MalformedProofError, match="not minimal or too large"):
        rlp.as_integer(b"\x01\x00\x00", 2)
