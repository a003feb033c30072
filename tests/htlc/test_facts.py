"""Each event taken into states made by hand: the fact that it becomes, and what it leaves alone."""

from dataclasses import replace as changed
from typing import Any

import pytest
from msgspec.structs import replace

from core.model.types import BaseUnits, ChainTime, LockId, PublicPreimage
from htlc import events, facts
from htlc.effects import ClaimLeg, FundLeg, RefundLeg, RevealAndClaim, SignEarlyRefund, VerifyLock, leg_kind
from htlc.facts import record
from htlc.model import Attempt, AttemptStatus, LegState, Reason, Role, SwapState
from tests.htlc.scenarios import IDS, NOW, PREIMAGE, A, block, claim_seen, lock_final, lock_seen, refund_seen
from tests.htlc.scenarios import time as time_advanced
from tests.htlc.test_decisions import (
    CLAIM,
    FAILED,
    FIRST,
    FUND,
    REVEAL,
    SECOND,
    SENT,
    VERIFY,
    clock,
    locked,
    made,
    tried,
)

ASKED, DONE, VOID, REFUSED = AttemptStatus.ASKED, AttemptStatus.DONE, AttemptStatus.VOID, AttemptStatus.REFUSED
CLOSED = Reason("before", "closed before")
OWN = leg_kind(FundLeg, FIRST)


def closed_by(state: SwapState, event: events.SwapEvent) -> str | None:
    after, reasons = record(state, event)
    assert reasons == ()
    return None if after.closed is None else after.closed.code


def test_agreement_is_no_news() -> None:
    state = made()
    assert record(state, events.Agreed(state.agreement, NOW)) == (state, ())


@pytest.mark.parametrize(
    ("role", "facts_known", "code"),
    [
        (Role.LIQUIDITY_PROVIDER, {}, "quote-expired"),
        (Role.LIQUIDITY_PROVIDER, {"attempts": {FUND: SENT}}, None),
        (Role.INITIATOR, {"attempts": {OWN: SENT}}, None),
        (Role.LIQUIDITY_PROVIDER, {"initiator_leg": locked(FIRST)}, None),
        (Role.LIQUIDITY_PROVIDER, {"initiator_leg": LegState(lock_id=IDS[FIRST])}, None),
        (Role.WATCHTOWER, {"participant_leg": LegState(lock_id=IDS[SECOND])}, None),
        (Role.LIQUIDITY_PROVIDER, {"closed": CLOSED}, "before"),
    ],
)
def test_quote_expires_if_nothing_was_locked(role: Role, facts_known: dict[str, Any], code: str | None) -> None:
    assert closed_by(made(role, **facts_known), events.QuoteExpired(NOW + 9)) == code


def test_time_of_an_expiry_never_runs_back() -> None:
    state = made(now_s=NOW + 50)
    assert record(state, events.QuoteExpired(NOW + 9))[0].now_s == NOW + 50
    assert record(state, events.QuoteExpired(NOW + 60))[0].now_s == NOW + 60


@pytest.mark.parametrize(
    ("role", "facts_known", "code"),
    [
        (Role.LIQUIDITY_PROVIDER, {}, "cancelled"),
        (Role.LIQUIDITY_PROVIDER, {"initiator_leg": locked(FIRST)}, "cancelled"),
        (Role.LIQUIDITY_PROVIDER, {"attempts": {FUND: SENT}}, None),
        (Role.INITIATOR, {"attempts": {OWN: SENT}}, "cancelled"),
        (Role.WATCHTOWER, {}, "cancelled"),
        (Role.WATCHTOWER, {"initiator_leg": locked(FIRST)}, None),
    ],
)
def test_swap_is_cancelled_while_that_costs_nobody(role: Role, facts_known: dict[str, Any], code: str | None) -> None:
    assert closed_by(made(role, **facts_known), events.QuoteCancelled("no")) == code


@pytest.mark.parametrize(
    ("role", "facts_known", "code"),
    [
        (Role.LIQUIDITY_PROVIDER, {}, "early-refund"),
        (Role.LIQUIDITY_PROVIDER, {"attempts": {FUND: SENT}}, None),
        (Role.INITIATOR, {}, "early-refund"),
        (Role.WATCHTOWER, {}, None),
    ],
)
def test_early_refund_ends_funding(role: Role, facts_known: dict[str, Any], code: str | None) -> None:
    assert closed_by(made(role, **facts_known), events.EarlyRefundRequested()) == code


