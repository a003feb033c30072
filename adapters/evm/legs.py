"""Lock, claim and refund as unsigned transactions, and where a lock finds its lane."""

import asyncio
import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, takewhile
from typing import Final

from adapters.evm.allowances import next_allowance
from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.endpoints import Endpoints
from adapters.evm.lanes import holds, next_use, slot_hex
from adapters.evm.names import hex_address, native_asset, token_address
from adapters.evm.rpc import Call, quantity
from core.model.errors import RejectedError, RetryableError
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, ChainId, Hashlock, LockId, LockTerms, Preimage, chain_of
from core.proofs.lanes import MAX_LANE, Lane, evm_address, lane_lock_id, packed_terms, parse_lane

# Gas limits, not estimates: a claim that carries an unrevealed preimage may not be shown to a node to be estimated.
# Measured use is in docs/internals/htlc-contract.md; the rest is room for tokens behind proxies and for payees that are
# contracts. What is not used is not paid.
LOCK_GAS: Final = 80_000
LOCK_TOKEN_GAS: Final = 250_000
SETTLE_GAS: Final = 150_000
SETTLE_TOKEN_GAS: Final = 250_000

LOWEST_READ: Final = 8
"""The lowest lanes that nothing is known of: those that were used before are cheaper by 17,100 gas than fresh ones."""
NAMED_READ: Final = 4
"""The lowest lanes that were handed out before, some of which may be free again."""
NEAR_READ: Final = 4
"""Lanes from where one was free last."""
STRIDES: Final = tuple(16**power for power in range(1, 8))
"""Distances at which lanes are looked at, so that one of them is free whatever number is in use."""
BETWEEN_READ: Final = 16
"""Lanes looked at, in a second read, before the first free one of those."""
HANDED_S: Final = 10.0
"""How long a lane that was shown to one lock is shown to no other: until then it is written down, or not used."""
MAX_SENDERS_REMEMBERED: Final = 1_024


@dataclass(frozen=True, slots=True)
class _Handed:
    """The hashlock of the lock that was shown a lane, and when (monotonic seconds)."""

    hashlock: Hashlock
    at_s: float


@dataclass(frozen=True, slots=True)
class _Read:
    """Words of low lanes by their number, and when their read began (monotonic seconds)."""

    words: Mapping[int, int]
    began_s: float


