"""Daemons that start before what they need: they answer, say what they wait for, and begin when it has come."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.gateway.town import RelayerProcess, town
from tests.postgres import postgres_cluster
from tests.support import eventually

pytestmark = [pytest.mark.long, pytest.mark.alone]

WAIT_S = 60.0


async def test_a_relayer_waits_for_its_database_and_chains(tmp_path: Path) -> None:
    with postgres_cluster() as cluster:
        async with town(tmp_path) as here:
            ethereum, consortium = (chain.id for chain in here.devnet.info.chains)
            cluster.stop()
            for gate in here.gates.values():
                await gate.shut()
            place = cluster.url("later")
            relayer, regulator = here.relayer("early", here.devnet.info.users[0], place), here.regulator()
            try:
                await asyncio.gather(relayer.start(), regulator.start())
                await says_what_it_waits_for(relayer, {"database"})
                await asyncio.to_thread(cluster.start)
                await eventually(lambda: misses_its_database(relayer), WAIT_S)
                await asyncio.to_thread(cluster.psql, "create database later")
                await says_what_it_waits_for(relayer, {ethereum, consortium})
                await supervises_nothing_yet(regulator, ethereum, consortium)
                await here.gates[consortium].open()
                await works_with_what_is_there(relayer, ethereum, consortium)
                await here.gates[ethereum].open()
                await eventually(relayer.is_ready, WAIT_S)
                await eventually(lambda: relayer.ready, WAIT_S)
                await eventually(lambda: offers_both_ways(relayer), WAIT_S)
                waited = [line["what"] for line in relayer.logged("waiting")]
                assert sorted(waited) == sorted({"database", ethereum, consortium})
                await eventually(regulator.is_ready, WAIT_S)
                for one in (relayer, regulator):
                    one.send(signal.SIGTERM)
                    assert await one.ended() == 0
            finally:
                await relayer.end()
                await regulator.end()


async def says_what_it_waits_for(relayer: RelayerProcess, what: set[str]) -> None:
    async def said() -> bool:
        status, problem = await relayer.ask("/readyz")
        return status == 503 and what <= problem.keys()

    await eventually(said, WAIT_S)
    status, problem = await relayer.ask("/v1/pairs")
    assert (status, problem["type"]) == (503, "urn:causeway:problem:starting")
    assert (await relayer.ask("/healthz"))[0] == 200
    assert "causeway_build_info" in (await relayer.ask("/metrics"))[1]
    assert not relayer.ready


async def misses_its_database(relayer: RelayerProcess) -> bool:
    return "no such database" in (await relayer.ask("/readyz"))[1].get("database", "")


async def offers_both_ways(relayer: RelayerProcess) -> bool:
    """Return true once it offers both pairs: it has to have read the chain that came last."""
    return len((await relayer.ask("/v1/pairs"))[1]) == 2


async def supervises_nothing_yet(regulator: RelayerProcess, *away: str) -> None:
    assert (await regulator.ask("/healthz"))[0] == 200
    status, problem = await regulator.ask("/readyz")
    assert status == 503
    assert set(away) <= problem.keys()


async def works_with_what_is_there(relayer: RelayerProcess, away: str, there: str) -> None:
    """One chain's exits do not wait for another's endpoint."""

    async def lists() -> bool:
        status, chains = await relayer.ask("/v1/chains")
        return status == 200 and [one["id"] for one in chains] == [there]

    await eventually(lists, WAIT_S)
    status, problem = await relayer.ask("/readyz")
    assert status == 503
    assert "cannot be reached" in problem[away]
    assert problem[there].startswith(("live", "backfilling", "starting"))
