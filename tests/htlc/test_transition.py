"""Each role's way through a swap, and each rule that keeps it from losing money."""

from itertools import pairwise
from typing import Any, TypeVar

import pytest

from core.model.errors import ConflictError, GateClosedError, RejectedError
from core.model.types import ChainTime, LockId, PublicPreimage
from htlc import decisions, events
from htlc.effects import (
    ClaimLeg,
    Finished,
    FundLeg,
    NotifyParty,
    RefundLeg,
    RevealAndClaim,
    SignEarlyRefund,
    SwapEffect,
    VerifyLock,
    effect_key,
    kind_of,
)
from htlc.model import AttemptStatus, Leg, Phase, Role, SwapState
from htlc.timelocks import ClockSkewError
from htlc.transition import transition
from tests.htlc.scenarios import (
    IDS,
    NOW,
    POLICY,
    PREIMAGE,
    A,
    B,
    agreement,
    begin,
    block,
    claim_final,
    claim_seen,
    lock_final,
    lock_seen,
    play,
    refund_final,
    refund_seen,
    replace_terms,
    time,
    timelock,
    verified,
)

FIRST, SECOND = Leg.INITIATOR, Leg.PARTICIPANT
E = TypeVar("E", bound=SwapEffect)


def only(effects: list[SwapEffect], kind: type[E]) -> E:
    found = [effect for effect in effects if isinstance(effect, kind)]
    assert len(found) == 1, [kind_of(effect) for effect in effects]
    return found[0]


@pytest.fixture
def provider() -> SwapState:
    return begin(agreement(Role.LIQUIDITY_PROVIDER))[0]


@pytest.fixture
def initiator() -> SwapState:
    return begin(agreement(Role.INITIATOR))[0]


@pytest.fixture
def watchtower() -> SwapState:
    return begin(agreement(Role.WATCHTOWER))[0]


def funded(state: SwapState) -> tuple[SwapState, FundLeg]:
    """Return a provider that has just asked for its lock."""
    state, effects = play(state, lock_seen(state.agreement, FIRST), lock_final(FIRST), verified(FIRST))
    return state, only(effects, FundLeg)


def both_locked(state: SwapState) -> SwapState:
    """A provider whose lock is final."""
    state, _ = funded(state)
    return play(state, lock_seen(state.agreement, SECOND), lock_final(SECOND))[0]


def revealed(state: SwapState) -> tuple[SwapState, RevealAndClaim]:
    """Return an initiator that has just asked for its claim."""
    terms = state.agreement
    state, effects = play(
        state,
        lock_seen(terms, FIRST),
        lock_final(FIRST),
        lock_seen(terms, SECOND),
        lock_final(SECOND),
        verified(SECOND),
    )
    return state, only(effects, RevealAndClaim)


# --- the liquidity provider --------------------------------------------------------------------------------------


def test_a_provider_completes(provider: SwapState) -> None:
    terms = provider.agreement
    state, effects = play(provider, lock_seen(terms, FIRST))
    assert (state.phase, effects) == (Phase.INITIATOR_LOCKED, [])
    state, effects = play(state, lock_final(FIRST))
    assert state.phase is Phase.VERIFYING
    assert only(effects, VerifyLock).terms == terms.initiator_leg
    state, effects = play(state, verified(FIRST))
    assert state.phase is Phase.FUNDING
    assert only(effects, FundLeg).terms == terms.participant_leg
    state, effects = play(state, lock_seen(terms, SECOND), lock_final(SECOND))
    assert (state.phase, effects) == (Phase.BOTH_LOCKED, [])
    state, effects = play(state, claim_seen(SECOND))
    claim = only(effects, ClaimLeg)
    assert (claim.leg, claim.preimage, claim.lock_id) == (FIRST, PREIMAGE, IDS[FIRST])
    state, effects = play(state, claim_final(SECOND), claim_seen(FIRST), claim_final(FIRST))
    assert state.phase is Phase.COMPLETED
    assert only(effects, Finished).outcome is Phase.COMPLETED


def test_provider_verifies_after_finality_and_funds_on_answer(provider: SwapState) -> None:
    state, effects = play(provider, lock_seen(provider.agreement, FIRST), verified(FIRST))
    assert not effects
    assert state.verified is None
    _, effects = play(state, lock_final(FIRST))
    assert [type(effect) for effect in effects] == [VerifyLock]


