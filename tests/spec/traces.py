"""`make spec-traces`: what the simulation plays, replayed by TLC against the specification (docs/spec/Trace.tla).

All traces of a campaign are checked at once, one search for each kind of swap (an honest initiator or a cheat, watched
or not). The replay that every seed has of its own (`gateway.simulation.traces`) has to say the same of every trace.
Exits 1 if a trace is refused, or if the two disagree; 0 with a reason if this machine has no Java.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.simulation import traces
from gateway.simulation.campaign import verdicts
from gateway.simulation.traces import CONSTANTS, MODULE, SPECIFICATION, Trace
from tests.spec.check import TIMEOUT_S, TLC

CAMPAIGN: Final = "Campaign"
TOLD: Final = re.compile(r'^<<"(accepted|stuck)", (\d+), (\d+)>>$', re.MULTILINE)


def reason_without_tlc() -> str | None:
    """Why TLC cannot be run here; None if it can."""
    if shutil.which("java") is None:
        return "No Java on this machine: TLC is not run. Install a Java runtime, 11 or later."
    return None if TLC.exists() else f"no {TLC}: run `make spec` once, which installs it"


def text(value: Any) -> str:
    """A value as TLA+ writes it."""
    match value:
        case bool():
            return str(value).upper()
        case int():
            return str(value)
        case str():
            return f'"{value}"'
        case tuple():
            return f"<<{', '.join(map(text, value))}>>"
        case frozenset():
            return f"{{{', '.join(sorted(map(text, value)))}}}"
        case Mapping():
            return f"[{', '.join(f'{name} |-> {text(one)}' for name, one in value.items())}]"
        case _:
            raise TypeError(f"TLA+ has no {type(value).__name__}")


def module(found: Sequence[Trace]) -> str:
    """Return the module that gives the traces, a definition each, and reports what becomes of them."""
    each = "\n".join(f"Trace{number} == {text(trace.value())}" for number, trace in enumerate(found, 1))
    return f"""---- MODULE {CAMPAIGN} ----
EXTENDS {MODULE}, TLC
{each}
Played == <<{", ".join(f"Trace{number}" for number in range(1, len(found) + 1))}>>
Reported ==
  IF Accepted THEN PrintT(<<"accepted", trace, step>>)
  ELSE ENABLED Replay \\/ PrintT(<<"stuck", trace, step>>)
====
"""


def configuration(initiator: str, watched: bool) -> str:
    constants = {**CONSTANTS, "Initiator": initiator, "Participant": "honest", "Watched": watched}
    lines = [f"  {name} = {text(value)}" for name, value in constants.items()]
    return "\n".join(["SPECIFICATION Replayed", "INVARIANT Reported", "CONSTANTS", *lines, "  Traces <- Played"])


def refused_by_tlc(found: Sequence[Trace]) -> list[int | None]:
    """For each trace the first step that TLC does not find allowed, None if it accepts the trace. Raise ValueError if
    TLC fails. All are of one kind."""
    [(initiator, watched)] = {(trace.initiator, trace.watched) for trace in found}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in SPECIFICATION.glob("*.tla"):
            shutil.copy(path, folder)
        (folder / f"{CAMPAIGN}.tla").write_text(module(found))
        (folder / f"{CAMPAIGN}.cfg").write_text(configuration(initiator, watched))
        command = ["java", "-Xss64m", "-XX:+UseParallelGC", "-cp", str(TLC), "tlc2.TLC", "-deadlock", "-workers", "1"]
        places = ["-metadir", str(folder / "states"), "-config", f"{CAMPAIGN}.cfg", f"{CAMPAIGN}.tla"]
        done = subprocess.run(
            [*command, *places],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise ValueError(done.stdout[-3_000:] + done.stderr[-500:])
    accepted, furthest = set[int](), dict[int, int]()
    for verdict, number, step in TOLD.findall(done.stdout):
        if verdict == "accepted":
            accepted.add(int(number))
        furthest[int(number)] = max(furthest.get(int(number), 0), int(step))
    return [None if number in accepted else furthest[number] for number in range(1, len(found) + 1)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.spec.traces", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes to share the seeds")
    given = parser.parse_args()
    if (reason := reason_without_tlc()) is not None:
        print(reason)
        return 0
    kinds: dict[tuple[str, bool], list[Trace]] = {}
    for verdict in verdicts(range(given.first, given.first + given.seeds), given.jobs, traced=True):
        for trace in verdict.traces:
            kinds.setdefault((trace.initiator, trace.watched), []).append(trace)
    failed = 0
    for (initiator, watched), found in sorted(kinds.items()):
        began = time.monotonic()
        steps = refused_by_tlc(found)
        for trace, step in zip(found, steps, strict=True):
            if step is not None:
                print(f"seed {trace.seed}, {trace.problem(step)}", flush=True)
            if (here := traces.refused(trace)) != step:
                print(f"seed {trace.seed}, deal {trace.number}: the replay without TLC says {here}, TLC {step}")
            failed += step is not None or here != step
        kind = f"{initiator} initiator{', watched' if watched else ''}"
        took_s = time.monotonic() - began
        print(f"{kind}: {len(found)} traces, {sum(len(one.steps) for one in found)} steps, {took_s:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
