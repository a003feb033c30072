"""Label versions: what is known changes in one step at a time, and everything that was known before stays readable.

A version is written by an import of a whole list, or by one statement that a person adds or withdraws; the latter are
in the list `own`. A statement that a list no longer contains was delisted: from then on we know that it ended when the
list was published. With `corrects` it never was true.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.runtime.clock import NS_PER_S
from core.runtime.inserts import insert_if_absent
from core.runtime.web import pages
from regulator_api.knowledge import tables
from regulator_api.knowledge.tags import (
    MAX_LABEL_CHARS,
    Entity,
    Labels,
    Statement,
    Tag,
    parsed_jurisdiction,
    parsed_text,
    parsed_word,
)

OWN_LIST: Final = "own"
"""The list of what people of this supervision have stated themselves."""
MAX_OWN: Final = 100_000
_LEI_CHARS: Final = 20
_INSERT_ROWS: Final = 500
_HEAD: Final = sa.select(tables.label_head)


@dataclass(frozen=True, slots=True)
class ListVersion:
    """One step of what is known. `kind` is a format of `regulator_api.knowledge.formats`, `own` or `entity`; `who` made
    it. `added`, `changed` and `removed` count statements against the version before."""

    version: int
    known_ns: int
    list: str
    kind: str
    published_s: int
    sha256: bytes
    who: str
    entries: int
    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True)
class ListDiff:
    """The statements in which one version of a list differs from the one before. `changed` is as they became, `former`
    as they were."""

    added: tuple[Statement, ...]
    changed: tuple[Statement, ...]
    former: tuple[Tag, ...]
    removed: tuple[Tag, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def latest(connection: Connection) -> tuple[int, int]:
    """Return the newest label version and the moment from which on it is known; (0, 0) before there is one."""
    row = connection.execute(_HEAD).first()
    return (0, 0) if row is None else (row.version, row.known_ns)


def moment_of(connection: Connection, version: int) -> int:
    """Return the moment from which on a label version is known. Raise `NotFoundError` for one that is not there."""
    if version == 0:
        return 0
    row = connection.execute(
        sa.select(tables.label_versions.c.known_ns).where(tables.label_versions.c.version == version)
    ).first()
    if row is None:
        raise NotFoundError(f"there is no label version {version}: /v1/lists shows the newest", version=version)
    return int(row.known_ns)


def load_labels(connection: Connection, version: int | None = None) -> Labels:
    """Everything that is known as of a label version, the newest without one. Raise `NotFoundError`."""
    number, known_ns = latest(connection)
    if version is not None:
        number, known_ns = version, moment_of(connection, version)
    known = sa.select(tables.tags).where(tables.known_at(tables.tags, known_ns))
    named = sa.select(tables.entities).where(tables.known_at(tables.entities, known_ns))
    return Labels(map(tag_of, connection.execute(known)), map(entity_of, connection.execute(named)), number, known_ns)


class LabelStore:
    """Remembers the newest labels, as long as they are the newest; to be asked in the reader's transaction."""

    def __init__(self) -> None:
        self._newest = Labels()

    def at(self, connection: Connection, version: int | None = None) -> Labels:
        """As `load_labels`."""
        newest = latest(connection)[0]
        if version is not None and version != newest:
            return load_labels(connection, version)
        if self._newest.version != newest:
            self._newest = load_labels(connection)
        return self._newest


def diff_list(connection: Connection, name: str, statements: Iterable[Statement], corrects: bool = False) -> ListDiff:
    """Return what an import of these statements would change in the list as it is known now.

    An entry keeps the beginning that it has if the list gives a later one: lists without dates of their own begin
    everything when they are published. With `corrects` the list's word counts.
    """
    present: dict[tuple[str, str, str], Tag] = {}
    for tag in _present(connection, name):
        if tag.key not in present or present[tag.key].valid_from_s < tag.valid_from_s:
            present[tag.key] = tag  # of several periods the last
    added, changed, replaced, wanted = [], [], [], set()
    for statement in statements:
        wanted.add(statement.key)
        former = present.get(statement.key)
        if former is None or _begins_again(former, statement):
            added.append(statement)
            continue
        if not corrects:
            statement = replace(statement, valid_from_s=min(statement.valid_from_s, former.valid_from_s))
        if not _says_the_same(former, statement):
            changed.append(statement)
            replaced.append(former)
    gone = [tag for key, tag in present.items() if key not in wanted and tag.valid_to_s is None]
    return ListDiff(tuple(added), tuple(changed), tuple(replaced), tuple(gone))


