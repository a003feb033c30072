"""The hand that signs: for one account, under its fence, and within its purse.

    first(order)   market, purse and the chain's count ──> sequence, bid ──> bytes, stored with their reservation
    again(record)  other bytes under the same sequence: a better bid, a later expiry, or a cancellation

Nothing is broadcast here. What an exit needs from the chain beforehand is asked for with a short time limit, and what
is not answered is done without: the last known market, the journal's own count, no look into the purse.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RejectedError, RetryableError, UnaffordableError
from core.model.ports import ChainParameters, Signer, StateReader, TransactionSender
from core.model.transactions import FeeBid, FeeMarket, UnsignedTransaction
from core.model.types import AssetId, Height
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from relayer.heads import HeadBoard
from relayer.transactions import fees, orders, records, sequences
from relayer.transactions.fees import FeePolicy, Market
from relayer.transactions.orders import Gate, Order, Purse
from relayer.transactions.records import SequenceTakenError, SignedForm, TransactionRecord
from relayer.transactions.tracking import AccountWatch

SIGNING_RETRIES: Final = 5
EXIT_ASKS_S: Final = 3.0
"""How long an exit waits for what it can do without."""
ANY_BID: Final = FeeBid(1, 0)
"""Shows which assets a transaction takes."""

Rebuild = Callable[[str], Awaitable[UnsignedTransaction | None]]
Compose = Callable[[Sequence[str]], Awaitable[UnsignedTransaction | None]]
Worth = Callable[[Sequence[str]], Awaitable[int | None]]
"""The most that a transaction of these effects (by their keys) may cost, in base units of the coin that pays for it:
what they earn, or are worth to us. None for no limit."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The chain's answers that a first signature needs: the market, how many sequences it counts as used, the purse."""

    market: FeeMarket | None
    count: int
    purse: Purse | None


class _Refused(Exception):
    """Carries an order's own refusal through the search for a sequence."""

    def __init__(self, error: RejectedError) -> None:
        super().__init__(error.message)
        self.error = error


class SendingChain(Protocol):
    """The part of a chain that an account's transactions need. A `ChainAccess` has it."""

    @property
    def parameters(self) -> ChainParameters: ...
    @property
    def state(self) -> StateReader: ...
    @property
    def transactions(self) -> TransactionSender: ...


