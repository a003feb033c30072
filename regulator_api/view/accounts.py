"""One account: since when it moves value, what it holds, and with whom it deals."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from core.model.types import AccountId, AssetId, chain_of
from core.runtime.web import after_named, key_values
from indexer import tables
from indexer.moves import Direction, Move, MoveKey, MoveKind
from indexer.projections.moves import NOBODY, account_number, key_columns, move_of, select_moves
from regulator_api.reading.figures import Counterparty, Dealing, added_up
from regulator_api.view.base import View

MAX_ASSETS: Final = 500
"""Assets of a chain that are looked at for an account's balances."""
MAX_COUNTED: Final = 20_000
"""Moves of an account that its counterparties are added up from, the newest first."""


_ASSET, _BALANCE = tables.assets.c, tables.balances.c
_BALANCES: Final = (
    sa.select(
        _ASSET.asset,
        sa.select(_BALANCE.balance)
        .where(
            _BALANCE.asset == _ASSET.asset,
            _BALANCE.account == sa.bindparam("of_account"),
            _BALANCE.height <= sa.bindparam("up_to"),
        )
        .order_by(_BALANCE.height.desc())
        .limit(1)
        .correlate(tables.assets)
        .scalar_subquery()
        .label("balance"),
    )
    .where(_ASSET.chain == sa.bindparam("of_chain"))
    .order_by(_ASSET.asset)
    .limit(MAX_ASSETS + 1)
)


@dataclass(frozen=True, slots=True)
class Balance:
    """Base units of an asset; of native coins the sum of indexed payments, which is not a balance."""

    asset: AssetId
    amount: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Counterparties by the number of their moves. `whole` is false if there are older moves than were added up."""

    items: list[Counterparty] = field(default_factory=list)
    moves: int = 0
    whole: bool = True


def _history(view: View, newest_first: bool, behind: bool = False) -> sa.Select[Any]:
    """The moves of the account numbered `of_account`, at most `most`, and behind a key if that is asked for."""
    return _plain_history(newest_first, behind) if view.plain else _ordered(view.few.moves(), newest_first, behind)


@lru_cache(maxsize=4)
def _plain_history(newest_first: bool, behind: bool) -> sa.Select[Any]:
    return _ordered(select_moves(), newest_first, behind)


def _ordered(query: sa.Select[Any], newest_first: bool, behind: bool) -> sa.Select[Any]:
    moves = tables.moves.c
    query = query.where(moves.account_id == sa.bindparam("of_account"), moves.kind != MoveKind.COVERED)
    if behind:
        query = query.where(after_named(key_columns(), descending=newest_first))
    query = query.order_by(*(column.desc() if newest_first else column for column in key_columns()))
    return query.limit(sa.bindparam("most", type_=sa.Integer))


def list_moves(view: View, account: AccountId, limit: int, before: MoveKey | None = None) -> list[Move]:
    """Return the account's moves, the newest first, at most `limit`, behind `before`."""
    number = account_number(view.connection, account) or NOBODY
    key = None if before is None else (*before[:-1], before.direction.value)
    values = {"of_account": number, "most": limit, **key_values(key_columns(), key)}
    query = _history(view, newest_first=True, behind=key is not None)
    return [move_of(row) for row in view.connection.execute(query, values)]


def span(view: View, account: AccountId) -> tuple[Move, Move] | None:
    """Return the first and the last move of the account, None if there are none for this caller."""
    number = account_number(view.connection, account) or NOBODY
    asked = {"of_account": number, "most": 1}
    first, last = (view.connection.execute(_history(view, newest), asked).first() for newest in (False, True))
    return None if first is None or last is None else (move_of(first), move_of(last))


def balances_of(view: View, account: AccountId) -> tuple[list[Balance], bool]:
    """Return what the account holds as of the view's moment, by asset, and true if every asset was looked at."""
    chain = chain_of(account)
    block = view.as_of.blocks.get(chain)
    if block is None or not view.sees([account]):
        return [], True
    asked = {"of_chain": chain, "of_account": account, "up_to": block.height}
    rows = view.connection.execute(_BALANCES, asked).all()
    found = [Balance(AssetId(row.asset), int(row.balance)) for row in rows[:MAX_ASSETS] if row.balance is not None]
    return [one for one in found if one.amount], len(rows) <= MAX_ASSETS


def counterparties(view: View, account: AccountId, since_s: int | None, until_s: int | None) -> Counted:
    """Add up with whom the account dealt, by asset, over its newest `MAX_COUNTED` moves of that time."""
    dealt, whole = dealings(view, account, since_s, until_s)
    return Counted(added_up(dealt), len(dealt), whole)


def dealings(view: View, account: AccountId, since_s: int | None, until_s: int | None) -> tuple[list[Dealing], bool]:
    """Return the account's newest `MAX_COUNTED` moves of that time, the newest first, and true if these are all."""
    number = account_number(view.connection, account) or NOBODY
    moves = tables.moves.c
    query = _history(view, newest_first=True)
    if since_s is not None:
        query = query.where(moves.time_s >= since_s)
    if until_s is not None:
        query = query.where(moves.time_s <= until_s)
    rows = view.connection.execute(query, {"of_account": number, "most": MAX_COUNTED + 1}).all()
    found = [
        Dealing(row.time_s, "in" if row.direction == Direction.IN else "out", row.other, row.asset, row.amount)
        for row in rows[:MAX_COUNTED]
    ]
    return found, len(rows) <= MAX_COUNTED


def accounts_named(view: View, names: Sequence[str]) -> list[AccountId]:
    """Return those of these accounts of which the caller sees a move. Each is looked for, there or not."""
    return [AccountId(one) for one in sorted(names) if span(view, AccountId(one)) is not None]
