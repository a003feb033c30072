"""`docs/operating/configuration.md` against the configuration's model: members, defaults, bounds and whole files."""

import copy
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w

from core.model.errors import RejectedError
from gateway.checks import check_relayer
from gateway.config import (
    AccountConfig,
    AnchoringConfig,
    ApiKeyConfig,
    AttestConfig,
    ChainConfig,
    ClientConfig,
    ContractConfig,
    DestinationConfig,
    EndpointConfig,
    IndexConfig,
    LimitConfig,
    OpeningConfig,
    PageChainConfig,
    PairConfig,
    PriceConfig,
    RegulatorConfig,
    RelayerConfig,
    ReportConfig,
    ReserveConfig,
    ScreeningConfig,
    SignInConfig,
    SigningConfig,
    SupervisionWebhookConfig,
    SwapConfig,
    SwapPageConfig,
    TimingConfig,
    TokenConfig,
    TokensConfig,
    TopUpConfig,
    TreasuryConfig,
    UsageConfig,
    WatchtowerConfig,
    WebhooksConfig,
    load,
    load_into,
)
from gateway.config.faults import Faults
from gateway.config.trading import POLICIES

PAGE = Path(__file__).parents[2] / "docs/operating/configuration.md"
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "The relayer": RelayerConfig,
    "`[[chains]]`": ChainConfig,
    "`[[chains.endpoints]]`": EndpointConfig,
    "`[chains.timing]`": TimingConfig,
    "`[[chains.contracts]]`": ContractConfig,
    "`[[accounts]]`": AccountConfig,
    "`[[pairs]]`": PairConfig,
    "`[[prices]]`": PriceConfig,
    "`[[tokens]]`": TokenConfig,
    "`[[limits]]`": LimitConfig,
    "`[[gas_per_exit]]`": ReserveConfig,
    "`[opening]`": OpeningConfig,
    "`[watchtower]`": WatchtowerConfig,
    "`[treasury]`": TreasuryConfig,
    "`[screening]`": ScreeningConfig,
    "`[[treasury.destinations]]`": DestinationConfig,
    "`[[treasury.top_up]]`": TopUpConfig,
    "`[report]`": ReportConfig,
    "`[webhooks]`": WebhooksConfig,
    "`[attest]`": AttestConfig,
    "`[swap_page]`": SwapPageConfig,
    "`[[swap_page.chains]]`": PageChainConfig,
    "The supervision API": RegulatorConfig,
    "Access tokens, `[tokens]`": TokensConfig,
    "`[sign_in]`": SignInConfig,
    "`[[clients]]`": ClientConfig,
    "`[[keys]]`": ApiKeyConfig,
    "`[usage]`": UsageConfig,
    "`[signing]`": SigningConfig,
    "`[anchoring]`": AnchoringConfig,
    "Webhooks of a supervision, `[[webhooks]]`": SupervisionWebhookConfig,
    "Swaps of your own": SwapConfig,
    "An index by itself": IndexConfig,
}
PLACES: dict[type[msgspec.Struct], tuple[str | int, ...]] = {
    RelayerConfig: (),
    ChainConfig: ("chains", 0),
    EndpointConfig: ("chains", 0, "endpoints", 0),
    TimingConfig: ("chains", 0, "timing"),
    PairConfig: ("pairs", 0),
    PriceConfig: ("prices", 0),
    LimitConfig: ("limits", 0),
    ReserveConfig: ("gas_per_exit", 0),
    OpeningConfig: ("opening",),
    WatchtowerConfig: ("watchtower",),
    AttestConfig: ("attest",),
    TopUpConfig: ("treasury", "top_up", 0),
    TokensConfig: ("tokens",),
    UsageConfig: ("usage",),
    AnchoringConfig: ("anchoring",),
}
"""The tables of a file that have members with bounds."""
OF_REGULATORS = (TokensConfig, UsageConfig, AnchoringConfig)
EXAMPLE = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One member as the page describes it; `least` and `most` are empty if it has no bound."""

    kind: type[msgspec.Struct]
    member: str
    default: str
    least: str
    most: str
    says: str


def sections() -> dict[str, str]:
    """The page's text under each heading that has a table of members."""
    found = re.split(r"^#{2,3} (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {heading: text for heading, text in zip(found[1::2], found[2::2], strict=True) if "| member |" in text}


def rows() -> list[Row]:
    made = []
    for heading, text in sections().items():
        for line in text.splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in line.strip("|").replace(r"\|", "¦").split("|")]
                member, default, least, most, says = cells
                made.append(Row(SECTIONS[heading], member.strip("`"), default, least, most, says))
    return made


BOUNDED = [row for row in rows() if row.least or row.most]


def examples() -> list[str]:
    return EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))


