"""Webhooks of the supervision: what streams show, posted to addresses that the operator names.

Each address has its own place in each stream, kept with the message that goes out: nothing is missed by a restart, and
messages leave in order. One is posted until it is taken, for four days; `seq` in it grows from message to message, so
that a receiver sees a gap.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.runtime import deliveries
from core.runtime.clock import Clock
from core.runtime.database import METADATA, Database
from core.runtime.deliveries import Answer, Deliverer, Delivery, DeliveryStatus, Queue
from core.runtime.inserts import insert_if_absent
from core.runtime.retry import RetryPolicy
from indexer.feed import last_seq
from regulator_api.access.scope import Scope
from regulator_api.rules.alerts import rules_state
from regulator_api.streaming.proposals import newest_number
from regulator_api.streaming.routes import Batch, read_alert_batch, read_event_batch, read_swap_batch

LOOK_S: Final = 2.0
MAX_EVENTS_OF_A_MESSAGE: Final = 200
MAX_WAITING: Final = 10_000
"""Messages that wait for one address; until some are taken its place in the streams stays."""
QUEUE: Final = Queue(
    "supervision-webhooks",
    delays=RetryPolicy((5.0, 30.0, 120.0, 600.0, 3_600.0)),
    max_tries=200,
    max_age_s=4 * 24 * 3_600.0,
)

hook_places = sa.Table(
    "regulator_hook_places",
    METADATA,
    sa.Column("hook", sa.String(500), primary_key=True),
    sa.Column("events_seq", sa.BigInteger, nullable=False),
    sa.Column("alerts_seq", sa.BigInteger, nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("swaps_seq", sa.BigInteger),
)
"""Each address's place in the streams, and how many messages were written for it. A row of an older version has
no place in the stream of swaps yet."""

TABLES: Final = (hook_places,)


@dataclass(frozen=True, slots=True)
class SupervisionHook:
    """An address, its secret, and what it hears of."""

    url: str
    secret: bytes = field(repr=False)
    scope: Scope
    events: bool
    alerts: bool
    swaps: bool = False


class HookMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a message. `seq` counts the messages to this address; `data` are events as the streams have them."""

    type: str
    seq: int
    data: list[msgspec.Raw]


PostSigned = Callable[[str, bytes, str, int, bytes], Awaitable[int]]
"""Posts (url, secret, id, time, body) with its signature and returns the status. Raise `RetryableError`."""


class SupervisionHooks:
    """Two named loops: `look` writes messages down, `deliver` posts them."""

    def __init__(self, database: Database, hooks: Sequence[SupervisionHook], clock: Clock, post: PostSigned) -> None:
        self._database = database
        self._hooks = {hook.url: hook for hook in hooks}
        self._clock = clock
        self._post = post
        self._deliverer = Deliverer(database, QUEUE, clock)

    async def look(self) -> None:
        """Write down what has happened since the last look."""
        for hook in self._hooks.values():
            now_ns = self._clock.now_ns()
            while await self._database.write(partial(_collect, hook, now_ns)):
                self._deliverer.wake.notify()

    async def deliver(self) -> None:
        """Post for ever."""
        await self._deliverer.run(self._send)

    async def step(self) -> int:
        """Post what is due now; return how many messages were taken."""
        return await self._deliverer.step(self._send)

    async def _send(self, one: Delivery) -> Answer:
        hook = self._hooks.get(one.destination)
        if hook is None:
            return Answer(DeliveryStatus.REFUSED, "it is not configured any more")
        status = await self._post(hook.url, hook.secret, f"msg_{one.id}", int(self._clock.now()), one.body)
        if 200 <= status < 300:
            return Answer(DeliveryStatus.TAKEN)
        raise RetryableError(f"it answered {status}")


def _collect(hook: SupervisionHook, now_ns: int, connection: Connection) -> bool:
    """Write the next messages of a hook in one transaction with its place; return true if there may be more."""
    table = hook_places
    newest = {
        "events_seq": last_seq(connection),
        "alerts_seq": rules_state(connection).changed,
        "swaps_seq": newest_number(connection),
    }
    if insert_if_absent(connection, table, hook=hook.url, **newest, messages=0):
        return False
    ours = table.c.hook == hook.url
    place = connection.execute(sa.select(table).where(ours).with_for_update()).one()
    if deliveries.waiting_for(connection, QUEUE, hook.url) >= MAX_WAITING:
        return False
    # An address that does not hear of a stream hears of it from now on, once it does.
    batches, moved = list[tuple[str, Batch]](), dict(newest)
    for name, wanted, read in (
        ("events", hook.events, read_event_batch),
        ("alerts", hook.alerts, read_alert_batch),
        ("swaps", hook.swaps, read_swap_batch),
    ):
        behind = getattr(place, f"{name}_seq")
        if wanted and behind is not None:
            found = read(connection, hook.scope, behind)
            batches.append((f"supervision.{name}", found))
            moved[f"{name}_seq"] = found[1]
    messages = place.messages
    for kind, (events, _) in batches:
        data = [msgspec.Raw(body) for _, parts in events for _, body in parts]
        for at in range(0, len(data), MAX_EVENTS_OF_A_MESSAGE):
            messages += 1
            part = data[at : at + MAX_EVENTS_OF_A_MESSAGE]
            body = msgspec.json.encode(HookMessage(type=kind, seq=messages, data=part))
            deliveries.enqueue(connection, QUEUE, hook.url, body, now_ns=now_ns)
    connection.execute(sa.update(table).where(ours).values(**moved, messages=messages))
    return bool(messages > place.messages)
