"""Check what can be known of a configuration without a network: the file itself, and what it names on this machine.

`causeway … check` shows all of it at once; a daemon looks again when it starts, before it connects.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from core.model.errors import CausewayError
from core.model.types import ChainId, ChainTime
from core.runtime.database_files import inspect_file
from core.runtime.database_urls import SqliteAddress, parse_database_url
from core.runtime.web.hooks import parse_secret
from gateway import wiring
from gateway.config import (
    ChainConfig,
    IndexConfig,
    RegulatorConfig,
    RelayerConfig,
    load_into,
    resolve_database,
    verified,
)
from gateway.config.chains import EVM
from gateway.config.faults import Faults, choices, shown
from gateway.config.trading import POLICIES
from htlc import timelocks
from regulator_api.values import read_rates_file
from relayer.keys.keystore import Keystore, read_keystore
from relayer.provider.screening import check_list


def check_relayer_file(path: Path, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """One line for each thing that is right. Raise `RejectedError` with everything that is not."""
    faults = Faults()
    config = load_into(path, RelayerConfig, faults)
    if config is not None:
        relayer_keys(config, path.resolve().parent, faults, environment)
        _check_timelocks(config, faults)
    faults.raise_any(str(path))
    if config is not None:
        yield from check_relayer(config)


def check_regulator_file(path: Path) -> Iterator[str]:
    """As `check_relayer_file`."""
    faults = Faults()
    config = load_into(path, RegulatorConfig, faults)
    if config is not None:
        check_places(config, path.resolve().parent, faults)
    faults.raise_any(str(path))
    if config is not None:
        yield from _chain_lines(config.chains)
        for key in config.keys:
            yield f"{key.name} may {', '.join(key.scopes)}"


def check_index_file(path: Path) -> Iterator[str]:
    """As `check_relayer_file`."""
    faults = Faults()
    config = load_into(path, IndexConfig, faults)
    if config is not None:
        check_places(config, path.resolve().parent, faults)
    faults.raise_any(str(path))
    if config is not None:
        yield from _chain_lines(config.chains)


def check_relayer(config: RelayerConfig) -> Iterator[str]:
    """The chains, and the timelocks that each pair would get. Raise `RejectedError` with everything that is wrong."""
    config = verified(config)
    yield from _chain_lines(config.chains)
    for former in config.retiring:
        yield f"{former.chain}: {former.key or former.address} retires, and ends the swaps that it began"
    for top_up in config.treasury.top_up:
        yield f"{top_up.asset}: {top_up.key} pays for gas below {top_up.low}, up to {top_up.target}"
    faults = Faults()
    lines = _check_timelocks(config, faults)
    faults.raise_any("the configuration")
    yield from lines


def relayer_keys(
    config: RelayerConfig, base: Path, faults: Faults, environment: Mapping[str, str] = os.environ
) -> Keystore | None:
    """The keystore with every key that is named, and everything else on this machine; None with faults.

    Not for a process that has the database open: see `check_places`.
    """
    check_places(config, base, faults)
    if config.report is not None and not environment.get(config.report.key_env):
        faults.add("report.key_env", f"the environment variable {config.report.key_env} holds no API key: set it")
    for number, target in enumerate(config.webhooks.targets):
        with faults.at(f"webhooks.targets[{number}].secret_env"):
            parse_secret(environment.get(target.secret_env, ""))
    for number, name in enumerate(config.screening.lists):
        with faults.at(f"screening.lists[{number}]"):
            check_list(base / name)
    return named_keys(config, base, faults, environment)


def named_keys(
    config: RelayerConfig, base: Path, faults: Faults, environment: Mapping[str, str] = os.environ
) -> Keystore | None:
    """The keystore with every key that is named; None with faults."""
    keystore = base / config.keystore
    if not keystore.is_file():
        faults.add("keystore", f"there is no file {keystore}: causeway keys new makes one")
    passphrase = environment.get(config.passphrase_env, "")
    if not passphrase:
        faults.add("passphrase_env", f"the environment variable {config.passphrase_env} holds no passphrase: set it")
    if not passphrase or not keystore.is_file():
        return None
    with faults.at("keystore"):
        keys = read_keystore(keystore, passphrase)
        _check_names(config, keys.names(), faults)
        return keys
    return None


def _check_names(config: RelayerConfig, names: tuple[str, ...], faults: Faults) -> None:
    wanted = {
        f"{place}[{number}].key": one.key
        for place, given in (("accounts", config.accounts), ("retiring", config.retiring))
        for number, one in enumerate(given)
        if one.signer is None
    }
    wanted["quote_key"] = config.quote_key
    wanted |= {f"treasury.top_up[{number}].key": one.key for number, one in enumerate(config.treasury.top_up)}
    if config.attest is not None:
        wanted |= {f"attest.keys[{number}]": name for number, name in enumerate(config.attest.keys)}
    for place, name in wanted.items():
        if name not in names:
            faults.add(place, f"the keystore has no key called {shown(name)}: {choices(name, names)}")


def check_places(config: RelayerConfig | RegulatorConfig | IndexConfig, base: Path, faults: Faults) -> None:
    """The database's file and the ABIs of contracts.

    Never in a process that has the database open. The file is opened and closed here, and with that POSIX lets go of
    all locks that the process has on it, SQLite's own (sqlite.org/howtocorrupt.html, 2.2): the next command that ends
    would then take the write-ahead log away from under it.
    """
    with faults.at("database"):
        address = parse_database_url(resolve_database(config.database, base))
        if isinstance(address, SqliteAddress) and address.path is not None:
            inspect_file(address.path)
    if isinstance(config, RegulatorConfig) and config.rates is not None:
        with faults.at("rates"):
            read_rates_file(base / config.rates)
    for number, chain in enumerate(config.chains):
        if chain.kind == EVM and chain.contracts:
            _check_abis(chain, f"chains[{number}].contracts", faults)


def _check_abis(chain: ChainConfig, place: str, faults: Faults) -> None:
    from adapters.evm.contract_events import parse_abi

    for number, contract in enumerate(chain.contracts):
        if contract.abi:
            with faults.at(f"{place}[{number}]"):
                parse_abi(contract.abi, "abi")


def _chain_lines(chains: tuple[ChainConfig, ...]) -> Iterator[str]:
    for chain in chains:
        operators = len({endpoint.operator for endpoint in chain.endpoints})
        line = f"{chain.id}: {len(chain.endpoints)} endpoint(s) of {operators} operator(s)"
        yield f"{line}, {operators // 2 + 1} of which must agree" if operators > 1 else f"{line}, which is believed"


def _check_timelocks(config: RelayerConfig, faults: Faults) -> list[str]:
    """One line for each pair; a pair whose timelocks cannot be planned is a fault."""
    timing = {chain.id: wiring.chain_timing(chain.timing) for chain in config.chains}
    lines = []
    for number, pair in enumerate(config.pairs):
        give, get = ChainId(pair.give.partition("/")[0]), ChainId(pair.get.partition("/")[0])
        if give not in timing or get not in timing or config.policy not in POLICIES:
            continue
        policy = POLICIES[config.policy]
        try:
            t_a, t_b = timelocks.plan(ChainTime(give, 0), ChainTime(get, 0), timing[give], timing[get], policy)
        except CausewayError as error:
            faults.add(f"pairs[{number}]", error.message)
            continue
        lines.append(
            f"{pair.give}>{pair.get}: the initiator's timelock lies {t_a.seconds} s ahead, "
            f"the participant's {t_b.seconds} s"
        )
    return lines
