"""`causeway relayer init`: the file that it writes checks, says what was offered, and overwrites nothing."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from core.model.errors import RejectedError
from core.model.types import Asset, AssetId
from gateway import setup
from gateway.config import PairConfig, RelayerConfig, load
from gateway.config.known_chains import KNOWN, known_chain
from gateway.devnet.network import Devnet, DevnetSettings
from tests.gateway.test_cli import causeway

SECRET = {"CAUSEWAY_PASSPHRASE": "long enough"}
ETH = Asset(AssetId("eip155:31337/slip44:60"), "ETH", 18)
YUAN = Asset(AssetId("causeway:devnet-1/asset:cnyd"), "CNYD", 2)
PAGE = Path(__file__).parents[2] / "docs" / "operating" / "chains.md"
NAMES = ("block_time_s", "inclusion_s", "finality_s", "lead_s", "lag_s")


def wanted(*offers: str, spread: str = "1") -> setup.Wanted:
    known = known_chain("anvil")
    made = [setup.parse_offer(one) for one in offers]
    return setup.Wanted("r", "127.0.0.1:1", known, ["http://a"], "0x", (), ["http://b"], made, spread)


def pairs(*offers: str, spread: str = "1") -> tuple[PairConfig, ...]:
    return setup._trading(wanted(*offers, spread=spread), {ETH.id: ETH, YUAN.id: YUAN})[0]


def test_offer_becomes_a_pair_either_way() -> None:
    there, back = pairs("1 eth = 25000 cnyd, from 0.01 to 5")
    assert (there.give, there.get, there.rate) == (ETH.id, YUAN.id, "99/40000000000000")
    assert (there.min_give, there.max_give) == (10**16, 5 * 10**18)
    assert (back.give, back.get, back.rate) == (YUAN.id, ETH.id, "396000000000/1")
    assert (back.min_give, back.max_give) == (25_000, 12_500_000)
    # Of 1 ETH they keep 99 % of its price; of its price, 99 % of 1 ETH.
    assert 10**18 * 99 // 40_000_000_000_000 == 2_475_000
    assert 2_500_000 * 396_000_000_000 == 99 * 10**16


@pytest.mark.parametrize("spread", ["0", "0.25", "49"])
def test_there_and_back_gains_nothing(spread: str) -> None:
    there, back = pairs("2 eth = 50000.01 cnyd to 3", spread=spread)
    one, other = (pair.rate.partition("/") for pair in (there, back))
    assert int(one[0]) * int(other[0]) <= int(one[2]) * int(other[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 eth",
        "1 eth = 2 cnyd",
        "eth = cnyd to 5",
        "1 eth = -2 cnyd to 5",
        "1 eth = 2 cnyd from 1",
        "1 eth = 1e3 cnyd to 5",
        "1 eth = 2 cnyd, from 0.01 to 5 and more",
        "9" * 300,
    ],
)
def test_other_words_are_not_an_offer(text: str) -> None:
    with pytest.raises(RejectedError, match="is not an offer such as"):
        setup.parse_offer(text)


@pytest.mark.parametrize(
    ("offer", "spread", "said"),
    [
        ("1 eth = 0.001 cnyd to 5", "1", "decimals"),
        ("1 eth = 25000 cnyd, from 0.0000000001 to 5", "1", "less than the smallest unit"),
        ("0 eth = 25000 cnyd to 5", "1", "0"),
        ("1 eth = 25000 cnyd to 5", "50", "percentage"),
        ("1 eth = 25000 cnyd to 5", "nan", "percentage"),
        ("1 eth = 25000 gold to 5", "1", "no asset here is called gold"),
    ],
)
def test_offer_that_cannot_be_kept_is_refused(offer: str, spread: str, said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        pairs(offer, spread=spread)


def test_chains_are_named_as_their_page_names_them() -> None:
    text = PAGE.read_text()
    for one in KNOWN.values():
        numbers = " | ".join(f"{getattr(one.timing, name):,}" for name in NAMES)
        assert f"| {one.name} | `{one.chain}` | {numbers} |" in text
        assert all(f"- `{name}`: {one.why[name]}" in text for name in NAMES)
        assert one.genesis is None or (one.genesis in text and len(one.genesis) == 64)
    with pytest.raises(RejectedError, match="did you mean ethereum"):
        known_chain("etherum")


async def run(*arguments: str, cwd: Path) -> Any:
    return await asyncio.to_thread(causeway, "relayer", *arguments, cwd=cwd, **SECRET)


@pytest.mark.alone
async def test_configuration_of_running_chains_checks(tmp_path: Path) -> None:
    async with Devnet(DevnetSettings(tmp_path / "net", users=("alice",))) as devnet:
        ethereum, consortium = devnet.info.chains
        given = ["--rpc", ethereum.endpoints[0].url, "--consortium", consortium.endpoints[0].url]
        init = ["init", "mine", "--evm", "anvil", *given, "--offer", "1 eth = 25000 cnyd, from 0.01 to 5"]
        unknown = await run(*init, cwd=tmp_path)
        assert (unknown.returncode, "causeway contract deploy" in unknown.stderr) == (1, True), unknown.stderr
        other = await run(*init, "--contract", f"0x{'1' * 40}", cwd=tmp_path)
        assert (other.returncode, "no HashedTimelock" in other.stderr) == (3, True), other.stderr
        assert not (tmp_path / "mine").exists() or not os.listdir(tmp_path / "mine")
        assert ethereum.contract is not None
        made = await run(*init, "--contract", ethereum.contract, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        assert (await run("check", "--config", "mine/relayer.toml", cwd=tmp_path)).returncode == 0
        config = load(tmp_path / "mine" / "relayer.toml", RelayerConfig)
        assert [chain.genesis for chain in config.chains] == [ethereum.genesis, consortium.genesis]
        assert config.chains[0].timing == KNOWN["anvil"].timing
        shown = await run("accounts", "--config", "mine/relayer.toml", "--json", cwd=tmp_path)
        accounts = {one["account"].lower() for one in json.loads(shown.stdout)}
        assert all(account in made.stdout.lower() for account in accounts)
        written = [tmp_path / "mine" / name for name in ("relayer.toml", "keystore.json")]
        before = [path.read_bytes() for path in written]
        again = await run(*init, "--contract", ethereum.contract, cwd=tmp_path)
        assert (again.returncode, "exists already" in again.stderr) == (1, True)
        assert before == [path.read_bytes() for path in written]
        await _doctor_finds_what_is_wrong(written[0], tmp_path)


def _spoil(file: Path) -> None:
    url = load(file, RelayerConfig).chains[1].endpoints[0].url
    text = file.read_text().replace("finality_s = 2", "finality_s = 1")
    file.write_text(text.replace(url, "http://127.0.0.1:9"))


async def _doctor_finds_what_is_wrong(file: Path, cwd: Path) -> None:
    async def levels() -> dict[str, set[str]]:
        shown = await asyncio.to_thread(causeway, "doctor", "--config", str(file), "--json", cwd=cwd, **SECRET)
        found = json.loads(shown.stdout)
        assert (found["level"], shown.returncode) == ("red", 1)
        made: dict[str, set[str]] = {}
        for one in found["findings"]:
            assert one["level"] == "green" or one["remedy"]
            made.setdefault(one["level"], set()).add(one["sentence"])
        return made

    whole = await levels()
    assert [one for one in whole["red"] if "gas for 0 claims" not in one] == [], "nothing but the empty purse is bad"
    assert len([one for one in whole["yellow"] if "less than the smallest swap pays out" in one]) == 2
    assert any("calls in one request; the state of the newest" in one for one in whole["green"])
    assert any(one.startswith("CometBFT ") for one in whole["green"])
    assert any("T_B > now + 20 s (U_lock 3 + I_A 2" in one for one in whole["green"])
    online = await asyncio.to_thread(causeway, "relayer", "check", "--online", "--config", str(file), cwd=cwd, **SECRET)
    assert (online.returncode, "which is believed" in online.stdout) == (1, True), "the file is right, the purse empty"
    assert "gas for 0 claims" in online.stdout
    _spoil(file)
    wrong = await levels()
    assert any("timing.finality_s is 1" in one for one in wrong["red"])
    assert any("127.0.0.1:9 does not answer" in one for one in wrong["red"])
