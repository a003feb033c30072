"""Agreements, events and random histories for the tests of the swap machine."""

import hashlib
import random
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Final

from msgspec.structs import replace

from core.model.ports import ChainTiming
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    PublicPreimage,
    Seconds,
)
from htlc import codec, events, timelocks
from htlc.effects import FundLeg, SwapEffect, leg_kind
from htlc.model import Agreement, AttemptStatus, Leg, LegStatus, Role, SwapState, swap_id
from htlc.transition import transition

A: Final = ChainId("eip155:31337")
B: Final = ChainId("causeway:devnet-1")
NOW: Final = 1_700_000_000
PREIMAGE: Final = PublicPreimage(b"p" * 32)
LOCK: Final = Hashlock(hashlib.sha256(PREIMAGE).digest())
EVM_TIMING: Final = ChainTiming(Seconds(1), Seconds(2), Seconds(3), Seconds(1), Seconds(1), Seconds(1))
LEDGER_TIMING: Final = ChainTiming(Seconds(1), Seconds(2), Seconds(1), Seconds(1), Seconds(1), Seconds(1))
POLICY: Final = timelocks.DEVNET_POLICY
IDS: Final = {Leg.INITIATOR: LockId("a-lock"), Leg.PARTICIPANT: LockId("b-lock")}
CHAINS: Final = {Leg.INITIATOR: A, Leg.PARTICIPANT: B}


def agreement(role: Role = Role.LIQUIDITY_PROVIDER, **changes: object) -> Agreement:
    """One ETH on A for 2000 of a consortium asset on B, planned at `NOW`."""
    t_a, t_b = timelocks.plan(ChainTime(A, NOW), ChainTime(B, NOW), EVM_TIMING, LEDGER_TIMING, POLICY)
    first = LockTerms(
        AssetId(f"{A}/slip44:60"), BaseUnits(10**18), AccountId(f"{A}:0xa1"), AccountId(f"{A}:0xb1"), LOCK, t_a
    )
    second = LockTerms(
        AssetId(f"{B}/asset:cnyd"), BaseUnits(2000), AccountId(f"{B}:b2"), AccountId(f"{B}:a2"), LOCK, t_b
    )
    made = Agreement(
        swap_id=swap_id(first, second),
        role=role,
        initiator_leg=first,
        participant_leg=second,
        initiator_timing=EVM_TIMING,
        participant_timing=LEDGER_TIMING,
        policy=POLICY,
        lock_deadline_s=timelocks.lock_deadline_s(NOW, POLICY),
    )
    return replace(made, **changes)


@cache
def block(leg: Leg, height: int = 7, branch: int = 0) -> BlockRef:
    return BlockRef(CHAINS[leg], Height(height), hashlib.sha256(f"{leg}{height}{branch}".encode()).digest())


def lock_seen(terms: Agreement, leg: Leg, height: int = 7) -> events.LockSeen:
    return events.LockSeen(leg, IDS[leg], terms.terms(leg), block(leg, height), b"l" * 32)


def lock_final(leg: Leg, height: int = 7) -> events.LockFinal:
    return events.LockFinal(leg, IDS[leg], block(leg, height))


def claim_seen(leg: Leg, height: int = 9) -> events.ClaimSeen:
    return events.ClaimSeen(leg, IDS[leg], PREIMAGE, block(leg, height), b"c" * 32)


def claim_final(leg: Leg, height: int = 9) -> events.ClaimFinal:
    return events.ClaimFinal(leg, IDS[leg], block(leg, height))


def refund_seen(leg: Leg, height: int = 9) -> events.RefundSeen:
    return events.RefundSeen(leg, IDS[leg], block(leg, height), b"r" * 32)


def refund_final(leg: Leg, height: int = 9) -> events.RefundFinal:
    return events.RefundFinal(leg, IDS[leg], block(leg, height))


def verified(leg: Leg, now_s: int = NOW) -> events.LockVerified:
    return events.LockVerified(leg, IDS[leg], block(leg, 8), now_s)


def time(leg: Leg, head: int, finalized: int | None = None, now_s: int | None = None) -> events.TimeAdvanced:
    """Chain time `head` seconds after `NOW`; by default finality is three seconds behind, our clock agrees."""
    chain = CHAINS[leg]
    final = NOW + (head - 3 if finalized is None else finalized)
    return events.TimeAdvanced(
        leg, ChainTime(chain, NOW + head), ChainTime(chain, final), NOW + (head if now_s is None else now_s)
    )


