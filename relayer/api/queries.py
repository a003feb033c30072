"""Questions to chains over the API: proof or the reason why there is none. Nothing here needs to be believed."""

import re
from typing import Final

import msgspec
from aiohttp import web

from core.model.errors import (
    CausewayError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    TooManyError,
)
from core.model.ports import Prover
from core.model.questions import Evidence
from core.model.types import Height
from core.model.uris import Asked, parse_uri, print_uri
from core.proofs.evidence import encode_evidence
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.web import CALLER, read_body, respond
from queries.together import Answered, check_together
from relayer.api.query_bodies import MAX_WAIT_S, AnsweredBody, QueriesBody, QueriesCall, QueryBody
from relayer.api.subscription_bodies import SubscriptionCall
from relayer.asking.caller_queries import CallerQueries, ask_once
from relayer.asking.query import MAX_EVIDENCE_BYTES, Part
from relayer.asking.rows import Stored

LOOK_S: Final = 0.5
"""Between two looks for a height that cannot be proven yet."""
MAX_PREFER_CHARS: Final = 512
RESPOND_ASYNC: Final = "respond-async"
RETRY_AFTER_S: Final = 1
_WAIT: Final = re.compile(r"wait\s*=\s*\"?([0-9]{1,6})\"?")


class Queries:
    """Answers with evidence as of one height per chain, at once or in time. `queries` keeps those that take longer than
    a call."""

    def __init__(self, queries: CallerQueries, clock: Clock) -> None:
        self._queries = queries
        self._clock = clock

    async def ask(self, request: web.Request) -> web.Response:
        """Answer 200 with `QueriesBody`; or 202 with `QueryBody` if the caller prefers that, or if a height cannot be
        proven after `wait_s`.

        Raise `NotFoundError` if nothing is proven here, `RejectedError` for a URI that is wrong and for evidence that
        is too much for one answer, `TooManyError` if the caller prefers 202 and has too many queries open.
        """
        call, caller = await read_body(request, QueriesCall), request[CALLER].id
        prefers, wait_s = preferred(",".join(request.headers.getall("Prefer", [])))
        if prefers:
            # RFC 7240 section 4.3: how long to wait before the answer is 202.
            call = msgspec.structs.replace(call, wait_s=call.wait_s if wait_s is None else min(wait_s, MAX_WAIT_S))
        asked, trusted = read_questions(call, self._queries.prover)
        headers = {"Preference-Applied": RESPOND_ASYNC} if prefers else {}
        if prefers and not call.wait_s:
            return _accepted(await self._queries.begin(asked, trusted, caller, call.open_s), headers)
        answers = await self._prove(asked, trusted, call.wait_s)
        if any(isinstance(one, NotYetFinalError) for one in answers):
            try:
                return _accepted(await self._queries.begin(asked, trusted, caller, call.open_s, answers), headers)
            except TooManyError:
                if prefers:
                    raise
        return respond(_answers(asked, answers))

    async def find(self, request: web.Request) -> web.Response:
        """Raise `NotFoundError`."""
        return respond(query_body(await self._queries.find(request.match_info["id"])))

    async def remove(self, request: web.Request) -> web.Response:
        """Answer the query as it was. Raise `NotFoundError`."""
        return respond(query_body(await self._queries.remove(request.match_info["id"])))

    async def _prove(self, asked: list[Asked], trusted: Height | None, wait_s: float) -> list[Answered]:
        until = self._clock.monotonic() + wait_s
        while True:
            answers = await ask_once(self._queries.prover, asked, trusted)
            waits = any(isinstance(one, NotYetFinalError) for one in answers)
            if not waits or self._clock.monotonic() >= until:
                return answers
            await self._clock.sleep(LOOK_S)


def read_questions(call: QueriesCall | SubscriptionCall, prover: Prover | None) -> tuple[list[Asked], Height | None]:
    """The questions of a call, and the height of the caller's anchor. Raise `NotFoundError` if nothing is proven here,
    `RejectedError` for a URI that is wrong."""
    if prover is None:
        raise NotFoundError("this relayer proves nothing: its operator connects no consortium chain")
    asked = [parse_uri(uri) for uri in call.questions]
    check_together(asked)
    return asked, None if call.trusted_height is None else Height(call.trusted_height)


def preferred(header: str) -> tuple[bool, int | None]:
    """Return if the header `Prefer` has `respond-async`, and its `wait` in seconds (RFC 7240). What is not understood
    is ignored, as that says."""
    words = [word.strip() for word in header[:MAX_PREFER_CHARS].lower().split(",")]
    waits = [int(found[1]) for word in words if (found := _WAIT.fullmatch(word)) is not None]
    return RESPOND_ASYNC in words, waits[0] if waits else None


def query_body(query: Stored) -> QueryBody:
    return QueryBody(
        id=query.id,
        state=query.standing,
        version=query.version,
        created_at=query.created_ns / NS_PER_S,
        deadline=query.deadline_s,
        answers=[part_body(part) for part in query.parts],
    )


def part_body(part: Part) -> AnsweredBody:
    if part.file is not None:
        return AnsweredBody(uri=part.uri, evidence=msgspec.Raw(part.file))
    return AnsweredBody(uri=part.uri, problem=part.problem, detail=part.detail)


def _accepted(query: Stored, headers: dict[str, str]) -> web.Response:
    place = {"Location": f"/v1/queries/{query.id}", "Retry-After": str(RETRY_AFTER_S)}
    return respond(query_body(query), status=202, headers={**place, **headers})


def _answers(asked: list[Asked], answers: list[Answered]) -> QueriesBody:
    bodies = [_body(print_uri(one.question, one.at), answer) for one, answer in zip(asked, answers, strict=True)]
    if sum(len(one.file or b"") for one in bodies) > MAX_EVIDENCE_BYTES:
        raise RejectedError(f"the evidence is more than {MAX_EVIDENCE_BYTES} bytes: ask for less at once")
    return QueriesBody(answers=bodies)


def _body(uri: str, answer: Answered) -> AnsweredBody:
    if isinstance(answer, Evidence):
        try:
            return AnsweredBody(uri=uri, evidence=msgspec.Raw(encode_evidence(answer)))
        except CausewayError as error:
            answer = error
    return AnsweredBody(uri=uri, problem=answer.code, detail=answer.message)