@pytest.mark.parametrize(
    ("leg_known", "attempts", "funded"),
    [
        (LegState(), {}, False),
        (locked(SECOND), {}, True),
        (LegState(lock_id=IDS[SECOND]), {}, True),
        (LegState(), {FUND: tried(ASKED)}, True),
        (LegState(), {FUND: SENT}, True),
        (LegState(), {FUND: tried(REFUSED)}, False),
        (LegState(), {FUND: tried(VOID)}, False),
        (LegState(lock_id=IDS[SECOND]), {FUND: tried(VOID)}, False),
        (locked(SECOND), {FUND: tried(VOID)}, True),
    ],
)
def test_own_lock_exists_or_may_exist(leg_known: LegState, attempts: dict[str, Attempt], funded: bool) -> None:
    assert facts.has_funded(made(participant_leg=leg_known, attempts=attempts)) is funded
    assert not facts.has_funded(made(Role.WATCHTOWER, participant_leg=locked(SECOND)))


# --- what a chain shows ----------------------------------------------------------------------------------------------


def test_lock_is_noted_as_it_was_seen() -> None:
    state = made()
    first, reasons = record(state, lock_seen(state.agreement, FIRST))
    assert (first.initiator_leg, reasons) == (locked(FIRST, final=False), ())
    assert first.participant_leg == LegState()
    assert record(first, lock_seen(state.agreement, FIRST)) == (first, ())
    final, _ = record(first, lock_final(FIRST))
    assert record(final, lock_seen(state.agreement, FIRST))[0].initiator_leg == locked(FIRST)
    elsewhere, _ = record(final, lock_seen(state.agreement, FIRST, height=8))
    assert elsewhere.initiator_leg.lock is not None
    assert (elsewhere.initiator_leg.lock.final, elsewhere.initiator_leg.lock.block) == (False, block(FIRST, 8))


def test_lock_that_comes_back_keeps_what_was_seen_of_it() -> None:
    gone = made(initiator_leg=LegState(lock_id=IDS[FIRST], claim=locked(FIRST).lock))
    back, _ = record(gone, lock_seen(gone.agreement, FIRST))
    assert back.initiator_leg.claim == gone.initiator_leg.claim
    other = replace(lock_seen(gone.agreement, FIRST), lock_id=LockId("another"))
    replaced, _ = record(gone, other)
    assert (replaced.initiator_leg.lock_id, replaced.initiator_leg.claim) == ("another", None)


@pytest.mark.parametrize("name", ["amount", "sender", "receiver"])
def test_lock_that_differs_is_reported_with_what_differs(name: str) -> None:
    state = made()
    other: Any = {"amount": BaseUnits(1), "sender": f"{A}:0xff", "receiver": f"{A}:0xff"}[name]
    terms = changed(state.agreement.initiator_leg, **{name: other})
    after, [reason] = record(state, replace(lock_seen(state.agreement, FIRST), terms=terms))
    assert (after, reason.code) == (state, "initiator-lock-differs")
    assert reason.message.endswith(f"differs in {name}")


def test_second_lock_is_reported_and_left_alone() -> None:
    state = made(initiator_leg=locked(FIRST))
    again = replace(lock_seen(state.agreement, FIRST), lock_id=LockId("again"))
    after, [reason] = record(state, again)
    assert (after, reason.code) == (state, "initiator-locked-again")


def test_claims_and_refunds_are_of_our_lock_only() -> None:
    state = made(initiator_leg=locked(FIRST))
    claimed, _ = record(state, claim_seen(FIRST))
    assert claimed.initiator_leg.claim is not None
    assert claimed.initiator_leg.claim.final is False
    refunded, _ = record(state, refund_seen(FIRST))
    assert refunded.initiator_leg.refund is not None
    strange = LockId("strange")
    other, _ = record(state, replace(claim_seen(FIRST), lock_id=strange))
    assert (other.initiator_leg, other.preimage) == (state.initiator_leg, PREIMAGE)
    assert record(state, replace(refund_seen(FIRST), lock_id=strange))[0] == state
    assert record(state, replace(lock_final(FIRST, height=8), lock_id=strange))[0] == state
    assert record(made(), lock_final(FIRST))[0] == made()


def test_final_sighting_is_in_its_final_block() -> None:
    state = made(initiator_leg=locked(FIRST, final=False))
    moved, _ = record(state, lock_final(FIRST, height=8))
    assert moved.initiator_leg.lock is not None
    assert (moved.initiator_leg.lock.block, moved.initiator_leg.lock.final) == (block(FIRST, 8), True)


def test_lock_that_is_reverted_takes_its_verification_along() -> None:
    state = made(
        initiator_leg=locked(FIRST, final=False), verified=block(FIRST, 8), attempts={VERIFY: tried(DONE), FUND: SENT}
    )
    after, reasons = record(state, events.LockReverted(FIRST, IDS[FIRST], block(FIRST)))
    assert (after.initiator_leg, after.verified, reasons) == (LegState(lock_id=IDS[FIRST]), None, ())
    assert after.attempts == {FUND: SENT}
    for other in (
        events.LockReverted(FIRST, LockId("another"), block(FIRST)),
        events.LockReverted(FIRST, IDS[FIRST], block(FIRST, 8)),
        events.ClaimReverted(FIRST, IDS[FIRST], block(FIRST)),
    ):
        assert record(state, other) == (state, ())


