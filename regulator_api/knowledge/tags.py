"""Tags and entities, and what was known of them at one moment: pure.

Two times belong to a tag. It is *valid* from one moment of the world to another: an address is designated on a day
and delisted on another. And we *know* it from one moment to another: a list that was imported on Tuesday changes
nothing in what was known on Monday. An answer as of a label version reads what was known then.

Accounts belong together only if a tag of each names the same entity. Nothing here guesses it.
"""

import re
from collections.abc import Iterable, KeysView, Mapping
from dataclasses import dataclass
from typing import Final

from core.model.errors import RejectedError
from core.model.identifiers import parse_account
from core.model.types import AccountId

SANCTIONED: Final = "sanctioned"
MIXER: Final = "mixing_service"
EXCHANGE: Final = "exchange"
SERVICES: Final = frozenset(
    {
        EXCHANGE,
        MIXER,
        "hosted_wallet",
        "payment_processor",
        "custodian",
        "broker",
        "marketplace",
        "gambling",
        "defi",
        "defi_bridge",
        "defi_dex",
        "defi_lending",
        "miner",
        "pool",
        "vasp",
    }
)
"""Categories of accounts that pool the value of many people: a trace stops there, since their outflow is not the
inflow of one. The words are those of the INTERPOL Dark Web and Virtual Assets Taxonomy, which TagPacks use."""

MAX_LABEL_CHARS: Final = 256
MAX_SOURCE_CHARS: Final = 512
MAX_WORD_CHARS: Final = 64
MAX_TIME_S: Final = 2**40 - 1
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_JURISDICTION: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Statement:
    """A source's word about an account. `parsed_statement` makes one out of text.

    `label` is for people, `category` for rules. `confidence` is 0 to 100. Valid from `valid_from_s` to just before
    `valid_to_s` (None: without end), Unix seconds. `jurisdiction` is an ISO 3166 code, `entity` the id of who stands
    behind the account.
    """

    subject: AccountId
    label: str
    category: str
    source: str
    confidence: int
    valid_from_s: int
    valid_to_s: int | None = None
    jurisdiction: str | None = None
    entity: str | None = None

    @property
    def key(self) -> tuple[AccountId, str, str]:
        """The members that make it the same statement in another version of its list."""
        return self.subject, self.category, self.label

    def valid_at(self, at_s: int) -> bool:
        return self.valid_from_s <= at_s and (self.valid_to_s is None or at_s < self.valid_to_s)


@dataclass(frozen=True, slots=True)
class Tag(Statement):
    """A statement with its lineage. `source_list` and `source_version` name the import that it came with, `number` its
    place there; it was known from `known_from_ns` to just before `known_to_ns` (None: it still is), Unix
    nanoseconds."""

    source_list: str = ""
    source_version: int = 0
    number: int = 0
    known_from_ns: int = 0
    known_to_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """Who stands behind accounts. `jurisdiction` is an ISO 3166 code, `lei` a legal entity identifier (ISO 17442)."""

    id: str
    name: str
    jurisdiction: str | None = None
    lei: str | None = None


