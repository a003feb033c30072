"""States, events and effects as JSON bytes, for journal and outbox. Bytes are base64."""

import msgspec

from core.model.errors import FatalError
from queries.effects import QueryEffect
from queries.events import QueryEvent
from queries.model import QueryState

_encoder = msgspec.json.Encoder(order="deterministic")
_states = msgspec.json.Decoder(QueryState)
_events: msgspec.json.Decoder[QueryEvent] = msgspec.json.Decoder(QueryEvent)
_effects: msgspec.json.Decoder[QueryEffect] = msgspec.json.Decoder(QueryEffect)


def encode(value: QueryState | QueryEvent | QueryEffect) -> bytes:
    """Canonical: equal values give equal bytes."""
    return _encoder.encode(value)


def decode_state(raw: bytes) -> QueryState:
    """Raise `FatalError`: stored bytes that cannot be read are damage, or another version's."""
    try:
        return _states.decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"a stored query cannot be read: {error}") from error


def decode_event(raw: bytes) -> QueryEvent:
    """Raise `FatalError`."""
    try:
        return _events.decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"a journalled event cannot be read: {error}") from error


def decode_effect(raw: bytes) -> QueryEffect:
    """Raise `FatalError`."""
    try:
        return _effects.decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"an effect in the outbox cannot be read: {error}") from error
