"""An API against its own OpenAPI document; apart, since schemathesis is slow to import."""

import asyncio
from http import HTTPStatus
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

DOES_NOT_FIT: Final = frozenset({"malformed-json", "not-json", "invalid-body", "invalid-query"})
"""Refusals of what the document does not allow; it may not be refused so if it does."""
TOO_LONG: Final = frozenset(
    {
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)
"""A body or a path beyond our own limit, and a request line beyond the server's."""


async def assert_speaks_its_openapi(
    address: str,
    headers: dict[str, str] | None = None,
    examples: int = 15,
    known: dict[str, str] | None = None,
    beginning: tuple[str, ...] = ("/",),
) -> int:
    """Ask the API at `address` what its own `/openapi.json` allows and what it does not, `examples` times each
    operation. `known` gives values of path parameters at which there is something: each such path is asked there, too.

    Raise if a response is not as documented, if what fits the document is refused as not fitting (other refusals are
    allowed, a made-up cursor may be refused), and if what does not fit is taken. WebSockets and event streams
    are left out, and paths that do not begin so. Return how many operations were asked.
    """

    def ask() -> int:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        asked = 0
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            responses = operation.definition.raw["responses"]
            if not operation.path.startswith(beginning):
                continue
            if "101" in responses or "text/event-stream" in responses.get("200", {}).get("content", {}):
                continue
            _assert_as_documented(operation, headers, examples, known or {})
            asked += 1
        return asked

    return await asyncio.to_thread(ask)


def _assert_as_documented(operation: Any, headers: dict[str, str] | None, examples: int, known: dict[str, str]) -> None:
    there = {one.name: known[one.name] for one in operation.path_parameters if one.name in known}

    # A failure is shown as it was found: to shrink it takes thousands of calls.
    bounded = settings(
        max_examples=examples,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    @bounded
    @given(case=operation.as_strategy() | operation.as_strategy(path_parameters=there or None))
    def fitting(case: Any) -> None:
        response = case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])
        if response.status_code >= 400:
            assert response.json()["type"].rsplit(":", 1)[1] not in DOES_NOT_FIT, response.text

    @bounded
    @given(case=operation.as_strategy(GenerationMode.NEGATIVE))
    def not_fitting(case: Any) -> None:
        response = case.call(headers=headers)
        # Too long for us to look at is refused as well, which is not among the statuses that it knows for this.
        excluded = [negative_data_rejection] if response.status_code in TOO_LONG else []
        case.validate_response(response, headers=headers, excluded_checks=excluded)

    fitting()
    if operation.body or operation.query:
        not_fitting()
