"""Switches: what a paused or draining relayer refuses, and that exits never ask."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.model.errors import RejectedError
from core.model.facts import Claimed, Locked
from core.model.types import AssetId, BaseUnits
from core.runtime.clock import NS_PER_S
from core.runtime.database import InlineDatabase, create_schema
from htlc.model import Leg, Phase
from relayer import switchboard
from relayer.provider.desk import OpenSwap
from relayer.provider.quoting import Pair, QuoteRequest, Rate
from relayer.switches import EVERYTHING, Cause, PausedError, Scope, Switch, first_of, pair_scope, scopes_of
from relayer.watchtower import Registration
from tests.relayer.house import COIN, A, B, House, told

NOW = int(datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp())
NOW_NS = NOW * NS_PER_S
THERE = pair_scope(COIN[A], COIN[B])
BACK = pair_scope(COIN[B], COIN[A])


def switch(scope: Scope = EVERYTHING, cause: Cause = Cause.OPERATOR, **given: Any) -> Switch:
    return Switch(scope, cause, given.pop("reason", ""), given.pop("since_ns", NOW_NS), **given)


async def put(
    house: House, scope: Scope = EVERYTHING, cause: Cause = Cause.OPERATOR, seconds: int | None = None
) -> None:
    now_ns = house.clock.now_ns()
    until_ns = None if seconds is None else now_ns + seconds * NS_PER_S
    await house.database.write(lambda c: switchboard.set_switch(c, Switch(scope, cause, "why", now_ns, until_ns)))


async def lift(house: House, scope: Scope | None = None) -> None:
    await house.database.write(lambda c: switchboard.lift(c, scope))


# --- the pure part --------------------------------------------------------------------------------------------------


def test_a_pair_names_its_scope_as_the_quote_room_does() -> None:
    pair = Pair(COIN[A], COIN[B], Rate(1, 1), BaseUnits(1), BaseUnits(2))
    assert pair.id == THERE
    assert scopes_of(COIN[A], COIN[B]) == (EVERYTHING, Scope(A), Scope(B), THERE)


@pytest.mark.parametrize(
    ("scope", "met"), [(EVERYTHING, True), (Scope(A), True), (Scope(B), True), (THERE, True), (BACK, False)]
)
def test_a_switch_is_met_by_what_is_under_its_scope(scope: Scope, met: bool) -> None:
    assert (first_of([switch(scope)], scopes_of(COIN[A], COIN[B]), NOW_NS) is not None) is met
    assert first_of([switch(scope)], scopes_of(AssetId("eip155:7/slip44:60"), AssetId("eip155:8/slip44:60")), 0) == (
        switch(scope) if scope == EVERYTHING else None
    )


def test_of_several_switches_the_operators_widest_is_named() -> None:
    own = [switch(EVERYTHING, Cause.LOW_GAS), switch(Scope(A), Cause.CLOCK_SKEW)]
    pair, chain = switch(THERE), switch(Scope(B))
    scopes = scopes_of(COIN[A], COIN[B])
    assert first_of([*own, pair, chain], scopes, NOW_NS) == chain
    assert first_of([*own, pair], scopes, NOW_NS) == pair
    assert first_of(own, scopes, NOW_NS) == own[0]


@pytest.mark.parametrize("cause", Cause)
def test_only_a_drain_and_low_gas_let_agreed_swaps_be_locked(cause: Cause) -> None:
    met = first_of([switch(cause=cause)], scopes_of(COIN[A], COIN[B]), NOW_NS, locks=True)
    assert (met is None) is (cause in (Cause.DRAIN, Cause.LOW_GAS))


def test_a_pause_holds_until_its_end_and_not_at_it() -> None:
    one = switch(until_ns=NOW_NS + 5)
    assert [one.holds(NOW_NS + more) for more in (0, 4, 5, 6)] == [True, True, False, False]
    assert switch().holds(2**62)


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (switch(), "this relayer is paused by its operator"),
        (
            switch(Scope(A), reason="node upgrade", until_ns=NOW_NS + 1),
            f"{A} is paused by its operator: node upgrade; until 2026-11-29T12:00:01Z",
        ),
        (switch(cause=Cause.DRAIN), "this relayer ends when its swaps are done: nothing new is taken"),
        (switch(Scope(B), Cause.LOW_GAS, reason="send some", until_ns=NOW_NS + 9), f"{B} is paused: send some"),
    ],
)
def test_a_switch_says_what_why_and_until_when(one: Switch, sentence: str) -> None:
    assert one.sentence == sentence
    with pytest.raises(PausedError) as refused:
        one.refuse()
    assert refused.value.message == sentence
    until = NOW + 1 if one.cause.by_operator and one.until_ns else None
    assert refused.value.fields == {"scope": one.scope, "cause": one.cause, "until": until}


@pytest.mark.parametrize(
    "wrong", [{"reason": "x" * 201}, {"reason": "two\nlines"}, {"until_ns": NOW_NS}, {"until_ns": NOW_NS + 2**62}]
)
def test_a_switch_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(RejectedError):
        switch(**wrong)


# --- rows -----------------------------------------------------------------------------------------------------------


async def test_rows_hold_one_switch_of_each_scope_and_cause() -> None:
    database = InlineDatabase()
    await database.write(lambda c: create_schema(c, switchboard.TABLES))
    newer = switch(Scope(A), reason="newer")
    for one in (switch(Scope(A)), switch(cause=Cause.DRAIN), newer):
        await database.write(lambda c, one=one: switchboard.set_switch(c, one))  # type: ignore[misc]
    assert await database.read(switchboard.operators) == [switch(cause=Cause.DRAIN), newer]
    assert await database.write(lambda c: switchboard.lift(c, Scope(B))) == []
    assert await database.write(lambda c: switchboard.lift(c, Scope(A))) == [newer]
    assert await database.write(switchboard.lift) == [switch(cause=Cause.DRAIN)]
    assert await database.read(switchboard.operators) == []


async def test_what_came_by_itself_lapses_with_its_process() -> None:
    database = InlineDatabase()
    await database.write(lambda c: create_schema(c, switchboard.TABLES))
    skew, gas = switch(Scope(A), Cause.CLOCK_SKEW), switch(Scope(B), Cause.LOW_GAS)
    await database.write(lambda c: switchboard.note_own(c, "one", [skew, gas], NOW_NS))
    await database.write(lambda c: switchboard.note_own(c, "two", [skew], NOW_NS))

    async def causes(now_ns: int) -> list[str]:
        return [one.cause.value for one in await database.read(lambda c: switchboard.standing(c, now_ns))]

    assert await causes(NOW_NS) == ["clock-skew", "low-gas"]
    await database.write(lambda c: switchboard.note_own(c, "one", [], NOW_NS))
    assert await causes(NOW_NS) == ["clock-skew"]
    lapsed_ns = NOW_NS + switchboard.SHOWN_FOR_S * NS_PER_S
    assert await causes(lapsed_ns) == []
    await database.write(lambda c: switchboard.note_own(c, "one", [], lapsed_ns))
    assert await database.read(lambda c: c.execute(switchboard.switches.select()).all()) == []


async def test_operators_cannot_set_more_switches_than_the_limit() -> None:
    database = InlineDatabase()
    await database.write(lambda c: create_schema(c, switchboard.TABLES))
    with pytest.raises(RejectedError, match="comes by itself"):
        await database.write(lambda c: switchboard.set_switch(c, switch(cause=Cause.LOW_GAS)))

    def fill(connection: Any) -> None:
        for number in range(switchboard.MAX_SWITCHES):
            switchboard.set_switch(connection, switch(Scope(f"eip155:{number + 1}")))

    await database.write(fill)
    await database.write(lambda c: switchboard.set_switch(c, switch(Scope("eip155:1"), reason="again")))
    with pytest.raises(RejectedError, match="switches are set already"):
        await database.write(lambda c: switchboard.set_switch(c, switch()))


# --- a relayer that is paused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(A), Scope(B), THERE])
def test_a_paused_relayer_quotes_nothing_of_the_scope(scope: Scope) -> None:
    async def story(house: House) -> None:
        service = await house.start()
        await put(house, scope)
        await service.guard.look()
        ask = QuoteRequest(COIN[A], COIN[B], BaseUnits(1000))
        with pytest.raises(PausedError, match="paused by its operator: why"):
            await service.desk.quote(ask)
        assert [service.desk.paused(pair) is not None for pair in service.desk.pairs()] == [True, scope != THERE]
        assert any("paused by its operator" in one for one in await service.concerns())
        assert house.metrics.value("relayer_paused", scope=scope, cause="operator") == 1
        await lift(house)
        await service.guard.look()
        await service.desk.quote(ask)
        assert await service.concerns() == []
        assert house.metrics.value("relayer_paused", scope=scope, cause="operator") == 0

    told(story)


def test_a_pause_is_over_at_its_end_without_anybody() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        await put(house, seconds=10)
        await service.guard.look()
        ask = QuoteRequest(COIN[A], COIN[B], BaseUnits(1000))
        with pytest.raises(PausedError):
            await service.desk.quote(ask)
        await house.clock.sleep(10)
        await service.desk.quote(ask)

    told(story)


@pytest.mark.parametrize("cause", [Cause.OPERATOR, Cause.DRAIN])
def test_an_opening_reads_the_switches_as_they_are_then(cause: Cause) -> None:
    """The quote was made before, and the process has not looked since."""

    async def story(house: House) -> None:
        service = await house.start()
        quote = await service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1000)))
        view = await house.open(A)
        await put(house, cause=cause)
        request = OpenSwap(
            quote, type(view.hashlock)(b"\7" * 32), house.initiator[A].account, house.initiator[B].account
        )
        with pytest.raises(PausedError):
            await service.desk.open_swap(await house.proven(request))
        with pytest.raises(PausedError):
            terms = [leg.terms for leg in (view.initiator, view.participant)]
            await service.watchtower.register(Registration(*(_of_others(one, house) for one in terms)))
        await lift(house)
        await service.desk.open_swap(await house.proven(request))

    told(story)


def _of_others(terms: Any, house: House) -> Any:
    others = {house.initiator[terms.chain].account, house.relayer[terms.chain].account}
    assert terms.sender in others
    return replace(terms, hashlock=type(terms.hashlock)(b"\x08" * 32))


@pytest.mark.parametrize("looked", [True, False], ids=["seen", "unseen"])
@pytest.mark.parametrize("scope", [EVERYTHING, Scope(A), Scope(B), THERE])
def test_a_paused_relayer_locks_nothing_and_locks_once_resumed(scope: Scope, looked: bool) -> None:
    """Also if the process has not looked since: the transaction that stores the lock does."""

    async def story(house: House) -> None:
        service = await house.start()
        view = await house.open(A)
        await put(house, scope)
        if looked:
            await service.guard.look()
        await house.lock(view.initiator.terms)
        await house.locked(view.id, Leg.INITIATOR)
        await house.clock.sleep(4)
        assert house.made(B, Locked, view.hashlock) == []
        await lift(house)
        await service.guard.look()
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)

    told(story)


def test_a_lock_that_is_paused_for_too_long_is_called_off() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        view = await house.open(A)
        await put(house, Scope(B))
        await service.guard.look()
        place = await house.lock(view.initiator.terms)
        view = await house.phase(view.id, Phase.ABANDONED)
        assert house.made(B, Locked, view.hashlock) == []
        await house.clock.sleep(max(0.0, view.initiator.terms.timelock.seconds + 3 - house.clock.now()))
        await house.refund(view.initiator.terms, place)
        assert await house.gains() == {"relayer": (0, 0), "initiator": (0, 0)}

    told(story)


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(A), Scope(B)])
def test_claims_and_refunds_of_a_paused_relayer_go_out(scope: Scope) -> None:
    async def story(house: House) -> None:
        service = await house.start()
        claimed = await house.open(A)
        await house.lock(claimed.initiator.terms)
        claimed = await house.locked(claimed.id, Leg.PARTICIPANT)
        preimage = house.preimage
        refunded = await house.open(B, 500)
        await house.lock(refunded.initiator.terms)
        await house.locked(refunded.id, Leg.PARTICIPANT)
        await put(house, scope)
        await service.guard.look()
        house.preimage = preimage
        await house.claim(claimed)
        await house.phase(claimed.id, Phase.COMPLETED)
        assert len(house.made(A, Claimed, claimed.hashlock)) == 1
        await house.phase(refunded.id, Phase.REFUNDED)

    told(story)


# --- a relayer that drains ------------------------------------------------------------------------------------------


def test_a_drain_keeps_agreed_swaps_and_ends_when_none_is_open() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        view = await house.open(A)
        await put(house, cause=Cause.DRAIN)
        await service.guard.look()
        with pytest.raises(PausedError, match="ends when its swaps are done"):
            await service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1000)))
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await service.guard.look()
        assert not service.guard.drained.is_set()
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)

        async def drained() -> bool:
            await service.guard.look()
            return service.guard.drained.is_set()

        await house.until(drained)

    told(story)


def test_a_drain_of_an_idle_relayer_ends_at_its_next_look() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        await service.guard.look()
        assert not service.guard.drained.is_set()
        await put(house, cause=Cause.DRAIN)
        await service.guard.look()
        assert service.guard.drained.is_set()

    told(story)
