"""Campaigns: what becomes of a story that breaks off, and of a campaign that is stopped."""

import json
import signal
import subprocess
import sys
from contextvars import Context

import pytest
import structlog

from core.runtime.clock import VirtualClock
from core.runtime.logging import get_logger
from gateway.simulation import __main__ as command
from gateway.simulation import campaign
from gateway.simulation.__main__ import STOPPED
from gateway.simulation.logbook import HEARD
from gateway.simulation.plan import CROWDED_TOWNS, RARE_TOWNS, SMALL_TOWNS
from gateway.simulation.verdict.problem import Kind
from gateway.simulation.wire import Wire

MANY = 500


@pytest.mark.parametrize("count", [0, 1, 12, 13, 200, 10_000])
def test_of_48_towns_four_are_dense_one_crowded_and_ten_rare(count: int) -> None:
    seeds, crowded = campaign.mixed(count), (count + 35) // 48
    dense = -(-count // 12) - crowded
    rare = (count + 8) // 12 + (count + 4) // 12 + (count + 13) // 24
    small = count - dense - crowded - rare
    runs = (0, dense), (CROWDED_TOWNS, crowded), (SMALL_TOWNS, small), (RARE_TOWNS, rare)
    assert sorted(seeds) == [seed for first, each in runs for seed in range(first, first + each)]
    assert [seed < SMALL_TOWNS for seed in seeds[:13]] == [True, *[False] * 11, True][: len(seeds)]
    rare_first = [RARE_TOWNS, RARE_TOWNS + 1, RARE_TOWNS + 2]
    assert [seed for seed in seeds[:13] if seed >= RARE_TOWNS] == rare_first[: len(seeds) // 4]


def test_what_is_left_of_a_mixed_campaign_is_four_runs() -> None:
    seeds = campaign.mixed(40)
    assert list(campaign.runs(seeds)) == [(0, 3), (CROWDED_TOWNS, 1), (SMALL_TOWNS, 27), (RARE_TOWNS, 9)]
    assert list(campaign.runs(seeds[14:])) == [(1, 2), (SMALL_TOWNS + 9, 18), (RARE_TOWNS + 3, 6)]
    assert list(campaign.runs(seeds[37:])) == [(SMALL_TOWNS + 25, 2), (RARE_TOWNS + 8, 1)]
    assert list(campaign.runs(())) == []


def test_a_story_that_breaks_off_is_a_problem_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(seed: int) -> None:
        raise ZeroDivisionError(seed)

    monkeypatch.setattr(campaign, "run", breaks_off)
    verdicts = list(campaign.verdicts(range(3, 5)))
    assert [verdict.plan.seed for verdict in verdicts] == [3, 4]
    [problem] = verdicts[0].problems
    assert problem.kind is Kind.STORY_UNENDED
    assert "ZeroDivisionError" in problem.text


@pytest.mark.parametrize("verbose", [True, False])
def test_what_parties_log_is_noted(verbose: bool) -> None:
    wire, before = Wire(VirtualClock(), {}), structlog.get_config()

    def story() -> None:
        HEARD.set(wire)
        get_logger("tests").debug("said", preimage=bytes(range(32)))

    try:
        campaign.quiet(verbose)
        Context().run(story)
        get_logger("tests").info("outside of any story")
    finally:
        structlog.configure(**before)
    [(sent, text)] = wire.logged
    assert sent == 0
    assert bytes(range(32)).hex() in text


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_campaign_that_is_stopped_says_what_it_has_seen(jobs: str) -> None:
    town = ["--first", str(SMALL_TOWNS), "--seeds", str(MANY), "--jobs", jobs]
    command = [sys.executable, "-m", "gateway.simulation", *town, "--verbose", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as playing:
        assert playing.stdout is not None
        try:
            while not playing.stdout.readline().startswith(f"seed {SMALL_TOWNS}: "):
                assert playing.poll() is None
            playing.send_signal(signal.SIGINT)
            said = playing.stdout.read().splitlines()
            assert playing.wait() == STOPPED
        finally:
            playing.kill()
    figures = json.loads(said[-1])
    played = figures["seeds"]
    assert 1 <= played < MANY
    assert figures["swaps"] > 0
    assert said[-2] == f"stopped: go on with --first {SMALL_TOWNS + played} --seeds {MANY - played}"


def test_where_there_is_no_terminal_a_line_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulation", "--first", str(SMALL_TOWNS), "--seeds", "3", "--jobs", "1"])
    monkeypatch.setattr(command, "TOLD_EVERY_S", 0.0)
    assert command.main() == 0
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" seeds, ")[0] for line in told] == ["1 of 3", "2 of 3", "3 of 3"]
    assert told[-1].endswith(" swaps/s, 0 problems")
    assert "about 0 min left" in told[-1]
