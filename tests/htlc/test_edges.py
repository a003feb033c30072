"""Damaged bytes, invalid agreements, heads of other chains: no sensible history leads there."""

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from core.model.errors import ConflictError, FatalError, RejectedError
from core.model.types import ChainId, ChainTime, Hashlock, LockTerms, PublicPreimage, SwapId
from core.runtime.database import InlineDatabase, create_schema
from htlc import codec, decisions, diagram, engine, events
from htlc.effects import Finished, RevealAndClaim
from htlc.model import Leg, Phase, Role, swap_id
from htlc.table import TABLE
from htlc.transition import only_time_passed
from tests.htlc.scenarios import (
    IDS,
    LOCK,
    NOW,
    POLICY,
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
    time,
    verified,
)

FIRST, SECOND = Leg.INITIATOR, Leg.PARTICIPANT


def changed(terms: LockTerms, **changes: Any) -> LockTerms:
    return dataclasses.replace(terms, **changes)


@pytest.mark.parametrize("raw", [b"", b"{}", b"null", b'{"type":"unknown"}', b"\xff"])
def test_stored_bytes_that_are_damaged_are_fatal(raw: bytes) -> None:
    for decode, words in (
        (codec.decode_state, "stored swap"),
        (codec.decode_event, "journalled event"),
        (codec.decode_effect, "effect in the outbox"),
    ):
        with pytest.raises(FatalError, match=words):
            decode(raw)


async def test_journal_that_begins_without_an_agreement_is_fatal() -> None:
    database = InlineDatabase()
    await database.write(create_schema)
    with pytest.raises(FatalError, match="begins with the agreement"):
        await database.write(lambda c: engine.SWAPS.begin(c, time(FIRST, 1), now_ns=NOW * 10**9))
    await database.close()


def test_agreement_has_one_hashlock_two_chains_and_its_own_id() -> None:
    made = agreement()
    first, second = made.initiator_leg, made.participant_leg
    other_lock = changed(second, hashlock=Hashlock(bytes(32)))
    with pytest.raises(RejectedError, match="one hashlock"):
        replace(made, participant_leg=other_lock, swap_id=swap_id(first, other_lock))
    with pytest.raises(RejectedError, match="two chains"):
        replace(made, participant_leg=first, swap_id=swap_id(first, first))
    with pytest.raises(RejectedError, match="not the digest"):
        replace(made, swap_id=SwapId("0" * 32))


def test_leg_is_found_by_its_chain() -> None:
    made = agreement()
    assert (made.leg_on(A), made.leg_on(B)) == (FIRST, SECOND)
    with pytest.raises(RejectedError, match="has no part"):
        made.leg_on(ChainId("memory:c"))


def test_head_of_another_chain_changes_nothing() -> None:
    state, _ = begin(agreement())
    for head, finalized in ((B, A), (A, B), (B, B)):
        strange = events.TimeAdvanced(FIRST, ChainTime(head, NOW + 5), ChainTime(finalized, NOW), NOW + 5)
        after, asked = play(state, strange)
        assert (after.initiator_clock, after.now_s, asked) == (state.initiator_clock, state.now_s, [])


def test_claim_with_a_false_preimage_is_no_claim() -> None:
    state, _ = begin(agreement())
    seen, _ = play(state, lock_seen(state.agreement, FIRST))
    false = replace(claim_seen(FIRST), preimage=PublicPreimage(bytes(32)))
    after, asked = play(seen, false)
    assert (after.leg(FIRST).claim, after.preimage) == (None, None)
    assert [getattr(effect, "code", "") for effect in asked] == ["wrong-preimage"]


def test_watchtower_and_ended_swaps_never_fund() -> None:
    heads = ChainTime(A, NOW), ChainTime(B, NOW)
    watchtower, _ = begin(agreement(Role.WATCHTOWER))
    ended, _ = play(begin(agreement())[0], events.QuoteCancelled("no"))
    assert ended.phase is Phase.ABANDONED
    for state in (watchtower, ended):
        with pytest.raises(ConflictError, match="has ended, or its funding was called off"):
            decisions.check_fund_now(state, POLICY, NOW, *heads)
        with pytest.raises(ConflictError):
            decisions.check_reveal_now(state, POLICY, NOW, *heads)


def test_ended_swap_needs_no_more_time() -> None:
    ended, _ = play(begin(agreement())[0], events.QuoteCancelled("no"))
    assert decisions.next_wake(ended) == (None, None)


def test_page_of_the_table_is_written(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagram, "PAGE", tmp_path / "page.md")
    diagram.main()
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == diagram.page()
    assert all(phase.value in diagram.page() for phase in TABLE.cells)


def test_lock_reverted_of_another_block_stays() -> None:
    state, _ = play(begin(agreement())[0], lock_seen(agreement(), FIRST))
    after, _ = play(state, events.LockReverted(FIRST, IDS[FIRST], block(FIRST, 7, branch=1)))
    assert after.leg(FIRST).lock == state.leg(FIRST).lock
    assert after.agreement.hashlock == LOCK


def test_initiator_waits_for_no_lock_that_is_gone() -> None:
    """Its own lock is back finally, and the lock that it revealed for stands on no chain."""
    state, _ = begin(agreement(Role.INITIATOR))
    terms = state.agreement
    own, other = (lock_seen(terms, FIRST), lock_final(FIRST)), (lock_seen(terms, SECOND), lock_final(SECOND))
    state, asked = play(state, *own, *other, verified(SECOND))
    assert any(isinstance(effect, RevealAndClaim) for effect in asked)
    state, _ = play(state, events.LockReverted(SECOND, IDS[SECOND], block(SECOND)))
    assert state.phase is Phase.CLAIMING
    state, _ = play(state, refund_seen(FIRST), refund_final(FIRST))
    assert state.phase is Phase.REFUNDED


def test_event_that_changes_nothing_makes_no_step() -> None:
    state, _ = begin(agreement())
    assert state.sequence == 1
    after, asked = play(state, events.EffectDropped("claim-initiator", 5))
    assert (after, asked) == (state, [])


def test_step_that_only_moves_clocks_need_not_be_stored() -> None:
    state, _ = begin(agreement())
    moved, _ = play(state, time(FIRST, 1))
    locked, _ = play(state, lock_seen(state.agreement, FIRST))
    effect = begin(agreement(Role.INITIATOR))[1]
    assert effect
    assert only_time_passed(state, moved, ())
    assert not only_time_passed(state, moved, effect)
    assert not only_time_passed(state, locked, ())


def test_end_says_why() -> None:
    """Completed if the other leg is claimed, lost if that can never be any more."""
    state, _ = begin(agreement())
    terms = state.agreement
    history = (
        lock_seen(terms, FIRST), lock_final(FIRST), verified(FIRST), lock_seen(terms, SECOND), lock_final(SECOND),
        claim_seen(SECOND), claim_final(SECOND),
    )  # fmt: skip
    claimed, _ = play(state, *history)
    t_a = terms.initiator_leg.timelock.seconds - NOW
    ends: list[tuple[tuple[events.SwapEvent, ...], str]] = [
        ((claim_seen(FIRST), claim_final(FIRST)), "completed"),
        ((time(FIRST, t_a + 9, t_a),), "lost"),
    ]
    for last, code in ends:
        _, asked = play(claimed, *last)
        assert [effect.code for effect in asked if isinstance(effect, Finished)] == [code]
