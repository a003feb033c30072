"""A setting is in force as it is written, or refused by name and place, together with every other fault."""

import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model.errors import RejectedError
from gateway import config as settings
from gateway import wiring
from gateway.checks import check_index_file, check_regulator_file, check_relayer_file
from gateway.config import (
    AnchoringConfig,
    ApiKeyConfig,
    AttestConfig,
    ClientConfig,
    IndexConfig,
    LimitConfig,
    RegulatorConfig,
    RelayerConfig,
    ReportConfig,
    ReserveConfig,
    SignInConfig,
    SupervisionWebhookConfig,
    TokensConfig,
    to_toml,
    verified,
)
from relayer.keys.keystore import write_keystore
from tests.gateway.test_cli import causeway
from tests.gateway.test_config import ETHEREUM, LEDGER, PAIR, relayer

TOKEN = "0x" + "ab" * 20
MIXED = "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB"
NO_TOKEN = f"eip155:31337/erc20:0x{'0' * 40}"
PASSPHRASE = "correct horse"
ENVIRONMENT = {"PASSPHRASE": PASSPHRASE, "REPORT_KEY": "k"}
Change = Callable[[dict[str, Any]], object]


def table(**changes: object) -> dict[str, Any]:
    """A configuration without faults, with everything in it, as TOML has it."""
    config = relayer(
        limits=(LimitConfig(LEDGER.assets[0], 10**12, 10**11, 10**11),),
        gas_per_exit=(ReserveConfig(ETHEREUM.assets[0], 10**15),),
        report=ReportConfig("http://127.0.0.1:8490", "REPORT_KEY"),
        attest=AttestConfig(ETHEREUM.id, LEDGER.id, ("operator",)),
        **changes,
    )
    return tomllib.loads(to_toml(config))


def stored(directory: Path, contents: dict[str, Any], name: str = "relayer.toml") -> Path:
    file = directory / name
    file.write_text(tomli_w.dumps(contents))
    return file


def refusal(directory: Path, change: Change) -> str:
    contents = table()
    change(contents)
    with pytest.raises(RejectedError) as refused:
        settings.load(stored(directory, contents), RelayerConfig)
    return refused.value.message


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "k3y-of-ours")
    (tmp_path / "url").write_text("postgresql://me:pa55word@db/causeway\nmore\n")
    contents = table(database="file:url")
    contents["chains"][0]["endpoints"][0]["url"] = "https://eth.example/v3/${PROVIDER_KEY}/${PROVIDER_KEY}"
    found = settings.load(stored(tmp_path, contents), RelayerConfig)
    assert found.database == "postgresql://me:pa55word@db/causeway"
    assert found.chains[0].endpoints[0].url == "https://eth.example/v3/k3y-of-ours/k3y-of-ours"


@pytest.mark.parametrize("secret", ["no url, and secret", "x" * 500, "postgresql://h/n?sslmod=secret-value"])
def test_secret_is_shown_in_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("SECRET", secret)
    contents = table(database="${SECRET}")
    contents["chains"][0]["endpoints"][0]["url"] = "ftp://${SECRET}"
    with pytest.raises(RejectedError) as refused:
        settings.load(stored(tmp_path, contents), RelayerConfig)
    assert "${SECRET}" in refused.value.message
    assert secret[:8] not in refused.value.message


def test_a_full_configuration_is_taken(tmp_path: Path) -> None:
    assert settings.load(stored(tmp_path, table()), RelayerConfig).limits[0].total == 10**12


