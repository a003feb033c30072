"""Who may have how much of a block, and of what waits for one; and what an honest proposer takes, exits first.

An *exit* is a transaction of nothing but claims and refunds of locks that are open in the newest state. Exits have what
others may not take: a quarter of every block, and room of their own among what waits. All other transactions share
the rest: an account has a quota of it, a member's own account the largest, and all accounts together that nobody
answers for have one small share.

An exit is *protected* if a member's or an admitted account sends it, in whose own share of the exits it is then, which
nobody else can fill; or if its locks are all of such accounts, in whose shares it is then, whoever sends it. All other
exits come last and have the strangers' share.

The same rules hold for CheckTx (what waits), for the proposer and for validators (what a block has), so that no honest
validator refuses what an honest proposer proposes. They depend on the state before the block and on the bytes alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from core.model.consortium import Claim, LockLeaf, Refund, Transaction, lock_key
from core.model.errors import RejectedError
from local_chains.consortium.engine.home import MAX_BLOCK_BYTES
from local_chains.consortium.ledger.admission import Standing, standing
from local_chains.consortium.ledger.leaves import read
from local_chains.consortium.ledger.prices import MAX_BLOCK_COST, MAX_BLOCK_ENTRIES, Tariff
from local_chains.consortium.ledger.signatures import sender_of
from local_chains.consortium.ledger.view import StateView

NextSequence = Callable[[bytes], int]
"""The next sequence of an account in a state."""

_SETTLING: Final = (Claim, Refund)
MAX_STANDINGS: Final = 20_000
"""Accounts whose standing is remembered."""


@dataclass(frozen=True, slots=True)
class Share:
    """An amount of work, and of bytes."""

    cost: int
    bytes: int

    def of(self, parts: int) -> "Share":
        return Share(self.cost // parts, self.bytes // parts)

    def times(self, factor: int) -> "Share":
        return Share(self.cost * factor, self.bytes * factor)


BLOCK: Final = Share(MAX_BLOCK_COST, MAX_BLOCK_BYTES)
ORDINARY: Final = Share(MAX_BLOCK_COST * 3 // 4, MAX_BLOCK_BYTES // 4)
"""Of all transactions together that are not exits. 1 MiB is more than transfers of that cost have, and keeps blocks of
long documents from being late. With the exits that wait, and the 1 MiB of evidence that CometBFT may add, it fits in a
block."""
EXITS: Final = Share(MAX_BLOCK_COST, MAX_BLOCK_BYTES * 7 // 16)
"""The share of protected exits that wait, which is as much work as a whole block has: all of them go first."""
STRANGERS: Final = Share(MAX_BLOCK_COST // 16, MAX_BLOCK_BYTES // 64)
"""Of all accounts together that nobody answers for."""
OF_ACCOUNT: Final = {
    Standing.MEMBER: ORDINARY.of(2),
    Standing.ADMITTED: ORDINARY.of(8),
    Standing.STRANGER: STRANGERS.of(8),
}
OF_OWNER: Final = {Standing.MEMBER: EXITS.of(4), Standing.ADMITTED: EXITS.of(16)}
"""The share of waiting exits that one account sends, or that settle its locks."""

assert ORDINARY.bytes + EXITS.bytes + STRANGERS.bytes + MAX_BLOCK_BYTES // 4 < MAX_BLOCK_BYTES


class Candidate(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A transaction as the rules see it. `is_exit`: it settles locks that are open. `owners` are the accounts in whose
    shares of the exits it is, none for an exit that is not protected."""

    raw: bytes
    sender: bytes
    sequence: int
    cost: int
    standing: Standing
    is_exit: bool = False
    owners: tuple[tuple[bytes, Standing], ...] = ()
    settles: bool = False
    """It is nothing but claims and refunds, of locks that may not be there yet."""

    @property
    def size(self) -> int:
        """Its bytes in a block, protobuf tag and length included."""
        length = len(self.raw)
        return length + (2 if length < 1 << 7 else 3 if length < 1 << 14 else 4)

    @property
    def is_protected(self) -> bool:
        return bool(self.owners)


