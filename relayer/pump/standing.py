"""The facts in the database that open swaps depend on, looked at before a relayer works on it."""

from collections import Counter

from sqlalchemy.engine import Connection

from core.model.types import AccountId
from relayer.pump import swaps, tables


def accounts_in_use(connection: Connection) -> dict[AccountId, int]:
    """Our own accounts with which open swaps lock, claim and refund, and how many swaps each of them has.

    A watchtower's swaps have none: anybody may claim and refund for others.
    """
    found: Counter[AccountId] = Counter()
    for swap_id in tables.open_ids(connection):
        found.update(swaps.load(connection, swap_id).agreement.own_accounts)
    return dict(found)


def note_payers(connection: Connection) -> int:
    """Write our accounts into the rows of open swaps that an older version has stored without; return how many."""
    unknown = tables.without_payers(connection)
    for swap_id in unknown:
        tables.note_payers(connection, swaps.load(connection, swap_id).agreement)
    return len(unknown)
