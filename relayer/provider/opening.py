"""The desk behind the dApp API: prices, agreements, views. See `relayer.provider.desk` for its contract.

An agreement is stored before anyone can act on it: the swap, its terms for the indexer and its report to a regulator
in one transaction, in which hashlock, quote, limits, inventory and gas are judged against all other promises. It
reserves from then on if its account proved its funds (`relayer.provider.holds`), else once its lock is final and
verified.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from nacl.signing import SigningKey
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.model.facts import HeadUpdate
from core.model.ports import ChainParameters, ConsentBuilder
from core.model.types import (
    AccountId,
    BaseUnits,
    ChainId,
    ChainTime,
    LockTerms,
    Seconds,
    SwapId,
    chain_of,
    hashlock,
)
from core.runtime.clock import NS_PER_S, Clock, SecretSource, true_seconds
from core.runtime.database import Database
from htlc import events, timelocks
from htlc.effects import SignEarlyRefund, leg_kind
from htlc.model import Agreement, Leg, Phase, Role, SwapState, swap_id
from indexer import feed
from indexer.projections import ReportedAgreement, report_agreement
from relayer.heads import HeadBoard
from relayer.inventory import Promise
from relayer.notices import reports
from relayer.policy import RelayerPolicy
from relayer.provider.desk import MAX_PAGE, OpenSwap, SwapFilter, SwapView
from relayer.provider.exposures import Exposure, exposures
from relayer.provider.holds import Holds, ProvingChain
from relayer.provider.judging import Judge, Means
from relayer.provider.prices import PriceBoard
from relayer.provider.quoting import (
    QUOTE_ID_BYTES,
    Pair,
    Quote,
    QuoteRequest,
    amounts,
    quoted_rate,
    sign_quote,
    verify_quote,
)
from relayer.provider.screening import Screening
from relayer.provider.views import swap_view
from relayer.pump import places, promises, swaps, tables
from relayer.pump.checks import Checks
from relayer.pump.tables import SwapRow
from relayer.pump.updates import SwapUpdates
from relayer.switchboard import Switches
from relayer.switches import Switch

T = TypeVar("T")

EARLY_REFUND: Final = leg_kind(SignEarlyRefund, Leg.INITIATOR)


class OfferedChain(ProvingChain, Protocol):
    """The part of a chain on which swaps are quoted and opened. A `ChainAccess` has it."""

    @property
    def parameters(self) -> ChainParameters: ...
    @property
    def consents(self) -> ConsentBuilder | None: ...


class SwapDesk:
    """One relayer's desk. `source` names the relayer where agreements are reported."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, OfferedChain],
        boards: Mapping[ChainId, HeadBoard],
        accounts: Mapping[ChainId, AccountId],
        prices: PriceBoard,
        quote_key: SigningKey,
        policy: RelayerPolicy,
        checks: Checks,
        updates: SwapUpdates,
        clock: Clock,
        secrets: SecretSource,
        source: str,
        reports: bool,
        switches: Switches,
        retiring: Collection[AccountId] = (),
        screening: Screening | None = None,
    ) -> None:
        """`accounts` open swaps, one on each chain; `retiring` are others of ours."""
        for assets in prices.directions():
            for chain in map(chain_of, assets):
                if chain not in chains or chain not in accounts:
                    raise RejectedError(
                        f"the pair {'>'.join(assets)} needs {chain}: configure the chain and our account on it"
                    )
        self._prices = prices
        self._database = database
        self._chains = chains
        self._boards = boards
        self._accounts = accounts
        self._ours = frozenset({*accounts.values(), *retiring})
        self._key = quote_key
        self._policy = policy
        self._checks = checks
        self._updates = updates
        self._clock = clock
        self._secrets = secrets
        self._source = source
        self._reports = reports
        self._switches = switches
        self._screening = screening
        self._holds = Holds(database, chains, policy.opening, clock, self.quote_key)
        self._judge = Judge(database, checks, self._holds, policy, clock)

    @property
    def quote_key(self) -> bytes:
        return bytes(self._key.verify_key)

    def pairs(self) -> Sequence[Pair]:
        return self._prices.pairs()

    def head(self, chain: ChainId) -> HeadUpdate | None:
        board = self._boards.get(chain)
        return None if board is None else board.latest

    def paused(self, pair: Pair) -> Switch | None:
        return self._switches.of_pair(pair.initiator_asset, pair.participant_asset)

    async def exposure(self) -> Sequence[Exposure]:
        promised = await self._database.read(promises.of_open_swaps)
        offered = {pair.participant_asset for pair in self._prices.pairs()}
        return exposures(promised, self._policy, self._clock.now_ns(), offered)

    # --- quotes ---

    async def quote(self, request: QuoteRequest) -> Quote:
        assets = request.initiator_asset, request.participant_asset
        pair = self._prices.priced(*assets, lock_s=0)
        self._switches.check_offer(*assets)
        amounts(pair, request)
        if self._screening is not None:
            await self._screening.check(request.parties)
            await self._screening.check_ours({self._accounts[chain_of(asset)] for asset in assets})
        now_s = true_seconds(self._clock.now_ns())
        t_a, t_b = await self._plan(pair.initiator_chain, pair.participant_chain, now_s)
        pair = self._prices.priced(*assets, lock_s=t_b.seconds - now_s)
        initiator_amount, participant_amount = amounts(pair, request)
        new = Promise(
            swap_id=SwapId(""),
            asset=pair.participant_asset,
            amount=participant_amount,
            timelock_s=t_b.seconds,
            counterparties=frozenset(),
            funded=False,
            chains=frozenset({pair.initiator_chain, pair.participant_chain}),
            payers=frozenset({self._accounts[pair.initiator_chain], self._accounts[pair.participant_chain]}),
        )
        means = await self._judge.recent_means(new)

        async def judge() -> None:
            self._judge.check(new, await self._database.read(promises.of_open_swaps), means)

        await self._judge.unless_short(new.asset, judge)
        self._switches.check_offer(pair.initiator_asset, pair.participant_asset, counted=True)
        quote = Quote(
            id=self._secrets.token_bytes(QUOTE_ID_BYTES).hex(),
            initiator_asset=pair.initiator_asset,
            initiator_amount=initiator_amount,
            participant_asset=pair.participant_asset,
            participant_amount=participant_amount,
            rate=quoted_rate(pair, initiator_amount, participant_amount),
            participant_receiver=self._accounts[pair.initiator_chain],
            participant_sender=self._accounts[pair.participant_chain],
            initiator_lock_s=Seconds(t_a.seconds - now_s),
            participant_lock_s=Seconds(t_b.seconds - now_s),
            issued_at=now_s,
            expires_at=now_s + self._policy.quote_lifetime_s,
            key=self.quote_key,
        )
        return sign_quote(quote, self._key)

    async def _plan(self, first: ChainId, second: ChainId, now_s: int) -> tuple[ChainTime, ChainTime]:
        """(T_A, T_B) for a swap that is agreed now. Raise `RetryableError` while a chain lags or cannot be trusted."""
        await self._checks.no_alarms(first, second)
        heads = await asyncio.gather(self._boards[first].current(), self._boards[second].current())
        # By the clock as it is now: the heads may be newer than `now_s`, by as long as they were waited for.
        seen_s = true_seconds(self._clock.now_ns())
        for chain, update in zip((first, second), heads, strict=True):
            timelocks.check_skew(update.head.time, seen_s, self._chains[chain].parameters.timing)
        now_a, now_b = (
            ChainTime(chain, max(now_s, update.head.time.seconds))
            for chain, update in zip((first, second), heads, strict=True)
        )
        timings = self._chains[first].parameters.timing, self._chains[second].parameters.timing
        return timelocks.plan(now_a, now_b, *timings, self._policy.swap)

    async def gas_shortages(self, spare: int = 1) -> Mapping[ChainId, str]:
        return await self._judge.gas_shortages(
            {chain_of(asset) for assets in self._prices.directions() for asset in assets}, spare
        )

    # --- opening ---

    async def open_swap(self, request: OpenSwap, caller: str | None = None) -> SwapView:
        quote = request.quote
        hashlock(request.hashlock)
        now_ns = self._clock.now_ns()
        known = await self._database.read(lambda c: self._known(c, request, now_ns))
        if known is not None:
            return known
        self._switches.check_offer(quote.initiator_asset, quote.participant_asset)
        verify_quote(quote, self.quote_key, self._clock.now())
        self._check_accounts(request)
        if self._screening is not None:
            await self._screening.check((request.initiator_sender, request.initiator_receiver))
        await self._holds.check_signature(request)
        agreement = await self._agreement(request, true_seconds(self._clock.now_ns()))
        own = agreement.participant_leg
        new = Promise(
            swap_id=agreement.swap_id,
            asset=own.asset,
            amount=own.amount,
            timelock_s=own.timelock.seconds,
            counterparties=frozenset({request.initiator_sender, request.initiator_receiver}),
            funded=False,
            chains=frozenset({quote.initiator_chain, quote.participant_chain}),
            locked=False,
            caller=caller,
            account=request.initiator_sender,
            given_asset=quote.initiator_asset,
            given_amount=quote.initiator_amount,
            payers=frozenset(agreement.own_accounts),
        )

        async def store() -> SwapView:
            means = await self._judge.means(new)
            balance = await self._holds.balance(request)
            return await self._database.write(lambda c: self._store(c, request, agreement, new, means, balance))

        view = await self._judge.unless_short(own.asset, store)
        self._updates.changed([view.id])
        return view

    def _known(self, connection: Connection, request: OpenSwap, now_ns: int) -> SwapView | None:
        """The swap that this very request opened before. Raise `ConflictError` for another request."""
        row = tables.swap_of_quote(connection, request.quote.id)
        if row is not None:
            view = self._view(connection, row, now_ns)
            same = (view.hashlock, view.initiator.terms.sender, view.participant.terms.receiver)
            if same != (request.hashlock, request.initiator_sender, request.initiator_receiver):
                raise ConflictError("this quote has opened another swap: ask for a new quote", swap_id=view.id)
            return view
        used = tables.hashlock_funded(connection, request.hashlock) or feed.hashlock_seen(connection, request.hashlock)
        if used:
            raise ConflictError("this hashlock was used before: make a fresh preimage for every swap")
        return None

    def _check_accounts(self, request: OpenSwap) -> None:
        quote = request.quote
        if chain_of(request.initiator_sender) != quote.initiator_chain:
            raise RejectedError(f"the initiator locks on {quote.initiator_chain}: name their account there")
        if chain_of(request.initiator_receiver) != quote.participant_chain:
            raise RejectedError(f"the initiator is paid on {quote.participant_chain}: name their account there")
        if {request.initiator_sender, request.initiator_receiver} & self._ours:
            raise RejectedError("the relayer does not swap with itself")
        ours = quote.participant_receiver, quote.participant_sender
        if ours != (self._accounts.get(quote.initiator_chain), self._accounts.get(quote.participant_chain)):
            raise RejectedError("the quote names accounts that the relayer does not use any more: ask for a new quote")

    async def _agreement(self, request: OpenSwap, now_s: int) -> Agreement:
        quote = request.quote
        t_a, t_b = await self._plan(quote.initiator_chain, quote.participant_chain, now_s)
        initiator_leg = LockTerms(
            quote.initiator_asset,
            quote.initiator_amount,
            request.initiator_sender,
            quote.participant_receiver,
            request.hashlock,
            t_a,
        )
        participant_leg = LockTerms(
            quote.participant_asset,
            quote.participant_amount,
            quote.participant_sender,
            request.initiator_receiver,
            request.hashlock,
            t_b,
        )
        return Agreement(
            swap_id=swap_id(initiator_leg, participant_leg),
            role=Role.LIQUIDITY_PROVIDER,
            initiator_leg=initiator_leg,
            participant_leg=participant_leg,
            initiator_timing=self._chains[quote.initiator_chain].parameters.timing,
            participant_timing=self._chains[quote.participant_chain].parameters.timing,
            policy=self._policy.swap,
            lock_deadline_s=timelocks.lock_deadline_s(now_s, self._policy.swap),
        )

    def _store(
        self,
        connection: Connection,
        request: OpenSwap,
        agreement: Agreement,
        new: Promise,
        means: Means,
        balance: BaseUnits | None,
    ) -> SwapView:
        """Judge the swap and store it, which reserves what it promises if it is proven, in one transaction."""
        promises.one_at_a_time(connection)
        now_ns, quote = means.now_ns, request.quote
        if (known := self._known(connection, request, now_ns)) is not None:
            return known
        promised = promises.of_open_swaps(connection)
        refusal = self._holds.refusal(connection, new, means.others(promised), balance, now_ns)
        self._judge.check(replace(new, proven=refusal is None), promised, means)
        self._switches.check_opening(connection, quote.initiator_asset, quote.participant_asset, now_ns)
        swaps.begin(
            connection,
            agreement,
            quote.id,
            now_s=true_seconds(now_ns),
            now_ns=now_ns,
            caller=new.caller,
            hold_until_ns=now_ns + self._policy.opening.hold_s * NS_PER_S,
            proven=refusal is None,
        )
        legs = ReportedAgreement(agreement.swap_id, agreement.initiator_leg, agreement.participant_leg, self._source)
        report_agreement(connection, legs, now_ns)
        if self._reports:
            reports.enqueue(connection, agreement, self._source, now_ns)
        view = self._view(connection, tables.swap_row(connection, agreement.swap_id), now_ns)
        return view if refusal is None else replace(view, reservation=f"{refusal}; {view.reservation}")

    # --- giving back ---

    async def give_back(self, swap_id: SwapId) -> SwapView:
        if not self._policy.opening.early_refunds:
            raise NotFoundError(
                "this relayer gives nothing back before its timelock: from then on anybody can send the refund"
            )
        state = await self._database.read(lambda c: swaps.load(c, swap_id))
        if state.attempt(EARLY_REFUND) is not None:
            return await self.swap(swap_id)
        chain = state.agreement.initiator_leg.chain
        check_may_be_given_back(state)
        if self._chains[chain].consents is None:
            raise RejectedError(f"{chain} has no refund before the timelock: wait for the timelock")
        await self._checks.before_giving_back(state)
        await self._checks.before_exit_for_others(chain)
        now_ns = self._clock.now_ns()
        asked = [events.EarlyRefundRequested()]
        with self._updates.unsure_if_unheard():
            if await swaps.write(self._database, lambda c: swaps.take(c, swap_id, asked, now_ns=now_ns)):
                self._updates.changed([swap_id])
        return await self.swap(swap_id)

    # --- views ---

    async def swap(self, swap_id: SwapId) -> SwapView:
        now_ns = self._clock.now_ns()
        return await self._database.read(lambda c: self._view(c, tables.swap_row(c, swap_id), now_ns))

    async def swaps(self, which: SwapFilter) -> Sequence[SwapView]:
        if not 1 <= which.limit <= MAX_PAGE:
            raise RejectedError(f"a page holds 1 to {MAX_PAGE} swaps")
        now_ns = self._clock.now_ns()

        def read(connection: Connection) -> list[SwapView]:
            rows = tables.list_rows(
                connection,
                which.limit,
                ids=which.ids,
                done=which.done,
                phase=which.phase,
                hashlock=which.hashlock,
                account=which.account,
                changed_since_ns=which.changed_since_ns,
                before=which.before,
            )
            return [self._view(connection, row, now_ns) for row in rows]

        return await self._database.read(read)

    async def updates(
        self, swap_id: SwapId | None = None, wanted: Callable[[], bool] | None = None
    ) -> AsyncIterator[SwapView]:
        subscription = self._updates.subscribe(swap_id)
        try:
            if swap_id is not None:
                yield await self.swap(swap_id)
            while True:
                changed = await subscription.next()
                if wanted is None or wanted():
                    yield await self.swap(changed)
        finally:
            subscription.close()

    def _view(self, connection: Connection, row: SwapRow, now_ns: int) -> SwapView:
        state = swaps.load(connection, row.swap_id)
        place = places.lock_place(connection, row.swap_id)
        return swap_view(row, state, place, promises.of_swap(connection, row.swap_id), now_ns)


def check_may_be_given_back(state: SwapState) -> None:
    """Raise `ConflictError` unless the swap came to nothing, finally, and the initiator's lock may still stand."""
    if state.agreement.role is not Role.LIQUIDITY_PROVIDER:
        raise ConflictError("the lock of this swap is not ours to give back: ask its receiver")
    if state.phase not in (Phase.ABANDONED, Phase.REFUNDED):
        raise ConflictError(
            f"the swap is {state.phase}: a lock goes back early only once ours is finally out of the way"
        )
    if not state.initiator_leg.open:
        raise ConflictError("no open lock of the initiator was seen in this swap: there is nothing to give back")
