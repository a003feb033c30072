"""A daemon's checks once it is connected, before it follows or trades anything."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from adapters.memory import Endpoint, MemoryChain, MemoryRules
from adapters.memory.blockchain import default_timing
from adapters.registry import ConnectedChain
from core.model.errors import RejectedError
from core.model.types import AssetId, BaseUnits, ChainId
from core.runtime.clock import ManualClock, run_virtually
from gateway.daemons.parts import check_accounts, check_starts, check_traded
from htlc.model import Phase
from relayer.api.answers import Answers
from relayer.provider.quoting import Pair, Rate
from tests.gateway.test_config import ETHEREUM
from tests.relayer.house import COIN, A, B, House


async def test_starts() -> None:
    chain = MemoryChain(ChainId(ETHEREUM.id), ManualClock(), {}, MemoryRules(default_timing(finality_depth=2)))
    endpoint = Endpoint(ManualClock())

    async def close() -> None: ...

    connected = ConnectedChain(chain.access(endpoint), lambda _: chain.signer("nobody"), close)
    chains = {chain.chain: connected}
    await check_starts([ETHEREUM], chains)
    chain.mine(9)
    for start in (0, 9, 10):
        await check_starts([msgspec.structs.replace(ETHEREUM, start=start)], chains)
    for start in (-1, 11, 10**9):
        wrong = msgspec.structs.replace(ETHEREUM, start=start)
        with pytest.raises(RejectedError, match=f"start = {start}, but its blocks go from 0 to 9"):
            await check_starts([wrong], chains)
        endpoint.down = True
        await check_starts([wrong], chains)
        endpoint.down = False


def test_a_key_that_open_swaps_need_is_missed_at_the_start() -> None:
    async def story() -> None:
        house = House()
        try:
            await house.start()
            ours = {signer.account for signer in house.relayer.values()}
            await check_accounts(house.database, set())
            view = await house.open(A)
            await check_accounts(house.database, ours)
            for chain, signer in house.relayer.items():
                swapped = {house.initiator[chain].account, *ours} - {signer.account}
                with pytest.raises(RejectedError, match=f"1 open swap.* need the account {signer.account}"):
                    await check_accounts(house.database, swapped)
            await house.clock.sleep(30)
            await house.service.pump.expire_quotes()
            await house.phase(view.id, Phase.ABANDONED)
            await check_accounts(house.database, set())
        finally:
            await house.stop()

    run_virtually(story())


def test_a_pair_with_an_asset_that_its_chain_lacks_is_refused() -> None:
    house = House(clock=ManualClock())

    async def close() -> None: ...

    chains = {
        chain: ConnectedChain(one.access(house.endpoints[chain]), lambda _: house.relayer[A], close)
        for chain, one in house.chains.items()
    }
    known = Pair(COIN[A], COIN[B], Rate(1, 1), BaseUnits(1), BaseUnits(2))
    check_traded([known], chains)
    with pytest.raises(RejectedError, match="needs .*gold, which its chain does not show"):
        check_traded([known, replace(known, participant_asset=AssetId(f"{B}/asset:gold"))], chains)


async def test_a_mistyped_pair_is_nobody_elses_trouble() -> None:
    house = House(clock=ManualClock())
    known = Pair(COIN[A], COIN[B], Rate(1, 1), BaseUnits(1), BaseUnits(2))
    mistyped = replace(known, participant_asset=AssetId(f"{B}/asset:gold"))
    desk: Any = SimpleNamespace(pairs=lambda: [mistyped, known], paused=lambda pair: None)
    answers = Answers(desk, {chain: one.access() for chain, one in house.chains.items()}, house.clock)
    assert [body.id for body in await answers.pairs()] == [known.id]
