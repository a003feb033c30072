"""Clients' requests take no block's time: work that grows with a block is done elsewhere, and once."""

import asyncio
import itertools
import statistics
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.model.consortium import ResultCode, Transfer, account_key, quantity, transaction_hash
from core.model.errors import RetryableError
from core.proofs import merkle
from local_chains.consortium.engine.embedded import EmbeddedEngine, open_engine
from local_chains.consortium.engine.feed import MAX_PENDING_BYTES, Listener
from local_chains.consortium.engine.home import init_home
from local_chains.consortium.engine.lanes import ORDINARY
from local_chains.consortium.ledger.genesis import GenesisAccount
from local_chains.consortium.node import ConsortiumNode, Pace
from local_chains.consortium.rpc.server import MAX_BODY_BYTES, RpcServer
from local_chains.consortium.rpc.transactions import MAX_COMMITS_OF_A_CLIENT, TransactionMethods
from local_chains.consortium.rpc.workshop import CLIENT, MAX_WAITING, MAX_WAITING_OF_A_CLIENT, Workshop
from local_chains.consortium.state import ledger_state, tree
from tests.local_chains.consortium.support import ASSETS, CHAIN, Actor
from tests.support import eventually

pytestmark = pytest.mark.usefixtures("own_garbage")
HEADERS = "tm.event='NewBlockHeader'"
HELD_S = 0.05
"""How long one call may hold the event loop."""
SENDERS = tuple(Actor(f"sender {number}") for number in range(60))


def make_home(directory: Path) -> Path:
    home = directory / "chain"
    accounts = [GenesisAccount(one.address.hex(), {"cnyd": "1000000"}) for one in SENDERS]
    init_home(home, CHAIN, assets=ASSETS, accounts=accounts)
    return home


class Held:
    """The longest that the event loop's thread computed without a turn for others, in seconds of its own time."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._thread = threading.get_ident()

    async def watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.thread_time() - before)


@asynccontextmanager
async def full_block(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedEngine, str, list[bytes]]]:
    """A chain with as many transfers in its first block as one has, behind its RPC."""
    engine = await open_engine(make_home(tmp_path))
    rpc = RpcServer(engine)
    port = await rpc.start("127.0.0.1", 0)
    sent: list[bytes] = []
    cost = 0
    for sequence in range(1_000):
        for one in SENDERS:
            raw = one.signed(sequence, Transfer("cnyd", SENDERS[0].address, quantity(1)))
            result = engine.submit(raw)
            assert result.code is ResultCode.OK
            cost += result.cost
            sent.append(raw)
        if cost > ORDINARY.cost - 60 * result.cost:
            break
    made = await engine.produce_block()
    assert len(made.block.txs) == len(sent) + 1
    try:
        yield engine, f"http://127.0.0.1:{port}", sent
    finally:
        await rpc.stop()
        await engine.close()


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.json()


async def test_no_call_about_a_full_block_holds_the_event_loop(tmp_path: Path) -> None:
    async with full_block(tmp_path) as (engine, url, sent):
        held = Held()
        watching = asyncio.create_task(held.watch())
        name = "0x" + transaction_hash(sent[-1]).hex()
        longest = {}
        for path in (
            "/status",
            "/header?height=1",
            "/commit?height=1",
            "/blockchain?minHeight=1&maxHeight=1",
            f"/tx?hash={name}",
            f"/tx?hash={name}&prove=true",
            '/tx_search?query="tx.height=1"&per_page="100"&prove=true',
            '/tx_search?query="bank.transfer.amount=1"&per_page="100"',
            "/genesis",
        ):
            held.longest_s = 0.0
            answer = await get(url + path)
            assert "result" in answer, answer
            longest[path] = held.longest_s
        watching.cancel()
        assert max(longest.values()) < HELD_S, longest
        shown = (await get(f"{url}/tx?hash={name}&prove=true"))["result"]
        assert shown["index"] == len(sent)
        made = await engine.store.head(1)
        assert made is not None
        assert made.entries == len(sent) + 1
        assert shown["proof"]["root_hash"] == made.document["block"]["header"]["data_hash"]


async def test_no_body_holds_the_event_loop(tmp_path: Path) -> None:
    """Bodies of a megabyte that take the longest to read, at the root, as a form, and over a WebSocket."""
    most = MAX_BODY_BYTES
    bodies = [
        *(b"\xff" * most, rb"\ud800" * (most // 6), b"\\\\" * (most // 2 - 3) + rb"\ud800", b"[" * most),
        *(b"[" + b"1," * (most // 2 - 1) + b"1]", b"[" + b"{}," * (most // 3 - 1) + b"{}]"),
        *(b"height=" + b"%41" * (most // 3 - 7), b"&" * most, b"a=1&" * (most // 4), b"[]" * (most // 2)),
        b'{"id":1,"method":"health",' + b'"a":1,' * (most // 6 - 10) + b'"b":1}',
    ]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    engine = await open_engine(make_home(tmp_path))
    rpc = RpcServer(engine)
    url = f"http://127.0.0.1:{await rpc.start('127.0.0.1', 0)}"
    held = Held()
    watching = asyncio.create_task(held.watch())
    longest = {}
    async with aiohttp.ClientSession() as session:
        for body in bodies:
            for path, headers in (("/", None), ("/block", form), ("/block", None)):
                held.longest_s = 0.0
                async with session.post(url + path, data=body, headers=headers) as response:
                    assert await response.read()
                longest[body[:12], path, headers is form] = held.longest_s
            held.longest_s = 0.0
            async with session.ws_connect(f"{url}/websocket") as socket:
                await socket.send_frame(b'{"id":1,"method":"health","params":{}}' + body, aiohttp.WSMsgType.BINARY)
                await socket.receive(timeout=10)
            longest[body[:12], "/websocket", False] = held.longest_s
    watching.cancel()
    await rpc.stop()
    await engine.close()
    assert max(longest.values()) < HELD_S, sorted(longest.items(), key=lambda one: -one[1])[:3]


async def test_many_subscriptions_take_turns_at_a_block(tmp_path: Path) -> None:
    """Sockets that each ask for something else of every transaction: one's events are made at a time."""
    engine = await open_engine(make_home(tmp_path))
    rpc = RpcServer(engine)
    url = f"http://127.0.0.1:{await rpc.start('127.0.0.1', 0)}/websocket"
    await engine.produce_block()
    for sequence in range(30):
        for one in SENDERS:
            engine.submit(one.signed(sequence, Transfer("cnyd", SENDERS[0].address, quantity(1))))
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(session.ws_connect(url)) for _ in range(20)]
        for number, socket in enumerate(sockets):
            for query in (f"tm.event='Tx' AND bank.transfer.amount>{number} AND bank.transfer.asset='gold'", HEADERS):
                await socket.send_json({"id": 1, "method": "subscribe", "params": {"query": query}})
                assert (await socket.receive_json(timeout=10))["result"] == {}
        held = Held()
        watching = asyncio.create_task(held.watch())
        made = await engine.produce_block()
        await engine.produce_block()
        for socket in sockets:
            for _ in range(2):
                assert (await socket.receive_json(timeout=30))["result"]["query"] == HEADERS
        watching.cancel()
    assert len(made.block.txs) > 1_000
    assert held.longest_s < HELD_S
    await rpc.stop()
    await engine.close()


