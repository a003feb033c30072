"""The bodies of questions to chains, shared by the API and the client."""

from typing import Annotated, Final

import msgspec

from core.model.uris import MAX_HEIGHT, MAX_URI_CHARS
from queries.together import MAX_TOGETHER
from relayer.asking.query import Standing

MAX_WAIT_S: Final = 20
OPEN_S: Final = 600
MAX_OPEN_S: Final = 86_400

Uri = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_URI_CHARS,
        description="A question, such as causeway:devnet-1/records/charity/donation-17 (docs/concepts/questions.md).",
    ),
]


class QueriesCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Questions, answered as of one height per chain.

    `trusted_height` is that of your anchor: the evidence begins there; left out, at the relayer's own. `wait_s`: how
    long to wait for a height that cannot be proven yet. `open_s`: how long the query stays open if there is still one.
    """

    questions: Annotated[tuple[Uri, ...], msgspec.Meta(min_length=1, max_length=MAX_TOGETHER)]
    trusted_height: Annotated[int, msgspec.Meta(ge=1, le=MAX_HEIGHT)] | None = None
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT_S)] = 0
    open_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_OPEN_S)] = OPEN_S


NO_EVIDENCE: Final = msgspec.Raw(b"null")


class AnsweredBody(msgspec.Struct, frozen=True, kw_only=True):
    """The question in its canonical form, and its evidence; or null, with the kind of problem and a sentence.

    The evidence is a file as `causeway verify` reads it (docs/concepts/proofs.md): keep its bytes as they are.
    """

    uri: Uri
    evidence: msgspec.Raw = msgspec.field(default_factory=lambda: NO_EVIDENCE)
    problem: str | None = None
    detail: str | None = None

    @property
    def file(self) -> bytes | None:
        """The bytes of the evidence, None if there is none."""
        raw = bytes(self.evidence)
        return None if raw == bytes(NO_EVIDENCE) else raw


class QueriesBody(msgspec.Struct, frozen=True, kw_only=True):
    """One answer for each question, in their order."""

    answers: list[AnsweredBody]


class QueryBody(msgspec.Struct, frozen=True, kw_only=True):
    """A query that takes its time, and the answers so far.

    While it is `waiting`, an answer without evidence may still come; then `answered`: each question has evidence;
    `expired`: the deadline (Unix seconds) passed before one had; `refused`: one cannot be proven. `version` grows with
    each question that is answered or ends.
    """

    id: str
    state: Standing
    version: int
    created_at: float
    deadline: int
    answers: list[AnsweredBody]


class PlacedBody(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an event `answer`: the answer to the question at `place`, counted from 0."""

    place: int
    answer: AnsweredBody
