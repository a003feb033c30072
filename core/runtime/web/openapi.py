"""OpenAPI 3.1 from route declarations and msgspec Structs: what is documented is what is checked."""

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import inspect

from core.model.errors import require
from core.runtime.web import auth, problems
from core.runtime.web.routes import Deprecation, Route

_REF: Final = "#/components/schemas/{name}"
_REQUEST_ID: Final = {
    "description": "The call in the service's log; the caller's own if it sent a good one.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$"},
}
_RETRY_AFTER: Final = {
    "description": "Seconds to wait before the same call (RFC 9110 section 10.2.3).",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}
_LOCATION: Final = {
    "description": "The path at which to look for what becomes of it.",
    "schema": {"type": "string", "pattern": "^/v1/"},
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same call under the same key is answered as the first time, for a day; a UUID.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
}
_PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`respond-async`: answer 202 at once, or after `wait=` seconds (RFC 7240).",
    "schema": {"type": "string", "examples": ["respond-async", "respond-async, wait=10"]},
}
_DEPRECATION: Final = {
    "Deprecation": {
        "description": "Since when callers should not use it: `@` and Unix seconds (RFC 9745).",
        "schema": {"type": "string", "pattern": "^@[0-9]+$"},
    },
    "Sunset": {"description": "From when on it may be gone (RFC 8594).", "schema": {"type": "string"}},
    "Link": {"description": "What to use instead, and words about it (RFC 8288).", "schema": {"type": "string"}},
}
_RETRIED: Final = frozenset({409, 429, 503})
_PROBLEM: Final = {
    "type": "object",
    "description": "An RFC 9457 problem document.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "additionalProperties": True,
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Names the kind of problem; stable."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what to do about it."},
        "request_id": {"type": "string", "description": "Stands in the service's log, too."},
        "retry_after_s": {"type": "integer", "description": "Seconds to wait before the same call."},
        "as_of": {
            "type": "string",
            "description": "The newest block of each chain that the refusal rests on, as the parameter `as_of` has it.",
        },
        "labels": {"type": "integer", "description": "The label version that the refusal rests on."},
        "errors": {
            "type": "array",
            "description": "Which parts of the request are wrong.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer (RFC 6901) as a URI fragment."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def openapi(
    routes: Sequence[Route], *, title: str, version: str, description: str = "", bearer: bool = False
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `routes`, ready for JSON. `bearer`: access tokens are taken, too (RFC 6750)."""
    schemes: dict[str, Any] = {"apiKey": {"type": "apiKey", "in": "header", "name": auth.HEADER}}
    if bearer:
        schemes["bearer"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    every = [kind for route in routes for kind in (route.answer, route.or_answer, route.accepted)]
    every += [route.flag.kind for route in routes if route.flag is not None]
    answers = [kind for kind in every if kind is not None]
    bodies = [route.body for route in routes if route.body is not None]
    types = list(dict.fromkeys([*bodies, *answers]))
    queries = list(dict.fromkeys(route.query for route in routes if route.query is not None))
    schemas, components = msgspec.json.schema_components([*types, *queries], ref_template=_REF)
    # msgspec names two types of one name by their modules, and generators cannot read such names.
    twins = [name for name in components if "." in name]
    require(not twins, "types of an API have names of their own", twins=twins)
    by_type = dict(zip([*types, *queries], schemas, strict=True))
    for query in queries:
        # Described as parameters, one by one; nothing refers to the Struct itself.
        by_type[query] = components.pop(by_type[query]["$ref"].rsplit("/", 1)[1])
    for kind in set(_structs(answers)) - set(_structs(bodies)):
        _require_all(kind, components)
    for route in routes:
        if route.flag is not None:
            components[route.answer.__name__]["properties"][route.flag.member] = by_type[route.flag.kind]
    for schema in components.values():
        _omit_null(schema)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, by_type, schemes)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": schemes,
        },
    }


def _structs(types: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """Every Struct in these types, however deep."""
    waiting: list[Any] = list(inspect.multi_type_info(types))
    seen = set[type[msgspec.Struct]]()
    while waiting:
        match waiting.pop():
            case inspect.Metadata(type=inner):
                waiting.append(inner)
            case inspect.StructType(cls=cls, fields=fields) if cls not in seen:
                seen.add(cls)
                yield cls
                waiting += [field.type for field in fields]
            case inspect.CollectionType(item_type=item):
                waiting.append(item)
            case inspect.TupleType(item_types=items):
                waiting += items
            case inspect.DictType(key_type=key, value_type=value):
                waiting += (key, value)
            case inspect.UnionType(types=members):
                waiting += members


def _require_all(kind: type[msgspec.Struct], components: dict[str, Any]) -> None:
    """An answer has every member, also those that a reader may leave out when it makes one."""
    schema = components.get(kind.__name__)
    if schema is None or kind.__struct_config__.omit_defaults:
        return
    for member in schema["properties"].values():
        member.pop("default", None)
    schema["required"] = list(schema["properties"])


def _omit_null(schema: dict[str, Any]) -> None:
    """A member that may be left out is left out: a default of null makes generators ask for it."""
    for member in schema.get("properties", {}).values():
        if member.get("default", ...) is None:
            del member["default"]


def _operation(route: Route, by_type: dict[Any, dict[str, Any]], schemes: Iterable[str]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": _responses(route, by_type),
    }
    words = [route.description]
    if route.deprecated is not None:
        operation["deprecated"] = True
        words.append(route.deprecated.sentence)
        _document_headers(operation["responses"], route.deprecated)
    if any(words):
        operation["description"] = " ".join(filter(None, words))
    keyed = [_IDEMPOTENCY_KEY] if route.idempotent else []
    prefers = [_PREFER] if route.accepted is not None else []
    if parameters := [*_path_parameters(route), *_query_parameters(route, by_type), *keyed, *prefers]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_type[route.body]}},
        }
    if route.scope is not None:
        operation["security"] = [{scheme: []} for scheme in schemes]
        operation["x-scope"] = route.scope
    return operation


def _document_headers(responses: dict[str, Any], deprecation: Deprecation) -> None:
    for response in responses.values():
        shown = {name: _DEPRECATION[name] for name in deprecation.headers}
        response["headers"] = response["headers"] | shown


def _operation_id(route: Route) -> str:
    words = route.template.replace("{", "").replace("}", "").replace(".", "_").replace("-", "_").strip("/").split("/")
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name, pattern in route.path_parameters:
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if pattern is not None:
            schema["pattern"] = f"^{pattern}$" if "|" not in pattern else f"^({pattern})$"
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route, by_type: dict[Any, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    schema: dict[str, Any] = {"properties": {}} if route.query is None else by_type[route.query]
    if (flag := route.flag) is not None and flag.name not in schema["properties"]:
        member: dict[str, Any] = {"type": "boolean", "default": False, "description": flag.description}
        yield {"name": flag.name, "in": "query", "required": False, "schema": member, "description": flag.description}
    for name, documented in schema["properties"].items():
        member = _without_null(documented)
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": member}
        if "description" in member:
            parameter["description"] = member["description"]
        yield parameter


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: a parameter is there with a value, or is not there."""
    member = dict(schema)
    kinds = [kind for kind in member.pop("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        member |= kinds[0]
    elif kinds:
        member["anyOf"] = kinds
    if member.get("default", ...) is None:
        del member["default"]
    return member


def _responses(route: Route, by_type: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    status = 101 if route.websocket else route.status
    success: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if route.answer is not None and not route.websocket:
        schemas = [by_type[kind] for kind in (route.answer, route.or_answer) if kind is not None]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        success["content"] = {route.content_type: {"schema": schema}}
    success["headers"] = {"X-Request-Id": _REQUEST_ID}
    responses = {str(status): success}
    if route.accepted is not None:
        responses["202"] = {
            "description": HTTPStatus.ACCEPTED.phrase,
            "content": {"application/json": {"schema": by_type[route.accepted]}},
            "headers": {"X-Request-Id": _REQUEST_ID, "Location": _LOCATION},
        }
    for code, sentence in sorted({**_usual_problems(route), **dict(route.problems)}.items()):
        responses[str(code)] = _problem_response(code, sentence)
    return responses


def _usual_problems(route: Route) -> dict[int, str]:
    usual = {429: "Too many requests.", 500: "A mistake of ours.", 503: "Not available now; try again."}
    if route.body is not None:
        usual |= {
            400: "The body is not JSON.",
            408: "The body does not arrive in time.",
            413: "The body is too large.",
            415: "The body is not declared as JSON.",
            422: "The body does not fit.",
        }
    if route.query is not None or route.flag is not None:
        usual[422] = "The query does not fit."
    if route.idempotent:
        usual |= {
            400: "The body is not JSON, or the idempotency key is malformed.",
            409: "The idempotency key is under way.",
            422: "The body does not fit, or the idempotency key came with another request.",
        }
    if route.path_parameters:
        usual[404] = "No such thing."
    if route.query is not None or route.flag is not None or route.path_parameters:
        usual |= {414: "The path is too long.", 431: "The request line, or a header, is too long."}
    if route.scope is not None:
        usual |= {401: "Credentials are missing or not known.", 403: f"The caller lacks the scope {route.scope}."}
    if route.websocket:
        usual[426] = "Not a WebSocket handshake."
    return usual


def _problem_response(code: int, sentence: str) -> dict[str, Any]:
    headers = {"X-Request-Id": _REQUEST_ID}
    if code in _RETRIED:
        headers["Retry-After"] = _RETRY_AFTER
    return {
        "description": sentence,
        "headers": headers,
        "content": {problems.CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
