"""`tx_search` and `block_search`: what CometBFT's `kv` indexer answers (CometBFT `state/txindex/kv`, `state/indexer`).

Conditions on attributes must hold in one event, an `=` compares texts, and `tx.hash` decides alone. Of several `=`
about the height the first one counts, and none next to any other condition about it; a later bound replaces an earlier
one of the same attribute and side; a bound that is a time is never met.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Final

from core.model.consortium import LedgerEvent, event_to_attributes
from core.model.errors import RejectedError
from core.proofs.cometbft import json as comet_json
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.rendering import outcome_of
from local_chains.consortium.rpc.errors import RpcError, internal
from local_chains.consortium.rpc.event_query import RANGES, Condition, EventQuery, Token, number_of
from local_chains.consortium.rpc.workshop import Workshop
from local_chains.consortium.state.marks import attribute_mark, name_mark
from local_chains.consortium.state.store import StoredBlock

TX_HASH: Final = "tx.hash"
TX_HEIGHT: Final = "tx.height"
BLOCK_HEIGHT: Final = "block.height"
MAX_BLOCKS: Final = 20_000
MAX_FOUND: Final = 1_000_000
MAX_READ_BYTES: Final = 32 * 1024 * 1024
"""The most that one search may read: of blocks whose results have to be looked at, all together."""
MAX_HEIGHT: Final = 2**63 - 1


@dataclass(slots=True)
class Range:
    """The bounds of one attribute, or of the height. Each `includes_…` stays once any bound of its side set it."""

    lower: Decimal | None = None
    upper: Decimal | None = None
    includes_lower: bool = False
    includes_upper: bool = False
    impossible: bool = False
    """The newest bound of a side is a time."""

    def add(self, condition: Condition) -> None:
        number = condition.number if condition.kind is Token.NUMBER else None
        if condition.operator in (Token.MORE, Token.AT_LEAST):
            self.lower = number
            self.includes_lower |= condition.operator is Token.AT_LEAST
        else:
            self.upper = number
            self.includes_upper |= condition.operator is Token.AT_MOST
        self.impossible |= number is None

    def holds(self, value: Decimal | None) -> bool:
        if value is None or self.impossible:
            return False
        if self.lower is not None and not (value > self.lower or (self.includes_lower and value == self.lower)):
            return False
        return self.upper is None or value < self.upper or (self.includes_upper and value == self.upper)


@dataclass(slots=True)
class Plan:
    """A search's conditions by their subjects. `equal` is the `=` about the height that counts."""

    equal: Condition | None = None
    heights: Range | None = None
    of_heights: list[Condition] = field(default_factory=list)
    """EXISTS and CONTAINS about the height."""
    attributes: list[Condition] = field(default_factory=list)
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def asks_for_events(self) -> bool:
        return bool(self.attributes or self.ranges)

    def height_of_event(self) -> int | None:
        """The height that an event must have by an `=`. None for any: CometBFT takes height 0 for none."""
        return None if self.equal is None else _whole(self.equal) or None

    def matches(self, events: Iterable[LedgerEvent]) -> bool:
        """Return true if all that is asked about attributes holds in one of the events."""
        return any(self._holds_in(event) for event in events)

    def _holds_in(self, event: LedgerEvent) -> bool:
        kind, attributes = event_to_attributes(event)
        values = {f"{kind}.{key}": value for key, value in attributes.items()}
        for condition in self.attributes:
            value = values.get(condition.key)
            if value is None or not _holds(condition, value):
                return False
        return all(key in values and each.holds(number_of(values[key].strip())) for key, each in self.ranges.items())


def plan_of(conditions: Sequence[Condition], height_key: str) -> Plan:
    """Sort a query's conditions by what they are about."""
    plan = Plan()
    for condition in conditions:
        about_height = condition.key == height_key
        if condition.operator in RANGES:
            if about_height:
                plan.heights = plan.heights or Range()
            bounds = plan.heights if about_height else plan.ranges.setdefault(condition.key, Range())
            assert bounds is not None
            bounds.add(condition)
        elif not about_height:
            plan.attributes.append(condition)
        elif condition.operator is not Token.EQUAL:
            plan.of_heights.append(condition)
        elif plan.equal is None and condition.number is not None:
            plan.equal = condition
    if plan.heights is not None or plan.of_heights:
        plan.equal = None
    return plan


def _holds(condition: Condition, value: str) -> bool:
    if condition.operator is Token.CONTAINS:
        return condition.text in value.strip()
    return condition.operator is Token.EXISTS or value == condition.text


def _whole(condition: Condition) -> int:
    """The height that a condition names, without its fraction, at most 64 bits."""
    return _bound(condition.number or Decimal(0), int)


async def find_transactions(engine: EmbeddedEngine, workshop: Workshop, query: EventQuery) -> list[tuple[int, int]]:
    """(height, position) of all that match, ascending. Raise `RpcError` if that takes too much reading."""
    for condition in query.conditions:
        if condition.key == TX_HASH:
            return await _by_hash(engine, condition)
    plan = plan_of(query.conditions, TX_HEIGHT)
    if not plan.asks_for_events:
        return await _at_heights(engine, workshop, plan)
    if plan.of_heights:
        return []  # no event has the height as an attribute
    found: list[tuple[int, int]] = []
    async for stored in _candidates(engine, plan, TX_HEIGHT):
        found += await workshop.run(partial(_transactions_in, stored, plan))
        if len(found) > MAX_FOUND:
            raise _too_many(TX_HEIGHT)
    return found


