"""RFC 9457 problem documents, and which one each error of ours becomes.

| error | status | |
|---|---|---|
| `NotFoundError` | 404 | |
| `ConflictError`, `GateClosedError`, `NotYetFinalError` | 409 | |
| `TooManyError` | 429 | with `Retry-After` |
| other `RejectedError` | 422 | well-formed, but wrong |
| other `RetryableError`, `ReorgedError`, `FencedError` | 503 | with `Retry-After` |
| anything else | 500 | says nothing but the request id |

`type` is `urn:causeway:problem:` and the error's code; the error's fields become extension members.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from core.model.errors import (
    CausewayError,
    ConflictError,
    FatalError,
    FencedError,
    GateClosedError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    ReorgedError,
    RetryableError,
    TooManyError,
)
from core.runtime.logging import redact

CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:causeway:problem:"
RETRY_AFTER_S: Final = 2
_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "instance"})


class Problem(Exception):
    """An HTTP answer that is a problem document. Raise it if no error of `core.model.errors` says the same.

    `kind` is the last part of the `type` URN; `title` is the same for every problem of that kind, `detail` describes
    this one and what to do about it; `extensions` are further members, made printable, secrets hidden.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions

    def document(self, request_id: str) -> dict[str, Any]:
        """The members of RFC 9457 section 3.1, `request_id`, and the extensions."""
        extra = {name: value for name, value in self.extensions.items() if name not in _MEMBERS}
        return {
            "type": TYPE_PREFIX + self.kind,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **redact(None, "", extra),
        }

    def response(self, request_id: str) -> web.Response:
        return web.Response(
            status=self.status,
            headers={**self.headers, "X-Request-Id": request_id},
            content_type=CONTENT_TYPE,
            body=msgspec.json.encode(self.document(request_id)),
        )

    def raw(self, request_id: str) -> bytes:
        """The whole HTTP/1.1 response after which a connection ends: for a request that never got as far as one."""
        body = msgspec.json.encode(self.document(request_id))
        headers = {
            **self.headers,
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Request-Id": request_id,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


def problem_of(error: BaseException) -> Problem:
    """The problem document for any error; nothing of an unexpected error's text leaves the process."""
    match error:
        case Problem():
            return error
        case NotFoundError():
            return _of(error, 404, "Not found")
        case GateClosedError():
            return _of(error, 409, "A safety gate is closed")
        case ConflictError():
            return _of(error, 409, "Contradicts what is stored or on chain")
        case NotYetFinalError():
            return _of(error, 409, "Not final yet", retry_after_s=RETRY_AFTER_S)
        case RejectedError():
            return _of(error, 422, "The request is wrong")
        case TooManyError():
            wait_s = int(error.fields.get("retry_after_s", RETRY_AFTER_S))
            return _of(error, 429, "Too much for one caller", retry_after_s=wait_s)
        case RetryableError() | ReorgedError():
            return _of(error, 503, "Not available now", retry_after_s=RETRY_AFTER_S)
        case FencedError():
            return _of(error, 503, "Another process answers", retry_after_s=RETRY_AFTER_S)
        case FatalError():
            return _internal("The service cannot go on and stops; its log says why.")
        case web.HTTPException():
            return _of_http(error)
        case _:
            return _internal("This is a fault of the server. Report the request id to the operator.")


def _of(error: CausewayError, status: int, title: str, retry_after_s: int | None = None) -> Problem:
    headers = None if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    problem = Problem(status, error.code, title, error.message, headers=headers)
    problem.extensions = dict(error.fields)
    return problem


def _internal(detail: str) -> Problem:
    return Problem(500, "internal", "Internal error", detail)


def allowed_methods(error: web.HTTPMethodNotAllowed) -> str:
    """The value of the header `Allow` (RFC 9110 section 10.2.1)."""
    return ", ".join(sorted(error.allowed_methods))


def _of_http(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPNotFound():
            return Problem(404, "no-route", "No such path", "There is nothing here: /openapi.json lists the paths.")
        case web.HTTPMethodNotAllowed():
            allowed = allowed_methods(error)
            return Problem(
                405,
                "method-not-allowed",
                "Method not allowed",
                f"This path answers to {allowed}, not to {error.method}.",
                headers={"Allow": allowed},
            )
        case web.HTTPRequestEntityTooLarge():
            return Problem(413, "body-too-large", "Body too large", "Send a shorter body.")
        case _:
            return Problem(error.status, "http", error.reason or "HTTP error", error.text or "The request failed.")
