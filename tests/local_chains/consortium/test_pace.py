"""The pace of a new network, and what is counted in its heights: in time it stays what it is meant to be."""

import tomllib
from pathlib import Path

from adapters.consortium.probe import MIN_KEPT_BLOCKS
from core.model.consortium import PROMISED_INCLUSION_S
from gateway.sending import LIFETIME_BLOCKS
from local_chains.consortium.engine.abci.network import BLOCK_TIME_MS, SNAPSHOT_INTERVAL, init_network, node_home
from local_chains.consortium.engine.abci.settings import load_settings
from local_chains.consortium.state.store import PROOF_HEIGHTS
from relayer.transactions.pipeline import PipelinePolicy

VOTE_MS = 50
"""The least time that votes take between processes on one machine."""
LEAST_MS = BLOCK_TIME_MS + VOTE_MS


def test_a_new_network_makes_blocks_at_this_pace(tmp_path: Path) -> None:
    init_network(tmp_path, "pace-1", 4)
    for index in range(4):
        config = tomllib.loads((node_home(tmp_path, index) / "config/config.toml").read_text())
        consensus = config["consensus"]
        assert 200 <= int(consensus["timeout_commit"].removesuffix("ms")) <= 300
        assert consensus["peer_gossip_sleep_duration"] == "10ms"
        assert not consensus["skip_timeout_commit"]
        assert config["mempool"]["recheck"], "what waits must be checked again: its sequences"
        assert load_settings(node_home(tmp_path, index)).snapshot_interval == SNAPSHOT_INTERVAL


def test_heights_mean_a_quarter_of_an_hour() -> None:
    for heights in (PROOF_HEIGHTS, SNAPSHOT_INTERVAL, MIN_KEPT_BLOCKS):
        assert heights * LEAST_MS >= 15 * 60 * 1_000


def test_transactions_are_valid_for_longer_than_the_promise() -> None:
    for blocks in (LIFETIME_BLOCKS, PipelinePolicy().expiry_blocks):
        assert blocks * LEAST_MS > PROMISED_INCLUSION_S * 1_000
