"""CometBFT's event query language, for subscriptions and searches (CometBFT `libs/pubsub/query`, `query/syntax`).

    tm.event = 'Tx' AND bank.transfer.amount > 100 AND htlc.lock.hashlock EXISTS

Operands are texts, numbers without a sign, `DATE 2026-01-31` and `TIME 2026-01-31T00:00:00Z`. A search compares them in
its own way (`rpc.search`); `matches` is a subscription's, in which a number is compared with the one that a value
begins with.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from local_chains.consortium.rpc.errors import internal

MAX_QUERY_BYTES: Final = 512
TOO_LONG: Final = "maximum query length exceeded"
MIN_YEAR: Final = 1900
MAX_YEAR: Final = 2999
_NANOS: Final = 10**9

_DIGITS: Final = "0123456789"
_LEADING_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Events = Mapping[str, list[str]]
"""Values by `type.attribute`, with `tm.event`, `tx.hash` and `tx.height`."""


class Token(StrEnum):
    """The kinds of words, as CometBFT's errors name them."""

    INVALID = "invalid token"
    TAG = "tag"
    STRING = "string"
    NUMBER = "number"
    TIME = "timestamp"
    DATE = "datestamp"
    AND = "AND operator"
    CONTAINS = "CONTAINS operator"
    EXISTS = "EXISTS operator"
    EQUAL = "= operator"
    LESS = "< operator"
    AT_MOST = "<= operator"
    MORE = "> operator"
    AT_LEAST = ">= operator"


