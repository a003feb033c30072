"""A CometBFT node's side of the ABCI socket, as far as tests need it: requests encoded by hand, answers read raw."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from core.proofs.cometbft.encoding import encode_timestamp
from core.proofs.protobuf import bytes_field, decode_fields, delimited, message_field, varint_field
from local_chains.consortium.engine.abci.server import next_message
from local_chains.consortium.engine.home import Genesis

ACCEPT, REJECT = 1, 2


def echo(text: str) -> bytes:
    return message_field(1, bytes_field(1, text.encode()))


def flush() -> bytes:
    return message_field(2, b"")


def info() -> bytes:
    return message_field(3, bytes_field(1, b"0.40.0") + varint_field(2, 11) + bytes_field(4, b"2.0.0"))


def init_chain(genesis: Genesis, app_state: bytes, chain_id: str | None = None) -> bytes:
    return message_field(
        5,
        message_field(1, encode_timestamp(genesis.time))
        + bytes_field(2, (chain_id or genesis.chain_id).encode())
        + message_field(3, b"")
        + bytes_field(5, app_state)
        + varint_field(6, 1),
    )


def query(key: bytes, height: int = 0, path: str = "/store", prove: bool = True) -> bytes:
    fields = bytes_field(1, key) + bytes_field(2, path.encode()) + varint_field(3, height) + varint_field(4, prove)
    return message_field(6, fields)


def check_tx(raw: bytes, again: bool = False) -> bytes:
    return message_field(8, bytes_field(1, raw) + varint_field(2, again))


def list_snapshots() -> bytes:
    return message_field(12, b"")


def offer_snapshot(snapshot: bytes, app_hash: bytes) -> bytes:
    return message_field(13, message_field(1, snapshot) + bytes_field(2, app_hash))


def load_snapshot_chunk(height: int, kind: int, chunk: int) -> bytes:
    return message_field(14, varint_field(1, height) + varint_field(2, kind) + varint_field(3, chunk))


def apply_snapshot_chunk(index: int, chunk: bytes, sender: str = "peer") -> bytes:
    body = varint_field(1, index) + bytes_field(2, chunk) + bytes_field(3, sender.encode())
    return message_field(15, body)


def commit() -> bytes:
    return message_field(11, b"")


def prepare_proposal(txs: Sequence[bytes], max_tx_bytes: int, height: int) -> bytes:
    body = varint_field(1, max_tx_bytes) + _entries(2, txs) + message_field(3, b"") + varint_field(5, height)
    return message_field(16, body)


def process_proposal(txs: Sequence[bytes], height: int, block_hash: bytes) -> bytes:
    return message_field(17, _block(txs, height, block_hash))


def finalize_block(txs: Sequence[bytes], height: int, block_hash: bytes) -> bytes:
    return message_field(20, _block(txs, height, block_hash))


def _block(txs: Sequence[bytes], height: int, block_hash: bytes) -> bytes:
    return _entries(1, txs) + message_field(2, b"") + bytes_field(4, block_hash) + varint_field(5, height)


def _entries(number: int, txs: Sequence[bytes]) -> bytes:
    return b"".join(message_field(number, tx) for tx in txs)


class Connection:
    """One of a node's connections."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._received = bytearray()

    async def __aenter__(self) -> Self:
        self._reader, self.writer = await asyncio.open_unix_connection(self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def ask(self, request: bytes) -> dict[int, list[bytes | int]]:
        """The fields of the answer's only member, by number."""
        self.send(request)
        return (await self.answer())[1]

    def send(self, *requests: bytes) -> None:
        self.writer.write(b"".join(delimited(request) for request in requests))

    async def answer(self) -> tuple[int, dict[int, list[bytes | int]]]:
        """(the member's number, its fields). Raise EOFError if the server has closed the connection."""
        while True:
            body, offset = next_message(self._received, 0)
            if body is not None:
                del self._received[:offset]
                [member] = decode_fields(body)
                assert isinstance(member.value, bytes)
                fields: dict[int, list[bytes | int]] = {}
                for field in decode_fields(member.value):
                    fields.setdefault(field.number, []).append(field.value)
                return member.number, fields
            chunk = await asyncio.wait_for(self._reader.read(65536), 10)
            if not chunk:
                raise EOFError
            self._received += chunk
