"""Amounts and assets as people write and read them; everything else in the house counts base units.

Integer arithmetic throughout: a float, or a `Decimal` in its default context, rounds silently.
"""

import re
from collections.abc import Sequence
from typing import Final

from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_asset
from core.model.types import MAX_BASE_UNITS, Asset, BaseUnits

MAX_CHARS: Final = 160
"""More than any amount needs: 78 digits before the point and 77 behind it."""
SHOWN_CHARS: Final = 40

_AMOUNT = re.compile(r"(?P<whole>0|[1-9][0-9]*)(?:\.(?P<fraction>[0-9]+))?")


def readable(asset: Asset, units: int, places: int | None = None) -> str:
    """`0.5 ETH`: exact, without trailing zeros; with `places`, cut to that many decimals (and `…` if it loses some)."""
    whole, rest = divmod(abs(units), 10**asset.decimals)
    fraction = f"{rest:0{asset.decimals}d}" if asset.decimals else ""
    kept = fraction if places is None else fraction[:places]
    cut = bool(fraction[len(kept) :].strip("0"))
    shown = kept.rstrip("0")
    return f"{'-' if units < 0 else ''}{whole:,}{'.' if shown else ''}{shown}{'…' if cut else ''} {asset.symbol}"


def base_units(asset: Asset, text: str) -> BaseUnits:
    """`0.5` of an asset in base units, exactly.

    Raise `RejectedError` for anything but ASCII digits with at most one point between them, for more decimals than the
    asset has, for zero, and for what does not fit into 256 bits.
    """
    shown = ascii(text[:SHOWN_CHARS] + ("..." if len(text) > SHOWN_CHARS else ""))
    match = _AMOUNT.fullmatch(text) if len(text) <= MAX_CHARS else None
    if match is None:
        raise RejectedError(
            f"{shown} is not an amount such as 0.5: write digits and one decimal point, without sign, exponent, spaces "
            "or separators"
        )
    fraction = match["fraction"] or ""
    if len(fraction) > asset.decimals:
        raise RejectedError(
            f"{shown} has {len(fraction)} decimals, {asset.symbol} has {asset.decimals}: leave out the others"
        )
    units = int(match["whole"] + fraction.ljust(asset.decimals, "0"))
    if units == 0:
        raise RejectedError(f"{shown} is not a positive amount: write one above zero")
    if units > MAX_BASE_UNITS:
        raise RejectedError(f"{shown} {asset.symbol} is more than a chain can count: at most 2^256 - 1 base units")
    return BaseUnits(units)


def named_asset(assets: Sequence[Asset], name: str) -> Asset:
    """Return the asset of this symbol, in any letters, or CAIP-19 id.

    Raise `NotFoundError` for none, `RejectedError` for several, and what `parse_asset` raises.
    """
    wanted = parse_asset(name) if "/" in name else None
    found = [one for one in assets if one.id == wanted or (wanted is None and one.symbol.lower() == name.lower())]
    if not found:
        symbols = ", ".join(sorted({one.symbol.lower() for one in assets}))
        raise NotFoundError(f"{name[:160]!r} is not an asset here: write one of {symbols}")
    if len(found) > 1:
        raise RejectedError(f"{len(found)} assets are called {name}: write one of {', '.join(one.id for one in found)}")
    return found[0]
