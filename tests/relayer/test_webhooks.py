"""Webhooks: what is posted, to which addresses, how often, and that a swap waits for none of it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError, RetryableError, TooManyError
from core.model.types import SwapId
from core.runtime import deliveries
from core.runtime.clock import NS_PER_S, ManualClock
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.deliveries import DeliveryStatus
from core.runtime.signals import Signal
from core.runtime.web import serve
from core.runtime.web.hooks import parse_secret, secret_text, signature
from htlc.model import Phase
from relayer.notices import addresses, webhook_rows, webhooks
from relayer.notices.addresses import Reach
from relayer.notices.webhook_rows import Hook, WebhookTarget
from relayer.notices.webhooks import Webhooks, WebhookSetup, guarded_post
from relayer.pump import tables
from relayer.pump.tables import relayer_swaps
from tests.relayer.client.world import World, play
from tests.relayer.house import A, B

SECRET = bytes(range(32))
TARGET = WebhookTarget("https://hooks.example/causeway", SECRET)
LOOPBACK = Reach((ip_network("127.0.0.0/8"),))


def test_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert parse_secret(secret_text(SECRET)) == SECRET
    for bad in ("", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!"):
        with pytest.raises(RejectedError):
            parse_secret(bad)
    assert "x" * 8 not in repr(WebhookTarget("https://a.example", b"x" * 32))


CLOSED = [
    *("127.0.0.1", "127.255.0.9", "0.0.0.0", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:127.0.0.1"),
    *("::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1", "::10.0.0.1"),
]


@pytest.mark.parametrize("address", CLOSED)
async def test_name_with_a_closed_address_is_refused(address: str) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["93.184.215.14", address]

    reach = Reach()
    with pytest.raises(RejectedError, match="private, local or reserved"):
        await reach.resolve(reach.check_url("https://hooks.example/"), resolve)
    if "%" not in address:
        literal = f"[{address}]" if ":" in address else address
        with pytest.raises(RejectedError, match="private, local or reserved"):
            reach.check_url(f"https://{literal}/")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "localhost."])
async def test_other_spellings_of_this_machine_are_refused(host: str) -> None:
    """The machine's own resolver takes them for 127.0.0.1."""
    reach = Reach()
    with pytest.raises((RejectedError, RetryableError)):
        await reach.resolve(reach.check_url(f"https://{host}/"), addresses.system_resolve)


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example/", "ftp://hooks.example/", "https:///x", "https://u:p@hooks.example/", "//x", ""),
        *(
            "https://hooks.example:22/",
            "https://hooks.example:99999/",
            "https://hooks.example/\n",
            "https://é.example/",
        ),
        "https://hooks.example/" + "a" * 500,
    ],
)
def test_malformed_address_is_refused(url: str) -> None:
    with pytest.raises(RejectedError):
        Reach().check_url(url)


async def test_public_and_allowed_addresses_are_taken() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return {"public.example": ["93.184.215.14", "2606:4700::6810:84e5"], "inside.example": ["10.1.2.3"]}[host]

    reach = Reach((ip_network("10.1.0.0/16"),))
    public = await reach.resolve(reach.check_url("https://public.example/"), resolve)
    assert public == ("93.184.215.14", "2606:4700::6810:84e5")
    assert await reach.resolve(reach.check_url("http://inside.example:8080/"), resolve) == ("10.1.2.3",)
    with pytest.raises(RejectedError, match="by https"):
        await reach.resolve(reach.check_url("http://public.example/"), resolve)
    with pytest.raises(RetryableError):
        await reach.resolve(reach.check_url("https://gone.example/"), _no_address)


async def _no_address(host: str, port: int) -> Sequence[str]:
    raise OSError("no such name")


