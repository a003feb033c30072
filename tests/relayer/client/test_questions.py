"""The client's questions that take their time, and those that it follows: over a relayer's API, and over chains."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from core.model.errors import CausewayError, NotFoundError, NotYetFinalError, RejectedError, RetryableError
from core.model.questions import Anchor, Evidence, Question, RecordAnswer
from core.model.types import Height, Seconds
from core.model.uris import Asked, print_uri
from core.proofs.errors import InvalidProofError
from core.proofs.evidence import Verified
from core.runtime.clock import ManualClock, SystemClock
from core.runtime.server_events import ServerEvent, read_events
from relayer.api import subscriptions
from relayer.asking import caller_queries, pusher
from relayer.client import LocalProver, Proven, ProvenQueries, RelayerApi, RelayerProver, provers, relayer_prover
from relayer.client.provers import ClientProver, Placed
from tests.relayer.api.test_queries import serving
from tests.relayer.asking.test_caller_queries import ONE
from tests.relayer.asking.test_pusher import A, B, C, Written
from tests.support import eventually

ANCHOR = Anchor(ONE, bytes(32), Height(1), bytes(32), Seconds(86_400))
FIRST, SECOND, THIRD = (print_uri(one.question) for one in (A, B, C))


def believing(evidence: Evidence, anchor: Any, now_s: int) -> Verified:
    """Verify what the chains of these tests answer: a document `x` is true."""
    assert isinstance(evidence.answer, RecordAnswer)
    if evidence.answer.document != b"x":
        raise InvalidProofError("the proof shows another answer")
    return Verified(evidence.question, evidence.answer, evidence.as_of)


def asking(prover: ClientProver) -> ProvenQueries:
    return ProvenQueries(prover, ANCHOR, verifiers={"test": believing}, max_age_s=float("inf"))


@asynccontextmanager
async def remotely(chains: Written) -> AsyncIterator[ProvenQueries]:
    async with serving(chains) as url, RelayerApi(url) as api:
        yield asking(RelayerProver(api))


@asynccontextmanager
async def locally(chains: Written) -> AsyncIterator[ProvenQueries]:
    yield asking(LocalProver(chains))


WAYS = pytest.mark.parametrize("way", [remotely, locally])
Way = Callable[[Written], Any]


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> Written:
    for module in (caller_queries, pusher, provers):
        monkeypatch.setattr(module, "LOOK_S", 0.02)
    return Written()


def version(proven: Proven | CausewayError) -> tuple[str, int]:
    assert isinstance(proven, Proven), proven
    assert isinstance(proven.verified.answer, RecordAnswer)
    return proven.uri, proven.verified.answer.version


@WAYS
async def test_answers_come_as_they_can_be_proven(chains: Written, way: Way) -> None:
    later = f"{SECOND}?at=7"
    async with way(chains) as queries, aclosing(queries.in_time([later, THIRD], 60)) as answers:
        assert version(await anext(answers)) == (THIRD, 0)
        chains.heights[ONE] = 9
        found = await anext(answers)
        assert version(found) == (later, 0)
        assert found.verified.as_of.block.height == 7
        assert [one async for one in answers] == []


@WAYS
async def test_question_that_has_no_answer_in_time_is_an_error(chains: Written, way: Way) -> None:
    def pruned(question: Question, height: Height) -> None:
        if question == C.question:
            raise NotFoundError("height 50 is pruned")

    chains.trouble = pruned
    later = f"{SECOND}?at=7"
    async with way(chains) as queries:
        found = {one.fields["uri"]: one async for one in queries.in_time([THIRD, later], 1)}
    assert isinstance(found[THIRD], NotFoundError)
    assert isinstance(found[later], NotYetFinalError)
    assert "up to height 5" in found[later].message


@WAYS
async def test_followed_answer_comes_with_each_change(chains: Written, way: Way) -> None:
    async with way(chains) as queries, aclosing(queries.follow([FIRST, SECOND], lasts_s=600)) as pushes:
        assert sorted([version(await anext(pushes)) for _ in range(2)]) == [(FIRST, 0), (SECOND, 0)]
        chains.write(B)
        assert version(await anext(pushes)) == (SECOND, 1)
        chains.heights[ONE] += 1
        chains.write(A)
        assert version(await anext(pushes)) == (FIRST, 1)


@WAYS
async def test_following_ends_at_its_time(chains: Written, way: Way) -> None:
    async with way(chains) as queries:
        assert [version(one) async for one in queries.follow([FIRST], lasts_s=1)] == [(FIRST, 0)]


@WAYS
async def test_reason_why_a_followed_question_fails_comes_and_goes(chains: Written, way: Way) -> None:
    def wrong(question: Question, height: Height) -> None:
        raise RejectedError("no layout says where its balances are")

    chains.trouble = wrong
    async with way(chains) as queries, aclosing(queries.follow([FIRST], lasts_s=600)) as pushes:
        failed = await anext(pushes)
        assert isinstance(failed, RejectedError)
        assert (failed.message, failed.fields["uri"]) == ("no layout says where its balances are", FIRST)
        chains.trouble = lambda question, height: None
        chains.heights[ONE] += 1
        assert version(await anext(pushes)) == (FIRST, 0)


async def test_stream_that_breaks_is_opened_again(chains: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "STREAM_S", 0.1)
    monkeypatch.setattr(subscriptions, "HEARTBEAT_S", 0.05)
    async with remotely(chains) as queries, aclosing(queries.follow([FIRST], lasts_s=600)) as pushes:
        assert version(await anext(pushes)) == (FIRST, 0)
        for n in range(1, 4):
            asked = len(chains.asked)
            await asyncio.sleep(0.15)
            chains.write(A)
            assert version(await anext(pushes)) == (FIRST, n)
            assert len(chains.asked) > asked


async def test_subscription_is_taken_back_by_who_goes(chains: Written) -> None:
    made = list[str]()

    class Noting(RelayerApi):
        async def subscribe(self, call: Any) -> Any:
            body = await super().subscribe(call)
            made.append(body.id)
            return body

    async with serving(chains) as url, Noting(url) as api:
        queries = asking(RelayerProver(api))
        async with aclosing(queries.follow([FIRST], lasts_s=600)) as pushes:
            await anext(pushes)
            asked = len(chains.asked)
            await eventually(lambda: len(chains.asked) > asked)
            assert (await api.subscription(made[0])).reason is None
        with pytest.raises(NotFoundError):
            await api.subscription(made[0])


async def test_relayer_that_stays_away_ends_the_following(chains: Written) -> None:
    class Slept(SystemClock):
        def __init__(self) -> None:
            self.slept_s = 0.0

        def monotonic(self) -> float:
            return self.slept_s

        async def sleep(self, seconds: float) -> None:
            self.slept_s += seconds

    clock = Slept()
    relayer = serving(chains)
    async with RelayerApi(await relayer.__aenter__()) as api:
        pushes = asking(RelayerProver(api, clock=clock)).follow([FIRST], lasts_s=600)
        assert version(await anext(pushes)) == (FIRST, 0)
        await relayer.__aexit__(None, None, None)
        with pytest.raises(RetryableError):
            await anext(pushes)
    assert clock.slept_s > 300


# --- liars -------------------------------------------------------------------------------------------------------


class Liar:
    """A `ClientProver` that answers what a test wants."""

    def __init__(self, *placed: Placed) -> None:
        self.placed = placed

    async def together(self, asked: Any, trusted: Any) -> Any:
        return [answer for _, answer in self.placed]

    async def in_time(self, *_: Any) -> AsyncIterator[Placed]:
        for one in self.placed:
            yield one

    follow = in_time


async def at(chains: Written, asked: Asked, height: int, *, document: bytes = b"x") -> Evidence:
    chains.heights = dict.fromkeys(chains.heights, 100)
    found = await chains.prove(asked.question, Height(height))
    return replace(found, answer=RecordAnswer(height, None, document))


async def test_push_is_verified_before_it_comes(chains: Written) -> None:
    """Forged, replayed from before, or an answer to another question: each is an error in its place."""
    liar = Liar(
        (0, await at(chains, A, 7)),
        (0, await at(chains, A, 8, document=b"forged")),
        (0, await at(chains, B, 9)),
        (0, await at(chains, A, 6)),
        (0, await at(chains, A, 8)),
    )
    pushed = [one async for one in asking(liar).follow([FIRST])]
    assert [type(one) for one in pushed] == [Proven, InvalidProofError, RejectedError, RejectedError, Proven]
    messages = [one.message for one in pushed if isinstance(one, CausewayError)]
    assert "another question" in messages[1]
    assert "older than that of block 7" in messages[2]


async def test_answers_in_time_are_as_of_one_block(chains: Written) -> None:
    liar = Liar((0, await at(chains, A, 7)), (1, await at(chains, B, 8)))
    answers = asking(liar).in_time([FIRST, SECOND])
    assert isinstance(await anext(answers), Proven)
    with pytest.raises(InvalidProofError, match="several blocks"):
        await anext(answers)


async def test_old_answer_is_refused_unless_its_height_was_asked_for(chains: Written) -> None:
    """A relayer may not show what was true once as the newest, although its proof holds for ever."""
    clock = ManualClock()
    old = await at(chains, A, 7)
    queries = ProvenQueries(Liar((0, old)), ANCHOR, clock, {"test": believing})
    [refused] = await queries.answers([FIRST])
    assert isinstance(refused, RejectedError)
    assert "older than the 3600 s" in refused.message
    assert isinstance((await queries.answers([f"{FIRST}?at=7"]))[0], Proven)
    with pytest.raises(RejectedError, match="older"):
        await queries.ask(A.question)
    assert isinstance((await asking(Liar((0, old))).answers([FIRST]))[0], Proven)


class Telling(RelayerApi):
    """A relayer's API whose streams say what a test wants."""

    def __init__(self, *events: ServerEvent) -> None:
        super().__init__("http://127.0.0.1:1")
        self.events = events

    async def subscribe(self, call: Any) -> Any:
        return replaced_id()

    begin_query = subscribe

    async def unsubscribe(self, subscription_id: str) -> Any:
        return None

    async def _events(self, path: str, last: str) -> AsyncGenerator[ServerEvent, None]:
        for event in self.events:
            yield event


