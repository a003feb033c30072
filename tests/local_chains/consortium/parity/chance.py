"""Requests by chance: those of the lists with some bytes changed, conditions joined into queries, any arguments."""

import json
from random import Random
from typing import Final

from local_chains.consortium.rpc.event_query import MAX_QUERY_BYTES
from tests.local_chains.consortium.parity.calls import (
    DATA,
    HASHES,
    INTEGERS,
    METHODS,
    REQUESTS,
    TX_HASHES,
    URI_HASHES,
    URI_INTEGERS,
    raw,
)
from tests.local_chains.consortium.parity.differences import Request, on_purpose
from tests.local_chains.consortium.parity.queries import ATTRIBUTES, BLOCKS, HEIGHTS, SEARCHES, TIMES, WORDS
from tests.local_chains.consortium.parity.transport import ASKS, Ask

MAX_CHARS: Final = 2_000
MAX_DRAWN_BYTES: Final = MAX_QUERY_BYTES - 4 * 64
"""Of a query in which hashes and addresses are still to be filled in."""
PIECES: Final = [
    *(bytes([byte]) for byte in b"\"\\{}[]:,0123456789abcdefxXeE+-. \t\n/%&=;?#\0\xff\xc3\xa9'<>_"),
    *(b"null", b"true", b"1e5", b"\\u0000", b"\\ud800", b'"height":"2"', b'"id":1', b"params", b"AND", b" EXISTS"),
    *(b"'x'", b"%00", b"%22"),
]
NAMES: Final = [
    *("height", "hash", "query", "page", "per_page", "prove", "path", "data", "order_by", "limit", "chunk"),
    *("minHeight", "maxHeight"),
]
CALLS: Final = [
    one
    for one in (*REQUESTS, *SEARCHES)
    if not on_purpose(one) and len(one) <= MAX_CHARS and "broadcast_tx_commit" not in str(one)
]
PLAIN: Final = [one for one in ASKS if isinstance(one, Ask) and len(one.body) <= MAX_CHARS]
QUERIES: Final = [*HEIGHTS, *ATTRIBUTES, *WORDS, *TIMES, *BLOCKS]
VALUES: Final = [*INTEGERS, *HASHES, *TX_HASHES, *DATA]


def drawn(chance: Random) -> Request:
    """A request that both sides read alike: a side's own hash is not the same query on the other."""
    while True:
        request = _drawn(chance)
        if not ("query" in str(request) and "{hash" in str(request)):
            return request


def _drawn(chance: Random) -> Request:
    kind = chance.random()
    if kind < 0.4:
        return _changed_call(chance)
    if kind < 0.65:
        return _query(chance)
    if kind < 0.8:
        ask = chance.choice(PLAIN)
        return Ask(ask.method, ask.target, changed(chance, ask.body) if ask.body else b"", ask.headers)
    return _arguments(chance)


def changed(chance: Random, body: bytes) -> bytes:
    """The bytes with some of them changed, left out or put in."""
    found = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        place = chance.randrange(len(found) + 1)
        found[place : place + chance.choice((0, 0, 1, 1, 2, 5))] = chance.choice((*PIECES, b"", b""))
    return bytes(found)


def _changed_call(chance: Random) -> Request:
    call = chance.choice(CALLS)
    if isinstance(call, bytes):
        return changed(chance, call)
    assert isinstance(call, str)
    text = changed(chance, call.encode()).decode("latin-1")
    # What a client can put into the first line of HTTP.
    return "".join(one if 32 < ord(one) < 127 and one != "#" else f"%{ord(one) & 255:02x}" for one in text)


def _query(chance: Random) -> bytes:
    query = " AND ".join(chance.sample(QUERIES, chance.choice((1, 2, 2, 3))))
    if chance.random() < 0.5:
        query = changed(chance, query.encode()).decode(errors="replace")
    query = query.encode()[:MAX_DRAWN_BYTES].decode(errors="ignore")
    method = chance.choice(("tx_search", "tx_search", "block_search"))
    return raw(method, json.dumps({"query": query, "per_page": "100"}))


def _arguments(chance: Random) -> Request:
    method = chance.choice(METHODS)
    if chance.random() < 0.5:
        values = (*URI_INTEGERS, *URI_HASHES)
        given = (f"{chance.choice(NAMES)}={chance.choice(values)}" for _ in range(chance.randrange(4)))
        return f"{method}?{'&'.join(given)}"
    if chance.random() < 0.2:
        return raw(method, f"[{','.join(chance.choice(VALUES) for _ in range(chance.randrange(6)))}]")
    named = (f'"{chance.choice(NAMES)}":{chance.choice(VALUES)}' for _ in range(chance.randrange(4)))
    return raw(method, f"{{{','.join(named)}}}")
