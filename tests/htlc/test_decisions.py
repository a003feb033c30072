"""Decisions over states made by hand, each at its boundary; `test_transition.py` has the stories that lead there."""

from dataclasses import replace as changed
from typing import Any

import pytest
from msgspec.structs import replace

from core.model.errors import ConflictError, GateClosedError
from core.model.types import ChainTime
from htlc import decisions
from htlc.effects import ClaimLeg, FundLeg, RefundLeg, RevealAndClaim, SignEarlyRefund, VerifyLock, leg_kind
from htlc.model import (
    Attempt,
    AttemptStatus,
    Leg,
    LegClock,
    LegState,
    Phase,
    Reason,
    Role,
    Sighting,
    SwapState,
    swap_id,
)
from htlc.timelocks import ClockSkewError
from tests.htlc.scenarios import IDS, NOW, POLICY, PREIMAGE, A, B, agreement, begin, block, timelock

FIRST, SECOND = Leg.INITIATOR, Leg.PARTICIPANT
CHAIN = {FIRST: A, SECOND: B}


def made(role: Any = Role.LIQUIDITY_PROVIDER, **facts: Any) -> SwapState:
    """A state of this role with these facts in it, and no attempts but what they say."""
    state, _ = begin(agreement(role))
    return replace(state, **{"attempts": {}, **facts})


def locked(leg: Leg, *, final: bool = True, **more: Any) -> LegState:
    return LegState(lock_id=IDS[leg], lock=Sighting(block(leg), b"l" * 32, final), **more)


def seen(leg: Leg, final: bool = True) -> Sighting:
    return Sighting(block(leg, 9), b"x" * 32, final)


def clock(leg: Leg, head: int, finalized: int | None = None, now: int | None = None) -> LegClock:
    at = ChainTime(CHAIN[leg], NOW + head)
    return LegClock(at, changed(at, seconds=NOW + (head if finalized is None else finalized)), NOW + (now or head))


def tried(status: AttemptStatus, **more: Any) -> Attempt:
    return Attempt(sequence=1, status=status, **more)


OVER = {"participant_clock": clock(SECOND, 99)}
"""The participant's chain is final beyond its timelock: no lock that was not read yet can stand there."""
FUND, VERIFY = leg_kind(FundLeg, SECOND), leg_kind(VerifyLock, FIRST)
CLAIM, REFUND = leg_kind(ClaimLeg, FIRST), leg_kind(RefundLeg, SECOND)
REVEAL = leg_kind(RevealAndClaim, SECOND)
SENT, FAILED = tried(AttemptStatus.SENT), AttemptStatus.FAILED


# --- outcomes ----------------------------------------------------------------------------


def outcome(role: Role, **facts: Any) -> Phase | None:
    return decisions.outcome_of(made(role, **facts))


@pytest.mark.parametrize(
    ("first", "second", "facts", "phase"),
    [
        (locked(FIRST), locked(SECOND), {}, None),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND, claim=seen(SECOND)), {}, Phase.COMPLETED),
        (locked(FIRST, claim=seen(FIRST, False)), locked(SECOND, claim=seen(SECOND)), {}, None),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND, claim=seen(SECOND, False)), {}, None),
        (locked(FIRST), locked(SECOND, claim=seen(SECOND)), {}, None),
        (locked(FIRST, refund=seen(FIRST)), locked(SECOND, claim=seen(SECOND)), {}, Phase.LOST),
        (locked(FIRST, refund=seen(FIRST, False)), locked(SECOND, claim=seen(SECOND)), {}, None),
        (locked(FIRST), locked(SECOND, refund=seen(SECOND)), {}, Phase.REFUNDED),
        (locked(FIRST), locked(SECOND, refund=seen(SECOND, False)), {}, None),
        (locked(FIRST), locked(SECOND, refund=seen(SECOND)), {"preimage": PREIMAGE}, None),
        (
            locked(FIRST, refund=seen(FIRST)),
            locked(SECOND, refund=seen(SECOND)),
            {"preimage": PREIMAGE},
            Phase.REFUNDED,
        ),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND, refund=seen(SECOND)), {}, Phase.COMPLETED),
    ],
)
def test_provider_ends_when_nothing_can_change(
    first: LegState, second: LegState, facts: dict[str, Any], phase: Phase | None
) -> None:
    known = {"attempts": {FUND: SENT}, "initiator_leg": first, "participant_leg": second, **facts}
    assert outcome(Role.LIQUIDITY_PROVIDER, **known) is phase


