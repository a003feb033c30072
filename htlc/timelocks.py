"""How much time every step of a swap needs, in one place: the four gates, and the timelocks planned from them.

For chain X: I = worst inclusion, F = time to finality, O = our observation and decision, lead/lag = how far its time
may run ahead of or behind true time (all of `ChainTiming`). U = time given to a person, R = outage allowance of the
party that must act (all of `SwapPolicy`). A is the initiator's chain, B the participant's.

    reveal   T_B − now > 2·I_B + F_B + R_i + lead_B
    fund     T_B − now > I_B + F_B + O_B + U_claim + right side of reveal
    quote    T_B − now > U_lock + I_A + F_A + O_A + right side of fund
    gap      T_A − T_B > lag_B + O_B + 2·I_A + F_A + R_p + lead_A

2·I + F is room to be included, reorged out and included again. `now` is true time as our own clock has it, in whole
Unix seconds rounded up; `check_skew` holds that clock and the chains' against each other. A gate that does not hold
raises `GateClosedError` with the inequality and its numbers; skew is a `ClockSkewError`, since clocks can be put right
again. This is the only place where times of two chains meet.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from core.model.errors import GateClosedError, RejectedError, RetryableError, require
from core.model.ports import ChainTiming
from core.model.types import MAX_TIMELOCK_S, ChainTime, Seconds

MAX_PLAN_S: Final = 14 * 24 * 3600
"""A longest timelock beyond this is a mistake in a configuration, not a swap."""
PLAN_SLACK_S: Final = 1
"""Gates are strict inequalities of whole seconds."""


class ClockSkewError(RetryableError):
    """A chain's time and our clock are further apart than their bound: nothing is quoted, funded or revealed."""

    code = "clock-skew"


class SwapPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The allowances that are chosen, not measured; seconds of true time.

    `lock_s` U_lock: for the initiator to lock after a quote. `claim_s` U_claim: for the initiator to claim after the
    participant's lock is final. `initiator_outage_s` R_i and `participant_outage_s` R_p: how long either may be
    offline at the worst moment and still not lose.
    """

    lock_s: Seconds
    claim_s: Seconds
    initiator_outage_s: Seconds
    participant_outage_s: Seconds


PRODUCTION_POLICY: Final = SwapPolicy(
    lock_s=Seconds(15 * 60),
    claim_s=Seconds(10 * 60),
    initiator_outage_s=Seconds(60 * 60),
    participant_outage_s=Seconds(2 * 60 * 60),
)
DEVNET_POLICY: Final = SwapPolicy(
    lock_s=Seconds(3), claim_s=Seconds(2), initiator_outage_s=Seconds(2), participant_outage_s=Seconds(2)
)
"""Allowances of seconds, so that on chains with blocks of a second a refund can be watched."""


# --- the right sides ---------------------------------------------------------------------------------------------


def reveal_terms(participant: ChainTiming, policy: SwapPolicy) -> dict[str, int]:
    """Return the terms that have to fit between the first broadcast of a claim on B and T_B, in seconds by name."""
    return {
        "2·I_B": 2 * participant.inclusion_s,
        "F_B": participant.finality_s,
        "R_i": policy.initiator_outage_s,
        "lead_B": participant.lead_s,
    }


def fund_terms(participant: ChainTiming, policy: SwapPolicy) -> dict[str, int]:
    """Return the terms that have to fit between the broadcast of the participant's lock and T_B."""
    return {
        "I_B": participant.inclusion_s,
        "F_B (lock)": participant.finality_s,
        "O_B": participant.observation_s,
        "U_claim": policy.claim_s,
        **reveal_terms(participant, policy),
    }


def quote_terms(initiator: ChainTiming, participant: ChainTiming, policy: SwapPolicy) -> dict[str, int]:
    """Return the terms that have to fit between a quote and T_B."""
    return {
        "U_lock": policy.lock_s,
        "I_A": initiator.inclusion_s,
        "F_A": initiator.finality_s,
        "O_A": initiator.observation_s,
        **fund_terms(participant, policy),
    }


