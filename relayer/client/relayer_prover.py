"""A relayer as a prover: at once, in time, and followed. What it answers is believed no more than the relayer is."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final, TypeVar

import msgspec

from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError
from core.model.questions import Evidence, Question
from core.model.types import Height
from core.model.uris import Asked, print_uri
from core.proofs.evidence import decode_evidence
from core.runtime import retry
from core.runtime.clock import Clock, SystemClock
from core.runtime.server_events import END, ServerEvent
from queries.together import Answered
from relayer.api.query_bodies import MAX_OPEN_S, MAX_WAIT_S, AnsweredBody, PlacedBody, QueriesCall
from relayer.api.subscription_bodies import MAX_LASTS_S, EndBody, PushBody, SubscriptionCall
from relayer.client.api import RelayerApi, error_of
from relayer.client.provers import Placed

PATIENCE_S: Final = 300.0
"""How long a stream that is lost is opened again."""
LATE_S: Final = 60.0
"""How much later than it was asked to a relayer may end a stream."""
SLACK_S: Final = 5.0
"""How much earlier than by our clock a relayer may end what has a time."""

T = TypeVar("T")
Open = Callable[[str], AsyncGenerator[ServerEvent, None]]
"""Opens a stream behind an event."""


class RelayerProver:
    """`Prover` and `ClientProver` that asks a relayer: verify what comes back.

    `wait_s`: how long the relayer waits, within one call, for heights that cannot be proven yet.
    """

    def __init__(self, api: RelayerApi, wait_s: float = 0, clock: Clock | None = None) -> None:
        self._api = api
        self._wait_s = min(wait_s, MAX_WAIT_S)
        self._clock = clock or SystemClock()

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        [answer] = await self.together([Asked(question, at)], trusted)
        if isinstance(answer, CausewayError):
            raise answer
        return answer

    async def together(self, asked: Sequence[Asked], trusted: Height | None) -> list[Answered]:
        """As `queries.together.ask_together`, in one request."""
        uris = _uris(asked)
        found = await self._api.queries(QueriesCall(questions=uris, trusted_height=trusted, wait_s=self._wait_s))
        if [one.uri for one in found.answers] != list(uris):
            raise RejectedError("the relayer answers other questions than were asked")
        return [_answer(one) for one in found.answers]

    async def in_time(self, asked: Sequence[Asked], trusted: Height | None, open_s: float) -> AsyncIterator[Placed]:
        """Each question's answer when it can be proven, or why it never was; all of them within `open_s` seconds, and
        `LATE_S` whatever the relayer does.

        A stream that is lost is opened again. Raise `RetryableError` if the relayer stays away.
        """
        uris, began = _uris(asked), self._clock.monotonic()
        call = QueriesCall(questions=uris, trusted_height=trusted, open_s=max(1, min(round(open_s), MAX_OPEN_S)))
        begun = await self._api.begin_query(call)
        left = set(range(len(uris)))
        stream = self._resumed(lambda last: self._api.query_events(begun.id, last), began + call.open_s + LATE_S)
        async with aclosing(stream) as events:
            async for event in events:
                if event.name == END:
                    break
                found = _read(event, PlacedBody)
                place, answer = found.place, found.answer
                if place not in left or answer.uri != uris[place]:
                    raise RejectedError("the relayer answers other questions than were asked")
                left.discard(place)
                yield place, _answer(answer)
        for place in sorted(left):
            yield place, RetryableError("the relayer has ended the query without an answer: ask again")

    async def follow(
        self, asked: Sequence[Asked], trusted: Height | None, every_s: int, lasts_s: float
    ) -> AsyncIterator[Placed]:
        """The newest answer to each question, then again each time that it changes, for `lasts_s` seconds.

        A stream that is lost is opened again. Raise `RetryableError` if the relayer stays away, `RejectedError` if it
        ends the subscription before its time.
        """
        uris, began = _uris(asked), self._clock.monotonic()
        call = SubscriptionCall(
            questions=uris, trusted_height=trusted, every_s=every_s, lasts_s=max(1, min(round(lasts_s), MAX_LASTS_S))
        )
        made = await self._api.subscribe(call)
        try:
            until = began + call.lasts_s + LATE_S
            stream = self._resumed(lambda last: self._api.subscription_events(made.id, last), until)
            async with aclosing(stream) as events:
                async for event in events:
                    if event.name == END:
                        if self._clock.monotonic() - began >= call.lasts_s - SLACK_S:
                            return
                        raise RejectedError(f"the relayer has ended the subscription: {_read(event, EndBody).reason}")
                    push = _read(event, PushBody)
                    if not 0 <= push.place < len(uris) or push.uri != uris[push.place]:
                        raise RejectedError("the relayer answers other questions than were asked")
                    yield push.place, _answer(push)
        finally:
            await _quietly(lambda: self._api.unsubscribe(made.id))

    async def _resumed(self, open_stream: Open, until: float) -> AsyncGenerator[ServerEvent, None]:
        """One stream, opened again behind its last event when it is lost; ends behind the event `end`, and at the time
        `until` of the clock."""
        last, failures, since = "", 0, self._clock.monotonic()
        while True:
            try:
                async with aclosing(open_stream(last)) as events:
                    while (event := await self._next(events, until)) is not None:
                        last, failures, since = event.id or last, 0, self._clock.monotonic()
                        yield event
                return
            except RetryableError:
                if self._clock.monotonic() - since > PATIENCE_S:
                    raise
            failures += 1
            await self._clock.sleep(retry.WORKER.delay_s(failures))

    async def _next(self, events: AsyncGenerator[ServerEvent, None], until: float) -> ServerEvent | None:
        """The next event; None at the end of the stream, and at the time `until`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(until - self._clock.monotonic()):
                return await anext(events, None)
        return None


def _uris(asked: Sequence[Asked]) -> tuple[str, ...]:
    return tuple(print_uri(one.question, one.at) for one in asked)


def _answer(body: AnsweredBody | PushBody) -> Answered:
    if body.file is None:
        return error_of(body.problem or "", body.detail or "the relayer gives no reason")
    try:
        return decode_evidence(body.file)
    except CausewayError as error:
        return error


def _read(event: ServerEvent, into: type[T]) -> T:
    """Raise `RejectedError` if the event's data are not of this kind."""
    try:
        return msgspec.json.decode(event.data, type=into)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"the relayer's event cannot be read: {str(error)[:200]}") from None


async def _quietly(call: Callable[[], Awaitable[object]]) -> None:
    """Make a call that may fail: a subscription that is not taken back ends by itself."""
    with suppress(RetryableError, NotFoundError):
        await call()
