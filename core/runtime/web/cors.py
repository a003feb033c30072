"""Which pages of other origins may call, and the headers that say so (Fetch standard, "CORS protocol").

No credentials of a browser ever count here, so that `*` gives away nothing that anybody could not ask for directly.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from core.model.errors import RejectedError

ANYBODY: Final = "*"
MAX_ORIGINS: Final = 64
PREFLIGHT_S: Final = 600
"""How long a browser remembers what it may."""
ASKS: Final = "Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-API-Key, X-Request-Id"
READS: Final = (
    "Deprecation, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After, Sunset, X-Request-Id"
)
MAX_PORT: Final = 65_535
_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?:[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?|\[[0-9a-f:]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_OWN_PORTS: Final = (("http", "80"), ("https", "443"))


def parse_origin(text: str) -> str:
    """An origin as browsers send it: `*`, or scheme and host in lower case, with a port that is not the scheme's own.

    Raise `RejectedError` for anything else.
    """
    if text == ANYBODY:
        return text
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found["port"] or 1) > MAX_PORT or (found["scheme"], found["port"]) in _OWN_PORTS:
        raise RejectedError(
            f"{text[:80]!r} is not an origin: write https://host or https://host:port in lower case, without the "
            "scheme's own port, or *"
        )
    return text


class Cors:
    """The answers to browsers of one application. `origins` is empty if no page may call."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        if len(origins) > MAX_ORIGINS:
            raise RejectedError(f"at most {MAX_ORIGINS} origins, not {len(origins)}; * lets every page call")
        self._origins = frozenset(parse_origin(origin) for origin in origins)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return the headers of every answer to a page of this origin; none if it may not call."""
        if origin is None or not self._origins:
            return {}
        if ANYBODY in self._origins:
            return {"Access-Control-Allow-Origin": ANYBODY, "Access-Control-Expose-Headers": READS}
        # Caches must not give one origin's answer to another.
        vary = {"Vary": "Origin"}
        if origin not in self._origins:
            return vary
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": READS, **vary}

    def preflight(self, origin: str | None, methods: str) -> Mapping[str, str]:
        """Return the headers that answer a browser's question before a call, beyond `headers`."""
        if "Access-Control-Allow-Origin" not in self.headers(origin):
            return {}
        return {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": ASKS,
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        }
