"""`causeway relayer adopt`: uses of a relayer's accounts that its database does not know, shown and acknowledged."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_chain
from core.runtime.clock import NS_PER_S, SystemClock
from core.runtime.database_urls import SqliteAddress, parse_database_url
from gateway.config import RelayerConfig, resolve_database
from gateway.config.faults import choices
from gateway.daemons.parts import opened_database
from relayer.transactions.accounts import ForeignUse, acknowledge, unacknowledged


async def list_foreign_uses(config: RelayerConfig, base: Path, chain: str | None = None) -> list[ForeignUse]:
    """Uses that wait for the operator, of one chain if it is named.

    Raise `NotFoundError` if no relayer has run yet, `RejectedError` for a chain that is not configured.
    """
    wanted = None if chain is None else parse_chain(chain)
    if wanted is not None and wanted not in (known := [one.id for one in config.chains]):
        raise RejectedError(f"{wanted} is not a configured chain: {choices(wanted, known)}")
    _must_exist(config, base)
    async with opened_database(config.database, base) as database:
        found = await database.read(unacknowledged)
    return [use for use in found if wanted is None or use.chain == wanted]


async def acknowledge_uses(config: RelayerConfig, base: Path, uses: Sequence[ForeignUse]) -> int:
    """Acknowledge exactly these. Return how many still waited: one that has grown meanwhile goes on waiting."""
    _must_exist(config, base)
    async with opened_database(config.database, base) as database:
        return await database.write(lambda c: acknowledge(c, uses, SystemClock().now_ns()))


def use_to_json(use: ForeignUse) -> dict[str, Any]:
    """As `--json` shows it: `first` and `last` are sequences, both used; `transaction` is hex, None if unknown."""
    return {
        "chain": use.chain,
        "account": use.account,
        "first": use.first,
        "last": use.end - 1,
        "seen": datetime.fromtimestamp(use.seen_ns / NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "transaction": None if use.tx_hash is None else use.tx_hash.hex(),
    }


def _must_exist(config: RelayerConfig, base: Path) -> None:
    address = parse_database_url(resolve_database(config.database, base))
    if isinstance(address, SqliteAddress) and (address.path is None or not address.path.exists()):
        raise NotFoundError(
            f"there is no database at {address.path}: no relayer has run with this configuration. "
            "For a deliberate first start with accounts that were used before: causeway relayer run --adopt"
        )
