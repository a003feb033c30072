"""The dApp API over HTTP, before a whole relayer on memory chains."""

import io
from dataclasses import replace as changed
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from nacl.signing import SigningKey
from rich.console import Console

from core.model.errors import ConflictError, NotFoundError, RejectedError, RetryableError
from core.model.types import BaseUnits, Preimage
from core.runtime.clock import NS_PER_S
from core.runtime.sockets import free_port
from core.runtime.web import RateLimit, serve
from gateway.status import relayer_status, show_status
from htlc.model import Phase, Role
from relayer import switchboard
from relayer.api import wire
from relayer.api.answers import EXPOSURE_AGE_S
from relayer.api.bodies import PauseBody, QuoteBody, QuoteCall, SwapBody, SwapCall, SwapsQuery, TermsBody, WatchCall
from relayer.client import RelayerApi, SwapStep
from relayer.policy import ExposureLimit
from relayer.provider.exposures import exposures
from relayer.provider.quoting import sign_quote, verify_quote
from relayer.pump import promises
from relayer.switches import Cause, Switch, pair_scope
from tests.openapi import assert_speaks_its_openapi
from tests.relayer.api.world import ApiWorld, run_fast, served
from tests.relayer.house import COIN, A, B

PROBLEM = "urn:causeway:problem:"


async def ask(world: ApiWorld, method: str, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, Any]:
    """Status and JSON; every refusal is a problem document."""
    data = raw if raw is not None else None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"} if data is not None else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, world.address + path, data=data, headers=headers) as response,
    ):
        answer = await response.json(content_type=None)
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
            assert answer["type"].startswith(PROBLEM)
            assert answer["detail"]
            assert answer["request_id"] == response.headers["X-Request-Id"]
        return response.status, answer


async def quoted(world: ApiWorld, amount: int = 1000) -> QuoteBody:
    call = QuoteCall(initiator_asset=COIN[A], participant_asset=COIN[B], initiator_amount=str(amount))
    return await world.api.quote(call)


def opening(world: ApiWorld, quote: QuoteBody, number: int = 1) -> SwapCall:
    return SwapCall(
        quote=quote,
        hashlock=wire.hex_of(Preimage(bytes([number]) * 32).hashlock()),
        initiator_sender=world.initiator[A].account,
        initiator_receiver=world.initiator[B].account,
    )


def test_a_whole_swap_over_http() -> None:
    async def story(world: ApiWorld) -> None:
        async with world.client(world.api) as client:
            swap = await world.agreed(client)
            seen: list[SwapBody] = []
            outcome = await client.run(swap, world.told.append)
            assert outcome.phase is Phase.COMPLETED
        async for body in world.api.updates([swap.id]):
            seen.append(body)
            if body.done:
                break
        assert seen[-1].phase is Phase.COMPLETED
        assert SwapStep.CLAIMED in world.steps()
        told = await world.api.swap(swap.id)
        assert told.preimage == wire.hex_of((await world.store.preimages())[swap.hashlock].expose())
        assert told.initiator.settle is not None
        assert told.initiator.settle.final
        assert await world.gains() == {"relayer": (1000, -2000), "initiator": (-1000, 2000)}

    served(story)


def test_chains_pairs_and_relayer_show_what_a_client_needs() -> None:
    async def story(world: ApiWorld) -> None:
        chains = {chain.id: chain for chain in await world.api.chains()}
        parameters = world.chains[A].access().parameters
        told = chains[A]
        assert told.reachable
        assert told.head is not None
        assert told.finalized is not None
        assert told.head.height - told.finalized.height == 2
        assert told.lag_s is not None
        assert 0 <= told.lag_s <= 3
        assert told.genesis_hash == wire.hex_of(parameters.genesis_hash)
        assert told.htlc_code_hash == wire.hex_of(parameters.htlc_code_hash)
        assert told.timing.inclusion_s == parameters.timing.inclusion_s
        assert [asset.id for asset in told.assets] == [COIN[A]]

        pairs = await world.api.pairs()
        assert {(pair.initiator.id, pair.participant.id) for pair in pairs} == {
            (COIN[A], COIN[B]),
            (COIN[B], COIN[A]),
        }
        assert len({pair.hash for pair in pairs}) == 2

        relayer = await world.api.relayer()
        assert relayer.watchtower
        quote = wire.quote_from(await quoted(world))
        verify_quote(quote, wire.bytes_from(relayer.quote_key, 32, "quote_key"), world.clock.now())

        world.endpoints[B].down = True
        await world.clock.sleep(1)
        down = {chain.id: chain for chain in await world.api.chains()}[B]
        assert (down.reachable, down.head, down.lag_s) == (False, None, None)

    served(story)