class EvmLegBuilder:
    """`LegBuilder` over one HashedTimelock."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = htlc
        self._free_last: dict[bytes, int] = {}
        self._handed: dict[Lane, _Handed] = {}
        self._read: dict[bytes, _Read] = {}
        self._turns: dict[bytes, asyncio.Lock] = {}

    async def lock_id(self, terms: LockTerms, taken: Collection[LockId] = ()) -> LockId:
        """A free lane of the sender's, a low one: at most two reads of the newest state, however many are in use. Those
        who ask while a read is awaited share the next one.

        A lane is free if no lock is open in it, and no place in `taken` is a use of it that the chain does not show
        yet, and if it was not just shown to a lock under another hashlock, whose place may not be written down yet.
        Should a reorg open it again, the contract refuses the lock, and nothing is lost but its gas. Raise
        `RetryableError` if no free lane is found, which takes more than 2**28 open locks.
        """
        self._own(terms)
        sender, asked_s = evm_address(terms.sender), time.monotonic()
        named: dict[int, list[Lane]] = {}
        for place in map(parse_lane, taken):
            if place.sender == sender:
                named.setdefault(place.number, []).append(place)
        async with self._turn(sender):
            for lane, one in self._handed_lately().items():
                if lane.sender == sender and one.hashlock != terms.hashlock:
                    named.setdefault(lane.number, []).append(lane)
            found = self._lane_just_read(sender, asked_s, named) or await self._free_lane(terms, sender, named)
            self._handed[found] = _Handed(terms.hashlock, time.monotonic())
        self._remember(sender, found.number)
        return lane_lock_id(found)

    def _handed_lately(self) -> Mapping[Lane, _Handed]:
        """Forget what was shown too long ago, and return the rest, of every sender."""
        now_s = time.monotonic()
        self._handed = {lane: one for lane, one in self._handed.items() if now_s - one.at_s < HANDED_S}
        return self._handed

    def _lane_just_read(self, sender: bytes, asked_s: float, named: Mapping[int, Sequence[Lane]]) -> Lane | None:
        """Return a free lane of the last read, if that began after somebody asked for one: it is as new as their own
        would be."""
        read = self._read.get(sender)
        if read is None or read.began_s < asked_s:
            return None
        return _first_free(sender, sorted(read.words), read.words, named)

    async def _free_lane(self, terms: LockTerms, sender: bytes, named: Mapping[int, Sequence[Lane]]) -> Lane:
        near = self._free_last.get(sender, 0)
        low = {*_unnamed(count(0), LOWEST_READ, named), *_unnamed(count(near), NEAR_READ, named)}
        low.update(islice(sorted(named), NAMED_READ))
        far = [number for stride in STRIDES for number in _unnamed(count(near + stride), 1, named)]
        began_s = time.monotonic()
        words = await self._words(sender, [*low, *far])
        if len(self._read) >= MAX_SENDERS_REMEMBERED:
            self._read.clear()
        self._read[sender] = _Read({number: words[number] for number in low}, began_s)
        found = _first_free(sender, sorted(low), words, named)
        if found is None:
            end = next((number for number in far if next_use(sender, number, words[number]) is not None), None)
            numbers = _unnamed(_between(words, end), BETWEEN_READ, named) + ([] if end is None else [end])
            found = _first_free(sender, numbers, await self._words(sender, numbers), named)
        if found is None:
            raise RetryableError(f"no free lane of {terms.sender} was found; all that were looked at hold open locks")
        return found

    async def prepare(self, terms: LockTerms) -> UnsignedTransaction | None:
        """See the port: the next step to the allowance that a token lock needs, if it is short.

        It is unlimited if the token allows that: two locks side by side would overwrite each other's exact allowances,
        and the contract, which nobody can change, takes tokens from nobody but the caller of `lockToken`.
        """
        self._own(terms)
        if terms.asset == native_asset(self._chain):
            return None
        token, summary = (
            token_address(terms.asset),
            f"Allow the contract {hex_address(self._htlc)} to take {terms.asset}",
        )
        return await next_allowance(
            self._endpoints, terms.sender, token, self._htlc, terms.amount, f"{summary} that you lock"
        )

    def lock(self, terms: LockTerms, lock_id: LockId) -> UnsignedTransaction:
        lane = self._lane(terms, lock_id)
        packed = packed_terms(terms, lane)
        summary = f"Lock {terms.amount} of {terms.asset} for {terms.receiver} until {terms.timelock.seconds}"
        if terms.asset == native_asset(self._chain):
            data = encode_call("HashedTimelock", "lock", terms.hashlock, packed)
            return unsigned_call(terms.sender, self._htlc, data, gas=LOCK_GAS, value=terms.amount, summary=summary)
        token = token_address(terms.asset)
        data = encode_call("HashedTimelock", "lockToken", terms.hashlock, packed, terms.amount, token)
        return unsigned_call(terms.sender, self._htlc, data, gas=LOCK_TOKEN_GAS, warm=(token,), summary=summary)

    def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage, sender: AccountId) -> UnsignedTransaction:
        lane = self._lane(terms, lock_id)
        summary = f"Claim {terms.amount} of {terms.asset} for {terms.receiver}"
        return self._settle("claim", preimage.expose(), terms, lane, sender, summary, reveals=True)

    def refund(self, terms: LockTerms, lock_id: LockId, sender: AccountId) -> UnsignedTransaction:
        lane = self._lane(terms, lock_id)
        summary = f"Refund {terms.amount} of {terms.asset} to {terms.sender}"
        return self._settle("refund", terms.hashlock, terms, lane, sender, summary, reveals=False)

    def _settle(
        self,
        verb: str,
        opening: bytes,
        terms: LockTerms,
        lane: Lane,
        sender: AccountId,
        summary: str,
        *,
        reveals: bool,
    ) -> UnsignedTransaction:
        if chain_of(sender) != self._chain:
            raise RejectedError(f"{sender} is not an account of {self._chain}")
        arguments = (opening, packed_terms(terms, lane), lane.sender, terms.amount)
        if terms.asset == native_asset(self._chain):
            data = encode_call("HashedTimelock", verb, *arguments)
            return unsigned_call(sender, self._htlc, data, gas=SETTLE_GAS, summary=summary, reveals=reveals)
        token = token_address(terms.asset)
        data = encode_call("HashedTimelock", f"{verb}Token", *arguments, token)
        return unsigned_call(
            sender, self._htlc, data, gas=SETTLE_TOKEN_GAS, warm=(token,), summary=summary, reveals=reveals
        )

    def _lane(self, terms: LockTerms, lock_id: LockId) -> Lane:
        self._own(terms)
        lane = parse_lane(lock_id)
        if lane.sender != evm_address(terms.sender):
            raise RejectedError("this place belongs to another sender", lock_id=lock_id)
        return lane

    def _own(self, terms: LockTerms) -> None:
        if terms.chain != self._chain:
            raise RejectedError(f"these terms are for {terms.chain}, this is {self._chain}")
        check_receiver(terms, self._htlc)

    def _turn(self, sender: bytes) -> asyncio.Lock:
        """Locks of one sender find their lanes one after another: side by side all would be shown the same."""
        if len(self._turns) >= MAX_SENDERS_REMEMBERED:
            self._turns = {one: turn for one, turn in self._turns.items() if turn.locked()}
        return self._turns.setdefault(sender, asyncio.Lock())

    def _remember(self, sender: bytes, number: int) -> None:
        if len(self._free_last) >= MAX_SENDERS_REMEMBERED:
            self._free_last.clear()
        self._free_last[sender] = number

    async def _words(self, sender: bytes, numbers: Iterable[int]) -> dict[int, int]:
        """Words of the lanes by their number, in the newest state."""
        where, asked = hex_address(self._htlc), list(dict.fromkeys(numbers))
        calls = [Call("eth_getStorageAt", (where, slot_hex(Lane(sender, number, 0)), "latest")) for number in asked]
        answers = await self._endpoints.batch(calls)
        return dict(zip(asked, map(quantity, answers), strict=True))


def check_receiver(terms: LockTerms, htlc: bytes) -> None:
    """Raise `RejectedError` for a receiver that the contract refuses: nobody, and the contract itself."""
    receiver = evm_address(terms.receiver)
    if not any(receiver):
        raise RejectedError("the receiver is the zero address: name the account that is to be paid")
    if receiver == htlc:
        raise RejectedError("the receiver is the HTLC contract itself: name the account that is to be paid")


def _unnamed(numbers: Iterable[int], amount: int, named: Collection[int]) -> list[int]:
    """The first `amount` lanes of these that are not named; fewer if the lanes end."""
    possible = takewhile(lambda number: number <= MAX_LANE, numbers)
    return list(islice((number for number in possible if number not in named), amount))


def _between(used: Iterable[int], end: int | None) -> Iterable[int]:
    """Lanes evenly between the highest used one before `end` and `end`; lanes at random if no end is known."""
    if end is None:
        return (secrets.randbelow(MAX_LANE + 1) for _ in range(BETWEEN_READ))
    start = max((number for number in used if number < end), default=0)
    return range(start + 1, end, max((end - start) // BETWEEN_READ, 1))


def _first_free(
    sender: bytes, numbers: Iterable[int], words: Mapping[int, int], named: Mapping[int, Sequence[Lane]]
) -> Lane | None:
    for number in numbers:
        lane = next_use(sender, number, words[number])
        if lane is not None and not any(holds(place, lane) for place in named.get(number, ())):
            return lane
    return None
