"""Whole swaps in virtual time: what must hold for every seed, and that the judge can tell when it does not."""

import io
from dataclasses import replace

import pytest

from core.model.facts import LockStatus
from core.runtime.logging import configure_logging
from gateway.simulation.campaign import told, verdicts
from gateway.simulation.plan import POLICY, A, B, Blocked, Death, Initiator, Plan, Provider, draw
from gateway.simulation.story import play
from htlc.model import Phase
from tests.support import LONG

SEEDS = 300 if LONG else 20
"""`python -m gateway.simulation --seeds 1000 --jobs 2` plays more."""
PLANS = 50
JOBS = 2

CALM = replace(
    draw(0),
    first=A,
    initiator=Initiator.HONEST,
    provider=Provider.HONEST,
    watchtower=False,
    operators=1,
    liar=False,
    skew_s={A: 0, B: 0},
    reorgs=(),
    fees=False,
    spikes=(),
    provider_deaths=(),
    initiator_deaths=(),
    blocked=Blocked.NOBODY,
)


@pytest.fixture(autouse=True)
def quiet_logs():
    configure_logging("error", stream=io.StringIO())


@pytest.mark.long
@pytest.mark.endurance
def test_nobody_honest_loses_money_under_any_seed():
    failed = [told(verdict) for verdict in verdicts(range(SEEDS), JOBS) if not verdict.ok]
    assert not failed, "\n".join([f"python -m gateway.simulation --seed N --verbose tells more\n{failed[0]}"])


def test_a_party_that_dies_in_the_moment_of_the_end_ends_with_it():
    """Its death is an error of a task group that is cancelled in the same moment; the party lived on for ever."""
    assert play(draw(85)).ok


def test_a_seed_tells_one_story_only():
    first, again = (play(draw(3)) for _ in range(2))
    assert first == again


def test_plans_differ_and_reach_every_kind_of_trouble():
    plans = [draw(seed) for seed in range(PLANS)]
    assert {plan.initiator for plan in plans} == set(Initiator)
    assert {plan.provider for plan in plans} == set(Provider)
    assert {plan.blocked for plan in plans} == set(Blocked)
    for trouble in ("watchtower", "liar", "reorgs", "spikes", "provider_deaths", "initiator_deaths"):
        assert {bool(getattr(plan, trouble)) for plan in plans} == {True, False}, trouble


@pytest.mark.parametrize("first", [A, B])
def test_a_calm_swap_completes_in_both_directions(first):
    verdict = play(replace(CALM, first=first))
    assert verdict.ok, told(verdict)
    assert set(verdict.phases.values()) == {Phase.COMPLETED}
    assert [lock.status for lock in verdict.locks] == [LockStatus.CLAIMED] * 2


@pytest.mark.parametrize("blocked", [Blocked.PROVIDER, Blocked.INITIATOR])
@pytest.mark.parametrize("initiator", [Initiator.HONEST, Initiator.LAST_SECOND])
def test_nobody_funds_or_reveals_into_a_claim_that_cannot_pay(blocked, initiator):
    verdict = play(replace(CALM, blocked=blocked, initiator=initiator))
    assert verdict.ok, told(verdict)
    assert verdict.phases["provider"] is Phase.ABANDONED
    assert {lock.status for lock in verdict.locks} <= {LockStatus.REFUNDED}
    assert len(verdict.locks) == (initiator is Initiator.LAST_SECOND)


def late(plan: Plan, outage_s: float) -> Plan:
    """The initiator claims as late as he can, and the provider's power fails right before."""
    return replace(
        plan,
        initiator=Initiator.LAST_SECOND,
        cheat_before_timelock_s=2.0,
        provider_deaths=(Death(outage_s, before_participant_timelock_s=4.0),),
    )


def test_a_provider_who_is_back_within_his_allowance_is_paid():
    verdict = play(late(CALM, POLICY.participant_outage_s - 4))
    assert verdict.ok, told(verdict)
    assert verdict.phases["provider"] is Phase.COMPLETED


def test_the_judge_sees_a_loss_when_the_outage_exceeds_every_allowance():
    verdict = play(late(CALM, 10.0 * POLICY.participant_outage_s))
    assert "the provider paid and was not paid" in verdict.problems


def test_a_watchtower_saves_a_provider_who_is_gone_for_good():
    verdict = play(replace(late(CALM, 10.0 * POLICY.participant_outage_s), watchtower=True))
    assert verdict.phases["tower"] is Phase.COMPLETED
    assert [lock.status for lock in verdict.locks] == [LockStatus.CLAIMED] * 2