@pytest.mark.parametrize(("finalized", "phase"), [(-1, None), (0, Phase.LOST), (1, Phase.LOST)])
def test_leg_is_lost_from_a_final_block_at_its_timelock_on(finalized: int, phase: Phase | None) -> None:
    t_a = timelock(agreement(), FIRST)
    known: dict[str, Any] = {"attempts": {FUND: SENT}, "initiator_clock": clock(FIRST, t_a + 9, t_a + finalized)}
    legs = {"initiator_leg": locked(FIRST), "participant_leg": locked(SECOND, claim=seen(SECOND))}
    assert outcome(Role.LIQUIDITY_PROVIDER, **known, **legs) is phase


GONE = LegState(lock_id=IDS[SECOND])
"""Our lock was seen, in a branch that is no more."""


@pytest.mark.parametrize("second", [GONE, LegState()])
@pytest.mark.parametrize(
    ("first", "finalized", "fund", "phase"),
    [
        (locked(FIRST, claim=seen(FIRST)), -1, AttemptStatus.SENT, None),
        (locked(FIRST, claim=seen(FIRST)), 0, AttemptStatus.SENT, Phase.COMPLETED),
        (locked(FIRST, claim=seen(FIRST)), 0, AttemptStatus.DONE, None),
        (locked(FIRST, claim=seen(FIRST, False)), 0, AttemptStatus.SENT, None),
        (locked(FIRST), 0, AttemptStatus.SENT, Phase.ABANDONED),
        (locked(FIRST, refund=seen(FIRST)), 0, AttemptStatus.SENT, Phase.ABANDONED),
    ],
)
def test_provider_without_its_lock_ends_at_its_timelock(
    first: LegState, finalized: int, fund: AttemptStatus, phase: Phase | None, second: LegState
) -> None:
    """A lock that a block showed which is no more may come back until then, and one that was final at any time."""
    t_b = timelock(agreement(), SECOND)
    facts = {"initiator_leg": first, "participant_leg": second, "attempts": {FUND: tried(fund)}}
    assert outcome(Role.LIQUIDITY_PROVIDER, participant_clock=clock(SECOND, t_b + 9, t_b + finalized), **facts) is phase


def test_provider_without_its_lock_goes_on_claiming() -> None:
    t_b = timelock(agreement(), SECOND)
    facts = {"initiator_leg": locked(FIRST), "participant_leg": GONE, "attempts": {FUND: SENT}, "preimage": PREIMAGE}
    assert outcome(Role.LIQUIDITY_PROVIDER, participant_clock=clock(SECOND, t_b), **facts) is None


@pytest.mark.parametrize(("finalized", "phase"), [(-1, None), (0, Phase.ABANDONED)])
def test_initiator_without_its_lock_ends_at_its_timelock(finalized: int, phase: Phase | None) -> None:
    t_a = timelock(agreement(), FIRST)
    facts = {"initiator_leg": LegState(lock_id=IDS[FIRST]), "attempts": {leg_kind(FundLeg, FIRST): SENT}}
    assert outcome(Role.INITIATOR, initiator_clock=clock(FIRST, t_a + 9, t_a + finalized), **facts) is phase


@pytest.mark.parametrize(
    ("first", "second", "facts", "phase"),
    [
        (locked(FIRST), locked(SECOND, claim=seen(SECOND)), {}, Phase.COMPLETED),
        (locked(FIRST), locked(SECOND, claim=seen(SECOND, False)), {}, None),
        (locked(FIRST, refund=seen(FIRST)), locked(SECOND), {}, Phase.REFUNDED),
        (locked(FIRST, refund=seen(FIRST, False)), locked(SECOND), {}, None),
        (locked(FIRST, refund=seen(FIRST)), locked(SECOND), {"preimage": PREIMAGE}, None),
        (
            locked(FIRST, refund=seen(FIRST)),
            locked(SECOND, refund=seen(SECOND)),
            {"preimage": PREIMAGE},
            Phase.REFUNDED,
        ),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND), {"preimage": PREIMAGE}, None),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND, refund=seen(SECOND)), {"preimage": PREIMAGE}, Phase.LOST),
    ],
)
def test_initiator_ends_when_nothing_can_change(
    first: LegState, second: LegState, facts: dict[str, Any], phase: Phase | None
) -> None:
    known = {"attempts": {leg_kind(FundLeg, FIRST): SENT}, "initiator_leg": first, "participant_leg": second, **facts}
    assert outcome(Role.INITIATOR, **known) is phase


