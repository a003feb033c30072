"""What the operator sees of each follower."""

from core.model.facts import HeadUpdate
from core.model.types import ChainId
from core.runtime.metrics import Metrics
from indexer.chain_view import Advance, behind


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
        self._reorgs = metrics.counter(
            "indexer_reorgs_total", "Reorgs, by whether they went below finality", ["chain", "deep"]
        )
        self._reverted = metrics.counter("indexer_reverted_blocks_total", "Blocks that reorgs replaced", chain)
        self._failures = metrics.counter("indexer_failed_steps_total", "Steps that failed and were tried again", chain)

    def stepped(self, step: Advance, update: HeadUpdate, now_s: float) -> None:
        """A step was committed."""
        chain, view = step.view.chain, step.view
        self._head.labels(chain).set(update.head.height)
        self._lag_blocks.labels(chain).set(behind(view, update))
        if view.tip is not None:
            self._tip.labels(chain).set(view.tip.height)
            self._lag_s.labels(chain).set(max(0.0, now_s - view.tip.time.seconds))
        if view.finalized is not None:
            self._final.labels(chain).set(view.finalized.height)
        self._blocks.labels(chain).inc(len(step.applied))
        self._events.labels(chain).inc(sum(len(block.events) for block in step.applied))
        if step.reverted:
            self._reorgs.labels(chain, str(step.deep).lower()).inc()
            self._reverted.labels(chain).inc(len(step.reverted))

    def failed(self, chain: ChainId) -> None:
        """A step failed."""
        self._failures.labels(chain).inc()
