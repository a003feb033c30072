"""`make simulate-mutants`: what the simulation is worth, measured by bugs that are planted one at a time.

A mutant is a replacement of source text, done as the module is imported: no file changes. Each is played over the same
seeds until one fails; one that none fails has survived, and the simulation does not notice that bug.
"""

import argparse
import importlib.abc
import importlib.machinery
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SEEDS: Final = 200
JOBS: Final = 2
STUCK_S: Final = 900.0
"""A mutant that plays for so long is found: it hangs."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In the file at `path`, `old`, which stands there once, becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug: `harm` says in a sentence what it does."""

    name: str
    harm: str
    edits: tuple[Edit, ...]


TIMELOCKS, DECISIONS, CHECKS = "htlc/timelocks.py", "htlc/decisions.py", "relayer/checks.py"
EXECUTOR, PIPELINE, SIGNING = (
    "relayer/executor.py",
    "relayer/transactions/pipeline.py",
    "relayer/transactions/signing.py",
)
FEES, TABLES, INVENTORY = "relayer/transactions/fees.py", "relayer/transactions/tables.py", "relayer/inventory.py"
VOTING, OBSERVATIONS, DESK = "adapters/endpoints/voting.py", "relayer/observations.py", "relayer/swap_desk.py"


def _without(gate: str, term: str, old: str, new: str) -> Mutant:
    return Mutant(f"{gate}-without-{term}", f"The {gate} gate lacks its term {term}.", (Edit(TIMELOCKS, old, new),))


TERMS: Final = (
    _without("reveal", "2I", '"2·I_B": 2 * participant.inclusion_s', '"2·I_B": 0'),
    _without("reveal", "F", '"F_B": participant.finality_s', '"F_B": 0'),
    _without("reveal", "R", '"R_i": policy.initiator_outage_s', '"R_i": 0'),
    _without("reveal", "lead", '"lead_B": participant.lead_s', '"lead_B": 0'),
    _without("fund", "I", '        "I_B": participant.inclusion_s', '        "I_B": 0'),
    _without("fund", "F", '"F_B (lock)": participant.finality_s', '"F_B (lock)": 0'),
    _without("fund", "O", 'participant.observation_s,\n        "U_claim"', '0,\n        "U_claim"'),
    _without("fund", "U", '"U_claim": policy.claim_s', '"U_claim": 0'),
    _without("quote", "U", '"U_lock": policy.lock_s', '"U_lock": 0'),
    _without("quote", "I", '"I_A": initiator.inclusion_s', '"I_A": 0'),
    _without("quote", "F", '"F_A": initiator.finality_s,\n        "O_A"', '"F_A": 0,\n        "O_A"'),
    _without("quote", "O", '"O_A": initiator.observation_s', '"O_A": 0'),
    _without("gap", "lag", '"lag_B": participant.lag_s', '"lag_B": 0'),
    _without("gap", "O", '"O_B": participant.observation_s,\n        "2·I_A"', '"O_B": 0,\n        "2·I_A"'),
    _without("gap", "2I", '"2·I_A": 2 * initiator.inclusion_s', '"2·I_A": 0'),
    _without("gap", "F", '"F_A": initiator.finality_s,\n        "R_p"', '"F_A": 0,\n        "R_p"'),
    _without("gap", "R", '"R_p": policy.participant_outage_s', '"R_p": 0'),
    _without("gap", "lead", '"lead_A": initiator.lead_s', '"lead_A": 0'),
)