@pytest.mark.parametrize("role", [Role.INITIATOR, Role.LIQUIDITY_PROVIDER])
def test_swap_without_our_lock_ends_once_it_is_closed(role: Role) -> None:
    assert outcome(role) is None
    assert outcome(role, closed=Reason("cancelled", "no")) is Phase.ABANDONED


@pytest.mark.parametrize(
    ("first", "second", "facts", "phase"),
    [
        (LegState(), LegState(), {}, None),
        (LegState(), LegState(), {"closed": Reason("quote-expired", "late")}, Phase.ABANDONED),
        (LegState(), LegState(), {"initiator_clock": clock(FIRST, 99)}, None),
        (LegState(), LegState(), {**OVER, "initiator_clock": clock(FIRST, 99)}, Phase.ABANDONED),
        (locked(FIRST), LegState(), {"closed": Reason(decisions.GIVEN_UP, "enough")}, Phase.ABANDONED),
        (locked(FIRST), locked(SECOND), {}, None),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND, claim=seen(SECOND)), {}, Phase.COMPLETED),
        (locked(FIRST, claim=seen(FIRST, False)), locked(SECOND, claim=seen(SECOND)), {}, None),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND, claim=seen(SECOND, False)), {}, None),
        (locked(FIRST, refund=seen(FIRST)), locked(SECOND, refund=seen(SECOND)), {}, Phase.REFUNDED),
        (locked(FIRST, refund=seen(FIRST)), LegState(), {}, None),
        (locked(FIRST, refund=seen(FIRST)), LegState(), OVER, Phase.REFUNDED),
        (locked(FIRST, claim=seen(FIRST)), LegState(), {}, None),
        (locked(FIRST, claim=seen(FIRST)), LegState(), {"participant_clock": clock(SECOND, 99, 0)}, None),
        (locked(FIRST, claim=seen(FIRST)), LegState(), OVER, Phase.LOST),
        (locked(FIRST, claim=seen(FIRST)), locked(SECOND, refund=seen(SECOND)), {}, Phase.LOST),
        (LegState(), locked(SECOND, refund=seen(SECOND)), {}, None),
        (LegState(), locked(SECOND, refund=seen(SECOND)), {"initiator_clock": clock(FIRST, 99)}, Phase.REFUNDED),
        (LegState(), locked(SECOND, claim=seen(SECOND)), {"initiator_clock": clock(FIRST, 99)}, Phase.LOST),
        (LegState(), locked(SECOND), {"initiator_clock": clock(FIRST, 99)}, None),
        (locked(FIRST), locked(SECOND, refund=seen(SECOND)), {"initiator_clock": clock(FIRST, 99)}, None),
    ],
)
def test_watch_ends_when_nothing_can_change(
    first: LegState, second: LegState, facts: dict[str, Any], phase: Phase | None
) -> None:
    assert outcome(Role.WATCHTOWER, initiator_leg=first, participant_leg=second, **facts) is phase


# --- when to wake ----------------------------------------------------------------------------


REVEAL_S, FUND_S = 2 * 2 + 1 + 2 + 1, 2 + 1 + 1 + 2 + (2 * 2 + 1 + 2 + 1)
"""The right sides of the two gates for the scenario's timings."""


@pytest.mark.parametrize(
    ("role", "facts", "before_t_b"),
    [
        (Role.INITIATOR, {}, REVEAL_S),
        (Role.INITIATOR, {"attempts": {REVEAL: SENT}}, 0),
        (Role.INITIATOR, {"attempts": {REVEAL: tried(AttemptStatus.REFUSED)}}, REVEAL_S),
        (Role.INITIATOR, {"closed": Reason("x", "y"), "attempts": {leg_kind(FundLeg, FIRST): SENT}}, 0),
        (Role.LIQUIDITY_PROVIDER, {}, FUND_S),
        (Role.LIQUIDITY_PROVIDER, {"attempts": {FUND: SENT}}, 0),
        (Role.WATCHTOWER, {}, 0),
    ],
)
def test_swap_wakes_at_its_timelocks_and_its_next_gate(role: Role, facts: dict[str, Any], before_t_b: int) -> None:
    t_a, t_b = (NOW + timelock(agreement(), leg) for leg in (FIRST, SECOND))
    assert decisions.next_wake(made(role, **facts)) == (t_a, t_b - before_t_b)


