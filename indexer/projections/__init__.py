"""What follows from facts: locks, joined swaps, transfers, conservation. Each can be rebuilt from the facts.

`apply` and `revert` are called inside the transaction that stores the facts, and answer which hashlocks they touched;
`refresh_swaps` then joins these anew. `rebuild` and the read-only views stand in modules of their own.
"""

from indexer.projections.agreements import Agreement
from indexer.projections.locks import apply, revert
from indexer.projections.swaps import refresh_swaps, report_agreement

__all__ = ["Agreement", "apply", "refresh_swaps", "report_agreement", "revert"]
