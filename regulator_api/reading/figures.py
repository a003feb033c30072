"""Figures over many rows: pure functions of the rows, so that a bundle of the rows runs them again.

Amounts are whole base units and shares are whole parts: nothing is rounded but where it is said.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from core.model.errors import RejectedError
from core.model.types import AccountId, AssetId

HHI_WHOLE: Final = 10_000
"""The Herfindahl-Hirschman index of a market with one holder (US DOJ and FTC Merger Guidelines, 2023, section 2.1)."""
MILLION: Final = 1_000_000
KIND: Final = "figure"
CONCENTRATION, CORRIDORS, SERIES = "concentration", "corridors", "series"
MAX_ROWS: Final = 50_000


class Holder(NamedTuple):
    """An account and what it holds, in base units."""

    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Concentration:
    """How an asset is spread. `hhi` is the sum of squared shares, of `HHI_WHOLE`, rounded down; `top` are the largest
    holders, `top_ppm` their share together in parts per million, rounded down."""

    holders: int
    total: int
    hhi: int
    top: tuple[Holder, ...]
    top_ppm: int


def concentration(holders: Iterable[Holder], most: int) -> Concentration:
    """Return how concentrated these holdings are; those of nothing and less do not count."""
    held = sorted((one for one in holders if one.amount > 0), key=lambda one: (-one.amount, one.account))
    total = sum(one.amount for one in held)
    top = tuple(held[:most])
    if not total:
        return Concentration(0, 0, 0, (), 0)
    squares = sum(one.amount**2 for one in held)
    of_top = sum(one.amount for one in top)
    return Concentration(len(held), total, squares * HHI_WHOLE // total**2, top, of_top * MILLION // total)


class Crossing(NamedTuple):
    """A swap that both parties claimed: what went in on one chain and came out on the other."""

    from_asset: str
    to_asset: str
    given: int
    taken: int
    time_s: int


class Corridor(NamedTuple):
    """All crossings from one asset to another: number and sums of both sides."""

    from_asset: str
    to_asset: str
    swaps: int
    given: int
    taken: int


def corridors(crossings: Iterable[Crossing]) -> list[Corridor]:
    """Add crossings up by their two assets; the most used first."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in crossings:
        row = sums[one.from_asset, one.to_asset]
        row[0] += 1
        row[1] += one.given
        row[2] += one.taken
    made = [Corridor(*assets, *row) for assets, row in sums.items()]
    return sorted(made, key=lambda one: (-one.swaps, one.from_asset, one.to_asset))


class Moved(NamedTuple):
    """One movement: block time, what moved it (`transfer`, `lock`, `claim` or `refund`), base units."""

    time_s: int
    kind: str
    amount: int


class Bucket(NamedTuple):
    """A span of time from `from_s` on: how many movements of each kind, and the sum of the transfers."""

    from_s: int
    transfers: int
    volume: int
    locks: int
    claims: int
    refunds: int


_COLUMN: Final = {"transfer": 0, "lock": 2, "claim": 3, "refund": 4}


def series(moved: Iterable[Moved], step_s: int) -> list[Bucket]:
    """Add movements up by spans of `step_s`, which begin at whole multiples of it; spans without any are left out."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for one in moved:
        row = sums[one.time_s - one.time_s % step_s]
        row[_COLUMN[one.kind]] += 1
        if one.kind == "transfer":
            row[1] += one.amount
    return [Bucket(from_s, *row) for from_s, row in sorted(sums.items())]


class Dealing(NamedTuple):
    """A move of an account: block time, `in` or `out`, the other party if there is one, asset and base units."""

    time_s: int
    direction: str
    other: str | None
    asset: str
    amount: int


@dataclass(slots=True)
class Counterparty:
    """Another party and an asset: number and sum of what an account received from it and sent to it."""

    account: AccountId | None
    asset: AssetId
    received: int = 0
    received_amount: int = 0
    sent: int = 0
    sent_amount: int = 0
    first_s: int = 0
    last_s: int = 0


def added_up(dealt: Iterable[Dealing]) -> list[Counterparty]:
    """Add moves, the newest first, up by the other party and the asset; those with most moves first."""
    found: dict[tuple[str | None, str], Counterparty] = {}
    for one in dealt:
        of = found.get((one.other, one.asset))
        if of is None:
            other = None if one.other is None else AccountId(one.other)
            of = found[one.other, one.asset] = Counterparty(other, AssetId(one.asset), last_s=one.time_s)
        of.first_s = one.time_s
        if one.direction == "in":
            of.received += 1
            of.received_amount += one.amount
        else:
            of.sent += 1
            of.sent_amount += one.amount
    return sorted(found.values(), key=lambda one: (-one.received - one.sent, one.account or "", one.asset))


# --- bundles -----------------------------------------------------------------------------------------------------


def document(
    name: str, parameters: Mapping[str, Any], rows: Sequence[tuple[Any, ...]], as_of: str, labels: int
) -> dict[str, Any]:
    """The body of a bundle of a figure: its rows, what it was asked with, and its result."""
    plain = [[str(value) if isinstance(value, int) else value for value in row] for row in rows]
    body = {"figure": name, "parameters": dict(parameters), "rows": plain, "as_of": as_of, "labels": labels}
    return {**body, "result": _result(name, parameters, plain)}


def check(body: Mapping[str, Any]) -> str:
    """Compute the bundle's figure again. Return what was found; raise `RejectedError` if it is another."""
    try:
        found = msgspec.convert(dict(body), _Document)
        result = _result(found.figure, found.parameters, found.rows)
    except (msgspec.ValidationError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise RejectedError(f"the bundle is not a figure: {error}") from None
    if msgspec.json.encode(result) != msgspec.json.encode(found.result):
        raise RejectedError(f"the rows of the bundle give another {found.figure} than it claims")
    return f"{found.figure} over {len(found.rows)} rows"


class _Document(msgspec.Struct, frozen=True):
    figure: str
    parameters: dict[str, int]
    rows: list[list[str]]
    as_of: str
    labels: int
    result: Any


def _result(name: str, parameters: Mapping[str, Any], rows: Sequence[Sequence[str]]) -> Any:
    match name:
        case "concentration":
            held = concentration((Holder(account, int(amount)) for account, amount in rows), parameters["top"])
            top = [[one.account, str(one.amount)] for one in held.top]
            return [held.holders, str(held.total), held.hhi, top, held.top_ppm]
        case "corridors":
            crossings = (Crossing(a, b, int(given), int(taken), int(at)) for a, b, given, taken, at in rows)
            return [[one[0], one[1], one[2], str(one[3]), str(one[4])] for one in corridors(crossings)]
        case "series":
            moved = (Moved(int(at), kind, int(amount)) for at, kind, amount in rows)
            return [[one[0], one[1], str(one[2]), *one[3:]] for one in series(moved, parameters["step_s"])]
    raise RejectedError(f"unknown figure {name[:40]!a}: a bundle has concentration, corridors or series")
