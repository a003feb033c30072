"""JSON-RPC requests and answers as CometBFT reads and writes them (CometBFT `rpc/jsonrpc/types`, `rpc/jsonrpc/server`).

It reads with Go's `encoding/json`: names of members in any case, null for anything left out, and one request of a wrong
form spoils its whole batch.
"""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeVar

import msgspec
import structlog

from core.model.errors import CausewayError
from core.runtime.exhaustion import exhausted
from local_chains.consortium.rpc.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError, internal
from local_chains.consortium.rpc.leniency import repaired

MAX_BATCH: Final = 10
LARGE_BYTES: Final = 32 * 1024
"""Longer bodies are read in a thread."""
MAX_READ: Final = 100
"""Of a batch that is too large: further requests are not looked at to find one that spoils it."""
MANY_COMMAS: Final = 20_000
"""In an array with more of them, not all of its items are made."""
MAX_REQUEST_ID: Final = 2**63
NOBODY: Final = object()
"""The id of an answer to something that has none: it is left out."""

_log = structlog.get_logger(__name__)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_decoder: Final = json.JSONDecoder()
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode

T = TypeVar("T")
Call = Callable[[str, bytes | None], Awaitable[Any]]
"""(method, params as JSON or None) → result; raises `RpcError`."""
CallAll = Callable[[str, Sequence[bytes | None]], Awaitable[list[Any]]]
"""As `Call` for several calls of one method, in order, with the `CausewayError` or `RpcError` in the place of a result.
"""
TOGETHER: Final = ("broadcast_tx_sync", "broadcast_tx_async")
"""Methods whose calls in one batch are answered together, so that signatures are checked together."""
Special = Callable[[str, bytes | None, Any], Awaitable[Any]]
"""As `Call`, with the request's id; NotImplemented for methods that it leaves to others."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer that goes back: None for nothing at all."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class _Request:
    id: str | int
    method: str
    params: bytes | None


async def answer_message(raw: bytes, call: Call, special: Special) -> Any:
    """The answer to one message of a WebSocket, None for none. `special` goes before `call`.

    CometBFT takes no batches there, and calls wrong arguments an internal error (`rpc/jsonrpc/server/ws_handler.go`).
    """
    try:
        request = await apart(_message, raw)
    except (ValueError, RecursionError) as error:
        return error_answer(NOBODY, RpcError(PARSE_ERROR, f"error unmarshaling request: {error}"))
    if request is None:
        return None

    async def either(method: str, params: bytes | None) -> Any:
        try:
            handled = await special(method, params, request.id)
            return await call(method, params) if handled is NotImplemented else handled
        except RpcError as error:
            raise internal(error.data) if error.code == INVALID_PARAMS else error from None

    return await _answer(request, either)


async def answer_body(raw: bytes, call: Call, call_all: CallAll | None = None, threads: bool = False) -> Answered:
    """The answer to a request or a batch of them, by POST. Without `threads` all is read at once, for event loops whose
    time is not real."""
    try:
        requests, count = await apart(_requests, raw) if threads else _requests(raw)
    except (ValueError, RecursionError) as error:
        refusal = RpcError(PARSE_ERROR, f"error unmarshaling request: {error}")
        return Answered(500, error_answer(NOBODY, refusal))
    if count > MAX_BATCH:
        return Answered(200, _TOO_MANY)
    answers: list[dict[str, Any]] = []
    for method, some in groupby(requests, lambda request: request.method):
        if call_all is not None and method in TOGETHER:
            answers += await _answer_all(method, list(some), call_all)
        else:
            answers += [await _answer(request, call) for request in some]
    if not answers:
        return Answered(200, None)
    return Answered(200, answers[0] if len(answers) == 1 else answers)


async def apart(work: Callable[[bytes], T], raw: bytes) -> T:
    """Return what `work` makes of the bytes. What may take a while has a thread, so that it holds up nobody."""
    return work(raw) if len(raw) <= LARGE_BYTES else await asyncio.to_thread(work, raw)


async def refused_body(raw: bytes) -> Any:
    """The answer to a body with too large a batch, which CometBFT refuses whatever path it goes to; else None."""
    if not raw.lstrip().startswith(b"["):
        return None
    try:
        _, count = await apart(_requests, raw)
    except (ValueError, RecursionError):
        return None
    return _TOO_MANY if count > MAX_BATCH else None


async def guarded(answering: Awaitable[Any]) -> Any:
    """Errors of ours become the internal errors that CometBFT would answer."""
    try:
        return await answering
    except CausewayError as error:
        raise internal(error.message) from None
    except RpcError:
        raise
    except Exception as error:
        _log.exception("an RPC method failed")
        said = exhausted(error, "this answer")
        raise internal(f"the node failed to answer: {said.message if said else type(error).__name__}") from None


def success(request_id: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def error_answer(request_id: Any, error: RpcError) -> dict[str, Any]:
    named = {} if request_id is NOBODY else {"id": request_id}
    return {"jsonrpc": "2.0", **named, "error": error.to_json()}


async def _answer(request: _Request, call: Call) -> dict[str, Any]:
    try:
        return success(request.id, await guarded(call(request.method, request.params)))
    except RpcError as error:
        return error_answer(request.id, error)


async def _answer_all(method: str, requests: Sequence[_Request], call_all: CallAll) -> list[dict[str, Any]]:
    try:
        found = await guarded(call_all(method, [request.params for request in requests]))
    except RpcError as error:
        found = [error] * len(requests)
    answers = []
    for request, result in zip(requests, found, strict=True):
        if isinstance(result, CausewayError):
            answers.append(error_answer(request.id, internal(result.message)))
        elif isinstance(result, RpcError):
            answers.append(error_answer(request.id, result))
        else:
            answers.append(success(request.id, result))
    return answers


def _first_items(body: bytes) -> list[bytes]:
    """The first `MAX_READ` items of an array at the most. Raise `ValueError` if the whole is not JSON."""
    if body.count(b",") <= MANY_COMMAS:
        return [bytes(item) for item in _items(body)[:MAX_READ]]
    msgspec.json.decode(body, type=msgspec.Raw)
    text, at = body.decode(), 1
    items: list[bytes] = []
    while len(items) < MAX_READ:
        begin = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches anywhere
        _, end = _decoder.raw_decode(text, begin)
        items.append(text[begin:end].encode())
        at = _SPACE.match(text, end).end() + 1  # type: ignore[union-attr]
        if text[at - 1] == "]":
            break
    return items


_TOO_MANY: Final = error_answer(
    NOBODY, RpcError(INVALID_REQUEST, f"batch request exceeds maximum ({MAX_BATCH}) allowed number of requests")
)


def _message(raw: bytes) -> _Request | None:
    return _request(_first(repaired(raw)))


def _first(raw: bytes) -> bytes:
    """The first value of a message: what comes after it is not read."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except msgspec.DecodeError:
        text = raw.decode().lstrip(" \t\r\n")
        _, end = _decoder.raw_decode(text)
        return text[:end].encode()
    return raw