class Classifier:
    """Sees transactions as one state does. It remembers what it has looked up."""

    def __init__(self, state: StateView) -> None:
        self._state = state
        self.tariff = Tariff(state)
        self._standings: dict[bytes, Standing] = {}

    def candidate(self, raw: bytes, transaction: Transaction) -> Candidate:
        """Raise `RejectedError` for a public key that is not one, and for a transaction without messages."""
        body = transaction.body
        if not body.messages:
            raise RejectedError("a transaction has a message")
        sender = sender_of(body.public_key)
        cost = self.tariff.of(raw, transaction)
        own = self._standings.get(sender) or self.standing(sender)
        if type(body.messages[0]) not in _SETTLING:
            return Candidate(raw, sender, body.sequence, cost, own)
        settles = all(type(message) in _SETTLING for message in body.messages)
        lockers = self._lockers(transaction)
        owners: tuple[tuple[bytes, Standing], ...] = ()
        if lockers is not None:
            known = {sender: own} if own is not Standing.STRANGER else {one: self.standing(one) for one in lockers}
            if Standing.STRANGER not in known.values():
                owners = tuple(sorted(known.items()))
        return Candidate(raw, sender, body.sequence, cost, own, lockers is not None, owners, settles)

    def standing(self, account: bytes) -> Standing:
        found = self._standings.get(account)
        if found is None:
            if len(self._standings) >= MAX_STANDINGS:
                self._standings.clear()
            found = self._standings[account] = standing(self._state, account)
        return found

    def _lockers(self, transaction: Transaction) -> set[bytes] | None:
        """The senders of the locks that it settles; None if one is not open, or it does anything else."""
        lockers = set()
        for message in transaction.body.messages:
            if isinstance(message, Claim):
                hashlock = sha256(message.preimage).digest()
            elif isinstance(message, Refund):
                hashlock = message.hashlock
            else:
                return None
            lock = read(self._state, lock_key(message.locker, hashlock), LockLeaf)
            # A lock that is not in the state yet would not be there either when exits have their turn.
            if lock is None or lock.status != "locked":
                return None
            lockers.add(lock.sender)
        return lockers


class Room:
    """The shares of `blocks` blocks, and what is taken of them. `waiting` also bounds exits, which have all the rest of
    one."""

    def __init__(self, blocks: int = 1, waiting: bool = False) -> None:
        self._blocks = blocks
        self._waiting = waiting
        self._block = _Taken(BLOCK.times(blocks), "the block")
        self._ordinary = _Taken(ORDINARY.times(blocks), "the share of transactions that are not exits")
        self._exits = _Taken(EXITS.times(blocks), "the share of exits")
        self._strangers = _Taken(STRANGERS.times(blocks), "the share of accounts that nobody answers for")
        self._strangers_exits = _Taken(STRANGERS.times(blocks), "the share of exits that nobody answers for")
        self._of_account = {standing: share.times(blocks) for standing, share in OF_ACCOUNT.items()}
        self._of_owner = {standing: share.times(blocks) for standing, share in OF_OWNER.items()}
        self._accounts: dict[bytes, _Taken] = {}
        self._owners: dict[bytes, _Taken] = {}
        self._count = 0

    def take(self, one: Candidate) -> str:
        """Take room for a transaction. Return why there is none, or an empty text."""
        shares = self._shares(one)
        cost, size = one.cost, one.size
        for taken in shares:
            if taken.cost + cost > taken.most_cost or taken.bytes + size > taken.most_bytes:
                self._forget_unused(one)
                return f"{taken.name} has no more room until the next block"
        if self._count >= MAX_BLOCK_ENTRIES * self._blocks - 1:
            self._forget_unused(one)
            return f"there are {self._count} transactions already"
        for taken in shares:
            taken.cost += cost
            taken.bytes += size
            taken.count += 1
        self._count += 1
        return ""

    def give_back(self, one: Candidate) -> None:
        """Undo `take`."""
        cost, size = one.cost, one.size
        for taken in self._shares(one):
            taken.cost -= cost
            taken.bytes -= size
            taken.count -= 1
        self._count -= 1
        self._forget_unused(one)

    def _forget_unused(self, one: Candidate) -> None:
        """Remember no shares of accounts that have nothing here: whoever is refused may have any number of keys."""
        if not one.is_exit and not self._accounts[one.sender].count:
            del self._accounts[one.sender]
        for owner, _ in one.owners:
            if self._waiting and not self._owners[owner].count:
                del self._owners[owner]

    def _shares(self, one: Candidate) -> tuple["_Taken", ...]:
        """All shares that a transaction is in."""
        if one.is_exit:
            return self._shares_of_exit(one)
        account = self._accounts.get(one.sender)
        if account is None:
            account = self._accounts[one.sender] = _Taken(self._of_account[one.standing], "the account's quota")
        if one.standing is Standing.STRANGER:
            ours = account, self._ordinary, self._strangers
            return ours if self._waiting else (*ours, self._block)
        return (account, self._ordinary) if self._waiting else (account, self._ordinary, self._block)

    def _shares_of_exit(self, one: Candidate) -> tuple["_Taken", ...]:
        shares = [] if one.owners else [self._strangers_exits]
        if not self._waiting:
            return *shares, self._block
        for owner, kind in one.owners:
            taken = self._owners.get(owner)
            if taken is None:
                taken = self._owners[owner] = _Taken(self._of_owner[kind], "the account's share of exits")
            shares.append(taken)
        return (*shares, self._exits) if one.owners else tuple(shares)


