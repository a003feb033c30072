"""A validator's remote signer whose ed25519 signatures have a part of small order in R: good by ZIP-215 alone.

`python -m tests.local_chains.consortium.abci.torsion_signer SOCKET KEY_FILE`; a node connects to it if its
`priv_validator_laddr` names the socket. Source: CometBFT `proto/tendermint/privval/types.proto`.
"""

import socket
import sys
import time
from pathlib import Path
from typing import Any

from core.proofs.protobuf import (
    bytes_field,
    decode_fields,
    decode_varint,
    delimited,
    message_field,
    sfixed64_field,
    varint_field,
)
from local_chains.consortium.engine.home import load_consensus_key
from tests.core.proofs.test_zip215 import torsioned

PROPOSAL = 32


def fields(raw: bytes) -> dict[int, Any]:
    return {field.number: field.value for field in decode_fields(raw)}


def vote_bytes(vote: dict[int, Any], chain_id: bytes) -> bytes:
    block_id = vote.get(4, b"")
    named = message_field(4, block_id) if fields(block_id).get(1) else b""
    return delimited(
        varint_field(1, vote[1])
        + sfixed64_field(2, vote[2])
        + sfixed64_field(3, vote.get(3, 0))
        + named
        + message_field(5, vote[5])
        + bytes_field(6, chain_id)
    )


def proposal_bytes(proposal: dict[int, Any], chain_id: bytes) -> bytes:
    return delimited(
        varint_field(1, PROPOSAL)
        + sfixed64_field(2, proposal[2])
        + sfixed64_field(3, proposal.get(3, 0))
        + varint_field(4, proposal.get(4, 0))
        + message_field(5, proposal[5])
        + message_field(6, proposal[6])
        + bytes_field(7, chain_id)
    )


def signed(raw: bytes, place: int, signature: bytes) -> bytes:
    """The message with its signature in the field `place`."""
    kept = b""
    for field in decode_fields(raw):
        if field.number == place:
            continue
        value = field.value
        kept += varint_field(field.number, value) if isinstance(value, int) else message_field(field.number, value)
    return kept + bytes_field(place, signature)


def answer(request: bytes, seed: bytes, public_key: bytes) -> bytes:
    [member] = decode_fields(request)
    assert isinstance(member.value, bytes)
    asked = fields(member.value)
    if member.number == 1:
        return message_field(2, message_field(1, message_field(1, public_key)))
    if member.number == 3:
        signature = torsioned(seed, vote_bytes(fields(asked[1]), asked[2]))
        return message_field(4, message_field(1, signed(asked[1], 8, signature)))
    if member.number == 5:
        signature = torsioned(seed, proposal_bytes(fields(asked[1]), asked[2]))
        return message_field(6, message_field(1, signed(asked[1], 7, signature)))
    return message_field(8, b"")


def serve(connection: socket.socket, seed: bytes, public_key: bytes) -> None:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
        while received:
            length, start = decode_varint(received, 0)
            if len(received) < start + length:
                break
            connection.sendall(delimited(answer(received[start : start + length], seed, public_key)))
            received = received[start + length :]


def main(path: str, key_file: str) -> None:
    key = load_consensus_key(Path(key_file))
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(path)
                serve(connection, key.secret, key.public_key.data)
            except OSError:
                time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:3])
