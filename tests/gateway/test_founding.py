"""`causeway chain collect` and `join` with files and nodes that are not what they should be."""

import base64
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.model.errors import CausewayError, RejectedError, RetryableError
from gateway.founding import Invitation, Newcomer, collect, prepare, progress
from local_chains.consortium.engine.home import load_genesis
from local_chains.consortium.founding.collecting import found
from local_chains.consortium.founding.organisation import Wanted, load_own_terms, make_organisation, place_genesis
from tests.gateway.test_cli import causeway

NEWCOMER = Newcomer("bank-e", "e.example:26656", 10, (), 26_657)
PEERS = ("0a" * 20, "0b" * 20)
HEIGHT = 4_000

Answer = Callable[[str, dict[str, Any]], Any]


def sound(
    index: int, chain: str = "test-1", block_hash: str = "AB" * 32, heights: tuple[int, ...] = (HEIGHT,)
) -> Answer:
    """Return the answers of a member's node."""

    def answer(method: str, params: dict[str, Any]) -> Any:
        node = {"id": PEERS[index], "listen_addr": f"m{index}.example:26656", "network": chain}
        listed = base64.b64encode(json.dumps(heights).encode()).decode()
        return {
            "status": {
                "node_info": node,
                "sync_info": {"latest_block_height": "4321", "earliest_block_height": "1", "catching_up": False},
            },
            "net_info": {"peers": [{"node_info": {**node, "id": "0c" * 20, "listen_addr": "tcp://0.0.0.0:26656"}}]},
            "abci_query": {"response": {"code": 0, "value": listed, "height": "4321"}},
            "commit": {"signed_header": {"commit": {"block_id": {"hash": block_hash}}}},
        }[method]

    return answer


@contextlib.asynccontextmanager
async def servers(*answers: Answer) -> AsyncIterator[tuple[str, ...]]:
    """Endpoints that answer so, good or bad."""
    async with contextlib.AsyncExitStack() as stack:
        urls = []
        for answer in answers:

            async def handle(request: web.Request, answer: Answer = answer) -> web.Response:
                asked = json.loads(await request.read())
                result = answer(asked["method"], asked["params"])
                body = (
                    result
                    if isinstance(result, bytes)
                    else json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
                )
                return web.Response(body=body, content_type="application/json")

            application = web.Application()
            application.router.add_post("/{tail:.*}", handle)
            runner = web.AppRunner(application)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        yield tuple(urls)


@pytest.fixture
def genesis(tmp_path: Path) -> Path:
    """The genesis file that a member sent."""
    founder = make_organisation(tmp_path / "bank-a", Wanted("test-1", "bank-a", "a.example:26656", 1))
    path = tmp_path / "genesis.json"
    path.write_bytes(found([founder], 1).genesis.raw)
    return path


def invitation(genesis: Path, urls: tuple[str, ...], trust: str | None = None, genesis_hash: str = "") -> Invitation:
    place = genesis.parent / "sent"
    place.mkdir(exist_ok=True)
    (place / "genesis.json").write_bytes(genesis.read_bytes())
    return Invitation(genesis, genesis_hash or load_genesis(place).hash.hex(), urls, trust)


def config(home: Path) -> str:
    return (home / "config" / "config.toml").read_text()


async def test_newcomer_trusts_a_block_that_a_member_confirmed(genesis: Path, tmp_path: Path) -> None:
    home = tmp_path / "bank-e"
    async with servers(sound(0), sound(1)) as urls:
        with pytest.raises(RejectedError, match=f"--trust {HEIGHT}:{'AB' * 32}") as asked:
            await prepare(home, invitation(genesis, urls), NEWCOMER)
        assert "telephone" in asked.value.message
        mine = load_own_terms(home)
        assert "enable = false" in config(home)
        with pytest.raises(RejectedError, match="one side is wrong"):
            await prepare(home, invitation(genesis, urls, f"{HEIGHT}:{'CD' * 32}"), NEWCOMER)
        with pytest.raises(RejectedError, match="not HEIGHT:HASH"):
            await prepare(home, invitation(genesis, urls, "4000"), NEWCOMER)
        made = await prepare(home, invitation(genesis, urls, f"{HEIGHT}:{'ab' * 32}"), NEWCOMER)
    # The same keys throughout, and the peers that say where they can be reached.
    assert load_own_terms(home) == mine
    assert (made["snapshot"], made["peers"]) == (HEIGHT, 2)
    text = config(home)
    assert f'trust_hash = "{"AB" * 32}"' in text
    assert f"trust_height = {HEIGHT}" in text
    assert f'rpc_servers = "{",".join(sorted(urls))}"' in text
    assert f'persistent_peers = "{PEERS[0]}@m0.example:26656,{PEERS[1]}@m1.example:26656"' in text


