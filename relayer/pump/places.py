"""The places of our own locks, written down before they are signed. Plain functions over a `Connection`."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError
from core.model.types import ChainId, LockId, SwapId
from relayer.pump.promises import one_at_a_time
from relayer.pump.tables import relayer_locks, relayer_swaps

_LOCK_PLACE: Final = sa.select(relayer_locks.c.lock_id).where(relayer_locks.c.swap_id == sa.bindparam("of_swap"))
_PLACES_TAKEN: Final = (
    sa.select(relayer_locks.c.lock_id, relayer_locks.c.swap_id)
    .join(relayer_swaps, relayer_swaps.c.swap_id == relayer_locks.c.swap_id)
    .where(relayer_locks.c.chain == sa.bindparam("on_chain"), ~relayer_swaps.c.done)
)
MOST_USED: Final = 4_096
"""How many ended swaps count whose places a chain should not name again: an EVM lane names one after 65,536 uses."""
_NEWEST_ENDED: Final = (
    sa.select(relayer_swaps.c.swap_id)
    .where(relayer_swaps.c.done)
    .order_by(relayer_swaps.c.created_ns.desc())
    .limit(MOST_USED)
)
_PLACES_USED: Final = sa.select(relayer_locks.c.lock_id).where(
    relayer_locks.c.swap_id.in_(_NEWEST_ENDED), relayer_locks.c.chain == sa.bindparam("on_chain")
)
_TAKE_PLACE: Final = sa.insert(relayer_locks)
_AT_PLACE: Final = (
    sa.select(relayer_locks.c.swap_id, relayer_swaps.c.done)
    .join(relayer_swaps, relayer_swaps.c.swap_id == relayer_locks.c.swap_id)
    .where(relayer_locks.c.chain == sa.bindparam("on_chain"), relayer_locks.c.lock_id == sa.bindparam("place"))
    .order_by(relayer_swaps.c.done)
)


def lock_place(connection: Connection, swap_id: SwapId) -> LockId | None:
    """The place that was written down for our lock of this swap."""
    found = connection.execute(_LOCK_PLACE, {"of_swap": swap_id}).scalar()
    return None if found is None else LockId(found)


def places_taken(connection: Connection, chain: ChainId) -> set[LockId]:
    """Places of our locks in open swaps on this chain: what the chain itself may not show yet."""
    return {LockId(row.lock_id) for row in connection.execute(_PLACES_TAKEN, {"on_chain": chain})}


def places_used(connection: Connection, chain: ChainId) -> set[LockId]:
    """Places on this chain at which locks of the newest ended swaps have stood: what an endpoint that lies, or lags,
    does not show."""
    return {LockId(row.lock_id) for row in connection.execute(_PLACES_USED, {"on_chain": chain})}


def take_place(connection: Connection, swap_id: SwapId, chain: ChainId, lock_id: LockId) -> LockId:
    """Write a place down; answers the one that is written down already if there is one.

    Raise `ConflictError` if another open swap has it, or a lock of ours stood there not long ago: ask the chain for
    another place.
    """
    one_at_a_time(connection)
    if (known := lock_place(connection, swap_id)) is not None:
        return known
    former = connection.execute(_AT_PLACE, {"on_chain": chain, "place": lock_id}).first()
    if former is not None and (not former.done or lock_id in places_used(connection, chain)):
        raise ConflictError(f"the place {lock_id} is, or was not long ago, that of swap {former.swap_id}")
    connection.execute(_TAKE_PLACE, {"swap_id": swap_id, "chain": chain, "lock_id": lock_id})
    return lock_id