def test_swap_wakes_with_every_head_while_something_is_due() -> None:
    failed = {CLAIM: tried(FAILED, failed_at_s=NOW)}
    assert decisions.next_wake(made(attempts={FUND: SENT, **failed})) == (0, 0)
    verified = block(FIRST, 8)
    assert decisions.next_wake(made(verified=verified)) == (0, 0)
    assert decisions.next_wake(made(verified=verified, attempts={FUND: SENT})) != (0, 0)
    assert decisions.next_wake(replace(made(), phase=Phase.LOST)) == (None, None)


# --- the checks before an act ----------------------------------------------------------------------------


def fundable(**facts: Any) -> SwapState:
    return made(**{"initiator_leg": locked(FIRST), "verified": block(FIRST, 8), **facts})


def check_fund(state: SwapState, now: int = 1, first: int = 1, second: int = 1) -> None:
    heads = ChainTime(A, NOW + first), ChainTime(B, NOW + second)
    decisions.check_fund_now(state, POLICY, NOW + now, *heads)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"phase": Phase.LOST}, "has ended"),
        ({"closed": Reason("x", "y")}, "called off"),
        ({"preimage": PREIMAGE}, "preimage is public"),
        ({"participant_leg": LegState(lock_id=IDS[SECOND])}, "locked already"),
        ({"verified": None}, "not, or no longer, final and verified"),
        ({"initiator_leg": LegState()}, "not, or no longer, final and verified"),
        ({"initiator_leg": locked(FIRST, refund=seen(FIRST))}, "not, or no longer, final and verified"),
    ],
)
def test_lock_is_signed_only_if_the_swap_still_stands(facts: dict[str, Any], why: str) -> None:
    check_fund(fundable())
    with pytest.raises(ConflictError, match=why):
        check_fund(fundable(**facts))


def test_lock_is_signed_in_time_and_with_clocks_that_agree() -> None:
    t_b = timelock(agreement(), SECOND)
    last = t_b - FUND_S - 1
    check_fund(fundable(), last, last, last)
    with pytest.raises(GateClosedError, match="fund gate"):
        check_fund(fundable(), last + 1, last + 1, last + 1)
    for first, second in ((3, 1), (1, 3), (-4, 1), (1, -4)):
        with pytest.raises(ClockSkewError):
            check_fund(fundable(), 1, first, second)


def test_initiator_locks_until_its_deadline() -> None:
    state, last = made(Role.INITIATOR), agreement().lock_deadline_s - NOW
    check_fund(state, last, last, last)
    with pytest.raises(GateClosedError, match="time to lock ended") as late:
        check_fund(state, last + 1, last + 1, last + 1)
    assert late.value.fields == {"gate": "lock", "lock_deadline_s": NOW + last, "now": NOW + last + 1}


def test_gates_hold_for_terms_that_nobody_planned() -> None:
    """A deadline after the lock gate, and timelocks whose gap is a second too small."""
    last = timelock(agreement(), SECOND) - (2 + 3 + 1 + FUND_S) - 1
    patient, _ = begin(agreement(Role.INITIATOR, lock_deadline_s=NOW + 10**6))
    patient = replace(patient, attempts={})
    check_fund(patient, last, last, last)
    with pytest.raises(GateClosedError, match="lock gate"):
        check_fund(patient, last + 1, last + 1, last + 1)
    known = agreement()
    first, second = known.initiator_leg, known.participant_leg
    nearer = changed(first, timelock=changed(first.timelock, seconds=first.timelock.seconds - 1))
    narrow = replace(known, initiator_leg=nearer, swap_id=swap_id(nearer, second))
    with pytest.raises(GateClosedError, match="gap gate"):
        check_fund(replace(fundable(), agreement=narrow))


def revealable(**facts: Any) -> SwapState:
    legs = {"initiator_leg": locked(FIRST), "participant_leg": locked(SECOND)}
    return made(Role.INITIATOR, **{**legs, "verified": block(SECOND, 8), **facts})


def check_reveal(state: SwapState, now: int = 1, first: int = 1, second: int = 1) -> None:
    heads = ChainTime(A, NOW + first), ChainTime(B, NOW + second)
    decisions.check_reveal_now(state, POLICY, NOW + now, *heads)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"phase": Phase.REFUNDED}, "has ended"),
        ({"closed": Reason("x", "y")}, "called off"),
        ({"verified": None}, "not, or no longer, final and verified"),
        ({"participant_leg": LegState()}, "not, or no longer, final and verified"),
        ({"participant_leg": locked(SECOND, refund=seen(SECOND))}, "not, or no longer, final and verified"),
    ],
)
def test_reveal_is_made_only_if_the_swap_still_stands(facts: dict[str, Any], why: str) -> None:
    check_reveal(revealable())
    with pytest.raises(ConflictError, match=why):
        check_reveal(revealable(**facts))


