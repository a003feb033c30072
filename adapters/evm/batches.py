"""Claims and refunds that go out together, and locks. What became of each is read from the receipt.

Those that pay their own sender, all claims or all refunds of one asset, share one payment by the contract's `bulkClaim`
or `bulkRefund`: their payee is an account that has just signed, and if their token refuses to pay it, none of them
could be paid alone. All others go by `settleStrangers`: each a call of its own with gas of its own, so that nothing
that one payee or token does reaches the next.

Locks of one asset go by `bulkLock`, with their sum sent or pulled at once. One that cannot be made (its lane is at
another use, its timelock has come) is left out, and its amount stays with the sender.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from adapters.evm.calls import CallBody, body_of, encode_call, unsigned_call
from adapters.evm.decode import CLAIMED_TOPIC, LOCKED_TOKEN_TOPIC, LOCKED_TOPIC, REFUNDED_TOPIC, RawLog
from adapters.evm.errors import revert_reason
from adapters.evm.names import hex_address, parse_address
from core.model.errors import RejectedError, RetryableError
from core.model.transactions import LeftOut, UnsignedTransaction
from core.proofs.keccak import keccak256
from core.proofs.lanes import ERC20_KIND, WORD_SIZE

MAX_EXITS: Final = 16
"""Bounded so that the whole fits into a block with others: at most 4.3M gas, of the 16.7M that EIP-7825 allows."""
BATCH_GAS: Final = 50_000
"""Gas of the transaction without its items: 21,000 to begin with, and what the contract keeps for its end."""
ITEM_GAS: Final = 15_000
"""Gas of an item beyond its own limit: its calldata, being called, and being reported."""
OWN_ITEM_GAS: Final = 25_000
"""Gas of an item of our own, which shares its payment with the others: its calldata, its lane's word, and its event or
report."""
MAX_LOCKS: Final = 16
LOCK_ITEM_GAS: Final = 40_000
"""Gas of a lock of a batch: its calldata, a lane that was never used, and its event or report."""

SKIPPED_TOPIC: Final = "0x" + keccak256(b"Skipped(uint256,bytes)").hex()
_BATCH: Final = keccak256(b"settleStrangers(bytes[],uint256)")[:4]
_OUT_OF_GAS: Final = keccak256(b"OutOfGas()")[:4]
_CLAIMS: Final = tuple(
    keccak256(signature)[:4]
    for signature in (
        b"claim(bytes32,uint256,address,uint256)",
        b"claimToken(bytes32,uint256,address,uint256,address)",
    )
)
_REFUNDS: Final = tuple(
    keccak256(signature)[:4]
    for signature in (
        b"refund(bytes32,uint256,address,uint256)",
        b"refundToken(bytes32,uint256,address,uint256,address)",
    )
)
_ITEM: Final = "(bytes32,uint256,address,uint256)"
_BULK: Final = {
    keccak256(f"{name}(bool,{_ITEM}[],uint256)".encode())[:4]: topic
    for name, topic in (("bulkClaim", CLAIMED_TOPIC), ("bulkRefund", REFUNDED_TOPIC))
}
"""The events that items of these calls leave."""
_LOCK: Final = keccak256(b"lock(bytes32,uint256)")[:4]
_LOCK_TOKEN: Final = keccak256(b"lockToken(bytes32,uint256,uint256,address)")[:4]
_NEW_LOCK: Final = "(bytes32,uint256,uint256)"
_BULK_LOCK: Final = keccak256(f"bulkLock(bool,{_NEW_LOCK}[],uint256)".encode())[:4]


class EvmBatchBuilder:
    """`BatchBuilder` over one HashedTimelock."""

    max_exits: int = MAX_EXITS
    max_locks: int = MAX_LOCKS

    def __init__(self, htlc: bytes) -> None:
        self._htlc = htlc

    def divided(self, exits: Sequence[UnsignedTransaction]) -> Sequence[Sequence[int]]:
        """See the port: those of our own apart, by what shares a payment; what is alone in that goes with strangers."""
        alike: dict[_Own | None, list[int]] = defaultdict(list)
        for index, one in enumerate(exits):
            alike[_own(one)].append(index)
        strangers = alike.pop(None, [])
        strangers += [group[0] for group in alike.values() if len(group) == 1]
        groups = [group for group in alike.values() if len(group) > 1] + [sorted(strangers)]
        parts = (group[first : first + MAX_EXITS] for group in groups for first in range(0, len(group), MAX_EXITS))
        return [part for part in parts if len(part) > 1]

    def batch(self, exits: Sequence[UnsignedTransaction]) -> UnsignedTransaction:
        """See the port. Every item of strangers may use as much gas as the hungriest may alone."""
        if not 0 < len(exits) <= MAX_EXITS or len({one.sender for one in exits}) != 1:
            raise RejectedError(f"a batch has 1 to {MAX_EXITS} exits, all of one sender")
        bodies = [body_of(one) for one in exits]
        calls = [bytes.fromhex(body.data[2:]) for body in bodies]
        if any(body.to != hex_address(self._htlc) for body in bodies) or not all(map(_settles, calls)):
            raise RejectedError("a batch is made of claims and refunds of one contract")
        gas_each = max(int(body.gas, 16) for body in bodies)
        if len(exits) > 1 and (own := _own(exits[0])) is not None and all(_own(one) == own for one in exits):
            return self._paid_together(exits, calls, own, gas_each)
        tokens = dict.fromkeys(parse_address(entry.address) for body in bodies for entry in body.access_list)
        return unsigned_call(
            exits[0].sender,
            self._htlc,
            encode_call("HashedTimelock", "settleStrangers", calls, gas_each),
            gas=BATCH_GAS + len(calls) * (gas_each + ITEM_GAS),
            warm=tuple(tokens),
            summary="; ".join(one.summary for one in exits),
            reveals=any(one.reveals for one in exits),
        )

    def locks(self, locks: Sequence[UnsignedTransaction], *, each: bool = True) -> UnsignedTransaction:
        """See the port. Its gas is that of all lanes fresh, and of one payment or one token's transfer."""
        bodies = [body_of(one) for one in locks]
        made = [new for body in bodies if body.to == hex_address(self._htlc) and (new := _new_lock(body)) is not None]
        kinds = {(one.sender, new.asset) for one, new in zip(locks, made, strict=False)}
        if not 0 < len(locks) <= MAX_LOCKS or len(made) != len(locks) or len(kinds) != 1:
            raise RejectedError(f"a batch has 1 to {MAX_LOCKS} plain locks, all of one sender and one asset")
        asset, payment_gas = made[0].asset, max(int(body.gas, 16) for body in bodies)
        items = [(new.hashlock, new.terms, new.amount) for new in made]
        return unsigned_call(
            locks[0].sender,
            self._htlc,
            encode_call("HashedTimelock", "bulkLock", each, items, asset),
            gas=BATCH_GAS + payment_gas + len(items) * LOCK_ITEM_GAS,
            value=0 if asset else sum(new.amount for new in made),
            warm=() if asset == 0 else ((asset & (ERC20_KIND - 1)).to_bytes(20, "big"),),
            summary="; ".join(one.summary for one in locks),
        )

    def _paid_together(
        self, exits: Sequence[UnsignedTransaction], calls: Sequence[bytes], own: "_Own", payment_gas: int
    ) -> UnsignedTransaction:
        """`payment_gas`: what one of them may use alone."""
        words = [decode([_ITEM], call[4 : 4 + 4 * WORD_SIZE])[0] for call in calls]
        items = [(opening, terms, parse_address(sender), amount) for opening, terms, sender, amount in words]
        token = None if own.asset == 0 else (own.asset & (ERC20_KIND - 1)).to_bytes(20, "big")
        return unsigned_call(
            exits[0].sender,
            self._htlc,
            encode_call("HashedTimelock", "bulkClaim" if own.claims else "bulkRefund", True, items, own.asset),
            gas=BATCH_GAS + payment_gas + len(calls) * OWN_ITEM_GAS,
            warm=() if token is None else (token,),
            summary="; ".join(one.summary for one in exits),
            reveals=any(one.reveals for one in exits),
        )


