"""The RPC as a client of CometBFT sees it: by POST, by URI, by WebSocket."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.model.consortium import (
    PROOF_OP,
    ResultCode,
    Transfer,
    account_key,
    decode_clock,
    event_from_attributes,
    quantity,
    transaction_hash,
)
from core.proofs import merkle
from core.proofs.cometbft import hashing
from core.proofs.cometbft.json import (
    block_from_json,
    block_id_from_json,
    signed_header_from_json,
    validator_set_from_json,
)
from core.proofs.cometbft.light_client import verify_commit, verify_signed_header
from core.proofs.ics23 import SMT_SPEC, decode_commitment_proof, verify_existence, verify_non_existence
from core.proofs.smt import decode_proof, verify_absence, verify_inclusion
from core.runtime.web import Cors, connections
from local_chains.consortium.engine.embedded import Pace
from local_chains.consortium.node import ConsortiumNode, init_home
from local_chains.consortium.rpc.errors import RpcError
from local_chains.consortium.rpc.event_query import parse_query
from local_chains.consortium.rpc.leniency import MAX_PAIRS, pairs, repaired
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN
from tests.support import eventually, vectors

ANSWER_S = 10.0


class Client:
    """JSON-RPC by POST."""

    def __init__(self, node: ConsortiumNode, session: aiohttp.ClientSession) -> None:
        self.node = node
        self.session = session

    async def post(self, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.node.rpc_url, data=data) as response:
            return await response.json()

    async def call(self, method: str, **params: Any) -> Any:
        answer = await self.post({"jsonrpc": "2.0", "id": "x", "method": method, "params": params})
        assert answer["id"] == "x"
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, **params: Any) -> Any:
        return (await self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))["error"]

    async def uri(self, path: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.node.rpc_url}/{path}") as response:
            return response.status, await response.json()

    async def pay(self, sequence: int, amount: int = 1) -> tuple[bytes, Any]:
        raw = ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(amount)))
        return raw, await self.call("broadcast_tx_commit", tx=base64.b64encode(raw).decode())


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    init_home(tmp_path / "chain", CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    node = ConsortiumNode(tmp_path / "chain", pace=Pace(interval_s=0.2, min_delay_s=0.02))
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with node, aiohttp.ClientSession(timeout=timeout) as session:
        found = Client(node, session)
        await eventually(lambda: node.engine.tip.height >= 2)
        yield found


async def test_a_transaction_is_committed_found_and_proven(client: Client) -> None:
    raw, sent = await client.pay(0, 7)
    assert sent["tx_result"]["code"] == 0
    height = int(sent["height"])
    found = await client.call("tx", hash=base64.b64encode(transaction_hash(raw)).decode(), prove=True)
    assert (found["height"], found["index"], base64.b64decode(found["tx"])) == (str(height), 1, raw)
    (event,) = found["tx_result"]["events"]
    moved = event_from_attributes(event["type"], {pair["key"]: pair["value"] for pair in event["attributes"]})
    assert (moved.amount, moved.receiver) == (7, BEN.address)  # type: ignore[union-attr]
    block = block_from_json((await client.call("block", height=str(height)))["block"])
    assert block.txs[1] == raw
    assert decode_clock(block.txs[0]) > 0
    proof = found["proof"]["proof"]
    merkle.verify(
        block.header.data_hash,
        transaction_hash(raw),
        merkle.MerkleProof(
            int(proof["total"]),
            int(proof["index"]),
            base64.b64decode(proof["leaf_hash"]),
            tuple(base64.b64decode(aunt) for aunt in proof["aunts"]),
        ),
    )
    results = await client.call("block_results", height=str(height))
    assert [entry["code"] for entry in results["txs_results"]] == [0, 0]
    for query in (f"tx.hash='{transaction_hash(raw).hex().upper()}'", f"tx.height = {height}"):
        assert raw in [base64.b64decode(tx["tx"]) for tx in (await client.call("tx_search", query=query))["txs"]]


async def test_headers_commits_and_validators_verify(client: Client) -> None:
    await client.pay(0)
    height = int((await client.call("status"))["sync_info"]["latest_block_height"])
    for asked in range(1, height + 1):
        signed = signed_header_from_json((await client.call("commit", height=str(asked)))["signed_header"])
        members = validator_set_from_json((await client.call("validators", height=str(asked)))["validators"])
        verify_signed_header(signed, CHAIN)
        verify_commit(CHAIN, members, signed.commit)
        answer = await client.call("block", height=str(asked))
        assert hashing.block_id(block_from_json(answer["block"])) == block_id_from_json(answer["block_id"])
        by_hash = base64.b64encode(bytes.fromhex(answer["block_id"]["hash"])).decode()
        assert await client.call("block_by_hash", hash=by_hash) == answer
        in_hex = await client.call("header_by_hash", hash=answer["block_id"]["hash"])
        assert in_hex["header"] == answer["block"]["header"]
        assert (await client.call("header", height=str(asked)))["header"] == answer["block"]["header"]
    metas = (await client.call("blockchain", minHeight="1", maxHeight=str(height)))["block_metas"]
    assert [int(meta["header"]["height"]) for meta in metas] == list(range(height, max(0, height - 20), -1))


async def test_only_the_newest_commit_may_still_change(client: Client) -> None:
    assert (await client.call("commit", height="1"))["canonical"] is True

    async def newest_is_not_canonical() -> bool:
        return (await client.call("commit"))["canonical"] is False

    await eventually(newest_is_not_canonical)


async def test_state_comes_with_its_proof(client: Client) -> None:
    await client.pay(0, 8)
    height = int((await client.call("status"))["sync_info"]["latest_block_height"])
    for key, there in ((account_key(BEN.address), True), (b"nothing", False)):
        answer = await client.call("abci_query", path="/store", data=key.hex(), height=str(height - 1), prove=True)
        response = answer["response"]
        assert (response["code"], response["height"]) == (0, str(height - 1))
        (op,) = response["proofOps"]["ops"]
        assert (op["type"], base64.b64decode(op["key"])) == (PROOF_OP, key)
        proof = decode_proof(base64.b64decode(op["data"]))
        header = (await client.call("header", height=str(height)))["header"]
        app_hash = bytes.fromhex(header["app_hash"])
        if there:
            verify_inclusion(app_hash, key, base64.b64decode(response["value"]), proof)
        else:
            assert response["value"] is None
            verify_absence(app_hash, key, proof)
    unproven = await client.call("abci_query", path="/key", data=account_key(BEN.address).hex())
    assert unproven["response"]["proofOps"] is None
    for key, there in ((account_key(BEN.address), True), (b"nothing", False)):
        answer = await client.call("abci_query", path="/ics23", data=key.hex(), height=str(height - 1), prove=True)
        (op,) = answer["response"]["proofOps"]["ops"]
        assert (op["type"], base64.b64decode(op["key"])) == ("ics23:smt", key)
        commitment = decode_commitment_proof(base64.b64decode(op["data"]))
        if there:
            value = base64.b64decode(answer["response"]["value"])
            verify_existence(SMT_SPEC, app_hash, key, value, commitment)
        else:
            assert answer["response"]["value"] is None
            verify_non_existence(SMT_SPEC, app_hash, key, commitment)
    for params in ({"path": "/else", "data": ""}, {"path": "/store", "data": "", "height": "999999"}):
        assert (await client.call("abci_query", **params))["response"]["code"] != 0


async def test_a_block_is_seen_whole_or_not_at_all(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its storing and its becoming the tip, a block's transactions still wait."""
    engine = client.node.engine
    raw = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1)))
    tx_hash = base64.b64encode(transaction_hash(raw)).decode()
    append = engine.store.append
    stored_meanwhile: list[tuple[str, Any, Any]] = []

    async def append_and_look(*arguments: Any) -> None:
        await append(*arguments)
        if await engine.store.transaction(transaction_hash(raw)) is not None and not stored_meanwhile:
            search = await client.call("tx_search", query=f"tx.hash = '{transaction_hash(raw).hex()}'")
            waiting = (await client.call("unconfirmed_txs"))["txs"]
            early = base64.b64encode(arguments[0].hash).decode()
            assert (await client.call("block_by_hash", hash=early))["block"] is None
            assert (await client.call("header_by_hash", hash=arguments[0].hash.hex()))["header"] is None
            stored_meanwhile.append(((await client.error("tx", hash=tx_hash))["data"], search["txs"], waiting))

    monkeypatch.setattr(engine.store, "append", append_and_look)
    await client.call("broadcast_tx_commit", tx=base64.b64encode(raw).decode())
    ((refusal, found, waiting),) = stored_meanwhile
    assert "not found" in refusal
    assert found == []
    assert waiting == [base64.b64encode(raw).decode()]
    block = await client.call("block", height=(await client.call("tx", hash=tx_hash))["height"])
    assert base64.b64encode(raw).decode() in block["block"]["data"]["txs"]


