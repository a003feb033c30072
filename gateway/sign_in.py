"""The identity provider at which people sign in to the console, as a regulator's configuration has it."""

from functools import partial

from console.openid import Discovery, Provider, Registration
from core.runtime.clock import Clock
from gateway.config import RegulatorConfig
from gateway.supervision import fetched
from regulator_api.access.keys import FetchedKeys
from relayer.keys.keystore import read_passphrase

_NAMED = "the identity provider's document"


def provider_of(config: RegulatorConfig, clock: Clock) -> Provider | None:
    """Return the provider, None without one configured. Nothing is fetched before somebody signs in.

    Raise `FatalError` for a secret that is not there.
    """
    sign_in, tokens = config.sign_in, config.tokens
    if sign_in is None or tokens is None:
        return None
    registration = Registration(
        name=sign_in.name,
        issuer=sign_in.issuer,
        client_id=sign_in.client_id,
        redirect=sign_in.redirect,
        audience=sign_in.audience or tokens.audience,
        scope=sign_in.scope,
        secret=None if sign_in.secret_env is None else read_passphrase(variable=sign_in.secret_env),
    )
    return provider_at(registration, clock)


def provider_at(registration: Registration, clock: Clock) -> Provider:
    """Return the provider of a registration, with its discovery document and its keys fetched over HTTP."""
    fetch = partial(fetched, what=_NAMED)
    discovery = Discovery(registration.issuer, fetch, clock)

    async def keys() -> bytes:
        return await fetch((await discovery.metadata()).jwks_uri)

    return Provider(registration, discovery, FetchedKeys(keys, clock))
