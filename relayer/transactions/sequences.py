"""Which sequence the next transaction takes, and which ones nothing will use any more. Over a `Connection`."""

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AccountId, ChainId
from relayer.transactions import accounts
from relayer.transactions.records import GIVEN_UP, SETTLED, TransactionStatus, relayer_transactions

MAX_GAPS: Final = 64


def free_sequence(
    connection: Connection,
    chain: ChainId,
    account: AccountId,
    at_least: int = 0,
    *,
    exits: bool = True,
    doubted: Collection[int] = (),
) -> int:
    """The sequence that the next transaction should take: one that was given up, so that no gap stays, or a new one.

    `at_least` is what the chain counts: nothing below it can be mined any more. `exits`: it is for an exit. Nothing
    else takes the sequence of a refused exit, whose bytes some node may still mine: a lock would fall out of its swap
    by that. If no exit takes it, it is filled. `doubted`: sequences that are not to be taken yet.
    """
    for sequence in _given_up(connection, chain, account, exits):
        if sequence in doubted:
            continue
        if sequence >= at_least and not accounts.is_foreign(connection, chain, account, sequence):
            return sequence
    return accounts.next_sequence(connection, chain, account)


def _given_up(connection: Connection, chain: ChainId, account: AccountId, exits: bool) -> list[int]:
    """Sequences whose every transaction was refused or has expired, in order; unless it is for `exits`, without those
    of refused exits."""
    asked = {"of_chain": chain, "of_account": account}
    return list(connection.execute(_GIVEN_UP_FOR_EXITS if exits else _GIVEN_UP_FOR_LOCKS, asked).scalars())


def _sequences_given_up(exits: bool) -> sa.Select[Any]:
    table, other = relayer_transactions, relayer_transactions.alias()
    taken: sa.ColumnElement[bool] = other.c.status.not_in(GIVEN_UP)
    if not exits:
        taken |= other.c.exits & (other.c.status == TransactionStatus.REFUSED)
    taken_by_another = sa.exists().where(
        other.c.chain == table.c.chain,
        other.c.account == table.c.account,
        other.c.sequence == table.c.sequence,
        taken,
    )
    of_account = table.c.chain == sa.bindparam("of_chain"), table.c.account == sa.bindparam("of_account")
    query = sa.select(table.c.sequence).distinct().where(*of_account, table.c.status.in_(GIVEN_UP), ~taken_by_another)
    return query.order_by(table.c.sequence)


_GIVEN_UP_FOR_EXITS: Final = _sequences_given_up(exits=True)
_GIVEN_UP_FOR_LOCKS: Final = _sequences_given_up(exits=False)


def gaps(
    connection: Connection, chain: ChainId, account: AccountId, first: int, end: int, *, undone: bool = False
) -> list[int]:
    """Sequences from `first` up to, and without, `end` that nothing of ours will use, and nobody else has used.

    `undone`: also those of transactions that were settled, and of uses by somebody else. Nobody sends these again, so
    that if the chain does not count them any more, whatever stands behind them waits for ever.
    """
    table, unused = relayer_transactions, (*GIVEN_UP, *SETTLED) if undone else GIVEN_UP
    query = (
        sa.select(table.c.sequence)
        .distinct()
        .where(
            table.c.chain == chain,
            table.c.account == account,
            table.c.sequence >= first,
            table.c.sequence < end,
            table.c.status.not_in(unused),
        )
    )
    taken = set(connection.execute(query).scalars())
    return [
        sequence
        for sequence in range(first, min(end, first + MAX_GAPS))
        if sequence not in taken and (undone or not accounts.is_foreign(connection, chain, account, sequence))
    ]
