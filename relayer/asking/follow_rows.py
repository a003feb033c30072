"""Subscriptions in the database: who follows which questions, and the newest evidence of each question.

A question that several follow from the same trusted height is one row, proven once for all of them. Its version is
that of its newest change, in microseconds, and greater than that of any change before: whoever has seen a version asks
for what came behind it. Of several changes that somebody missed the newest is kept.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, TooManyError
from core.model.types import Height
from core.runtime import deliveries
from core.runtime.clock import NS_PER_S
from core.runtime.database import METADATA
from core.runtime.deliveries import DeliveryStatus
from core.runtime.inserts import insert_if_absent
from relayer.notices.webhook_rows import SUBSCRIPTIONS

MAX_OF_A_CALLER: Final = 20
MAX_SUBSCRIPTIONS: Final = 500
MAX_FOLLOWED: Final = 1_000
"""Different questions of all subscriptions together."""
KEPT_S: Final = 3_600
"""How long a subscription that has ended says why."""
PRUNED: Final = 100
MAX_COLLECTED: Final = 500
"""Changes that one look writes down for webhooks."""
_NS_PER_US: Final = 1_000

subscriptions = sa.Table(
    "relayer_subscriptions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("until_s", sa.BigInteger, nullable=False),
    sa.Column("every_s", sa.BigInteger, nullable=False),
    sa.Column("url", sa.Text),
    sa.Column("secret", sa.LargeBinary),
    sa.Column("posted_ns", sa.BigInteger, nullable=False),
    sa.Column("ended_ns", sa.BigInteger, index=True),
    sa.Column("reason", sa.Text),
    sa.Index(None, "caller", "ended_ns"),
)
"""`url`: the webhook, if there is one; `posted_ns`: when changes were last written down for it."""
subscribed = sa.Table(
    "relayer_subscribed",
    METADATA,
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("question", sa.Text, nullable=False, index=True),
    sa.Column("posted", sa.BigInteger, nullable=False),
)
"""The questions of a subscription, in their order. `posted`: the newest version that its webhook has taken."""
followed = sa.Table(
    "relayer_followed",
    METADATA,
    sa.Column("question", sa.Text, primary_key=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("trusted_height", sa.BigInteger),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("file", sa.LargeBinary),
    sa.Column("problem", sa.Text),
    sa.Column("detail", sa.Text),
)
"""`question`: a hash of the URI and the trusted height; `answer`: one of the answer; `version` 0 before the first."""

TABLES: Final = (subscriptions, subscribed, followed)
_S: Final = subscriptions.c
_D: Final = subscribed.c
_F: Final = followed.c
_OPEN: Final = _S.ended_ns.is_(None)
_SUBSCRIBERS: Final = subscribed.join(subscriptions, (_S.id == _D.subscription) & _OPEN)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Questions that one caller follows until `until_s`, with pushes at most every `every_s` seconds."""

    id: str
    questions: tuple[str, ...]
    created_ns: int
    until_s: int
    every_s: int
    url: str | None
    secret: bytes | None = field(repr=False)
    ended_ns: int | None = None
    reason: str | None = None

    @property
    def end_version(self) -> int:
        """The version of its end, behind those of all its changes."""
        return 0 if self.ended_ns is None else self.ended_ns // _NS_PER_US + 1


