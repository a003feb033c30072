"""Promises as they stand in the rows of open swaps: what each may cost us, and what it reserves.

The formulas over them are in `relayer.inventory`. Plain functions over a `Connection`.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AccountId, AssetId, BaseUnits, ChainId, SwapId
from htlc.model import Phase, Role
from relayer.inventory import Promise
from relayer.pump.tables import EVENTS_OF_NOTHING, relayer_swaps
from relayer.transactions import records

INVENTORY_LOCK: Final = 0x6361_7573_6577_6180
"""PostgreSQL's advisory lock of whoever judges what is free, or free places, until they have written and committed."""
PROMISES_KEPT: Final = 2_048
"""Rows whose promises are remembered: all open swaps are looked at for each opening and each lock, and few change."""

_S: Final = relayer_swaps.c
_COLUMNS: Final = (
    _S.swap_id,
    _S.own_asset,
    _S.own_amount,
    _S.own_timelock,
    _S.initiator_sender,
    _S.initiator_receiver,
    _S.own_funded,
    _S.initiator_chain,
    _S.participant_chain,
    _S.phase,
    _S.caller,
    _S.hold_until_ns,
    _S.created_ns,
    _S.reserved_ns,
    _S.proven,
    _S.verified,
    _S.given_asset,
    _S.given_amount,
    _S.initiator_payer,
    _S.participant_payer,
)
_PROMISES: Final = sa.select(*_COLUMNS).where(~_S.done, _S.own_asset.is_not(None)).order_by(_S.created_ns)
_ON_CHAIN: Final[sa.BindParameter[Any]] = sa.bindparam("on_chain")
_BY_ACCOUNT: Final[sa.BindParameter[Any]] = sa.bindparam("by_account")
_LOCKED_ON: Final = (
    sa.select(sa.func.count())
    .select_from(relayer_swaps)
    .where(
        ~_S.done,
        _S.own_asset.is_not(None),
        ((_S.initiator_chain == _ON_CHAIN) & (sa.func.coalesce(_S.initiator_payer, _BY_ACCOUNT) == _BY_ACCOUNT))
        | ((_S.participant_chain == _ON_CHAIN) & (sa.func.coalesce(_S.participant_payer, _BY_ACCOUNT) == _BY_ACCOUNT)),
        _S.own_funded | (_S.phase != Phase.AGREED) | _S.swap_id.in_(sa.bindparam("more", expanding=True)),
    )
)
_LAPSES: Final = (
    sa.select(sa.func.count())
    .select_from(relayer_swaps)
    .where(
        _S.initiator_sender == sa.bindparam("of_account"),
        _S.proven,
        _S.role == Role.LIQUIDITY_PROVIDER,
        _S.phase.in_((Phase.AGREED, Phase.ABANDONED)),
        _S.version <= EVENTS_OF_NOTHING,
        _S.hold_until_ns >= sa.bindparam("since_ns"),
        _S.hold_until_ns < sa.bindparam("now_ns"),
    )
)
_PROMISE: Final = _PROMISES.where(_S.swap_id == sa.bindparam("of_swap"))


def one_at_a_time(connection: Connection) -> None:
    """Wait until nobody else who called this has an open transaction, so that all of them see each other's rows.

    SQLite has one writer anyway; PostgreSQL's READ COMMITTED would let two openings see the same free inventory.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(INVENTORY_LOCK)))


def of_open_swaps(connection: Connection) -> list[Promise]:
    """All open swaps in which we fund a leg, and the operator's withdrawals that no block has yet."""
    return [*(_promise(*row) for row in connection.execute(_PROMISES)), *_withdrawals(connection)]


def _withdrawals(connection: Connection) -> list[Promise]:
    return [
        Promise(
            swap_id=SwapId(key),
            asset=asset,
            amount=BaseUnits(amount),
            timelock_s=0,
            counterparties=frozenset(),
            funded=False,
            chains=frozenset(),
            reserved_ns=signed_ns,
            verified=True,
            leaves=True,
            payers=frozenset({account}),
        )
        for key, signed_ns, account, asset, amount in records.leaving(connection)
    ]


def locked_on(connection: Connection, chain: ChainId, account: AccountId, more: Collection[SwapId] = ()) -> int:
    """Count the open swaps on this chain, of this account of ours, in which we fund a leg and anything is locked, and
    those `more`, in which it is about to be."""
    asked = {"on_chain": chain, "by_account": account, "more": list(more)}
    return int(connection.execute(_LOCKED_ON, asked).scalar_one())


def of_swap(connection: Connection, swap_id: SwapId) -> Promise | None:
    """Return the most that one swap may cost us; None if it is done, or if we fund no leg of it."""
    row = connection.execute(_PROMISE, {"of_swap": swap_id}).one_or_none()
    return None if row is None else _promise(*row)


@lru_cache(PROMISES_KEPT)
def _promise(
    swap_id: str,
    own_asset: str,
    own_amount: int,
    own_timelock: int,
    initiator_sender: str,
    initiator_receiver: str,
    own_funded: bool,
    initiator_chain: str,
    participant_chain: str,
    phase: str,
    caller: str | None,
    hold_until_ns: int | None,
    created_ns: int,
    reserved_ns: int | None,
    proven: bool,
    verified: bool,
    given_asset: str | None,
    given_amount: int | None,
    initiator_payer: str | None,
    participant_payer: str | None,
) -> Promise:
    """The columns of `_COLUMNS`, in their order."""
    return Promise(
        swap_id=SwapId(swap_id),
        asset=AssetId(own_asset),
        amount=BaseUnits(own_amount),
        timelock_s=own_timelock,
        counterparties=frozenset({AccountId(initiator_sender), AccountId(initiator_receiver)}),
        funded=own_funded,
        chains=frozenset({ChainId(initiator_chain), ChainId(participant_chain)}),
        locked=phase != Phase.AGREED,
        caller=caller,
        hold_until_ns=hold_until_ns,
        reserved_ns=created_ns if reserved_ns is None else reserved_ns,
        proven=proven,
        verified=verified,
        account=AccountId(initiator_sender),
        given_asset=None if given_asset is None else AssetId(given_asset),
        given_amount=given_amount or 0,
        payers=frozenset(AccountId(payer) for payer in (initiator_payer, participant_payer) if payer is not None),
    )


def lapses(connection: Connection, account: AccountId, since_ns: int, now_ns: int) -> int:
    """How many holds of this account ended since then without a lock.

    A lock that came late all the same is not counted: by then the swap has had more events.
    """
    return int(
        connection.execute(_LAPSES, {"of_account": account, "since_ns": since_ns, "now_ns": now_ns}).scalar_one()
    )


def end_holds(connection: Connection, swap_ids: Collection[SwapId], now_ns: int) -> int:
    """Let go of what these swaps reserve, if no lock of theirs was seen yet; return how many did."""
    table = relayer_swaps
    waiting = table.c.swap_id.in_(swap_ids) & (table.c.phase == Phase.AGREED) & (table.c.hold_until_ns >= now_ns)
    return connection.execute(sa.update(table).where(waiting).values(hold_until_ns=now_ns - 1)).rowcount