MACHINE: Final = (
    Mutant(
        "provider-never-funds",
        "The provider never locks its leg.",
        (
            Edit(
                DECISIONS,
                (
                    "        if state.verified is None or not first.open or not first.final or _is_skewed(state):\n"
                    "            return None\n"
                    "    return FundLeg"
                ),
                ("        return None\n    return FundLeg"),
            ),
        ),
    ),
    Mutant(
        "initiator-never-reveals",
        "The initiator never claims the other leg.",
        (
            Edit(
                DECISIONS,
                (
                    "    elif state.preimage is not None or _can_never_be_claimed(state, Leg.PARTICIPANT):\n"
                    "        return None\n"
                ),
                ("    else:\n        return None\n    if first:\n        return None\n"),
            ),
        ),
    ),
    Mutant(
        "reveal-on-an-unfinal-lock",
        "The initiator reveals as soon as the other lock is seen.",
        (
            Edit(
                DECISIONS,
                "ready = state.verified is not None and other.final and own.open",
                "ready = own.open",
            ),
            Edit(
                DECISIONS,
                (
                    "    if state.verified is None or not state.participant_leg.open:\n"
                    "        raise ConflictError(\"the participant's lock"
                ),
                ("    if not state.participant_leg.open:\n        raise ConflictError(\"the participant's lock"),
            ),
            Edit(
                CHECKS,
                "            self._lock_stands(other.lock_id, agreement.participant_leg, other.lock.block),\n",
                "",
            ),
        ),
    ),
    Mutant(
        "claim-never",
        "Nobody claims with a public preimage.",
        (
            Edit(
                DECISIONS,
                ("    if _can_never_be_claimed(state, leg):\n        return None\n    own_reveal"),
                ("    return None\n    own_reveal"),
            ),
        ),
    ),
    Mutant(
        "watchtower-never-claims",
        "A watchtower watches and does nothing.",
        (
            Edit(
                DECISIONS,
                "    return (Leg.INITIATOR,) if agreement.own_leg is None else (agreement.own_leg.other,)",
                "    return () if agreement.own_leg is None else (agreement.own_leg.other,)",
            ),
        ),
    ),
    Mutant(
        "claim-given-up-too-early",
        "A claim is given up a minute before the timelock.",
        (
            Edit(
                DECISIONS,
                "    return clock is not None and clock.finalized >= state.agreement.terms(leg).timelock",
                (
                    "    return clock is not None and clock.head.seconds + 60 >= "
                    "state.agreement.terms(leg).timelock.seconds"
                ),
            ),
        ),
    ),
    Mutant(
        "refund-never",
        "Nobody takes a lock back.",
        (
            Edit(
                DECISIONS,
                (
                    "    if facts.lock_id is None or not facts.open or not _timelock_passed(state, leg):\n"
                    "        return None\n"
                    "    return RefundLeg"
                ),
                ("    return None\n    return RefundLeg"),
            ),
        ),
    ),
    Mutant(
        "no-fund-gate",
        "The provider funds however little time is left.",
        (
            Edit(
                DECISIONS,
                "        timelocks.check_fund(now_s, t_b, second, policy)\n",
                "",
            ),
            Edit(
                CHECKS,
                "            check_fund(now_s, t_b, second, agreement.policy)\n",
                "            pass\n",
            ),
        ),
    ),
    Mutant(
        "no-reveal-gate",
        "The initiator reveals however little time is left.",
        (
            Edit(
                DECISIONS,
                (
                    "    timelocks.check_reveal(now_s, agreement.participant_leg.timelock, "
                    "agreement.participant_timing, policy)\n"
                ),
                "    return\n",
            ),
        ),
    ),
    Mutant(
        "one-failure-is-the-end",
        "What failed once is never asked for again.",
        (
            Edit(
                DECISIONS,
                "    return attempt.failed_at_s is None or clock.head.seconds > attempt.failed_at_s\n",
                "    return False\n",
            ),
        ),
    ),
)

MONEY: Final = (
    Mutant(
        "funding-on-an-unfinal-lock",
        "The provider funds as soon as it sees a lock, without asking a quorum.",
        (
            Edit(
                DECISIONS,
                "        if state.verified is None or not first.open or not first.final or _is_skewed(state):\n",
                "        if not first.open:\n",
            ),
            Edit(
                DECISIONS,
                "    if own is Leg.PARTICIPANT and (state.verified is None or not state.initiator_leg.open):\n",
                "    if own is Leg.PARTICIPANT and not state.initiator_leg.open:\n",
            ),
            Edit(
                CHECKS,
                "            waits.append(self._stands(other.lock_id, agreement.terms(own.other), seen))\n",
                "            pass\n",
            ),
        ),
    ),
    Mutant(
        "any-terms-will-do",
        "A lock under the hashlock is taken for the agreed one, whatever it pays.",
        (
            Edit(
                CHECKS,
                "        if not observed.terms_match:\n",
                "        if False:\n",
            ),
            Edit(
                "htlc/facts.py",
                "    if event.terms != terms:\n",
                "    if event.terms.hashlock != terms.hashlock:\n",
            ),
        ),
    ),
    Mutant(
        "no-exposure-limit",
        "Limits of exposure are not asked about.",
        (
            Edit(
                CHECKS,
                "            if now + new.amount > most:\n",
                "            if False:\n",
            ),
        ),
    ),
    Mutant(
        "no-fee-is-ever-raised",
        "A transaction that waits is never outbid.",
        (
            Edit(
                FEES,
                (
                    "    return waited >= patience or (bid.max_fee < market.base_fee + min(bid.priority_fee, "
                    "market.priority_fee))"
                ),
                "    return False",
            ),
        ),
    ),
    Mutant(
        "quorum-of-one",
        "One endpoint is enough for everything.",
        (
            Edit(
                VOTING,
                "        self.quorum = len(self.operators) // 2 + 1",
                "        self.quorum = 1",
            ),
        ),
    ),
    Mutant(
        "dropped-is-forgotten",
        "What nodes dropped, or a reorg took out, is not sent again.",
        (
            Edit(
                PIPELINE,
                "        return dropped or urgency.exits or record.cancelling",
                "        return False",
            ),
        ),
    ),
    Mutant(
        "expired-is-forgotten",
        "An exit that is about to expire is not signed again.",
        (
            Edit(
                PIPELINE,
                "            return left <= overlap and await self._sign_again(record, None)",
                "            return False",
            ),
        ),
    ),
    Mutant(
        "gate-forgotten-when-signed-again",
        "A lock is signed again though its gate has closed meanwhile.",
        (
            Edit(
                PIPELINE,
                "        return any(reason is not None for reason in reasons)",
                "        return False",
            ),
        ),
    ),
)

