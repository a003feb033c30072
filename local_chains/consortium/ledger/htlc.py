"""Hash-time-locks by ledger time: a claim strictly before the timelock, a refund at or after it, by anyone.

A hashlock is used once per *sender*, so that nobody blocks another's lock by copying its hashlock. A settled lock stays
for ever and never changes again.
"""

import hashlib
from typing import Final, Literal

from core.model.consortium import (
    Claim,
    Lock,
    LockClaimed,
    LockCreated,
    LockLeaf,
    LockRefunded,
    Refund,
    ResultCode,
    lock_key,
    locks_of,
    open_locks_key,
    quantity,
    value_of,
)
from core.model.types import MAX_TIMELOCK_S, PREIMAGE_BYTES
from local_chains.consortium.ledger.bank import NO_SUCH_ASSET, credit, debit
from local_chains.consortium.ledger.context import MS_PER_S, Context, positive_amount, refuse, require_address
from local_chains.consortium.ledger.leaves import read, read_asset, read_count, write, write_count
from local_chains.consortium.ledger.orders import require_free_receiver, require_free_sender
from local_chains.consortium.ledger.sequences import append

HASHLOCK_BYTES: Final = 32
MAX_OPEN_LOCKS: Final = 4_096
"""Of one sender."""


def lock(context: Context, message: Lock) -> None:
    require_address(message.receiver, "receiver")
    amount = positive_amount(message.amount)
    if len(message.hashlock) != HASHLOCK_BYTES:
        refuse(ResultCode.BAD_HASHLOCK, f"a hashlock is {HASHLOCK_BYTES} bytes, not {len(message.hashlock)}")
    if not 0 < message.timelock <= MAX_TIMELOCK_S or message.timelock * MS_PER_S <= context.time_ms:
        refuse(ResultCode.BAD_TIMELOCK, "a timelock is a Unix time in seconds after ledger time and below 2**40")
    if read_asset(context.state, message.asset) is None:
        refuse(ResultCode.UNKNOWN_ASSET, NO_SUCH_ASSET)
    require_free_sender(context)
    require_free_receiver(context, message.receiver)
    key = lock_key(context.sender, message.hashlock)
    if context.state.get(key) is not None:
        refuse(ResultCode.HASHLOCK_USED, "this sender has used this hashlock already")
    open_key = open_locks_key(context.sender)
    open_locks = read_count(context.state, open_key)
    if open_locks >= MAX_OPEN_LOCKS:
        refuse(ResultCode.TOO_MANY_LOCKS, f"a sender has at most {MAX_OPEN_LOCKS} locks open")
    debit(context.state, context.sender, message.asset, amount)
    terms = (message.asset, quantity(amount), context.sender, message.receiver, message.hashlock, message.timelock)
    write(context.state, key, LockLeaf(*terms, "locked", b""))
    write_count(context.state, open_key, open_locks + 1)
    append(context.state, locks_of(context.sender), message.hashlock)
    context.events.append(
        LockCreated(message.asset, amount, context.sender, message.receiver, message.hashlock, message.timelock)
    )


def claim(context: Context, message: Claim) -> None:
    require_address(message.locker, "locker")
    if len(message.preimage) != PREIMAGE_BYTES:
        refuse(ResultCode.BAD_HASHLOCK, f"a preimage is {PREIMAGE_BYTES} bytes, not {len(message.preimage)}")
    hashlock = hashlib.sha256(message.preimage).digest()
    held = _open_lock(context, message.locker, hashlock)
    if context.time_ms >= held.timelock * MS_PER_S:
        refuse(ResultCode.TOO_LATE, f"the timelock {held.timelock} has passed: the lock can only be refunded")
    _settle(context, held, held.receiver, "claimed", message.preimage)
    context.events.append(LockClaimed(held.sender, hashlock, message.preimage))


def refund(context: Context, message: Refund) -> None:
    require_address(message.locker, "locker")
    held = _open_lock(context, message.locker, message.hashlock)
    if context.time_ms < held.timelock * MS_PER_S:
        refuse(ResultCode.TOO_EARLY, f"the lock can be refunded from {held.timelock} on")
    _settle(context, held, held.sender, "refunded", b"")
    context.events.append(LockRefunded(held.sender, message.hashlock))


def _open_lock(context: Context, locker: bytes, hashlock: bytes) -> LockLeaf:
    held = read(context.state, lock_key(locker, hashlock), LockLeaf)
    if held is None:
        refuse(ResultCode.UNKNOWN_LOCK, "this locker has no lock under this hashlock")
    if held.status != "locked":
        refuse(ResultCode.ALREADY_SETTLED, f"the lock is {held.status} already")
    return held


def _settle(
    context: Context, held: LockLeaf, payee: bytes, status: Literal["claimed", "refunded"], preimage: bytes
) -> None:
    terms = (held.asset, held.amount, held.sender, held.receiver, held.hashlock, held.timelock)
    write(context.state, lock_key(held.sender, held.hashlock), LockLeaf(*terms, status, preimage))
    open_key = open_locks_key(held.sender)
    write_count(context.state, open_key, read_count(context.state, open_key) - 1)
    credit(context.state, payee, held.asset, value_of(held.amount))
