"""The names of parameters and figures, with their units, as pages write them."""

import pytest

from console.rendering import parameter

UNITS = {"near_pm": "thousandths", "floor": "cents", "value_in": "cents", "within_days": "days", "z_tenths": "tenths"}
SHOWN = {
    "near_pm": "near (‰)",
    "floor": "floor (cents)",
    "value_in": "value in (cents)",
    "within_days": "within (days)",
    "z_tenths": "z (tenths)",
    "min_count": "min count",
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_name_is_shown_with_the_unit_that_the_api_says(name: str) -> None:
    assert parameter(name, UNITS) == SHOWN[name]
