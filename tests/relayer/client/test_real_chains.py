"""The client and a relayer over anvil and a consortium node: the same ports, real time, real contracts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from adapters.consortium import ConsortiumChain, Ed25519Signer, connect, unsigned
from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.chain import EvmChain
from adapters.evm.names import native_asset
from adapters.evm.signing import LocalSigner
from core.model.consortium import Issue, caip_asset, quantity, raw_address
from core.model.errors import FatalError, RejectedError
from core.model.ports import ChainAccess, Signer
from core.model.questions import LockAnswer, LockQuestion, Question, RecordAnswer, RecordQuestion
from core.model.types import AssetId, BaseUnits, ChainId, Height, Seconds
from core.proofs.errors import ProofError
from core.proofs.lanes import evm_address
from core.runtime.clock import SystemClock
from core.runtime.database import Database, InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from core.runtime.web import serve
from htlc.model import Phase
from htlc.timelocks import SwapPolicy
from indexer.feed import FactSignal
from indexer.follower import Follower
from local_chains.consortium.node import ConsortiumNode, GenesisAsset, Pace, init_home
from local_chains.evm import AnvilSettings
from relayer.api import create_api
from relayer.client import ClientPolicy, LocalProver, ProvenQueries, RelayerApi, SwapClient, SwapStore
from relayer.policy import RelayerPolicy
from relayer.provider.quoting import Pair, Rate
from relayer.service import RelayerService, RelayerSetup
from tests.adapters.evm.harness import EvmHarness, evm_harness, settings_for
from tests.adapters.evm.test_consents import deployed
from tests.support import eventually

LEDGER = ChainId("causeway:test-1")
YUAN = caip_asset(LEDGER, "cnyd")
POLICY = SwapPolicy(
    lock_s=Seconds(20), claim_s=Seconds(10), initiator_outage_s=Seconds(5), participant_outage_s=Seconds(5)
)


@asynccontextmanager
async def ledger(home: Path, owner: Ed25519Signer) -> AsyncIterator[ConsortiumChain]:
    init_home(home, "test-1", assets=[GenesisAsset("cnyd", raw_address(owner.account).hex(), 2)])
    async with ConsortiumNode(home, pace=Pace(interval_s=1.0)) as node:
        await eventually(lambda: node.engine.tip.height > 0)
        chain = await connect(node.rpc_url, LEDGER, ["cnyd"], poll_s=0.2)
        try:
            yield chain
        finally:
            await chain.close()


async def issue(chain: ConsortiumChain, owner: Ed25519Signer, *accounts: Ed25519Signer) -> None:
    for signer in (owner, *accounts):
        chain.learn(signer.public_key)
    grants = tuple(Issue("cnyd", raw_address(one.account), quantity(10**8)) for one in accounts)
    transactions = chain.access.transactions
    view = await transactions.sequences(owner.account)
    request = transactions.assemble(unsigned(LEDGER, owner.account, grants, "issue"), view.latest, None, None)
    await transactions.submit(transactions.attach(request, await owner.sign(request)))

    async def arrived() -> bool:  # a block takes it a moment later
        return all([await chain.access.state.balance(one.account, YUAN) > 0 for one in accounts])

    await eventually(arrived)


@asynccontextmanager
async def relayer_at_work(
    access: dict[ChainId, ChainAccess],
    signers: dict[ChainId, Signer],
    pairs: list[Pair],
    database: Database | None = None,
) -> AsyncIterator[str]:
    """The relayer's API address."""
    database = database or InlineDatabase()
    signal, clock, metrics = FactSignal(), SystemClock(), Metrics()
    await database.write(create_schema)
    setup = RelayerSetup(
        chains=access,
        signers=signers,
        policy=RelayerPolicy(swap=POLICY),
        pairs=pairs,
        quote_key=SigningKey.generate(),
    )
    service = RelayerService(database, setup, signal, clock, metrics)
    followers = [
        Follower(one.parameters, one.heads, one.blocks, database, signal, clock, Height(1), metrics)
        for one in access.values()
    ]
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    tasks.append(asyncio.create_task(service.run()))
    try:
        async with serve(create_api(service.desk, access, database, clock, metrics), "127.0.0.1", 0) as address:
            yield address
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, FatalError):
                await task


async def mine(harness: EvmHarness) -> None:
    """anvil of the harness mines on demand; finality needs new blocks."""
    while True:
        await asyncio.sleep(1)
        await harness.advance()


