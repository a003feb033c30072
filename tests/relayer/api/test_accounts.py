"""An account's holder gets all its swaps back, and registers webhooks of a swap that it opened."""

import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest

from adapters.memory import MemorySigner
from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.openings import Access
from core.model.types import AccountId
from core.runtime.web.hooks import parse_secret, signature
from htlc.model import Phase
from relayer.api import access
from relayer.api.bodies import ChallengeBody, RestoreCall, WebhookBody, WebhookCall
from relayer.notices import webhook_rows
from relayer.notices.addresses import Reach
from relayer.notices.webhooks import WebhookSetup
from tests.relayer.api.test_api import ask, opening, quoted
from tests.relayer.api.world import ApiWorld, run_fast, served
from tests.relayer.house import A

URL = "https://dapp.example/hook"


async def proof(world: ApiWorld, asked: ChallengeBody, signer: MemorySigner) -> str:
    """The account's proof, made of what the API says is to be signed."""
    openings = world.chains[A].access().openings
    assert openings is not None
    raw = bytes.fromhex(asked.challenge[2:])
    statement = Access(AccountId(asked.account), world.service.desk.quote_key, raw, asked.expires_at)
    message = openings.message(statement)
    assert asked.message == "0x" + message.payload.hex()
    return "0x" + (await signer.consent(message)).hex()


async def restoring(world: ApiWorld, signer: MemorySigner) -> RestoreCall:
    asked = await world.api.challenge(signer.account)
    return RestoreCall(account=signer.account, challenge=asked.challenge, proof=await proof(world, asked, signer))


def test_holder_gets_all_swaps_of_the_account() -> None:
    async def story(world: ApiWorld) -> None:
        first = await world.api.open_swap(opening(world, await quoted(world), 1))
        second = await world.api.open_swap(opening(world, await quoted(world), 2))
        call = await restoring(world, world.initiator[A])
        found = await world.api.restore(call)
        assert ([swap.id for swap in found.swaps], found.more) == ([second.id, first.id], False)
        with pytest.raises(RejectedError, match="unknown, used or too old"):
            await world.api.restore(call)
        other = world.chains[A].signer("other", {})
        assert (await world.api.restore(await restoring(world, other))).swaps == ()

    served(story)


def test_only_the_account_that_was_asked_for_answers_a_challenge(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: ApiWorld) -> None:
        other = world.chains[A].signer("other", {})
        asked = await world.api.challenge(world.initiator[A].account)
        theirs = await world.api.challenge(other.account)
        assert asked.typed_data is None
        good = await proof(world, asked, world.initiator[A])
        foreign = await proof(world, theirs, other)
        for account, challenge, signed in (
            (asked.account, asked.challenge, foreign),
            (asked.account, theirs.challenge, good),
            (theirs.account, asked.challenge, good),
            (asked.account, "0x" + "00" * 32, good),
            (asked.account, asked.challenge, "0x" + "11" * 96),
        ):
            with pytest.raises(RejectedError):
                await world.api.restore(RestoreCall(account=account, challenge=challenge, proof=signed))
        await world.api.restore(RestoreCall(account=asked.account, challenge=asked.challenge, proof=good))
        monkeypatch.setattr(access, "CHALLENGE_S", 1)
        late = await restoring(world, world.initiator[A])
        await world.clock.sleep(3)
        with pytest.raises(RejectedError, match="too old"):
            await world.api.restore(late)
        with pytest.raises(NotFoundError):
            await world.api.challenge("memory:c:" + "0" * 40)

    served(story)


def test_challenges_are_bounded_for_one_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_CHALLENGES_OF_A_CALLER", 3)

    async def story(world: ApiWorld) -> None:
        for _ in range(3):
            await world.api.challenge(world.initiator[A].account)
        with pytest.raises(RetryableError, match="3 challenges"):
            await world.api.challenge(world.initiator[A].account)

    served(story)


