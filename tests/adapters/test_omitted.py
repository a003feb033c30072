"""When an empty answer is asked about again."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.omitted import SAMPLES, SETTLED_DEPTH, doubts
from core.model.types import Height

HEAD = Height(999)
BLOCKS = [(Height(height), height) for height in range(1_000)]
OLD = 1_000 - SETTLED_DEPTH


def test_new_blocks_that_may_have_hidden_events_are_doubted() -> None:
    told = {height: [1] if height % 2 else [] for height in range(1_000)}
    asked = doubts(BLOCKS[OLD:], told, lambda height: height % 3 == 0, HEAD)
    assert asked.first == [height for height in range(OLD, 1_000) if height % 6 == 0]
    assert asked.rest == []


@given(st.sets(st.integers(0, OLD - 1)))
def test_few_old_blocks_all_over_the_answer_are_asked_first(silent: set[int]) -> None:
    told = {height: () if height in silent else (1,) for height in range(1_000)}
    asked = doubts(BLOCKS, told, lambda _: True, HEAD)
    assert sorted([*asked.first, *asked.rest]) == sorted(silent)
    assert len(asked.first) == min(SAMPLES, len(silent)) or len(silent) > SAMPLES >= len(asked.first) > SAMPLES // 2
    # Nowhere is a gap of more than half of them.
    places = [sorted(silent).index(key) for key in asked.first]
    assert all(after - before <= len(silent) // 2 + 1 for before, after in pairwise(places))


def test_a_head_behind_the_block_doubts_it_too() -> None:
    """Endpoints behind one address need not be at one height."""
    assert doubts([(Height(10), "a")], {"a": ()}, lambda _: True, Height(5)).first == ["a"]