MUTANTS: Final = (*TERMS, *MACHINE, *MONEY)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with some of its text replaced, and never from or into a cache."""

    def __init__(self, fullname: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(fullname, path)
        self._edits = edits

    def get_code(self, fullname: str):  # type: ignore[no-untyped-def]
        source = Path(self.path).read_text(encoding="utf-8")
        for edit in self._edits:
            source = replaced(source, edit)
        return self.source_to_code(source.encode(), self.path)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, edits: Sequence[Edit]) -> None:
        self._by_path: dict[str, list[Edit]] = {}
        for edit in edits:
            self._by_path.setdefault(str(ROOT / edit.path), []).append(edit)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None):  # type: ignore[no-untyped-def]
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None or found.origin is None or found.origin not in self._by_path:
            return None
        found.loader = _Loader(fullname, found.origin, self._by_path[found.origin])
        return found


def replaced(source: str, edit: Edit) -> str:
    """The source with the edit done. Raise ValueError unless its text stands there exactly once."""
    if source.count(edit.old) != 1:
        raise ValueError(f"{edit.path}: {edit.old!r} stands there {source.count(edit.old)} times, not once")
    return source.replace(edit.old, edit.new)


def play_one(mutant: Mutant, seeds: Sequence[int]) -> int:
    """In a process of its own: play until a seed fails; print it as JSON."""
    sys.meta_path.insert(0, _Finder(mutant.edits))
    from gateway.simulation.campaign import quiet
    from gateway.simulation.story import run
    from gateway.simulation.verdict.problem import Kind, Problem

    quiet()
    for seed in seeds:
        try:
            problems = run(seed).problems
        except Exception as error:
            problems = (Problem(Kind.STORY_UNENDED, f"{type(error).__name__}: {error}"),)
        if problems:
            print(json.dumps({"seed": seed, "problem": str(problems[0])}))
            return 0
    print(json.dumps({"seed": None}))
    return 0


def found_by(mutant: Mutant, first: int, count: int) -> tuple[int | None, str]:
    """The seed that noticed the mutant and what it said; None for one that survived."""
    command = [sys.executable, "-m", "gateway.simulation.mutants", "--play", mutant.name]
    try:
        done = subprocess.run(
            [*command, "--first", str(first), "--seeds", str(count)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=STUCK_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return first, f"still playing after {STUCK_S:.0f} s"
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{mutant.name}: {error.stderr[-1_000:]}") from error
    said = json.loads(done.stdout.splitlines()[-1])
    return said["seed"], said.get("problem", "")


def results(mutants: Sequence[Mutant], first: int, count: int, jobs: int) -> Iterator[tuple[Mutant, int | None, str]]:
    """What became of each mutant, in their order."""
    with ThreadPoolExecutor(jobs) as pool:
        for mutant, (seed, problem) in zip(
            mutants, pool.map(lambda one: found_by(one, first, count), mutants), strict=True
        ):
            yield mutant, seed, problem


def main() -> int:
    """Exits 1 if a mutant survives."""
    parser = argparse.ArgumentParser(prog="python -m gateway.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds each may take")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=JOBS, help="mutants at a time")
    parser.add_argument("--only", help="those whose name holds this")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="end with one JSON object, for programs")
    given = parser.parse_args()
    if given.play is not None:
        [mutant] = [one for one in MUTANTS if one.name == given.play]
        return play_one(mutant, range(given.first, given.first + given.seeds))
    chosen = [one for one in MUTANTS if given.only is None or given.only in one.name]
    began, survived, seeds = time.monotonic(), [], {}
    for mutant, seed, problem in results(chosen, given.first, given.seeds, given.jobs):
        seeds[mutant.name] = seed
        survived += [mutant.name] if seed is None else []
        verdict = "SURVIVED" if seed is None else f"seed {seed}: {problem[:90]}"
        print(f"{mutant.name:<36} {verdict}", flush=True)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} found, {time.monotonic() - began:.0f} s")
    if given.json:
        print(json.dumps({"mutants": len(chosen), "found": len(chosen) - len(survived), "seeds": seeds}))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
