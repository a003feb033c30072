"""`?evidence=true`: an answer is given as always, and then proven, in one place for all routes.

The handlers know nothing of it. What the answer claims is derived from the answer, as a verifier will; chains are asked
for evidence, and rows of figures are read again at the answer's own moment. What leaves was checked as its reader will.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from aiohttp import web

from core.model.errors import CausewayError, NotFoundError, NotYetFinalError, RejectedError, RetryableError
from core.model.ports import Prover
from core.model.questions import Evidence, ListQuestion, LockQuestion, LogAnswer, LogQuestion, Question
from core.model.types import AccountId, AssetId, ChainId, Height, chain_of
from core.proofs.evidence import encode_evidence
from core.runtime.web import CALLER, Flag, Handler, Problem, Route, read_flag
from regulator_api.access.scope import Scope, scope_of
from regulator_api.proofs import answers
from regulator_api.proofs.answers import MAX_QUESTIONS, MAX_REASON_CHARS, ProofView
from regulator_api.proofs.claims import Claim
from regulator_api.proofs.kinds import KINDS, Asked, Kind, parse_path, read_answer
from regulator_api.proofs.proving import require_seen
from regulator_api.proofs.sums import MAX_ROWS, Row
from regulator_api.reading.common import Reading
from regulator_api.view import View, inputs

FLAG: Final = Flag(
    "evidence", "Prove the answer: its member `proof`. Needs the scope evidence.", answers.MEMBER, ProofView
)
SCOPE_NAME: Final = "evidence"
MAX_AT_ONCE: Final = 2
"""Answers that are proven at the same time; others wait their turn."""
QUESTIONS_AT_ONCE: Final = 4
PROOFS_S: Final = 30.0
"""For all proofs of one answer together."""
NEXT_BLOCK_S: Final = 2.0
"""The header of the next block proves the state of a ledger's newest one: the most seconds that one answer waits."""
LOOK_S: Final = 0.25
MAX_LOGS: Final = 16
"""Logs of one transaction among which that of a transfer is looked for."""
MAX_BUNDLES: Final = 20
Moment = tuple[str | None, int | None]
Bundles = Callable[[Scope, str], Awaitable[bytes]]
"""Make the bundle of an alert by its id."""


@dataclass(slots=True)
class _Found:
    """Evidence files in the order in which they were found, each once."""

    files: list[bytes] = field(default_factory=list)
    waited: set[ChainId] = field(default_factory=set)
    """Chains whose next block did not come in time."""

    def place(self, raw: bytes) -> int:
        if raw not in self.files:
            self.files.append(raw)
        return self.files.index(raw)


