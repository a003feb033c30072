"""The name under which an effect acts once, however often it is tried."""

from typing import Final, NamedTuple

from core.model.errors import RejectedError

MAX_KEY_CHARS: Final = 400
_SEPARATOR: Final = ":"


class EffectKey(NamedTuple):
    """An effect of a machine: the `stream` that asked for it, at its `sequence`-th event; `kind` is unique among the
    effects of one event.

    Printed and stored as `stream:sequence:kind`. Neither a stream nor a kind contains a colon.
    """

    stream: str
    sequence: int
    kind: str

    def __str__(self) -> str:
        return _SEPARATOR.join((self.stream, str(self.sequence), self.kind))

    @classmethod
    def parse(cls, text: str) -> "EffectKey":
        """Return the key that prints as `text`. Raise `RejectedError` for any other text."""
        parts = text[: MAX_KEY_CHARS + 1].split(_SEPARATOR)
        if len(text) > MAX_KEY_CHARS or len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit()):
            raise RejectedError(f"{text[:64]!r} is not an effect key: expected stream:sequence:kind")
        key = cls(parts[0], int(parts[1]), parts[2])
        if not key.stream or not key.kind or str(key) != text:
            raise RejectedError(f"{text[:64]!r} is not an effect key: expected stream:sequence:kind")
        return key
