"""Evidence files of a chain's prover: a proof, or an error, nothing in between."""

import asyncio
from typing import Final

from core.model.consortium import decode_transaction
from core.model.errors import RejectedError, RetryableError
from core.model.ports import Prover
from core.model.questions import Answer, Question, TransactionAnswer
from core.proofs.evidence import encode_evidence
from regulator_api.access.scope import Scope

PROOF_TIMEOUT_S: Final = 30.0


async def evidence_file(prover: Prover | None, question: Question, scope: Scope | None = None) -> bytes:
    """Return the proven answer as `causeway verify` reads it. `scope`: who will read it, None for whoever may see all.

    Raise `RejectedError` without a prover, `RetryableError` if it takes too long, and what proving raises.
    """
    if prover is None:
        raise RejectedError(f"no prover is configured for {question.chain}: ask the operator to add one")
    try:
        async with asyncio.timeout(PROOF_TIMEOUT_S):
            evidence = await prover.prove(question)
    except TimeoutError:
        raise RetryableError(f"{question.chain} gave no proof within {PROOF_TIMEOUT_S:.0f} s") from None
    if scope is not None:
        require_seen(scope, evidence.answer)
    return encode_evidence(evidence)


def require_seen(scope: Scope, answer: Answer) -> None:
    """Raise `RejectedError` for a transaction of a ledger that has more messages than the one of which a caller sees
    the row: the others may be about accounts of other jurisdictions."""
    if scope.unrestricted or not isinstance(answer, TransactionAnswer):
        return
    if len(decode_transaction(answer.raw).body.messages) != 1:
        raise RejectedError(
            "the transaction has several messages, and some may be about accounts of other jurisdictions: it is proven "
            "to callers who see all"
        )
