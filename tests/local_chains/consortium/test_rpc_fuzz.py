"""Any bytes to the RPC, by POST, in a URI and over a WebSocket: an answer each time, never a failure inside."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import strategies as st

from core.model.consortium import Transfer, account_key, quantity
from core.proofs.cometbft.json import bytes_to_base64
from local_chains.consortium.engine.home import init_home
from local_chains.consortium.node import ConsortiumNode, Pace
from local_chains.consortium.rpc.methods import Methods
from tests.local_chains.consortium.fuzzing import fuzz
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN

INSIDE: Final = "the node failed to answer"
"""The error that a caller sees if a method raised what nobody foresaw."""
TX: Final = bytes_to_base64(ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1))))
WORDS: Final = (
    "1", "0", "-1", "2", "", "0x00", "9223372036854775807", "9223372036854775808", TX, account_key(ANN.address).hex(),
    "/store", "/ics23", "tm.event='Tx'", "tx.height=1", "bank.transfer.amount EXISTS", "tx.height>=1 AND tx.height<=2",
    "asc", "desc", "\ud800", "\0", "٢", "1e9", "null", "tx.hash='00'", "block.height CONTAINS '1'",
)  # fmt: skip
NAMES: Final = ("height", "hash", "tx", "query", "page", "per_page", "prove", "path", "data", "order_by", "limit",
                "minHeight", "maxHeight", "chunk")  # fmt: skip

texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=4,
)
parameters = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), st.one_of(texts, values), max_size=4), st.lists(values, max_size=5), values
)


def request_of(methods: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "jsonrpc": st.just("2.0"),
            "id": st.one_of(st.just(1), values),
            "method": st.one_of(st.sampled_from(methods), texts),
            "params": parameters,
        }
    )


def changed(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    body = bytearray(raw)
    for place, length, put in edits:
        start = place % (len(body) + 1)
        body[start : start + length] = put
    return bytes(body)


INTERNAL: Final = (INSIDE.encode(), b"urn:causeway:problem:internal")
"""Words of an answer to what nobody foresaw."""
AT_ONCE: Final = 16
PATIENCE_S: Final = 0.2
ASK: Final = b'{"jsonrpc":"2.0","id":1,"method":"block","params":{"height":"1"}}'
LINES: Final = (
    b"GET /block?height=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //status HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 63\r\n\r\n" + ASK,
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3f\r\n" + ASK + b"\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: deflate\r\nContent-Length: 63\r\n\r\n" + ASK,
    b"PUT /block HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\n"
    b"height=1",
    b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\xbf\0\0\0\0" + ASK + b"\x89\x80\0\0\0\0\x88\x80\0\0\0\0",
)

edits = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), st.binary(max_size=3)), max_size=3)


def bodies(methods: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    one = request_of(methods)
    whole = st.one_of(one, one, st.lists(one, max_size=3)).map(lambda value: json.dumps(value).encode())
    return st.one_of(st.builds(changed, whole, edits), whole, st.binary(max_size=200))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[ConsortiumNode, asyncio.AbstractEventLoop]]:
    home = tmp_path / "chain"
    init_home(home, CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    loop = asyncio.new_event_loop()
    running = ConsortiumNode(home, pace=Pace(interval_s=0.2))
    loop.run_until_complete(running.__aenter__())
    yield running, loop
    loop.run_until_complete(running.__aexit__(None, None, None))
    loop.close()


@pytest.mark.endurance
def test_no_bytes_make_an_rpc_call_fail_inside(node: tuple[ConsortiumNode, asyncio.AbstractEventLoop]) -> None:
    running, loop = node
    # It waits for a block by design, 10 s if none comes.
    methods = tuple(sorted(Methods(running.engine).table.keys() - {"broadcast_tx_commit"}))
    uris = st.tuples(
        st.one_of(st.sampled_from(methods), texts),
        st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(texts, texts.map(lambda one: f'"{one}"'))), max_size=4),
    )
    asked = st.one_of(bodies(methods), bodies(methods), uris, st.tuples(st.just("websocket"), bodies(methods)))

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            await talk(session)

    async def talk(session: aiohttp.ClientSession) -> None:
        async def check(value: Any) -> None:
            if isinstance(value, bytes):
                async with session.post(running.rpc_url, data=value) as response:
                    assert INSIDE.encode() not in await response.read(), value
            elif value[0] == "websocket" and isinstance(value[1], bytes):
                async with session.ws_connect(running.websocket_url) as socket:
                    await socket.send_bytes(value[1])
                    await socket.send_json({"jsonrpc": "2.0", "id": 77, "method": "health", "params": {}})
                    answer = ""
                    while '"id":77' not in answer:
                        answer = await asyncio.wait_for(socket.receive_str(), 10)
                        assert INSIDE not in answer, value
            else:
                query = "&".join(f"{name}={quote(text, errors='replace')}" for name, text in value[1])
                path = quote(value[0], errors="replace")
                async with session.get(f"{running.rpc_url}/{path}?{query}") as response:
                    assert INSIDE.encode() not in await response.read(), value

        checks.append(check)
        await stop.wait()

    checks: list[Any] = []
    stop = asyncio.Event()
    talking = loop.create_task(run())
    loop.run_until_complete(asyncio.sleep(0.05))
    before = running.engine.tip.height
    assert fuzz(loop, checks[0], asked) > 50
    stop.set()
    loop.run_until_complete(talking)
    assert running.engine.tip.height > before, "blocks went on"


@pytest.mark.endurance
def test_no_bytes_on_a_connection_fail_inside(node: tuple[ConsortiumNode, asyncio.AbstractEventLoop]) -> None:
    """HTTP and WebSocket frames with some bytes changed: refused or answered, and the next connection is served."""
    running, loop = node
    port = int(running.rpc_url.rpartition(":")[2])

    async def talk(sent: bytes, patience_s: float = PATIENCE_S) -> bytes:
        """Return what is answered at once; much of what is sent is not a whole request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = b""
        try:
            async with asyncio.timeout(patience_s):
                writer.write(sent)
                while some := await reader.read(65_536):
                    answer += some
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()
        return answer

    async def check(sent: list[bytes]) -> None:
        for one, answer in zip(sent, await asyncio.gather(*map(talk, sent)), strict=True):
            assert not any(words in answer for words in INTERNAL), (one, answer)
            assert answer[:5] in (b"HTTP/", b""), (one, answer)

    for line in LINES:
        assert loop.run_until_complete(talk(line, 1.0)), line
    before = running.engine.tip.height
    one = st.one_of(st.builds(changed, st.sampled_from(LINES), edits), st.binary(max_size=200))
    assert fuzz(loop, check, st.lists(one, max_size=AT_ONCE)) > 5
    assert b"200 OK" in loop.run_until_complete(talk(LINES[0], 1.0))
    assert running.engine.tip.height > before, "blocks went on"