class Offering:
    """Proves answers. `keepers` are the contracts that keep the locks of chains that have one."""

    def __init__(
        self,
        reading: Reading,
        provers: Mapping[ChainId, Prover | None],
        keepers: Mapping[ChainId, AccountId],
        bundles: Bundles,
    ) -> None:
        self._reading = reading
        self._provers = provers
        self._keepers = keepers
        self._bundles = bundles
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)

    def offered(self, route: Route) -> Route:
        """The route with `?evidence=true`, if `KINDS` knows it."""
        kind = KINDS.get(route.template) if route.method == "GET" else None
        if kind is None:
            return route
        return replace(route, handler=self._proven(route, kind), flag=FLAG)

    def _proven(self, route: Route, kind: Kind) -> Handler:
        handler = route.handler

        async def proven(request: web.Request) -> web.StreamResponse:
            if not read_flag(request, FLAG, alone=route.query is None):
                return await handler(request)
            _require_scope(request)
            response = await handler(request)
            if not isinstance(response, web.Response) or not isinstance(response.body, bytes) or response.status != 200:
                return response
            async with self._turns:
                body = await self._prove(scope_of(request), route.template, kind, _path(request), response.body)
            return web.Response(body=body, content_type="application/json")

        return proven

    async def _prove(self, scope: Scope, route: str, kind: Kind, path: str, raw: bytes) -> bytes:
        document = msgspec.json.decode(raw)
        asked, answer = parse_path(route, path), read_answer(kind, document)
        rows = None if kind.fault is None else await self._rows(scope, route, asked, answer)
        if fault := answers.rows_fault(kind, answer, rows):
            raise RetryableError(f"the data changed while the answer was proven, ask again: {fault}")
        nested = await self._nested(scope, kind, answer)
        claims = answers.claims_of(kind, asked, answer, rows)
        found = _Found()
        said = await self._claims(scope, claims, found, "limit" in asked.query or hasattr(answer, "next"))
        proof = {
            "kind": answers.KIND,
            "version": 1,
            "route": route,
            "path": path,
            "rows": rows,
            "bundles": nested,
            "evidence": [msgspec.json.decode(one) for one in found.files],
            "claims": said,
            "unproven": list(kind.reasons),
        }
        return await asyncio.to_thread(answers.sealed, document, proof)

    # --- what the answer follows from --------------------------------------------------------------------------------

    async def _rows(self, scope: Scope, route: str, asked: Asked, answer: Any) -> list[Row]:
        found: list[Row] = []
        for moment, work in _inputs(route, asked, answer):
            rows, _ = await self._reading.read_as(scope, moment, work)
            found += rows
            if len(found) > MAX_ROWS:
                raise RejectedError(
                    f"the figures follow from more than {MAX_ROWS} rows, too many for one answer: ask for a shorter "
                    "span, an earlier as_of, or make an export"
                )
        return found

    async def _nested(self, scope: Scope, kind: Kind, answer: Any) -> list[dict[str, Any]]:
        wanted = [one for one in kind.rests_on(answer) if one.raw is None]
        if len(wanted) > MAX_BUNDLES:
            raise RejectedError(
                f"{len(wanted)} alerts need a bundle each, at most {MAX_BUNDLES} are given: ask with limit"
            )
        made: list[dict[str, Any]] = []
        for one in wanted:
            bundle, reason = None, one.reason
            if not reason:
                try:
                    bundle = msgspec.json.decode(await self._bundles(scope, one.name))
                    reason = one.fault(bundle)
                except RejectedError as error:
                    reason = error.message
            shown = (
                {"bundle": None, "reason": reason[:MAX_REASON_CHARS]} if reason else {"bundle": bundle, "reason": None}
            )
            made.append({"at": one.at, **shown})
        return made

    # --- evidence ----------------------------------------------------------------------------------------------------

    async def _claims(
        self, scope: Scope, claims: Sequence[Claim], found: _Found, is_page: bool
    ) -> list[dict[str, Any]]:
        wanted = sum(bool(one.questions) for one in claims)
        if is_page and wanted > MAX_QUESTIONS:
            raise RejectedError(
                f"the answer makes {wanted} claims, and {MAX_QUESTIONS} are proven in one answer at most: ask for a "
                f"page of limit={MAX_QUESTIONS // 4}"
            )
        turns, left = asyncio.Semaphore(QUESTIONS_AT_ONCE), MAX_QUESTIONS
        tasks: list[asyncio.Task[bytes | str]] = []
        for claim in claims:
            allowed = left > 0
            left -= bool(claim.questions)
            tasks.append(asyncio.ensure_future(self._evidence(scope, claim, found, turns if allowed else None)))
        if tasks:
            await asyncio.wait(tasks, timeout=PROOFS_S)
        made: list[dict[str, Any]] = []
        for claim, task in zip(claims, tasks, strict=True):
            result: bytes | str = f"no proof within {PROOFS_S:.0f} s: ask for fewer things at once"
            if task.done():
                result = task.result()
            else:
                task.cancel()
            if isinstance(result, bytes):
                made.append({"at": claim.at, "evidence": found.place(result), "reason": None})
            else:
                made.append({"at": claim.at, "evidence": None, "reason": result[:MAX_REASON_CHARS]})
        await asyncio.gather(*tasks, return_exceptions=True)
        return made

    async def _evidence(
        self, scope: Scope, claim: Claim, found: _Found, turns: asyncio.Semaphore | None
    ) -> bytes | str:
        """The evidence file that shows a claim, or the reason why there is none."""
        if not claim.questions:
            return claim.reason
        if turns is None:
            return f"more than {MAX_QUESTIONS} proofs are too many for one answer: ask for it by itself"
        prover = self._provers.get(claim.chain)
        if prover is None:
            return f"no prover is configured for {claim.chain}"
        reason = "rows of other jurisdictions are not shown, so that nothing is said of the whole list"
        async with turns:
            for question in claim.questions:
                if isinstance(question, ListQuestion) and not scope.unrestricted:
                    continue
                try:
                    return await self._ask(scope, prover, claim, question, found)
                except (CausewayError, TimeoutError) as error:
                    reason = error.message if isinstance(error, CausewayError) else "the chain gives no proof in time"
        return reason

    async def _ask(self, scope: Scope, prover: Prover, claim: Claim, question: Question, found: _Found) -> bytes:
        """Raise `RejectedError` if the chain proves something else than the claim, or more than the caller may see."""
        if isinstance(question, LockQuestion):
            question = replace(question, holder=self._keepers.get(question.chain))
        evidence = await self._at(prover, question, claim.height, found)
        fault = answers.holds(claim, evidence.question, evidence.answer, evidence.as_of)
        if isinstance(question, LogQuestion) and isinstance(evidence.answer, LogAnswer):
            for index in range(1, min(evidence.answer.count, MAX_LOGS)):
                if not fault:
                    break
                evidence = await prover.prove(replace(question, index=index))
                fault = answers.holds(claim, evidence.question, evidence.answer, evidence.as_of)
        if fault:
            raise RejectedError(fault)
        require_seen(scope, evidence.answer)
        return encode_evidence(evidence)

    async def _at(self, prover: Prover, question: Question, height: Height | None, found: _Found) -> Evidence:
        """Prove at the answer's block; at the newest that can be proven if that cannot be, or not soon."""
        for look in range(int(NEXT_BLOCK_S / LOOK_S) if height is not None else 0):
            try:
                return await prover.prove(question, height)
            except NotFoundError:
                break
            except NotYetFinalError:
                if question.chain in found.waited:
                    break
                await asyncio.sleep(LOOK_S)
            if look + 1 == int(NEXT_BLOCK_S / LOOK_S):
                found.waited.add(question.chain)
        return await prover.prove(question)


