"""The kit and the Python client judge alike, at random: quotes, agreements, clocks, purses, and replaced blocks."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.kit import programs, verdicts

COUNT = 400


@pytest.mark.parametrize("seed", range(3))
def test_kit_judges_as_the_python_client_does(kit: Path, tmp_path: Path, seed: int) -> None:
    cases = verdicts.made(seed, COUNT)
    for kind in ("quotes", "agreements", "purses"):
        seen = Counter(case["verdict"] for case in cases[kind])
        assert min(seen[verdicts.ACCEPTED], seen[verdicts.REFUSED]) > COUNT / 20, f"{kind} stand on both sides: {seen}"
    assert {case["verdict"] for case in cases["agreements"]} == {verdicts.ACCEPTED, verdicts.GATE, verdicts.REFUSED}
    assert {case["verdict"] for case in cases["skews"]} == {verdicts.ACCEPTED, verdicts.SKEW}
    assert {len(set(case["verdict"].split())) for case in cases["histories"]} == {1, 2}
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    found = programs.printed(kit, "verdicts.mjs", tmp_path / "cases.json")
    assert found["differs"] == []
    assert found["held"] == 5 * COUNT
