"""An Ethereum chain on this machine: anvil, started and stopped."""

from local_chains.evm.anvil import AnvilChain, AnvilError, AnvilSettings, find_anvil

__all__ = ["AnvilChain", "AnvilError", "AnvilSettings", "find_anvil"]
