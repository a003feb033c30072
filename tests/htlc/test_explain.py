"""A swap in words: for every state that it may be in, and by example."""

import re

import pytest

from htlc.explain import history, waits_for
from htlc.model import Leg, Phase, Role, SwapState
from htlc.timelocks import fund_terms, reveal_terms
from tests.htlc.scenarios import (
    LEDGER_TIMING,
    NOW,
    POLICY,
    A,
    B,
    agreement,
    begin,
    claim_final,
    claim_seen,
    explore,
    lock_final,
    lock_seen,
    play,
    time,
    timelock,
    verified,
)

STATES = 2_000


@pytest.mark.parametrize("role", Role)
def test_every_state_is_explained(role: Role) -> None:
    said: dict[Phase, set[str]] = {}
    for _, _, state in explore(role, STATES):
        waiting = waits_for(state)
        assert waiting.sentence
        assert "None" not in waiting.sentence
        assert waiting.sentence.startswith("nothing: ") is state.phase.terminal
        if waiting.until_s is not None:
            assert NOW - 60 < waiting.until_s <= state.agreement.initiator_leg.timelock.seconds
        assert waiting.chain in (A, B, None)
        said.setdefault(state.phase, set()).add(waiting.sentence)
        chains = [one.chain for one in history(state)]
        assert chains == sorted(chains, key=(A, B).index)
    assert [one for one in said[Phase.CLAIMING] if not re.search("claim|preimage|refund", one)] == []
    assert [one for one in said[Phase.REFUNDING] if "refund" not in one] == []


def after(role: Role, *happened: object) -> SwapState:
    state, _ = begin(agreement(role))
    return play(state, *happened)[0]  # type: ignore[arg-type]


def test_provider_waits_for_lock_finality_and_claim() -> None:
    terms = agreement(Role.LIQUIDITY_PROVIDER)
    waiting = waits_for(after(terms.role))
    assert (waiting.sentence, waiting.chain) == ("the initiator's lock", A)
    assert waiting.until_s == terms.lock_deadline_s + terms.initiator_timing.inclusion_s
    seen = lock_seen(terms, Leg.INITIATOR)
    waiting = waits_for(after(terms.role, seen))
    assert waiting.sentence == "block 7, which holds the initiator's lock, to be final"
    assert waiting.until_s == NOW + timelock(terms, Leg.PARTICIPANT) - sum(fund_terms(LEDGER_TIMING, POLICY).values())
    final = lock_final(Leg.INITIATOR)
    assert "operators to confirm" in waits_for(after(terms.role, seen, final)).sentence
    funded = (seen, final, time(Leg.PARTICIPANT, 1), verified(Leg.INITIATOR))
    waiting = waits_for(after(terms.role, *funded))
    assert (waiting.sentence, waiting.chain) == (f"our lock on {B} to be signed and sent", B)
    waiting = waits_for(after(terms.role, *funded, lock_seen(terms, Leg.PARTICIPANT)))
    assert waiting.sentence == "the initiator's claim, which shows the preimage"
    assert waiting.until_s == NOW + timelock(terms, Leg.PARTICIPANT)


def test_provider_claims_until_the_first_timelock() -> None:
    terms = agreement(Role.LIQUIDITY_PROVIDER)
    locked = lock_seen(terms, Leg.INITIATOR), lock_final(Leg.INITIATOR), verified(Leg.INITIATOR)
    claimed = (*locked, lock_seen(terms, Leg.PARTICIPANT), claim_seen(Leg.PARTICIPANT))
    waiting = waits_for(after(terms.role, *claimed))
    assert waiting.sentence == "a block with our claim of the initiator's lock (not signed yet)"
    assert (waiting.chain, waiting.until_s) == (A, NOW + timelock(terms, Leg.INITIATOR))
    both = (*claimed, claim_seen(Leg.INITIATOR), claim_final(Leg.PARTICIPANT))
    waiting = waits_for(after(terms.role, *both))
    assert waiting.sentence == "block 9, which holds the claim of the initiator's lock, to be final"
    done = waits_for(after(terms.role, *both, claim_final(Leg.INITIATOR)))
    assert done.sentence == "nothing: both legs were claimed as agreed"


def test_initiator_reveals_until_its_gate_closes() -> None:
    terms = agreement(Role.INITIATOR)
    ours = lock_seen(terms, Leg.INITIATOR)
    gate_s = NOW + timelock(terms, Leg.PARTICIPANT) - sum(reveal_terms(LEDGER_TIMING, POLICY).values())
    waiting = waits_for(after(terms.role, ours))
    assert (waiting.sentence, waiting.chain, waiting.until_s) == ("the participant's lock", B, gate_s)
    waiting = waits_for(after(terms.role, ours, lock_seen(terms, Leg.PARTICIPANT)))
    assert (waiting.sentence, waiting.until_s) == ("block 7, which holds the participant's lock, to be final", gate_s)
    assert waiting.then == f"our lock on {A} is taken back after its timelock"