def _require_scope(request: web.Request) -> None:
    if SCOPE_NAME not in request[CALLER].scopes:
        raise Problem(
            403,
            "scope-missing",
            "A scope is missing",
            f"{request[CALLER].name} lacks the scope {SCOPE_NAME}: ask the operator for it, or leave out evidence.",
            scope=SCOPE_NAME,
        )


def _path(request: web.Request) -> str:
    """Path and query as they were sent, without the flag."""
    place, _, query = request.raw_path.partition("?")
    parts = [one for one in query.split("&") if one and one.partition("=")[0] != FLAG.name]
    return f"{place}?{'&'.join(parts)}" if parts else place


def _moment(answer: Any) -> Moment:
    """The moment of an answer, for asking again."""
    if (moment := getattr(answer, "moment", None)) is not None:
        return moment.as_of, moment.labels
    blocks = [f"{one.chain}@{one.block.height}" for one in answer.as_of if one.block is not None]
    return ",".join(blocks) or None, None


def _inputs(route: str, asked: Asked, answer: Any) -> list[tuple[Moment, Callable[[View], list[Row]]]]:
    """Return what to read, and as of when, for the rows of a route's figures."""
    match route:
        case "/v1/assets/{asset}/supply":
            return [(_moment(answer), lambda view: inputs.of_supply(view, AssetId(answer.asset)))]
        case "/v1/assets/{asset}/series":
            return [(_moment(answer), lambda view: inputs.of_velocity(view, AssetId(answer.asset)))]
        case "/v1/assets/{asset}/conservation":
            return [_conserved(answer)]
        case "/v1/summary":
            parts = [(_moment(answer), inputs.of_counts)]
            return [*parts, *(_named(one) for one in answer.conservation)]
        case "/v1/activity":
            return [(_moment(answer), lambda view: inputs.of_activity(view, answer.since_s, answer.until_s))]
        case "/v1/accounts/{account}/counterparties":
            span = [int(asked.query[name]) if name in asked.query else None for name in ("since_s", "until_s")]
            return [(_moment(answer), lambda view: inputs.of_partners(view, AccountId(answer.account), *span))]
        case "/v1/entities/{id}/holdings":
            return [(_moment(answer), lambda view: inputs.of_holdings(view, answer.accounts))]
        case "/v1/audit":
            numbers = [one.seq for one in answer.items]
            return [((None, None), lambda view: inputs.of_audit(view, numbers))]
    return []


def _conserved(answer: Any) -> tuple[Moment, Callable[[View], list[Row]]]:
    asset = AssetId(answer.asset)
    at = f"{chain_of(asset)}@{answer.as_of.height}"
    return (at, None), lambda view: inputs.of_conservation(view, asset)


def _named(answer: Any) -> tuple[Moment, Callable[[View], list[Row]]]:
    """The rows of one of several assets, each with the asset's name before it."""
    moment, work = _conserved(answer)
    return moment, lambda view: [[str(answer.asset), *row] for row in work(view)]
