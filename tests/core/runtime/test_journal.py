"""Journal, outbox and cursors on all three databases."""

from functools import partial

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, NotFoundError
from core.runtime import journal as journal_module
from core.runtime.database import METADATA, Database, InlineDatabase
from core.runtime.journal import (
    TABLES,
    Effect,
    EffectStatus,
    Snapshot,
    advance_cursor,
    append,
    complete_effect,
    count_pending,
    cursor,
    effect,
    fail_effect,
    load,
    next_due_ns,
    pending_again,
    pending_effects,
    replay,
    retry_effect,
    snapshots,
    stream_effects,
)


@pytest.fixture
async def database(each_database: Database) -> Database:
    await each_database.write(lambda c: METADATA.drop_all(c, tables=TABLES))
    await each_database.write(lambda c: METADATA.create_all(c, tables=TABLES))
    return each_database


async def test_events_append_and_replay_in_order(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "PAGE", 3)

    def story(connection: Connection) -> None:
        for number in range(8):
            assert append(connection, "s", number, b"e%d" % number, b"s%d" % number, now_ns=number) == number + 1
        append(connection, "other", 0, b"x", b"y", now_ns=9)

    await database.write(story)
    entries = await database.read(lambda c: list(replay(c, "s")))
    assert [(entry.sequence, entry.event, entry.recorded_ns) for entry in entries] == [
        (number + 1, b"e%d" % number, number) for number in range(8)
    ]
    assert [e.sequence for e in await database.read(lambda c: list(replay(c, "s", 6)))] == [7, 8]
    assert await database.read(lambda c: load(c, "s")) == Snapshot("s", 8, b"s7")
    assert await database.read(lambda c: load(c, "unknown")) is None
    assert [s.stream for s in await database.read(lambda c: list(snapshots(c)))] == ["other", "s"]


async def test_snapshots_page_and_filter_by_prefix(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "PAGE", 2)
    streams = ["swap:a", "swap:b", "swap:c", "swap:d", "swap_e", "tx:1"]
    await database.write(lambda c: [append(c, name, 0, b"", b"", now_ns=0) for name in streams])
    found = await database.read(lambda c: [snapshot.stream for snapshot in snapshots(c, "swap:")])
    assert found == streams[:4]


@pytest.mark.parametrize("stale", [0, 1, 3])
async def test_a_stale_decision_conflicts_and_changes_nothing(database: Database, stale: int) -> None:
    await database.write(lambda c: append(c, "s", 0, b"1", b"one", now_ns=1))
    await database.write(lambda c: append(c, "s", 1, b"2", b"two", now_ns=2))
    with pytest.raises(ConflictError):
        await database.write(lambda c: append(c, "s", stale, b"x", b"x", [Effect("k", b"")], now_ns=3))
    assert await database.read(lambda c: load(c, "s")) == Snapshot("s", 2, b"two")
    assert len(await database.read(lambda c: list(replay(c, "s")))) == 2
    assert await database.read(lambda c: stream_effects(c, "s")) == []


async def test_queues_of_effects_are_read_apart(database: Database) -> None:
    """Whoever executes one of them finds nothing of the other, not even when its next effect is due."""

    def ask(connection: Connection) -> None:
        for number in range(3):
            append(connection, f"q{number}", 0, b"e", b"s", [Effect("k", b"", due_ns=5)], now_ns=1, queue="questions")
        append(connection, "s", 0, b"e", b"s", [Effect("k", b"", due_ns=7)], now_ns=1)

    await database.write(ask)
    assert [e.key for e in await database.read(lambda c: pending_effects(c, 9, limit=1))] == ["s:1:k"]
    assert [key for key, _ in await database.read(lambda c: pending_again(c, 9, 1, {}))] == ["s:1:k"]
    theirs = await database.read(lambda c: pending_effects(c, 9, queue="questions"))
    assert [e.stream for e in theirs] == ["q0", "q1", "q2"]
    assert await database.read(lambda c: pending_effects(c, 9, kinds={"k"}, queue="nobody's")) == []
    for queue, due, count in (("swaps", 7, 1), ("questions", 5, 3), ("nobody's", None, 0)):
        assert await database.read(partial(next_due_ns, queue=queue)) == due
        assert await database.read(partial(count_pending, queue=queue)) == count


async def test_effects_wait_until_due_then_settle_once(database: Database) -> None:
    effects = [Effect("later", b"L", due_ns=50), Effect("now", b"N")]
    await database.write(lambda c: append(c, "s", 0, b"e", b"s", effects, now_ns=1))
    assert [e.key for e in await database.read(lambda c: pending_effects(c, 49))] == ["s:1:now"]
    assert [e.key for e in await database.read(lambda c: pending_effects(c, 50))] == ["s:1:now", "s:1:later"]
    assert [e.body for e in await database.read(lambda c: pending_effects(c, 50, kinds={"later"}))] == [b"L"]
    assert len(await database.read(lambda c: pending_effects(c, 50, limit=1))) == 1
    assert await database.read(next_due_ns) == 0

    await database.write(lambda c: complete_effect(c, "s:1:now", now_ns=60))
    await database.write(lambda c: complete_effect(c, "s:1:now", now_ns=61))
    with pytest.raises(ConflictError, match="done already"):
        await database.write(lambda c: fail_effect(c, "s:1:now", "why", now_ns=62))
    with pytest.raises(ConflictError, match="done already"):
        await database.write(lambda c: retry_effect(c, "s:1:now", due_ns=99, error="why"))
    assert await database.read(next_due_ns) == 50

    await database.write(lambda c: retry_effect(c, "s:1:later", due_ns=70, error="endpoint is down" * 100))
    tried = await database.read(lambda c: effect(c, "s:1:later"))
    assert (tried.attempts, tried.due_ns, tried.status) == (1, 70, EffectStatus.PENDING)
    assert tried.error is not None
    assert len(tried.error) == journal_module.MAX_ERROR_CHARS
    assert await database.read(lambda c: pending_effects(c, 69)) == []

    await database.write(lambda c: fail_effect(c, "s:1:later", "refused for good", now_ns=71))
    await database.write(lambda c: fail_effect(c, "s:1:later", "again", now_ns=72))
    with pytest.raises(ConflictError, match="failed already"):
        await database.write(lambda c: complete_effect(c, "s:1:later", now_ns=73))
    assert await database.read(next_due_ns) is None
    settled = {e.kind: (e.status, e.error) for e in await database.read(lambda c: stream_effects(c, "s"))}
    assert await database.read(lambda c: pending_effects(c, 99)) == []
    assert settled == {
        "now": (EffectStatus.DONE, None),
        "later": (EffectStatus.FAILED, "refused for good"),
    }


