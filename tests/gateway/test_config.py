"""Configurations: written and read back, and refused with the place that is wrong."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.registry import ContractSpec, connect
from core.model.errors import RejectedError
from core.model.facts import NativeTransfers
from core.model.identifiers import parse_account
from gateway import config as settings
from gateway import wiring
from gateway.checks import check_relayer
from gateway.config import (
    AccountConfig,
    AttestConfig,
    ChainConfig,
    ContractConfig,
    EndpointConfig,
    LimitConfig,
    PairConfig,
    RelayerConfig,
    ReportConfig,
    TimingConfig,
    listen_address,
    resolve_database,
    to_toml,
)

ETHEREUM = ChainConfig(
    kind="evm",
    id="eip155:31337",
    genesis="ab" * 32,
    endpoints=(EndpointConfig("http://127.0.0.1:8545", "us", "ws://127.0.0.1:8545"),),
    timing=TimingConfig(1, 2, 2, 1, 1, 1),
    assets=("eip155:31337/slip44:60",),
    contract="eip155:31337:0x" + "11" * 20,
)
LEDGER = ChainConfig(
    kind="consortium",
    id="causeway:devnet-1",
    genesis="cd" * 32,
    endpoints=(EndpointConfig("http://127.0.0.1:26657", "us"),),
    timing=TimingConfig(1, 2, 0, 1, 1, 1),
    assets=("causeway:devnet-1/asset:cnyd",),
)
PAIR = PairConfig(ETHEREUM.assets[0], LEDGER.assets[0], "1/500000000000", 10**15, 10**20)


def relayer(**changes: object) -> RelayerConfig:
    values: dict[str, object] = {
        "name": "relayer",
        "listen": "127.0.0.1:8480",
        "database": "sqlite:///relayer.sqlite",
        "keystore": "keystore.json",
        "passphrase_env": "PASSPHRASE",
        "policy": "devnet",
        "chains": (ETHEREUM, LEDGER),
        "accounts": (AccountConfig(ETHEREUM.id, "ethereum"), AccountConfig(LEDGER.id, "consortium")),
        "quote_key": "quote",
        "pairs": (PAIR,),
        **changes,
    }
    return RelayerConfig(**values)  # type: ignore[arg-type]


def stored(tmp_path: Path, config: RelayerConfig) -> Path:
    file = tmp_path / "relayer.toml"
    file.write_text(to_toml(config))
    return file


def test_a_configuration_reads_back_as_it_was_written(tmp_path: Path) -> None:
    config = relayer(
        limits=(LimitConfig(LEDGER.assets[0], 10**12, 10**11, 10**11),),
        report=ReportConfig("http://127.0.0.1:8490", "REPORT_KEY"),
        attest=AttestConfig(ETHEREUM.id, LEDGER.id, ("one", "two")),
    )
    assert settings.load(stored(tmp_path, config), RelayerConfig) == config


@given(st.text(max_size=40))
@example('\x1f\x7f\n\r\t"\\')
def test_any_text_survives_toml(text: str) -> None:
    import tomllib

    config = relayer(name=text)
    assert tomllib.loads(to_toml(config))["name"] == text


def test_an_unknown_member_is_refused_by_name(tmp_path: Path) -> None:
    file = stored(tmp_path, relayer())
    file.write_text('lisen = "127.0.0.1:1"\n' + file.read_text())
    with pytest.raises(RejectedError, match="lisen"):
        settings.load(file, RelayerConfig)


def test_a_wrong_type_is_refused_with_its_place(tmp_path: Path) -> None:
    file = stored(tmp_path, relayer())
    file.write_text(file.read_text().replace("block_time_s = 1", 'block_time_s = "one"', 1))
    with pytest.raises(RejectedError, match="block_time_s"):
        settings.load(file, RelayerConfig)


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="--config"):
        settings.load(tmp_path / "none.toml", RelayerConfig)


def test_broken_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "relayer.toml"
    file.write_text("name = \n")
    with pytest.raises(RejectedError, match=r"relayer\.toml"):
        settings.load(file, RelayerConfig)


@pytest.mark.parametrize("text", ["", "127.0.0.1", ":80", "127.0.0.1:99999", "127.0.0.1:x", "a b:1"])
def test_a_listen_address_is_host_and_port(text: str) -> None:
    with pytest.raises(RejectedError, match="host:port"):
        listen_address(text)


def test_listen_addresses_of_both_families() -> None:
    assert listen_address("127.0.0.1:8480") == ("127.0.0.1", 8480)
    assert listen_address("[::1]:0") == ("::1", 0)


def test_a_relative_database_lies_beside_its_configuration(tmp_path: Path) -> None:
    assert resolve_database("sqlite:///a.sqlite", tmp_path) == f"sqlite:///{tmp_path}/a.sqlite"
    assert resolve_database("sqlite:////var/a.sqlite", tmp_path) == "sqlite:////var/a.sqlite"
    assert resolve_database("sqlite+pysqlite:///a.sqlite", tmp_path) == f"sqlite:///{tmp_path}/a.sqlite"
    assert resolve_database("postgresql://h/n", tmp_path) == "postgresql://h/n"


def test_the_check_shows_the_timelocks_of_each_pair() -> None:
    lines = list(check_relayer(relayer()))
    assert any(PAIR.give in line and "timelock" in line for line in lines)


@pytest.mark.parametrize(
    ("wanted", "native"),
    [(False, NativeTransfers.NONE), (True, NativeTransfers.DIRECT), ("traced", NativeTransfers.TRACED)],
)
def test_payments_are_wanted_or_not(tmp_path: Path, wanted: Any, native: NativeTransfers) -> None:
    written = relayer(chains=(msgspec.structs.replace(ETHEREUM, native_transfers=wanted), LEDGER))
    (tmp_path / "relayer.toml").write_text(to_toml(written))
    read = settings.load(tmp_path / "relayer.toml", RelayerConfig)
    assert read == written
    assert wiring.chain_spec(read.chains[0]).native is native


async def test_ledger_that_reports_transfers_has_no_payments_to_set() -> None:
    spec = wiring.chain_spec(msgspec.structs.replace(LEDGER, native_transfers=True))
    with pytest.raises(RejectedError, match="native_transfers"):
        await connect(spec)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"policy": "reckless"}, "policy"),
        ({"pairs": (PairConfig(PAIR.give, "eip155:5/slip44:60", "1/1", 1, 2),)}, "eip155:5"),
        ({"pairs": (PairConfig(PAIR.give, PAIR.get, "0.5", 1, 2),)}, "rate"),
        ({"pairs": (PairConfig(PAIR.give, PAIR.get, "1/2", 5, 2),)}, "minimum"),
        ({"accounts": (AccountConfig("eip155:5", "ethereum"),)}, "eip155:5"),
        ({"listen": "nowhere"}, "host:port"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(RejectedError, match=word):
        list(check_relayer(relayer(**changes)))


def test_a_genesis_that_is_no_hex_is_refused() -> None:
    import msgspec

    with pytest.raises(RejectedError, match="genesis"):
        wiring.chain_spec(msgspec.structs.replace(LEDGER, genesis="xyz"))


ABI = '[{"type": "event", "name": "Paid", "inputs": []}]'


def test_the_abi_of_a_contract_stands_inline_or_in_a_file(tmp_path: Path) -> None:
    account = f"{ETHEREUM.id}:0x" + "22" * 20
    (tmp_path / "shop.json").write_text(ABI)
    inline = ContractConfig(account, ABI, name="shop")
    for contract in (inline, ContractConfig(account, abi_file="shop.json", name="shop")):
        chains = (msgspec.structs.replace(ETHEREUM, contracts=(contract,)), LEDGER)
        loaded = settings.load(stored(tmp_path, relayer(chains=chains)), RelayerConfig)
        assert loaded.chains[0].contracts == (inline,)
        assert wiring.chain_spec(loaded.chains[0]).contracts == (ContractSpec(parse_account(account), ABI, "shop"),)


@pytest.mark.parametrize(
    ("contract", "sentence"),
    [
        (ContractConfig("x"), "needs either abi"),
        (ContractConfig("x", ABI, "shop.json"), "needs either abi"),
        (ContractConfig("x", abi_file="nowhere.json"), "change its abi_file"),
    ],
)
def test_a_contract_without_one_abi_is_refused(tmp_path: Path, contract: ContractConfig, sentence: str) -> None:
    chains = (msgspec.structs.replace(ETHEREUM, contracts=(contract,)), LEDGER)
    with pytest.raises(RejectedError, match=sentence):
        settings.load(stored(tmp_path, relayer(chains=chains)), RelayerConfig)
