"""Who may ask a regulator, how much, and what signs its answers: canonical, or refused with its place."""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from console.openid import BACK, is_safe
from gateway.config.chains import EVM, check_http_url, refuse_twins
from gateway.config.faults import Faults, choices, shown
from gateway.config.model import (
    AnchoringConfig,
    ApiKeyConfig,
    ChainConfig,
    ClientConfig,
    RegulatorConfig,
    SignInConfig,
    SupervisionWebhookConfig,
    TokensConfig,
    UsageConfig,
)
from gateway.config.trading import check_variable, known_chain
from regulator_api.access.roles import ALL_ALGORITHMS, EVERYWHERE, ROLES
from regulator_api.knowledge.tags import parsed_jurisdiction
from relayer.notices.addresses import Reach, parse_network
from relayer.notices.webhooks import MAX_TARGETS

OF_NOTHING: Final = hashlib.sha256(b"").hexdigest()
REPORT_ONLY: Final = frozenset({"report"})
"""A key that reads nothing: relayers report with it, in production, too."""
MAX_TEXT_CHARS: Final = 512
MAX_LEEWAY_S: Final = 300
MAX_LIFE_S: Final = 30 * 24 * 3_600
MIN_EVERY_S: Final = 10
MAX_EVERY_S: Final = 7 * 24 * 3_600
MAX_PER_SECOND: Final = 10_000
MAX_BURST: Final = 100_000
MAX_RECORDS: Final = 10**12
_NAMESPACE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def canonical_regulator(config: RegulatorConfig, faults: Faults) -> RegulatorConfig:
    """Who may call, and the bridge, in canonical spelling."""
    chains = {chain.id: chain for chain in config.chains}
    if not config.keys and config.tokens is None:
        faults.add("keys", "is empty, so that nobody could ask: add [[keys]], or [tokens]")
    _check_keys(config.keys, faults)
    if config.tokens is not None:
        _check_tokens(config.tokens, faults)
        if not config.tokens.allow_keys:
            _refuse_keys(config.keys, faults)
    if config.sign_in is not None:
        _check_sign_in(config.sign_in, config.tokens, faults)
    _check_clients(config, faults)
    _check_usage(config.usage, faults)
    if config.signing is not None:
        check_variable(config.signing.passphrase_env, "signing.passphrase_env", faults)
    _check_webhooks(config, faults)
    bridge = config.bridge
    if bridge is not None:
        bridge = known_chain(bridge, chains, "bridge", faults)
        if bridge in chains and chains[bridge].kind == EVM:
            faults.add("bridge", f"{bridge} keeps no attestations: name a consortium chain")
    anchoring = None if config.anchoring is None else _anchoring(config, config.anchoring, chains, faults)
    keys = tuple(msgspec.structs.replace(one, sha256=one.sha256.lower()) for one in config.keys)
    return msgspec.structs.replace(config, bridge=bridge, keys=keys, anchoring=anchoring)


def _check_keys(keys: tuple[ApiKeyConfig, ...], faults: Faults) -> None:
    for number, key in enumerate(keys):
        at = f"keys[{number}]"
        if re.fullmatch(r"[0-9a-fA-F]{64}", key.sha256) is None:
            faults.add(f"{at}.sha256", "is not the SHA-256 of a key: write 64 hex digits, never the key itself")
        if key.sha256.lower() == OF_NOTHING:
            faults.add(f"{at}.sha256", "is the SHA-256 of an empty key: make one, and write its own")
        if not key.scopes:
            faults.add(f"{at}.scopes", f"is empty, so that the key opens nothing: {choices('', ROLES)}")
        _check_scopes(key.scopes, f"{at}.scopes", faults)
        _check_jurisdictions(key.jurisdictions, f"{at}.jurisdictions", faults)
        if key.name.startswith("client:"):
            faults.add(f"{at}.name", "is how clients with tokens are called: choose another")
    refuse_twins((one.name for one in keys), lambda number: f"keys[{number}].name", "key", faults)
    refuse_twins((one.sha256.lower() for one in keys), lambda number: f"keys[{number}].sha256", "key", faults)


def _refuse_keys(keys: tuple[ApiKeyConfig, ...], faults: Faults) -> None:
    for number, key in enumerate(keys):
        if set(key.scopes) != REPORT_ONLY:
            faults.add(
                f"keys[{number}]",
                "API keys are for development: give the caller tokens of the issuer, or write tokens.allow_keys = true",
            )


def _check_tokens(tokens: TokensConfig, faults: Faults) -> None:
    if (tokens.keys_file is None) == (tokens.keys_url is None):
        faults.add("tokens", "its issuer's public keys come from one place: write keys_file or keys_url")
    if tokens.keys_url is not None:
        url = check_http_url(tokens.keys_url, "tokens.keys_url", faults)
        if url is not None and url.scheme == "http" and not _is_own_machine(url.hostname or ""):
            faults.add("tokens.keys_url", "is not https: whoever changes the answer on its way makes tokens")
    for name in tokens.algorithms:
        if name not in ALL_ALGORITHMS:
            faults.add("tokens.algorithms", f"unknown algorithm {shown(name)}: {choices(name, ALL_ALGORITHMS)}")
    refuse_twins(tokens.algorithms, lambda _: "tokens.algorithms", "algorithm", faults)
    if not 0 <= tokens.leeway_s <= MAX_LEEWAY_S:
        faults.add("tokens.leeway_s", f"{tokens.leeway_s} is not a number of seconds from 0 to {MAX_LEEWAY_S}")
    if not 0 < tokens.max_life_s <= MAX_LIFE_S:
        faults.add("tokens.max_life_s", f"{tokens.max_life_s} is not a number of seconds from 1 to {MAX_LIFE_S}")
    for number, text in enumerate(tokens.proxies):
        with faults.at(f"tokens.proxies[{number}]"):
            parse_network(text)
    if tokens.bound and not tokens.proxies:
        faults.add("tokens.bound", "needs a proxy that ends TLS and shows the certificate: name it in tokens.proxies")


