"""The devnet's Ethereum: contracts put on anvil and actors funded, in one block if it can be."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from adapters.consortium.prover import DEFAULT_TRUSTING_PERIOD_S
from adapters.evm import light_client
from adapters.evm.calls import encode_creation, unsigned_call
from adapters.evm.contracts.deployer import (
    DeployedContracts,
    TokenSpec,
    create_htlc,
    create_token,
    created_address,
    mint_token,
    pay_native,
    send_in_order,
)
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.signing import development_signer
from adapters.evm.transactions import EvmTransactionSender
from core.model.ports import Signer
from core.model.types import AccountId, ChainId
from core.proofs.cometbft.types import LightBlock
from core.proofs.lanes import evm_address
from gateway.devnet.actors import ETHER_EACH, TOKENS_EACH, Actor
from local_chains.evm.anvil import DEVELOPMENT_MNEMONIC

CREATE_GAS: Final = 6_000_000
MAX_CLOCK_DRIFT_S: Final = 60
TOKEN: Final = TokenSpec("Devnet Dollar", "USDX", 6)


async def furnish_questions(chain: ChainId, rpc_url: str, trusted: LightBlock) -> tuple[AccountId, AccountId]:
    """Create a light client that trusts this header, the contract of questions over it, and one that asks.

    Return the latter two, once all are included.
    """
    async with _creating(chain, rpc_url) as (sender, creator, first):
        me = creator.account
        client, queries, asker = (created_address(me, first + place) for place in range(3))
        creations = (
            light_client.light_client_creation(trusted, DEFAULT_TRUSTING_PERIOD_S, MAX_CLOCK_DRIFT_S),
            light_client.queries_creation(evm_address(client)),
            encode_creation("testing/Asker", evm_address(queries)),
        )
        calls = [
            unsigned_call(me, None, data, gas=CREATE_GAS, summary="create a contract of questions")
            for data in creations
        ]
        await send_in_order(sender, creator, calls)
    return queries, asker


async def furnish(chain: ChainId, rpc_url: str, actors: Sequence[Actor]) -> DeployedContracts:
    """Create the HTLC and a token, give everybody ether and tokens; returns once all of it is included."""
    async with _creating(chain, rpc_url) as (sender, creator, first):
        me = creator.account
        htlc, token = created_address(me, first), created_address(me, first + 1)
        calls = [create_htlc(me), create_token(me, TOKEN)]
        for actor in actors:
            calls.append(pay_native(me, actor.ethereum.account, ETHER_EACH))
            calls.append(mint_token(me, token, actor.ethereum.account, TOKENS_EACH))
        await send_in_order(sender, creator, calls)
    return DeployedContracts(htlc, (token,))


@asynccontextmanager
async def _creating(chain: ChainId, rpc_url: str) -> AsyncIterator[tuple[EvmTransactionSender, Signer, int]]:
    """Who creates contracts, by what, and from which sequence on: their addresses follow from it, so that their first
    calls need not wait for them."""
    endpoints = Endpoints([Endpoint(rpc_url)])
    try:
        sender, creator = EvmTransactionSender(chain, endpoints), development_signer(chain, DEVELOPMENT_MNEMONIC, 0)
        yield sender, creator, (await sender.sequences(creator.account)).latest
    finally:
        await endpoints.close()
