"""A node's ledger that forges: in every block that it proposes, Ann pays without having signed, and it votes for that.

`python -m tests.local_chains.consortium.abci.forger HOME SOCKET`, as the real one is started.
"""

import sys
from collections.abc import Sequence

from core.model.consortium import Transaction, Transfer, decode_transaction, encode_transaction, quantity
from local_chains.consortium.engine.abci import __main__ as ledger
from local_chains.consortium.engine.abci.application import LedgerApplication
from tests.local_chains.consortium.support import ANN, BEN

_prepare = LedgerApplication.prepare_proposal


def forged() -> bytes:
    """The same bytes each time: Ann's first transfer, with a signature that is not hers."""
    body = decode_transaction(ANN.signed(0, Transfer("cnyd", BEN.address, quantity(500)))).body
    return encode_transaction(Transaction(body, bytes(BEN.key.sign(b"something else").signature)))


def prepare_proposal(self: LedgerApplication, transactions: Sequence[bytes], max_bytes: int) -> list[bytes]:
    return [*_prepare(self, transactions, max_bytes), forged()]


def proposal_refusal(self: LedgerApplication, entries: Sequence[bytes]) -> str:
    return ""


if __name__ == "__main__":
    LedgerApplication.prepare_proposal = prepare_proposal  # type: ignore[method-assign]
    LedgerApplication.proposal_refusal = proposal_refusal  # type: ignore[method-assign]
    sys.exit(ledger.main())
