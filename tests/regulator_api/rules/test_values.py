"""Values at the rate of their time."""

import pytest

from core.model.errors import RejectedError
from core.model.types import AssetId
from regulator_api.values import MAX_VALUE, Rates, rate_of, read_rates

ETHER = AssetId("eip155:1/slip44:60")
HEAD = "asset,from_s,price,decimals,source\n"


def test_value_is_that_of_the_rate_in_force() -> None:
    rates = Rates([rate_of(ETHER, 100, "2000", 18, "x"), rate_of(ETHER, 200, "2500.5", 18, "x")])
    assert rates.value(ETHER, 10**18, 99) is None
    assert rates.value(ETHER, 10**18, 100) == rates.value(ETHER, 10**18, 199) == 200_000
    assert rates.value(ETHER, 10**18, 200) == 250_050
    assert rates.value(ETHER, 10**13, 200) == 2
    assert rates.value(AssetId("eip155:1/slip44:61"), 10**18, 200) is None
    assert rates.value(ETHER, 2**255, 200) == MAX_VALUE


def test_csv_of_rates_is_read_whole() -> None:
    rates = read_rates(HEAD + "eip155:1/slip44:60,0,2000,18,bank\ncauseway:main/asset:cnyd,0,0.1287,2,bank\n")
    assert Rates(rates).value(AssetId("causeway:main/asset:cnyd"), 10_000, 5) == 1_287


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("eip155:1/slip44:60,0,-1,18,bank", "line 3: the price"),
        ("eip155:1/slip44:60,0,NaN,18,bank", "line 3: the price"),
        ("eip155:1/slip44:60,x,1,18,bank", "line 3: from_s"),
        ("eip155:1/slip44:60,0,1,99,bank", "line 3: eip155:1/slip44:60 cannot have 99 decimals"),
        ("eip155:1/slip44:60,0,1,18", "line 3: 4 columns"),
        ("ether,0,1,18,bank", "line 3: 'ether' is not"),
        ('"ether', "not CSV"),
        ("eip155:1/slip44:61,0,1,18,bank", "two rates"),
    ],
)
def test_malformed_line_refuses_the_file_with_its_number(line: str, said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        read_rates(HEAD + "eip155:1/slip44:61,0,2000,18,bank\n" + line + "\n")
