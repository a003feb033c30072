"""No answer to a caller that we know leaves before its entry stands in the audit log.

If the entry cannot be written, the answer is withheld (503). Entries of answers that are ready while the log is being
written are written together next: a commit takes as long for many as for one.
"""

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import CausewayError
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import CALLER, REQUEST_ID, Handler, Problem, problem_of
from regulator_api import audit
from regulator_api.access import usage
from regulator_api.signing import Signer
from regulator_api.view.moment import MOMENT

PURPOSE_HEADER: Final = "X-Purpose"
CASE_HEADER: Final = "X-Case"
AUDIT_HEADER: Final = "Causeway-Audit"
"""`<number>:<hash>` of the answer's entry in the audit log, for the reader to keep."""
MAX_RECORDS_PER_DAY: Final = 1_000_000
MAX_TOGETHER: Final = 64
"""Entries of one transaction. How many answers are ready at once is bounded by the connections that are open."""
USAGE_NS: Final = 1_000_000_000
"""How long a caller's count of records is remembered without a look at the database: other processes, and streams,
count into it too."""
MAX_CALLERS: Final = 10_000
"""Callers whose counts are remembered."""
_REPORTED: Final = frozenset({403})
"""Refusals before a handler that are logged of callers that we know: they tried what they may not."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """An entry that is not written yet, how many records its answer has, and who waits for it."""

    access: audit.Access
    caller: str
    records: int
    written: asyncio.Future[audit.AuditEntry]


@dataclass(frozen=True, slots=True)
class _Count:
    """The records that a caller had taken on a day, as of a moment."""

    day: int
    records: int
    at_ns: int


class Auditor:
    """Writes the audit log of one API, signed if there is a signer, and counts the records that callers take."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        signer: Signer | None = None,
        records_per_day: int = MAX_RECORDS_PER_DAY,
    ) -> None:
        self._database = database
        self._clock = clock
        self._signer = signer
        self._records_per_day = self.records_per_day = records_per_day
        self._waiting: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    async def prepare(self) -> None:
        """Make the log ready; the schema must exist. To be awaited before the first request."""
        await self._database.write(audit.prepare)

    def audited(self, handler: Handler) -> Handler:
        """The handler of a scoped route, whose answer is logged before it leaves, with a strong `ETag`.

        A refusal is logged too: it may show that something is absent. Answers of 500 and more show nothing. Who has
        the present answer already (`If-None-Match`) is answered 304, which is logged as well.
        """

        async def logging(request: web.Request) -> web.StreamResponse:
            try:
                await self._check_usage(request)
                response = await handler(request)
            except Exception as error:
                _date(request, error)
                problem = problem_of(error)
                if problem.status < 500:
                    await self.refused(request, problem)
                raise
            if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
                raise TypeError("only whole answers can be logged before they leave")
            digest = hashlib.sha256(response.body).digest()
            records = usage.records_in(response.body)
            if request.method in ("GET", "HEAD") and response.status == 200:
                response = _tagged(request, response, digest)
            entry = await self._log(request, response.status, digest, records)
            response.headers[AUDIT_HEADER] = f"{entry.seq}:{entry.hash.hex()}"
            return response

        return logging

    def streaming(self, handler: Handler) -> Handler:
        """The handler of a stream, which is logged before its first byte; it counts its records itself."""

        async def logging(request: web.Request) -> web.StreamResponse:
            try:
                await self._check_usage(request)
                await self._log(request, 200, hashlib.sha256().digest(), 0)
                return await handler(request)
            except Exception as error:
                problem = problem_of(error)
                if problem.status < 500:
                    await self.refused(request, problem)
                raise

        return logging

    async def refused(self, request: web.Request, problem: Problem) -> None:
        """Log a refusal."""
        body = msgspec.json.encode(problem.document(request[REQUEST_ID]))
        await self._log(request, problem.status, hashlib.sha256(body).digest(), 0)

    async def refused_before(self, request: web.Request, problem: Problem) -> None:
        """Log a refusal that no handler has seen, if we know the caller: strangers cannot make the log grow."""
        if request[CALLER].by_key and problem.status in _REPORTED:
            await self.refused(request, problem)

    async def _check_usage(self, request: web.Request) -> None:
        caller, now_ns = request[CALLER].id, self._clock.now_ns()
        known = self._counts.get(caller)
        if known is None or known.day != usage.day_of(now_ns) or not 0 <= now_ns - known.at_ns < USAGE_NS:
            records = await self._database.read(lambda connection: usage.taken(connection, caller, now_ns))
            known = self._remember(caller, records, now_ns)
        usage.refuse_beyond(known.records, self._records_per_day, now_ns)

    def _remember(self, caller: str, records: int, now_ns: int) -> _Count:
        count = self._counts[caller] = _Count(usage.day_of(now_ns), records, now_ns)
        self._counts.move_to_end(caller)
        if len(self._counts) > MAX_CALLERS:
            self._counts.popitem(last=False)
        return count

    async def _log(self, request: web.Request, status: int, digest: bytes, records: int) -> audit.AuditEntry:
        access = audit.Access(
            time_ns=self._clock.now_ns(),
            who=request[CALLER].name,
            method=request.method,
            what=request.path_qs[: audit.MAX_WHAT_CHARS],
            purpose=_stated(request, PURPOSE_HEADER, audit.MAX_PURPOSE_CHARS),
            request_id=request[REQUEST_ID],
            status=status,
            answer_sha256=digest,
            case_id=_stated(request, CASE_HEADER, audit.MAX_CASE_CHARS),
        )
        written: asyncio.Future[audit.AuditEntry] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(access, request[CALLER].id, records, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await written

    async def _write_all(self) -> None:
        """Write what waits until nothing does. A task of its own: a client that leaves takes only its own answer away.

        If entries fail together, each is tried by itself, so that one that cannot be written withholds no other answer.
        """
        try:
            while self._waiting:
                part = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_TOGETHER))]
                if not await self._write(part) and len(part) > 1:
                    for one in part:
                        await self._write([one])
        finally:
            self._writing = None
            while self._waiting:  # only if this task was cancelled: nobody else would wake them
                self._waiting.popleft().written.cancel()

    async def _write(self, part: Sequence[_Waiting]) -> bool:
        """Write some entries together. Return false if several failed, none of which has been answered yet."""

        def work(connection: Connection) -> tuple[list[audit.AuditEntry], dict[str, int]]:
            taken: dict[str, int] = {}
            for one in part:
                if one.records:
                    taken[one.caller] = usage.take(connection, one.caller, one.records, one.access.time_ns)
            return audit.append_all(connection, [one.access for one in part], self._signer), taken

        try:
            entries, taken = await self._database.write(work)
        except Exception as error:
            if len(part) == 1 and not part[0].written.done():
                part[0].written.set_exception(error)
            return False
        except BaseException:
            for one in part:
                one.written.cancel()
            raise
        for caller, records in taken.items():
            self._remember(caller, records, part[-1].access.time_ns)
        for one, entry in zip(part, entries, strict=True):
            if not one.written.done():
                one.written.set_result(entry)
        return True


