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


def taken(connection: Connection, caller: str, now_ns: int) -> int:
    """Return how many records the caller has taken today."""
    query = sa.select(usage.c.records).where(usage.c.caller == caller, usage.c.day == _day(now_ns))
    return int(connection.execute(query).scalar() or 0)


def take(connection: Connection, caller: str, records: int, now_ns: int) -> None:
    """Count records of today."""
    place = {"caller": caller, "day": _day(now_ns)}
    insert_if_absent(connection, usage, **place, records=0)
    connection.execute(
        sa.update(usage)
        .where(usage.c.caller == caller, usage.c.day == place["day"])
        .values(records=usage.c.records + records)
    )


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


def _day(now_ns: int) -> int:
    return now_ns // NS_PER_S // DAY_S
