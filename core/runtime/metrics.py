"""Prometheus metrics of one process, in a registry object that is passed around, never the library's global one.

Names get the prefix `causeway_`; asking for the same metric again gives the same object, so that rooms need not share
them. Labels take values from small closed sets (chains, workers, outcomes), never ids or addresses.
"""

import platform
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from core.runtime.version import VERSION

PREFIX: Final = "causeway_"
SECONDS: Final = (0.005, 0.02, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
"""Buckets of durations, from a database write to a swap."""

M = TypeVar("M", Counter, Gauge, Histogram)


class Metrics:
    """Counters, gauges and histograms by name. Asking for a known name as another kind raises TypeError."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._known: dict[str, Counter | Gauge | Histogram] = {}
        built = self.gauge("build_info", "1; the labels say which Causeway and which Python run", ["version", "python"])
        built.labels(version=VERSION, python=platform.python_version()).set(1)

    def counter(self, name: str, description: str, labels: Sequence[str] = ()) -> Counter:
        """Only grows; the name ends in `_total`."""
        return self._get(name, Counter, lambda full: Counter(full, description, labels, registry=self.registry))

    def gauge(self, name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
        """Goes up and down."""
        return self._get(name, Gauge, lambda full: Gauge(full, description, labels, registry=self.registry))

    def histogram(self, name: str, description: str, labels: Sequence[str] = ()) -> Histogram:
        """A distribution of seconds over the buckets `SECONDS`."""
        return self._get(
            name,
            Histogram,
            lambda full: Histogram(full, description, labels, buckets=SECONDS, registry=self.registry),
        )

    def value(self, name: str, **labels: str) -> float | None:
        """The present value of a sample, None if it has none yet."""
        return self.registry.get_sample_value(PREFIX + name, labels)

    def exposition(self) -> tuple[bytes, str]:
        """All metrics as Prometheus reads them, and the content type to send along."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _get(self, name: str, kind: type[M], make: Callable[[str], M]) -> M:
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = make(PREFIX + name)
        if not isinstance(found, kind):
            raise TypeError(f"the metric {name} is a {type(found).__name__}, not a {kind.__name__}")
        return found
