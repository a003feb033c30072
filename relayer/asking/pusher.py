"""Follows questions for callers: a new proof for each new height, and a push when the answer has changed.

The newest height that can be proven is the clock: a question is asked once at each, and not more often than its
subscribers want. It is proven once for all who follow it from the same trusted height.
"""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from functools import partial
from typing import Final

from core.model.errors import CausewayError, RejectedError
from core.model.ports import Prover
from core.model.questions import LASTING, Evidence
from core.model.types import ChainId, Height
from core.model.uris import Asked, parse_uri, print_uri
from core.proofs.evidence import encode_evidence
from core.proofs.evidence.canonical import dump
from core.proofs.evidence.forms import answer_to_json
from core.runtime.clock import Clock, SecretSource
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.signals import Signal, wait_any
from core.runtime.supervisor import Worker
from queries.together import MAX_TOGETHER, Answered
from relayer.asking import follow_rows
from relayer.asking.caller_queries import ask_in_time
from relayer.asking.follow_rows import Due, Followed, Subscription
from relayer.asking.query import MAX_DETAIL_CHARS, MAX_EVIDENCE_BYTES
from relayer.metrics import RelayerMetrics

LOOK_S: Final = 1.0
IDLE_LOOK_S: Final = 10.0
MAX_A_LOOK: Final = 64
"""Questions of one chain that one look asks, those first that wait longest for their turn."""
MAX_PLACES_A_LOOK: Final = 16
"""Chains, each with one trusted height, that one look asks: a way to the proven header is made for each of them, so
that many callers with as many anchors would keep the endpoints busy."""
MAX_AT_ONCE: Final = 4
"""Of these, asked side by side."""
PUSHED_AT_ONCE: Final = 4
"""Answers that one stream holds in memory."""
MAX_PUSH_BYTES: Final = MAX_EVIDENCE_BYTES // MAX_TOGETHER
"""Of the evidence for one question."""
FAILING_S: Final = 30.0
"""How long endpoints may fail before subscribers hear of it."""
SUBSCRIPTION_ID_BYTES: Final = 16
NEVER: Final = float("-inf")

log = get_logger("relayer.asking.pusher")

Place = tuple[ChainId, Height | None]
"""Questions that are asked together: of one chain, from one trusted height."""