def require_purpose(request: web.Request) -> None:
    """For reads of personal data: raise a 403 `Problem` unless the caller states why, and for which case."""
    for header, what in ((PURPOSE_HEADER, "purpose"), (CASE_HEADER, "case")):
        if not _stated(request, header, audit.MAX_PURPOSE_CHARS):
            raise Problem(
                403,
                "purpose-missing",
                "Personal data needs a reason",
                f"State the {what} in the header {header}: it stands in the audit log.",
                header=header,
            )


def _date(request: web.Request, error: Exception) -> None:
    """Let a refusal name the moment of the data that it rests on, if the handler has taken one."""
    if MOMENT not in request:
        return
    if isinstance(error, Problem):
        error.extensions = request[MOMENT].members | error.extensions
    elif isinstance(error, CausewayError):
        error.fields = request[MOMENT].members | error.fields


def _tagged(request: web.Request, response: web.Response, digest: bytes) -> web.Response:
    """The answer with its entity tag, or 304 if the caller has it (RFC 9110 sections 8.8.3, 13.1.2)."""
    tag = f'"{digest.hex()[:32]}"'
    given = ",".join(request.headers.getall("If-None-Match", []))
    if given.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in given.split(",")):
        return web.Response(status=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


def _stated(request: web.Request, header: str, most: int) -> str:
    """The caller's statement, printable: a header may hold any bytes."""
    stated = request.headers.get(header, "").encode("utf-8", "replace").decode().strip()
    return "".join(character if character.isprintable() else "?" for character in stated)[:most]
