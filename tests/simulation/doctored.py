"""Traces of swaps that were played, and copies in which one thing happened that the protocol does not allow."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from gateway.simulation.plan import Style
from gateway.simulation.story import play
from gateway.simulation.traces import NEIGHBOUR, Trace, specification
from tests.simulation.test_seeds import deal, plan

Step = dict[str, Any]


def second(name: str) -> int:
    """Return the specification's value for `TA`, `TB`, `Fund`, `Reveal`."""
    return int(specification("honest", False).value(name, {}))


@cache
def played(style: Style) -> Trace:
    """The trace of one swap of this style in a world in which nothing goes wrong."""
    [trace] = play(plan(deal(style))).traces
    return trace


def place(steps: list[Step], of: str, event: str, on: str, by: str | None = None) -> int:
    return next(
        at
        for at, step in enumerate(steps)
        if (step["of"], step["event"], step["on"]) == (of, event, on) and by in (None, step["by"])
    )


def bare(trace: Trace) -> Trace:
    """Only what the chains did and what was sent."""
    steps = tuple(step for step in trace.steps if step["of"] in ("chain", "wire"))
    return replace(trace, bounded=False, journals=frozenset(), steps=steps)


def earlier(steps: list[Step], moved: int, before: int) -> int:
    """One step happens right before another that it followed; where it is now."""
    assert before < moved
    steps.insert(before, {**steps.pop(moved), "at": steps[before]["at"]})
    return before


def later(steps: list[Step], first: int, at_s: int) -> int:
    """From one step on everything happens later, so that it happens at this second."""
    by_s = at_s - steps[first]["at"]
    assert by_s > 0
    steps[first:] = [{**step, "at": step["at"] + by_s} for step in steps[first:]]
    return first


@dataclass(frozen=True)
class Doctored:
    """`change` does to the steps what is not allowed, and returns where the specification has to notice."""

    name: str
    change: Callable[[list[Step]], int]
    journals: bool = False

    def trace(self) -> tuple[Trace, int]:
        """The trace, and the number of the step (from 1) that must be refused."""
        trace = played(Style.HONEST) if self.journals else bare(played(Style.HONEST))
        steps = list(trace.steps)
        at = self.change(steps)
        return replace(trace, steps=tuple(steps)), at + 1


def _reveals_too_soon(steps: list[Step]) -> int:
    sent = place(steps, "wire", "EffectSubmitted", "claimB")
    return earlier(steps, sent, place(steps, "chain", "LockFinal", "B"))


def _funds_too_soon(steps: list[Step]) -> int:
    sent = place(steps, "wire", "EffectSubmitted", "lockB")
    return earlier(steps, sent, place(steps, "chain", "LockFinal", "A"))


def _gate(transaction: str, gate: str, late_s: int) -> Callable[[list[Step]], int]:
    """The bytes leave so many seconds after the last moment of the gate."""

    def change(steps: list[Step]) -> int:
        sent = place(steps, "wire", "EffectSubmitted", transaction)
        return later(steps, sent, second("TB") - second(gate) - 1 + late_s)

    return change


def _again(of: str, event: str, on: str) -> Callable[[list[Step]], int]:
    def change(steps: list[Step]) -> int:
        at = place(steps, of, event, on)
        steps.insert(at + 1, steps[at])
        return at + 1

    return change


def refund(late_s: int, by: str = "initiator") -> Callable[[list[Step]], int]:
    """After the first lock nothing happens, and it is taken back so many seconds after its timelock, by the chain."""

    def change(steps: list[Step]) -> int:
        steps[place(steps, "wire", "EffectSubmitted", "lockB") :] = []
        at_s = second("TA") + late_s
        steps.append({"at": at_s, "of": "wire", "by": by, "event": "EffectSubmitted", "on": "refundA"})
        return len(steps) - 1

    return change


def _by_a_neighbour(transaction: str) -> Callable[[list[Step]], int]:
    """Who watches over another agreement locks nothing, and has no preimage to reveal."""

    def change(steps: list[Step]) -> int:
        at = place(steps, "wire", "EffectSubmitted", transaction)
        steps[at] = {**steps[at], "by": NEIGHBOUR}
        return at

    return change


