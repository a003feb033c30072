"""TLC and the replay without it say the same of every trace."""

from dataclasses import replace

import pytest

from gateway.simulation.plan import Style
from gateway.simulation.traces import refused
from tests.simulation.doctored import DOCTORED, IN_TIME, bare, played
from tests.spec.traces import reason_without_tlc, refused_by_tlc


@pytest.fixture(autouse=True)
def _tlc() -> None:
    if (reason := reason_without_tlc()) is not None:
        pytest.skip(reason)


@pytest.mark.long
def test_tlc_refuses_the_same_steps_of_the_same_traces() -> None:
    found = [played(Style.HONEST), bare(played(Style.HONEST))]
    found += [doctored.trace()[0] for doctored in (*DOCTORED, *IN_TIME)]
    assert refused_by_tlc(found) == [refused(trace) for trace in found]
    assert [refused(trace) is None for trace in found].count(True) == 2 + len(IN_TIME)


def test_tlc_accepts_a_cheat_s_trace() -> None:
    trace = played(Style.LAST_SECOND)
    claimed = next(step for step in trace.steps if step["of"] == "chain" and step["event"] == "ClaimSeen")
    twice = replace(trace, steps=(*trace.steps, {**claimed, "at": trace.steps[-1]["at"]}))
    assert [refused(trace), refused(twice)] == [None, len(twice.steps)]
    assert refused_by_tlc([trace, twice]) == [None, len(twice.steps)]
