"""Checks right before we fund or reveal: of the chain itself, the clock, the limits, the purse.

A refusal that stays is a `RejectedError` (nothing is signed, the swap is called off); what may be better in a moment is
a `RetryableError` (not final for the quorum yet, endpoints that disagree, clocks that differ).
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from core.model.errors import (
    ConflictError,
    DisagreementError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    ReorgedError,
    RetryableError,
    UnaffordableError,
)
from core.model.facts import Locked, LockStatus, Refunded
from core.model.ports import (
    ChainParameters,
    ChainTiming,
    HeadSource,
    LegBuilder,
    LockReader,
    StateReader,
    TransactionSender,
)
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
    Preimage,
    SwapId,
    chain_of,
)
from core.runtime.clock import Clock, true_seconds
from core.runtime.database import Database
from htlc import decisions
from htlc.effects import VerifyLock
from htlc.model import Agreement, Leg, SwapState
from htlc.timelocks import check_fund, check_lock
from indexer import feed
from indexer.store import open_alarms
from relayer import inventory
from relayer.heads import HeadBoard
from relayer.inventory import ExitCosts, Promise
from relayer.policy import RelayerPolicy
from relayer.pump import places, promises, swaps
from relayer.pump.absorb import LOOK_S, heads_at_cursor
from relayer.switchboard import Switches
from relayer.transactions import accounts

PLACE_RETRIES: Final = 5
LOCKS_LOOKED_AT: Final = 16
"""Of locks of ours with the same terms, of which a swap has one: those that are looked at."""
EXIT_COST_AGE_S: Final = 5.0
"""How old the market may be by which an exit's reserve is computed: whoever asks us for prices does not poll our
endpoints."""


class PreimageVault(Protocol):
    """The initiator's store of preimages."""

    def preimage(self, hashlock: Hashlock) -> Preimage:
        """Raise `NotFoundError`."""


class Consultation(Protocol):
    """Somebody to ask before an act. A refusal that stays is a `RejectedError`; `RetryableError` asks again later."""

    async def before_lock(self, state: SwapState) -> None:
        """Return once our lock may be made, as far as it is for them to say."""

    def still_allow_lock(self, connection: Connection, state: SwapState) -> None:
        """Once more, in the transaction that stores its signature: what `before_lock` found must still be so."""

    async def before_giving_up(self, state: SwapState) -> None:
        """Return once our lock, which is refused, is nowhere for all they know."""

    async def before_repeating(self, state: SwapState) -> None:
        """The same of our lock that an earlier process signed."""

    async def before_reveal(self, state: SwapState) -> None:
        """Return once our preimage may become public, as far as it is for them to say."""


def alarm_about(connection: Connection, chains: Iterable[ChainId]) -> str | None:
    """Return what was seen of these chains and is not acknowledged: that a finalized block was replaced. None: nothing
    was."""
    alarmed = [chain for chain in chains if open_alarms(connection, chain)]
    return f"a finalized block of {', '.join(alarmed)} was replaced" if alarmed else None


class CheckedChain(Protocol):
    """The part of a chain that is asked before we act on it. A `ChainAccess` has it."""

    @property
    def parameters(self) -> ChainParameters: ...
    @property
    def heads(self) -> HeadSource: ...
    @property
    def state(self) -> StateReader: ...
    @property
    def locks(self) -> LockReader: ...
    @property
    def legs(self) -> LegBuilder: ...
    @property
    def transactions(self) -> TransactionSender: ...


