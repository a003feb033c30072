"""The ledger's rules, judged from its blocks a second time: plainly, and without a line of the ledger's own modules.

From the docstrings of the messages: a failed gate changes nothing, a failed message leaves a used sequence; a claim is
strictly before the timelock by ledger time, a refund at or after it; a sender uses a hashlock once; nothing is made or
lost. Two officers hold an address; while it is held it sends and locks nothing, nobody locks for it, and claims and
refunds execute all the same.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from core.model.consortium import (
    AssetMoved,
    LedgerEvent,
    LockClaimed,
    LockCreated,
    LockRefunded,
    ResultCode,
    caip_account,
    caip_asset,
    decode_clock,
    decode_transaction,
    lock_id,
    sign_bytes,
)
from core.model.consortium_orders import AddressHeld, AddressReleased, OrderPrepared
from core.model.types import ChainId, LockId
from gateway.simulation.ledger.chain import PlayedLedger
from gateway.simulation.ledger.engine import is_exit
from gateway.simulation.wire import Sent
from local_chains.consortium.engine.feed import CommittedBlock
from local_chains.consortium.state.tree import build, root_hash

MS_PER_S: Final = 1_000
LIVES: Final = 60
"""The most blocks for which a form of ours is valid: what the pipeline gives it, and what its head may be off by."""


@dataclass(slots=True)
class _Books:
    """The sum of all blocks so far."""

    ledger: PlayedLedger
    time_ms: int = 0
    used: Counter[str] = field(default_factory=Counter)
    held: Counter[tuple[bytes, str]] = field(default_factory=Counter)
    open: dict[LockId, LockCreated] = field(default_factory=dict)
    ever: set[LockId] = field(default_factory=set)
    prepared: dict[int, bytes] = field(default_factory=dict)
    until: dict[bytes, int] = field(default_factory=dict)

    def is_held(self, address: bytes) -> bool:
        return self.time_ms < self.until.get(address, 0) * MS_PER_S


def broken(ledger: PlayedLedger) -> Iterator[str]:
    """Every breach, as a sentence."""
    books = _Books(ledger)
    for committed in ledger.committed:
        yield from _in_block(books, committed)
    if ledger.engine.held_up:
        yield f"an order held up claims and refunds {ledger.engine.held_up} times"
    for (account, symbol), amount in books.held.items():
        has = ledger.balance(caip_account(ledger.chain, account), caip_asset(ledger.chain, symbol))
        if has != amount:
            yield f"{account.hex()} holds {has} {symbol}, its events come to {amount}"
    if root_hash(build(ledger.engine.state.leaves)) != ledger.engine.tip.app_hash:
        yield "the app hash is not that of the state"


def lasting(forms: Iterable[Sent], chain: ChainId) -> Iterator[str]:
    """Forms that a party signed for the ledger `chain` and that do not expire soon: nobody could give them up."""
    for sent in forms:
        expiry = sent.body.expiry_height
        if sent.chain == chain and (expiry is None or expiry > sent.heights[chain] + LIVES):
            yield f"{sent.party} signs at height {sent.heights[chain]} what is valid until {expiry}"


def _in_block(books: _Books, committed: CommittedBlock) -> Iterator[str]:
    height, (clock, *transactions) = committed.height, committed.block.txs
    before_ms, books.time_ms = books.time_ms, decode_clock(clock)
    if books.time_ms <= before_ms:
        yield f"ledger time does not rise with block {height}"
    for raw, result in zip(transactions, committed.results[1:], strict=True):
        if ResultCode.OK < result.code <= ResultCode.NO_ROOM:
            continue
        if not _is_signed(raw):
            yield f"block {height} holds a transaction that its account did not sign"
        body = books.ledger.read(raw)
        if body.expiry_height is not None and body.expiry_height < height:
            yield f"block {height} holds a transaction that expired at {body.expiry_height}"
        if body.sequence != books.used[body.sender]:
            yield f"block {height}: {body.sender} uses sequence {body.sequence}, not {books.used[body.sender]}"
        books.used[body.sender] += 1
        messages = decode_transaction(raw).body.messages
        if result.code is ResultCode.HELD and is_exit(raw):
            yield f"block {height}: an order holds up claims and refunds of {body.sender}"
        if len(result.events) != (
            0 if result.code else len(messages)
        ):  # each message of a town has one event of its own
            yield f"block {height}: of {len(messages)} messages, all or none, {len(result.events)} took effect"
        for event in result.events:
            yield from _of_event(books, height, event)


def _is_signed(raw: bytes) -> bool:
    """RFC 8032, by the key in the transaction."""
    transaction = decode_transaction(raw)
    try:
        VerifyKey(transaction.body.public_key).verify(sign_bytes(transaction.body), transaction.signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _of_event(books: _Books, height: int, event: LedgerEvent) -> Iterator[str]:
    chain = books.ledger.chain
    match event:
        case AssetMoved():
            if books.is_held(event.sender):
                yield f"block {height}: {event.sender.hex()}, which is held, sends {event.amount} {event.asset}"
            if event.sender:
                books.held[event.sender, event.asset] -= event.amount
            if event.receiver:
                books.held[event.receiver, event.asset] += event.amount
        case LockCreated():
            place = lock_id(chain, event.sender, event.hashlock)
            if place in books.ever:
                yield f"block {height}: lock {place} is made a second time"
            if event.timelock * MS_PER_S <= books.time_ms:
                yield f"block {height}: lock {place} is made after its timelock"
            for party in (event.sender, event.receiver):
                if books.is_held(party):
                    yield f"block {height}: lock {place} is made, and {party.hex()} is held"
            books.ever.add(place)
            books.open[place] = event
            books.held[event.sender, event.asset] -= event.amount
        case LockClaimed() | LockRefunded():
            yield from _of_exit(books, height, event)
        case OrderPrepared():
            books.prepared[event.order] = event.officer
        case AddressHeld():
            if books.prepared.get(event.order, event.officer) == event.officer:
                yield f"block {height}: order {event.order} is in force by one officer alone"
            books.until[event.address] = event.expires
        case AddressReleased():
            books.until.pop(event.address, None)
        case _:
            pass


def _of_exit(books: _Books, height: int, event: LockClaimed | LockRefunded) -> Iterator[str]:
    place = lock_id(books.ledger.chain, event.sender, event.hashlock)
    held = books.open.pop(place, None)
    if held is None:
        yield f"block {height}: lock {place} is settled, and is not open"
        return
    passed = books.time_ms >= held.timelock * MS_PER_S
    if isinstance(event, LockClaimed):
        books.held[held.receiver, held.asset] += held.amount
        if passed:
            yield f"block {height}: lock {place} is claimed after its timelock"
        if hashlib.sha256(event.preimage).digest() != event.hashlock:
            yield f"block {height}: lock {place} is claimed by another preimage"
    else:
        books.held[held.sender, held.asset] += held.amount
        if not passed:
            yield f"block {height}: lock {place} is refunded before its timelock"
