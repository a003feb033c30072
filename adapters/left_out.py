"""Events that a node leaves out: of a block that it still indexes it says that there are none.

A block says of itself whether it can have events at all (a header's `logsBloom`, by chance also where it has none), and
the node's receipts are kept apart from its index of events. So an empty answer that the block contradicts is settled
by the receipts.
"""

from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Final, TypeVar

from core.model.types import Height

K = TypeVar("K")

SETTLED_DEPTH: Final = 128
"""So far below the node's own head an empty answer is believed: nodes index a block within seconds of having it. On
mainnet these are 25 minutes. It bounds what a backfill pays for the question: full blocks allow nearly everything."""


def doubted(
    blocks: Iterable[tuple[Height, K]], told: Mapping[K, Sized], may_have: Callable[[K], bool], head: Height
) -> list[K]:
    """The blocks whose receipts have to be asked for: none of their events was told, though they may have some.

    `blocks` are (height, key), `told` the events by key, `head` the newest height of the endpoint that told them.
    """
    return [key for height, key in blocks if not told[key] and head - height < SETTLED_DEPTH and may_have(key)]
