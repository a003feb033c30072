"""The demo's stories if a swap does not go as the story says."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from core.model.errors import ConflictError
from core.model.types import SwapId
from gateway.demo.stories import participant_refunded, shown_until
from htlc.model import Phase
from relayer.client import ClientSwap, SwapClient, SwapProgress, SwapStep


class Scripted:
    """A client whose swap makes these steps and ends."""

    def __init__(self, *steps: tuple[SwapStep, str]) -> None:
        self._steps = steps

    async def progress(self, _: ClientSwap) -> AsyncIterator[SwapProgress]:
        for number, (step, message) in enumerate(self._steps):
            yield SwapProgress(SwapId("swap"), number, step, Phase.AGREED, None, None, None, message)


async def told(*steps: tuple[SwapStep, str]) -> list[SwapStep]:
    heard: list[SwapStep] = []
    client = cast(SwapClient, Scripted(*steps))
    await shown_until(client, cast(ClientSwap, None), lambda one: heard.append(one.step), SwapStep.LOCKED)
    return heard


async def test_steps_are_shown_up_to_the_one_that_is_waited_for() -> None:
    steps = [(SwapStep.AGREED, "a"), (SwapStep.LOCKED, "b"), (SwapStep.FINISHED, "c")]
    assert await told(*steps) == [SwapStep.AGREED, SwapStep.LOCKED]


async def test_a_swap_that_was_called_off_says_why() -> None:
    with pytest.raises(ConflictError, match="the lock gate is closed"):
        await told((SwapStep.AGREED, "a"), (SwapStep.CALLED_OFF, "the lock gate is closed"))


@pytest.mark.parametrize(
    ("participant", "refunded"),
    [
        (None, False),
        ({"lock": None}, False),
        ({"lock": {"status": "locked"}}, False),
        ({"lock": {"status": "refunded"}}, True),
    ],
)
def test_a_regulator_may_not_have_seen_the_lock_yet(participant: dict[str, Any] | None, refunded: bool) -> None:
    assert participant_refunded({"participant": participant}) is refunded
