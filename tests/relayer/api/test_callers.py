"""Strangers at a relayer: they get a share, and nothing that costs it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec

from adapters.memory import MemorySigner
from core.model.types import AccountId, Hashlock, Seconds, SwapId
from htlc.timelocks import SwapPolicy
from relayer.api import wire
from relayer.api.bodies import SwapCall, WatchCall
from relayer.policy import OpeningPolicy, WatchPolicy
from relayer.provider.desk import OpenSwap
from tests.relayer.api.test_api import ask, opening, quoted
from tests.relayer.api.world import ApiWorld, run_fast
from tests.relayer.house import START, A, B

MINUTE = Seconds(60)
PATIENT = SwapPolicy(lock_s=MINUTE, claim_s=MINUTE, initiator_outage_s=MINUTE, participant_outage_s=MINUTE)


def served(story: Callable[[ApiWorld], Awaitable[None]], **changes: object) -> None:
    async def run() -> None:
        world = ApiWorld()
        world.policy = replace(world.policy, swap=PATIENT, **changes)  # type: ignore[arg-type]
        async with world.served():
            await story(world)

    run_fast(run())


async def asked(world: ApiWorld, path: str, call: SwapCall | None = None) -> tuple[int, Any]:
    """The answer, once the relayer can give one: on a machine that is busy its chains may seem to lag."""
    for _ in range(30):
        status, body = await ask(world, "POST", path, call)
        if status != 503:
            break
        await world.clock.sleep(1)
    return status, body


async def calls_of(world: ApiWorld, count: int, amount: int) -> list[SwapCall]:
    """Of one account."""
    return [opening(world, await quoted(world, amount), number + 1) for number in range(count)]


async def proven(world: ApiWorld, call: SwapCall, signer: MemorySigner | None = None) -> SwapCall:
    """The call with a proof of its own initiator."""
    request = OpenSwap(
        wire.quote_from(call.quote),
        Hashlock(wire.bytes_from(call.hashlock, 32, "hashlock")),
        AccountId(call.initiator_sender),
        AccountId(call.initiator_receiver),
    )
    proof = (await world.proven(request, signer)).proof
    assert proof is not None
    return msgspec.structs.replace(call, proof=wire.hex_of(proof))


def test_openings_without_a_proof_leave_all_inventory_to_others() -> None:
    """Each for a quarter of it: all are agreed and say that nothing is kept, and a proven one for a half is kept."""

    async def story(world: ApiWorld) -> None:
        calls = await calls_of(world, 4, START // 8)
        bodies = [(await asked(world, "/v1/swaps", call))[1] for call in calls]
        assert [body["reserved"] for body in bodies] == [False] * 4
        assert all("came without a proof of funds; nothing is kept" in body["reservation"] for body in bodies)
        call = await proven(world, opening(world, await quoted(world, START // 4), 9))
        status, body = await asked(world, "/v1/swaps", call)
        assert (status, body["reserved"]) == (200, True)
        assert "keeps its part for your lock until" in body["reservation"]
        assert (await world.api.swap(body["id"])).reserved
        assert not (await world.api.swap(bodies[0]["id"])).reserved

    served(story)


def test_a_proof_that_is_not_one_is_refused() -> None:
    async def story(world: ApiWorld) -> None:
        call = opening(world, await quoted(world), 3)
        other = await proven(world, opening(world, await quoted(world), 4))
        theirs = world.chains[A].signer("somebody else", {})
        assert other.proof is not None
        for proof, kind in (
            (other.proof, "rejected"),
            ("0x" + "00" * 96, "rejected"),
            ("0x" + "ff" * 65, "rejected"),
            ("0x" + "ab" * 1_024, "rejected"),
            ("0x" + "ab" * 1_025, "invalid-body"),
            ("0x", "invalid-body"),
            ("nothing", "invalid-body"),
        ):
            status, problem = await asked(world, "/v1/swaps", msgspec.structs.replace(call, proof=proof))
            assert (status, problem["type"]) == (422, f"urn:causeway:problem:{kind}")
        stolen = msgspec.structs.replace(call, initiator_sender=theirs.account)
        status, _ = await asked(
            world, "/v1/swaps", msgspec.structs.replace(stolen, proof=(await proven(world, call)).proof)
        )
        assert status == 422
        assert await world.api.swaps() == []

    served(story)


def test_four_proven_openings_at_once_leave_inventory_to_others() -> None:
    """Each for a quarter of it, over one address: the answer to what is too much is 429, and others still open."""

    async def story(world: ApiWorld) -> None:
        calls = [await proven(world, call) for call in await calls_of(world, 4, START // 8)]
        answers = await asyncio.gather(*(asked(world, "/v1/swaps", call) for call in calls))
        statuses = sorted(status for status, _ in answers)
        assert statuses == [200, 200, 429, 429]
        problem = next(body for status, body in answers if status == 429)
        assert problem["type"] == "urn:causeway:problem:too-many"
        assert 0 < problem["retry_after_s"] <= 180
        others = {chain: world.chains[chain].signer("somebody else", {}) for chain in (A, B)}
        call = opening(world, await quoted(world, START // 16), 9)
        status, _ = await asked(
            world,
            "/v1/swaps",
            SwapCall(
                quote=call.quote,
                hashlock=call.hashlock,
                initiator_sender=others[A].account,
                initiator_receiver=others[B].account,
            ),
        )
        assert status == 200

    served(story)


def test_openings_of_one_account_end_at_a_number() -> None:
    async def story(world: ApiWorld) -> None:
        calls = await calls_of(world, 5, 100)
        statuses = [(await asked(world, "/v1/swaps", call))[0] for call in calls]
        assert statuses == [200, 200, 200, 429, 429]
        assert (await asked(world, "/v1/swaps", calls[0]))[0] == 200, "the same request is the same swap"
        view = await world.service.desk.swap(SwapId((await world.api.swaps())[0].id))
        await world.lock(view.initiator.terms)
        await world.clock.sleep(3)
        call = opening(world, await quoted(world), 7)
        assert (await asked(world, "/v1/swaps", call))[0] == 200, "what was locked on counts no more"

    served(story, opening=OpeningPolicy(max_per_account=3))


def test_nobody_s_swap_is_watched_unless_the_operator_says_so() -> None:
    async def story(world: ApiWorld) -> None:
        call = opening(world, await quoted(world))
        body = await world.api.open_swap(call)
        watch = WatchCall(initiator=body.initiator.terms, participant=body.participant.terms)
        status, problem = await ask(world, "POST", "/v1/watches", watch)
        assert (status, problem["type"]) == (404, "urn:causeway:problem:not-found")
        assert not (await world.api.relayer()).watchtower

    served(story, watch=WatchPolicy())


def test_an_early_refund_is_given_for_what_came_to_nothing_only() -> None:
    async def story(world: ApiWorld) -> None:
        body = await world.api.open_swap(opening(world, await quoted(world)))
        path = f"/v1/swaps/{body.id}/early-refund"
        status, problem = await ask(world, "POST", path)
        assert (status, problem["type"]) == (409, "urn:causeway:problem:conflict")
        assert "agreed" in problem["detail"]
        view = await world.service.desk.swap(SwapId((await world.api.swaps())[0].id))
        await world.lock(view.initiator.terms)
        await world.locked(view.id, view.participant.leg)
        assert (await ask(world, "POST", path))[0] == 409
        assert (await world.api.swap(body.id)).phase == "both-locked"
        assert (await ask(world, "POST", f"/v1/swaps/{'00' * 16}/early-refund"))[0] == 404

    served(story, opening=OpeningPolicy(early_refunds=True))


def test_early_refund_is_offered_only_if_the_operator_says_so() -> None:
    async def story(world: ApiWorld) -> None:
        body = await world.api.open_swap(opening(world, await quoted(world)))
        status, problem = await ask(world, "POST", f"/v1/swaps/{body.id}/early-refund")
        assert status == 404
        assert "from then on anybody can send the refund" in problem["detail"]

    served(story)
