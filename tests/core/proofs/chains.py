"""A chain of correctly hashed and signed CometBFT blocks, made in memory, for tests that need headers to verify."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.proofs.cometbft import hashing, signing
from core.proofs.cometbft.types import (
    EMPTY_COMMIT,
    NIL_BLOCK_ID,
    Block,
    BlockId,
    Commit,
    CommitSig,
    Header,
    KeyKind,
    LightBlock,
    SignedHeader,
    Timestamp,
    TxResult,
    Validator,
    ValidatorSet,
)

CHAIN_ID = "proof-test-1"
GENESIS_TIME = Timestamp(1_700_000_000)


@dataclass(frozen=True, slots=True)
class ValidatorKey:
    """A validator that tests can sign with."""

    kind: KeyKind
    private_key: bytes
    power: int = 10

    @property
    def validator(self) -> Validator:
        return Validator(signing.public_key_of(self.kind, self.private_key), self.power)


def validator_keys(count: int, kind: KeyKind = KeyKind.SECP256K1_ETH, seed: str = "validator") -> list[ValidatorKey]:
    """Keys that depend on nothing but their number and seed."""
    return [ValidatorKey(kind, hashlib.sha256(f"{seed}-{i}".encode()).digest()) for i in range(count)]


def validator_set(keys: Sequence[ValidatorKey]) -> ValidatorSet:
    """Their validator set."""
    return ValidatorSet.of([key.validator for key in keys])


@dataclass(slots=True)
class ToyChain:
    """Produces one block a second; `next_keys` sign from the block after the next one."""

    keys: list[ValidatorKey]
    chain_id: str = CHAIN_ID
    next_keys: list[ValidatorKey] = field(init=False)
    app_hash: bytes = bytes(32)
    height: int = 0
    last_id: BlockId = NIL_BLOCK_ID
    last_commit: Commit = EMPTY_COMMIT
    last_results: tuple[TxResult, ...] = ()

    def __post_init__(self) -> None:
        self.next_keys = self.keys

    def produce(
        self,
        txs: tuple[bytes, ...] = (),
        signers: int | None = None,
        nil_voters: int = 0,
        results: tuple[TxResult, ...] = (),
    ) -> LightBlock:
        """Make, sign and append a block; its light block is returned. The next header commits to `results`."""
        self.height += 1
        validators, following = validator_set(self.keys), validator_set(self.next_keys)
        header = Header(
            chain_id=self.chain_id,
            height=self.height,
            time=Timestamp(GENESIS_TIME.seconds + self.height),
            last_block_id=self.last_id,
            last_commit_hash=hashing.commit_hash(self.last_commit),
            data_hash=hashing.data_hash(txs),
            validators_hash=hashing.validator_set_hash(validators),
            next_validators_hash=hashing.validator_set_hash(following),
            consensus_hash=hashing.consensus_hash(1_048_576, -1),
            app_hash=self.app_hash,
            last_results_hash=hashing.results_hash(self.last_results),
            evidence_hash=hashing.evidence_hash(()),
            proposer_address=validators.validators[0].address,
        )
        block_id = hashing.block_id(Block(header, txs, (), self.last_commit))
        commit = self._commit(block_id, validators, len(self.keys) if signers is None else signers, nil_voters)
        self.last_id, self.last_commit, self.last_results = block_id, commit, results
        self.keys = self.next_keys
        return LightBlock(SignedHeader(header, commit), validators, following)

    def _commit(self, block_id: BlockId, validators: ValidatorSet, signers: int, nil_voters: int) -> Commit:
        by_address = {key.validator.address: key for key in self.keys}
        time = Timestamp(GENESIS_TIME.seconds + self.height, 500)
        entries = []
        for place, validator in enumerate(validators.validators):
            key = by_address[validator.address]
            if place >= signers + nil_voters:
                entries.append(CommitSig.absent())
                continue
            voted = block_id if place < signers else NIL_BLOCK_ID
            entries.append(
                signing.sign_precommit(key.kind, key.private_key, self.chain_id, self.height, 0, voted, time)
            )
        return Commit(self.height, 0, block_id, tuple(entries))
