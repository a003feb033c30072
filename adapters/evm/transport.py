"""The way to one endpoint: bytes of JSON-RPC there and back over HTTP. What they say is for `adapters.evm.rpc`."""

import time
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from adapters.evm.errors import printable
from adapters.evm.words import Refusal
from adapters.observed import origin, reason_of
from adapters.rates import retry_after_s
from core.model.errors import RetryableError, UnclearRefusalError

MAX_REFUSAL_BYTES: Final = 1024 * 1024
"""Of a body with an HTTP status that is not a success."""
MAX_CONNECTIONS: Final = 16
MAX_MESSAGE_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response: 200 stands for every success. `retry_after_s` is what the endpoint asks to wait, if it does."""

    status: int
    body: bytes = field(repr=False)
    retry_after_s: float | None


class HttpTransport:
    """Requests to `url`, each within `timeout_s`. Safe to use from many tasks."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, body: bytes, most_bytes: int) -> Reply:
        """One request and its reply. Raise `RetryableError` if none comes, `UnclearRefusalError` for a success whose
        body is longer than `most_bytes`; other bodies are cut off."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
            )
        try:
            async with self._session.post(
                self._url, data=body, headers={"content-type": "application/json"}
            ) as response:
                asked_s = retry_after_s(response.headers.get("Retry-After"), time.time())
                ok = 200 <= response.status < 300
                raw = await _read_bounded(response, most_bytes if ok else MAX_REFUSAL_BYTES, ok)
                return Reply(200 if ok else response.status, raw, asked_s)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # ValueError: what a server sent as headers, or in an encoding that it does not have.
            detail = printable(reason_of(error))[:MAX_MESSAGE_CHARS]
            raise RetryableError(f"{origin(self._url)} cannot be reached: {detail}") from error


async def _read_bounded(response: aiohttp.ClientResponse, most_bytes: int, complete: bool) -> bytes:
    """The body. One that is longer raises `UnclearRefusalError`, or is cut off if it need not be `complete`."""
    parts: list[bytes] = []
    total = 0
    async for part in response.content.iter_any():
        total += len(part)
        if total > most_bytes:
            if not complete:
                break
            raise UnclearRefusalError(
                f"an answer of more than {most_bytes} bytes was cut off",
                limit=most_bytes,
                refusal=Refusal.UNCLEAR.value,
            )
        parts.append(part)
    return b"".join(parts)
