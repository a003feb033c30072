"""Every term of every gate, dropped on its own: the worst case that it stands for then costs the swap, or money.

Each schedule is played in true time with every delay at its bound; the state machine says who has lost. `DELAYS` gives
every term at least two seconds, since the gates are strict and plans have a second of slack.
"""

import dataclasses

import pytest
from msgspec.structs import replace

from core.model.errors import GateClosedError
from core.model.ports import ChainTiming
from core.model.types import ChainTime, LockTerms, Seconds
from htlc import events, timelocks
from htlc.effects import RevealAndClaim, kind_of
from htlc.model import Agreement, Leg, Phase, Role, SwapState, swap_id
from htlc.timelocks import SwapPolicy
from htlc.transition import transition
from tests.htlc.scenarios import (
    NOW,
    A,
    B,
    agreement,
    claim_final,
    claim_seen,
    lock_final,
    lock_seen,
    refund_final,
    refund_seen,
    verified,
)

FIRST, SECOND = Leg.INITIATOR, Leg.PARTICIPANT
TIMING_A = ChainTiming(Seconds(1), Seconds(11), Seconds(7), Seconds(3), Seconds(2), Seconds(2))
TIMING_B = ChainTiming(Seconds(1), Seconds(5), Seconds(4), Seconds(2), Seconds(3), Seconds(2))
DELAYS = SwapPolicy(
    lock_s=Seconds(13), claim_s=Seconds(9), initiator_outage_s=Seconds(17), participant_outage_s=Seconds(23)
)
GAP = timelocks.gap_terms(TIMING_A, TIMING_B, DELAYS)
REVEAL = timelocks.reveal_terms(TIMING_B, DELAYS)
FUND = timelocks.fund_terms(TIMING_B, DELAYS)
QUOTE = timelocks.quote_terms(TIMING_A, TIMING_B, DELAYS)
T_A = NOW + sum(QUOTE.values()) + sum(GAP.values()) + 2 * timelocks.PLAN_SLACK_S
T_B = NOW + sum(QUOTE.values()) + timelocks.PLAN_SLACK_S


def test_the_planned_timelocks_are_these() -> None:
    planned = timelocks.plan(ChainTime(A, NOW), ChainTime(B, NOW), TIMING_A, TIMING_B, DELAYS)
    assert planned == (ChainTime(A, T_A), ChainTime(B, T_B))


def deluded(known: Agreement, term: str) -> Agreement:
    """An agreement between parties who do not know of one term of the gap."""
    none = Seconds(0)
    first, second, policy = known.initiator_timing, known.participant_timing, known.policy
    match term:
        case "lag_B":
            second = dataclasses.replace(second, lag_s=none)
        case "O_B":
            second = dataclasses.replace(second, observation_s=none)
        case "2·I_A":
            first = dataclasses.replace(first, inclusion_s=none)
        case "F_A":
            first = dataclasses.replace(first, finality_s=none)
        case "lead_A":
            first = dataclasses.replace(first, lead_s=none)
        case "R_p":
            policy = replace(policy, participant_outage_s=none)
    return replace(known, initiator_timing=first, participant_timing=second, policy=policy)


def begun(role: Role, t_a: int, unknown: str = "") -> SwapState:
    known = agreement(role)
    first, second = at(known.initiator_leg, t_a), at(known.participant_leg, T_B)
    terms: Agreement = replace(
        known,
        swap_id=swap_id(first, second),
        initiator_leg=first,
        participant_leg=second,
        initiator_timing=TIMING_A,
        participant_timing=TIMING_B,
        policy=DELAYS,
        lock_deadline_s=NOW + DELAYS.lock_s,
    )
    believed = deluded(terms, unknown)
    return transition(None, events.Agreed(believed, NOW), believed.policy)[0]


def at(terms: LockTerms, timelock_s: int) -> LockTerms:
    chain = ChainTime(terms.chain, timelock_s)
    return LockTerms(terms.asset, terms.amount, terms.sender, terms.receiver, terms.hashlock, chain)


def play(state: SwapState, *history: events.SwapEvent) -> SwapState:
    for event in history:
        state, _ = transition(state, event, state.agreement.policy)
    return state


def seen_at(leg: Leg, seconds: int) -> events.TimeAdvanced:
    """A chain far behind this moment, all of it final."""
    chain = ChainTime(A if leg is FIRST else B, seconds)
    return events.TimeAdvanced(leg, chain, chain, seconds)


