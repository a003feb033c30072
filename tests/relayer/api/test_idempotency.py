"""`Idempotency-Key` over HTTP, before a whole relayer on memory chains."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from core.runtime.web import idempotency
from relayer.api.bodies import QuoteCall
from tests.relayer.api.test_api import opening, quoted
from tests.relayer.api.world import ApiWorld, served
from tests.relayer.house import COIN, A, B

CALL = QuoteCall(initiator_asset=COIN[A], participant_asset=COIN[B], initiator_amount="1000")
PROBLEM = "urn:causeway:problem:"


async def post(world: ApiWorld, key: str | None, call: Any = CALL, path: str = "/v1/quotes") -> tuple[int, Any, bool]:
    """Status, JSON, and if it was answered before."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    async with (
        aiohttp.ClientSession() as session,
        session.post(world.address + path, data=msgspec.json.encode(call), headers=headers) as response,
    ):
        return response.status, await response.json(content_type=None), "Idempotency-Replayed" in response.headers


def test_same_key_and_body_answers_the_first_answer() -> None:
    async def story(world: ApiWorld) -> None:
        status, first, replayed = await post(world, "one")
        assert (status, replayed) == (200, False)
        assert await post(world, "one") == (200, first, True)
        assert await post(world, '"one"') == (200, first, True)
        assert (await post(world, "two"))[1]["id"] != first["id"]
        assert (await post(world, None))[1]["id"] != first["id"]
        call = opening(world, await quoted(world))
        _, swap, _ = await post(world, "three", call, "/v1/swaps")
        assert await post(world, "three", call, "/v1/swaps") == (200, swap, True)

    served(story)


def test_key_with_another_request_is_refused() -> None:
    async def story(world: ApiWorld) -> None:
        await post(world, "one")
        other = msgspec.structs.replace(CALL, initiator_amount="1001")
        status, problem, _ = await post(world, "one", other)
        assert (status, problem["type"]) == (422, PROBLEM + "idempotency-key-reused")
        status, problem, _ = await post(world, "one", CALL, "/v1/watches")
        assert (status, problem["type"]) == (422, PROBLEM + "idempotency-key-reused")
        for bad in ("", "a b", "x" * 129, "é"):
            status, problem, _ = await post(world, bad)
            assert (status, problem["type"]) == (400, PROBLEM + "malformed-idempotency-key")

    served(story)


def test_refusal_is_not_kept() -> None:
    async def story(world: ApiWorld) -> None:
        wrong = msgspec.structs.replace(CALL, initiator_amount="1")
        assert (await post(world, "one", wrong))[0] == 422
        status, _, replayed = await post(world, "one")
        assert (status, replayed) == (200, False)

    served(story)


def test_calls_at_once_under_one_key_act_once() -> None:
    async def story(world: ApiWorld) -> None:
        answers = await asyncio.gather(*(post(world, "one") for _ in range(8)))
        quotes = {answer["id"] for status, answer, _ in answers if status == 200}
        assert len(quotes) == 1
        assert {answer["type"] for status, answer, _ in answers if status != 200} <= {
            PROBLEM + "idempotency-key-in-use"
        }

    served(story)


def test_key_is_forgotten_after_a_day_and_beyond_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_KEYS_OF_A_CALLER", 3)

    async def story(world: ApiWorld) -> None:
        firsts = [(await post(world, str(n)))[1]["id"] for n in range(5)]
        assert [(await post(world, str(n)))[1]["id"] == firsts[n] for n in (4, 3, 2)] == [True, True, True]
        assert (await post(world, "0"))[1]["id"] != firsts[0]
        monkeypatch.setattr(idempotency, "KEPT_S", 0)
        await world.clock.sleep(0.01)
        assert (await post(world, "4"))[1]["id"] != firsts[4]

    served(story)
