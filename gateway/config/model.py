"""The members of a configuration, as `msgspec` structs. `gateway.config.reading` reads and checks them."""

from typing import Annotated, Literal

import msgspec

LogLevel = Literal["debug", "info", "warning", "error"]
Dialect = Literal["web3signer", "eth_signTransaction", "account_signTransaction"]


class EndpointConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One RPC endpoint. Endpoints of one `operator` count once towards a quorum. `ws` may be left out.

    `calls_per_s` is what the provider allows; transactions are sent all the same.
    """

    url: str
    operator: str
    ws: str | None = None
    calls_per_s: float | None = None


class TimingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds; see `core.model.ports.ChainTiming` for what each bounds."""

    block_time_s: int
    inclusion_s: int
    finality_s: int
    observation_s: int
    lead_s: int
    lag_s: int


class ContractConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contract whose events are indexed: its CAIP-10 account, and its ABI inline as JSON or in the file `abi_file`.

    The file may be the bare list or a compiler's artifact. `load` puts its text into `abi`. `name` is for people.
    """

    account: str
    abi: str = ""
    abi_file: str | None = None
    name: Annotated[str, msgspec.Meta(max_length=128)] = ""


class ChainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chain as this daemon reaches it.

    `genesis` (hex of the first block's hash) pins it. `assets` are CAIP-19 ids; what they are called and how their
    amounts are read, the chain itself says. `contract` is the HashedTimelock's account on EVM chains. Blocks before
    `start` are not looked at: choose one before the first lock. `contracts` are any others to index.
    `native_transfers` indexes payments of the native coin of an EVM chain: true those that transactions make,
    "traced" those inside of calls, too. `queries` is a CrossChainQuery contract whose questions about the consortium
    chain are answered; `headers_per_day_wei` is the most that keeping its light client may cost in 24 hours, next to
    the headers that answers bring. `beacon_anchor` is the file of a beacon anchor, from which sync committees are
    followed over the beacon nodes at `beacons` (URLs). `max_fee_gwei` is the most that a transaction there offers per
    unit of gas
    (an exit near its deadline up to five times it).
    """

    kind: str
    id: str
    genesis: str
    endpoints: tuple[EndpointConfig, ...]
    timing: TimingConfig
    assets: tuple[str, ...]
    contract: str | None = None
    start: int = 1
    contracts: tuple[ContractConfig, ...] = ()
    native_transfers: bool | Literal["traced"] = False
    queries: str | None = None
    headers_per_day_wei: int | None = None
    beacon_anchor: str | None = None
    beacons: tuple[str, ...] = ()
    max_fee_gwei: int | None = None


class ReserveConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount of an asset, in base units: what an exit may cost, what one transaction may take, or a threshold."""

    asset: str
    amount: int


class AccountConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account this daemon acts with on a chain. `key` names an entry of the keystore; without it, `address` is the
    account (CAIP-10), and the machine at the URL `signer` holds its key and speaks `dialect`; see
    `adapters.evm.rpc_signer`.

    `max_take`: what one transaction of it may take, by asset.
    """

    chain: str
    key: str = ""
    signer: str | None = None
    address: str | None = None
    dialect: Dialect = "web3signer"
    max_take: tuple[ReserveConfig, ...] = ()


class PairConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An offer: give `give`, get `get`. `rate` is `numerator/denominator` in base units of get per give, or the name of
    a price (`1/NAME` for its inverse). What comes off it, see `relayer.provider.pricing.Offer`."""

    give: str
    get: str
    rate: str
    min_give: int
    max_give: int
    spread_bps: int = 0
    volatility_bps: int = 0
    fee: int = 0


class PriceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price that pairs name: from a file, from an address, or fixed, a decimal number as text.

    `path` and `time_path` lead to the price and to its time in a JSON document; see `relayer.provider.prices.Feed`.
    """

    name: str
    fixed: str | None = None
    file: str | None = None
    url: str | None = None
    path: str | None = None
    time_path: str | None = None
    every_s: int = 10
    max_age_s: int = 60
    max_jump_bps: int = 500


class TokenConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Traits that a token of a pair may have, by name; see `adapters.traits.TokenTrait`."""

    asset: str
    allow: tuple[str, ...]


class LimitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of an asset may be at stake: in all, with one counterparty, in one window of timelocks. Base units."""

    asset: str
    total: int
    per_counterparty: int
    per_window: int


class OpeningConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inventory that callers hold by swaps that nobody has locked on; see `relayer.policy.OpeningPolicy`."""

    hold_s: int = 180
    max_per_account: int = 8
    max_per_caller: int = 32
    account_share_percent: int = 50
    caller_share_percent: int = 75
    early_refunds: bool = False
    max_lapses: int = 3
    lapse_s: int = 3_600


class WatchtowerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Watching over swaps of others: off without this; see `relayer.policy.WatchPolicy`.

    `max_exit_cost`: what one claim or refund for others may cost, by native asset.
    """

    enabled: bool = False
    max_watches: int = 100
    max_per_caller: int = 10
    unseen_s: int = 600
    max_exit_cost: tuple[ReserveConfig, ...] = ()


class DestinationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account (CAIP-10) of the operator that withdrawals go to, and what people call it."""

    name: str
    account: str


class TopUpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Gas money in base units of a native coin: below `low`, `key` of the keystore pays up to `target`, and `per_day`
    at most in 24 hours."""

    asset: str
    key: str
    low: int
    target: int
    per_day: int


class TreasuryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of what may be taken out, and of what the operator wants to hear; see `relayer.treasury`.

    With `destinations` nobody else is paid. `low`: amounts below which a balance is announced; `top_up`: gas money
    that comes by itself.
    """

    destinations: tuple[DestinationConfig, ...] = ()
    low: tuple[ReserveConfig, ...] = ()
    top_up: tuple[TopUpConfig, ...] = ()


class ScreeningConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom no swap is made with: accounts on `lists` (files), and, with `holds`, those that a ledger's orders hold."""

    lists: tuple[str, ...] = ()
    holds: bool = True


class ReportConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address that agreed terms are reported to; the API key is read from the environment variable `key_env`."""

    url: str
    key_env: str


class WebhookConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address that hears of every swap; its secret is read from the environment variable `secret_env`."""

    url: str
    secret_env: str


class WebhooksConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who hears of changes of swaps; see `relayer.notices.webhooks`. `allow`: networks that may be posted to though
    they are not public."""

    openers: bool = False
    targets: tuple[WebhookConfig, ...] = ()
    allow: tuple[str, ...] = ()


class PageChainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chain as browsers reach it: URLs of nodes whose answers pages of others may read (CORS). Everybody sees them,
    so that no key stands in them. `name` is for people; none is the chain's id."""

    id: str
    endpoints: tuple[str, ...]
    name: str = ""


class SwapPageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page that people swap in, at `/swap` of the relayer; see `console.swap_page`. Pairs between `chains` are
    offered there."""

    chains: tuple[PageChainConfig, ...]


class AttestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A validator operator's attestations: headers of `foreign`, voted on `home` with each of `keys` of the keystore.

    Every final block whose height is a multiple of `every_blocks` is attested.
    """

    foreign: str
    home: str
    keys: tuple[str, ...]
    every_blocks: int = 1


class RelayerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`causeway relayer run --config FILE`. Swaps begin with `accounts`, one on each chain; `retiring` are former ones,
    which end what began with them."""

    name: str
    listen: str
    database: str
    keystore: str
    passphrase_env: str
    policy: str
    chains: tuple[ChainConfig, ...]
    accounts: tuple[AccountConfig, ...]
    quote_key: str
    retiring: tuple[AccountConfig, ...] = ()
    pairs: tuple[PairConfig, ...] = ()
    prices: tuple[PriceConfig, ...] = ()
    tokens: tuple[TokenConfig, ...] = ()
    limits: tuple[LimitConfig, ...] = ()
    gas_per_exit: tuple[ReserveConfig, ...] = ()
    max_open_swaps: int = 1_000
    quote_ttl_s: int = 30
    cors_origins: tuple[str, ...] = ()
    log_level: LogLevel = "info"
    opening: OpeningConfig = OpeningConfig()
    watchtower: WatchtowerConfig = WatchtowerConfig()
    treasury: TreasuryConfig = TreasuryConfig()
    screening: ScreeningConfig = ScreeningConfig()
    report: ReportConfig | None = None
    webhooks: WebhooksConfig = WebhooksConfig()
    attest: AttestConfig | None = None
    swap_page: SwapPageConfig | None = None


class SwapConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever swaps with a relayer, with keys of their own: the file that `causeway swap init` writes.

    `relayer` is its API's URL, `relayer_key` (hex) the key that its prices are signed with, as learnt by another way.
    `store` is the file that keeps preimages and the swaps' journals.
    """

    relayer: str
    relayer_key: str
    keystore: str
    passphrase_env: str
    policy: str
    chains: tuple[ChainConfig, ...]
    accounts: tuple[AccountConfig, ...]
    store: str = "swaps.sqlite"


class ApiKeyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call: the SHA-256 (hex) of the key, never the key, its scopes, and the jurisdictions that it sees (ISO
    3166 codes; empty: all)."""

    name: str
    sha256: str
    scopes: tuple[str, ...]
    jurisdictions: tuple[str, ...] = ()


class TokensConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The access tokens that are taken; see `regulator_api.access.tokens`. The issuer's public keys come from
    `keys_file` or `keys_url`.

    `proxies`: networks whose header `Client-Cert` is believed. `allow_keys`: API keys with other scopes than `report`
    are taken, too.
    """

    issuer: str
    audience: str
    keys_file: str | None = None
    keys_url: str | None = None
    algorithms: tuple[str, ...] = ()
    leeway_s: int = 30
    max_life_s: int = 3_600
    bound: bool = False
    proxies: tuple[str, ...] = ()
    allow_keys: bool = False


class SignInConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """People sign in to the console at an OpenID provider; see `console.openid`. `redirect` is where it sends them back
    to, as registered there; `audience` is what access tokens are asked for (None: `tokens.audience`), `secret_env` the
    environment variable with the client's secret (None: a public client)."""

    issuer: str
    client_id: str
    redirect: str
    name: str = "your identity provider"
    scope: str = "openid"
    audience: str | None = None
    secret_env: str | None = None


class ClientConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most that tokens of one client may: its jurisdictions (`*`: all), and its scopes (empty: its tokens')."""

    id: str
    jurisdictions: tuple[str, ...]
    scopes: tuple[str, ...] = ()


class UsageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one caller may ask: requests, and records in a day (UTC)."""

    per_second: int = 500
    burst: int = 2_000
    records_per_day: int = 1_000_000


class SigningConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ed25519 key of the keystore that answers and entries of the audit log are signed with."""

    keystore: str
    passphrase_env: str
    key: str = "regulator"


class AnchoringConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of the audit log, written into a record of the consortium chain `chain` every so often, by the account of
    the signing key."""

    chain: str
    namespace: str
    every_s: int = 3_600


class SupervisionWebhookConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address that hears of alerts, of events and of swaps, and of which jurisdictions (`*`: all); its secret is
    read from the environment variable `secret_env`."""

    url: str
    secret_env: str
    jurisdictions: tuple[str, ...] = ("*",)
    alerts: bool = True
    events: bool = False
    swaps: bool = False


class RegulatorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`causeway regulator run --config FILE`. `bridge` is the chain on which foreign headers are attested, `rates` a
    file of what assets are worth (`regulator_api.values`)."""

    name: str
    listen: str
    database: str
    chains: tuple[ChainConfig, ...]
    keys: tuple[ApiKeyConfig, ...] = ()
    bridge: str | None = None
    rates: str | None = None
    log_level: LogLevel = "info"
    tokens: TokensConfig | None = None
    sign_in: SignInConfig | None = None
    clients: tuple[ClientConfig, ...] = ()
    usage: UsageConfig = UsageConfig()
    signing: SigningConfig | None = None
    anchoring: AnchoringConfig | None = None
    webhooks: tuple[SupervisionWebhookConfig, ...] = ()
    webhook_networks: tuple[str, ...] = ()


class IndexConfig(msgspec.Struct, frozen=True):
    """`causeway index … --config FILE`: a file of its own, or a relayer's or a regulator's, whose other fields are
    passed over. `listen` is for health and metrics of an index that runs by itself."""

    database: str
    chains: tuple[ChainConfig, ...]
    name: str = "index"
    listen: str | None = None
