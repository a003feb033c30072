"""No answer to a caller with a key leaves before its entry stands in the audit log.

If the entry cannot be written, the answer is withheld (503).
"""

import hashlib
from typing import Final

import msgspec
from aiohttp import web

from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import CALLER, REQUEST_ID, Handler, problem_of
from regulator_api import audit

PURPOSE_HEADER: Final = "X-Purpose"
AUDIT_HEADER: Final = "Causeway-Audit"
"""`<number>:<hash>` of the answer's entry in the audit log, for the reader to keep."""


class Auditor:
    """Writes the audit log of one API."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def prepare(self) -> None:
        """Make the log ready; the schema must exist. To be awaited before the first request."""
        await self._database.write(audit.prepare)

    def audited(self, handler: Handler) -> Handler:
        """The handler of a scoped route, whose answer is logged before it leaves.

        A refusal is logged too: it may show that something is absent. Answers of 500 and more show nothing.
        """

        async def logging(request: web.Request) -> web.StreamResponse:
            try:
                response = await handler(request)
            except Exception as error:
                problem = problem_of(error)
                if problem.status < 500:
                    body = msgspec.json.encode(problem.document(request[REQUEST_ID]))
                    await self._log(request, problem.status, body)
                raise
            if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
                raise TypeError("only whole answers can be logged before they leave")
            entry = await self._log(request, response.status, response.body)
            response.headers[AUDIT_HEADER] = f"{entry.seq}:{entry.hash.hex()}"
            return response

        return logging

    async def _log(self, request: web.Request, status: int, body: bytes) -> audit.AuditEntry:
        access = audit.Access(
            time_ns=self._clock.now_ns(),
            who=request[CALLER].name,
            method=request.method,
            what=request.path_qs[: audit.MAX_WHAT_CHARS],
            purpose=_purpose(request),
            request_id=request[REQUEST_ID],
            status=status,
            answer_sha256=hashlib.sha256(body).digest(),
        )
        return await self._database.write(lambda connection: audit.append(connection, access))


def _purpose(request: web.Request) -> str:
    """The caller's statement, printable: a header may hold any bytes."""
    stated = request.headers.get(PURPOSE_HEADER, "").encode("utf-8", "replace").decode()
    return "".join(character if character.isprintable() else "?" for character in stated)[: audit.MAX_PURPOSE_CHARS]
