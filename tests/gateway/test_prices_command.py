"""`causeway relayer prices`: what is shown of each pair, and what a confirmation does."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.model.errors import NotFoundError, RejectedError
from core.runtime.clock import NS_PER_S
from core.runtime.database import create_schema, open_database
from gateway import doctor, prices
from gateway.cli import app
from gateway.cli import prices as command
from gateway.config import PairConfig, PriceConfig, RelayerConfig, to_toml, verified
from gateway.doctor import Level
from relayer.provider import price_rows
from relayer.provider.pricing import PriceState
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

ETH, CNYD = ETHEREUM.assets[0], LEDGER.assets[0]
NOW_NS = 1_800_000_000 * NS_PER_S


def configured(**given: object) -> RelayerConfig:
    pairs = (
        PairConfig(ETH, CNYD, "eth-cnyd", 10**15, 10**20, spread_bps=100, volatility_bps=8_000, fee=7),
        PairConfig(CNYD, ETH, "1/eth-cnyd", 100, 10**9),
    )
    listed = (PriceConfig("eth-cnyd", file="price.txt"),)
    return verified(
        relayer(**{"pairs": pairs, "prices": listed, "limits": (), "database": "sqlite:///r.sqlite"} | given)
    )


async def known(base: Path, state: PriceState) -> None:
    """A relayer has looked at the price."""
    database = open_database(f"sqlite:///{base}/r.sqlite")
    await database.write(create_schema)
    await database.write(lambda c: price_rows.store(c, "eth-cnyd", state))
    await database.close()


async def test_pairs_show_price_age_and_what_comes_off(tmp_path: Path) -> None:
    await known(tmp_path, PriceState(accepted=Fraction(25_000), accepted_ns=NOW_NS - 5 * NS_PER_S))
    there, back = await prices.listed(configured(), tmp_path, NOW_NS)
    assert (there["price"], there["age_s"], there["fee"], there["paused"]) == ("25000", 5, "7", None)
    assert 0 < float(there["premium_bps"]) < 100
    assert 24_500 < float(there["offered"]) < 25_000 * 0.99
    assert back["offered"] == "0.00004"
    assert back["premium_bps"] == "0"


async def test_paused_pair_says_why(tmp_path: Path) -> None:
    [there, _] = await prices.listed(configured(), tmp_path, NOW_NS)
    assert "no price eth-cnyd yet" in there["paused"]
    await known(tmp_path, PriceState(accepted=Fraction(1), accepted_ns=NOW_NS - 61 * NS_PER_S, error="gone"))
    [there, _] = await prices.listed(configured(), tmp_path, NOW_NS)
    assert "is 61 s old" in there["paused"]
    assert "gone" in there["paused"]


async def test_confirmation_is_for_the_price_that_is_held(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no relayer has run"):
        await prices.confirm(configured(), tmp_path, "eth-cnyd")
    await known(tmp_path, PriceState(Fraction(100), NOW_NS, Fraction(150), NOW_NS))
    assert await prices.confirm(configured(), tmp_path, "eth-cnyd") == "150"
    with pytest.raises(NotFoundError, match="did you mean eth-cnyd"):
        await prices.confirm(configured(), tmp_path, "eth-cnyy")
    await known(tmp_path, PriceState(Fraction(100), NOW_NS))
    with pytest.raises(RejectedError, match="nothing to confirm"):
        await prices.confirm(configured(), tmp_path, "eth-cnyd")


def test_command_prints_lines_and_json(tmp_path: Path) -> None:
    assert command is not None  # it registers itself
    file = tmp_path / "relayer.toml"
    fixed = (PriceConfig("eth-cnyd", fixed="20000.5"),)
    file.write_text(to_toml(configured(prices=fixed)))
    lines = CliRunner().invoke(app, ["relayer", "prices", "--config", str(file)])
    assert lines.exit_code == 0, lines.output
    assert "rate = eth-cnyd, at 20000.5" in lines.output
    shown = CliRunner().invoke(app, ["relayer", "prices", "--config", str(file), "--json"])
    document = json.loads(shown.output)
    assert [one["price"] for one in document["pairs"]] == ["20000.5", "20000.5"]


@pytest.mark.parametrize(
    ("price", "rates", "says"),
    [
        (PriceConfig("p"), ("p", "1/p"), "comes from nowhere"),
        (PriceConfig("p", fixed="1", file="x"), ("p", "1/p"), "several places"),
        (PriceConfig("p", fixed="1,5"), ("p", "1/p"), "not a price"),
        (PriceConfig("p", fixed="1", every_s=20), ("p", "1/p"), "no effect on a price that is fixed"),
        (PriceConfig("p", file="x"), ("p", "p"), "is the rate of the way back, too"),
        (PriceConfig("p", file="x"), ("1/p", "1/p"), "is the rate of the way back, too"),
        (PriceConfig("p", file="x"), ("p", "1/pp"), "not a price of [[prices]]: did you mean p?"),
        (PriceConfig("p", file="x"), ("1/2", "2/1"), "no pair is offered at it"),
        (PriceConfig("P!", file="x"), ("1/2", "2/1"), "is not a name"),
        (PriceConfig("p", url="ftp://x/"), ("p", "1/p"), "url"),
        (PriceConfig("p", file="x", path="a.b"), ("p", "1/p"), "not a path"),
        (PriceConfig("p", file="x", time_path="$.t"), ("p", "1/p"), "needs a path"),
        (PriceConfig("p", file="x", every_s=100), ("p", "1/p"), "mostly be too old"),
    ],
)
def test_price_that_cannot_be_is_refused(price: PriceConfig, rates: tuple[str, str], says: str) -> None:
    pairs = (PairConfig(ETH, CNYD, rates[0], 10**15, 10**20), PairConfig(CNYD, ETH, rates[1], 100, 10**9))
    with pytest.raises(RejectedError) as refusal:
        configured(pairs=pairs, prices=(price,))
    assert says in refusal.value.message


async def test_doctor_looks_at_every_source(tmp_path: Path) -> None:
    prices_file = tmp_path / "price.txt"
    [missing] = await doctor.price_findings(configured(), tmp_path)
    assert (missing.level, "No such file" in missing.sentence) == (Level.RED, True)
    prices_file.write_text("25000")
    [found] = await doctor.price_findings(configured(), tmp_path)
    assert (found.level, found.sentence.startswith("25000, ")) == (Level.GREEN, True)
    os.utime(prices_file, (1, 1))
    [old] = await doctor.price_findings(configured(), tmp_path)
    assert (old.level, "max_age_s is 60" in old.sentence) == (Level.RED, True)
    assert await doctor.price_findings(configured(prices=(PriceConfig("eth-cnyd", fixed="1"),)), tmp_path) == []
