"""The consortium adapter, as it is, passes its suite on a real CometBFT network."""

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from adapters.conformance import ChainConformance
from adapters.conformance.harness import ChainHarness
from adapters.consortium import ConsortiumChain, Ed25519Signer, connect, unsigned
from core.model.consortium import MAX_MESSAGES, Issue, quantity, raw_address
from core.model.errors import FatalError
from core.model.ports import ChainAccess
from core.model.transactions import OutcomeStatus
from core.model.types import AssetId, ChainTime, Seconds
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.ledger.genesis import GenesisAsset
from tests.adapters.consortium.harness import CHAIN, CNYD, GRAIN, PURSE, SYMBOLS, make_signer
from tests.local_chains.consortium.abci.comet import begun, make_network, need_cometbft
from tests.support import eventually

DEADLINE_S = 60.0


class CometHarness:
    """Blocks come by themselves, and time is the real one."""

    def __init__(self, chain: ConsortiumChain, issuer: Ed25519Signer) -> None:
        self.chain = chain
        self._issuer = issuer
        self._accounts = 0
        self.funded: list[Ed25519Signer] = []

    @property
    def access(self) -> ChainAccess:
        return self.chain.access

    @property
    def assets(self) -> Sequence[AssetId]:
        return (CNYD, GRAIN)

    @property
    def timelock_s(self) -> Seconds:
        return Seconds(4)

    @property
    def knows_expiry(self) -> bool:
        return True

    @property
    def can_reorg(self) -> bool:
        return False

    async def account(self) -> Ed25519Signer:
        if not self.funded:
            await self._fund()
        return self.funded.pop()

    async def _fund(self) -> None:
        """As many accounts as one transaction can fill: each test then begins at once."""
        for _ in range(MAX_MESSAGES // len(SYMBOLS)):
            self._accounts += 1
            signer = make_signer(f"account {self._accounts}")
            self.chain.learn(signer.public_key)
            self.funded.append(signer)
        receivers = [raw_address(signer.account) for signer in self.funded]
        grants = tuple(Issue(symbol, receiver, quantity(PURSE)) for receiver in receivers for symbol in SYMBOLS)
        transactions = self.access.transactions
        sequence = (await transactions.sequences(self._issuer.account)).latest
        request = transactions.assemble(unsigned(CHAIN, self._issuer.account, grants, "issue"), sequence, None, None)
        sent = transactions.attach(request, await self._issuer.sign(request))
        await transactions.submit(sent)

        async def done() -> bool:
            return (await transactions.outcome(sent.hash)).status is OutcomeStatus.INCLUDED

        await eventually(done, DEADLINE_S, 0.05)

    async def advance(self, blocks: int = 1) -> None:
        wanted = (await self.access.heads.head()).head.height + blocks

        async def there() -> bool:
            return (await self.access.heads.head()).head.height >= wanted

        await eventually(there, DEADLINE_S, 0.05)

    async def wait_until(self, time: ChainTime) -> None:
        async def there() -> bool:
            return (await self.access.heads.head()).head.time.seconds >= time.seconds

        await eventually(there, DEADLINE_S, 0.1)

    async def reorg(self, depth: int) -> None:
        raise FatalError("blocks of this chain are final at once")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CometHarness]:
    need_cometbft()
    directory = tmp_path_factory.mktemp("comet") / "network"
    issuer = make_signer("issuer")
    assets = [GenesisAsset(symbol, raw_address(issuer.account).hex(), 2) for symbol in SYMBOLS]
    make_network(directory, assets=assets, accounts=())
    async with CometNetwork(directory) as network:
        await begun(network.nodes, 1)
        chain = await connect(network.nodes[0].rpc_url, CHAIN, SYMBOLS, poll_s=0.2)
        chain.learn(issuer.public_key)
        try:
            yield CometHarness(chain, issuer)
        finally:
            await chain.close()


@pytest.mark.long
@pytest.mark.asyncio(loop_scope="module")
class TestConsortiumOnCometBft(ChainConformance):
    async def test_an_account_is_empty_before_it_was_funded(self, harness: ChainHarness) -> None:
        assert isinstance(harness, CometHarness)
        harness.funded.clear()
        await super().test_an_account_is_empty_before_it_was_funded(harness)
