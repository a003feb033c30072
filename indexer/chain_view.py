"""How a chain is followed, decided purely: what to fetch next, where two branches part, which facts follow.

Invariant: the window of a `ChainView` is linked. Each header's parent is the header before it; the first is the newest
finalized block (or, before anything is final, the first block indexed); the last is the tip. Older headers are in the
database, so that a common ancestor is found at any depth.

Three facts come out and nothing else: `BlockReverted` (newest first), `BlockApplied` (oldest first), `BlockFinalized`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.model.errors import ReorgedError, require
from core.model.facts import Block, BlockApplied, BlockFinalized, BlockHeader, BlockReverted, FollowerFact, HeadUpdate
from core.model.types import BlockRef, ChainId, Height


@dataclass(frozen=True, slots=True)
class ChainView:
    """The linked window of one chain. `finalized` is None before anything is final, else the window's first block.

    `start` is the first height that is indexed. Raise `FatalError` when the headers are not linked.
    """

    chain: ChainId
    start: Height
    window: tuple[BlockHeader, ...] = ()
    finalized: BlockRef | None = None

    def __post_init__(self) -> None:
        check_linked(self.window)
        require(
            self.finalized is None or (bool(self.window) and self.window[0].ref == self.finalized),
            "a window of unfinalized blocks begins at the finalized one",
            chain=self.chain,
        )

    @property
    def tip(self) -> BlockHeader | None:
        return self.window[-1] if self.window else None

    @property
    def next_height(self) -> Height:
        """The height that comes next on our branch."""
        return Height(self.window[-1].height + 1) if self.window else self.start

    def at(self, height: Height) -> BlockHeader | None:
        """Our header at this height, None outside the window."""
        if not self.window:
            return None
        place = height - self.window[0].height
        return self.window[place] if 0 <= place < len(self.window) else None


def check_linked(headers: Sequence[BlockHeader]) -> None:
    """Raise `FatalError` unless each header is the next one's parent."""
    for parent, child in pairwise(headers):
        require(links(parent, child), "headers of a window are linked parent to hash", height=child.height)


def links(parent: BlockHeader, child: BlockHeader) -> bool:
    return child.parent_hash == parent.ref.hash and child.height == parent.height + 1


@dataclass(frozen=True, slots=True)
class InSync:
    """Our tip is, or descends from, the reported head: nothing to fetch. A lower head with an equal hash ends here."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Blocks first..last, inclusive, would extend our branch if they link to it."""

    first: Height
    last: Height


@dataclass(frozen=True, slots=True)
class Diverged:
    """The head is not ours at a height that we have: find the common ancestor, at `top` or below."""

    top: Height


def next_step(view: ChainView, head: BlockHeader, limit: int) -> InSync | Fetch | Diverged:
    """Return the next step about a reported head, fetching at most `limit` blocks at once."""
    if view.tip is not None and head.height <= view.tip.height:
        ours = view.at(head.height)
        return InSync() if ours is not None and ours.ref == head.ref else Diverged(head.height)
    if view.tip is not None and head.height == view.next_height and not links(view.tip, head):
        return Diverged(view.tip.height)
    if head.height < view.next_height:
        return InSync()
    return Fetch(view.next_height, Height(min(head.height, view.next_height + limit - 1)))


