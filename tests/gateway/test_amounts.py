"""Amounts as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import RejectedError
from core.model.types import Asset, AssetId
from gateway.amounts import base_units, readable

ETHER = Asset(AssetId("eip155:1/slip44:60"), "ETH", 18)
YUAN = Asset(AssetId("causeway:devnet-1/asset:cnyd"), "CNYD", 2)


@given(st.integers(1, 10**27), st.sampled_from([ETHER, YUAN]))
def test_what_is_shown_is_what_was_meant(units: int, asset: Asset) -> None:
    text = readable(asset, units).removesuffix(f" {asset.symbol}").replace(",", "")
    assert base_units(asset, text) == units


def test_amounts_are_short() -> None:
    assert readable(ETHER, 5 * 10**17) == "0.5 ETH"
    assert readable(YUAN, 1_000_000) == "10,000 CNYD"
    assert readable(ETHER, 10**18 + 1, places=6) == "1… ETH"
    assert readable(ETHER, -15 * 10**17, places=0) == "-1… ETH"


@pytest.mark.parametrize("text", ["", "abc", "0", "-1", "nan", "inf", "0.001", "1e400"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        base_units(YUAN, text)
