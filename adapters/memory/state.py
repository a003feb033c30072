"""The memory chain's state: a flat map with its whole history, so that any height can be read and a branch undone."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, TypeVar, cast

Key = tuple[Any, ...]
V = TypeVar("V")


class VersionedState:
    """Values by key, each with the heights at which it changed."""

    def __init__(self) -> None:
        self._heights: dict[Key, list[int]] = {}
        self._values: dict[Key, list[Any]] = {}
        self._touched: dict[int, set[Key]] = {}

    def copy(self) -> "VersionedState":
        """Return another state with the same history, which changes by itself."""
        other = VersionedState()
        other._heights = {key: list(heights) for key, heights in self._heights.items()}
        other._values = {key: list(values) for key, values in self._values.items()}
        other._touched = {height: set(keys) for height, keys in self._touched.items()}
        return other

    def get(self, key: Key, default: V, at: int | None = None) -> V:
        """The value as of the block at height `at` (None: the newest), `default` if there was none yet."""
        heights = self._heights.get(key)
        if not heights:
            return default
        place = len(heights) if at is None else bisect_right(heights, at)
        return cast("V", self._values[key][place - 1]) if place else default

    def put(self, height: int, changes: Mapping[Key, Any]) -> None:
        """Write the changes of the block at `height`, which is the newest one."""
        touched = self._touched.setdefault(height, set())
        for key, value in changes.items():
            heights = self._heights.setdefault(key, [])
            values = self._values.setdefault(key, [])
            if heights and heights[-1] == height:
                values[-1] = value
            else:
                heights.append(height)
                values.append(value)
            touched.add(key)

    def undo(self, height: int) -> dict[Key, Any]:
        """Forget the block at `height`, which is the newest one. Return what it had changed."""
        undone = {}
        for key in self._touched.pop(height, set()):
            self._heights[key].pop()
            undone[key] = self._values[key].pop()
        return undone


class Overlay:
    """Changes of one transaction, or of one item of it: read through to the state, kept or thrown away as a whole."""

    def __init__(self, state: "VersionedState | Overlay") -> None:
        self._state = state
        self.changes: dict[Key, Any] = {}

    def get(self, key: Key, default: V) -> V:
        if key in self.changes:
            return cast("V", self.changes[key])
        return self._state.get(key, default)

    def put(self, key: Key, value: Any) -> None:
        self.changes[key] = value
