"""One follower per chain: backfill in ranges, then realtime, for ever.

Whatever fails, the loop asks for the head again and goes on from what is stored: a dead endpoint or a locked database
delays facts, it never loses or repeats one. Every step is one transaction, which holds facts, cursor and projections.
A reorg below what was final is corrected like any other, and marked until an operator acknowledges it.
"""

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.errors import (
    CausewayError,
    DisagreementError,
    FatalError,
    ReorgedError,
    RetryableError,
)
from core.model.facts import BlockHeader, HeadUpdate
from core.model.ports import BlockSource, ChainParameters, HeadSource
from core.model.types import ChainId, Height
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.retry import FOLLOWER, RetryPolicy
from core.runtime.signals import side_by_side
from indexer import store
from indexer.chain_view import (
    Advance,
    AncestorSearch,
    ChainView,
    Diverged,
    Fetch,
    InSync,
    advance,
    behind,
    links,
    next_step,
)
from indexer.feed import FactSignal, last_seq
from indexer.metrics import EventRate, IndexerMetrics
from indexer.projections.assets import report_assets
from indexer.projections.contracts import report_holder, report_names
from indexer.projections.keeping import count_set_aside
from indexer.projections.rebuild import bring_up_to_date, mark_incomplete
from indexer.ranges import MAX_RANGE, RangeReader, in_time

T = TypeVar("T")

log = get_logger("indexer.follower")

PROBE_BLOCKS: Final = 1.5
"""Block times without any news after which the head is asked for, so a dead endpoint is distinguished from an idle
chain before a second block is missed."""
PROBE_FLOOR_S: Final = 0.5
PROBE_CEILING_S: Final = 5.0
"""Between these, however fast or slow the chain is."""
OBSERVE_S: Final = 5.0
"""How long nothing is written while nothing new is seen."""
MAX_TURNS: Final = 1_000_000
"""Ranges in one catch-up: only a head that outruns us for ever could need more."""


def probe_after_s(block_time_s: float) -> float:
    """How long a chain with such blocks may be silent before its head is asked for."""
    return max(PROBE_FLOOR_S, min(PROBE_CEILING_S, PROBE_BLOCKS * block_time_s))


class FollowerState(StrEnum):
    """`INCONSISTENT`: the endpoint's answers contradict each other, so that nothing can be followed.

    `DISPUTED`: too few endpoints agree about what is final; blocks are followed, and nothing becomes final.
    """

    STARTING = "starting"
    BACKFILLING = "backfilling"
    LIVE = "live"
    UNREACHABLE = "unreachable"
    INCONSISTENT = "inconsistent"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """How far one follower is. `alarms`: reorgs below finality that nobody has acknowledged. `set_aside`: facts that
    some projection cannot digest; they stop nothing, as the facts themselves are stored."""

    chain: ChainId
    state: FollowerState
    detail: str
    head: BlockHeader | None
    tip: BlockHeader | None
    finalized_height: Height | None
    lag_blocks: int
    alarms: int
    set_aside: int
    events_per_s: float

    @property
    def ready(self) -> bool:
        """True if facts of this chain may be relied on now: it is followed live and no alarm is open."""
        return self.state is FollowerState.LIVE and not self.alarms


