"""Webhooks in the database: who is registered, what each was last informed of, and the messages that wait.

A change is found in the rows of swaps, after it was committed: nothing of this stands in a transaction that a swap
waits for.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, TooManyError
from core.model.types import SwapId
from core.runtime import deliveries
from core.runtime.clock import NS_PER_S
from core.runtime.database import METADATA
from core.runtime.deliveries import DeliveryStatus, Queue
from core.runtime.inserts import insert_if_absent
from core.runtime.logging import get_logger
from core.runtime.retry import RetryPolicy
from relayer.pump import tables
from relayer.pump.tables import SwapRow

WEBHOOKS: Final = Queue(
    "webhooks",
    RetryPolicy((5.0, 60.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 72_000.0, 86_400.0)),
    max_tries=12,
    max_age_s=4 * 24 * 3_600,
    max_waiting=50_000,
)
SUBSCRIPTIONS: Final = Queue(
    "subscriptions", WEBHOOKS.delays, WEBHOOKS.max_tries, WEBHOOKS.max_age_s, max_waiting=10_000
)
"""Changed answers for webhooks of subscriptions. A delivery names a place: its newest answer is posted."""
MAX_WAITING_OF_A_HOOK: Final = 200
"""Messages that wait for one address. What changes beyond it is written down as it is once half of them are gone."""
MAX_HOOKS_OF_A_SWAP: Final = 3
MAX_HOOKS_OF_A_CALLER: Final = 100
MAX_HOOKS: Final = 10_000
BATCH: Final = 200
OVERLAP_NS: Final = 30 * NS_PER_S
"""A change that is committed this much later than its row says is still found, whichever process wrote it."""
KEPT_NS: Final = 14 * 24 * 3_600 * NS_PER_S
"""How much longer a registration is kept: a swap lasts for days at the most, a message is tried for four."""
LOG_ENTRIES: Final = 50

log = get_logger("relayer.notices.webhook_rows")

webhooks = sa.Table(
    "relayer_webhooks",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("swap_id", sa.Text, nullable=False, index=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("caller", sa.Text),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
)
webhook_marks = sa.Table(
    "relayer_webhook_marks",
    METADATA,
    sa.Column("hook", sa.Text, primary_key=True),
    sa.Column("swap_id", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("noted_ns", sa.BigInteger, nullable=False, index=True),
)
"""The version and phase of a swap that each hook was last informed of."""
webhook_cursor = sa.Table(
    "relayer_webhook_cursor",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("updated_ns", sa.BigInteger, nullable=False),
)

_ITSELF: Final = ""
"""The mark of a hook itself: since when it is there. Its version is `_BEHIND` while changes are left out."""
_BEHIND: Final = 1
TABLES: Final = (webhooks, webhook_marks, webhook_cursor)
_W: Final = webhooks.c
_M: Final = webhook_marks.c
_CURSOR: Final = sa.select(webhook_cursor.c.updated_ns)
_MOVE_CURSOR: Final = sa.update(webhook_cursor)
_MOMENTS: Final = (
    (_MOVE_CURSOR, webhook_cursor.c.updated_ns),
    (sa.update(webhook_marks).where(_M.swap_id == _ITSELF), _M.noted_ns),
    (sa.update(webhooks), _W.created_ns),
)
"""Since when somebody is there, and up to when all is reported."""
_OLDEST: Final = sa.select(sa.func.min(_W.created_ns))
_SINCE: Final = sa.select(_M.hook, _M.noted_ns).where(
    _M.swap_id == _ITSELF, _M.hook.in_(sa.bindparam("hooks", expanding=True))
)
_IDS: Final[sa.BindParameter[Any]] = sa.bindparam("ids", expanding=True)
_REGISTERED: Final = sa.select(_W.id, _W.swap_id, _W.created_ns).where(_W.swap_id.in_(_IDS))
_MARKED: Final = sa.select(_M.hook, _M.swap_id, _M.version).where(_M.swap_id.in_(_IDS))
_OLDER_MARK: Final = (
    (_M.hook == sa.bindparam("of_hook"))
    & (_M.swap_id == sa.bindparam("of_swap"))
    & (_M.version < sa.bindparam("below"))
)
_BEHIND_NOW: Final = sa.select(_M.hook).where(
    _M.swap_id == _ITSELF, _M.version == _BEHIND, _M.hook.in_(sa.bindparam("hooks", expanding=True))
)
_LEFT_OUT: Final = (
    sa.select(_M.swap_id)
    .join(tables.relayer_swaps, tables.relayer_swaps.c.swap_id == _M.swap_id)
    .where(_M.hook == sa.bindparam("of_hook"), _M.version < tables.relayer_swaps.c.version)
    .order_by(tables.relayer_swaps.c.updated_ns)
    .limit(sa.bindparam("most"))
)
_MOVE_ITSELF: Final = sa.update(webhook_marks).where(_M.hook == sa.bindparam("of_hook"), _M.swap_id == _ITSELF)
_PHASE: Final = sa.select(_M.phase).where(_OLDER_MARK)
_MOVE_MARK: Final = sa.update(webhook_marks).where(_OLDER_MARK)


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """An address of the operator's that hears of every swap."""

    url: str
    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """The same in every process and after every start."""
        return "operator-" + hashlib.sha256(self.url.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Hook:
    """One registered address."""

    id: str
    swap_id: SwapId
    url: str
    secret: bytes = field(repr=False)
    created_ns: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One message to a hook, and what became of it. `attempts` counts tries, `next_ns` is when the next is due."""

    message_id: str
    body: bytes
    status: DeliveryStatus
    attempts: int
    next_ns: int | None
    reason: str | None


# --- registrations -------------------------------------------------------------------------------------------------


def register(connection: Connection, hook: Hook, caller: str | None) -> None:
    """Raise `TooManyError` if the swap, the caller or the relayer has too many."""
    for bound, where, whose in (
        (MAX_HOOKS_OF_A_SWAP, _W.swap_id == hook.swap_id, "this swap"),
        (MAX_HOOKS_OF_A_CALLER, _W.caller == caller, "this caller"),
        (MAX_HOOKS, sa.true(), "all swaps together"),
    ):
        if connection.execute(sa.select(sa.func.count()).select_from(webhooks).where(where)).scalar_one() >= bound:
            raise TooManyError(f"there are {bound} webhooks of {whose} already: remove one")
    values = {"id": hook.id, "swap_id": hook.swap_id, "url": hook.url, "secret": hook.secret}
    connection.execute(sa.insert(webhooks), {**values, "caller": caller, "created_ns": hook.created_ns})


def find(connection: Connection, hook_id: str) -> Hook | None:
    row = connection.execute(sa.select(webhooks).where(_W.id == hook_id)).one_or_none()
    return None if row is None else Hook(row.id, SwapId(row.swap_id), row.url, row.secret, row.created_ns)


def remove(connection: Connection, hook_id: str) -> None:
    """Take a registration away, and what waits for it."""
    connection.execute(sa.delete(webhooks).where(_W.id == hook_id))
    connection.execute(sa.delete(webhook_marks).where(_M.hook == hook_id))
    deliveries.withdraw(connection, WEBHOOKS, hook_id)


def forget(connection: Connection, swap_id: SwapId) -> None:
    """Delete all about a swap that came to nothing."""
    connection.execute(sa.delete(webhooks).where(_W.swap_id == swap_id))
    connection.execute(sa.delete(webhook_marks).where(_M.swap_id == swap_id))
    deliveries.forget(connection, WEBHOOKS, swap_id)


def prune(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget marks of swaps that have not changed since before then, messages that ended before then, and registrations
    that are older by `KEPT_NS`, at most `limit` of each."""
    for queue in (WEBHOOKS, SUBSCRIPTIONS):
        deliveries.prune_settled(connection, queue, before_ns, limit)
    old = sa.select(_M.hook, _M.swap_id).where(_M.noted_ns < before_ns, _M.swap_id != _ITSELF).limit(limit)
    connection.execute(sa.delete(webhook_marks).where(sa.tuple_(_M.hook, _M.swap_id).in_(old)))
    hooks = sa.select(_W.id).where(_W.created_ns < before_ns - KEPT_NS).limit(limit)
    return connection.execute(sa.delete(webhooks).where(_W.id.in_(hooks))).rowcount


def log_of(connection: Connection, hook_id: str) -> list[LogEntry]:
    """The newest messages to a hook, the newest first."""
    return [
        LogEntry(
            message_id=message_id(one.id, hook_id),
            body=one.body,
            status=one.status,
            attempts=one.attempts,
            next_ns=one.due_ns if one.status is DeliveryStatus.PENDING else None,
            reason=one.reason,
        )
        for one in deliveries.newest(connection, WEBHOOKS, hook_id, LOG_ENTRIES)
    ]


# --- what has changed ----------------------------------------------------------------------------------------------


Position = tuple[int, str]
"""Behind which change of a swap to go on: its time in nanoseconds, and the swap's id."""


def begin(connection: Connection, targets: Sequence[WebhookTarget], now_ns: int) -> None:
    """Remember since when each of the operator's own addresses is there: it hears of nothing before."""
    set_back(connection, now_ns)
    insert_if_absent(connection, webhook_cursor, id=1, updated_ns=now_ns)
    for target in targets:
        mark = {"hook": target.id, "swap_id": _ITSELF, "version": 0, "phase": ""}
        insert_if_absent(connection, webhook_marks, **mark, noted_ns=now_ns)


def set_back(connection: Connection, now_ns: int) -> None:
    """By our clock it is earlier than it was: what changes from now on is not from before anybody was there."""
    for moved, at_ns in _MOMENTS:
        connection.execute(moved.where(at_ns > sa.bindparam("now_ns")), {at_ns.name: now_ns, "now_ns": now_ns})


def collect(
    connection: Connection, targets: Sequence[WebhookTarget], now_ns: int, behind: Position | None = None
) -> Position | None:
    """Write down a message for each swap whose phase a hook has not heard of.

    Look at `BATCH` changes that are not older than the cursor, or that come behind `behind`. Return the position of
    the last if there may be more.
    """
    cursor_ns = int(connection.execute(_CURSOR).scalar_one())
    since_ns = _since(connection, targets)
    oldest_ns = connection.execute(_OLDEST).scalar()
    begins_ns = [*since_ns.values(), *([] if oldest_ns is None else [oldest_ns])]
    if not begins_ns:
        return None
    if behind is None:
        _catch_up(connection, list(since_ns), now_ns)
    first = behind or (max(min(cursor_ns, now_ns), min(begins_ns)) - OVERLAP_NS, "")
    rows = tables.changed_behind(connection, first, BATCH)
    for hook, row in _unheard(connection, since_ns, rows):
        _note(connection, hook, row, now_ns)
    # After a clock was set back what comes next looks older than what was there.
    reported_ns = min(rows[-1].updated_ns, now_ns) if rows else cursor_ns
    if reported_ns > cursor_ns:
        connection.execute(_MOVE_CURSOR, {"updated_ns": reported_ns})
    return (rows[-1].updated_ns, rows[-1].swap_id) if len(rows) == BATCH else None


def _since(connection: Connection, targets: Sequence[WebhookTarget]) -> dict[str, int]:
    """Since when each of the operator's own addresses is there."""
    asked = {"hooks": [one.id for one in targets]}
    return {hook: int(noted_ns) for hook, noted_ns in connection.execute(_SINCE, asked)}


def _unheard(connection: Connection, since_ns: Mapping[str, int], rows: Sequence[SwapRow]) -> list[tuple[str, SwapRow]]:
    """Each hook with each changed swap that it follows and has not heard of as it is now."""
    ids = [row.swap_id for row in rows]
    of_swap = {swap_id: dict(since_ns) for swap_id in ids}
    for hook, swap_id, created_ns in connection.execute(_REGISTERED, {"ids": ids}):
        of_swap[swap_id][hook] = int(created_ns)
    if not any(of_swap.values()):
        return []
    marked = connection.execute(_MARKED, {"ids": ids})
    known = {(hook, swap_id): int(version) for hook, swap_id, version in marked}
    return [
        (hook, row)
        for row in rows
        for hook, begins_ns in of_swap[row.swap_id].items()
        if row.updated_ns >= begins_ns - OVERLAP_NS and known.get((hook, row.swap_id), -1) < row.version
    ]


def _catch_up(connection: Connection, hooks: Sequence[str], now_ns: int) -> None:
    """Write down what was left out for the operator's own addresses that have room again."""
    for hook in connection.execute(_BEHIND_NOW, {"hooks": hooks}).scalars().all():
        room = MAX_WAITING_OF_A_HOOK - deliveries.waiting_for(connection, WEBHOOKS, hook)
        if room <= MAX_WAITING_OF_A_HOOK // 2:
            continue
        ids = [SwapId(one) for one in connection.execute(_LEFT_OUT, {"of_hook": hook, "most": room}).scalars()]
        if len(ids) < room:
            connection.execute(_MOVE_ITSELF, {"of_hook": hook, "version": 0})
        for row in reversed(tables.list_rows(connection, room, ids=ids)) if ids else ():
            _note(connection, hook, row, now_ns)


def _note(connection: Connection, hook: str, row: SwapRow, now_ns: int) -> None:
    """Mark the swap as reported to a hook, and write the message if its phase has changed. Of two processes that do so
    at once one writes."""
    mark = {"hook": hook, "swap_id": row.swap_id}
    insert_if_absent(connection, webhook_marks, **mark, version=-1, phase="", noted_ns=now_ns)
    place = {"of_hook": hook, "of_swap": row.swap_id, "below": row.version}
    before = connection.execute(_PHASE, place).scalar()
    if before is None:
        return
    if before != row.phase and deliveries.waiting_for(connection, WEBHOOKS, hook) >= MAX_WAITING_OF_A_HOOK:
        log.warning("a webhook has too many messages waiting", hook=hook, swap_id=row.swap_id)
        connection.execute(_MOVE_ITSELF, {"of_hook": hook, "version": _BEHIND})
        return
    moved = {**place, "version": row.version, "phase": row.phase, "noted_ns": now_ns}
    if connection.execute(_MOVE_MARK, moved).rowcount > 0 and before != row.phase:
        deliveries.enqueue(connection, WEBHOOKS, hook, message(row), now_ns=now_ns, topic=row.swap_id)


def message(row: SwapRow) -> bytes:
    """The body that is posted: which swap, and how it stands. What it is worth, the chains say."""
    changed = datetime.fromtimestamp(row.updated_ns / NS_PER_S, UTC)
    return msgspec.json.encode(
        {
            "type": "swap.changed",
            "timestamp": changed.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": {
                "id": row.swap_id,
                "hashlock": "0x" + row.hashlock.hex(),
                "phase": row.phase,
                "done": row.done,
                "version": row.version,
            },
        }
    )


def hook_of(connection: Connection, hook_id: str) -> Hook:
    """Raise `NotFoundError`."""
    found = find(connection, hook_id)
    if found is None:
        raise NotFoundError("no such webhook")
    return found


def any_hook(connection: Connection) -> bool:
    return connection.execute(sa.select(_W.id).limit(1)).first() is not None


def message_id(delivery_id: int, hook_id: str) -> str:
    return f"msg_{hook_id}_{delivery_id}"
