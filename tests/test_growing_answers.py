"""Answers may grow fields, and requests refuse what they do not know: in both APIs' documents, and in our clients."""

import asyncio
import typing
from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
import pytest
from msgspec import inspect

from regulator_api.client import RegulatorClient
from relayer.api.bodies import SocketAnswer, SwapBody, SwapCall, WatchCall
from relayer.api.query_bodies import AnsweredBody
from relayer.api.subscription_bodies import PushBody
from relayer.client import RelayerApi
from tests.kit.documents import regulator_document, relayer_document

Json = dict[str, Any]
VERSIONED: typing.Final = {"ClaimView", "OrderDraft", "ProofView", "RestView"}
"""Files with a version of their own, which somebody signs or verifies: their reader has to know every field."""


def answers_of(client: type) -> dict[str, Any]:
    """Return what each public method of a client returns, as far as it is a type of answers."""
    found = {}
    for name, method in vars(client).items():
        if not name.startswith("_") and callable(method):
            hint = get_type_hints(method).get("return")
            # Of iterators and generators, what they give.
            while typing.get_origin(hint) not in (None, list, dict, tuple) and typing.get_args(hint):
                hint = typing.get_args(hint)[0]
            found[name] = hint
    return found


def structs_in(kind: inspect.Type, seen: set[type] | None = None) -> Iterator[inspect.StructType]:
    """Give each struct that a value of this type may contain, once."""
    seen = set() if seen is None else seen
    if isinstance(kind, inspect.StructType):
        if kind.cls in seen:
            return
        seen.add(kind.cls)
        yield kind
        for field in kind.fields:
            yield from structs_in(field.type, seen)
        return
    for name in ("types", "item_types"):
        for one in getattr(kind, name, ()):
            yield from structs_in(one, seen)
    for name in ("item_type", "key_type", "value_type", "type"):
        if isinstance(one := getattr(kind, name, None), inspect.Type):
            yield from structs_in(one, seen)


@pytest.mark.parametrize("client", [RelayerApi, RegulatorClient])
def test_clients_read_answers_with_further_fields(client: type) -> None:
    kinds = [*answers_of(client).values(), *((SocketAnswer, PushBody, AnsweredBody) if client is RelayerApi else ())]
    read = {struct.cls: struct for kind in kinds if kind is not None for struct in structs_in(inspect.type_info(kind))}
    assert len(read) > 1
    assert [kind.__name__ for kind, struct in read.items() if struct.forbid_unknown_fields] == []


def schemas_in(document: Json, part: object, seen: set[str]) -> Iterator[tuple[str, Json]]:
    """Give each schema of an object in a part of a document, with its name."""
    if isinstance(part, list):
        for one in part:
            yield from schemas_in(document, one, seen)
    elif isinstance(part, dict):
        if isinstance(name := part.get("$ref"), str) and name.startswith("#/components/schemas/") and name not in seen:
            seen.add(name)
            schema = document["components"]["schemas"][name.rpartition("/")[2]]
            yield name.rpartition("/")[2], schema
            yield from schemas_in(document, schema, seen)
        for one in part.values():
            yield from schemas_in(document, one, seen)


@pytest.mark.parametrize("document", [relayer_document, lambda: asyncio.run(regulator_document())])
def test_documents_promise_what_clients_may_count_on(document: Any) -> None:
    made = document()
    calls = [call for path in made["paths"].values() for call in path.values() if isinstance(call, dict)]
    answered, asked = set[str](), set[str]()
    closed = [
        name
        for call in calls
        for name, schema in schemas_in(made, call["responses"], answered)
        if schema.get("additionalProperties") is False and name not in VERSIONED
    ]
    assert closed == [], "an answer that may not grow"
    open_ones = [
        name
        for call in calls
        for name, schema in schemas_in(made, call.get("requestBody", {}), asked)
        if schema.get("type") == "object" and "properties" in schema and schema.get("additionalProperties") is not False
    ]
    assert open_ones == [], "a request in which a misspelt field is ignored"


def grown(value: object) -> object:
    """Return a document with a field more in each object."""
    if isinstance(value, dict):
        return {**{name: grown(one) for name, one in value.items()}, "grown_since": [1]}
    return [grown(one) for one in value] if isinstance(value, list) else value


def test_answers_that_have_grown_are_read() -> None:
    terms = {
        "chain": "causeway:a",
        "asset": "causeway:a/asset:x",
        "amount": "1",
        "sender": "causeway:a:1",
        "receiver": "causeway:a:2",
        "hashlock": f"0x{'00' * 32}",
        "timelock": 1,
    }
    leg = {"terms": terms, "holder": None, "status": "absent", "lock_id": None, "lock": None, "settle": None}
    swap = {
        "id": "aa",
        "quote_id": None,
        "role": "liquidity-provider",
        "hashlock": f"0x{'00' * 32}",
        "phase": "agreed",
        "done": False,
        "reason_code": None,
        "reason": None,
        "initiator": leg,
        "participant": leg,
        "preimage": None,
        "lock_deadline": 1,
        "created_at": 1,
        "updated_at": 1,
        "version": 1,
    }
    body = msgspec.json.decode(msgspec.json.encode(grown(swap)), type=SwapBody)
    assert body.initiator.terms.amount == "1"
    with pytest.raises(msgspec.ValidationError, match="grown_since"):
        msgspec.convert({"initiator": {**terms, "grown_since": 1}, "participant": terms}, WatchCall)
    with pytest.raises(msgspec.ValidationError, match=r"unknown field.*quote\.rate"):
        msgspec.convert({"quote": {"rate": {"numerator": "1", "grown_since": 1}}}, SwapCall)
