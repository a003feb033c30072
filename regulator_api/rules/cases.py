"""Cases: investigations with their notes, alerts and evidence, in an order that nobody changes afterwards.

Two people close a case. Every entry's hash covers the one before, so that an export shows if anything was left out.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.runtime.web import after
from regulator_api.access.scope import Scope
from regulator_api.rules.tables import case_alerts, case_entries, cases

ENTRY_PREFIX: Final = b"causeway case entry v1\0"
MAX_ENTRIES: Final = 10_000
KEPT_ENTRIES: Final = 100
"""The last entries of a case: for its end, so that a full case can be closed."""
MAX_CASE_BYTES: Final = 64 << 20
"""All entries of a case leave together, as one document."""
MAX_ALERTS: Final = 1_000
MAX_ATTACHMENT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """A case. `status`: open, closing (one person has proposed to close it), closed."""

    case_id: str
    title: str
    status: str
    assignee: str | None
    opened_by: str
    opened_ns: int
    closing_by: str | None
    closed_by: str | None
    closed_ns: int | None
    outcome: str | None
    jurisdiction: str | None
    entries: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened to a case. `kind`: opened, note, assigned, alert, evidence, closing, closed, reopened."""

    number: int
    kind: str
    who: str
    time_ns: int
    body: Mapping[str, Any]
    sha256: bytes


def open_case(
    connection: Connection,
    scope: Scope,
    *,
    title: str,
    jurisdiction: str | None,
    assignee: str | None,
    who: str,
    now_ns: int,
) -> Case:
    """Open a case. Raise `RejectedError` for a jurisdiction that the caller does not see."""
    if scope.jurisdictions is not None and jurisdiction not in scope.jurisdictions:
        raise RejectedError(f"name one of your jurisdictions: {', '.join(sorted(scope.jurisdictions))}")
    case_id = secrets.token_hex(16)
    connection.execute(
        sa.insert(cases).values(
            case_id=case_id,
            title=title,
            status="open",
            assignee=assignee,
            opened_by=who,
            opened_ns=now_ns,
            jurisdiction=jurisdiction,
            entries=0,
        )
    )
    case = find_case(connection, scope, case_id)
    return add_entry(connection, case, "opened", who, now_ns, {"title": title, "assignee": assignee})


