"""Which phase answers which event, and how: the machine as a table, from which its diagram is drawn.

`answer(phase, event)` is `Ignored(why)`, and then nothing happens, or `Taken(to, why)`: the event becomes a fact, and
the phase may become one of `to`; effects may follow even if it stays. Tests hold the table against the machine:
every move that random histories make is in it, and every move in it is made.
"""

from collections.abc import Mapping
from typing import Final

from core.model.tables import Ignored, Table, Taken
from htlc import events
from htlc.events import EVENT_TYPES, SwapEvent, event_name
from htlc.model import TERMINAL, Phase

Answer = Taken[Phase] | Ignored
EventType = type[SwapEvent]

MEANING: Final[Mapping[EventType, str]] = {
    events.Agreed: "the swap begins; an initiator asks for its lock at once",
    events.QuoteExpired: "the initiator did not lock in time: nobody funds any more",
    events.QuoteCancelled: "a party withdrew: we neither fund nor reveal",
    events.EarlyRefundRequested: "we sign only if our own leg was never signed or is finally out of the way",
    events.LockSeen: "under the agreed terms it is the leg; under others it is shown and changes nothing",
    events.LockFinal: "a final lock of the counterparty is verified before we fund or reveal",
    events.LockReverted: "a reorg took the lock; the transaction will most likely come back",
    events.ClaimSeen: "the preimage is public for ever: claim the other leg at once",
    events.ClaimFinal: "a final claim may end the swap",
    events.ClaimReverted: "the claim is gone, the preimage stays public: go on claiming, or refund after the timelock",
    events.RefundSeen: "the leg went back to its sender, not finally yet",
    events.RefundFinal: "a final refund may end the swap",
    events.RefundReverted: "the refund is gone: refund again",
    events.PreimageSeen: "a preimage proves itself, whatever its source: claim at once",
    events.TimeAdvanced: "timelocks pass, gates close, failed effects are asked for again",
    events.LockVerified: "the ground to fund or to reveal, while the gate is open",
    events.LockRefused: "the counterparty's lock is not what was agreed: we neither fund nor reveal",
    events.EffectSubmitted: "signed and on its way: from now on it may be mined at any time",
    events.EffectIncluded: "in a block; the chain's own facts decide what follows",
    events.EffectFinal: "will not be asked for again",
    events.EffectReverted: "asked for again with the next head; a final revert of our lock means it never was",
    events.EffectDropped: "asked for again with the next head, but for our lock, which may still come back",
    events.EffectRefused: "nothing was signed: the end of it before we fund or reveal; an exit is asked for again",
    events.EffectVoided: "can never be mined: our lock never was, anything else is asked for again",
}
"""The meaning of each event in a phase that takes it."""

_P = Phase
_MOVES: Final[Mapping[Phase, Mapping[EventType, tuple[Phase, ...]]]] = {
    _P.AGREED: {
        events.QuoteExpired: (_P.ABANDONED,),
        events.QuoteCancelled: (_P.ABANDONED,),
        events.EarlyRefundRequested: (_P.ABANDONED,),
        events.LockSeen: (_P.INITIATOR_LOCKED, _P.BOTH_LOCKED, _P.CLAIMING, _P.REFUNDING),
        events.PreimageSeen: (_P.ABANDONED, _P.CLAIMING),
        events.TimeAdvanced: (_P.ABANDONED,),
    },
    _P.FUNDING: {
        events.LockSeen: (_P.INITIATOR_LOCKED, _P.BOTH_LOCKED, _P.REFUNDING),
        events.ClaimSeen: (_P.CLAIMING,),
        events.PreimageSeen: (_P.CLAIMING,),
        events.TimeAdvanced: (_P.ABANDONED,),
        events.EffectReverted: (_P.ABANDONED,),
        events.EffectRefused: (_P.ABANDONED,),
        events.EffectVoided: (_P.ABANDONED,),
    },
    _P.INITIATOR_LOCKED: {
        events.QuoteCancelled: (_P.ABANDONED,),
        events.EarlyRefundRequested: (_P.ABANDONED,),
        events.LockSeen: (_P.BOTH_LOCKED, _P.REFUNDING),
        events.LockFinal: (_P.VERIFYING,),
        events.LockReverted: (_P.AGREED, _P.FUNDING),
        events.ClaimSeen: (_P.CLAIMING, _P.ABANDONED),
        events.RefundSeen: (_P.REFUNDING,),
        events.RefundReverted: (_P.VERIFYING,),
        events.PreimageSeen: (_P.CLAIMING, _P.ABANDONED),
        events.TimeAdvanced: (_P.REFUNDING, _P.ABANDONED),
    },
    _P.VERIFYING: {
        events.QuoteCancelled: (_P.BOTH_LOCKED, _P.ABANDONED),
        events.EarlyRefundRequested: (_P.ABANDONED,),
        events.LockSeen: (_P.CLAIMING,),
        events.ClaimSeen: (_P.CLAIMING, _P.ABANDONED),
        events.RefundSeen: (_P.REFUNDING,),
        events.RefundReverted: (_P.FUNDING, _P.CLAIMING),
        events.PreimageSeen: (_P.CLAIMING, _P.ABANDONED),
        events.TimeAdvanced: (_P.FUNDING, _P.CLAIMING, _P.BOTH_LOCKED, _P.REFUNDING, _P.ABANDONED),
        events.LockVerified: (_P.FUNDING, _P.CLAIMING),
        events.LockRefused: (_P.BOTH_LOCKED, _P.ABANDONED),
        events.EffectReverted: (_P.ABANDONED,),
        events.EffectRefused: (_P.BOTH_LOCKED, _P.ABANDONED),
        events.EffectVoided: (_P.ABANDONED,),
    },
    _P.BOTH_LOCKED: {
        events.LockSeen: (_P.VERIFYING, _P.REFUNDING),
        events.LockFinal: (_P.VERIFYING,),
        events.LockReverted: (_P.AGREED, _P.FUNDING, _P.INITIATOR_LOCKED),
        events.ClaimSeen: (_P.CLAIMING,),
        events.RefundSeen: (_P.REFUNDING,),
        events.RefundReverted: (_P.VERIFYING,),
        events.PreimageSeen: (_P.CLAIMING,),
        events.TimeAdvanced: (_P.REFUNDING, _P.ABANDONED),
        events.EffectReverted: (_P.ABANDONED,),
        events.EffectRefused: (_P.ABANDONED,),
        events.EffectVoided: (_P.ABANDONED,),
    },
    _P.CLAIMING: {
        events.LockReverted: (_P.COMPLETED, _P.REFUNDED, _P.ABANDONED, _P.LOST),
        events.ClaimFinal: (_P.COMPLETED, _P.LOST),
        events.ClaimReverted: (_P.REFUNDED, _P.ABANDONED, _P.LOST),
        events.RefundFinal: (_P.COMPLETED, _P.REFUNDED, _P.ABANDONED, _P.LOST),
        events.TimeAdvanced: (_P.COMPLETED, _P.REFUNDED, _P.ABANDONED, _P.LOST),
        events.EffectReverted: (_P.ABANDONED,),
        events.EffectRefused: (_P.BOTH_LOCKED, _P.REFUNDING, _P.REFUNDED, _P.ABANDONED),
        events.EffectVoided: (_P.ABANDONED,),
    },
    _P.REFUNDING: {
        events.LockReverted: (
            _P.AGREED,
            _P.FUNDING,
            _P.INITIATOR_LOCKED,
            _P.BOTH_LOCKED,
            _P.REFUNDED,
            _P.ABANDONED,
        ),
        events.ClaimSeen: (_P.CLAIMING,),
        events.RefundFinal: (_P.REFUNDED,),
        events.RefundReverted: (_P.INITIATOR_LOCKED, _P.VERIFYING, _P.BOTH_LOCKED),
        events.PreimageSeen: (_P.CLAIMING,),
        events.TimeAdvanced: (_P.REFUNDED, _P.ABANDONED),
    },
}

