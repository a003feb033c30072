"""Amounts and assets as people write and read them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.model.errors import NotFoundError, RejectedError
from core.model.types import MAX_BASE_UNITS, MAX_DECIMALS, Asset, AssetId, BaseUnits
from gateway.amounts import base_units, named_asset, readable

ETHER = Asset(AssetId("eip155:1/slip44:60"), "ETH", 18)
YUAN = Asset(AssetId("causeway:devnet-1/asset:cnyd"), "CNYD", 2)
POINTS = Asset(AssetId("causeway:devnet-1/asset:points"), "PTS", 0)


@given(st.integers(1, MAX_BASE_UNITS), st.integers(0, MAX_DECIMALS))
@example(MAX_BASE_UNITS, 0)
@example(MAX_BASE_UNITS, MAX_DECIMALS)
@example(1, MAX_DECIMALS)
@example(10**28 + 1, 18)
def test_every_amount_reads_back_as_it_was_shown(units: int, decimals: int) -> None:
    asset = Asset(AssetId("eip155:1/slip44:60"), "ANY", decimals)
    text = readable(asset, units).removesuffix(" ANY").replace(",", "")
    assert base_units(asset, text) == units
    assert readable(asset, base_units(asset, text)) == readable(asset, units)


@given(st.integers(-MAX_BASE_UNITS, MAX_BASE_UNITS), st.integers(0, MAX_DECIMALS), st.integers(0, MAX_DECIMALS))
def test_cut_amount_is_never_more_than_it_was(units: int, decimals: int, places: int) -> None:
    asset = Asset(AssetId("eip155:1/slip44:60"), "ANY", decimals)
    text = readable(asset, units, places).removesuffix(" ANY").replace(",", "")
    whole, _, fraction = text.rstrip("…").lstrip("-").partition(".")
    shown = int(whole + fraction.ljust(decimals, "0"))
    assert shown <= abs(units) < shown + 10 ** max(0, decimals - places)
    assert text.endswith("…") == (shown != abs(units))


@pytest.mark.parametrize(
    ("asset", "text", "units"),
    [
        (ETHER, "123456789123456789.123456789123456789", 123456789123456789123456789123456789),
        (ETHER, "0.000000000000000001", 1),
        (POINTS, str(MAX_BASE_UNITS), MAX_BASE_UNITS),
        (YUAN, "0.10", 10),
        (YUAN, "7", 700),
    ],
)
def test_amount_is_read_exactly(asset: Asset, text: str, units: int) -> None:
    assert base_units(asset, text) == BaseUnits(units)


def test_amounts_are_shown_short() -> None:
    assert readable(ETHER, 5 * 10**17) == "0.5 ETH"
    assert readable(YUAN, 1_000_000) == "10,000 CNYD"
    assert readable(ETHER, 10**18 + 1, places=6) == "1… ETH"
    assert readable(ETHER, -15 * 10**17, places=0) == "-1… ETH"
    assert readable(ETHER, 0) == "0 ETH"
    assert readable(ETHER, 10**34 + 1) == "10,000,000,000,000,000.000000000000000001 ETH"


NOT_AMOUNTS = (
    "|abc|0|0.00|-1|+1|nan|NaN|inf|Infinity|1e400|1e2|1E2| 1|1 |1\n|1_000|1,000|1.|.5|1..2|1.2.3|01|0x10|١|1.٢|1²|½|"
    f"1\0|0.001|0.100|{'9' * 200}|{MAX_BASE_UNITS}|{MAX_BASE_UNITS // 100 + 1}"
).split("|")


@pytest.mark.parametrize("text", NOT_AMOUNTS)
def test_text_that_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(RejectedError) as caught:
        base_units(YUAN, text)
    assert len(caught.value.message) < 200


@given(st.text(max_size=40))
def test_any_text_is_refused_or_read_exactly(text: str) -> None:
    try:
        units = base_units(ETHER, text)
    except RejectedError:
        return
    assert text.isascii()
    whole, _, fraction = text.partition(".")
    assert units == int(whole) * 10**18 + int(fraction.ljust(18, "0"))


def test_asset_is_named_by_symbol_or_id_in_any_spelling() -> None:
    token = Asset(AssetId(f"eip155:1/erc20:0x{'ab' * 20}"), "USDX", 6)
    assets = [ETHER, YUAN, token]
    assert [named_asset(assets, name) for name in ("eth", "Eth", ETHER.id)] == [ETHER] * 3
    assert named_asset(assets, f"eip155:1/erc20:0x{'AB' * 20}") == token
    with pytest.raises(NotFoundError, match="write one of cnyd, eth, usdx"):
        named_asset(assets, "btc")
    twin = Asset(AssetId(f"eip155:1/erc20:0x{'cd' * 20}"), "eth", 18)
    with pytest.raises(RejectedError, match=f"2 assets are called eth: write one of {ETHER.id}, {twin.id}"):
        named_asset([*assets, twin], "eth")
    assert named_asset([*assets, twin], ETHER.id) == ETHER
