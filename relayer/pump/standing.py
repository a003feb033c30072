"""The facts in the database that open swaps depend on, looked at before a relayer works on it."""

from collections import Counter

from sqlalchemy.engine import Connection

from core.model.types import AccountId
from htlc.model import Role
from relayer.pump import swaps, tables


def accounts_in_use(connection: Connection) -> dict[AccountId, int]:
    """Our own accounts with which open swaps lock, claim and refund, and how many swaps each of them has.

    A watchtower's swaps have none: anybody may claim and refund for others.
    """
    found: Counter[AccountId] = Counter()
    for swap_id in tables.open_ids(connection):
        agreement = swaps.load(connection, swap_id).agreement
        legs = agreement.initiator_leg, agreement.participant_leg
        if agreement.role is Role.LIQUIDITY_PROVIDER:
            found.update((legs[0].receiver, legs[1].sender))
        elif agreement.role is Role.INITIATOR:
            found.update((legs[0].sender,))
    return dict(found)
