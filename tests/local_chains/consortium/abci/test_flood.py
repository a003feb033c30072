"""Claims are in blocks as soon as the chain promises, while others fill all that they may of four real nodes."""

import pytest

from bench._flood import Flood, measure
from tests.local_chains.consortium.abci.comet import need_cometbft
from tests.support import LONG

FLOOD = Flood(seconds=60.0 if LONG else 12.0, quiet_s=6.0)


@pytest.mark.long
@pytest.mark.endurance
async def test_claims_under_flood_are_included_as_promised() -> None:
    need_cometbft()
    found = await measure(FLOOD)
    assert found["claims"] == FLOOD.seconds
    assert found["claim_inclusion_s_max"] <= found["promised_s"]
    assert found["flood_mb_per_block"] > 0.3, "the attackers' records fill blocks meanwhile"