def test_other_terms_are_shown_and_never_funded(provider: SwapState) -> None:
    wrong = events.LockSeen(FIRST, IDS[FIRST], replace_terms(provider.agreement.initiator_leg), block(FIRST), b"x" * 32)
    state, effects = play(provider, wrong, lock_final(FIRST), verified(FIRST))
    assert state.phase is Phase.AGREED
    assert "amount" in only(effects, NotifyParty).message


def test_a_refused_lock_is_never_funded(provider: SwapState) -> None:
    refusal = events.LockRefused(FIRST, IDS[FIRST], "code-hash", "the contract is another one")
    state, effects = play(provider, lock_seen(provider.agreement, FIRST), lock_final(FIRST), refusal, verified(FIRST))
    assert state.phase is Phase.ABANDONED
    assert only(effects, Finished).code == "code-hash"
    assert not [effect for effect in effects if isinstance(effect, FundLeg)]


def test_a_hashlock_whose_preimage_is_public_is_never_funded(provider: SwapState) -> None:
    seen = events.PreimageSeen(PREIMAGE, "mempool")
    state, effects = play(provider, lock_seen(provider.agreement, FIRST), lock_final(FIRST), seen, verified(FIRST))
    assert state.phase is Phase.ABANDONED
    assert not [effect for effect in effects if isinstance(effect, FundLeg | ClaimLeg)]


@pytest.mark.parametrize(
    "ending",
    [
        events.EffectDropped,
        lambda kind, n: events.EffectReverted(kind, n, "no", False),
        lambda kind, n: events.EffectSubmitted(kind, n, b"t" * 32),
    ],
)
def test_a_lock_is_asked_for_once_whatever_becomes_of_it(provider: SwapState, ending: Any) -> None:
    state, fund = funded(provider)
    state, effects = play(
        state, ending(kind_of(fund), fund.sequence), time(FIRST, 4), time(SECOND, 4), lock_final(FIRST), verified(FIRST)
    )
    assert state.phase is Phase.FUNDING
    assert not effects


def test_a_lock_taken_by_a_reorg_is_not_locked_again(provider: SwapState) -> None:
    state, _ = funded(provider)
    state, effects = play(
        state,
        lock_seen(state.agreement, SECOND),
        events.LockReverted(SECOND, IDS[SECOND], block(SECOND)),
        time(SECOND, 5),
    )
    assert state.phase is Phase.FUNDING
    assert not effects
    assert play(state, lock_seen(state.agreement, SECOND, 8))[0].phase is Phase.BOTH_LOCKED


def test_only_a_lock_that_can_never_be_mined_ends_funding(provider: SwapState) -> None:
    state, fund = funded(provider)
    assert play(state, events.QuoteExpired(NOW + 99), events.QuoteCancelled("regret"))[0].phase is Phase.FUNDING
    for end in (
        events.EffectVoided(kind_of(fund), fund.sequence),
        events.EffectReverted(kind_of(fund), fund.sequence, "no", True),
        events.EffectRefused(kind_of(fund), fund.sequence, "gate-closed", "too late"),
    ):
        assert play(state, end)[0].phase is Phase.ABANDONED
    submitted = events.EffectSubmitted(kind_of(fund), fund.sequence, b"t" * 32)
    refused = events.EffectRefused(kind_of(fund), fund.sequence, "gate-closed", "too late")
    assert play(state, submitted, refused)[0].phase is Phase.FUNDING, "what was signed may still be mined"


def test_the_fund_gate_closes_a_second_after_its_last_moment(provider: SwapState) -> None:
    ready, _ = play(provider, lock_seen(provider.agreement, FIRST), lock_final(FIRST))
    last = timelock(provider.agreement, SECOND) - 14 - 1
    assert play(ready, verified(FIRST, NOW + last))[0].phase is Phase.FUNDING
    state, effects = play(ready, verified(FIRST, NOW + last + 1))
    assert state.phase is Phase.ABANDONED
    assert "fund gate" in only(effects, Finished).message


