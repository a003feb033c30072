"""How urgent a transaction is: as urgent as the most urgent exit that stands behind it. Pure.

A chain takes an account's transactions in the order of their sequences, so an exit is mined no sooner than everything
before it. What stands before one therefore bids at least as high, whatever it is itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.model.transactions import FeeBid
from core.runtime.clock import NS_PER_S
from relayer.transactions import fees
from relayer.transactions.records import TransactionRecord, TransactionStatus


@dataclass(frozen=True, slots=True)
class Urgency:
    """`exits`: it is an exit, or one stands behind it. `spans`: since when, and up to when (Unix seconds), it and
    those have to be included. `floor`: the highest bid of an exit behind it."""

    exits: bool
    spans: tuple[tuple[float, float], ...] = ()
    floor: FeeBid | None = None

    @property
    def deadline_s(self) -> float | None:
        """The nearest deadline, Unix seconds; None without one."""
        return min((end_s for _, end_s in self.spans), default=None)

    def share(self, now_s: float) -> float:
        """Return the largest share of its time, 0 to 1, that any of them has used up."""
        return max((fees.share_used(start_s, end_s, now_s) for start_s, end_s in self.spans), default=0.0)


def urgencies(records: Sequence[TransactionRecord]) -> dict[int, Urgency]:
    """The urgency of each open transaction of an account, by its id."""
    found: dict[int, Urgency] = {}
    exits, spans, floor = False, tuple[tuple[float, float], ...](), None
    for record in sorted(records, key=lambda one: (one.sequence, one.id), reverse=True):
        own = _span(record)
        found[record.id] = Urgency(exits or record.exits, (*spans, *own), floor)
        if record.exits and record.status is TransactionStatus.BROADCAST:
            exits, spans, floor = True, (*spans, *own), _higher(floor, record.newest.fee)
    return found


def _span(record: TransactionRecord) -> tuple[tuple[float, float], ...]:
    if record.deadline_ns is None:
        return ()
    return ((record.created_ns / NS_PER_S, record.deadline_ns / NS_PER_S),)


def _higher(one: FeeBid | None, other: FeeBid | None) -> FeeBid | None:
    if one is None or other is None:
        return one or other
    return FeeBid(max(one.max_fee, other.max_fee), max(one.priority_fee, other.priority_fee))
