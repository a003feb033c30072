"""Proposer rotation: CometBFT's proposer-priority algorithm (CometBFT spec, "Proposer selection procedure")."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.proofs.cometbft.types import Validator, ValidatorSet
from local_chains.consortium.ledger.members import ValidatorUpdate

PRIORITY_WINDOW_FACTOR: Final = 2
"""Priorities spread over at most this many times the total power."""


NEWCOMER_SHIFT: Final = 3
"""A newcomer's priority is minus the total power and an eighth of it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The validators of one height, with priorities, and which of them proposes in its round 0."""

    validators: ValidatorSet
    proposer: Validator


def first_turn(validators: ValidatorSet) -> Turn:
    """The first height's: everybody begins at zero."""
    return next_turn(ValidatorSet(tuple(replace(member, proposer_priority=0) for member in validators.validators)))


def next_turn(validators: ValidatorSet, updates: Sequence[ValidatorUpdate] = ()) -> Turn:
    """One height after that of `validators`, the set changed by `updates` on the way.

    Raise `MalformedProofError` if they would leave no validators.
    """
    members = _updated(validators, updates) if updates else validators
    total = members.total_power
    raised = [
        replace(member, proposer_priority=member.proposer_priority + member.power) for member in _centred(members)
    ]
    chosen = min(raised, key=lambda member: (-member.proposer_priority, member.address))
    lowered = replace(chosen, proposer_priority=chosen.proposer_priority - total)
    return Turn(ValidatorSet(tuple(lowered if member is chosen else member for member in raised)), lowered)


def _updated(validators: ValidatorSet, updates: Sequence[ValidatorUpdate]) -> ValidatorSet:
    """As CometBFT's `ValidatorSet.UpdateWithChangeSet`."""
    members = {member.address: member for member in validators.validators}
    removed = {update.public_key.address for update in updates if not update.power}
    before_removals = validators.total_power
    for update in updates:
        known = members.get(update.public_key.address)
        if update.power:
            before_removals += update.power - (0 if known is None else known.power)
    # A newcomer starts behind everybody, so that leaving and coming back gains nothing.
    behind = -(before_removals + (before_removals >> NEWCOMER_SHIFT))
    for update in updates:
        known = members.get(update.public_key.address)
        priority = behind if known is None else known.proposer_priority
        members[update.public_key.address] = Validator(update.public_key, update.power, priority)
    staying = [member for address, member in members.items() if address not in removed]
    return ValidatorSet(tuple(_centred(ValidatorSet.of(staying))))


def _centred(validators: ValidatorSet) -> list[Validator]:
    """Priorities pulled together, then moved so that their average is about zero."""
    priorities = _within_window([member.proposer_priority for member in validators.validators], validators.total_power)
    # Floor division is what Go's big.Int.Div does for a positive divisor.
    average = sum(priorities) // len(priorities)
    return [
        replace(member, proposer_priority=priority - average)
        for member, priority in zip(validators.validators, priorities, strict=True)
    ]


def _within_window(priorities: list[int], total_power: int) -> list[int]:
    window = PRIORITY_WINDOW_FACTOR * total_power
    spread = max(priorities) - min(priorities)
    if spread <= window:
        return priorities
    ratio = (spread + window - 1) // window
    # Go's integer division truncates towards zero.
    return [priority // ratio if priority >= 0 else -(-priority // ratio) for priority in priorities]
