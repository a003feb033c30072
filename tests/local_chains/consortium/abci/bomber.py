"""A node's ledger that proposes what others can hardly read: a clock and hundreds of thousands of empty entries.

`python -m tests.local_chains.consortium.abci.bomber HOME SOCKET`, as the real one is started. It votes for that, too.
"""

import sys
from collections.abc import Sequence
from typing import Final

from local_chains.consortium.engine.abci import __main__ as ledger
from local_chains.consortium.engine.abci.application import LedgerApplication

ENTRIES: Final = 200_001

_prepare = LedgerApplication.prepare_proposal


def prepare_proposal(self: LedgerApplication, transactions: Sequence[bytes], max_bytes: int) -> list[bytes]:
    return [_prepare(self, (), max_bytes)[0], *[b""] * ENTRIES]


def proposal_refusal(self: LedgerApplication, entries: Sequence[bytes]) -> str:
    return ""


if __name__ == "__main__":
    LedgerApplication.prepare_proposal = prepare_proposal  # type: ignore[method-assign]
    LedgerApplication.proposal_refusal = proposal_refusal  # type: ignore[method-assign]
    sys.exit(ledger.main())
