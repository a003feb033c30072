"""The initiator's half of the house: the same followers, state machine, executor and transactions as a relayer's, over
the client's own database. The role in the agreement is what makes them an initiator's.

    chains ──> followers ──> swap worker ──> htlc (as INITIATOR) ──> outbox ──> executor ──> transactions ──> chains
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RejectedError, RetryableError
from core.model.ports import ChainAccess, Signer
from core.model.types import ChainId, Height, SwapId
from core.runtime import retry
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from htlc import events
from htlc.model import SwapState
from indexer import feed
from indexer import tables as indexer_tables
from indexer.feed import FactSignal
from indexer.follower import Follower
from relayer.client.store import Preimages
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.policy import RelayerPolicy
from relayer.pump import swaps, tables
from relayer.pump.absorb import SwapWorker, true_seconds
from relayer.pump.checks import Checks
from relayer.pump.execute import Executor, Hands
from relayer.pump.outcomes import OutcomeTeller
from relayer.pump.swaps import Switchboard
from relayer.transactions.pipeline import Pipeline

HOUSEKEEPING_S: Final = 2.0
BEFORE_AGREEMENT_S: Final = 120.0
"""How long before an agreement was stored its chains are read: their clocks and ours may differ."""
HOLD_LOOK_S: Final = 0.5
"""How often a step that a caller holds back looks whether its time has run out."""

Hook = Callable[[SwapState], Awaitable[None]]
"""Awaited before a step; the step goes on when it returns, and is called off for good when it raises."""

log = get_logger("relayer.client")


class Hooks:
    """What callers want to be asked before a swap locks or reveals. Forgotten with the process."""

    def __init__(self) -> None:
        self._hooks: dict[tuple[SwapId, str], Hook] = {}
        self._asked: dict[tuple[SwapId, str], asyncio.Task[None]] = {}

    def set(self, swap_id: SwapId, before_lock: Hook | None, before_reveal: Hook | None) -> None:
        """A step that has asked its hook already stays with the one it asked."""
        for step, hook in (("lock", before_lock), ("reveal", before_reveal)):
            if hook is not None and (swap_id, step) not in self._asked:
                self._hooks[swap_id, step] = hook

    def close(self) -> None:
        """Only when nothing runs any more: a hook that is cancelled calls its step off."""
        for asked in self._asked.values():
            asked.cancel()

    def forget(self, swap_id: SwapId) -> None:
        for step in ("lock", "reveal"):
            self._hooks.pop((swap_id, step), None)
            if (asked := self._asked.pop((swap_id, step), None)) is not None:
                asked.cancel()

    async def passed(self, swap_id: SwapId, step: str, state: SwapState, over: Callable[[], Awaitable[bool]]) -> None:
        """Return once the hook has; asked once, however often the step is tried.

        Raises `RejectedError` where the hook does, or where `over` says that the swap has moved on meanwhile.
        """
        hook = self._hooks.get((swap_id, step))
        if hook is None:
            return
        asked = self._asked.get((swap_id, step))
        if asked is None:
            asked = self._asked[swap_id, step] = asyncio.ensure_future(hook(state))
        while not asked.done():
            await asyncio.wait({asked}, timeout=HOLD_LOOK_S)
            if not asked.done() and await over():
                raise ConflictError(f"the {step} was held back until its time was over", swap_id=swap_id)
        try:
            asked.result()
        except (Exception, asyncio.CancelledError) as error:
            raise RejectedError(
                f"the {step} was called off: {error or type(error).__name__}", swap_id=swap_id
            ) from error


class HookedChecks(Checks):
    """The relayer's checks, with the caller asked first: so they are made anew right before the act."""

    def __init__(
        self, database: Database, hooks: Hooks, caught_up: Callable[[], Awaitable[None]], *checked: Any
    ) -> None:
        super().__init__(database, *checked)
        self._caught_up = caught_up
        self._swaps = database
        self._hooks = hooks

    async def before_funding(self, state: SwapState) -> None:
        """The store may be a copy, of which the original went on: what the chains show by now comes first."""
        await self._caught_up()
        own = state.agreement.own_leg
        if own is not None:
            terms = state.agreement.terms(own)
            if len(await self._swaps.read(lambda c: feed.history_of(c, terms, 1))) > 0:
                raise ConflictError("our leg was locked before, as its chain shows: it is not funded again")
        await self._hooks.passed(state.swap_id, "lock", state, lambda: self._is_over(state.swap_id))
        await super().before_funding(state)

    async def before_reveal(self, state: SwapState) -> None:
        await self._hooks.passed(state.swap_id, "reveal", state, lambda: self._is_over(state.swap_id))
        await super().before_reveal(await self._swaps.read(lambda c: swaps.load(c, state.swap_id)))

    async def _is_over(self, swap_id: SwapId) -> bool:
        state = await self._swaps.read(lambda c: swaps.load(c, swap_id))
        return state.closed is not None or state.phase.terminal