def test_exposure_is_what_open_swaps_are_promised() -> None:
    async def story(world: ApiWorld) -> None:
        before = {one["asset"]["id"]: one for one in (await ask(world, "GET", "/v1/exposure"))[1]}
        assert set(before) == {COIN[A], COIN[B]}
        assert {one["promised"] for one in before.values()} == {"0"}
        async with world.client(world.api) as client:
            swap = await world.agreed(client)
        await world.clock.sleep(EXPOSURE_AGE_S)
        status, after = await ask(world, "GET", "/v1/exposure")
        assert status == 200
        found = {one["asset"]["id"]: one for one in after}[COIN[B]]
        assert found["promised"] == (await world.api.swap(swap.id)).participant.terms.amount
        assert (found["chain"], found["locked"], found["swaps"]) == (B, "0", 1)
        assert (found["limits"], found["left"]) == (None, None)
        assert world.initiator[A].account not in str(after), "who it is promised to is nobody's business"

        amount = int(found["promised"])
        limit = ExposureLimit(BaseUnits(amount - 1), BaseUnits(amount), BaseUnits(amount))
        promised = await world.database.read(promises.of_open_swaps)
        policy = changed(world.policy, exposure={COIN[B]: limit})
        [limited] = exposures(promised, policy, world.clock.now_ns())
        shown = wire.exposure_body(limited, world.chains[B].access().parameters.assets[COIN[B]])
        assert shown.left == "0", "limits may be set below what is promised already"
        assert shown.limits is not None
        assert (shown.limits.total, shown.limits.window_s) == (str(amount - 1), policy.window_s)

    served(story)


def test_a_pair_that_is_paused_says_why_and_refuses_quotes() -> None:
    async def story(world: ApiWorld) -> None:
        assert [pair.pause for pair in await world.api.pairs()] == [None, None]
        hashes = [pair.hash for pair in await world.api.pairs()]
        now_ns = world.clock.now_ns()
        made = Switch(pair_scope(COIN[A], COIN[B]), Cause.OPERATOR, "upgrade", now_ns, now_ns + 600 * NS_PER_S)
        await world.database.write(lambda c: switchboard.set_switch(c, made))
        await world.service.guard.look()
        pairs = {pair.initiator.id: pair for pair in await world.api.pairs()}
        assert pairs[COIN[B]].pause is None
        assert pairs[COIN[A]].pause == PauseBody(cause=Cause.OPERATOR, reason=made.sentence, until=made.until_s)
        assert [pair.hash for pair in pairs.values()] == hashes
        body = {"initiator_asset": COIN[A], "participant_asset": COIN[B], "initiator_amount": "1000"}
        status, problem = await ask(world, "POST", "/v1/quotes", body)
        assert (status, problem["type"]) == (503, f"{PROBLEM}paused")
        assert (problem["scope"], problem["cause"], problem["until"]) == (made.scope, "operator", made.until_s)
        with pytest.raises(RetryableError, match="paused by its operator: upgrade; until"):
            await quoted(world)
        out = io.StringIO()
        show_status({"relayers": {"r": await relayer_status(world.address)}}, Console(file=out, width=200))
        assert made.sentence in out.getvalue()

    served(story)


def test_same_opening_answers_the_same_swap_another_conflicts() -> None:
    async def story(world: ApiWorld) -> None:
        quote = await quoted(world)
        call = opening(world, quote)
        first = await world.api.open_swap(call)
        assert (await world.api.open_swap(call)).id == first.id
        assert first.initiator.terms.hashlock == call.hashlock
        with pytest.raises(ConflictError, match="quote has opened another swap"):
            await world.api.open_swap(opening(world, quote, 2))
        with pytest.raises(ConflictError, match="hashlock was used"):
            await world.api.open_swap(opening(world, await quoted(world)))
        assert [swap.id for swap in await world.api.swaps()] == [first.id]
        assert (await world.api.swaps(SwapsQuery(done=True))) == []
        by_lock = await world.api.swaps(SwapsQuery(hashlock=call.hashlock, account=call.initiator_sender, limit=1))
        assert [swap.id for swap in by_lock] == [first.id]
        assert await world.api.swaps(SwapsQuery(before=first.id)) == []

    served(story)


