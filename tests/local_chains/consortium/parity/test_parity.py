"""The same requests, right and wrong, to a real CometBFT node and to the embedded engine: the same answers."""

import asyncio
import base64
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from adapters.consortium.rpc import CometRpc
from adapters.consortium.state import read_account
from core.model.consortium import Transfer, quantity, transaction_hash
from core.model.consortium_members import Organisation, Propose
from core.model.types import AccountId
from local_chains.consortium.engine.home import load_consensus_key, load_operator_key
from local_chains.consortium.state.tables import MAX_HEADERS
from tests.local_chains.consortium.fuzzing import FUZZ_S
from tests.local_chains.consortium.parity.calls import REQUESTS, raw, rpc
from tests.local_chains.consortium.parity.chance import drawn
from tests.local_chains.consortium.parity.differences import DIFFERENCES, Request, exact, on_purpose
from tests.local_chains.consortium.parity.pair import ANSWER_S, FILLING, NEW, Engine, Pair, run_pair
from tests.local_chains.consortium.parity.queries import HEARD, MESSAGES, SEARCHES, subscribe
from tests.local_chains.consortium.parity.seen import NOT_OFFERED, Seen
from tests.local_chains.consortium.parity.transport import ASKS
from tests.local_chains.consortium.support import ANN, BEN, Actor
from tests.support import LONG, REPOSITORY, eventually

TRIES: Final = 20
INSIDE_A_NODE: Final = ("too few input arguments", "runtime error")
"""Words of a real node that fails inside."""
SILENCE_S: Final = 1.0
"""After which what was not heard of is not heard of any more: several blocks."""
ON_A_SOCKET: Final = 4
HEADERS: Final = "tm.event='NewBlockHeader'"
PAGE: Final = REPOSITORY / "docs" / "consortium-chain.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with run_pair(tmp_path_factory.mktemp("parity")) as found:
        yield found


def sides(pair: Pair) -> list[tuple[Engine, Seen]]:
    return [(engine, Seen(engine, pair.height)) for engine in (pair.comet, pair.ours)]


async def answers(pair: Pair, request: Request) -> list[Any]:
    return [seen.answer(await engine.ask(request)) for engine, seen in sides(pair)]


def test_every_listed_difference_is_on_the_page() -> None:
    _, table = PAGE.read_text().split("| difference | reason |\n|---|---|\n")
    rows = re.findall(r"^\| (.*) \| (.*) \|$", table.split("\n\n")[0], re.MULTILINE)
    assert rows == [(one.what, one.reason) for one in DIFFERENCES]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("requests", [REQUESTS, ASKS, SEARCHES], ids=["calls", "transport", "searches"])
async def test_the_embedded_engine_answers_as_cometbft_does(pair: Pair, requests: Sequence[Request]) -> None:
    different = {}
    for request in requests:
        if on_purpose(request):
            continue
        for _ in range(TRIES):
            # A real node shows a block a moment before what belongs to it.
            theirs, ours = await answers(pair, request)
            if theirs == ours:
                break
            await asyncio.sleep(0.1)
        else:
            different[request] = (theirs, ours)
    assert not different


@pytest.mark.endurance
@pytest.mark.asyncio(loop_scope="module")
async def test_requests_by_chance_are_answered_alike(pair: Pair) -> None:
    # The newest headers that a node shows are then above the heights at which both are the same.
    await eventually(partial(reached, pair, pair.height + MAX_HEADERS), ANSWER_S)
    seed = time.time_ns() if LONG else 1
    chance, until, count = Random(seed), time.monotonic() + FUZZ_S, 0
    while time.monotonic() < until:
        request = drawn(chance)
        for _ in range(TRIES):
            theirs, ours = await answers(pair, request)
            if theirs == ours or any(words in str(theirs) for words in INSIDE_A_NODE) or not_offered(request):
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError((seed, request, theirs, ours))
        count += 1
    assert count > 100