async def test_a_refused_transaction_says_why(client: Client) -> None:
    poor = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(10**9)))
    answer = await client.call("broadcast_tx_sync", tx=base64.b64encode(poor).decode())
    assert answer["code"] == ResultCode.INSUFFICIENT_FUNDS
    assert answer["log"].startswith("insufficient-funds: ")
    assert answer["codespace"] == "causeway"
    assert (await client.call("broadcast_tx_sync", tx="AAAA"))["code"] == ResultCode.MALFORMED
    raw, _ = await client.pay(0)
    again = await client.error("broadcast_tx_sync", tx=base64.b64encode(raw).decode())
    assert again == {"code": -32603, "message": "Internal error", "data": "tx already exists in cache"}


async def test_uris_take_hex_and_quoted_arguments(client: Client) -> None:
    raw = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1)))
    status, answer = await client.uri(f"broadcast_tx_sync?tx=0x{raw.hex()}")
    assert (status, answer["id"], answer["result"]["code"]) == (200, -1, 0)
    tx_hash = transaction_hash(raw)

    async def included() -> bool:
        return (await client.uri(f"tx?hash=0x{tx_hash.hex()}&prove=true"))[0] == 200

    await eventually(included)
    _, queried = await client.uri('abci_query?path="/store"&data="clock"&prove=false')
    assert len(base64.b64decode(queried["result"]["response"]["value"])) == 8
    _, block = await client.uri("block?height=1")
    assert block["result"]["block"]["header"]["height"] == "1"
    for path in ("block?height=0", "block?height=x", "tx?hash=zz", f"tx?hash=0x{'00' * 32}"):
        status, failed = await client.uri(path)
        assert (status, set(failed)) == (500, {"jsonrpc", "id", "error"})
    async with client.session.get(f"{client.node.rpc_url}/nothing") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 5_000, -32700),
        (b"7", -32700),
        (b'{"id":1}', -32601),
        (b'{"id":1,"method":"nope"}', -32601),
        (b'{"id":1,"method":"block","params":{"height":"x"}}', -32602),
        (b'{"id":1,"method":"block","params":{"height":1.5}}', -32602),
        (b'{"id":1,"method":"block","params":[1,2]}', -32602),
        (b'{"id":1,"method":"block","params":"1"}', -32602),
        (b'{"id":1,"method":"broadcast_tx_sync","params":{"tx":"?"}}', -32602),
        (b'{"id":1,"method":"block","params":{"height":"99999999999999999999"}}', -32602),
        (b'{"id":1,"method":"block","params":{"height":"0"}}', -32603),
        (b'{"id":1,"method":"block","params":{"height":"99999"}}', -32603),
        (b'{"id":1,"method":"validators","params":{"page":9}}', -32602),
        (b'{"id":1,"method":"validators","params":{"page":"9"}}', -32603),
        (b'{"id":true,"method":"health"}', -32700),
    ],
)
async def test_errors_have_cometbft_s_codes(client: Client, body: bytes, code: int) -> None:
    answer = await client.post(body)
    assert answer["error"]["code"] == code
    assert ("data" in answer["error"]) is (code != -32601)


