"""`causeway relayer adopt`: uses of a relayer's accounts that its database does not know, shown and acknowledged."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from core.model.errors import RejectedError
from core.model.identifiers import parse_chain
from core.runtime.clock import NS_PER_S, SystemClock
from gateway.config import RelayerConfig
from gateway.config.faults import choices
from gateway.daemons.parts import NEVER_RAN, existing_database
from relayer.transactions.accounts import ForeignUse, acknowledge, unacknowledged

_ABSENT: Final = (
    f"{NEVER_RAN}. For a deliberate first start with accounts that were used before: causeway relayer run --adopt"
)


async def list_foreign_uses(config: RelayerConfig, base: Path, chain: str | None = None) -> list[ForeignUse]:
    """Uses that wait for the operator, of one chain if it is named.

    Raise `NotFoundError` if no relayer has run yet, `RejectedError` for a chain that is not configured.
    """
    wanted = None if chain is None else parse_chain(chain)
    if wanted is not None and wanted not in (known := [one.id for one in config.chains]):
        raise RejectedError(f"{wanted} is not a configured chain: {choices(wanted, known)}")
    async with existing_database(config.database, base, _ABSENT) as database:
        found = await database.read(unacknowledged)
    return [use for use in found if wanted is None or use.chain == wanted]


async def acknowledge_uses(config: RelayerConfig, base: Path, uses: Sequence[ForeignUse]) -> int:
    """Acknowledge exactly these. Return how many still waited: one that has grown meanwhile goes on waiting."""
    async with existing_database(config.database, base, _ABSENT) as database:
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
