"""A swap and a refund in real time over the databases that real relayers use: threads, sockets and all."""

import asyncio

import pytest

from core.model.facts import Claimed, Locked
from core.runtime.clock import SystemClock
from core.runtime.database import METADATA, open_database
from htlc.model import Leg, Phase
from tests.relayer.house import A, B, House


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request, tmp_path):
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path / 'relayer.sqlite'}")
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))
    await opened.write(METADATA.drop_all)
    yield opened
    await opened.close()


async def test_a_swap_and_a_restart_on_a_real_database(database):
    house = House(clock=SystemClock(), block_s=0.2)
    house.database = database
    await house.start()
    await asyncio.sleep(0.5)
    view = await house.open(A, 1000)
    await house.lock(view.initiator.terms)
    view = await house.locked(view.id, Leg.PARTICIPANT)
    await house.kill()
    await house.claim(view)
    await house.start()
    view = await house.phase(view.id, Phase.COMPLETED, deadline_s=20)
    assert await house.gains() == {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
    for chain in (A, B):
        assert len(house.made(chain, Locked, view.hashlock)) == 1
        assert len(house.made(chain, Claimed, view.hashlock)) == 1
    assert house.metrics.value("relayer_swaps_settled_total", outcome="completed") == 1
    await house.stop()