def test_reveal_is_made_in_time_and_with_clocks_that_agree() -> None:
    last = timelock(agreement(), SECOND) - REVEAL_S - 1
    check_reveal(revealable(), last, last, last)
    with pytest.raises(GateClosedError, match="reveal gate"):
        check_reveal(revealable(), last + 1, last + 1, last + 1)
    for first, second in ((3, 1), (1, 3), (-4, 1), (1, -4)):
        with pytest.raises(ClockSkewError):
            check_reveal(revealable(), 1, first, second)


def test_own_clock_alone_stands_for_both_chains() -> None:
    last = timelock(agreement(), SECOND) - FUND_S - 1
    decisions.by_own_clock(decisions.check_fund_now, fundable(), NOW + last)
    with pytest.raises(GateClosedError):
        decisions.by_own_clock(decisions.check_fund_now, fundable(), NOW + last + 1)


@pytest.mark.parametrize("leg", [LegState(), locked(SECOND), LegState(lock_id=IDS[SECOND])])
def test_our_lock_again_has_every_gate_whatever_blocks_showed(leg: LegState) -> None:
    """Its block may be replaced: another form is asked for like the first."""

    def check(state: SwapState, now: int) -> None:
        decisions.by_own_clock(decisions.check_fund_again, state, NOW + now)

    last, state = timelock(agreement(), SECOND) - FUND_S - 1, fundable(participant_leg=leg)
    check(state, last)
    with pytest.raises(GateClosedError):
        check(state, last + 1)
    for closed in ({"preimage": PREIMAGE}, {"initiator_leg": LegState()}, {"verified": None}):
        with pytest.raises(ConflictError):
            check(replace(state, **closed), 1)


# --- what is asked for ----------------------------------------------------------------------------


def asked(state: SwapState) -> list[tuple[str, bool]]:
    return [(type(one.effect).__name__, one.first) for one in decisions.wanted(state, 5)]


def claiming(**facts: Any) -> SwapState:
    legs = {"initiator_leg": locked(FIRST), "participant_leg": locked(SECOND, claim=seen(SECOND))}
    return made(**{**legs, "preimage": PREIMAGE, "attempts": {FUND: SENT}, **facts})


def test_claim_is_asked_for_while_it_can_be_made() -> None:
    assert asked(claiming()) == [("ClaimLeg", True)]
    assert asked(claiming(initiator_leg=LegState())) == []
    assert asked(claiming(initiator_leg=locked(FIRST, claim=seen(FIRST, False)))) == []
    t_a = timelock(agreement(), FIRST)
    assert asked(claiming(initiator_clock=clock(FIRST, t_a + 9, t_a - 1))) == [("ClaimLeg", True)]
    assert asked(claiming(initiator_clock=clock(FIRST, t_a + 9, t_a))) == []


@pytest.mark.parametrize(("head", "again"), [(4, False), (5, False), (6, True)])
def test_failed_claim_is_asked_for_with_the_next_head(head: int, again: bool) -> None:
    failed = {FUND: SENT, CLAIM: tried(FAILED, failed_at_s=NOW + 5)}
    assert asked(claiming(attempts=failed, initiator_clock=clock(FIRST, head))) == [("ClaimLeg", False)] * again
    unknown = {FUND: SENT, CLAIM: tried(FAILED)}
    assert asked(claiming(attempts=unknown, initiator_clock=clock(FIRST, head))) == [("ClaimLeg", False)]
    assert asked(claiming(attempts=unknown)) == []  # no head was seen yet


@pytest.mark.parametrize("status", [one for one in AttemptStatus if one is not FAILED])
def test_claim_that_is_on_its_way_is_not_asked_for(status: AttemptStatus) -> None:
    attempts = {FUND: SENT, CLAIM: tried(status)}
    assert asked(claiming(attempts=attempts, initiator_clock=clock(FIRST, 9))) == []


@pytest.mark.parametrize(("head", "refunds"), [(-1, False), (0, True), (1, True)])
def test_refund_is_asked_for_from_the_timelock_on(head: int, refunds: bool) -> None:
    t_b = timelock(agreement(), SECOND)
    state = made(
        participant_leg=locked(SECOND), attempts={FUND: SENT}, participant_clock=clock(SECOND, t_b + head, t_b - 9)
    )
    assert asked(state) == [("RefundLeg", True)] * refunds
    gone = replace(state, participant_leg=locked(SECOND, refund=seen(SECOND, False)))
    assert asked(gone) == []