def timelock(terms: Agreement, leg: Leg) -> int:
    """A leg's timelock as seconds after `NOW`."""
    return terms.terms(leg).timelock.seconds - NOW


def begin(terms: Agreement) -> tuple[SwapState, tuple[SwapEffect, ...]]:
    return transition(None, events.Agreed(terms, NOW), POLICY)


def play(state: SwapState, *history: events.SwapEvent) -> tuple[SwapState, list[SwapEffect]]:
    """The state after these events, and every effect that was asked for on the way."""
    asked: list[SwapEffect] = []
    for event in history:
        state, effects = transition(state, event, POLICY)
        asked += effects
    return state, asked


def alphabet(state: SwapState) -> list[events.SwapEvent]:
    """Every kind of event, in forms that make sense and forms that do not, for any state of the swap."""
    return sensible(state) + odd(state)


def sensible(state: SwapState) -> list[events.SwapEvent]:
    """Every kind of event that a swap meets in its life, in one form or a few."""
    terms = state.agreement
    found: list[events.SwapEvent] = [
        events.QuoteExpired(state.now_s),
        events.QuoteCancelled("the operator says so"),
        events.EarlyRefundRequested(),
        events.PreimageSeen(PREIMAGE, "mempool"),
    ]
    for leg in Leg:
        t = timelock(terms, leg)
        found += [
            lock_seen(terms, leg),
            lock_final(leg),
            events.LockReverted(leg, IDS[leg], block(leg)),
            claim_seen(leg),
            claim_final(leg),
            events.ClaimReverted(leg, IDS[leg], block(leg, 9)),
            refund_seen(leg),
            refund_final(leg),
            events.RefundReverted(leg, IDS[leg], block(leg, 9)),
            verified(leg, state.now_s),
            events.LockRefused(leg, IDS[leg], "terms", "the amount is too small"),
            time(leg, 2),
            time(leg, t),
            time(leg, t + 20),
            time(leg, 1, now_s=8),
        ]
    for kind, attempt in state.attempts.items():
        n = attempt.sequence
        found += [
            events.EffectSubmitted(kind, n, b"t" * 32),
            events.EffectReverted(kind, n, "no", True),
            events.EffectDropped(kind, n),
            events.EffectRefused(kind, n, "gate-closed", "too late"),
            events.EffectVoided(kind, n),
        ]
    return found


def odd(state: SwapState) -> list[events.SwapEvent]:
    """Events of other locks, other blocks, other attempts, and times between."""
    terms = state.agreement
    found: list[events.SwapEvent] = [
        events.Agreed(terms, NOW),
        events.PreimageSeen(PublicPreimage(b"x" * 32), "mempool"),
    ]
    for leg in Leg:
        t = timelock(terms, leg)
        found += [
            lock_seen(terms, leg, 8),
            events.LockSeen(leg, LockId("other"), replace_terms(terms.terms(leg)), block(leg), b"o" * 32),
            events.LockSeen(leg, LockId("again"), terms.terms(leg), block(leg), b"o" * 32),
            lock_final(leg, 8),
            events.LockReverted(leg, IDS[leg], block(leg, 8)),
            events.ClaimSeen(leg, LockId("other"), PREIMAGE, block(leg), b"o" * 32),
            *(time(leg, head) for head in (1, t - 9, t - 1, t + 2)),
            time(leg, 1, now_s=60),
        ]
    for kind, attempt in state.attempts.items():
        n, ref = attempt.sequence, block(Leg.INITIATOR)
        found += [
            events.EffectIncluded(kind, n, b"t" * 32, ref),
            events.EffectFinal(kind, n, b"t" * 32, ref),
            events.EffectReverted(kind, n, "no", False),
            events.EffectRefused(kind, n + 1000, "gate-closed", "of another life"),
        ]
    return found


def replace_terms(terms: LockTerms) -> LockTerms:
    """The same lock with a smaller amount."""
    return LockTerms(
        terms.asset, BaseUnits(terms.amount - 1), terms.sender, terms.receiver, terms.hashlock, terms.timelock
    )


