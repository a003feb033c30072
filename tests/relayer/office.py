"""One process's checks over a database, and chains that answer what a test says."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import msgspec

from core.model.errors import (
    PayoutBlockedError,
)
from core.model.facts import BlockHeader, HeadUpdate, LockObservation, LockStatus
from core.model.transactions import FeeBid, FeeMarket
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    chain_of,
)
from core.runtime.clock import ManualClock
from core.runtime.database import InlineDatabase
from htlc import events
from htlc.model import Agreement, Leg, Role, SwapState, swap_id
from relayer.heads import HeadBoard
from relayer.policy import RelayerPolicy
from relayer.pump import swaps
from relayer.pump.checks import Checks
from tests.htlc.scenarios import (
    IDS,
    LEDGER_TIMING,
    NOW,
    POLICY,
    A,
    B,
    agreement,
    block,
    lock_final,
    lock_seen,
    verified,
)

FIRST, SECOND = Leg.INITIATOR, Leg.PARTICIPANT
CODE = b"\xcd" * 32
NATIVE = {A: AssetId(f"{A}/slip44:60"), B: AssetId(f"{B}/asset:gas")}
OURS = {chain_of(account): account for account in agreement().own_accounts}
PAID = 10**9


@dataclass
class Chain:
    """A chain's ports, which answer from these fields and note what they were asked."""

    chain: ChainId
    observed: LockObservation | None = None
    canonical: dict[int, bytes | Exception] = field(default_factory=dict)
    head_s: int = NOW
    held: dict[AssetId, int] = field(default_factory=dict)
    market: FeeMarket | None = None
    blocked: set[AccountId] = field(default_factory=set)
    places: list[LockId] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    heads_asked: int = 0

    @property
    def parameters(self) -> Any:
        return SimpleNamespace(htlc_code_hash=CODE, chain=self.chain, timing=LEDGER_TIMING)

    @property
    def heads(self) -> "Chain":
        return self

    locks = state = legs = transactions = heads

    async def head(self) -> HeadUpdate:
        self.heads_asked += 1
        ref = BlockRef(self.chain, Height(9), bytes(32))
        header = BlockHeader(ref, bytes(32), ChainTime(self.chain, self.head_s))
        return HeadUpdate(header, header)

    async def final_block(self, height: Height) -> BlockHeader:
        known = self.canonical[height]
        if isinstance(known, Exception):
            raise known
        return BlockHeader(BlockRef(self.chain, height, known), bytes(32), ChainTime(self.chain, NOW))

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        self.asked.append(lock_id)
        assert self.observed is not None
        return self.observed

    async def check_payout(self, terms: LockTerms) -> None:
        self.asked.append((terms.chain, terms.receiver))
        if terms.receiver in self.blocked:
            raise PayoutBlockedError(f"{terms.receiver} cannot be paid")

    async def balance(self, account: AccountId, asset: AssetId) -> int:
        assert account == OURS[self.chain]
        return self.held.get(asset, 0)

    async def fee_market(self) -> FeeMarket | None:
        self.asked.append("market")
        return self.market

    def exit_cost(self, bid: FeeBid | None) -> dict[AssetId, int]:
        return {} if bid is None else {NATIVE[self.chain]: 1_000 * bid.max_fee}

    async def lock_id(self, terms: LockTerms, taken: Sequence[LockId] = ()) -> LockId:
        self.asked.append(set(taken))
        return self.places.pop(0)


class Office:
    """Checks over two such chains. Everything is well until a test changes it."""

    def __init__(self, role: Role = Role.LIQUIDITY_PROVIDER) -> None:
        self.database = InlineDatabase()
        self.clock = ManualClock(NOW)
        self.agreement = agreement(role)
        self.chains = {chain: Chain(chain, held=dict.fromkeys(NATIVE.values(), PAID)) for chain in (A, B)}
        for leg in Leg:
            terms = self.agreement.terms(leg)
            chain = self.chains[terms.chain]
            chain.held[terms.asset] = 10**19
            chain.canonical[7] = block(leg).hash
            time = ChainTime(terms.chain, NOW)
            chain.observed = LockObservation(IDS[leg], LockStatus.LOCKED, True, block(leg, 8), time, CODE)
        self.policy = RelayerPolicy(swap=POLICY)
        self.asked: list[str] = []
        self.was_away = False
        self.checks = self.made()

    def made(self, *, consultation: Any = None, **policy: Any) -> Checks:
        self.policy = replace(self.policy, **policy)
        chains: Any = self.chains
        boards: Any = {chain: HeadBoard(source) for chain, source in chains.items()} if self.was_away else None
        self.checks = Checks(self.database, chains, OURS, self.policy, self.clock, consultation, boards=boards)
        return self.checks

    async def begin(self, terms: Agreement | None = None, quote: str = "q", **given: Any) -> SwapState:
        await self.database.write(
            lambda c: swaps.begin(c, terms or self.agreement, quote, now_s=NOW, now_ns=self.clock.now_ns(), **given)
        )
        return await self.state(terms)

    async def state(self, terms: Agreement | None = None) -> SwapState:
        return await self.database.read(lambda c: swaps.load(c, (terms or self.agreement).swap_id))

    async def take(self, *happened: events.SwapEvent) -> SwapState:
        await self.database.write(lambda c: swaps.take(c, self.agreement.swap_id, happened, now_ns=self.clock.now_ns()))
        return await self.state()

    async def ready_to_fund(self) -> SwapState:
        """The initiator's lock is final and verified."""
        await self.begin()
        return await self.take(lock_seen(self.agreement, FIRST), lock_final(FIRST), verified(FIRST))

    async def ready_to_reveal(self) -> SwapState:
        """Both locks are final, the participant's is verified."""
        await self.begin()
        mine = (lock_seen(self.agreement, FIRST), lock_final(FIRST))
        return await self.take(*mine, lock_seen(self.agreement, SECOND), lock_final(SECOND), verified(SECOND))


def shown(office: Office, leg: Leg, **changes: Any) -> None:
    chain = office.chains[office.agreement.terms(leg).chain]
    assert chain.observed is not None
    chain.observed = replace(chain.observed, **changes)


def other_agreement(number: int, amount: int = 500) -> Agreement:
    """A swap of somebody else under another hashlock."""
    terms, hashlock = agreement(), Hashlock(bytes([number]) * 32)
    first = replace(terms.initiator_leg, hashlock=hashlock)
    second = replace(terms.participant_leg, hashlock=hashlock, amount=BaseUnits(amount))
    return msgspec.structs.replace(terms, swap_id=swap_id(first, second), initiator_leg=first, participant_leg=second)
