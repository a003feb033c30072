"""`causeway regulator init`: a configuration of the supervision API, its keys, and an issuer of tokens of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.model.errors import ConflictError, RejectedError
from core.runtime.files import locked, replace_file
from gateway import keyring, setup
from gateway.config import (
    ChainConfig,
    ClientConfig,
    IndexConfig,
    RegulatorConfig,
    SigningConfig,
    TokensConfig,
    load,
    to_toml,
    verified,
)
from gateway.config.known_chains import KnownChain, known_chain
from gateway.supervision import ISSUER_KEY, issuer_key_set
from regulator_api.access.roles import EVERYWHERE

CONFIGURATION: Final = "regulator.toml"
KEYSTORE: Final = "keystore.json"
KEY_SET: Final = "issuer-keys.json"
SIGNING_KEY: Final = "regulator"
LOCAL: Final = "anvil"
"""Without an Ethereum chain the bounds of a ledger on this machine are written; supervision rests on none of them."""
KEYS: Final = (SIGNING_KEY, ISSUER_KEY)
ROLES_OF_CLIENTS: Final = {
    "analyst": ("read", "trace", "evidence"),
    "officer": ("read", "trace", "evidence", "personal", "cases", "orders"),
    "librarian": ("read", "lists", "rules"),
    "overseer": ("audit",),
}
"""Clients that a new supervision has: who looks, who decides, who keeps lists and rules, and who watches them."""
_COMMENTS: Final = {
    "listen =": "The API, /healthz, /readyz and /metrics; a TLS proxy belongs before it.",
    "database =": "postgresql://… for production.",
    "[[chains]]": "The chains that are supervised, each with endpoints of its own.",
    "[tokens]": "Callers have access tokens of this issuer. To use your house's own, write its issuer and keys_url.",
    "[[clients]]": "The most that the tokens of a client may. jurisdictions: ISO 3166 codes, or * for all.",
    "[signing]": "Answers and the audit log are signed with this key; GET /v1/keys shows the public one.",
}


@dataclass(frozen=True, slots=True)
class WantedSupervision:
    """The operator's answers. Chains come from `source`, a daemon's file, or from the endpoints of `evm` and of a
    consortium chain with the assets `symbols`."""

    name: str
    listen: str
    database: str
    source: Path | None = None
    evm: KnownChain | None = None
    rpc: Sequence[str] = ()
    contract: str = ""
    tokens: Sequence[str] = ()
    consortium: Sequence[str] = ()
    symbols: Sequence[str] = ()


async def draft(wanted: WantedSupervision) -> RegulatorConfig:
    """Return the configuration. Raise `RejectedError` for answers that do not fit, and what connecting raises."""
    chains = await _chains(wanted)
    ledgers = [chain.id for chain in chains if chain.kind == "consortium"]
    return verified(
        RegulatorConfig(
            name=wanted.name,
            listen=wanted.listen,
            database=wanted.database,
            chains=tuple(chains),
            bridge=ledgers[0] if ledgers else None,
            tokens=TokensConfig(f"urn:causeway:issuer:{wanted.name}", wanted.name, keys_file=KEY_SET),
            clients=tuple(ClientConfig(name, (EVERYWHERE,), scopes) for name, scopes in ROLES_OF_CLIENTS.items()),
            signing=SigningConfig(KEYSTORE, "CAUSEWAY_PASSPHRASE", SIGNING_KEY),
        )
    )


async def _chains(wanted: WantedSupervision) -> list[ChainConfig]:
    if wanted.source is not None:
        return list(load(wanted.source, IndexConfig).chains)
    found = []
    if wanted.evm is not None:
        found.append(await setup.evm_chain(wanted.evm, wanted.rpc, wanted.contract, wanted.tokens))
    if wanted.consortium:
        found.append(await setup.consortium_chain(wanted.evm or known_chain(LOCAL), wanted.consortium, wanted.symbols))
    if not found:
        raise RejectedError("no chain is named: give --from FILE, or --evm with --rpc, or --consortium")
    return found


def write(directory: Path, config: RegulatorConfig, passphrase: keyring.Passphrase) -> Path:
    """Write the configuration, the keystore and the issuer's public keys; return the first.

    Raise `ConflictError` if there is a configuration already: nothing is overwritten, and a keystore keeps its keys.
    """
    path = directory / CONFIGURATION
    with locked(path, "wait until it has ended"):
        if path.exists():
            raise ConflictError(f"{path} exists already: name another directory, or edit it")
        seed = keyring.completed(directory / KEYSTORE, KEYS, passphrase).key(ISSUER_KEY).expose()
        replace_file(directory / KEY_SET, issuer_key_set(seed), 0o644)
        replace_file(path, commented(config).encode(), 0o644)
    return path


def commented(config: RegulatorConfig) -> str:
    """Return the file's text: each part with the sentence that its reader needs."""
    lines = [
        "# A supervision API's configuration. `causeway regulator check` shows what is wrong with it, and every member",
        "# is described in docs/operating/configuration.md. Secrets are not in it: the keystore is encrypted, and its",
        "# passphrase comes from the environment variable CAUSEWAY_PASSPHRASE.",
        "",
    ]
    return setup.with_comments(lines, to_toml(config, defaults=False), _COMMENTS)