async def test_newcomer_replays_a_chain_without_snapshots(genesis: Path, tmp_path: Path) -> None:
    async with servers(sound(0, heights=()), sound(1, heights=())) as urls:
        made = await prepare(tmp_path / "bank-e", invitation(genesis, urls), NEWCOMER)
    assert made["snapshot"] == 0
    assert "enable = false" in config(tmp_path / "bank-e")
    found_stage = await progress(tmp_path / "bank-e")
    assert (found_stage["stage"], "does not answer" in found_stage["reason"]) == ("stopped", True)


async def test_newcomer_is_warned_of_nodes_that_disagree(genesis: Path, tmp_path: Path) -> None:
    async with servers(sound(0), sound(1, block_hash="CD" * 32)) as urls:
        for trust in (None, f"{HEIGHT}:{'AB' * 32}"):
            with pytest.raises(RejectedError, match="another chain or lies"):
                await prepare(tmp_path / "bank-e", invitation(genesis, urls, trust), NEWCOMER)
    assert "enable = false" in config(tmp_path / "bank-e")


async def test_nothing_is_made_for_another_chain_or_genesis(genesis: Path, tmp_path: Path) -> None:
    home = tmp_path / "bank-e"
    async with servers(sound(0), sound(1, chain="test-2")) as urls:
        with pytest.raises(RejectedError, match="a node of 'test-2'"):
            await prepare(home, invitation(genesis, urls), NEWCOMER)
        with pytest.raises(RejectedError, match=f"agreed was {'00' * 32}"):
            await prepare(home, invitation(genesis, urls, genesis_hash="00" * 32), NEWCOMER)
        for wrong in (urls[:1], (urls[0], urls[0] + "/"), (urls[0], 'http://a"b'), (urls[0], "ftp://b")):
            with pytest.raises(RejectedError, match=r"--server|is not a node's RPC"):
                await prepare(home, invitation(genesis, wrong), NEWCOMER)
    with pytest.raises(RetryableError, match="does not answer"):
        await prepare(home, invitation(genesis, urls), NEWCOMER)
    assert not home.exists()


async def test_home_of_another_organisation_is_left_alone(genesis: Path, tmp_path: Path) -> None:
    async with servers(sound(0), sound(1)) as urls:
        with pytest.raises(RejectedError, match="is bank-a's on test-1"):
            await prepare(tmp_path / "bank-a", invitation(genesis, urls), NEWCOMER)


NONSENSE: tuple[Any, ...] = (
    None, [], {}, "x", 7, -1, 2**70, True, "\0", {"node_info": []}, {"sync_info": {"latest_block_height": "-1"}},
    {"response": {"value": "!"}}, {"response": {"value": base64.b64encode(b'[1e9, "x"]').decode()}}, {"peers": 7},
    {"peers": [{}] * 300}, {"signed_header": {"commit": {"block_id": {"hash": "zz"}}}}, b"", b"{", b"[" * 10_000,
)  # fmt: skip


