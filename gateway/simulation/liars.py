"""One operator among several who lies: the same lie all the time, from a seed; and endpoints that refuse, or lag."""

import inspect
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from adapters.endpoints import Member
from adapters.memory import Endpoint
from core.model.errors import (
    CausewayError,
    ConflictError,
    DisagreementError,
    FatalError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    ReorgedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.model.facts import Block, BlockHeader, HeadUpdate, Locked, Refunded
from core.model.ports import BlockSource, HeadSource, StateReader, TransactionSender
from core.model.transactions import (
    FeeBid,
    FeeMarket,
    Outcome,
    OutcomeStatus,
    SequenceView,
    SignedTransaction,
    UnsignedTransaction,
)
from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, Height
from core.runtime.clock import Clock
from gateway.simulation.plan import Lie

T = TypeVar("T")

LAG_BLOCKS: Final = 6
FAR: Final = 40
"""How many sequences a liar is off."""
TIMES: Final = 1_000
"""How much dearer than it is a liar calls inclusion."""
BUSY_SHARE: Final = 0.3
"""Of seconds, those in which an index that lags does not answer about a transaction that waits."""
TIMES_RICHER: Final = 1_000
"""Or poorer."""
NONSENSE: Final[tuple[Callable[[], Exception], ...]] = (
    lambda: ValueError("not a number: '0x'"),
    lambda: KeyError("blockNumber"),
    lambda: TypeError("'NoneType' object is not subscriptable"),
    lambda: IndexError("list index out of range"),
    lambda: AttributeError("'str' object has no attribute 'get'"),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    lambda: RecursionError("maximum recursion depth exceeded"),
    lambda: OverflowError("int too large to convert"),
)
"""The errors of reading an answer that is not one."""
REFUSALS: Final[tuple[type[CausewayError], ...]] = (
    RetryableError,
    NotYetFinalError,
    DisagreementError,
    UnaffordableError,
    UnclearRefusalError,
    RejectedError,
    NotFoundError,
    ConflictError,
    RevertedError,
    ReorgedError,
    FatalError,
)
MOODS: Final[tuple[type[CausewayError], ...]] = (RevertedError, RejectedError, UnaffordableError, ConflictError)
"""How an endpoint refuses what it took."""
WORDS: Final = "the moon is in the wrong house"
HALF: Final = 0.5
"""The share of its answers that such a liar spoils: one that spoils all of them is soon asked last."""
METHODS: Final = (
    *("head", "heads", "header", "blocks", "balance", "lock_at", "check_payout", "lock_id", "prepare"),
    *("sequences", "fee_market", "simulate", "submit", "outcome", "fitted"),
)
"""Everything that the parties of a story ask of an endpoint."""
STALE: Final = frozenset({"head", "final_block", "header", "blocks", "balance", "lock_at", "sequences"})
"""The methods that an endpoint which lags answers from the past."""
SENDER_LIES: Final = frozenset(
    {
        Lie.PENDING,
        Lie.INCLUDED,
        Lie.FINAL,
        Lie.HIGH_SEQUENCE,
        Lie.LOW_SEQUENCE,
        Lie.HIGH_FEE,
        Lie.LOW_FEE,
        Lie.REFUSES,
        Lie.DROPPED,
    }
)


def lying(member: Member, lie: Lie, endpoint: Endpoint, faults: Counter[str], party: str) -> Member:
    """The member of `party`, with this lie on its lips."""
    match lie:
        case Lie.HEADS_AND_LOCKS:
            endpoint.lying = True
        case Lie.FROM_THE_PAST:
            endpoint.lag_blocks = LAG_BLOCKS
        case Lie.HANGS:
            endpoint.hang()
        case _:
            pass
    faults[f"lie-{lie}"] += 1
    access = member.access
    if lie in SENDER_LIES:
        liar = _Liar(access.transactions, lie, access.chain, faults)
        heads = _AllFinal(access.heads) if lie is Lie.FINAL else access.heads
        return replace(member, access=replace(access, heads=heads, transactions=liar))
    if lie is Lie.ADDS:
        return replace(member, access=replace(access, blocks=_Adding(access.blocks, faults)))
    if lie in (Lie.RICH, Lie.POOR):
        return replace(member, access=replace(access, state=_Rich(access.state, lie, faults)))
    spoils = _spoiling(lie, random.Random(f"{party}/{access.chain}/{lie}"), faults, f"{kind_of(party)}-{access.chain}")
    if spoils is None:
        return member
    spoilt = {
        name: _Spoiler(getattr(access, name), spoils)
        for name in ("heads", "blocks", "state", "locks", "legs", "transactions")
    }
    return replace(member, access=replace(access, **spoilt), locks=_Spoiler(member.locks, spoils))


def moody(
    member: Member, share: Callable[[bytes], float], source: random.Random, refused: Callable[[bytes], None]
) -> Member:
    """The member, which refuses a share of what it takes all the same. `refused` hears of each, with its bytes."""
    access = member.access
    return replace(member, access=replace(access, transactions=_Moody(access.transactions, share, source, refused)))


def picky(member: Member, is_too_much: Callable[[bytes], bool], faults: Counter[str]) -> Member:
    """The member, which takes nothing that `is_too_much` for it, and says so in words that nobody knows."""
    access = member.access
    return replace(member, access=replace(access, transactions=_Picky(access.transactions, is_too_much, faults)))


def lagging(member: Member, lags_s: float, clock: Clock) -> Member:
    """The member, which knows of a transaction so long after a block has taken it."""
    access = member.access
    return replace(member, access=replace(access, transactions=_Lagging(access.transactions, lags_s, clock)))


def balanced(member: Member, endpoint: Endpoint, behind: float, source: random.Random, faults: Counter[str]) -> Member:
    """The member, which has many nodes behind its address: a share of its answers comes from one that is a block
    behind."""

    def choose(method: str) -> None:
        if method in STALE:
            endpoint.lag_blocks = 1 if source.random() < behind else 0
            faults["answered-behind"] += endpoint.lag_blocks

    access = member.access
    ports = {name: _Spoiler(getattr(access, name), choose) for name in ("heads", "blocks", "state", "transactions")}
    return replace(member, access=replace(access, **ports), locks=_Spoiler(member.locks, choose))


def kind_of(party: str) -> str:
    """`relayer`, `dapp` or `tower`, of a party's name."""
    return party.split("-", maxsplit=1)[0]


def _spoiling(
    lie: Lie, source: random.Random, faults: Counter[str], whose: str
) -> Callable[[str], Exception | None] | None:
    """Return the error to raise instead of answering a method, None if it answers; None itself if nothing is
    spoilt."""

    def stale(method: str) -> Exception | None:
        if method in STALE:
            faults[f"said-{lie}"] += 1
            faults[f"stale-{whose}"] += 1
        return None

    def malformed(method: str) -> Exception | None:
        if source.random() >= HALF:
            return None
        faults[f"said-{lie}"] += 1
        faults[f"malformed-{method}"] += 1
        return source.choice(NONSENSE)()

    def refused(method: str) -> Exception | None:
        if source.random() >= HALF:
            return None
        kind = source.choice(REFUSALS)
        faults[f"said-{lie}"] += 1
        faults[f"refused-{method}"] += 1
        faults[f"refused-with-{kind.__name__}"] += 1
        return kind(WORDS)

    return {Lie.FROM_THE_PAST: stale, Lie.MALFORMED: malformed, Lie.REFUSES_ALL: refused}.get(lie)


class _Spoiler:
    """Any port of an endpoint, of which every answer may be spoilt. What asks nobody, as building does, stays."""

    def __init__(self, inner: Any, spoils: Callable[[str], Exception | None]) -> None:
        self._inner = inner
        self._spoils = spoils

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.isasyncgenfunction(found):
            return lambda *given: self._streamed(found, name, given)
        if not inspect.iscoroutinefunction(found):
            return found

        async def asked(*given: Any) -> Any:
            if (error := self._spoils(name)) is not None:
                raise error
            return await found(*given)

        self.__dict__[name] = asked  # a method stays what it is
        return asked

    async def _streamed(self, stream: Callable[..., AsyncIterator[T]], name: str, given: tuple[Any, ...]) -> Any:
        async for one in stream(*given):
            if (error := self._spoils(name)) is not None:
                raise error
            yield one


class _Moody:
    """A `TransactionSender` that takes what it is given, and then refuses some of it."""

    def __init__(
        self,
        inner: TransactionSender,
        share: Callable[[bytes], float],
        source: random.Random,
        refused: Callable[[bytes], None],
    ) -> None:
        self._inner = inner
        self._share = share
        self._source = source
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def submit(self, signed: SignedTransaction) -> None:
        await self._inner.submit(signed)
        if self._source.random() < self._share(signed.raw):
            self._refused(signed.raw)
            raise self._source.choice(MOODS)(WORDS)


class _Picky:
    """A `TransactionSender` that refuses what is too much for it."""

    def __init__(self, inner: TransactionSender, is_too_much: Callable[[bytes], bool], faults: Counter[str]) -> None:
        self._inner = inner
        self._is_too_much = is_too_much
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def submit(self, signed: SignedTransaction) -> None:
        if self._is_too_much(signed.raw):
            self._faults["refused-together"] += 1
            raise UnclearRefusalError(WORDS)
        await self._inner.submit(signed)


class _Lagging:
    """A `TransactionSender` that looks transactions up in an index, which is filled behind the blocks, and cannot be
    asked while it is."""

    def __init__(self, inner: TransactionSender, lags_s: float, clock: Clock) -> None:
        self._inner = inner
        self._lags_s = lags_s
        self._clock = clock
        self._known_s: dict[tuple[bytes, BlockRef], float] = {}
        """From when on it knows what a block holds."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        truth, now_s = await self._inner.outcome(tx_hash), self._clock.monotonic()
        if truth.block is None:
            # In the same moments at every endpoint: they index the same blocks.
            if random.Random(tx_hash + str(int(now_s)).encode()).random() < BUSY_SHARE:
                raise RetryableError("transactions are being indexed: ask again in a moment")
            return truth
        known_s = self._known_s.setdefault((tx_hash, truth.block), now_s + self._lags_s)
        return truth if now_s >= known_s else Outcome(OutcomeStatus.DROPPED)


class _Rich:
    """A `StateReader` by which everybody holds a thousand times what they do, or a thousandth of it."""

    def __init__(self, inner: StateReader, lie: Lie, faults: Counter[str]) -> None:
        self._inner = inner
        self._lie = lie
        self._faults = faults

    async def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> BaseUnits:
        self._faults[f"said-{self._lie}"] += 1
        held = await self._inner.balance(account, asset, at)
        return BaseUnits(held // TIMES_RICHER if self._lie is Lie.POOR else TIMES_RICHER * held)


class _Adding:
    """A `BlockSource` by which whatever a block locks comes back in the same block, whose header is the true one."""

    def __init__(self, inner: BlockSource, faults: Counter[str]) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def blocks(self, first: Height, last: Height) -> tuple[Block, ...]:
        return tuple(map(self._with_more, await self._inner.blocks(first, last)))

    def _with_more(self, block: Block) -> Block:
        locked = [(one, one.event) for one in block.events if isinstance(one.event, Locked)]
        behind = max((one.index for one in block.events), default=0) + 1
        added = (
            replace(one, index=behind + number, event=Refunded(event.lock_id, event.terms.hashlock))
            for number, (one, event) in enumerate(locked)
        )
        self._faults[f"said-{Lie.ADDS}"] += len(locked)
        return replace(block, events=(*block.events, *added))


class _AllFinal:
    """A `HeadSource` by which every block is final at once."""

    def __init__(self, inner: HeadSource) -> None:
        self._inner = inner

    async def head(self) -> HeadUpdate:
        return _as_final(await self._inner.head())

    async def heads(self) -> AsyncIterator[HeadUpdate]:
        async for one in self._inner.heads():
            yield _as_final(one)

    async def final_block(self, height: Height) -> BlockHeader:
        head = (await self._inner.head()).head
        return head if head.height == height else await self._inner.final_block(height)


def _as_final(truth: HeadUpdate) -> HeadUpdate:
    return replace(truth, finalized=truth.head)


class _Liar:
    """A `TransactionSender` that says what its lie has it say, and counts how often it said so."""

    def __init__(self, inner: TransactionSender, lie: Lie, chain: ChainId, faults: Counter[str]) -> None:
        self._inner = inner
        self._lie = lie
        self._chain = chain
        self._faults = faults
        self._refusals = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def sequences(self, account: AccountId) -> SequenceView:
        truth = await self._inner.sequences(account)
        if self._lie is Lie.HIGH_SEQUENCE:
            return self._said(SequenceView(truth.latest + FAR, truth.latest + FAR))
        if self._lie is Lie.LOW_SEQUENCE:
            return self._said(SequenceView(0, 0))
        return truth

    async def fee_market(self) -> FeeMarket | None:
        truth = await self._inner.fee_market()
        if truth is not None and self._lie is Lie.HIGH_FEE:
            return self._said(FeeMarket(truth.base_fee * TIMES, truth.priority_fee * TIMES))
        if truth is not None and self._lie is Lie.LOW_FEE:
            return self._said(FeeMarket(1, 1))
        return truth

    async def submit(self, signed: SignedTransaction) -> None:
        if self._lie in (Lie.PENDING, Lie.INCLUDED):
            return  # taken, it says, and throws it away
        if self._lie is Lie.REFUSES:
            self._refusals += 1
            words = self._said(WORDS)
            kinds = (UnclearRefusalError, RevertedError, ConflictError, UnaffordableError)
            raise kinds[self._refusals % len(kinds)](words)
        await self._inner.submit(signed)

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        if self._lie is Lie.REFUSES:
            raise RevertedError(self._said(WORDS))
        await self._inner.simulate(transaction, fee)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        if self._lie is Lie.PENDING:
            return self._said(Outcome(OutcomeStatus.PENDING))
        if self._lie is Lie.DROPPED:
            return self._said(Outcome(OutcomeStatus.DROPPED))
        if self._lie is Lie.INCLUDED:
            invented = BlockRef(self._chain, Height(1), tx_hash)
            return self._said(Outcome(OutcomeStatus.INCLUDED, True, invented))
        truth = await self._inner.outcome(tx_hash)
        if self._lie is Lie.FINAL and truth.block is not None:
            return self._said(replace(truth, final=True))
        return truth

    def _said(self, answer: T) -> T:
        self._faults[f"said-{self._lie}"] += 1
        return answer
