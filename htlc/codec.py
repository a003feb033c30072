"""States, events and effects as JSON bytes, for journal and outbox. Bytes are base64, amounts are plain integers."""

import msgspec

from core.model.errors import FatalError
from htlc.effects import SwapEffect
from htlc.events import SwapEvent
from htlc.model import SwapState

_encoder = msgspec.json.Encoder(order="deterministic")
_states = msgspec.json.Decoder(SwapState)
_events: msgspec.json.Decoder[SwapEvent] = msgspec.json.Decoder(SwapEvent)
_effects: msgspec.json.Decoder[SwapEffect] = msgspec.json.Decoder(SwapEffect)


def encode(value: SwapState | SwapEvent | SwapEffect) -> bytes:
    """Canonical: equal values give equal bytes."""
    return _encoder.encode(value)


def decode_state(raw: bytes) -> SwapState:
    """Raise `FatalError`: stored bytes that cannot be read are damage, or another version's."""
    try:
        return _states.decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"a stored swap cannot be read: {error}") from error


def decode_event(raw: bytes) -> SwapEvent:
    """Raise `FatalError`."""
    try:
        return _events.decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"a journalled event cannot be read: {error}") from error


def decode_effect(raw: bytes) -> SwapEffect:
    """Raise `FatalError`."""
    try:
        return _effects.decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"an effect in the outbox cannot be read: {error}") from error