def _refunded_after_the_claim(steps: list[Step]) -> int:
    last = steps[-1]
    steps += [
        {**last, "at": second("TA"), "of": "wire", "by": "initiator", "event": "EffectSubmitted", "on": "refundA"},
        {**last, "at": second("TA"), "of": "chain", "by": "chain", "event": "RefundSeen", "on": "A"},
    ]
    return len(steps) - 1


def _other_terms(steps: list[Step]) -> int:
    at = place(steps, "wire", "EffectSubmitted", "lockB")
    steps[at] = {**steps[at], "on": "another"}
    return at


def _final_before_it_is(steps: list[Step]) -> int:
    told = place(steps, "journal", "LockFinal", "A", "participant")
    return earlier(steps, told, place(steps, "chain", "LockFinal", "A"))


def _funds_unverified(steps: list[Step]) -> int:
    asked = place(steps, "outbox", "FundLeg", "lockB")
    return earlier(steps, asked, place(steps, "journal", "LockVerified", "A", "participant"))


def _unasked(steps: list[Step]) -> int:
    del steps[place(steps, "outbox", "RevealAndClaim", "claimB")]
    return place(steps, "journal", "EffectSubmitted", "claimB")


def _over_too_soon(steps: list[Step]) -> int:
    over = place(steps, "outbox", "Finished", "completed", "initiator")
    return earlier(steps, over, place(steps, "chain", "ClaimFinal", "B"))


def _knows_the_future(steps: list[Step]) -> int:
    at = place(steps, "journal", "LockFinal", "A", "participant")
    told = {**steps[at], "event": "TimeAdvanced"}
    steps.insert(at, {**told, "head": told["at"] + 1})
    return at


def _nothing_follows(of: str, event: str, on: str) -> Callable[[list[Step]], int]:
    """From this step on nothing happens, for long."""

    def change(steps: list[Step]) -> int:
        at = place(steps, of, event, on)
        steps[at:] = [{**steps[at], "at": second("TA"), "of": "journal", "event": "Agreed", "by": "participant"}]
        return at

    return change


DOCTORED = (
    Doctored("reveal-before-the-other-lock-is-final", _reveals_too_soon),
    Doctored("funding-before-the-other-lock-is-final", _funds_too_soon),
    Doctored("funding-after-the-gate", _gate("lockB", "Fund", 1)),
    Doctored("reveal-after-the-gate", _gate("claimB", "Reveal", 1)),
    Doctored("claimed-twice", _again("chain", "ClaimSeen", "A")),
    Doctored("locked-twice", _again("chain", "LockSeen", "B")),
    Doctored("refund-before-the-timelock", refund(-1)),
    Doctored("a-neighbour-s-refund-before-the-timelock", refund(-1, NEIGHBOUR)),
    Doctored("a-neighbour-s-lock", _by_a_neighbour("lockB")),
    Doctored("a-neighbour-s-reveal", _by_a_neighbour("claimB")),
    Doctored("refund-after-the-claim", _refunded_after_the_claim),
    Doctored("other-terms", _other_terms),
    Doctored("final-before-it-is", _final_before_it_is, journals=True),
    Doctored("funding-without-verification", _funds_unverified, journals=True),
    Doctored("asked-to-fund-twice", _again("outbox", "FundLeg", "lockB"), journals=True),
    Doctored("sent-without-asking", _unasked, journals=True),
    Doctored("completed-before-it-is-final", _over_too_soon, journals=True),
    Doctored("a-head-from-the-future", _knows_the_future, journals=True),
    Doctored("never-funded", _nothing_follows("outbox", "FundLeg", "lockB"), journals=True),
    Doctored("never-revealed", _nothing_follows("outbox", "RevealAndClaim", "claimB"), journals=True),
    Doctored("never-claimed", _nothing_follows("outbox", "ClaimLeg", "claimA"), journals=True),
)
IN_TIME = (
    Doctored("funding-at-the-last-second", _gate("lockB", "Fund", 0)),
    Doctored("reveal-at-the-last-second", _gate("claimB", "Reveal", 0)),
    Doctored("refund-at-the-timelock", refund(0)),
    Doctored("a-neighbour-s-refund-at-the-timelock", refund(0, NEIGHBOUR)),
)
"""The same, but just in time: nothing may be refused."""
