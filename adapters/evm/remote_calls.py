"""One bounded HTTP request to a signer on another machine."""

import asyncio
from typing import Final

import aiohttp

from adapters.observed import origin, reason_of
from core.model.errors import RetryableError

TIMEOUT_S: Final = 5.0


async def ask_signer(url: str, method: str, path: str, most: int, body: bytes | None = None) -> bytes:
    """Return the body of an answer with status 200, of at most `most` bytes. Redirects are not followed.

    Raise `RetryableError` for every other answer, and for none within `TIMEOUT_S`.
    """
    headers = {} if body is None else {"Content-Type": "application/json"}
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            aiohttp.ClientSession() as session,
            session.request(method, url + path, data=body, headers=headers, allow_redirects=False) as response,
        ):
            raw = await response.content.read(most + 1)
            while len(raw) <= most and (more := await response.content.read(most + 1 - len(raw))):
                raw += more
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise RetryableError(f"the signer at {origin(url)} does not answer: {reason_of(error)}") from error
    if status != 200 or len(raw) > most:
        raise RetryableError(f"the signer at {origin(url)} answers {status} and {len(raw)} bytes")
    return raw