@dataclass(frozen=True, slots=True)
class AncestorSearch:
    """The greatest height at which two branches agree, found in O(log depth) comparisons.

    Hash-linked branches agree up to their fork and nowhere above, so that doubling steps down and then halving finds
    it. `agree` is the greatest height known to agree (`floor - 1`: none yet), `differ` the lowest known to differ.
    """

    floor: int
    agree: int
    differ: int
    step: int = 1

    @classmethod
    def between(cls, floor: Height, top: Height) -> "AncestorSearch":
        """Search floor..top, both included."""
        return cls(floor=floor, agree=floor - 1, differ=top + 1)

    @property
    def probe(self) -> Height | None:
        """The height to compare next, None when the answer is known."""
        if self.differ - self.agree <= 1:
            return None
        if self.agree < self.floor:
            return Height(max(self.floor, self.differ - self.step))
        return Height((self.agree + self.differ) // 2)

    def answered(self, height: Height, agrees: bool) -> "AncestorSearch":
        """The search after comparing at `height`."""
        if agrees:
            return replace(self, agree=height)
        return replace(self, differ=height, step=self.step * 2)

    @property
    def ancestor(self) -> Height | None:
        """The answer once `probe` is None; None when the branches agree nowhere from `floor` on."""
        return Height(self.agree) if self.agree >= self.floor else None


@dataclass(frozen=True, slots=True)
class Advance:
    """The facts of one step, the view after it, and whether it took back blocks that had been final (`deep`)."""

    view: ChainView
    facts: tuple[FollowerFact, ...]
    deep: bool

    @property
    def applied(self) -> list[Block]:
        return [fact.block for fact in self.facts if isinstance(fact, BlockApplied)]

    @property
    def reverted(self) -> list[BlockRef]:
        return [fact.ref for fact in self.facts if isinstance(fact, BlockReverted)]


def reconcile(
    local: Sequence[BlockHeader], remote: Sequence[BlockHeader]
) -> tuple[tuple[BlockHeader, ...], tuple[BlockHeader, ...]]:
    """(reverted newest first, applied oldest first) that turn branch `local` into branch `remote`.

    Both are linked and begin at the same height; a branch that is a beginning of the other only shortens or extends it.
    """
    same = 0
    while same < min(len(local), len(remote)) and local[same].ref == remote[same].ref:
        same += 1
    return tuple(reversed(local[same:])), tuple(remote[same:])


def advance(
    view: ChainView,
    ancestor: Height | None,
    branch: Sequence[Block],
    finalized: BlockHeader,
    older: tuple[BlockHeader, ...] = (),
) -> Advance:
    """Replace what is above `ancestor` by `branch`, then finalize as far as `finalized` allows.

    `ancestor` is the tip's height if nothing is replaced, None if no block of ours survives. If it lies below
    the window, `older` are our headers from it (or from the first one) up to the window. During backfill a branch below
    `finalized` is final as a whole: it was read by canonical height. Raise `ReorgedError` when the branch does not
    link, or ours is not the branch that is finalized.
    """
    local = older + view.window
    check_linked(local[: len(older) + 1])
    base = () if ancestor is None else tuple(header for header in local if header.height <= ancestor)
    require(ancestor is None or bool(base), "our headers must reach down to the common ancestor", chain=view.chain)
    grown = base + tuple(block.header for block in branch)
    for parent, child in pairwise(grown[max(len(base) - 1, 0) :]):
        if not links(parent, child):
            raise ReorgedError(f"block {child.height} of {view.chain} does not follow the block before it")
    reverted, applied = reconcile(local, grown)
    deep = view.finalized is not None and bool(reverted) and reverted[-1].height <= view.finalized.height
    kept = view.finalized if not deep else (base[-1].ref if base else None)
    final = _final_block(grown, kept, finalized)
    facts: list[FollowerFact] = [BlockReverted(header.ref) for header in reverted]
    facts += [BlockApplied(block) for block in branch[len(branch) - len(applied) :]]
    if final is not None and final != kept:
        facts.append(BlockFinalized(final))
    newest = final or kept
    window = tuple(header for header in grown if newest is None or header.height >= newest.height)
    return Advance(ChainView(view.chain, view.start, window, newest), tuple(facts), deep)


def _final_block(window: Sequence[BlockHeader], kept: BlockRef | None, finalized: BlockHeader) -> BlockRef | None:
    """The newest block of ours that is final now; never one below `kept`, which was final before."""
    if not window or finalized.height < window[0].height:
        return kept
    if finalized.height > window[-1].height:
        candidate = window[-1].ref
    else:
        candidate = window[finalized.height - window[0].height].ref
        if candidate != finalized.ref:
            raise ReorgedError(f"the finalized block {finalized.height} of {finalized.chain} is not on our branch")
    return candidate if kept is None or candidate.height > kept.height else kept


def behind(view: ChainView, update: HeadUpdate) -> int:
    """How many blocks the tip is behind the reported head, 0 if it is ahead of a lagging endpoint."""
    return max(0, update.head.height - view.next_height + 1)
