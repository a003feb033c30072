"""A consortium state with something of everything in it, proven under blocks of a `ToyChain`."""

import hashlib
from dataclasses import dataclass, field

from core.model.consortium import (
    CLOCK_KEY,
    AccountLeaf,
    HeaderLeaf,
    LockLeaf,
    RecordLeaf,
    account_key,
    attested_header_key,
    caip_account,
    caip_asset,
    caip_chain,
    encode_leaf,
    lock_id,
    lock_key,
    quantity,
    record_count_key,
    record_key,
)
from core.model.questions import Anchor, BalanceQuestion, LockQuestion, Question, RecordQuestion
from core.model.types import BaseUnits, ChainId, ChainTime, Hashlock, Height, LockTerms, Seconds
from core.proofs.cometbft.hashing import header_hash
from core.proofs.cometbft.types import Header, KeyKind, LightBlock
from core.proofs.evidence import ConsortiumProof, StateEntry, Trail, needed_keys
from tests.core.proofs.chains import CHAIN_ID, ToyChain, validator_keys
from tests.core.proofs.trees import SparseTree

CHAIN = caip_chain(CHAIN_ID)
ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
HASHLOCK = Hashlock(hashlib.sha256(b"p" * 32).digest())
CLOCK_MS = 1_700_000_123_456

TERMS = LockTerms(
    caip_asset(CHAIN, "cnyd"),
    BaseUnits(5_000),
    caip_account(CHAIN, ALICE),
    caip_account(CHAIN, BOB),
    HASHLOCK,
    ChainTime(CHAIN, 1_700_001_000),
)
RECORD = RecordQuestion(CHAIN, "provenance", "crate-7")
LOCK = LockQuestion(CHAIN, lock_id(CHAIN, ALICE, HASHLOCK), TERMS, None)
BALANCE = BalanceQuestion(CHAIN, caip_account(CHAIN, BOB), caip_asset(CHAIN, "cnyd"))


def ledger_state() -> dict[bytes, bytes]:
    """Leaves as the ledger writes them, with a few hundred others around."""
    lock = LockLeaf("cnyd", quantity(5_000), ALICE, BOB, HASHLOCK, 1_700_001_000, "claimed", b"p" * 32)
    state = {
        CLOCK_KEY: CLOCK_MS.to_bytes(8, "big"),
        account_key(BOB): encode_leaf(AccountLeaf(3, (("cnyd", quantity(700)), ("gold", quantity(1))))),
        lock_key(ALICE, HASHLOCK): encode_leaf(lock),
        record_count_key("provenance", "crate-7"): (2).to_bytes(8, "big"),
    }
    for version in (1, 2):
        document = f'{{"version":{version}}}'.encode()
        leaf = RecordLeaf(document, ALICE, version, CLOCK_MS)
        state[record_key("provenance", "crate-7", version)] = encode_leaf(leaf)
    for number in range(300):
        state[b"filler/%d" % number] = b"%d" % number
    return state


def attest(state: dict[bytes, bytes], chain: ChainId, height: int, block_hash: bytes, time: int) -> None:
    """Let the ledger call a foreign header final."""
    state[attested_header_key(chain, height)] = encode_leaf(HeaderLeaf(block_hash, time))


@dataclass
class World:
    """A chain whose last block commits to `state`; blocks are light blocks, index 0 is height 1."""

    state: dict[bytes, bytes] = field(default_factory=ledger_state)
    validators: int = 4
    length: int = 6
    kind: KeyKind = KeyKind.SECP256K1_ETH
    blocks: list[LightBlock] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tree = SparseTree(self.state)
        self.chain = ToyChain(validator_keys(self.validators, self.kind), app_hash=self.tree.root)
        self.blocks.extend(self.chain.produce() for _ in range(self.length))

    @property
    def now_s(self) -> int:
        return self.blocks[-1].header.time.seconds + 5

    def header(self, height: int) -> Header:
        return self.blocks[height - 1].header

    def anchor(self, height: int = 2) -> Anchor:
        trusted = header_hash(self.header(height))
        return Anchor(CHAIN, header_hash(self.header(1)), Height(height), trusted, Seconds(86_400))

    def skip(self, start: int = 2, end: int = 6) -> Trail:
        """One step from the header at `start` to that at `end`."""
        block = self.blocks[start - 1]
        return self.trail(start, (self.blocks[end - 1],), following=block.next_validators is not None)

    def trail(self, start: int, steps: tuple[LightBlock, ...], *, following: bool = False) -> Trail:
        block = self.blocks[start - 1]
        genesis = header_hash(self.header(1))
        return Trail(genesis, block.header, block.next_validators if following else None, steps)

    def entry(self, key: bytes) -> StateEntry:
        return StateEntry(self.state.get(key), self.tree.prove(key))

    def proof(self, question: Question, trail: Trail | None = None) -> ConsortiumProof:
        """Collect leaves the way a prover does."""
        known: dict[bytes, bytes | None] = {}
        while missing := [key for key in needed_keys(question, known) if key not in known]:
            known.update({key: self.state.get(key) for key in missing})
        entries = tuple(self.entry(key) for key in needed_keys(question, known))
        return ConsortiumProof(trail or self.skip(), entries)
