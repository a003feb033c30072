"""Server-sent events as a client reads them (WHATWG HTML, "Parsing an event stream"), bounded in bytes."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Final

from core.model.errors import RetryableError

END: Final = "end"
"""The last event of our streams."""
MAX_NAME_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. `data` is what the server says: look at it before it is believed."""

    id: str
    name: str
    data: bytes


async def read_events(parts: AsyncIterable[bytes], max_bytes: int) -> AsyncIterator[ServerEvent]:
    """The events of a stream as its bytes come. Raise `RetryableError` for an event longer than `max_bytes`."""
    waiting, fields, size = bytearray(), dict[bytes, list[bytes]](), 0
    async for part in parts:
        searched = max(0, len(waiting) - 1)
        waiting += part
        while (end := waiting.find(b"\n", searched)) >= 0:
            line, searched = bytes(waiting[:end]).removesuffix(b"\r"), 0
            del waiting[: end + 1]
            size += len(line)
            if line:
                _take(fields, line)
            elif b"data" in fields:
                # Several lines of data are joined as the standard says.
                yield ServerEvent(_name(fields, b"id"), _name(fields, b"event"), b"\n".join(fields[b"data"]))
            if not line:
                fields, size = {}, 0
            if size > max_bytes:
                break
        if size + len(waiting) > max_bytes:
            raise RetryableError(f"an event of the stream is longer than {max_bytes} bytes")


def _take(fields: dict[bytes, list[bytes]], line: bytes) -> None:
    """One line of an event. A comment is left out."""
    name, _, value = line.partition(b":")
    if name in (b"id", b"event", b"data"):
        fields.setdefault(name, []).append(value.removeprefix(b" "))


def _name(fields: dict[bytes, list[bytes]], name: bytes) -> str:
    return fields.get(name, [b""])[-1].decode("utf-8", "replace")[:MAX_NAME_CHARS]
