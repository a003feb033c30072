"""Deliveries: things to send to others, written down with what they are about and sent until they are taken.

    QUEUE = Queue("reports", delays=…, max_tries=…, max_age_s=…)
    enqueue(connection, QUEUE, destination, body, now_ns=…, topic=…)     in the transaction that it is about
    Deliverer(database, QUEUE, clock).run(send)                          a named loop

What a destination gets about one topic leaves in order, the next once the one before it is settled; topics do not wait
for each other. A destination that does not answer costs one try a look, and no other destination waits for it. A
delivery is sent at least once: whoever gets it may get it twice. It is given up after the tries, or the time
since the first of them, that its queue allows, and kept with the reason.

One loop works on a queue at a time. Times are nanoseconds since the Unix epoch.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, RetryableError
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import METADATA, Database
from core.runtime.logging import get_logger
from core.runtime.retry import RetryPolicy
from core.runtime.savepoints import MAX_REASON_CHARS, reason_of
from core.runtime.signals import Signal

MAX_AT_ONCE: Final = 8
"""Destinations that are served together."""
SHARE: Final = 50
"""Deliveries to one destination at one look."""
LOOKED_AT: Final = 500
"""Deliveries at one look; each destination's first comes before any destination's second."""
TURN_S: Final = 30.0
"""A destination that takes longer for its share gets the rest of it at the next look."""
LOOK_S: Final = 5.0
"""How often a queue is looked at, without anybody who wakes it."""

log = get_logger("core.runtime.deliveries")


class DeliveryStatus(StrEnum):
    """`REFUSED`: the destination does not want it, ever. `GIVEN_UP`: it was tried for as long as it was worth."""

    PENDING = "pending"
    TAKEN = "taken"
    REFUSED = "refused"
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something to send. `attempts` counts the tries that failed, `tried_ns` is when the first of them was."""

    id: int
    destination: str
    topic: str
    body: bytes = field(repr=False)
    attempts: int
    tried_ns: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a destination: `TAKEN`, `REFUSED`, or `PENDING` for later. `reason` is for the operator."""

    status: DeliveryStatus
    reason: str | None = None


Send = Callable[[Delivery], Awaitable[Answer]]
"""Sends one delivery. A `RetryableError` or `TimeoutError` says that the destination as a whole does not answer."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Deliveries of one kind. `delays` stand between tries; the last of them stands for all later ones. `max_age_s`
    counts from the first try: a sender that was away itself gives nothing up for that. `max_waiting` bounds what is
    pending."""

    name: str
    delays: RetryPolicy
    max_tries: int
    max_age_s: float
    max_waiting: int = 100_000


deliveries = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_ns", sa.BigInteger, nullable=False),
    sa.Column("tried_ns", sa.BigInteger),
    sa.Column("settled_ns", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Index(None, "queue", "status", "due_ns"),
    sa.Index(None, "queue", "destination", "topic"),
)

TABLES: Final = (deliveries,)

_D: Final = deliveries.c
_OF_QUEUE: Final[sa.BindParameter[Any]] = sa.bindparam("of_queue")
_INSERT: Final = sa.insert(deliveries)
_WAITING: Final = sa.select(sa.func.count()).where(_D.queue == _OF_QUEUE, _D.status == DeliveryStatus.PENDING)
_earlier: Final = deliveries.alias("earlier")
_SHARES: Final = (
    sa.select(
        deliveries,
        sa.func.row_number().over(partition_by=_D.destination, order_by=(_D.due_ns, _D.id)).label("number"),
    )
    .where(
        _D.queue == _OF_QUEUE,
        _D.status == DeliveryStatus.PENDING,
        _D.due_ns <= sa.bindparam("now_ns"),
        ~sa.exists().where(
            _earlier.c.queue == _D.queue,
            _earlier.c.destination == _D.destination,
            _earlier.c.topic == _D.topic,
            _earlier.c.status == DeliveryStatus.PENDING,
            _earlier.c.id < _D.id,
        ),
    )
    .subquery()
)
_DUE: Final = (
    sa.select(_SHARES)
    .where(_SHARES.c.number <= SHARE)
    .order_by(_SHARES.c.number, _SHARES.c.due_ns, _SHARES.c.id)
    .limit(LOOKED_AT)
)
_NOTE: Final = sa.update(deliveries).where(_D.id == sa.bindparam("of_id"))
_WAITING_FOR: Final = _WAITING.where(_D.destination == sa.bindparam("destined"))
_FORGET: Final = sa.delete(deliveries).where(_D.queue == _OF_QUEUE, _D.topic == sa.bindparam("of_topic"))
_COUNTS: Final = sa.select(_D.queue, _D.status, sa.func.count()).group_by(_D.queue, _D.status)


def enqueue(
    connection: Connection, queue: Queue, destination: str, body: bytes, *, now_ns: int, topic: str = ""
) -> None:
    """Write a delivery down, in the caller's transaction. Raise `RetryableError` if too many wait in this queue."""
    if connection.execute(_WAITING, {"of_queue": queue.name}).scalar_one() >= queue.max_waiting:
        raise RetryableError(f"{queue.max_waiting} {queue.name} wait already: find out why nobody takes them")
    values = {
        "queue": queue.name,
        "destination": destination,
        "topic": topic,
        "body": body,
        "status": DeliveryStatus.PENDING,
        "attempts": 0,
        "due_ns": now_ns,
    }
    connection.execute(_INSERT, values)