def find_case(connection: Connection, scope: Scope, case_id: str) -> Case:
    """Return a case, and hold it until the transaction ends. Raise `NotFoundError`."""
    query = _visible(scope).where(cases.c.case_id == case_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise NotFoundError("there is no such case")
    return Case(**row._mapping)


def read_case(connection: Connection, scope: Scope, case_id: str) -> Case:
    """Return a case. Raise `NotFoundError`, also for one that the scope does not see."""
    row = connection.execute(_visible(scope).where(cases.c.case_id == case_id)).first()
    if row is None:
        raise NotFoundError("there is no such case")
    return Case(**row._mapping)


def list_cases(
    connection: Connection,
    scope: Scope,
    status: str | None,
    assignee: str | None,
    limit: int,
    behind: Sequence[Any] | None = None,
) -> list[Case]:
    """Return cases, newest first, at most `limit`; `behind` is (opened_ns, id) of the last one of the page before."""
    order = (cases.c.opened_ns, cases.c.case_id)
    query = _visible(scope).where(after(order, behind, descending=True))
    if status is not None:
        query = query.where(cases.c.status == status)
    if assignee is not None:
        query = query.where(cases.c.assignee == assignee)
    query = query.order_by(*(column.desc() for column in order)).limit(limit)
    return [Case(**row._mapping) for row in connection.execute(query)]


class CaseSums(NamedTuple):
    """How many cases were opened and closed, and the outcomes of those that were closed."""

    opened: int
    closed: int
    outcomes: dict[str, int]


def count_cases(connection: Connection, scope: Scope, since_ns: int, before_ns: int) -> CaseSums:
    """Count the cases that were opened and closed from `since_ns` on and before `before_ns`, as they stand now."""
    seen = _visible(scope).subquery()

    def within(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return sa.and_(column >= since_ns, column < before_ns)

    opened = sa.select(sa.func.count()).select_from(seen).where(within(seen.c.opened_ns))
    closed = (
        sa.select(seen.c.outcome, sa.func.count())
        .where(seen.c.status == "closed", within(seen.c.closed_ns))
        .group_by(seen.c.outcome)
        .order_by(seen.c.outcome)
    )
    outcomes = {str(outcome): int(count) for outcome, count in connection.execute(closed)}
    return CaseSums(int(connection.execute(opened).scalar_one()), sum(outcomes.values()), outcomes)


def entries_of(connection: Connection, case_id: str) -> list[Entry]:
    """Return everything that happened to a case, in order. Raise `RejectedError` if an entry was changed."""
    query = sa.select(case_entries).where(case_entries.c.case_id == case_id).order_by(case_entries.c.number)
    found, before = [], bytes(32)
    for row in connection.execute(query):
        entry = Entry(row.number, row.kind, row.who, row.time_ns, msgspec.json.decode(row.body), bytes(row.sha256))
        before = entry_hash(case_id, entry.number, entry.kind, entry.who, entry.time_ns, bytes(row.body), before)
        if before != entry.sha256:
            raise RejectedError(f"entry {entry.number} of case {case_id} was changed in the database")
        found.append(entry)
    return found


def entry_hash(case_id: str, number: int, kind: str, who: str, time_ns: int, body: bytes, before: bytes) -> bytes:
    """SHA-256 over a prefix, the hash of the entry before and this one as a MessagePack array."""
    fields = msgspec.msgpack.encode([case_id, number, kind, who, time_ns, body])
    return hashlib.sha256(ENTRY_PREFIX + before + fields).digest()


def add_entry(
    connection: Connection, case: Case, kind: str, who: str, now_ns: int, body: Mapping[str, Any], **changes: Any
) -> Case:
    """Append an entry, and change the case. Raise `ConflictError` for one that is closed, `RejectedError` if full."""
    if case.status == "closed" and kind != "reopened":
        raise ConflictError("the case is closed: reopen it first")
    ends = kind in ("closing", "closed", "reopened")
    most = MAX_ENTRIES if ends else MAX_ENTRIES - KEPT_ENTRIES
    if case.entries >= most:
        raise RejectedError(f"the case has {case.entries} entries, at most {most} are possible: open another")
    raw, number = msgspec.json.encode(body, order="sorted"), case.entries + 1
    if len(raw) > MAX_ATTACHMENT_BYTES:
        raise RejectedError(f"an attachment has at most {MAX_ATTACHMENT_BYTES} bytes, not {len(raw)}")
    size = sa.select(sa.func.sum(sa.func.length(case_entries.c.body))).where(case_entries.c.case_id == case.case_id)
    if not ends and (connection.execute(size).scalar() or 0) + len(raw) > MAX_CASE_BYTES:
        raise RejectedError(f"the entries of a case have at most {MAX_CASE_BYTES} bytes together: open another")
    last = sa.select(case_entries.c.sha256).where(
        case_entries.c.case_id == case.case_id, case_entries.c.number == case.entries
    )
    before = connection.execute(last).scalar()
    digest = entry_hash(case.case_id, number, kind, who, now_ns, raw, bytes(32) if before is None else bytes(before))
    connection.execute(
        sa.insert(case_entries).values(
            case_id=case.case_id, number=number, kind=kind, who=who, time_ns=now_ns, body=raw, sha256=digest
        )
    )
    changes["entries"] = number
    connection.execute(sa.update(cases).where(cases.c.case_id == case.case_id).values(changes))
    row = connection.execute(sa.select(cases).where(cases.c.case_id == case.case_id)).one()
    return Case(**row._mapping)


def attach_alert(connection: Connection, case: Case, alert_id: str, bundle: Any, who: str, now_ns: int) -> Case:
    """Attach an alert with its bundle. Raise `ConflictError` if it belongs to a case already."""
    had = connection.execute(sa.select(case_alerts.c.case_id).where(case_alerts.c.alert_id == alert_id)).scalar()
    if had is not None:
        raise ConflictError("the alert belongs to a case already", alert=alert_id)
    if len(alerts_of(connection, case.case_id)) >= MAX_ALERTS:
        raise RejectedError(f"a case has at most {MAX_ALERTS} alerts")
    connection.execute(sa.insert(case_alerts).values(alert_id=alert_id, case_id=case.case_id))
    return add_entry(connection, case, "alert", who, now_ns, {"alert": alert_id, "bundle": bundle})


def alerts_of(connection: Connection, case_id: str) -> list[str]:
    query = sa.select(case_alerts.c.alert_id).where(case_alerts.c.case_id == case_id).order_by(case_alerts.c.alert_id)
    return list(connection.execute(query).scalars())


def close_case(connection: Connection, case: Case, outcome: str, reason: str, who: str, now_ns: int) -> Case:
    """Propose to close a case, or close one that somebody else proposed to close with the same outcome.

    Raise `RejectedError` for the same person, `ConflictError` for another outcome.
    """
    body = {"outcome": outcome, "reason": reason}
    if case.status == "open":
        return add_entry(
            connection, case, "closing", who, now_ns, body, status="closing", closing_by=who, outcome=outcome
        )
    if case.status == "closing" and case.closing_by == who:
        raise RejectedError("another person than the one who proposed it closes a case")
    if case.status == "closing" and case.outcome != outcome:
        raise ConflictError(f"the proposed outcome is {case.outcome}: agree on one, or reopen the case")
    return add_entry(connection, case, "closed", who, now_ns, body, status="closed", closed_by=who, closed_ns=now_ns)


def reopen_case(connection: Connection, case: Case, reason: str, who: str, now_ns: int) -> Case:
    """Take back a proposal to close, or open a closed case again. Raise `ConflictError` if it is open."""
    if case.status == "open":
        raise ConflictError("the case is open already")
    return add_entry(
        connection, case, "reopened", who, now_ns, {"reason": reason}, status="open", closing_by=None, closed_by=None,
        closed_ns=None, outcome=None,
    )  # fmt: skip


def _visible(scope: Scope) -> sa.Select[Any]:
    query = sa.select(cases)
    if scope.jurisdictions is not None:
        query = query.where(cases.c.jurisdiction.in_(sorted(scope.jurisdictions)))
    return query
