"""The four gates suffice, and none of their terms can be dropped: exhaustive search over small integers.

A play is one way in which everything that the gates bound can come to pass: how long inclusion takes, that a reorg
takes a transaction out and it is included again, how far a chain's clock is off, how long people and processes are
away. Every play within the bounds is tried, for every small set of bounds. Times are whole seconds of true time.

    a claim sent at t by someone who may go away right then is in its last block by t + R + I + F + I, at most, and that
    block is dated up to `lead` later; it pays if it is dated before the timelock
    a claim dated before T_B may stand in a block made up to `lag_B` after T_B
"""

from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from core.model.errors import GateClosedError
from core.model.ports import ChainTiming
from core.model.types import ChainId, ChainTime, Seconds
from htlc import timelocks
from htlc.timelocks import SwapPolicy

A, B = ChainId("memory:a"), ChainId("memory:b")
NOW = 100
"""The moment in which a gate is asked."""
UP_TO = range(3)
"""Every bound takes these values, on either side of a gate."""
T_B = 200


def timing(inclusion: int = 0, finality: int = 0, observation: int = 0, lead: int = 0, lag: int = 0) -> ChainTiming:
    values = (Seconds(value) for value in (inclusion, finality, observation, lead, lag))
    return ChainTiming(Seconds(1), *values)


def policy(lock: int = 0, claim: int = 0, initiator: int = 0, participant: int = 0) -> SwapPolicy:
    return SwapPolicy(
        lock_s=Seconds(lock),
        claim_s=Seconds(claim),
        initiator_outage_s=Seconds(initiator),
        participant_outage_s=Seconds(participant),
    )


def up_to(*bounds: int) -> Iterator[tuple[int, ...]]:
    """Every way in which each of these stays within its bound."""
    return product(*(range(bound + 1) for bound in bounds))


def settled_at(sent_s: int, timing_of: ChainTiming, outage_s: int) -> Iterator[int]:
    """The dates that the last block of a claim may have, for one sent at this second by someone who goes away."""
    bounds = (outage_s, timing_of.inclusion_s, timing_of.finality_s, timing_of.inclusion_s, timing_of.lead_s)
    for away, first, reorg, again, ahead in up_to(*bounds):
        # Included after `first`, taken out again up to `reorg` later, when it would have been final; then included.
        yield sent_s + away + first + reorg + again + ahead


# --- what each gate is to bring about, by play ---------------------------------------------------------------------


def reveals_safely(t_b_s: int, b: ChainTiming, rules: SwapPolicy) -> bool:
    """Whoever reveals now is paid, in every play."""
    return all(dated < t_b_s for dated in settled_at(NOW, b, rules.initiator_outage_s))


def funds_usefully(t_b_s: int, b: ChainTiming, rules: SwapPolicy) -> bool:
    """An honest initiator finds the reveal gate open after this lock, in every play."""
    waits = up_to(b.inclusion_s, b.finality_s, b.observation_s, rules.claim_s)
    return all(opens(timelocks.check_reveal, NOW + sum(play), t_b_s, b, rules) for play in waits)


def quotes_usefully(t_b_s: int, a: ChainTiming, b: ChainTiming, rules: SwapPolicy) -> bool:
    """An honest provider finds the fund gate open after the initiator's lock, in every play."""
    waits = up_to(rules.lock_s, a.inclusion_s, a.finality_s, a.observation_s)
    return all(opens(timelocks.check_fund, NOW + sum(play), t_b_s, b, rules) for play in waits)


def pays_the_participant(t_a_s: int, a: ChainTiming, b: ChainTiming, rules: SwapPolicy) -> bool:
    """A claim in the last second of B leaves the participant the time to claim on A, in every play."""
    for behind, seen in up_to(b.lag_s, b.observation_s):
        learnt_s = T_B - 1 + behind + seen
        if not all(dated < t_a_s for dated in settled_at(learnt_s, a, rules.participant_outage_s)):
            return False
    return True


def opens(gate: object, *arguments: object) -> bool:
    now_s, t_b_s, *rest = arguments
    try:
        gate(now_s, ChainTime(B, t_b_s), *rest)  # type: ignore[operator, arg-type]
    except GateClosedError:
        return False
    return True


# --- the bounds over which each gate is searched -------------------------------------------------------------------


def reveal_cases() -> Iterator[tuple[ChainTiming, SwapPolicy]]:
    for i, f, lead, outage in product(UP_TO, repeat=4):
        yield timing(i, f, 0, lead), policy(initiator=outage)


