"""Online reload: a file is in force as a whole or not at all; and a drain's end, on a devnet's real chains."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from core.runtime.clock import ManualClock
from core.runtime.database import InlineDatabase, create_schema
from gateway.config import EndpointConfig, OpeningConfig, PairConfig, RelayerConfig, load, to_toml
from gateway.daemons.reloading import RELOADABLE, RELOADABLE_OF_CHAINS, Reloading, digest_of, fixed
from relayer import reloads
from tests.gateway.test_cli import causeway
from tests.gateway.test_config import ETHEREUM, LEDGER, PAIR, relayer
from tests.gateway.town import RelayerProcess, Town, town
from tests.support import eventually

WAIT_S = 60.0
RELOADS = 20


def changed(config: RelayerConfig, number: int = 0, **members: Any) -> RelayerConfig:
    """The same with other members of one chain."""
    chains = list(config.chains)
    chains[number] = msgspec.structs.replace(chains[number], **members)
    return msgspec.structs.replace(config, chains=tuple(chains))


def test_members_that_cannot_be_reloaded_are_named() -> None:
    config = relayer()
    assert fixed(config, config) == []
    other = {"name": "b", "listen": "127.0.0.1:1", "database": "sqlite:///b", "policy": "production"}
    for name, value in other.items():
        assert fixed(config, msgspec.structs.replace(config, **{name: value})) == [name]
    timing = msgspec.structs.replace(LEDGER.timing, finality_s=99)
    assert fixed(config, changed(config, 1, timing=timing, start=7)) == ["chains[1].timing", "chains[1].start"]
    assert fixed(config, msgspec.structs.replace(config, chains=(ETHEREUM,))) == ["chains"]
    assert fixed(config, msgspec.structs.replace(config, chains=(LEDGER, ETHEREUM))) == []


def test_members_that_can_be_reloaded_are_members() -> None:
    config = relayer()
    assert set(RelayerConfig.__struct_fields__) >= RELOADABLE
    assert set(type(ETHEREUM).__struct_fields__) >= RELOADABLE_OF_CHAINS
    endpoints = (EndpointConfig("http://127.0.0.1:9", "other"),)
    assert fixed(config, changed(config, endpoints=endpoints, max_fee_gwei=7, headers_per_day_wei=7)) == []
    news: dict[str, Any] = {"pairs": (), "max_open_swaps": 7, "log_level": "debug", "opening": OpeningConfig(hold_s=7)}
    assert fixed(config, msgspec.structs.replace(config, **news)) == []


class Chains:
    """A world in which no chain is there, and any endpoint is refused that is called so."""

    def __init__(self) -> None:
        self.chains: dict[Any, Any] = {}
        self.replaced: list[Any] = []

    async def connected(self, config: Any) -> Any:
        raise AssertionError("no endpoint has changed")

    def replace(self, configs: Any, made: Any) -> None:
        self.replaced.append((configs, made))


async def taken(*_: object) -> None:
    """Whatever is made of it, it can be made."""


async def test_a_file_with_a_fault_changes_nothing(tmp_path: Path) -> None:
    file, chains = tmp_path / "relayer.toml", Chains()
    config = relayer()
    file.write_text(to_toml(config))
    there = Reloading(file, load(file, RelayerConfig), ManualClock(1_800_000_000))
    before = there.config
    refused: list[str] = []

    async def answer(sentence: str) -> None:
        refused.append(sentence)

    for text in ("name = ", to_toml(config).replace("max_give", "most"), to_toml(changed(config, start=9))):
        file.write_text(text)
        assert not await there.reload(chains, taken, answer=answer)
    assert "chains[0].start cannot be changed while the relayer runs" in refused[-1]
    file.write_text(to_toml(config))
    assert not await there.reload(chains, taken, digest=bytes(32), answer=answer)
    assert "another file" in refused[-1]
    assert all(refused)
    assert there.config is before
    assert chains.replaced == []
    assert await there.reload(chains, taken, digest=digest_of(file), answer=answer)
    assert (refused[-1], there.config, chains.replaced) == ("", before, [])
    pair = msgspec.structs.replace(PAIR, max_give=PAIR.max_give // 2)
    file.write_text(to_toml(msgspec.structs.replace(config, pairs=(pair,))))
    assert await there.reload(chains, taken, answer=answer)
    assert there.config.pairs == (pair,)
    assert chains.replaced == [(there.config.chains, {})]


class Connected:
    """A chain by its new endpoints."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Slow(Chains):
    """A world with new endpoints, of which those of the ledger do not answer yet."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Connected] = []
        self.answers = asyncio.Event()

    async def connected(self, config: Any) -> Any:
        if config.id == LEDGER.id:
            await self.answers.wait()
        self.made.append(Connected())
        return self.made[-1]


@pytest.mark.parametrize("by_command", [False, True])
async def test_reload_that_was_cut_short_is_made_up_for(tmp_path: Path, by_command: bool) -> None:
    """As another chain's coming does; what was connected by then is closed."""
    file, chains, clock, database = tmp_path / "relayer.toml", Slow(), ManualClock(1_800_000_000), InlineDatabase()
    file.write_text(to_toml(relayer()))
    there = Reloading(file, load(file, RelayerConfig), clock)
    endpoints = (EndpointConfig("http://127.0.0.1:9", "other"),)
    file.write_text(to_toml(changed(changed(relayer(), 0, endpoints=endpoints), 1, endpoints=endpoints)))
    await database.write(lambda c: create_schema(c, reloads.TABLES))
    if by_command:
        await database.write(lambda c: reloads.ask(c, digest_of(file), clock.now_ns()))
    else:
        there.asked.notify()
    first = asyncio.create_task(there.run(database, chains, taken))
    await eventually(lambda: bool(chains.made), WAIT_S)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert ([one.closed for one in chains.made], chains.replaced) == ([True], [])
    chains.answers.set()
    second = asyncio.create_task(there.run(database, chains, taken))
    await eventually(lambda: bool(chains.replaced), WAIT_S)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert [one.closed for one in chains.made] == [True, False, False]
    assert len(chains.replaced) == 1
    assert there.config.chains[1].endpoints == endpoints


