"""An alert in a sentence: what was measured, and the thresholds that it passed. For people; programs read `figures`."""

from collections.abc import Iterable, Mapping
from typing import Final

from regulator_api.rules.parameters import CENTS, unit_of

_SENTENCES: Final[Mapping[str, str]] = {
    "structuring": "{count} payments just below {threshold} within {span_days} days on {chains} chain(s), together "
    "{total} (at least {min_count} that sum to the threshold)",
    "velocity": "{count} payments of {sum} in one day; its thirty days before allow {count_limit} and {sum_limit}",
    "pass_through": "{value_in} came in, and within {hours} hours {left} of the {came} that came since had left again",
    "accumulation": "{senders} senders paid {came} in small amounts (at least {min_senders} senders and {floor}), and "
    "{left} left by {outs} payment(s)",
    "dispersal": "{came} came in, and {left} went out to {receivers} receivers (at least {min_receivers})",
    "dormant": "silent for {silent_days} days (at least {min_silent_days}), then {sum} went out",
    "new_account": "{came} came in and {left} went out within {age_s} seconds of the account's first move",
    "sanctions": "a movement of {value} with a listed account (listed itself: {listed_itself}, counterparty: "
    "{listed_counterparty})",
    "sanctions_indirect": "{value_out} is {hops} transfers away from a listed account",
    "peel_chain": "{value_in} was handed on over {hops} accounts (at least {min_hops}), {value_out} are left",
    "chain_hopping": "{value_in} was carried over {chains} chains (at least {min_chains}), {value_out} are left",
    "round_trip": "{value_in} left an account and came back as {value_out} over {transfers} transfers",
}
_POOL: Final = "{deposits} equal payments in by {depositors} accounts, and equal ones out to {receivers} others"
_LABELLED: Final = "a movement of {value} with an account labelled a mixer"
_MONEY: Final = frozenset(
    {"threshold", "total", "sum", "sum_limit", "value_in", "value_out", "value", "came", "left", "floor"}
)


def sentence(typology: str, figures: Mapping[str, int]) -> str:
    """Return the sentence of an alert; amounts are in whole units of the reporting currency."""
    text = _SENTENCES.get(typology, "")
    if typology == "mixer":
        text = _LABELLED if figures.get("labelled") else _POOL
    shown = {name: _money(value) if name in _MONEY else str(value) for name, value in figures.items()}
    try:
        return text.format(**shown)
    except KeyError:
        return ", ".join(f"{name} {value}" for name, value in shown.items())


def figure_units(figures: Iterable[str]) -> dict[str, str]:
    """Return the unit of each of these figures that has one, by its name: `cents` of money."""
    found = {name: CENTS if name in _MONEY else unit_of(name) for name in figures}
    return {name: unit for name, unit in found.items() if unit is not None}


def _money(minor_units: int) -> str:
    if minor_units < 0:
        return "an unknown value"
    return f"{minor_units // 100:,}.{minor_units % 100:02}"
