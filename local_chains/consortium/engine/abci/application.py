"""The ledger behind ABCI: CometBFT decides what is in a block, the ledger what that means.

A block's writes, its height and its app hash are stored in one SQLite transaction at Commit; whatever came after the
last Commit is executed again by CometBFT after a crash. State, results and app hash are those of the embedded engine
for the same blocks.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from core.model.consortium import APP_VERSION, MAX_MESSAGES, ResultCode, encode_clock
from core.model.errors import FatalError, RejectedError
from core.proofs.protobuf import message_field
from core.runtime.clock import Clock, SystemClock
from core.runtime.exhaustion import require_memory
from local_chains.consortium.engine.abci import messages, outcomes
from local_chains.consortium.engine.abci.accepted import AcceptedProposals
from local_chains.consortium.engine.abci.messages import Request, Verdict
from local_chains.consortium.engine.abci.settings import Settings, load_settings
from local_chains.consortium.engine.abci.state_sync import StateSync
from local_chains.consortium.engine.embedded import NS_PER_MS, genesis_state
from local_chains.consortium.engine.home import Genesis, load_genesis
from local_chains.consortium.engine.lanes import Candidate, Classifier, Room, chosen
from local_chains.consortium.engine.queries import SNAPSHOTS_PATH, QueryAnswer, answer_query
from local_chains.consortium.ledger.execution import (
    Result,
    check_transaction,
    execute_block,
    ledger_time_ms,
    process_proposal,
    proposer_clock_ms,
)
from local_chains.consortium.ledger.genesis import AppState, app_state_from_json
from local_chains.consortium.ledger.leaves import next_sequence
from local_chains.consortium.ledger.prices import MAX_BLOCK_ENTRIES, MAX_TRANSACTION_COST, unread
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.ledger.view import Overlay
from local_chains.consortium.state.ledger_state import LedgerState, load_state
from local_chains.consortium.state.snapshots import Restoration, SnapshotFiles
from local_chains.consortium.state.store import MAX_PRUNED, Changes, Store, StoredBlock
from local_chains.consortium.state.tree import Node, Progress, root_hash

LEDGER_FILE: Final = "data/ledger.sqlite"
SNAPSHOT_DIRECTORY: Final = "data/snapshots"
ACCEPTED_FILE: Final = "data/accepted_proposals.json"
CONFIG_DIRECTORY: Final = "config"
NAME: Final = "causeway"
VERSION: Final = "1"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Executed:
    """The result of FinalizeBlock, until Commit; `answer` is its encoded response."""

    stored: StoredBlock
    changes: Changes
    root: Node
    answer: bytes


class LedgerApplication:
    """One node's ledger. Make it with `open_application`; use it from one event loop."""

    def __init__(
        self,
        genesis: Genesis,
        store: Store,
        state: LedgerState,
        accepted: AcceptedProposals,
        snapshots: SnapshotFiles,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self.genesis = genesis
        self.store = store
        self._state = state
        self._accepted = accepted
        self._clock = clock
        self._signatures = SignatureChecker()
        self._executed: _Executed | None = None
        self._settings = settings
        self._start_over()
        self._state_sync = StateSync(snapshots, settings.snapshot_interval, self._restore)

    def _start_over(self) -> None:
        """Nothing waits as far as this state knows: CometBFT asks again for all that does."""
        self._waiting = Overlay(self._state)
        self._classifier = Classifier(self._state)
        self._room = Room(waiting=True)

    @property
    def state(self) -> LedgerState:
        """The newest committed state."""
        return self._state

    async def close(self) -> None:
        await self._state_sync.close()
        await self.store.close()

    async def answer(self, request: Request) -> bytes:
        """The encoded response. Raise `FatalError` if the node must not go on."""
        match request:
            case messages.CheckTx():
                return outcomes.check_tx(self.check_tx(request.tx))
            case messages.Flush():
                return messages.flush()
            case messages.Echo():
                return messages.echo(request.message)
            case messages.Query():
                return await self._query(request)
            case messages.PrepareProposal():
                return await asyncio.to_thread(self._proposal, request)
            case messages.ProcessProposal():
                return messages.process_proposal(await self._process_proposal(request))
            case messages.FinalizeBlock():
                return await self._finalize_block(request)
            case messages.Commit():
                return await self._commit()
            case messages.InitChain():
                return await self._init_chain(request)
            case messages.Info():
                app_hash = self._state.app_hash if self._state.height else b""
                return messages.info(NAME, VERSION, APP_VERSION, self._state.height, app_hash)
            case messages.ExtendVote():
                return messages.extend_vote()
            case messages.VerifyVoteExtension():
                return messages.verify_vote_extension(
                    Verdict.REJECT if request.vote_extension else Verdict.ACCEPT,
                )
            case messages.ListSnapshots():
                return self._state_sync.list()
            case messages.OfferSnapshot():
                return self._state_sync.offer(request, self._state.height)
            case messages.LoadSnapshotChunk():
                return await self._state_sync.load(request)
            case messages.ApplySnapshotChunk():
                return await self._state_sync.apply(request)

    # --- mempool -------------------------------------------------------------------------------------------------

    def check_tx(self, raw: bytes) -> Result:
        """Check if it would succeed in the next block, after everything that waits before it, and has room there.

        After each block CometBFT asks again for what still waits, in order.
        """
        try:
            transaction = self._signatures.decode(raw)
            one = self._classifier.candidate(raw, transaction)
        except RejectedError as error:
            return Result(ResultCode.MALFORMED, f"{ResultCode.MALFORMED.word}: {error.message}", (), unread(raw))
        fault = self._room.take(one)
        if fault:
            return Result(ResultCode.NO_ROOM, f"{ResultCode.NO_ROOM.word}: mempool is full: {fault}", (), one.cost)
        # What the next block's clock will be at least; ledger time itself is that of the block before.
        time_ms = max(self._now_ms(), ledger_time_ms(self._state) + 1)
        height, tariff, priced = self._state.height + 1, self._classifier.tariff, (transaction, one.cost)
        result = check_transaction(
            self._waiting, self.genesis.chain_id, height, time_ms, raw, self._signatures, tariff, priced
        )
        if result.code is not ResultCode.OK:
            self._room.give_back(one)
            self._signatures.forget(raw)
        return result

    # --- consensus -----------------------------------------------------------------------------------------------

    def prepare_proposal(self, transactions: Sequence[bytes], max_bytes: int) -> list[bytes]:
        """The entries of our own proposal: our clock, then what other validators will not refuse, exits first.

        CometBFT hands over the oldest that fit in a block, which is all that waits: CheckTx takes no more.
        """
        clock = encode_clock(proposer_clock_ms(self._state, self._now_ms()))
        classifier = Classifier(self._state)
        candidates = [one for raw in transactions if (one := self._candidate(classifier, raw)) is not None]
        room = max_bytes - len(message_field(1, clock))
        return [clock, *chosen(candidates, partial(next_sequence, self._state), room)]

    def _proposal(self, request: messages.PrepareProposal) -> bytes:
        return messages.prepare_proposal(self.prepare_proposal(request.txs, request.max_tx_bytes))

    def _candidate(self, classifier: Classifier, raw: bytes) -> Candidate | None:
        """None for bytes that no honest proposer puts into a block. They and the state before the block alone decide,
        never the clock, so that all validators agree. A signature that is not known to hold is verified."""
        try:
            transaction = self._signatures.decode(raw)
            one = classifier.candidate(raw, transaction)
        except RejectedError:
            return None
        body = transaction.body
        if body.chain_id != self.genesis.chain_id or not 0 < len(body.messages) <= MAX_MESSAGES:
            return None
        if one.cost > MAX_TRANSACTION_COST or not self._signatures.holds(raw, transaction):
            return None
        return one

    def proposal_refusal(self, entries: Sequence[bytes]) -> str:
        """Why this validator refuses to vote for a block of these entries; empty if it does not. The work is bounded
        by what a block may cost, whatever the entries are."""
        sentence = process_proposal(self._state, entries, self._now_ms())
        if sentence:
            return sentence
        if len(entries) > MAX_BLOCK_ENTRIES:
            return f"it has {len(entries)} entries, a block has at most {MAX_BLOCK_ENTRIES}"
        classifier, room = Classifier(self._state), Room()
        for index, raw in enumerate(entries[1:], 1):
            one = self._candidate(classifier, raw)
            if one is None:
                return f"entry {index} has no place in a block: no transaction of this chain with a good signature"
            fault = room.take(one)
            if fault:
                return f"entry {index} is too much: {fault}"
        return ""

    async def _process_proposal(self, request: messages.ProcessProposal) -> Verdict:
        if self._accepted.holds(request.height, request.hash):
            return Verdict.ACCEPT
        sentence = await asyncio.to_thread(self.proposal_refusal, request.txs)
        if sentence:
            _log.warning("proposal refused", height=request.height, reason=sentence)
            return Verdict.REJECT
        await asyncio.to_thread(self._accepted.remember, request.height, request.hash)
        return Verdict.ACCEPT

    async def _init_chain(self, request: messages.InitChain) -> bytes:
        same = (request.chain_id, request.time, request.initial_height) == (self.genesis.chain_id, self.genesis.time, 1)
        if not same or _app_state(request.app_state) != self.genesis.app_state:
            raise FatalError("the node starts from another genesis file than its application")
        if self._state.height:
            raise FatalError("the node starts from nothing, but its application has blocks: keep their data together")
        return messages.init_chain(self._state.app_hash)

    async def _finalize_block(self, request: messages.FinalizeBlock) -> bytes:
        if request.height != self._state.height + 1:
            raise FatalError(f"the node decides height {request.height}, its application has {self._state.height}")
        require_memory("the ledger")
        self._executed = await asyncio.to_thread(self._execute, request)
        return self._executed.answer

    def _execute(self, request: messages.FinalizeBlock) -> _Executed:
        """Execute the block and encode its results without changing anything, so it may run in another thread than the
        event loop."""
        reported = [messages.decode_misbehaviour(raw) for raw in request.misbehavior]
        for one in reported:
            _log.warning("a validator misbehaved", validator=one.validator.hex(), height=one.height, kind=one.kind)
        outcome = execute_block(
            self._state, self.genesis.chain_id, request.height, request.txs, self._signatures, reported
        )
        root = self._state.root_after(outcome.writes)
        stored = StoredBlock(
            height=request.height,
            hash=request.hash,
            size=0,
            # Blocks, commits, validators and results, with their hash, are CometBFT's own.
            block=b"",
            commit=b"",
            validators=b"",
            results=b"",
            results_hash=b"",
            app_hash=root_hash(root),
        )
        answer = outcomes.finalize_block(outcome, stored.app_hash)
        return _Executed(stored, self._state.changes(outcome.writes), root, answer)

    async def _commit(self) -> bytes:
        executed = self._executed
        if executed is None:
            raise FatalError("the node commits a block that it has not finalized")
        await self.store.append(executed.stored, (), executed.changes)
        self._state.advance(executed.changes, executed.root)
        self._executed = None
        self._start_over()
        self._state_sync.committed(self._state)
        return messages.commit(await self._prune())

    async def _prune(self) -> int:
        """The lowest height whose block CometBFT must keep, 0 for all; our own records of older ones go, too."""
        if not self._settings.keep_blocks:
            return 0
        retain = max(0, self._state.height - self._settings.keep_blocks + 1)
        oldest = self._state_sync.oldest
        if oldest is not None:
            retain = min(retain, oldest)
        if retain >= self.store.first + MAX_PRUNED:
            await self.store.prune(retain)
        return retain

    async def _restore(self, restoration: Restoration) -> None:
        """Begin with a state that was taken over from others."""
        height = restoration.snapshot.height
        stored = StoredBlock(
            height=height,
            # Nobody asks the ledger for the block itself.
            hash=height.to_bytes(8, "big"),
            size=0,
            block=b"",
            commit=b"",
            validators=b"",
            results=b"",
            results_hash=b"",
            app_hash=restoration.app_hash,
        )
        await self.store.restore(stored, restoration.leaves)
        self._state = LedgerState(height, restoration.leaves, restoration.root)
        self._start_over()

    # --- queries -------------------------------------------------------------------------------------------------

    async def _query(self, request: messages.Query) -> bytes:
        if request.path == SNAPSHOTS_PATH:
            heights = msgspec.json.encode(self._state_sync.heights)
            return messages.query(QueryAnswer(b"", self._state.height, heights))
        proven = bool(request.prove)
        return messages.query(
            await answer_query(self._state, self.store, request.path, request.data, request.height, proven)
        )

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS


async def open_application(
    home: Path, clock: Clock | None = None, progress: Progress | None = None
) -> LedgerApplication:
    """The ledger of the node in `home`, where its last Commit left it; `progress` is `load_state`'s.

    Raise `RejectedError` if there is no genesis file, `FatalError` if the data is damaged.
    """
    genesis = load_genesis(home / CONFIG_DIRECTORY)
    store = Store(home / LEDGER_FILE)
    try:
        await store.open(genesis.hash)
        _, height = await store.heights()
        state = await _resume(store, height, progress) if height else await genesis_state(store, genesis, progress)
        accepted = AcceptedProposals(home / ACCEPTED_FILE)
        snapshots = SnapshotFiles(home / SNAPSHOT_DIRECTORY)
        settings = load_settings(home)
    except BaseException:
        await store.close()
        raise
    return LedgerApplication(genesis, store, state, accepted, snapshots, settings, clock or SystemClock())


async def _resume(store: Store, height: int, progress: Progress | None) -> LedgerState:
    stored = await store.block(height)
    if stored is None:
        raise FatalError(f"block {height} is missing in the ledger's database: restore the home from a backup")
    return await load_state(store, height, stored.app_hash, progress)


def _app_state(raw: bytes) -> AppState:
    """Raise `FatalError` if the node's genesis file is not one of this ledger."""
    try:
        return app_state_from_json(msgspec.json.decode(raw))
    except (msgspec.DecodeError, RecursionError, RejectedError) as error:
        raise FatalError(f"the app_state of the node's genesis file cannot be read: {error}") from None