def test_skew_holds_funding_back_until_it_is_gone(provider: SwapState) -> None:
    state, effects = play(
        provider,
        lock_seen(provider.agreement, FIRST),
        lock_final(FIRST),
        time(SECOND, 9, now_s=1),
        verified(FIRST, NOW + 1),
    )
    assert state.phase is Phase.VERIFYING
    assert not [effect for effect in effects if isinstance(effect, FundLeg)]
    assert decisions.next_wake(state) == (0, 0)
    _, effects = play(state, time(SECOND, 2, now_s=2))
    only(effects, FundLeg)


def test_a_claim_waits_for_nothing_and_survives_a_reorg(provider: SwapState) -> None:
    state, _ = funded(provider)
    state, effects = play(state, lock_seen(state.agreement, SECOND), claim_seen(SECOND))
    assert only(effects, ClaimLeg).leg is FIRST, "not even for our own lock to be final"
    state, effects = play(
        state,
        events.ClaimReverted(SECOND, IDS[SECOND], block(SECOND, 9)),
        events.LockReverted(SECOND, IDS[SECOND], block(SECOND)),
    )
    assert state.phase is Phase.CLAIMING
    assert state.preimage == PREIMAGE


def test_failed_claim_is_repeated_until_timelock_is_final(provider: SwapState) -> None:
    state, effects = play(both_locked(provider), time(FIRST, 5), claim_seen(SECOND))
    claim = only(effects, ClaimLeg)
    t_a = timelock(state.agreement, FIRST)
    keys = {effect_key(claim)}
    for head in (6, 7, t_a + 1):
        state, none = play(state, events.EffectDropped(kind_of(claim), claim.sequence))
        assert not none, "a failure alone asks for nothing: no head, no hurry"
        state, effects = play(state, time(FIRST, head))
        claim = only(effects, ClaimLeg)
        assert effect_key(claim) not in keys
        keys.add(effect_key(claim))
    state, _ = play(state, events.EffectDropped(kind_of(claim), claim.sequence))
    state, effects = play(state, time(FIRST, t_a + 4, finalized=t_a))
    assert not [effect for effect in effects if isinstance(effect, ClaimLeg)]


def test_outcomes_of_an_older_attempt_change_nothing(provider: SwapState) -> None:
    state, effects = play(both_locked(provider), time(FIRST, 5), claim_seen(SECOND))
    old = only(effects, ClaimLeg)
    dropped = events.EffectDropped(kind_of(old), old.sequence)
    state, effects = play(state, dropped, time(FIRST, 6))
    only(effects, ClaimLeg)
    after, effects = play(state, dropped)
    assert (after is state, effects) == (True, [])


def test_provider_refunds_at_its_timelock_and_not_before(provider: SwapState) -> None:
    state = both_locked(provider)
    t_b = timelock(state.agreement, SECOND)
    state, effects = play(state, time(SECOND, t_b - 1))
    assert not effects
    state, effects = play(state, time(SECOND, t_b))
    assert state.phase is Phase.REFUNDING
    assert only(effects, RefundLeg).leg is SECOND
    state, effects = play(state, refund_seen(SECOND), refund_final(SECOND))
    assert only(effects, Finished).outcome is state.phase is Phase.REFUNDED


def test_refund_taken_by_a_reorg_is_repeated_once_it_failed(provider: SwapState) -> None:
    state, effects = play(both_locked(provider), time(SECOND, 24))
    refund = only(effects, RefundLeg)
    state, effects = play(
        state,
        refund_seen(SECOND),
        events.RefundReverted(SECOND, IDS[SECOND], block(SECOND, 9)),
        events.EffectDropped(kind_of(refund), refund.sequence),
        time(SECOND, 25),
    )
    again = only(effects, RefundLeg)
    assert again.leg is SECOND
    assert again.sequence > refund.sequence


def test_a_preimage_that_comes_late_is_claimed_beside_the_refund(provider: SwapState) -> None:
    state, _ = play(both_locked(provider), time(SECOND, 24))
    state, effects = play(state, events.PreimageSeen(PREIMAGE, "reverted calldata"))
    assert state.phase is Phase.CLAIMING
    only(effects, ClaimLeg)
    state, _ = play(state, refund_seen(SECOND), refund_final(SECOND))
    assert state.phase is Phase.CLAIMING, "the claim may still be mined"
    assert play(state, time(FIRST, 60, finalized=37))[0].phase is Phase.REFUNDED


