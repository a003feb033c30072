"""GraphSense TagPacks: YAML with fields that hold for all tags, and a list `tags` whose entries may say otherwise.

The form is that of the GraphSense TagPack schema; `abuse: sanction` counts as the category `sanctioned`, and an
`actor` is the entity. The file is read event by event, so that neither depth nor aliases can make it large.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from core.model.errors import RejectedError
from regulator_api.knowledge.formats.reading import ListFile, Reader, day_s
from regulator_api.knowledge.tags import MAX_SOURCE_CHARS, SANCTIONED

CONFIDENCES: Final[Mapping[str, int]] = {
    "override": 100,
    "ownership": 100,
    "ledger_immanent": 100,
    "manual_transaction": 90,
    "service_api": 70,
    "forensic_investigation": 70,
    "authority_data": 60,
    "trusted_provider": 50,
    "service_data": 50,
    "forensic": 50,
    "untrusted_transaction": 40,
    "web_crawl": 20,
    "heuristic": 10,
    "unknown": 5,
}
"""The levels of GraphSense's taxonomy of confidences (graphsense-tagpack-tool)."""
DEFAULT_CONFIDENCE: Final = "unknown"
MAX_DEPTH: Final = 4
OTHER: Final = "other"
_REQUIRED: Final = ("address", "currency", "label", "source")


@dataclass(slots=True)
class _Fields:
    """A mapping with the line that it begins in. Values that are not scalars are left out, but for `tags`."""

    line: int
    values: dict[str, str] = field(default_factory=dict)


class _UnreadableError(Exception):
    def __init__(self, line: int, detail: str) -> None:
        super().__init__(detail)
        self.line = line
        self.detail = detail


def read(file: ListFile, reader: Reader) -> None:
    """Enter every tag of one pack, or faults."""
    try:
        header, tags = _document(file.content)
    except _UnreadableError as error:
        reader.fault(file, error.line, error.detail)
        return
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        reader.fault(file, line, f"is not YAML: {error.problem}")
        return
    except (yaml.YAMLError, UnicodeDecodeError):
        reader.fault(file, 1, "is not YAML in UTF-8")
        return
    if not tags:
        reader.fault(file, 1, "has no tags")
    for tag in tags:
        _enter(file, tag.line, {**header.values, **tag.values}, reader)


def _enter(file: ListFile, line: int, tag: Mapping[str, str], reader: Reader) -> None:
    missing = [name for name in _REQUIRED if not tag.get(name)]
    if missing:
        reader.fault(file, line, f"the tag has no {missing[0]}, and neither has the pack")
        return
    confidence = CONFIDENCES.get(tag.get("confidence", DEFAULT_CONFIDENCE))
    if confidence is None:
        reader.fault(file, line, f"unknown confidence {tag['confidence'][:32]!a}: one of {', '.join(CONFIDENCES)}")
        return
    try:
        begins = day_s(tag["lastmod"][:10]) if "lastmod" in tag else None
    except RejectedError as error:
        reader.fault(file, line, error.message)
        return
    abuse = SANCTIONED if tag.get("abuse") in ("sanction", "sanctions") else tag.get("abuse")
    stated = [one for one in (tag.get("category"), abuse) if one]
    for category in dict.fromkeys(
        [*stated, *([reader.settings.category] if reader.settings.category else [])] or [OTHER]
    ):
        reader.entry(
            file,
            line,
            currency=tag["currency"],
            address=tag["address"],
            label=tag["label"],
            category=category,
            source=tag["source"][:MAX_SOURCE_CHARS],
            confidence=confidence,
            valid_from_s=begins,
            entity=tag.get("actor"),
        )


def _document(content: bytes) -> tuple[_Fields, list[_Fields]]:
    """Return the pack's own fields and its tags'. Raise `_UnreadableError`, and what PyYAML raises."""
    events = _events(content)
    first = next(events, None)
    if not isinstance(first, yaml.MappingStartEvent):
        line = 1 if first is None else first.start_mark.line + 1
        raise _UnreadableError(line, "a TagPack is a mapping with a list of tags")
    tags: list[_Fields] = []
    header = _mapping(first, events, tags)
    if isinstance(next(events, None), yaml.Event):
        raise _UnreadableError(1, "there is more than one document in the file")
    return header, tags


def _events(content: bytes) -> Iterator[Any]:
    """The events of the content, without those of streams and documents; depth is bounded, aliases are refused."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _UnreadableError(event.start_mark.line + 1, "aliases are not part of a TagPack: write the value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _UnreadableError(event.start_mark.line + 1, "is nested too deeply for a TagPack")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        yield event


def _mapping(start: Any, events: Iterator[Any], tags: list[_Fields] | None) -> _Fields:
    """Read a mapping up to its end; `tags` takes the entries of its list of that name."""
    fields = _Fields(start.start_mark.line + 1)
    for key in events:
        if isinstance(key, yaml.MappingEndEvent):
            break
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarEvent):
            raise _UnreadableError(line, "the name of a field is text")
        value = next(events)
        if isinstance(value, yaml.ScalarEvent):
            if key.value in fields.values:
                raise _UnreadableError(line, f"{key.value[:32]!a} is there twice")
            fields.values[key.value] = value.value.strip()  # some packs have spaces behind an address
        elif key.value == "tags" and tags is not None:
            _tags(value, events, tags)
        else:
            _pass_over(events)
    return fields


def _tags(start: Any, events: Iterator[Any], tags: list[_Fields]) -> None:
    if not isinstance(start, yaml.SequenceStartEvent):
        raise _UnreadableError(start.start_mark.line + 1, "tags is a list")
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            return
        if not isinstance(event, yaml.MappingStartEvent):
            raise _UnreadableError(event.start_mark.line + 1, "a tag is a mapping with an address")
        tags.append(_mapping(event, events, None))


def _pass_over(events: Iterator[Any]) -> None:
    depth = 1
    while depth:
        event = next(events)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