def forget(connection: Connection, queue: Queue, topic: str) -> None:
    """Take away everything about a topic that came to nothing, whoever it is for."""
    connection.execute(_FORGET, {"of_queue": queue.name, "of_topic": topic})


def withdraw(connection: Connection, queue: Queue, destination: str) -> None:
    """Take away everything that waits for a destination that is not there any more."""
    connection.execute(sa.delete(deliveries).where(_waits_for(queue, destination)))


def waiting_for(connection: Connection, queue: Queue, destination: str) -> int:
    """Return how many deliveries wait for a destination."""
    asked = {"of_queue": queue.name, "destined": destination}
    return int(connection.execute(_WAITING_FOR, asked).scalar_one())


def any_waiting_for(queue: Queue, destination: sa.Column[str]) -> sa.Exists:
    """The condition, in a query over destinations, that a delivery waits for one."""
    return sa.exists().where(_waits_for(queue, destination))


def _waits_for(queue: Queue, destination: str | sa.Column[str]) -> sa.ColumnElement[bool]:
    return (_D.queue == queue.name) & (_D.destination == destination) & (_D.status == DeliveryStatus.PENDING)


@dataclass(frozen=True, slots=True)
class Logged:
    """A delivery and what became of it until now. `due_ns` is when a pending one is tried next."""

    id: int
    body: bytes = field(repr=False)
    status: DeliveryStatus
    attempts: int
    due_ns: int
    reason: str | None


def newest(connection: Connection, queue: Queue, destination: str, limit: int) -> list[Logged]:
    """The newest deliveries to a destination, the newest first."""
    ours = sa.select(deliveries).where(_D.queue == queue.name, _D.destination == destination)
    return [
        Logged(row.id, row.body, DeliveryStatus(row.status), row.attempts, row.due_ns, row.reason)
        for row in connection.execute(ours.order_by(_D.id.desc()).limit(limit))
    ]