def gap_terms(initiator: ChainTiming, participant: ChainTiming, policy: SwapPolicy) -> dict[str, int]:
    """Return the terms that have to fit between the last moment of a claim on B and T_A."""
    return {
        "lag_B": participant.lag_s,
        "O_B": participant.observation_s,
        "2·I_A": 2 * initiator.inclusion_s,
        "F_A": initiator.finality_s,
        "R_p": policy.participant_outage_s,
        "lead_A": initiator.lead_s,
    }


def claim_bound_s(timing: ChainTiming) -> int:
    """Return the seconds within which a claim is final that is broadcast now, though a reorg may take it out once."""
    return 2 * timing.inclusion_s + timing.finality_s + timing.lead_s


# --- the gates ---------------------------------------------------------------------------------------------------


def check_reveal(now_s: int, t_b: ChainTime, participant: ChainTiming, policy: SwapPolicy) -> None:
    """The initiator's gate before the first broadcast of a claim on B. Raise `GateClosedError`."""
    _check("reveal", "T_B − now", t_b.seconds - now_s, reveal_terms(participant, policy), now=now_s, T_B=t_b.seconds)


def check_fund(now_s: int, t_b: ChainTime, participant: ChainTiming, policy: SwapPolicy) -> None:
    """The participant's gate before its lock on B. Raise `GateClosedError`."""
    _check("fund", "T_B − now", t_b.seconds - now_s, fund_terms(participant, policy), now=now_s, T_B=t_b.seconds)


def check_quote(
    now_s: int, t_b: ChainTime, initiator: ChainTiming, participant: ChainTiming, policy: SwapPolicy
) -> None:
    """The gate of a quote made now: everybody has the time they need. Raise `GateClosedError`."""
    terms = quote_terms(initiator, participant, policy)
    _check("quote", "T_B − now", t_b.seconds - now_s, terms, now=now_s, T_B=t_b.seconds)


def check_lock(
    now_s: int, t_b: ChainTime, initiator: ChainTiming, participant: ChainTiming, policy: SwapPolicy
) -> None:
    """The quote gate without U_lock: an initiator who locks now will still find the counterpart's gate open.

    Raise `GateClosedError`. It saves a pointless lock; safety rests on the other gates.
    """
    terms = {name: s for name, s in quote_terms(initiator, participant, policy).items() if name != "U_lock"}
    _check("lock", "T_B − now", t_b.seconds - now_s, terms, now=now_s, T_B=t_b.seconds)


def check_gap(
    t_a: ChainTime, t_b: ChainTime, initiator: ChainTiming, participant: ChainTiming, policy: SwapPolicy
) -> None:
    """The gap between the timelocks: the participant has the time it needs. Raise `GateClosedError`."""
    terms = gap_terms(initiator, participant, policy)
    _check("gap", "T_A − T_B", t_a.seconds - t_b.seconds, terms, T_A=t_a.seconds, T_B=t_b.seconds)


def check_skew(head: ChainTime, now_s: int, timing: ChainTiming) -> None:
    """Hold a chain's newest block time, observed at `now_s`, against our clock. Raise `ClockSkewError`.

    A newest block may be as old as the worst inclusion and our observation, on top of the chain's lag: one older
    still means that the chain stands, that we no longer see it, or that a clock is wrong.
    """
    ahead_s = head.seconds - now_s
    if ahead_s > timing.lead_s:
        raise ClockSkewError(
            f"clock skew: {head.chain} is {ahead_s} s ahead of our clock, its bound is {timing.lead_s} s",
            chain=head.chain,
            ahead_s=ahead_s,
            lead_s=timing.lead_s,
        )
    bound_s = timing.lag_s + timing.inclusion_s + timing.observation_s
    if -ahead_s > bound_s:
        raise ClockSkewError(
            f"clock skew: {head.chain} is {-ahead_s} s behind our clock, its bound is {bound_s} s "
            f"(lag {timing.lag_s} + inclusion {timing.inclusion_s} + observation {timing.observation_s})",
            chain=head.chain,
            behind_s=-ahead_s,
            bound_s=bound_s,
        )


