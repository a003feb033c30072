"""The devnet's Ethereum: contracts put on anvil and actors funded, in one block if it can be."""

from collections.abc import Sequence
from typing import Final

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
from core.model.types import ChainId
from gateway.devnet.actors import ETHER_EACH, TOKENS_EACH, Actor
from local_chains.evm.anvil import DEVELOPMENT_MNEMONIC

TOKEN: Final = TokenSpec("Devnet Dollar", "USDX", 6)


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
