"""The metrics of each follower, for the operator."""

from collections import deque
from typing import Any, Final, TypeVar

from prometheus_client import Counter, Gauge

from core.model.facts import HeadUpdate
from core.model.types import ChainId
from core.runtime.metrics import Metrics
from indexer.chain_view import Advance, behind

M = TypeVar("M", Counter, Gauge)

RATE_WINDOW_S: Final = 10.0
MAX_SAMPLES: Final = 1_000


class EventRate:
    """Events a second over the last `RATE_WINDOW_S`, or since the first of them if that is not so long ago."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)
        self._begun_s: float | None = None

    def add(self, events: int, now_s: float) -> None:
        """`events` were stored by `now_s`."""
        if self._begun_s is None:
            self._begun_s = now_s
            return
        self._samples.append((now_s, events))

    def per_s(self, now_s: float) -> float:
        while self._samples and self._samples[0][0] < now_s - RATE_WINDOW_S:
            self._samples.popleft()
        if self._begun_s is None or now_s <= self._begun_s:
            return 0.0
        return sum(events for _, events in self._samples) / min(RATE_WINDOW_S, now_s - self._begun_s)


class IndexerMetrics:
    """Metrics of all followers that share one registry; each labels its own chain."""

    def __init__(self, metrics: Metrics) -> None:
        chain = ["chain"]
        self._head = metrics.gauge("indexer_head_height", "Newest block reported by the endpoint", chain)
        self._tip = metrics.gauge("indexer_cursor_height", "Newest block stored", chain)
        self._final = metrics.gauge("indexer_finalized_height", "Newest block stored as final", chain)
        self._lag_blocks = metrics.gauge("indexer_lag_blocks", "Blocks between cursor and head", chain)
        self._lag_s = metrics.gauge("indexer_lag_seconds", "Age of the newest block stored", chain)
        self._blocks = metrics.counter("indexer_blocks_total", "Blocks applied", chain)
        self._events = metrics.counter("indexer_events_total", "Events stored", chain)
        self._rate = metrics.gauge("indexer_events_per_second", "Events stored a second, of late", chain)
        self._depth = metrics.gauge("indexer_last_reorg_depth_blocks", "Blocks that the newest reorg replaced", chain)
        self._deepest = metrics.gauge("indexer_deepest_reorg_blocks", "Blocks that the deepest reorg replaced", chain)
        self._deepest_yet: dict[ChainId, int] = {}
        self._reorgs = metrics.counter(
            "indexer_reorgs_total", "Reorgs, by whether they went below finality", ["chain", "deep"]
        )
        self._reverted = metrics.counter("indexer_reverted_blocks_total", "Blocks that reorgs replaced", chain)
        self._disputed = metrics.gauge(
            "indexer_finality_disputed", "1 while too few endpoints agree about what is final, else 0", chain
        )
        self._failures = metrics.counter("indexer_failed_steps_total", "Steps that failed and were tried again", chain)

        self._set_aside = metrics.gauge(
            "indexer_set_aside_facts", "Facts that some projection cannot digest; more than 0 is an alarm", chain
        )
        self._labelled: dict[tuple[Counter | Gauge, ChainId], Any] = {}

    def _of(self, family: M, chain: ChainId) -> M:
        """The family's member for this chain; the library takes its time to find one at every step."""
        found: M | None = self._labelled.get((family, chain))
        if found is None:
            found = self._labelled[family, chain] = family.labels(chain)
        return found

    def stepped(self, step: Advance, update: HeadUpdate, now_s: float, events_per_s: float) -> None:
        """A step was committed."""
        chain, view = step.view.chain, step.view
        self._of(self._disputed, chain).set(1 if update.disputed else 0)
        self._of(self._head, chain).set(update.head.height)
        self._of(self._lag_blocks, chain).set(behind(view, update))
        if view.tip is not None:
            self._of(self._tip, chain).set(view.tip.height)
            self._of(self._lag_s, chain).set(max(0.0, now_s - view.tip.time.seconds))
        if view.finalized is not None:
            self._of(self._final, chain).set(view.finalized.height)
        self._of(self._blocks, chain).inc(len(step.applied))
        self._of(self._events, chain).inc(sum(len(block.events) for block in step.applied))
        self._of(self._rate, chain).set(events_per_s)
        if step.reverted:
            depth = len(step.reverted)
            self._of(self._depth, chain).set(depth)
            self._deepest_yet[chain] = max(depth, self._deepest_yet.get(chain, 0))
            self._of(self._deepest, chain).set(self._deepest_yet[chain])
            self._reorgs.labels(chain, str(step.deep).lower()).inc()
            self._of(self._reverted, chain).inc(depth)

    def set_aside(self, chain: ChainId, count: int) -> None:
        """The number of the chain's facts that are set aside now."""
        self._of(self._set_aside, chain).set(count)

    def disputed(self, chain: ChainId) -> None:
        """Endpoints do not agree about what is final."""
        self._of(self._disputed, chain).set(1)

    def failed(self, chain: ChainId) -> None:
        """A step failed."""
        self._of(self._failures, chain).inc()
