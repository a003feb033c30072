"""The WebSocket: subscriptions, pushes, limits."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from core.runtime.web.limits import RateLimit
from htlc.model import Phase
from relayer.api import socket as api_socket
from relayer.api.socket import MAX_MESSAGE_BYTES, MAX_SUBSCRIPTIONS
from relayer.client import SwapStep
from tests.relayer.api.test_api import opening, quoted
from tests.relayer.api.world import ApiWorld, served


class Talk:
    """One WebSocket as a dApp in any language sees it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **call: Any) -> None:
        await self.socket.send_str(msgspec.json.encode(call).decode())

    async def hear(self, event: str | None = None) -> dict[str, Any]:
        """The next message (of this event)."""
        async with asyncio.timeout(60):
            while True:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                answer: dict[str, Any] = msgspec.json.decode(message.data)
                if event in (None, answer["event"]):
                    return answer


def talked(story: Any) -> None:
    async def run(world: ApiWorld) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(world.address + "/v1/ws") as socket:
            await story(world, Talk(socket))

    served(run)


def test_a_swap_is_pushed_from_its_opening_to_its_end() -> None:
    async def story(world: ApiWorld, talk: Talk) -> None:
        async with world.client(world.api) as client:
            swap = await world.agreed(client)
            await talk.say(op="subscribe", channel="swap.update", args=[swap.id])
            assert (await talk.hear("subscribe"))["args"] == [swap.id]
            running = asyncio.create_task(client.run(swap))
            phases: list[str] = []
            versions: list[int] = []
            while not phases or phases[-1] != Phase.COMPLETED:
                for body in (await talk.hear("update"))["swaps"]:
                    assert body["id"] == swap.id
                    phases.append(body["phase"])
                    versions.append(body["version"])
            assert versions == sorted(set(versions))
            assert {Phase.AGREED, Phase.INITIATOR_LOCKED, Phase.BOTH_LOCKED, Phase.COMPLETED} <= set(phases)
            await running

    talked(story)


def test_follower_of_all_hears_of_new_swaps_until_unsubscribing() -> None:
    async def story(world: ApiWorld, talk: Talk) -> None:
        await talk.say(op="subscribe", channel="swap.update", args=["*"])
        await talk.hear("subscribe")
        opened = await world.api.open_swap(opening(world, await quoted(world)))
        assert (await talk.hear("update"))["swaps"][0]["id"] == opened.id
        await talk.say(op="unsubscribe", channel="swap.update", args=["*"])
        assert (await talk.hear("unsubscribe")).get("args", []) == []
        await world.api.open_swap(opening(world, await quoted(world), 2))
        await talk.say(op="ping")
        assert (await talk.hear())["event"] == "pong"

    talked(story)


def test_malformed_call_is_answered_and_the_socket_stays_open() -> None:
    async def story(world: ApiWorld, talk: Talk) -> None:
        opened = await world.api.open_swap(opening(world, await quoted(world)))
        unknown = "0" * 32
        bad: list[tuple[dict[str, Any], str, str]] = [
            ({"op": "dance"}, "rejected", "op must be"),
            ({"op": "subscribe", "channel": "weather", "args": ["*"]}, "not-found", "two channels"),
            ({"op": "subscribe", "channel": "swap.update"}, "rejected", "name the swaps"),
            ({"op": "subscribe", "channel": "swap.update", "args": [opened.id, unknown]}, "not-found", unknown),
            ({"op": "ping", "extra": 1}, "rejected", "unknown field"),
            (
                {"op": "subscribe", "channel": "swap.update", "args": [f"{n:032x}" for n in range(101)]},
                "rejected",
                str(MAX_SUBSCRIPTIONS),
            ),
        ]
        for call, code, words in bad:
            await talk.say(**call)
            problem = (await talk.hear())["problem"]
            assert problem["type"].endswith(":" + code), problem
            assert words in problem["detail"]
        await talk.socket.send_str("{")
        assert (await talk.hear("error"))["problem"]["status"] == 422
        await talk.socket.send_bytes(b"\x00")
        assert "text" in (await talk.hear("error"))["problem"]["detail"]
        await talk.say(op="ping")
        assert (await talk.hear())["event"] == "pong"

    talked(story)


def test_too_long_message_ends_only_its_own_socket() -> None:
    async def story(world: ApiWorld, talk: Talk) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(world.address + "/v1/ws") as flood:
            await flood.send_str("x" * (MAX_MESSAGE_BYTES + 1))
            closed = await flood.receive()
            assert closed.type is aiohttp.WSMsgType.CLOSE
            assert closed.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        await talk.say(op="ping")
        assert (await talk.hear())["event"] == "pong"

    talked(story)


def test_too_many_calls_and_too_many_sockets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_socket, "CALLS", RateLimit(per_second=0.01, burst=2))
    monkeypatch.setattr(api_socket, "MAX_SOCKETS", 1)

    async def story(world: ApiWorld, talk: Talk) -> None:
        for expected in ("pong", "pong", "error"):
            await talk.say(op="ping")
            answer = await talk.hear()
            assert answer["event"] == expected
        assert answer["problem"]["status"] == 429
        async with aiohttp.ClientSession() as session:
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
            async with session.get(world.address + "/v1/ws", headers=upgrade) as refused:
                assert refused.status == 503
                assert (await refused.json(content_type=None))["type"].endswith("unavailable")

    talked(story)


def test_the_client_s_updates_are_the_socket_s() -> None:
    async def story(world: ApiWorld) -> None:
        async with world.client(world.api) as client:
            swap = await world.agreed(client)
            running = asyncio.create_task(client.until(swap, SwapStep.FINISHED))
            await client.lock(swap)
            seen = []
            async for body in world.api.updates([swap.id]):
                seen.append(body.version)
                if body.done:
                    break
            assert seen == sorted(set(seen))
            await running

    served(story)


def test_socket_that_follows_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_socket, "IDLE_S", 2.0)

    async def story(world: ApiWorld, talk: Talk) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(world.address + "/v1/ws") as other:
            following = Talk(other)
            await following.say(op="subscribe", channel="swap.update", args=["*"])
            await following.hear("subscribe")
            async with asyncio.timeout(30):
                assert (await talk.socket.receive()).data == aiohttp.WSCloseCode.POLICY_VIOLATION
            await following.say(op="ping")
            assert await following.hear() == {"event": "pong"}

    talked(story)


def test_one_client_has_a_share_of_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_socket, "MAX_SOCKETS_OF_A_CLIENT", 1)

    async def story(world: ApiWorld, talk: Talk) -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(world.address + "/v1/ws")
            assert refused.value.status == 503
            await talk.socket.close()
            async with session.ws_connect(world.address + "/v1/ws") as other:
                following = Talk(other)
                await following.say(op="ping")
                assert await following.hear() == {"event": "pong"}

    talked(story)
