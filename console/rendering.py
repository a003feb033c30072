"""Templates, and how amounts, identifiers and times are written for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
SIGNS: Final = {"thousandths": "‰"}
"""Units of the supervision API that have a sign of their own."""
ABBREVIATED: Final = frozenset({"pm", "tenths", "days", "h", "s"})
"""Last parts of the names of a rule's parameters and figures that say nothing but the unit."""
GLANCE: Final = 6
LONG_WORD_CHARS: Final = 24
GROUPED_DIGITS: Final = 4
UNIX_DIGITS: Final = 10
SHORT_CHARS: Final = 22
"""Longer identifiers are cut in their middle; the whole text can be copied."""


def environment(version: str) -> Environment:
    """The templates with our filters; everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        amount=amount,
        units=units,
        coins=coins,
        short=short,
        copied=copied,
        when=when,
        moment=moment,
        path=path_part,
        words=words,
        sentence=sentence,
        iso=iso,
        parameter=parameter,
        value=value,
        span=span,
        aging=aging,
        ending=ending,
    )
    made.globals["version"] = version
    return made


def units(base_units: str | int, decimals: int | None) -> str:
    """The amount in the asset's own unit, exactly, with thin spaces between thousands."""
    value = int(base_units)
    if decimals is None:
        return _grouped(str(value))
    sign, digits = "−" if value < 0 else "", str(abs(value)).rjust(decimals + 1, "0")
    whole, rest = (digits[:-decimals], digits[-decimals:].rstrip("0")) if decimals else (digits, "")
    return f"{sign}{_grouped(whole)}{'.' + rest if rest else ''}"


def amount(view: dict[str, Any]) -> Markup:
    """An `AmountView`: number and symbol, with base units and the asset's id to point at."""
    known = view.get("decimals") is not None
    symbol = str(view.get("symbol") or "").upper() if known else "base units"
    title = f"{view['base_units']} base units of {view['asset']}"
    text = units(view["base_units"], view.get("decimals"))
    return Markup('<span class="amount" title="{}">{} <small>{}</small></span>').format(title, text, symbol)


def coins(base_units: str | int, of: Mapping[str, Any]) -> Markup:
    """An amount of an asset whose `symbol` and `decimals` are known, or None, with its unit, for a glance: cut after
    `GLANCE` decimal places, or of a smaller amount after as many digits. The base units to point at."""
    text, unit = _in_unit(base_units, of)
    whole, point, rest = text.partition(".")
    kept = max(GLANCE, len(rest) - len(rest.lstrip("0")) + 4) if whole.lstrip("−") == "0" else GLANCE
    text = whole + point + rest[:kept] + ("…" if rest[kept:] else "")
    return Markup('<span class="amount" title="{} base units">{} <small>{}</small></span>').format(
        base_units, text, unit
    )


def plain(base_units: str | int, of: Mapping[str, Any]) -> str:
    """As `coins`, as text."""
    return " ".join(_in_unit(base_units, of))


def _in_unit(base_units: str | int, of: Mapping[str, Any]) -> tuple[str, str]:
    if of.get("decimals") is None or not of.get("symbol"):
        return units(base_units, None), "base units"
    return units(base_units, of["decimals"]), str(of["symbol"]).upper()


def short(text: str | None, chars: int = SHORT_CHARS) -> str:
    """An identifier that fits a column: its two ends."""
    whole = str(text or "")
    if len(whole) <= chars:
        return whole
    head, tail = (chars - 1) * 3 // 5, (chars - 1) * 2 // 5
    return f"{whole[:head]}…{whole[-tail:]}"


def copied(text: str | None, href: str | None = None, chars: int = SHORT_CHARS) -> Markup:
    """An identifier, shortened, with a button that copies all of it; a link if `href` is given."""
    if not text:
        return Markup('<span class="none">none</span>')
    shown = Markup('<span class="id" title="{}">{}</span>').format(text, short(text, chars))
    if href is not None:
        shown = Markup('<a href="{}">{}</a>').format(href, shown)
    button = Markup('<button type="button" class="copy" data-copy="{0}" aria-label="Copy {0}"></button>')
    return shown + button.format(text)