def import_list(
    connection: Connection,
    name: str,
    kind: str,
    statements: Sequence[Statement],
    *,
    sha256: bytes,
    published_s: int,
    who: str,
    now_ns: int,
    corrects: bool = False,
    shrinks: bool = False,
) -> tuple[ListVersion, ListDiff]:
    """Make `statements` the list's newest version, and return it with what changed.

    Raise `ConflictError` if a later version or one of another kind was imported before, or if more than half of the
    list would be gone and `shrinks` does not say that this is right; `RejectedError` for a name of our own.
    """
    parsed_word(name, "a list's name")
    if name == OWN_LIST:
        raise RejectedError(f"the list {OWN_LIST} has what was stated here: import under another name")
    version, known_ns = _next(connection, now_ns)
    newest = list_versions(connection, 1, name=name)
    if newest and newest[0].published_s > published_s:
        raise ConflictError(
            f"a version of {name} that was published later is known already: nothing was taken",
            published_s=newest[0].published_s,
        )
    if newest and newest[0].kind != kind:
        raise ConflictError(f"{name} is a list of the kind {newest[0].kind}: import this one under another name")
    diff = diff_list(connection, name, statements, corrects)
    if 2 * len(diff.removed) > len(diff.removed) + len(statements) - len(diff.added) and not shrinks:
        raise ConflictError(
            f"{len(diff.removed)} entries of {name}, more than half, are not in it any more: is it the whole list? "
            "Nothing was taken",
            removed=len(diff.removed),
        )
    _forget(connection, (*diff.former, *diff.removed), known_ns)
    ended = [] if corrects else [_ended(tag, published_s) for tag in diff.removed]
    _insert(connection, name, version, known_ns, [*diff.added, *diff.changed, *ended])
    made = ListVersion(
        version=version,
        known_ns=known_ns,
        list=name,
        kind=kind,
        published_s=published_s,
        sha256=sha256,
        who=who,
        entries=len(statements),
        added=len(diff.added),
        changed=len(diff.changed),
        removed=len(diff.removed),
    )
    _record(connection, made)
    return made, diff


def state_own(connection: Connection, statement: Statement, *, sha256: bytes, who: str, now_ns: int) -> ListVersion:
    """Add a statement of our own, or replace the one of the same key. Raise `RejectedError` if there are too many."""
    version, known_ns = _next(connection, now_ns)
    count = connection.execute(
        sa.select(sa.func.count()).where(tables.tags.c.list == OWN_LIST, tables.tags.c.known_to_ns.is_(None))
    ).scalar_one()
    if count >= MAX_OWN:
        raise RejectedError(f"{MAX_OWN} statements of our own are known already: import them as a list")
    former = [tag for tag in _present(connection, OWN_LIST, statement.subject) if tag.key == statement.key]
    _forget(connection, former, known_ns)
    _insert(connection, OWN_LIST, version, known_ns, [statement])
    made = ListVersion(
        version=version,
        known_ns=known_ns,
        list=OWN_LIST,
        kind="own",
        published_s=known_ns // NS_PER_S,
        sha256=sha256,
        who=who,
        entries=count + 1 - len(former),
        added=0 if former else 1,
        changed=1 if former else 0,
        removed=0,
    )
    _record(connection, made)
    return made


def state_entity(connection: Connection, entity: Entity, *, sha256: bytes, who: str, now_ns: int) -> ListVersion:
    """Make this the record of an entity from now on."""
    version, known_ns = _next(connection, now_ns)
    table = tables.entities
    replaced = connection.execute(
        sa.update(table).where(table.c.id == entity.id, table.c.known_to_ns.is_(None)).values(known_to_ns=known_ns)
    ).rowcount
    connection.execute(
        sa.insert(table).values(
            id=entity.id,
            version=version,
            name=entity.name,
            jurisdiction=entity.jurisdiction,
            lei=entity.lei,
            known_from_ns=known_ns,
        )
    )
    made = ListVersion(
        version=version,
        known_ns=known_ns,
        list=entity.id,
        kind="entity",
        published_s=known_ns // NS_PER_S,
        sha256=sha256,
        who=who,
        entries=1,
        added=1 - replaced,
        changed=replaced,
        removed=0,
    )
    _record(connection, made)
    return made


def parsed_entity(id: str, name: str, jurisdiction: str | None = None, lei: str | None = None) -> Entity:
    """Make an entity's record out of untrusted text. Raise `RejectedError`."""
    if lei is not None and not is_lei(lei):
        raise RejectedError(f"{lei[:32]!a} is not a legal entity identifier: 20 letters and digits (ISO 17442)")
    return Entity(
        parsed_word(id, "an entity id"),
        parsed_text(name, "a name", MAX_LABEL_CHARS),
        None if jurisdiction is None else parsed_jurisdiction(jurisdiction),
        lei,
    )