async def test_answers_to_reloads_are_kept_within_the_limit() -> None:
    database = InlineDatabase()
    await database.write(lambda c: create_schema(c, reloads.TABLES))
    assert await database.read(reloads.newest) is None
    numbers = [await database.write(lambda c: reloads.ask(c, bytes(32), 7)) for _ in range(reloads.KEPT + 3)]
    last = await database.read(reloads.newest)
    assert last == reloads.Reload(numbers[-1], 7, bytes(32))
    for holder, refused in (("one", "no"), ("two", "x" * 9_000), ("one", "")):
        await database.write(lambda c, h=holder, r=refused: reloads.answer(c, numbers[-1], h, r, 8))  # type: ignore[misc]
    assert await database.read(lambda c: reloads.answers_to(c, numbers[-1])) == [
        reloads.Answer("one", ""),
        reloads.Answer("two", "x" * reloads.MAX_REFUSAL_CHARS),
    ]
    assert await database.read(lambda c: c.execute(reloads.reloads.select()).all().__len__()) == reloads.KEPT


# --- with real chains -----------------------------------------------------------------------------------------------


async def reload(running: RelayerProcess, *options: str) -> Any:
    return await asyncio.to_thread(causeway, "relayer", "reload", *options, cwd=running.file.parent)


async def pairs_of(running: RelayerProcess) -> dict[str, int]:
    status, pairs = await running.ask("/v1/pairs")
    return {} if status != 200 else {pair["initiator_chain"]: int(pair["limits"]["maximum"]) for pair in pairs}


def rewrite(running: RelayerProcess, **members: Any) -> RelayerConfig:
    config = msgspec.structs.replace(load(running.file, RelayerConfig), **members)
    running.file.write_text(to_toml(config))
    return config


