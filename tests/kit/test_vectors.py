"""`docs/dapps/vectors.json`: what Python makes of the cases, and what TypeScript does."""

import json
from pathlib import Path

from tests.kit import programs, vectors


def test_published_vectors_are_what_python_makes() -> None:
    assert vectors.PATH.read_text(encoding="utf-8") == vectors.made(), "make them again: python -m tests.kit.vectors"


def test_gates_of_the_vectors_stand_on_both_sides() -> None:
    gates = json.loads(vectors.made())["gates"]
    assert {(one["gate"], one["closed"]) for one in gates} == {
        (gate, closed) for gate in ("lock", "gap", "reveal") for closed in (True, False)
    }


def test_kit_passes_the_published_vectors(kit: Path) -> None:
    found = programs.printed(kit, "vectors.mjs", vectors.PATH)
    assert found["differs"] == []
    assert found["held"] > 500
