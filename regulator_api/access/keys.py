"""Public keys that tokens are signed with: JSON Web Key Sets (RFC 7517), from a file or from the issuer's address.

A key counts if it is public, has an id, and is of a kind that we take; a secret key (`oct`) never is one, so that no
public key can be used as the secret of an HMAC. Other keys in the set are passed over: issuers publish keys for other
purposes, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import jwt
import msgspec

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from regulator_api.access.roles import ALGORITHMS

MAX_SET_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64
MAX_KEY_ID_CHARS: Final = 128
MIN_RSA_BITS: Final = 2_048
REFRESH_S: Final = 600.0
"""A set that is older is fetched again when the next token comes."""
RETRY_S: Final = 30.0
"""Between two fetches at the least, whatever key ids strangers make up."""
MAX_AGE_S: Final = 24 * 3_600.0
"""Seconds without news of the issuer after which its keys count no more."""
log = get_logger("regulator_api.access")


class VerifyingKey(msgspec.Struct, frozen=True):
    """A public key with the algorithms that it may be used with. `key` is of the library `cryptography`."""

    key: Any
    algorithms: tuple[str, ...]


Keys = Mapping[str, VerifyingKey]


class _Key(msgspec.Struct, frozen=True):
    """The members of a JSON Web Key that decide if we take it."""

    kty: str = ""
    kid: str = ""
    crv: str = ""
    use: str = "sig"
    alg: str = ""


class _Set(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


def parse_keys(raw: bytes) -> Keys:
    """Return the keys of a set by their ids. Raise `RejectedError` if it is not a set, or none of its keys can be used.

    Private members are passed over: they do not belong into a set, and nothing here signs.
    """
    if len(raw) > MAX_SET_BYTES:
        raise RejectedError(f"the key set has {len(raw)} bytes, at most {MAX_SET_BYTES} are read")
    try:
        entries = msgspec.json.decode(raw, type=_Set).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"this is not a JSON Web Key Set (RFC 7517): {error}") from None
    if len(entries) > MAX_KEYS:
        raise RejectedError(f"the key set has {len(entries)} keys, at most {MAX_KEYS} are read")
    found: dict[str, VerifyingKey] = {}
    for entry in entries:
        key = _usable(bytes(entry))
        if key is None:
            continue
        if key[0] in found:
            raise RejectedError(f"two keys of the set have the id {key[0]!a}: give each its own")
        found[key[0]] = key[1]
    if not found:
        kinds = ", ".join(sorted({"-".join(filter(None, kind)) for kind in ALGORITHMS}))
        raise RejectedError(f"none of the set's keys can be used: a signing key is {kinds}, and has a kid")
    return found


def _usable(raw: bytes) -> tuple[str, VerifyingKey] | None:
    try:
        stated = msgspec.json.decode(raw, type=_Key)
        algorithms = ALGORITHMS.get((stated.kty, stated.crv), ())
        if stated.alg:
            algorithms = tuple(name for name in algorithms if name == stated.alg)
        if not algorithms or stated.use != "sig" or not 0 < len(stated.kid) <= MAX_KEY_ID_CHARS:
            return None
        members = msgspec.json.decode(raw, type=dict[str, Any])
        public: dict[str, Any] = {name: members[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in members}
        key = jwt.PyJWK(public, algorithm="EdDSA" if stated.kty == "OKP" else algorithms[0]).key
    except (msgspec.MsgspecError, jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if stated.kty == "RSA" and key.key_size < MIN_RSA_BITS:
        return None
    return stated.kid, VerifyingKey(key, algorithms)


class KeySource(Protocol):
    """Gives the issuer's keys."""

    async def find(self, key_id: str) -> VerifyingKey | None:
        """Return the key of this id, None if the issuer has none. Raise `RetryableError` if nobody can say."""


class FixedKeys:
    """The keys of a file that was read once."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def find(self, key_id: str) -> VerifyingKey | None:
        return self._keys.get(key_id)


class FetchedKeys:
    """The keys at the issuer's address, fetched again when they are old, or when a token names another one.

    `fetch` returns the set's bytes, at most `MAX_SET_BYTES`, or raises `RetryableError`. One fetch is under way at a
    time; who waits for it has its keys.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Keys = {}
        self._fetched_s: float | None = None
        self._tried_s: float | None = None
        self._alone = asyncio.Lock()

    async def find(self, key_id: str) -> VerifyingKey | None:
        if key_id not in self._keys or self._age_s() > REFRESH_S:
            await self._refresh(key_id)
        if self._age_s() > MAX_AGE_S:
            raise RetryableError("the keys of the tokens' issuer cannot be fetched: try again, or ask the operator")
        return self._keys.get(key_id)

    def _age_s(self) -> float:
        return float("inf") if self._fetched_s is None else self._clock.monotonic() - self._fetched_s

    async def _refresh(self, key_id: str) -> None:
        async with self._alone:
            if key_id in self._keys and self._age_s() <= REFRESH_S:
                return  # somebody else has just fetched it
            now_s = self._clock.monotonic()
            if self._tried_s is not None and now_s - self._tried_s < RETRY_S:
                return
            self._tried_s = now_s
            try:
                self._keys = parse_keys(await self._fetch())
                self._fetched_s = self._clock.monotonic()
            except (RetryableError, RejectedError) as error:
                log.warning("the key set of the tokens' issuer cannot be taken", reason=error.message)
