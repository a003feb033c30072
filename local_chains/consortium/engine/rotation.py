"""Proposer rotation: CometBFT's proposer-priority algorithm (CometBFT spec, "Proposer selection procedure")."""

from dataclasses import dataclass, replace
from typing import Final

from core.proofs.cometbft.types import Validator, ValidatorSet

PRIORITY_WINDOW_FACTOR: Final = 2
"""Priorities spread over at most this many times the total power."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The validators of one height, with priorities, and which of them proposes in its round 0."""

    validators: ValidatorSet
    proposer: Validator


def first_turn(validators: ValidatorSet) -> Turn:
    """The first height's: everybody begins at zero."""
    return next_turn(ValidatorSet(tuple(replace(member, proposer_priority=0) for member in validators.validators)))


def next_turn(validators: ValidatorSet) -> Turn:
    """One height after that of `validators`, the set staying the same."""
    total = validators.total_power
    priorities = _within_window([member.proposer_priority for member in validators.validators], total)
    # Floor division is what Go's big.Int.Div does for a positive divisor.
    average = sum(priorities) // len(priorities)
    raised = [
        replace(member, proposer_priority=priority - average + member.power)
        for member, priority in zip(validators.validators, priorities, strict=True)
    ]
    chosen = min(raised, key=lambda member: (-member.proposer_priority, member.address))
    lowered = replace(chosen, proposer_priority=chosen.proposer_priority - total)
    members = tuple(lowered if member is chosen else member for member in raised)
    return Turn(ValidatorSet(members), lowered)


def _within_window(priorities: list[int], total_power: int) -> list[int]:
    window = PRIORITY_WINDOW_FACTOR * total_power
    spread = max(priorities) - min(priorities)
    if spread <= window:
        return priorities
    ratio = (spread + window - 1) // window
    # Go's integer division truncates towards zero.
    return [priority // ratio if priority >= 0 else -(-priority // ratio) for priority in priorities]
