"""Transactions that wait for a block: gaps in the sequence wait, the same sequence replaces."""

from dataclasses import dataclass, field
from typing import Final

from adapters.memory.transactions import Body
from core.model.errors import ConflictError, RetryableError
from core.model.types import AccountId

MAX_POOLED: Final = 100_000
REPLACEMENT_PERCENT: Final = 10
"""A replacement offers at least this much more, as geth's transaction pool asks."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """A checked transaction with its bytes and its place in the order of arrival."""

    hash: bytes
    raw: bytes = field(repr=False)
    body: Body = field(repr=False)
    arrival: int

    @property
    def sender(self) -> AccountId:
        return AccountId(self.body.sender)


def _outbids(new: Body, old: Body) -> bool:
    def enough(offered: int, before: int) -> bool:
        return offered * 100 >= before * (100 + REPLACEMENT_PERCENT)

    return enough(new.max_fee, old.max_fee) and enough(new.priority_fee, old.priority_fee)


class Mempool:
    def __init__(self) -> None:
        self._by_place: dict[tuple[AccountId, int], Pooled] = {}
        self._by_hash: dict[bytes, Pooled] = {}

    def copy(self) -> "Mempool":
        """Return another pool with the same transactions, which changes by itself."""
        other = Mempool()
        other._by_place, other._by_hash = dict(self._by_place), dict(self._by_hash)
        return other

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._by_hash

    def __len__(self) -> int:
        return len(self._by_hash)

    def add(self, pooled: Pooled) -> None:
        """Raise `ConflictError` when another transaction holds the sequence and is not outbid."""
        place = (pooled.sender, pooled.body.sequence)
        held = self._by_place.get(place)
        if held is not None and not _outbids(pooled.body, held.body):
            raise ConflictError("replacement transaction underpriced: another transaction holds this sequence")
        if held is None and len(self) >= MAX_POOLED:
            raise RetryableError("the mempool is full")
        if held is not None:
            del self._by_hash[held.hash]
        self._by_place[place] = pooled
        self._by_hash[pooled.hash] = pooled

    def remove(self, tx_hash: bytes) -> None:
        pooled = self._by_hash.pop(tx_hash, None)
        if pooled is not None:
            del self._by_place[pooled.sender, pooled.body.sequence]

    def at(self, sender: AccountId, sequence: int) -> Pooled | None:
        return self._by_place.get((sender, sequence))

    def all(self) -> list[Pooled]:
        """In order of arrival."""
        return sorted(self._by_hash.values(), key=lambda pooled: pooled.arrival)