def test_own_lock_that_is_reverted_leaves_the_other_verified() -> None:
    """It goes out again, as before: what stands for it stands."""
    state = made(
        initiator_leg=locked(FIRST),
        participant_leg=locked(SECOND, final=False),
        verified=block(FIRST, 8),
        attempts={VERIFY: tried(DONE), FUND: SENT},
    )
    after, reasons = record(state, events.LockReverted(SECOND, IDS[SECOND], block(SECOND)))
    assert (after.participant_leg, reasons) == (LegState(lock_id=IDS[SECOND]), ())
    assert (after.verified, after.attempts) == (state.verified, state.attempts)


def test_reverted_claim_leaves_lock_and_verification() -> None:
    claimed = locked(FIRST, claim=locked(FIRST, final=False).lock)
    state = made(initiator_leg=claimed, verified=block(FIRST, 8), attempts={VERIFY: tried(DONE)})
    after, reasons = record(state, events.ClaimReverted(FIRST, IDS[FIRST], block(FIRST)))
    assert (after.initiator_leg, reasons) == (locked(FIRST), ())
    assert (after.verified, after.attempts) == (state.verified, state.attempts)


def test_final_sighting_that_is_reverted_is_reported() -> None:
    state = made(initiator_leg=locked(FIRST))
    _, [reason] = record(state, events.LockReverted(FIRST, IDS[FIRST], block(FIRST)))
    assert reason.code == "final-lock-reverted"


@pytest.mark.parametrize(
    ("role", "attempts", "code"),
    [
        (Role.LIQUIDITY_PROVIDER, {}, "preimage-public"),
        (Role.LIQUIDITY_PROVIDER, {FUND: SENT}, None),
        (Role.INITIATOR, {}, None),
        (Role.WATCHTOWER, {}, None),
    ],
)
def test_public_preimage_ends_funding(role: Role, attempts: dict[str, Attempt], code: str | None) -> None:
    state = made(role, attempts=attempts)
    assert closed_by(state, events.PreimageSeen(PREIMAGE, "mempool")) == code
    assert record(state, events.PreimageSeen(PREIMAGE, "mempool"))[0].preimage == PREIMAGE
    after, [reason] = record(state, events.PreimageSeen(PublicPreimage(bytes(32)), "mempool"))
    assert (after, reason.code) == (state, "wrong-preimage")


def test_finality_and_our_clock_never_run_back() -> None:
    state = made(initiator_clock=clock(FIRST, 9, 6), now_s=NOW + 9)
    back, _ = record(state, time_advanced(FIRST, 5, 3, 5))
    assert back.initiator_clock is not None
    assert back.initiator_clock.head == ChainTime(A, NOW + 5)
    assert back.initiator_clock.finalized == ChainTime(A, NOW + 6)
    assert (back.initiator_clock.now_s, back.now_s) == (NOW + 5, NOW + 9)
    onward, _ = record(state, time_advanced(FIRST, 12, 8, 13))
    assert onward.initiator_clock is not None
    assert (onward.initiator_clock.finalized.seconds, onward.now_s) == (NOW + 8, NOW + 13)
    assert onward.participant_clock is None


# --- answers and outcomes --------------------------------------------------------------------------------------------


VERIFIED = events.LockVerified(FIRST, IDS[FIRST], block(FIRST, 8), NOW + 5)
LOCK_REFUSED = events.LockRefused(FIRST, IDS[FIRST], "other-code", "another contract")


def test_answer_about_the_lock_that_stands_counts() -> None:
    state = made(initiator_leg=locked(FIRST), attempts={VERIFY: tried(ASKED)}, now_s=NOW + 9)
    after, _ = record(state, VERIFIED)
    assert (after.verified, after.attempts[VERIFY].status, after.now_s) == (block(FIRST, 8), DONE, NOW + 9)
    assert record(state, replace(VERIFIED, now_s=NOW + 20))[0].now_s == NOW + 20
    refused, _ = record(state, LOCK_REFUSED)
    assert (refused.attempts[VERIFY].status, refused.closed) == (REFUSED, Reason("other-code", "another contract"))
    others: list[dict[str, Any]] = [
        {"attempts": {}},
        {"attempts": {VERIFY: tried(REFUSED)}},
        {"initiator_leg": LegState(lock_id=IDS[FIRST])},
        {"initiator_leg": replace(locked(FIRST), lock_id=LockId("another"))},
    ]
    for facts_known in others:
        for answer in (VERIFIED, LOCK_REFUSED):
            other: SwapState = replace(state, **facts_known)
            assert record(other, answer)[0] == other


