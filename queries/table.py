"""Which phase answers which event, and how: the machine as a table, from which its diagram is drawn.

Tests hold the table against the machine: every move that random histories make is in it, and every move in it is made.
"""

from collections.abc import Mapping
from typing import Final

from core.model.tables import Ignored, Table, Taken
from queries import events
from queries.events import EVENT_TYPES, QueryEvent, event_name
from queries.model import TERMINAL, Phase

EventType = type[QueryEvent]

MEANING: Final[Mapping[EventType, str]] = {
    events.Asked: "the query begins",
    events.RequestSeen: "the request is on chain: an answer may be sent",
    events.RequestReverted: "a reorg took the request: nothing is sent until it is back",
    events.AnsweringAdvanced: "the first admissible height that is final asks for a proof; what failed is tried again",
    events.AskingAdvanced: "the deadline nears, and ends the query once it is final; what failed is tried again",
    events.TimeAdvanced: "a caller's deadline nears; what failed is tried again",
    events.Proven: "the proof is kept; its delivery is asked for at once",
    events.NotProven: "tried again with the next head, or refused if it never can be",
    events.SettlementSeen: "an answer, by anybody, or the fee given back: nothing more is sent",
    events.SettlementFinal: "the end",
    events.SettlementReverted: "a reorg took it: go on",
    events.DeliverySubmitted: "on its way to the asking chain; a caller of ours has it with that",
    events.DeliveryFailed: "tried again with the next head, unless it has cost fees too often",
    events.DeliveryRefused: "tried again with the next head, unless it was refused too often",
}
"""The meaning of each event in a phase that takes it."""

_P = Phase
_MOVES: Final[Mapping[Phase, Mapping[EventType, tuple[Phase, ...]]]] = {
    _P.ASKED: {
        events.AnsweringAdvanced: (_P.PROVING,),
        events.AskingAdvanced: (_P.PROVING, _P.EXPIRED),
        events.TimeAdvanced: (_P.PROVING, _P.EXPIRED),
        events.SettlementSeen: (_P.SETTLED,),
    },
    _P.PROVING: {
        events.AskingAdvanced: (_P.EXPIRED,),
        events.TimeAdvanced: (_P.EXPIRED,),
        events.Proven: (_P.PROVEN, _P.DELIVERING, _P.REFUSED),
        events.NotProven: (_P.ASKED, _P.REFUSED),
        events.SettlementSeen: (_P.SETTLED,),
    },
    _P.PROVEN: {
        events.RequestSeen: (_P.DELIVERING,),
        events.AnsweringAdvanced: (_P.DELIVERING,),
        events.AskingAdvanced: (_P.DELIVERING, _P.EXPIRED),
        events.TimeAdvanced: (_P.DELIVERING, _P.EXPIRED),
        events.SettlementSeen: (_P.SETTLED,),
    },
    _P.DELIVERING: {
        events.AskingAdvanced: (_P.EXPIRED,),
        events.TimeAdvanced: (_P.EXPIRED,),
        events.SettlementSeen: (_P.SETTLED,),
        events.DeliverySubmitted: (_P.DELIVERED,),
        events.DeliveryFailed: (_P.PROVEN, _P.REFUSED),
        events.DeliveryRefused: (_P.PROVEN, _P.REFUSED),
    },
    _P.SETTLED: {
        events.SettlementFinal: (_P.DELIVERED, _P.EXPIRED),
        events.SettlementReverted: (_P.ASKED, _P.PROVING, _P.PROVEN, _P.DELIVERING, _P.EXPIRED, _P.REFUSED),
    },
}

_BEGUN: Final = "the request stands"
_NOT_ASKED: Final = "not an answer to anything that is asked in this phase"
_PROVEN: Final = "there is a proof already"
_IGNORED: Final[Mapping[Phase, Mapping[EventType, str]]] = {
    _P.ASKED: {
        events.Proven: _NOT_ASKED,
        events.NotProven: _NOT_ASKED,
        events.DeliverySubmitted: _NOT_ASKED,
        events.DeliveryFailed: _NOT_ASKED,
        events.DeliveryRefused: _NOT_ASKED,
    },
    _P.PROVING: {
        events.DeliverySubmitted: _NOT_ASKED,
        events.DeliveryFailed: _NOT_ASKED,
        events.DeliveryRefused: _NOT_ASKED,
    },
    _P.PROVEN: {
        events.Proven: _PROVEN,
        events.NotProven: _PROVEN,
        events.DeliverySubmitted: _NOT_ASKED,
        events.DeliveryFailed: _NOT_ASKED,
        events.DeliveryRefused: _NOT_ASKED,
    },
    _P.DELIVERING: {events.Proven: _PROVEN, events.NotProven: _PROVEN},
    _P.SETTLED: {},
}
_ENDED: Final[Mapping[Phase, str]] = {
    _P.DELIVERED: "whoever asked has the answer, finally",
    _P.EXPIRED: "no block before the deadline has an answer, and none can come to have one",
    _P.REFUSED: "nothing more is tried; the fee goes back at the deadline",
}


def _cell(phase: Phase, event: EventType) -> Taken[Phase] | Ignored:
    if phase in TERMINAL:
        return Ignored(_ENDED[phase])
    if event is events.Asked:
        return Ignored(_BEGUN)
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