class Checks:
    """The checks of one process over its chains, its database and its policy."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, CheckedChain],
        accounts: Mapping[ChainId, AccountId],
        policy: RelayerPolicy,
        clock: Clock,
        consultation: Consultation | None = None,
        switches: Switches | None = None,
        retiring: Collection[AccountId] = (),
        boards: Mapping[ChainId, HeadBoard] | None = None,
    ) -> None:
        """`accounts` open swaps, one on each chain; `retiring` are others of ours, which end what they began. `boards`:
        the newest head of each chain, for whoever was away."""
        self._consultation = consultation
        self._switches = switches
        self._database = database
        self._chains = chains
        self._accounts = accounts
        self._retiring = tuple(retiring)
        self._policy = policy
        self._clock = clock
        self._boards = dict(boards or {})
        self._exit_costs: dict[ChainId, tuple[float, Mapping[AssetId, int]]] = {}

    # --- the other party's lock ---

    async def verified(self, asked: VerifyLock) -> BlockRef:
        """The finalized block at which a quorum shows the lock as agreed.

        Raise `RejectedError` for another lock, a settled one or one of other code; `RetryableError` if that cannot be
        decided yet.
        """
        state = await self._database.read(lambda c: swaps.load(c, asked.swap_id))
        if state.phase.terminal or state.closed is not None:
            raise ConflictError("the swap has ended, or was called off: nothing is left to verify")
        if state.agreement.own_leg is Leg.PARTICIPANT:
            # Whether we lock or the swap ends without our lock is decided as soon as it is verified.
            await self.read_up(state.agreement.participant_leg.chain)
        sighting = state.leg(asked.leg).lock
        return await self._lock_stands(asked.lock_id, asked.terms, None if sighting is None else sighting.block)

    async def _lock_stands(self, lock_id: LockId, terms: LockTerms, seen: BlockRef | None) -> BlockRef:
        access = self._access(terms.chain)
        observed = await access.locks.lock(lock_id, terms)
        if seen is not None:
            if observed.at.height < seen.height:
                raise NotYetFinalError(f"the lock's block {seen.height} is not final for the quorum yet")
            await self._still_canonical(access.heads, seen)
        if observed.status is LockStatus.ABSENT:
            raise NotYetFinalError(f"the lock {lock_id} is not in a finalized block for the quorum yet")
        if observed.code_hash != access.parameters.htlc_code_hash:
            raise RejectedError(
                "the lock is held by other code than the contract we know", code_hash=observed.code_hash
            )
        if not observed.terms_match:
            raise RejectedError("the lock's commitment is not to the agreed terms")
        if observed.status is not LockStatus.LOCKED:
            raise RejectedError(f"the lock is {observed.status} already")
        return observed.at

    async def _still_canonical(self, heads: HeadSource, seen: BlockRef) -> None:
        try:
            header = await heads.final_block(Height(seen.height))
        except NotFoundError:
            raise RetryableError(f"{seen.chain} does not show block {seen.height} any more") from None
        except ReorgedError as error:
            raise RetryableError(error.message) from error
        if header.ref.hash != seen.hash:
            raise RetryableError(f"block {seen.height} of {seen.chain}, which held the lock, was replaced by a reorg")

    # --- funding and revealing ---

    async def before_funding(self, state: SwapState) -> None:
        """Check everything that must hold for our lock, the refusal that says most first."""
        if self._consultation is not None:
            # What is too late waits for nobody's word.
            decisions.by_own_clock(decisions.check_fund_now, state, self._now_s())
            await self._consultation.before_lock(state)
        await self._ground_to_lock(state, fresh=True)

    async def before_repeating(self, state: SwapState) -> None:
        """Check what must still hold for our lock that an earlier process signed: all that it had to check, but for
        limits and purse, which have counted it since."""
        if self._consultation is not None:
            await self._consultation.before_repeating(state)
        await self._database.read(lambda c: self.switches_allow(c, state.agreement))
        await self._ground_to_lock(state, fresh=False)

    async def _ground_to_lock(self, state: SwapState, *, fresh: bool) -> None:
        agreement, own = state.agreement, state.agreement.own_leg
        if own is None:
            raise RejectedError("a watchtower funds nothing")
        check = decisions.check_fund_now if fresh else decisions.check_fund_again
        # Before anything is waited for: what is too late waits neither for the operator nor for a chain.
        decisions.by_own_clock(check, state, self._now_s())
        if self._switches is not None:
            self._switches.may_lock(agreement.initiator_leg.asset, agreement.participant_leg.asset)
        await self.no_alarms(agreement.initiator_leg.chain, agreement.participant_leg.chain)
        first, second = await self._heads(agreement)
        check(state, agreement.policy, self._now_s(), first, second)
        await self._read_up(agreement, first, second)
        other = state.leg(own.other)
        ours = agreement.terms(own)
        # Both claims, and the refund that we rely on if neither is made.
        paid = [*(agreement.terms(leg) for leg in Leg), replace(ours, receiver=ours.sender)]
        waits = [self._may_be_funded(state, ours)] if fresh else []
        if other.lock_id is not None:
            seen = None if other.lock is None else other.lock.block
            waits.append(self._stands(other.lock_id, agreement.terms(own.other), seen))
        await asyncio.gather(*waits, *map(self._can_be_paid, paid))

    async def _read_up(self, agreement: Agreement, *heads: ChainTime) -> None:
        """Raise `RetryableError` while what was taken in of a chain is behind its head, and what `no_alarms` raises.
        Whoever was away acts on nothing that it has not read since."""
        known = await self._database.read(lambda c: heads_at_cursor(c, [head.chain for head in heads]))
        for leg, head in zip(Leg, heads, strict=True):
            read = known.get(head.chain)
            if read is not None and _is_behind(read, head, agreement.timing(leg)):
                raise _unread(head.chain)
        await self.no_alarms(agreement.initiator_leg.chain, agreement.participant_leg.chain)

    async def read_up(self, chain: ChainId) -> None:
        """Raise `RetryableError` while what was taken in of a chain is older than the newest head that this process has
        seen of it, by more than its observation may take, or if it has seen none yet.

        Whoever was away, while a copy of its database was at work perhaps, ends nothing before it has read what that
        did. Whoever has read up once since it began counts as one that is here.
        """
        if (board := self._boards.get(chain)) is None:
            return
        head = (await board.current()).head.time
        read = (await self._database.read(partial(heads_at_cursor, chains=[chain]))).get(chain)
        if read is None or _is_behind(read, head, self._access(chain).parameters.timing):
            raise _unread(chain)
        self._boards.pop(chain, None)

    async def before_giving_back(self, state: SwapState) -> None:
        """The initiator's lock goes back early only if no lock of ours stands, whatever this swap's state says.

        Raise `ConflictError` if one does, `RetryableError` as `read_up`.
        """
        ours = state.agreement.participant_leg
        await self.read_up(ours.chain)
        history = await self._database.read(lambda c: feed.history_of(c, ours, LOCKS_LOOKED_AT))
        locked = {logged.event.lock_id for logged in history if isinstance(logged.event, Locked)}
        returned = {logged.event.lock_id for logged in history if isinstance(logged.event, Refunded)}
        if not locked <= returned:
            raise ConflictError("a lock of ours stands in this swap: the initiator's waits for its timelock")

    async def before_reveal(self, state: SwapState) -> None:
        """Everything that must hold before our preimage leaves us."""
        if self._consultation is not None:
            await self._consultation.before_reveal(state)
            state = await self._database.read(lambda c: swaps.load(c, state.swap_id))
        agreement, other = state.agreement, state.participant_leg
        decisions.by_own_clock(decisions.check_reveal_now, state, self._now_s())
        await self.no_alarms(agreement.initiator_leg.chain, agreement.participant_leg.chain)
        first, second = await self._heads(agreement)
        decisions.check_reveal_now(state, agreement.policy, self._now_s(), first, second)
        await self._read_up(agreement, first, second)
        if other.lock_id is None or other.lock is None:
            raise ConflictError("the participant's lock is gone", swap_id=state.swap_id)
        await asyncio.gather(
            self._lock_stands(other.lock_id, agreement.participant_leg, other.lock.block),
            *(self._can_be_paid(agreement.terms(leg)) for leg in Leg),
        )

    async def _can_be_paid(self, terms: LockTerms) -> None:
        """Raise `PayoutBlockedError` while no claim of these terms could pay, `DisagreementError` without a quorum."""
        await self._access(terms.chain).locks.check_payout(terms)

    async def no_alarms(self, *chains: ChainId) -> None:
        """Raise `DisagreementError` while a finalized block of one of these chains was seen to be replaced, and
        `RetryableError` while our account on one of them was used by somebody unknown."""
        every = (*self._accounts.values(), *self._retiring)
        ours = [(chain_of(account), account) for account in every if chain_of(account) in chains]

        def look(connection: Connection) -> str | None:
            accounts.check_acknowledged(connection, ours)
            return alarm_about(connection, chains)

        if alarm := await self._database.read(look):
            raise DisagreementError(f"{alarm}: look into it, then acknowledge the alarm")

    async def before_giving_up(self, state: SwapState) -> None:
        """Raise `RetryableError` while our lock, which is refused, may have been made all the same."""
        if self._consultation is not None:
            await self._consultation.before_giving_up(state)
        if (own := state.agreement.own_leg) is not None:
            await self.read_up(state.agreement.terms(own).chain)

    def still_allow_lock(self, connection: Connection, state: SwapState) -> None:
        """Ask for our lock once more, in the transaction that stores its signature. Raise `PausedError`, and what
        whoever was consulted has found since."""
        self.switches_allow(connection, state.agreement)
        if self._consultation is not None:
            self._consultation.still_allow_lock(connection, state)

    def switches_allow(self, connection: Connection, agreement: Agreement) -> None:
        """Ask the switches once more, in the transaction that stores the signature. Raise `PausedError`."""
        if self._switches is not None:
            assets = agreement.initiator_leg.asset, agreement.participant_leg.asset
            self._switches.check_lock(connection, *assets, self._clock.now_ns())

    def time_to_fund(self, state: SwapState) -> None:
        """The time gate once more, with nothing awaited between it and the signature. Raise `GateClosedError`."""
        agreement, now_s = state.agreement, self._now_s()
        second, t_b = agreement.participant_timing, agreement.participant_leg.timelock
        if agreement.own_leg is Leg.PARTICIPANT:
            check_fund(now_s, t_b, second, agreement.policy)
        else:
            check_lock(now_s, t_b, agreement.initiator_timing, second, agreement.policy)

    async def _stands(self, lock_id: LockId, terms: LockTerms, seen: BlockRef | None) -> None:
        await self._lock_stands(lock_id, terms, seen)

    async def _may_be_funded(self, state: SwapState, terms: LockTerms) -> None:
        """Check limits, inventory and gas against all promises that come before this one; see `relayer.inventory`.

        Raise `ConflictError` for a public preimage or a limit, `UnaffordableError` while the purse is short.
        """
        promised, public = await self._database.read(
            lambda c: (promises.of_open_swaps(c), feed.public_preimage(c, terms.hashlock))
        )
        if public is not None:
            raise ConflictError("the preimage is public: this hashlock is never funded")
        mine = [promise for promise in promised if promise.swap_id == state.swap_id]
        if not mine:
            raise ConflictError("the swap is not open any more: nothing is funded", swap_id=state.swap_id)
        own, purses = replace(mine[0], funded=False), self.purses(mine[0].payers)
        others = [
            promise
            for promise in inventory.firm(promised, self._clock.now_ns())
            if promise.swap_id != own.swap_id and promise.comes_before(own)
        ]
        self.check_exposure(others, own)
        costs = await self.exit_costs(own.chains)
        held = await self.held(inventory.needed(own, costs), purses)
        try:
            inventory.check_free(own, inventory.of_purses(others, purses.values()), costs, held, locks=True)
        except ConflictError as error:
            # What was just locked may be counted twice for a block; and an operator may send some.
            raise UnaffordableError(error.message, **error.fields) from error

    def check_exposure(self, others: Collection[Promise], new: Promise) -> None:
        """Raise `ConflictError` if this swap next to the others would exceed a limit of the policy.

        To one counterparty count those of the same caller, and those whose lock was seen: an account that others name
        without its lock is not exposed to anything.
        """
        others = [one for one in others if not one.leaves]
        if len(others) >= self._policy.max_open_swaps:
            raise ConflictError(f"{self._policy.max_open_swaps} swaps are open already: try again later")
        limit = self._policy.exposure.get(new.asset)
        if limit is None:
            return
        whole, to_them, in_window = inventory.exposure(others, new, self._policy.window_s)
        limits = (
            ("in all", whole, limit.total),
            ("to one counterparty", to_them, limit.per_counterparty),
            ("within one window of timelocks", in_window, limit.per_window),
        )
        for words, now, most in limits:
            if now + new.amount > most:
                raise ConflictError(
                    f"the exposure limit {words} is {most} of {new.asset}, {now} are promised already",
                    limit=words,
                    promised=now,
                    most=most,
                )

    # --- the purse ---

    async def exit_costs(self, chains: Collection[ChainId]) -> ExitCosts:
        """Return the most that one exit may cost on each of these chains: as configured, else by a recent market.

        Raise `RetryableError` while a chain does not say.
        """
        ordered = sorted(chains)
        return dict(zip(ordered, await asyncio.gather(*map(self._exit_cost, ordered)), strict=True))

    async def _exit_cost(self, chain: ChainId) -> Mapping[AssetId, int]:
        if configured := {
            asset: amount for asset, amount in self._policy.gas_per_exit.items() if chain_of(asset) == chain
        }:
            return configured
        return await self._market_cost(chain)

    async def understated(self) -> dict[AssetId, int]:
        """Configured reserves that are less than an exit may cost now, and what it may. Raise `RetryableError`."""
        configured = self._policy.gas_per_exit
        found: dict[AssetId, int] = {}
        for chain in sorted({chain_of(asset) for asset in configured}):
            found |= await self._market_cost(chain)
        return {asset: cost for asset, cost in found.items() if configured.get(asset, cost) < cost}

    async def _market_cost(self, chain: ChainId) -> Mapping[AssetId, int]:
        now_s = self._clock.monotonic()
        known = self._exit_costs.get(chain)
        if known is not None and now_s - known[0] < EXIT_COST_AGE_S:
            return known[1]
        sender = self._access(chain).transactions
        cost = sender.exit_cost(inventory.exit_bid(await sender.fee_market()))
        self._exit_costs[chain] = now_s, cost
        return cost

    async def before_exit_for_others(self, chain: ChainId, account: AccountId | None = None) -> None:
        """Check what a claim or refund for others may cost, and that it leaves our own swaps what they keep.

        `account` of ours sends it; None for the one that opens swaps. Raise `UnaffordableError`: the parties can still
        send it themselves, or wait for the timelock.
        """
        costs = await self.exit_costs([chain])
        purses = self.purses(() if account is None else (account,))
        promised = await self._database.read(promises.of_open_swaps)
        firm = inventory.of_purses(inventory.firm(promised, self._clock.now_ns()), purses.values())
        kept = inventory.reserved(firm, costs)
        held = await self.held(costs[chain], purses)
        for asset, cost in costs[chain].items():
            most = self._policy.watch.max_exit_cost.get(asset)
            if most is not None and cost > most:
                raise UnaffordableError(f"an exit may cost {cost} of {asset} now, one for others at most {most}")
            if held[asset] - kept[asset] < cost:
                raise UnaffordableError(
                    f"{kept[asset]} of {asset} are kept for our own swaps, we hold {held[asset]}: others wait"
                )

    def purses(self, payers: Collection[AccountId]) -> dict[ChainId, AccountId]:
        """Return our account on each chain whose purse counts: one of `payers`, or else the one that opens swaps."""
        return {**self._accounts, **{chain_of(account): account for account in payers}}

    async def held(
        self, assets: Collection[AssetId], purses: Mapping[ChainId, AccountId] | None = None
    ) -> dict[AssetId, int]:
        """Our balances now, unproven: of the accounts that open swaps, or of these."""
        ordered = sorted(assets)
        accounts = [None if purses is None else purses[chain_of(asset)] for asset in ordered]
        return dict(zip(ordered, await asyncio.gather(*map(self.balance, ordered, accounts)), strict=True))

    async def gas_shortages(self, chains: Collection[ChainId], spare: int = 1) -> dict[ChainId, str]:
        """The chains on which gas for what is open and `spare` exits more is not there; see `inventory.shortages`."""
        costs, firm = await self._exits_of(chains, self._accounts.values())
        held = await self.held({asset for cost in costs.values() for asset in cost})
        return inventory.shortages(chains, firm, costs, held, spare)

    async def retiring_shortages(self) -> dict[AccountId, str]:
        """Return the accounts of ours that cannot pay for the exits of the swaps that they began, with a sentence each.
        Raise `RetryableError`."""
        found = {}
        for account in self._retiring:
            chain = chain_of(account)
            costs, firm = await self._exits_of([chain], [account])
            needed = inventory.reserved([replace(one, amount=BaseUnits(0)) for one in firm], costs)
            for asset, amount in needed.items():
                if amount and amount > (held := await self.balance(asset, account)):
                    found[account] = f"{amount} of {asset} are kept for its open exits, it holds {held}: send it some"
        return found

    async def _exits_of(
        self, chains: Collection[ChainId], accounts: Collection[AccountId]
    ) -> tuple[ExitCosts, list[Promise]]:
        """Return the costs of exits, and the promises that reserve something of the purses of these accounts."""
        promised = await self._database.read(promises.of_open_swaps)
        costs = await self.exit_costs(chains)
        return costs, inventory.of_purses(inventory.firm(promised, self._clock.now_ns()), accounts)

    async def balance(self, asset: AssetId, account: AccountId | None = None) -> int:
        """Return the balance of our account on the asset's chain now, unproven: of the one that opens swaps, or of
        this one."""
        chain = chain_of(asset)
        return await self._access(chain).state.balance(account or self._accounts[chain], asset)

    async def _heads(self, agreement: Agreement) -> tuple[ChainTime, ChainTime]:
        asked = [self._access(terms.chain) for terms in (agreement.initiator_leg, agreement.participant_leg)]
        first, second = await asyncio.gather(*(access.heads.head() for access in asked))
        return first.head.time, second.head.time

    # --- the place of our lock ---

    async def place(self, swap_id: SwapId, terms: LockTerms) -> LockId:
        """Return the id of our future lock, written down before it is signed; the same id if asked again."""
        used = set[LockId]()
        for _ in range(PLACE_RETRIES):
            known, taken = await self._database.read(
                lambda c: (places.lock_place(c, swap_id), places.places_taken(c, terms.chain))
            )
            if known is not None:
                return known
            free = await self._access(terms.chain).legs.lock_id(terms, taken | used)
            take = partial(places.take_place, swap_id=swap_id, chain=terms.chain, lock_id=free)
            try:
                return await self._database.write(take)
            except ConflictError:
                used = await self._database.read(lambda c: places.places_used(c, terms.chain))
        raise RetryableError(f"could not reserve a lock id after {PLACE_RETRIES} attempts: other swaps had each before")

    def _access(self, chain: ChainId) -> CheckedChain:
        if chain not in self._chains:
            raise RetryableError(f"{chain} is not configured here")
        return self._chains[chain]

    def _now_s(self) -> int:
        return true_seconds(self._clock.now_ns())


def _is_behind(read: ChainTime, head: ChainTime, timing: ChainTiming) -> bool:
    """Return true if what was read is older than an observation may be, or than one look at another process's facts."""
    return head.seconds - read.seconds > max(timing.observation_s, LOOK_S) + timing.block_time_s


def _unread(chain: ChainId) -> RetryableError:
    return RetryableError(f"the blocks of {chain} up to its head are not read yet")
