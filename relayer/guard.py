"""The guard of a relayer's switches: sees what its chains are like, pauses and resumes them, and ends a drain."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.model.ports import ChainTiming
from core.model.types import ChainId
from core.runtime import journal
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.leases import this_process
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from indexer import reading
from relayer import switchboard
from relayer.conditions import ChainLook, Conditions
from relayer.metrics import RelayerMetrics
from relayer.pump import tables
from relayer.pump.wiring import Pump
from relayer.switchboard import Switches
from relayer.switches import Cause, Scope, Switch
from relayer.transactions import records

NOTED_S: Final = 10.0
"""How often the rows of switches that hold are written again."""
PURSE_TIMEOUT_S: Final = 3.0

Shortages = Callable[[int], Awaitable[Mapping[ChainId, str]]]
"""The chains on which gas for what is open, and as many exits more as named, is not there. Raise `RetryableError`."""

log = get_logger("relayer.guard")


class Guard:
    """A named loop that looks whenever `due` counts up."""

    def __init__(
        self,
        database: Database,
        board: Switches,
        pump: Pump,
        timings: Mapping[ChainId, ChainTiming],
        shortages: Shortages,
        clock: Clock,
        metrics: RelayerMetrics,
        conditions: Conditions | None = None,
    ) -> None:
        """`conditions` are those of a guard before this one in the same process, with what they remember."""
        self.due = Signal()
        self.drained = asyncio.Event()
        """Set once the relayer drains and nothing is open."""
        self._database = database
        self._board = board
        self._pump = pump
        self._timings = timings
        self._shortages = shortages
        self._clock = clock
        self._metrics = metrics
        self._conditions = conditions or Conditions()
        self._board.own = self._conditions.standing
        self._holder = this_process()
        self._noted_s = float("-inf")
        self._shown: dict[tuple[Scope, Cause], Switch] = {}

    async def run(self) -> None:
        """Look for ever, each time that it is due."""
        seen = self.due.count
        while True:
            await self.due.wait_beyond(seen)
            seen = self.due.count
            await self.look()

    async def look(self) -> None:
        """Read the operator's switches, see to our own, and end a drain that is over. Raise `RetryableError`."""
        now_ns = self._clock.now_ns()
        states, open_things = await self._database.read(self._read)
        short, short_soon = await self._short()
        looks = [
            ChainLook(
                chain=chain,
                timing=timing,
                head=self._pump.heads[chain].latest,
                state=None if chain not in states else states[chain].state,
                alarms=0 if chain not in states else states[chain].alarms,
                short=None if short is None else short.get(chain, ""),
                short_soon=short_soon.get(chain, ""),
            )
            for chain, timing in self._timings.items()
        ]
        before = self._board.own
        self._board.own = self._conditions.see(looks, now_ns, self._clock.monotonic())
        await self._note(before, now_ns)
        self._show()
        if self._board.drains and not open_things:
            self.drained.set()

    def _read(self, connection: Connection) -> tuple[dict[ChainId, reading.ChainState], int]:
        self._board.look(connection)
        return reading.chain_states(connection), self._open_things(connection) if self._board.drains else 1

    def _open_things(self, connection: Connection) -> int:
        """Count what a drain waits for: swaps, effects that are due or will be, and transactions that may change."""
        ours = [(one.chain, one.account) for one in self._pump.own_pipelines]
        return (
            sum(tables.counts_by_phase(connection).values())
            + journal.count_pending(connection)
            + sum(len(records.open_transactions(connection, *account)) for account in ours)
        )

    async def _short(self) -> tuple[Mapping[ChainId, str] | None, Mapping[ChainId, str]]:
        """Return where gas is short, None if that is not known, and where it is not plenty yet."""
        low = any(one.cause is Cause.LOW_GAS for one in self._board.own)
        try:
            async with asyncio.timeout(PURSE_TIMEOUT_S):
                short = await self._shortages(1)
                return short, await self._shortages(2) if low else short
        except (RetryableError, TimeoutError):
            return None, {}

    async def _note(self, before: tuple[Switch, ...], now_ns: int) -> None:
        """Keep rows of what came by itself, for whoever looks."""
        own, now_s = self._board.own, self._clock.monotonic()
        same = {(one.scope, one.cause) for one in before} == {(one.scope, one.cause) for one in own}
        if same and (not own or now_s - self._noted_s < NOTED_S):
            return
        await self._database.write(partial(switchboard.note_own, holder=self._holder, own=own, now_ns=now_ns))
        self._noted_s = now_s

    def _show(self) -> None:
        """Say in the log what came and what went, once each, and set the gauge."""
        now = {(one.scope, one.cause): one for one in self._board.standing()}
        for key, one in now.items():
            if key not in self._shown:
                log.warning("paused", scope=one.scope, cause=one.cause, reason=one.sentence)
            self._metrics.paused.labels(*key).set(1)
        for key, one in self._shown.items():
            if key not in now:
                log.info("resumed", scope=one.scope, cause=one.cause, seconds=self._lasted_s(one))
                self._metrics.paused.labels(*key).set(0)
        self._shown = now

    def _lasted_s(self, one: Switch) -> int:
        return (self._clock.now_ns() - one.since_ns) // NS_PER_S