def _check_sign_in(sign_in: SignInConfig, tokens: TokensConfig | None, faults: Faults) -> None:
    if tokens is None:
        faults.add("sign_in", "has no effect without [tokens]: the API has to take the tokens of those who sign in")
    if not is_safe(sign_in.issuer) or "?" in sign_in.issuer:
        faults.add(
            "sign_in.issuer", f"{shown(sign_in.issuer)} is not an https URL without a query: copy the provider's"
        )
    if not is_safe(sign_in.redirect) or urlsplit(sign_in.redirect)[2:] != (BACK, "", ""):
        faults.add("sign_in.redirect", f"is not the https URL of this console that ends in {BACK}")
    for name in ("client_id", "name", "scope", "audience"):
        text = getattr(sign_in, name)
        if text is not None and (not 0 < len(text) <= MAX_TEXT_CHARS or not text.isascii() or not text.isprintable()):
            faults.add(f"sign_in.{name}", f"{shown(text)} is not 1 to {MAX_TEXT_CHARS} printable ASCII characters")
    if "openid" not in sign_in.scope.split(" "):
        faults.add("sign_in.scope", "lacks openid, without which a provider gives no id token: add it")
    if sign_in.secret_env is not None:
        check_variable(sign_in.secret_env, "sign_in.secret_env", faults)


def _is_own_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_clients(config: RegulatorConfig, faults: Faults) -> None:
    if config.clients and config.tokens is None:
        faults.add("clients", "has no effect without [tokens]: add it, or leave them out")
    for number, client in enumerate(config.clients):
        at = f"clients[{number}]"
        _check_seen(client.jurisdictions, f"{at}.jurisdictions", "the client", faults)
        _check_scopes(client.scopes, f"{at}.scopes", faults)
    refuse_twins((one.id for one in config.clients), lambda number: f"clients[{number}].id", "client", faults)


def _check_scopes(scopes: tuple[str, ...], place: str, faults: Faults) -> None:
    for scope in scopes:
        if scope not in ROLES:
            faults.add(place, f"unknown scope {shown(scope)}: {choices(scope, ROLES)}")
    refuse_twins(scopes, lambda _: place, "scope", faults)


def _check_seen(codes: tuple[str, ...], place: str, who: str, faults: Faults) -> None:
    """Some jurisdictions, or all."""
    if not codes:
        faults.add(place, f'is empty, so that {who} sees nothing: write codes, or ["{EVERYWHERE}"]')
    if codes != (EVERYWHERE,):
        _check_jurisdictions(codes, place, faults)


def _check_jurisdictions(codes: tuple[str, ...], place: str, faults: Faults) -> None:
    for code in codes:
        with faults.at(place):
            parsed_jurisdiction(code)
    refuse_twins(codes, lambda _: place, "jurisdiction", faults)


def _check_usage(usage: UsageConfig, faults: Faults) -> None:
    bounds = {"per_second": MAX_PER_SECOND, "burst": MAX_BURST, "records_per_day": MAX_RECORDS}
    for name, most in bounds.items():
        value = getattr(usage, name)
        if not 0 < value <= most:
            faults.add(f"usage.{name}", f"{value} is not a number from 1 to {most}")


def _check_webhooks(config: RegulatorConfig, faults: Faults) -> None:
    networks = []
    for number, text in enumerate(config.webhook_networks):
        with faults.at(f"webhook_networks[{number}]"):
            networks.append(parse_network(text))
    if len(config.webhooks) > MAX_TARGETS:
        faults.add("webhooks", f"has {len(config.webhooks)} entries, at most {MAX_TARGETS} are possible")
    for number, hook in enumerate(config.webhooks):
        at = f"webhooks[{number}]"
        check_variable(hook.secret_env, f"{at}.secret_env", faults)
        with faults.at(f"{at}.url"):
            Reach(tuple(networks)).check_url(hook.url)
        _check_seen(hook.jurisdictions, f"{at}.jurisdictions", "the receiver", faults)
        if not hook.alerts and not hook.events and not hook.swaps:
            faults.add(at, "hears of nothing: write alerts, events or swaps = true, or leave it out")
    refuse_twins((one.url for one in config.webhooks), lambda number: f"webhooks[{number}].url", "webhook", faults)


def _anchoring(
    config: RegulatorConfig, anchoring: AnchoringConfig, chains: Mapping[str, ChainConfig], faults: Faults
) -> AnchoringConfig:
    chain = known_chain(anchoring.chain, chains, "anchoring.chain", faults)
    if chain in chains and chains[chain].kind == EVM:
        faults.add("anchoring.chain", f"{chain} keeps no records: name a consortium chain")
    if config.signing is None:
        faults.add("anchoring", "needs a key that signs: add [signing]")
    if _NAMESPACE.fullmatch(anchoring.namespace) is None:
        faults.add("anchoring.namespace", f"{shown(anchoring.namespace)} is not a name: lower-case letters and digits")
    if not MIN_EVERY_S <= anchoring.every_s <= MAX_EVERY_S:
        faults.add(
            "anchoring.every_s", f"{anchoring.every_s} is not a number of seconds from {MIN_EVERY_S} to {MAX_EVERY_S}"
        )
    return msgspec.structs.replace(anchoring, chain=chain)


def jurisdictions_of(one: ClientConfig | SupervisionWebhookConfig) -> frozenset[str] | None:
    """None for all of them."""
    return None if one.jurisdictions == (EVERYWHERE,) else frozenset(one.jurisdictions)
