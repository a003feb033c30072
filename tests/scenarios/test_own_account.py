"""The operator uses the relayer's key elsewhere: what is owed is claimed all the same, and nothing new is begun."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adapters.consortium import unsigned
from adapters.evm.contracts.deployer import pay_native
from core.model.consortium import Transfer, quantity, raw_address
from core.model.errors import RetryableError
from core.model.types import BaseUnits, Preimage
from core.runtime.database import InlineDatabase
from gateway import members
from htlc.model import Phase
from tests.adapters.evm.harness import CHAIN
from tests.relayer.client.test_real_chains import LEDGER, YUAN
from tests.scenarios.stage import ETHER, OPERATOR_KEY, PATIENCE_S, Stage, stage
from tests.support import eventually


async def vote(on: Stage) -> None:
    """As `causeway chain propose` does, by the operator's key."""
    wanted = members.WantedTerms("newcomer", account="11" * 20, roles=("regulator",))
    await members.propose(on.consortium.rpc.url, on.home / OPERATOR_KEY, wanted)


async def withdraw(on: Stage) -> None:
    """Some of each chain's money, to somewhere else."""
    ours, theirs = on.relayer[LEDGER], on.evil[LEDGER].account
    message = Transfer("cnyd", raw_address(theirs), quantity(1_000))
    await on.hand(ours, unsigned(LEDGER, ours.account, (message,), "withdraw"))
    await on.hand(on.relayer[CHAIN], pay_native(on.relayer[CHAIN].account, on.evil[CHAIN].account, BaseUnits(10**9)))


@pytest.mark.long
@pytest.mark.parametrize("use", [vote, withdraw])
@pytest.mark.parametrize("direction", [(ETHER, YUAN), (YUAN, ETHER)], ids=["to-yuan", "to-ether"])
async def test_a_key_used_elsewhere_stops_no_claim(tmp_path: Path, use: Any, direction: Any) -> None:
    first, second = direction
    async with asyncio.timeout(240), stage(tmp_path) as on:
        await on.start()
        preimage = Preimage.generate()
        view = await on.open(first, second, preimage, 10**16 if first == ETHER else 10**4)
        await on.lock(view.initiator.terms)
        view = await on.funded(view)
        await use(on)
        await on.claim(view.participant, preimage)
        view = await on.ended(view)
        assert view.phase is Phase.COMPLETED


@pytest.mark.long
async def test_key_used_elsewhere_begins_nothing_until_acknowledged(tmp_path: Path) -> None:
    async with asyncio.timeout(240), stage(tmp_path) as on:
        service = await on.start()
        await on.open(ETHER, YUAN, Preimage.generate(), 10**16)
        await withdraw(on)
        await eventually(service.concerns, PATIENCE_S, 0.2)
        with pytest.raises(RetryableError, match="acknowledge"):
            await on.open(ETHER, YUAN, Preimage.generate(), 10**16)
        await on.acknowledge()
        assert await on.open(ETHER, YUAN, Preimage.generate(), 10**16)


@pytest.mark.long
async def test_an_empty_database_over_a_used_account_begins_nothing(tmp_path: Path) -> None:
    async with asyncio.timeout(240), stage(tmp_path) as on:
        await on.start()
        preimage = Preimage.generate()
        view = await on.open(ETHER, YUAN, preimage, 10**16)
        await on.lock(view.initiator.terms)
        view = await on.funded(view)
        await on.kill()
        kept, on.database = on.database, InlineDatabase()
        service = await on.start()
        await eventually(service.concerns, PATIENCE_S, 0.2)
        with pytest.raises(RetryableError, match="acknowledge"):
            await on.open(ETHER, YUAN, Preimage.generate(), 10**16)
        await on.kill()
        on.database = kept
        await on.claim(view.participant, preimage)
        await on.start()
        assert (await on.ended(view)).phase is Phase.COMPLETED
