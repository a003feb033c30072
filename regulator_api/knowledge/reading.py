"""Tags and entities as a caller may see them: rows out of the caller's jurisdictions are not there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AccountId
from core.runtime.web import after
from regulator_api.access.scope import Scope
from regulator_api.knowledge import store, tables
from regulator_api.knowledge.tags import Entity, Tag

_NAMES_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class TagFilter:
    """The rows that are wanted; None stands for any value. `at_s`: valid then."""

    account: AccountId | None = None
    category: str | None = None
    entity: str | None = None
    list: str | None = None
    at_s: int | None = None


def known_moment(connection: Connection, version: int | None) -> tuple[int, int]:
    """Return (version, moment) of a label version, the newest for None. Raise `NotFoundError`."""
    if version is None:
        return store.latest(connection)
    return version, store.moment_of(connection, version)


def read_tags(
    connection: Connection,
    scope: Scope,
    wanted: TagFilter,
    known_ns: int,
    limit: int,
    behind: Sequence[Any] | None = None,
) -> list[Tag]:
    """Return the tags that were known at a moment, by account, category, label, list, version and number."""
    table = tables.tags
    order = (table.c.subject, table.c.category, table.c.label, table.c.list, table.c.version, table.c.number)
    query = sa.select(table).where(tables.known_at(table, known_ns), after(order, behind))
    few = wanted.account is not None or wanted.entity is not None
    query = query.where(_belongs(scope, known_ns) if few else _seen(scope, known_ns))
    for column, value in (
        (table.c.subject, wanted.account),
        (table.c.category, wanted.category),
        (table.c.entity, wanted.entity),
        (table.c.list, wanted.list),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.at_s is not None:
        ends = sa.or_(table.c.valid_to_s.is_(None), table.c.valid_to_s > wanted.at_s)
        query = query.where(table.c.valid_from_s <= wanted.at_s, ends)
    return [store.tag_of(row) for row in connection.execute(query.order_by(*order).limit(limit))]


def tag_key(tag: Tag) -> tuple[str, str, str, str, int, int]:
    """The place of a tag in `read_tags`."""
    return tag.subject, tag.category, tag.label, tag.source_list, tag.source_version, tag.number


def read_changes(
    connection: Connection, scope: Scope, version: int, limit: int, behind: Sequence[Any] | None = None
) -> list[tuple[Literal["stated", "replaced"], Tag]]:
    """As `store.differences`, of accounts that the scope sees."""
    return store.differences(connection, version, limit, behind, _seen(scope, store.moment_of(connection, version)))


def read_entities(
    connection: Connection, scope: Scope, known_ns: int, limit: int, behind: str | None = None
) -> list[Entity]:
    """Return the records of entities that were known at a moment, by id."""
    table = tables.entities
    query = sa.select(table).where(tables.known_at(table, known_ns)).order_by(table.c.id).limit(limit)
    if scope.jurisdictions is not None:
        query = query.where(table.c.jurisdiction.in_(sorted(scope.jurisdictions)))
    if behind is not None:
        query = query.where(table.c.id > behind)
    return [store.entity_of(row) for row in connection.execute(query)]


def read_entity(connection: Connection, scope: Scope, known_ns: int, entity: str) -> Entity | None:
    """Return one record as the scope sees it, None if there is none for it."""
    table = tables.entities
    query = sa.select(table).where(tables.known_at(table, known_ns), table.c.id == entity)
    if scope.jurisdictions is not None:
        query = query.where(table.c.jurisdiction.in_(sorted(scope.jurisdictions)))
    row = connection.execute(query).first()
    return None if row is None else store.entity_of(row)


def read_accounts(connection: Connection, scope: Scope, known_ns: int, entity: str, limit: int) -> list[str]:
    """Return the accounts that a tag names the entity for, by id."""
    table = tables.tags
    query = (
        sa.select(table.c.subject)
        .where(tables.known_at(table, known_ns), table.c.entity == entity, _belongs(scope, known_ns))
        .distinct()
        .order_by(table.c.subject)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def seen_among(connection: Connection, scope: Scope, accounts: Iterable[AccountId]) -> frozenset[str] | None:
    """Return those of the accounts that the scope sees as of the newest labels, None for all of them."""
    if scope.jurisdictions is None:
        return None
    known_ns, tag = store.latest(connection)[1], tables.tags.c
    wanted, found = sorted(accounts), set[str]()
    for at in range(0, len(wanted), _NAMES_AT_ONCE):
        # Whoever belongs somewhere has a tag.
        query = sa.select(tag.subject).where(tag.subject.in_(wanted[at : at + _NAMES_AT_ONCE])).distinct()
        query = query.where(tables.belongs(tag.subject, scope.jurisdictions, known_ns))
        found.update(connection.execute(query).scalars())
    return frozenset(found)


def _seen(scope: Scope, known_ns: int) -> sa.ColumnElement[bool]:
    if scope.jurisdictions is None:
        return sa.true()
    return tables.tags.c.subject.in_(tables.subjects_in(scope.jurisdictions, known_ns))


def _belongs(scope: Scope, known_ns: int) -> sa.ColumnElement[bool]:
    """As `_seen`, for tags that a key picks out."""
    if scope.jurisdictions is None:
        return sa.true()
    return tables.belongs(tables.tags.c.subject, scope.jurisdictions, known_ns)