async def test_no_answer_of_a_node_breaks_a_newcomer(genesis: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    for round_ in range(60):
        good = sound(0)

        def bad(method: str, params: dict[str, Any], good: Answer = good) -> Any:
            return rng.choice(NONSENSE) if rng.random() < 0.5 else good(method, params)

        async with servers(bad, sound(1)) as urls:
            home = tmp_path / f"e{round_}"
            with contextlib.suppress(CausewayError):
                made = await prepare(home, invitation(genesis, urls, f"{HEIGHT}:{'AB' * 32}"), NEWCOMER)
                assert made["snapshot"] in (0, HEIGHT)
        # Whatever was said: a node that starts from a snapshot starts from the block that a person confirmed.
        if home.exists() and "enable = true" in config(home):
            assert "AB" * 32 in config(home)


async def test_peer_cannot_write_into_the_configuration(genesis: Path, tmp_path: Path) -> None:
    def evil(method: str, params: dict[str, Any]) -> Any:
        result = sound(0)(method, params)
        if method == "net_info":
            wrong = ['a"\n[rpc]\nladdr = "tcp://0.0.0.0:1', "a.example:1,b@c.example:1", "a.example:99999"]
            result["peers"] += [{"node_info": {"id": "0d" * 20, "listen_addr": one, "network": "x"}} for one in wrong]
        return result

    async with servers(evil, sound(1)) as urls:
        made = await prepare(tmp_path / "e", invitation(genesis, urls, f"{HEIGHT}:{'AB' * 32}"), NEWCOMER)
    assert made["peers"] == 2
    assert "0d0d" not in config(tmp_path / "e")


# --- collect ---


def founders(directory: Path, *names: str) -> list[Path]:
    made = []
    for number, name in enumerate(names):
        make_organisation(directory / name, Wanted("test-1", name, f"{name}.example:{number + 1}", number))
        made.append(directory / name / "application.json")
    return made


def test_every_founder_collects_the_same_bytes(tmp_path: Path) -> None:
    files = founders(tmp_path, "a", "b", "c")
    hashes = set()
    for index, path in enumerate(files):
        others = files[:index] + files[index + 1 :]
        # With or without one's own file among them, in any order, and also by somebody who founds nothing.
        hashes.add(collect(path.parent, others[::-1], None, None)["genesis_hash"])
        hashes.add(collect(path.parent, files, None, None)["genesis_hash"])
    hashes.add(collect(None, files[::-1], None, tmp_path / "genesis.json")["genesis_hash"])
    assert len(hashes) == 1
    kept = {(path.parent / "config" / "genesis.json").read_bytes() for path in files}
    assert kept == {(tmp_path / "genesis.json").read_bytes()}
    texts = [config(path.parent) for path in files]
    assert [text.count(".example:") for text in texts] == [3, 3, 3]


def test_collecting_refuses_what_was_not_agreed(tmp_path: Path) -> None:
    files = founders(tmp_path, "a", "b", "c")
    agreed = collect(None, files, None, None)["genesis_hash"]
    with pytest.raises(RejectedError, match="compare|Compare"):
        collect(files[0].parent, files[1:2], agreed, None)
    assert not (files[0].parent / "config" / "genesis.json").exists()
    founders(tmp_path / "theirs", "a")
    with pytest.raises(RejectedError, match="a and a have the same name"):
        collect(files[0].parent, [tmp_path / "theirs" / "a" / "application.json", *files[1:]], None, None)
    assert collect(files[0].parent, files[1:], agreed.upper(), None)["genesis_hash"] == agreed
    with pytest.raises(RejectedError, match="another chain's"):
        collect(files[0].parent, files[1:2], None, None)


def test_collect_prints_the_hash_and_who_could_stop_the_chain(tmp_path: Path) -> None:
    founders(tmp_path, "a", "b")
    shown = causeway("chain", "collect", "b/application.json", "--home", "a", cwd=tmp_path, COLUMNS="80")
    assert shown.returncode == 0, shown.stderr
    assert load_genesis(tmp_path / "a" / "config").hash.hex() in shown.stdout
    assert "Note: a alone has a third of the power or more" in shown.stdout
    assert "telephone" in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines() if "genesis" not in line) <= 110


def test_genesis_of_a_founding_is_placed_once(tmp_path: Path) -> None:
    [first, second] = founders(tmp_path, "a", "b")
    collect(first.parent, [second], None, None)
    placed = load_genesis(first.parent / "config")
    place_genesis(first.parent, placed)
    assert load_genesis(first.parent / "config").raw == placed.raw
    [alone] = founders(tmp_path / "elsewhere", "c")
    collect(alone.parent, [], None, None)
    with pytest.raises(RejectedError, match="another chain's"):
        place_genesis(first.parent, load_genesis(alone.parent / "config"))
    assert load_genesis(first.parent / "config").raw == placed.raw
