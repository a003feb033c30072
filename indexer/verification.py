"""The database's record of a chain against an endpoint's answer now: header by header, event by event."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from core.model.facts import Block
from core.model.types import ChainId, Height
from indexer.feed import block_events
from indexer.store import canonical_headers


@dataclass(frozen=True, slots=True)
class Difference:
    """A height at which the two do not say the same, and what: the header, the events, or the block altogether."""

    height: Height
    what: str


def pick_ranges(
    first: Height, last: Height, count: int, length: int, rng: random.Random
) -> list[tuple[Height, Height]]:
    """At most `count` ranges of `length` blocks within first..last, in order, without overlap.

    All of first..last if that is no more than they hold.
    """
    slots = range(first, last + 1, length)
    chosen = sorted(rng.sample(slots, min(count, len(slots))))
    return [(Height(start), Height(min(last, start + length - 1))) for start in chosen]


def stored_blocks(connection: Connection, chain: ChainId, first: Height, last: Height) -> list[Block]:
    """Our blocks first..last of the canonical chain with their events."""
    headers = canonical_headers(connection, chain, first, last)
    events = block_events(connection, chain, [header.ref.hash for header in headers])
    return [Block(header, events.get(header.ref.hash, ())) for header in headers]


def compare(ours: Sequence[Block], theirs: Sequence[Block]) -> list[Difference]:
    """Return the differences between two ranges of blocks, by height."""
    mine = {block.header.height: block for block in ours}
    found = []
    for block in theirs:
        height, own = block.header.height, mine.pop(block.header.height, None)
        if own is None:
            found.append(Difference(height, "the index has no such block"))
        elif own.header != block.header:
            found.append(
                Difference(
                    height,
                    f"the index has block {own.header.ref.hash.hex()}, the endpoint {block.header.ref.hash.hex()}",
                )
            )
        elif own.events != block.events:
            found.append(Difference(height, _events(own, block)))
    found += [Difference(height, "the endpoint has no such block") for height in mine]
    return sorted(found, key=lambda difference: difference.height)


def _events(ours: Block, theirs: Block) -> str:
    both = {logged.index for logged in set(ours.events) ^ set(theirs.events)}
    places = ", ".join(map(str, sorted(both)[:8]))
    return f"the index has {len(ours.events)} events, the endpoint {len(theirs.events)}; they differ at index {places}"
