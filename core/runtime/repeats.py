"""Messages that come again and again: once in full, then counted, with a line that sums them up.

A failure that lasts (an endpoint that is down, an effect that waits for money) would fill a log with lines that say the
same. Two messages are the same if level, source, event and fields are: numbers inside of reasons aside, and counters.
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from structlog import DropEvent

QUIET_S: Final = 300.0
"""How long the same message is counted before it is said again, with its count."""
MAX_KNOWN: Final = 1_000
"""Messages that are remembered; of more, the one that was said longest ago is forgotten."""
SAID: Final = frozenset({"warning", "error", "critical", "exception"})
"""Levels that count. At info, what has a reason counts, too: the rest is said once by its author."""
COUNTERS: Final = frozenset({"attempts", "delay_s", "failures", "tries", "timestamp", "exc_info"})
"""Fields that differ each time that the same thing fails."""
WORDS: Final = frozenset({"reason", "error", "detail", "said", "why", "fields"})
"""Fields whose numbers do: heights, seconds, amounts."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?", re.IGNORECASE)

Event = MutableMapping[str, Any]


@dataclass(slots=True)
class _Known:
    """One message: since when it is counted, and how often it came since."""

    level: str
    source: str
    event: str
    since_s: float
    count: int = 0


class Repeats:
    """A structlog processor, for every thread. It comes before whatever formats exceptions, which costs the most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._lock = threading.RLock()

    def __call__(self, _logger: Any, method: str, event: Event) -> Event:
        """Return the event, with `repeated` if it was counted before; raise `DropEvent` to count it."""
        if method not in SAID and "reason" not in event and "detail" not in event:
            return event
        key = _key(method, event)
        with self._lock:
            return self._counted(key, method, event)

    def _counted(self, key: tuple[str, ...], method: str, event: Event) -> Event:
        known, now_s = self._known.get(key), self._clock()
        if known is not None and now_s - known.since_s < QUIET_S:
            known.count += 1
            raise DropEvent
        if known is not None and known.count:
            event["repeated"] = known.count
        self._known[key] = _Known(method, str(event.get("source", "")), str(event.get("event", "")), now_s)
        self._known.move_to_end(key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return event

    def sum_up(self, *, everything: bool = False) -> list[dict[str, Any]]:
        """Return what was counted and has not come again for `QUIET_S`, oldest first, and forget it: the fields of one
        line each. `everything`: also what may come again, since the process ends."""
        now_s = self._clock()
        with self._lock:
            over = [key for key, one in self._known.items() if everything or now_s - one.since_s >= QUIET_S]
            found = [self._known.pop(key) for key in over]
        return [
            {"what": one.event, "of": one.source, "times": one.count, "seconds": round(now_s - one.since_s)}
            for one in found
            if one.count
        ]


def _key(method: str, event: Event) -> tuple[str, ...]:
    parts = [method]
    for name in sorted(event.keys() - COUNTERS):
        value = event[name]
        text = value.hex() if isinstance(value, bytes) else str(value)
        parts.append(f"{name}={_NUMBER.sub('#', text) if name in WORDS else text}"[:400])
    return tuple(parts)
