"""`abci_query`, the same on both engines.

`/store` (or `/key`, or no path) proves by one op of ours, short and alike for presence and absence. `/ics23` proves by
one op that any ICS-23 library checks against its `SmtSpec`, under Cosmos SDK's name for such ops.
"""

from dataclasses import dataclass
from typing import Final

from core.model.consortium import PROOF_OP
from core.model.errors import NotFoundError, RetryableError
from core.proofs.ics23 import encode_commitment_proof
from core.proofs.smt import encode_proof
from local_chains.consortium.state.ledger_state import LedgerState
from local_chains.consortium.state.store import Store

COMPACT_PATHS: Final = ("", "/store", "/key")
ICS23_PATH: Final = "/ics23"
ICS23_OP: Final = "ics23:smt"
"""Its data is a `CommitmentProof` (cosmos.ics23.v1)."""
SNAPSHOTS_PATH: Final = "/snapshots"
"""Of CometBFT nodes alone: the heights of the snapshots that the node offers, a list in JSON. Not proven."""
REFUSED: Final = 1


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """ResponseQuery. `leaf` is None if there is none; `op` is (type, data) of the one proof op."""

    key: bytes
    height: int
    leaf: bytes | None = None
    op: tuple[str, bytes] | None = None
    code: int = 0
    log: str = ""


async def answer_query(
    state: LedgerState, store: Store, path: str, key: bytes, height: int, prove: bool
) -> QueryAnswer:
    """The state after block `height` (0: the newest), which the header of `height` + 1 proves."""
    height = height or state.height
    try:
        if path == ICS23_PATH:
            leaf, commitment = await state.query_ics23(store, height, key)
            op = ICS23_OP, encode_commitment_proof(commitment)
        elif path in COMPACT_PATHS:
            leaf, proof = await state.query(store, height, key)
            op = PROOF_OP, encode_proof(proof)
        else:
            known = ", ".join((*COMPACT_PATHS[1:], ICS23_PATH))
            return QueryAnswer(key, height, code=REFUSED, log=f"paths are {known}")
    except (NotFoundError, RetryableError) as error:
        return QueryAnswer(key, height, code=REFUSED, log=error.message)
    log = "does not exist" if leaf is None else "exists"
    return QueryAnswer(key, height, leaf, op if prove else None, log=log)
