"""Observations, links and alerts in the database. In the engine's transaction."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from indexer.writing import insert_rows
from regulator_api.rules.history import Place
from regulator_api.rules.observation import Alert, Link, Observation, Reference, extend
from regulator_api.rules.tables import alerts, links, observations

T = TypeVar("T")

CHUNK: Final = 400
_Raw = tuple[str, str, str, tuple[Any, ...], int, tuple[Any, ...], tuple[str, ...], tuple[Any, ...]]

_OBSERVATION_COLUMNS: Final = tuple(column.name for column in observations.c)
_LINK_COLUMNS: Final = tuple(column.name for column in links.c)
_FORGET_SINCE: Final = sa.delete(observations).where(
    observations.c.subject == sa.bindparam("of_subject"),
    observations.c.trigger_s >= sa.bindparam("since"),
    observations.c.link == "",
)
# The condition as the index by links has it, in the text of the statement: of a value it does not follow.
_OF_PATHS: Final[sa.ColumnElement[bool]] = observations.c.link != sa.literal_column("''")
FORGET_LINKED: Final = sa.delete(observations).where(observations.c.link == sa.bindparam("of_link"), _OF_PATHS)
_SINCE: Final = sa.select(observations.c.body).where(
    observations.c.subject.in_(sa.bindparam("of_subjects", expanding=True)),
    observations.c.trigger_s >= sa.bindparam("since"),
    observations.c.link == "",
)
LINKED: Final = sa.select(observations.c.link, observations.c.body).where(
    observations.c.link.in_(sa.bindparam("of_links", expanding=True)), _OF_PATHS
)
_OF_RULE: Final = sa.select(observations.c.body).where(
    observations.c.subject == sa.bindparam("of_subject"),
    observations.c.trigger_s >= sa.bindparam("since"),
    observations.c.rule == sa.bindparam("of_rule"),
    observations.c.anchor == sa.bindparam("of_anchor"),
)
_LINKS_SINCE: Final = sa.select(links.c.body).where(
    links.c.subject.in_(sa.bindparam("of_subjects", expanding=True)), links.c.left_s >= sa.bindparam("since")
)
_LINKS_AFTER: Final = sa.select(links.c.body).where(links.c.after.in_(sa.bindparam("passages", expanding=True)))
_LINKS_BEFORE: Final = sa.select(links.c.body).where(links.c.before.in_(sa.bindparam("passages", expanding=True)))
_FORGET_LINK: Final = sa.delete(links).where(links.c.after == sa.bindparam("of_after"))
_ALERTS_OF: Final = (
    sa.select(alerts)
    .where(
        alerts.c.subject == sa.bindparam("of_subject"),
        alerts.c.rule == sa.bindparam("of_rule"),
        alerts.c.anchor == sa.bindparam("of_anchor"),
        alerts.c.last_s >= sa.bindparam("since"),
        ~alerts.c.withdrawn,
    )
    .order_by(alerts.c.last_s, alerts.c.first_s, alerts.c.alert_id)
)
_LAST_ALERT: Final = (
    sa.select(alerts)
    .where(
        alerts.c.subject == sa.bindparam("of_subject"),
        alerts.c.rule == sa.bindparam("of_rule"),
        alerts.c.anchor == sa.bindparam("of_anchor"),
        ~alerts.c.withdrawn,
    )
    .order_by(alerts.c.last_s.desc(), alerts.c.first_s.desc(), alerts.c.alert_id.desc())
    .limit(1)
)
_WITHDRAW: Final = (
    sa.update(alerts)
    .where(alerts.c.alert_id == sa.bindparam("of_alert"))
    .values(withdrawn=True, changed_seq=sa.bindparam("now_seq"))
)


class Group(NamedTuple):
    """Alerts of one group are about one rule, subject and anchor."""

    rule: str
    subject: str
    anchor: str


def encode(value: Observation | Link) -> bytes:
    return msgspec.msgpack.encode(value)


def decode_observation(raw: bytes) -> Observation:
    rule, subject, anchor, trigger, since_s, moves, others, figures = msgspec.msgpack.decode(raw, type=_Raw)
    return Observation(
        rule,
        subject,
        anchor,
        Place(*trigger),
        since_s,
        tuple(Reference(Place(*place), account) for place, account in moves),
        others,
        tuple((name, value) for name, value in figures),
    )


def decode_link(raw: bytes) -> Link:
    link = Link(*msgspec.msgpack.decode(raw))
    return link._replace(
        arrived=Place(*link.arrived),
        left=Place(*link.left),
        from_tags=tuple(link.from_tags),
        to_tags=tuple(link.to_tags),
    )


def forget_since(connection: Connection, since_s: Mapping[str, int]) -> list[Observation]:
    """Delete the subjects' own observations, of each from its time on, and return them."""
    gone = [
        one
        for part in _chunks(sorted(since_s))
        for row in connection.execute(_SINCE, {"of_subjects": part, "since": min(since_s[name] for name in part)})
        if (one := decode_observation(row.body)).trigger.time_s >= since_s[one.subject]
    ]
    if gone:
        names = {one.subject for one in gone}
        connection.execute(_FORGET_SINCE, [{"of_subject": name, "since": since_s[name]} for name in sorted(names)])
    return gone