async def _at_heights(engine: EmbeddedEngine, workshop: Workshop, plan: Plan) -> list[tuple[int, int]]:
    """All transactions of the blocks that only their height is asked about."""
    first, last = _span(engine, plan)
    if plan.equal is not None:
        # Height 0, which stands for any next to an event, is none here.
        first, last = (first, last) if plan.equal.text == str(plan.height_of_event()) else (1, 0)
    elif plan.heights is None and not plan.of_heights:
        return []
    counted = await engine.store.entries(first, last, MAX_BLOCKS + 1)
    if len(counted) > MAX_BLOCKS:
        raise _too_many(TX_HEIGHT)
    counted = [(height, count) for height, count in counted if _is_wanted(plan, height)]
    if sum(count for _, count in counted) > MAX_FOUND:
        raise _too_many(TX_HEIGHT)
    return await workshop.run(lambda: [(height, position) for height, count in counted for position in range(count)])


def _is_wanted(plan: Plan, height: int) -> bool:
    return (plan.heights is None or plan.heights.holds(Decimal(height))) and all(
        _holds(condition, str(height)) for condition in plan.of_heights
    )


def _transactions_in(stored: StoredBlock, plan: Plan) -> list[tuple[int, int]]:
    results = outcome_of(stored).results
    return [(stored.height, position) for position, result in enumerate(results) if plan.matches(result.events)]


async def find_blocks(engine: EmbeddedEngine, workshop: Workshop, query: EventQuery) -> list[int]:
    """Heights of all blocks that match by their height or by events of their own, ascending. Raise `RpcError`."""
    plan = plan_of(query.conditions, BLOCK_HEIGHT)
    if plan.of_heights:
        return []  # the height is not an attribute that could be looked at
    if not plan.asks_for_events:
        if plan.equal is None and plan.heights is None:
            return []
        if plan.equal is not None:
            height = _whole(plan.equal)
            return [height] if engine.store.first <= height <= engine.tip.height else []
        return await _heights(engine, plan, BLOCK_HEIGHT)
    found = []
    async for stored in _candidates(engine, plan, BLOCK_HEIGHT):
        if await workshop.run(partial(_block_matches, stored, plan)):
            found.append(stored.height)
    return found


def _block_matches(stored: StoredBlock, plan: Plan) -> bool:
    return plan.matches(outcome_of(stored).events)


async def _by_hash(engine: EmbeddedEngine, condition: Condition) -> list[tuple[int, int]]:
    try:
        raw = comet_json.bytes_from_hex(condition.text)
    except RejectedError as error:
        raise internal(f"error during searching for a hash in the query: {error.message}") from None
    if not raw:
        raise internal("error while retrieving the result: transaction hash cannot be empty")
    place = await engine.find_transaction(raw)
    return [] if place is None else [place]


async def _candidates(engine: EmbeddedEngine, plan: Plan, height_key: str) -> AsyncIterator[StoredBlock]:
    """All blocks at the wanted heights whose results may hold the wanted attributes."""
    marks = [
        attribute_mark(condition.key, condition.text) if condition.operator is Token.EQUAL else name_mark(condition.key)
        for condition in plan.attributes
    ]
    marks += [name_mark(key) for key in plan.ranges]
    read = 0
    for height in await _heights(engine, plan, height_key, marks):
        stored = await engine.store.block(height)
        if stored is None:
            continue
        read += len(stored.results)
        if read > MAX_READ_BYTES:
            raise _too_many(height_key)
        yield stored


async def _heights(engine: EmbeddedEngine, plan: Plan, key: str, marks: Sequence[bytes] = ()) -> list[int]:
    """Heights that may hold what has these marks, ascending. Raise `RpcError` if they are too many."""
    found = await engine.store.marked(marks, *_span(engine, plan), MAX_BLOCKS + 1)
    if len(found) > MAX_BLOCKS:
        raise _too_many(key)
    return [height for height in found if plan.heights is None or plan.heights.holds(Decimal(height))]


def _span(engine: EmbeddedEngine, plan: Plan) -> tuple[int, int]:
    """The first and the last height that a plan leaves, the last smaller if it leaves none."""
    first, last = 1, engine.tip.height
    equal, bounds = plan.height_of_event(), plan.heights
    if bounds is not None:
        if bounds.impossible:
            return 1, 0
        first = max(first, _bound(bounds.lower, math.floor)) if bounds.lower is not None else first
        last = min(last, _bound(bounds.upper, math.ceil)) if bounds.upper is not None else last
    elif equal is not None:
        first, last = max(first, equal), min(last, equal)
    return first, last


def _bound(number: Decimal, rounded: Callable[[Decimal], int]) -> int:
    """A number as a height, at most 64 bits."""
    if number.adjusted() >= len(str(MAX_HEIGHT)):
        return MAX_HEIGHT if number > 0 else -MAX_HEIGHT
    return max(-MAX_HEIGHT, min(rounded(number), MAX_HEIGHT))


def _too_many(height_key: str) -> RpcError:
    return internal(f"this search would have to read too many blocks: narrow the query by {height_key}")