def outcome(kind: str, event: type, attempt: Attempt, *more: Any, **known: Any) -> SwapState:
    role = known.pop("role", Role.LIQUIDITY_PROVIDER)
    state = made(role, **{"attempts": {kind: attempt}, "initiator_clock": clock(FIRST, 9), **known})
    old = event(kind, attempt.sequence + 1, *more)
    assert record(state, old) == (state, ())
    assert record(state, event("refund-initiator", attempt.sequence, *more)) == (state, ())
    return record(state, event(kind, attempt.sequence, *more))[0]


def test_outcomes_are_those_of_the_latest_attempt() -> None:
    asked, tx, at = tried(ASKED), b"t" * 32, block(FIRST)
    for event, more, status in (
        (events.EffectSubmitted, (tx,), AttemptStatus.SENT),
        (events.EffectIncluded, (tx, at), AttemptStatus.SENT),
        (events.EffectFinal, (tx, at), DONE),
    ):
        after = outcome(CLAIM, event, asked, *more).attempts[CLAIM]
        assert (after.status, after.tx_hash) == (status, tx)


@pytest.mark.parametrize(
    ("event", "more", "void"),
    [
        (events.EffectReverted, ("no", False), False),
        (events.EffectReverted, ("no", True), True),
        (events.EffectDropped, (), False),
        (events.EffectVoided, (), True),
    ],
)
def test_failed_lock_stays_possible_until_it_is_void(event: type, more: tuple[Any, ...], void: bool) -> None:
    lock = outcome(FUND, event, SENT, *more)
    assert lock.attempts[FUND].status is (VOID if void else AttemptStatus.SENT)
    assert (lock.closed is not None) is void
    assert lock.closed is None or lock.closed.code == "lock-impossible"
    stands = outcome(FUND, event, SENT, *more, participant_leg=locked(SECOND))
    assert stands.closed is None
    claim = outcome(CLAIM, event, SENT, *more)
    assert (claim.attempts[CLAIM].status, claim.attempts[CLAIM].failed_at_s) == (FAILED, NOW + 9)
    assert outcome(CLAIM, event, SENT, *more, initiator_clock=None).attempts[CLAIM].failed_at_s is None


def refuse(kind: str, attempt: Attempt, **known: Any) -> SwapState:
    return outcome(kind, events.EffectRefused, attempt, "code", "why", **known)


@pytest.mark.parametrize("kind", [FUND, VERIFY, REVEAL])
def test_refusal_of_a_deciding_effect_is_the_end_of_it(kind: str) -> None:
    after = refuse(kind, tried(ASKED))
    assert (after.attempts[kind].status, after.closed) == (REFUSED, Reason("code", "why"))


@pytest.mark.parametrize("kind", [FUND, VERIFY, REVEAL])
def test_refusal_that_comes_again_changes_nothing(kind: str) -> None:
    once = tried(REFUSED)
    assert refuse(kind, once).attempts[kind] == once


def test_refusal_that_is_contradicted_is_not_believed() -> None:
    signed = refuse(FUND, SENT)
    assert (signed.attempts[FUND].status, signed.closed) == (AttemptStatus.SENT, None)
    shown = refuse(FUND, tried(ASKED), participant_leg=LegState(lock_id=IDS[SECOND]))
    assert (shown.attempts[FUND].status, shown.closed) == (AttemptStatus.SENT, None)
    again = refuse(REVEAL, tried(ASKED, first=False))
    assert (again.attempts[REVEAL].status, again.closed) == (FAILED, None)
    exit_refused = refuse(CLAIM, tried(ASKED, refusals=2))
    assert (exit_refused.attempts[CLAIM].status, exit_refused.attempts[CLAIM].refusals) == (FAILED, 2)


@pytest.mark.parametrize(
    ("kind", "refusals"),
    [(leg_kind(ClaimLeg, FIRST), 3), (leg_kind(ClaimLeg, SECOND), 3), (leg_kind(RefundLeg, SECOND), 3)],
)
def test_refused_exits_of_a_watch_are_counted_apart(kind: str, refusals: int) -> None:
    after = refuse(kind, tried(ASKED, tries=4, refusals=2), role=Role.WATCHTOWER)
    assert (after.attempts[kind].tries, after.attempts[kind].refusals) == (4, refusals)


def test_kind_names_its_leg() -> None:
    for effect in (ClaimLeg, FundLeg, RefundLeg, RevealAndClaim, SignEarlyRefund, VerifyLock):
        for leg in (FIRST, SECOND):
            assert facts.leg_of(leg_kind(effect, leg)) is leg
