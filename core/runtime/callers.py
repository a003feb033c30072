"""Who asks over the network: the holder of a key that was given out, or somebody known by an address alone.

A key is 32 random bytes, shown once; only its SHA-256 is kept. (A key has 256 bits of entropy, so a slow hash would
protect nothing.)
"""

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from core.model.errors import RejectedError
from core.runtime.clock import SecretSource

KEY_BYTES: Final = 32
KEY_PREFIX: Final = "cwk_"
MAX_KEYS: Final = 1_000
MAX_KEY_CHARS: Final = 128
IPV6_CLIENT_BITS: Final = 64
"""One customer has a network of this length at the least, and all addresses in it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may. `name` is the key's, or the network; who comes without a key has no scopes."""

    name: str
    scopes: frozenset[str] = frozenset()
    by_key: bool = False

    @property
    def id(self) -> str:
        """The word under which everything of this caller is counted together; no network reads like a key's."""
        return f"key:{self.name}" if self.by_key else self.name


def client_of(address: str | None) -> str:
    """Return who is behind a network address: the address of IPv4, the network of IPv6, `unknown` for anything else."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_CLIENT_BITS), strict=False))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: `name` is who it was given to (for audit logs), `sha256` the hex hash of the key."""

    name: str
    sha256: str
    scopes: frozenset[str]


def issue_key(name: str, scopes: Iterable[str], secrets: SecretSource) -> tuple[str, ApiKey]:
    """Return a fresh key: the text to hand over, which is kept nowhere, and what to keep."""
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
        """Return the key that was presented, None if it is not on the ring. Takes equally long whichever it is."""
        digest = _hash(presented[:MAX_KEY_CHARS])
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def caller(self, presented: str | None, address: str | None) -> Caller:
        """Return who presents this key from this address; an unknown key makes nobody known."""
        key = None if presented is None else self.find(presented)
        return Caller(client_of(address)) if key is None else Caller(key.name, key.scopes, by_key=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