RANGES: Final = (Token.AT_MOST, Token.AT_LEAST, Token.LESS, Token.MORE)
_OPERATORS: Final = (*RANGES, Token.EQUAL, Token.CONTAINS, Token.EXISTS)
_OPERANDS: Final = {
    **dict.fromkeys(RANGES, (Token.NUMBER, Token.TIME, Token.DATE)),
    Token.EQUAL: (Token.NUMBER, Token.TIME, Token.DATE, Token.STRING),
    Token.CONTAINS: (Token.STRING,),
    Token.EXISTS: (),
}
_KEYWORDS: Final = {"AND": Token.AND, "EXISTS": Token.EXISTS, "CONTAINS": Token.CONTAINS}
_SIGNS: Final = {
    "=": Token.EQUAL,
    "<": Token.LESS,
    "<=": Token.AT_MOST,
    ">": Token.MORE,
    ">=": Token.AT_LEAST,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """`kind` and `text` are the operand's; EXISTS has none, and an empty text."""

    key: str
    operator: Token
    kind: Token | None
    text: str

    @property
    def number(self) -> Decimal | None:
        """The operand as a number, whatever it was written as. None if it cannot be read as one."""
        return number_of(self.text)

    def holds(self, value: str) -> bool:
        """Return true if a subscription's event with this value matches."""
        match self.operator, self.kind:
            case Token.EXISTS, _:
                return True
            case Token.CONTAINS, _:
                return self.text in value
            case _, Token.STRING:
                return value == self.text
            case _, Token.NUMBER:
                found = _LEADING_NUMBER.match(value)
                return found is not None and compared(self.operator, Decimal(found[0]), self.number or Decimal(0))
            case _, kind:
                read = date_nanos if kind is Token.DATE else time_nanos
                moment, operand = read(value), read(self.text)
                return None not in (moment, operand) and compared(self.operator, moment or 0, operand or 0)

    def __str__(self) -> str:
        sign = next((sign for sign, token in _SIGNS.items() if token is self.operator), self.operator.split()[0])
        label = {Token.STRING: f"'{self.text}'", Token.TIME: f"TIME {self.text}", Token.DATE: f"DATE {self.text}"}
        operand = "" if self.kind is None else " " + label.get(self.kind, self.text)
        return f"{self.key} {sign}{operand}"


@dataclass(frozen=True, slots=True)
class EventQuery:
    """All conditions must hold. Queries with the same `str` are the same."""

    text: str
    conditions: tuple[Condition, ...]

    def matches(self, events: Events) -> bool:
        return all(_matches(condition, events) for condition in self.conditions)

    def __str__(self) -> str:
        return " AND ".join(map(str, self.conditions))


def parse_query(text: str) -> EventQuery:
    """Raise `RpcError` if it is too long or not in the language; the sentence is CometBFT's."""
    if len(text.encode(errors="replace")) > MAX_QUERY_BYTES:
        raise internal(TOO_LONG)
    words = _Words(text)
    conditions = [_condition(words)]
    while (token := words.next()) is not None:
        if token is not Token.AND:
            # CometBFT prints its number for AND instead of the name.
            raise internal(f"offset {words.offset}: got {token}, want 6")
        conditions.append(_condition(words))
    return EventQuery(text, tuple(conditions))


def _condition(words: "_Words") -> Condition:
    words.require((Token.TAG,))
    key = words.text
    operator = words.require(_OPERATORS)
    allowed = _OPERANDS[operator]
    if not allowed:
        return Condition(key, operator, None, "")
    kind = words.require(allowed)
    return Condition(key, operator, kind, words.text)


def _matches(condition: Condition, events: Events) -> bool:
    if any(condition.holds(value) for value in events.get(condition.key, ())):
        return True
    # A type without an attribute is matched as an empty text.
    return condition.holds("") and any(name.rpartition(".")[0] == condition.key for name in events)


class _Words:
    """The words of a query, one after another: `text` is the newest one's, `offset` its place in bytes."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._at = 0
        self._begin = 0
        self._trouble = "EOF"
        self.text = ""

    @property
    def offset(self) -> int:
        return len(self._query[: self._begin].encode(errors="replace"))

    def require(self, wanted: tuple[Token, ...]) -> Token:
        """The next word's kind. Raise `RpcError` if it is none of those wanted."""
        token = self.next()
        if token is None or token is Token.INVALID:
            raise internal(f"offset {self.offset}: {self._trouble}")
        if token not in wanted:
            names = [str(one) for one in wanted]
            last = names.pop()
            label = f"{', '.join(names)} or {last}" if names else last
            raise internal(f"offset {self.offset}: got {token}, wanted {label}")
        return token

    def next(self) -> Token | None:
        """The next word's kind: None at the end, which may be inside of a text."""
        while self._at < len(self._query) and _is_space(self._query[self._at]):
            self._at += 1
        self._begin = self._at
        self._trouble = "EOF"
        self.text = ""
        if self._at == len(self._query):
            return None
        first = self._query[self._at]
        if first in _DIGITS:
            return self._number()
        if first == "_" or _is_letter(first):
            return self._word()
        if first == "'":
            end = self._query.find("'", self._at + 1)
            if end < 0:
                self._at = len(self._query)
                return None
            self.text, self._at = self._query[self._at + 1 : end], end + 1
            return Token.STRING
        if first in "<>=":
            sign = first + "=" if first != "=" and self._query[self._at + 1 : self._at + 2] == "=" else first
            self._at += len(sign)
            return _SIGNS[sign]
        return self._refuse(f"invalid input {first} at offset {self.offset + len(first.encode(errors='replace'))}")

    def _number(self) -> Token:
        self.text = self._while(lambda char: char in _DIGITS)
        if self._query[self._at : self._at + 1] == ".":
            self._at += 1
            self.text += "." + self._while(lambda char: char in _DIGITS)
        return Token.NUMBER

    def _word(self) -> Token:
        self.text = self._while(lambda char: char in "._-" or _is_letter(char))
        if self.text in ("TIME", "DATE") and self._query[self._at : self._at + 1] == " ":
            self._at += 1
            return self._moment(Token.TIME if self.text == "TIME" else Token.DATE)
        return _KEYWORDS.get(self.text, Token.TAG)

    def _moment(self, kind: Token) -> Token:
        allowed = "-T:+Z0123456789" if kind is Token.TIME else "-0123456789"
        self.text = self._while(lambda char: char in allowed)
        read = time_nanos if kind is Token.TIME else date_nanos
        if read(self.text) is None:
            return self._refuse(f"invalid {kind.name} value: {self.text!r} is none")
        year = int(self.text[:4])
        if not MIN_YEAR <= year <= MAX_YEAR:
            return self._refuse(f"{kind} year {year} out of range")
        return kind

    def _while(self, allowed: Callable[[str], bool]) -> str:
        begin = self._at
        while self._at < len(self._query) and allowed(self._query[self._at]):
            self._at += 1
        return self._query[begin : self._at]

    def _refuse(self, trouble: str) -> Token:
        self._trouble = trouble
        return Token.INVALID


def number_of(text: str) -> Decimal | None:
    """A whole text as a number (Go's `big.ParseFloat`). None if it is not one."""
    try:
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        return None  # an exponent of more digits than any number here has


def compared(operator: Token, value: Decimal | int, operand: Decimal | int) -> bool:
    """Return true if the value stands to the operand as the comparison says."""
    match operator:
        case Token.EQUAL:
            return value == operand
        case Token.LESS:
            return value < operand
        case Token.AT_MOST:
            return value <= operand
        case Token.MORE:
            return value > operand
        case _:
            return value >= operand


def date_nanos(text: str) -> int | None:
    """A date's first nanosecond since 1970 in UTC. None if it is not one."""
    return time_nanos(f"{text}T00:00:00Z") if _DATE.fullmatch(text) else None


def time_nanos(text: str) -> int | None:
    """A time of RFC 3339 in nanoseconds since 1970. None if it is not one."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3]))
    except ValueError:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _NANOS + int((found[2] or "0").ljust(9, "0"))


def _is_space(char: str) -> bool:
    # Go's notion (`unicode.IsSpace`); Python's has four separators of ASCII more.
    return char.isspace() and char not in "\x1c\x1d\x1e\x1f"


def _is_letter(char: str) -> bool:
    """A letter or a decimal digit of any script (`unicode.IsLetter`, `unicode.IsDigit`)."""
    return char.isalpha() or char.isdecimal()
