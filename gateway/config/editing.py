"""Changes to a configuration's own text that leave everything else in it as it is: comments, order, spelling.

Both spellings of a list of tables are known: `[[accounts]]` blocks, and an array with one inline table on each line.
What was changed is read again, and has to be exactly what was wanted.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import tomli_w

from core.model.errors import RejectedError

_HEADER: Final = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(#.*)?")
_NONE_RETIRE: Final = re.compile(r"retiring\s*=\s*\[\s*\]\s*(#.*)?")
_INLINE: Final = re.compile(r"(\s*)(\{.*\})\s*(,?)\s*(#.*)?")
Table = Mapping[str, Any]


def rotated(text: str, number: int, successor: Table) -> str:
    """Return the configuration with `successor` in the place of the account of this number, which goes to `retiring`.

    Raise `RejectedError` for a text that is written in a way that is not known here: its owner edits it by hand.
    """
    table = tomllib.loads(text)
    former = table["accounts"][number]
    wanted = {**table, "accounts": [*table["accounts"]], "retiring": [*table.get("retiring", ()), former]}
    wanted["accounts"][number] = dict(successor)
    lines = [line for line in text.splitlines() if not _NONE_RETIRE.fullmatch(line)]
    if (block := _block(lines, "accounts", number)) is not None:
        start, end = block
        moved = [
            line.replace("accounts", "retiring", 1) if _HEADER.fullmatch(line) else line for line in lines[start:end]
        ]
        made = [*lines[:start], *_as_block("accounts", successor), *moved, *lines[end:]]
    elif (row := _row(lines, "accounts", number)) is not None:
        made = _with_row(lines, row, successor, former, bool(table.get("retiring")))
    else:
        made = []
    return _checked(made, wanted, former, successor)


def without_retiring(text: str, number: int) -> str:
    """Return the configuration without the former account of this number. Raise as `rotated`."""
    table = tomllib.loads(text)
    kept = [one for place, one in enumerate(table["retiring"]) if place != number]
    lines = text.splitlines()
    if (block := _block(lines, "retiring", number)) is not None:
        made = [*lines[: block[0]], *lines[block[1] :]]
    elif (row := _row(lines, "retiring", number)) is not None:
        made = [*lines[:row], *lines[row + 1 :]]
    else:
        made = []
    return _checked(made, {**table, "retiring": kept}, None, None)


def _checked(lines: Sequence[str], wanted: Table, former: Table | None, successor: Table | None) -> str:
    text = "\n".join(lines) + "\n"
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = {}
    if lines and _in_any_order(found) == _in_any_order(wanted):
        return text
    if former is None or successor is None:
        raise RejectedError("[[retiring]] is written in a way that is not known here: take the account out by hand")
    by_hand = [*_as_block("accounts", successor), *_as_block("retiring", former)]
    raise RejectedError(
        "[[accounts]] is written in a way that is not known here: change it by hand, so that it says\n"
        + "\n".join(by_hand)
    )


def _in_any_order(table: Table) -> Table:
    """The order of former accounts says nothing."""
    return {**table, "retiring": sorted(map(repr, table.get("retiring", ())))}


def _block(lines: Sequence[str], name: str, number: int) -> tuple[int, int] | None:
    """Return the first line of the block of this number, and the line behind it; None if there is none."""
    headers = {at: found[1] for at, line in enumerate(lines) if (found := _HEADER.fullmatch(line))}
    starts = [at for at, called in headers.items() if called == name and lines[at].lstrip().startswith("[[")]
    if not number < len(starts):
        return None
    start = starts[number]
    others = (at for at, called in headers.items() if at > start and not called.startswith(f"{name}."))
    inside = range(start, next(others, len(lines)))
    # A comment before the next block is about that one.
    last = max(at for at in inside if lines[at].strip() and not lines[at].lstrip().startswith("#"))
    return start, last + 1


def _row(lines: Sequence[str], name: str, number: int) -> int | None:
    """Return the line of this element of an array with one inline table on each line, None if it is not one."""
    start = next((at for at, line in enumerate(lines) if re.fullmatch(rf"{name}\s*=\s*\[\s*", line)), None)
    if start is None:
        return None
    rows = []
    for at in range(start + 1, len(lines)):
        if lines[at].strip() == "]":
            break
        if _INLINE.fullmatch(lines[at]):
            rows.append(at)
    return rows[number] if number < len(rows) else None


def _with_row(lines: Sequence[str], row: int, successor: Table, former: Table, more: bool) -> list[str]:
    made = list(lines)
    found = _INLINE.fullmatch(made[row])
    indent = found[1] if found is not None else "    "
    made[row] = f"{indent}{_inline(successor)},"
    moved = f"{indent}{_inline(former)},"
    if more:
        opening = next((at for at, line in enumerate(made) if re.fullmatch(r"retiring\s*=\s*\[\s*", line)), None)
        if opening is None:
            return []
        closing = next(at for at in range(opening, len(made)) if made[at].strip() == "]")
        return [*made[:closing], moved, *made[closing:]]
    closing = next(at for at in range(row, len(made)) if made[at].strip() == "]")
    return [*made[: closing + 1], "retiring = [", moved, "]", *made[closing + 1 :]]


def _inline(table: Table) -> str:
    """Return an inline table (TOML 1.0) of texts, integers, and lists of such tables."""
    return "{ " + ", ".join(f"{name} = {_value(value)}" for name, value in table.items()) + " }"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _inline(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()


def _as_block(name: str, table: Table) -> list[str]:
    return [f"[[{name}]]", *(f"{member} = {_value(value)}" for member, value in table.items()), ""]
