"""Alerts as a caller may see them: those about accounts and entities of other jurisdictions are not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError
from core.runtime.web import after
from regulator_api.access.scope import Scope
from regulator_api.knowledge import store as knowledge
from regulator_api.knowledge.tables import belongs, entities, known_at, subjects_in, tags
from regulator_api.rules.observation import Alert
from regulator_api.rules.store import alert_of
from regulator_api.rules.tables import alerts, case_alerts, state
from regulator_api.view import as_of


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert with what is kept about it. `changed` grows with each change of any alert."""

    alert: Alert
    typology: str
    withdrawn: bool
    label_version: int
    changed: int
    found_ns: int
    case_id: str | None


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """The alerts that are wanted; None stands for any value. `since_s` and `until_s` bound the last trigger."""

    typology: str | None = None
    rule: str | None = None
    subject: str | None = None
    since_s: int | None = None
    until_s: int | None = None
    withdrawn: bool = False


def list_alerts(
    connection: Connection, scope: Scope, wanted: AlertFilter, limit: int, behind: Sequence[Any] | None = None
) -> list[AlertRow]:
    """Return alerts, the last triggered first, at most `limit`; `behind` is (last_s, id) of the last one before."""
    order = (alerts.c.last_s, alerts.c.alert_id)
    query = _matching(_visible(connection, scope, wanted.subject is not None), wanted).where(
        after(order, behind, descending=True)
    )
    query = query.where(alerts.c.withdrawn == wanted.withdrawn)
    query = query.order_by(*(column.desc() for column in order)).limit(limit)
    return [_row(row) for row in connection.execute(query)]


def changed_alerts(
    connection: Connection, scope: Scope, after_seq: int, limit: int, wanted: AlertFilter = AlertFilter()
) -> list[AlertRow]:
    """Return alerts that changed after a number, in the order of their last changes: what a stream goes on with.

    Those that were withdrawn are among them, whatever is wanted: that is a change, too.
    """
    query = _matching(_visible(connection, scope), wanted).where(alerts.c.changed_seq > after_seq)
    return [_row(row) for row in connection.execute(query.order_by(alerts.c.changed_seq).limit(limit))]


def maybe_alert(connection: Connection, scope: Scope, alert_id: str) -> AlertRow | None:
    """Return one alert, None if there is none that the scope sees."""
    row = connection.execute(_visible(connection, scope, few=True).where(alerts.c.alert_id == alert_id)).first()
    return None if row is None else _row(row)


def find_alert(connection: Connection, scope: Scope, alert_id: str) -> AlertRow:
    """Return one alert. Raise `NotFoundError`, also for one that the scope does not see."""
    found = maybe_alert(connection, scope, alert_id)
    if found is None:
        raise NotFoundError("there is no such alert", **as_of(connection, None, None).members)
    return found


def risk_of(connection: Connection, scope: Scope, subject: str) -> dict[str, int]:
    """Return how many alerts a subject has, by typology: the summary in a profile."""
    if scope.jurisdictions is None:
        found = connection.execute(_RISK, {"of_subject": subject})
    else:
        inner = _visible(connection, scope).where(alerts.c.subject == subject, ~alerts.c.withdrawn).subquery()
        found = connection.execute(_by_typology(inner.c.typology))
    return {str(row[0]): int(row[1]) for row in found}


def _by_typology(typology: sa.ColumnElement[str]) -> Any:
    return sa.select(typology, sa.func.count()).group_by(typology).order_by(typology)


_RISK: Final = _by_typology(alerts.c.typology).where(
    alerts.c.subject == sa.bindparam("of_subject"), ~alerts.c.withdrawn
)


def count_alerts(connection: Connection, scope: Scope, wanted: AlertFilter) -> dict[str, int]:
    """Return how many alerts match, by typology."""
    inner = _matching(_visible(connection, scope), wanted).where(alerts.c.withdrawn == wanted.withdrawn).subquery()
    query = sa.select(inner.c.typology, sa.func.count()).group_by(inner.c.typology).order_by(inner.c.typology)
    return {str(typology): int(count) for typology, count in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class RulesState:
    """How far the rules have read: facts up to `seq`, with a label version; `incomplete` says what a cold run would
    add, empty if nothing."""

    seq: int
    label_version: int
    changed: int
    incomplete: str


def rules_state(connection: Connection) -> RulesState:
    row = connection.execute(sa.select(state).where(state.c.id == 1)).first()
    return (
        RulesState(0, 0, 0, "")
        if row is None
        else RulesState(row.seq, row.label_version, row.changed_seq, row.incomplete)
    )


def _matching(query: sa.Select[Any], wanted: AlertFilter) -> sa.Select[Any]:
    for column, value in (
        (alerts.c.typology, wanted.typology),
        (alerts.c.rule, wanted.rule),
        (alerts.c.subject, wanted.subject),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since_s is not None:
        query = query.where(alerts.c.last_s >= wanted.since_s)
    return query if wanted.until_s is None else query.where(alerts.c.last_s < wanted.until_s)


def _visible(connection: Connection, scope: Scope, few: bool = False) -> sa.Select[Any]:
    """The alerts that the scope sees. `few`: for a key that few alerts have, as `knowledge.tables.belongs`."""
    query = sa.select(alerts, case_alerts.c.case_id).outerjoin(case_alerts, case_alerts.c.alert_id == alerts.c.alert_id)
    if scope.jurisdictions is None:
        return query
    _, known_ns = knowledge.latest(connection)
    if few:
        return query.where(_belongs(scope.jurisdictions, known_ns))
    accounts = subjects_in(scope.jurisdictions, known_ns)
    named = sa.select(tags.c.entity).where(
        known_at(tags, known_ns), tags.c.entity.is_not(None), tags.c.subject.in_(accounts)
    )
    records = sa.select(entities.c.id).where(
        known_at(entities, known_ns), entities.c.jurisdiction.in_(sorted(scope.jurisdictions))
    )
    return query.where(
        sa.or_(alerts.c.subject.in_(accounts), alerts.c.subject.in_(named), alerts.c.subject.in_(records))
    )


def _belongs(jurisdictions: frozenset[str], known_ns: int) -> sa.ColumnElement[bool]:
    named = sa.select(sa.literal(1)).where(
        tags.c.entity == alerts.c.subject, known_at(tags, known_ns), belongs(tags.c.subject, jurisdictions, known_ns)
    )
    record = sa.select(sa.literal(1)).where(
        entities.c.id == alerts.c.subject,
        known_at(entities, known_ns),
        entities.c.jurisdiction.in_(sorted(jurisdictions)),
    )
    return sa.or_(belongs(alerts.c.subject, jurisdictions, known_ns), named.exists(), record.exists())


def _row(row: Any) -> AlertRow:
    return AlertRow(
        alert_of(row), row.typology, bool(row.withdrawn), row.label_version, row.changed_seq, row.found_ns, row.case_id
    )
