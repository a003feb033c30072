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
