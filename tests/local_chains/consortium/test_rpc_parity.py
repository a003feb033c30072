"""The same requests, right and wrong, to a real CometBFT node and to the embedded engine: the same answers.

Compared are the HTTP status, the kind of body, the envelope, an error's code, message and (for a method's own errors)
sentence without its numbers, and the shape of a result: names and JSON types all the way down.
"""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
import yarl

from core.model.consortium import Transfer, quantity, transaction_hash
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.embedded import Pace
from local_chains.consortium.node import ConsortiumNode, init_home
from tests.local_chains.consortium.abci.comet import make_network, need_cometbft
from tests.local_chains.consortium.rpc_requests import MESSAGES, REQUESTS, raw, rpc
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN
from tests.support import eventually

HEIGHT: Final = 6
PAID: Final = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(7)))
LATE: Final = ANN.signed(9, Transfer("cnyd", BEN.address, quantity(7)))
TX: Final = transaction_hash(PAID).hex()
MAX_SENTENCE_CHARS: Final = 200
TRIES: Final = 20
ANSWER_S: Final = 10.0


@dataclass
class Engine:
    url: str
    session: aiohttp.ClientSession
    hash: str = ""

    async def ask(self, request: str | bytes) -> tuple[int, str, bytes]:
        """A path for GET, a body for POST; `{hash}`, `{tx}` and so on stand for this engine's."""
        if isinstance(request, bytes):
            filled = self.filled(request.decode("latin-1")).encode("latin-1")
            asking = self.session.post(f"{self.url}/", data=filled)
        else:
            asking = self.session.get(yarl.URL(f"{self.url}/{self.filled(request)}", encoded=True))
        async with asking as response:
            return response.status, response.content_type, await response.read()

    def filled(self, text: str) -> str:
        names = {
            "{hash}": self.hash,
            "{hash64}": base64.b64encode(bytes.fromhex(self.hash)).decode(),
            "{tx}": TX,
            "{TX}": TX.upper(),
            "{tx64}": base64.b64encode(bytes.fromhex(TX)).decode(),
            "{raw64}": base64.b64encode(PAID).decode(),
            "{rawhex}": PAID.hex(),
            "{late64}": base64.b64encode(LATE).decode(),
        }
        for name, value in names.items():
            text = text.replace(name, value)
        return text


@dataclass
class Pair:
    comet: Engine
    ours: Engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    need_cometbft()
    directory = tmp_path_factory.mktemp("parity")
    make_network(directory / "comet", validators=1)
    init_home(directory / "ours", CHAIN, validators=1, assets=ASSETS, accounts=ACCOUNTS)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(CometNetwork(directory / "comet"))
        node = await stack.enter_async_context(
            ConsortiumNode(directory / "ours", pace=Pace(interval_s=0.2, min_delay_s=0.05))
        )
        timeout = aiohttp.ClientTimeout(total=10)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        found = Pair(Engine(network.nodes[0].rpc_url, session), Engine(node.rpc_url, session))
        for engine in (found.comet, found.ours):
            await _prepared(engine)
        yield found


async def _prepared(engine: Engine) -> None:
    async def call(path: str) -> Any:
        _, _, body = await engine.ask(path)
        return json.loads(body)

    async def has(path: str) -> bool:
        return "result" in await call(path)

    await eventually(lambda: has("block?height=2"), 30)
    assert (await call(f"broadcast_tx_sync?tx=0x{PAID.hex()}"))["result"]["code"] == 0
    await eventually(lambda: has(f"tx?hash=0x{TX}"), 30)
    await eventually(lambda: has(f"block_results?height={HEIGHT}"), 30)
    engine.hash = (await call("block?height=2"))["result"]["block_id"]["hash"]


def shape(value: Any) -> Any:
    """Names and types; of a list that of its last item. Events depend on what happened in a block."""
    if isinstance(value, dict):
        return {
            name: shape(inner) if name != "events" else type(inner).__name__ for name, inner in sorted(value.items())
        }
    if isinstance(value, list):
        return [shape(value[-1])] if value else []
    if isinstance(value, bool) or value is None:
        return value
    return type(value).__name__


def seen(status: int, content: str, body: bytes) -> Any:
    """Return what is compared of an answer."""
    try:
        envelope = json.loads(body)
    except ValueError:
        return status, content
    if isinstance(envelope, list):
        return status, content, [seen_one(one) for one in envelope]
    return status, content, seen_one(envelope)


WORDS: Final = {
    "failed to parse query": "a query of no known form",
    "offset N": "a query of no known form",
    "error during searching for a hash": "a query of no known form",
    "error converting json params": "a wrong argument",
}
"""Sentences in Go's words, by how they begin."""


