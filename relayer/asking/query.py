"""A caller's query: questions that are answered together, as of one height per chain, and how each stands. Pure.

Each question is a query of `queries` without a place, moved by that room's machine: a height that answers is final, a
proof is made, and whoever asked has it. A proof is made by reading, so that making it twice is harmless: what the
machine asks for is done before its state is stored, and no effect of it waits in an outbox.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from core.model.errors import CausewayError, RejectedError, RetryableError
from core.model.questions import LASTING, Evidence
from core.model.types import ChainId, Height
from core.model.uris import Asked, parse_uri, print_uri
from core.proofs.evidence import encode_evidence
from queries import events
from queries.events import QueryEvent
from queries.model import Phase, Proof, QueryState, Request
from queries.together import Answered
from queries.transition import transition

MAX_EVIDENCE_BYTES: Final = 3 * 1024 * 1024
"""Of one query, all its evidence together."""
MAX_DETAIL_CHARS: Final = 500


class Standing(StrEnum):
    """How a query stands, or one question of it.

    WAITING   nothing that answers can be proven yet
    ANSWERED  the evidence is there
    EXPIRED   the deadline passed before
    REFUSED   it cannot be proven
    """

    WAITING = "waiting"
    ANSWERED = "answered"
    EXPIRED = "expired"
    REFUSED = "refused"


_OF_PHASE: Final = {
    Phase.DELIVERED: Standing.ANSWERED,
    Phase.EXPIRED: Standing.EXPIRED,
    Phase.REFUSED: Standing.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Part:
    """One question of a query. `file` is its evidence; `problem` and `detail` say why there is none (yet)."""

    state: QueryState
    file: bytes | None = None
    problem: str = "not-yet-final"
    detail: str = "no height that answers can be proven yet"

    @property
    def standing(self) -> Standing:
        return _OF_PHASE.get(self.state.phase, Standing.WAITING)

    @property
    def uri(self) -> str:
        """The canonical URI, with the height if one was asked for."""
        return self.state.request.uri


def begin(asked: Sequence[Asked], nonce: bytes, deadline_s: int, now_s: int) -> tuple[Part, ...]:
    """The questions of a new query. `nonce` distinguishes it from any other; its deadline is in Unix seconds."""
    return tuple(_begun(one, nonce + bytes([place]), deadline_s, now_s) for place, one in enumerate(asked))


def _begun(asked: Asked, nonce: bytes, deadline_s: int, now_s: int) -> Part:
    request = Request(
        uri=print_uri(asked.question, asked.at),
        answering=asked.question.chain,
        first=Height(0) if asked.at is None else asked.at,
        last=asked.at,
        deadline_s=deadline_s,
        place=None,
        nonce=nonce,
    )
    state, _ = transition(None, events.Asked(request, None, now_s))
    return Part(state)


def wanted(parts: Sequence[Part]) -> list[tuple[int, Asked]]:
    """The questions that wait, with their places. Where another of the same chain was answered, at its height."""
    heights: dict[ChainId, Height] = {}
    for part in parts:
        if part.state.proof is not None and not _has_own_height(part):
            heights[part.state.request.answering] = part.state.proof.height
    found = []
    for place, part in enumerate(parts):
        if part.standing is Standing.WAITING:
            asked = parse_uri(part.uri)
            if asked.at is None and not isinstance(asked.question, LASTING):
                asked = replace(asked, at=heights.get(asked.question.chain))
            found.append((place, asked))
    return found


def _has_own_height(part: Part) -> bool:
    return isinstance(parse_uri(part.uri).question, LASTING)


def answer(part: Part, found: Answered, now_s: int, room_bytes: int) -> Part:
    """The question after a prover's answer. `room_bytes`: how much evidence the query may still have."""
    if isinstance(found, Evidence):
        try:
            file = encode_evidence(found)
        except CausewayError as error:
            found = error
        else:
            if len(file) <= room_bytes:
                return _proven(part, found.as_of.block.height, file, now_s)
            found = RejectedError(f"the evidence is more than {MAX_EVIDENCE_BYTES} bytes: ask for less at once")
    if isinstance(found, RetryableError):
        return replace(pass_time(part, now_s), problem=found.code, detail=found.message[:MAX_DETAIL_CHARS])
    return _refused(part, found, now_s)


def pass_time(part: Part, now_s: int) -> Part:
    """The question at this time: it expires at its deadline."""
    return replace(part, state=_after(part.state, events.TimeAdvanced(now_s)))


def standing(parts: Sequence[Part]) -> Standing:
    """How a query stands: the first of waiting, expired and refused that one of its questions does, else answered."""
    found = {part.standing for part in parts}
    return next(
        (one for one in (Standing.WAITING, Standing.EXPIRED, Standing.REFUSED) if one in found), Standing.ANSWERED
    )


def size(parts: Sequence[Part]) -> int:
    """Bytes of all evidence together."""
    return sum(len(part.file) for part in parts if part.file is not None)


def _proven(part: Part, height: Height, file: bytes, now_s: int) -> Part:
    """A proof at a height shows that it is final; the machine asks for it then, and has it."""
    state = _after(part.state, events.TimeAdvanced(now_s), events.AnsweringAdvanced(height))
    if state.proving is None or not state.proving.status.under_way:
        return replace(part, state=state)
    state = _after(state, events.Proven(state.proving.sequence, Proof(height, hashlib.sha256(file).digest())))
    if state.delivery is None:
        return replace(part, state=state, problem=RejectedError.code, detail=state.refusal or "")
    return Part(_after(state, events.DeliverySubmitted(state.delivery.sequence)), file, problem="", detail="")


def _refused(part: Part, error: CausewayError, now_s: int) -> Part:
    """Whoever refuses for good has looked at an admissible height, or needs none."""
    first = part.state.request.first
    state = _after(part.state, events.TimeAdvanced(now_s), events.AnsweringAdvanced(first))
    if state.proving is not None and state.proving.status.under_way:
        state = _after(state, events.NotProven(state.proving.sequence, error.message, never=True))
    return Part(state, problem=error.code, detail=error.message[:MAX_DETAIL_CHARS])


def _after(state: QueryState, *happened: QueryEvent) -> QueryState:
    for event in happened:
        state, _ = transition(state, event)
    return state
