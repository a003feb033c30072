"""The worth of an amount in the reporting currency: rates with dates and sources. Pure.

A rate is an integer fraction, so that the same transfer is worth the same in every run: `minor_units` of the reporting
currency (cents) for `base_units` of the asset, effective from a second on until the asset's next rate. An asset without
a rate at a time has no value then; a rule about values passes over its moves.
"""

import csv
import hashlib
import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from core.model.errors import RejectedError
from core.model.identifiers import parse_asset
from core.model.types import MAX_DECIMALS, AssetId

MAX_RATES: Final = 1_000_000
MAX_FILE_BYTES: Final = 256 << 20
MAX_LINE_CHARS: Final = 1_024
MAX_VALUE: Final = 2**63 - 1
"""Values are kept as signed 64-bit integers; what would be more counts as this much."""
CSV_COLUMNS: Final = ("asset", "from_s", "price", "decimals", "source")
_MAX_PRICE: Final = Decimal(10) ** 15
_SCALE: Final = 10**12


@dataclass(frozen=True, slots=True)
class Rate:
    """`base_units` of `asset` are worth `minor_units`, from `from_s` on. Both are positive. `source` is for people."""

    asset: AssetId
    from_s: int
    minor_units: int
    base_units: int
    source: str

    def __post_init__(self) -> None:
        if self.minor_units <= 0 or self.base_units <= 0:
            raise RejectedError(f"the rate of {self.asset} is not positive: {self.minor_units}/{self.base_units}")


class Rates:
    """Rates of all assets. Raise `RejectedError` for two rates of one asset that begin in one second."""

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._all = tuple(sorted(rates, key=lambda rate: (rate.asset, rate.from_s)))
        found: dict[AssetId, tuple[list[int], list[Rate]]] = {}
        for rate in self._all:
            starts, of_asset = found.setdefault(rate.asset, ([], []))
            if starts and starts[-1] == rate.from_s:
                raise RejectedError(f"{rate.asset} has two rates from {rate.from_s} on: keep one of them")
            starts.append(rate.from_s)
            of_asset.append(rate)
        self._by_asset: Mapping[AssetId, tuple[list[int], list[Rate]]] = found

    def __iter__(self) -> Iterator[Rate]:
        return iter(self._all)

    def rate(self, asset: AssetId, time_s: int) -> Rate | None:
        """Return the rate that is effective at a time, None if there is none yet."""
        found = self._by_asset.get(asset)
        if found is None:
            return None
        place = bisect_right(found[0], time_s)
        return found[1][place - 1] if place else None

    def value(self, asset: AssetId, amount: int, time_s: int) -> int | None:
        """Return minor units of the reporting currency, rounded down, None without a rate."""
        rate = self.rate(asset, time_s)
        return None if rate is None else min(amount * rate.minor_units // rate.base_units, MAX_VALUE)

    @property
    def digest(self) -> str:
        """The SHA-256 of all rates, in hex: alerts name it."""
        lines = (f"{one.asset} {one.from_s} {one.minor_units} {one.base_units}\n" for one in self._all)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def rate_of(asset: str, from_s: int, price: str, decimals: int, source: str) -> Rate:
    """Return the rate of one whole unit of an asset at `price` whole units of the reporting currency (two decimals).

    `price` is a decimal number such as "0.1287". Raise `RejectedError` for what is not in its form.
    """
    try:
        number = Decimal(price)
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or not 0 < number < _MAX_PRICE or number * _SCALE < 1:
        raise RejectedError(f"the price of {asset[:80]} is not a decimal number above 0: {price[:40]!r}")
    if not 0 <= decimals <= MAX_DECIMALS:
        raise RejectedError(f"{asset[:80]} cannot have {decimals} decimals: 0 to {MAX_DECIMALS} are possible")
    if not 0 <= from_s < 2**40:
        raise RejectedError(f"the rate of {asset[:80]} begins at {from_s}, which is not a number of Unix seconds")
    return Rate(parse_asset(asset), from_s, int(number * 100 * _SCALE), 10**decimals * _SCALE, source[:200])


def read_rates(text: str) -> list[Rate]:
    """Return the rates in a CSV file with the columns `CSV_COLUMNS`. Raise `RejectedError` with the number of the line.

    A file with one line that is malformed is refused whole.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    found: list[Rate] = []
    try:
        for number, line in enumerate(reader, 1):
            if number == 1:
                if tuple(line) != CSV_COLUMNS:
                    raise RejectedError(f"line 1: the columns of rates are {','.join(CSV_COLUMNS)}")
                continue
            if number > MAX_RATES or sum(map(len, line)) > MAX_LINE_CHARS:
                raise RejectedError(f"line {number}: at most {MAX_RATES} rates of {MAX_LINE_CHARS} characters")
            found.append(_read_line(number, line))
    except csv.Error as error:
        raise RejectedError(f"line {reader.line_num}: not CSV: {error}") from None
    Rates(found)
    return found


def read_rates_file(path: Path) -> list[Rate]:
    """Return the rates in a file. Raise `RejectedError` as `read_rates`, and for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise RejectedError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB, the most that rates may have")
        return read_rates(raw.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise RejectedError(f"cannot read the rates in {path}: {error}") from None
    except RejectedError as error:
        raise RejectedError(f"{path}: {error.message}") from None


def _read_line(number: int, line: list[str]) -> Rate:
    if len(line) != len(CSV_COLUMNS):
        raise RejectedError(f"line {number}: {len(line)} columns, not {len(CSV_COLUMNS)}")
    asset, from_s, price, decimals, source = line
    if not all(text.isascii() and text.isdigit() and len(text) < 20 for text in (from_s, decimals)):
        raise RejectedError(f"line {number}: from_s and decimals are whole numbers")
    try:
        return rate_of(asset, int(from_s), price, int(decimals), source)
    except RejectedError as error:
        raise RejectedError(f"line {number}: {error.message}") from None
