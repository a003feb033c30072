"""Evidence files of a chain's prover: a proof, or an error, nothing in between."""

import asyncio
from typing import Final

from core.model.errors import RejectedError, RetryableError
from core.model.ports import Prover
from core.model.questions import Question
from core.proofs.evidence import encode_evidence

PROOF_TIMEOUT_S: Final = 30.0


async def evidence_file(prover: Prover | None, question: Question) -> bytes:
    """Return the proven answer as `causeway verify` reads it.

    Raise `RejectedError` without a prover, `RetryableError` if it takes too long, and what proving raises.
    """
    if prover is None:
        raise RejectedError(f"no prover is configured for {question.chain}: ask the operator to add one")
    try:
        async with asyncio.timeout(PROOF_TIMEOUT_S):
            return encode_evidence(await prover.prove(question))
    except TimeoutError:
        raise RetryableError(f"{question.chain} gave no proof within {PROOF_TIMEOUT_S:.0f} s") from None