def forget_linked(connection: Connection, passages: Collection[str]) -> list[Observation]:
    """Delete observations of paths that end in these links, and return them."""
    gone: list[Observation] = []
    for part in _chunks(sorted(passages)):
        found = connection.execute(LINKED, {"of_links": part}).all()
        if found:
            connection.execute(FORGET_LINKED, [{"of_link": link} for link in sorted({row.link for row in found})])
            gone += (decode_observation(row.body) for row in found)
    return gone


def add_observations(connection: Connection, seen: Iterable[tuple[Observation, str]]) -> None:
    """Store observations, each with the passage of its link ("" for a subject's own)."""
    rows = sorted((one.subject, *one.trigger, one.rule, one.anchor, link, encode(one)) for one, link in seen)
    insert_rows(connection, observations, _OBSERVATION_COLUMNS, rows)


def links_since(connection: Connection, since_s: Mapping[str, int]) -> list[Link]:
    """Return the links of these subjects, of each from its time on."""
    return [
        link
        for part in _chunks(sorted(since_s))
        for row in connection.execute(_LINKS_SINCE, {"of_subjects": part, "since": min(since_s[name] for name in part)})
        if (link := decode_link(row.body)).left.time_s >= since_s[link.subject]
    ]


def links_by(connection: Connection, passages: Collection[str], *, after: bool) -> list[Link]:
    """Return the links whose payment out (`after`), or in, has one of these passages."""
    statement = _LINKS_AFTER if after else _LINKS_BEFORE
    return [
        decode_link(row.body)
        for part in _chunks(sorted(passages))
        for row in connection.execute(statement, {"passages": part})
    ]


def link_of(connection: Connection, seen: Observation) -> Link | None:
    """Return the link that an observation of a path ended in, None if it is not there any more."""
    place = seen.trigger
    query = sa.select(observations.c.link).where(
        observations.c.subject == seen.subject,
        observations.c.trigger_s == place.time_s,
        observations.c.trigger_chain == place.chain,
        observations.c.trigger_height == place.height,
        observations.c.trigger_index == place.event_index,
        observations.c.trigger_direction == place.direction,
        observations.c.rule == seen.rule,
        observations.c.anchor == seen.anchor,
    )
    passage = connection.execute(query).scalar()
    return next(iter(links_by(connection, [passage], after=True)), None) if passage else None


def replace_links(connection: Connection, removed: Collection[str], added: Iterable[Link]) -> None:
    """Delete links by their passages, and store others."""
    if removed:
        connection.execute(_FORGET_LINK, [{"of_after": one} for one in sorted(removed)])
    rows = sorted((one.after, one.before, one.subject, one.left.time_s, encode(one)) for one in added)
    insert_rows(connection, links, _LINK_COLUMNS, rows)


