"""Calls of a CometBFT node's methods, right and wrong: a body for POST as bytes, a path for GET as text.

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
    yield from SPELLINGS
    yield from ODD_CALLS
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

HEALTH = rpc("health", {})
SPELLINGS: list[str | bytes] = [
    *(b" " + HEALTH, HEALTH + b" ", HEALTH + b"x", HEALTH + HEALTH, b"\xef\xbb\xbf" + HEALTH),
    HEALTH.replace(b'"2.0"', b'"\\ud800"'),
    HEALTH.replace(b'"health"', b'"h\xff"'),
    HEALTH.replace(b'"health"', b'"heal\\u0074h"'),
    b'{"jsonrpc":"2.0","id":1,"method":"health","method":"nope"}',
    b'{"jsonrpc":"2.0","id":1,"id":2,"method":"health","params":{}}',
    b'{"ID":7,"id":8,"method":"health","params":{}}',
    b'{"id":8,"ID":7,"method":"health","params":{}}',
    b'{"id":null}',
    b'{"id":"a","method":"health","params":{},"extra":[1,{"x":2}]}',
    b'{"id":1,"method":null,"params":{}}',
    b'{"id":1,"method":"health","params":{},}',
    b'{"id":1,"method":"health","params":{}}//',
    b"{'id':1}",
    b'[{"id":1,"method":"health","params":{}}',
    *(
        b'{"id":%b,"method":"health","params":{}}' % number
        for number in (
            *(b"1e3", b"-0", b"1e400", b"01", b"NaN", b"9007199254740993", b"9223372036854775807"),
            *(b"-9223372036854775808", b"9223372036854774784", b'"\\ud800"', b'"\xff"', b'"<>&\\u2028"'),
            *(
                '"é\u2028<&>\x7f"'.encode(),
                b'"\\u0000\\b\\f\\n\\/"',
                b'"\\\\ud800"',
                b'"\\ud83d\\ude00"',
                b'"\xe2\x82"',
            ),
        )
    ),
    b"[" * 20_000,
    b'{"id":1,"method":"block","params":' + b"[" * 12_000 + b"]" * 12_000 + b"}",
    b'{"id":1,"method":"block","params":{"height":"2","height":"3"}}',
    b'{"id":1,"method":"block","params":{"x":"2","height":"3"}}',
    b'{"id":1,"method":"block","params":{"height":"\\u0032"}}',
    b'{"id":1,"method":"block","params":{"height":"2","\\u0068eight":"3"}}',
    b'{"id":1,"method":"block","params":{"height": "2" }}',
    b'{"id":1,"method":"block","params":{"height":"2"}, "params":{"height":"3"}}',
    b'{"id":1,"method":"header_by_hash","params":{"hash":"\\u0061b"}}',
    b"[" + b",".join([b"null"] * 11) + b"]",
    b"[" + b",".join([b"7"] * 11) + b"]",
    b"[" + b",".join([b'{"method":"health"}'] * 11) + b"]",
    b"[" + b",".join([b'{"method":"health"}'] * 3) + b"]",
    b'[{"id":1,"method":"health","params":{}},{"id":1,"method":"nope","params":{}},'
    b'{"id":2,"method":"block","params":{"height":2}}]',
]
"""Requests that JSON can spell in more than one way, or not at all."""
LONG_TX = {"tx": "A" * 100_000}
ODD_CALLS: list[str | bytes] = [
    *(raw("health", params) for params in ('{"a":1}', "[1]", "[[]]")),
    rpc("status", [None]),
    rpc("block", {"height": None}),
    *(rpc("unconfirmed_txs", {"limit": limit}) for limit in (None, "-5", "99999999999999999999")),
    *(
        rpc("tx", {"hash": name})
        for name in ([], [1], "AAAA\n", "AA AA", "AAA", "AAA=", "AAAA====", "A===", "-_-_", "\ud800")
    ),
    *(
        rpc("abci_query", {"path": path, "data": data})
        for path in ("/store", "/nope", "store", "/store/", "x" * 300, "é", "\ud800")
        for data in ("636c6f636b", "00", "")
    ),
    *(
        rpc("abci_query", {"path": "/store", "data": "636c6f636b", "height": height, "prove": prove})
        for height in ("99999", "-1", "1", "5")
        for prove in (True, False)
    ),
    *(
        rpc("abci_query", {"path": path, "data": "62616e6b2f6163636f756e742f{ann}", "height": "5", "prove": True})
        for path in ("/store", "/key", "/ics23")
    ),
    rpc("abci_query", {"path": "/store", "data": "ff", "height": "2", "prove": True}),
    rpc("abci_query", {"path": "/ics23", "data": "ff", "height": "2", "prove": True}),
    rpc("abci_query", {"path": "/store", "data": "00" * 3_000}),
    *("abci_query", "abci_query?path=", "abci_query?data=0x00", 'abci_query?path="\\ud800"&data=0x00'),
    *(rpc(f"broadcast_tx_{kind}", LONG_TX) for kind in ("sync", "async", "commit")),
    rpc("check_tx", LONG_TX),
    *(rpc("broadcast_tx_commit", {"tx": name}) for name in ("{raw64}", "{late64}", "AAAA", None)),
    *(rpc("broadcast_tx_sync", {"tx": value}) for value in (None, [], [1, 2, 3])),
    *("broadcast_tx_sync", "broadcast_tx_async", "check_tx", "broadcast_tx_sync?tx=0x", 'broadcast_tx_sync?tx=""'),
    *("broadcast_tx_async?tx=0x00", "broadcast_tx_commit?tx=0x00"),
    *("broadcast_tx_commit?tx=0x{rawhex}", "broadcast_tx_async?tx=0x{rawhex}"),
    *(f"tx?hash=0x{'00' * length}" for length in (1, 32, 100)),
    *("tx?hash=0x{tx}&prove=true", "block_by_hash?hash=0x00"),
    *(f"validators?height=1&{more}" for more in ("per_page=0", "per_page=1000", "page=0", "page=2", "page=-1")),
    *('validators?height="1"', "validators?height=99999&page=77", "genesis?x=1"),
    *("genesis_chunked?chunk=1", "genesis_chunked?chunk=-1", "genesis_chunked?chunk=18446744073709551616"),
    *(
        f"blockchain?{more}"
        for more in ("minHeight=1&maxHeight=2", "maxHeight=2", "minHeight=99999", "minHeight=2&maxHeight=2")
    ),
    f"blockchain?minHeight={2**63 - 1}&maxHeight={2**63 - 1}",
    *(f"{method}?height={height}" for method in ("block", "block_results", "commit", "header") for height in range(6)),
]

REQUESTS = list(dict.fromkeys(requests()))
