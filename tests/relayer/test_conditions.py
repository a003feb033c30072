"""Pauses that come by themselves: when each comes, when it goes, and that nothing at a bound flaps."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.facts import BlockHeader, HeadUpdate
from core.model.ports import ChainTiming
from core.model.types import BaseUnits, BlockRef, ChainTime, Height, Seconds, SwapId
from core.runtime.clock import NS_PER_S
from indexer import store, tables
from relayer import inventory, switchboard
from relayer.conditions import BAD_LOOKS, CALM_LOOKS, ChainLook, Conditions, stall_bound_s
from relayer.provider.quoting import QuoteRequest
from relayer.switches import Cause, PausedError, Scope, Switch
from tests.relayer.house import COIN, A, B, House, told

TIMING = ChainTiming(Seconds(1), Seconds(2), Seconds(10), Seconds(3), Seconds(2), Seconds(4))
BOUND_S = 2 * 10 + 2 + 3
BEHIND_S = 4 + 2 + 3
NOW = 1_800_000_000


@dataclass
class Seen:
    """One chain as it goes on, looked at every two seconds."""

    conditions: Conditions = field(default_factory=Conditions)
    now_s: int = NOW
    head: int = 100
    final: int = 90

    def look(self, *, seconds: int = 2, behind_s: int = 0, **given: Any) -> list[Cause]:
        self.now_s += seconds
        time_s = self.now_s - behind_s
        update = HeadUpdate(header(self.head, time_s), header(self.final, time_s - 10))
        look = ChainLook(chain=A, timing=TIMING, **{"head": update, **given})
        return [one.cause for one in self.switches([look])]

    def switches(self, looks: list[ChainLook]) -> tuple[Switch, ...]:
        return self.conditions.see(looks, self.now_s * NS_PER_S, float(self.now_s))


def header(height: int, time_s: int) -> BlockHeader:
    return BlockHeader(BlockRef(A, Height(height), height.to_bytes(32, "big")), b"", ChainTime(A, time_s))


def test_a_chain_that_goes_on_is_not_paused() -> None:
    seen = Seen()
    for _ in range(50):
        seen.head += 2
        seen.final += 2
        assert seen.look(state="live", short="", short_soon="") == []


def test_finality_that_stands_still_while_blocks_come_pauses() -> None:
    seen = Seen()
    assert seen.look() == []
    stood_s = 0
    while stood_s < BOUND_S - 1:
        seen.head += 1
        stood_s += 2
        assert seen.look() == [], stood_s
    assert stood_s == BOUND_S - 1
    seen.head += 1
    assert seen.look() == [Cause.FINALITY_STALL]
    seen.head += 1
    seen.final += 1
    assert seen.look() == [Cause.FINALITY_STALL], "it moved once"
    assert seen.look() == [Cause.FINALITY_STALL], "it has to move twice"
    seen.final += 1
    assert seen.look() == []


def test_a_chain_without_blocks_is_no_stall_of_finality() -> None:
    seen = Seen()
    for _ in range(50):
        assert seen.look() == []


def test_finality_that_goes_back_counts_from_its_last_move() -> None:
    """A reorg below finality is a condition of its own, and never keeps a stall from being seen."""
    seen = Seen()
    seen.look()
    for _ in range(BOUND_S // 2 + 1):
        seen.head += 1
        seen.final -= 1
        causes = seen.look()
    assert causes == [Cause.FINALITY_STALL]


@pytest.mark.parametrize(("behind_s", "paused"), [(BEHIND_S, False), (BEHIND_S + 1, True), (-2, False), (-3, True)])
def test_a_head_outside_of_the_bounds_of_clocks_pauses(behind_s: int, paused: bool) -> None:
    assert (Seen().look(behind_s=behind_s) == [Cause.CLOCK_SKEW]) is paused


def test_skew_goes_after_some_looks_in_a_row() -> None:
    seen = Seen()
    assert seen.look(behind_s=60) == [Cause.CLOCK_SKEW]
    for _ in range(CALM_LOOKS - 1):
        assert seen.look() == [Cause.CLOCK_SKEW]
    assert seen.look(behind_s=60) == [Cause.CLOCK_SKEW]
    for _ in range(CALM_LOOKS - 1):
        assert seen.look() == [Cause.CLOCK_SKEW]
    assert seen.look() == []


def test_a_deep_reorg_pauses_until_it_is_acknowledged() -> None:
    seen = Seen()
    assert seen.look(alarms=1) == [Cause.DEEP_REORG]
    assert seen.look(alarms=1) == [Cause.DEEP_REORG]
    assert seen.look(alarms=0) == []


@pytest.mark.parametrize("state", ["unreachable", "inconsistent", "disputed"])
def test_endpoints_that_fail_twice_in_a_row_pause(state: str) -> None:
    seen = Seen()
    assert seen.look(state=state) == []
    assert seen.look(state="live") == []
    for _ in range(BAD_LOOKS - 1):
        assert seen.look(state=state) == []
    assert seen.look(state=state) == [Cause.QUORUM_LOST]
    for _ in range(CALM_LOOKS - 1):
        assert seen.look(state="live") == [Cause.QUORUM_LOST]
    assert seen.look(state="live") == []


@pytest.mark.parametrize("state", ["starting", "backfilling", "live", None])
def test_a_follower_at_work_does_not_pause(state: str | None) -> None:
    seen = Seen()
    assert [seen.look(state=state) for _ in range(5)] == [[]] * 5


def test_low_gas_goes_only_once_there_is_some_more() -> None:
    seen = Seen()
    assert seen.look(short="send some", short_soon="send some") == [Cause.LOW_GAS]
    assert seen.look(short="", short_soon="send some") == [Cause.LOW_GAS], "at the bound"
    assert seen.look(short=None) == [Cause.LOW_GAS], "a chain that does not say changes nothing"
    assert seen.look(short="", short_soon="") == []
    assert seen.look(short="", short_soon="send some") == []


def test_what_is_not_known_changes_nothing() -> None:
    seen = Seen()
    assert seen.look(behind_s=60) == [Cause.CLOCK_SKEW]
    for _ in range(10):
        assert seen.look(head=None) == [Cause.CLOCK_SKEW]


def test_a_pause_keeps_the_time_at_which_it_came() -> None:
    seen = Seen()
    look = ChainLook(chain=A, timing=TIMING, alarms=1)
    [first] = seen.switches([look])
    seen.now_s += 100
    assert seen.switches([look]) == (first,)


@given(st.lists(st.booleans(), max_size=60))
def test_skew_changes_at_most_once_in_its_calm_looks(skewed: list[bool]) -> None:
    seen, paused = Seen(), False
    since = CALM_LOOKS
    for one in skewed:
        now = bool(seen.look(behind_s=60 if one else 0))
        since = 0 if one else since + 1
        assert now or not one
        if paused and not now:
            assert since == CALM_LOOKS
        paused = now


def test_twice_its_time_is_what_finality_may_stand() -> None:
    assert stall_bound_s(TIMING) == BOUND_S


@pytest.mark.parametrize(("held", "spare", "short"), [(299, 1, True), (300, 1, False), (399, 2, True), (400, 2, False)])
def test_shortages_count_as_many_spare_exits_as_named(held: int, spare: int, short: bool) -> None:
    promise = inventory.Promise(
        swap_id=SwapId("s"),
        asset=COIN[B],
        amount=BaseUnits(1),
        timelock_s=0,
        counterparties=frozenset(),
        funded=False,
        chains=frozenset({A}),
    )
    costs = {A: {COIN[A]: 100}}
    found = inventory.shortages([A], [promise, promise], costs, {COIN[A]: held}, spare)
    assert (A in found) is short


# --- in a relayer ---------------------------------------------------------------------------------------------------


def test_a_chain_that_stands_still_is_paused_and_resumed() -> None:
    """Seen by a relayer: in its answers, its health, its metrics and its database."""

    async def story(house: House) -> None:
        service = await house.start()
        await service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1000)))
        await service.guard.look()
        assert service.switches.standing() == []
        producer = house._producers[0]
        producer.cancel()
        await house.clock.sleep(60)
        await service.guard.look()
        with pytest.raises(PausedError, match=f"{A} is paused: clock skew"):
            await service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1000)))
        assert [one.split(":")[0] for one in await service.concerns()] == [A.split(":")[0]]
        assert house.metrics.value("relayer_paused", scope=A, cause="clock-skew") == 1
        [row] = await house.database.read(lambda c: switchboard.standing(c, house.clock.now_ns()))
        assert (row.scope, row.cause) == (Scope(A), Cause.CLOCK_SKEW)
        house._producers.append(asyncio.create_task(house.chains[A].produce(1.0)))

        async def resumed() -> bool:
            await service.guard.look()
            return not service.switches.standing()

        await house.clock.sleep(4)
        await house.until(resumed)
        await service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1000)))
        assert await house.database.read(lambda c: switchboard.standing(c, house.clock.now_ns())) == []

    told(story)


def test_a_reorg_below_finality_pauses_until_acknowledged() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        reorg = {"chain": B, "seq": 1, "fork_height": 1, "finalized_height": 3, "noticed_ns": 1}
        await house.database.write(lambda c: c.execute(tables.deep_reorgs.insert(), reorg))
        await house.clock.sleep(1)
        await service.guard.look()
        [met] = service.switches.standing()
        assert (met.scope, met.cause) == (Scope(B), Cause.DEEP_REORG)
        await house.database.write(lambda c: store.acknowledge_alarms(c, B, 2))
        await service.guard.look()
        assert service.switches.standing() == []

    told(story)


def test_an_empty_purse_pauses_its_chain_and_no_other() -> None:
    async def story(house: House) -> None:
        service = await house.start()
        short: dict[int, dict[Any, str]] = {1: {A: "send it some"}, 2: {A: "send it some"}}

        async def shortages(spare: int = 1) -> Any:
            return short[spare]

        service.guard._shortages = shortages
        await service.guard.look()
        assert [(one.scope, one.cause) for one in service.switches.standing()] == [(Scope(A), Cause.LOW_GAS)]
        short[1] = {}
        await service.guard.look()
        assert len(service.switches.standing()) == 1
        short[2] = {}
        await service.guard.look()
        assert service.switches.standing() == []

    told(story)
