"""The embedded engine: all validators in one process, the same blocks, headers and commits as CometBFT's.

A block is executed, signed and stored in one SQLite transaction before anybody hears of it, so a process killed at any
moment starts again from the last block that anybody can have seen.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from core.model.consortium import encode_clock, transaction_hash
from core.model.errors import CausewayError, FatalError, RejectedError, RetryableError
from core.proofs.cometbft import hashing
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.encoding import encode_block
from core.proofs.cometbft.types import BlockId, ValidatorSet
from core.proofs.smt import SmtProof
from core.runtime.clock import Clock, SystemClock
from core.runtime.exhaustion import exhausted, require_memory
from core.runtime.files import FileLock
from local_chains.consortium.engine.feed import CommittedBlock, Feed
from local_chains.consortium.engine.home import (
    DATABASE_FILE,
    MAX_BLOCK_BYTES,
    Genesis,
    ValidatorKey,
    load_genesis,
    load_validator_keys,
)
from local_chains.consortium.engine.intake import Admission, Intake
from local_chains.consortium.engine.mempool import Mempool
from local_chains.consortium.engine.proposal import Tip, genesis_tip, make_block, make_commit
from local_chains.consortium.engine.rendering import (
    block_to_json,
    decode,
    encode,
    encode_outcome,
    events_of,
    outcome_of,
)
from local_chains.consortium.engine.rendering import (
    results_hash as hash_of_results,
)
from local_chains.consortium.engine.rotation import next_turn
from local_chains.consortium.engine.verification import SignaturePool
from local_chains.consortium.ledger.execution import Result, execute_block, process_proposal, proposer_clock_ms
from local_chains.consortium.ledger.genesis import genesis_writes
from local_chains.consortium.ledger.members import ValidatorUpdate
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.ledger.view import Written
from local_chains.consortium.state.ledger_state import LedgerState, load_state
from local_chains.consortium.state.marks import block_marks
from local_chains.consortium.state.store import MAX_PRUNED, PROOF_HEIGHTS, Changes, Store, StoredBlock
from local_chains.consortium.state.tree import Node, Progress, build, root_hash

LOCK_FILE: Final = "data/lock"
NS_PER_MS: Final = 1_000_000
BLOCK_OVERHEAD_BYTES: Final = 2_048
COMMIT_ENTRY_BYTES: Final = 128
"""Room kept in a block for header and framing, and for each validator's entry in the last commit."""
RETRY_S: Final = 0.5

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """When blocks are made, in seconds: on a beat (None: only when there is something to do), and sooner for
    transactions, but no sooner than `min_delay_s` after the block before."""

    interval_s: float | None = 1.0
    min_delay_s: float = 0.1


@dataclass(frozen=True, slots=True)
class _Made:
    """A block that is complete but not stored yet."""

    committed: CommittedBlock
    hashes: tuple[bytes, ...]
    changes: Changes
    written: Mapping[bytes, Written]
    root: Node
    tip: Tip
    marks: bytes


