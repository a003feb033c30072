"""A machine's states, events and effects as JSON bytes, for journal and outbox. Bytes are base64, amounts are plain
integers."""

from typing import Any, Generic, TypeVar, cast

import msgspec

from core.model.errors import FatalError

S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")
T = TypeVar("T")


class Codec(Generic[S, E, F]):
    """States S, events E and effects F of one machine, each a struct or a tagged union of structs.

    `name` is the word for one of its streams in sentences: "swap".
    """

    def __init__(self, name: str, state: type[S], event: Any, effect: Any) -> None:
        """`event` and `effect` are the types E and F: unions are no `type` to a type checker."""
        self._name = name
        self._encoder = msgspec.json.Encoder(order="deterministic")
        self._states = msgspec.json.Decoder(state)
        self._events = msgspec.json.Decoder(event)
        self._effects = msgspec.json.Decoder(effect)

    def encode(self, value: S | E | F) -> bytes:
        """Canonical: equal values give equal bytes."""
        return self._encoder.encode(value)

    def decode_state(self, raw: bytes) -> S:
        """Raise `FatalError`: stored bytes that cannot be read are damage, or another version's."""
        return _decoded(self._states, raw, f"a stored {self._name}")

    def decode_event(self, raw: bytes) -> E:
        """Raise `FatalError`."""
        return cast(E, _decoded(self._events, raw, "a journalled event"))

    def decode_effect(self, raw: bytes) -> F:
        """Raise `FatalError`."""
        return cast(F, _decoded(self._effects, raw, "an effect in the outbox"))


def _decoded(decoder: msgspec.json.Decoder[T], raw: bytes, what: str) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"{what} cannot be read: {error}") from error
