"""A relayer's housekeeping: agreements that nobody locked on end, old rows go, and gauges show how things stand."""

from collections.abc import Sequence, Set
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.model.types import AssetId
from core.runtime import deliveries, journal
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.deliveries import DeliveryStatus
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from htlc import engine
from htlc.facts import ever_locked
from htlc.model import Phase
from indexer.projections import withdraw_agreement
from relayer import inventory
from relayer.inventory import Promise
from relayer.metrics import RelayerMetrics
from relayer.notices import reports, webhook_rows
from relayer.notices.reports import REPORTS
from relayer.notices.webhook_rows import SUBSCRIPTIONS, WEBHOOKS
from relayer.policy import MAX_LAPSE_S
from relayer.pump import promises, tables
from relayer.pump.wiring import Pump
from relayer.transactions import records as transaction_tables

KEEP_S: Final = MAX_LAPSE_S
"""How long settled votes and allowances are kept, and swaps that came to nothing: some are held against an account."""
PRUNED_AT_ONCE: Final = 500

log = get_logger("relayer.housekeeping")


class Housekeeping:
    """A named loop that works whenever `due` counts up. `traded` are the assets whose balances its gauges show."""

    def __init__(
        self, database: Database, pump: Pump, traded: Set[AssetId], clock: Clock, metrics: RelayerMetrics
    ) -> None:
        self.due = Signal()
        self._database = database
        self._pump = pump
        self._traded = traded
        self._clock = clock
        self._metrics = metrics
        self._low_reserves: Set[AssetId] = frozenset()

    async def run(self) -> None:
        """Keep house for ever, each time that it is due."""
        seen = self.due.count
        while True:
            await self.due.wait_beyond(seen)
            seen = self.due.count
            await self._pump.expire_quotes()
            await self._measure()
            before_ns = self._clock.now_ns() - KEEP_S * NS_PER_S
            await self._database.write(partial(_prune, before_ns=before_ns, limit=PRUNED_AT_ONCE))
            await self.forget_nothing(before_ns)

    async def forget_nothing(self, before_ns: int) -> None:
        """Swaps that ended before then without any lock go: anybody can have them agreed."""
        if await self._database.read(lambda c: tables.came_to_nothing(c, before_ns, 1)):
            await self._database.write(partial(_forget_nothing, before_ns=before_ns, limit=PRUNED_AT_ONCE))

    async def _measure_reserved(self, promised: Sequence[Promise]) -> None:
        firm = inventory.of_purses(inventory.firm(promised, self._clock.now_ns()), self._pump.accounts.values())
        try:
            costs = await self._pump.checks.exit_costs(sorted(self._pump.pipelines))
            low = await self._pump.checks.understated()
        except RetryableError as error:
            log.info("the cost of exits is not known", reason=error.message)
            return
        for asset in sorted(low.keys() - self._low_reserves):
            log.warning("gas_per_exit is less than an exit may cost now: raise it", asset=asset, cost=low[asset])
        self._low_reserves = low.keys()
        reserved = inventory.reserved(firm, costs)
        for asset in {*reserved, *(asset for cost in costs.values() for asset in cost)}:
            self._metrics.reserved_funds.labels(asset).set(reserved[asset])

    async def _measure(self) -> None:
        def read(
            connection: Connection,
        ) -> tuple[dict[Phase, int], list[Promise], int | None, dict[tuple[str, DeliveryStatus], int]]:
            return (
                tables.counts_by_phase(connection),
                promises.of_open_swaps(connection),
                tables.nearest_timelock_s(connection),
                deliveries.counts(connection),
            )

        counts, promised, nearest_s, sent = await self._database.read(read)
        for queue in (REPORTS.name, WEBHOOKS.name, SUBSCRIPTIONS.name):
            for status in DeliveryStatus:
                self._metrics.deliveries.labels(queue, status).set(sent.get((queue, status), 0))
        self._metrics.unacknowledged.set(len(await self._pump.foreign_uses()))
        await self._measure_reserved(promised)
        for phase in Phase:
            self._metrics.pending.labels(phase).set(counts.get(phase, 0))
        self._metrics.nearest_timelock_s.set(float("inf") if nearest_s is None else nearest_s - self._clock.now())
        for asset in sorted(self._traded):
            locked = sum(promise.amount for promise in promised if promise.asset == asset and promise.funded)
            self._metrics.locked_funds.labels(asset).set(locked)
            try:
                self._metrics.wallet_balance.labels(asset).set(await self._pump.checks.balance(asset))
            except RetryableError as error:
                log.info("balance not known", asset=asset, reason=error.message)


def _prune(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget settled votes, allowances, reports and webhooks of before then; return how many."""
    prunes = (transaction_tables.prune, deliveries.prune, webhook_rows.prune)
    return sum(one(connection, before_ns, limit) for one in prunes)


def _forget_nothing(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget swaps that ended before then without any lock, at most `limit`; return how many.

    Anybody can have a swap agreed or watched, so what comes of it must not fill the disk. Their hashlocks were never
    funded; whoever locks under one later is answered as under any other that is not known here.
    """
    forgotten = 0
    for row in tables.came_to_nothing(connection, before_ns, limit):
        state = engine.load(connection, row.swap_id)
        if ever_locked(state) or state.attempts:
            continue
        tables.forget(connection, row.swap_id)
        journal.forget(connection, row.swap_id)
        reports.forget(connection, row.swap_id)
        webhook_rows.forget(connection, row.swap_id)
        withdraw_agreement(connection, row.swap_id, row.hashlock)
        forgotten += 1
    return forgotten
