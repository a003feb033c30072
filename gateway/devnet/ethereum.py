"""The devnet's Ethereum: contracts put on anvil and actors funded, in one block if it can be."""

from collections.abc import Sequence
from typing import Final

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
from core.model.types import AccountId, ChainId
from core.proofs.cometbft.types import LightBlock
from core.proofs.lanes import evm_address
from gateway.devnet.actors import ETHER_EACH, TOKENS_EACH, Actor
from local_chains.evm.anvil import DEVELOPMENT_MNEMONIC

CREATE_GAS: Final = 6_000_000
TRUSTING_PERIOD_S: Final = 14 * 86_400
MAX_CLOCK_DRIFT_S: Final = 60
TOKEN: Final = TokenSpec("Devnet Dollar", "USDX", 6)


async def furnish_questions(chain: ChainId, rpc_url: str, trusted: LightBlock) -> tuple[AccountId, AccountId]:
    """Create a light client that trusts this header, the contract of questions over it, and one that asks.

    Return the latter two, once all are included.
    """
    endpoints = Endpoints([Endpoint(rpc_url)])
    try:
        sender = EvmTransactionSender(chain, endpoints)
        creator = development_signer(chain, DEVELOPMENT_MNEMONIC, 0)
        me = creator.account
        first = (await sender.sequences(me)).latest
        client, queries, asker = (created_address(me, first + place) for place in range(3))
        creations = (
            light_client.light_client_creation(trusted, TRUSTING_PERIOD_S, MAX_CLOCK_DRIFT_S),
            light_client.queries_creation(evm_address(client)),
            encode_creation("testing/Asker", evm_address(queries)),
        )
        calls = [
            unsigned_call(me, None, data, gas=CREATE_GAS, summary="create a contract of questions")
            for data in creations
        ]
        await send_in_order(sender, creator, calls)
    finally:
        await endpoints.close()
    return queries, asker


async def furnish(chain: ChainId, rpc_url: str, actors: Sequence[Actor]) -> DeployedContracts:
    """Create the HTLC and a token, give everybody ether and tokens; returns once all of it is included."""
    endpoints = Endpoints([Endpoint(rpc_url)])
    try:
        sender = EvmTransactionSender(chain, endpoints)
        creator = development_signer(chain, DEVELOPMENT_MNEMONIC, 0)
        me = creator.account
        first = (await sender.sequences(me)).latest
        # A contract's address follows from its creator's nonce, so its first calls need not wait for it.
        htlc, token = created_address(me, first), created_address(me, first + 1)
        calls = [create_htlc(me), create_token(me, TOKEN)]
        for actor in actors:
            calls.append(pay_native(me, actor.ethereum.account, ETHER_EACH))
            calls.append(mint_token(me, token, actor.ethereum.account, TOKENS_EACH))
        await send_in_order(sender, creator, calls)
    finally:
        await endpoints.close()
    return DeployedContracts(htlc, (token,))
