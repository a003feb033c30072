"""Configuration: TOML files, one per daemon. A setting is in force as it is written, or refused by name and place.

Paths are relative to the file that names them. Secrets are never in a configuration: it names a keystore and the
environment variable that holds its passphrase.

    model       what can be said
    structure   unknown, missing and mistyped members, all of them
    chains      chains, endpoints, assets: canonical, or refused
    trading     pairs, limits, reserves, attestations, API keys
    faults      everything that is wrong, with its place
    reading     files in and out
"""

from gateway.config.model import (
    AccountConfig,
    ApiKeyConfig,
    AttestConfig,
    ChainConfig,
    ContractConfig,
    EndpointConfig,
    IndexConfig,
    LimitConfig,
    OpeningConfig,
    PairConfig,
    PriceConfig,
    RegulatorConfig,
    RelayerConfig,
    ReportConfig,
    ReserveConfig,
    TimingConfig,
    WatchtowerConfig,
)
from gateway.config.reading import listen_address, load, load_into, resolve_database, to_toml, verified

__all__ = [
    "AccountConfig",
    "ApiKeyConfig",
    "AttestConfig",
    "ChainConfig",
    "ContractConfig",
    "EndpointConfig",
    "IndexConfig",
    "LimitConfig",
    "OpeningConfig",
    "PairConfig",
    "PriceConfig",
    "RegulatorConfig",
    "RelayerConfig",
    "ReportConfig",
    "ReserveConfig",
    "TimingConfig",
    "WatchtowerConfig",
    "listen_address",
    "load",
    "load_into",
    "resolve_database",
    "to_toml",
    "verified",
]
