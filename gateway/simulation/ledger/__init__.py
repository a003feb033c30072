"""A consortium chain in a town: the ledger that ships behind the adapter that ships, without a network between them.

`engine`: blocks, in this process and in memory · `node`: CometBFT's RPC as one endpoint offers it · `ports`: what a
liar says next to it · `chain`: the chain as people use it and the verdict reads it.
"""

from gateway.simulation.ledger.chain import PlayedLedger
from gateway.simulation.ledger.engine import Skewed
from gateway.simulation.ledger.node import Settings

__all__ = ["PlayedLedger", "Settings", "Skewed"]
