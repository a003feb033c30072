"""Configurations from files and to files: read once, checked whole, canonical from then on."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import tomli_w

from core.model.errors import RejectedError
from core.runtime.database_urls import SqliteAddress, parse_database_url
from gateway.config import secrets
from gateway.config.chains import canonical_chains
from gateway.config.faults import Faults
from gateway.config.model import ChainConfig, ContractConfig, IndexConfig, RegulatorConfig, RelayerConfig, SwapConfig
from gateway.config.structure import check_structure
from gateway.config.supervising import canonical_regulator
from gateway.config.swapping import canonical_swap
from gateway.config.trading import canonical_relayer

MAX_CONFIG_BYTES: Final = 1024 * 1024
SQLITE: Final = "sqlite:///"
_ENCODED: Final = re.compile("%[0-9A-Fa-f]{2}")
_LISTEN: Final = re.compile(r"(\[[0-9a-f:]+\]|[-.\w]+):(\d{1,5})", re.ASCII)

C = TypeVar("C", RelayerConfig, RegulatorConfig, IndexConfig, SwapConfig)


def load(path: Path, kind: type[C]) -> C:
    """Read a daemon's configuration. Raise `RejectedError` with everything that is wrong and what to change.

    A configuration that was loaded is canonical: identifiers compare equal if they name the same.
    """
    faults = Faults()
    config = load_into(path, kind, faults)
    faults.raise_any(str(path))
    if config is None:
        raise RejectedError(f"{path} cannot be read as a configuration")
    return config


def load_into(path: Path, kind: type[C], faults: Faults) -> C | None:
    """As `load`, with what is wrong in `faults`; None if it is not even of the right shape.

    Raise `RejectedError` for a file that cannot be read, or is not TOML.
    """
    raw = _read(path, "the configuration", "name another with --config")
    try:
        table = tomllib.loads(raw)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise RejectedError(f"{path}: {error}") from None
    table = secrets.put_in(table, path.resolve().parent, faults)
    check_structure(table, kind, faults, others=_passed_over(table) if kind is IndexConfig else ())
    if faults:
        return None
    try:
        config = msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise RejectedError(f"{path}: {error}") from None
    chains = tuple(_with_abis(chain, number, path.parent, faults) for number, chain in enumerate(config.chains))
    return _canonical(msgspec.structs.replace(config, chains=chains), path.parent, faults)


def verified(config: C, base: Path = Path()) -> C:
    """A configuration that was made here, canonical. Raise `RejectedError` as `load` does; `base` is for its paths."""
    faults = Faults()
    made = _canonical(config, base, faults)
    faults.raise_any("the configuration")
    return made


def _canonical(config: C, base: Path, faults: Faults) -> C:
    if not isinstance(config, SwapConfig):
        if config.listen is not None:
            with faults.at("listen"):
                listen_address(config.listen)
        with faults.at("database"):
            check_database(config.database, base)
    made: Any = msgspec.structs.replace(config, chains=canonical_chains(config.chains, faults))
    if isinstance(made, RelayerConfig):
        made = canonical_relayer(made, faults)
    elif isinstance(made, RegulatorConfig):
        made = canonical_regulator(made, faults)
    elif isinstance(made, SwapConfig):
        made = canonical_swap(made, faults)
    return made  # type: ignore[no-any-return]


def _passed_over(table: dict[str, Any]) -> set[str]:
    """Members of a relayer's or a regulator's configuration, if `table` is one: an index has no use for them."""
    own = set(IndexConfig.__struct_fields__)
    others = [set(RelayerConfig.__struct_fields__), set(RegulatorConfig.__struct_fields__)]
    nearest = max(others, key=lambda fields: len((set(table) - own) & fields))
    return nearest if {"keystore", "keys", "tokens"} & set(table) else set()


def _with_abis(chain: ChainConfig, number: int, base: Path, faults: Faults) -> ChainConfig:
    """The chain with the text of its ABI files in it."""
    made = []
    for index, contract in enumerate(chain.contracts):
        with faults.at(f"chains[{number}].contracts[{index}]"):
            contract = _with_abi(contract, base)
        made.append(contract)
    anchor = chain.beacon_anchor
    if anchor is not None:
        with faults.at(f"chains[{number}].beacon_anchor"):
            anchor = _beacon_anchor(chain, base)
    return msgspec.structs.replace(chain, contracts=tuple(made), beacon_anchor=anchor)


def _beacon_anchor(chain: ChainConfig, base: Path) -> str:
    """The absolute path of the chain's beacon anchor. Raise `RejectedError` if it is not one of this chain."""
    from core.proofs.evidence import decode_beacon_anchor

    assert chain.beacon_anchor is not None
    path = (base / chain.beacon_anchor).resolve()
    found = decode_beacon_anchor(_read(path, "the beacon anchor", "change beacon_anchor").encode())
    if found.chain != chain.id:
        raise RejectedError(f"{path} is of {found.chain}: name an anchor of {chain.id[:80]}")
    return str(path)