def when(seconds: float | None) -> Markup:
    """A time in UTC; the page's script adds the reader's own."""
    if seconds is None:
        return Markup('<span class="none">never</span>')
    try:
        made = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return Markup('<span class="none">beyond the calendar</span>')
    day, clock = made.strftime("%Y-%m-%d"), made.strftime("%H:%M:%S")
    return Markup('<time datetime="{}">{} {} <small>UTC</small></time>').format(made.isoformat(), day, clock)


def moment(seconds: str) -> Markup:
    """As `when`, of a page's own query, in which anything may stand."""
    fits = seconds.isascii() and seconds.isdecimal() and len(seconds) <= 12
    return when(int(seconds)) if fits else Markup("{}").format(seconds)


def span(seconds: float | None) -> str:
    """A duration in the largest unit that fits it twice."""
    if seconds is None:
        return "unknown"
    left, sign = abs(int(seconds)), "−" if seconds < 0 else ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if left >= 2 * size:
            return f"{sign}{left // size} {unit}"
    return f"{sign}{left} s"


def aging(seconds: float | None) -> Markup:
    """A duration since something, which the page's script counts on."""
    return _counted("age", seconds)


def ending(seconds: float | None) -> Markup:
    """A duration until something, which the page's script counts down."""
    return _counted("left", seconds)


def _counted(way: str, seconds: float | None) -> Markup:
    if seconds is None:
        return Markup("unknown")
    return Markup('<span data-{}="{}">{}</span>').format(way, int(seconds), span(seconds))


def words(code: str) -> str:
    """A machine's word for people: `initiator-locked` as "initiator locked"."""
    return code.replace("-", " ").replace("_", " ")


def sentence(text: str) -> Markup:
    """A program's sentence about a chain: long identifiers are cut in their middle, amounts are in groups, Unix times
    are times."""
    parts = []
    for word in text.split(" "):
        if len(word) > LONG_WORD_CHARS:
            parts.append(Markup('<span class="id" title="{}">{}</span>').format(word, short(word, LONG_WORD_CHARS)))
        elif parts and parts[-1] == "until" and word.isascii() and word.isdecimal() and len(word) == UNIX_DIGITS:
            parts.append(when(int(word)))
        elif word.isascii() and word.isdecimal() and len(word) > GROUPED_DIGITS:
            parts.append(Markup("{}").format(_grouped(word)))
        else:
            parts.append(Markup("{}").format(word))
    return Markup(" ").join(parts)


def iso(text: str) -> Markup:
    """A time in ISO 8601, as `when` has it."""
    try:
        return when(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return Markup("{}").format(text)


def parameter(name: str, units: Mapping[str, str]) -> str:
    """A parameter's or a figure's name for people, with its unit if it has one in `units`: `near_pm` as "near (‰)"."""
    unit = units.get(name)
    if unit is None:
        return words(name)
    kept, _, last = name.rpartition("_")
    return f"{words(kept if kept and last in ABBREVIATED else name)} ({SIGNS.get(unit, unit)})"


def value(found: Any) -> Markup:
    """A parameter or a figure of a rule: numbers in groups, lists as words, nothing as a word, too."""
    if found is None or found in ([], {}):
        return Markup('<span class="none">none</span>')
    if isinstance(found, bool):
        return Markup("yes" if found else "no")
    if isinstance(found, int):
        return Markup("{}").format(units(found, None))
    if isinstance(found, list | tuple):
        return Markup(", ").join(Markup("{}").format(words(str(one))) for one in found)
    return Markup("{}").format(found)


def path_part(text: str) -> str:
    return quote(text, safe="")


def _grouped(digits: str) -> str:
    return f"{int(digits):,}".replace(",", "\u202f")