async def reached(pair: Pair, height: int) -> bool:
    tips = [(await engine.result("status"))["sync_info"]["latest_block_height"] for engine, _ in sides(pair)]
    return min(map(int, tips)) > height


def not_offered(request: Request) -> bool:
    return any(name in str(request) for name in NOT_OFFERED)


def test_there_are_hundreds_of_requests() -> None:
    assert len(REQUESTS) > 600
    assert len(ASKS) > 100
    assert len(SEARCHES) > 250


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", range(len(DIFFERENCES)))
async def test_what_differs_on_purpose_still_does(pair: Pair, number: int) -> None:
    difference = DIFFERENCES[number]
    for request in difference.witnesses:
        if difference.exactly:
            theirs, ours = [exact(await engine.ask(request)) for engine in (pair.comet, pair.ours)]
        else:
            theirs, ours = await answers(pair, request)
        assert theirs != ours, request


@pytest.mark.asyncio(loop_scope="module")
async def test_a_genesis_file_is_the_same_to_the_byte(pair: Pair) -> None:
    theirs, ours = [(await engine.result("genesis_chunked"))["data"] for engine, _ in sides(pair)]
    assert base64.b64decode(theirs) == base64.b64decode(ours)
    assert json.loads(base64.b64decode(ours)) == (await pair.ours.result("genesis"))["genesis"]


@pytest.mark.asyncio(loop_scope="module")
async def test_answers_say_when_they_were_made(pair: Pair) -> None:
    times = [
        int((await engine.ask(path)).headers["X-Server-Time"]) for path in ("", "health") for engine, _ in sides(pair)
    ]
    assert max(times) - min(times) < ANSWER_S


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_and_hashes_mean_the_same_thing(pair: Pair) -> None:
    for engine, _ in sides(pair):
        for request in ("block?height=2", 'block?height="2"', raw("block", '{"height":"2"}'), raw("block", '[" 2"]')):
            assert json.loads((await engine.ask(request)).body)["result"]["block_id"]["hash"] == engine.hash
        for request in (
            "header_by_hash?hash=0x{hash}",
            raw("header_by_hash", '{"hash":"{hash}"}'),
            "block_by_hash?hash=0X{hash}",
            raw("block_by_hash", '{"hash":"{hash64}"}'),
        ):
            found = json.loads((await engine.ask(request)).body)["result"]
            assert (found.get("header") or found["block"]["header"])["height"] == "2"


@pytest.mark.asyncio(loop_scope="module")
async def test_websockets_answer_alike(pair: Pair) -> None:
    heard = []
    for engine, seen in sides(pair):
        async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
            said = []
            for message in MESSAGES:
                await socket.send_str(engine.filled(message.decode()))
                said.append(seen.envelope(json.loads(await socket.receive_str(timeout=ANSWER_S))))
            heard.append(said)
    theirs, ours = heard
    assert [each for each in zip(MESSAGES, theirs, ours, strict=True) if each[1] != each[2]] == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_message_that_is_too_long_ends_a_websocket(pair: Pair) -> None:
    for engine, _ in sides(pair):
        async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
            await socket.send_str("x" * 999_999)
            assert json.loads(await socket.receive_str(timeout=ANSWER_S))["error"]["code"] == -32700
            await socket.send_str("x" * 1_000_001)
            await socket.receive(timeout=ANSWER_S)
            assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


@pytest.mark.asyncio(loop_scope="module")
async def test_text_that_is_not_utf8_ends_ours_alone(pair: Pair) -> None:
    closed = []
    for engine, _ in sides(pair):
        async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
            await socket.send_frame(b'{"id":"\xff","method":"health","params":{}}', aiohttp.WSMsgType.TEXT)
            await socket.receive(timeout=ANSWER_S)
            closed.append(socket.close_code)
    assert closed == [None, aiohttp.WSCloseCode.INVALID_TEXT]


