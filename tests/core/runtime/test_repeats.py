"""A failure that lasts is said once, then counted; a library that was not asked says nothing."""

import io
import json
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest
import structlog

from core.runtime import logging as house_logs
from core.runtime.logging import configure_logging, get_logger, set_level, sum_up
from core.runtime.repeats import MAX_KNOWN, QUIET_S, Repeats


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def said(repeats: Repeats, level: str = "warning", **event: Any) -> dict[str, Any] | None:
    try:
        return dict(repeats(None, level, {"event": "down", "source": "x", **event}))
    except structlog.DropEvent:
        return None


def test_a_repeated_failure_is_said_once_then_with_its_count() -> None:
    time = Time()
    repeats = Repeats(time)
    assert said(repeats, reason="timeout") is not None
    for _ in range(7):
        time.now_s += 10
        assert said(repeats, reason="timeout") is None
    time.now_s = QUIET_S
    again = said(repeats, reason="timeout")
    assert again is not None
    assert again["repeated"] == 7
    assert said(repeats, reason="timeout") is None
    assert repeats.sum_up() == []
    time.now_s = 2 * QUIET_S
    assert repeats.sum_up() == [{"what": "down", "of": "x", "times": 1, "seconds": 300}]
    assert repeats.sum_up() == []
    fresh = said(repeats, reason="timeout")
    assert fresh is not None
    assert "repeated" not in fresh


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"reason": "block 7 is 30 s old"}, {"reason": "block 8 is 31.5 s old"}, True),
        ({"reason": "0xab12 is gone"}, {"reason": "0xCD34 is gone"}, True),
        ({"reason": "timeout"}, {"reason": "refused"}, False),
        ({"effect": "7:1:claim"}, {"effect": "8:1:claim"}, False),
        ({"chain": "eip155:1"}, {"chain": "eip155:2"}, False),
        ({"failures": 1, "delay_s": 0.2}, {"failures": 2, "delay_s": 0.5}, True),
        ({"tx": b"\1"}, {"tx": b"\2"}, False),
        ({"event": "up"}, {}, False),
        ({"source": "y"}, {}, False),
    ],
)
def test_messages_are_the_same_but_for_counters_and_numbers(
    first: dict[str, Any], second: dict[str, Any], same: bool
) -> None:
    repeats = Repeats(Time())
    assert said(repeats, **first) is not None
    assert (said(repeats, **second) is None) is same


def test_information_is_counted_only_if_it_has_a_reason() -> None:
    repeats = Repeats(Time())
    for _ in range(3):
        assert said(repeats, "info", swap="7") is not None
    assert said(repeats, "info", reason="no balance") is not None
    assert said(repeats, "info", reason="no balance") is None
    assert said(repeats, "error", reason="no balance") is not None, "another level is news"


def test_as_many_messages_are_remembered_as_the_limit_says() -> None:
    repeats = Repeats(Time())
    for number in range(MAX_KNOWN + 1):
        assert said(repeats, chain=str(number)) is not None
    assert said(repeats, chain="0") is not None
    assert said(repeats, chain=str(MAX_KNOWN)) is None
    assert len(repeats._known) == MAX_KNOWN


def test_the_end_of_a_process_says_what_was_counted(lines: io.StringIO) -> None:
    for _ in range(4):
        get_logger("x").warning("endpoint down", endpoint="one")
    sum_up(everything=True)
    first, last = map(json.loads, lines.getvalue().splitlines())
    assert (first["event"], first["endpoint"]) == ("endpoint down", "one")
    assert (last["event"], last["what"], last["of"], last["times"]) == ("said again", "endpoint down", "x", 3)


def test_the_level_changes_while_a_process_runs(lines: io.StringIO) -> None:
    log = get_logger("x")
    log.debug("before")
    set_level("debug")
    log.debug("after")
    set_level("error")
    log.warning("too quiet")
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == ["after"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(form: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", form, stream)
    try:
        treasure = "hunter2"
        raise ValueError(f"{len(treasure)} characters")
    except ValueError as error:
        get_logger("x").error("failed", exc_info=error)
        get_logger("x").exception("failed too")
        logging.getLogger("library").exception("failed in a library")
    assert stream.getvalue().count("ValueError: 7 characters") == 3
    assert "hunter2" not in stream.getvalue()


def test_threads_that_log_do_not_break_the_summary() -> None:
    repeats, ended, every = Repeats(), threading.Event(), sys.getswitchinterval()
    heard, summaries = list[bool](), list[dict[str, Any]]()

    def log_on() -> None:
        while not ended.is_set():
            heard.append(said(repeats, event=f"event {MAX_KNOWN + len(heard)}") is not None)

    for number in range(MAX_KNOWN):
        assert said(repeats, event=f"event {number}") is not None
    other = threading.Thread(target=log_on)
    sys.setswitchinterval(1e-6)
    try:
        other.start()
        for _ in range(200):
            summaries += repeats.sum_up()
    finally:
        ended.set()
        other.join()
        sys.setswitchinterval(every)
    assert heard
    assert all(heard), "each is said for the first time"
    assert summaries == [], "none has been said again"
    assert len(repeats._known) == MAX_KNOWN


LIBRARY = """
import sys
from relayer import client
from core.runtime.logging import get_logger
if "asked" in sys.argv:
    import logging
    logging.basicConfig(level="INFO", stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
log = get_logger("relayer.client")
log.info("swap agreed", swap="7", name="x", args=3)
log.warning("it fails", reason="timeout")
try:
    raise ValueError("seven")
except ValueError as error:
    log.error("a bug", exc_info=error)
"""


@pytest.mark.parametrize("asked", [False, True])
def test_the_client_logs_nothing_unless_it_is_asked(asked: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY, *(["asked"] if asked else [])], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    if not asked:
        assert done.stderr == ""
        return
    assert "INFO causeway.relayer.client swap agreed swap=7 name=x args=3" in done.stderr
    assert "WARNING causeway.relayer.client it fails reason=timeout" in done.stderr
    assert "ValueError: seven" in done.stderr


def test_loggers_that_came_first_follow_the_configuration(lines: io.StringIO) -> None:
    house_logs.get_logger("early").info("noted")
    assert json.loads(lines.getvalue())["source"] == "early"