@pytest.mark.long
async def test_both_directions_on_real_chains_and_the_lock_proven(tmp_path: Path) -> None:
    owner, relayer_key, dapp_key = (Ed25519Signer(LEDGER, bytes([n]) * 32) for n in (1, 2, 3))
    async with evm_harness(AnvilSettings(block_time_s=None)) as harness, ledger(tmp_path / "ledger", owner) as chain:
        evm: EvmChain = harness.chain
        relayer_evm, dapp_evm = await harness.account(), await harness.account()
        await issue(chain, owner, relayer_key, dapp_key)
        mining = asyncio.create_task(mine(harness))
        access = {evm.access.chain: evm.access, LEDGER: chain.access}
        ether, token = native_asset(evm.access.chain), token_of(evm.access)
        pairs = [
            Pair(ether, YUAN, Rate(1, 10**12), BaseUnits(10**12), BaseUnits(10**17)),
            Pair(YUAN, token, Rate(100, 1), BaseUnits(1), BaseUnits(10**6)),
        ]
        relayers: dict[ChainId, Signer] = {evm.access.chain: relayer_evm, LEDGER: relayer_key}
        dapps: dict[ChainId, Signer] = {evm.access.chain: dapp_evm, LEDGER: dapp_key}
        try:
            async with (
                relayer_at_work(access, relayers, pairs) as address,
                RelayerApi(address) as api,
                SwapClient(
                    api, access, dapps, SwapStore.file(tmp_path / "swaps.sqlite"), ClientPolicy(swap=POLICY)
                ) as client,
            ):
                there = await client.open(await client.quote(ether, YUAN, initiator_amount=10**16))
                back = await client.open(await client.quote(YUAN, token, initiator_amount=500))
                assert [(await api.swap(one.id)).reserved for one in (there, back)] == [True, True], (
                    "their keys prove it"
                )
                outcomes = await asyncio.gather(client.run(there), client.run(back))
                assert [outcome.phase for outcome in outcomes] == [Phase.COMPLETED, Phase.COMPLETED]
                assert outcomes[0].participant.claim is not None
                assert outcomes[0].participant.claim.final
                assert await chain.access.state.balance(dapp_key.account, YUAN) == 10**8 + 10**4 - 500
                assert await evm.access.state.balance(dapp_evm.account, token) == 10**9 + 50_000

                queries = ProvenQueries(LocalProver(chain.prover), await chain.prover.anchor())
                place = outcomes[0].participant.lock_id
                assert place is not None
                question = LockQuestion(LEDGER, place, there.agreement.participant_leg, None)
                evidence = await queries.ask(question)
                assert isinstance(evidence.answer, LockAnswer)
                assert (evidence.answer.status, evidence.answer.terms_match) == ("claimed", True)
                absent = await queries.ask(RecordQuestion(LEDGER, "provenance", "nothing"))
                assert absent.answer == RecordAnswer(0, None, b"")
                await refuses_other_answers(queries, chain, question)
        finally:
            mining.cancel()
            with suppress(asyncio.CancelledError):
                await mining


@pytest.mark.long
async def test_token_with_permits_is_swapped_without_prior_allowance(tmp_path: Path) -> None:
    """EIP-2612: the dApp's lock is its only transaction on the token's chain."""
    owner, relayer_key, dapp_key = (Ed25519Signer(LEDGER, bytes([n]) * 32) for n in (4, 5, 6))
    async with evm_harness(AnvilSettings(block_time_s=None)) as harness, ledger(tmp_path / "ledger", owner) as chain:
        token = await deployed(harness, "testing/SignedToken")
        contracts = replace(harness.contracts, tokens=(token,))
        evm = await EvmChain.connect(settings_for(harness.anvil, contracts))
        relayer_evm, dapp_evm = await harness.account(), await harness.account()
        asset = token_of(evm.access)
        mint = encode_call("testing/SignedToken", "mint", evm_address(dapp_evm.account), 10_000)
        bank = harness.bank
        await harness.send(bank, unsigned_call(bank.account, evm_address(token), mint, gas=200_000, summary="mint"))
        await issue(chain, owner, relayer_key, dapp_key)
        mining = asyncio.create_task(mine(harness))
        access = {evm.access.chain: evm.access, LEDGER: chain.access}
        pairs = [Pair(asset, YUAN, Rate(1, 1), BaseUnits(1), BaseUnits(10**6))]
        dapps: dict[ChainId, Signer] = {evm.access.chain: dapp_evm, LEDGER: dapp_key}
        try:
            async with (
                relayer_at_work(access, {evm.access.chain: relayer_evm, LEDGER: relayer_key}, pairs) as address,
                RelayerApi(address) as api,
                SwapClient(api, access, dapps, SwapStore.in_memory(), ClientPolicy(swap=POLICY)) as client,
            ):
                swap = await client.open(await client.quote(asset, YUAN, initiator_amount=5_000))
                assert (await client.run(swap)).phase is Phase.COMPLETED
            assert await evm.access.state.balance(dapp_evm.account, asset) == 5_000
            assert (await evm.access.transactions.sequences(dapp_evm.account)).latest == 1
        finally:
            mining.cancel()
            with suppress(asyncio.CancelledError):
                await mining
            await evm.close()


async def refuses_other_answers(queries: ProvenQueries, chain: ConsortiumChain, question: LockQuestion) -> None:
    """A prover that answers another question, honestly proven; and an anchor of another chain."""

    class Elsewhere:
        async def prove(self, _: Question, at: Any = None, *, trusted: Any = None) -> Any:
            return await chain.prover.prove(RecordQuestion(LEDGER, "provenance", "nothing"), at)

    anchor = await chain.prover.anchor()
    with pytest.raises(RejectedError, match="another question"):
        await ProvenQueries(LocalProver(Elsewhere()), anchor).ask(question)
    with pytest.raises(ProofError):
        await ProvenQueries(LocalProver(chain.prover), replace(anchor, trusted_hash=bytes(32))).ask(question)
    assert await queries.ask(question)


def token_of(access: ChainAccess) -> AssetId:
    [token] = [asset for asset in access.parameters.assets if "/erc20:" in asset]
    return token


def test_signers_are_held_to_their_chains() -> None:
    """A signer under another chain's name would lock what nobody asked for."""
    stranger = LocalSigner(ChainId("eip155:1"), b"\x01" * 32)
    with pytest.raises(RejectedError, match="not on the configured chain"):
        SwapClient(
            RelayerApi("http://127.0.0.1:1"), {}, {LEDGER: stranger}, SwapStore.in_memory(), ClientPolicy(swap=POLICY)
        )
