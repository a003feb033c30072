"""A client with adapters: what a dApp in Python needs, in one call.

async with wiring.connected(configs) as chains:
    async with connect(relayer_url, chains, keys, Path("swaps.sqlite"), policy) as client:
        quote = await client.quote(ether, yuan, initiator_amount=10**17)
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.registry import ConnectedChain
from core.model.types import ChainId
from htlc.timelocks import SwapPolicy
from relayer.client import ClientPolicy, RelayerApi, SwapClient, SwapStore


@asynccontextmanager
async def connect(
    relayer_url: str,
    chains: Mapping[ChainId, ConnectedChain],
    keys: Mapping[ChainId, bytes],
    store: Path,
    policy: SwapPolicy,
    relayer_key: bytes | None = None,
) -> AsyncIterator[SwapClient]:
    """A swap client for the 32-byte private keys, with its preimages and journal in `store`.

    `relayer_key` is the relayer's quote key, learnt out of band; None believes the one that its API names. Raise
    `ConflictError` if another process works on `store`.
    """
    access = {chain: connected.access for chain, connected in chains.items()}
    signers = {chain: chains[chain].signer(key) for chain, key in keys.items()}
    wanted = ClientPolicy(swap=policy, relayer_key=relayer_key)
    opened = SwapStore.file(store)
    try:
        async with RelayerApi(relayer_url) as api, SwapClient(api, access, signers, opened, wanted) as client:
            yield client
    finally:
        await opened.close()
