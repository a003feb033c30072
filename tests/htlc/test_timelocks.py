"""The gates at their boundaries, plans, skew; and that no term can be dropped."""

from collections.abc import Callable
from dataclasses import fields, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import GateClosedError, RejectedError
from core.model.ports import ChainTiming
from core.model.types import MAX_TIMELOCK_S, ChainTime, Seconds
from htlc import timelocks
from htlc.timelocks import ClockSkewError, SwapPolicy
from tests.htlc.scenarios import EVM_TIMING, LEDGER_TIMING, NOW, POLICY, A, B

seconds = st.integers(0, 5_000)
timings = st.builds(ChainTiming, seconds, seconds, seconds, seconds, seconds, seconds)
policies = st.builds(
    SwapPolicy, lock_s=seconds, claim_s=seconds, initiator_outage_s=seconds, participant_outage_s=seconds
)


@given(timings, timings, policies, st.integers(0, 2**31))
def test_a_plan_holds_quote_and_gap_and_not_a_second_less(
    a: ChainTiming, b: ChainTiming, policy: SwapPolicy, now: int
) -> None:
    t_a, t_b = timelocks.plan(ChainTime(A, now), ChainTime(B, now), a, b, policy)
    assert (t_a.chain, t_b.chain) == (A, B)
    timelocks.check_quote(now, t_b, a, b, policy)
    timelocks.check_gap(t_a, t_b, a, b, policy)
    timelocks.check_lock(timelocks.lock_deadline_s(now, policy), t_b, a, b, policy)
    with pytest.raises(GateClosedError):
        timelocks.check_quote(now + 1, t_b, a, b, policy)
    with pytest.raises(GateClosedError):
        timelocks.check_gap(t_a, t_b.plus(Seconds(1)), a, b, policy)


@given(timings, policies)
def test_bound_of_a_claim_is_what_the_reveal_gate_leaves_it(timing: ChainTiming, policy: SwapPolicy) -> None:
    """Without the outage, which is over once the claim is sent."""
    gate_s = sum(timelocks.reveal_terms(timing, policy).values())
    assert timelocks.claim_bound_s(timing) == gate_s - policy.initiator_outage_s


def test_the_later_clock_counts() -> None:
    late = timelocks.plan(ChainTime(A, NOW + 5), ChainTime(B, NOW), EVM_TIMING, LEDGER_TIMING, POLICY)
    assert late == timelocks.plan(ChainTime(A, NOW + 5), ChainTime(B, NOW + 5), EVM_TIMING, LEDGER_TIMING, POLICY)


def test_timings_that_make_no_sense_make_no_plan() -> None:
    for wrong in (replace(EVM_TIMING, finality_s=Seconds(-1)), replace(EVM_TIMING, finality_s=Seconds(10**7))):
        with pytest.raises(RejectedError):
            timelocks.plan(ChainTime(A, NOW), ChainTime(B, NOW), wrong, LEDGER_TIMING, POLICY)


@pytest.mark.parametrize("name", [field.name for field in fields(ChainTiming)])
def test_no_timing_may_be_negative(name: str) -> None:
    for a, b in ((-1, 0), (0, -1), (-1, -1)):
        first, second = (replace(known, **{name: Seconds(s)}) for known, s in ((EVM_TIMING, a), (LEDGER_TIMING, b)))
        with pytest.raises(RejectedError, match="these chain timings"):
            timelocks.plan(ChainTime(A, NOW), ChainTime(B, NOW), first, second, POLICY)
    for fine in (0, 1):
        first, second = (replace(known, **{name: Seconds(fine)}) for known in (EVM_TIMING, LEDGER_TIMING))
        timelocks.plan(ChainTime(A, NOW), ChainTime(B, NOW), first, second, POLICY)


def test_plan_reaches_its_limits_and_no_further() -> None:
    """With all other terms nought, T_A is the initiator's finality and the two seconds of slack away."""
    nothing = ChainTiming(*(Seconds(0),) * 6)
    free = SwapPolicy(
        lock_s=Seconds(0), claim_s=Seconds(0), initiator_outage_s=Seconds(0), participant_outage_s=Seconds(0)
    )

    def away_s(outage_s: int, now_s: int) -> int:
        policy = msgspec.structs.replace(free, participant_outage_s=Seconds(outage_s))
        t_a, _ = timelocks.plan(ChainTime(A, now_s), ChainTime(B, now_s), nothing, nothing, policy)
        return t_a.seconds - now_s

    assert away_s(timelocks.MAX_PLAN_S - 2, NOW) == timelocks.MAX_PLAN_S
    with pytest.raises(RejectedError):
        away_s(timelocks.MAX_PLAN_S - 1, NOW)
    assert away_s(8, MAX_TIMELOCK_S - 10) == 10
    with pytest.raises(RejectedError):
        away_s(9, MAX_TIMELOCK_S - 10)