class EmbeddedEngine:
    """One chain in one process. Make it with `open_engine`; use it from one event loop."""

    def __init__(
        self,
        genesis: Genesis,
        keys: Sequence[ValidatorKey],
        store: Store,
        state: LedgerState,
        tip: Tip,
        clock: Clock,
        lock: FileLock,
        keep_blocks: int,
        pool: SignaturePool | None = None,
    ) -> None:
        """`pool`: who checks the signatures of what comes many at a time; by default processes, one a core."""
        self.genesis = genesis
        self.store = store
        self.feed = Feed()
        self._keys = {key.public_key.address: key for key in keys}
        self._state = state
        self._tip = tip
        self._clock = clock
        self._signatures = SignatureChecker()
        self.mempool = Mempool(genesis.chain_id, state, self._signatures, self._now_ms)
        self._pool = SignaturePool() if pool is None else pool
        self._intake = Intake(self.submit, self.settled, self._signatures, self._pool)
        self._producing = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._owes_proof = False
        self._broken = False
        self._lock = lock
        self._keep_blocks = max(keep_blocks, PROOF_HEIGHTS) if keep_blocks else 0

    @property
    def tip(self) -> Tip:
        """The block that the next one will be built on."""
        return self._tip

    @property
    def state(self) -> LedgerState:
        """The newest committed state."""
        return self._state

    def submit(self, raw: bytes) -> Result:
        """CheckTx: take a transaction in for one of the next blocks, or say why not.

        Raise `AlreadySeenError`, `MempoolFullError`.
        """
        result = self.mempool.add(raw)
        if not result.code:
            self._arrived.set()
        return result

    async def settled(self) -> None:
        """Return when what waits was checked again after the newest block; others have their turn meanwhile."""
        while self.mempool.recheck_some():  # noqa: ASYNC110 - a turn for others between slices of work
            await asyncio.sleep(0)

    async def admit(self, transactions: Sequence[bytes]) -> list[Admission]:
        """`submit` for many, whose signatures are checked on all cores; one answer for each, in order.

        Raise `MempoolFullError` if too many are on their way already.
        """
        return await self._intake.admit(transactions)

    async def query(self, key: bytes, height: int) -> tuple[bytes | None, SmtProof]:
        """The leaf at `key` after block `height` and its proof. Raise `NotFoundError` for other heights."""
        return await self._state.query(self.store, height, key)

    async def validators(self, height: int) -> ValidatorSet | None:
        """The validators of a height up to the next block's, with their priorities."""
        if height == self._tip.height + 1:
            return self._tip.turn.validators
        stored = await self.store.block(height)
        return None if stored is None else _validators(stored)

    # A block is stored before it is the tip; until then it is nobody's to see.

    async def find_transaction(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, position) of a transaction in a block up to the tip."""
        place = await self.store.transaction(tx_hash)
        return None if place is None or place[0] > self._tip.height else place

    async def find_block(self, block_hash: bytes) -> StoredBlock | None:
        """The block of this hash, if it is not above the tip."""
        stored = await self.store.block_by_hash(block_hash)
        return None if stored is None or stored.height > self._tip.height else stored

    async def run(self, pace: Pace) -> None:
        """Make blocks until `stop`. Raise `FatalError` if going on would be unsafe, or a resource is at its end."""
        try:
            await self._make_blocks(pace)
        except Exception as error:
            self._broken = True
            said = exhausted(error, f"the chain {self.genesis.chain_id}")
            if said is None:
                raise
            raise said from error
        finally:
            self.feed.end()

    async def _make_blocks(self, pace: Pace) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            made_at = loop.time()
            try:
                await self.produce_block()
            except RetryableError as error:
                _log.warning("no block could be made", reason=error.message)
                await self._stops_within(RETRY_S)
                continue
            await self._stops_within(pace.min_delay_s)
            if not self._owes_proof and not len(self.mempool) and not self._stopping.is_set():
                left_s = None if pace.interval_s is None else max(0.0, made_at + pace.interval_s - loop.time())
                await self._something_arrives(left_s)

    def stop(self) -> None:
        """Let `run` end after the block in hand."""
        self._stopping.set()
        self._arrived.set()

    async def close(self) -> None:
        """Release the home. What is committed is on disk already."""
        self.stop()
        async with self._producing:
            self._broken = True
        self.feed.end()
        await self._intake.close()
        await self._pool.close()
        await self.store.close()
        self._lock.release()

    async def produce_block(self) -> CommittedBlock:
        """Make, sign, store and publish the next block from what waits.

        Raise `RetryableError` while validators would refuse it (this machine's clock was set back), `FatalError`
        if it could not be stored.
        """
        async with self._producing:
            if self._broken:
                raise FatalError("this engine has ended: open the home again")
            if not _may_commit(self._tip.turn.validators, self._keys):
                raise FatalError("the home lacks keys of new validators: add them and open it again")
            require_memory(f"the chain {self.genesis.chain_id}")
            await self.settled()
            own_ms = self._now_ms()
            room = MAX_BLOCK_BYTES - BLOCK_OVERHEAD_BYTES - COMMIT_ENTRY_BYTES * len(self._tip.turn.validators)
            entries = (encode_clock(proposer_clock_ms(self._state, own_ms)), *self.mempool.reap(room))
            refusal = process_proposal(self._state, entries, own_ms)
            if refusal:
                raise RetryableError(f"the validators refuse the proposal: {refusal}")
            made = await asyncio.to_thread(self._make, entries)
            try:
                await self._save(made)
            except CausewayError as error:
                self._broken = not isinstance(error, RetryableError)
                raise
            except BaseException:
                # Stored or not, nobody knows; only the file does.
                self._broken = True
                raise
            self._adopt(made)
            await self.settled()
            await self._prune()
            return made.committed

    async def _prune(self) -> None:
        """Forget some of the blocks that need not be kept, no more often than there is a handful of them."""
        first = self._tip.height - self._keep_blocks + 1
        if self._keep_blocks and first >= self.store.first + MAX_PRUNED:
            await self.store.prune(first)

    def _make(self, entries: tuple[bytes, ...]) -> _Made:
        """Execute and sign without changing anything, so it may run in another thread than the event loop."""
        tip, chain_id = self._tip, self.genesis.chain_id
        hashes = tuple([transaction_hash(raw) for raw in entries])
        block = make_block(chain_id, tip, entries, hashes)
        height = block.header.height
        outcome = execute_block(self._state, chain_id, height, entries, self._signatures)
        root = self._state.root_after(outcome.writes)
        app_hash, results_hash = root_hash(root), hash_of_results(outcome.results)
        raw = encode_block(block)
        block_id = BlockId(hashing.header_hash(block.header), hashing.part_set_header(raw))
        validators = tip.turn.validators
        commit = make_commit(block, block_id, validators, self._keys, self._clock.now_ns())
        stored = StoredBlock(
            height=height,
            hash=block_id.hash,
            size=len(raw),
            block=encode(block_to_json(block_id, block)),
            commit=encode(comet_json.commit_to_json(commit)),
            validators=encode(comet_json.validator_set_to_json(validators)),
            results=encode_outcome(outcome),
            results_hash=results_hash,
            app_hash=app_hash,
        )
        turn, following = tip.following, next_turn(tip.following.validators, outcome.validator_updates)
        after = Tip(height, block_id, block.header.time, commit, validators, turn, following, app_hash, results_hash)
        committed = CommittedBlock(block, block_id, commit, outcome.results, outcome.validator_updates, stored)
        marks = block_marks(events_of(outcome))
        return _Made(committed, hashes, self._state.changes(outcome.writes), outcome.written, root, after, marks)

    async def _save(self, made: _Made) -> None:
        await self.store.append(made.committed.stored, made.hashes, made.changes, made.marks)

    def _adopt(self, made: _Made) -> None:
        self._state.advance(made.changes, made.root)
        self._tip = made.tip
        transactions = made.hashes[1:]
        # As in CometBFT: the app hash that transactions changed is in the header of one more block.
        self._owes_proof = bool(transactions)
        self.mempool.committed(transactions, made.written)
        self.feed.publish(made.committed)

    async def _something_arrives(self, timeout_s: float | None) -> None:
        self._arrived.clear()
        if len(self.mempool) or self._stopping.is_set():
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _stops_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS


async def open_engine(
    home: Path, clock: Clock | None = None, progress: Progress | None = None, keep_blocks: int = 0
) -> EmbeddedEngine:
    """Open the chain in `home` where it stands.

    `progress` is `load_state`'s. The newest `keep_blocks` blocks are kept, at least as many as heights that state is
    proven of; 0: all of them.

    Raise `RejectedError` if there is none, or another process runs it; `FatalError` if its data is damaged.
    """
    genesis, keys = load_genesis(home), load_validator_keys(home)
    lock = FileLock(home / LOCK_FILE, suffix="")
    lock.take(f"another process runs the chain in {home}, stop it first")
    store = Store(home / DATABASE_FILE)
    try:
        await store.open(genesis.hash)
        _, height = await store.heights()
        if height:
            state, tip = await _resume(store, height, progress)
        else:
            state = await genesis_state(store, genesis, progress)
            tip = genesis_tip(genesis, state.app_hash)
        if not _may_commit(tip.turn.validators, {key.public_key.address for key in keys}):
            raise RejectedError(f"{home} holds the keys of no more than ⅔ of the power: no block could be committed")
    except BaseException:
        await store.close()
        lock.release()
        raise
    return EmbeddedEngine(genesis, keys, store, state, tip, clock or SystemClock(), lock, keep_blocks)


def _may_commit(validators: ValidatorSet, known: Collection[bytes]) -> bool:
    """Return true if the validators at these addresses have more than ⅔ of the power."""
    signing = sum(member.power for member in validators.validators if member.address in known)
    return 3 * signing > 2 * validators.total_power


async def genesis_state(store: Store, genesis: Genesis, progress: Progress | None = None) -> LedgerState:
    """The state before the first block, written to a store that has none yet; `progress` is `load_state`'s."""
    writes = genesis_writes(genesis.app_state, genesis.time.to_nanos() // NS_PER_MS)
    leaves = {key: leaf for key, leaf in writes.items() if leaf is not None}
    if not await store.leaves():
        await store.write_genesis(leaves)
    return LedgerState(0, leaves, await asyncio.to_thread(build, leaves, progress))


async def _resume(store: Store, height: int, progress: Progress | None) -> tuple[LedgerState, Tip]:
    stored = await store.block(height)
    if stored is None:
        raise FatalError(f"block {height} is missing in the chain's database: restore the home from a backup")
    state = await load_state(store, height, stored.app_hash, progress)
    commit = comet_json.commit_from_json(decode(stored.commit))
    block = comet_json.block_from_json(decode(stored.block)["block"])
    validators = _validators(stored)
    # A block's changes of validators take effect two heights later.
    turn = next_turn(validators, await _updates_of(store, height - 1))
    following = next_turn(turn.validators, await _updates_of(store, height))
    moment = block.header.time
    hashes = stored.app_hash, stored.results_hash
    return state, Tip(height, commit.block_id, moment, commit, validators, turn, following, *hashes)


async def _updates_of(store: Store, height: int) -> tuple[ValidatorUpdate, ...]:
    if not height:
        return ()
    stored = await store.block(height)
    if stored is None:
        raise FatalError(f"block {height} is missing in the chain's database: restore the home from a backup")
    return outcome_of(stored).validator_updates


def _validators(stored: StoredBlock) -> ValidatorSet:
    return comet_json.validator_set_from_json(decode(stored.validators))
