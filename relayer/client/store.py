"""The initiator's preimages, which must never be lost, and the swaps they are for. One SQLite file, mode 0600.

A preimage is stored before anything is agreed under its hashlock. It leaves this file for one place only: the claim on
chain. The same database holds the journal, the outbox and the signed transactions of the swaps that were begun.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, NotFoundError, RejectedError
from core.model.types import AccountId, Hashlock, Preimage, SwapId
from core.runtime import journal
from core.runtime.columns import Bytes32
from core.runtime.database import Database, InlineDatabase, SqliteDatabase, create_missing, create_schema
from core.runtime.files import FileLock, make_directory, sync_directory
from htlc.model import Agreement
from indexer import tables as indexer_tables
from relayer.api import wire
from relayer.api.bodies import QuoteBody
from relayer.provider.quoting import Quote, quote_bytes
from relayer.pump import set_aside, tables
from relayer.pump.standing import accounts_in_use
from relayer.transactions import records as transaction_tables

FILE_MODE: Final = 0o600
_SIBLINGS: Final = ("", "-wal", "-shm")

# Apart from the house's metadata: a relayer's own database has no room for preimages.
METADATA: Final = sa.MetaData()
client_swaps = sa.Table(
    "client_swaps",
    METADATA,
    sa.Column("quote_id", sa.Text, primary_key=True),
    sa.Column("hashlock", Bytes32, nullable=False, unique=True),
    sa.Column("preimage", Bytes32, nullable=False),
    sa.Column("quote", sa.LargeBinary, nullable=False),
    sa.Column("swap_id", sa.Text, unique=True),
    sa.Column("agreement", sa.LargeBinary),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
)
_SWAP: Final = sa.select(client_swaps).where(client_swaps.c.swap_id == sa.bindparam("of_swap"))


@dataclass(frozen=True, slots=True)
class ClientSwap:
    """An agreement that was checked. Nothing is locked before `SwapClient.run` or `lock`."""

    id: SwapId
    quote: Quote = field(repr=False)
    agreement: Agreement = field(repr=False)

    @property
    def hashlock(self) -> Hashlock:
        return self.agreement.hashlock


class SwapStore:
    """The client's memory over any database; `SwapStore.file` opens one of its own.

    A file is for one process at a time, from `prepare` to `release`: what is in it is also kept in memory.
    """

    def __init__(self, database: Database, lock: FileLock | None = None) -> None:
        self.database = database
        self._lock = lock

    @classmethod
    def file(cls, path: Path) -> "SwapStore":
        """The store in `path`, readable by this user alone. Raise `FatalError` if that cannot be had."""
        try:
            make_directory(path.parent)
            # A file that is there is not opened: closing it would cancel the locks that this process has on it
            # (sqlite.org/howtocorrupt.html, 2.2).
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
            sync_directory(path.parent)
            for sibling in (path.with_name(path.name + suffix) for suffix in _SIBLINGS):
                if sibling.exists():
                    sibling.chmod(FILE_MODE)
        except OSError as error:
            raise FatalError(f"cannot keep preimages in {path}: {error.strerror}") from error
        return cls(SqliteDatabase(path.absolute()), FileLock(path.absolute()))

    @classmethod
    def in_memory(cls) -> "SwapStore":
        """Forgets everything with the process: for tests and simulations."""
        return cls(InlineDatabase())

    async def prepare(self) -> None:
        """Take the file for this process, and create what is missing in it.

        Raise `ConflictError` with the process that has the file, if another one does.
        """
        if self._lock is not None:
            self._lock.take("one client at a time works on a store; wait until it has ended, or use another store")

        def create(connection: Connection) -> None:
            own = (*journal.TABLES, *tables.TABLES, *set_aside.TABLES, *transaction_tables.TABLES)
            create_schema(connection, (*indexer_tables.TABLES, *own))
            create_missing(connection, METADATA)

        await self.database.write(create)

    async def check_accounts(self, accounts: Collection[AccountId]) -> None:
        """Raise `RejectedError` if an open swap was begun with an account that is not among these."""
        for account, count in (await self.database.read(accounts_in_use)).items():
            if account not in accounts:
                raise RejectedError(
                    f"{count} open swap(s) of this store were begun with {account}: open it with that account's key "
                    "until they are done, or use another store"
                )

    def release(self) -> None:
        """Let go of the file; `prepare` takes it again. Nothing may run on it any more."""
        if self._lock is not None:
            self._lock.release()

    async def close(self) -> None:
        await self.database.close()
        self.release()

    async def remember(self, quote: Quote, fresh: Preimage, now_ns: int) -> Preimage:
        """Store a preimage for this quote, durably; answers the one that was stored before if there is one.

        Raise `ConflictError` for another quote of a name that is in the store: the relayer chooses names, and by one
        that it gave before an older price would be locked.
        """
        values = {
            "quote_id": quote.id,
            "hashlock": fresh.hashlock(),
            "preimage": fresh.expose(),
            "quote": msgspec.json.encode(wire.quote_body(quote)),
            "created_ns": now_ns,
        }

        def store(connection: Connection) -> Preimage:
            query = sa.select(client_swaps.c.preimage, client_swaps.c.quote).where(client_swaps.c.quote_id == quote.id)
            if (known := connection.execute(query).one_or_none()) is not None:
                if quote_bytes(_quote(known.quote)) != quote_bytes(quote):
                    raise ConflictError("the relayer gave this quote the name of another one: ask for a new quote")
                return Preimage(known.preimage)
            connection.execute(sa.insert(client_swaps).values(values))
            return fresh

        return await self.database.write(store)

    async def agree(self, quote: Quote, agreement: Agreement) -> ClientSwap:
        """Store a checked agreement; again is harmless, and answers the first."""

        def store(connection: Connection) -> ClientSwap:
            table = client_swaps
            row = connection.execute(sa.select(table).where(table.c.quote_id == quote.id)).one()
            if row.agreement is not None:
                return _swap(row)
            values = {"swap_id": agreement.swap_id, "agreement": msgspec.json.encode(agreement)}
            connection.execute(sa.update(table).where(table.c.quote_id == quote.id).values(values))
            return ClientSwap(agreement.swap_id, quote, agreement)

        return await self.database.write(store)

    async def swap(self, swap_id: SwapId) -> ClientSwap:
        """Raise `NotFoundError`."""
        row = await self.database.read(lambda c: c.execute(_SWAP, {"of_swap": swap_id}).one_or_none())
        if row is None:
            raise NotFoundError(f"this client has no swap {swap_id[:64]!r}")
        return _swap(row)

    async def swaps(self) -> list[ClientSwap]:
        """Every agreement, the oldest first."""
        query = sa.select(client_swaps).where(client_swaps.c.agreement.is_not(None)).order_by(client_swaps.c.created_ns)
        return [_swap(row) for row in await self.database.read(lambda c: c.execute(query).all())]

    async def preimages(self) -> dict[Hashlock, Preimage]:
        query = sa.select(client_swaps.c.hashlock, client_swaps.c.preimage)
        rows = await self.database.read(lambda c: c.execute(query).all())
        return {Hashlock(row.hashlock): Preimage(row.preimage) for row in rows}


class Preimages:
    """The executor's vault: what is in the store, at hand without a database."""

    def __init__(self) -> None:
        self._known: dict[Hashlock, Preimage] = {}

    def add(self, *preimages: Preimage) -> None:
        self._known.update({preimage.hashlock(): preimage for preimage in preimages})

    def preimage(self, hashlock: Hashlock) -> Preimage:
        """Raise `NotFoundError`."""
        if hashlock not in self._known:
            raise NotFoundError("no preimage under this hashlock in this client's store")
        return self._known[hashlock]


def _quote(stored: bytes) -> Quote:
    try:
        return wire.quote_from(msgspec.json.decode(stored, type=QuoteBody))
    except msgspec.MsgspecError as error:
        raise FatalError(f"a stored quote cannot be read: {error}") from error


def _swap(row: Any) -> ClientSwap:
    quote = _quote(row.quote)
    try:
        return ClientSwap(SwapId(row.swap_id), quote, msgspec.json.decode(row.agreement, type=Agreement))
    except msgspec.MsgspecError as error:
        raise FatalError(f"a stored swap cannot be read: {error}") from error
