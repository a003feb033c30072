"""An API against its own OpenAPI document; apart, since schemathesis is slow to import."""

import asyncio
from typing import Any

import schemathesis
from hypothesis import given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance


async def assert_speaks_its_openapi(address: str, headers: dict[str, str] | None = None, examples: int = 15) -> int:
    """Ask the API at `address` what its own `/openapi.json` allows, `examples` times each operation.

    Raise if a response is not as documented: refusing what fits the schema is allowed, a made-up cursor does.
    WebSockets are left out. Return how many operations were asked.
    """

    def ask() -> int:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        asked = 0
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            if "101" in operation.definition.raw["responses"]:
                continue

            @settings(max_examples=examples)
            @given(case=operation.as_strategy())
            def matches(case: Any) -> None:
                case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

            matches()
            asked += 1
        return asked

    return await asyncio.to_thread(ask)