def test_lock_gate_is_the_quote_gate_without_the_time_to_lock() -> None:
    right_side = 2 + 3 + 1 + (2 + 1 + 1 + 2 + (2 * 2 + 1 + 2 + 1))
    timelocks.check_lock(NOW, ChainTime(B, NOW + right_side + 1), EVM_TIMING, LEDGER_TIMING, POLICY)
    with pytest.raises(GateClosedError) as refused:
        timelocks.check_lock(NOW, ChainTime(B, NOW + right_side), EVM_TIMING, LEDGER_TIMING, POLICY)
    assert (refused.value.fields["gate"], refused.value.fields["right_s"]) == ("lock", right_side)
    assert "U_lock" not in refused.value.fields["terms"]


@pytest.mark.parametrize(
    ("gate", "right_side"),
    [
        (timelocks.check_reveal, 2 * 2 + 1 + 2 + 1),
        (timelocks.check_fund, 2 + 1 + 1 + 2 + (2 * 2 + 1 + 2 + 1)),
    ],
)
def test_gate_of_one_chain_opens_one_second_above_its_right_side(
    gate: Callable[[int, ChainTime, ChainTiming, SwapPolicy], None], right_side: int
) -> None:
    t_b = ChainTime(B, NOW)
    gate(NOW - right_side - 1, t_b, LEDGER_TIMING, POLICY)
    with pytest.raises(GateClosedError) as refused:
        gate(NOW - right_side, t_b, LEDGER_TIMING, POLICY)
    assert refused.value.fields["left_s"] == refused.value.fields["right_s"] == right_side
    assert sum(refused.value.fields["terms"].values()) == right_side
    assert str(right_side) in refused.value.message


def test_quote_and_gap_open_one_second_above_their_right_side() -> None:
    quote = 3 + 2 + 3 + 1 + (2 + 1 + 1 + 2 + (2 * 2 + 1 + 2 + 1))
    timelocks.check_quote(NOW, ChainTime(B, NOW + quote + 1), EVM_TIMING, LEDGER_TIMING, POLICY)
    with pytest.raises(GateClosedError):
        timelocks.check_quote(NOW, ChainTime(B, NOW + quote), EVM_TIMING, LEDGER_TIMING, POLICY)
    gap = 1 + 1 + 2 * 2 + 3 + 2 + 1
    t_b = ChainTime(B, NOW)
    timelocks.check_gap(ChainTime(A, NOW + gap + 1), t_b, EVM_TIMING, LEDGER_TIMING, POLICY)
    with pytest.raises(GateClosedError):
        timelocks.check_gap(ChainTime(A, NOW + gap), t_b, EVM_TIMING, LEDGER_TIMING, POLICY)


def test_skew_is_bounded_on_both_sides() -> None:
    timelocks.check_skew(ChainTime(A, NOW + 1), NOW, EVM_TIMING)
    timelocks.check_skew(ChainTime(A, NOW - 4), NOW, EVM_TIMING)
    for apart, said in ((2, {"ahead_s": 2, "lead_s": 1}), (-5, {"behind_s": 5, "bound_s": 4})):
        with pytest.raises(ClockSkewError) as skewed:
            timelocks.check_skew(ChainTime(A, NOW + apart), NOW, EVM_TIMING)
        assert skewed.value.fields == {"chain": A, **said}


@given(timings, timings, policies)
def test_every_term_has_a_worst_case_that_needs_it(a: ChainTiming, b: ChainTiming, policy: SwapPolicy) -> None:
    """The worst case of each step, played in true time second by second, ends exactly where the gate says."""
    t_b = 0
    claim_sent_s = t_b - sum(timelocks.reveal_terms(b, policy).values())
    back_online_s = claim_sent_s + policy.initiator_outage_s
    included_again_s = back_online_s + b.inclusion_s + b.finality_s + b.inclusion_s
    assert included_again_s + b.lead_s == t_b
    funded_s = t_b - sum(timelocks.fund_terms(b, policy).values())
    lock_final_s = funded_s + b.inclusion_s + b.finality_s
    assert lock_final_s + b.observation_s + policy.claim_s == claim_sent_s
    quoted_s = t_b - sum(timelocks.quote_terms(a, b, policy).values())
    initiator_final_s = quoted_s + policy.lock_s + a.inclusion_s + a.finality_s
    assert initiator_final_s + a.observation_s == funded_s
    last_claim_s = t_b + b.lag_s
    back_online_s = last_claim_s + b.observation_s + policy.participant_outage_s
    included_again_s = back_online_s + a.inclusion_s + a.finality_s + a.inclusion_s
    assert included_again_s + a.lead_s == t_b + sum(timelocks.gap_terms(a, b, policy).values())


def test_policies_survive_json() -> None:
    raw = msgspec.json.encode(timelocks.PRODUCTION_POLICY)
    assert msgspec.json.decode(raw, type=SwapPolicy) == timelocks.PRODUCTION_POLICY


def test_a_development_refund_can_be_watched() -> None:
    t_a, t_b = timelocks.plan(ChainTime(A, NOW), ChainTime(B, NOW), EVM_TIMING, LEDGER_TIMING, POLICY)
    assert (t_b.seconds - NOW, t_a.seconds - NOW) == (24, 37)
