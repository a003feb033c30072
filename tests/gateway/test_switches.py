"""`causeway relayer pause|resume|drain|status`, by the database alone."""

import json
from pathlib import Path

import pytest

from core.model.errors import RejectedError
from core.runtime.clock import NS_PER_S
from core.runtime.database import create_schema, open_database
from gateway.config import PairConfig, RelayerConfig, to_toml
from gateway.switches import end_of, scope_of
from tests.gateway.test_cli import causeway
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

NOW_NS = 1_800_000_000 * NS_PER_S


@pytest.fixture
async def place(tmp_path: Path) -> Path:
    """A relayer's directory, with a database."""
    (tmp_path / "relayer.toml").write_text(to_toml(relayer()))
    database = open_database(f"sqlite:///{tmp_path}/relayer.sqlite")
    await database.write(create_schema)
    await database.close()
    return tmp_path


def pair_of(config: RelayerConfig) -> PairConfig:
    return config.pairs[0]


def test_words_name_everything_a_chain_or_a_pair() -> None:
    config = relayer()
    pair = pair_of(config)
    assert scope_of(config, []) == scope_of(config, ["all"]) == "all"
    assert scope_of(config, [ETHEREUM.id]) == ETHEREUM.id
    assert scope_of(config, [pair.give, pair.get]) == f"{pair.give}>{pair.get}"
    for wrong, sentence in (
        (["eip155:31338"], "did you mean eip155:31337"),
        (["ethereum"], "chain"),
        ([pair.give, pair.give], "no pair gives"),
        (["a", "b", "c"], "name nothing for everything"),
    ):
        with pytest.raises(RejectedError, match=sentence):
            scope_of(config, wrong)


@pytest.mark.parametrize(
    ("until", "length", "seconds"),
    [
        (None, None, None),
        (None, "30m", 1_800),
        (None, "2h", 7_200),
        (None, "1d", 86_400),
        (None, "5s", 5),
        ("2027-01-15T08:00:10Z", None, 10),
        ("2027-01-15T09:00:10+01:00", None, 10),
    ],
)
def test_the_end_of_a_pause_is_a_time_or_a_length(until: str | None, length: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else NOW_NS + seconds * NS_PER_S
    assert end_of(until, length, NOW_NS) == expected


@pytest.mark.parametrize(
    ("until", "length"),
    [
        *((None, length) for length in ("30", "0m", "-1h", "1w", "")),
        *((until, None) for until in ("tomorrow", "2027-01-15T08:00", "")),
        ("2027-01-15T08:00:10Z", "1h"),
    ],
)
def test_an_end_that_is_none_is_refused(until: str | None, length: str | None) -> None:
    with pytest.raises(RejectedError):
        end_of(until, length, NOW_NS)


def test_a_pause_is_stored_shown_and_lifted(place: Path) -> None:
    shown = causeway("relayer", "pause", ETHEREUM.id, "--reason", "node upgrade", "--for", "2h", cwd=place)
    assert (shown.returncode, shown.stdout.partition(";")[0]) == (
        0,
        f"{ETHEREUM.id} is paused by its operator: node upgrade",
    )
    assert causeway("relayer", "drain", cwd=place).returncode == 0
    status = json.loads(causeway("relayer", "status", "--json", cwd=place).stdout)
    assert [(one["scope"], one["cause"], one["reason"]) for one in status["switches"]] == [
        ("all", "drain", ""),
        (ETHEREUM.id, "operator", "node upgrade"),
    ]
    assert status["switches"][1]["until"] - status["switches"][1]["since"] in (7_200, 7_201)
    assert (status["swaps"], status["effects"]) == ({}, 0)
    lines = causeway("relayer", "status", cwd=place).stdout
    assert "node upgrade" in lines
    assert "open swaps: none" in lines
    resumed = json.loads(causeway("relayer", "resume", LEDGER.id, "--json", cwd=place).stdout)
    assert (resumed["lifted"], len(resumed["left"])) == ([], 2)
    resumed = json.loads(causeway("relayer", "resume", "--json", cwd=place).stdout)
    assert (len(resumed["lifted"]), resumed["left"]) == (2, [])
    assert "no switch is set" in causeway("relayer", "status", cwd=place).stdout


def test_a_drain_that_waits_returns_once_no_swap_is_open(place: Path) -> None:
    shown = causeway("relayer", "drain", "--wait", "--json", cwd=place)
    assert (shown.returncode, json.loads(shown.stdout.splitlines()[-1])) == (0, {"open": 0})


def test_a_switch_without_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "relayer.toml").write_text(to_toml(relayer()))
    for command in (["pause"], ["resume"], ["drain"], ["status"]):
        shown = causeway("relayer", *command, cwd=tmp_path)
        assert (shown.returncode, "no relayer has run" in shown.stderr) == (1, True)
    assert not (tmp_path / "relayer.sqlite").exists()


@pytest.mark.parametrize("option", [("--log-level", "loud"), ("--log-format", "xml")])
def test_a_log_that_does_not_exist_is_refused(place: Path, option: tuple[str, str]) -> None:
    shown = causeway("relayer", "run", *option, cwd=place)
    assert (shown.returncode, option[0] in shown.stderr) == (1, True)
