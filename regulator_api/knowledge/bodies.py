"""Questions about tags, entities and lists, and the answers as they leave."""

from typing import Annotated, Literal

import msgspec

from core.runtime.web import PageQuery
from regulator_api.knowledge.tags import MAX_LABEL_CHARS, MAX_SOURCE_CHARS, MAX_TIME_S
from regulator_api.requests import Identifier

Word = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$", description="A word for programs.")]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL_CHARS, description="Printable text.")]
Source = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE_CHARS, description="Who says so.")]
Jurisdiction = Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}(-[A-Z0-9]{1,3})?$", description="An ISO 3166 code.")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_S, description="Unix seconds.")]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**62, description="A label version.")]
Confidence = Annotated[int, msgspec.Meta(ge=0, le=100, description="From 0 to 100.")]


class ListsQuery(PageQuery, frozen=True, kw_only=True):
    list: Word | None = None


class ChangesQuery(PageQuery, frozen=True, kw_only=True):
    pass


class TagsQuery(PageQuery, frozen=True, kw_only=True):
    """`at_s`: only tags that are valid then. `version`: as it was known then, the newest without it."""

    account: Identifier | None = None
    category: Word | None = None
    entity: Word | None = None
    list: Word | None = None
    at_s: Seconds | None = None
    version: Version | None = None


class EntitiesQuery(PageQuery, frozen=True, kw_only=True):
    version: Version | None = None


class EntityQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Version | None = None


class TagBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement of this supervision. One with the same account, category and label replaces it; give `valid_to_s` to
    end it."""

    account: Identifier
    label: Label
    category: Word
    source: Source
    confidence: Confidence
    valid_from_s: Seconds
    valid_to_s: Seconds | None = None
    jurisdiction: Jurisdiction | None = None
    entity: Word | None = None


class EntityBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record of an entity from now on. `lei`: a legal entity identifier, ISO 17442."""

    id: Word
    name: Label
    jurisdiction: Jurisdiction | None = None
    lei: Annotated[str, msgspec.Meta(pattern="^[A-Z0-9]{18}[0-9]{2}$")] | None = None


class ListVersionView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of what is known. `kind`: a format, `own` or `entity`. `sha256` is that of the files or of the body."""

    version: int
    known_ns: str
    list: str
    kind: str
    published_s: int
    sha256: str
    who: str
    entries: int
    added: int
    changed: int
    removed: int


class ListsPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ListVersionView]
    next: str | None


class TagView(msgspec.Struct, frozen=True, kw_only=True):
    """`known_to_ns` is null while it is known as it is; so is `valid_to_s` while it has no end."""

    account: str
    label: str
    category: str
    source: str
    confidence: int
    valid_from_s: int
    valid_to_s: int | None
    jurisdiction: str | None
    entity: str | None
    list: str
    version: int
    known_from_ns: str
    known_to_ns: str | None


class TagsPage(msgspec.Struct, frozen=True, kw_only=True):
    """`label_version` is the version that the answer is as of."""

    items: list[TagView]
    next: str | None
    label_version: int


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """`replaced`: known before this version, and not since. `stated`: known since. A delisting is both: the tag without
    an end is replaced by the same one with an end."""

    change: Literal["stated", "replaced"]
    tag: TagView


class ChangesPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ChangeView]
    next: str | None


class EntityView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    jurisdiction: str | None
    lei: str | None


class EntitiesPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[EntityView]
    next: str | None
    label_version: int


class EntityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`entity` is null if tags name it and nobody gave a record. `accounts` are the first 200 that tags name it for;
    `/v1/tags?entity=` lists all."""

    id: str
    entity: EntityView | None
    accounts: list[str]
    label_version: int
