"""A deterministic chain in memory: every port, blocks on demand, reorgs, fee spikes and endpoints that misbehave.

For simulations and for tests of whatever sees a chain through the ports. Time comes from an injected clock and keys
from names, so one seed gives one history.
"""

from adapters.memory.blockchain import MemoryRules
from adapters.memory.chain import MemoryChain
from adapters.memory.faults import Endpoint, FaultRates
from adapters.memory.signing import MemorySigner

__all__ = ["Endpoint", "FaultRates", "MemoryChain", "MemoryRules", "MemorySigner"]