class Follower:
    """Follows one chain into one database. `run` never returns; a `FatalError` ends it with the reason.

    `projected` false leaves projections alone, and marks them as incomplete: a later follower that keeps them builds
    them from the facts.
    """

    def __init__(
        self,
        parameters: ChainParameters,
        heads: HeadSource,
        blocks: BlockSource,
        database: Database,
        signal: FactSignal,
        clock: Clock,
        start: Height,
        metrics: Metrics | None = None,
        max_range: int = MAX_RANGE,
        retry: RetryPolicy = FOLLOWER,
        probe_s: float | None = None,
        projected: bool = True,
    ) -> None:
        self._chain = parameters.chain
        self._parameters = parameters
        self._heads, self._blocks = heads, blocks
        self._database, self._signal, self._clock = database, signal, clock
        self._start, self._retry = start, retry
        self._probe_s = probe_after_s(parameters.timing.block_time_s) if probe_s is None else probe_s
        self._projected = projected
        self._metrics = IndexerMetrics(metrics or Metrics())
        self._rate = EventRate()
        self._ranges = RangeReader(parameters.chain, blocks, max_range)
        self._view = ChainView(self._chain, start)
        self._seen: HeadUpdate | None = None
        self._observed: store.Observation | None = None
        self._news: asyncio.Queue[HeadUpdate] = asyncio.Queue(1)
        self._state, self._detail = FollowerState.STARTING, ""
        self._alarms = self._set_aside = 0
        self._measured: HeadUpdate | None = None
        self._progressed = False
        """True if anything was stored since the last step began."""

    @property
    def _max_range(self) -> int:
        """Return the longest range that the endpoints may be asked for, as it was learnt: programs that watch a
        follower print it."""
        return self._ranges.longest

    @property
    def status(self) -> FollowerStatus:
        final = self._view.finalized
        return FollowerStatus(
            chain=self._chain,
            state=self._state,
            detail=self._detail,
            head=self._seen.head if self._seen else None,
            tip=self._view.tip,
            finalized_height=final.height if final else None,
            lag_blocks=behind(self._view, self._seen) if self._seen else 0,
            alarms=self._alarms,
            set_aside=self._set_aside,
            events_per_s=self._rate.per_s(self._clock.now()),
        )

    async def run(self) -> None:
        """Follow the chain until cancelled. Raise `FatalError` if going on would be unsafe."""
        await self.open()
        listening = asyncio.create_task(self._listen(), name=f"heads of {self._chain}")
        working = asyncio.create_task(self._work(), name=f"follower of {self._chain}")
        await side_by_side((listening, working))

    async def open(self) -> None:
        """Check that the database belongs to this chain and read where we stand. `run` does it by itself."""
        chain = self._chain
        await self._database.write(self._register)
        if not self._projected:
            await self._database.write(mark_incomplete)
        elif await self._database.write(bring_up_to_date):
            log.info("projections were built again from the facts", chain=chain)
        await self._reload()

    def _register(self, connection: Connection) -> None:
        """The chain, and what is known of it that no fact says; projections count on it."""
        known = self._parameters
        store.prepare(connection)
        store.register_chain(connection, known.chain, known.genesis_hash, self._start)
        report_assets(connection, known.assets.values(), self._clock.now_ns())
        report_names(connection, known.contract_names)
        if report_holder(connection, known.chain, known.htlc_holder):
            mark_incomplete(connection)

    async def acknowledge_alarms(self) -> int:
        """The operator has looked into every deep reorg so far. Return how many were open."""
        chain, now_ns = self._chain, self._clock.now_ns()
        done = await self._database.write(lambda connection: store.acknowledge_alarms(connection, chain, now_ns))
        self._alarms = 0
        return done

    async def catch_up(self, update: HeadUpdate) -> None:
        """Follow up to this head.

        Raise `RetryableError`, `ReorgedError` or `RejectedError` when the head must be asked for again, and
        `ConflictError` when another process was faster: `open` reads where that one got to.
        """
        self._seen = update
        if self._view.tip is not None and update.head.height < self._view.start:
            raise RetryableError(
                f"an endpoint of {self._chain} has block {update.head.height} for its newest, and is followed from "
                f"{self._view.start} on: it is behind, or reads the chain from its beginning"
            )
        finalized = False
        try:
            for _ in range(MAX_TURNS):
                step = next_step(self._view, update.head, self._ranges.size)
                match step:
                    case InSync():
                        # What led here has taken in what is final, as far as this head says it.
                        return None if finalized else await self._finalize(update)
                    case Fetch(first, last):
                        finalized = await self._fetch(update, first, last)
                    case Diverged(top):
                        finalized = await self._switch(update, top)
                        if not finalized:
                            return await self._finalize(update)
        finally:
            await self._ranges.forget()
        raise RetryableError(f"the head of {self._chain} outran {MAX_TURNS} ranges")

    async def _fetch(self, update: HeadUpdate, first: Height, last: Height) -> bool:
        """Take in the next blocks. Return false if there are none, as `_switch` does."""
        tip = self._view.tip
        branch = await self._ranges.taken(first, last)
        if tip is not None and not links(tip, branch[0].header):
            return await self._switch(update, tip.height)
        self._ranges.read_ahead(branch[-1].header.height, update.head.height)
        await self._commit(advance(self._view, tip.height if tip else None, branch, update.finalized), update)
        return True

    async def _switch(self, update: HeadUpdate, top: Height) -> bool:
        """Leave our branch for the endpoint's. Return false if its head is on ours, only lower: no reorg."""
        ancestor = await self._ancestor(top)
        if ancestor is not None and ancestor >= update.head.height:
            return False
        if self._view.tip is not None and ancestor == self._view.tip.height:
            # One answer says that our tip was replaced, the other that it was not: two endpoints, or a reorg amid.
            raise ReorgedError(f"{self._chain} changed while its common ancestor was searched")
        first = self._view.start if ancestor is None else Height(ancestor + 1)
        branch = await self._ranges.read(first, Height(min(update.head.height, first + self._ranges.size - 1)))
        older = await self._older(ancestor)
        await self._commit(advance(self._view, ancestor, branch, update.finalized, older), update)
        return True

    async def _ancestor(self, top: Height) -> Height | None:
        """The newest height at which the endpoint's chain and ours agree, at `top` or below, at any depth."""
        search = AncestorSearch.between(self._view.start, top)
        while (probe := search.probe) is not None:
            theirs = await in_time(self._chain, self._blocks.header(probe))
            ours = self._view.at(probe) or await self._stored(probe)
            search = search.answered(probe, ours is not None and ours.ref == theirs.ref)
        return search.ancestor

    async def _stored(self, height: Height) -> BlockHeader | None:
        chain = self._chain
        found = await self._database.read(lambda c: store.canonical_headers(c, chain, height, height))
        return found[0] if found else None

    async def _older(self, ancestor: Height | None) -> tuple[BlockHeader, ...]:
        """Our headers from the ancestor up to the window, if the ancestor lies below it."""
        window, chain = self._view.window, self._chain
        first = self._view.start if ancestor is None else ancestor
        if not window or window[0].height <= first:
            return ()
        last = Height(window[0].height - 1)
        return await self._database.read(lambda connection: store.canonical_headers(connection, chain, first, last))

    async def _finalize(self, update: HeadUpdate) -> None:
        if self._view.tip is not None:
            step = advance(self._view, self._view.tip.height, (), update.finalized)
        else:
            step = Advance(self._view, (), False)
        await self._commit(step, update)

    async def _commit(self, step: Advance, update: HeadUpdate) -> None:
        before, projected = self._view, self._projected
        live = behind(step.view, update) == 0
        state = FollowerState.LIVE if live else FollowerState.BACKFILLING
        if update.disputed:
            state = FollowerState.DISPUTED
            self._disputed(update.disputed)
        seen = store.Observation(state.value, update.disputed, update.head, self._clock.now_ns())
        seq = 0
        if step.facts or self._is_new(seen):
            done = await self._database.write(
                lambda connection: store.commit(connection, before, step, seen, projected)
            )
            self._observed = seen
            seq, self._set_aside = done.seq, done.set_aside
            self._metrics.set_aside(self._chain, done.set_aside)
        self._view, self._state, self._detail = step.view, state, update.disputed
        reverted = step.reverted
        if step.deep:
            self._alarms += 1
            log.error("reorg below finality", chain=self._chain, blocks=len(reverted))
        elif reverted:
            log.info("reorg", chain=self._chain, blocks=len(reverted))
        elif self._alarms:
            # Acknowledged meanwhile, perhaps, by a process that the operator has at hand.
            self._alarms = await self._database.read(lambda connection: store.open_alarms(connection, before.chain))
        if step.facts or update is not self._measured:
            self._measured, now_s = update, self._clock.now()
            self._rate.add(sum(len(block.events) for block in step.applied), now_s)
            self._metrics.stepped(step, update, now_s, self._rate.per_s(now_s))
        if step.facts:
            self._progressed = True
            self._signal.announce(seq)

    def _is_new(self, seen: store.Observation) -> bool:
        last = self._observed
        return (
            last is None or replace(seen, at_ns=last.at_ns) != last or seen.at_ns - last.at_ns >= OBSERVE_S * NS_PER_S
        )

    async def _reload(self) -> None:
        chain = self._chain
        self._view = await self._database.read(lambda connection: store.load_view(connection, chain))
        self._alarms = await self._database.read(lambda connection: store.open_alarms(connection, chain))
        self._set_aside = await self._database.read(lambda connection: count_set_aside(connection, chain))
        self._metrics.set_aside(chain, self._set_aside)
        # A commit whose answer was lost has announced nothing.
        self._signal.announce(await self._database.read(last_seq))

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async for update in self._heads.heads():
                    failures = 0
                    if self._news.full():
                        self._news.get_nowait()
                    self._news.put_nowait(update)
            except FatalError:
                raise
            except CausewayError as error:
                log.warning("heads cannot be read", chain=self._chain, error=error.message)
            failures += 1
            await self._clock.sleep(self._retry.delay_s(failures))

    async def _work(self) -> None:
        failures, known = 0, True
        while True:
            try:
                if not known:
                    # Whether the failed step was committed, only the database knows; no step begins before it says.
                    await self._reload()
                    known = True
                self._progressed = False
                await self.catch_up(await self._next_update(wait=failures == 0))
                failures = 0
            except FatalError:
                raise
            except DisagreementError as error:
                # About what is final, when asked for the head: blocks come through the stream, which is waited for.
                failures = 0
                await self._fail(error)
            except CausewayError as error:
                # What went well before it, however little, has forgiven the failures until then.
                failures, known = (1 if self._progressed else failures + 1), False
                await self._fail(error)
                await self._clock.sleep(self._retry.delay_s(failures))

    async def _next_update(self, wait: bool) -> HeadUpdate:
        """The newest news; after a failure, or a long silence, what the endpoint says when asked."""
        if wait or not self._news.empty():
            try:
                async with asyncio.timeout(self._probe_s):
                    return await self._news.get()
            except TimeoutError:
                pass
        return await in_time(self._chain, self._heads.head())

    def _disputed(self, why: str) -> None:
        if self._state is not FollowerState.DISPUTED:
            log.error("endpoints disagree about what is final: nothing becomes final", chain=self._chain, why=why)
        self._metrics.disputed(self._chain)

    async def _fail(self, error: CausewayError) -> None:
        if isinstance(error, DisagreementError):
            self._disputed(error.message)
            self._state = FollowerState.DISPUTED
        else:
            log.warning("a step failed and is tried again", chain=self._chain, error=error.message)
            retryable = isinstance(error, RetryableError)
            self._state = FollowerState.UNREACHABLE if retryable else FollowerState.INCONSISTENT
        self._detail = error.message
        self._metrics.failed(self._chain)
        self._observed = None
        chain, seen = self._chain, store.Observation(self._state.value, error.message, None, self._clock.now_ns())
        try:
            await self._database.write(lambda connection: store.observe(connection, chain, seen))
        except RetryableError:
            log.warning("the state cannot be stored either", chain=self._chain)
