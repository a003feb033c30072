"""Towns in which operators act, and what they run on fails: two processes of one relayer, withdrawals, prices."""

import io
from typing import Any

import pytest

from core.runtime.logging import configure_logging
from gateway.simulation.campaign import report
from gateway.simulation.plan import B, Rough, Style
from gateway.simulation.plan_operators import Fall, Leading, Pricing, Purpose, Withdrawing
from gateway.simulation.story import play
from tests.simulation.test_seeds import deal, plan


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    configure_logging("error", stream=io.StringIO())


@pytest.mark.parametrize("fall", list(Fall))
def test_another_process_takes_over_and_swaps_complete(fall: Any) -> None:
    """The leader falls as soon as its first lock has left: what it signed is the other one's to send."""
    story = plan(deal(Style.HONEST), deal(Style.HONEST, B, 1), leading=Leading(fall, 0.0, 12.0, funding=1))
    verdict = play(story)
    assert verdict.ok, report(verdict)
    assert verdict.completed == 2
    assert verdict.faults[f"leader-{fall}"] == 1
    assert verdict.faults.get("leader-stands-by", 0) == (fall is not Fall.KILLED)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_only_free_money_leaves_by_a_withdrawal(purpose: Any) -> None:
    """Ordered when a swap was just agreed on, of the asset that it needs."""
    order = Withdrawing(0, purpose, B, coin=True, percent=40, at_s=0.2, after=1, within_s=60)
    verdict = play(plan(deal(Style.HONEST, amount=50_000), narrow=True, withdrawals=(order,)))
    assert verdict.ok, report(verdict)
    assert (verdict.completed, verdict.faults[f"withdrawal-{purpose}"]) == (1, 1)


@pytest.mark.parametrize(("seed", "at_s"), [(0, 20.0), (2, 0.0)])
def test_locks_are_found_again_from_the_chains_alone(seed: int, at_s: float) -> None:
    """One swap is claimed in the last second, the other one's initiator vanishes; with a copy and without."""
    deals = deal(Style.LAST_SECOND), deal(Style.VANISHES, B, 1)
    story = plan(*deals, rough=frozenset({Rough.FROM_CHAIN}), at_s={Rough.FROM_CHAIN: at_s}, seed=seed)
    verdict = play(story)
    assert verdict.ok, report(verdict)
    assert (verdict.completed, verdict.faults["found-again"]) == (1, 2)


@pytest.mark.parametrize("percent", [60, 160])
def test_nothing_is_quoted_at_a_price_that_jumps(percent: int) -> None:
    """Two ask before, two while it has jumped, and two after it has come back."""
    pricing = Pricing(10.0, 20.0, percent, stall_at_s=0.0, stall_for_s=0.0, flaky=0.0)
    starts = enumerate((1.0, 1.0, 14.0, 16.0, 40.0, 40.0))
    verdict = play(plan(*(deal(Style.HONEST, number=n, start_s=at_s) for n, at_s in starts), pricing=pricing))
    assert verdict.ok, report(verdict)
    assert verdict.faults["price-jump"] > 0
    assert verdict.completed >= 4