async def test_flood_of_calls_from_one_client_leaves_blocks_their_pace(tmp_path: Path) -> None:
    async with ConsortiumNode(make_home(tmp_path), pace=Pace(interval_s=0.25)) as node:
        async with asyncio.timeout(60):
            quiet = await intervals(node, 12)
            stop = asyncio.Event()

            async def ask(session: aiohttp.ClientSession) -> None:
                key = account_key(SENDERS[0].address).hex()
                while not stop.is_set():
                    for path in (
                        "/status",
                        "/block",
                        f'/abci_query?data=0x{key}&path="/ics23"&prove=true',
                        "/validators",
                    ):
                        async with session.get(node.rpc_url + path) as response:
                            await response.read()

            async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(ask(session))
                flooded = await intervals(node, 12)
                stop.set()
        assert statistics.median(flooded) < 1.1 * statistics.median(quiet)


async def intervals(node: ConsortiumNode, count: int) -> list[float]:
    listener = node.engine.feed.listen()
    times = []
    for _ in range(count + 1):
        await listener.next()
        times.append(time.monotonic())
    node.engine.feed.leave(listener)
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_workshop_makes_what_many_ask_for_once() -> None:
    workshop, made = Workshop(), 0

    def make() -> int:
        nonlocal made
        time.sleep(0.05)
        made += 1
        return 7

    assert await asyncio.gather(*(workshop.made("one", 1, make) for _ in range(20))) == [7] * 20
    assert await workshop.made("one", 1, make) == 7
    assert made == 1
    workshop.close()


