"""The published JSON Schema of evidence fits every kind of file, and nothing that is missing a part."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from core.proofs.evidence import BUILT_IN_VERIFIERS, consortium_evidence, encode_evidence, forms
from tests.core.proofs import (
    test_ethereum_evidence,
    test_question_evidence,
    test_synced_evidence,
    test_transaction_evidence,
)
from tests.core.proofs.worlds import LOCK, RECORD, World

PATH = Path(__file__).parents[3] / "docs/concepts/evidence.schema.json"
SCHEMA: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)
FILES = {
    **test_ethereum_evidence.FILES,
    **test_question_evidence.FILES,
    **test_synced_evidence.FILES,
    **test_transaction_evidence.FILES,
}


def ledger_files() -> dict[str, bytes]:
    world = World()
    return {
        name: encode_evidence(consortium_evidence(question, world.proof(question)))
        for name, question in (("record", RECORD), ("ledger-lock", LOCK))
    }


ALL = {**FILES, **ledger_files()}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_kind_of_file_fits(name: str) -> None:
    faults = [str(fault) for fault in VALIDATOR.iter_errors(json.loads(ALL[name]))]
    assert faults == []


@pytest.mark.parametrize("name", sorted(ALL))
def test_file_without_a_member_or_with_another_does_not_fit(name: str) -> None:
    proof = json.loads(ALL[name])["proof"]
    carried = [part for part in ("trail", "sync") if part in proof]
    paths: list[tuple[str | int, ...]] = [
        (),
        ("question",),
        ("answer",),
        ("as_of",),
        ("proof",),
        *(("proof", part) for part in carried),
    ]
    if "sync" in proof:
        paths += [("proof", "sync", "bootstrap"), *(("proof", "sync", "updates", place) for place in (0, 1))]
    for path in paths:
        for member in list(_part(json.loads(ALL[name]), path)):
            body = json.loads(ALL[name])
            del _part(body, path)[member]
            # Evidence that both vouch for is still evidence without sync committees.
            whole = path == ("proof",) and member == "sync" and "trail" in proof
            assert VALIDATOR.is_valid(body) == whole, (path, member)
        body = json.loads(ALL[name])
        _part(body, path)["more"] = 1
        assert not VALIDATOR.is_valid(body), path


def _part(body: Any, path: tuple[str | int, ...]) -> dict[str, Any]:
    for name in path:
        body = body[name]
    found: dict[str, Any] = body
    return found


def test_schema_knows_every_type_and_kind() -> None:
    def types(member: str) -> set[str]:
        return {one["properties"]["type"]["const"] for one in SCHEMA["properties"][member]["oneOf"]}

    assert types("question") == set(forms._QUESTIONS)
    assert types("answer") == set(forms._ANSWERS)
    assert {one["if"]["properties"]["kind"]["const"] for one in SCHEMA["allOf"]} == set(BUILT_IN_VERIFIERS)
    assert {json.loads(one)["kind"] for one in ALL.values()} == set(BUILT_IN_VERIFIERS)
