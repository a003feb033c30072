"""A follower's metrics against what truly happened."""

from core.model.types import Height
from core.runtime.clock import ManualClock
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.metrics import RATE_WINDOW_S, EventRate
from tests.indexer.scripted import CHAIN, Parameters, ScriptedBlocks, ScriptedChain


async def test_reorgs_are_counted_with_their_depth(database: Database) -> None:
    chain, metrics = ScriptedChain(), Metrics()
    follower = Follower(
        Parameters(), chain, ScriptedBlocks(chain), database, FactSignal(), ManualClock(), Height(0), metrics
    )
    await follower.open()
    chain.extend(20)
    await follower.catch_up(chain.update)
    for depth, length in ((7, 9), (2, 3)):
        chain.reorg(depth, length)
        await follower.catch_up(chain.update)
    assert metrics.value("indexer_reorgs_total", chain=CHAIN, deep="false") == 2
    assert metrics.value("indexer_reverted_blocks_total", chain=CHAIN) == 9
    assert metrics.value("indexer_last_reorg_depth_blocks", chain=CHAIN) == 2
    assert metrics.value("indexer_deepest_reorg_blocks", chain=CHAIN) == 7
    assert metrics.value("indexer_cursor_height", chain=CHAIN) == chain.update.head.height
    assert metrics.value("indexer_lag_blocks", chain=CHAIN) == 0


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = EventRate()
    assert rate.per_s(5.0) == 0
    rate.add(1_000, 10.0)
    for second in range(11, 15):
        rate.add(50, float(second))
    assert rate.per_s(14.0) == 50
    assert rate.per_s(14.0 + RATE_WINDOW_S / 2) == 50 * 4 / 9
    assert rate.per_s(30.0) == 0