class Receiver:
    """A dApp's server: answers with the given statuses, then with 204."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[tuple[Mapping[str, str], bytes]] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.headers, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        where = {"Location": "http://127.0.0.1:1/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=where, body=b"x" * (1 << 20) if status == 200 else b"")


async def test_post_goes_to_the_addresses_that_were_looked_at() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    receiver = Receiver(302, 200)
    async with serve(receiver.app(), "127.0.0.1", 0) as address:
        post = guarded_post(LOOPBACK, resolve)
        url = address.replace("127.0.0.1", "hooks.example")
        assert await post(url + "/a", {"X": "1"}, b"{}") == 302
        assert asked == ["hooks.example"]
        assert [headers["Host"].partition(":")[0] for headers, _ in receiver.seen] == ["hooks.example"]
        with pytest.raises(RejectedError, match="private"):
            await post(url, {}, b"{}")
        assert await guarded_post(LOOPBACK)(address, {}, b"{}") == 200
        assert len(receiver.seen) == 2
    with pytest.raises(RetryableError, match="does not answer"):
        await guarded_post(LOOPBACK)(address, {}, b"{}")


def phases(bodies: Sequence[bytes]) -> list[str]:
    return [json.loads(body)["data"]["phase"] for body in bodies]


def test_a_swap_is_reported_phase_by_phase_and_signed() -> None:
    async def story() -> None:
        world = World()
        taken: list[tuple[Mapping[str, str], bytes]] = []
        tries: dict[str, int] = {}

        async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
            assert url == TARGET.url
            tries[headers["webhook-id"]] = tries.get(headers["webhook-id"], 0) + 1
            if tries[headers["webhook-id"]] == 1:
                raise RetryableError("it does not answer")
            signed = signature(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
            assert headers["webhook-signature"] == signed
            taken.append((headers, body))
            return 200

        world.webhooks, world.webhook_post = WebhookSetup([TARGET]), post
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            assert (await client.run(swap)).phase is Phase.COMPLETED

        async def reported() -> bool:
            return bool(taken) and phases([taken[-1][1]]) == [Phase.COMPLETED]

        await world.until(reported, 600)
        said = phases([body for _, body in taken])
        assert said[-1] == Phase.COMPLETED
        assert len(said) == len(set(said)) >= 3
        assert {json.loads(body)["data"]["id"] for _, body in taken} == {swap.id}
        assert len({headers["webhook-id"] for headers, _ in taken}) == len(taken)
        await world.stop()

    play(story())


def test_webhook_that_never_answers_delays_no_swap() -> None:
    async def ended_at(hangs: bool) -> float:
        world = World()

        async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
            await asyncio.sleep(10_000)
            return 200

        if hangs:
            world.webhooks, world.webhook_post = WebhookSetup([TARGET]), post
        await world.start()
        began = world.clock.now()
        async with world.client() as client:
            assert (await client.run(await world.agreed(client))).phase is Phase.COMPLETED
        took = world.clock.now() - began
        await world.stop()
        return took

    took: list[float] = []

    async def story() -> None:
        took.append(await ended_at(False))

    async def hanging() -> None:
        took.append(await ended_at(True))

    play(story())
    play(hanging())
    assert took[1] <= took[0] + 1


def row(number: int, updated_ns: int, version: int, phase: Phase = Phase.AGREED) -> dict[str, Any]:
    return {
        "swap_id": f"{number:032x}",
        "hashlock": number.to_bytes(32, "big"),
        "quote_id": f"{number:032x}",
        "role": "liquidity-provider",
        "phase": phase,
        "done": phase.terminal,
        "initiator_chain": A,
        "participant_chain": B,
        "initiator_sender": "x",
        "initiator_receiver": "y",
        "lock_until_s": 0,
        "own_funded": False,
        "created_ns": 1,
        "updated_ns": updated_ns,
        "version": version,
    }


async def prepared(rows: Sequence[dict[str, Any]] = ()) -> InlineDatabase:
    database = InlineDatabase()
    await database.write(create_schema)
    await database.write(lambda c: webhook_rows.begin(c, [TARGET], 1))

    def store(connection: Connection) -> None:
        for one in rows:
            connection.execute(relayer_swaps.insert(), one)

    await database.write(store)
    return database


def at_work(database: InlineDatabase, post: webhooks.Post, *targets: WebhookTarget) -> tuple[Webhooks, ManualClock]:
    clock = ManualClock(100)
    return Webhooks(database, WebhookSetup(targets, openers=True), Signal(), clock, post), clock


async def waiting(database: InlineDatabase) -> int:
    return (await database.read(deliveries.counts)).get((webhook_rows.WEBHOOKS.name, DeliveryStatus.PENDING), 0)


async def nobody(url: str, headers: Mapping[str, str], body: bytes) -> int:
    raise RetryableError("it does not answer")


async def test_many_changes_at_one_moment_are_all_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_rows, "BATCH", 7)
    database = await prepared([row(number, 50, 1) for number in range(40)])
    first, _ = at_work(database, nobody, TARGET)
    second, _ = at_work(database, nobody, TARGET)
    for one in (first, second, first):
        await one.look()
    assert await waiting(database) == 40
    await database.write(
        lambda c: c.execute(relayer_swaps.update().values(version=2, updated_ns=60, phase=Phase.FUNDING))
    )
    await second.look()
    await first.look()
    assert await waiting(database) == 80
    await database.write(lambda c: c.execute(relayer_swaps.update().values(version=3, updated_ns=61)))
    await first.look()
    assert await waiting(database) == 80, "the phase is the same"


async def test_opener_hears_of_their_swap_alone_until_it_is_gone() -> None:
    database = await prepared([row(1, 50, 1), row(2, 50, 1)])
    hook = Hook("aa", SwapId(f"{1:032x}"), "https://dapp.example/", SECRET, 40)
    await database.write(lambda c: webhook_rows.register(c, hook, "1.2.3.4"))
    seen: list[str] = []

    async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
        seen.append(json.loads(body)["data"]["id"])
        return 410

    work, _ = at_work(database, post)
    await work.look()
    assert await waiting(database) == 1
    await work.step()
    assert seen == [hook.swap_id]
    assert await database.read(lambda c: webhook_rows.find(c, "aa")) is None
    await database.write(lambda c: c.execute(relayer_swaps.update().values(version=9, phase=Phase.FUNDING)))
    await work.look()
    assert await waiting(database) == 0


async def test_log_says_what_became_of_each_message() -> None:
    database = await prepared([row(1, 50, 1)])
    work, clock = at_work(database, nobody, TARGET)
    await work.look()
    await work.step()
    [entry] = await database.read(lambda c: webhook_rows.log_of(c, TARGET.id))
    assert (entry.status, entry.attempts, entry.reason) == (DeliveryStatus.PENDING, 1, "it does not answer")
    assert entry.next_ns is not None
    for _ in range(webhook_rows.WEBHOOKS.max_tries):
        await clock.advance(100_000)
        await work.step()
    [entry] = await database.read(lambda c: webhook_rows.log_of(c, TARGET.id))
    assert (entry.status, entry.next_ns) == (DeliveryStatus.GIVEN_UP, None)
    await database.write(lambda c: webhook_rows.prune(c, clock.now_ns() + 1, 100))
    assert await database.read(lambda c: webhook_rows.log_of(c, TARGET.id)) == []
    assert (await database.read(deliveries.counts)) == {}


async def test_webhooks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_rows, "MAX_WAITING_OF_A_HOOK", 5)
    database = await prepared([row(number, 50, 1) for number in range(9)])
    work, _ = at_work(database, nobody, TARGET)
    await work.look()
    assert await waiting(database) == 5
    hook = Hook("0", SwapId(f"{1:032x}"), "https://dapp.example/", SECRET, 40)
    for number in range(webhook_rows.MAX_HOOKS_OF_A_SWAP):
        one = replace(hook, id=str(number))
        await database.write(lambda c, one=one: webhook_rows.register(c, one, "1.2.3.4"))  # type: ignore[misc]
    with pytest.raises(TooManyError):
        await database.write(lambda c: webhook_rows.register(c, replace(hook, id="x"), "1.2.3.4"))
    await database.write(lambda c: webhook_rows.remove(c, TARGET.id))
    assert await waiting(database) == 0
    with pytest.raises(RejectedError, match="at most"):
        WebhookSetup([TARGET, TARGET])


async def test_changes_left_out_are_reported_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are by then, each once, however long ago they were looked at."""
    monkeypatch.setattr(webhook_rows, "MAX_WAITING_OF_A_HOOK", 5)
    database = await prepared([row(number, 50, 1) for number in range(12)])
    answering = False
    heard: list[str] = []

    async def sometimes(url: str, headers: Mapping[str, str], body: bytes) -> int:
        if answering:
            heard.append(json.loads(body)["data"]["id"])
        return 204 if answering else 503

    work, clock = at_work(database, sometimes, TARGET)
    await work.look()
    await work.step()
    await clock.advance(webhook_rows.OVERLAP_NS / NS_PER_S * 10)
    await database.write(lambda c: c.execute(relayer_swaps.insert(), row(12, clock.now_ns(), 1)))
    await work.look()
    assert await waiting(database) == 5
    answering = True
    for _ in range(4):
        await work.step()
        await work.look()
    assert sorted(heard) == [f"{number:032x}" for number in range(13)]
    assert await waiting(database) == 0


