"""A regulator's configuration as the parts of its API: who may call, what signs, how much one caller may ask."""

import ipaddress
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock, SystemSecrets
from core.runtime.database import Database
from core.runtime.files import read_small
from core.runtime.web import ApiKey, KeyRing, RateLimit, RateLimiter, issue_key
from core.runtime.web.hooks import parse_secret
from gateway.config import ApiKeyConfig, RegulatorConfig, TokensConfig
from gateway.config.supervising import jurisdictions_of
from regulator_api.access.callers import Client, RegulatorCallers, Tokens
from regulator_api.access.keys import MAX_SET_BYTES, FetchedKeys, FixedKeys, KeySource, parse_keys
from regulator_api.access.roles import ALL_ALGORITHMS, EVERYWHERE, ROLES
from regulator_api.access.scope import Scope
from regulator_api.access.tokens import TokenRules, check_name
from regulator_api.knowledge.tags import parsed_jurisdiction
from regulator_api.signing import Signer, public_jwk
from regulator_api.streaming.hooks import SupervisionHook, SupervisionHooks
from relayer.keys.keystore import read_keystore, read_passphrase
from relayer.notices.addresses import Reach, parse_network
from relayer.notices.webhooks import guarded_post, send_signed

FETCH_S: Final = 10.0
ISSUER_KEY: Final = "issuer"
"""The name of the key, in a keystore, of the issuer that comes with Causeway."""
DEFAULT_LIFE_S: Final = 3_600


def callers_of(config: RegulatorConfig, base: Path, clock: Clock) -> RegulatorCallers:
    """Who may call. `base` is for paths. Raise `RejectedError` for a key set that cannot be read."""
    ring = KeyRing(ApiKey(key.name, key.sha256, frozenset(key.scopes)) for key in config.keys)
    limited = {key.name: frozenset(key.jurisdictions) for key in config.keys if key.jurisdictions}
    return RegulatorCallers(ring, clock, _tokens(config, base, clock), limited)


def limiter_of(config: RegulatorConfig, clock: Clock) -> RateLimiter:
    return RateLimiter(RateLimit(config.usage.per_second, config.usage.burst), clock)


def signer_of(config: RegulatorConfig, base: Path) -> Signer | None:
    """The signing key, None without one. Raise `RejectedError` if the keystore cannot be opened, or has no such key."""
    return None if config.signing is None else Signer(signing_seed(config, base))


def signing_seed(config: RegulatorConfig, base: Path) -> bytes:
    """The seed of the signing key. Raise `RejectedError` as `signer_of` does, and without one configured."""
    signing = config.signing
    if signing is None:
        raise RejectedError("the configuration has no [signing]: add it, and a keystore with its key")
    keystore = read_keystore(base / signing.keystore, read_passphrase(variable=signing.passphrase_env))
    return keystore.key(signing.key).expose()


def hooks_of(config: RegulatorConfig, database: Database, clock: Clock) -> SupervisionHooks | None:
    """Who posts what happens, None if no address is named. Raise `FatalError` for a secret that is not there."""
    if not config.webhooks:
        return None
    hooks = [
        SupervisionHook(
            one.url,
            parse_secret(read_passphrase(variable=one.secret_env)),
            Scope(jurisdictions_of(one), frozenset({"read"})),
            one.events,
            one.alerts,
            one.swaps,
        )
        for one in config.webhooks
    ]
    post = guarded_post(Reach(tuple(map(parse_network, config.webhook_networks))))

    async def post_signed(url: str, secret: bytes, name: str, now_s: int, body: bytes) -> int:
        return await send_signed(post, url, secret, name, now_s, body)

    return SupervisionHooks(database, hooks, clock, post_signed)


def _tokens(config: RegulatorConfig, base: Path, clock: Clock) -> Tokens | None:
    tokens = config.tokens
    if tokens is None:
        return None
    rules = TokenRules(
        issuer=tokens.issuer,
        audience=tokens.audience,
        algorithms=tokens.algorithms or ALL_ALGORITHMS,
        leeway_s=tokens.leeway_s,
        max_life_s=tokens.max_life_s,
        bound=tokens.bound,
    )
    clients = {one.id: Client(jurisdictions_of(one), frozenset(one.scopes)) for one in config.clients}
    proxies = tuple(ipaddress.ip_network(text, strict=False) for text in tokens.proxies)
    return Tokens(rules, _key_source(tokens, base, clock), clients, proxies)