def test_bad_input_is_refused_with_a_clear_problem_only() -> None:
    async def story(world: ApiWorld) -> None:
        good = {"initiator_asset": COIN[A], "participant_asset": COIN[B], "initiator_amount": "1000"}

        async def refused(method: str, path: str, status: int, code: str, detail: str, **sent: Any) -> dict[str, Any]:
            got, answer = await ask(world, method, path, **sent)
            assert (got, answer["type"]) == (status, PROBLEM + code), answer
            assert detail in answer["detail"], answer
            return dict(answer)

        await refused("POST", "/v1/quotes", 400, "malformed-json", "cannot be read", raw=b'{"initiator_asset": ')
        await refused("POST", "/v1/quotes", 400, "malformed-json", "cannot be read", raw=b"\xff\xfe")
        await refused("POST", "/v1/quotes", 413, "body-too-large", "shorter", raw=b'"' + b"a" * 70_000 + b'"')
        unknown = await refused(
            "POST", "/v1/quotes", 422, "invalid-body", "unknown field", body={**good, "discount": "1"}
        )
        assert "discount" in unknown["errors"][0]["detail"]
        for amount in ("0", "-1", "1.5", "1e3", "01", "٣", "5\n", "9" * 79, 1000, None, ""):
            await refused("POST", "/v1/quotes", 422, *any_of(amount), body={**good, "initiator_amount": amount})
        await refused("POST", "/v1/quotes", 422, "rejected", "2^256", body={**good, "initiator_amount": str(2**256)})
        await refused("POST", "/v1/quotes", 422, "rejected", "one of the two", body={**good, "participant_amount": "1"})
        await refused("POST", "/v1/quotes", 422, "rejected", "this pair takes", body={**good, "initiator_amount": "1"})
        await refused(
            "POST", "/v1/quotes", 404, "not-found", "no such pair", body={**good, "participant_asset": COIN[A]}
        )
        await refused(
            "POST", "/v1/quotes", 422, "malformed-identifier", "CAIP-19", body={**good, "participant_asset": "bitcoin"}
        )
        await refused(
            "POST", "/v1/quotes", 409, "conflict", "pair has changed", body={**good, "pair_hash": "0x" + "00" * 32}
        )
        await refused("GET", "/v1/swaps/" + "0" * 32, 404, "not-found", "no swap")
        await refused("GET", "/v1/swaps/../../etc", 404, "no-route", "openapi.json")
        await refused("GET", "/v1/swaps?limit=0", 422, "invalid-query", "limit")
        await refused("GET", "/v1/swaps?colour=red", 422, "invalid-query", "colour")
        await refused("GET", "/v1/swaps?hashlock=0x12", 422, "invalid-query", "hashlock")
        await refused("GET", "/v1/swaps?account=me", 422, "malformed-identifier", "CAIP-10")
        await refused("GET", "/v1/swaps?account=memory:c:00", 404, "not-found", "not a chain of this relayer")
        await refused("GET", "/v1/ws", 426, "not-a-websocket", "WebSocket")
        await refused("DELETE", "/v1/swaps", 405, "method-not-allowed", "GET")

        quote = await quoted(world)
        call = msgspec.to_builtins(opening(world, quote))

        async def not_opened(status: int, code: str, detail: str, **changes: Any) -> None:
            await refused("POST", "/v1/swaps", status, code, detail, body={**call, **changes})

        def altered(**changes: Any) -> dict[str, Any]:
            return {**call["quote"], **changes}

        mistyped = "eip155:31337:0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
        await not_opened(422, "malformed-identifier", "EIP-55", initiator_receiver=mistyped)
        await not_opened(422, "malformed-identifier", "EIP-55", initiator_sender=mistyped)
        await not_opened(422, "malformed-identifier", "SPACE", initiator_receiver=call["initiator_receiver"] + " ")
        twice = msgspec.json.encode(call)[:-1] + b',"hashlock":"0x' + b"11" * 32 + b'"}'
        await refused("POST", "/v1/swaps", 400, "malformed-json", "more than once", raw=twice)
        await not_opened(422, "rejected", "signature does not fit", quote=altered(participant_amount="9999"))
        await not_opened(422, "rejected", "signature does not fit", quote=altered(signature="0x" + "11" * 64))
        await not_opened(422, "rejected", "another key", quote=altered(key="0x" + "11" * 32))
        await not_opened(422, "invalid-body", "#/quote/key", quote=altered(key="11"))
        await not_opened(422, "invalid-body", "#/hashlock", hashlock="0x1234")
        await not_opened(422, "invalid-body", "unknown field", memo="hello")
        await not_opened(422, "rejected", "locks on memory:a", initiator_sender=call["initiator_receiver"])
        await not_opened(422, "rejected", "paid on memory:b", initiator_receiver=call["initiator_sender"])
        await not_opened(422, "rejected", "does not swap with itself", initiator_sender=world.relayer[A].account)
        old = changed(wire.quote_from(quote), issued_at=1, expires_at=int(world.clock.now()))
        signed = wire.quote_body(sign_quote(old, SigningKey(bytes(32))))
        await not_opened(422, "rejected", "expired", quote=msgspec.to_builtins(signed))
        assert await world.api.swaps() == []

    served(story)