@pytest.mark.asyncio(loop_scope="module")
async def test_subscriptions_hear_the_same(pair: Pair) -> None:
    """All that each query hears of one transaction, and that no other query hears of it."""
    heard = []
    for engine, seen in sides(pair):
        groups = [HEARD[start : start + ON_A_SOCKET] for start in range(0, len(HEARD), ON_A_SOCKET)]
        ready, included = asyncio.Semaphore(0), asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as listening:
            tasks = [listening.create_task(heard_by(engine, seen, group, ready, included)) for group in groups]
            for _ in tasks:
                await ready.acquire()
            assert (await engine.result(f"broadcast_tx_sync?tx=0x{NEW.hex()}"))["code"] == 0
            name = f"tx?hash=0x{transaction_hash(NEW).hex()}"
            await eventually(partial(engine.has, name), ANSWER_S)
            included.set_result(int((await engine.result(name))["height"]))
        heard.append(dict(itertools.chain(*(task.result().items() for task in tasks))))
    theirs, ours = heard
    assert theirs == ours
    assert len(HEARD) - 10 > len(theirs) > 20


async def heard_by(
    engine: Engine, seen: Seen, queries: Sequence[str], ready: asyncio.Semaphore, included: "asyncio.Future[int]"
) -> dict[str, Any]:
    """Return what each query heard of the new transaction, by the time of a block after its own."""
    heard: dict[str, Any] = {}
    raw64 = base64.b64encode(NEW).decode()
    async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
        for query in (*queries, HEADERS):
            await socket.send_str(engine.filled(subscribe(query, query).decode()))
            answer = json.loads(await socket.receive_str(timeout=ANSWER_S))
            while answer["result"] != {}:  # an event of those before
                answer = json.loads(await socket.receive_str(timeout=ANSWER_S))
        ready.release()
        while True:
            event = json.loads(await socket.receive_str(timeout=ANSWER_S))
            value = event["result"]["data"]["value"]
            if event["id"] == HEADERS and included.done() and int(value["header"]["height"]) > included.result() + 1:
                return heard
            if value.get("TxResult", {}).get("tx") == raw64:
                heard[event["id"]] = seen.envelope(event)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["NewBlock", "NewBlockEvents", "NewBlockHeader", "Tx"])
async def test_events_of_every_block_are_the_same(pair: Pair, kind: str) -> None:
    theirs, ours = [await first_event(engine, seen, f"tm.event='{kind}'") for engine, seen in sides(pair)]
    assert theirs == ours
    assert theirs is not None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["Vote", "NewRound", "NewRoundStep", "CompleteProposal", "Polka", "Lock"])
async def test_events_of_rounds_are_a_real_nodes_alone(pair: Pair, kind: str) -> None:
    query = f"tm.event='{kind}'"
    (comet, seen), (embedded, shown) = sides(pair)
    assert await first_event(comet, seen, query) is not None
    assert await first_event(embedded, shown, query, SILENCE_S) is None


async def first_event(engine: Engine, seen: Seen, query: str, patience_s: float = ANSWER_S) -> Any:
    """Return the first event that a query hears, None if there is none."""
    async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
        await socket.send_str(subscribe(query).decode())
        assert json.loads(await socket.receive_str(timeout=ANSWER_S))["result"] == {}
        try:
            return seen.envelope(json.loads(await socket.receive_str(timeout=patience_s)))
        except TimeoutError:
            return None


async def upcoming(pair: Pair) -> int:
    """The sequence under which ANN signs next, on both sides, once nothing waits there: which of the tests before ran
    here is up to whoever shares them out."""
    account = AccountId(f"causeway:parity:{ANN.address.hex()}")

    async def next_of(engine: Engine) -> int:
        assert (await engine.result("num_unconfirmed_txs"))["n_txs"] == "0"
        node = CometRpc(engine.url)
        try:
            return (await read_account(node, account)).sequence
        finally:
            await node.close()

    async def agreed() -> tuple[int]:
        theirs, ours = [await next_of(engine) for engine, _ in sides(pair)]
        assert theirs == ours
        return (ours,)  # true, whatever the number is

    return (await eventually(agreed, ANSWER_S))[0]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["sync", "async", "commit"])
