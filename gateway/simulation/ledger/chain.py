"""A consortium chain as a town's people use it, and as the verdict reads it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from nacl.signing import SigningKey

from adapters.consortium import ConsortiumChain, Ed25519Signer, issue, transfer
from adapters.consortium.chain import ConsortiumParameters, chain_over
from adapters.consortium.messages import messages_of
from adapters.consortium.rpc import CometRpc
from adapters.endpoints import Member
from adapters.memory import Endpoint
from adapters.memory.state import VersionedState
from core.model.consortium import (
    APP_VERSION,
    MAX_MESSAGES,
    AccountLeaf,
    Claim,
    Leaf,
    LedgerEvent,
    Lock,
    LockClaimed,
    LockCreated,
    LockLeaf,
    LockRefunded,
    Message,
    Refund,
    Transaction,
    TransactionBody,
    Transfer,
    account_key,
    address,
    asset_symbol,
    caip_account,
    caip_asset,
    decode_clock,
    decode_leaf,
    decode_transaction,
    encode_transaction,
    lock_id,
    lock_key,
    parse_lock_id,
    raw_address,
    sign_bytes,
    transaction_hash,
    value_of,
)
from core.model.errors import FatalError, NotFoundError
from core.model.facts import Block, BlockHeader, ChainEvent, Claimed, Locked, LockStatus, LoggedEvent, Refunded
from core.model.ports import ChainAccess, ChainTiming, Signer
from core.model.transactions import UnsignedTransaction
from core.model.types import (
    AccountId,
    Asset,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    PublicPreimage,
)
from core.proofs.evidence import ledger_code_hash
from core.runtime.clock import Clock
from gateway.simulation.chains import Body, LockState, Payment
from gateway.simulation.ledger import officers
from gateway.simulation.ledger.engine import TownEngine
from gateway.simulation.ledger.node import Node, Settings
from gateway.simulation.ledger.ports import ToldHeads, ToldLocks
from local_chains.consortium.engine.feed import CommittedBlock

L = TypeVar("L", bound=Leaf)

MS_PER_S: Final = 1_000
NEVER: Final = Height(2**63 - 1)
"""The expiry height of a transaction that does not expire."""


class PlayedLedger:
    """`PlayedChain`, by the ledger itself. It makes its first block at once, which issues nothing yet."""

    def __init__(
        self,
        chain: ChainId,
        clock: Clock,
        assets: Mapping[AssetId, Asset],
        timing: ChainTiming,
        counts: Counter[str],
    ) -> None:
        self.chain = chain
        self.halted = False
        """While validators do not agree, no blocks are made."""
        self._reference = chain.partition(":")[2]
        self._clock = clock
        self._key = SigningKey(hashlib.sha256(f"{chain}/issuer".encode()).digest())
        self._issuer = caip_account(chain, address(bytes(self._key.verify_key)))
        self._issues: list[Message] = []
        self._public_keys: list[bytes] = []
        self._history = VersionedState()
        self._blocks: list[Block] = []
        self.committed: list[CommittedBlock] = []
        self._by_hash: dict[bytes, int] = {}
        symbols = [asset_symbol(asset) for asset in assets]
        issuer, supervisors = raw_address(self._issuer), officers.addresses(chain)
        self.engine = TownEngine(self._reference, clock, symbols, issuer, supervisors, counts)
        self._history.put(0, {(key,): leaf for key, leaf in self.engine.state.leaves.items()})
        genesis = BlockRef(chain, Height(0), self.engine.genesis.hash)
        self._blocks.append(Block(BlockHeader(genesis, b"", ChainTime(chain, int(clock.now()))), ()))
        self.produce(lambda _: True)
        first = self._blocks[1].header.ref.hash
        self._parameters = ConsortiumParameters(chain, first, timing, assets, ledger_code_hash(APP_VERSION))

    # --- for people --------------------------------------------------------------------------------------------------

    def signer(self, name: str, balances: Mapping[AssetId, int] | None = None) -> Signer:
        signer = Ed25519Signer(self.chain, hashlib.sha256(f"{self.chain}/{name}".encode()).digest())
        self._public_keys.append(signer.public_key)
        for asset, amount in (balances or {}).items():
            self._issues += messages_of(issue(self._issuer, signer.account, asset, BaseUnits(amount)))
        return signer

    def access(self, endpoint: Endpoint | None = None) -> ChainAccess:
        return self._over(endpoint or Endpoint(self._clock), Settings.FULL).access

    def member(self, operator: str, endpoint: Endpoint, settings: Settings = Settings.FULL) -> Member:
        over = self._over(endpoint, settings)
        heads, locks = ToldHeads(over.access.heads, endpoint), ToldLocks(over.locks, endpoint)
        return Member(operator, replace(over.access, heads=heads, locks=locks), locks)

    def harmless(self, account: AccountId, asset: AssetId) -> UnsignedTransaction:
        return transfer(account, account, asset, BaseUnits(1))

    def _over(self, endpoint: Endpoint, settings: Settings) -> ConsortiumChain:
        made = chain_over(CometRpc(str(self.chain), transport=Node(self.engine, endpoint, settings)), self._parameters)
        for public_key in self._public_keys:
            made.learn(public_key)
        return made

    # --- blocks ------------------------------------------------------------------------------------------------------

    def produce(self, accept: Callable[[bytes], bool]) -> None:
        """The next block, of what `accept` takes by its hash; what was issued since the last one is in it first."""
        if self.halted:
            return
        own = {transaction_hash(raw) for raw in self._issued()}
        committed = self.engine.produce(lambda tx_hash: tx_hash in own or accept(tx_hash))
        self._note(committed)

    def _issued(self) -> list[bytes]:
        issues, self._issues = self._issues[:MAX_MESSAGES], self._issues[MAX_MESSAGES:]
        if not issues:
            return []
        sequence = self.used(self._issuer, self.height)
        body = TransactionBody(self._reference, bytes(self._key.verify_key), sequence, NEVER, tuple(issues))
        raw = encode_transaction(Transaction(body, self._key.sign(sign_bytes(body)).signature))
        if code := self.engine.submit(raw).code:
            raise FatalError(f"the issuer's own transaction is refused: {code.word}")
        return [raw]

    def _note(self, committed: CommittedBlock) -> None:
        self.committed.append(committed)
        header, entries = committed.block.header, committed.block.txs
        ref = BlockRef(self.chain, Height(header.height), committed.block_id.hash)
        happened = [
            (transaction_hash(raw), fact)
            for raw, result in zip(entries, committed.results, strict=True)
            for fact in map(self._fact, result.events)
            if fact is not None
        ]
        logged = tuple(LoggedEvent(ref, tx_hash, index, fact) for index, (tx_hash, fact) in enumerate(happened))
        time = ChainTime(self.chain, decode_clock(entries[0]) // MS_PER_S)
        self._blocks.append(Block(BlockHeader(ref, header.last_block_id.hash, time), logged))
        self._by_hash[ref.hash] = ref.height
        self._history.put(ref.height, {(key,): leaf for key, leaf in self.engine.written.items()})

    # --- for the verdict: from the ledger's own leaves and events, past the adapter -----------------------------------

    @property
    def native(self) -> AssetId | None:
        return None

    @property
    def height(self) -> Height:
        return Height(self.engine.tip.height)

    @property
    def finalized_height(self) -> Height:
        return self.height

    @property
    def waiting(self) -> int:
        return len(self.engine.mempool)

    def block(self, at: Height | bytes) -> Block:
        """Height 0 stands for the genesis file, in which nothing happens."""
        height = self._by_hash.get(at, -1) if isinstance(at, bytes) else at
        if not 0 <= height <= self.height:
            raise NotFoundError(f"{self.chain} has no such block")
        return self._blocks[height]

    def lock_at(self, lock_id: LockId, at: Height | None = None) -> LockState | None:
        leaf = self._leaf(lock_key(*parse_lock_id(lock_id)), LockLeaf, at)
        if leaf is None:
            return None
        return LockState(self._terms(leaf, value_of(leaf.amount)), LockStatus(leaf.status))

    def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> int:
        leaf = self._leaf(account_key(raw_address(account)), AccountLeaf, at)
        return 0 if leaf is None else value_of(dict(leaf.balances).get(asset_symbol(asset), b""))

    def used(self, account: AccountId, at: Height) -> int:
        leaf = self._leaf(account_key(raw_address(account)), AccountLeaf, at)
        return 0 if leaf is None else leaf.sequence

    def read(self, raw: bytes) -> Body:
        body = decode_transaction(raw).body
        expiry = None if body.expiry_height == NEVER else Height(body.expiry_height)
        return self._body(address(body.public_key), body.messages, body.sequence, expiry)

    def meant(self, transaction: UnsignedTransaction) -> Body:
        return self._body(raw_address(transaction.sender), messages_of(transaction), 0, None)

    def _body(self, sender: bytes, messages: Sequence[Message], sequence: int, expiry: Height | None) -> Body:
        return Body(
            caip_account(self.chain, sender),
            sequence,
            0,
            tuple(self._wanted(sender, message) for message in messages if isinstance(message, Lock)),
            tuple(message.preimage for message in messages if isinstance(message, Claim)),
            expiry,
            tuple(self._settled(message) for message in messages if isinstance(message, Claim | Refund)),
            tuple(self._payment(message) for message in messages if isinstance(message, Transfer)),
        )

    def _payment(self, message: Transfer) -> Payment:
        receiver = caip_account(self.chain, message.receiver)
        return Payment(caip_asset(self.chain, message.asset), receiver, value_of(message.amount))

    def _settled(self, message: Claim | Refund) -> LockId:
        hashlock = hashlib.sha256(message.preimage).digest() if isinstance(message, Claim) else message.hashlock
        return lock_id(self.chain, message.locker, hashlock)

    def _leaf(self, key: bytes, kind: type[L], at: Height | None) -> L | None:
        none: bytes | None = None
        raw = self._history.get((key,), none, at)
        return None if raw is None else decode_leaf(raw, kind)

    def _wanted(self, sender: bytes, message: Lock) -> LockTerms:
        terms = message.asset, message.amount, sender, message.receiver, message.hashlock, message.timelock
        return self._terms(LockLeaf(*terms, "locked", b""), value_of(message.amount))

    def _terms(self, lock: LockLeaf | LockCreated, amount: int) -> LockTerms:
        return LockTerms(
            caip_asset(self.chain, lock.asset),
            BaseUnits(amount),
            caip_account(self.chain, lock.sender),
            caip_account(self.chain, lock.receiver),
            Hashlock(lock.hashlock),
            ChainTime(self.chain, lock.timelock),
        )

    def _fact(self, event: LedgerEvent) -> ChainEvent | None:
        match event:
            case LockCreated():
                place = lock_id(self.chain, event.sender, event.hashlock)
                return Locked(place, self._terms(event, event.amount))
            case LockClaimed():
                place = lock_id(self.chain, event.sender, event.hashlock)
                return Claimed(place, Hashlock(event.hashlock), PublicPreimage(event.preimage))
            case LockRefunded():
                return Refunded(lock_id(self.chain, event.sender, event.hashlock), Hashlock(event.hashlock))
            case _:
                return None
