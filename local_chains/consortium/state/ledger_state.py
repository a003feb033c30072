"""The newest state in memory, and older ones made from it when somebody asks."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Final

from core.model.errors import FatalError, NotFoundError, RetryableError
from core.proofs.ics23 import CommitmentProof, ExistenceProof, NonExistenceProof, existence_from_smt
from core.proofs.smt import SmtProof
from local_chains.consortium.state.store import Changes, Store
from local_chains.consortium.state.tree import Node, Progress, build, neighbours, prove, root_hash, update

KEPT_ROOTS: Final = 100
"""Heights whose trees stay in memory; older ones are made again from the database."""
KEPT_WRITES: Final = 50_000
"""Writes that all trees in memory may be apart: each costs about ten nodes."""
REMADE_ROOTS: Final = 4
MAX_REMAKING: Final = 8
"""Old states that are asked for while one is made again."""
REMAKE_BUDGET_S: Final = 5.0
REMAKE_SHARE: Final = 0.05
"""Seconds that remaking old states may take at once, and its share of the time in the long run: blocks wait for it."""


class LedgerState:
    """A `StateView` of the newest committed state. Trees are immutable, so threads may read them."""

    def __init__(self, height: int, leaves: dict[bytes, bytes], root: Node) -> None:
        self._height = height
        self._leaves = leaves
        self._root = root
        self._kept: deque[tuple[int, Node, dict[bytes, bytes | None]]] = deque([(height, root, {})])
        self._kept_writes = 0
        self._remade: OrderedDict[int, Node] = OrderedDict()
        self._remaking: dict[int, asyncio.Task[Node]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._budget_s, self._budget_at_s = REMAKE_BUDGET_S, time.monotonic()

    @property
    def height(self) -> int:
        return self._height

    @property
    def app_hash(self) -> bytes:
        return root_hash(self._root)

    @property
    def leaves(self) -> Mapping[bytes, bytes]:
        """The whole newest state; do not keep it across an `advance`."""
        return self._leaves

    def get(self, key: bytes) -> bytes | None:
        return self._leaves.get(key)

    def root_after(self, writes: Mapping[bytes, bytes | None]) -> Node:
        """The tree that the newest state would have after `writes`. Changes nothing."""
        return update(self._root, writes)

    def changes(self, writes: Mapping[bytes, bytes | None]) -> Changes:
        """`writes` with what they replace, for the store."""
        return Changes(writes, {key: self._leaves.get(key) for key in writes})

    def advance(self, changes: Changes, root: Node) -> None:
        """Make the state after the next block the newest; call it once the store has the block."""
        for key, leaf in changes.writes.items():
            if leaf is None:
                self._leaves.pop(key, None)
            else:
                self._leaves[key] = leaf
        self._height += 1
        self._root = root
        self._kept.append((self._height, root, dict(changes.replaced)))
        self._kept_writes += len(changes.replaced)
        while len(self._kept) > 1 and (len(self._kept) > KEPT_ROOTS or self._kept_writes > KEPT_WRITES):
            self._kept.popleft()
            self._kept_writes -= len(self._kept[0][2])

    async def query(self, store: Store, height: int, key: bytes) -> tuple[bytes | None, SmtProof]:
        """The leaf at `key` in the state after block `height`, None if there is none, and the proof of that.

        Raise `NotFoundError` for a height that is not reached yet or too old to be proven.
        """
        root = await self._root_at(store, height)
        return await self._leaf_at(store, height, key), prove(root, key)

    async def query_ics23(self, store: Store, height: int, key: bytes) -> tuple[bytes | None, CommitmentProof]:
        """`query` with its proof in ICS-23 form: of existence, or by the two leaves between which there is none.

        Raise `NotFoundError` also in a state with no other leaf, about which ICS-23 has nothing to say.
        """
        root = await self._root_at(store, height)
        leaf = await self._leaf_at(store, height, key)
        if leaf is not None:
            return leaf, existence_from_smt(key, leaf, prove(root, key))
        beside: list[ExistenceProof | None] = []
        for neighbour in neighbours(root, key):
            held = None if neighbour is None else await self._leaf_at(store, height, neighbour)
            if neighbour is None or held is None:
                beside.append(None)
            else:
                beside.append(existence_from_smt(neighbour, held, prove(root, neighbour)))
        left, right = beside
        if left is None and right is None:
            raise NotFoundError("an empty state has no ICS-23 proofs")
        return None, NonExistenceProof(key, left, right)

    async def _root_at(self, store: Store, height: int) -> Node:
        if height > self._height:
            raise NotFoundError(f"height {height} is not reached yet, the newest is {self._height}")
        if not max(store.provable_from, 0) <= height:
            raise NotFoundError(
                f"state is provable from height {store.provable_from} on only, that of {height} is pruned"
            )
        first = self._kept[0][0]
        return self._kept[height - first][1] if height >= first else await self._remake(store, height)

    async def _leaf_at(self, store: Store, height: int, key: bytes) -> bytes | None:
        """A height whose root is at hand."""
        first = self._kept[0][0]
        if height < first:
            return await store.leaf(height, key)
        leaf = self._leaves.get(key)
        for later in range(len(self._kept) - 1, height - first, -1):
            replaced = self._kept[later][2]
            if key in replaced:
                leaf = replaced[key]
        return leaf

    async def _remake(self, store: Store, height: int) -> Node:
        """The tree of an older height, made once for all that ask for it. Raise `NotFoundError`, and `RetryableError`
        while too much of this is going on."""
        if height in self._remade:
            self._remade.move_to_end(height)
            return self._remade[height]
        making = self._remaking.get(height)
        if making is None:
            if len(self._remaking) >= MAX_REMAKING or self._left_s() <= 0:
                raise RetryableError(f"too many old states are asked for, such as that of {height}: ask again later")
            making = self._remaking[height] = asyncio.create_task(self._make_again(store, height))
            making.add_done_callback(lambda _: self._remaking.pop(height, None))
        return await asyncio.shield(making)

    def _left_s(self) -> float:
        """How long making old states again may still take."""
        now = time.monotonic()
        self._budget_s = min(REMAKE_BUDGET_S, self._budget_s + REMAKE_SHARE * (now - self._budget_at_s))
        self._budget_at_s = now
        return self._budget_s

    async def _make_again(self, store: Store, height: int) -> Node:
        async with self._one_at_a_time:
            begun = time.monotonic()
            try:
                return await self._undone(store, height)
            finally:
                self._budget_s -= time.monotonic() - begun

    async def _undone(self, store: Store, height: int) -> Node:
        """The nearest newer tree in memory with everything undone that came after."""
        newer = min((other for other in self._remade if other > height), default=self._kept[0][0])
        base = self._remade[newer] if newer in self._remade else self._kept[0][1]
        undo = await store.undo(newer, height)
        root = await asyncio.to_thread(update, base, undo)
        stored = await store.block(height)
        if root_hash(root) != (None if stored is None else stored.app_hash):
            raise NotFoundError(f"the state of height {height} is too old to be proven by now")
        self._remade[height] = root
        while len(self._remade) > REMADE_ROOTS:
            self._remade.popitem(last=False)
        return root


async def load_state(store: Store, height: int, app_hash: bytes, progress: Progress | None = None) -> LedgerState:
    """The state as the store has it after block `height`. Raise `FatalError` if it is not that of `app_hash`.

    `progress` hears, in another thread, how many of how many leaves are in the tree.
    """
    leaves = await store.leaves()
    root = await asyncio.to_thread(build, leaves, progress)
    if root_hash(root) != app_hash:
        raise FatalError("the stored state does not lead to the stored app hash: restore the home from a backup")
    return LedgerState(height, leaves, root)