def possible(state: SwapState, event: events.SwapEvent) -> bool:
    """Return true if an honest chain and executor could report `event` now (a reorg of a final block could not)."""
    if isinstance(event, events.EffectOutcome):
        return _possible_outcome(state, event)
    if isinstance(event, events.TimeAdvanced):
        clock = state.clock(event.leg)
        return clock is None or event.head >= clock.head
    if isinstance(event, events.LockSeen):
        return _possible_lock(state, event)
    if isinstance(event, events.Agreed):
        return False
    if isinstance(event, events.AgreementEvent | events.PreimageSeen):
        return True
    facts = state.leg(event.leg)
    locked = facts.lock is not None and facts.lock.final
    match event:
        case events.ClaimSeen() | events.RefundSeen():
            return facts.open
        case events.LockFinal():
            return facts.lock is not None and not locked and facts.lock.block == event.block
        case events.LockReverted():
            return facts.open and not locked and facts.lock is not None and facts.lock.block == event.block
        case events.ClaimFinal():
            return facts.claim is not None and locked and not facts.claim.final
        case events.ClaimReverted():
            return facts.claim is not None and not facts.claim.final
        case events.RefundFinal():
            return facts.refund is not None and locked and not facts.refund.final
        case events.RefundReverted():
            return facts.refund is not None and not facts.refund.final
        case _:
            return True


def _possible_lock(state: SwapState, event: events.LockSeen) -> bool:
    own = state.agreement.own_leg
    if event.terms == state.agreement.terms(event.leg) and own is event.leg:
        attempt = state.attempt(leg_kind(FundLeg, own))
        if attempt is None or not attempt.alive:
            return False
    return event.terms != state.agreement.terms(event.leg) or state.leg(event.leg).status is LegStatus.ABSENT


def _possible_outcome(state: SwapState, event: events.EffectOutcome) -> bool:
    attempt = state.attempts[event.kind]
    if attempt.sequence != event.sequence or attempt.status not in (AttemptStatus.ASKED, AttemptStatus.SENT):
        return False
    if event.kind.startswith("verify"):
        return isinstance(event, events.EffectRefused)
    if isinstance(event, events.EffectRefused):
        return attempt.status is AttemptStatus.ASKED
    gone = isinstance(event, events.EffectVoided | events.EffectReverted)
    own = state.agreement.own_leg
    return not (event.kind.startswith("fund") and gone and own is not None and state.leg(own).lock is not None)


def random_history(seed: int, role: Role, steps: int, honest: bool) -> tuple[list[SwapState], list[events.SwapEvent]]:
    """States and events of one random life, `states[i]` before `events[i]`."""
    source = random.Random(seed)
    state, _ = begin(agreement(role))
    states, history = [state], []
    for _ in range(steps):
        choices = alphabet(state)
        if honest:
            choices = [event for event in choices if possible(state, event)]
        event = source.choice(choices)
        state, _ = transition(state, event, POLICY)
        states.append(state)
        history.append(event)
    return states, history


def explore(role: Role, limit: int) -> Iterator[tuple[SwapState, events.SwapEvent, SwapState]]:
    """Every step of honest histories, breadth first from each station of a swap that goes well, until `limit`
    different states are found."""
    queue = deque(_stations(role))
    known = {_essence(state) for state in queue}
    while queue and len(known) < limit:
        state = queue.popleft()
        for event in sensible(state):
            if not possible(state, event):
                continue
            after, _ = transition(state, event, POLICY)
            yield state, event, after
            if (key := _essence(after)) not in known:
                known.add(key)
                if not after.phase.terminal:
                    queue.append(after)


def _stations(role: Role) -> list[SwapState]:
    state, _ = begin(agreement(role))
    stations = [state]
    first, second = Leg.INITIATOR, Leg.PARTICIPANT
    for event in (
        lock_seen(state.agreement, first),
        lock_final(first),
        verified(first),
        lock_seen(state.agreement, second),
        lock_final(second),
        verified(second),
        claim_seen(second),
        claim_final(second),
        claim_seen(first),
    ):
        state, _ = transition(state, event, POLICY)
        if state is not stations[-1] and not state.phase.terminal:
            stations.append(state)
    return stations


def _essence(state: SwapState) -> bytes:
    """A state without what only counts: two that agree in it behave alike, but for how long a watch waits."""
    attempts = {
        kind: replace(attempt, sequence=0, tries=attempt.tries - attempt.refusals, refusals=0)
        for kind, attempt in state.attempts.items()
    }
    return codec.encode(replace(state, sequence=0, attempts=attempts))
