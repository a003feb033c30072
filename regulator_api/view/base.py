"""The two conditions, and the queries that carry them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import LockStatus
from core.model.types import AccountId
from indexer import tables
from indexer.projections.locks import LockRow
from indexer.projections.moves import OTHER, keepers, select_moves
from regulator_api.access.scope import Scope
from regulator_api.knowledge.tables import belongs, subjects_in
from regulator_api.view.moment import AsOf

CHUNK: Final = 200


class View:
    """The rows that one caller may see as of one moment. Conditions may be added to its queries, none is ever left
    out."""

    def __init__(self, connection: Connection, scope: Scope, moment: AsOf, few: bool = False) -> None:
        self.connection = connection
        self.as_of = moment
        self.scope = scope
        self.jurisdictions = scope.jurisdictions
        self.restricted = scope.jurisdictions is not None
        self._members: sa.CompoundSelect[tuple[str]] | None = None
        if scope.jurisdictions is not None:
            self._members = subjects_in(scope.jurisdictions, moment.known_ns)
        self._few = few
        self._keepers: frozenset[AccountId] | None = None

    @property
    def plain(self) -> bool:
        """True if nothing is left out for this caller and moment: statements that are made once serve then, which the
        database's connection prepares (`core.runtime.statements`)."""
        return not self.restricted and self.as_of.newest

    @property
    def few(self) -> "View":
        """The same rows, for queries by a key that few rows have: what the caller may not see costs them no more time
        than what is not there (`regulator_api.knowledge.tables.belongs`)."""
        return View(self.connection, self.scope, self.as_of, few=True)

    def seen(self, *parties: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The condition that one of these columns is an account that the caller may see."""
        if self._members is None or self.jurisdictions is None:
            return sa.true()
        if self._few:
            return sa.or_(*(belongs(party, self.jurisdictions, self.as_of.known_ns) for party in parties))
        return sa.or_(*(party.in_(self._members) for party in parties))

    def exists(self, chain: sa.ColumnElement[Any], height: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The condition that a row stands in a block that exists as of this moment."""
        if self.as_of.newest:
            return sa.true()
        until = [sa.and_(chain == one, height <= block.height) for one, block in sorted(self.as_of.blocks.items())]
        return sa.or_(sa.false(), *until)

    def events(self) -> sa.Select[Any]:
        """Events of the canonical chains that name a sender or a receiver."""
        of = tables.events.c
        query = sa.select(tables.events).where(of.canonical, self.exists(of.chain, of.height))
        return query if self._members is None else query.where(self.seen(of.sender, of.receiver))

    def moves(self) -> sa.Select[Any]:
        """Moves, for `indexer.projections.moves.move_of`."""
        of = tables.moves.c
        query = select_moves().where(self.exists(of.chain, of.height))
        return query if self._members is None else query.where(self.seen(tables.accounts.c.account, OTHER.c.account))

    def locks(self) -> sa.Select[Any]:
        """Locks as they are now, for `indexer.projections.locks.lock_row` and then `lock_as_of`."""
        of = tables.locks.c
        query = sa.select(tables.locks).where(self.exists(of.chain, of.lock_height))
        return query if self._members is None else query.where(self.seen(of.sender, of.receiver))

    def swaps(self) -> sa.Select[Any]:
        """Swaps as they are now, whose locks or agreed legs have a party that the caller may see."""
        query = sa.select(tables.swaps)
        if self._members is None:
            return query
        lock, leg = tables.locks.c, tables.agreement_legs.c
        locked = sa.select(lock.hashlock).where(
            lock.hashlock == tables.swaps.c.hashlock,
            self.exists(lock.chain, lock.lock_height),
            self.seen(lock.sender, lock.receiver),
        )
        agreed = sa.select(leg.swap_id).where(
            leg.swap_id == tables.swaps.c.swap_id, self.seen(leg.sender, leg.receiver)
        )
        # A swap without an agreement is its locks; agreed terms are seen by their own parties.
        return query.where(sa.or_(agreed.exists(), sa.and_(tables.swaps.c.agreed.is_(False), locked.exists())))

    def members(self, column: str) -> sa.Select[Any]:
        """That column of `indexer_accounts` for the accounts that the caller may see."""
        query = sa.select(tables.accounts.c[column])
        return query if self._members is None else query.where(tables.accounts.c.account.in_(self._members))

    def sees(self, parties: Iterable[AccountId]) -> bool:
        """Return true if the caller may see a row with these parties."""
        if self.jurisdictions is None:
            return True
        each = [belongs(party, self.jurisdictions, self.as_of.known_ns) for party in sorted(set(parties))]
        return bool(self.connection.execute(sa.select(sa.or_(sa.false(), *each))).scalar())

    def lock_as_of(self, lock: LockRow) -> LockRow | None:
        """Return the lock as it stood, None if it was not made yet."""
        if self.as_of.newest:
            return lock
        block = self.as_of.blocks.get(lock.chain)
        if block is None or lock.locked.height > block.height:
            return None
        if lock.settled is not None and lock.settled.height > block.height:
            return replace(lock, status=LockStatus.LOCKED, settled=None, preimage=None)
        return lock

    def keepers(self) -> frozenset[AccountId]:
        """The accounts that keep locks: value passes through them."""
        if self._keepers is None:
            self._keepers = keepers(self.connection)
        return self._keepers
