"""Metrics of processes at which nobody looks: a story counts what it needs to know by itself."""

from collections.abc import Sequence
from typing import Any

from core.runtime.metrics import Metrics


class Unmeasured(Metrics):
    """`Metrics` that keep nothing."""

    def __init__(self) -> None:
        """Make no registry."""

    def counter(self, name: str, description: str, labels: Sequence[str] = ()) -> Any:
        return _NOTHING

    def gauge(self, name: str, description: str, labels: Sequence[str] = ()) -> Any:
        return _NOTHING

    def histogram(self, name: str, description: str, labels: Sequence[str] = ()) -> Any:
        return _NOTHING


class _Nothing:
    """A counter, a gauge and a histogram, of whatever labels."""

    def labels(self, *_values: str, **_named: str) -> "_Nothing":
        return self

    def set(self, value: float) -> None: ...

    def inc(self, amount: float = 1) -> None: ...

    def dec(self, amount: float = 1) -> None: ...

    def observe(self, amount: float) -> None: ...

    def remove(self, *labels: str) -> None: ...

    def clear(self) -> None: ...


_NOTHING = _Nothing()
