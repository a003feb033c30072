"""Configuration: TOML files, one per daemon, frozen and checked before anything starts.

Paths are relative to the file that names them. Secrets are never in a configuration: it names a keystore and the
environment variable that holds its passphrase.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import tomli_w

from core.model.errors import RejectedError

MAX_CONFIG_BYTES = 1024 * 1024


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
    "traced" those inside of calls, too.
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


class AccountConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account this daemon acts with on a chain; `key` names an entry of the keystore."""

    chain: str
    key: str


class PairConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is offered: give `give`, get `get`. `rate` is `numerator/denominator` in base units of get per give."""

    give: str
    get: str
    rate: str
    min_give: int
    max_give: int


class LimitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of an asset may be at stake: in all, with one counterparty, in one window of timelocks. Base units."""

    asset: str
    total: int
    per_counterparty: int
    per_window: int


class ReserveConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a native asset each open swap keeps back for its exits."""

    asset: str
    amount: int


class ReportConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where agreed terms are reported to; the API key is read from the environment variable `key_env`."""

    url: str
    key_env: str


class AttestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A validator operator's attestations: headers of `foreign`, voted on `home` with each of `keys`."""

    foreign: str
    home: str
    keys: tuple[str, ...]
    interval_s: int = 3


class RelayerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`causeway relayer run --config FILE`."""

    name: str
    listen: str
    database: str
    keystore: str
    passphrase_env: str
    policy: str
    chains: tuple[ChainConfig, ...]
    accounts: tuple[AccountConfig, ...]
    quote_key: str
    pairs: tuple[PairConfig, ...] = ()
    limits: tuple[LimitConfig, ...] = ()
    gas_per_exit: tuple[ReserveConfig, ...] = ()
    max_open_swaps: int = 1_000
    quote_ttl_s: int = 30
    report: ReportConfig | None = None
    attest: AttestConfig | None = None


class ApiKeyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call: the SHA-256 (hex) of the key, never the key, and its scopes."""

    name: str
    sha256: str
    scopes: tuple[str, ...]


class RegulatorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`causeway regulator run --config FILE`. `bridge` is the chain on which foreign headers are attested."""

    name: str
    listen: str
    database: str
    chains: tuple[ChainConfig, ...]
    keys: tuple[ApiKeyConfig, ...]
    bridge: str | None = None


class IndexConfig(msgspec.Struct, frozen=True):
    """`causeway index … --config FILE`: a file of its own, or a relayer's or a regulator's, whose other fields are
    passed over. `listen` is for health and metrics of an index that runs by itself."""

    database: str
    chains: tuple[ChainConfig, ...]
    name: str = "index"
    listen: str | None = None


C = TypeVar("C", RelayerConfig, RegulatorConfig, IndexConfig)


def load(path: Path, kind: type[C]) -> C:
    """Read and check a daemon's configuration. Raises `RejectedError` with the place and what to change."""
    raw = _read(path, "the configuration", "name another with --config")
    try:
        config = msgspec.convert(tomllib.loads(raw), kind)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RejectedError(f"{path}: {error}") from None
    chains = tuple(_with_abis(chain, path.parent) for chain in config.chains)
    return msgspec.structs.replace(config, chains=chains)


def _with_abis(chain: ChainConfig, base: Path) -> ChainConfig:
    """The chain with the text of its ABI files in it."""
    return msgspec.structs.replace(chain, contracts=tuple(_with_abi(one, base) for one in chain.contracts))


def _with_abi(contract: ContractConfig, base: Path) -> ContractConfig:
    if bool(contract.abi) == (contract.abi_file is not None):
        raise RejectedError(f"contract {contract.account} needs either abi = '[…]' or abi_file = \"FILE.json\"")
    if contract.abi_file is None:
        return contract
    text = _read(base / contract.abi_file, f"the ABI of contract {contract.account},", "change its abi_file")
    return ContractConfig(contract.account, text, name=contract.name)


def _read(path: Path, what: str, remedy: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
        if len(raw) > MAX_CONFIG_BYTES:
            raise RejectedError(f"{path} is larger than {MAX_CONFIG_BYTES // 1024} KiB; is it {what.strip(',')}?")
        return raw.decode()
    except OSError as error:
        raise RejectedError(f"cannot read {what} {path}: {error.strerror}; {remedy}") from None
    except UnicodeDecodeError as error:
        raise RejectedError(f"{path}: {error}") from None


def listen_address(text: str) -> tuple[str, int]:
    """(host, port) of `host:port`. Raises `RejectedError`."""
    match = re.fullmatch(r"(\[[0-9a-f:]+\]|[-.\w]+):(\d{1,5})", text)
    if match is None or not 0 <= int(match[2]) < 65536:
        raise RejectedError(f"listen = {text!r} is not host:port, such as 127.0.0.1:8480")
    return match[1].strip("[]"), int(match[2])


def resolve_database(url: str, base: Path) -> str:
    """A SQLite path relative to the configuration becomes absolute; other URLs stay."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url.startswith(prefix + "/"):
        return url
    return prefix + str((base / url[len(prefix) :]).resolve())


def to_toml(config: RelayerConfig | RegulatorConfig | IndexConfig) -> str:
    """Write a configuration as the file that `load` reads back to an equal value."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(config)))


def _without_none(value: Any) -> Any:
    """TOML knows no null: a member that is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_none(member) for key, member in value.items() if member is not None}
    if isinstance(value, list | tuple):
        return [_without_none(member) for member in value]
    return value