def prune(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget what was taken before then, at most `limit`; return how many. What nobody took is kept."""
    old = sa.select(_D.id).where(_D.status == DeliveryStatus.TAKEN, _D.settled_ns < before_ns).limit(limit)
    return connection.execute(sa.delete(deliveries).where(_D.id.in_(old))).rowcount


def prune_settled(connection: Connection, queue: Queue, before_ns: int, limit: int) -> int:
    """Forget what ended before then, taken or not, at most `limit`: for queues that strangers fill."""
    old = sa.select(_D.id).where(_D.queue == queue.name, _D.settled_ns < before_ns).limit(limit)
    return connection.execute(sa.delete(deliveries).where(_D.id.in_(old))).rowcount


def counts(connection: Connection) -> dict[tuple[str, DeliveryStatus], int]:
    """Return how many deliveries there are, by queue and status."""
    return {(queue, DeliveryStatus(status)): count for queue, status, count in connection.execute(_COUNTS)}


class Deliverer:
    """The loop of one queue. `wake` makes it look at once."""

    def __init__(self, database: Database, queue: Queue, clock: Clock) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self.wake = Signal()

    async def run(self, send: Send) -> None:
        """Send for ever."""
        while True:
            seen = self.wake.count
            if await self.step(send) < SHARE:
                await self.wake.wait_beyond(seen, LOOK_S)

    async def step(self, send: Send) -> int:
        """Send what is due now, to each destination its share; return how many deliveries were taken."""
        by_destination: dict[str, list[Delivery]] = defaultdict(list)
        for one in await self._database.read(self._due):
            by_destination[one.destination].append(one)
        places = asyncio.Semaphore(MAX_AT_ONCE)

        async def serve(share: Sequence[Delivery]) -> int:
            async with places:
                return await self._serve(send, share)

        served = await asyncio.gather(*(serve(share) for share in by_destination.values()), return_exceptions=True)
        return sum(_result(one) for one in served)

    async def _serve(self, send: Send, share: Sequence[Delivery]) -> int:
        """One destination's share, one after the other, until it does not answer or takes too long."""
        began, taken = self._clock.monotonic(), 0
        for one in share:
            answers, answer = await self._sent(send, one)
            taken += answer.status is DeliveryStatus.TAKEN
            await self._note(one, answer)
            if not answers or self._clock.monotonic() - began >= TURN_S:
                break
        return taken

    async def _sent(self, send: Send, one: Delivery) -> tuple[bool, Answer]:
        """Return if the destination answers at all, and its answer."""
        try:
            return True, await send(one)
        except FatalError:
            raise
        except RetryableError as error:
            return False, Answer(DeliveryStatus.PENDING, error.message)
        except TimeoutError:
            return False, Answer(DeliveryStatus.PENDING, "it does not answer in time")
        except Exception as error:
            log.error("a delivery cannot be sent", queue=self._queue.name, topic=one.topic, exc_info=error)
            return True, Answer(DeliveryStatus.PENDING, reason_of(error))

    def _due(self, connection: Connection) -> list[Delivery]:
        rows = connection.execute(_DUE, {"of_queue": self._queue.name, "now_ns": self._clock.now_ns()})
        return [Delivery(row.id, row.destination, row.topic, row.body, row.attempts, row.tried_ns) for row in rows]

    async def _note(self, one: Delivery, answer: Answer) -> None:
        now_ns, attempts, status = self._clock.now_ns(), one.attempts + 1, answer.status
        tried_ns = now_ns if one.tried_ns is None else one.tried_ns
        if status is DeliveryStatus.PENDING and self._is_over(attempts, now_ns - tried_ns):
            status = DeliveryStatus.GIVEN_UP
        if status is not DeliveryStatus.TAKEN:
            log.warning("not delivered", queue=self._queue.name, topic=one.topic, status=status, reason=answer.reason)
        values = {
            "of_id": one.id,
            "status": status,
            "attempts": attempts,
            "due_ns": now_ns + round(self._queue.delays.delay_s(attempts) * NS_PER_S),
            "tried_ns": tried_ns,
            "settled_ns": None if status is DeliveryStatus.PENDING else now_ns,
            "reason": answer.reason and answer.reason[:MAX_REASON_CHARS],
        }
        await self._database.write(lambda connection: connection.execute(_NOTE, values).rowcount)

    def _is_over(self, attempts: int, age_ns: int) -> bool:
        return attempts >= self._queue.max_tries or age_ns >= self._queue.max_age_s * NS_PER_S


def _result(served: int | BaseException) -> int:
    if isinstance(served, BaseException):
        raise served
    return served
