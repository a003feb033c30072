"""Questions to chains over the API: proof or the reason why there is none. Nothing here needs to be believed."""

import asyncio
from typing import Final

import msgspec

from core.model.errors import CausewayError, NotFoundError, NotYetFinalError, RejectedError, RetryableError
from core.model.ports import Prover
from core.model.questions import Evidence
from core.model.types import Height
from core.model.uris import Asked, parse_uri, print_uri
from core.proofs.evidence import encode_evidence
from core.runtime.clock import Clock
from queries.together import Answered, ask_together
from relayer.api.query_bodies import AnsweredBody, QueriesBody, QueriesCall

PROOF_TIMEOUT_S: Final = 20.0
LOOK_S: Final = 0.5
"""Between two looks for a height that cannot be proven yet."""
MAX_EVIDENCE_BYTES: Final = 3 * 1024 * 1024
"""Of one answer, all its evidence together."""


class Queries:
    """Answers with evidence. `prover` is None if this relayer proves nothing."""

    def __init__(self, prover: Prover | None, clock: Clock) -> None:
        self._prover = prover
        self._clock = clock

    async def answer(self, call: QueriesCall) -> QueriesBody:
        """Prove all, as of one height per chain.

        Waits up to `wait_s` for heights that cannot be proven yet. Raise `NotFoundError` if nothing is proven here,
        `RejectedError` for a URI that is wrong, and for evidence that is too much for one answer.
        """
        if self._prover is None:
            raise NotFoundError("this relayer proves nothing: its operator connects no consortium chain")
        asked = [parse_uri(uri) for uri in call.questions]
        trusted = None if call.trusted_height is None else Height(call.trusted_height)
        until = self._clock.monotonic() + call.wait_s
        while True:
            answers = await self._ask(asked, trusted)
            waits = any(isinstance(one, NotYetFinalError) for one in answers)
            if not waits or self._clock.monotonic() >= until:
                break
            await self._clock.sleep(LOOK_S)
        bodies = [_body(print_uri(one.question, one.at), answer) for one, answer in zip(asked, answers, strict=True)]
        if sum(len(one.file or b"") for one in bodies) > MAX_EVIDENCE_BYTES:
            raise RejectedError(f"the evidence is more than {MAX_EVIDENCE_BYTES} bytes: ask for less at once")
        return QueriesBody(answers=bodies)

    async def _ask(self, asked: list[Asked], trusted: Height | None) -> list[Answered]:
        assert self._prover is not None
        try:
            async with asyncio.timeout(PROOF_TIMEOUT_S):
                return await ask_together(self._prover, asked, trusted)
        except TimeoutError:
            raise RetryableError(f"there is no proof after {PROOF_TIMEOUT_S:.0f} s: ask again, or for less") from None


def _body(uri: str, answer: Answered) -> AnsweredBody:
    if isinstance(answer, Evidence):
        try:
            return AnsweredBody(uri=uri, evidence=msgspec.Raw(encode_evidence(answer)))
        except CausewayError as error:
            answer = error
    return AnsweredBody(uri=uri, problem=answer.code, detail=answer.message)