def test_provider_that_misses_its_claim_loses_once_that_is_final(provider: SwapState) -> None:
    state, _ = play(both_locked(provider), claim_seen(SECOND), claim_final(SECOND))
    state, _ = play(state, time(FIRST, 40, finalized=36))
    assert state.phase is Phase.CLAIMING
    state, _ = play(state, refund_seen(FIRST))
    assert state.phase is Phase.CLAIMING
    assert play(state, refund_final(FIRST))[0].phase is Phase.LOST
    assert play(state, time(FIRST, 41, finalized=37))[0].phase is Phase.LOST


def test_a_false_preimage_changes_nothing(provider: SwapState) -> None:
    state = both_locked(provider)
    after, effects = play(state, events.PreimageSeen(PublicPreimage(b"x" * 32), "mempool"))
    assert after.phase is Phase.BOTH_LOCKED
    assert only(effects, NotifyParty).code == "wrong-preimage"
    assert after.preimage is None


def test_claim_of_another_lock_shows_only_the_preimage(provider: SwapState) -> None:
    other = events.ClaimSeen(SECOND, LockId("other"), PREIMAGE, block(SECOND, 9), b"o" * 32)
    state, effects = play(both_locked(provider), other)
    only(effects, ClaimLeg)
    assert state.participant_leg.claim is None


# --- early refunds -----------------------------------------------------------------------------------------------


def test_early_refund_before_our_lock_ends_funding_for_ever(provider: SwapState) -> None:
    state, effects = play(provider, lock_seen(provider.agreement, FIRST), events.EarlyRefundRequested())
    assert only(effects, SignEarlyRefund).leg is FIRST
    assert state.phase is Phase.ABANDONED
    assert not play(state, lock_final(FIRST), verified(FIRST))[1]


def test_an_early_refund_is_refused_while_our_lock_may_be_mined(provider: SwapState) -> None:
    for state in (funded(provider)[0], both_locked(provider)):
        after, effects = play(state, events.EarlyRefundRequested())
        assert only(effects, NotifyParty).code == "early-refund-refused"
        assert after.phase is state.phase
    seen, _ = play(both_locked(provider), time(SECOND, 24), refund_seen(SECOND))
    assert only(play(seen, events.EarlyRefundRequested())[1], NotifyParty)


def test_early_refund_is_signed_once_ours_is_final_or_void(provider: SwapState) -> None:
    refunded, _ = play(both_locked(provider), time(SECOND, 24), refund_seen(SECOND), refund_final(SECOND))
    assert refunded.phase is Phase.REFUNDED
    after, effects = play(refunded, events.EarlyRefundRequested())
    only(effects, SignEarlyRefund)
    assert after.phase is Phase.REFUNDED
    state, fund = funded(provider)
    void, _ = play(state, events.EffectVoided(kind_of(fund), fund.sequence))
    only(play(void, events.EarlyRefundRequested())[1], SignEarlyRefund)


# --- the initiator -----------------------------------------------------------------------------------------------


def test_an_initiator_completes() -> None:
    terms = agreement(Role.INITIATOR)
    state, asked = begin(terms)
    assert state.phase is Phase.FUNDING
    assert only(list(asked), FundLeg).terms == terms.initiator_leg
    state, reveal = revealed(state)
    assert (state.phase, reveal.first, reveal.terms) == (Phase.CLAIMING, True, terms.participant_leg)
    state, effects = play(state, claim_seen(SECOND), claim_final(SECOND))
    assert only(effects, Finished).outcome is state.phase is Phase.COMPLETED


def test_an_initiator_locks_before_the_deadline_or_not_at_all() -> None:
    terms = agreement(Role.INITIATOR)
    assert transition(None, events.Agreed(terms, terms.lock_deadline_s), POLICY)[0].phase is Phase.FUNDING
    state, effects = transition(None, events.Agreed(terms, terms.lock_deadline_s + 1), POLICY)
    assert state.phase is Phase.ABANDONED
    assert [type(effect) for effect in effects] == [Finished]


