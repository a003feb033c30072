"""Hidden things cost the database as much as those that never were: no time and no count gives them away.

Counted in statements and in steps of SQLite's machine, which are the same under any load.
`python -m bench.hidden` measures the same questions in time.
"""

import pytest

from core.runtime.clock import ManualClock
from core.runtime.database import InlineDatabase
from tests.regulator_api.api import Api, serving
from tests.regulator_api.costs import Cost, Meter
from tests.regulator_api.hidden import CALLER, Pair, hiding
from tests.regulator_api.rules.test_routes import _filled

MOST_STEPS = 500
"""By which a hidden row may differ: looking up if it is seen, some 20 microseconds, and nothing that grows."""


async def cost(api: Api, meter: Meter, path: str) -> tuple[Cost, int, object]:
    """Return the cost of the question once everything is warm, and its answer."""
    for _ in range(2):
        with meter.counting() as found:
            answer = await api.ask(path, CALLER)
    return found, answer.status, answer.body.get("items") if answer.status == 200 else answer.body["type"]


async def differences(api: Api, meter: Meter, asked: list[Pair]) -> dict[str, int]:
    """By path the steps that the hidden one costs more."""
    found = {}
    for hidden, absent in asked:
        (one, *shown), (other, *not_there) = await cost(api, meter, hidden), await cost(api, meter, absent)
        assert shown == not_there, hidden
        assert one.statements == other.statements > 0, hidden
        assert one.steps > 0
        found[hidden] = one.steps - other.steps
    return found


@pytest.mark.parametrize("members", [5, 150])
async def test_hidden_costs_what_absent_costs(members: int) -> None:
    """However many accounts the caller sees, and others see."""
    database, meter = InlineDatabase(), Meter()
    async with hiding(database, members) as (api, asked):
        await meter.begin(database)
        found = await differences(api, meter, asked)
    await database.close()
    assert {path: steps for path, steps in found.items() if abs(steps) > MOST_STEPS} == {}


async def test_hidden_alert_costs_what_an_absent_one_costs() -> None:
    database, meter = InlineDatabase(), Meter()
    await _filled(database)
    async with serving(database, (), ManualClock()) as api:
        alert = (await api.get("/v1/alerts?limit=1", "developer"))["items"][0]
        absent = alert["id"][::-1]
        await meter.begin(database)
        paths = [
            (f"/v1/alerts/{{}}{rest}".format(alert["id"]), f"/v1/alerts/{absent}{rest}") for rest in ("", "/bundle")
        ]
        found = await differences(api, meter, paths)
    await database.close()
    assert all(abs(steps) <= MOST_STEPS for steps in found.values()), found