def _requests(raw: bytes) -> tuple[list[_Request], int]:
    """Those that want an answer, and how many there are in all. Raise `ValueError` for anything else."""
    body = repaired(raw).strip()
    if body.startswith(b"["):
        items = _first_items(body)
        found = [_request(item) for item in items]
        return [request for request in found if request is not None], len(items)
    request = _request(body)
    return [] if request is None else [request], 1


def _request(raw: bytes) -> _Request | None:
    """None for a notification, and for null, which Go reads as an empty request."""
    if raw.strip() == b"null":
        return None
    fields = {name.lower(): bytes(value) for name, value in _members(raw).items()}
    _text(fields, "jsonrpc")
    method, request_id = _text(fields, "method"), msgspec.json.decode(fields.get("id", b"null"))
    if request_id is None:
        return None
    return _Request(_id(request_id), method, fields.get("params"))


def _text(fields: dict[str, bytes], name: str) -> str:
    value = msgspec.json.decode(fields.get(name, b"null"))
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not a string")
    return value or ""


def _id(value: Any) -> str | int:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a request's id is a string or a number")
    number = float(value) if abs(value) < 2 * MAX_REQUEST_ID else math.inf
    if number != math.trunc(number) if math.isfinite(number) else True:
        raise ValueError("a request's id is a whole number")
    if not -MAX_REQUEST_ID <= number < MAX_REQUEST_ID:
        raise ValueError("a request's id is out of the range of 64 bits")
    return int(number)
