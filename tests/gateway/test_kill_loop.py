"""A relayer that dies at random moments, over anvil and a CometBFT node: every swap settles, no unit goes astray.

Nothing is asked of how many swaps complete: one that meets a dead relayer for too long has its lock back.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from adapters.registry import ConnectedChain
from core.model.errors import CausewayError, ConflictError, RejectedError, RetryableError
from core.model.identifiers import parse_asset
from core.model.types import AccountId, AssetId, ChainId, chain_of
from core.runtime.database import open_database
from gateway import wiring
from gateway.connect import connect
from gateway.devnet import Devnet, DevnetSettings
from gateway.devnet.info import DevnetInfo, Keys
from htlc.model import Phase
from htlc.timelocks import DEVNET_POLICY
from relayer.api.bodies import QuoteCall
from relayer.client import RelayerApi, SwapClient, SwapOutcome
from relayer.pump import tables
from tests.local_chains.consortium.abci.comet import need_cometbft
from tests.support import LONG, eventually

USERS: Final = ("alice", "bob", "carol", "dave")
RELAYER: Final = "relayer-a"
ALIVE_S: Final = (0.5, 4.0)
"""Bounds of the time between two deaths."""
SWAPS, KILLS = (56, 50) if LONG else (4, 4)
SETTLED_S: Final = 180.0
GIVEN: Final = {"usdx": 5 * 10**6, "cnyd": 710}
OTHER: Final = {"usdx": "cnyd", "cnyd": "usdx"}


@asynccontextmanager
async def dapp(net: Devnet, chains: Mapping[ChainId, ConnectedChain], keys: Keys) -> AsyncIterator[SwapClient]:
    info = net.info
    secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
    store = net.settings.directory / "dapps" / f"{keys.name}.sqlite"
    async with connect(info.relayers[RELAYER], chains, secrets, store, DEVNET_POLICY) as client:
        yield client


async def swap(client: SwapClient, info: DevnetInfo, give: str) -> tuple[str, int, int, SwapOutcome]:
    """(asset given, amount given, amount got, outcome) of one swap, agreed as soon as the relayer is there."""
    ours, theirs = parse_asset(info.asset(give)), parse_asset(info.asset(OTHER[give]))
    while True:
        try:
            quote = await client.quote(ours, theirs, initiator_amount=GIVEN[give])
            agreed = await client.open(quote)
        except (RetryableError, ConflictError, RejectedError, aiohttp.ClientError):
            await asyncio.sleep(0.5)
            continue
        outcome = await client.run(agreed)
        if outcome.phase is not Phase.ABANDONED:
            return give, quote.initiator_amount, quote.participant_amount, outcome


async def holdings(chains: Mapping[ChainId, ConnectedChain], account: AccountId, asset: AssetId) -> int:
    return await chains[chain_of(account)].access.state.balance(account, asset)


async def all_held(
    net: Devnet, chains: Mapping[ChainId, ConnectedChain], relayer: Mapping[ChainId, AccountId]
) -> dict[tuple[str, str], int]:
    """Units of both assets by (holder, nickname of the asset)."""
    info, found = net.info, {}
    for nickname in GIVEN:
        asset = parse_asset(info.asset(nickname))
        chain = chain_of(asset)
        found[RELAYER, nickname] = await holdings(chains, relayer[chain], asset)
        for user in USERS:
            keys = info.user(user)
            text = keys.ethereum_account if chain == info.ethereum else keys.consortium_account
            found[user, nickname] = await holdings(chains, AccountId(text), asset)
    return found


async def open_swaps(directory: Path) -> list[str]:
    database = open_database(f"sqlite:///{directory / RELAYER / 'relayer.sqlite'}")
    try:
        rows = await database.read(lambda c: tables.list_rows(c, 1_000))
        return [f"{row.swap_id} {row.phase}" for row in rows if not Phase(row.phase).terminal]
    finally:
        await database.close()


async def killed(net: Devnet, rng: random.Random, times: int) -> None:
    relayer = net.relayers[RELAYER]
    for _ in range(times):
        await asyncio.sleep(rng.uniform(*ALIVE_S))
        await relayer.kill()
        await relayer.start()


@pytest.mark.endurance
async def test_swaps_settle_while_the_relayer_dies(tmp_path: Path) -> None:
    need_cometbft()
    rng = random.Random(SWAPS)
    settings = DevnetSettings(tmp_path / "devnet", users=USERS, supervised=False, comet_nodes=1)
    async with Devnet(settings) as net, wiring.connected(net.info.chains) as chains:
        accounts = await accounts_of(net.info)
        before = await all_held(net, chains, accounts)
        dying = asyncio.create_task(killed(net, rng, KILLS))
        found = await asyncio.gather(*(several(net, chains, user, SWAPS // len(USERS)) for user in USERS))
        await dying
        assert net.relayers[RELAYER].running

        async def settled() -> bool:
            with suppress(CausewayError):
                return not await open_swaps(settings.directory)
            return False

        await eventually(settled, SETTLED_S, 1.0)
        after = await all_held(net, chains, accounts)
    expected: Counter[tuple[str, str]] = Counter(before)
    phases: Counter[Phase] = Counter()
    for user, done in zip(USERS, found, strict=True):
        for give, given, got, outcome in done:
            phases[outcome.phase] += 1
            if outcome.phase is Phase.COMPLETED:
                expected[user, give] -= given
                expected[user, OTHER[give]] += got
                expected[RELAYER, give] += given
                expected[RELAYER, OTHER[give]] -= got
    assert set(phases) <= {Phase.COMPLETED, Phase.REFUNDED}, phases
    assert phases.total() == SWAPS
    assert phases[Phase.COMPLETED]
    assert after == dict(expected)


async def several(
    net: Devnet, chains: Mapping[ChainId, ConnectedChain], user: str, count: int
) -> list[tuple[str, int, int, SwapOutcome]]:
    """The swaps of one user, two at a time, both ways in turn."""
    places = asyncio.Semaphore(2)
    async with dapp(net, chains, net.info.user(user)) as client:

        async def one(number: int) -> tuple[str, int, int, SwapOutcome]:
            async with places:
                return await swap(client, net.info, ("usdx", "cnyd")[number % 2])

        return list(await asyncio.gather(*(one(number) for number in range(count))))


async def accounts_of(info: DevnetInfo) -> dict[ChainId, AccountId]:
    """The relayer's accounts, as its quotes name them."""
    give, get = (parse_asset(info.asset(nickname)) for nickname in GIVEN)
    async with RelayerApi(info.relayers[RELAYER]) as api:
        call = QuoteCall(initiator_asset=give, participant_asset=get, initiator_amount=str(GIVEN["usdx"]))
        quote = await api.quote(call)
    return {chain_of(give): AccountId(quote.participant_receiver), chain_of(get): AccountId(quote.participant_sender)}
