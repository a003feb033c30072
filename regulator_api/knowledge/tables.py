"""The tables of tags and entities. Rows are never changed but for the moment at which they stop being known."""

from typing import Any, Final

import sqlalchemy as sa

from core.runtime.columns import Bytes32
from core.runtime.database import METADATA
from regulator_api.knowledge.tags import MAX_LABEL_CHARS, MAX_SOURCE_CHARS, MAX_WORD_CHARS

label_head = sa.Table(
    "regulator_label_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("known_ns", sa.BigInteger, nullable=False),
)
"""One row, held by whoever writes until the commit: label versions have one order."""

label_versions = sa.Table(
    "regulator_label_versions",
    METADATA,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("known_ns", sa.BigInteger, nullable=False),
    sa.Column("list", sa.String(MAX_WORD_CHARS), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("published_s", sa.BigInteger, nullable=False),
    sa.Column("sha256", Bytes32, nullable=False),
    sa.Column("who", sa.String(256), nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("added", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("removed", sa.BigInteger, nullable=False),
)
sa.Index("ix_regulator_label_versions_list", label_versions.c.list, label_versions.c.version)

tags = sa.Table(
    "regulator_tags",
    METADATA,
    sa.Column("list", sa.String(MAX_WORD_CHARS), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("label", sa.String(MAX_LABEL_CHARS), nullable=False),
    sa.Column("category", sa.String(MAX_WORD_CHARS), nullable=False),
    sa.Column("source", sa.String(MAX_SOURCE_CHARS), nullable=False),
    sa.Column("confidence", sa.Integer, nullable=False),
    sa.Column("valid_from_s", sa.BigInteger, nullable=False),
    sa.Column("valid_to_s", sa.BigInteger),
    sa.Column("jurisdiction", sa.String(8)),
    sa.Column("entity", sa.String(MAX_WORD_CHARS)),
    sa.Column("known_from_ns", sa.BigInteger, nullable=False),
    sa.Column("known_to_ns", sa.BigInteger),
)
sa.Index("ix_regulator_tags_subject", tags.c.subject)
sa.Index("ix_regulator_tags_entity", tags.c.entity)
sa.Index("ix_regulator_tags_jurisdiction", tags.c.jurisdiction, tags.c.subject)

entities = sa.Table(
    "regulator_entities",
    METADATA,
    sa.Column("id", sa.String(MAX_WORD_CHARS), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(MAX_LABEL_CHARS), nullable=False),
    sa.Column("jurisdiction", sa.String(8)),
    sa.Column("lei", sa.String(20)),
    sa.Column("known_from_ns", sa.BigInteger, nullable=False),
    sa.Column("known_to_ns", sa.BigInteger),
)
sa.Index("ix_regulator_entities_jurisdiction", entities.c.jurisdiction)

TABLES: Final = (label_head, label_versions, tags, entities)


def known_at(table: sa.FromClause, known_ns: int) -> sa.ColumnElement[bool]:
    """The rows of `tags` or `entities` that were known at this moment."""
    until = table.c.known_to_ns
    return sa.and_(table.c.known_from_ns <= known_ns, sa.or_(until.is_(None), until > known_ns))


def subjects_in(jurisdictions: frozenset[str], known_ns: int) -> sa.CompoundSelect[Any]:
    """The accounts that belong to one of these jurisdictions, by a tag's word or by that of the entity it names."""
    wanted = sorted(jurisdictions)
    by_tag = sa.select(tags.c.subject).where(known_at(tags, known_ns), tags.c.jurisdiction.in_(wanted))
    by_entity = (
        sa.select(tags.c.subject)
        .join(entities, entities.c.id == tags.c.entity)
        .where(known_at(tags, known_ns), known_at(entities, known_ns), entities.c.jurisdiction.in_(wanted))
    )
    return sa.union(by_tag, by_entity)


_TAG, _NAMED, _RECORD = tags.alias("its_tag"), tags.alias("its_name"), entities.alias("its_record")


def belongs(account: Any, jurisdictions: frozenset[str], known_ns: int) -> sa.ColumnElement[bool]:
    """The condition that this account (a column, or a value) is one of `subjects_in`.

    For rows that a key picks out: it costs a look-up for each of them, however many accounts the jurisdictions have, so
    that a row which is not shown takes no longer than one which is not there. `subjects_in` is worked out once, for
    queries that walk over many rows.
    """
    wanted = sorted(jurisdictions)
    by_tag = sa.select(sa.literal(1)).where(
        _TAG.c.subject == account, known_at(_TAG, known_ns), _TAG.c.jurisdiction.in_(wanted)
    )
    by_entity = (
        sa.select(sa.literal(1))
        .select_from(_NAMED.join(_RECORD, _RECORD.c.id == _NAMED.c.entity))
        .where(_NAMED.c.subject == account, known_at(_NAMED, known_ns))
        .where(known_at(_RECORD, known_ns), _RECORD.c.jurisdiction.in_(wanted))
    )
    return sa.or_(by_tag.exists(), by_entity.exists())