class Pusher:
    """The subscriptions of all callers. `changed` counts up when answers have changed, `ended` when subscriptions have
    ended. `prover` is None if this relayer proves nothing."""

    def __init__(
        self,
        database: Database,
        prover: Prover | None,
        clock: Clock,
        secrets: SecretSource,
        metrics: RelayerMetrics | None = None,
    ) -> None:
        self.prover = prover
        self._metrics = metrics or RelayerMetrics(Metrics())
        self.changed = Signal()
        self.ended = Signal()
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._subscribed = Signal()
        self._looked: dict[str, tuple[Height | None, float]] = {}
        """At which height, and when, each question was asked last."""
        self._failing: dict[str, float] = {}
        """Since when each question has had no proof."""
        self._versions: dict[str, int] = {}

    def workers(self) -> list[Worker]:
        return [] if self.prover is None else [Worker("followed questions", self.run, contained=True)]

    async def subscribe(
        self,
        asked: Sequence[Asked],
        trusted: Height | None,
        caller: str,
        lasts_s: int,
        every_s: int,
        url: str | None = None,
        secret: bytes | None = None,
    ) -> Subscription:
        """Follow these questions for `lasts_s` seconds, with pushes at most every `every_s`.

        Raise `TooManyError` if too much is followed, `RejectedError` for a question whose answer never changes.
        """
        for one in asked:
            if one.at is not None or isinstance(one.question, LASTING):
                raise RejectedError(f"the answer to {print_uri(one.question, one.at)} never changes: ask it once")
        now_ns = self._clock.now_ns()
        uris = [print_uri(one.question) for one in asked]
        new = Subscription(
            id=self._secrets.token_bytes(SUBSCRIPTION_ID_BYTES).hex(),
            questions=tuple(follow_rows.question_of(uri, trusted) for uri in uris),
            created_ns=now_ns,
            until_s=math.ceil(self._clock.now()) + lasts_s,
            every_s=every_s,
            url=url,
            secret=secret,
        )
        await self._database.write(lambda c: follow_rows.add(c, new, uris, trusted, caller))
        for question in new.questions:
            self._looked.pop(question, None)
        self._subscribed.notify()
        return new

    async def find(self, subscription_id: str) -> Subscription:
        """Raise `NotFoundError`."""
        return await self._database.read(lambda c: follow_rows.load(c, subscription_id))

    async def answers(self, subscription: Subscription, behind: int = -1, limit: int | None = None) -> list[Followed]:
        """Its questions as they are now, as far as they have changed behind this version; the last change last."""
        return await self._database.read(lambda c: follow_rows.read(c, subscription.questions, behind, limit))

    async def remove(self, subscription_id: str) -> None:
        await self._database.write(lambda c: follow_rows.remove(c, subscription_id))
        self.ended.notify()

    async def end(self, subscription_id: str, reason: str) -> None:
        """End a subscription; whoever looks at it sees the reason for a while."""
        now_ns = self._clock.now_ns()
        if await self._database.write(lambda c: follow_rows.end(c, subscription_id, reason, now_ns)):
            log.info("a subscription has ended", subscription=subscription_id, reason=reason)
            self.ended.notify()

    def is_behind(self, subscription: Subscription, version: int) -> bool:
        """Return true if an answer may have changed behind this version since this process began."""
        return any(self._versions.get(question, 0) > version for question in subscription.questions)

    # --- looks -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            seen = self._subscribed.count
            count = await self.look()
            await self._subscribed.wait_beyond(seen, LOOK_S if count else IDLE_LOOK_S)

    async def look(self) -> int:
        """Ask the questions whose turn it is, and end subscriptions whose time is over; return how many questions are
        followed."""
        now_ns = self._clock.now_ns()
        due, over = await self._database.read(lambda c: (follow_rows.due(c), follow_rows.any_overdue(c, now_ns)))
        if over:
            await self._database.write(lambda c: follow_rows.end_overdue(c, now_ns))
            self.ended.notify()
        self._metrics.followed.set(len(due))
        names = {one.question for one in due}
        for kept in (self._looked, self._failing, self._versions):
            for gone in kept.keys() - names:
                del kept[gone]
        places: dict[Place, list[Due]] = {}
        for one in due:
            places.setdefault((parse_uri(one.uri).question.chain, one.trusted), []).append(one)
        turns = asyncio.Semaphore(MAX_AT_ONCE)

        async def turn(questions: list[Due]) -> None:
            async with turns:
                await self._turn(questions)

        by_turn = sorted(places.values(), key=lambda questions: min(self._last(one)[1] for one in questions))
        await asyncio.gather(*(turn(questions) for questions in by_turn[:MAX_PLACES_A_LOOK]))
        return len(due)

    async def _turn(self, questions: Sequence[Due]) -> None:
        """Ask those questions of one chain that are due, as of one height."""
        now = self._clock.monotonic()
        ready = [one for one in questions if now - self._last(one)[1] >= one.every_s]
        if not ready:
            return
        first, *others = sorted(ready, key=lambda one: self._last(one)[1])[:MAX_A_LOOK]
        [found] = await self._ask([first], None)
        height = found.as_of.block.height if isinstance(found, Evidence) else None
        results = [(first, found)]
        # A question that was asked at this height has its answer: nothing but another height changes it.
        others = [one for one in others if height is None or self._last(one)[0] != height]
        for begin in range(0, len(others), MAX_TOGETHER):
            batch = others[begin : begin + MAX_TOGETHER]
            results += zip(batch, await self._ask(batch, height), strict=True)
        await self._take(results)

    def _last(self, one: Due) -> tuple[Height | None, float]:
        return self._looked.get(one.question, (None, NEVER))

    async def _ask(self, questions: Sequence[Due], at: Height | None) -> list[Answered]:
        asked = [Asked(parse_uri(one.uri).question, at) for one in questions]
        return await ask_in_time(self.prover, asked, questions[0].trusted)

    async def _take(self, results: Sequence[tuple[Due, Answered]]) -> None:
        """Store what has changed, and wake whoever follows it."""
        now, now_ns = self._clock.monotonic(), self._clock.now_ns()
        names = [one.question for one, _ in results]
        before = await self._database.read(lambda c: follow_rows.known(c, names))
        changes = list[dict[str, object]]()
        for one, found in results:
            height = found.as_of.block.height if isinstance(found, Evidence) else None
            self._looked[one.question] = height, now
            if one.question in before:
                changes += self._change(one.question, found, before[one.question], now)
        if not changes:
            return
        newest = await self._database.write(partial(follow_rows.note, changes=changes, now_ns=now_ns))
        first = newest - len(changes) + 1
        self._versions |= {str(change["question"]): first + place for place, change in enumerate(changes)}
        self._metrics.pushes.inc(len(changes))
        self.changed.notify()

    def _change(
        self, question: str, found: Answered, before: tuple[int, bytes, str | None], now: float
    ) -> list[dict[str, object]]:
        """Return what to store of an answer if it, or the reason why there is none, is another one than before."""
        version, known, problem = before
        if isinstance(found, Evidence):
            try:
                file, answer = encode_evidence(found), _digest(found)
                if len(file) > MAX_PUSH_BYTES:
                    raise RejectedError(f"the evidence is more than {MAX_PUSH_BYTES} bytes: follow less at once")
            except CausewayError as error:
                found = error
            else:
                self._failing.pop(question, None)
                if version and answer == known and problem is None:
                    return []
                return [{"question": question, "answer": answer, "file": file, "problem": None, "detail": None}]
        since = self._failing.setdefault(question, now)
        if problem == found.code or (not isinstance(found, RejectedError) and now - since < FAILING_S):
            return []
        detail = found.message[:MAX_DETAIL_CHARS]
        return [{"question": question, "file": None, "problem": found.code, "detail": detail}]


