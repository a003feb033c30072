"""The questions of one chain that have not ended: what their chain shows becomes events of their machines.

    board ──> requests, reorgs, ends ──┐
    heads ──> times and heights ───────┼──> journal, with the board's position in the same transaction
    transactions ──> deliveries ───────┘

A question that is too many is left to others: those of the lowest fees are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.boards import ChainQuery, QueryBoard, QueryNews
from core.model.effect_keys import EffectKey
from core.model.errors import CausewayError, ConflictError, FatalError, FencedError, RejectedError
from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming, HeadSource
from core.model.types import ChainId, Height
from core.model.uris import parse_uri
from core.runtime import journal
from core.runtime.clock import NS_PER_S, Clock, true_seconds
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.savepoints import contained
from core.runtime.signals import Signal
from queries import engine, events
from queries.effects import Deliver
from queries.events import QueryEvent
from queries.model import AttemptStatus, End, Phase, QueryId, QueryState, Request
from queries.transition import only_time_passed, transition
from relayer.bridging import asked
from relayer.bridging.asked import Open
from relayer.policy import MAX_LAPSE_S
from relayer.pump import swaps
from relayer.transactions import records
from relayer.transactions.records import TransactionRecord, TransactionStatus

AGAIN_S: Final = 20.0
"""How soon something that failed is asked for again."""
MAX_OPEN: Final = 4_096
"""Open questions of a chain that are kept; beyond them those of the lowest fees are left to others."""
MAX_WATCHED: Final = 64
"""Open questions that one look asks the board about, if it does not say by itself how they end."""
MAX_FOLLOWED: Final = 500
"""Deliveries whose transactions one look reads."""
MAX_ENDED: Final = 16_384
"""Questions that have ended and are remembered: blocks that are not final show them again with every look."""
KEEP_S: Final = MAX_LAPSE_S
"""How long questions that have ended are kept."""
PRUNED_AT_ONCE: Final = 100
DELIVER: Final = str(Deliver.__struct_config__.tag)

T = TypeVar("T")

log = get_logger("relayer.bridging.watching")


@dataclass(slots=True)
class _Plan:
    """The questions that one look lets begin, the terms that changed, and the events of each question."""

    begun: dict[QueryId, tuple[ChainQuery, Request]] = field(default_factory=dict)
    changed: dict[QueryId, ChainQuery] = field(default_factory=dict)
    happened: dict[QueryId, list[QueryEvent]] = field(default_factory=dict)
    left: list[QueryId] = field(default_factory=list)
    """Questions that make room for others."""

    def add(self, query_id: QueryId, event: QueryEvent) -> None:
        self.happened.setdefault(query_id, []).append(event)


@dataclass(slots=True)
class _Stored:
    """The result of a plan: questions as they are now, those that have ended or made room, and those that failed."""

    known: list[Open] = field(default_factory=list)
    gone: list[QueryId] = field(default_factory=list)
    failed: dict[QueryId, Exception] = field(default_factory=dict)


class Watch:
    """The open questions of the chain `home`. `answering`: the heads of the chains that can be asked about."""

    def __init__(
        self,
        database: Database,
        home: ChainId,
        board: QueryBoard,
        heads: HeadSource,
        timing: ChainTiming,
        answering: Mapping[ChainId, HeadSource],
        clock: Clock,
    ) -> None:
        self._database = database
        self._home = home
        self._board = board
        self._heads = heads
        self._timing = timing
        self._answering = answering
        self._clock = clock
        self._position: int | None = None
        self._not_before: dict[QueryId, float] = {}
        self._watched = 0
        self._ended: dict[QueryId, None] = {}
        self.open: dict[QueryId, Open] = {}
        self.changed = Signal()
        """Counts every change of a question."""

    @property
    def _cursor(self) -> str:
        return f"relayer.bridging.asked {self._home}"

    async def look(self) -> HeadUpdate:
        """Take in what the chain shows now. Raise `RetryableError` when it does not answer; nothing is missed then."""
        if self._position is None:
            found, failed = await self._read(lambda c: asked.open_on(c, self._home))
            self.open = {one.state.query_id: one for one in found}
            for query_id, error in failed.items():
                self.forget(query_id)
                log.error("a question is set aside", chain=self._home, query=query_id, error=str(error))
            self._position = await self._read(lambda c: journal.cursor(c, self._cursor))
        head = await self._heads.head()
        news = await self._board.news(self._position, head, self._next_watched())
        plan = _Plan()
        self._plan_requests(plan, news, head)
        self._plan_ends(plan, news, head)
        await self._plan_deliveries(plan)
        await self._plan_times(plan, head)
        before, self._position = self._position, None
        await self._store(plan, before, news.position)
        self._position = news.position
        return head

    async def prune(self) -> None:
        """Forget questions that ended long ago."""
        before_ns = self._clock.now_ns() - KEEP_S * NS_PER_S
        await self._database.write(lambda c: asked.prune(c, before_ns, PRUNED_AT_ONCE))

    async def take(
        self, query_id: QueryId, happened: Iterable[QueryEvent], also: Callable[[Connection], object] | None = None
    ) -> None:
        """Let a question answer these events; `also` is stored with them."""
        now_ns, listed = self._clock.now_ns(), list(happened)

        def store(connection: Connection) -> Open:
            if also is not None:
                also(connection)
            engine.take(connection, engine.STREAM_PREFIX + query_id, listed, now_ns=now_ns)
            return asked.load(connection, query_id)

        self._know(await swaps.write(self._database, store))
        self.changed.notify()

    def forget(self, query_id: QueryId) -> None:
        """The question has ended: what its chain shows of it from now on is passed over."""
        self.open.pop(query_id, None)
        self._not_before.pop(query_id, None)
        self._ended[query_id] = None
        while len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def pays(self, query: ChainQuery) -> int:
        """Return how much of what a transaction costs the question pays, in the asset that pays for those."""
        return query.fee if self._board.pays_in in (None, query.asset) else 0

    def _going(self) -> Sequence[tuple[QueryId, Open]]:
        return [(query_id, one) for query_id, one in self.open.items() if not one.state.phase.terminal]

    # --- what a look finds ---

    def _next_watched(self) -> list[int]:
        """Questions whose answer of ours may be in a block first; of the others each has its turn."""
        ours = [one.query.number for one in self.open.values() if one.state.phase is Phase.DELIVERING]
        numbers = sorted(one.query.number for one in self.open.values())
        behind = [number for number in numbers if number > self._watched]
        found = list(dict.fromkeys([*ours[: MAX_WATCHED // 2], *behind, *numbers]))[:MAX_WATCHED]
        self._watched = found[-1] if found else 0
        return found

    def _plan_requests(self, plan: _Plan, news: QueryNews, head: HeadUpdate) -> None:
        ended, there = {end.number for end in news.ended}, set[QueryId]()
        for query in news.asked:
            try:
                request = asked.request_of(query, parse_uri(query.uri).question.chain)
            except RejectedError as error:
                log.debug("a question cannot be read", chain=self._home, number=query.number, reason=error.message)
                continue
            query_id = request.query_id
            there.add(query_id)
            if (known := self.open.get(query_id)) is None:
                new = query.number not in ended and query_id not in self._ended
                if new and self._is_of_use(query, request, head):
                    plan.begun[query_id] = query, request
            elif known.state.asked_in != query.block and news.read is not None:
                plan.changed[query_id] = query
                plan.add(query_id, events.RequestSeen(query.block))
        for query_id, known in self._going():
            block = known.state.asked_in
            if query_id not in there and block is not None and _was_read(news, block.height):
                plan.add(query_id, events.RequestReverted(block))
        self._make_room(plan)

    def _is_of_use(self, query: ChainQuery, request: Request, head: HeadUpdate) -> bool:
        in_time = query.deadline - head.head.time > self._timing.inclusion_s
        return in_time and request.answering in self._answering

    def _make_room(self, plan: _Plan) -> None:
        beyond = len(self.open) + len(plan.begun) - MAX_OPEN
        if beyond <= 0:
            return
        offered = {query_id: one.query for query_id, one in self._going() if one.state.delivery is None}
        offered |= {query_id: query for query_id, (query, _) in plan.begun.items()}
        for query_id in sorted(offered, key=lambda one: (self.pays(offered[one]), -offered[one].number))[:beyond]:
            if plan.begun.pop(query_id, None) is None:
                plan.left.append(query_id)
                plan.happened.pop(query_id, None)
                plan.changed.pop(query_id, None)

    def _plan_ends(self, plan: _Plan, news: QueryNews, head: HeadUpdate) -> None:
        ends = {end.number: end for end in news.ended}
        for query_id, known in self._going():
            if query_id in plan.left:
                continue
            before, end = known.state.settlement, ends.get(known.query.number)
            block, final = None if before is None else before.block, before is not None and before.final
            if final or (block is None and end is None):
                continue
            gone = block is not None and _was_read(news, block.height) and (end is None or end.block != block)
            if gone and block is not None:
                plan.add(query_id, events.SettlementReverted(block))
                block = None
            if end is not None and end.block != block:
                how = End.ANSWERED if end.answered else End.TAKEN_BACK
                plan.add(query_id, events.SettlementSeen(how, end.block))
                block = end.block
            if block is not None and _is_final(news, head, block.height):
                plan.add(query_id, events.SettlementFinal(block))

    async def _plan_times(self, plan: _Plan, head: HeadUpdate) -> None:
        times = events.AskingAdvanced(head.head.time, head.finalized.time)
        chains = {one.state.request.answering for one in self.open.values() if one.state.proof is None}
        chains |= {request.answering for _, request in plan.begun.values()}
        heights = {chain: at for chain in sorted(chains) if (at := await self._final_height(chain)) is not None}
        for query_id, (_, request) in plan.begun.items():
            at = heights.get(request.answering)
            if at is not None and at >= request.first:
                plan.happened[query_id] = [times, events.AnsweringAdvanced(at)]
        for query_id, known in self._going():
            at = heights.get(known.state.request.answering)
            if query_id not in plan.left and (query_id in plan.happened or self._is_due(known.state, head, at)):
                news = list[QueryEvent]([times] if at is None else [times, events.AnsweringAdvanced(at)])
                if query_id in plan.happened or _matters(known.state, news):
                    plan.happened.setdefault(query_id, []).extend(news)

    def _is_due(self, state: QueryState, head: HeadUpdate, at: Height | None) -> bool:
        """Return false for a question to which times and heights can mean nothing now."""
        if head.finalized.time.seconds >= state.request.deadline_s:
            return True
        if self._not_before.get(state.query_id, 0.0) > self._clock.monotonic():
            return False
        if state.phase is Phase.ASKED:
            return at is not None and at >= state.request.first
        return state.phase is Phase.PROVEN

    async def _final_height(self, chain: ChainId) -> Height | None:
        """The newest final height of a chain that is asked about, None while it does not answer."""
        source = self._answering.get(chain)
        try:
            return None if source is None else (await source.head()).finalized.height
        except FatalError:
            raise
        except CausewayError as error:
            log.warning("a chain that is asked about does not answer", chain=chain, reason=error.message)
            return None

    async def _plan_deliveries(self, plan: _Plan) -> None:
        """Deliveries of ours whose transactions have come to nothing."""
        keys = {
            str(EffectKey(one.stream, one.state.delivery.sequence, DELIVER)): one.state
            for _, one in self._going()
            if one.state.delivery is not None and one.state.delivery.status is AttemptStatus.SUBMITTED
        }
        for start in range(0, len(keys), MAX_FOLLOWED):
            part = list(keys)[start : start + MAX_FOLLOWED]
            found = await self._read(partial(records.by_each_effect, effect_keys=part))
            for key in part:
                state = keys[key]
                if (event := delivery_outcome(state, found.get(key))) is not None:
                    plan.add(state.query_id, event)

    # --- storing ---

    async def _store(self, plan: _Plan, before: int, position: int) -> None:
        if not (plan.begun or plan.happened or plan.left) and position == before:
            return
        now_ns = self._clock.now_ns()

        def store(connection: Connection) -> _Stored:
            if position != before:
                journal.advance_cursor(connection, self._cursor, before, position)
            stored = _Stored()
            for query_id in dict.fromkeys((*plan.left, *plan.begun, *plan.changed, *plan.happened)):
                one = partial(self._store_one, connection, plan, query_id, stored, now_ns)
                error = contained(connection, one)
                if isinstance(error, ConflictError | FencedError):
                    raise error  # another one was faster, or has taken over
                if error is not None:
                    stored.failed[query_id] = error
            return stored

        stored = await swaps.write(self._database, store)
        for query_id, error in stored.failed.items():
            self.forget(query_id)
            log.error("a question is set aside", chain=self._home, query=query_id, error=str(error), exc_info=error)
        for query_id in stored.gone:
            self.forget(query_id)
        for one in stored.known:
            self._know(one)
        if plan.begun or plan.happened:
            self.changed.notify()

    def _store_one(self, connection: Connection, plan: _Plan, query_id: QueryId, stored: _Stored, now_ns: int) -> None:
        """Store the news of one question: what goes wrong with it stops no other."""
        if query_id in plan.left:
            if asked.load(connection, query_id).state.delivery is None:  # nothing was sent meanwhile
                asked.forget(connection, query_id)
                stored.gone.append(query_id)
            return
        if query_id in plan.begun:
            if asked.exists(connection, query_id):
                stored.gone.append(query_id)
                return
            query, request = plan.begun[query_id]
            asked.begin(connection, query, request, now_s=true_seconds(now_ns), now_ns=now_ns)
        if query_id in plan.changed:
            asked.change(connection, query_id, plan.changed[query_id])
        engine.take(connection, engine.STREAM_PREFIX + query_id, plan.happened.get(query_id, ()), now_ns=now_ns)
        stored.known.append(asked.load(connection, query_id))

    def _know(self, now: Open) -> None:
        query_id = now.state.query_id
        if query_id in self._ended:
            return
        before = self.open.get(query_id)
        if before is not None and before.state.sequence > now.state.sequence:
            return
        self.open[query_id] = now
        if before is not None and _failures(now.state) > _failures(before.state):
            self._not_before[query_id] = self._clock.monotonic() + AGAIN_S

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)


def delivery_outcome(state: QueryState, record: TransactionRecord | None) -> events.DeliveryFailed | None:
    """Return what a delivery's transaction means for its question if it has come to nothing, None while it has not.

    What a block shows of the question says the rest. A refusal by every endpoint counts as one that costs: what they
    refuse three times they will refuse again.
    """
    if state.delivery is None:
        return None
    sequence = state.delivery.sequence
    if record is None:
        return events.DeliveryFailed(sequence, "its transaction is not kept any more", cost=False)
    key = str(EffectKey(engine.STREAM_PREFIX + state.query_id, sequence, DELIVER))
    left_out = next((item.left_out for item in record.effects if item.effect_key == key), None)
    match record.status:
        case TransactionStatus.BROADCAST:
            return None
        case TransactionStatus.SUPERSEDED | TransactionStatus.EXPIRED:
            return events.DeliveryFailed(sequence, record.reason or str(record.status), cost=False)
        case TransactionStatus.REFUSED:
            return events.DeliveryFailed(sequence, record.reason or "refused", cost=True)
    if record.cancelled or not (record.reverted or left_out is not None):
        return None
    return events.DeliveryFailed(sequence, left_out or record.reason or "reverted", cost=True)


def _was_read(news: QueryNews, height: Height) -> bool:
    return news.read is not None and news.read[0] <= height <= news.read[1]


def _is_final(news: QueryNews, head: HeadUpdate, height: Height) -> bool:
    return news.read is None or height <= min(head.finalized.height, news.read[1])


def _matters(state: QueryState, happened: Sequence[QueryEvent]) -> bool:
    """Return true if these events do more than move clocks."""
    for event in happened:
        after, effects = transition(state, event)
        if after is not state and not only_time_passed(state, after, effects):
            return True
        state = after
    return False


def _failures(state: QueryState) -> int:
    return sum(attempt.failures for attempt in (state.proving, state.delivery) if attempt is not None)