def test_changes_are_listed_by_an_index() -> None:
    assert any(
        [column.name for column in index.columns] == ["updated_ns", "swap_id"] for index in tables.relayer_swaps.indexes
    )


async def test_changes_under_a_clock_set_back_are_heard() -> None:
    """They look older than all that was reported before."""
    late_ns, back_ns = 7_200 * NS_PER_S, 3_600 * NS_PER_S
    database = await prepared([row(0, late_ns, 1)])
    await database.write(lambda c: webhook_rows.collect(c, [TARGET], late_ns))
    await database.write(lambda c: c.execute(relayer_swaps.insert(), row(1, back_ns, 1)))
    assert await waiting(database) == 1
    await database.write(lambda c: webhook_rows.collect(c, [TARGET], back_ns))
    assert await waiting(database) == 2


class _SetBack(ManualClock):
    """A clock that somebody sets while it goes."""

    def set(self, at_s: float) -> None:
        self._now_ns = round(at_s * NS_PER_S)


@pytest.mark.parametrize("back_s", [20, 54, 3_600])
@pytest.mark.parametrize("restarts", [False, True])
async def test_changes_are_heard_by_a_clock_set_back_behind_a_webhook(back_s: int, restarts: bool) -> None:
    clock = _SetBack(7_200)
    database = InlineDatabase()
    await database.write(create_schema)
    hook = Hook("aa", SwapId(f"{1:032x}"), "https://dapp.example/", SECRET, clock.now_ns())
    await database.write(lambda c: webhook_rows.register(c, hook, "1.2.3.4"))

    async def changed(number: int, version: int, phase: Phase) -> None:
        new = row(number, clock.now_ns(), version, phase)
        await database.write(
            lambda c: c.execute(relayer_swaps.delete().where(relayer_swaps.c.swap_id == new["swap_id"]))
        )
        await database.write(lambda c: c.execute(relayer_swaps.insert(), new))

    def begin() -> Webhooks:
        return Webhooks(database, WebhookSetup([TARGET], openers=True), Signal(), clock, nobody)

    await database.write(lambda c: webhook_rows.begin(c, [TARGET], clock.now_ns()))
    work = begin()
    await clock.advance(5)
    await changed(1, 1, Phase.AGREED)
    await changed(2, 1, Phase.AGREED)
    await work.look()
    assert await waiting(database) == 3  # the operator hears of both, the opener of one
    clock.set(7_205 - back_s)
    if restarts:
        work = begin()
        await database.write(lambda c: webhook_rows.begin(c, [TARGET], clock.now_ns()))
    for version, phase in enumerate((Phase.FUNDING, Phase.ABANDONED), 2):
        await work.look()
        await clock.advance(1)
        await changed(1, version, phase)
        await work.look()
    assert await waiting(database) == 7