_BEGUN: Final = "the agreement stands"
_IN_TIME: Final = "the initiator locked in time"
_NOT_ASKED: Final = "not an answer to anything that is asked in this phase"
_DECIDED: Final = "the exits are open; there is nothing left to fund or reveal"
_IGNORED: Final[Mapping[Phase, Mapping[EventType, str]]] = {
    _P.AGREED: {events.Agreed: _BEGUN, events.LockVerified: _NOT_ASKED, events.LockRefused: _NOT_ASKED},
    _P.FUNDING: {
        events.Agreed: _BEGUN,
        events.QuoteExpired: "our own lock may exist: only its being void ends this, or its timelock",
        events.LockVerified: _NOT_ASKED,
        events.LockRefused: _NOT_ASKED,
    },
    _P.INITIATOR_LOCKED: {
        events.Agreed: _BEGUN,
        events.QuoteExpired: _IN_TIME,
        events.LockVerified: _NOT_ASKED,
        events.LockRefused: _NOT_ASKED,
    },
    _P.VERIFYING: {events.Agreed: _BEGUN, events.QuoteExpired: _IN_TIME},
    _P.BOTH_LOCKED: {
        events.Agreed: _BEGUN,
        events.QuoteExpired: _IN_TIME,
        events.LockVerified: _NOT_ASKED,
        events.LockRefused: _NOT_ASKED,
    },
    _P.CLAIMING: {
        events.Agreed: _BEGUN,
        events.QuoteExpired: _DECIDED,
        events.QuoteCancelled: _DECIDED,
        events.LockVerified: _DECIDED,
        events.LockRefused: _DECIDED,
    },
    _P.REFUNDING: {
        events.Agreed: _BEGUN,
        events.QuoteExpired: _DECIDED,
        events.LockVerified: _DECIDED,
        events.LockRefused: _DECIDED,
    },
}
_ENDED: Final[Mapping[Phase, str]] = {
    _P.COMPLETED: "both parties have what they agreed on, finally",
    _P.REFUNDED: "our own leg is back, finally; taking the other one as well was never agreed",
    _P.ABANDONED: "no lock of ours stands: whatever happens to the legs of others is their owners' business",
    _P.LOST: "both legs are finally settled or beyond claiming; the operator was notified",
}


def _cell(phase: Phase, event: EventType) -> Answer:
    if phase in TERMINAL:
        if event is events.EarlyRefundRequested and phase in (_P.REFUNDED, _P.ABANDONED):
            return Taken(frozenset(), MEANING[event])
        return Ignored(_ENDED[phase])
    if (why := _IGNORED[phase].get(event)) is not None:
        return Ignored(why)
    return Taken(frozenset(_MOVES[phase].get(event, ())), MEANING[event])


TABLE: Final = Table(
    phases=Phase,
    terminal=TERMINAL,
    event_types=EVENT_TYPES,
    name_of=event_name,
    meaning=MEANING,
    cells={phase: {event: _cell(phase, event) for event in EVENT_TYPES} for phase in Phase},
)
"""Every phase's answer to every event."""

answer = TABLE.answer
