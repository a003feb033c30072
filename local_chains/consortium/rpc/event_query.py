"""CometBFT's event query language, for subscriptions and searches (CometBFT `libs/pubsub/query`).

tm.event = 'Tx' AND bank.transfer.amount > 100 AND htlc.lock.hashlock EXISTS
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from local_chains.consortium.rpc.errors import internal

MAX_QUERY_CHARS: Final = 512

_CONDITION = re.compile(
    r"\s*([A-Za-z_][-.\w]*)\s*(?:(EXISTS)|(CONTAINS|<=|>=|<|>|=)\s*(?:'([^']*)'|(-?\d{1,40}(?:\.\d{1,40})?)))\s*"
)
_AND = re.compile(r"AND\b")

Events = Mapping[str, list[str]]
"""Values by `type.attribute`, with `tm.event`, `tx.hash` and `tx.height`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`operator` is EXISTS, CONTAINS or a comparison; a numeric operand compares numbers."""

    key: str
    operator: str
    text: str
    number: Decimal | None = None

    def holds(self, values: list[str]) -> bool:
        if self.operator == "EXISTS":
            return bool(values)
        if self.operator == "CONTAINS":
            return any(self.text in value for value in values)
        if self.number is None:
            return self.operator == "=" and self.text in values
        return any(_compared(self.operator, value, self.number) for value in values)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """All conditions must hold. Equal texts are equal queries."""

    text: str
    conditions: tuple[Condition, ...]

    def matches(self, events: Events) -> bool:
        return all(condition.holds(events.get(condition.key, [])) for condition in self.conditions)


def parse_query(text: str) -> EventQuery:
    """Raise `RpcError` if it is not in the language, or too long."""
    if len(text) > MAX_QUERY_CHARS:
        raise internal("maximum query length exceeded")
    conditions = []
    offset = 0
    while True:
        matched = _CONDITION.match(text, offset)
        if matched is None:
            raise internal(f"failed to parse query: no condition at offset {offset}")
        key, exists, operator, quoted, number = matched.groups()
        operand = quoted if quoted is not None else number or ""
        conditions.append(Condition(key, exists or operator, operand, Decimal(number) if number else None))
        offset = matched.end()
        if offset == len(text):
            return EventQuery(text, tuple(conditions))
        joined = _AND.match(text, offset)
        if joined is None:
            raise internal(f"failed to parse query: wanted AND at offset {offset}")
        offset = joined.end()


def _compared(operator: str, value: str, operand: Decimal) -> bool:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return False
    if number.is_nan():
        return False
    outcomes = {"=": number == operand, "<": number < operand, ">": number > operand}
    return outcomes[operator[0]] or (len(operator) == 2 and number == operand)