async def test_workshop_refuses_more_than_it_lets_wait() -> None:
    workshop, go = Workshop(), threading.Event()
    waiting = [asyncio.create_task(workshop.run(go.wait)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(RetryableError, match="later"):
        await workshop.run(go.wait)
    go.set()
    await asyncio.gather(*waiting)
    workshop.close()


async def test_workshop_keeps_room_and_turns_for_other_clients() -> None:
    workshop, go, made = Workshop(), threading.Event(), list[str]()

    async def ask(client: str) -> None:
        CLIENT.set(client)
        await workshop.run(go.wait)
        made.append(client)

    many = [asyncio.create_task(ask("many")) for _ in range(MAX_WAITING_OF_A_CLIENT + 1)]
    await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    assert isinstance(many[-1].exception(), RetryableError)
    other = asyncio.create_task(ask("other"))
    await asyncio.sleep(0)
    go.set()
    await other
    assert made.count("many") <= 3, "what was begun, and one in turn"
    await asyncio.gather(*many[:-1])
    workshop.close()


async def test_broadcasts_that_wait_leave_others_their_listeners(tmp_path: Path) -> None:
    """One client's calls of `broadcast_tx_commit` wait for a block that does not come; another one can subscribe."""
    engine = await open_engine(make_home(tmp_path))
    methods = TransactionMethods(engine, Workshop())

    async def send(sequence: int) -> Any:
        CLIENT.set("many")
        raw = SENDERS[0].signed(sequence, Transfer("cnyd", SENDERS[1].address, quantity(1)))
        return await methods.broadcast_tx_commit({"tx": raw})

    calls = [asyncio.create_task(send(sequence)) for sequence in range(MAX_COMMITS_OF_A_CLIENT + 5)]
    await asyncio.wait(calls[MAX_COMMITS_OF_A_CLIENT:], timeout=60)
    assert all("of one client" in str(one.exception()) for one in calls[MAX_COMMITS_OF_A_CLIENT:])
    await eventually(lambda: len(engine.mempool) == MAX_COMMITS_OF_A_CLIENT)
    await engine.produce_block()
    assert {(await one)["height"] for one in calls[:MAX_COMMITS_OF_A_CLIENT]} == {"1"}
    await engine.close()


async def test_workshop_that_fails_once_makes_it_the_next_time() -> None:
    workshop, fails = Workshop(), [True, False]

    def make() -> int:
        if fails.pop(0):
            raise ValueError("not now")
        return 1

    with pytest.raises(ValueError, match="not now"):
        await workshop.made("one", 1, make)
    assert await workshop.made("one", 1, make) == 1
    workshop.close()


async def test_listener_far_behind_in_bytes_is_cut_off(tmp_path: Path) -> None:
    engine = await open_engine(make_home(tmp_path))
    made = await engine.produce_block()
    listener, count = Listener(), 0

    class Large:
        size_bytes = MAX_PENDING_BYTES // 3

    while count < 10 and listener.push(Large()):  # type: ignore[arg-type]
        count += 1
    assert count == 3
    await listener.next()
    assert listener.push(made)
    await engine.close()


async def test_an_old_state_is_made_again_once_for_all_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_state, "KEPT_ROOTS", 2)
    engine = await open_engine(make_home(tmp_path))
    for _ in range(6):
        await engine.produce_block()
    updates = 0
    update = tree.update

    def counted(*arguments: Any) -> Any:
        nonlocal updates
        updates += 1
        return update(*arguments)

    monkeypatch.setattr(ledger_state, "update", counted)
    key = account_key(SENDERS[0].address)
    answers = await asyncio.gather(*(engine.query(key, 2) for _ in range(30)))
    assert len({leaf for leaf, _ in answers}) == 1
    assert updates == 1
    monkeypatch.setattr(engine.state, "_budget_s", -1.0)
    with pytest.raises(RetryableError, match="later"):
        await engine.query(key, 1)
    assert (await engine.query(key, 2))[0] == answers[0][0], "what is there already costs nothing"
    await engine.close()


def test_tree_proves_every_leaf_as_one_proof_does() -> None:
    for total in (0, 1, 2, 3, 7, 8, 100):
        items = [b"%d" % number for number in range(total)]
        whole = merkle.Tree(items)
        assert whole.root == merkle.root(items)
        for index in range(total):
            assert whole.prove(index) == merkle.prove(items, index)
            merkle.verify(whole.root, items[index], whole.prove(index))


async def test_checking_again_what_waits_gives_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_chains.consortium.engine.mempool.BLOCKS_WITHOUT_RECHECK", 0)
    engine = await open_engine(make_home(tmp_path))
    for sequence in range(150):
        for one in SENDERS:
            raw = one.signed(sequence, Transfer("cnyd", SENDERS[0].address, quantity(1)))
            assert engine.submit(raw).code is ResultCode.OK
    held = Held()
    watching = asyncio.create_task(held.watch())
    waiting = len(engine.mempool)
    made = await engine.produce_block()
    watching.cancel()
    assert len(engine.mempool) == waiting - (len(made.block.txs) - 1) > 2_000
    assert held.longest_s < HELD_S
    await engine.close()