def _digest(evidence: Evidence) -> bytes:
    return hashlib.sha256(dump(answer_to_json(evidence.answer))).digest()


class Feed:
    """The changes of one subscription for one stream, the first behind the version `last`."""

    def __init__(self, pusher: Pusher, subscription: Subscription, last: int, clock: Clock) -> None:
        self.subscription = subscription
        self.last = last
        self._pusher = pusher
        self._clock = clock
        self._pushed = NEVER
        self._in_parts = False
        self._fresh = True
        """The database may have more than this process has seen change."""

    async def next(self, stop: Signal, timeout_s: float) -> list[Followed]:
        """The next changes, the last one last; none after `timeout_s`, when `stop` counts up, or at the end.

        Raise `NotFoundError` once the subscription was deleted.
        """
        until = self._clock.monotonic() + timeout_s
        while not stop.count:
            changed, ended = self._pusher.changed.count, self._pusher.ended.count
            now = self._clock.monotonic()
            wait_s = until - now
            if self._fresh or self._pusher.is_behind(self.subscription, self.last):
                rest_s = self._pushed + self.subscription.every_s - now
                if rest_s <= 0:
                    found = await self._pusher.answers(self.subscription, max(self.last, 0), PUSHED_AT_ONCE)
                    # One push in several parts: none of them waits, and the pause comes behind the last.
                    whole = len(found) < PUSHED_AT_ONCE
                    if whole and (found or self._in_parts):
                        self._pushed = now
                    self._fresh = self._in_parts = not whole
                    if found:
                        self.last = found[-1].version
                        return found
                wait_s = min(wait_s, rest_s) if rest_s > 0 else wait_s
            if self.subscription.ended_ns is not None or wait_s <= 0:
                break
            await wait_any([(self._pusher.changed, changed), (self._pusher.ended, ended), (stop, 0)], wait_s)
            if self._pusher.ended.count > ended:
                self.subscription = await self._pusher.find(self.subscription.id)
        return []
