"""The kit's types of both APIs, against the documents that running servers give."""

import pytest

from kit.generate import GENERATOR
from tests.kit import documents


def test_types_are_those_of_the_served_documents() -> None:
    if not GENERATOR.exists():
        pytest.skip("no openapi-typescript here: `make setup` installs it")
    for path, text in documents.made().items():
        assert path.read_text(encoding="utf-8") == text, "make them again: python -m tests.kit.documents"
