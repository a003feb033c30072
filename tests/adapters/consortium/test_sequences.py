"""Two transactions with one sequence, and a block at the worst moment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.consortium import unsigned
from adapters.consortium.rpc import CometRpc
from core.model.consortium import Transfer, quantity, raw_address
from core.model.errors import ConflictError
from local_chains.consortium.node import Pace
from tests.adapters.consortium.harness import CHAIN, running

BY_HAND = Pace(interval_s=None, min_delay_s=3_600.0)
READS = ("abci_query", "unconfirmed_txs")


@pytest.mark.parametrize("reads_before", [1, 2, 3])
async def test_taken_sequence_conflicts_whenever_the_other_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads_before: int
) -> None:
    async with running(tmp_path / "home", BY_HAND) as harness:
        sender, transactions = await harness.account(), harness.access.transactions
        signed = []
        for amount in (1, 2):
            message = Transfer("cnyd", raw_address(sender.account), quantity(amount))
            request = transactions.assemble(unsigned(CHAIN, sender.account, (message,), "pay"), 0, None, None)
            signed.append(transactions.attach(request, await sender.sign(request)))
        first, second = signed
        await transactions.submit(first)
        real, left = CometRpc.call_raw, [reads_before]

        async def then_a_block(rpc: CometRpc, method: str, **params: Any) -> Mapping[str, Any]:
            answer = await real(rpc, method, **params)
            left[0] -= method in READS
            if method in READS and left[0] == 0:
                await harness.advance()
            return answer

        monkeypatch.setattr(CometRpc, "call_raw", then_a_block)
        with pytest.raises(ConflictError):
            await transactions.submit(second)
