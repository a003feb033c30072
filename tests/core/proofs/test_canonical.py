"""Canonical JSON and its readers: one form only, each limit reached and not exceeded."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_value_survives_its_one_form(value: Any) -> None:
    assert canonical.load(canonical.dump(value)) == value
    assert canonical.load(b" " + canonical.dump(value), any_layout=True) == value
    with pytest.raises(MalformedProofError, match="canonical form"):
        canonical.load(b" " + canonical.dump(value))


def test_members_are_sorted_and_text_is_ascii() -> None:
    assert canonical.dump({"b": 1, "a": ["ü", None, True]}) == b'{"a":["\\u00fc",null,true],"b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_number_that_json_does_not_have_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical.dump(value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1,"a":1}', "not JSON"),
        (b"1.5", "not JSON"),
        (b"1e3", "not JSON"),
        (b"NaN", "not JSON"),
        (b"-Infinity", "not JSON"),
        ("ü".encode(), "not JSON"),
        (b"1" * 5_000, "not JSON"),
        (b'{"b":1,"a":2}', "canonical form"),
        (b'"\\u0041"', "canonical form"),
        (b"-0", "canonical form"),
    ],
)
def test_other_forms_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        canonical.load(data)


def test_nesting_counts_what_is_open_at_a_time() -> None:
    """Neighbours that are closed already neither add to it nor take away."""
    below, above = (b"[" * n + b"]" * n for n in (canonical.MAX_NESTING - 1, canonical.MAX_NESTING))
    canonical.load(b"[[],[]," + below + b",[]]")
    for neighbours in (b"", b"[],", b"[],[],", b"[[],[]],"):
        with pytest.raises(MalformedProofError, match="nested too deeply"):
            canonical.load(b"[" + neighbours + above + b"]")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_ends_at_its_limit(opening: bytes) -> None:
    closing, inside = (b"]", b"1") if opening == b"[" else (b"}", b"1")
    deepest = opening * canonical.MAX_NESTING + inside + closing * canonical.MAX_NESTING
    canonical.load(deepest)
    with pytest.raises(MalformedProofError, match="nested too deeply"):
        canonical.load(opening + deepest + closing)


@pytest.mark.parametrize("text", ['"' + "[" * 90 + '"', '["\\"' + "{" * 90 + '"]', '["a","]","\\\\",[[]]]'])
def test_brackets_inside_strings_nest_nothing(text: str) -> None:
    assert canonical.load(text.encode()) == json.loads(text)


def test_brackets_behind_closed_ones_do_not_nest() -> None:
    many = b"[" + b",".join([b"[]"] * 200) + b"]"
    assert canonical.load(many) == [[]] * 200


def test_document_ends_at_its_size() -> None:
    longest = canonical.dump("x" * (canonical.MAX_DOCUMENT_BYTES - 2))
    assert len(longest) == canonical.MAX_DOCUMENT_BYTES
    assert canonical.load(longest) == "x" * (canonical.MAX_DOCUMENT_BYTES - 2)
    with pytest.raises(MalformedProofError, match="too large"):
        canonical.load(longest + b" ", any_layout=True)


READERS: list[tuple[Callable[[Any], Any], list[tuple[Any, Any]], list[Any]]] = [
    (
        lambda value: canonical.members(value, "a", "b"),
        [({"a": 1, "b": 2}, {"a": 1, "b": 2})],
        [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}, ["a", "b"], "ab", None],
    ),
    (lambda value: canonical.items(value, 2), [([], []), ([1, 2], [1, 2])], [[1, 2, 3], {}, "ab", None, (1,)]),
    (lambda value: canonical.text(value, 2), [("", ""), ("ab", "ab")], ["abc", 5, None, ["a"], b"ab"]),
    (lambda value: canonical.integer(value, 9), [(0, 0), (9, 9)], [-1, 10, True, "5", 5.0, None]),
    (canonical.integer, [(2**63 - 1, 2**63 - 1)], [2**63]),
    (
        lambda value: canonical.decimal(value, 100),
        [("0", 0), ("7", 7), ("100", 100)],
        ["101", "00", "01", "-1", "", "+1", "1_0", "٣", " 1", "1\n", 5, None],
    ),
    (
        lambda value: canonical.decimal(value, 10**80),
        [("9" * 78, 10**78 - 1)],
        ["9" * 79],
    ),
    (canonical.boolean, [(True, True), (False, False)], [0, 1, "true", None]),
    (
        lambda value: canonical.hex_bytes(value, 2),
        [("", b""), ("0a", b"\n"), ("0aff", b"\n\xff")],
        ["0", "0A", "0x", "0aff00", "0a ", "0a\n", 5, None, b"0a"],
    ),
    (lambda value: canonical.optional(value, canonical.boolean), [(None, None), (False, False)], [0, ""]),
]


@pytest.mark.parametrize(("read", "good", "bad"), READERS)
def test_reader_takes_its_kind_only(read: Callable[[Any], Any], good: list[tuple[Any, Any]], bad: list[Any]) -> None:
    for value, expected in good:
        assert read(value) == expected
        assert type(read(value)) is type(expected)
    for value in bad:
        with pytest.raises(MalformedProofError):
            read(value)
