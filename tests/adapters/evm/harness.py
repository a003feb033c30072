"""An EVM chain under test: anvil mining on demand, our contracts deployed, accounts funded by real payments."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from adapters.evm.chain import EvmChain, EvmChainSettings
from adapters.evm.contracts.deployer import DeployedContracts, TokenSpec, deploy, mint_token, pay_native
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.names import evm_chain
from adapters.evm.signing import LocalSigner, development_signer
from adapters.evm.transactions import EvmTransactionSender
from core.model.ports import ChainAccess, ChainTiming, Signer
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import AssetId, BaseUnits, ChainTime, Seconds
from local_chains.evm import AnvilChain, AnvilSettings

CHAIN = evm_chain(31337)
MNEMONIC = AnvilSettings().mnemonic
TIMING = ChainTiming(
    block_time_s=Seconds(1),
    inclusion_s=Seconds(3),
    finality_s=Seconds(3),
    observation_s=Seconds(1),
    lead_s=Seconds(2),
    lag_s=Seconds(2),
)
PURSE_WEI = 10**18
PURSE_TOKENS = 10**9
DOLLAR = TokenSpec("Test Dollar", "TUSD", 6)


class EvmHarness:
    """The chain for the conformance suite. Blocks come when `advance` is called."""

    def __init__(self, anvil: AnvilChain, contracts: DeployedContracts, chain: EvmChain, bank: Signer) -> None:
        self.anvil = anvil
        self.contracts = contracts
        self.chain = chain
        self.bank = bank

    @property
    def access(self) -> ChainAccess:
        return self.chain.access

    @property
    def assets(self) -> Sequence[AssetId]:
        return tuple(self.chain.parameters.assets)

    @property
    def timelock_s(self) -> Seconds:
        return Seconds(1_000)

    @property
    def knows_expiry(self) -> bool:
        return False

    @property
    def can_reorg(self) -> bool:
        return True

    async def rpc(self, method: str, *params: Any) -> Any:
        return await rpc(self.anvil.rpc_url, method, *params)

    async def account(self) -> LocalSigner:
        signer = LocalSigner(CHAIN, secrets.token_bytes(32))
        [token] = self.contracts.tokens
        await self.send(
            self.bank,
            pay_native(self.bank.account, signer.account, BaseUnits(PURSE_WEI)),
            mint_token(self.bank.account, token, signer.account, BaseUnits(PURSE_TOKENS)),
        )
        await self.advance(2)  # final
        return signer

    async def send(self, signer: Signer, *calls: UnsignedTransaction) -> list[bytes]:
        """Submit all and mine them into one block."""
        transactions = self.chain.transactions
        sequence = (await transactions.sequences(signer.account)).latest
        market = await transactions.fee_market()
        assert market is not None
        hashes = []
        for offset, call in enumerate(calls):
            fee = FeeBid(2 * market.base_fee + market.priority_fee, market.priority_fee)
            request = transactions.assemble(call, sequence + offset, fee, None)
            signed = transactions.attach(request, await signer.sign(request))
            await transactions.submit(signed)
            hashes.append(signed.hash)
        await self.advance()
        return hashes

    async def advance(self, blocks: int = 1) -> None:
        await self.rpc("anvil_mine", hex(blocks))

    async def wait_until(self, time: ChainTime) -> None:
        if (await self.chain.heads.head()).head.time < time:
            await self.rpc("evm_setNextBlockTimestamp", time.seconds)

    async def reorg(self, depth: int) -> None:
        await self.rpc("anvil_reorg", depth, [])
        await self.advance()


async def rpc(url: str, method: str, *params: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    async with aiohttp.ClientSession() as session, session.post(url, json=request) as response:
        answer = await response.json()
    assert "error" not in answer, answer
    return answer["result"]


@asynccontextmanager
async def evm_harness(settings: AnvilSettings | None = None) -> AsyncIterator[EvmHarness]:
    """anvil with the contracts deployed; mines on demand from then on."""
    async with AnvilChain(settings or AnvilSettings(block_time_s=None)) as anvil:
        bank = development_signer(CHAIN, MNEMONIC, 0)
        contracts = await deploy_on(anvil, bank)
        if anvil.settings.block_time_s is None:
            await rpc(anvil.rpc_url, "evm_setAutomine", False)
        chain = await EvmChain.connect(settings_for(anvil, contracts))
        try:
            yield EvmHarness(anvil, contracts, chain, bank)
        finally:
            await chain.close()


def settings_for(anvil: AnvilChain, contracts: DeployedContracts) -> EvmChainSettings:
    return EvmChainSettings(
        chain=CHAIN,
        endpoints=(Endpoint(anvil.rpc_url, ws_url=anvil.ws_url),),
        htlc=contracts.htlc,
        tokens=contracts.tokens,
        timing=TIMING,
    )


async def deploy_on(anvil: AnvilChain, bank: Signer) -> DeployedContracts:
    endpoints = Endpoints([Endpoint(anvil.rpc_url)])
    try:
        return await deploy(EvmTransactionSender(CHAIN, endpoints), bank, [DOLLAR])
    finally:
        await endpoints.close()