class Signatory:
    """The signer of one account, under its fence and within its purse. `epoch` is 0 until the account is open."""

    def __init__(
        self,
        database: Database,
        access: SendingChain,
        signer: Signer,
        board: HeadBoard,
        clock: Clock,
        policy: FeePolicy,
        expiry_blocks: int,
        watch: AccountWatch,
    ) -> None:
        self.epoch = 0
        self.rebuild: Rebuild | None = None
        self.compose: Compose | None = None
        self.worth: Worth | None = None
        self.bodies: dict[str, UnsignedTransaction] = {}
        """Bodies by effect key; those that reveal are nowhere else."""
        self.doubted: dict[int, int] = {}
        """Sequences of transactions that were refused a moment ago, by their ids: a node may have taken one all the
        same. Until it is known to be nowhere no other lock takes its sequence, and falls out of its swap by that."""
        self.market = Market(access.transactions.fee_market, clock, access.parameters.timing.block_time_s)
        self._database = database
        self._access = access
        self._sender = access.transactions
        self._signer = signer
        self._board = board
        self._clock = clock
        self._policy = policy
        self._expiry_blocks = expiry_blocks
        self._watch = watch
        self._signing = asyncio.Lock()

    # --- the first time ---

    async def ask(self, unsigned: UnsignedTransaction, *, exits: bool, guarded: bool) -> Asked:
        """Return what the chain has to say before this is signed, or anything else that takes the same assets.

        Raise `RetryableError` if it does not answer, or while only exits are signed; an exit does without.
        """
        assets = self._sender.cost(unsigned, ANY_BID)
        (market, count), purse = await asyncio.gather(
            self._counted(exits and not guarded), self.purse(assets, lenient=exits)
        )
        return Asked(market, count, purse)

    async def first(self, order: Order, asked: Asked | None = None) -> TransactionRecord:
        """Sign and store; a transaction that is there already for any of the order's effects stays, and is returned.

        `asked`: what was asked for it a moment ago. Raise as `orders.store_first`, and as `ask`.
        """
        if asked is None:
            asked = await self.ask(order.unsigned, exits=order.exits, guarded=order.guarded)
        async with self._signing:
            for _ in range(SIGNING_RETRIES):
                try:
                    return await self._try_first(order, asked.market, asked.count, asked.purse)
                except SequenceTakenError:
                    continue
                except _Refused as refused:
                    raise refused.error from None
        raise RetryableError(f"no sequence of {self._signer.account} could be allotted: others sign for it, too")

    async def _counted(self, lenient: bool) -> tuple[FeeMarket | None, int]:
        """Return the market, and how many sequences the chain counts as used; if `lenient`, 0 if nobody says."""
        if lenient:
            known = self._watch.soon(EXIT_ASKS_S)
            market, seen = await asyncio.gather(self.market.now(EXIT_ASKS_S), known)
            return market, 0 if seen is None else seen.latest
        market, view = await asyncio.gather(self.market.now(), self._watch.look())
        if self._watch.suspicious:
            raise RetryableError(
                f"the chain counts {view.latest} transactions of {self._signer.account}, more than this journal knows: "
                "until that is explained, only exits are signed"
            )
        return market, view.latest

    async def _try_first(
        self, order: Order, market: FeeMarket | None, count: int, purse: Purse | None
    ) -> TransactionRecord:
        look = partial(self._planned, order=order, market=market, usual=self.market.usual, count=count, purse=purse)
        known, sequence, bid, cost = await self._database.read(look)
        if known is not None:
            return known
        if (most := await self._most(order.items or (order.effect_key,), cost)) is not None:
            raise UnaffordableError(f"{order.unsigned.summary}: it may cost {sum(cost.values())}, and is worth {most}")
        attempt = await self._sign(order.unsigned, sequence, bid, order.deadline_ns, order.exits)
        store = partial(
            _stored, epoch=self.epoch, order=order, sequence=sequence, attempt=attempt, cost=cost, purse=purse
        )
        return await self._database.write(store)

    def _planned(
        self,
        connection: Connection,
        order: Order,
        market: FeeMarket | None,
        usual: int,
        count: int,
        purse: Purse | None,
    ) -> tuple[TransactionRecord | None, int, FeeBid | None, Mapping[AssetId, int]]:
        """The transaction that is there already; else the sequence, the bid and the cost of the one to be signed. The
        purse and the gates hold for it now, and are asked once more in the transaction that stores it."""
        unsigned = order.unsigned
        chain, account = unsigned.chain, unsigned.sender
        sequence = order.sequence
        if sequence is None:
            doubted = () if order.exits else self.doubted.values()
            sequence = sequences.free_sequence(connection, chain, account, count, exits=order.exits, doubted=doubted)
        if (known := records.by_effects(connection, (order.effect_key, *order.items))) is not None:
            return known, sequence, None, {}
        floor = _highest([one.bid for one in records.with_sequence(connection, chain, account, sequence)])
        bid = None if market is None else self._first_bid(market, usual, floor, order.exits)
        if order.exits and purse is not None:
            promised = _promised(connection, order, purse.height, sequence)
            bid = self._within(order, bid, market, purse, promised)
        cost = self._sender.cost(unsigned, bid)
        _checked(connection, order, cost, purse)
        return None, sequence, bid, cost

    def _first_bid(self, market: FeeMarket, usual: int, floor: FeeBid | None, exits: bool) -> FeeBid:
        """Return a bid of what the market asks, and more than anything that was ever offered under this sequence."""
        most = self._policy.most(usual, 0.0, exits)
        bid = fees.first_bid(market, 0.0, most)
        if floor is None:
            return bid
        return fees.replacement_bid(floor, market, 0.0, max(most, 2 * floor.max_fee)) or bid

    def _within(
        self,
        order: Order,
        bid: FeeBid | None,
        market: FeeMarket | None,
        purse: Purse,
        promised: Mapping[AssetId, int],
    ) -> FeeBid | None:
        """Return the bid of an exit, lowered to what the purse holds behind the exits before it. A transaction that is
        not an exit and does not leave it that much is cancelled as soon as the exit is there.

        Raise `UnaffordableError` if not even the present base fee can be paid.
        """
        unsigned = order.unsigned
        for asset, amount in self._sender.cost(unsigned, bid).items():
            free = purse.held.get(asset, 0) - promised.get(asset, 0)
            if free >= amount:
                continue
            if bid is not None and market is not None and not order.items:
                by_unit = amount - self._sender.cost(unsigned, FeeBid(bid.max_fee - 1, 0)).get(asset, 0)
                fixed = amount - by_unit * bid.max_fee
                affordable = (free - fixed) // by_unit if by_unit > 0 else 0
                if affordable > market.base_fee:
                    return FeeBid(affordable, min(bid.priority_fee, affordable - market.base_fee))
            raise UnaffordableError(
                f"{unsigned.summary}: it may take {amount} of {asset}, {max(0, free)} are free; fund the account",
                asset=asset,
            )
        return bid

    # --- again ---

    async def again(
        self,
        record: TransactionRecord,
        bid: FeeBid | None,
        cancellation: UnsignedTransaction | None = None,
        without: frozenset[int] | None = None,
        gate: Gate | None = None,
    ) -> SignedForm | None:
        """Sign and store another form under the record's sequence; None if there is nothing to sign, if the purse
        cannot carry it, or if the record is settled meanwhile. `without`: the items of a batch that are not to be in it
        (None: those that are not in its newest form). `gate` is asked inside the database transaction that stores it:
        None, too, if it raises a `ConflictError`."""
        without = frozenset() if cancellation else record.newest.without if without is None else without
        unsigned = cancellation or await self._body(record, without)
        if unsigned is None:
            return None
        left = (item for number, item in enumerate(record.effects) if number not in without)
        deadline_ns = records.soonest_ns(left) if record.items and not record.exits else record.deadline_ns
        cost = self._sender.cost(unsigned, bid)
        if bid is not None and not await self._can_pay(record, cost):
            return None
        async with self._signing:
            cancels = cancellation is not None
            # What only uses the sequence up is of use as long as anything stands behind it.
            lasts = record.exits or cancels
            attempt = await self._sign(unsigned, record.sequence, bid, deadline_ns, lasts, cancels)
            attempt = replace(attempt, without=without)
            if attempt.hash in {known.hash for known in record.attempts}:
                return None
            expires = attempt.expiry_height is not None
            dead_below = await self._finalized() if expires and record.exits else None
            try:
                await self._database.write(
                    lambda c: orders.store_replacement(c, self.epoch, record, attempt, cost, dead_below, gate)
                )
            except ConflictError:
                return None
        return attempt

    async def is_worth(self, record: TransactionRecord, bid: FeeBid, without: frozenset[int]) -> bool:
        """Return false if the record's effects, but for those left out, earn less than they may cost under this bid."""
        if self.worth is None or (unsigned := await self._body(record, without)) is None:
            return True
        keys = [item.effect_key for number, item in enumerate(record.effects) if number not in without]
        return await self._most(keys, self._sender.cost(unsigned, bid)) is None

    async def _most(self, effect_keys: Sequence[str], cost: Mapping[AssetId, int]) -> int | None:
        """Return what these effects earn if they may cost more than that."""
        most = None if self.worth is None else await self.worth(effect_keys)
        return None if most is None or sum(cost.values()) <= most else most

    async def _body(self, record: TransactionRecord, without: frozenset[int]) -> UnsignedTransaction | None:
        if without:
            left = [item.effect_key for number, item in enumerate(record.effects) if number not in without]
            return None if self.compose is None else await self.compose(left)
        if (kept := self.bodies.get(record.effect_key)) is not None:
            return kept
        if record.body is not None:
            return UnsignedTransaction(record.chain, record.account, record.body, False, record.summary)
        return None if self.rebuild is None else await self.rebuild(record.effect_key)

    async def _can_pay(self, record: TransactionRecord, cost: Mapping[AssetId, int]) -> bool:
        """True if the purse carries it behind everything before it, or if nobody can say."""
        purse = await self.purse(cost, lenient=True)
        return purse is None or not await self.lacks(record, cost, purse)

    async def lacks(self, record: TransactionRecord, cost: Mapping[AssetId, int], purse: Purse) -> bool:
        """True if the purse does not carry `cost` next to what comes first: for an exit, exits before it; for anything
        else all before it, and exits behind it."""
        promised = await self._database.read(
            lambda c: orders.reserved(
                c, record.chain, record.account, purse.height, record.sequence, exits=record.exits
            )
        )
        return any(purse.held.get(asset, 0) - promised.get(asset, 0) < amount for asset, amount in cost.items())

    async def cost_of(self, record: TransactionRecord) -> Mapping[AssetId, int] | None:
        """Return what the record's own effects take under its newest bid; None if its body is not at hand."""
        unsigned = await self._body(record, record.newest.without)
        return None if unsigned is None else self._sender.cost(unsigned, record.newest.fee)

    # --- small ---

    async def purse(self, cost: Mapping[AssetId, int], lenient: bool) -> Purse | None:
        """Return the account's balances of these assets at the head. None if nothing is asked for; if `lenient`, also
        if the chain does not say. Raise `RetryableError` otherwise."""
        if not cost:
            return None
        try:
            async with asyncio.timeout(EXIT_ASKS_S if lenient else None):
                height = (await self._board.current()).head.height
                account, state = self._signer.account, self._access.state
                held = await asyncio.gather(*(state.balance(account, asset, height) for asset in cost))
        except (RetryableError, RejectedError, TimeoutError) as error:
            if lenient:
                return None
            raise RetryableError(f"what {self._signer.account} holds cannot be read: {error}") from error
        return Purse(height, dict(zip(cost, held, strict=True)))

    async def _sign(
        self,
        unsigned: UnsignedTransaction,
        sequence: int,
        bid: FeeBid | None,
        deadline_ns: int | None,
        exits: bool,
        cancels: bool = False,
    ) -> SignedForm:
        expiry = None if bid is not None else await self._expiry(deadline_ns, exits)
        request = self._sender.assemble(unsigned, sequence, bid, expiry)
        signed = self._sender.attach(request, await self._signer.sign(request))
        return SignedForm(signed.hash, signed.raw, bid, expiry, self._clock.now_ns(), cancels)

    async def _expiry(self, deadline_ns: int | None, exits: bool) -> Height:
        """Return the last block that may include it, on chains without fees. Only an exit outlives its deadline."""
        head = (await self._board.current()).head.height
        blocks = self._expiry_blocks
        if deadline_ns is not None and not exits:
            left_s = (deadline_ns - self._clock.now_ns()) / NS_PER_S
            blocks = min(blocks, max(1, math.ceil(left_s / self._access.parameters.timing.block_time_s)))
        return Height(head + blocks)

    async def _finalized(self) -> Height:
        return (await self._board.current()).finalized.height


def _highest(bids: list[FeeBid | None]) -> FeeBid | None:
    known = [bid for bid in bids if bid is not None]
    return FeeBid(max(bid.max_fee for bid in known), max(bid.priority_fee for bid in known)) if known else None


def _promised(connection: Connection, order: Order, height: Height, sequence: int) -> Mapping[AssetId, int]:
    chain, account = order.unsigned.chain, order.unsigned.sender
    return orders.reserved(connection, chain, account, height, sequence, exits=order.exits)


def _checked(connection: Connection, order: Order, cost: Mapping[AssetId, int], purse: Purse | None) -> None:
    try:
        orders.check_order(connection, order, cost, purse)
    except RejectedError as error:
        raise _Refused(error) from None


def _stored(
    connection: Connection,
    epoch: int,
    order: Order,
    sequence: int,
    attempt: SignedForm,
    cost: Mapping[AssetId, int],
    purse: Purse | None,
) -> TransactionRecord:
    try:
        return orders.store_first(connection, epoch, order, sequence, attempt, cost, purse)
    except SequenceTakenError:
        raise
    except RejectedError as error:
        raise _Refused(error) from None
