"""A relayer that lies in its answers, or on the chain: nothing is locked, or nothing is revealed."""

from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

import pytest
from msgspec.structs import replace
from nacl.signing import SigningKey

from core.model.errors import ConflictError, GateClosedError, RejectedError
from core.model.types import LockTerms, Seconds
from htlc.model import Phase, swap_id
from htlc.timelocks import DEVNET_POLICY
from relayer.api import wire
from relayer.api.answers import Answers
from relayer.api.bodies import LegBody, QuoteBody, QuoteCall, RelayerBody, SwapBody, SwapCall
from relayer.client import ClientPolicy, SwapStep
from relayer.provider.quoting import sign_quote
from tests.relayer.client.world import World, play
from tests.relayer.house import COIN, A, B

STRANGER = "memory:a:" + "ab" * 20


class Liar:
    """The honest relayer's answers, falsified on their way."""

    def __init__(
        self,
        honest: Answers,
        swap: Callable[[SwapBody], SwapBody] = lambda body: body,
        quote: Callable[[QuoteBody], QuoteBody] = lambda body: body,
    ) -> None:
        self._honest = honest
        self._swap = swap
        self._quote = quote

    async def relayer(self) -> RelayerBody:
        return await self._honest.relayer()

    async def quote(self, call: QuoteCall) -> QuoteBody:
        return self._quote(await self._honest.quote(call))

    async def open_swap(self, call: SwapCall) -> SwapBody:
        return self._swap(await self._honest.open_swap(call))


def with_terms(leg: str, **changes: object) -> Callable[[SwapBody], SwapBody]:
    def falsify(body: SwapBody) -> SwapBody:
        one: LegBody = getattr(body, leg)
        return replace(body, **{leg: replace(one, terms=replace(one.terms, **changes))})

    return falsify


def moved(leg: str, seconds: int) -> Callable[[SwapBody], SwapBody]:
    def falsify(body: SwapBody) -> SwapBody:
        timelock: int = getattr(body, leg).terms.timelock
        return with_terms(leg, timelock=timelock + seconds)(body)

    return falsify


LIES = {
    "pays less": with_terms("participant", amount="1999"),
    "takes more": with_terms("initiator", amount="1001"),
    "another receiver of our lock": with_terms("initiator", receiver=STRANGER),
    "another sender": with_terms("initiator", sender=STRANGER),
    "pays somebody else": with_terms("participant", receiver="memory:b:" + "ab" * 20),
    "locks from elsewhere": with_terms("participant", sender="memory:b:" + "ab" * 20),
    "another hashlock": with_terms("participant", hashlock="0x" + "11" * 32),
    "another asset": with_terms("participant", asset="memory:b/slip44:9"),
    "another id": lambda body: replace(body, id="00" * 16),
    "not its own part": lambda body: replace(body, role="watchtower"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_answer_that_differs_from_the_quote_is_refused(lie: Callable[[Any], Any]) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client(Liar(world.answers(), swap=lie)) as client:
            with pytest.raises(RejectedError):
                await world.agreed(client)
            assert await client.swaps() == []
        assert (await world.gains())["initiator"] == (0, 0)
        await world.stop()

    play(story())


def test_another_quote_under_a_name_given_before_is_refused() -> None:
    """Whoever asks for a small swap locks no larger one that the relayer once priced under the same name."""

    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            dear = await world.agreed(client, amount=5000)
            cheap = await client.quote(COIN[A], COIN[B], initiator_amount=1000)
            named = sign_quote(changed(cheap, id=dear.quote.id), SigningKey(bytes(32)))
            with pytest.raises(ConflictError, match="name of another one"):
                await client.open(named)
            again = await client.open(dear.quote)
            assert again.agreement == dear.agreement
        await world.stop()

    play(story())


def honest_ids(lie: Callable[[SwapBody], SwapBody]) -> Callable[[SwapBody], SwapBody]:
    """A relayer that lies about times names the swap by the digest of its own false terms."""

    def falsify(body: SwapBody) -> SwapBody:
        told = lie(body)
        legs = wire.terms_from(told.initiator.terms), wire.terms_from(told.participant.terms)
        return replace(told, id=swap_id(*legs))

    return falsify


@pytest.mark.parametrize(
    ("leg", "seconds", "error", "match"),
    [
        ("participant", -20, GateClosedError, "lock gate"),
        ("initiator", -5, GateClosedError, "gap gate"),
        ("initiator", 3600, RejectedError, "were agreed"),
        ("participant", 3600, RejectedError, "were agreed"),
    ],
)
def test_timelocks_too_short_or_long_are_refused_with_numbers(
    leg: str, seconds: int, error: type[Exception], match: str
) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client(Liar(world.answers(), swap=honest_ids(moved(leg, seconds)))) as client:
            with pytest.raises(error, match=match):
                await world.agreed(client)
        await world.stop()

    play(story())


@pytest.mark.parametrize(
    ("lie", "match"),
    [
        (lambda body: replace(body, participant_amount="2001"), "signature"),
        (lambda body: replace(body, participant_receiver=STRANGER), "signature"),
        (lambda body: replace(body, key="0x" + "22" * 32), "another key"),
    ],
)
def test_quote_that_was_altered_or_signed_by_another_is_refused(lie: Callable[[Any], Any], match: str) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client(Liar(world.answers(), quote=lie)) as client:
            with pytest.raises(RejectedError, match=match):
                await client.quote(COIN[A], COIN[B], initiator_amount=1000)
        await world.stop()

    play(story())


def test_a_pinned_key_refuses_another_relayer() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        policy = ClientPolicy(swap=DEVNET_POLICY, relayer_key=b"\x07" * 32)
        async with world.client(policy=policy) as client:
            with pytest.raises(RejectedError, match="another key"):
                await client.quote(COIN[A], COIN[B], initiator_amount=1000)
        await world.stop()

    play(story())


def test_expired_quote_and_too_long_lock_are_refused() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            quote = await client.quote(COIN[A], COIN[B], initiator_amount=1000)
            await world.clock.sleep(31)
            with pytest.raises(RejectedError, match="expired"):
                await client.open(quote)
        async with world.client(policy=ClientPolicy(swap=DEVNET_POLICY, max_lock_s=Seconds(10))) as client:
            with pytest.raises(RejectedError, match="our limit is 10 s"):
                await client.quote(COIN[A], COIN[B], initiator_amount=1000)
        await world.stop()

    play(story())


@pytest.mark.parametrize("changes", [{"amount": 1999}, {"amount": 2001}, {"receiver": "relayer"}, {"timelock": -6}])
def test_participant_lock_with_other_terms_gets_no_preimage(changes: dict[str, Any]) -> None:
    """The relayer is dead, and somebody with its key locks something else under our hashlock."""

    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await world.kill()
            await client.lock(swap)
            await client.until(swap, SwapStep.LOCK_FINAL)
            await world.lock_as_relayer(false_terms(world, swap.agreement.participant_leg, changes))
            outcome = await client.run(swap, world.told.append)
        assert outcome.phase is Phase.REFUNDED
        assert SwapStep.REVEALING not in world.steps()
        assert SwapStep.PARTICIPANT_LOCKED not in world.steps()
        assert (await world.gains())["initiator"] == (0, 0)
        await world.stop()

    play(story())


def false_terms(world: World, terms: LockTerms, changes: dict[str, Any]) -> LockTerms:
    values = dict(changes)
    if "timelock" in values:
        values["timelock"] = terms.timelock.plus(Seconds(values["timelock"]))
    if "receiver" in values:
        values["receiver"] = world.relayer[terms.chain].account
    return changed(terms, **values)