class AlertWriter:
    """Keeps alerts in step with observations, in one transaction. `next_seq` numbers each change."""

    def __init__(
        self,
        connection: Connection,
        next_seq: Callable[[], int],
        label_version: int,
        now_ns: int,
        typology_of: Callable[[str], str],
    ) -> None:
        self._connection = connection
        self._next_seq = next_seq
        self._label_version, self._now_ns = label_version, now_ns
        self._typology_of = typology_of
        self.raised = 0
        self.withdrawn = 0

    def update(self, gone: Iterable[Observation], new: Iterable[Observation]) -> None:
        """Bring alerts up to date: the observations are stored already, or deleted."""
        cut: dict[Group, int] = {}
        for one in gone:
            group = Group(one.rule, one.subject, one.anchor)
            cut[group] = min(one.trigger.time_s, cut.get(group, one.trigger.time_s))
        added: dict[Group, list[Observation]] = defaultdict(list)
        for one in new:
            added[Group(one.rule, one.subject, one.anchor)].append(one)
        for group, seen in added.items():
            last = None if group in cut else self._last(group)
            first_s = min(one.trigger.time_s for one in seen)
            if group in cut or (last is not None and first_s <= last.last.trigger.time_s):
                cut[group] = min(first_s, cut.get(group, first_s))
            else:
                self._append(last, sorted(seen, key=lambda one: one.trigger))
        for group, since_s in cut.items():
            self._again(group, since_s)

    def _append(self, last: Alert | None, seen: Sequence[Observation]) -> None:
        for one in seen:
            now = extend(last, one)
            if last is not None and now.alert_id != last.alert_id:
                self._store(last)
            last = now
        if last is not None:
            self._store(last)

    def _again(self, group: Group, since_s: int) -> None:
        """Gather a group's observations again, from the beginning of the first alert that may differ."""
        asked = {"of_subject": group.subject, "of_rule": group.rule, "of_anchor": group.anchor}
        had = list(self._connection.execute(_ALERTS_OF, asked | {"since": since_s}))
        begin_s = min((row.first_s for row in had), default=since_s)
        begin_s = min(begin_s, since_s)
        # The alert before may reach on: its last observation lies before the cut, and what follows may belong to it.
        earlier = self._connection.execute(_LAST_ALERT_BEFORE, asked | {"before": since_s}).first()
        if earlier is not None:
            had.append(earlier)
            begin_s = min(begin_s, earlier.first_s)
        bodies = self._connection.execute(_OF_RULE, asked | {"since": begin_s})
        seen = sorted((decode_observation(row.body) for row in bodies), key=lambda one: one.trigger)
        kept: dict[str, Alert] = {}
        last: Alert | None = None
        for one in seen:
            last = extend(last, one)
            kept[last.alert_id] = last
        for row in had:
            if row.alert_id not in kept:
                self._connection.execute(_WITHDRAW, {"of_alert": row.alert_id, "now_seq": self._next_seq()})
                self.withdrawn += 1
        known = {row.alert_id: alert_of(row) for row in had}
        for alert in kept.values():
            if known.get(alert.alert_id) != alert:
                self._store(alert)

    def _last(self, group: Group) -> Alert | None:
        asked = {"of_subject": group.subject, "of_rule": group.rule, "of_anchor": group.anchor}
        row = self._connection.execute(_LAST_ALERT, asked).first()
        return None if row is None else alert_of(row)

    def _store(self, alert: Alert) -> None:
        values = {
            "last_s": alert.last.trigger.time_s,
            "observations": alert.observations,
            "body": encode(alert.last),
            "withdrawn": False,
            "label_version": self._label_version,
            "changed_seq": self._next_seq(),
        }
        changed = {f"to_{name}": value for name, value in values.items()}
        if not self._connection.execute(_UPDATE, {"of_alert": alert.alert_id, **changed}).rowcount:
            self.raised += 1
            first = {
                "alert_id": alert.alert_id,
                "rule": alert.rule,
                "typology": self._typology_of(alert.rule),
                "subject": alert.subject,
                "anchor": alert.anchor,
                "first_s": alert.first.time_s,
                "first": msgspec.msgpack.encode(alert.first),
                "found_ns": self._now_ns,
            }
            self._connection.execute(_INSERT, first | values)


_LAST_ALERT_BEFORE: Final = _LAST_ALERT.where(alerts.c.last_s < sa.bindparam("before"))
_INSERT: Final = sa.insert(alerts)
_UPDATE: Final = (
    sa.update(alerts)
    .where(alerts.c.alert_id == sa.bindparam("of_alert"))
    .values({
        name: sa.bindparam(f"to_{name}")
        for name in ("last_s", "observations", "body", "withdrawn", "label_version", "changed_seq")
    })
)  # fmt: skip


def standing_alerts(connection: Connection) -> list[Alert]:
    """Return all alerts that were not withdrawn."""
    return [alert_of(row) for row in connection.execute(sa.select(alerts).where(~alerts.c.withdrawn))]


def alert_of(row: Any) -> Alert:
    """An alert from a row with the columns of `regulator_alerts`."""
    first = Place(*msgspec.msgpack.decode(row.first))
    last = decode_observation(row.body)
    return Alert(row.alert_id, row.rule, row.subject, row.anchor, first, row.observations, last)


def _chunks(values: Sequence[T]) -> Iterator[list[T]]:
    for begin in range(0, len(values), CHUNK):
        yield list(values[begin : begin + CHUNK])
