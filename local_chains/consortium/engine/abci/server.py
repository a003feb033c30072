"""The socket a CometBFT node speaks ABCI over: length-prefixed requests, answered strictly in their order.

A node opens four connections (consensus, mempool, query, snapshot). Each is served by itself, so that a query waits for
no block. Source: CometBFT spec "ABCI client and server", socket protocol.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import structlog

from core.model.errors import CausewayError, FatalError
from core.proofs.errors import MalformedProofError
from core.proofs.protobuf import MAX_VARINT_BYTES, decode_varint, delimited
from core.runtime.exhaustion import exhausted
from local_chains.consortium.engine.abci import messages, outcomes
from local_chains.consortium.engine.abci.application import LedgerApplication
from local_chains.consortium.engine.abci.plain import FLUSH, plain_check_tx
from local_chains.consortium.engine.home import MAX_GENESIS_BYTES

MAX_MESSAGE_BYTES: Final = MAX_GENESIS_BYTES + 16 * 1024 * 1024
"""The genesis file comes in one message; a block is far smaller."""
MAX_CONNECTIONS: Final = 16
CHUNK_BYTES: Final = 256 * 1024
TURN_S: Final = 0.002
"""How long answers are computed before other connections have their turn, a block's among them."""
WRITTEN_TURNS: Final = 5
"""Turns after which answers are written, even if more requests are here."""
LARGE_BYTES: Final = 64 * 1024
"""Longer requests are read in another thread."""

_FLUSHED: Final = delimited(messages.flush())

_log = structlog.get_logger(__name__)


class AbciServer:
    """`application` behind a Unix socket. `failed` ends with the error after which the application cannot go on."""

    def __init__(self, application: LedgerApplication) -> None:
        self._application = application
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, path: Path) -> None:
        """Listen at `path`, in a directory of this user's only. Raise `FatalError` if that cannot be."""
        try:
            self._server = await asyncio.start_unix_server(self._serve, path)
        except OSError as error:
            raise FatalError(f"cannot listen on {path}: {error.strerror or error}") from error

    async def stop(self) -> None:
        """Close all connections; what is not committed CometBFT will ask for again."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        # Whoever did not wait for it gets no warning that nobody did.
        if not self.failed.cancel() and not self.failed.cancelled():
            self.failed.exception()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._answer_all(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                received += chunk
                await self._answer(received, writer)
        except MalformedProofError as error:
            _log.error("not a node's connection", reason=error.message)
            writer.write(delimited(messages.exception(error.message)))
        except CausewayError as error:
            _log.error("the application cannot go on", reason=error.message)
            writer.write(delimited(messages.exception(error.message)))
            self._fail(error)
        except (MemoryError, OSError, RuntimeError) as error:
            said = exhausted(error, "the ledger")
            if said is None:
                raise
            # Nothing is answered: the node must not take this for the application's word.
            self._fail(said)

    def _fail(self, error: CausewayError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def _answer(self, received: bytearray, writer: asyncio.StreamWriter) -> None:
        """Answer what is complete in `received`, and take it out.

        Answers that are quickly made are written together: each write is a system call, and wakes the node.
        """
        offset, turn, turns = 0, time.monotonic(), 0
        answers = bytearray()
        while True:
            body, offset = next_message(received, offset)
            if body is None:
                break
            transaction = plain_check_tx(body)
            if transaction is not None:
                answers += delimited(outcomes.check_tx(self._application.check_tx(transaction)))
            elif body == FLUSH:
                answers += _FLUSHED
            else:
                # What came before it does not wait for it.
                writer.write(answers)
                answers = bytearray()
                answers += delimited(await self._application.answer(await _read(body)))
                # However many queries come at once, a block waits for one of them.
                await asyncio.sleep(0)
            if time.monotonic() - turn > TURN_S:
                turns += 1
                if turns % WRITTEN_TURNS == 0:
                    writer.write(answers)
                    answers = bytearray()
                    await writer.drain()
                await asyncio.sleep(0)
                turn = time.monotonic()
        del received[:offset]
        writer.write(answers)
        await writer.drain()


async def _read(body: bytes) -> messages.Request:
    if len(body) > LARGE_BYTES:
        return await asyncio.to_thread(messages.decode_request, body)
    return messages.decode_request(body)


def next_message(received: bytearray, offset: int) -> tuple[bytes | None, int]:
    """The message that begins at `offset` and where the next one begins; None while it is not all there.

    Raise `MalformedProofError` for a malformed length, or one beyond `MAX_MESSAGE_BYTES`.
    """
    head = bytes(received[offset : offset + MAX_VARINT_BYTES])
    if not any(byte < 0x80 for byte in head) and len(head) < MAX_VARINT_BYTES:
        return None, offset
    length, width = decode_varint(head, 0)
    if length > MAX_MESSAGE_BYTES:
        raise MalformedProofError("a message is too long", length=length, limit=MAX_MESSAGE_BYTES)
    end = offset + width + length
    if end > len(received):
        return None, offset
    return bytes(received[offset + width : end]), end