class Labels:
    """The tags and entities that were known at `known_ns`, label version `version`. Immutable."""

    def __init__(self, tags: Iterable[Tag] = (), entities: Iterable[Entity] = (), version: int = 0, known_ns: int = 0):
        self.version = version
        self.known_ns = known_ns
        by_subject: dict[AccountId, list[Tag]] = {}
        for tag in tags:
            by_subject.setdefault(tag.subject, []).append(tag)
        self._tags: dict[AccountId, tuple[Tag, ...]] = {
            subject: tuple(sorted(found, key=_certain_first)) for subject, found in by_subject.items()
        }
        self._entities: Mapping[str, Entity] = {entity.id: entity for entity in entities}
        self._entity_of: dict[AccountId, str] = {}
        members: dict[str, list[AccountId]] = {}
        for subject in sorted(self._tags):
            entity = next((tag.entity for tag in self._tags[subject] if tag.entity is not None), None)
            if entity is not None:
                self._entity_of[subject] = entity
                members.setdefault(entity, []).append(subject)
        self._members: Mapping[str, tuple[AccountId, ...]] = {name: tuple(found) for name, found in members.items()}

    def only(self, jurisdictions: frozenset[str]) -> "Labels":
        """The same of the accounts that belong to one of these jurisdictions: of the others nothing is known."""
        mine = [account for account in self._tags if self.jurisdictions(account) & jurisdictions]
        tags = [tag for account in mine for tag in self._tags[account]]
        named = {tag.entity for tag in tags}
        entities = [record for name, record in self._entities.items() if name in named]
        return Labels(tags, entities, self.version, self.known_ns)

    def subjects(self) -> KeysView[AccountId]:
        """Every account that a tag is about."""
        return self._tags.keys()

    def all_tags(self, account: AccountId) -> tuple[Tag, ...]:
        """The account's tags, whenever they are valid, the most certain first."""
        return self._tags.get(account, ())

    def tags(self, account: AccountId, at_s: int) -> tuple[Tag, ...]:
        """The account's tags that are valid at `at_s`, the most certain first."""
        return tuple(tag for tag in self._tags.get(account, ()) if tag.valid_at(at_s))

    def categories(self, account: AccountId, at_s: int) -> frozenset[str]:
        """The categories of the account's tags that are valid at `at_s`."""
        return frozenset(tag.category for tag in self._tags.get(account, ()) if tag.valid_at(at_s))

    def entity_of(self, account: AccountId) -> str | None:
        """The entity that the account's most certain tag with an entity names, None if none does."""
        return self._entity_of.get(account)

    def entity(self, entity_id: str) -> Entity | None:
        """The entity's own record, None if nobody gave one."""
        return self._entities.get(entity_id)

    def accounts_of(self, entity_id: str) -> tuple[AccountId, ...]:
        """The accounts whose entity this is, in the order of their ids."""
        return self._members.get(entity_id, ())

    def jurisdictions(self, account: AccountId) -> frozenset[str]:
        """The account's jurisdictions, by its tags and the records of the entities that they name."""
        found = {tag.jurisdiction for tag in self._tags.get(account, ())}
        for tag in self._tags.get(account, ()):
            record = None if tag.entity is None else self._entities.get(tag.entity)
            found.add(None if record is None else record.jurisdiction)
        return frozenset(one for one in found if one is not None)


def _certain_first(tag: Tag) -> tuple[int, int, str, str, str]:
    return -tag.confidence, -tag.known_from_ns, tag.category, tag.label, tag.source_list


def parsed_statement(
    *,
    subject: str,
    label: str,
    category: str,
    source: str,
    confidence: int,
    valid_from_s: int,
    valid_to_s: int | None = None,
    jurisdiction: str | None = None,
    entity: str | None = None,
) -> Statement:
    """Make a statement out of untrusted values. Raise `RejectedError` for a value that is not in its form."""
    if not 0 <= confidence <= 100:
        raise RejectedError(f"a confidence is a number from 0 to 100, not {confidence}")
    for name, time_s in (("valid_from", valid_from_s), ("valid_to", valid_to_s)):
        if time_s is not None and not 0 <= time_s <= MAX_TIME_S:
            raise RejectedError(f"{name} is not a number of Unix seconds from 0 to {MAX_TIME_S}: {time_s}")
    if valid_to_s is not None and valid_to_s <= valid_from_s:
        raise RejectedError(f"the statement ends at {valid_to_s}, not after it begins at {valid_from_s}")
    return Statement(
        subject=parse_account(subject),
        label=parsed_text(label, "a label", MAX_LABEL_CHARS),
        category=parsed_word(category, "a category"),
        source=parsed_text(source, "a source", MAX_SOURCE_CHARS),
        confidence=confidence,
        valid_from_s=valid_from_s,
        valid_to_s=valid_to_s,
        jurisdiction=None if jurisdiction is None else parsed_jurisdiction(jurisdiction),
        entity=None if entity is None else parsed_word(entity, "an entity id"),
    )


def parsed_text(text: str, what: str, most: int) -> str:
    """Text for people. Raise `RejectedError` if it is empty, longer than `most` or not printable."""
    if not 0 < len(text.strip()) <= len(text) <= most or not text.isprintable():
        raise RejectedError(f"{what} is 1 to {most} printable characters, not {text[:MAX_WORD_CHARS]!a}")
    return text.strip()


def parsed_word(text: str, what: str) -> str:
    """A word for programs. Raise `RejectedError` for anything but lower-case letters, digits, `_`, `.` and `-`."""
    if _WORD.fullmatch(text) is None:
        raise RejectedError(
            f"{what} is 1 to {MAX_WORD_CHARS} lower-case letters, digits, '_', '.' and '-', not "
            f"{text[:MAX_WORD_CHARS]!a}"
        )
    return text


def parsed_jurisdiction(text: str) -> str:
    """A code of ISO 3166-1 alpha-2 or ISO 3166-2, or EU. Raise `RejectedError` for anything of another form."""
    if _JURISDICTION.fullmatch(text) is None:
        raise RejectedError(f"a jurisdiction is an ISO 3166 code such as CH or US-NY, not {text[:16]!a}")
    return text