def test_an_initiator_reveals_only_after_verification(initiator: SwapState) -> None:
    terms = initiator.agreement
    state, effects = play(
        initiator, lock_seen(terms, FIRST), lock_final(FIRST), lock_seen(terms, SECOND), verified(SECOND)
    )
    assert not effects, "an unasked answer does not justify a reveal"
    state, effects = play(state, lock_final(SECOND))
    assert [type(effect) for effect in effects] == [VerifyLock]
    assert only(play(state, verified(SECOND))[1], RevealAndClaim)


def test_closed_reveal_gate_makes_the_initiator_refund_its_lock(initiator: SwapState) -> None:
    terms = initiator.agreement
    ready, _ = play(initiator, lock_seen(terms, FIRST), lock_final(FIRST), lock_seen(terms, SECOND), lock_final(SECOND))
    last = timelock(terms, SECOND) - 8 - 1
    only(play(ready, verified(SECOND, NOW + last))[1], RevealAndClaim)
    state, effects = play(ready, verified(SECOND, NOW + last + 1))
    assert state.phase is Phase.BOTH_LOCKED
    assert "reveal gate" in only(effects, NotifyParty).message
    state, effects = play(state, time(FIRST, timelock(terms, FIRST)))
    assert only(effects, RefundLeg).leg is FIRST
    assert play(state, refund_seen(FIRST), refund_final(FIRST))[0].phase is Phase.REFUNDED


def test_a_refused_reveal_means_nothing_was_revealed(initiator: SwapState) -> None:
    state, reveal = revealed(initiator)
    state, _ = play(state, events.EffectRefused(kind_of(reveal), reveal.sequence, "endpoints-disagree", "no quorum"))
    assert state.phase is Phase.BOTH_LOCKED
    assert not play(state, time(SECOND, 5), verified(SECOND), time(SECOND, 6))[1]


def test_once_revealed_the_initiator_never_stops_claiming(initiator: SwapState) -> None:
    state, reveal = revealed(initiator)
    state, effects = play(
        state, time(SECOND, 20), events.EffectDropped(kind_of(reveal), reveal.sequence), time(SECOND, 23)
    )
    again = only(effects, RevealAndClaim)
    assert not again.first, "no gate holds back what counts as public"
    state, effects = play(
        state,
        events.EffectReverted(kind_of(again), again.sequence, "no", False),
        events.PreimageSeen(PREIMAGE, "reverted calldata"),
    )
    assert only(effects, ClaimLeg).leg is SECOND


def test_initiator_without_claim_lost_only_if_its_leg_was_taken(initiator: SwapState) -> None:
    state, _ = revealed(initiator)
    late, _ = play(state, refund_seen(SECOND), refund_final(SECOND))
    assert late.phase is Phase.CLAIMING
    assert play(late, claim_seen(FIRST), claim_final(FIRST))[0].phase is Phase.LOST
    state, effects = play(late, time(FIRST, timelock(state.agreement, FIRST)))
    only(effects, RefundLeg)
    assert play(state, refund_seen(FIRST), refund_final(FIRST))[0].phase is Phase.REFUNDED


def test_a_cancelled_initiator_reveals_nothing(initiator: SwapState) -> None:
    terms = initiator.agreement
    state, effects = play(
        initiator,
        lock_seen(terms, FIRST),
        lock_final(FIRST),
        events.QuoteCancelled("changed its mind"),
        lock_seen(terms, SECOND),
        lock_final(SECOND),
        verified(SECOND),
    )
    assert state.phase is Phase.BOTH_LOCKED
    assert not [effect for effect in effects if isinstance(effect, RevealAndClaim | VerifyLock)]


# --- the watchtower ----------------------------------------------------------------------------------------------


def test_watchtower_claims_for_the_participant_and_funds_nothing(watchtower: SwapState) -> None:
    terms = watchtower.agreement
    state, effects = play(
        watchtower, lock_seen(terms, FIRST), lock_final(FIRST), lock_seen(terms, SECOND), lock_final(SECOND)
    )
    assert (state.phase, effects) == (Phase.BOTH_LOCKED, [])
    state, effects = play(state, claim_seen(SECOND))
    assert only(effects, ClaimLeg).leg is FIRST
    state, _ = play(state, claim_final(SECOND), claim_seen(FIRST))
    assert state.phase is Phase.CLAIMING
    assert play(state, claim_final(FIRST))[0].phase is Phase.COMPLETED