async def test_known_effects_are_not_read_until_they_change(database: Database) -> None:
    effects = [Effect("first", b"1"), Effect("second", b"2"), Effect("third", b"3", due_ns=5)]
    await database.write(lambda c: append(c, "s", 0, b"e", b"s", effects, now_ns=1))
    before = await database.read(lambda c: pending_again(c, 4, 9, {}))
    assert list(before) == [("s:1:first", 0), ("s:1:second", 0)]
    assert [one.body for one in before.values()] == [b"1", b"2"]
    again = await database.read(lambda c: pending_again(c, 4, 9, before))
    assert all(again[one] is before[one] for one in before)

    await database.write(lambda c: retry_effect(c, "s:1:first", due_ns=5, error="not yet"))
    await database.write(lambda c: complete_effect(c, "s:1:second", now_ns=3))
    after = await database.read(lambda c: pending_again(c, 5, 9, before))
    assert list(after) == [("s:1:first", 1), ("s:1:third", 0)]
    assert after["s:1:first", 1].error == "not yet"
    assert list(await database.read(lambda c: pending_again(c, 5, 1, before))) == [("s:1:first", 1)]


async def test_unknown_effects_are_not_found(database: Database) -> None:
    for settle in (
        lambda c: complete_effect(c, "none", now_ns=0),
        lambda c: fail_effect(c, "none", "", now_ns=0),
        lambda c: retry_effect(c, "none", due_ns=0, error=""),
    ):
        with pytest.raises(NotFoundError, match="no effect none"):
            await database.write(settle)


async def test_two_effects_of_one_kind_are_refused(database: Database) -> None:
    twice = [Effect("claim", b"1"), Effect("claim", b"2")]
    with pytest.raises(FatalError, match="of one kind"):
        await database.write(lambda c: append(c, "s", 0, b"e", b"s", twice, now_ns=1))
    assert await database.read(lambda c: load(c, "s")) is None


async def test_cursor_and_events_move_together_or_not_at_all(database: Database) -> None:
    assert await database.read(lambda c: cursor(c, "facts")) == 0

    def step(connection: Connection, expected: int, position: int, stream: str) -> None:
        append(connection, stream, 0, b"e", b"s", now_ns=1)
        advance_cursor(connection, "facts", expected, position)

    await database.write(lambda c: step(c, 0, 7, "a"))
    await database.write(lambda c: step(c, 7, 7, "b"))
    with pytest.raises(ConflictError, match="stands at 7, not at 6"):
        await database.write(lambda c: step(c, 6, 9, "c"))
    with pytest.raises(ConflictError, match="stands at 7, not at 0"):
        await database.write(lambda c: step(c, 0, 9, "c"))
    with pytest.raises(FatalError, match="does not move back"):
        await database.write(lambda c: step(c, 7, 6, "c"))
    with pytest.raises(ConflictError, match="stands at 0, not at 3"):
        await database.write(lambda c: advance_cursor(c, "unknown", 3, 4))
    assert await database.read(lambda c: cursor(c, "facts")) == 7
    assert await database.read(lambda c: load(c, "c")) is None


async def test_a_gap_in_the_journal_is_fatal(database: Database) -> None:
    await database.write(lambda c: [append(c, "s", n, b"e", b"s", now_ns=n) for n in range(3)])
    await database.write(
        lambda c: c.execute(sa.delete(journal_module.journal).where(journal_module.journal.c.sequence == 2))
    )
    with pytest.raises(FatalError, match="gap"):
        await database.read(lambda c: list(replay(c, "s")))


def count(connection: Connection, stream: str) -> int:
    return len(list(replay(connection, stream)))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=25))
async def test_every_interleaving_keeps_streams_whole(tries: list[tuple[str, int]]) -> None:
    """Against a plain dictionary: an append succeeds exactly if its expectation is true."""
    opened = InlineDatabase()
    await opened.write(lambda c: METADATA.create_all(c, tables=TABLES))
    model: dict[str, int] = {}
    for stream, expected in tries:
        try:
            await opened.write(
                partial(append, stream=stream, expected_sequence=expected, event=b"", state=b"", now_ns=0)
            )
        except ConflictError:
            assert model.get(stream, 0) != expected
        else:
            assert model.get(stream, 0) == expected
            model[stream] = expected + 1
    stored = await opened.read(lambda c: {s.stream: s.sequence for s in snapshots(c)})
    assert stored == model
    for stream, length in model.items():
        assert await opened.read(partial(count, stream=stream)) == length
    await opened.close()
