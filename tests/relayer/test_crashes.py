"""The relayer dies at every one of its commits, before and after, and starts again over the same file."""

from pathlib import Path

import pytest

from core.model.facts import Claimed, Locked
from core.model.types import SwapId
from core.runtime.clock import run_virtually
from core.runtime.database import InlineDatabase
from htlc.model import Leg, Phase
from tests.relayer.house import A, B, House

MAX_WRITES = 400
"""More than a swap needs; the test says so itself if it ever does not suffice."""


@pytest.mark.long
def test_a_crash_at_any_commit_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """Each write is the last one once: every other time just before it is committed, else just after."""
    deaths = 0
    for fatal in range(1, MAX_WRITES):
        url = f"sqlite:///{tmp_path / str(fatal)}"
        if not run_virtually(swap_with_a_death(url, fatal, after_commit=bool(fatal % 2))):
            break
        deaths = fatal
    assert 10 < deaths < MAX_WRITES - 1, f"{deaths} writes were tried"


async def swap_with_a_death(url: str, fatal: int, after_commit: bool) -> bool:
    """One swap; the relayer dies at its `fatal`-th write. False if it finished before."""
    house = House(url)
    await house.start()
    await house.clock.sleep(1.5)
    view = await house.open(A, 1000)
    await house.kill()

    await house.start(fatal, after_commit)
    await house.lock(view.initiator.terms)
    died = await finishes_or_dies(house, view.id)
    if died:
        await house.died()
        await house.database.close()
        house.database = InlineDatabase(url)
        await house.start()
        if not house.made(B, Claimed, view.hashlock):
            await house.claim(await house.locked(view.id, Leg.PARTICIPANT))
        await house.phase(view.id, Phase.COMPLETED)
    assert await house.gains() == {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
    for chain in (A, B):
        assert len(house.made(chain, Locked, view.hashlock)) == 1
        assert len(house.made(chain, Claimed, view.hashlock)) == 1
    await house.stop()
    await house.database.close()
    return died


async def finishes_or_dies(house: House, swap_id: SwapId) -> bool:
    """Play the initiator until the swap is done or the relayer is dead."""
    claimed = False
    while not house.mortal.dead:
        view = await house.look(swap_id)
        if view.phase is Phase.COMPLETED:
            return False
        if view.participant.lock is not None and view.participant.lock.final and not claimed:
            claimed = True
            await house.claim(view)
        await house.clock.sleep(0.25)
    return True
