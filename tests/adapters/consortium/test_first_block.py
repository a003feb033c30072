"""A node whose network has not begun: it has no block, and none that was pruned."""

from pathlib import Path

import pytest

from adapters.consortium import connect
from core.model.consortium import caip_chain
from core.model.errors import RetryableError
from local_chains.consortium.cometbft import CometNode
from local_chains.consortium.engine.abci.network import node_home
from tests.local_chains.consortium.abci.comet import make_network, need_cometbft
from tests.local_chains.consortium.support import CHAIN


@pytest.mark.parametrize("genesis_hash", [None, bytes(32)])
async def test_a_network_that_has_not_begun_is_waited_for(tmp_path: Path, genesis_hash: bytes | None) -> None:
    need_cometbft()
    make_network(tmp_path / "network", validators=2)
    async with CometNode(node_home(tmp_path / "network", 0)) as node:
        with pytest.raises(RetryableError, match="has no block yet"):
            await connect(node.rpc_url, caip_chain(CHAIN), (), genesis_hash=genesis_hash)