async def test_broadcasts_are_answered_alike(pair: Pair, kind: str) -> None:
    payment = ANN.signed(await upcoming(pair), Transfer("cnyd", BEN.address, quantity(1)))
    paid = base64.b64encode(payment).decode()
    theirs, ours = await answers(pair, rpc(f"broadcast_tx_{kind}", {"tx": paid}))
    assert theirs == ours
    assert theirs[0] == 200
    assert theirs[-1]["result"].get("code", 0) == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_what_waits_is_shown_alike(pair: Pair) -> None:
    first = await upcoming(pair)
    shown: tuple[Any, Any] = None, None
    for sequence in range(first, first + TRIES):
        paid = base64.b64encode(ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(1)))).decode()
        calls = [rpc("broadcast_tx_sync", {"tx": paid}), *(rpc(f"{name}unconfirmed_txs") for name in ("", "num_"))]
        theirs, ours = await answers(pair, b"[%b]" % b",".join(calls))
        await asyncio.sleep(SILENCE_S)
        shown = theirs, ours
        if theirs == ours and theirs[-1][1]["result"]["n_txs"] == "1":
            break  # otherwise a block came between the calls
    assert shown[0] == shown[1]
    assert shown[0][-1][1]["result"]["n_txs"] == "1"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_check_counts_on_cometbft_alone(pair: Pair) -> None:
    raw64 = base64.b64encode(BEN.signed(2, Transfer("cnyd", ANN.address, quantity(1)))).decode()
    two = b"[%b]" % b",".join([rpc("check_tx", {"tx": raw64})] * 2)
    codes = []
    for engine, _ in sides(pair):
        # A block between the two makes a real node forget the first.
        found = [[one["result"]["code"] for one in json.loads((await engine.ask(two)).body)] for _ in range(TRIES)]
        codes.append(max(found))
    assert codes == [[3, 3], [0, 0]] or codes == [[0, 3], [0, 0]]


@pytest.mark.asyncio(loop_scope="module")
async def test_more_than_a_blocks_share_waits_on_ours_alone(pair: Pair) -> None:
    """A share that is full is the same result on both."""
    sent = b"[%b]" % b",".join(rpc("broadcast_tx_sync", {"tx": base64.b64encode(one).decode()}) for one in FILLING)
    theirs, ours = [json.loads((await engine.ask(sent)).body) for engine, _ in sides(pair)]
    assert {one["result"]["code"] for one in ours} == {0}
    refused = [one["result"] for one in theirs if one["result"]["code"] == 8]
    assert refused
    assert all(one["log"].startswith("no-room: mempool is full: ") for one in refused)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_changed_power_is_the_same_event(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The last test: nothing is the same afterwards."""
    operator = Actor("operator", load_operator_key(pair.home / "operator_key.json").seed)
    key = load_consensus_key(pair.home / "priv_validator_key.json").public_key
    terms = Organisation("validator-0", operator.address, ("validator",), key.kind.value, key.data, 12)
    sent = operator.signed(0, Propose(terms))
    heard = []
    for engine, seen in sides(pair):
        async with engine.session.ws_connect(f"{engine.url}/websocket") as socket:
            await socket.send_str(subscribe("tm.event='ValidatorSetUpdates'").decode())
            await socket.receive_str(timeout=ANSWER_S)
            assert (await engine.result(f"broadcast_tx_sync?tx=0x{sent.hex()}"))["code"] == 0
            heard.append(seen.envelope(json.loads(await socket.receive_str(timeout=ANSWER_S))))
    theirs, ours = heard
    assert theirs == ours
    assert theirs["result"]["data"]["value"]["validator_updates"][0]["voting_power"] == "12"
