"""Members of a configuration that are unknown, missing or of another type: all of them, with their places.

`msgspec.convert` stops at the first.
"""

import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from gateway.config.faults import Faults, choices, shown

MAX_ITEMS: Final = 1_000
"""Tables or values in one list."""
MAX_BITS: Final = 512
"""Amounts have 256; a number in hex can be longer than Python writes out."""
MAX_CHARS: Final = 4_096
_LONG: Final = frozenset({"abi"})
"""Members that may be longer than `MAX_CHARS`."""


def check_structure(
    raw: Mapping[str, Any], kind: type[msgspec.Struct], faults: Faults, place: str = "", others: Collection[str] = ()
) -> None:
    """Hold a table against the struct that it is to become. `others` are members that are passed over."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in raw:
        if name not in fields and name not in others:
            faults.add(f"{place}{name[:64]}", f"unknown member: {choices(name, fields)}")
    for name, field in fields.items():
        if name in raw:
            _check_value(raw[name], field.type, faults, f"{place}{name}", empty=field.default == "", long=name in _LONG)
        elif field.required:
            faults.add(f"{place}{name}", "is missing: add it")


def _check_value(value: Any, kind: Any, faults: Faults, place: str, empty: bool = False, long: bool = False) -> None:
    struct, many = _struct_of(kind)
    if struct is None:
        _check_plain(value, kind, faults, place, empty, long)
    elif many and isinstance(value, list) and all(isinstance(one, dict) for one in value):
        if len(value) > MAX_ITEMS:
            faults.add(place, f"has {len(value)} entries: at most {MAX_ITEMS}")
        for number, one in enumerate(value[:MAX_ITEMS]):
            check_structure(one, struct, faults, f"{place}[{number}].")
    elif not many and isinstance(value, dict):
        check_structure(value, struct, faults, f"{place}.")
    else:
        name = place.rpartition(".")[2]
        faults.add(place, f"is not a table: write {f'[[{name}]]' if many else f'[{name}]'} and its members below it")


def _struct_of(kind: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The struct that a member holds, and if it holds many."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, False
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        found = [_struct_of(one) for one in inner]
        return next((one for one in found if one[0] is not None), (None, False))
    if origin is tuple and inner:
        return _struct_of(inner[0])[0], True
    return None, False


def _check_plain(value: Any, kind: Any, faults: Faults, place: str, empty: bool, long: bool) -> None:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        faults.add(place, f"is a number of {value.bit_length()} bits: no setting takes more than {MAX_BITS}")
        return
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        faults.add(place, f"{error}".partition(" - at")[0].lower())
        return
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, float) and not math.isfinite(one):
            faults.add(place, f"{one} is not a finite number")
        if isinstance(one, str):
            _check_text(one, faults, place, empty, long)


def _check_text(text: str, faults: Faults, place: str, empty: bool, long: bool) -> None:
    if not text.strip() and not empty:
        faults.add(place, "is empty: write a value, or leave it out if it may be missing")
    elif text != text.strip() and not long:
        faults.add(place, f"{shown(text)} has spaces around it: remove them")
    if "${" in text and not long:
        faults.add(place, f"{shown(text)}: variables are put into database, url and ws only; write the value")
    if len(text) > MAX_CHARS and not long:
        faults.add(place, f"has {len(text)} characters: at most {MAX_CHARS}")
    if not long and any(ord(character) < 32 or ord(character) == 127 for character in text):
        faults.add(place, f"{shown(text)} has control characters in it: remove them")
