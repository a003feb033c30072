"""Questions to chains whose answers are believed because they are proven."""

from typing import Final

from core.model.errors import NotYetFinalError, RejectedError
from core.model.ports import Prover
from core.model.questions import Anchor, Evidence, Question
from core.model.types import Height
from core.proofs.evidence import Verified, verify
from core.runtime.clock import Clock, SystemClock

WAIT_S: Final = 30.0
LOOK_S: Final = 0.5


class ProvenQueries:
    """Asks a prover and verifies against an anchor that came from elsewhere, before anything is believed."""

    def __init__(self, prover: Prover, anchor: Anchor, clock: Clock | None = None) -> None:
        self._prover = prover
        self._anchor = anchor
        self._clock = clock or SystemClock()

    async def ask(self, question: Question, at: Height | None = None, wait_s: float = WAIT_S) -> Evidence:
        """Verified evidence that answers exactly this question, at a finalized height (None: the newest provable).

        Waits up to `wait_s` for a height that cannot be proven yet; then raises `NotYetFinalError`. Raise a
        `ProofError` if the proof does not hold, `RejectedError` if it answers another question.
        """
        until = self._clock.monotonic() + wait_s
        while True:
            try:
                evidence = await self._prover.prove(question, at)
                break
            except NotYetFinalError:
                if self._clock.monotonic() >= until:
                    raise
            await self._clock.sleep(LOOK_S)
        self.verify(evidence)
        if evidence.question != question or (at is not None and evidence.as_of.block.height != at):
            raise RejectedError("the evidence answers another question than was asked")
        return evidence

    def verify(self, evidence: Evidence) -> Verified:
        """Return what the evidence proves under our anchor, now. Raise a `ProofError` if it proves nothing."""
        return verify(evidence, self._anchor, int(self._clock.now()))
