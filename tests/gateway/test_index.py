"""`causeway index …` against a real node, as an operator runs it."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from adapters.evm.contracts.deployer import mint_token
from core.model.types import BaseUnits
from gateway import config as settings
from gateway.cli.indexing import Eta
from gateway.config import ChainConfig, EndpointConfig, IndexConfig, TimingConfig
from tests.adapters.evm.harness import EvmHarness, evm_harness
from tests.gateway.test_cli import causeway

MINTS = 30


@dataclass
class Operator:
    """Somebody at a terminal in `home`, where index.toml is."""

    evm: EvmHarness
    home: Path

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, and what was written to standard output and standard error."""
        done = await asyncio.to_thread(causeway, "index", *arguments, cwd=self.home)
        return done.returncode, done.stdout, done.stderr

    async def json(self, *arguments: str) -> Any:
        code, out, err = await self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out.splitlines()[-1])

    def configure(self, *urls: str, **changes: Any) -> None:
        parameters = self.evm.chain.parameters
        chain = ChainConfig(
            kind="evm",
            id=parameters.chain,
            genesis=parameters.genesis_hash.hex(),
            endpoints=tuple(EndpointConfig(url, f"operator {number}") for number, url in enumerate(urls)),
            timing=TimingConfig(1, 2, 2, 1, 1, 1),
            assets=tuple(self.evm.assets),
            contract=self.evm.contracts.htlc,
            **changes,
        )
        written = settings.to_toml(IndexConfig("sqlite:///index.sqlite", (chain,)))
        (self.home / "index.toml").write_text(written)


@pytest_asyncio.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with evm_harness() as evm:
        [token] = evm.contracts.tokens
        for amount in range(1, MINTS + 1):
            await evm.send(evm.bank, mint_token(evm.bank.account, token, evm.bank.account, BaseUnits(amount)))
        made = Operator(evm, tmp_path)
        made.configure(evm.anvil.rpc_url, evm.anvil.rpc_url.replace("127.0.0.1", "localhost"))
        yield made


async def test_an_index_is_made_looked_at_and_checked(operator: Operator) -> None:
    code, _, err = await operator("status")
    assert (code, "causeway index run" in err) == (1, True)
    head = (await operator.evm.access.heads.head()).head.height
    [followed] = (await operator.json("run", "--until-head"))["chains"]
    assert (followed["state"], followed["cursor"], followed["head"], followed["eta_s"]) == ("live", head, head, 0)
    [row] = await operator.json("status")
    assert (row["chain"], row["cursor"], row["behind"], row["alarms"]) == ("eip155:31337", head, 0, 0)
    code, shown, _ = await operator("status")
    assert code == 0
    assert "eip155:31337" in shown
    assert (await operator.json("rebuild"))["facts"] >= head
    assert (await operator.json("verify", "--blocks", "7"))["same"]
    code, shown, _ = await operator("acknowledge", "eip155:31337")
    assert (code, "nothing was open" in shown) == (0, True)
    code, _, err = await operator("acknowledge", "eip155:1")
    assert (code, "causeway index status" in err) == (1, True)


async def test_payments_are_indexed_where_the_configuration_says_so(operator: Operator) -> None:
    """And compared in as many parts as the endpoint wants."""
    url = operator.evm.anvil.rpc_url
    operator.configure(url, url.replace("127.0.0.1", "localhost"), native_transfers="traced")
    await operator.json("run", "--until-head")
    with sqlite3.connect(operator.home / "index.sqlite") as database:
        [(paid,)] = database.execute("SELECT count(*) FROM indexer_events WHERE asset LIKE '%/slip44:60'").fetchall()
    assert paid == 0
    await operator.evm.account()
    await operator.json("run", "--until-head")
    with sqlite3.connect(operator.home / "index.sqlite") as database:
        [(paid,)] = database.execute("SELECT count(*) FROM indexer_events WHERE asset LIKE '%/slip44:60'").fetchall()
    assert paid == 1
    assert (await operator.json("verify", "--blocks", "500"))["same"]
    operator.configure(url, native_transfers="all")
    code, _, err = await operator("run", "--until-head")
    assert (code, "native_transfers" in err) == (1, True)


async def test_whatever_differs_is_found(operator: Operator) -> None:
    await operator.json("run", "--until-head")
    everything = ("verify", "--ranges", "1000", "--blocks", "3")
    assert (await operator.json(*everything))["same"]
    with sqlite3.connect(operator.home / "index.sqlite") as database:
        [moved, cut] = database.execute(
            "SELECT height FROM indexer_events WHERE kind = 'transferred'"
            " AND height <= (SELECT finalized_height FROM indexer_cursors) LIMIT 2"
        ).fetchall()
        database.execute("UPDATE indexer_events SET amount = zeroblob(32) WHERE height = ?", moved)
        database.execute("DELETE FROM indexer_events WHERE height = ?", cut)
        database.execute("UPDATE indexer_blocks SET time_s = time_s + 1 WHERE height = 1")
    code, out, _ = await operator(*everything, "--json")
    said = json.loads(out)
    assert code == 2
    assert [one["height"] for one in said["differences"]["eip155:31337"]] == sorted({1, *moved, *cut})
    code, out, _ = await operator(*everything)
    assert (code, f"eip155:31337 {moved[0]}: the index has 1 events, the endpoint 1" in out) == (2, True)


async def test_what_cannot_be_done_is_said(operator: Operator) -> None:
    url = operator.evm.anvil.rpc_url
    operator.configure(url)
    await operator.json("run", "--until-head")
    code, _, err = await operator("verify")
    assert (code, "--endpoint" in err) == (1, True)
    assert (await operator.json("verify", "--endpoint", url))["same"]
    operator.configure(url, start=10_000)
    code, _, err = await operator("run", "--until-head")
    assert (code, "start = 10000" in err) == (1, True)
    with sqlite3.connect(operator.home / "index.sqlite") as database:
        database.execute("UPDATE indexer_chains SET genesis_hash = x'00'")
    operator.configure(url)
    code, _, err = await operator("run", "--until-head")
    assert (code, "give it a new database" in err) == (3, True)
    with sqlite3.connect(operator.home / "index.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    code, _, err = await operator("status")
    assert (code, "start the newer version" in err) == (3, True)


def test_the_time_that_is_left_is_reckoned_from_the_pace() -> None:
    eta = Eta()
    assert eta.left_s("a", None, 5, 0.0) is None
    assert eta.left_s("a", 100, 900, 1.0) is None
    assert eta.left_s("a", 200, 800, 3.0) == 16
    assert eta.left_s("a", 1_000, 0, 4.0) == 0
    assert eta.left_s("b", 5, 0, 4.0) == 0
