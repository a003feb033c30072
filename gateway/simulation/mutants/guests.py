"""Bugs of one more who had read the product alone: those of kinds that no other one is of."""

from typing import Final

from gateway.simulation.mutants.planting import Mutant, plant

INVITED: Final[tuple[Mutant, ...]] = (
    plant(
        "who-is-paid-is-nobody",
        "The limit to one counterparty leaves out swaps that pay it and were locked by another account.",
        "relayer/inventory.py",
        "        return bool(self.counterparties & accounts) and (self.locked or self.account in accounts)\n",
        "        return bool(self.counterparties & accounts) and self.account in accounts\n",
    ),
    plant(
        "exits-cost-what-they-did",
        "What an exit may cost is asked once, and never again: a fee rise raises no reserve.",
        "relayer/pump/checks.py",
        "        if known is not None and now_s - known[0] < EXIT_COST_AGE_S:\n",
        "        if known is not None:\n",
    ),
)
