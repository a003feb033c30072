"""Configuration: TOML files, one per daemon. A setting is in force as it is written, or refused by name and place.

Paths are relative to the file that names them. Secrets are never in a configuration: it names a keystore and the
environment variable that holds its passphrase.

    model       what can be said
    structure   unknown, missing and mistyped members, all of them
    chains      chains, endpoints, assets: canonical, or refused
    trading     pairs, limits, reserves, attestations
    supervising who may ask a regulator
    treasury    what may be taken out of a relayer's accounts
    swap_page   the page that people swap in
    swapping    whoever swaps with a relayer
    faults      everything that is wrong, with its place
    reading     files in and out
"""

from typing import TYPE_CHECKING

from core.runtime.lazy import lazily
from gateway.config.model import (
    AccountConfig,
    AnchoringConfig,
    ApiKeyConfig,
    AttestConfig,
    ChainConfig,
    ClientConfig,
    ContractConfig,
    DestinationConfig,
    EndpointConfig,
    IndexConfig,
    LimitConfig,
    OpeningConfig,
    PageChainConfig,
    PairConfig,
    PriceConfig,
    RegulatorConfig,
    RelayerConfig,
    ReportConfig,
    ReserveConfig,
    ScreeningConfig,
    SignInConfig,
    SigningConfig,
    SupervisionWebhookConfig,
    SwapConfig,
    SwapPageConfig,
    TimingConfig,
    TokenConfig,
    TokensConfig,
    TopUpConfig,
    TreasuryConfig,
    UsageConfig,
    WatchtowerConfig,
    WebhookConfig,
    WebhooksConfig,
)

if TYPE_CHECKING:
    from gateway.config.reading import listen_address, load, load_into, resolve_database, to_toml, verified
else:
    __getattr__ = lazily(
        __name__,
        {
            "listen_address": "gateway.config.reading",
            "load": "gateway.config.reading",
            "load_into": "gateway.config.reading",
            "resolve_database": "gateway.config.reading",
            "to_toml": "gateway.config.reading",
            "verified": "gateway.config.reading",
        },
    )

__all__ = [
    "AccountConfig",
    "AnchoringConfig",
    "ApiKeyConfig",
    "AttestConfig",
    "ChainConfig",
    "ClientConfig",
    "ContractConfig",
    "DestinationConfig",
    "EndpointConfig",
    "IndexConfig",
    "LimitConfig",
    "OpeningConfig",
    "PageChainConfig",
    "PairConfig",
    "PriceConfig",
    "RegulatorConfig",
    "RelayerConfig",
    "ReportConfig",
    "ReserveConfig",
    "ScreeningConfig",
    "SignInConfig",
    "SigningConfig",
    "SupervisionWebhookConfig",
    "SwapConfig",
    "SwapPageConfig",
    "TimingConfig",
    "TokenConfig",
    "TokensConfig",
    "TopUpConfig",
    "TreasuryConfig",
    "UsageConfig",
    "WatchtowerConfig",
    "WebhookConfig",
    "WebhooksConfig",
    "listen_address",
    "load",
    "load_into",
    "resolve_database",
    "to_toml",
    "verified",
]