@pytest.mark.parametrize(
    ("change", "place", "sentence"),
    [
        (lambda t: t.update(lisen="x"), "lisen", "did you mean listen?"),
        (lambda t: t["chains"][0]["timing"].update(finalty_s=1), "chains[0].timing.finalty_s", "finality_s"),
        (lambda t: t["chains"][1]["endpoints"][0].update(uri="x"), "chains[1].endpoints[0].uri", "did you mean url?"),
        (lambda t: t["attest"].update(interval_s=3), "attest.interval_s", "unknown member"),
        (lambda t: t["chains"][0].pop("genesis"), "chains[0].genesis", "is missing"),
        (lambda t: t.update(quote_ttl_s="30"), "quote_ttl_s", "expected `int`, got `str`"),
        (lambda t: t.update(quote_ttl_s=True), "quote_ttl_s", "expected `int`, got `bool`"),
        (lambda t: t.update(quote_ttl_s=30.5), "quote_ttl_s", "expected `int`, got `float`"),
        (lambda t: t.update(pairs="none"), "pairs", "write [[pairs]]"),
        (lambda t: t.update(report="none"), "report", "write [report]"),
        (lambda t: t.update(name=""), "name", "is empty"),
        (lambda t: t.update(keystore="  "), "keystore", "is empty"),
        (lambda t: t.update(name="a\x07b"), "name", "control characters"),
        (lambda t: t.update(database="${NOT_SET}"), "database", "'NOT_SET' is not set"),
        (lambda t: t.update(database="${}"), "database", "is not set"),
        (lambda t: t.update(database="${A-B}"), "database", "is not set"),
        (lambda t: t.update(database="file:none"), "database", "cannot be read"),
        (
            lambda t: t["chains"][0]["endpoints"][0].update(url="http://h/${NOT_SET}"),
            "chains[0].endpoints[0].url",
            "not set",
        ),
        (lambda t: t.update(name="${NAME}"), "name", "database, url and ws only"),
        (lambda t: t.update(database="sqlite://relayer.sqlite"), "database", "sqlite:///relayer.sqlite"),
        (lambda t: t.update(database="sqlite://"), "database", "in memory"),
        (lambda t: t.update(database="sqlite:///my%20relayer.sqlite"), "database", "the file's name"),
        (lambda t: t.update(database="sqlite:///relayer.sqlite#main"), "database", "the file's name"),
        (lambda t: t.update(database="sqlite:///:memory:"), "database", "in memory"),
        (lambda t: t.update(database="postgresql://h/n?sslmod=require"), "database", "did you mean sslmode?"),
        (lambda t: t.update(listen="8480"), "listen", "host:port"),
        (lambda t: t.update(quote_ttl_s=100_000), "quote_ttl_s", "1 to 600"),
        (lambda t: t.update(quote_ttl_s=0), "quote_ttl_s", "1 to 600"),
        (lambda t: t.update(max_open_swaps=0), "max_open_swaps", "1 to 100000"),
        (lambda t: t.update(max_open_swaps=10**12), "max_open_swaps", "1 to 100000"),
        (lambda t: t.update(policy="Production"), "policy", "did you mean production?"),
        (lambda t: t.update(chains=[]), "chains", "add [[chains]]"),
        (lambda t: t["chains"].append(t["chains"][0]), "chains[2].id", "named twice"),
        (lambda t: t["chains"][0].update(kind="ethereum"), "chains[0].kind", "consortium, evm"),
        (lambda t: t["chains"][0].update(id="ethereum"), "chains[0].id", "CAIP-2"),
        (lambda t: t["chains"][0].update(id="EIP155:31337"), "chains[0].id", "CAIP-2"),
        (lambda t: t["chains"][0].update(id="eip155:031337"), "chains[0].id", "leading zeros"),
        (lambda t: t["chains"][1].update(kind="evm"), "chains[1].id", "eip155:"),
        (lambda t: t["chains"][0].update(genesis="ab"), "chains[0].genesis", "64 hex digits"),
        (lambda t: t["chains"][0].update(genesis="0" * 64), "chains[0].genesis", "64 hex digits"),
        (lambda t: t["chains"][0].update(start=-1), "chains[0].start", "0 or more"),
        (lambda t: t["chains"][0].update(endpoints=[]), "chains[0].endpoints", "1 to 32"),
        (lambda t: t["chains"][0]["timing"].update(finality_s=0), "chains[0].timing.finality_s", "from 1"),
        (lambda t: t["chains"][0]["timing"].update(block_time_s=0), "chains[0].timing.block_time_s", "from 1"),
        (lambda t: t["chains"][0]["timing"].update(lead_s=-1), "chains[0].timing.lead_s", "from 0"),
        (lambda t: t["chains"][0]["timing"].update(finality_s=10**7), "chains[0].timing.finality_s", "1209600"),
        (
            lambda t: t["chains"][0]["timing"].update(block_time_s=9),
            "chains[0].timing.inclusion_s",
            "waits for a block",
        ),
        (lambda t: t["chains"][0].pop("contract"), "chains[0].contract", "HashedTimelock"),
        (lambda t: t["chains"][0].update(contract=TOKEN), "chains[0].contract", "CAIP-10"),
        (lambda t: t["chains"][0].update(contract=f"eip155:1:{TOKEN}"), "chains[0].contract", "eip155:31337"),
        (lambda t: t["chains"][1].update(contract="x"), "chains[1].contract", "leave it out"),
        (lambda t: t["chains"][1].update(native_transfers=True), "chains[1].native_transfers", "leave it out"),
        (lambda t: t["chains"][1].update(queries="x"), "chains[1].queries", "leave it out"),
        (lambda t: t["chains"][1].update(beacons=["http://b"]), "chains[1].beacons", "leave it out"),
        (lambda t: t["chains"][0].update(beacons=["http://b"]), "chains[0].beacons", "add beacon_anchor"),
        (lambda t: t["chains"][0].update(queries=f"eip155:1:{TOKEN}"), "chains[0].queries", "eip155:31337"),
        (lambda t: t["chains"][1].update(headers_per_day_wei=1), "chains[1].headers_per_day_wei", "leave it out"),
        (
            lambda t: t["chains"][0].update(headers_per_day_wei=-1),
            "chains[0].headers_per_day_wei",
            "0 to 1,000,000,000,000,000,000",
        ),
        (lambda t: t["chains"][1].update(max_fee_gwei=50), "chains[1].max_fee_gwei", "leave it out"),
        (lambda t: t["chains"][0].update(max_fee_gwei=0), "chains[0].max_fee_gwei", "1 to 1,000,000"),
        (lambda t: t["chains"][0].update(max_fee_gwei=-5), "chains[0].max_fee_gwei", "1 to 1,000,000"),
        (lambda t: t["chains"][0].update(max_fee_gwei=10**10), "chains[0].max_fee_gwei", "1 to 1,000,000"),
        (lambda t: t["chains"][0].update(assets=["ETH"]), "chains[0].assets[0]", "CAIP-19"),
        (lambda t: t["chains"][0]["assets"].append("eip155:1/slip44:60"), "chains[0].assets[1]", "eip155:31337"),
        (lambda t: t["chains"][0]["assets"].append("eip155:31337/slip44:61"), "chains[0].assets[1]", "slip44:60"),
        (lambda t: t["chains"][0]["assets"].append("eip155:31337/slip44:60"), "chains[0].assets[1]", "twice"),
        (lambda t: t["chains"][0]["assets"].append(f"eip155:31337/erc721:{TOKEN}"), "chains[0].assets[1]", "erc20:"),
        (
            lambda t: t["chains"][0]["assets"].append(f"eip155:31337/erc20:{MIXED[:-1]}b"),
            "chains[0].assets[1]",
            "checksum",
        ),
        (lambda t: t["accounts"].append(t["accounts"][0]), "accounts[2].chain", "twice"),
        (lambda t: t["accounts"].pop(0), "accounts", "no account on eip155:31337"),
        (lambda t: t["accounts"][0].update(chain="eip155:31338"), "accounts[0].chain", "did you mean eip155:31337?"),
        (lambda t: t["pairs"][0].update(give="ETH"), "pairs[0].give", "eip155:31337/slip44:60"),
        (lambda t: t["pairs"][0].update(get="causeway:devnet-1/asset:cnyt"), "pairs[0].get", "asset:cnyd?"),
        (lambda t: t["pairs"][0].update(get=t["pairs"][0]["give"]), "pairs[0]", "two chains"),
        (lambda t: t["pairs"][0].update(min_give=0), "pairs[0].min_give", "1 or more"),
        (lambda t: t["pairs"][0].update(min_give=-5), "pairs[0].min_give", "-5 is not an amount"),
        (lambda t: t["pairs"][0].update(max_give=2**256), "pairs[0].max_give", "below 2^256"),
        (lambda t: t["pairs"][0].update(min_give=10, max_give=9), "pairs[0]", "the minimum is above the maximum"),
        (lambda t: t["pairs"][0].update(rate="0/1"), "pairs[0].rate", "numerator/denominator"),
        (lambda t: t["pairs"][0].update(rate="-1/2"), "pairs[0].rate", "numerator/denominator"),
        (lambda t: t["pairs"][0].update(rate="1/0"), "pairs[0].rate", "numerator/denominator"),
        (lambda t: t["pairs"][0].update(rate="٣/٤"), "pairs[0].rate", "numerator/denominator"),
        (lambda t: t["pairs"][0].update(rate="1/" + "9" * 100), "pairs[0].min_give", "gives nothing"),
        (lambda t: t["pairs"][0].update(min_give=1), "pairs[0].min_give", "gives nothing"),
        (lambda t: t["limits"][0].update(per_window=1_000), "pairs[0].min_give", "ever allows: 1000"),
        (lambda t: t["limits"][0].update(asset=PAIR.give), "limits[0].asset", "no pair pays out"),
        (lambda t: t.update(passphrase_env="REPORT_KEY"), "report.key_env", "sent to the regulator"),
        (lambda t: t.update(listen="127.0.0.1:80 "), "listen", "spaces around it"),
        (lambda t: t["chains"][0].update(contract=f"eip155:31337:0x{'0' * 40}"), "chains[0].contract", "nobody's"),
        (
            lambda t: t["chains"][0].update(assets=[f"eip155:31337/erc20:0x{'0' * 40}"]),
            "chains[0].assets[0]",
            "no contract",
        ),
        (lambda t: t["pairs"][0].update(rate="9" * 78 + "/1"), "pairs[0].max_give", "more than a chain can count"),
        (lambda t: t["pairs"].append(t["pairs"][0]), "pairs[1]", "named twice"),
        (
            lambda t: t["pairs"].append(
                {"give": PAIR.get, "get": PAIR.give, "rate": "500000000001/1", "min_give": 1, "max_give": 9}
            ),
            "pairs[1].rate",
            "there and back",
        ),
        (lambda t: t["limits"][0].update(asset="CNYD"), "limits[0].asset", "causeway:devnet-1/asset:cnyd"),
        (lambda t: t["limits"][0].update(asset="eip155:1/slip44:60"), "limits[0].asset", "eip155:31337/slip44:60?"),
        (lambda t: t["limits"][0].update(total=-1), "limits[0].total", "1 or more"),
        (lambda t: t["limits"][0].update(per_window=0), "limits[0].per_window", "1 or more"),
        (lambda t: t["limits"][0].update(per_counterparty=10**13), "limits[0].per_counterparty", "bounds nothing"),
        (lambda t: t["limits"].append(t["limits"][0]), "limits[1].asset", "twice"),
        (lambda t: t["gas_per_exit"][0].update(amount=0), "gas_per_exit[0].amount", "1 or more"),
        (lambda t: t["gas_per_exit"][0].update(amount=-1), "gas_per_exit[0].amount", "1 or more"),
        (lambda t: t["gas_per_exit"][0].update(asset=LEDGER.assets[0]), "gas_per_exit[0].asset", "native coin"),
        (lambda t: t["gas_per_exit"].append(t["gas_per_exit"][0]), "gas_per_exit[1].asset", "twice"),
        (lambda t: t["report"].update(url="127.0.0.1:8490"), "report.url", "http://host:port"),
        (lambda t: t["report"].update(key_env="my key"), "report.key_env", "environment variable"),
        (lambda t: t["opening"].update(hold_s=10**9), "opening.hold_s", "above 86400"),
        (lambda t: t["opening"].update(hold_s=0), "opening", "positive"),
        (lambda t: t["watchtower"].update(max_watches=9), "watchtower", "no effect while it is off"),
        (lambda t: t["watchtower"].update(enabled=True, unseen_s=10**9), "watchtower.unseen_s", "above 86400"),
        (lambda t: t["attest"].update(home=ETHEREUM.id), "attest.home", "keeps no attestations"),
        (lambda t: t["attest"].update(foreign=LEDGER.id), "attest.foreign", "proves itself"),
        (lambda t: t["attest"].update(keys=[]), "attest.keys", "is empty"),
        (lambda t: t["attest"].update(keys=["a", "a"]), "attest.keys[1]", "twice"),
        (lambda t: t["attest"].update(every_blocks=0), "attest.every_blocks", "from 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_setting_without_force_is_refused(tmp_path: Path, change: Change, place: str, sentence: str) -> None:
    message = refusal(tmp_path, change)
    assert f"{place}: " in message, message
    assert sentence in message, message


@pytest.mark.parametrize(
    ("endpoints", "place", "sentence"),
    [
        ([("127.0.0.1:8545", "a")], "endpoints[0].url", "http://host:port"),
        ([("ftp://h", "a")], "endpoints[0].url", "http://host:port"),
        ([("http://h:0", "a")], "endpoints[0].url", "http://host:port"),
        ([("http://h:99999", "a")], "endpoints[0].url", "http://host:port"),
        ([("http://h", "a"), ("http://h/", "a")], "endpoints[1].url", "twice"),
        ([("http://a", "Infura"), ("http://b", "infura")], "endpoints[1].operator", "spell them alike"),
        ([("https://a.io/v3/1", "x"), ("https://a.io/v3/2", "y")], "endpoints[1].operator", "one operator counts once"),
    ],
)
def test_endpoints_that_would_count_wrongly(
    tmp_path: Path, endpoints: list[tuple[str, str]], place: str, sentence: str
) -> None:
    made = [{"url": url, "operator": operator} for url, operator in endpoints]
    message = refusal(tmp_path, lambda t: t["chains"][0].update(endpoints=made))
    assert f"chains[0].{place}: " in message
    assert sentence in message


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_of_calls_is_above_zero(tmp_path: Path, rate: float) -> None:
    message = refusal(tmp_path, lambda t: t["chains"][0]["endpoints"][0].update(calls_per_s=rate))
    assert "chains[0].endpoints[0].calls_per_s: " in message


@pytest.mark.parametrize("chain", ["eip155:1", "eip155:10", "eip155:137", "eip155:11155111"])
def test_devnet_allowances_stay_on_devnets(tmp_path: Path, chain: str) -> None:
    text = to_toml(relayer()).replace("eip155:31337", chain)
    file = tmp_path / "relayer.toml"
    file.write_text(text)
    with pytest.raises(RejectedError, match=f"policy: .*{chain}.*write production"):
        settings.load(file, RelayerConfig)
    file.write_text(text.replace('policy = "devnet"', 'policy = "production"'))
    assert settings.load(file, RelayerConfig).policy == "production"


def test_every_spelling_of_one_thing_is_one_setting(tmp_path: Path) -> None:
    contents = table()
    contents["chains"][0]["assets"].append(f"eip155:31337/erc20:{TOKEN}")
    contents["chains"][0]["contract"] = f"eip155:31337:{'0x' + TOKEN[2:].upper()}"
    contents["chains"][0]["genesis"] = "0x" + "AB" * 32
    contents["pairs"].append(
        {"give": PAIR.get, "get": f"eip155:31337/erc20:{MIXED}", "rate": "1/1", "min_give": 1, "max_give": 2}
    )
    contents["limits"].append(
        {"asset": f"eip155:31337/erc20:0x{TOKEN[2:].upper()}", "total": 9, "per_counterparty": 9, "per_window": 9}
    )
    config = settings.load(stored(tmp_path, contents), RelayerConfig)
    token = f"eip155:31337/erc20:{TOKEN}"
    assert (config.pairs[1].get, config.limits[1].asset, config.chains[0].assets[1]) == (token, token, token)
    assert config.chains[0].genesis == "ab" * 32
    assert config.chains[0].contract == f"eip155:31337:{TOKEN}"
    assert set(wiring.relayer_policy(config).exposure) == {token, LEDGER.assets[0]}
    assert verified(config) == config


def test_a_number_too_long_to_be_shown_is_refused(tmp_path: Path) -> None:
    file = stored(tmp_path, table(quote_ttl_s=17))
    file.write_text(file.read_text().replace("quote_ttl_s = 17", f"quote_ttl_s = 0x{'f' * 20_000}"))
    with pytest.raises(RejectedError, match="quote_ttl_s: is a number of 80000 bits"):
        settings.load(file, RelayerConfig)


def test_all_faults_are_shown_at_once(tmp_path: Path) -> None:
    def spoil(t: dict[str, Any]) -> None:
        t.update(quote_ttl_s=100_000, listen="nowhere")
        t["limits"][0].update(asset="CNYD", total=-1)
        t["chains"][0]["timing"].update(finality_s=0)

    message = refusal(tmp_path, spoil)
    assert "has 5 faults" in message
    for place in ("quote_ttl_s", "listen", "limits[0].asset", "limits[0].total", "chains[0].timing.finality_s"):
        assert f"\n  {place}: " in message


def test_all_members_of_a_wrong_shape_are_shown(tmp_path: Path) -> None:
    def spoil(t: dict[str, Any]) -> None:
        t.update(lisen="x", name=3)
        t["chains"][0]["timing"].update(finality_s="0")

    message = refusal(tmp_path, spoil)
    for place in ("lisen", "name", "chains[0].timing.finality_s"):
        assert f"\n  {place}: " in message


# --- what a configuration names on this machine ---


def house(directory: Path, *names: str, **changes: Any) -> Path:
    write_keystore(directory / "keystore.json", PASSPHRASE, {name: bytes([7]) * 32 for name in names})
    contents = table()
    contents.update(changes)
    return stored(directory, contents)


def test_a_check_that_finds_nothing_shows_the_pairs(tmp_path: Path) -> None:
    file = house(tmp_path, "ethereum", "consortium", "quote", "operator")
    lines = list(check_relayer_file(file, ENVIRONMENT))
    assert any(PAIR.give in line and "timelock" in line for line in lines)
    assert not (tmp_path / "relayer.sqlite").exists()


def test_keys_and_variables_that_are_missing_are_shown(tmp_path: Path) -> None:
    file = house(tmp_path, "etherum", "quote", quote_ttl_s=100_000)
    with pytest.raises(RejectedError) as refused:
        list(check_relayer_file(file, {"PASSPHRASE": PASSPHRASE}))
    message = refused.value.message
    assert "accounts[0].key: the keystore has no key called 'ethereum': did you mean etherum?" in message
    assert "attest.keys[0]: " in message
    assert "report.key_env: the environment variable REPORT_KEY holds no API key" in message
    assert "quote_ttl_s: " in message
    (tmp_path / "keystore.json").unlink()
    with pytest.raises(RejectedError, match="keystore: there is no file") as refused:
        list(check_relayer_file(file, {}))
    assert "passphrase_env: the environment variable PASSPHRASE" in refused.value.message


def test_a_keystore_that_does_not_open_is_shown(tmp_path: Path) -> None:
    file = house(tmp_path, "ethereum")
    with pytest.raises(RejectedError, match="keystore: the passphrase does not open"):
        list(check_relayer_file(file, {**ENVIRONMENT, "PASSPHRASE": "another horse"}))


def test_a_database_file_of_something_else_is_shown(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("my notes, which are not a database")
    file = house(tmp_path, "ethereum", "consortium", "quote", "operator", database="sqlite:///notes")
    with pytest.raises(RejectedError, match="database: .*notes is not an SQLite database"):
        list(check_relayer_file(file, ENVIRONMENT))


def test_an_abi_that_is_none_is_shown(tmp_path: Path) -> None:
    contract = {"account": f"eip155:31337:{TOKEN}", "abi": "[]"}
    contents = table()
    contents["chains"][0]["contracts"] = [contract]
    house(tmp_path, "ethereum", "consortium", "quote", "operator")
    with pytest.raises(RejectedError, match=r"chains\[0\].contracts\[0\]: abi"):
        list(check_relayer_file(stored(tmp_path, contents), ENVIRONMENT))


def test_the_command_line_shows_every_fault(tmp_path: Path) -> None:
    house(tmp_path, "ethereum", quote_ttl_s=100_000)
    for command in ("check", "run"):
        shown = causeway("relayer", command, cwd=tmp_path, PASSPHRASE=PASSPHRASE, REPORT_KEY="k")
        assert shown.returncode == 1
        assert "quote_ttl_s: " in shown.stderr
        assert "Traceback" not in shown.stderr
    assert "accounts[1].key: " in causeway("relayer", "check", cwd=tmp_path, PASSPHRASE=PASSPHRASE).stderr


# --- regulators and indexes ---


TOKENS = TokensConfig("https://issuer.example", "https://supervision.example", keys_file="keys.json")


HERE = "https://supervision.example/console/signin/back"
SIGN_IN = SignInConfig("https://issuer.example", "causeway-console", HERE)


def regulator(**changes: Any) -> RegulatorConfig:
    key = ApiKeyConfig("officer", "ab" * 32, ("read", "evidence"))
    values: dict[str, Any] = {"chains": (ETHEREUM, LEDGER), "keys": (key,), "bridge": LEDGER.id, **changes}
    return RegulatorConfig("regulator", "127.0.0.1:8490", "sqlite:///regulator.sqlite", **values)


@pytest.mark.parametrize(
    ("changes", "place", "sentence"),
    [
        ({"keys": ()}, "keys", "nobody could ask"),
        ({"keys": (ApiKeyConfig("o", "secret", ("read",)),)}, "keys[0].sha256", "64 hex digits"),
        ({"keys": (ApiKeyConfig("o", sha256(b"").hexdigest(), ("read",)),)}, "keys[0].sha256", "an empty key"),
        ({"keys": (ApiKeyConfig("o", "ab" * 32, ()),)}, "keys[0].scopes", "opens nothing"),
        ({"keys": (ApiKeyConfig("o", "ab" * 32, ("reed",)),)}, "keys[0].scopes", "did you mean read?"),
        (
            {"keys": (ApiKeyConfig("o", "ab" * 32, ("read",)), ApiKeyConfig("p", "AB" * 32, ("audit",)))},
            "keys[1].sha256",
            "twice",
        ),
        ({"keys": (ApiKeyConfig("o", "ab" * 32, ("read",), ("Swiss",)),)}, "keys[0].jurisdictions", "ISO 3166"),
        ({"keys": (ApiKeyConfig("client:a", "ab" * 32, ("read",)),)}, "keys[0].name", "choose another"),
        ({"tokens": TOKENS}, "keys[0]", "for development"),
        ({"tokens": replace(TOKENS, keys_url="https://a.example")}, "tokens", "come from one place"),
        ({"tokens": replace(TOKENS, keys_file=None)}, "tokens", "come from one place"),
        ({"tokens": TokensConfig("i", "a", keys_url="http://a.example")}, "tokens.keys_url", "is not https"),
        ({"tokens": TokensConfig("i", "a", keys_url="http://127.evil.example")}, "tokens.keys_url", "is not https"),
        ({"tokens": TokensConfig("i", "a", keys_url="http://localhost.evil")}, "tokens.keys_url", "is not https"),
        ({"tokens": TokensConfig("i", "a", keys_url="http://localhost@evil.example")}, "tokens.keys_url", "https"),
        ({"tokens": TokensConfig("i", "a", keys_url="HTTP://evil.example")}, "tokens.keys_url", "is not https"),
        ({"tokens": replace(TOKENS, algorithms=("none",))}, "tokens.algorithms", "unknown algorithm"),
        ({"tokens": replace(TOKENS, algorithms=("HS256",))}, "tokens.algorithms", "unknown algorithm"),
        ({"tokens": replace(TOKENS, bound=True)}, "tokens.bound", "needs a proxy"),
        ({"tokens": replace(TOKENS, proxies=("10.0.0.1/33",))}, "tokens.proxies[0]", "network"),
        ({"sign_in": SIGN_IN}, "sign_in", "no effect without [tokens]"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, issuer="http://i.example")}, "sign_in.issuer", "not an https"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, issuer="https://i.example/?a")}, "sign_in.issuer", "a query"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, redirect=HERE + "/")}, "sign_in.redirect", "signin/back"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, redirect=HERE + "?a=b")}, "sign_in.redirect", "signin/back"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, redirect="http" + HERE[5:])}, "sign_in.redirect", "https"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, scope="profile")}, "sign_in.scope", "lacks openid"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, client_id="é")}, "sign_in.client_id", "printable"),
        ({"tokens": TOKENS, "sign_in": replace(SIGN_IN, secret_env="1")}, "sign_in.secret_env", "environment variable"),
        ({"clients": (ClientConfig("a", ("CH",)),)}, "clients", "no effect without [tokens]"),
        ({"tokens": TOKENS, "clients": (ClientConfig("a", ()),)}, "clients[0].jurisdictions", "sees nothing"),
        ({"tokens": TOKENS, "clients": (ClientConfig("a", ("*", "CH")),)}, "clients[0].jurisdictions", "ISO 3166"),
        ({"webhooks": (SupervisionWebhookConfig("https://a.example", "A", ()),)}, "webhooks[0].jurisdictions", "empty"),
        ({"anchoring": AnchoringConfig(LEDGER.id, "audit")}, "anchoring", "add [signing]"),
        ({"anchoring": AnchoringConfig(ETHEREUM.id, "audit")}, "anchoring.chain", "keeps no records"),
        ({"bridge": ETHEREUM.id}, "bridge", "keeps no attestations"),
        ({"bridge": "causeway:devnet-2"}, "bridge", "did you mean causeway:devnet-1?"),
    ],
)
def test_a_regulator_is_checked_as_well(tmp_path: Path, changes: dict[str, Any], place: str, sentence: str) -> None:
    file = tmp_path / "regulator.toml"
    file.write_text(to_toml(regulator()))
    assert list(check_regulator_file(file))
    file.write_text(to_toml(regulator(**changes)))
    with pytest.raises(RejectedError) as refused:
        list(check_regulator_file(file))
    assert f"{place}: " in refused.value.message
    assert sentence in refused.value.message