def _with_abi(contract: ContractConfig, base: Path) -> ContractConfig:
    if bool(contract.abi) == (contract.abi_file is not None):
        raise RejectedError(f"contract {contract.account[:160]} needs either abi = '[…]' or abi_file = \"FILE.json\"")
    if contract.abi_file is None:
        return contract
    text = _read(base / contract.abi_file, f"the ABI of contract {contract.account[:160]},", "change its abi_file")
    return ContractConfig(contract.account, text, name=contract.name)


def _read(path: Path, what: str, remedy: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
        if len(raw) > MAX_CONFIG_BYTES:
            raise RejectedError(f"{path} is larger than {MAX_CONFIG_BYTES // 1024} KiB; is it {what.strip(',')}?")
        return raw.decode()
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise RejectedError(f"{path}: {error}") from None
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise RejectedError(f"cannot read {what} {path}: {why}; {remedy}") from None


def listen_address(text: str) -> tuple[str, int]:
    """(host, port) of `host:port`. Raise `RejectedError`."""
    match = _LISTEN.fullmatch(text)
    if match is None or not 0 <= int(match[2]) < 65536:
        raise RejectedError(f"listen = {text[:80]!r} is not host:port, such as 127.0.0.1:8480")
    return match[1].strip("[]"), int(match[2])


def resolve_database(url: str, base: Path) -> str:
    """A SQLite path relative to the configuration becomes absolute; other URLs stay. Raise `FatalError`."""
    address = parse_database_url(url)
    if not isinstance(address, SqliteAddress) or address.path is None or address.path.is_absolute():
        return url
    return SQLITE + str((base / address.path).resolve())


def check_database(url: str, base: Path) -> None:
    """Raise `FatalError` for a URL that cannot be a daemon's, `RejectedError` for a database in memory."""
    address = parse_database_url(url)
    if isinstance(address, SqliteAddress):
        if address.path is None:
            raise RejectedError(
                f"{url[:80]!r} is a database in memory, gone with the process: write sqlite:///FILE or postgresql://…"
            )
        if "#" in url or _ENCODED.search(url):
            raise RejectedError(
                f"{url[:80]!r} has a # or a %-encoding in it, which nobody decodes: write the file's name"
            )
        resolve_database(url, base)


def to_toml(config: RelayerConfig | RegulatorConfig | IndexConfig | SwapConfig, *, defaults: bool = True) -> str:
    """Write a configuration as the file that `load` reads back to an equal value; without `defaults`, only the members
    that say something else."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(config if defaults else _unusual(config))))


def _unusual(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        members = ((one, getattr(value, one.name)) for one in msgspec.structs.fields(value))
        return {one.name: _unusual(member) for one, member in members if one.default != member}
    if isinstance(value, list | tuple):
        return [_unusual(member) for member in value]
    return value


def _without_none(value: Any) -> Any:
    """TOML knows no null: a member that is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_none(member) for key, member in value.items() if member is not None}
    if isinstance(value, list | tuple):
        return [_without_none(member) for member in value]
    return value
