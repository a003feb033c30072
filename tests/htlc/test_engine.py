"""The machine over a database: one transaction an event, nothing repeated, and replay that leads to the same state."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, NotFoundError
from core.model.types import SwapId
from core.runtime import journal
from core.runtime.database import Database, InlineDatabase, create_schema
from htlc import codec, effects, engine
from htlc.events import SwapEvent
from htlc.model import Leg, Phase, Role
from tests.htlc.scenarios import (
    NOW,
    agreement,
    claim_final,
    claim_seen,
    lock_final,
    lock_seen,
    random_history,
    time,
    timelock,
    verified,
)

NOW_NS = NOW * 10**9
FIRST, SECOND = Leg.INITIATOR, Leg.PARTICIPANT


@pytest.fixture
async def database() -> AsyncIterator[Any]:
    opened = InlineDatabase()
    await opened.write(create_schema)
    yield opened
    await opened.close()


async def test_events_states_and_effects_are_stored_together(database: Database) -> None:
    terms = agreement()

    def story(connection: Connection) -> engine.Taken:
        engine.begin(connection, terms, now_s=NOW, now_ns=NOW_NS)
        happened: list[SwapEvent] = [
            lock_seen(terms, FIRST),
            lock_final(FIRST),
            time(FIRST, 1),
            verified(FIRST),
            lock_final(FIRST),
        ]
        return engine.take(connection, terms.swap_id, happened, now_ns=NOW_NS)

    taken = await database.write(story)
    assert (taken.before.phase, taken.state.phase) == (Phase.AGREED, Phase.FUNDING)
    assert taken.stored == 3, "moved clocks and repeated facts are not stored"
    stored = await database.read(lambda c: journal.stream_effects(c, terms.swap_id))
    assert [effect.key for effect in stored] == [
        f"{terms.swap_id}:3:verify-initiator",
        f"{terms.swap_id}:4:fund-participant",
    ]
    assert [codec.decode_effect(effect.body) for effect in stored] == list(taken.asked)
    assert [effects.effect_key(effect) for effect in taken.asked] == [effect.key for effect in stored]
    await database.read(lambda c: engine.check_replay(c, terms.swap_id))


@pytest.mark.parametrize("seen", [[], [FIRST]])
async def test_a_watch_ends_once_both_chains_are_past_it(database: Database, seen: list[Leg]) -> None:
    """Steps of time alone are not stored, but for the ones by which a leg without a lock is over."""
    terms = agreement(Role.WATCHTOWER)
    phases = list[Phase]()

    def take(connection: Connection, *happened: SwapEvent) -> int:
        taken = engine.take(connection, terms.swap_id, happened, now_ns=NOW_NS)
        phases.append(taken.state.phase)
        return taken.stored

    def story(connection: Connection) -> list[int]:
        engine.begin(connection, terms, now_s=NOW, now_ns=NOW_NS)
        for leg in seen:
            take(connection, lock_seen(terms, leg), lock_final(leg), claim_seen(leg), claim_final(leg))
        late = {leg: timelock(terms, leg) for leg in Leg}
        steps = [time(SECOND, late[SECOND] + 1), time(SECOND, late[SECOND] + 3), time(SECOND, late[SECOND] + 4)]
        return [take(connection, step) for step in [*steps, time(FIRST, late[FIRST] + 3)]]

    stored = await database.write(story)
    over = Phase.LOST if seen else Phase.ABANDONED
    assert stored[:3] == [0, 1, 0]
    assert over not in phases[: len(seen) + 1]
    assert phases[-1] is over


async def test_what_fails_in_a_batch_leaves_nothing_of_it(database: Database) -> None:
    terms = agreement()
    await database.write(lambda c: engine.begin(c, terms, now_s=NOW, now_ns=NOW_NS))

    def half(connection: Connection) -> None:
        engine.take(connection, terms.swap_id, [lock_seen(terms, FIRST), lock_final(FIRST)], now_ns=NOW_NS)
        raise ConflictError("the cursor was moved by another process")

    with pytest.raises(ConflictError):
        await database.write(half)
    assert (await database.read(lambda c: engine.load(c, terms.swap_id))).phase is Phase.AGREED
    assert not await database.read(lambda c: journal.stream_effects(c, terms.swap_id))


async def test_a_swap_begins_once_and_unknown_ones_are_not_found(database: Database) -> None:
    terms = agreement()
    await database.write(lambda c: engine.begin(c, terms, now_s=NOW, now_ns=NOW_NS))
    with pytest.raises(ConflictError):
        await database.write(lambda c: engine.begin(c, terms, now_s=NOW, now_ns=NOW_NS))
    with pytest.raises(NotFoundError):
        await database.read(lambda c: engine.load(c, SwapId("00")))
    with pytest.raises(NotFoundError):
        await database.read(lambda c: engine.replayed(c, SwapId("00")))


@pytest.mark.parametrize("role", list(Role))
async def test_random_lives_replay_to_the_same_state(database: Database, role: Role) -> None:
    terms = agreement(role)
    _, history = random_history(7, role, 60, honest=True)

    def live(connection: Connection) -> engine.Taken:
        engine.begin(connection, terms, now_s=NOW, now_ns=NOW_NS)
        return engine.take(connection, terms.swap_id, history, now_ns=NOW_NS)

    taken = await database.write(live)
    assert taken.stored > 2
    await database.read(lambda c: engine.check_replay(c, terms.swap_id))


async def test_a_damaged_state_is_found_by_replay(database: Database) -> None:
    terms = agreement()

    def damage(connection: Connection) -> None:
        engine.begin(connection, terms, now_s=NOW, now_ns=NOW_NS)
        engine.take(connection, terms.swap_id, [lock_seen(terms, FIRST)], now_ns=NOW_NS)
        stored = journal.load(connection, terms.swap_id)
        assert stored is not None
        changed = stored.state.replace(b"initiator-locked", b"both-locked")
        connection.execute(journal.journal_state.update().values(state=changed))

    await database.write(damage)
    with pytest.raises(FatalError):
        await database.read(lambda c: engine.check_replay(c, terms.swap_id))


async def test_a_whole_swap_ends_in_the_database(database: Database) -> None:
    terms = agreement()

    def story(connection: Connection) -> engine.Taken:
        engine.begin(connection, terms, now_s=NOW, now_ns=NOW_NS)
        happened: list[SwapEvent] = [
            lock_seen(terms, FIRST),
            lock_final(FIRST),
            verified(FIRST),
            lock_seen(terms, SECOND),
            lock_final(SECOND),
            claim_seen(SECOND),
            claim_final(SECOND),
            claim_seen(FIRST),
            claim_final(FIRST),
        ]
        return engine.take(connection, terms.swap_id, happened, now_ns=NOW_NS)

    taken = await database.write(story)
    assert taken.state.phase is Phase.COMPLETED
    assert [effects.kind_of(effect) for effect in taken.asked] == [
        "verify-initiator",
        "fund-participant",
        "claim-initiator",
        "finished",
    ]
