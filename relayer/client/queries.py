"""Questions to chains whose answers are believed because they are proven."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.model.errors import CausewayError, NotYetFinalError, RejectedError
from core.model.ports import Prover
from core.model.questions import Anchor, Evidence, LogQuestion, Question
from core.model.types import BlockRef, ChainId, Height
from core.model.uris import Asked, parse_uri, print_uri
from core.proofs.errors import InvalidProofError
from core.proofs.evidence import Verified, Verifier, decode_evidence, encode_evidence, verify
from core.runtime.clock import Clock, SystemClock
from queries.together import MAX_TOGETHER, Answered, ask_together
from relayer.api.query_bodies import MAX_WAIT_S, QueriesCall
from relayer.client.api import RelayerApi, error_of

WAIT_S: Final = 30.0
LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Proven:
    """An answer that is proven under our anchor, and the evidence file, which proves it to others."""

    verified: Verified
    file: bytes


class RelayerProver:
    """`Prover` that asks a relayer. What comes back is believed no more than the relayer is: verify it."""

    def __init__(self, api: RelayerApi, wait_s: float = 0) -> None:
        self._api = api
        self._wait_s = min(wait_s, MAX_WAIT_S)

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        [answer] = await self.together([Asked(question, at)], trusted)
        if isinstance(answer, CausewayError):
            raise answer
        return answer

    async def together(self, asked: Sequence[Asked], trusted: Height | None) -> list[Answered]:
        """As `queries.together.ask_together`, in one request."""
        uris = tuple(print_uri(one.question, one.at) for one in asked)
        found = await self._api.queries(QueriesCall(questions=uris, trusted_height=trusted, wait_s=self._wait_s))
        if [one.uri for one in found.answers] != list(uris):
            raise RejectedError("the relayer answers other questions than were asked")
        return [
            error_of(one.problem or "", one.detail or "the relayer gives no reason")
            if one.file is None
            else _decoded(one.file)
            for one in found.answers
        ]


class ProvenQueries:
    """Asks a prover and verifies against an anchor that came from elsewhere, before anything is believed.

    `verifiers`: by kind of evidence, None for those that are built in.
    """

    def __init__(
        self,
        prover: Prover,
        anchor: Anchor,
        clock: Clock | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
    ) -> None:
        self._prover = prover
        self._anchor = anchor
        self._clock = clock or SystemClock()
        self._verifiers = verifiers

    async def ask(self, question: Question, at: Height | None = None, wait_s: float = WAIT_S) -> Evidence:
        """Verified evidence that answers exactly this question, at a finalized height (None: the newest provable).

        Waits up to `wait_s` for a height that cannot be proven yet; then raises `NotYetFinalError`. Raise a
        `ProofError` if the proof does not hold, `RejectedError` if it answers another question.
        """
        until = self._clock.monotonic() + wait_s
        while True:
            try:
                evidence = await self._prover.prove(question, at, trusted=self._anchor.trusted_height)
                break
            except NotYetFinalError:
                if self._clock.monotonic() >= until:
                    raise
            await self._clock.sleep(LOOK_S)
        self._check(Asked(question, at), evidence)
        return evidence

    async def answer(self, uri: str) -> Proven:
        """The proven answer to one question, by its URI. Raise as `ask`."""
        [answer] = await self.answers([uri])
        if isinstance(answer, CausewayError):
            raise answer
        return answer

    async def answers(self, uris: Sequence[str]) -> list[Proven | CausewayError]:
        """Proven answers as of one height per chain, or why there is none, in the order of the questions.

        Raise `RejectedError` for a URI that is wrong or too many of them, and a `ProofError` if answers about one chain
        are as of several blocks.
        """
        if not 0 < len(uris) <= MAX_TOGETHER:
            raise RejectedError(f"a request has 1 to {MAX_TOGETHER} questions, not {len(uris)}: split it")
        asked = [parse_uri(uri) for uri in uris]
        trusted = self._anchor.trusted_height
        if isinstance(self._prover, RelayerProver):
            found = await self._prover.together(asked, trusted)
        else:
            found = await ask_together(self._prover, asked, trusted)
        checked = [self._proven(one, answer) for one, answer in zip(asked, found, strict=True)]
        _require_one_block(checked)
        return checked

    def verify(self, evidence: Evidence) -> Verified:
        """Return what the evidence proves under our anchor, now. Raise a `ProofError` if it proves nothing."""
        return verify(evidence, self._anchor, int(self._clock.now()), self._verifiers)

    def _proven(self, asked: Asked, answer: Answered) -> Proven | CausewayError:
        if isinstance(answer, CausewayError):
            return answer
        try:
            return Proven(self._check(asked, answer), encode_evidence(answer))
        except CausewayError as error:
            return error

    def _check(self, asked: Asked, evidence: Evidence) -> Verified:
        verified = self.verify(evidence)
        if evidence.question != asked.question or asked.at not in (None, evidence.as_of.block.height):
            raise RejectedError("the evidence answers another question than was asked")
        return verified


def _decoded(file: bytes) -> Answered:
    try:
        return decode_evidence(file)
    except CausewayError as error:
        return error


def _require_one_block(answers: Sequence[Proven | CausewayError]) -> None:
    """A log is as of its own block, whichever that is."""
    blocks: dict[ChainId, BlockRef] = {}
    for one in answers:
        if isinstance(one, CausewayError) or isinstance(one.verified.question, LogQuestion):
            continue
        block = one.verified.as_of.block
        if blocks.setdefault(block.chain, block) != block:
            raise InvalidProofError(f"answers about {block.chain} are as of several blocks", height=block.height)
