"""Constants that come with the kit, against what they were made from."""

from kit.generate import PINNED, pinned


def test_pinned_constants_are_those_of_the_compiled_contracts() -> None:
    assert PINNED.read_text(encoding="utf-8") == pinned(), "make them again: python -m kit.generate"
