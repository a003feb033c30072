"""Amounts as people write and read them; everything else in the house counts base units."""

from decimal import Decimal, InvalidOperation
from typing import Final

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, Asset, BaseUnits

MAX_CHARS: Final = 100


def readable(asset: Asset, units: int, places: int | None = None) -> str:
    """`0.5 ETH`: no trailing zeros; with `places`, cut to so many decimals (and `…` where that loses some)."""
    exact = Decimal(units).scaleb(-asset.decimals)
    shown = exact
    if places is not None and places < asset.decimals:
        shown = Decimal(int(exact.scaleb(places))).scaleb(-places)
    text = f"{shown:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text}{'…' if shown != exact else ''} {asset.symbol}"


def base_units(asset: Asset, text: str) -> BaseUnits:
    """`0.5` of an asset in base units. Raises `RejectedError` for what is no positive amount of it."""
    try:
        value = Decimal(text[:MAX_CHARS])
    except InvalidOperation:
        raise RejectedError(f"{text[:40]!r} is not an amount such as 0.5") from None
    if not value.is_finite() or value <= 0:
        raise RejectedError(f"an amount is positive, {text[:40]!r} is not")
    units = value.scaleb(asset.decimals)
    if units != units.to_integral_value() or units > MAX_BASE_UNITS:
        raise RejectedError(f"{asset.symbol} has {asset.decimals} decimals: {text[:40]!r} cannot be written in them")
    return BaseUnits(int(units))
