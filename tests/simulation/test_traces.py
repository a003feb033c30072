"""Every seed's swaps are replayed against the specification, which refuses what the protocol does not allow."""

import json
import subprocess
import sys
from typing import Any

import pytest

from core.runtime.clock import run_virtually
from gateway.simulation.campaign import report
from gateway.simulation.mutants import ROOT
from gateway.simulation.plan import B, Stranger, Style
from gateway.simulation.story import play
from gateway.simulation.traces import of, problems, refused
from tests.simulation.doctored import DOCTORED, IN_TIME, played
from tests.simulation.stage import PREIMAGE, Stage
from tests.simulation.test_seeds import deal, plan

BY_TRACES_ALONE = (
    ("funding-on-an-unfinal-lock", Style.HONEST, "outbox: participant, FundLeg lockB"),
    ("any-terms-will-do", Style.LOCKS_TOO_LITTLE, "participant,"),
    ("reveal-on-an-unfinal-lock", Style.HONEST, "outbox: initiator, RevealAndClaim claimB"),
    ("provider-never-funds", Style.HONEST, "journal: participant, TimeAdvanced"),
    ("claim-never", Style.HONEST, ""),
    ("gap-without-R", Style.HONEST, "its timelocks are"),
)
MUTATED = """
import json, sys
from gateway.simulation.mutants import MUTANTS
from gateway.simulation.mutants.planting import Planter
[mutant] = [one for one in MUTANTS if one.name == sys.argv[1]]
sys.meta_path.insert(0, Planter(mutant.edits))
from gateway.simulation.campaign import quiet
from gateway.simulation.plan import Style
from gateway.simulation.story import play
from gateway.simulation.traces import problems
from tests.simulation.stage import PREIMAGE, Stage
from tests.simulation.test_seeds import deal, plan
quiet()
print(json.dumps(list(problems(play(plan(deal(Style(sys.argv[2])))).traces))))
"""
"""Plays one swap with a bug planted, and judges it by its trace and by nothing else."""


@pytest.mark.parametrize("style", Style)
def test_a_calm_swap_is_accepted_whatever_the_initiator(style: Style) -> None:
    [trace] = play(plan(deal(style))).traces
    assert trace.bounded is (style is not Style.DOUBLE_SPENDS)  # which needs a reorg
    assert list(problems([trace])) == []


def test_a_trace_has_every_account_of_what_happened() -> None:
    steps = played(Style.HONEST).steps
    assert {step["of"] for step in steps} == {"chain", "wire", "journal", "outbox"}
    assert {step["by"] for step in steps} == {"chain", "initiator", "participant"}
    assert [step["event"] + step["on"] for step in steps if step["of"] == "chain" and "Seen" in step["event"]] == [
        "LockSeenA",
        "LockSeenB",
        "ClaimSeenB",
        "ClaimSeenA",
    ]


def test_an_exit_for_another_agreement_is_a_neighbour_s() -> None:
    """A stranger has the relayer watch over what it called off, and it gives back the lock that came too late."""
    watched = plan(deal(Style.LOCKS_LATE), strangers=frozenset({Stranger.BOGUS_WATCHES}))
    verdict = play(watched)
    [trace] = verdict.traces
    sent = [step["by"] for step in trace.steps if (step["of"], step["on"]) == ("wire", "refundA")]
    assert sent[0] == "neighbour"
    assert verdict.ok, report(verdict)


def test_bytes_with_the_preimage_are_a_claim_of_either_leg() -> None:
    """As a provider sends them who watches over another agreement, under which its own leg is the initiator's."""

    async def sent() -> set[str]:
        stage = Stage()
        leg = (await stage.played()).participant_leg
        place, sender = stage.lock_of(leg)[1], stage.relayer.accounts[B]
        claim = stage.world.chains[B].access().legs.claim(leg, place, PREIMAGE, sender)
        stage.note(stage.relayer, B, await stage.sign(stage.relayer, claim))
        [trace] = await of(stage.record)
        return {step["on"] for step in trace.steps if (step["of"], step["by"]) == ("wire", "participant")}

    assert run_virtually(sent()) == {"lockB", "claimA", "claimB"}


@pytest.mark.parametrize("doctored", DOCTORED, ids=lambda one: one.name)
def test_what_the_protocol_forbids_is_refused_at_its_step(doctored: Any) -> None:
    trace, step = doctored.trace()
    assert refused(trace) == step
    [problem] = problems([trace])
    assert f"refuses step {step}" in problem


@pytest.mark.parametrize("doctored", IN_TIME, ids=lambda one: one.name)
def test_what_is_just_in_time_is_accepted(doctored: Any) -> None:
    trace, _ = doctored.trace()
    assert refused(trace) is None


@pytest.mark.long
@pytest.mark.parametrize(("mutant", "style", "problem"), BY_TRACES_ALONE, ids=[one[0] for one in BY_TRACES_ALONE])
def test_a_planted_bug_is_refused_by_the_trace_alone(mutant: Any, style: Style, problem: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MUTATED, mutant, style],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout.splitlines()[-1])
    assert problem in found
