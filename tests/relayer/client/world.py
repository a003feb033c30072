"""A whole relayer and a client, over the same two memory chains, in virtual time."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from adapters.memory import Endpoint
from core.model.errors import RetryableError
from core.model.types import ChainId, LockTerms
from core.runtime.clock import SeededSecrets, run_virtually
from htlc.timelocks import DEVNET_POLICY
from relayer.api.answers import Answers
from relayer.api.bodies import QuoteBody, QuoteCall, RelayerBody, SwapBody, SwapCall
from relayer.client import ClientPolicy, SwapClient, SwapProgress, SwapStep, SwapStore
from relayer.client.store import ClientSwap
from relayer.client.swap_client import Relayer
from tests.relayer.house import COIN, OTHER, A, B, House

POLICY = ClientPolicy(swap=DEVNET_POLICY)


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run a story in virtual time; one that does not end within an hour of it fails."""

    async def bounded() -> None:
        async with asyncio.timeout(3_600):
            await story

    run_virtually(bounded())


class Shut:
    """No relayer answers."""

    async def relayer(self) -> RelayerBody:
        raise RetryableError("nobody listens")

    async def quote(self, call: QuoteCall) -> QuoteBody:
        raise RetryableError("nobody listens")

    async def open_swap(self, call: SwapCall) -> SwapBody:
        raise RetryableError("nobody listens")


class World(House):
    """The house, and an initiator who uses the client. Their store outlives any client."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.store = SwapStore.in_memory()
        self.told: list[SwapProgress] = []
        self.clients = 0

    def answers(self) -> Answers:
        access = {chain: self.chains[chain].access() for chain in (A, B)}
        return Answers(self.service.desk, access, self.clock, self.service.watchtower)

    def client(
        self,
        api: Relayer | None = None,
        policy: ClientPolicy = POLICY,
        endpoints: Mapping[ChainId, Endpoint] | None = None,
    ) -> SwapClient:
        self.clients += 1
        chains = {chain: self.chains[chain].access(endpoints[chain] if endpoints else None) for chain in (A, B)}
        secrets = SeededSecrets(1_000 + self.clients)
        return SwapClient(api or self.answers(), chains, self.initiator, self.store, policy, self.clock, secrets)

    async def agreed(self, client: SwapClient, first: ChainId = A, amount: int = 1000) -> ClientSwap:
        return await client.open(await client.quote(COIN[first], COIN[OTHER[first]], initiator_amount=amount))

    def steps(self) -> list[SwapStep]:
        return [one.step for one in self.told]

    async def lock_as_relayer(self, terms: LockTerms) -> None:
        """By the relayer's key, whatever its process thinks."""
        access, signer = self.chains[terms.chain].access(), self.relayer[terms.chain]
        unsigned = access.legs.lock(terms, await access.legs.lock_id(terms))
        view = await access.transactions.sequences(signer.account)
        request = access.transactions.assemble(unsigned, view.latest, None, None)
        await access.transactions.submit(access.transactions.attach(request, await signer.sign(request)))