class _Taken:
    """A share, and how much of it is taken."""

    __slots__ = ("bytes", "cost", "count", "most_bytes", "most_cost", "name")

    def __init__(self, most: Share, name: str) -> None:
        self.most_cost, self.most_bytes = most.cost, most.bytes
        self.cost = self.bytes = self.count = 0
        self.name = name


def chosen(candidates: Sequence[Candidate], next_sequence: NextSequence, max_bytes: int) -> list[bytes]:
    """The transactions of an honest proposal, of those that wait in their order: exits first, then by age.

    Protected exits come before others, and the accounts in whose shares they are take turns, so that nobody's many are
    before another's one. An account's earlier transactions go before its exit, in their own share. Sequences that
    cannot be next, and what comes after them, are left for later.
    """
    room = Room()
    taken: list[bytes] = []
    stopped: set[bytes] = set()

    def take(one: Candidate) -> bool:
        """Return False, and take no more of this sender, if it has no room."""
        nonlocal max_bytes
        size = one.size
        if size > max_bytes or room.take(one):
            stopped.add(one.sender)
            return False
        max_bytes -= size
        taken.append(one.raw)
        return True

    possible = _possible(candidates, next_sequence)
    queues = _queues_with_exits(possible)
    places = dict.fromkeys(queues, 0)
    for sender, place in _exits_in_turn(queues):
        while places[sender] <= place and sender not in stopped and take(queues[sender][places[sender]]):
            places[sender] += 1
    for one in possible:
        if places.get(one.sender):
            places[one.sender] -= 1  # it was taken before an exit, or is one
        elif one.sender not in stopped:
            take(one)
    return taken


def _possible(candidates: Iterable[Candidate], next_sequence: NextSequence) -> list[Candidate]:
    """Return what can be executed, in its order."""
    found: list[Candidate] = []
    expected: dict[bytes, int] = {}
    for one in candidates:
        sequence = expected.get(one.sender)
        if sequence is None:
            sequence = expected[one.sender] = next_sequence(one.sender)
        if one.sequence == sequence:
            found.append(one)
            expected[one.sender] = sequence + 1
    return found


def _queues_with_exits(candidates: Sequence[Candidate]) -> dict[bytes, list[Candidate]]:
    """Return all transactions of each sender that has an exit among them, in its order."""
    queues: dict[bytes, list[Candidate]] = {one.sender: [] for one in candidates if one.is_exit}
    if queues:
        for one in candidates:
            if one.sender in queues:
                queues[one.sender].append(one)
    return queues


def _exits_in_turn(queues: dict[bytes, list[Candidate]]) -> list[tuple[bytes, int]]:
    """(sender, place in its queue) of all exits, in the order in which they are taken."""
    turns: defaultdict[bytes, int] = defaultdict(int)
    found: list[tuple[bool, int, int, bytes, int]] = []
    for sender, queue in queues.items():
        for place, one in enumerate(queue):
            if one.is_exit:
                turn = max((turns[owner] for owner, _ in one.owners), default=0)
                for owner, _ in one.owners:
                    turns[owner] = turn + 1
                found.append((not one.is_protected, turn, len(found), sender, place))
    return [(sender, place) for _, _, _, sender, place in sorted(found)]
