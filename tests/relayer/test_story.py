"""The log has each swap's story: what happened, where, once."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.model.types import Preimage
from core.runtime.logging import configure_logging
from htlc.model import Leg, Phase
from relayer.service import RelayerService
from relayer.story import GATHER_S, Story
from tests.relayer.house import A, B, House, told


@pytest.fixture(autouse=True)
def info() -> Iterator[None]:
    """Whatever was configured before, these stories are at info."""
    configure_logging("info", stream=io.StringIO())
    yield
    configure_logging("error", stream=io.StringIO())


def story_of(lines: list[Any], swap_id: str) -> list[str]:
    found = []
    for line in lines:
        if line.get("source") == "relayer.story" and line["swap"] == swap_id:
            leg = f" {line['leg']}" if "leg" in line else ""
            found.append(f"{line['event']}{leg}" + (f" {line['what']}" if "what" in line else ""))
    return found


async def complete(house: House, service: RelayerService) -> Any:
    view = await house.open(A)
    await house.lock(view.initiator.terms)
    view = await house.locked(view.id, Leg.PARTICIPANT)
    await house.claim(view)
    view = await house.phase(view.id, Phase.COMPLETED)
    await house.clock.sleep(3 * GATHER_S)
    return view


COMPLETED = {
    "swap agreed",
    "locked initiator",
    "locked, finally initiator",
    "the other lock is as agreed",
    "sent fund-participant",
    "locked participant",
    "locked, finally participant",
    "claimed participant",
    "claimed, finally participant",
    "the preimage is public",
    "sent claim-initiator",
    "claimed initiator",
    "claimed, finally initiator",
}


def test_a_completed_swap_is_logged_from_agreement_to_claim() -> None:
    async def story(house: House) -> None:
        with capture_logs() as lines:
            service = await house.start()
            view = await complete(house, service)
        said = story_of(lines, view.id)
        assert sorted(said) == sorted(COMPLETED), said
        assert said.index("locked initiator") < said.index("locked participant") < said.index("claimed initiator")
        [locked] = [one for one in lines if one["event"] == "locked" and one["leg"] == Leg.PARTICIPANT]
        assert view.participant.lock is not None
        assert (locked["chain"], locked["lock"], locked["block"]) == (
            B,
            view.participant.lock_id,
            view.participant.lock.block.hash,
        )
        assert locked["height"] == view.participant.lock.block.height
        [agreed] = [one for one in lines if one["event"] == "swap agreed"]
        assert agreed["hashlock"] == view.hashlock
        assert [one["outcome"] for one in lines if one["event"] == "swap finished"] == [Phase.COMPLETED]

    told(story)


def test_a_restart_says_nothing_twice_and_goes_on() -> None:
    async def story(house: House) -> None:
        with capture_logs() as lines:
            await house.start()
            view = await house.open(A)
            await house.lock(view.initiator.terms)
            view = await house.locked(view.id, Leg.PARTICIPANT)
            await house.clock.sleep(3 * GATHER_S)
            await house.kill()
            await house.start()
            await house.claim(view)
            await house.phase(view.id, Phase.COMPLETED)
            await house.clock.sleep(3 * GATHER_S)
        said = story_of(lines, view.id)
        assert sorted(said) == sorted(COMPLETED), said

    told(story)


def test_a_refund_is_logged() -> None:
    async def story(house: House) -> None:
        with capture_logs() as lines:
            await house.start()
            view = await house.open(A)
            place = await house.lock(view.initiator.terms)
            view = await house.phase(view.id, Phase.REFUNDED)
            await house.clock.sleep(max(0.0, view.initiator.terms.timelock.seconds + 2 - house.clock.now()))
            await house.refund(view.initiator.terms, place)
            await house.clock.sleep(10)
        said = story_of(lines, view.id)
        assert len(said) == len(set(said))
        assert {"sent refund-participant", "refunded participant", "refunded, finally participant"} <= set(said)

    told(story)


def test_stories_are_remembered_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relayer.story.MAX_SAID", 2)

    async def story(house: House) -> None:
        service = await house.start()
        views = [await house.open(A, 100, Preimage(bytes([number]) * 32)) for number in (1, 2, 3)]
        await house.clock.sleep(3 * GATHER_S)
        teller: Story = service.story
        assert list(teller._said) == [view.id for view in views[1:]]

    told(story)
