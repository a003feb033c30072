"""Questions to chains whose answers are believed because they are proven."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from core.model.errors import CausewayError, NotYetFinalError, RejectedError
from core.model.questions import LASTING, Evidence, Question
from core.model.types import BlockRef, ChainId, Height
from core.model.uris import Asked, parse_uri, print_uri
from core.proofs.errors import InvalidProofError
from core.proofs.evidence import Trusted, Verified, Verifier, encode_evidence, verify
from core.proofs.evidence.kinds import ledger_anchor
from core.runtime.clock import Clock, SystemClock
from queries.together import Answered, check_together
from relayer.client.provers import ClientProver, Placed

WAIT_S: Final = 30.0
LOOK_S: Final = 0.5
OPEN_S: Final = 600.0
FOLLOW_S: Final = 86_400.0
MAX_AGE_S: Final = 3_600.0
"""How old an answer may be that is asked for as of the newest height."""


@dataclass(frozen=True, slots=True)
class Proven:
    """An answer that is proven under our anchor, and the evidence file, which proves it to others. `uri`: the question
    as it was asked."""

    verified: Verified
    file: bytes
    uri: str = ""


class ProvenQueries:
    """Asks a prover and verifies against an anchor that came from elsewhere, before anything is believed; or against
    two, of a consortium chain and of a beacon chain.

    `verifiers`: by kind of evidence, None for those that are built in. `max_age_s`: an answer as of the newest height
    may not be older, by the clock, whatever its proof says: what was true once can be proven for ever. Answers at a
    height that was asked for, and logs, may be of any age.
    """

    def __init__(
        self,
        prover: ClientProver,
        anchor: Trusted,
        clock: Clock | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._prover = prover
        self._anchor = anchor
        ledger = ledger_anchor(anchor)
        self._trusted = None if ledger is None else ledger.trusted_height
        self._clock = clock or SystemClock()
        self._verifiers = verifiers
        self._max_age_s = max_age_s

    async def ask(self, question: Question, at: Height | None = None, wait_s: float = WAIT_S) -> Evidence:
        """Verified evidence that answers exactly this question, at a finalized height (None: the newest provable).

        Waits up to `wait_s` for a height that cannot be proven yet; then raises `NotYetFinalError`. Raise a
        `ProofError` if the proof does not hold, `RejectedError` if it answers another question, or is too old.
        """
        until, asked = self._clock.monotonic() + wait_s, Asked(question, at)
        while True:
            [answer] = await self._prover.together([asked], self._trusted)
            if isinstance(answer, Evidence):
                self._check(asked, answer)
                return answer
            if not isinstance(answer, NotYetFinalError) or self._clock.monotonic() >= until:
                raise answer
            await self._clock.sleep(LOOK_S)

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
        asked = _read(uris)
        found = await self._prover.together(asked, self._trusted)
        checked = [self._proven(one, answer) for one, answer in zip(asked, found, strict=True)]
        blocks = dict[ChainId, BlockRef]()
        for one in checked:
            _require_one_block(one, blocks)
        return checked

    async def in_time(
        self, uris: Sequence[str], open_s: float = OPEN_S
    ) -> AsyncGenerator[Proven | CausewayError, None]:
        """Proven answers as they come, as of one height per chain, or why there is none; one for each question, within
        `open_s` seconds. An error names its question in `fields["uri"]`. Raise as `answers`, and `RetryableError` if
        the prover stays away."""
        asked, blocks = _read(uris), dict[ChainId, BlockRef]()
        found = self._prover.in_time(asked, self._trusted, open_s)
        async with aclosing(_generator(found)) as answers:
            async for place, answer in answers:
                checked = self._proven(asked[place], answer)
                _require_one_block(checked, blocks)
                yield checked

    async def follow(
        self, uris: Sequence[str], every_s: int = 1, lasts_s: float = FOLLOW_S
    ) -> AsyncGenerator[Proven | CausewayError, None]:
        """The proven answer to each question, then again each time that it changes, for `lasts_s` seconds.

        Each push is verified before it comes; one that does not hold, or is older than the one before it, comes as an
        error in its place, as does the reason why a question has no answer now. An error names its question in
        `fields["uri"]`. Raise `RejectedError` for a URI that is wrong, too many of them, or a subscription that ends
        before its time, `RetryableError` if the prover stays away.
        """
        asked, heights = _read(uris), dict[int, Height]()
        found = self._prover.follow(asked, self._trusted, every_s, lasts_s)
        async with aclosing(_generator(found)) as pushes:
            async for place, answer in pushes:
                checked = self._proven(asked[place], answer)
                if isinstance(checked, Proven):
                    height, known = checked.verified.as_of.block.height, heights.get(place, Height(0))
                    if height < known:
                        checked = _named(
                            RejectedError(f"the answer as of block {height} is older than that of block {known}"),
                            asked[place],
                        )
                    heights[place] = max(height, known)
                yield checked

    def verify(self, evidence: Evidence) -> Verified:
        """Return what the evidence proves under our anchor, now. Raise a `ProofError` if it proves nothing."""
        return verify(evidence, self._anchor, int(self._clock.now()), self._verifiers)

    def _proven(self, asked: Asked, answer: Answered) -> Proven | CausewayError:
        if isinstance(answer, CausewayError):
            return _named(answer, asked)
        try:
            verified = self._check(asked, answer)
            return Proven(verified, encode_evidence(answer), print_uri(asked.question, asked.at))
        except CausewayError as error:
            return _named(error, asked)

    def _check(self, asked: Asked, evidence: Evidence) -> Verified:
        verified = self.verify(evidence)
        if evidence.question != asked.question or asked.at not in (None, evidence.as_of.block.height):
            raise RejectedError("the evidence answers another question than was asked")
        age_s = self._clock.now() - evidence.as_of.time.seconds
        if asked.at is None and not isinstance(asked.question, LASTING) and age_s > self._max_age_s:
            raise RejectedError(
                f"the answer is as of block {evidence.as_of.block.height}, {age_s:.0f} s ago: older than the "
                f"{self._max_age_s:.0f} s that are allowed, so ask somebody else, or allow more"
            )
        return verified


def _read(uris: Sequence[str]) -> list[Asked]:
    asked = [parse_uri(uri) for uri in uris]
    check_together(asked)
    return asked


def _named(error: CausewayError, asked: Asked) -> CausewayError:
    error.fields = {**error.fields, "uri": print_uri(asked.question, asked.at)}
    return error


async def _generator(found: AsyncIterator[Placed]) -> AsyncGenerator[Placed, None]:
    """The same, closed with what it reads from."""
    try:
        async for one in found:
            yield one
    finally:
        if isinstance(found, AsyncGenerator):
            await found.aclose()


def _require_one_block(one: Proven | CausewayError, blocks: dict[ChainId, BlockRef]) -> None:
    """Hold an answer against the blocks of its chain's others. What happened once is as of its own block."""
    if isinstance(one, CausewayError) or isinstance(one.verified.question, LASTING):
        return
    block = one.verified.as_of.block
    if blocks.setdefault(block.chain, block) != block:
        raise InvalidProofError(f"answers about {block.chain} are as of several blocks", height=block.height)
