"""Contracts that events came from: what they are, since when and until when they were heard of, and how often.

Which contract logged an event, most events say by themselves; those of locks do not, as a chain has one HTLC. Which one
that is, from which block on, is reported (`report_holder`) and stays: a rebuild counts as before.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, ChainEvent, Claimed, ContractEvent, Locked, Refunded, Transferred
from core.model.types import AccountId, AssetId, ChainId, Height, address_of, chain_of
from core.runtime.inserts import insert_if_absent
from indexer.projections.heights import LOWEST, OF_CHAIN
from indexer.tables import asset_reports, contract_reports, contracts, cursors, htlc_reports
from indexer.writing import hold_projections, insert_many

CHUNK: Final = 500
MAX_NAME_CHARS: Final = 128
_TOKEN: Final = "/erc20:"
_HOLDERS: Final = (
    sa.select(htlc_reports.c.since_height, htlc_reports.c.contract)
    .where(htlc_reports.c.chain == sa.bindparam("of_chain"))
    .order_by(htlc_reports.c.since_height)
)
_FORGET: Final = sa.delete(contracts).where(contracts.c.chain == OF_CHAIN, contracts.c.height >= LOWEST)


class ContractKind(StrEnum):
    """The kind of a contract: one that the operator named, a token, or the one that holds the chain's locks."""

    NAMED = "named"
    TOKEN = "token"
    HTLC = "htlc"


_RANK: Final = {kind: place for place, kind in enumerate(ContractKind)}
"""A contract that is several of them is the last of these."""


@dataclass(frozen=True, slots=True)
class ContractRow:
    """One contract, with the first and the last block in which events of it were indexed, and how many there were.

    `name` is what the operator calls it, else what a token calls itself, as reported; empty if nobody knows one.
    """

    contract: AccountId
    kind: ContractKind
    name: str
    first_height: Height
    last_height: Height
    events: int

    @property
    def chain(self) -> ChainId:
        return chain_of(self.contract)


@dataclass(slots=True)
class _Count:
    kind: ContractKind
    events: int = 0

    def add(self, kind: ContractKind, events: int) -> None:
        self.kind = max(self.kind, kind, key=_RANK.__getitem__)
        self.events += events


def report_holder(connection: Connection, chain: ChainId, holder: AccountId | None) -> bool:
    """From the next block on, locks of this chain are held by `holder`; the first one reported held all before, too.

    Return true if there were such blocks: then projections have to be built again.
    """
    hold_projections(connection)
    known = holders(connection, chain)
    if holder is None or (known and known[-1][1] == holder):
        return False
    tip = connection.execute(sa.select(cursors.c.tip_height).where(cursors.c.chain == chain)).scalar()
    since = 0 if not known or tip is None else tip + 1
    here = sa.and_(htlc_reports.c.chain == chain, htlc_reports.c.since_height == since)
    connection.execute(sa.delete(htlc_reports).where(here))
    connection.execute(sa.insert(htlc_reports).values(chain=chain, since_height=since, contract=holder))
    return not known and tip is not None


def report_names(connection: Connection, names: Mapping[AccountId, str]) -> None:
    """Keep what contracts are called; what is said now takes the place of what was said before."""
    for contract, text in names.items():
        name = text[:MAX_NAME_CHARS]
        if not insert_if_absent(connection, contract_reports, contract=contract, name=name):
            changed = sa.and_(contract_reports.c.contract == contract, contract_reports.c.name != name)
            connection.execute(sa.update(contract_reports).where(changed).values(name=name))


def holders(connection: Connection, chain: ChainId) -> list[tuple[int, AccountId]]:
    """Return who holds the chain's locks, each with the height from which on it is so."""
    found = connection.execute(_HOLDERS, {"of_chain": chain})
    return [(since_height, AccountId(contract)) for since_height, contract in found]


def apply(connection: Connection, applied: Sequence[Block]) -> None:
    """Count the events of these blocks, oldest first."""
    if not applied:
        return
    held_by = holders(connection, applied[0].header.chain)
    counted = [(block.header.ref, found) for block in applied if (found := _counted(block, held_by))]
    now = _newest(connection, {contract for _, found in counted for contract in found})
    rows: list[dict[str, Any]] = []
    for ref, found in counted:
        for contract, count in found.items():
            total = now.setdefault(contract, _Count(count.kind))
            total.add(count.kind, count.events)
            place = {"chain": ref.chain, "contract": contract, "height": ref.height}
            rows.append({**place, "kind": total.kind.value, "events": total.events})
    insert_many(connection, contracts, rows)