def test_an_index_takes_a_daemons_file_but_no_typing_mistakes(tmp_path: Path) -> None:
    for config in (relayer(), regulator(), IndexConfig("sqlite:///i.sqlite", (ETHEREUM,))):
        file = tmp_path / "any.toml"
        file.write_text(to_toml(config))
        assert list(check_index_file(file))
        file.write_text(f'databse = "sqlite:///x"\n{to_toml(config)}')
        with pytest.raises(RejectedError, match="databse: unknown member: did you mean database"):
            settings.load(file, IndexConfig)
    file.write_text(f"quote_ttl_s = 3\n{to_toml(IndexConfig('sqlite:///i.sqlite', (ETHEREUM,)))}")
    with pytest.raises(RejectedError, match="quote_ttl_s: unknown member"):
        settings.load(file, IndexConfig)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data(), value=JSON)
def test_any_value_in_any_place_is_taken_or_refused(data: st.DataObject, value: Any, tmp_path_factory: Any) -> None:
    contents = table()
    place: Any = contents
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = value
            break
        place = place[key]
    try:
        text = tomli_w.dumps(contents)
    except (TypeError, ValueError):
        return  # TOML has no way to say it
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(text)
    try:
        loaded = settings.load(file, RelayerConfig)
    except RejectedError as error:
        assert error.message  # noqa: PT017
        return
    assert verified(loaded) == loaded
    assert isinstance(wiring.relayer_policy(loaded).exposure, dict)
    assert len(wiring.pairs(loaded.pairs)) == len(loaded.pairs)
    assert msgspec.to_builtins(loaded)
