"""A client with many connections, each as busy as it can be, of a kind: `python -m … PORT KIND COUNT`.

It says a line once all of them are there, and goes on until it is killed.
"""

import asyncio
import base64
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from typing import Final

ASK: Final = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE: Final = (
    b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
SUBSCRIBE: Final = b'{"id":1,"method":"subscribe","params":{"query":"tm.event=\'NewBlock\' AND block.height > %d"}}'


def frame(opcode: int, data: bytes = b"") -> bytes:
    """A client's WebSocket frame of less than 126 bytes (RFC 6455 section 5.2)."""
    return bytes((0x80 | opcode, 0x80 | len(data))) + bytes(4) + data


async def ask(reader: StreamReader, writer: StreamWriter) -> None:
    """One request after another."""
    while True:
        writer.write(ASK)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))


async def ask_ahead(reader: StreamReader, writer: StreamWriter) -> None:
    """Thousands of requests before the first answer."""
    await forever(reader, writer, ASK * 1_000)


async def half_send(reader: StreamReader, writer: StreamWriter) -> None:
    """A header and another, and never the last."""
    writer.write(ASK[:-2])
    while not reader.at_eof():
        await asyncio.sleep(0.1)
        writer.write(b"a: b\r\n")


async def leave(_: StreamReader, writer: StreamWriter) -> None:
    """Gone before the answer; then another connection."""
    writer.write(ASK)
    writer.transport.abort()


async def chunk(reader: StreamReader, writer: StreamWriter) -> None:
    """A body of chunks of a byte each."""
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n1\r\n" * 50_000)
    writer.write(b"0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")


async def ping(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    await forever(reader, writer, frame(9) * 2_000)


async def say_nothing(reader: StreamReader, writer: StreamWriter) -> None:
    """Empty messages over a WebSocket."""
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    await forever(reader, writer, frame(1) * 2_000)


async def subscribe(reader: StreamReader, writer: StreamWriter) -> None:
    """As many subscriptions as one connection has, and then a question after another."""
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"".join(frame(1, SUBSCRIBE % number) for number in range(5)))
    await forever(reader, writer, frame(1, b'{"id":1,"method":"status","params":{}}') * 100)


async def forever(reader: StreamReader, writer: StreamWriter, data: bytes) -> None:
    async def take() -> None:
        while await reader.read(65_536):
            pass

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        while not writer.is_closing():
            writer.write(data)
            await writer.drain()


KINDS: Final[dict[str, Callable[[StreamReader, StreamWriter], Awaitable[None]]]] = {
    one.__name__: one for one in (ask, ask_ahead, half_send, leave, chunk, ping, say_nothing, subscribe)
}


async def main(port: int, kind: str, count: int) -> None:
    there = asyncio.Barrier(count + 1)

    async def connection() -> None:
        first = True
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                if first:
                    await there.wait()
                    first = False
                await KINDS[kind](reader, writer)
                writer.transport.abort()
            except* (OSError, EOFError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(connection())
        await there.wait()
        print("there", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
