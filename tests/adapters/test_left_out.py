"""When an empty answer is asked about again."""

from adapters.left_out import SETTLED_DEPTH, doubted
from core.model.types import Height


def test_only_new_blocks_without_events_that_may_have_some_are_doubted() -> None:
    blocks = [(Height(height), height) for height in range(1_000)]
    told = {height: [1] if height % 2 else [] for height in range(1_000)}
    asked = doubted(blocks, told, lambda height: height % 3 == 0, Height(999))
    assert asked == [height for height in range(1_000 - SETTLED_DEPTH, 1_000) if height % 6 == 0]


def test_a_head_behind_the_block_doubts_it_too() -> None:
    """Endpoints behind one address need not be at one height."""
    assert doubted([(Height(10), "a")], {"a": ()}, lambda _: True, Height(5)) == ["a"]