async def test_batches_and_notifications(client: Client) -> None:
    health = {"jsonrpc": "2.0", "method": "health"}
    answers = await client.post([health | {"id": 1}, health, health | {"id": 2}])
    assert [answer["id"] for answer in answers] == [1, 2]
    assert (await client.post([health | {"id": 1}] * 11))["error"]["code"] == -32600


async def test_body_not_in_its_coding_is_refused(client: Client) -> None:
    for coding, status in (("gzip", 400), ("br", 415)):
        headers = {"Content-Encoding": coding}
        async with client.session.post(client.node.rpc_url, data=b"{}", headers=headers) as response:
            assert response.status == status
            assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        *(("/websocket", name, 400) for name in ("Upgrade", "Connection", "Sec-WebSocket-Version")),
        ("/websocket", "Sec-WebSocket-Key", 400),
        ("/websocket", "Sec-WebSocket-Protocol", 101),
        *(("/", name, status) for name, status in (("Host", 400), ("Expect", 417), ("Upgrade", 200))),
    ],
)
async def test_header_beyond_ascii_is_never_a_nodes_fault(client: Client, path: str, name: str, status: int) -> None:
    headers = {"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", name: "\x80"}
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.node.rpc_url.rpartition(":")[2]))
    lines = [f"{one}: {given}" for one, given in headers.items()]
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1"))
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n")).split()[1] == str(status).encode()
    writer.transport.abort()


