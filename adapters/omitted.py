"""Events that a node omits: it says that a block has none, while it still indexes the block, or because it has
lost that part of its index.

A block says of itself whether it can have events at all (a header's `logsBloom`, by chance also if it has none), and
the node's receipts are kept apart from its index of events. So an empty answer that the block contradicts is settled
by the receipts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from core.model.types import Height

K = TypeVar("K")

SETTLED_DEPTH: Final = 128
"""So far below the node's own head every empty answer that is doubted is settled: nodes index a block within seconds of
having it. On mainnet these are 25 minutes."""
SAMPLES: Final = 4
"""Number of older blocks in doubt of one answer that are settled; all others are, too, if one of these has
events. It bounds what a backfill pays for the question: full blocks allow nearly everything."""


@dataclass(frozen=True, slots=True)
class Doubts(Generic[K]):
    """Blocks whose receipts are to be asked for: `first`, and `rest` if one of them shows events omitted."""

    first: Sequence[K]
    rest: Sequence[K]


def doubts(
    blocks: Iterable[tuple[Height, K]], events: Mapping[K, Sized], may_have: Callable[[K], bool], head: Height
) -> Doubts[K]:
    """Return the blocks of one answer that came without events, though they may have some.

    `blocks` are (height, key), `events` the events by key, `head` the newest height of the endpoint that gave them.
    """
    silent = [(height, key) for height, key in blocks if not events[key] and may_have(key)]
    new = [key for height, key in silent if head - height < SETTLED_DEPTH]
    old = [key for height, key in silent if head - height >= SETTLED_DEPTH]
    # Spread over the whole answer: what a node has lost are stretches of its chain.
    samples = old[:: max(1, -(-len(old) // SAMPLES))]
    return Doubts([*samples, *new], [key for key in old if key not in samples])
