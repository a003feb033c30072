"""The dApp's side, for Python: a thin API client, and a swap client that believes nothing it has not checked."""

from relayer.client.agreement import ClientPolicy
from relayer.client.api import RelayerApi
from relayer.client.hooks import Hook
from relayer.client.progress import SwapOutcome, SwapProgress, SwapStep
from relayer.client.queries import ProvenQueries
from relayer.client.store import ClientSwap, SwapStore
from relayer.client.swap_client import SwapClient

__all__ = [
    "ClientPolicy",
    "ClientSwap",
    "Hook",
    "ProvenQueries",
    "RelayerApi",
    "SwapClient",
    "SwapOutcome",
    "SwapProgress",
    "SwapStep",
    "SwapStore",
]