def _key_source(tokens: TokensConfig, base: Path, clock: Clock) -> KeySource:
    if tokens.keys_file is not None:
        return FixedKeys(parse_keys(read_small(base / tokens.keys_file, MAX_SET_BYTES, "the issuer's key set")))
    url = tokens.keys_url or ""

    async def fetch() -> bytes:
        return await fetched(url, "the issuer's key set")

    return FetchedKeys(fetch, clock)


async def fetched(url: str, what: str) -> bytes:
    """Return the bytes of a JSON document of an issuer, `what` in errors. Redirects are not followed: the address is
    the operator's. Raise `RetryableError`."""
    timeout = aiohttp.ClientTimeout(total=FETCH_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response,
        ):
            if response.status != 200:
                raise RetryableError(f"{what} cannot be fetched: status {response.status}")
            found = bytearray()
            async for part in response.content.iter_chunked(16_384):
                found += part
                if len(found) > MAX_SET_BYTES:
                    raise RetryableError(f"{what} has more than {MAX_SET_BYTES} bytes")
            return bytes(found)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise RetryableError(f"{what} cannot be fetched: {type(error).__name__}") from error


# --- the issuer that comes with Causeway, for development and small houses -------------------------------------------


def issuer_seed(keystore: Path, passphrase: str) -> bytes:
    """The issuer's key. Raise `NotFoundError` if the keystore has none: tokens come from another issuer then."""
    return read_keystore(keystore, passphrase).key(ISSUER_KEY).expose()


def issued_token(
    seed: bytes,
    tokens: TokensConfig,
    client: str,
    scopes: Sequence[str],
    jurisdictions: Sequence[str],
    life_s: int = DEFAULT_LIFE_S,
    person: str | None = None,
) -> str:
    """A fresh access token (RFC 9068), signed with ed25519. Raise `RejectedError` for values that no token has."""
    unknown = sorted(set(scopes) - set(ROLES))
    if not scopes or unknown:
        raise RejectedError(f"a token's scopes are some of {', '.join(ROLES)}, not {unknown or 'none'}")
    if list(jurisdictions) != [EVERYWHERE]:
        for code in jurisdictions:
            parsed_jurisdiction(code)
    for name in (client, person or client):
        check_name(name)
    if not 0 < life_s <= tokens.max_life_s:
        raise RejectedError(f"a token is good for 1 to {tokens.max_life_s} s (tokens.max_life_s), not {life_s}")
    now_s = int(time.time())
    claims: Mapping[str, Any] = {
        "iss": tokens.issuer,
        "aud": tokens.audience,
        "iat": now_s,
        "exp": now_s + life_s,
        "jti": secrets.token_hex(16),
        "client_id": client,
        "sub": person or client,
        "scope": " ".join(scopes),
        "jurisdictions": list(jurisdictions),
    }
    header = {"typ": "at+jwt", "kid": Signer(seed).key_id}
    return jwt.encode(dict(claims), Ed25519PrivateKey.from_private_bytes(seed), "EdDSA", headers=header)


def issuer_key_set(seed: bytes) -> bytes:
    """The key set that verifiers of this issuer's tokens read."""
    return json.dumps({"keys": [public_jwk(Signer(seed).public_key)]}, indent=2).encode() + b"\n"


def fresh_key(name: str, scopes: Sequence[str], jurisdictions: Sequence[str] = ()) -> tuple[str, ApiKeyConfig]:
    """A fresh API key, and what the configuration says of it. Raise `RejectedError` for unknown scopes."""
    unknown = sorted(set(scopes) - set(ROLES))
    if not scopes or unknown:
        raise RejectedError(f"a key's scopes are some of {', '.join(ROLES)}, not {unknown or 'none'}")
    for code in jurisdictions:
        parsed_jurisdiction(code)
    text, kept = issue_key(name, scopes, SystemSecrets())
    return text, ApiKeyConfig(name, kept.sha256, tuple(scopes), tuple(jurisdictions))