def replaced_id() -> Any:
    class Made:
        id = "abcd"

    return Made()


@pytest.mark.parametrize("follows", [False, True])
async def test_relayer_that_never_ends_a_stream_is_left(follows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life alone keep nobody beyond the time that was asked for."""

    class Living(Telling):
        async def _events(self, path: str, last: str) -> AsyncGenerator[ServerEvent, None]:
            await asyncio.Event().wait()
            yield ServerEvent("1", "end", b"{}")

    monkeypatch.setattr(relayer_prover, "LATE_S", 0)
    queries = asking(RelayerProver(Living()))
    answers = queries.follow([FIRST], lasts_s=1) if follows else queries.in_time([FIRST], 1)
    async with asyncio.timeout(60):
        found = [type(one) async for one in answers]
    assert found == ([] if follows else [RetryableError])


BAD = [
    b"",
    b"{}",
    b"[1]",
    b'{"place":1,"answer":{"uri":"causeway:one/records/charity/a"}}',
    b'{"place":-1,"answer":{"uri":"causeway:one/records/charity/a"}}',
    b'{"place":0,"answer":{"uri":"causeway:one/records/charity/b"}}',
    b'{"subscription":"abcd","place":9,"version":1,"uri":"causeway:one/records/charity/a"}',
    b'{"subscription":"abcd","place":0,"version":1,"uri":"causeway:one/records/charity/b"}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
async def test_event_that_fits_no_question_is_refused(data: bytes) -> None:
    queries = asking(RelayerProver(Telling(ServerEvent("1", "answer", data))))
    for asked in (queries.in_time([FIRST]), queries.follow([FIRST])):
        with pytest.raises(RejectedError):
            await anext(asked)


async def test_query_that_ends_without_an_answer_is_an_error() -> None:
    queries = asking(RelayerProver(Telling(ServerEvent("1", "end", b'{"id":"abcd"}'))))
    [found] = [one async for one in queries.in_time([FIRST])]
    assert isinstance(found, RetryableError)
    with pytest.raises(RejectedError, match="ended the subscription"):
        await anext(
            asking(RelayerProver(Telling(ServerEvent("1", "end", b'{"id":"abcd","reason":"x"}')))).follow([FIRST])
        )


# --- reading a stream --------------------------------------------------------------------------------------------


async def parts(raw: bytes, size: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(raw), size):
        yield raw[begin : begin + size]


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
async def test_events_are_read_as_the_standard_says(size: int) -> None:
    raw = (
        b"retry: 2000\n\n: a comment\n\nid: 1\nevent: answer\ndata: {}\n\n"
        b"data: a\r\ndata:b\r\n\r\nevent: lost\n\nid: 2\ndata:  c \nodd line\n\ndata: unfinished\n"
    )
    found = [event async for event in read_events(parts(raw, size), 1_000)]
    assert found == [ServerEvent("1", "answer", b"{}"), ServerEvent("", "", b"a\nb"), ServerEvent("2", "", b" c ")]


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 2_000, b"data: x\n" * 400, b"x" * 2_000, b": \n" * 2_000])
async def test_event_that_is_too_long_is_refused(raw: bytes) -> None:
    with pytest.raises(RetryableError, match="longer than 1000 bytes"):
        async for _ in read_events(parts(raw, 100), 1_000):
            raise AssertionError


async def test_work_for_an_event_grows_with_its_bytes() -> None:
    """Not with their square, however many lines they are in."""

    async def seconds(lines: int) -> float:
        began = time.process_time()
        [found] = [event async for event in read_events(parts(b"data:x\n" * lines + b"\n", 65_536), 4 * 1024 * 1024)]
        assert len(found.data) == 2 * lines - 1
        return time.process_time() - began

    assert await seconds(512_000) < 64 * await seconds(32_000)