def half(pairs: tuple[PairConfig, ...]) -> tuple[PairConfig, ...]:
    return tuple(msgspec.structs.replace(pair, max_give=pair.max_give // 2) for pair in pairs)


@pytest.mark.long
@pytest.mark.alone
async def test_a_running_relayer_is_reloaded_and_drained(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        running = here.relayer("relayer", here.devnet.info.users[0])
        try:
            await running.start()
            await eventually(lambda: running.ready, WAIT_S)
            await prices_are_reloaded(running)
            await what_is_wrong_is_refused(running)
            await endpoints_are_reloaded(here, running)
            await is_drained(running)
            assert await asyncio.wait_for(running.ended(), WAIT_S) == 0
            assert [line["why"] for line in running.logged("stops")] == ["it is done"]
            assert len(running.logged("starts")) == 1
        finally:
            await running.end()


async def prices_are_reloaded(running: RelayerProcess) -> None:
    """By the command, and by the signal."""
    config = load(running.file, RelayerConfig)
    before = {pair.give.partition("/")[0]: pair.max_give for pair in config.pairs}
    assert await pairs_of(running) == before
    config = rewrite(running, pairs=half(config.pairs))
    shown = await reload(running, "--wait")
    assert (shown.returncode, "has put it in force" in shown.stdout) == (0, True), shown.stderr

    async def halved() -> bool:
        return await pairs_of(running) == {chain: most // 2 for chain, most in before.items()}

    await eventually(halved, WAIT_S)
    rewrite(running, pairs=half(config.pairs), log_level="debug")
    running.send(signal.SIGHUP)

    async def quartered() -> bool:
        return await pairs_of(running) == {chain: most // 4 for chain, most in before.items()}

    await eventually(quartered, WAIT_S)
    assert [line["changed"] for line in running.logged("reloaded")] == [["pairs"], ["log_level", "pairs"]]


async def what_is_wrong_is_refused(running: RelayerProcess) -> None:
    config, text = load(running.file, RelayerConfig), running.file.read_text()
    now = await pairs_of(running)
    rewrite(running, pairs=half(config.pairs), name="another", quote_ttl_s=7)
    shown = await reload(running, "--wait")
    assert (shown.returncode, "name cannot be changed while the relayer runs" in shown.stderr) == (1, True)
    running.file.write_text(text.replace("max_give", "most"))
    shown = await reload(running)
    assert (shown.returncode, "max_give" in shown.stderr) == (1, True)
    running.file.write_text(text)
    endpoint = EndpointConfig("http://127.0.0.1:9", "gate")
    rewrite(running, chains=changed(config, endpoints=(endpoint,)).chains)
    shown = await reload(running, "--wait")
    assert (shown.returncode, f"{config.chains[0].id} by its new endpoints" in shown.stderr) == (1, True)
    running.file.write_text(text)
    assert await pairs_of(running) == now


async def endpoints_are_reloaded(here: Town, running: RelayerProcess) -> None:
    """The old ones may go then."""
    rewrite(running, chains=tuple(here.devnet.info.chains))
    shown = await reload(running, "--wait", "--json")
    assert (shown.returncode, json.loads(shown.stdout)["answers"][0]["refused"]) == (0, None)
    for gate in here.gates.values():
        await gate.shut()
    await eventually(running.is_ready, WAIT_S)
    status, chains = await running.ask("/v1/chains")
    assert (status, [one["reachable"] for one in chains]) == (200, [True, True])


async def is_drained(running: RelayerProcess) -> None:
    paused = await asyncio.to_thread(causeway, "relayer", "pause", "--reason", "upgrade", cwd=running.file.parent)
    assert paused.returncode == 0

    async def shows() -> bool:
        status, pairs = await running.ask("/v1/pairs")
        return status == 200 and all(pair["pause"] and "upgrade" in pair["pause"]["reason"] for pair in pairs)

    await eventually(shows, WAIT_S)
    assert (await asyncio.to_thread(causeway, "relayer", "drain", "--wait", cwd=running.file.parent)).returncode == 0


@pytest.mark.long
@pytest.mark.alone
async def test_a_reload_keeps_answering_and_quoting(tmp_path: Path) -> None:
    """Whoever asks all the time notices nothing of 20 reloads: of prices, and of endpoints."""
    async with town(tmp_path) as here:
        running = here.relayer("relayer", here.devnet.info.users[0])
        try:
            await running.start()
            await eventually(running.is_ready, WAIT_S)
            config = load(running.file, RelayerConfig)
            pair = config.pairs[0]
            call = {"initiator_asset": pair.give, "participant_asset": pair.get, "initiator_amount": str(pair.min_give)}
            answers = Counter[tuple[str, int]]()

            async def hammer(path: str, body: dict[str, str] | None) -> None:
                async with aiohttp.ClientSession() as session:
                    while True:
                        method = "GET" if body is None else "POST"
                        async with session.request(method, running.url + path, json=body) as response:
                            answers[path, response.status] += 1
                            if response.status >= 400:
                                print(path, response.status, await response.text())
                        await asyncio.sleep(0.02)

            hammering = [asyncio.create_task(hammer(*one)) for one in (("/readyz", None), ("/v1/quotes", call))]
            try:
                for number in range(1, RELOADS + 1):
                    most = pair.max_give - number
                    pairs = (msgspec.structs.replace(pair, max_give=most), *config.pairs[1:])
                    behind = here.chains if number % 2 else tuple(here.devnet.info.chains)
                    rewrite(running, pairs=pairs, chains=behind)
                    running.send(signal.SIGHUP)

                    async def in_force(most: int = most) -> bool:
                        return most in (await pairs_of(running)).values()

                    await eventually(in_force, WAIT_S)
                assert not any(one.done() for one in hammering)
            finally:
                for one in hammering:
                    one.cancel()
                await asyncio.gather(*hammering, return_exceptions=True)
            assert set(answers) == {("/readyz", 200), ("/v1/quotes", 200)}, answers
            assert min(answers.values()) > RELOADS
            assert len(running.logged("reloaded")) == RELOADS
        finally:
            await running.end()
