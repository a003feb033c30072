"""The embedded engine without a disk and without threads: the blocks, gates and rules that ship, in virtual time.

One validator signs all blocks. A block is final as soon as it is there (CometBFT: more than ⅔ of the power signed it),
so there are no reorgs; a chain whose validators do not agree makes no blocks at all.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from core.model.consortium import Claim, Refund, ResultCode, decode_transaction, encode_clock, transaction_hash
from core.model.consortium_orders import OFFICER
from core.model.errors import FatalError
from core.proofs.cometbft.types import KeyKind
from core.runtime.clock import Clock
from core.runtime.files import FileLock
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.feed import CommittedBlock
from local_chains.consortium.engine.home import Genesis, OperatorKey, ValidatorKey, create_genesis, parse_genesis
from local_chains.consortium.engine.mempool import Mempool
from local_chains.consortium.engine.proposal import genesis_tip
from local_chains.consortium.engine.rendering import decode
from local_chains.consortium.engine.verification import SignaturePool
from local_chains.consortium.ledger.execution import Result, process_proposal, proposer_clock_ms
from local_chains.consortium.ledger.genesis import GenesisAsset, GenesisMember, genesis_writes
from local_chains.consortium.state.ledger_state import KEPT_ROOTS, LedgerState
from local_chains.consortium.state.marks import may_hold
from local_chains.consortium.state.store import BlockHead, Changes, Store, StoredBlock
from local_chains.consortium.state.tables import MAX_HEADERS
from local_chains.consortium.state.tree import build

BLOCK_BYTES: Final = 1024 * 1024
"""Of transactions; no story has more of them at once."""
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
POWER: Final = 10


class Skewed:
    """A `Clock` that is off by so many seconds: the validator's own."""

    def __init__(self, inner: Clock, skew_s: int) -> None:
        self._inner = inner
        self._skew_s = skew_s

    def now(self) -> float:
        return self._inner.now() + self._skew_s

    def now_ns(self) -> int:
        return self._inner.now_ns() + self._skew_s * NS_PER_S

    def monotonic(self) -> float:
        return self._inner.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class BlockStore(Store):
    """The engine's store in memory. States are provable as far back as the ledger's state keeps their trees."""

    def __init__(self) -> None:
        self._blocks: list[StoredBlock] = []
        self._marks: list[bytes] = []
        self._counts: list[int] = []
        self._heights: dict[bytes, int] = {}
        self._places: dict[bytes, tuple[int, int]] = {}

    @property
    def first(self) -> int:
        return 1 if self._blocks else 0

    @property
    def provable_from(self) -> int:
        return max(0, len(self._blocks) - KEPT_ROOTS + 1)

    def keep(self, block: StoredBlock, transactions: Sequence[bytes], marks: bytes) -> None:
        """The next block, its transactions' hashes in order, and the marks of its events."""
        self._blocks.append(block)
        self._marks.append(marks)
        self._counts.append(len(transactions))
        self._heights[block.hash] = block.height
        self._places.update((name, (block.height, place)) for place, name in enumerate(transactions))

    async def close(self) -> None: ...

    async def append(
        self, block: StoredBlock, transactions: tuple[bytes, ...], changes: Changes, marks: bytes = b""
    ) -> None:
        self.keep(block, transactions, marks)

    async def heights(self) -> tuple[int, int]:
        return self.first, len(self._blocks)

    async def block(self, height: int) -> StoredBlock | None:
        return self._blocks[height - 1] if 0 < height <= len(self._blocks) else None

    async def block_by_hash(self, block_hash: bytes) -> StoredBlock | None:
        return await self.block(self._heights.get(block_hash, 0))

    async def height_of(self, block_hash: bytes) -> int | None:
        return self._heights.get(block_hash)

    async def heads(self, first: int, last: int) -> list[BlockHead]:
        found = reversed(self._blocks[max(first, 1) - 1 : max(last, 0)][-MAX_HEADERS:])
        return [
            BlockHead(one.height, one.size, one.block, one.commit, len(decode(one.block)["block"]["data"]["txs"]))
            for one in found
        ]

    async def transaction(self, tx_hash: bytes) -> tuple[int, int] | None:
        return self._places.get(tx_hash)

    async def marked(self, wanted: Sequence[bytes], first: int, last: int, limit: int) -> list[int]:
        heights = range(max(first, 1), min(last, len(self._blocks)) + 1)
        return [height for height in heights if may_hold(self._marks[height - 1], wanted)][:limit]

    async def entries(self, first: int, last: int, limit: int) -> list[tuple[int, int]]:
        heights = range(max(first, 1), min(last, len(self._blocks)) + 1)
        return [(height, self._counts[height - 1]) for height in heights][:limit]