def watched(attempt: Attempt, head: int) -> SwapState:
    legs = {"initiator_leg": locked(FIRST), "participant_leg": locked(SECOND, claim=seen(SECOND))}
    clocks = {"initiator_clock": clock(FIRST, head, 0), "participant_clock": clock(SECOND, head, 0)}
    return made(Role.WATCHTOWER, preimage=PREIMAGE, attempts={CLAIM: attempt}, **legs, **clocks)


@pytest.mark.parametrize(("tries", "wait_s"), [(1, 2), (2, 4), (3, 8)])
def test_watch_waits_twice_as_long_each_time(tries: int, wait_s: int) -> None:
    """T_A is 37 s away: a quarter of what is left bounds none of these but the last."""
    wait_s = min(wait_s, (timelock(agreement(), FIRST) - 1) // decisions.WATCH_WAIT_SHARE)
    failed = tried(FAILED, failed_at_s=NOW + 1, tries=tries)
    assert asked(watched(failed, 1 + wait_s)) == []
    assert asked(watched(failed, 2 + wait_s)) == [("ClaimLeg", False)]


def test_watch_waits_a_quarter_of_its_time_at_most() -> None:
    t_a = timelock(agreement(), FIRST)
    often = {"tries": 9, "refusals": 9}
    for left_s, wait_s in ((36, 9), (5, 1), (4, 1), (3, 1), (1, 1)):
        failed = tried(FAILED, failed_at_s=NOW + t_a - left_s, **often)
        assert ("ClaimLeg", False) not in asked(watched(failed, t_a - left_s + wait_s))
        assert ("ClaimLeg", False) in asked(watched(failed, t_a - left_s + wait_s + 1))


@pytest.mark.parametrize("late_s", [0, 1, 5])
def test_watch_that_fails_at_its_timelock_waits_longer(late_s: int) -> None:
    """No time is left of which it waits a share."""
    at = timelock(agreement(), FIRST) + late_s
    failed = tried(FAILED, failed_at_s=NOW + at, tries=3)
    assert ("ClaimLeg", False) not in asked(watched(failed, at + 8))
    assert ("ClaimLeg", False) in asked(watched(failed, at + 9))


def test_watched_refund_waits_longer_though_time_was_left() -> None:
    """It failed in a block that is gone: the one in its place has an earlier time."""
    t_b = timelock(agreement(), SECOND)
    failed = tried(FAILED, failed_at_s=NOW + t_b - 4, tries=3)
    for wait_s, again in ((5, False), (8, False), (9, True)):
        state = replace(watched(failed, t_b - 4 + wait_s), attempts={REFUND: failed}, participant_leg=locked(SECOND))
        assert (("RefundLeg", False) in asked(state)) is again


def refused_refund(at: int, failed_at: int) -> SwapState:
    """Refused very often, last at that time; the heads show `at`, both in seconds from now."""
    failed = tried(FAILED, failed_at_s=NOW + failed_at, tries=30, refusals=30)
    return replace(watched(failed, at), attempts={REFUND: failed}, participant_leg=locked(SECOND))


def test_watched_refund_waits_an_hour_at_most() -> None:
    t_b = timelock(agreement(), SECOND)
    for wait_s, again in ((decisions.WATCH_WAIT_MOST_S, False), (decisions.WATCH_WAIT_MOST_S + 1, True)):
        state = refused_refund(t_b + wait_s, t_b)
        assert decisions.with_gates(state, POLICY).closed is None
        assert (("RefundLeg", False) in asked(state)) is again


def test_watched_refund_is_given_up_a_day_after_both_timelocks() -> None:
    over = timelock(agreement(), FIRST) + decisions.WATCH_REFUNDS_S
    for late_s, given_up in ((-1, False), (0, True)):
        state = refused_refund(over + late_s, over - 5_000)
        assert (("RefundLeg", False) in asked(state)) is not given_up
        closed = decisions.with_gates(state, POLICY).closed
        assert (closed is not None) is given_up
        assert closed is None or closed.code == decisions.GIVEN_UP


def test_watched_claim_is_not_given_up_by_time() -> None:
    long_ago = timelock(agreement(), FIRST) + decisions.WATCH_REFUNDS_S
    failed = tried(FAILED, failed_at_s=NOW + 1, tries=1)
    assert decisions.with_gates(watched(failed, long_ago), POLICY).closed is None


def test_watch_that_failed_before_any_head_asks_again() -> None:
    assert asked(watched(tried(FAILED), 1)) == [("ClaimLeg", False)]


def test_watch_is_spent_by_failures_and_not_by_refusals() -> None:
    four = tried(FAILED, failed_at_s=NOW, tries=decisions.MAX_WATCH_TRIES)
    assert decisions.with_gates(watched(four, 5), POLICY).closed is not None
    assert asked(watched(four, 30)) == []
    assert decisions.with_gates(watched(four, 0), POLICY).closed is None  # with the next head only
    before_any_head = replace(four, failed_at_s=None)
    assert decisions.with_gates(watched(before_any_head, 0), POLICY).closed is not None
    unseen = replace(watched(before_any_head, 0), initiator_clock=None)
    assert decisions.with_gates(unseen, POLICY).closed is None
    fewer = replace(four, refusals=1)
    assert decisions.with_gates(watched(fewer, 5), POLICY).closed is None
    on_its_way = replace(watched(four, 5), attempts={CLAIM: four, REFUND: tried(AttemptStatus.ASKED)})
    assert decisions.with_gates(on_its_way, POLICY).closed is None


def test_watched_attempts_are_counted_and_ours_are_not() -> None:
    last = tried(FAILED, tries=3, refusals=2)
    counted = decisions.next_attempt(watched(last, 1), CLAIM, 7, False)
    assert counted == Attempt(sequence=7, status=AttemptStatus.ASKED, first=False, tries=4, refusals=2)
    ours = decisions.next_attempt(claiming(attempts={CLAIM: last}), CLAIM, 7, True)
    assert ours == Attempt(sequence=7, status=AttemptStatus.ASKED, first=True)
    assert decisions.next_attempt(watched(last, 1), REFUND, 7, True) == ours


def test_lock_is_asked_for_once_the_other_is_verified() -> None:
    ready = fundable()
    assert asked(ready) == [("FundLeg", True)]
    for facts in (
        {"verified": None, "attempts": {VERIFY: SENT}},
        {"initiator_leg": locked(FIRST, final=False)},
        {"initiator_leg": locked(FIRST, refund=seen(FIRST))},
        {"closed": Reason("x", "y")},
        {"preimage": PREIMAGE},
        {"attempts": {FUND: SENT}},
        {"initiator_clock": clock(FIRST, 9, 9, 1)},  # it runs ahead of ours
        {"participant_clock": clock(SECOND, 1, 1, 9)},  # it stands
    ):
        assert ("FundLeg", True) not in asked(fundable(**facts))


@pytest.mark.parametrize("attempts", [{}, {FUND: tried(FAILED, failed_at_s=NOW)}, {FUND: tried(FAILED)}])
@pytest.mark.parametrize("leg", [locked(SECOND), locked(SECOND, final=False), locked(SECOND, refund=seen(SECOND))])
def test_lock_that_stands_is_not_made_twice(attempts: dict[str, Attempt], leg: LegState) -> None:
    """Whoever made it: another process of ours, or one before the database was lost."""
    clocks = {one: clock(of, 9) for one, of in (("initiator_clock", FIRST), ("participant_clock", SECOND))}
    assert "FundLeg" in dict(asked(fundable(attempts=attempts, **clocks)))
    assert "FundLeg" not in dict(asked(fundable(attempts=attempts, participant_leg=leg, **clocks)))


def test_lock_that_a_reorg_took_may_come_back() -> None:
    known = LegState(lock_id=IDS[SECOND])
    assert "FundLeg" not in dict(asked(fundable(participant_leg=known)))


def test_other_lock_is_verified_once_it_is_final() -> None:
    waiting = made(initiator_leg=locked(FIRST))
    assert asked(waiting) == [("VerifyLock", True)]
    for facts in (
        {"initiator_leg": locked(FIRST, final=False)},
        {"initiator_leg": LegState()},
        {"initiator_leg": locked(FIRST, claim=seen(FIRST))},
        {"closed": Reason("x", "y")},
        {"preimage": PREIMAGE},
        {"attempts": {FUND: SENT}},
    ):
        assert ("VerifyLock", True) not in asked(made(**{"initiator_leg": locked(FIRST), **facts}))
    own: dict[str, Any] = {"attempts": {leg_kind(FundLeg, FIRST): SENT}, "participant_leg": locked(SECOND)}
    assert asked(made(Role.INITIATOR, initiator_leg=locked(FIRST), **own)) == [("VerifyLock", True)]
    assert asked(made(Role.INITIATOR, **own)) == []


def test_reveal_is_asked_for_once_everything_stands() -> None:
    funded = {leg_kind(FundLeg, FIRST): SENT}
    assert asked(revealable(attempts=funded)) == [("RevealAndClaim", True)]
    t_a = timelock(agreement(), FIRST)
    for facts in (
        {"verified": None},
        {"participant_leg": locked(SECOND, final=False)},
        {"initiator_leg": locked(FIRST, refund=seen(FIRST))},
        {"preimage": PREIMAGE},
        {"closed": Reason("x", "y")},
        {"initiator_clock": clock(FIRST, t_a, 0, t_a)},
        {"initiator_clock": clock(FIRST, 9, 9, 1)},
    ):
        assert ("RevealAndClaim", True) not in asked(revealable(attempts=funded, **facts))
    failed = {**funded, REVEAL: tried(FAILED, failed_at_s=NOW)}
    again = revealable(attempts=failed, participant_clock=clock(SECOND, 1), closed=Reason("x", "y"))
    assert asked(again) == [("RevealAndClaim", False)]
    [wanted] = decisions.wanted(again, 5)
    assert isinstance(wanted.effect, RevealAndClaim)
    assert wanted.effect.first is False
    t_b = timelock(agreement(), SECOND)
    assert ("RevealAndClaim", False) not in asked(replace(again, participant_clock=clock(SECOND, t_b + 9, t_b)))


def test_claim_by_a_reveal_on_its_way_is_not_asked_for_twice() -> None:
    funded = {leg_kind(FundLeg, FIRST): SENT}
    public = revealable(preimage=PREIMAGE, attempts={**funded, REVEAL: SENT})
    assert asked(public) == []
    failed = replace(public, attempts={**funded, REVEAL: tried(FAILED)}, participant_clock=clock(SECOND, 1))
    assert asked(failed) == [("ClaimLeg", True)]


# --- early refunds ----------------------------------------------------------------------------


def test_early_refund_is_signed_if_our_leg_is_out_of_the_way() -> None:
    closed: dict[str, Any] = {"closed": Reason("cancelled", "no")}
    assert isinstance(decisions.early_refund(made(**closed), 5), SignEarlyRefund)
    assert decisions.early_refund(made(), 5) is None
    assert decisions.early_refund(made(**closed, attempts={FUND: SENT}), 5) is None
    back = locked(SECOND, refund=seen(SECOND))
    signed = decisions.early_refund(made(participant_leg=back, attempts={FUND: SENT}), 5)
    assert signed is not None
    assert (signed.leg, signed.sequence, signed.terms) == (FIRST, 5, agreement().initiator_leg)
    for facts in (
        {"participant_leg": locked(SECOND, refund=seen(SECOND, False)), "attempts": {FUND: SENT}},
        {"participant_leg": locked(SECOND, claim=seen(SECOND)), "attempts": {FUND: SENT}},
        {"participant_leg": back, "initiator_leg": locked(FIRST, claim=seen(FIRST, False))},
        {"participant_leg": back, "initiator_leg": locked(FIRST, refund=seen(FIRST, False))},
        {"participant_leg": back, "attempts": {leg_kind(SignEarlyRefund, FIRST): SENT}},
    ):
        assert decisions.early_refund(made(**facts), 5) is None
    assert decisions.early_refund(made(Role.WATCHTOWER, **closed), 5) is None


# --- gates ----------------------------------------------------------------------------


def test_gates_close_with_their_time_and_stay_closed() -> None:
    last = timelock(agreement(), SECOND) - FUND_S - 1
    assert decisions.with_gates(made(now_s=NOW + last), POLICY).closed is None
    shut = decisions.with_gates(made(now_s=NOW + last + 1), POLICY)
    assert shut.closed is not None
    assert shut.closed.code == "gate-closed"
    assert decisions.with_gates(replace(shut, now_s=NOW), POLICY).closed == shut.closed
    funded = made(now_s=NOW + 10**6, attempts={FUND: SENT})
    assert decisions.with_gates(funded, POLICY) is funded
    late = timelock(agreement(), SECOND) - REVEAL_S - 1
    own = {leg_kind(FundLeg, FIRST): SENT}
    assert decisions.with_gates(revealable(attempts=own, now_s=NOW + late), POLICY).closed is None
    assert decisions.with_gates(revealable(attempts=own, now_s=NOW + late + 1), POLICY).closed is not None
    revealed = revealable(attempts={**own, REVEAL: SENT}, now_s=NOW + late + 1)
    assert decisions.with_gates(revealed, POLICY) is revealed
