"""The names under which effects act once: printed, parsed, and no other text taken for one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.effect_keys import MAX_KEY_CHARS, EffectKey
from core.model.errors import RejectedError

words = st.text(st.characters(exclude_characters=":", codec="utf-8"), min_size=1, max_size=60)


@given(words, st.integers(0, 2**63), words)
def test_a_key_parses_to_what_was_printed(stream: str, sequence: int, kind: str) -> None:
    key = EffectKey(stream, sequence, kind)
    assert EffectKey.parse(str(key)) == key


def test_a_key_prints_as_it_is_stored() -> None:
    assert str(EffectKey("abcd", 3, "claim-initiator")) == "abcd:3:claim-initiator"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:1",
        "a:1:b:c",
        ":1:b",
        "a:1:",
        "a::b",
        "a:-1:b",
        "a:+1:b",
        "a:01:b",
        "a:1_0:b",
        "a:²:b",
        "a: 1:b",
        "attest/eip155:1/x:7:ff",
        "a:1:" + "b" * MAX_KEY_CHARS,
        "a:" + "9" * 10_000 + ":b",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        EffectKey.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with contextlib.suppress(RejectedError):
        assert str(EffectKey.parse(text)) == text
