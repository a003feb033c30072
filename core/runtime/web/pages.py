"""Keyset pages: a list goes on behind the last row that was seen, so that rows that arrive meanwhile shift nothing.

The cursor in `next` carries that row's sort key, sealed with HMAC-SHA-256: callers cannot make one up, nor use
one list's cursor on another.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from core.model.errors import RejectedError

T = TypeVar("T")

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200
MAX_CURSOR_CHARS: Final = 1_024
_SEAL_BYTES: Final = 16

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE, description="Rows of a page.")]
Cursor = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_CURSOR_CHARS,
        description="`next` of the page before, as it was given.",
        extra_json_schema={"pattern": "^[A-Za-z0-9_-]+$"},
    ),
]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a paged list; inherit from it to add filters."""

    limit: Limit = DEFAULT_PAGE
    cursor: Cursor | None = None


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page. `next` is absent on the last one."""

    items: list[T]
    next: Cursor | None = None


class PageCursors:
    """Makes and opens cursors. `key` is secret (at least 16 bytes) and lives as long as cursors shall be accepted."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("the key that seals cursors has at least 16 bytes")
        self._key = key

    def seal(self, listing: str, sort_key: Sequence[str | int | bytes]) -> str:
        """A cursor of the list called `listing` that stands behind the row with this sort key."""
        body = msgspec.msgpack.encode(list(sort_key))
        return base64.urlsafe_b64encode(self._seal(listing, body) + body).rstrip(b"=").decode()

    def open(self, listing: str, cursor: str | None) -> list[Any] | None:
        """The sort key in `cursor`, None for the first page. Raise `RejectedError` for one that we did not make."""
        if cursor is None:
            return None
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        seal, body = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(listing, body)):
            raise RejectedError(
                "this cursor belongs to another list: take `next` of a page of this one, or begin again"
            )
        return msgspec.msgpack.decode(body, type=list[Any])

    def page(self, listing: str, rows: Sequence[T], limit: int, sort_key: Any) -> Page[T]:
        """A page of the first `limit` of `rows`, which were asked for with a limit of one more.

        `sort_key(row)` is the sequence of values that the list is sorted by.
        """
        items = list(rows[:limit])
        more = len(rows) > limit
        return Page(items=items, next=self.seal(listing, sort_key(items[-1])) if more else None)

    def _seal(self, listing: str, body: bytes) -> bytes:
        return hmac.digest(self._key, listing.encode() + b"\0" + body, hashlib.sha256)[:_SEAL_BYTES]


def after(
    columns: Sequence[sa.ColumnElement[Any]], sort_key: Sequence[Any] | None, descending: bool = False
) -> sa.ColumnElement[bool]:
    """The WHERE that begins behind `sort_key` in a list ordered by `columns`; true for the first page.

    `columns` together must be unique, and all ascend or all descend.
    """
    if sort_key is None:
        return sa.true()
    check_key(columns, sort_key)
    values = [sa.bindparam(None, value, type_=column.type) for column, value in zip(columns, sort_key, strict=True)]
    return _behind(columns, values, descending)


def after_named(columns: Sequence[sa.ColumnElement[Any]], descending: bool = False) -> sa.ColumnElement[bool]:
    """As `after`, for a statement that is made once: the sort key is given with each execution (`key_values`)."""
    values = [sa.bindparam(f"behind_{place}", type_=column.type) for place, column in enumerate(columns)]
    return _behind(columns, values, descending)


def key_values(columns: Sequence[Any], sort_key: Sequence[Any] | None) -> dict[str, Any]:
    """Return the values that an `after_named` of these columns takes, none for the first page."""
    if sort_key is None:
        return {}
    check_key(columns, sort_key)
    return {f"behind_{place}": value for place, value in enumerate(sort_key)}


def check_key(columns: Sequence[Any], sort_key: Sequence[Any]) -> None:
    """Raise `RejectedError` unless the key has a value for each column."""
    if len(sort_key) != len(columns):
        raise RejectedError("this cursor is of an older form of the list: begin again without one")


def _behind(
    columns: Sequence[sa.ColumnElement[Any]], values: Sequence[sa.ColumnElement[Any]], descending: bool
) -> sa.ColumnElement[bool]:
    row, bound = sa.tuple_(*columns), sa.tuple_(*values)
    return row < bound if descending else row > bound