def _counted(block: Block, held_by: Sequence[tuple[int, AccountId]]) -> dict[AccountId, _Count]:
    holder = next((contract for since, contract in reversed(held_by) if since <= block.header.height), None)
    found: dict[AccountId, _Count] = {}
    for (contract, kind), events in Counter(_logged_by(one.event, holder) for one in block.events).items():
        if contract is not None:
            found.setdefault(contract, _Count(kind)).add(kind, events)
    return found


def _logged_by(event: ChainEvent, holder: AccountId | None) -> tuple[AccountId | None, ContractKind]:
    # What moves most stands first.
    match event:
        case Transferred():
            return _token_contract(event.asset), ContractKind.TOKEN
        case Locked() | Claimed() | Refunded():
            return holder, ContractKind.HTLC
        case ContractEvent():
            return event.contract, ContractKind.NAMED
        case _:
            return None, ContractKind.NAMED


@lru_cache(maxsize=4096)
def _token_contract(asset: AssetId) -> AccountId | None:
    chain, found, address = asset.partition(_TOKEN)
    return AccountId(f"{chain}:{address}") if found else None


def _newest(connection: Connection, wanted: set[AccountId]) -> dict[AccountId, _Count]:
    """Return the counts so far, of those that were heard of before."""
    found: dict[AccountId, _Count] = {}
    for contract in sorted(wanted):
        row = _row(connection, contract, contracts.c.height.desc())
        if row is not None:
            found[contract] = _Count(ContractKind(row.kind), row.events)
    return found


def _row(
    connection: Connection, contract: AccountId, order: sa.ColumnElement[Any], until: int | None = None
) -> sa.Row[Any] | None:
    of = sa.and_(contracts.c.chain == chain_of(contract), contracts.c.contract == contract)
    if until is not None:
        of = sa.and_(of, contracts.c.height <= until)
    return connection.execute(sa.select(contracts).where(of).order_by(order).limit(1)).first()


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, added."""
    for first in range(0, len(hashes), CHUNK):
        connection.execute(_FORGET, {"of_chain": chain, "hashes": hashes[first : first + CHUNK]})


def list_contracts(
    connection: Connection,
    chain: ChainId | None,
    limit: int,
    after: AccountId | None = None,
    heights: Mapping[ChainId, Height] | None = None,
) -> list[ContractRow]:
    """Contracts by chain and account, at most `limit`; `after` is the last one of the page before.

    With `heights` as they were after these blocks: no block of a chain that is left out exists.
    """
    found: list[ContractRow] = []
    # One step of the index for each contract: there may be a row for each of a million blocks.
    while len(found) < limit and (after := _next(connection, chain, after)) is not None:
        until = None if heights is None else heights.get(chain_of(after), -1)
        orders = contracts.c.height, contracts.c.height.desc()
        first, last = (_row(connection, after, order, until) for order in orders)
        if first is not None and last is not None:
            kind, name = ContractKind(last.kind), _name_of(connection, after)
            found.append(ContractRow(after, kind, name, Height(first.height), Height(last.height), int(last.events)))
    return found


def _next(connection: Connection, chain: ChainId | None, after: AccountId | None) -> AccountId | None:
    place = (contracts.c.chain, contracts.c.contract)
    query = sa.select(contracts.c.contract).order_by(*place).limit(1)
    if chain is not None:
        query = query.where(contracts.c.chain == chain)
    if after is not None:
        query = query.where(sa.tuple_(*place) > sa.tuple_(chain_of(after), after))
    found = connection.execute(query).scalar()
    return None if found is None else AccountId(found)


def _name_of(connection: Connection, contract: AccountId) -> str:
    named = sa.select(contract_reports.c.name).where(contract_reports.c.contract == contract)
    name = connection.execute(named).scalar()
    if name is not None:
        return str(name)
    asset = f"{chain_of(contract)}{_TOKEN}{address_of(contract)}"
    said = connection.execute(sa.select(asset_reports).where(asset_reports.c.asset == asset)).first()
    return "" if said is None else said.name or said.symbol
