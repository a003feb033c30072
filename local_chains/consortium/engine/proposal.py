"""Blocks and commits exactly as CometBFT makes them (CometBFT spec "Core data structures", "BFT time")."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.model.consortium import APP_VERSION
from core.proofs import merkle
from core.proofs.cometbft import hashing
from core.proofs.cometbft.signing import sign_precommit
from core.proofs.cometbft.types import (
    EMPTY_COMMIT,
    NIL_BLOCK_ID,
    Block,
    BlockId,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    Timestamp,
    ValidatorSet,
)
from local_chains.consortium.engine.home import MAX_BLOCK_BYTES, UNLIMITED_GAS, Genesis, ValidatorKey
from local_chains.consortium.engine.rotation import Turn, first_turn, next_turn

ROUND: Final = 0
"""With all validators in one process every height is decided in its first round."""
VOTE_AFTER_BLOCK_NS: Final = 1_000_000
"""A precommit is at least this much later than its block, so that block time always rises."""


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block, as far as the next one depends on it. `turn` is that of the next height, `following` that of
    the one after, for which the validators are settled already."""

    height: int
    block_id: BlockId
    time: Timestamp
    commit: Commit
    validators: ValidatorSet
    turn: Turn
    following: Turn
    app_hash: bytes
    results_hash: bytes


def genesis_tip(genesis: Genesis, app_hash: bytes) -> Tip:
    """Return what the first block is built on; its time is the genesis file's."""
    turn = first_turn(genesis.validators)
    no_results = hashing.results_hash(())
    following = next_turn(turn.validators)
    return Tip(0, NIL_BLOCK_ID, genesis.time, EMPTY_COMMIT, turn.validators, turn, following, app_hash, no_results)


def make_block(chain_id: str, tip: Tip, entries: Sequence[bytes], hashes: Sequence[bytes] | None = None) -> Block:
    """The block after `tip` with these entries; `hashes` are theirs, where they are known already."""
    header = Header(
        chain_id=chain_id,
        height=tip.height + 1,
        time=median_time(tip.commit, tip.validators) if tip.height else tip.time,
        last_block_id=tip.block_id,
        last_commit_hash=hashing.commit_hash(tip.commit),
        data_hash=hashing.data_hash(entries) if hashes is None else merkle.root(hashes),
        validators_hash=hashing.validator_set_hash(tip.turn.validators),
        next_validators_hash=hashing.validator_set_hash(tip.following.validators),
        consensus_hash=hashing.consensus_hash(MAX_BLOCK_BYTES, UNLIMITED_GAS),
        app_hash=tip.app_hash,
        last_results_hash=tip.results_hash,
        evidence_hash=hashing.evidence_hash(()),
        proposer_address=tip.turn.proposer.address,
        app_version=APP_VERSION,
    )
    return Block(header, tuple(entries), (), tip.commit)


def make_commit(
    block: Block, block_id: BlockId, validators: ValidatorSet, keys: dict[bytes, ValidatorKey], now_ns: int
) -> Commit:
    """Precommits of all validators whose key is in `keys` (by address), made now."""
    header = block.header
    moment = Timestamp.from_nanos(max(now_ns, header.time.to_nanos() + VOTE_AFTER_BLOCK_NS))
    entries = []
    for validator in validators.validators:
        key = keys.get(validator.address)
        if key is None:
            entries.append(CommitSig.absent())
            continue
        entries.append(sign_precommit(key.kind, key.secret, header.chain_id, header.height, ROUND, block_id, moment))
    return Commit(header.height, ROUND, block_id, tuple(entries))


def median_time(commit: Commit, validators: ValidatorSet) -> Timestamp:
    """BFT time: the median of the precommits' times, weighted by power; votes for nil and absent ones do not count."""
    weighted = []
    for entry in commit.signatures:
        validator = validators.by_address(entry.validator_address)
        if entry.flag is BlockIdFlag.COMMIT and validator is not None:
            weighted.append((entry.timestamp, validator.power))
    weighted.sort()
    remaining = sum(power for _, power in weighted) // 2
    for moment, power in weighted:
        if remaining <= power:
            return moment
        remaining -= power
    raise ValueError("a commit has at least one precommit")