class Pump:
    """Runs until cancelled. Swaps begun in the database go on by themselves; see the module's text."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, ChainAccess],
        signers: Mapping[ChainId, Signer],
        policy: RelayerPolicy,
        clock: Clock,
        metrics: Metrics,
        preimages: Preimages,
        since_s: float | None = None,
    ) -> None:
        """`since_s`: the Unix time of the oldest agreement in the store, None without one. A chain that is followed for
        the first time is followed from there on: a copy of the store may know less than the chain."""
        self._since_s = since_s
        self._followers: dict[ChainId, Follower] = {}
        self._heads_at_start: dict[ChainId, Height] = {}
        self.switchboard = Switchboard()
        self.hooks = Hooks()
        self._database = database
        self._chains = chains
        self._clock = clock
        self._facts = FactSignal()
        self._following: set[ChainId] = set()
        self._followed = asyncio.Event()
        numbers = RelayerMetrics(metrics)
        accounts = {chain: signer.account for chain, signer in signers.items()}
        checks = HookedChecks(database, self.hooks, self.caught_up, chains, accounts, policy, clock)
        self._boards = {chain: HeadBoard(access) for chain, access in chains.items()}
        # Its owner uses the account elsewhere, too: a sequence that another transaction took is taken for what it is.
        # (A lock whose sequence is finally used otherwise is never signed again by the machine.)
        shared = replace(policy.pipeline, shared=True)
        self._pipelines = {
            chain: Pipeline(database, chains[chain], signer, self._boards[chain], clock, shared, numbers)
            for chain, signer in signers.items()
        }
        hands = {chain: Hands(chains[chain], pipeline) for chain, pipeline in self._pipelines.items()}
        executor = Executor(database, hands, checks, self.switchboard, clock, numbers, preimages)
        worker = SwapWorker(database, self._facts, self.switchboard, clock, numbers)
        teller = OutcomeTeller(database, tuple(self._pipelines.values()), self.switchboard, clock)
        self._supervisor = Supervisor(clock, metrics)
        alone = partial(Worker, contained=True)
        self._supervisor.add(
            *(alone(f"heads {chain}", board.run) for chain, board in self._boards.items()),
            *(alone(f"follower {chain}", self._follow(access)) for chain, access in chains.items()),
            *(alone(f"transactions {chain}", self._opened(one)) for chain, one in self._pipelines.items()),
            Worker("swaps", worker.run, delays=retry.MONEY),
            Worker("effects", executor.run, delays=retry.MONEY),
            Worker("outcomes", teller.run, delays=retry.MONEY),
            Worker("housekeeping", self._expire, pause_s=HOUSEKEEPING_S),
        )

    async def run(self) -> None:
        """Raises `FatalError` where going on would be unsafe."""
        await self._supervisor.run()

    async def followed(self) -> None:
        """Return once every chain is followed: a lock sent before could be missed."""
        await self._followed.wait()

    async def caught_up(self) -> None:
        """Raise `RetryableError` until the facts of every chain reach up to the block that was its head when we began
        to follow it: what another process did before with a copy of this store is known then."""
        for chain in self._chains:
            follower, head = self._followers.get(chain), self._heads_at_start.get(chain)
            tip = None if follower is None else follower.status.tip
            if head is None or tip is None or tip.height < head:
                raise RetryableError(f"{chain} is still being read up to its newest block: nothing is locked before")

    async def _first_height(self, access: ChainAccess) -> Height:
        """The newest final block, or the one before the oldest agreement was made."""
        header = (await access.heads.head()).finalized
        step = 1
        while self._since_s is not None and header.time.seconds > self._since_s - BEFORE_AGREEMENT_S:
            height = Height(max(1, header.height - step))
            if height >= header.height:
                break
            header = await access.blocks.header(height)
            step *= 2
        return header.height

    def _follow(self, access: ChainAccess) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            start = await self._database.read(lambda c: stored_start(c, access.chain))
            if start is None:
                start = await self._first_height(access)
            follower = Follower(
                access.parameters, access.heads, access.blocks, self._database, self._facts, self._clock, start
            )
            self._followers[access.chain] = follower
            self._heads_at_start.setdefault(access.chain, (await access.heads.head()).head.height)
            await follower.open()
            self._following.add(access.chain)
            if self._following == set(self._chains):
                self._followed.set()
            await follower.run()

        return run

    def _opened(self, pipeline: Pipeline) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await pipeline.start()
            self.switchboard.effects.notify()
            await pipeline.run()

        return run

    async def _expire(self) -> None:
        """`QuoteExpired` for what was never locked in time."""
        now_ns = self._clock.now_ns()
        now_s = true_seconds(now_ns)

        def expire(connection: Connection) -> list[SwapId]:
            late = tables.never_locked(connection, now_s)
            happened = [events.QuoteExpired(now_s)]
            return [swap_id for swap_id in late if swaps.take(connection, swap_id, happened, now_ns=now_ns)]

        if await self._database.read(lambda c: tables.never_locked(c, now_s)):
            self.switchboard.changed(await swaps.write(self._database, expire))


def stored_start(connection: Connection, chain: ChainId) -> Height | None:
    """The first height of this chain in the database, None before it was ever followed."""
    table = indexer_tables.chains
    found = connection.execute(sa.select(table.c.start_height).where(table.c.chain == chain)).scalar()
    return None if found is None else Height(found)
