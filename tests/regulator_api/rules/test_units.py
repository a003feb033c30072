"""The units of a rule's parameters and of an alert's figures, as the API says them."""

from regulator_api.rules.catalogue import TYPOLOGIES
from regulator_api.rules.parameters import CENTS, units_of
from regulator_api.rules.words import figure_units

MONEY = {"threshold", "floor", "below"}
COUNTED = {"more", "exempt", "listed", "mixers"}
"""Parameters without a unit, next to those that count something."""


def test_every_parameter_says_its_unit_or_counts() -> None:
    found = dict[str, str | None]()
    for typology in TYPOLOGIES.values():
        units = units_of(typology.parameters)
        assert {name for name, unit in units.items() if unit == CENTS} == MONEY & set(
            typology.parameters.__struct_fields__
        )
        found |= dict.fromkeys(typology.parameters.__struct_fields__) | units
    unsaid = {name for name, unit in found.items() if unit is None} - COUNTED
    assert all(name.startswith(("min_", "max_")) for name in unsaid), unsaid
    said = {name: found[name] for name in ("near_pm", "z_tenths", "within_h", "within_days")}
    assert said == {"near_pm": "thousandths", "z_tenths": "tenths", "within_h": "hours", "within_days": "days"}


def test_figures_of_money_are_in_cents() -> None:
    figures = ["floor", "came", "value_in", "value_out", "sum_limit", "span_days", "age_s", "count", "hours"]
    assert figure_units(figures) == {
        **dict.fromkeys(("floor", "came", "value_in", "value_out", "sum_limit"), CENTS),
        "span_days": "days",
        "age_s": "seconds",
    }
