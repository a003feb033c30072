"""Queries of callers that take their time: one height per chain, deadlines, restarts, and how much one may ask."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from core.model.errors import NotFoundError, NotYetFinalError, RejectedError, RetryableError, TooManyError
from core.model.questions import AsOf, Evidence, LeafQuestion, LogQuestion, Question, RecordAnswer, RecordQuestion
from core.model.types import BlockRef, ChainId, ChainTime, Height
from core.model.uris import Asked, parse_uri
from core.proofs.evidence import encode_evidence
from core.runtime.clock import ManualClock, SystemSecrets
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from queries.together import Answered
from relayer.asking import caller_queries, query, rows
from relayer.asking.caller_queries import CallerQueries
from relayer.asking.query import Standing
from relayer.asking.rows import Stored
from relayer.metrics import RelayerMetrics

ONE, TWO = ChainId("causeway:one"), ChainId("causeway:two")
CALLER = "192.0.2.1"
Look = Callable[[Question, Height], None]


def uri(key: str, chain: ChainId = ONE) -> Asked:
    return parse_uri(f"{chain}/records/charity/{key}")


class Chains:
    """A prover over chains whose provable heights a test sets. `trouble` raises what a question meets."""

    def __init__(self) -> None:
        self.heights = {ONE: 5, TWO: 50}
        self.trouble: Look = lambda question, height: None
        self.asked: list[tuple[Question, Height | None, Height | None]] = []

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        self.asked.append((question, at, trusted))
        newest = Height(self.heights[question.chain])
        if at is not None and at > newest:
            raise NotYetFinalError(f"{question.chain} can be proven up to height {newest} so far")
        height = newest if at is None else at
        self.trouble(question, height)
        block = BlockRef(question.chain, height, bytes(32))
        answer = RecordAnswer(1, None, b"x" * 100)
        return Evidence(question, answer, AsOf(block, ChainTime(question.chain, 1), "commit"), "test", b"{}")


class World:
    def __init__(self) -> None:
        self.database = InlineDatabase()
        self.chains = Chains()
        self.clock = ManualClock()
        self.queries = self.restarted()

    def restarted(self) -> CallerQueries:
        return CallerQueries(self.database, self.chains, self.clock, SystemSecrets())

    async def begin(self, *asked: Asked, caller: str = CALLER, open_s: int = 60) -> Stored:
        return await self.queries.begin(asked, None, caller, open_s)

    async def looked(self, stored: Stored) -> Stored:
        await self.queries.look()
        return await self.queries.find(stored.id)


@pytest.fixture
async def world() -> World:
    made = World()
    await made.database.write(lambda c: create_schema(c, rows.TABLES))
    return made


def heights(stored: Stored) -> list[int | None]:
    return [None if part.state.proof is None else part.state.proof.height for part in stored.parts]


async def test_answers_of_one_chain_are_as_of_one_height(world: World) -> None:
    """A question that failed at first is asked for at the height of the others, although the chain has gone on."""

    def away(question: Question, height: Height) -> None:
        if question == uri("b").question:
            raise RetryableError("the endpoint is away")

    world.chains.trouble = away
    begun = await world.begin(uri("a"), uri("b"), uri("c", TWO))
    half = await world.looked(begun)
    assert [part.standing for part in half.parts] == [Standing.ANSWERED, Standing.WAITING, Standing.ANSWERED]
    assert (half.standing, half.parts[1].problem) == (Standing.WAITING, "unavailable")
    world.chains.trouble = lambda question, height: None
    world.chains.heights = {ONE: 9, TWO: 90}
    whole = await world.looked(begun)
    assert (whole.standing, heights(whole), whole.versions) == (Standing.ANSWERED, [5, 5, 50], (1, 3, 2))
    assert whole.parts[0] == half.parts[0]


async def test_queries_are_counted(world: World) -> None:
    registry = Metrics()
    counted = CallerQueries(world.database, world.chains, world.clock, SystemSecrets(), RelayerMetrics(registry))
    await world.begin(uri("a"))
    await world.begin(replace(uri("b"), at=Height(7)))
    for _ in range(2):
        await counted.look()
    assert registry.value("relayer_caller_queries_total", standing="answered") == 1
    assert registry.value("relayer_caller_queries_open") == 1


async def test_log_is_as_of_its_own_height(world: World) -> None:
    ethereum = ChainId("eip155:1")
    world.chains.heights[ethereum] = 5
    slot, log = parse_uri(f"{ethereum}/storage/0x{'0d' * 20}/1"), Asked(LogQuestion(ethereum, bytes(32), 0))
    for answered, waits in ((slot, log), (log, slot)):
        parts = query.begin([answered, waits], b"n", 100, 1)
        first = query.answer(parts[0], await world.chains.prove(answered.question), 2, 1_000)
        assert first.standing is Standing.ANSWERED
        assert query.wanted([first, parts[1]]) == [(1, waits)]


async def test_query_waits_for_its_height(world: World) -> None:
    asked = replace(uri("a"), at=Height(7))
    begun = await world.begin(asked)
    waits = await world.looked(begun)
    assert (waits.standing, waits.version, waits.parts[0].problem) == (Standing.WAITING, 0, "not-yet-final")
    assert "up to height 5" in waits.parts[0].detail
    world.chains.heights[ONE] = 8
    done = await world.looked(begun)
    assert (done.standing, heights(done)) == (Standing.ANSWERED, [7])
    assert done.parts[0].file == encode_evidence(await world.chains.prove(asked.question, asked.at))


async def test_query_ends_at_its_deadline_with_the_reason(world: World) -> None:
    begun = await world.begin(replace(uri("a"), at=Height(7)), uri("b", TWO), open_s=60)
    await world.looked(begun)
    await world.clock.advance(60)
    world.chains.asked.clear()
    over = await world.looked(begun)
    assert [part.standing for part in over.parts] == [Standing.EXPIRED, Standing.ANSWERED]
    assert (over.standing, over.version) == (Standing.EXPIRED, 2)
    assert "up to height 5" in over.parts[0].detail
    assert world.chains.asked == []
    world.chains.heights[ONE] = 8
    assert await world.looked(begun) == over
    assert await world.queries.look() == 0


async def test_query_has_its_whole_time(world: World) -> None:
    """Although it begins within a second."""
    await world.clock.advance(0.9)
    begun = await world.begin(uri("a"), open_s=1)
    await world.clock.advance(0.2)
    assert (await world.looked(begun)).standing is Standing.ANSWERED


async def test_refusal_ends_one_question_alone(world: World) -> None:
    def pruned(question: Question, height: Height) -> None:
        if question == uri("b").question:
            raise NotFoundError("height 5 is pruned")

    world.chains.trouble = pruned
    begun = await world.begin(uri("a"), uri("b"))
    ended = await world.looked(begun)
    assert [part.standing for part in ended.parts] == [Standing.ANSWERED, Standing.REFUSED]
    assert ended.standing is Standing.REFUSED
    assert (ended.parts[1].problem, ended.parts[1].detail) == ("not-found", "height 5 is pruned")


async def test_query_goes_on_after_a_restart(world: World) -> None:
    begun = await world.begin(replace(uri("a"), at=Height(7)), uri("b", TWO))
    half = await world.looked(begun)
    world.queries = world.restarted()
    assert await world.queries.find(begun.id) == half
    world.chains.heights[ONE] = 7
    whole = await world.looked(begun)
    assert (whole.standing, heights(whole)) == (Standing.ANSWERED, [7, 50])


async def test_known_answers_are_kept_from_the_beginning(world: World) -> None:
    known: list[Answered] = [await world.chains.prove(uri("a").question), NotYetFinalError("not yet")]
    begun = await world.queries.begin([uri("a"), uri("b")], Height(3), CALLER, 60, known)
    assert (heights(begun), begun.versions, begun.parts[1].detail) == ([5, None], (1, 0), "not yet")
    world.chains.asked.clear()
    whole = await world.looked(begun)
    assert world.chains.asked == [(uri("b").question, Height(5), Height(3))]
    assert whole.standing is Standing.ANSWERED


async def test_hanging_chain_costs_no_other_its_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Chains):
        async def prove(
            self, question: Question, at: Height | None = None, *, trusted: Height | None = None
        ) -> Evidence:
            if question.chain == TWO:
                await asyncio.Event().wait()
            return await super().prove(question, at, trusted=trusted)

    monkeypatch.setattr(caller_queries, "PROOF_TIMEOUT_S", 0.05)
    world.chains = Hanging()
    world.queries = world.restarted()
    begun = await world.begin(uri("a", TWO), uri("b"))
    looked = await world.looked(begun)
    assert [part.standing for part in looked.parts] == [Standing.WAITING, Standing.ANSWERED]
    assert "no proof after" in looked.parts[0].detail


async def test_prover_that_breaks_ends_no_query(world: World) -> None:
    def broken(question: Question, height: Height) -> None:
        raise ZeroDivisionError

    world.chains.trouble = broken
    begun = await world.begin(uri("a"))
    looked = await world.looked(begun)
    assert (looked.standing, looked.parts[0].problem) == (Standing.WAITING, "unavailable")
    assert "ZeroDivisionError" in looked.parts[0].detail


async def test_query_that_cannot_be_read_goes_alone(world: World) -> None:
    damaged, other = await world.begin(uri("a")), await world.begin(uri("b"))
    ours = rows.query_parts.c.query_id == damaged.id
    await world.database.write(lambda c: c.execute(sa.update(rows.query_parts).where(ours).values(state=b"{")).rowcount)
    assert (await world.looked(other)).standing is Standing.ANSWERED
    with pytest.raises(NotFoundError):
        await world.queries.find(damaged.id)


async def test_query_deleted_while_it_is_proven_stops_no_other(world: World) -> None:
    gone, other = await world.begin(uri("a")), await world.begin(uri("b"), caller="another")
    ended: list[asyncio.Task[Stored]] = []

    def deleted_meanwhile(question: Question, height: Height) -> None:
        if question == uri("a").question:
            ended.append(asyncio.ensure_future(world.queries.remove(gone.id)))

    world.chains.trouble = deleted_meanwhile
    done = await world.looked(other)
    assert done.standing is Standing.ANSWERED
    assert (await asyncio.gather(*ended))[0].id == gone.id
    await world.queries.look()
    with pytest.raises(NotFoundError):
        await world.queries.find(gone.id)
    assert await world.database.read(lambda c: rows.open_queries(c, 9)) == []


async def test_query_deleted_before_its_turn_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, other = await world.begin(uri("a")), await world.begin(uri("b"), caller="another")
    opened = await world.database.read(lambda c: rows.open_queries(c, 9))
    await world.queries.remove(gone.id)
    monkeypatch.setattr(rows, "open_queries", lambda connection, limit: opened)
    assert (await world.looked(other)).standing is Standing.ANSWERED


async def test_deleted_query_counts_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_OPEN_OF_A_CALLER", 1)
    registry = Metrics()
    queries = CallerQueries(world.database, world.chains, world.clock, SystemSecrets(), RelayerMetrics(registry))
    first = await world.begin(replace(uri("a"), at=Height(7)))
    with pytest.raises(TooManyError):
        await world.begin(replace(uri("b"), at=Height(7)))
    assert (await queries.remove(first.id)).standing is Standing.WAITING
    await world.begin(replace(uri("b"), at=Height(7)))
    assert registry.value("relayer_caller_queries_total", standing="deleted") == 1


async def test_many_queries_take_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_queries, "MAX_A_LOOK", 2)
    begun = [await world.begin(replace(uri(f"{n}"), at=Height(7))) for n in range(5)]
    for _ in range(3):
        await world.queries.look()
        await world.clock.advance(1)
    asked = {question for question, _, _ in world.chains.asked}
    assert len(asked) == len(begun)


# --- bounds ------------------------------------------------------------------------------------------------------


async def test_same_call_is_the_same_query_while_it_is_open(world: World) -> None:
    asked = replace(uri("a"), at=Height(7))
    begun = await world.begin(asked)
    assert (await world.begin(asked)).id == begun.id
    assert (await world.begin(asked, caller="192.0.2.2")).id != begun.id
    assert (await world.begin(uri("a"))).id != begun.id
    assert (await world.queries.begin([asked], Height(2), CALLER, 60)).id != begun.id
    world.chains.heights[ONE] = 7
    await world.queries.look()
    assert (await world.begin(asked)).id != begun.id


async def test_open_queries_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_OPEN_OF_A_CALLER", 2)
    monkeypatch.setattr(rows, "MAX_OPEN", 3)
    for key in ("a", "b"):
        await world.begin(uri(key))
    with pytest.raises(TooManyError, match="2 queries of yours"):
        await world.begin(uri("c"))
    await world.begin(uri("c"), caller="192.0.2.2")
    with pytest.raises(TooManyError, match="3 queries of all"):
        await world.begin(uri("d"), caller="192.0.2.3")
    await world.queries.look()
    await world.begin(uri("d"))


@pytest.mark.parametrize("bound", ["MAX_KEPT_OF_A_CALLER", "MAX_KEPT", "MAX_BYTES_OF_A_CALLER", "MAX_BYTES"])
async def test_kept_queries_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """The oldest that have ended go; an open one stays."""
    file = encode_evidence(await world.chains.prove(uri("0").question))
    monkeypatch.setattr(rows, bound, 3 if "KEPT" in bound else 3 * len(file))
    waits = await world.begin(replace(uri("a"), at=Height(7)))
    done = []
    for n in range(5):
        done.append(await world.begin(uri(str(n))))
        await world.queries.look()
        await world.clock.advance(1)
    ids = await world.database.read(lambda c: list(c.execute(sa.select(rows.queries.c.id)).scalars()))
    kept = done[-2:] if "KEPT" in bound else done[-3:]
    assert set(ids) == {waits.id, *(one.id for one in kept)}
    parts = await world.database.read(lambda c: list(c.execute(sa.select(rows.query_parts.c.query_id)).scalars()))
    assert set(parts) == set(ids)


async def test_ended_query_is_kept_for_an_hour(world: World) -> None:
    done = await world.begin(uri("a"))
    await world.queries.look()
    await world.clock.advance(rows.KEPT_S)
    await world.begin(uri("b"))
    assert (await world.queries.find(done.id)).standing is Standing.ANSWERED
    await world.clock.advance(1)
    await world.begin(uri("c"))
    with pytest.raises(NotFoundError, match="60 minutes"):
        await world.queries.find(done.id)


async def test_evidence_of_one_query_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = encode_evidence(await world.chains.prove(uri("a").question))
    monkeypatch.setattr(caller_queries, "MAX_EVIDENCE_BYTES", len(file) + 10)
    begun = await world.begin(uri("a"), uri("b"))
    ended = await world.looked(begun)
    assert [part.standing for part in ended.parts] == [Standing.ANSWERED, Standing.REFUSED]
    assert "ask for less at once" in ended.parts[1].detail


async def test_question_without_a_uri_is_refused_before_it_is_stored(world: World) -> None:
    odd = Asked(LeafQuestion(ONE, b"\xff" * 256))
    stored = await world.begin(odd)
    assert stored.parts[0].uri.endswith("ff")
    with pytest.raises(RejectedError):
        await world.begin(Asked(RecordQuestion(ONE, "charity", "x" * 3_000)))
