"""Digital-currency addresses of the OFAC SDN list as JSON: one array for each asset, whose name the file carries.

`sanctioned_addresses_ETH.json` is `["0x…", …]`, as public extracts of the list publish it; they have no dates. An
entry may also be an object with `address` and, if known, `designated` and `delisted` (days), `entity`, `name` and
`jurisdiction`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from core.model.errors import RejectedError
from regulator_api.knowledge.formats.reading import ListFile, Reader, day_s
from regulator_api.knowledge.tags import SANCTIONED

SOURCE: Final = "OFAC SDN"
LABEL: Final = "OFAC SDN list"
CONFIDENCE: Final = 100
_NAME: Final = re.compile(r"(?:.*[_-])?([A-Za-z0-9]{2,8})\.json")
_MEMBERS: Final = frozenset({"address", "designated", "delisted", "entity", "name", "jurisdiction"})
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def read(file: ListFile, reader: Reader) -> None:
    """Enter every address of one file, or faults."""
    named = _NAME.fullmatch(file.name)
    if named is None:
        reader.fault(file, 1, "the file's name does not end with an asset, such as sanctioned_addresses_ETH.json")
        return
    try:
        text = file.content.decode()
    except UnicodeDecodeError as error:
        reader.fault(file, file.content.count(b"\n", 0, error.start) + 1, "is not UTF-8 text")
        return
    try:
        for line, entry in _entries(text):
            _enter(file, line, named[1], entry, reader)
    except json.JSONDecodeError as error:
        reader.fault(file, error.lineno, f"is not a JSON array: {error.msg}")
    except RecursionError:
        reader.fault(file, 1, "is nested too deeply")


def _entries(text: str) -> Iterator[tuple[int, Any]]:
    """Each member of the array with its line. Raise `JSONDecodeError`."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    at, line, counted = _skip(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise json.JSONDecodeError("it does not begin with [", text, at)
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        entry, at = decoder.raw_decode(text, at)
        yield line, entry
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
            if text[at : at + 1] == "]":
                raise json.JSONDecodeError("a comma before the end", text, at)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("expected a comma or ]", text, at)
    behind = _skip(text, at + 1)
    if behind != len(text):
        raise json.JSONDecodeError("something follows the array", text, behind)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _enter(file: ListFile, line: int, asset: str, entry: Any, reader: Reader) -> None:
    given = {"address": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or "address" not in given or not set(given) <= _MEMBERS:
        reader.fault(file, line, f"an entry is an address, or an object of {', '.join(sorted(_MEMBERS))}")
        return
    if not all(isinstance(value, str) for value in given.values()):
        reader.fault(file, line, "the members of an entry are text")
        return
    try:
        begins, ends = (None if name not in given else day_s(given[name]) for name in ("designated", "delisted"))
    except RejectedError as error:
        reader.fault(file, line, error.message)
        return
    reader.entry(
        file,
        line,
        currency=asset,
        address=given["address"].strip(),
        label=given.get("name", LABEL),
        category=SANCTIONED,
        source=SOURCE,
        confidence=CONFIDENCE,
        valid_from_s=begins,
        valid_to_s=ends,
        entity=given.get("entity"),
        jurisdiction=given.get("jurisdiction"),
    )
