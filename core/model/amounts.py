"""Base units as text, as they travel in JSON: readers may round numbers beyond 2**53 (RFC 8259 section 6)."""

import re
from typing import Final

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, BaseUnits

MAX_DIGITS: Final = 78
_POSITIVE = re.compile(r"[1-9][0-9]*")


def parse_base_units(text: str, field: str) -> BaseUnits:
    """A positive decimal number of base units below 2**256: ASCII digits without a leading zero, and nothing else.

    Raise `RejectedError` that names `field` otherwise.
    """
    if len(text) > MAX_DIGITS or not _POSITIVE.fullmatch(text) or int(text) > MAX_BASE_UNITS:
        raise RejectedError(f"{field} is a positive decimal number of base units below 2^256", field=field)
    return BaseUnits(int(text))