class Hooked(ApiWorld):
    """A relayer whose operator lets openers register webhooks; `taken` is what was posted."""

    def __init__(self, reach: Reach | None = None) -> None:
        super().__init__()
        self.reach = reach or Reach()
        self.taken: list[tuple[str, Mapping[str, str], bytes]] = []
        self.webhooks, self.webhook_post = WebhookSetup(openers=True, reach=self.reach), self.post

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.taken.append((url, headers, body))
        return 204

    async def hook(self, swap_id: str, signer: MemorySigner, url: str = URL) -> WebhookBody:
        asked = await self.api.challenge(signer.account)
        signed = await proof(self, asked, signer)
        call = WebhookCall(url=url, account=signer.account, challenge=asked.challenge, proof=signed)
        return await self.api.webhook(swap_id, call)


async def with_secret(world: ApiWorld, method: str, hook_id: str, secret: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}) as session,
        session.request(method, f"{world.address}/v1/webhooks/{hook_id}") as response,
    ):
        return response.status, await response.json(content_type=None)


def test_opener_hears_of_their_swap_by_a_signed_webhook() -> None:
    async def story() -> None:
        world = Hooked()
        async with world.served(hooks=world.reach):
            agreed = await world.api.open_swap(opening(world, await quoted(world)))
            hook = await world.hook(agreed.id, world.initiator[A])
            lock = await world.look(agreed.id)  # type: ignore[arg-type]
            await world.lock(lock.initiator.terms)

            async def heard() -> bool:
                return any(json.loads(body)["data"]["phase"] == Phase.BOTH_LOCKED for _, _, body in world.taken)

            await world.until(heard)
            secret = parse_secret(hook.secret)
            for url, headers, body in world.taken:
                assert url == URL
                stamp = int(headers["webhook-timestamp"])
                assert headers["webhook-signature"] == signature(secret, headers["webhook-id"], stamp, body)
                assert json.loads(body)["data"]["id"] == agreed.id
            status, log = await with_secret(world, "GET", hook.id, hook.secret)
            assert (status, log["url"]) == (200, URL)
            assert {entry["status"] for entry in log["messages"]} == {"taken"}
            assert (await with_secret(world, "GET", hook.id, "whsec_no"))[0] == 401
            assert (await ask(world, "GET", f"/v1/webhooks/{hook.id}"))[0] == 401
            assert (await with_secret(world, "DELETE", hook.id, "whsec_no"))[0] == 401
            assert (await with_secret(world, "DELETE", hook.id, hook.secret))[0] == 200
            assert (await with_secret(world, "GET", hook.id, hook.secret))[0] == 404

    run_fast(story())


def test_webhook_is_refused_to_others_and_to_closed_addresses() -> None:
    async def story() -> None:
        world = Hooked(Reach((ip_network("10.1.0.0/16"),)))
        async with world.served(hooks=world.reach):
            agreed = await world.api.open_swap(opening(world, await quoted(world)))
            with pytest.raises(RejectedError, match="account that locks"):
                await world.hook(agreed.id, world.chains[A].signer("other", {}))
            for url in ("https://127.0.0.1/", "https://[::1]/", "http://10.2.0.1/", "https://u:p@dapp.example/"):
                with pytest.raises(RejectedError):
                    await world.hook(agreed.id, world.initiator[A], url)
            for _ in range(webhook_rows.MAX_HOOKS_OF_A_SWAP):
                await world.hook(agreed.id, world.initiator[A], "http://10.1.2.3:8080/inside")
            with pytest.raises(RetryableError, match="of this swap"):
                await world.hook(agreed.id, world.initiator[A])

    run_fast(story())


def test_webhooks_are_not_offered_unless_the_operator_says() -> None:
    async def story(world: ApiWorld) -> None:
        agreed = await world.api.open_swap(opening(world, await quoted(world)))
        call = {"url": URL, "account": world.initiator[A].account, "challenge": "0x" + "00" * 32, "proof": "0x11"}
        status, problem = await ask(world, "POST", f"/v1/swaps/{agreed.id}/webhooks", call)
        assert (status, "posts nothing" in problem["detail"]) == (404, True)

    served(story)
