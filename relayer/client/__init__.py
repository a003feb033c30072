"""The dApp's side, for Python: a thin API client, and a swap client that believes nothing it has not checked."""

from typing import TYPE_CHECKING

from core.runtime.lazy import lazily

if TYPE_CHECKING:
    from relayer.client.agreement import ClientPolicy
    from relayer.client.api import RelayerApi
    from relayer.client.hooks import Hook
    from relayer.client.progress import SwapOutcome, SwapProgress, SwapStep
    from relayer.client.provers import LocalProver
    from relayer.client.queries import Proven, ProvenQueries
    from relayer.client.relayer_prover import RelayerProver
    from relayer.client.store import ClientSwap, SwapStore
    from relayer.client.swap_client import SwapClient
else:
    __getattr__ = lazily(
        __name__,
        {
            "ClientPolicy": "relayer.client.agreement",
            "RelayerApi": "relayer.client.api",
            "Hook": "relayer.client.hooks",
            "SwapOutcome": "relayer.client.progress",
            "SwapProgress": "relayer.client.progress",
            "SwapStep": "relayer.client.progress",
            "Proven": "relayer.client.queries",
            "ProvenQueries": "relayer.client.queries",
            "LocalProver": "relayer.client.provers",
            "RelayerProver": "relayer.client.relayer_prover",
            "ClientSwap": "relayer.client.store",
            "SwapStore": "relayer.client.store",
            "SwapClient": "relayer.client.swap_client",
        },
    )

__all__ = [
    "ClientPolicy",
    "ClientSwap",
    "Hook",
    "LocalProver",
    "Proven",
    "ProvenQueries",
    "RelayerApi",
    "RelayerProver",
    "SwapClient",
    "SwapOutcome",
    "SwapProgress",
    "SwapStep",
    "SwapStore",
]
