"""API keys: who calls, and what they may do.

A key is 32 random bytes, shown once; only its SHA-256 is kept. (A key has 256 bits of entropy, so a slow hash would
protect nothing.) It travels in the header `X-API-Key`.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from core.model.errors import RejectedError
from core.runtime.clock import SecretSource
from core.runtime.web.problems import Problem

HEADER: Final = "X-API-Key"
KEY_BYTES: Final = 32
KEY_PREFIX: Final = "cwk_"
MAX_KEYS: Final = 1_000
MAX_KEY_CHARS: Final = 128


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: `name` is who it was given to (for audit logs), `sha256` the hex hash of the key."""

    name: str
    sha256: str
    scopes: frozenset[str]


def issue_key(name: str, scopes: Iterable[str], secrets: SecretSource) -> tuple[str, ApiKey]:
    """A fresh key: the text to hand over, which is kept nowhere, and what to keep."""
    text = KEY_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=").decode()
    return text, ApiKey(name, _hash(text), frozenset(scopes))


class KeyRing:
    """The keys of one API. Raise `RejectedError` for two of one name, a malformed hash, or too many keys."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)
        if len(self._keys) > MAX_KEYS:
            raise RejectedError(f"at most {MAX_KEYS} API keys")
        if len({key.name for key in self._keys}) != len(self._keys):
            raise RejectedError("two API keys have one name: give each its own")
        for key in self._keys:
            if len(key.sha256) != 64 or not set(key.sha256) <= set("0123456789abcdef"):
                raise RejectedError(f"the API key {key.name} is not kept as 64 lower-case hex digits of its SHA-256")

    def find(self, presented: str) -> ApiKey | None:
        """The key that was presented. Takes equally long whichever it is."""
        digest = _hash(presented[:MAX_KEY_CHARS])
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def allow(self, presented: str | None, scope: str) -> ApiKey:
        """The presented key where it has `scope`. Raise a 401 `Problem` without a known key, a 403 one without the
        scope."""
        if presented is None:
            raise _unauthorized(f"This needs an API key: send it in the header {HEADER}.")
        key = self.find(presented)
        if key is None:
            raise _unauthorized("This API key is not known here: ask the operator for one.")
        if scope not in key.scopes:
            raise Problem(
                403,
                "scope-missing",
                "The API key is not allowed this",
                f"The key of {key.name} lacks the scope {scope}: ask the operator for it.",
                scope=scope,
            )
        return key


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _unauthorized(detail: str) -> Problem:
    return Problem(
        401,
        "unauthorized",
        "API key missing or unknown",
        detail,
        headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'},
    )
