"""Projections of facts: locks, joined swaps, contracts and their events, assets, balances, transfers, conservation.

`keeping.keep` brings them up to date inside the transaction that stores the facts. What a projection cannot digest is
set aside; the facts and the other projections are stored all the same. `rebuild` and the read-only views stand in
modules of their own.
"""

from indexer.projections.agreements import ReportedAgreement
from indexer.projections.swaps import refresh_swaps, report_agreement, withdraw_agreement

__all__ = ["ReportedAgreement", "refresh_swaps", "report_agreement", "withdraw_agreement"]
