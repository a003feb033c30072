"""Column types whose values mean and sort the same in Python, SQLite and PostgreSQL."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from core.model.errors import require

UINT256_LIMIT: Final = 2**256


class Uint256(sa.types.TypeDecorator[int]):
    """An integer 0 ≤ n < 2**256, stored as 32 big-endian bytes: exact, and sorted by value on both databases.

    (SQLite's own integers end at 2**63.) SQL can compare, sort, min and max it; add up in Python. Raise `FatalError`
    for anything out of range: an amount that cannot be stored must not be rounded.
    """

    impl = sa.LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        require(
            type(value) is int and 0 <= value < UINT256_LIMIT,
            "an amount is an integer of at least 0 and below 2**256",
            value=repr(value),
        )
        return value.to_bytes(32, "big")

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int.from_bytes(value, "big")


class Bytes32(sa.types.TypeDecorator[bytes]):
    """Exactly 32 bytes: a hash, a hashlock, a public preimage. Raise `FatalError` for any other length."""

    impl = sa.LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        require(value is None or len(value) == 32, "this column holds exactly 32 bytes")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes(value)


class BytewiseText(sa.types.TypeDecorator[str]):
    """ASCII text that sorts by its bytes, as Python sorts it: PostgreSQL sorts its own text as the operating system's
    locale likes. Raise `UnicodeEncodeError` for other characters."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode("ascii")

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else bytes(value).decode("ascii")
