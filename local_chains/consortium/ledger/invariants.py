"""Invariants after every block; they are about money, so a breach raises `FatalError`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from core.model.consortium import (
    AccountLeaf,
    AssetLeaf,
    LockLeaf,
    decode_leaf,
    locks_of,
    open_locks_key,
    sequence_count_key,
    sequence_key,
    value_of,
)
from core.model.consortium_orders import HELD, ORDERS, HeldLeaf, OrderLeaf, Step, held_key
from core.model.errors import require

_ACCOUNT: Final = b"bank/account/"
_ASSET: Final = b"bank/asset/"
_LOCK: Final = b"htlc/lock/"


def check_supply(items: Iterable[tuple[bytes, bytes]]) -> None:
    """Of every asset, the supply is the sum of all balances and all open locks."""
    supplies: dict[str, int] = {}
    held: defaultdict[str, int] = defaultdict(int)
    for key, raw in items:
        if key.startswith(_ACCOUNT):
            for symbol, amount in decode_leaf(raw, AccountLeaf).balances:
                require(amount != b"", "no balance is written as zero")
                held[symbol] += value_of(amount)
        elif key.startswith(_ASSET):
            supplies[key[len(_ASSET) :].decode()] = value_of(decode_leaf(raw, AssetLeaf).supply)
        elif key.startswith(_LOCK):
            lock = decode_leaf(raw, LockLeaf)
            if lock.status == "locked":
                held[lock.asset] += value_of(lock.amount)
    for symbol in supplies.keys() | held.keys():
        require(
            supplies.get(symbol, 0) == held[symbol],
            "the supply of an asset is not what exists of it",
            asset=symbol,
            supply=supplies.get(symbol, 0),
            exists=held[symbol],
        )


def check_locks(before: Mapping[bytes, bytes], after: Mapping[bytes, bytes]) -> None:
    """No lock disappears, changes its terms, or is settled twice; a claimed one shows its preimage."""
    for key, raw in before.items():
        if not key.startswith(_LOCK) or after.get(key) == raw:
            continue
        require(key in after, "a lock disappeared", key=key.hex())
        old, new = decode_leaf(raw, LockLeaf), decode_leaf(after[key], LockLeaf)
        require(old.status == "locked" and new.status != "locked", "a settled lock changed", key=key.hex())
        require(_terms(old) == _terms(new), "a lock's terms changed", key=key.hex())
        require(len(new.preimage) == (32 if new.status == "claimed" else 0), "a claim shows a preimage", key=key.hex())


def check_quotas(leaves: Mapping[bytes, bytes]) -> None:
    """Of every sender, the open locks are counted, and its list of locks names all there ever were."""
    opened: Counter[bytes] = Counter()
    made: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for key, raw in leaves.items():
        if key.startswith(_LOCK):
            lock = decode_leaf(raw, LockLeaf)
            opened[lock.sender] += lock.status == "locked"
            made[lock.sender].add(lock.hashlock)
    for sender, hashlocks in made.items():
        counted = int.from_bytes(leaves.get(open_locks_key(sender), b""), "big")
        require(counted == opened[sender], "a sender's open locks are miscounted", sender=sender.hex())
        listed = int.from_bytes(leaves.get(sequence_count_key(locks_of(sender)), b""), "big")
        names = {leaves.get(sequence_key(locks_of(sender), place)) for place in range(1, listed + 1)}
        require(names == hashlocks and listed == len(hashlocks), "a list of locks is incomplete", sender=sender.hex())


def check_orders(leaves: Mapping[bytes, bytes]) -> None:
    """Whoever is held is so by an order in force, which two officers signed."""
    for key, raw in leaves.items():
        if key.startswith(HELD):
            held = decode_leaf(raw, HeldLeaf)
            order = decode_leaf(leaves[sequence_key(ORDERS, held.order)], OrderLeaf)
            require(order.status == "in-force", "an order that is not in force holds an address", order=held.order)
            require(key == held_key(order.terms.address), "an order holds another's address", order=held.order)
            require(held.until == order.terms.expires, "a hold ends with its order", order=held.order)
    count = int.from_bytes(leaves.get(sequence_count_key(ORDERS), b""), "big")
    for number in range(1, count + 1):
        order = decode_leaf(leaves[sequence_key(ORDERS, number)], OrderLeaf)
        if order.status != "prepared":
            _require_two("an order", number, order.prepared, order.approved)
        if order.status == "lifted":
            _require_two("a lift", number, order.lift_prepared, order.lift_approved)


def _require_two(what: str, number: int, first: Step | None, second: Step | None) -> None:
    signed = first is not None and second is not None and first.officer != second.officer
    require(signed, f"{what} has the signatures of two officers", order=number)


def _terms(lock: LockLeaf) -> tuple[str, bytes, bytes, bytes, bytes, int]:
    return lock.asset, lock.amount, lock.sender, lock.receiver, lock.hashlock, lock.timelock