def any_of(amount: object) -> tuple[str, str]:
    """Return the refusals of an amount that is not one."""
    if amount is None:
        return "rejected", "one of the two"
    return ("rejected", "decimal") if amount == "5\n" else ("invalid-body", "#/initiator_amount")


def test_errors_reach_the_client_as_what_they_are() -> None:
    async def story(world: ApiWorld) -> None:
        with pytest.raises(NotFoundError):
            await world.api.swap("0" * 32)
        with pytest.raises(RejectedError, match="this pair takes") as refused:
            await quoted(world, 1)
        assert refused.value.fields["minimum"] == 10
        with pytest.raises(RejectedError) as invalid:
            await world.api.swaps(SwapsQuery(limit=0))
        assert invalid.value.fields["problem"] == "invalid-query"

    served(story)


def test_excessive_caller_waits_and_a_failed_api_is_tried_again() -> None:
    async def story(world: ApiWorld) -> None:
        for _ in range(3):
            await world.api.pairs()
        with pytest.raises(RetryableError, match="wait") as refused:
            await world.api.pairs()
        assert refused.value.fields["problem"] == "rate-limited"

    served(story, RateLimit(per_second=0.01, burst=3))

    async def gone() -> None:
        async with RelayerApi(f"http://127.0.0.1:{free_port()}") as api:
            with pytest.raises(RetryableError, match="does not answer"):
                await api.pairs()

    run_fast(gone())


def test_two_other_parties_have_their_swap_watched() -> None:
    async def story(world: ApiWorld) -> None:
        others = {chain: world.chains[chain].signer("bob", {COIN[chain]: 5000}) for chain in (A, B)}
        now = int(world.clock.now())
        lock = wire.hex_of(Preimage(b"\x05" * 32).hashlock())
        call = WatchCall(
            initiator=TermsBody(
                chain=A,
                asset=COIN[A],
                amount="70",
                sender=world.initiator[A].account,
                receiver=others[A].account,
                hashlock=lock,
                timelock=now + 60,
            ),
            participant=TermsBody(
                chain=B,
                asset=COIN[B],
                amount="80",
                sender=others[B].account,
                receiver=world.initiator[B].account,
                hashlock=lock,
                timelock=now + 30,
            ),
        )
        watched = await world.api.watch(call)
        assert (watched.role, watched.quote_id, watched.phase) == (Role.WATCHTOWER, None, Phase.AGREED)
        assert (await world.api.watch(call)).id == watched.id
        nonsense = WatchCall(initiator=call.initiator, participant=call.initiator)
        with pytest.raises(RejectedError):
            await world.api.watch(nonsense)

    served(story)


def test_the_api_speaks_as_its_openapi_document_says() -> None:
    async def story(world: ApiWorld) -> None:
        swap = await world.api.open_swap(opening(world, await quoted(world)))
        assert await assert_speaks_its_openapi(world.address, examples=10, known={"id": swap.id}) == 24

    served(story)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (422, b'{"type":"urn:causeway:problem:rejected","message":"m","self":1,"code":2,"fields":3,"detail":"no"}'),
        (422, b'{"type":["x"],"detail":{"a":1},"status":"many"}'),
        (404, b"<html>"),
        (409, b"[" * 100_000),
        (500, b"\xff"),
        (200, b"[" * 100_000),
        (200, b"{}"),
        (302, b""),
    ],
)
def test_any_answer_becomes_an_error_of_ours(status: int, answer: bytes) -> None:
    async def answering(_: web.Request) -> web.Response:
        return web.Response(status=status, body=answer)

    async def story() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answering)
        async with serve(app, "127.0.0.1", 0) as address, RelayerApi(address) as api:
            with pytest.raises(RejectedError if 400 <= status < 500 else RetryableError) as caught:
                await api.swap("../../etc?x=#")
            assert len(caught.value.message) < 2_000

    run_fast(story())
