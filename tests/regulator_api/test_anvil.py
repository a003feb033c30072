"""A follower over a real EVM chain: locks, a reorg made by the node itself, conservation against the contract."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from web3 import Web3

from adapters.evm.chain import EvmChain
from core.model.facts import LockStatus, NativeTransfers
from core.model.types import BaseUnits, Height, LockTerms, Preimage, Seconds
from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from indexer import store
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.locks import locks_under
from regulator_api.service import SupervisedChain
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness, settings_for
from tests.indexer.truth import all_facts, replay
from tests.regulator_api.api import Api, prepare, serving


async def check_contracts(api: Api, evm: EvmHarness) -> None:
    """The HTLC with both locks, the token with what it paid; and what the token calls itself."""
    [token] = evm.contracts.tokens
    first = await api.get("/v1/contracts?limit=1")
    rest = await api.get(f"/v1/contracts?limit=1&cursor={first['next']}")
    found = {one["contract"]: one for one in (*first["items"], *rest["items"])}
    assert rest["next"] is None
    assert found[evm.contracts.htlc]["kind"] == "htlc"
    assert found[evm.contracts.htlc]["name"] == "HashedTimelock"
    assert found[evm.contracts.htlc]["events"] == 2
    assert (found[token]["kind"], found[token]["name"]) == ("token", "Test Dollar")
    assert found[token]["first_height"] <= found[token]["last_height"]
    told = {one["asset"]: one for one in (await api.get("/v1/assets"))["items"]}
    ether, dollar = (told[asset] for asset in evm.assets)
    assert (ether["symbol"], ether["source"]) == ("ETH", "configuration")
    assert (dollar["symbol"], dollar["name"], dollar["source"]) == ("TUSD", "Test Dollar", "contract")


async def check_filters(api: Api, account: str, token: str) -> None:
    """Every spelling of an account or asset finds the same; what cannot be one is refused, never an empty list."""
    chain, _, address = account.rpartition(":")
    asset_kind, _, contract = token.rpartition(":")
    found = (await api.get(f"/v1/transfers?account={account}"))["items"]
    assert found
    for spelt in (Web3.to_checksum_address(address), f"0x{address[2:].upper()}", f"0X{address[2:]}"):
        assert (await api.get(f"/v1/transfers?account={chain}:{spelt}"))["items"] == found
    moved = (await api.get(f"/v1/transfers?asset={token}"))["items"]
    assert (await api.get(f"/v1/transfers?asset={asset_kind}:{Web3.to_checksum_address(contract)}"))["items"] == moved
    for wrong in (address[:-1], address + "0", address[2:], "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"):
        refused = await api.ask(f"/v1/transfers?account={chain}:{wrong}")
        assert (refused.status, refused.body["type"]) == (422, "urn:causeway:problem:malformed-identifier"), wrong
    assert (await api.ask(f"/v1/transfers?asset={token[:-1]}")).status == 422
    assert (await api.ask(f"/v1/transfers?asset={token[:-1]}{'01'[token[-1] == '0']}")).status == 404
    assert (await api.ask(f"/v1/transfers?account=eip155:1:{address}")).status == 404


async def test_payments_are_shown_as_transfers(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/index.sqlite")
    await prepare(database)
    clock = ManualClock()
    async with evm_harness() as evm:
        chain = await EvmChain.connect(replace(settings_for(evm.anvil, evm.contracts), native=NativeTransfers.DIRECT))
        access = chain.access
        follower = Follower(access.parameters, access.heads, access.blocks, database, FactSignal(), clock, Height(0))
        await follower.open()
        paid = await evm.account()
        await follower.catch_up(await access.heads.head())
        async with serving(database, [SupervisedChain(access.parameters, None, access.state)], clock) as api:
            listed = (await api.get(f"/v1/transfers?account={quote(paid.account, safe='')}"))["items"]
            await check_filters(api, paid.account, evm.assets[1])
        payment, minted = sorted(listed, key=lambda one: -one["index"])
        assert payment["amount"] == {"asset": evm.assets[0], "base_units": str(10**18), "decimals": 18, "symbol": "ETH"}
        assert (payment["sender"], payment["index"], payment["placed"]["final"]) == (evm.bank.account, 2**30, True)
        assert (minted["sender"], minted["index"]) == (None, 0)
        await chain.close()
    await database.close()


async def test_a_lock_is_followed_through_a_reorg(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/index.sqlite")
    await prepare(database)
    clock = ManualClock()
    async with evm_harness() as evm:
        access, signal = evm.access, FactSignal()
        follower = Follower(access.parameters, access.heads, access.blocks, database, signal, clock, Height(0))
        await follower.open()
        sender, receiver = await evm.account(), await evm.account()
        head = (await access.heads.head()).head
        preimage = Preimage(b"\5" * 32)
        for asset in evm.assets:
            terms = LockTerms(
                asset,
                BaseUnits(1_000),
                sender.account,
                receiver.account,
                preimage.hashlock(),
                head.time.plus(Seconds(1_000)),
            )
            needed = await access.legs.prepare(terms)
            if needed is not None:
                await evm.send(sender, needed)
            lock_id = await access.legs.lock_id(terms)
            await evm.send(sender, access.legs.lock(terms, lock_id))
        await evm.advance(3)
        await follower.catch_up(await access.heads.head())
        *_, found = await database.read(lambda c: locks_under(c, terms.hashlock, 2))
        assert found.terms == terms
        claim = access.legs.claim(terms, lock_id, preimage, receiver.account)
        await evm.send(receiver, claim)
        await follower.catch_up(await access.heads.head())
        *_, found = await database.read(lambda c: locks_under(c, terms.hashlock, 2))
        assert (found.status, found.preimage) == (LockStatus.CLAIMED, preimage.expose())
        await evm.reorg(1)
        await follower.catch_up(await access.heads.head())
        *_, found = await database.read(lambda c: locks_under(c, terms.hashlock, 2))
        assert found == replace(found, status=LockStatus.LOCKED, settled=None, preimage=None)
        chains, _ = replay(await database.read(all_facts))
        tip = (await access.heads.head()).head
        assert chains[CHAIN][-1].header == tip
        assert chains[CHAIN] == list(await access.blocks.blocks(Height(0), tip.height))
        assert follower.status.ready
        await evm.advance(2)
        await follower.catch_up(await access.heads.head())
        async with serving(database, [SupervisedChain(access.parameters, None, access.state)], clock) as api:
            for asset in evm.assets:
                answer = await api.get(f"/v1/assets/{quote(asset, safe='')}/conservation")
                assert answer["ok"]
                assert answer["open"] == {"count": 1, "base_units": "1000"}
                assert answer["holder_balance"] == "1000"
                assert answer["holder"] == access.parameters.htlc_holder
            await check_contracts(api, evm)
        (row,) = await database.read(store.chain_rows)
        assert row.alarms == 0
    await database.close()