def test_a_watchtower_refunds_both_legs_each_at_its_own_timelock(watchtower: SwapState) -> None:
    terms = watchtower.agreement
    state, _ = play(
        watchtower, lock_seen(terms, FIRST), lock_final(FIRST), lock_seen(terms, SECOND), lock_final(SECOND)
    )
    state, effects = play(state, time(SECOND, timelock(terms, SECOND)), time(FIRST, timelock(terms, FIRST) - 1))
    assert only(effects, RefundLeg).leg is SECOND
    state, effects = play(state, refund_seen(SECOND), refund_final(SECOND), time(FIRST, timelock(terms, FIRST)))
    assert only(effects, RefundLeg).leg is FIRST
    assert play(state, refund_seen(FIRST), refund_final(FIRST))[0].phase is Phase.REFUNDED


def test_a_watchtower_whose_initiator_never_locks_gives_up(watchtower: SwapState) -> None:
    assert play(watchtower, events.QuoteExpired(NOW + 9))[0].phase is Phase.ABANDONED


def failing_watch(watchtower: SwapState, kind: str) -> SwapState:
    """A watch with a public preimage, or past both timelocks, whose exits all fail until it ends."""
    terms = watchtower.agreement
    state, _ = play(
        watchtower, lock_seen(terms, FIRST), lock_final(FIRST), lock_seen(terms, SECOND), lock_final(SECOND)
    )
    head_s = 2 if kind == "claim" else timelock(terms, FIRST) + 1
    if kind == "claim":
        state, _ = play(state, claim_seen(SECOND), claim_final(SECOND))
    return play(state, time(FIRST, head_s), time(SECOND, head_s))[0]


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("claim", events.EffectReverted),
        ("claim", events.EffectDropped),
        ("refund", events.EffectReverted),
        ("refund", events.EffectDropped),
    ],
)
def test_a_watch_gives_up_after_so_many_failures(watchtower: SwapState, kind: str, how: Any) -> None:
    state, tries, head_s = failing_watch(watchtower, kind), 0, 0
    leg = FIRST
    start_s = clock.head.seconds - NOW if (clock := state.clock(leg)) else 0
    for head_s in range(start_s, start_s + 200):
        for name, attempt in state.attempts.items():
            if attempt.status is AttemptStatus.ASKED:
                failure = (
                    how(name, attempt.sequence, "no", True)
                    if how is events.EffectReverted
                    else how(name, attempt.sequence)
                )
                state, _ = play(state, failure)
                tries += 1
        if state.phase.terminal:
            break
        state, _ = play(state, time(SECOND, head_s + 1), time(FIRST, head_s + 1))
    assert (state.phase, tries) == (Phase.ABANDONED, decisions.MAX_WATCH_TRIES)
    assert state.closed is not None
    assert state.closed.code == decisions.GIVEN_UP
    assert head_s - start_s >= (3 if kind == "refund" else 14), "it waits twice as long after each failure"


def refused_claims(watchtower: SwapState, until_s: int) -> tuple[SwapState, list[int]]:
    """A watch whose claims are refused before they are signed, up to a head's time; and when each was asked for."""
    state, asked_s = failing_watch(watchtower, "claim"), list[int]()
    for head_s in range(3, until_s):
        for name, attempt in state.attempts.items():
            if name == "claim-initiator" and attempt.status is AttemptStatus.ASKED:
                asked_s.append(head_s)
                state, _ = play(state, events.EffectRefused(name, attempt.sequence, "reverted", "it is paused"))
        state, _ = play(state, time(SECOND, head_s), time(FIRST, head_s))
    return state, asked_s


