"""Secrets that a configuration names and does not hold: `${NAME}` from the environment, `file:PATH` from a file.

Only members that carry a provider's key or a database's password take them. What was put in is hidden in every
sentence about faults.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from core.model.errors import FatalError
from core.runtime.files import read_small
from gateway.config.faults import Faults

MEMBERS: Final = frozenset({"database", "url", "ws"})
"""The members that take secrets, wherever they stand."""
MAX_BYTES: Final = 4_096
FILE: Final = "file:"
_VARIABLE: Final = re.compile(r"\$\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def put_in(
    table: dict[str, Any], base: Path, faults: Faults, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return the table with its secrets in it. What cannot be found goes to `faults` and stays as it was written."""
    made: dict[str, Any] = _walked(table, "", base, faults, environment)
    return made


def _walked(value: Any, place: str, base: Path, faults: Faults, environment: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_walked(one, f"{place}[{number}]", base, faults, environment) for number, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, member in value.items():
        here = f"{place}.{name}" if place else name
        if name in MEMBERS and isinstance(member, str):
            made[name] = _secret(member, here, base, faults, environment)
        else:
            made[name] = _walked(member, here, base, faults, environment)
    return made


def _secret(text: str, place: str, base: Path, faults: Faults, environment: Mapping[str, str]) -> str:
    if text.startswith(FILE):
        return _of_file(text, place, base, faults)
    made, end = "", 0
    for found in _VARIABLE.finditer(text):
        name = found[1]
        held = environment.get(name, "") if _NAME.fullmatch(name) else ""
        if not held:
            faults.add(place, f"the environment variable {name[:80]!r} is not set: set it, or write the value")
            return text
        if len(held) > MAX_BYTES:
            faults.add(place, f"the environment variable {name} has more than {MAX_BYTES} characters")
            return text
        faults.hide(held, found[0])
        made, end = made + text[end : found.start()] + held, found.end()
    return made + text[end:]


def _of_file(text: str, place: str, base: Path, faults: Faults) -> str:
    path = base / text.removeprefix(FILE)
    try:
        held = read_small(path, MAX_BYTES, "the secret's file").decode().partition("\n")[0].strip()
    except FatalError as error:
        faults.add(place, error.message)
        return text
    except UnicodeDecodeError:
        faults.add(place, f"the file {path} is not UTF-8")
        return text
    if not held:
        faults.add(place, f"the first line of {path} is empty: write the value into it")
        return text
    faults.hide(held, text)
    return held
