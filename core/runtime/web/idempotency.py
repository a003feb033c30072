"""`Idempotency-Key`: the same POST under the same key is answered as the first time (IETF httpapi, Idempotency-Key
header).

Answers are kept in the database, by caller and key, once the act they speak of has been committed. Refusals are not
kept: they changed nothing. An act that was committed and whose answer was not, since the process ended in between, is
asked again; every POST that takes such a key is harmless to repeat.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import METADATA, Database
from core.runtime.inserts import insert_if_absent
from core.runtime.logging import get_logger
from core.runtime.web.bodies import read_bytes
from core.runtime.web.problems import Problem
from core.runtime.web.routes import CALLER, Handler

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
KEPT_S: Final = 24 * 3_600
MAX_KEYS_OF_A_CALLER: Final = 500
"""The newest answers that are kept of one caller."""
MAX_KEYS: Final = 20_000
"""In all; beyond it the oldest go, whosever they are."""
MAX_ANSWER_BYTES: Final = 64 * 1024
PRUNED: Final = 200
"""Rows that one request clears away at most."""
_MAKING: Final = frozenset({201, 202})
"""Answers that come with a `Location`."""
# The draft's header is a string in quotes; most callers write the bare text.
_KEY: Final = re.compile(r'"[!#-\[\]-~]{1,128}"|[!#-\[\]-~]{1,128}')

idempotent_answers = sa.Table(
    "relayer_idempotent_answers",
    METADATA,
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("kept_ns", sa.BigInteger, nullable=False),
    sa.Index(None, "kept_ns"),
    sa.Index(None, "caller", "kept_ns"),
)
"""`request`: the SHA-256 of method, path and body. (The relayer's API had the table first.)"""

TABLES: Final = (idempotent_answers,)

_A: Final = idempotent_answers.c
log = get_logger("core.runtime.web.idempotency")


class _Made(msgspec.Struct):
    """The part of an answer that says where to look for what was made, below the path of the call; empty if it does
    not."""

    id: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, and the SHA-256 of the request that it is for."""

    request: bytes
    status: int
    answer: bytes


class Idempotency:
    """The answers that are kept in one database, and the calls of this process that are under way."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._under_way: set[tuple[str, str]] = set()

    def once(self, handler: Handler) -> Handler:
        """Return the handler with the header's meaning. It raises, next to what the handler raises, a `Problem`: 400
        for a malformed key, 409 while the same key is under way, 422 for a key that came with another request."""

        async def answered(request: web.Request) -> web.StreamResponse:
            key = _key_of(request)
            if key is None:
                return await handler(request)
            caller = request[CALLER].id
            digest = await _digest(request)
            with self._alone(caller, key):
                kept = await self._database.read(lambda c: _find(c, caller, key, self._oldest_ns()))
                if kept is not None:
                    return _again(kept, digest, request.path)
                response = await handler(request)
                return await self._keep(caller, key, digest, request.path, response)

        return answered

    async def _keep(
        self, caller: str, key: str, digest: bytes, path: str, response: web.StreamResponse
    ) -> web.StreamResponse:
        body = response.body if isinstance(response, web.Response) else None
        if response.status >= 300 or not isinstance(body, bytes) or len(body) > MAX_ANSWER_BYTES:
            return response
        new = Kept(digest, response.status, body)
        now_ns, oldest_ns = self._clock.now_ns(), self._oldest_ns()

        def write(connection: Connection) -> Kept | None:
            first = _find(connection, caller, key, oldest_ns)
            if first is None and not store(connection, caller, key, new, now_ns, oldest_ns):
                first = _find(connection, caller, key, oldest_ns)
            return first

        try:
            first = await self._database.write(write)
        except RetryableError as error:
            # The act is done, and asked again it does no harm.
            log.warning("the answer to an idempotent call is not kept", reason=error.message)
            return response
        return response if first is None else _again(first, digest, path)

    def _oldest_ns(self) -> int:
        return self._clock.now_ns() - KEPT_S * NS_PER_S

    @contextmanager
    def _alone(self, caller: str, key: str) -> Iterator[None]:
        place = caller, key
        if place in self._under_way:
            raise Problem(
                409,
                "idempotency-key-in-use",
                "The same call is under way",
                f"A request with this {HEADER} has not been answered yet: wait, then send it again.",
                headers={"Retry-After": "1"},
                retry_after_s=1,
            )
        self._under_way.add(place)
        try:
            yield
        finally:
            self._under_way.discard(place)


def _key_of(request: web.Request) -> str | None:
    given = request.headers.getall(HEADER, [])
    if not given:
        return None
    if len(given) > 1 or _KEY.fullmatch(given[0]) is None:
        raise Problem(
            400,
            "malformed-idempotency-key",
            "The idempotency key is malformed",
            f"{HEADER} is sent once, with 1 to 128 printable characters without spaces, such as a UUID.",
        )
    return given[0].strip('"')


async def _digest(request: web.Request) -> bytes:
    head = f"{request.method}\0{request.path_qs}\0".encode("utf-8", "surrogateescape")
    return hashlib.sha256(head + await read_bytes(request)).digest()


def _again(kept: Kept, digest: bytes, path: str) -> web.Response:
    if kept.request != digest:
        raise Problem(
            422,
            "idempotency-key-reused",
            "The idempotency key belongs to another request",
            f"This {HEADER} came with another body or path before: use a fresh key for a new request.",
        )
    headers = {REPLAYED: "true"}
    if kept.status in _MAKING and (made := _made(kept.answer)):
        headers["Location"] = f"{path}/{made}"
    return web.Response(status=kept.status, headers=headers, content_type="application/json", body=kept.answer)


def _made(answer: bytes) -> str:
    """The id of what was made, empty if the answer names none."""
    try:
        return msgspec.json.decode(answer, type=_Made).id
    except msgspec.MsgspecError:
        return ""


def _find(connection: Connection, caller: str, key: str, oldest_ns: int) -> Kept | None:
    found = connection.execute(
        sa.select(_A.request, _A.status, _A.answer).where(_A.caller == caller, _A.key == key, _A.kept_ns >= oldest_ns)
    ).one_or_none()
    return None if found is None else Kept(found.request, found.status, found.answer)


def store(connection: Connection, caller: str, key: str, kept: Kept, now_ns: int, oldest_ns: int) -> bool:
    """Keep an answer, and clear away what is too old or too much. Return false if another process has kept one under
    this key meanwhile: that one stays."""
    table = idempotent_answers
    connection.execute(sa.delete(table).where(_A.caller == caller, _A.key == key, _A.kept_ns < oldest_ns))
    old = sa.select(_A.caller, _A.key).where(_A.kept_ns < oldest_ns).limit(PRUNED)
    _delete(connection, old)
    oldest_first = sa.select(_A.caller, _A.key).order_by(_A.kept_ns)
    theirs = connection.execute(sa.select(sa.func.count()).where(_A.caller == caller)).scalar_one()
    if theirs >= MAX_KEYS_OF_A_CALLER:
        _delete(
            connection, oldest_first.where(_A.caller == caller).limit(min(PRUNED, theirs + 1 - MAX_KEYS_OF_A_CALLER))
        )
    every = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    if every >= MAX_KEYS:
        _delete(connection, oldest_first.limit(min(PRUNED, every + 1 - MAX_KEYS)))
    values = {"caller": caller, "key": key, "request": kept.request, "status": kept.status, "answer": kept.answer}
    return insert_if_absent(connection, table, **values, kept_ns=now_ns)


def _delete(connection: Connection, which: sa.Select[tuple[str, str]]) -> None:
    connection.execute(sa.delete(idempotent_answers).where(sa.tuple_(_A.caller, _A.key).in_(which)))
