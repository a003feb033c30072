"""Proposer rotation: values worked out by hand from CometBFT's algorithm, and its fairness."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs.cometbft.signing import public_key_of
from core.proofs.cometbft.types import (
    NIL_BLOCK_ID,
    BlockIdFlag,
    Commit,
    CommitSig,
    KeyKind,
    Timestamp,
    Validator,
    ValidatorSet,
)
from core.proofs.errors import MalformedProofError
from local_chains.consortium.engine.proposal import median_time
from local_chains.consortium.engine.rotation import first_turn, next_turn
from local_chains.consortium.ledger.members import ValidatorUpdate


def validators(*powers: int) -> ValidatorSet:
    return ValidatorSet.of(
        [
            Validator(public_key_of(KeyKind.ED25519, bytes([index + 1]) * 32), power)
            for index, power in enumerate(powers)
        ]
    )


def proposals(members: ValidatorSet, heights: int) -> list[int]:
    """The powers of the proposers of the first heights."""
    turn = first_turn(members)
    found = [turn.proposer.power]
    for _ in range(heights - 1):
        turn = next_turn(turn.validators)
        found.append(turn.proposer.power)
    return found


def test_priorities_by_hand() -> None:
    # Powers 5, 3, 1 (total 9). Step 1: 5, 3, 1 -> the first is chosen: -4, 3, 1. Step 2: 1, 6, 2 -> 1, -3, 2.
    # Step 3: 6, 0, 3 -> -3, 0, 3. Step 4: 2, 3, 4 -> 2, 3, -5.
    turn = first_turn(validators(5, 3, 1))
    seen = []
    for _ in range(4):
        seen.append([member.proposer_priority for member in turn.validators.validators])
        turn = next_turn(turn.validators)
    assert seen == [[-4, 3, 1], [1, -3, 2], [-3, 0, 3], [2, 3, -5]]


def test_equal_powers_take_turns_in_the_order_of_their_addresses() -> None:
    members = validators(1, 1, 1, 1)
    turn = first_turn(members)
    order = []
    for _ in range(8):
        order.append(turn.proposer.address)
        turn = next_turn(turn.validators)
    assert order == [member.address for member in members.validators] * 2


def test_a_lone_validator_always_proposes() -> None:
    assert proposals(validators(7), 5) == [7] * 5


@given(st.lists(st.integers(1, 50), min_size=1, max_size=7, unique=True))
def test_everybody_proposes_by_power_over_a_round_of_power(powers: list[int]) -> None:
    counts = Counter(proposals(validators(*powers), sum(powers)))
    assert all(abs(counts[power] - power) <= 1 for power in powers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Powers 2 and 1, window 2·3 = 6: a spread of 2000 is divided by ⌈2000/6⌉ = 334, giving 2 and -2.
        ((1_000, -1_000), [2 + 2 - 3, -2 + 1]),
        # A spread of 7 is divided by 2, towards zero: -1 and 2; their average 1/2 counts as 0.
        ((-3, 4), [-1 + 2, 2 + 1 - 3]),
        # The average of -4 and -1 is -3, rounded down: -1 and 2.
        ((-4, -1), [-1 + 2, 2 + 1 - 3]),
        ((0, 0), [0 + 2 - 3, 0 + 1]),
    ],
)
def test_priorities_are_pulled_together_and_centred(before: tuple[int, int], after: list[int]) -> None:
    members = [
        Validator(member.public_key, member.power, priority)
        for member, priority in zip(validators(2, 1).validators, before, strict=True)
    ]
    turned = next_turn(ValidatorSet(tuple(members)))
    assert [member.proposer_priority for member in turned.validators.validators] == after


def update(index: int, power: int) -> ValidatorUpdate:
    return ValidatorUpdate(public_key_of(KeyKind.ED25519, bytes([index + 1]) * 32), power)


def test_a_newcomer_begins_behind_everybody() -> None:
    # Powers 5, 3, 1 at -4, 3, 1. A fourth of 7 makes 16: it begins at -(16 + 2) = -18. The spread 21 is within 32; the
    # average of -18 is -5 (rounded down): 1, 8, 6, -13. Then everybody gets their power: 6, 11, 7, -6; 11 is the
    # highest.
    turn = next_turn(first_turn(validators(5, 3, 1)).validators, (update(3, 7),))
    found = {member.power: member.proposer_priority for member in turn.validators.validators}
    assert found == {5: 6, 3: 11 - 16, 1: 7, 7: -6}
    assert turn.proposer.power == 3
    assert [member.power for member in turn.validators.validators] == [7, 5, 3, 1]


def test_who_goes_takes_the_priority_and_who_changes_keeps_it() -> None:
    # Powers 5, 3, 1 at -4, 3, 1; the 3 goes, the 1 becomes 4, total 9. Left are -4 and 1, spread 5 within 18; average
    # -3 / 2 is -2 (rounded down): -2, 3. With the powers: 3, 7.
    turn = next_turn(first_turn(validators(5, 3, 1)).validators, (update(1, 0), update(2, 4)))
    assert {member.power: member.proposer_priority for member in turn.validators.validators} == {5: 3, 4: 7 - 9}
    assert turn.proposer.power == 4


def test_removals_count_for_where_a_newcomer_begins() -> None:
    # Powers 5, 3, 1 at -4, 3, 1. The 5 goes, a 2 comes: the total before removals is 11: it begins at -(11 + 1) = -12.
    # Left are 3, 1, -12: the spread 15, over the window 12, divides by 2, towards zero: 1, 0, -6. Average -5 / 3 is -2:
    # 3, 2, -4. With the powers: 6, 3, -2.
    turn = next_turn(first_turn(validators(5, 3, 1)).validators, (update(0, 0), update(3, 2)))
    assert {member.power: member.proposer_priority for member in turn.validators.validators} == {3: 0, 1: 3, 2: -2}


def test_somebody_stays() -> None:
    with pytest.raises(MalformedProofError):
        next_turn(first_turn(validators(5)).validators, (update(0, 0),))


@pytest.mark.parametrize(
    ("seconds_by_power", "median"),
    [
        # Half the power is 1: the earlier vote's weight reaches it.
        (((1, 10), (1, 20)), 10),
        (((1, 10), (1, 20), (1, 30)), 10),
        (((1, 10), (1, 20), (1, 30), (1, 40)), 20),
        (((5, 40), (1, 10), (1, 20)), 40),
        (((3, 30), (3, 10), (1, 20)), 10),
        (((3, 30), (2, 10), (2, 20)), 20),
        (((7, 5),), 5),
    ],
)
def test_block_time_is_the_weighted_median_of_the_votes(
    seconds_by_power: tuple[tuple[int, int], ...], median: int
) -> None:
    members = validators(*(power for power, _ in seconds_by_power))
    waiting = sorted(seconds_by_power, reverse=True)
    entries = []
    for member in members.validators:
        seconds = next(seconds for power, seconds in waiting if power == member.power)
        waiting.remove((member.power, seconds))
        entries.append(CommitSig(BlockIdFlag.COMMIT, member.address, Timestamp(seconds), b""))
    assert median_time(Commit(1, 0, NIL_BLOCK_ID, tuple(entries)), members) == Timestamp(median)
    late = [replace(entry, flag=BlockIdFlag.NIL, timestamp=Timestamp(10**6)) for entry in entries]
    assert median_time(Commit(1, 0, NIL_BLOCK_ID, (*entries, *late)), members) == Timestamp(median)