@dataclass(frozen=True, slots=True)
class Followed:
    """A question that somebody follows, and its newest answer; `problem` and `detail` say why it has none now."""

    question: str
    uri: str
    trusted: Height | None
    version: int
    answer: bytes
    file: bytes | None = field(repr=False)
    problem: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A question that is asked again: at most every `every_s` seconds, for the most eager of its subscribers."""

    question: str
    uri: str
    trusted: Height | None
    every_s: int


def question_of(uri: str, trusted: Height | None) -> str:
    """The name of a question that is followed from a trusted height."""
    return hashlib.sha256(f"{uri}\0{trusted}".encode()).hexdigest()


# --- subscriptions ---------------------------------------------------------------------------------------------------


def add(connection: Connection, new: Subscription, uris: Sequence[str], trusted: Height | None, caller: str) -> None:
    """Store a subscription. Raise `TooManyError` if there are too many, or too many questions of all together."""
    _prune(connection, new.created_ns)
    counted = sa.select(sa.func.count()).select_from(subscriptions).where(_OPEN)
    for bound, whose, where in (
        (MAX_OF_A_CALLER, "of yours", _S.caller == caller),
        (MAX_SUBSCRIPTIONS, "of all callers", sa.true()),
    ):
        if connection.execute(counted.where(where)).scalar_one() >= bound:
            raise TooManyError(f"{bound} subscriptions {whose} are open already: delete one")
    subscribers = sa.select(_D.question).select_from(_SUBSCRIBERS)
    # An answer that nobody followed meanwhile may be old.
    stale = _F.question.in_(new.questions) & ~_F.question.in_(subscribers)
    connection.execute(sa.delete(followed).where(stale))
    for uri, question in zip(uris, new.questions, strict=True):
        values = {"question": question, "uri": uri, "trusted_height": trusted, "version": 0, "answer": b""}
        insert_if_absent(connection, followed, **values)
    if connection.execute(sa.select(sa.func.count()).select_from(followed)).scalar_one() > MAX_FOLLOWED:
        raise TooManyError(f"{MAX_FOLLOWED} questions are followed already: try again later")
    connection.execute(
        sa.insert(subscriptions),
        {
            "id": new.id,
            "caller": caller,
            "created_ns": new.created_ns,
            "until_s": new.until_s,
            "every_s": new.every_s,
            "url": new.url,
            "secret": new.secret,
            "posted_ns": 0,
        },
    )
    rows = [
        {"subscription": new.id, "place": place, "question": question, "posted": 0}
        for place, question in enumerate(new.questions)
    ]
    connection.execute(sa.insert(subscribed), rows)


def load(connection: Connection, subscription_id: str) -> Subscription:
    """Raise `NotFoundError`."""
    row = connection.execute(sa.select(subscriptions).where(_S.id == subscription_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"no subscription {subscription_id[:64]!r}: it was deleted, or ended long ago")
    places = sa.select(_D.question).where(_D.subscription == row.id).order_by(_D.place)
    return Subscription(
        row.id,
        tuple(connection.execute(places).scalars()),
        row.created_ns,
        row.until_s,
        row.every_s,
        row.url,
        row.secret,
        row.ended_ns,
        row.reason,
    )


def remove(connection: Connection, subscription_id: str) -> None:
    """Delete a subscription, and the questions that nobody else follows."""
    connection.execute(sa.delete(subscribed).where(_D.subscription == subscription_id))
    connection.execute(sa.delete(subscriptions).where(_S.id == subscription_id))
    deliveries.withdraw(connection, SUBSCRIPTIONS, subscription_id)
    _drop_unfollowed(connection)


def end(connection: Connection, subscription_id: str, reason: str, now_ns: int) -> bool:
    """End a subscription for this reason. Return true if it was open."""
    ours = (_S.id == subscription_id) & _OPEN
    values = {"ended_ns": _behind_all(connection, now_ns), "reason": reason}
    return connection.execute(sa.update(subscriptions).where(ours).values(values)).rowcount == 1


# --- webhooks --------------------------------------------------------------------------------------------------------


def any_posted(connection: Connection) -> bool:
    """Return true if an open subscription has a webhook."""
    return connection.execute(sa.select(_S.id).where(_OPEN, _S.url.is_not(None)).limit(1)).first() is not None


def collect(connection: Connection, now_ns: int) -> list[tuple[str, str]]:
    """Write down one delivery for each place of a subscription whose webhook has not taken the newest change, once
    those of before are settled and `every_s` have passed. Return the subscriptions that nobody takes, with the reason.
    """
    lost = list[tuple[str, str]]()
    changed = (
        sa.select(_S.id, _D.place)
        .select_from(_SUBSCRIBERS.join(followed, _F.question == _D.question))
        # One that takes nothing for hours holds no room of the others at this look.
        .where(_S.url.is_not(None), _F.version > _D.posted, ~deliveries.any_waiting_for(SUBSCRIPTIONS, _S.id))
        # What was posted later than now was posted under a clock that has been set back since.
        .where((_S.posted_ns <= now_ns - _S.every_s * NS_PER_S) | (_S.posted_ns > now_ns))
        .order_by(_S.posted_ns, _S.id, _F.version)
        .limit(MAX_COLLECTED)
    )
    places: dict[str, list[int]] = {}
    for row in connection.execute(changed).all():
        places.setdefault(row.id, []).append(row.place)
    for subscription_id, changed_places in places.items():
        newest = deliveries.newest(connection, SUBSCRIPTIONS, subscription_id, 1)
        if newest and newest[0].status in (DeliveryStatus.GIVEN_UP, DeliveryStatus.REFUSED):
            lost.append((subscription_id, f"its address takes nothing: {newest[0].reason}"))
            continue
        for place in changed_places:
            deliveries.enqueue(
                connection, SUBSCRIPTIONS, subscription_id, b"", now_ns=now_ns, topic=f"{subscription_id}/{place:02}"
            )
        connection.execute(sa.update(subscriptions).where(_S.id == subscription_id).values(posted_ns=now_ns))
    return lost


def posted(connection: Connection, subscription_id: str, place: int, version: int) -> None:
    """Note that a webhook has taken this version."""
    ours = (_D.subscription == subscription_id) & (_D.place == place)
    connection.execute(sa.update(subscribed).where(ours).values(posted=version))


# --- ends ------------------------------------------------------------------------------------------------------------


def any_overdue(connection: Connection, now_ns: int) -> bool:
    """Return true if the time of an open subscription is over."""
    over = sa.select(_S.id).where(_OPEN, _S.until_s <= now_ns // NS_PER_S).limit(1)
    return connection.execute(over).first() is not None


def end_overdue(connection: Connection, now_ns: int) -> int:
    """End the subscriptions whose time is over; return how many."""
    over = _OPEN & (_S.until_s <= now_ns // NS_PER_S)
    values = {"ended_ns": _behind_all(connection, now_ns), "reason": "its time is over: subscribe again"}
    count = connection.execute(sa.update(subscriptions).where(over).values(values)).rowcount
    _prune(connection, now_ns)
    return count


def _behind_all(connection: Connection, now_ns: int) -> int:
    """The time of an end: behind that of every change, although the clock may have been set back since."""
    return max(now_ns, _newest(connection) * _NS_PER_US)


def _newest(connection: Connection) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(_F.version), 0))).scalar_one())


def _prune(connection: Connection, now_ns: int) -> None:
    """Forget subscriptions that ended long ago."""
    old = sa.select(_S.id).where(_S.ended_ns < now_ns - KEPT_S * NS_PER_S).limit(PRUNED)
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(sa.delete(subscribed).where(_D.subscription.in_(ids)))
        connection.execute(sa.delete(subscriptions).where(_S.id.in_(ids)))
        _drop_unfollowed(connection)


def _drop_unfollowed(connection: Connection) -> None:
    connection.execute(sa.delete(followed).where(~_F.question.in_(sa.select(_D.question))))


# --- what is followed ------------------------------------------------------------------------------------------------


def due(connection: Connection) -> list[Due]:
    """Every question that an open subscription follows."""
    eager = sa.select(_D.question, sa.func.min(_S.every_s).label("every_s")).select_from(_SUBSCRIBERS)
    eager_by_question = eager.group_by(_D.question).subquery()
    found = (
        sa.select(_F.question, _F.uri, _F.trusted_height, eager_by_question.c.every_s)
        .join(eager_by_question, eager_by_question.c.question == _F.question)
        .order_by(_F.question)
        .limit(MAX_FOLLOWED)
    )
    return [
        Due(row.question, row.uri, None if row.trusted_height is None else Height(row.trusted_height), row.every_s)
        for row in connection.execute(found)
    ]


def read(
    connection: Connection, questions: Collection[str], behind: int = -1, limit: int | None = None
) -> list[Followed]:
    """These questions, as far as their version is greater than `behind`, in the order of their versions."""
    which = _F.question.in_(questions) & (_F.version > behind)
    return [
        Followed(
            row.question,
            row.uri,
            None if row.trusted_height is None else Height(row.trusted_height),
            row.version,
            row.answer,
            row.file,
            row.problem,
            row.detail,
        )
        for row in connection.execute(sa.select(followed).where(which).order_by(_F.version).limit(limit))
    ]


def known(connection: Connection, questions: Collection[str]) -> dict[str, tuple[int, bytes, str | None]]:
    """Version, hash of the answer, and problem of these questions."""
    columns = sa.select(_F.question, _F.version, _F.answer, _F.problem).where(_F.question.in_(questions))
    return {row.question: (row.version, row.answer, row.problem) for row in connection.execute(columns)}


def note(connection: Connection, changes: Iterable[Mapping[str, object]], now_ns: int) -> int:
    """Store changed answers or problems by `question`, each with the next version; return the newest version."""
    version = max(_newest(connection), now_ns // _NS_PER_US - 1)
    for change in changes:
        version += 1
        row = _F.question == change["question"]
        connection.execute(sa.update(followed).where(row).values({**change, "version": version}))
    return version