def fund_cases() -> Iterator[tuple[ChainTiming, SwapPolicy]]:
    for i, f, o, lead, claim, outage in product(range(2), repeat=6):
        yield timing(i, f, o, lead), policy(claim=claim, initiator=outage)


def two_chain_cases() -> Iterator[tuple[ChainTiming, ChainTiming, SwapPolicy]]:
    for i, f, o, lead, lag, lock, outage in product(range(2), repeat=7):
        yield timing(i, f, o, lead), timing(1, 1, o, 1, lag), policy(lock, 1, 1, outage)


def least(terms: Mapping[str, int], without: str | None = None) -> int:
    """The least number of seconds by which a gate is open, with one term dropped if one is named."""
    return sum(value for name, value in terms.items() if name != without) + 1


# --- the theorem ---------------------------------------------------------------------------------------------------


def test_reveal_gate_suffices_and_is_tight() -> None:
    for b, rules in reveal_cases():
        terms = timelocks.reveal_terms(b, rules)
        t_b_s = NOW + least(terms)
        assert opens(timelocks.check_reveal, NOW, t_b_s, b, rules)
        assert not opens(timelocks.check_reveal, NOW, t_b_s - 1, b, rules)
        assert reveals_safely(t_b_s, b, rules), (b, rules)
        assert not reveals_safely(t_b_s - 1, b, rules), (b, rules)


def test_fund_gate_suffices_and_is_tight() -> None:
    for b, rules in fund_cases():
        t_b_s = NOW + least(timelocks.fund_terms(b, rules))
        assert opens(timelocks.check_fund, NOW, t_b_s, b, rules)
        assert not opens(timelocks.check_fund, NOW, t_b_s - 1, b, rules)
        assert funds_usefully(t_b_s, b, rules), (b, rules)
        assert not funds_usefully(t_b_s - 1, b, rules), (b, rules)


def test_quote_gate_suffices_and_is_tight() -> None:
    for a, b, rules in two_chain_cases():
        t_b_s = NOW + least(timelocks.quote_terms(a, b, rules))
        assert opens(timelocks.check_quote, NOW, t_b_s, a, b, rules)
        assert not opens(timelocks.check_quote, NOW, t_b_s - 1, a, b, rules)
        assert quotes_usefully(t_b_s, a, b, rules), (a, b, rules)
        assert not quotes_usefully(t_b_s - 1, a, b, rules), (a, b, rules)


def test_gap_gate_suffices_and_is_tight_but_for_a_second() -> None:
    """A claim is dated strictly before T_B, so that the last second of B is T_B - 1: the gap has one to spare."""
    for a, b, rules in two_chain_cases():
        t_a_s = T_B + least(timelocks.gap_terms(a, b, rules))
        timelocks.check_gap(ChainTime(A, t_a_s), ChainTime(B, T_B), a, b, rules)
        with pytest.raises(GateClosedError):
            timelocks.check_gap(ChainTime(A, t_a_s - 1), ChainTime(B, T_B), a, b, rules)
        assert pays_the_participant(t_a_s, a, b, rules), (a, b, rules)
        assert pays_the_participant(t_a_s - 1, a, b, rules), (a, b, rules)
        assert not pays_the_participant(t_a_s - 2, a, b, rules), (a, b, rules)


ALL = timing(2, 2, 2, 2, 2)
RULES = policy(2, 2, 2, 2)


@pytest.mark.parametrize("name", timelocks.reveal_terms(ALL, RULES))
def test_no_term_of_the_reveal_gate_can_be_dropped(name: str) -> None:
    assert not reveals_safely(NOW + least(timelocks.reveal_terms(ALL, RULES), name), ALL, RULES)


@pytest.mark.parametrize("name", timelocks.fund_terms(ALL, RULES))
def test_no_term_of_the_fund_gate_can_be_dropped(name: str) -> None:
    assert not funds_usefully(NOW + least(timelocks.fund_terms(ALL, RULES), name), ALL, RULES)


@pytest.mark.parametrize("name", timelocks.quote_terms(ALL, ALL, RULES))
def test_no_term_of_the_quote_gate_can_be_dropped(name: str) -> None:
    assert not quotes_usefully(NOW + least(timelocks.quote_terms(ALL, ALL, RULES), name), ALL, ALL, RULES)


@pytest.mark.parametrize("name", timelocks.gap_terms(ALL, ALL, RULES))
def test_no_term_of_the_gap_gate_can_be_dropped(name: str) -> None:
    assert not pays_the_participant(T_B + least(timelocks.gap_terms(ALL, ALL, RULES), name), ALL, ALL, RULES)
