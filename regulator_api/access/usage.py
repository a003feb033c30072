"""Records that each caller took on a day (UTC): who copies the whole history away is stopped, and seen."""

from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.clock import NS_PER_S
from core.runtime.database import METADATA
from core.runtime.inserts import insert_if_absent
from core.runtime.web import Problem

DAY_S: Final = 86_400

usage = sa.Table(
    "regulator_usage",
    METADATA,
    sa.Column("caller", sa.String(256), primary_key=True),
    sa.Column("day", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("records", sa.BigInteger, nullable=False),
)
"""`day` counts days since the Unix epoch."""

TABLES: Final = (usage,)


class _Listing(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw] | None = None


def records_in(body: bytes) -> int:
    """Return how many records an answer has: its items, or one."""
    try:
        items = msgspec.json.decode(body, type=_Listing).items
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 1
    return 1 if items is None else len(items)


_PLACE: Final = (
    usage.c.caller == sa.bindparam("of_caller"),
    usage.c.day == sa.bindparam("of_day"),
)
_TAKEN: Final = sa.select(usage.c.records).where(*_PLACE)
_TAKE: Final = (
    sa.update(usage).where(*_PLACE).values(records=usage.c.records + sa.bindparam("more")).returning(usage.c.records)
)


def taken(connection: Connection, caller: str, now_ns: int) -> int:
    """Return how many records the caller has taken today."""
    found = connection.execute(_TAKEN, {"of_caller": caller, "of_day": day_of(now_ns)}).scalar()
    return int(found or 0)


def take(connection: Connection, caller: str, records: int, now_ns: int) -> int:
    """Count records of today. Return how many the caller has taken with these."""
    asked = {"of_caller": caller, "of_day": day_of(now_ns), "more": records}
    found = connection.execute(_TAKE, asked).scalar()
    if found is None:
        insert_if_absent(connection, usage, caller=caller, day=asked["of_day"], records=0)
        found = connection.execute(_TAKE, asked).scalar_one()
    return int(found)


def refuse_beyond(count: int, most: int, now_ns: int) -> None:
    """Raise a 429 `Problem` if the caller has taken what it may take on one day."""
    if count < most:
        return
    wait_s = DAY_S - now_ns // NS_PER_S % DAY_S
    raise Problem(
        429,
        "record-limit",
        "Too many records",
        f"You have taken {count} records today, at most {most} are given on one day (UTC): wait, or ask the operator.",
        headers={"Retry-After": str(wait_s)},
        retry_after_s=wait_s,
    )


def day_of(now_ns: int) -> int:
    """Return the day of a moment, counted from the Unix epoch."""
    return now_ns // NS_PER_S // DAY_S