def seen_one(envelope: Any) -> Any:
    if not isinstance(envelope, dict):
        return shape(envelope)
    error = envelope.get("error")
    around = {name: value for name, value in envelope.items() if name not in ("result", "error")}
    if error is None:
        return around | {"result": shape(envelope.get("result"))}
    sentence = re.sub(r"[0-9A-Fa-f]{16,}|\d+", "N", str(error.get("data")))[:MAX_SENTENCE_CHARS]
    for prefix, said in WORDS.items():
        sentence = said if sentence.startswith(prefix) else sentence
    kept = sentence if error.get("code") == -32603 else bool(error.get("data"))
    return around | {"code": error.get("code"), "message": error.get("message"), "data": kept}


NOT_OFFERED = ("consensus_state", "dump_consensus_state", "broadcast_evidence")
"""One process makes all blocks of the embedded engine: no rounds are going on, and nobody votes twice."""


def differs_on_purpose(request: str | bytes) -> bool:
    """Return true if docs/consortium-chain.md lists it under the differences to CometBFT."""
    text = request.decode("latin-1") if isinstance(request, bytes) else request
    return any(name in text for name in NOT_OFFERED) or "net_info" in text or text == "websocket"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_embedded_engine_answers_as_cometbft_does(pair: Pair) -> None:
    different = {}
    for request in REQUESTS:
        if differs_on_purpose(request):
            continue
        for _ in range(TRIES):
            # A real node shows a block a moment before what belongs to it.
            theirs, ours = seen(*await pair.comet.ask(request)), seen(*await pair.ours.ask(request))
            if theirs == ours:
                break
            await asyncio.sleep(0.1)
        else:
            different[request] = (theirs, ours)
    assert not different
    assert len(REQUESTS) > 500


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("request_of", [rpc("net_info"), *(rpc(name, {}) for name in NOT_OFFERED)])
async def test_what_differs_on_purpose_still_does(pair: Pair, request_of: bytes) -> None:
    assert seen(*await pair.comet.ask(request_of)) != seen(*await pair.ours.ask(request_of))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_method_that_websockets_alone_have_is_refused_alike(pair: Pair) -> None:
    for engine in (pair.comet, pair.ours):
        status, content, body = await engine.ask("subscribe?query=\"tm.event='Tx'\"")
        assert (status, content) == (404, "application/json")
        assert json.loads(body)["error"]["code"] == -32601


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_and_hashes_mean_the_same_thing(pair: Pair) -> None:
    """Not only the shape: a height that is asked for in any accepted way is the height that comes."""
    for engine in (pair.comet, pair.ours):
        for request in ("block?height=2", 'block?height="2"', raw("block", '{"height":"2"}'), raw("block", '[" 2"]')):
            assert json.loads((await engine.ask(request))[2])["result"]["block_id"]["hash"] == engine.hash
        for request in (
            "header_by_hash?hash=0x{hash}",
            raw("header_by_hash", '{"hash":"{hash}"}'),
            "block_by_hash?hash=0X{hash}",
            raw("block_by_hash", '{"hash":"{hash64}"}'),
        ):
            found = json.loads((await engine.ask(request))[2])["result"]
            assert (found.get("header") or found["block"]["header"])["height"] == "2"


@pytest.mark.asyncio(loop_scope="module")
async def test_websockets_answer_alike(pair: Pair) -> None:
    heard = []
    for engine in (pair.comet, pair.ours):
        async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
            answers = []
            for message in MESSAGES:
                await socket.send_str(engine.filled(message.decode()))
                answers.append(seen_one(json.loads(await socket.receive_str(timeout=ANSWER_S))))
            heard.append(answers)
    theirs, ours = heard
    assert [pair for pair in zip(MESSAGES, theirs, ours, strict=True) if pair[1] != pair[2]] == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "query",
    [
        "tm.event='NewBlock'",
        "tm.event='NewBlockEvents'",
        "tm.event='NewBlockHeader'",
        "tm.event='Tx'",
        "bank.transfer.amount = 41",
    ],
)
async def test_events_have_the_same_shape(pair: Pair, query: str) -> None:
    heard = []
    for engine in (pair.comet, pair.ours):
        async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
            await socket.send_str(rpc("subscribe", {"query": query}).decode())
            assert seen_one(json.loads(await socket.receive_str(timeout=ANSWER_S)))["result"] == {}
            if "41" in query:
                pay = ANN.signed(1, Transfer("cnyd", BEN.address, quantity(41)))
                await engine.ask(f"broadcast_tx_sync?tx=0x{pay.hex()}")
            event = json.loads(await socket.receive_str(timeout=ANSWER_S))
            # The shape of a result's own events, and tags, are of interest here.
            heard.append((seen_one(event), shape(event["result"]["events"]), own_events(event)))
    theirs, ours = heard
    assert theirs == ours


def own_events(event: Any) -> Any:
    value = event["result"]["data"]["value"]
    return [shape(each) for each in value.get("TxResult", {}).get("result", {}).get("events", [])]