def relayer_table() -> dict[str, Any]:
    """A file in which every member with bounds can be moved to either end."""
    table: dict[str, Any] = tomllib.loads(examples()[0])
    ethereum, ledger = (chain["id"] for chain in table["chains"])
    there, back = table["pairs"]
    there |= {"rate": "1/1", "min_give": 10, "max_give": 20}
    back |= {"rate": "1/eth-cnyd"}
    table["prices"] = [{"name": "eth-cnyd", "file": "prices.json"}]
    table["limits"] = table["limits"][:1]
    table["gas_per_exit"] = copy.deepcopy(table["watchtower"]["max_exit_cost"])
    table["attest"] = {"foreign": ethereum, "home": ledger, "keys": ["operator"]}
    gas = {"asset": f"{ethereum}/slip44:60", "key": "funding", "low": 5, "target": 9, "per_day": 20}
    table.setdefault("treasury", {})["top_up"] = [gas]
    return table


def inside(table: Any, place: tuple[str | int, ...]) -> Any:
    for step in place:
        table = table.setdefault(step, {}) if isinstance(step, str) else table[step]
    return table


def faults_at(row: Row, value: float, tmp_path: Path) -> list[str]:
    """Return what `check` says about the member, or its table, with this value."""
    of_regulator = row.kind in OF_REGULATORS
    table = tomllib.loads(examples()[1]) if of_regulator else relayer_table()
    inside(table, PLACES[row.kind])[row.member] = value
    file = tmp_path / "file.toml"
    file.write_text(tomli_w.dumps(table))
    faults = Faults()
    if of_regulator:
        load_into(file, RegulatorConfig, faults)
    else:
        load_into(file, RelayerConfig, faults)
    found: list[str] = []
    try:
        faults.raise_any("file")
    except RejectedError as error:
        found = [line.strip().removeprefix("file: ") for line in error.message.splitlines()]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in PLACES[row.kind]).lstrip(".")
    names = (f"{place}.{row.member}".lstrip("."), place)
    return [fault for fault in found if fault.partition(": ")[0] in names]


def bound(row: Row, text: str) -> int:
    """`1,000`, `2^53`, `2^256 - 1`, or another member of the same table as it is in the example."""
    if text.startswith("`"):
        other = text.strip("`")
        default = {field.name: field.default for field in msgspec.structs.fields(row.kind)}
        return int(inside(relayer_table(), PLACES[row.kind]).get(other, default[other]))
    power = re.fullmatch(r"(2|10)\^(\d+)( - 1)?", text)
    return int(power[1]) ** int(power[2]) - bool(power[3]) if power else int(text.replace(",", ""))


def spoken(default: object) -> str:
    """How the page writes a default."""
    if default is None or default == ():
        return "none"
    if default == "":
        return "empty"
    if isinstance(default, tuple):
        return ", ".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_the_page_has_every_member_once() -> None:
    assert set(sections()) == set(SECTIONS)
    for kind in SECTIONS.values():
        documented = [row.member for row in rows() if row.kind is kind]
        required = [field.name for field in msgspec.structs.fields(kind)]
        assert sorted(documented) == sorted(required), kind.__name__


def test_a_default_on_the_page_is_the_models() -> None:
    for row in rows():
        field = {field.name: field for field in msgspec.structs.fields(row.kind)}[row.member]
        if field.required:
            assert row.default == "", row
        elif isinstance(field.default, msgspec.Struct):
            assert field.default == type(field.default)()
            assert row.default in ("below", "off")
        else:
            assert row.default == spoken(field.default), row


def test_every_number_of_the_model_has_bounds_on_the_page() -> None:
    for row in rows():
        hint = {field.name: field.type for field in msgspec.structs.fields(row.kind)}[row.member]
        number = hint in (int, int | None, float | None)
        assert number == bool(row.least), row


@pytest.mark.parametrize("row", BOUNDED, ids=lambda row: f"{row.kind.__name__}.{row.member}")
def test_a_bound_on_the_page_is_where_a_value_is_refused(row: Row, tmp_path: Path) -> None:
    if row.least == "above 0":
        assert faults_at(row, 0, tmp_path)
        assert not faults_at(row, 0.001, tmp_path)
    else:
        least = bound(row, row.least)
        assert not faults_at(row, least, tmp_path)
        assert faults_at(row, least - 1, tmp_path)
    if row.most:
        most = bound(row, row.most)
        assert not faults_at(row, most, tmp_path)
        assert faults_at(row, most + 1, tmp_path)


def test_the_allowances_on_the_page_are_the_policies() -> None:
    found = re.findall(r"^\| `(\w+_s)`: [^|]+ \| (\d+) \| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for number, name in enumerate(("production", "devnet"), 1):
        assert {row[0]: int(row[number]) for row in found} == msgspec.to_builtins(POLICIES[name])


def test_the_whole_files_on_the_page_are_accepted(tmp_path: Path) -> None:
    relayer, regulator = examples()
    file = tmp_path / "file.toml"
    file.write_text(relayer)
    lines = list(check_relayer(load(file, RelayerConfig)))
    assert sum("timelock" in line for line in lines) == 2
    file.write_text(regulator)
    assert load(file, RegulatorConfig).keys[0].scopes == ("report",)
    assert load(file, IndexConfig).chains
