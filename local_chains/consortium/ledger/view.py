"""How the ledger sees state: a flat map of keys to leaves, and layers of writes over it."""

from typing import Final, Protocol


class StateView(Protocol):
    """Anything that answers a key with its leaf."""

    def get(self, key: bytes) -> bytes | None:
        """The leaf at `key`, None if there is none."""


Writes = dict[bytes, bytes | None]
"""Keys and their new leaves; None deletes."""

_MISSING: Final = object()


class Overlay:
    """Writes over another view that stays as it is. Dropping the overlay undoes them."""

    __slots__ = ("_base", "writes")

    def __init__(self, base: StateView) -> None:
        self._base = base
        self.writes: Writes = {}

    def get(self, key: bytes) -> bytes | None:
        found = self.writes.get(key, _MISSING)
        return self._base.get(key) if found is _MISSING else found  # type: ignore[return-value]

    def put(self, key: bytes, leaf: bytes) -> None:
        self.writes[key] = leaf

    def delete(self, key: bytes) -> None:
        self.writes[key] = None

    def absorb(self, other: "Overlay") -> None:
        """Keep the writes of an overlay that lay over this one."""
        self.writes.update(other.writes)