async def test_silent_connections_take_no_place(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", 0.3)
    port = int(client.node.rpc_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert await client.call("health") == {}


async def test_a_body_too_large_is_refused(client: Client) -> None:
    """As CometBFT refuses it: its clients read a JSON-RPC error."""
    async with client.session.post(client.node.rpc_url, data=b"x" * 1_000_001) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == -32600
    assert await client.call("health") == {}


@pytest.mark.parametrize(
    ("method", "fixture"),
    [
        ("status", "status.json"),
        ("block", "block_at_height_10.json"),
        ("block_results", "block_results_at_height_10.json"),
        ("commit", "commit_at_height_10.json"),
        ("abci_info", "abci_info.json"),
        ("consensus_params", "consensus_params.json"),
        ("genesis", "genesis.json"),
        ("blockchain", "blockchain_from_1_to_10.json"),
    ],
)
async def test_answers_have_the_members_that_a_real_node_s_have(client: Client, method: str, fixture: str) -> None:
    real = json.loads((vectors("cometbft/rpc_kvstore_v0_38") / fixture).read_text())["result"]
    missing = list(missing_members(real, await client.call(method)))
    assert missing == []


def missing_members(real: Any, ours: Any, path: str = "") -> list[str]:
    """Return the places where an object of a real node has a member that ours lacks, or of another JSON type."""
    if isinstance(real, dict) and isinstance(ours, dict):
        lacking = [f"{path}.{name}" for name in real if name not in ours]
        return lacking + [
            line for name in real if name in ours for line in missing_members(real[name], ours[name], f"{path}.{name}")
        ]
    if isinstance(real, list) and isinstance(ours, list):
        return missing_members(real[0], ours[0], f"{path}[0]") if real and ours else []
    # Go prints nil slices as null.
    if real is None or ours is None or type(real) is type(ours):
        return []
    return [f"{path}: {type(real).__name__} expected, {type(ours).__name__} found"]


# --- subscriptions ---


async def test_subscriptions_bring_blocks_headers_and_transactions(client: Client) -> None:
    async with client.session.ws_connect(client.node.websocket_url) as socket:
        queries = {1: "tm.event = 'NewBlock'", 2: "tm.event='NewBlockHeader'", 3: "bank.transfer.amount = 41"}
        for number, query in queries.items():
            await socket.send_json({"jsonrpc": "2.0", "id": number, "method": "subscribe", "params": {"query": query}})
            while (await socket.receive_json(timeout=ANSWER_S))["result"] != {}:
                pass
        raw, sent = await client.pay(0, 41)
        heard: dict[int, Any] = {}
        while len(heard) < 3:
            message = await socket.receive_json(timeout=ANSWER_S)
            value = message["result"]["data"]["value"]
            assert message["result"]["query"] == queries[message["id"]]
            header = value.get("header") or value.get("block", {}).get("header") or value.get("TxResult")
            if header["height"] == sent["height"]:
                heard[message["id"]] = message["result"]
    assert heard[1]["data"]["type"] == "tendermint/event/NewBlock"
    assert raw in block_from_json(heard[1]["data"]["value"]["block"]).txs
    assert heard[1]["data"]["value"]["result_finalize_block"]["tx_results"][1]["code"] == 0
    assert heard[3]["events"]["tx.hash"] == [transaction_hash(raw).hex().upper()]
    assert heard[3]["data"]["value"]["TxResult"]["index"] == 1


async def test_subscriptions_end_are_bounded_and_refused_if_malformed(client: Client) -> None:
    async with client.session.ws_connect(client.node.websocket_url) as socket:

        async def ask(method: str, query: str) -> Any:
            await socket.send_json({"jsonrpc": "2.0", "id": query, "method": method, "params": {"query": query}})
            return await socket.receive_json(timeout=ANSWER_S)

        absent = [f"tm.event='None{number}'" for number in range(6)]
        for query in absent[:5]:
            assert (await ask("subscribe", query))["result"] == {}
            if query != absent[4]:
                assert "already subscribed" in (await ask("subscribe", query))["error"]["data"]
        assert "max_subscriptions_per_client" in (await ask("subscribe", absent[0]))["error"]["data"]
        assert "reached" in (await ask("subscribe", absent[5]))["error"]["data"]
        assert (await ask("unsubscribe", absent[0]))["result"] == {}
        assert (await ask("unsubscribe", absent[0]))["error"]["data"] == "subscription not found"
        assert "failed to parse query" in (await ask("subscribe", "tm.event 'x'"))["error"]["data"]
        assert (await ask("health", ""))["result"] == {}


async def test_pages_of_named_origins_alone_may_ask(tmp_path: Path) -> None:
    """As CometBFT with `cors_allowed_origins`: a preflight is answered, and each answer names who may read it."""
    init_home(tmp_path / "chain", CHAIN)
    page, other = "https://swap.example", "https://evil.example"
    before = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "health", "params": {}}
    async with ConsortiumNode(tmp_path / "chain", cors=Cors((page,))) as node, aiohttp.ClientSession() as session:
        for origin, named in ((page, page), (other, None)):
            headers = {"Origin": origin}
            async with session.options(node.rpc_url, headers={**headers, **before}) as answer:
                assert answer.headers.get("Access-Control-Allow-Origin") == named
                allowed = answer.headers.get("Access-Control-Allow-Headers", "")
                assert ("Content-Type" in allowed, answer.status == 204) == (named is not None,) * 2
            for path, status in (("", 200), ("/nothing", 404)):
                async with session.post(node.rpc_url + path, json=call, headers=headers) as answer:
                    assert (answer.status, answer.headers.get("Access-Control-Allow-Origin")) == (status, named)


async def test_a_stopping_node_closes_its_sockets(tmp_path: Path) -> None:
    init_home(tmp_path / "chain", CHAIN)
    async with aiohttp.ClientSession() as session:
        async with ConsortiumNode(tmp_path / "chain") as node:
            socket = await session.ws_connect(node.websocket_url)
            await socket.send_json({"id": 1, "method": "subscribe", "params": {"query": "tm.event='None'"}})
            assert (await socket.receive_json(timeout=ANSWER_S))["result"] == {}
        message = await socket.receive(timeout=ANSWER_S)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)
        await socket.close()


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("tm.event = 'Tx'", True),
        ("tm.event='Block'", False),
        ("a.n > 9 AND tm.event='Tx'", True),
        ("a.n > 10", False),
        ("a.n >= 10.0", True),
        ("a.n < 3", False),
        ("a.n <= 3", True),
        ("a.n = 3", True),
        ("a.n = '3'", True),
        ("a.n EXISTS", True),
        ("a.x EXISTS", False),
        ("a.t CONTAINS 'ell'", True),
        ("a.t CONTAINS 'elk'", False),
        ("a.t > 3", False),
        ("a.x = 3", False),
        ("a.h = 12", True),  # the number that a value begins with
        ("a.h > 12", False),
        ("a EXISTS", True),
        ("a = ''", True),
        ("b EXISTS", False),
        ("a.d = DATE 2026-01-02", True),
        ("a.d < DATE 2026-01-02", False),
        ("a.d >= TIME 2026-01-01T23:00:00Z", False),
        ("a.w = TIME 2026-01-02T00:30:00+01:00", True),
        ("a.w > TIME 2026-01-01T23:30:00Z", True),
        ("a.w >= TIME 2026-01-01T23:30:01Z", False),
        ("a.t = 'hello' AND a.n='10'", True),
        ("_a EXISTS", False),
    ],
)
def test_event_queries(query: str, matches: bool) -> None:
    tags = {
        "tm.event": ["Tx"],
        "a.n": ["3", "10"],
        "a.t": ["hello"],
        "a.h": ["12ab"],
        "a.d": ["2026-01-02"],
        "a.w": ["2026-01-01T23:30:00Z", "2026-01-01T23:30:00.5Z"],
    }
    assert parse_query(query).matches(tags) is matches


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "offset 0: EOF"),
        ("x", "offset 1: EOF"),
        ("a =", "offset 3: EOF"),
        ("a = 'x' OR b = 'y'", "offset 8: got tag, want 6"),
        ("a = 'x' AND", "offset 11: EOF"),
        ("a == 1", "offset 3: got = operator, wanted number, timestamp, datestamp or string"),
        ("a = 'x", "offset 4: EOF"),
        ("a > 'x'", "offset 4: got string, wanted number, timestamp or datestamp"),
        ("é = -1", "offset 5: invalid input - at offset 6"),
        ("a = DATE 2026-02-30", "offset 4: invalid DATE value"),
        ("=" * 600, "maximum query length exceeded"),
    ],
)
def test_what_is_no_event_query(query: str, sentence: str) -> None:
    with pytest.raises(RpcError) as refused:
        parse_query(query)
    assert refused.value.data.startswith(sentence)


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("a.b='x'", "a.b = 'x'"),
        ("a<=1 AND b>=2.", "a <= 1 AND b >= 2."),
        ("a EXISTS AND b CONTAINS 'x y'", "a EXISTS AND b CONTAINS 'x y'"),
        ("a=DATE 2026-01-02", "a = DATE 2026-01-02"),
        ("a = 1 'x", "a = 1"),
    ],
)
def test_queries_that_are_the_same_have_one_text(query: str, same: str) -> None:
    assert str(parse_query(query)) == same


def test_text_that_is_not_unicode_is_replaced() -> None:
    assert repaired(b'"\xe2\x82"') == '"\ufffd\ufffd"'.encode()
    assert repaired(rb'"\ud800 \\ud800 \ud83d\ude00"') == rb'"\ufffd \\ud800 \ud83d\ude00"'
    assert repaired(b"[1]") == b"[1]"


def test_forms_are_bounded_and_read_as_go_reads_them() -> None:
    assert pairs("a=1&a=2&b=%zz&c=x;y&=3&&d&e=%41+b") == {"a": "1", "": "3", "d": "", "e": "A b"}
    assert pairs(b"a=\xff%fe".decode(errors="surrogateescape")) == {"a": "\udcff\udcfe"}
    assert "late" not in pairs("a=1&" * MAX_PAIRS + "late=1")
