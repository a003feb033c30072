"""The APIs as the console asks them: by HTTP, with the credentials of whoever is signed in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from core.model.errors import RejectedError, RetryableError
from core.runtime.server_events import read_events

TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""As large as an export is at most."""
SILENCE_S: Final = 60.0
"""For a stream that says nothing, not even that it is still there."""
PURPOSE: Final = "X-Purpose"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key or an access token: the header that carries it. Has no `repr` of it."""

    header: str
    value: str = field(repr=False)

    @classmethod
    def key(cls, text: str) -> "Credentials":
        return cls("X-API-Key", text)

    @classmethod
    def token(cls, text: str) -> "Credentials":
        return cls("Authorization", f"Bearer {text}")


class ApiProblem(RejectedError):
    """A refusal of the API, with its status."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = code


class Outside(Protocol):
    """Gives the HTTP client, or raises `RetryableError`."""

    @property
    def session(self) -> aiohttp.ClientSession: ...


class Api:
    """The API at `url()`. `purpose` is stated with each question: reads of the supervision API are logged with it."""

    def __init__(self, url: Callable[[], str], outside: Outside, purpose: str = "console") -> None:
        self._url = url
        self._outside = outside
        self._purpose = purpose

    async def get(self, path: str, credentials: Credentials | None, **asked: Any) -> dict[str, Any]:
        """Return the answer. Raise `ApiProblem` for a refusal, `RetryableError` without an answer.

        `asked` are query parameters; those that are None or empty are left out.
        """
        return _answer(*await self._ask("GET", _with(path, asked), credentials, None))

    async def raw(self, path: str, credentials: Credentials | None, **asked: Any) -> bytes:
        """As `get`, the bytes of the answer as they came."""
        status, raw = await self._ask("GET", _with(path, asked), credentials, None)
        _answer(status, raw)
        return raw

    async def file(self, path: str, credentials: Credentials | None) -> bytes:
        """As `raw`, of an answer that is not JSON, up to `MAX_FILE_BYTES`."""
        status, raw = await self._ask("GET", path, credentials, None, MAX_FILE_BYTES)
        if status != 200:
            _answer(status, raw)
        if len(raw) > MAX_FILE_BYTES:
            raise RetryableError(f"the API's file has more than {MAX_FILE_BYTES} bytes")
        return raw

    async def post(self, path: str, credentials: Credentials | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """As `get`, with a body."""
        return _answer(*await self._ask("POST", path, credentials, msgspec.json.encode(body)))

    @asynccontextmanager
    async def events(
        self, path: str, credentials: Credentials, last_id: str
    ) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
        """Gives the events of a stream behind `last_id`, to its end: their ids and names.

        Raise `ApiProblem` for a refusal, `RetryableError` without an answer and when it breaks off.
        """
        headers = {PURPOSE: self._purpose, credentials.header: credentials.value}
        if last_id:
            headers["Last-Event-ID"] = last_id
        timeout = aiohttp.ClientTimeout(sock_connect=TIMEOUT_S, sock_read=SILENCE_S)
        try:
            async with self._outside.session.get(
                self._url().rstrip("/") + path, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    _answer(response.status, await response.content.read(MAX_ANSWER_BYTES))
                    raise RetryableError(f"the API answers a stream with status {response.status}")
                found = read_events(response.content.iter_any(), MAX_ANSWER_BYTES)
                yield ((event.id, event.name) async for event in found)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(f"the API's stream breaks off: {error or type(error).__name__}") from None

    async def _ask(
        self,
        method: str,
        path: str,
        credentials: Credentials | None,
        body: bytes | None,
        most: int = MAX_ANSWER_BYTES,
    ) -> tuple[int, bytes]:
        headers = {PURPOSE: self._purpose}
        if credentials is not None:
            headers[credentials.header] = credentials.value
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._outside.session.request(
                    method, self._url().rstrip("/") + path, headers=headers, data=body, allow_redirects=False
                ) as response,
            ):
                raw = bytearray()
                while len(raw) <= most and (more := await response.content.read(most)):
                    raw += more
                return response.status, bytes(raw)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(f"the API does not answer: {error or type(error).__name__}") from None


def _with(path: str, asked: Mapping[str, Any]) -> str:
    given = {name: str(value) for name, value in asked.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def _answer(status: int, raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_ANSWER_BYTES:
        raise RetryableError(f"the API's answer has more than {MAX_ANSWER_BYTES} bytes")
    try:
        found = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RetryableError(f"the API's answer (status {status}) is not a JSON object") from None
    if status >= 400:
        code = str(found.get("type", "problem")).rsplit(":", 1)[-1]
        raise ApiProblem(status, code, str(found.get("detail") or found.get("title") or f"status {status}"))
    return found


def segment(text: str) -> str:
    """One part of a path, such as an identifier with its colons and slashes."""
    return quote(text, safe="")