@dataclass(frozen=True, slots=True)
class _Own:
    """Exits that pay their own sender and have this in common can share a payment. `asset` is the committed word."""

    claims: bool
    asset: int


def _own(exit_: UnsignedTransaction) -> _Own | None:
    """None for an exit that pays somebody else, and for anything that is not an exit."""
    body = body_of(exit_)
    call = bytes.fromhex(body.data[2:])
    if not _settles(call) or len(call) < 4 + 4 * WORD_SIZE:
        return None
    _, terms, locker, _ = (call[4 + at : 4 + at + WORD_SIZE] for at in range(0, 4 * WORD_SIZE, WORD_SIZE))
    claims = call[:4] in _CLAIMS
    payee = terms[:20] if claims else locker[12:]
    if payee != parse_address(body.sender):
        return None
    token = call[4 + 4 * WORD_SIZE :]
    return _Own(claims, ERC20_KIND | int.from_bytes(token, "big") if token else 0)


@dataclass(frozen=True, slots=True)
class _NewLock:
    """The arguments of a plain lock. `asset` is the committed word."""

    hashlock: bytes
    terms: int
    amount: int
    asset: int


def _new_lock(body: CallBody) -> _NewLock | None:
    """None for anything but a plain lock."""
    call = bytes.fromhex(body.data[2:])
    words = [call[at : at + WORD_SIZE] for at in range(4, len(call), WORD_SIZE)]
    numbers = [int.from_bytes(word, "big") for word in words]
    if call[:4] == _LOCK and len(call) == 4 + 2 * WORD_SIZE:
        return _NewLock(words[0], numbers[1], int(body.value, 16), 0)
    if call[:4] == _LOCK_TOKEN and len(call) == 4 + 4 * WORD_SIZE:
        return _NewLock(words[0], numbers[1], numbers[2], ERC20_KIND | numbers[3])
    return None


