"""Promises as they stand in the rows of open swaps: what each may cost us, and what it reserves.

The formulas over them are in `relayer.inventory`. Plain functions over a `Connection`.
"""

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AccountId, AssetId, BaseUnits, ChainId, SwapId
from htlc.model import Phase, Role
from relayer.inventory import Promise
from relayer.pump.tables import EVENTS_OF_NOTHING, relayer_swaps

INVENTORY_LOCK: Final = 0x6361_7573_6577_6180
"""PostgreSQL's advisory lock of whoever judges what is free, or free places, until they have written and committed."""

_S: Final = relayer_swaps.c
_PROMISES: Final = sa.select(relayer_swaps).where(~_S.done, _S.own_asset.is_not(None)).order_by(_S.created_ns)
_PROMISE: Final = _PROMISES.where(_S.swap_id == sa.bindparam("of_swap"))


def one_at_a_time(connection: Connection) -> None:
    """Wait until nobody else who called this has an open transaction, so that all of them see each other's rows.

    SQLite has one writer anyway; PostgreSQL's READ COMMITTED would let two openings see the same free inventory.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(INVENTORY_LOCK)))


def of_open_swaps(connection: Connection) -> list[Promise]:
    """All open swaps in which we fund a leg."""
    return [_promise(row) for row in connection.execute(_PROMISES)]


def of_swap(connection: Connection, swap_id: SwapId) -> Promise | None:
    """Return the most that one swap may cost us; None if it is done, or if we fund no leg of it."""
    row = connection.execute(_PROMISE, {"of_swap": swap_id}).one_or_none()
    return None if row is None else _promise(row)


def _promise(row: Any) -> Promise:
    return Promise(
        swap_id=SwapId(row.swap_id),
        asset=AssetId(row.own_asset),
        amount=BaseUnits(row.own_amount),
        timelock_s=row.own_timelock,
        counterparties=frozenset({AccountId(row.initiator_sender), AccountId(row.initiator_receiver)}),
        funded=row.own_funded,
        chains=frozenset({ChainId(row.initiator_chain), ChainId(row.participant_chain)}),
        locked=row.phase != Phase.AGREED,
        caller=row.caller,
        hold_until_ns=row.hold_until_ns,
        reserved_ns=row.created_ns if row.reserved_ns is None else row.reserved_ns,
        proven=row.proven,
        verified=row.verified,
        account=AccountId(row.initiator_sender),
        given_asset=None if row.given_asset is None else AssetId(row.given_asset),
        given_amount=row.given_amount or 0,
    )


def lapses(connection: Connection, account: AccountId, since_ns: int, now_ns: int) -> int:
    """How many holds of this account ended since then without a lock.

    A lock that came late all the same is not counted: by then the swap has had more events.
    """
    table = relayer_swaps
    query = sa.select(sa.func.count()).where(
        table.c.initiator_sender == account,
        table.c.proven,
        table.c.role == Role.LIQUIDITY_PROVIDER,
        table.c.phase.in_((Phase.AGREED, Phase.ABANDONED)),
        table.c.version <= EVENTS_OF_NOTHING,
        table.c.hold_until_ns >= since_ns,
        table.c.hold_until_ns < now_ns,
    )
    return int(connection.execute(query).scalar_one())


def end_holds(connection: Connection, swap_ids: Collection[SwapId], now_ns: int) -> int:
    """Let go of what these swaps reserve, if no lock of theirs was seen yet; return how many did."""
    table = relayer_swaps
    waiting = table.c.swap_id.in_(swap_ids) & (table.c.phase == Phase.AGREED) & (table.c.hold_until_ns >= now_ns)
    return connection.execute(sa.update(table).where(waiting).values(hold_until_ns=now_ns - 1)).rowcount
