"""Requests to a CometBFT node, right and wrong: a body for POST as bytes, a path for GET as text.

`{hash}` stands for a block's hash in hex, `{hash64}` in base64, `{tx}`, `{TX}`, `{tx64}` for a transaction's, `{raw64}`
and `{rawhex}` for its bytes, `{late64}` for bytes that no ledger takes.
"""

import json
from collections.abc import Iterator
from typing import Any


def rpc(method: str, params: Any = None, request_id: Any = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()


def raw(method: str, params: str) -> bytes:
    return f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}'.encode()


INTEGERS = [
    '"2"',
    "2",
    "2.0",
    "2e0",
    '"+2"',
    '"1_0"',
    '"02"',
    '" 2"',
    '"2 "',
    '"-2"',
    '"0"',
    '"0x2"',
    '""',
    '"٢"',
    "null",
    "true",
    '"99999"',
    '"9223372036854775807"',
    '"9223372036854775808"',
    '"-9223372036854775808"',
    "[]",
    "{}",
    '"null"',
    '"2.0"',
]
URI_INTEGERS = [
    "2",
    '"2"',
    "+2",
    "%2B2",
    "1_0",
    "02",
    "-2",
    "0",
    "0x2",
    '""',
    "",
    "null",
    "true",
    "99999",
    "9223372036854775807",
    "9223372036854775808",
    "2.0",
    "%202",
    "'2'",
    "x",
]
HASHES = [
    '"{hash}"',
    '"{hash64}"',
    '"0x{hash}"',
    '""',
    '"zz"',
    '"abc"',
    "null",
    "7",
    "[]",
    '"AA=="',
    '"AA"',
    '"AA=\\n"',
    '"AB=="',
]
TX_HASHES = ['"{tx64}"', '"{tx}"', '"{TX}"', '"0x{tx}"', '""', '"AAAA"', '"AA"', "null", "1", "[1,2]", "[300]"]
URI_HASHES = [
    "0x{hash}",
    "0X{hash}",
    "{hash}",
    '"{hash}"',
    '"{hash64}"',
    "{hash64}",
    "0x",
    "0xzz",
    "0xabc",
    "",
    '""',
    "7",
]
DATA = ['"636c6f636b"', '"0x636c6f636b"', '"Y2xvY2s="', '"636C6F636B"', '""', '"6"', "null", "7"]


