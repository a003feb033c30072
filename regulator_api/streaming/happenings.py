"""Transfers and locks in the order in which they were seen, each with the number that a stream goes on behind.

The numbers are those of the indexer's facts: one for each block that was applied, reverted or finalized, of all
chains in one order. A reverted block's events come again as undone. What a caller may not see is not there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy.engine import Connection

from core.model.facts import Claimed, Locked, LoggedEvent, Refunded, Transferred
from core.model.types import AccountId
from indexer.feed import Fact, FactKind, read_facts
from regulator_api.access.scope import Scope
from regulator_api.knowledge.reading import seen_among

MAX_FACTS_AT_ONCE: Final = 200


class Happening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a stream. `kind`: `transfer`, `lock`, `claim`, `refund`, or `finalized` for all up to that block.
    `undone`: the block was replaced. Amounts are integer strings of base units."""

    kind: str
    chain: str
    height: int
    block_hash: str
    time_s: int
    undone: bool = False
    tx_hash: str = ""
    index: int = 0
    asset: str = ""
    amount: str = ""
    sender: str | None = None
    receiver: str | None = None
    lock_id: str = ""
    hashlock: str = ""
    timelock_s: int = 0


@dataclass(frozen=True, slots=True)
class Numbered:
    """The events of one fact, under its number: a client that has the number has all of them."""

    seq: int
    happenings: tuple[Happening, ...]


def read_happenings(connection: Connection, scope: Scope, after_seq: int) -> tuple[list[Numbered], int]:
    """Return what happened behind `after_seq`, and the last number that was looked at (`after_seq` if none)."""
    facts = read_facts(connection, after_seq, MAX_FACTS_AT_ONCE)
    if not facts:
        return [], after_seq
    parties = {account for fact in facts for event in fact.events for account in _parties(event)}
    seen = seen_among(connection, scope, parties)
    found = [Numbered(fact.seq, tuple(_happenings(fact, seen))) for fact in facts]
    return [one for one in found if one.happenings], facts[-1].seq


def _parties(logged: LoggedEvent) -> Iterable[AccountId]:
    match logged.event:
        case Transferred(sender=sender, receiver=receiver):
            return [one for one in (sender, receiver) if one is not None]
        case Locked(terms=terms):
            return [terms.sender, terms.receiver]
        case _:
            return []


def _happenings(fact: Fact, seen: frozenset[str] | None) -> Iterable[Happening]:
    block: dict[str, Any] = {
        "chain": fact.chain,
        "height": fact.header.ref.height,
        "block_hash": fact.header.ref.hash.hex(),
        "time_s": fact.header.time.seconds,
    }
    if fact.kind is FactKind.FINALIZED:
        yield Happening(kind="finalized", **block)
        return
    block["undone"] = fact.kind is FactKind.REVERTED
    for logged in fact.events:
        if seen is None or any(account in seen for account in _parties(logged)):
            yield from _happening(logged, block | {"tx_hash": logged.tx_hash.hex(), "index": logged.index})


def _happening(logged: LoggedEvent, place: dict[str, Any]) -> Iterable[Happening]:
    match logged.event:
        case Transferred(asset=asset, sender=sender, receiver=receiver, amount=amount):
            yield Happening(kind="transfer", asset=asset, amount=str(amount), sender=sender, receiver=receiver, **place)
        case Locked(lock_id=lock_id, terms=terms):
            yield Happening(
                kind="lock",
                lock_id=lock_id,
                asset=terms.asset,
                amount=str(terms.amount),
                sender=terms.sender,
                receiver=terms.receiver,
                hashlock=terms.hashlock.hex(),
                timelock_s=terms.timelock.seconds,
                **place,
            )
        case Claimed(lock_id=lock_id, hashlock=hashlock):
            yield Happening(kind="claim", lock_id=lock_id, hashlock=hashlock.hex(), **place)
        case Refunded(lock_id=lock_id, hashlock=hashlock):
            yield Happening(kind="refund", lock_id=lock_id, hashlock=hashlock.hex(), **place)
        case _:
            return
