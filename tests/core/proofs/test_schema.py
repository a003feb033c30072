"""The published JSON Schema of evidence, held against what the codec writes and reads."""

import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.core.proofs import test_ethereum_evidence, test_evidence, test_question_evidence
from tests.core.proofs.forgery import places, replanted

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[3] / "docs/schema/evidence-1.json").read_text(encoding="utf-8")
)
FILES: dict[str, bytes] = {
    f"{name} {number}": file
    for number, module in enumerate((test_evidence, test_ethereum_evidence, test_question_evidence))
    for name, file in module.FILES.items()
}


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft202012Validator:
    jsonschema_rs.meta.validate(SCHEMA)
    return jsonschema_rs.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("name", sorted(FILES))
def test_schema_describes_every_kind_of_evidence(schema: jsonschema_rs.Draft202012Validator, name: str) -> None:
    assert [error.message for error in schema.iter_errors(json.loads(FILES[name]))] == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_schema_has_no_member_of_which_it_says_nothing(name: str) -> None:
    """Each member of each file is named in the schema, with words for people or a pointer to where they are."""
    named = {member for part in _objects(SCHEMA) for member in part.get("properties", {})}
    assert {key for _, key in places(json.loads(FILES[name])) if isinstance(key, str)} <= named


@pytest.mark.parametrize("name", sorted(FILES))
def test_schema_refuses_an_odd_value_in_every_place(schema: jsonschema_rs.Draft202012Validator, name: str) -> None:
    count = len(places({name: value for name, value in json.loads(FILES[name]).items() if name != "digest"}))
    for number in range(count):
        touched = json.loads(replanted(FILES[name], itemgetter(number), {"odd": 1.5}))
        assert not schema.is_valid(touched), number


def test_unknown_members_are_refused(schema: jsonschema_rs.Draft202012Validator) -> None:
    file = json.loads(FILES["record 0"])
    assert not schema.is_valid({**file, "more": 1})
    assert not schema.is_valid({**file, "proof": {**file["proof"], "more": 1}})
    assert not schema.is_valid({**file, "version": 2})
    assert not schema.is_valid({**file, "question": {**file["question"], "type": "lock"}})


def _objects(value: Any) -> list[dict[str, Any]]:
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    inner = [found for member in members for found in _objects(member)]
    return [value, *inner] if isinstance(value, dict) else inner