def test_refused_claims_cost_a_watch_no_try(watchtower: SwapState) -> None:
    timelock_s = timelock(watchtower.agreement, FIRST)
    state, asked_s = refused_claims(watchtower, timelock_s)
    assert not state.phase.terminal
    assert decisions.MAX_WATCH_TRIES < len(asked_s) < 20
    for earlier_s, later_s in pairwise([*asked_s, timelock_s]):
        assert later_s - earlier_s <= max(3, (timelock_s - earlier_s) // decisions.WATCH_WAIT_SHARE + 2)


def test_claims_that_fail_in_blocks_count_next_to_refused_ones(watchtower: SwapState) -> None:
    state, _ = refused_claims(watchtower, 20)
    failed = 0
    for head_s in range(20, timelock(watchtower.agreement, FIRST)):
        attempt = state.attempts["claim-initiator"]
        if attempt.status is AttemptStatus.ASKED:
            failure = events.EffectReverted("claim-initiator", attempt.sequence, "no", True)
            state, _ = play(state, failure)
            failed += 1
        state, _ = play(state, time(SECOND, head_s), time(FIRST, head_s))
        if state.phase.terminal:
            break
    assert (state.phase, failed) == (Phase.ABANDONED, decisions.MAX_WATCH_TRIES)


def test_refused_claims_of_a_watch_end_with_its_timelock(watchtower: SwapState) -> None:
    timelock_s = timelock(watchtower.agreement, FIRST)
    state, _ = refused_claims(watchtower, timelock_s)
    state, effects = play(state, time(FIRST, timelock_s + 40, timelock_s + 20), time(SECOND, timelock_s + 40))
    assert only(effects, RefundLeg).leg is FIRST
    assert not [effect for effect in effects if isinstance(effect, ClaimLeg)]


def test_our_own_exit_is_never_given_up(provider: SwapState) -> None:
    state, _ = play(both_locked(provider), claim_seen(SECOND))
    for head_s in range(3, 50):
        [kind] = [kind for kind in state.attempts if kind.startswith("claim")]
        state, _ = play(state, events.EffectRefused(kind, state.attempts[kind].sequence, "code", "no"))
        state, effects = play(state, time(FIRST, head_s))
        if not [effect for effect in effects if isinstance(effect, ClaimLeg)]:
            break
    assert head_s > timelock(provider.agreement, FIRST) or state.attempts[kind].tries == 1
    assert state.phase is Phase.CLAIMING


# --- right before an act -----------------------------------------------------------------------------------------


def test_executor_checks_funding_against_present_state_and_times(provider: SwapState) -> None:
    state, _ = funded(provider)
    heads = ChainTime(A, NOW + 1), ChainTime(B, NOW + 1)
    decisions.check_fund_now(state, POLICY, NOW + 1, *heads)
    with pytest.raises(GateClosedError):
        decisions.check_fund_now(state, POLICY, NOW + 10, *heads)
    with pytest.raises(ClockSkewError):
        decisions.check_fund_now(state, POLICY, NOW + 1, heads[0], ChainTime(B, NOW + 3))
    public, _ = play(state, events.PreimageSeen(PREIMAGE, "mempool"))
    with pytest.raises(ConflictError):
        decisions.check_fund_now(public, POLICY, NOW + 1, *heads)
    with pytest.raises(ConflictError):
        decisions.check_fund_now(both_locked(provider), POLICY, NOW + 1, *heads)


def test_executor_checks_reveal_against_present_state_and_times(initiator: SwapState) -> None:
    state, _ = revealed(initiator)
    heads = ChainTime(A, NOW + 1), ChainTime(B, NOW + 1)
    decisions.check_reveal_now(state, POLICY, NOW + 1, *heads)
    with pytest.raises(GateClosedError):
        decisions.check_reveal_now(state, POLICY, NOW + 16, *heads)
    settled, _ = play(state, refund_seen(SECOND))
    with pytest.raises(ConflictError):
        decisions.check_reveal_now(settled, POLICY, NOW + 1, *heads)


def test_a_swap_begins_with_its_agreement(provider: SwapState) -> None:
    with pytest.raises(RejectedError):
        transition(None, lock_final(FIRST), POLICY)
    after, effects = play(provider, events.Agreed(provider.agreement, NOW))
    assert (after is provider, effects) == (True, [])


def test_replaced_final_block_is_reported(provider: SwapState) -> None:
    state, effects = play(both_locked(provider), events.LockReverted(FIRST, IDS[FIRST], block(FIRST)))
    assert only(effects, NotifyParty).code == "final-lock-reverted"
    assert state.phase is Phase.BOTH_LOCKED