class TownEngine(EmbeddedEngine):
    """`produce` makes the next block.

    `changed` is set once there is a new block, and is another one then. `counts` says under `ledger-…` how often the
    ledger refused what, by its own words, and what else came to pass.
    """

    def __init__(
        self,
        reference: str,
        clock: Clock,
        symbols: Sequence[str],
        issuer: bytes,
        officers: Sequence[bytes],
        counts: Counter[str],
    ) -> None:
        """`reference`: CometBFT's chain id. `issuer`: the address that may issue the assets called `symbols`;
        `officers`: those that sign orders."""
        key = ValidatorKey(KeyKind.ED25519, hashlib.sha256(f"{reference}/validator".encode()).digest())
        genesis = _genesis(reference, clock.now_ns(), key, symbols, issuer, officers)
        writes = genesis_writes(genesis.app_state, genesis.time.to_nanos() // NS_PER_MS)
        leaves = {name: leaf for name, leaf in writes.items() if leaf is not None}
        state = LedgerState(0, leaves, build(leaves))
        self.blocks = BlockStore()
        no_lock = FileLock(Path(reference))
        # Processes of their own live in real time.
        nobody = SignaturePool(0)
        tip = genesis_tip(genesis, state.app_hash)
        super().__init__(genesis, [key], self.blocks, state, tip, clock, no_lock, 0, nobody)
        self.changed = asyncio.Event()
        self.shown: dict[tuple[str, bytes], bytes] = {}
        """The nodes' answers about the newest state, by their settings and by what was asked; empty after each
        block."""
        self.written: Mapping[bytes, bytes | None] = {}
        """The changes of the newest block, None for what it deleted."""
        self.counts = counts
        self.held_up = 0
        """Claims and refunds that were not taken since an order holds somebody."""

    def submit(self, raw: bytes) -> Result:
        result = super().submit(raw)
        if result.code is not ResultCode.OK:
            self.counts[f"ledger-refused-{result.code.word}"] += 1
        if result.code is ResultCode.HELD and is_exit(raw):
            self.held_up += 1
        return result

    def produce(self, accept: Callable[[bytes], bool]) -> CommittedBlock:
        """The next block, of what waits and `accept` takes (by hash), in the order of arrival.

        What an account sent behind something that waits on waits, too: it could not be valid before it.
        """
        own_ms = self._now_ms()
        before = dict.fromkeys(self.mempool.reap(BLOCK_BYTES))
        entries = (encode_clock(proposer_clock_ms(self._state, own_ms)), *_taken(before, accept))
        if refusal := process_proposal(self._state, entries, own_ms):
            raise FatalError(f"a validator refuses the proposal: {refusal}")
        made = self._make(entries)
        self.blocks.keep(made.committed.stored, made.hashes, made.marks)
        self.written = made.changes.writes
        self._adopt(made)
        self.mempool.recheck_all()
        self._count(made.committed, before)
        self.shown = {}
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        return made.committed

    def forget_pending(self) -> None:
        """The validator starts again, and what waited there is gone."""
        self.counts["ledger-restart"] += 1
        self.counts["ledger-mempool-lost"] += len(self.mempool)
        self.mempool = Mempool(self.genesis.chain_id, self._state, self._signatures, self._now_ms)

    def _count(self, committed: CommittedBlock, before: dict[bytes, None]) -> None:
        for result in committed.results:
            if result.code is not ResultCode.OK:
                self.counts[f"ledger-failed-{result.code.word}"] += 1
        left = {*self.mempool.first(len(before)), *committed.block.txs}
        for raw in before:
            if raw not in left:
                expired = decode_transaction(raw).body.expiry_height <= committed.height
                self.counts["ledger-expired" if expired else "ledger-became-void"] += 1


def is_exit(raw: bytes) -> bool:
    """Return true for a transaction of nothing but claims and refunds."""
    return all(isinstance(message, Claim | Refund) for message in decode_transaction(raw).body.messages)


def _taken(waiting: dict[bytes, None], accept: Callable[[bytes], bool]) -> list[bytes]:
    taken, held = [], set[bytes]()
    for raw in waiting:
        sender = decode_transaction(raw).body.public_key
        if sender in held or not accept(transaction_hash(raw)):
            held.add(sender)
        else:
            taken.append(raw)
    return taken


def _genesis(
    reference: str, time_ns: int, key: ValidatorKey, symbols: Sequence[str], issuer: bytes, officers: Sequence[bytes]
) -> Genesis:
    operator = OperatorKey(hashlib.sha256(f"{reference}/operator".encode()).digest())
    assets = [GenesisAsset(symbol, issuer.hex(), 0) for symbol in symbols]
    others = [GenesisMember(f"officer-{n}", account.hex(), (OFFICER,)) for n, account in enumerate(officers)]
    validators = [(key.public_key, operator.public_key, POWER)]
    return parse_genesis(create_genesis(reference, time_ns, validators, assets, others=others))