def requests() -> Iterator[str | bytes]:
    # Methods as they are meant.
    for method in METHODS:
        yield rpc(method, {})
        yield rpc(method)
        yield rpc(method, [])
        yield method
    # 64-bit integers.
    for text in INTEGERS:
        yield raw("block", f'{{"height":{text}}}')
        yield raw("block", f"[{text}]")
        yield raw("validators", f'{{"page":{text}}}')
    for text in URI_INTEGERS:
        yield f"block?height={text}"
        yield f"validators?page={text}"
        yield f"blockchain?minHeight={text}&maxHeight=3"
    for text in ['"0"', '"1"', "0", '"-1"', '"+0"', '"9"', '"18446744073709551616"']:
        yield raw("genesis_chunked", f'{{"chunk":{text}}}')
        yield f"genesis_chunked?chunk={text}"
    for text in ['"1"', '"0"', '"-1"', '"101"', "1", '"x"']:
        yield raw("validators", f'{{"per_page":{text}}}')
        yield raw("unconfirmed_txs", f'{{"limit":{text}}}')
    for low, high in [("1", "3"), ("3", "1"), ("-1", "3"), ("0", "0"), ("1", "99999"), ("99999", "99999")]:
        yield raw("blockchain", f'{{"minHeight":"{low}","maxHeight":"{high}"}}')
    for method in ("commit", "header", "block_results", "consensus_params", "validators"):
        for text in ('"1"', '"0"', '"99999"', "1"):
            yield raw(method, f'{{"height":{text}}}')
        yield f"{method}?height=1"
        yield f"{method}?height=99999"
    # Hashes, data and transactions.
    for text in HASHES:
        yield raw("block_by_hash", f'{{"hash":{text}}}')
        yield raw("header_by_hash", f'{{"hash":{text}}}')
    for text in TX_HASHES:
        yield raw("tx", f'{{"hash":{text}}}')
    for text in URI_HASHES:
        yield f"block_by_hash?hash={text}"
        yield f"header_by_hash?hash={text}"
    for text in ["0x{tx}", "{tx}", '"{tx}"', "{tx64}", "", "0x"]:
        yield f"tx?hash={text}"
        yield f"tx?hash={text}&prove=true"
    for text in DATA:
        yield raw("abci_query", f'{{"path":"/store","data":{text}}}')
    for text in ['"clock"', "0x636c6f636b", "clock", "0x", "636c6f636b"]:
        yield f'abci_query?path="/store"&data={text}'
    for path in ['"/store"', '"/key"', '"/none"', "7", "null", '""']:
        yield raw("abci_query", f'{{"path":{path},"data":"636c6f636b"}}')
    for path in ['"/store"', "/store", "0x2f73746f7265", '""', "7"]:
        yield f"abci_query?path={path}&data=0x636c6f636b"
    for flag in ["true", "false", '"true"', "1", "0", "null", "[]"]:
        yield raw("abci_query", f'{{"path":"/store","data":"636c6f636b","height":"3","prove":{flag}}}')
        yield f'abci_query?path="/store"&data=0x636c6f636b&height=3&prove={flag}'
        yield raw("tx", f'{{"hash":"{{tx64}}","prove":{flag}}}')
    for text in ['"{raw64}"', '"{rawhex}"', '"0x{rawhex}"', '"AAAA"', '""', "null", "7", '"?"', '"{late64}"', '"AB=="']:
        for method in ("broadcast_tx_sync", "check_tx"):
            yield raw(method, f'{{"tx":{text}}}')
        yield f"check_tx?tx={text}"
    # Searches.
    for query in [
        "tx.height=3",
        "tx.height > 0",
        "",
        "x",
        "tx.hash='{TX}'",
        "tx.hash='zz'",
        "a.b EXISTS",
        "a = ",
        "OR",
    ]:
        yield raw("tx_search", f'{{"query":"{query}"}}')
        yield raw("block_search", f'{{"query":"{query}"}}')
    for order in ["asc", "desc", "", "up"]:
        yield raw("tx_search", f'{{"query":"tx.height > 0","order_by":"{order}"}}')
        yield raw("block_search", f'{{"query":"block.height > 0","order_by":"{order}"}}')
    yield 'tx_search?query="tx.height>0"&page=1&per_page=2'
    yield 'tx_search?query="tx.height>0"&page=99999'
    yield "tx_search?query=tx.height>0"
    yield raw("tx_search", '{"query":7}')
    # Envelopes.
    yield from (
        b"",
        b"{",
        b"7",
        b"null",
        b"[]",
        b"{}",
        b'"x"',
        b"\xff",
        b"true",
        b"[" * 3_000,
        b"[7]",
        b"[null]",
        b"[[]]",
    )
    request_id: Any
    for request_id in (1, 0, -1, "x", "", 1.0, 1.5, 2**53, True, [], {}):
        yield rpc("health", {}, request_id)
    yield b'{"jsonrpc":"2.0","method":"health"}'
    yield b'{"jsonrpc":"2.0","id":null,"method":"health"}'
    yield b'{"jsonrpc":"1.0","id":1,"method":"health"}'
    yield b'{"id":1,"method":"health"}'
    yield b'{"jsonrpc":"2.0","id":1}'
    yield b'{"jsonrpc":"2.0","id":1,"method":7}'
    yield b'{"jsonrpc":"2.0","id":1,"method":""}'
    yield b'{"jsonrpc":2,"id":1,"method":"health"}'
    yield b'{"JSONRPC":"2.0","ID":1,"Method":"health"}'
    for params in ('"x"', "7", "true", "null", "[1]", '{"unknown":1}', '{"Height":"2"}', '["2","3"]', "[null]"):
        yield raw("block", params)
    for params in ('["/store"]', '["/store","636c6f636b","0",false]', '["/store","636c6f636b","0"]', "[]"):
        yield raw("abci_query", params)
    one = rpc("health", {}).decode()
    yield f"[{one}]".encode()
    yield f"[{one},{one}]".encode()
    yield f'[{one},{{"jsonrpc":"2.0","method":"health"}}]'.encode()
    yield f"[{one},7]".encode()
    yield f"[{one},{{}}]".encode()
    yield ("[" + ",".join([one] * 10) + "]").encode()
    yield ("[" + ",".join([one] * 11) + "]").encode()
    # What is not there, or belongs to a WebSocket.
    for method in (
        "nope",
        "",
        "subscribe",
        "unsubscribe",
        "unsubscribe_all",
        "dial_seeds",
        "unsafe_flush_mempool",
        "Block",
    ):
        yield rpc(method, {})
        yield method or "?x=1"
    yield from (
        "block/",
        "block/1",
        "nope/nope",
        "block?height=2&height=3",
        "block?Height=2",
        "health?x=1",
        "websocket",
    )


METHODS = (
    "health",
    "status",
    "net_info",
    "genesis",
    "genesis_chunked",
    "block",
    "block_results",
    "blockchain",
    "header",
    "commit",
    "validators",
    "consensus_params",
    "abci_info",
    "unconfirmed_txs",
    "num_unconfirmed_txs",
    "consensus_state",
    "dump_consensus_state",
    "block_by_hash",
    "header_by_hash",
    "tx",
    "broadcast_evidence",
    "abci_query",
    "check_tx",
    "tx_search",
    "block_search",
)

REQUESTS = list(dict.fromkeys(requests()))


QUIET = "tm.event = 'None'"
MESSAGES = [
    rpc("health", {}),
    rpc("health"),
    rpc("health", {}, "x"),
    rpc("health", {}, 1.5),
    rpc("health", {}, True),
    rpc("nope", {}),
    rpc("block", {"height": "2"}),
    rpc("block", {"height": 2}),
    rpc("header_by_hash", {"hash": "zz"}),
    *(b"{", b"7", b"[]", b'"x"', b"[" + rpc("health", {}) + b"]"),
    rpc("subscribe", {}),
    rpc("subscribe", {"query": 7}),
    rpc("subscribe", {"query": ""}),
    rpc("subscribe", {"query": "x"}),
    rpc("subscribe", {"query": "a" * 600}),
    rpc("subscribe", {"query": "tm.event = 'NewBlock' AND"}),
    rpc("subscribe", []),
    rpc("subscribe", [QUIET, 1]),
    rpc("unsubscribe_all", {}),
    rpc("subscribe", {"query": QUIET}),
    rpc("subscribe", {"query": QUIET}),
    rpc("subscribe", [QUIET]),
    rpc("unsubscribe", {}),
    rpc("unsubscribe", {"query": "x"}),
    rpc("unsubscribe", {"query": QUIET}),
    rpc("unsubscribe", {"query": QUIET}),
    rpc("subscribe", [QUIET], "again"),
    rpc("unsubscribe_all"),
    rpc("unsubscribe_all", {}),
]
"""Messages to a WebSocket, in this order on one connection."""