def plan(
    now_a: ChainTime, now_b: ChainTime, initiator: ChainTiming, participant: ChainTiming, policy: SwapPolicy
) -> tuple[ChainTime, ChainTime]:
    """(T_A, T_B), the shortest for which quote and gap hold now.

    `now_a` and `now_b` are true time (our clock, rounded up) written as a time of either chain, or a chain's head
    if that is ahead of it; the later one counts. Raise `RejectedError` for timings that make no sense.
    """
    now_s = max(now_a.seconds, now_b.seconds)
    to_t_b = sum(quote_terms(initiator, participant, policy).values()) + PLAN_SLACK_S
    to_t_a = to_t_b + sum(gap_terms(initiator, participant, policy).values()) + PLAN_SLACK_S
    values = [value for timing in (initiator, participant) for value in _timing_values(timing)]
    if min(values) < 0 or to_t_a > MAX_PLAN_S or now_s + to_t_a > MAX_TIMELOCK_S:
        raise RejectedError(f"these chain timings need a timelock {to_t_a} s away, the limit is {MAX_PLAN_S} s")
    t_a, t_b = ChainTime(now_a.chain, now_s + to_t_a), ChainTime(now_b.chain, now_s + to_t_b)
    check_quote(now_s, t_b, initiator, participant, policy)
    check_gap(t_a, t_b, initiator, participant, policy)
    return t_a, t_b


def lock_deadline_s(now_s: int, policy: SwapPolicy) -> int:
    """Until when (true time, Unix seconds) an initiator may lock on a quote made at `now_s`."""
    return now_s + policy.lock_s


def _timing_values(timing: ChainTiming) -> tuple[int, ...]:
    return (
        timing.block_time_s,
        timing.inclusion_s,
        timing.finality_s,
        timing.observation_s,
        timing.lead_s,
        timing.lag_s,
    )


def _check(gate: str, left: str, left_s: int, terms: Mapping[str, int], **numbers: int) -> None:
    right_s = sum(terms.values())
    if left_s > right_s:
        return
    sums = " + ".join(f"{name} {seconds}" for name, seconds in terms.items())
    raise GateClosedError(
        f"the {gate} gate is closed: {left} = {left_s} s is not more than {right_s} s ({sums})",
        gate=gate,
        inequality=f"{left} > {' + '.join(terms)}",
        left_s=left_s,
        right_s=right_s,
        terms=dict(terms),
        **numbers,
    )


# --- how the constants relate ------------------------------------------------------------------------------------

_BEAT: Final = ChainTiming(Seconds(1), Seconds(2), Seconds(3), Seconds(1), Seconds(1), Seconds(1))
"""A development chain with blocks of a second, to relate the policies to."""

for _policy in (PRODUCTION_POLICY, DEVNET_POLICY):
    require(min(_policy.lock_s, _policy.claim_s) > 0, "a person is given some time")
    require(min(_policy.initiator_outage_s, _policy.participant_outage_s) > 0, "everybody may be offline for a while")
    require(_policy.participant_outage_s >= _policy.initiator_outage_s, "the relayer serves many: it gets no less time")
require(PRODUCTION_POLICY.participant_outage_s >= 2 * 60 * 60, "an operator must be able to wake up and act")
require(
    sum(quote_terms(_BEAT, _BEAT, DEVNET_POLICY).values()) + sum(gap_terms(_BEAT, _BEAT, DEVNET_POLICY).values()) <= 45,
    "on a development chain both refunds can be watched",
)
