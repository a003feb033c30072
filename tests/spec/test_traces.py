"""TLC and the replay without it say the same of every trace, and find the same states."""

import re
import subprocess
from dataclasses import replace

import pytest

from gateway.simulation.plan import Style
from gateway.simulation.tla import Specification
from gateway.simulation.traces import SPECIFICATION, refused
from tests.simulation.doctored import DOCTORED, IN_TIME, bare, played
from tests.spec.check import TLC
from tests.spec.traces import reason_without_tlc, refused_by_tlc, text

SMALL = {
    **{"I": 0, "F": 1, "O": 0, "Lead": 0, "Lag": 0, "Ri": 0, "Rp": 0, "Ulock": 0, "Uclaim": 0},
    **{"Initiator": "any", "Participant": "honest", "Watched": True},
}
"""A world that is small enough to be searched twice."""


@pytest.fixture(autouse=True)
def _tlc():
    if (reason := reason_without_tlc()) is not None:
        pytest.skip(reason)


@pytest.mark.long
def test_tlc_refuses_the_same_steps_of_the_same_traces():
    found = [played(Style.HONEST), bare(played(Style.HONEST))]
    found += [doctored.trace()[0] for doctored in (*DOCTORED, *IN_TIME)]
    assert refused_by_tlc(found) == [refused(trace) for trace in found]
    assert [refused(trace) is None for trace in found].count(True) == 2 + len(IN_TIME)


def test_tlc_accepts_a_cheat_s_trace():
    trace = played(Style.LAST_SECOND)
    claimed = next(step for step in trace.steps if step["of"] == "chain" and step["event"] == "ClaimSeen")
    twice = replace(trace, steps=(*trace.steps, {**claimed, "at": trace.steps[-1]["at"]}))
    assert [refused(trace), refused(twice)] == [None, len(twice.steps)]
    assert refused_by_tlc([trace, twice]) == [None, len(twice.steps)]


@pytest.mark.long
def test_the_reader_finds_the_states_that_tlc_finds(tmp_path):
    model = Specification(SPECIFICATION, "Swap", SMALL)
    frontier, known = model.first("Init"), set[str]()
    while frontier:
        fresh = {repr(sorted((name, text(one)) for name, one in state.items())): state for state in frontier}
        frontier = [then for key, state in fresh.items() if key not in known for then in model.after("Next", state)]
        known |= fresh.keys()
    lines = [f"{name} = {text(value)}" for name, value in SMALL.items()]
    (tmp_path / "Swap.tla").write_text((SPECIFICATION / "Swap.tla").read_text())
    (tmp_path / "Swap.cfg").write_text("\n".join(["SPECIFICATION Spec", "CONSTANTS", *lines]))
    command = ["java", "-cp", str(TLC), "tlc2.TLC", "-deadlock", "-workers", "1", "Swap.tla"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    found = re.search(r"([\d,]+) distinct states found, 0 states left", done.stdout)
    assert found, done.stdout[-2_000:]
    assert len(known) == int(found.group(1).replace(",", "")) > 1_000