def provider_after_the_last_claim(unknown: str = "") -> SwapState:
    """The initiator claims in the last block before T_B; everything that may delay the provider does."""
    t_a = T_A - GAP.get(unknown, 0)
    state = begun(Role.LIQUIDITY_PROVIDER, t_a, unknown)
    state = play(state, lock_seen(state.agreement, FIRST), lock_final(FIRST), verified(FIRST))
    state = play(state, lock_seen(state.agreement, SECOND), lock_final(SECOND))
    assert state.phase is Phase.BOTH_LOCKED
    claimed_s = T_B - 1 + TIMING_B.lag_s
    sent_s = claimed_s + TIMING_B.observation_s + DELAYS.participant_outage_s
    included_again_s = sent_s + TIMING_A.inclusion_s + TIMING_A.finality_s + TIMING_A.inclusion_s
    state = play(state, claim_seen(SECOND), claim_final(SECOND))
    if included_again_s + TIMING_A.lead_s < t_a:
        return play(state, claim_seen(FIRST), claim_final(FIRST))
    return play(state, seen_at(FIRST, t_a))


def test_provider_survives_the_worst_case_that_the_gap_allows() -> None:
    assert provider_after_the_last_claim().phase is Phase.COMPLETED


@pytest.mark.parametrize("term", GAP)
def test_without_any_term_of_the_gap_a_provider_loses_money(term: str) -> None:
    assert provider_after_the_last_claim(term).phase is Phase.LOST


def initiator_after_the_last_reveal(dropped_s: int) -> SwapState:
    """Reveal when a gate that forgets `dropped_s` is open for the last time; then everything goes wrong."""
    state = begun(Role.INITIATOR, T_A)
    revealed_s = T_B - (sum(REVEAL.values()) - dropped_s) - 1
    terms = state.agreement
    state = play(state, lock_seen(terms, FIRST), lock_final(FIRST), lock_seen(terms, SECOND), lock_final(SECOND))
    state, asked = transition(state, verified(SECOND, revealed_s - dropped_s), DELAYS)
    reveal = next(effect for effect in asked if isinstance(effect, RevealAndClaim))
    sent_s = revealed_s + DELAYS.initiator_outage_s
    included_again_s = sent_s + TIMING_B.inclusion_s + TIMING_B.finality_s + TIMING_B.inclusion_s
    state = play(state, events.EffectSubmitted(kind_of(reveal), reveal.sequence, b"t" * 32))
    if included_again_s + TIMING_B.lead_s < T_B:
        return play(state, claim_seen(SECOND), claim_final(SECOND))
    return play(state, refund_seen(SECOND), refund_final(SECOND), claim_seen(FIRST), claim_final(FIRST))


def test_initiator_survives_the_worst_case_of_the_reveal_gate() -> None:
    assert initiator_after_the_last_reveal(0).phase is Phase.COMPLETED


@pytest.mark.parametrize("term", REVEAL)
def test_initiator_loses_money_without_any_reveal_gate_term(term: str) -> None:
    assert initiator_after_the_last_reveal(REVEAL[term]).phase is Phase.LOST


def reveal_after_the_last_funding(dropped_s: int) -> None:
    """Let the participant lock at the last moment, and the initiator take all the time that it was promised."""
    funded_s = T_B - (sum(FUND.values()) - dropped_s) - 1
    lock_final_s = funded_s + TIMING_B.inclusion_s + TIMING_B.finality_s
    acts_s = lock_final_s + TIMING_B.observation_s + DELAYS.claim_s
    timelocks.check_reveal(acts_s, ChainTime(B, T_B), TIMING_B, DELAYS)


@pytest.mark.parametrize("term", [name for name in FUND if name not in REVEAL])
def test_inventory_is_locked_in_vain_without_any_fund_gate_term(term: str) -> None:
    reveal_after_the_last_funding(0)
    with pytest.raises(GateClosedError):
        reveal_after_the_last_funding(FUND[term])


def funding_after_the_last_lock(dropped_s: int) -> None:
    """Let the initiator lock at its deadline; the provider sees it final as late as may be."""
    quoted_s = T_B - (sum(QUOTE.values()) - dropped_s) - 1
    final_s = timelocks.lock_deadline_s(quoted_s, DELAYS) + TIMING_A.inclusion_s + TIMING_A.finality_s
    timelocks.check_fund(final_s + TIMING_A.observation_s, ChainTime(B, T_B), TIMING_B, DELAYS)


@pytest.mark.parametrize("term", [name for name in QUOTE if name not in FUND])
def test_initiator_locks_in_vain_without_any_term_of_a_quote(term: str) -> None:
    funding_after_the_last_lock(0)
    with pytest.raises(GateClosedError):
        funding_after_the_last_lock(QUOTE[term])