def _settles(call: bytes) -> bool:
    return call[:4] in _CLAIMS or call[:4] in _REFUNDS


@dataclass(frozen=True, slots=True)
class _Report:
    """A Skipped event: the item's index, and the error it met."""

    index: int
    reason: bytes


def is_incomplete(logs: Sequence[RawLog]) -> bool:
    """Return true if a batch says that it left something out. The contract reports every item that it did not do."""
    return any(log.topics[:1] == (SKIPPED_TOPIC,) for log in logs)


def left_out(htlc: str, data: bytes, logs: Sequence[RawLog]) -> tuple[LeftOut, ...]:
    """Return the items of the batch `data` that did nothing, with the contract's word for why.

    An item is done if the contract logs it: that very lock, or its claim or refund. Its reports are taken for the
    reasons alone: a payee may call the contract back and have it report any indices. Raise `RetryableError` for
    data that no node of this chain can have answered.
    """
    if data[:4] not in (_BATCH, _BULK_LOCK, *_BULK):
        return ()
    try:
        return _left_out(htlc, data, logs)
    except (DecodingError, ValueError, IndexError, OverflowError) as error:
        raise RetryableError("an endpoint answered with a malformed receipt of a batch") from error


def _left_out(htlc: str, data: bytes, logs: Sequence[RawLog]) -> tuple[LeftOut, ...]:
    items = _items(data)
    ours = [log for log in logs if log.address.lower() == htlc]
    done = {_shown(log) for log in ours if log.topics[0] != SKIPPED_TOPIC}
    reports = list(_reports(ours))
    reasons = {report.index: revert_reason(report.reason) or "it used up its gas" for report in reports}
    end = min((report.index for report in reports if report.reason == _OUT_OF_GAS), default=len(items))
    return tuple(
        LeftOut(index, reasons.get(index, "the batch ended before it" if index > end else "left out"))
        for index, item in enumerate(items)
        if item not in done
    )


def _items(data: bytes) -> list[tuple[str, bytes]]:
    """Return for each item of a batch what `_shown` makes of the event that it leaves if it is done."""
    if data[:4] == _BULK_LOCK:
        _, news, asset = decode(["bool", f"{_NEW_LOCK}[]", "uint256"], data[4:])
        locked = LOCKED_TOKEN_TOPIC if asset else LOCKED_TOPIC
        return [(locked, hashlock + terms.to_bytes(WORD_SIZE, "big")) for hashlock, terms, _ in news]
    if (topic := _BULK.get(data[:4])) is None:
        calls: tuple[bytes, ...] = decode(["bytes[]", "uint256"], data[4:])[0]
        return [_event_of(call) for call in calls]
    locks = decode(["bool", f"{_ITEM}[]", "uint256"], data[4:])[1]
    return [(topic, bytes.fromhex(sender[2:]) + terms.to_bytes(WORD_SIZE, "big")[20:]) for _, terms, sender, _ in locks]


def _shown(log: RawLog) -> tuple[str, bytes]:
    """An event's topic, and what it is about: of a lock its hashlock and terms, of an exit the id of its lock. Nobody
    else can lock the same kind of asset within our call, so that a lock's sender need not be compared."""
    first = bytes.fromhex(log.data[2:66])
    about = bytes.fromhex(log.topics[1][2:]) + first if log.topics[0] in (LOCKED_TOPIC, LOCKED_TOKEN_TOPIC) else first
    return log.topics[0], about


def _event_of(call: bytes) -> tuple[str, bytes]:
    """Topic and lock id of the event that a settling call leaves: its arguments are opening, terms, sender, …"""
    terms, sender = call[4 + WORD_SIZE : 4 + 2 * WORD_SIZE], call[4 + 2 * WORD_SIZE : 4 + 3 * WORD_SIZE]
    topic = CLAIMED_TOPIC if call[:4] in _CLAIMS else REFUNDED_TOPIC
    return topic, sender[12:] + terms[20:]


def _reports(logs: Sequence[RawLog]) -> Iterator[_Report]:
    for log in logs:
        if log.topics[0] == SKIPPED_TOPIC:
            index, reason = decode(["uint256", "bytes"], bytes.fromhex(log.data[2:]))
            yield _Report(index, reason)
