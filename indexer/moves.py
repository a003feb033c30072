"""Value as it moves, seen from one account: what rules, traces and profiles are computed from.

A transfer is two moves, one out of its sender and one into its receiver; an issue has the latter alone, a burn the
former. A lock is a move out of its sender into the lock's keeper, a claim or a refund one out of it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Height


class Direction(IntEnum):
    """Stored as a small number; of two moves at one place the one out comes first."""

    OUT = 0
    IN = 1


class MoveKind(IntEnum):
    """The event that moved the value. Stored as a small number."""

    TRANSFER = 0
    LOCK = 1
    CLAIM = 2
    REFUND = 3
    COVERED = 4
    """A transfer from or to the keeper of locks that a lock, claim or refund of the same transaction already says: so
    histories leave it out."""


class MoveKey(NamedTuple):
    """The place of a move in an account's history: histories of all chains are read in this order.

    `time_s` is the block's, in Unix seconds; `event_index` the event's place in the block.
    """

    time_s: int
    chain: ChainId
    height: Height
    event_index: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Move:
    """One side of a movement of value. `other` is None for issues and burns."""

    key: MoveKey
    account: AccountId
    other: AccountId | None
    asset: AssetId
    amount: BaseUnits
    tx_hash: bytes
    kind: MoveKind = MoveKind.TRANSFER
