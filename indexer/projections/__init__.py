"""What follows from facts: locks, joined swaps, contracts and their events, assets, balances, transfers, conservation.

`apply` and `revert` are called inside the transaction that stores the facts, and answer which hashlocks they touched;
`refresh_swaps` then joins these anew. `rebuild` and the read-only views stand in modules of their own.
"""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from core.model.facts import Block
from core.model.types import ChainId, Hashlock
from indexer.projections import assets, balances, contract_events, contracts, locks
from indexer.projections.agreements import Agreement
from indexer.projections.swaps import refresh_swaps, report_agreement

__all__ = ["Agreement", "apply", "refresh_swaps", "report_agreement", "revert"]


def apply(connection: Connection, applied: Sequence[Block]) -> set[Hashlock]:
    """What these blocks, oldest first, say, into all projections but swaps. Returns the hashlocks that they touch."""
    touched = locks.apply(connection, applied)
    contract_events.apply(connection, applied)
    contracts.apply(connection, applied)
    assets.apply(connection, applied)
    # After the locks: a settlement names its lock, and only the lock says how much of what it held.
    balances.apply(connection, applied)
    return touched


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> set[Hashlock]:
    """Undo what these blocks, the newest of the chain, said. Returns the hashlocks that they touched."""
    contract_events.revert(connection, chain, hashes)
    contracts.revert(connection, chain, hashes)
    assets.revert(connection, chain, hashes)
    balances.revert(connection, chain, hashes)
    return locks.revert(connection, chain, hashes)