def differences(
    connection: Connection,
    version: int,
    limit: int,
    after: Sequence[str | int] | None = None,
    seen: sa.ColumnElement[bool] | None = None,
) -> list[tuple[Literal["stated", "replaced"], Tag]]:
    """Return what a version changed, at most `limit`: (`stated`, a tag that is known since) or (`replaced`, a tag that
    was known before and is not any more). `after` is the `change_key` of the last one of the page before, `seen` says
    which rows there are for the caller."""
    known_ns = moment_of(connection, version)
    table = tables.tags
    order = (table.c.subject, table.c.category, table.c.label, table.c.version, table.c.number)
    query = (
        sa.select(table)
        .where(sa.or_(table.c.known_from_ns == known_ns, table.c.known_to_ns == known_ns))
        .where(pages.after(order, after), sa.true() if seen is None else seen)
        .order_by(*order)
        .limit(limit)
    )
    return [
        ("stated" if row.known_from_ns == known_ns else "replaced", tag_of(row)) for row in connection.execute(query)
    ]


def change_key(tag: Tag) -> tuple[str, str, str, int, int]:
    """The place of a tag among the differences of a version."""
    return tag.subject, tag.category, tag.label, tag.source_version, tag.number


def list_versions(
    connection: Connection, limit: int, before: int | None = None, name: str | None = None
) -> list[ListVersion]:
    """The label versions, newest first, at most `limit`; `before` is the number of the last one of the page before."""
    table = tables.label_versions
    query = sa.select(table).order_by(table.c.version.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.version < before)
    if name is not None:
        query = query.where(table.c.list == name)
    return [ListVersion(**row._mapping) for row in connection.execute(query)]


def _next(connection: Connection, now_ns: int) -> tuple[int, int]:
    """Take the next version's number and moment; nobody else can until this transaction ends."""
    insert_if_absent(connection, tables.label_head, id=1, version=0, known_ns=0)
    head = connection.execute(sa.select(tables.label_head).with_for_update()).one()
    version, known_ns = head.version + 1, max(now_ns, head.known_ns + 1)
    connection.execute(sa.update(tables.label_head).values(version=version, known_ns=known_ns))
    return version, known_ns


def _record(connection: Connection, made: ListVersion) -> None:
    values = {name: getattr(made, name) for name in ListVersion.__dataclass_fields__}
    connection.execute(sa.insert(tables.label_versions).values(**values))


def _present(connection: Connection, name: str, subject: str | None = None) -> list[Tag]:
    table = tables.tags
    query = sa.select(table).where(table.c.list == name, table.c.known_to_ns.is_(None))
    if subject is not None:
        query = query.where(table.c.subject == subject)
    return [tag_of(row) for row in connection.execute(query)]


def _forget(connection: Connection, tags: Iterable[Tag], known_ns: int) -> None:
    """Let statements be known no more as they are."""
    table = tables.tags
    rows = [{"list_": tag.source_list, "version_": tag.source_version, "number_": tag.number} for tag in tags]
    if rows:
        connection.execute(
            sa.update(table)
            .where(
                table.c.list == sa.bindparam("list_"),
                table.c.version == sa.bindparam("version_"),
                table.c.number == sa.bindparam("number_"),
            )
            .values(known_to_ns=known_ns),
            rows,
        )


def _insert(connection: Connection, name: str, version: int, known_ns: int, statements: Sequence[Statement]) -> None:
    rows = [
        {
            "list": name,
            "version": version,
            "number": number,
            "known_from_ns": known_ns,
            **{member: getattr(statement, member) for member in Statement.__dataclass_fields__},
        }
        for number, statement in enumerate(statements, 1)
    ]
    for at in range(0, len(rows), _INSERT_ROWS):
        connection.execute(sa.insert(tables.tags), rows[at : at + _INSERT_ROWS])


def _ended(tag: Tag, published_s: int) -> Statement:
    """The statement as it is known now: true until the list was published without it."""
    members = {name: getattr(tag, name) for name in Statement.__dataclass_fields__}
    return replace(Statement(**members), valid_to_s=max(published_s, tag.valid_from_s + 1))


def _begins_again(former: Tag, statement: Statement) -> bool:
    """An entry that was delisted and is listed again: both periods stay."""
    return (
        former.valid_to_s is not None and statement.valid_to_s is None and statement.valid_from_s >= former.valid_to_s
    )


def _says_the_same(former: Tag, statement: Statement) -> bool:
    return all(getattr(former, name) == getattr(statement, name) for name in Statement.__dataclass_fields__)


def tag_of(row: Any) -> Tag:
    """The tag in a row of `regulator_tags`."""
    members = {name: getattr(row, name) for name in Statement.__dataclass_fields__}
    return Tag(
        **members,
        source_list=row.list,
        source_version=row.version,
        number=row.number,
        known_from_ns=row.known_from_ns,
        known_to_ns=row.known_to_ns,
    )


def entity_of(row: Any) -> Entity:
    """The record in a row of `regulator_entities`."""
    return Entity(row.id, row.name, row.jurisdiction, row.lei)


def is_lei(text: str) -> bool:
    """ISO 17442: 18 letters and digits and two check digits, modulo 97 (ISO 7064, MOD 97-10)."""
    if len(text) != _LEI_CHARS or not (text.isascii() and text.isalnum() and text == text.upper()):
        return False
    return int("".join(str(int(letter, 36)) for letter in text)) % 97 == 1
