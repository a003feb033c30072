"""A memory chain with its ports: what a test or a simulation holds in its hand."""

from adapters.memory.blockchain import HTLC_CODE_HASH, Blockchain
from adapters.memory.faults import Endpoint
from adapters.memory.ports import MemoryBridgeBuilder, access
from core.model.ports import ChainAccess


class MemoryChain(Blockchain):
    """A `Blockchain` that gives out its ports."""

    def access(self, endpoint: Endpoint | None = None) -> ChainAccess:
        """The ports as one endpoint offers them; without an argument, as a perfect one does."""
        return access(self, endpoint or Endpoint(self.clock), HTLC_CODE_HASH)

    def bridge(self, endpoint: Endpoint | None = None) -> MemoryBridgeBuilder:
        """The attestations as one endpoint takes them."""
        return MemoryBridgeBuilder(self, endpoint or Endpoint(self.clock))
