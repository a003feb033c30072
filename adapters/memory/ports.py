"""The ports over a memory chain, as one endpoint offers them."""

from collections.abc import AsyncIterator, Mapping, Sequence, Set
from typing import Final

from adapters.ed25519_openings import Ed25519OpeningProofs
from adapters.memory import ledger
from adapters.memory.blockchain import Blockchain
from adapters.memory.faults import Endpoint
from adapters.memory.legs import MemoryBatchBuilder, MemoryConsentBuilder, MemoryLegBuilder, MemoryTransferBuilder
from adapters.memory.transactions import (
    Batch,
    Body,
    Lock,
    Nothing,
    Transfer,
    Wire,
    account_of,
    attest,
    body_of,
    decode_message,
    encode_wire,
    lock_owner,
    payload,
    transaction_hash,
    unsigned,
)
from adapters.omitted import doubts
from core.model.errors import (
    NotFoundError,
    NotYetFinalError,
    PayoutBlockedError,
    RejectedError,
    ReorgedError,
    RevertedError,
)
from core.model.facts import Block, BlockHeader, HeadUpdate, LockObservation, LockStatus, RecordView
from core.model.ports import ChainAccess, ChainTiming
from core.model.transactions import (
    FeeBid,
    FeeMarket,
    Outcome,
    SequenceView,
    SignedTransaction,
    SigningRequest,
    UnsignedTransaction,
)
from core.model.types import (
    AccountId,
    Asset,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    Height,
    LockId,
    LockTerms,
    chain_of,
)

MAX_BLOCK_RANGE: Final = 500


class MemoryParameters:
    def __init__(self, chain: Blockchain, htlc_code_hash: bytes) -> None:
        self._chain = chain
        self._genesis = chain.block(Height(0)).header.ref.hash
        self._code_hash = htlc_code_hash

    @property
    def chain(self) -> ChainId:
        return self._chain.chain

    @property
    def genesis_hash(self) -> bytes:
        return self._genesis

    @property
    def timing(self) -> ChainTiming:
        return self._chain.rules.timing

    @property
    def assets(self) -> Mapping[AssetId, Asset]:
        return self._chain.assets

    @property
    def htlc_code_hash(self) -> bytes:
        return self._code_hash

    @property
    def htlc_holder(self) -> AccountId | None:
        return None

    @property
    def contract_names(self) -> Mapping[AccountId, str]:
        return {}


class MemoryHeadSource:
    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    async def head(self) -> HeadUpdate:
        await self._endpoint.call()
        shown = self._endpoint.report_head(self._chain.head_behind(self._endpoint.lag_blocks))
        await self._endpoint.answer()
        return shown

    async def final_block(self, height: Height) -> BlockHeader:
        await self._endpoint.call()
        final = self._endpoint.report_head(self._chain.head_behind(self._endpoint.lag_blocks)).finalized.height
        if height > final:
            raise NotYetFinalError(f"{self._chain.chain} is final up to {final}, not {height}", finalized=final)
        return self._endpoint.report_header(self._chain.block(height).header)

    async def heads(self) -> AsyncIterator[HeadUpdate]:
        last: HeadUpdate | None = None
        late: HeadUpdate | None = None
        while True:
            changed = self._chain.changed
            truth = self._chain.head_behind(self._endpoint.lag_blocks)
            if truth != last:
                times = 1 if last is None and not self._endpoint.dead_heads else self._endpoint.notifications()
                last = truth
                for _ in range(times):
                    yield self._endpoint.report_head(truth)
                if late is not None:
                    yield late
                late = self._endpoint.report_head(truth) if self._endpoint.comes_late() else None
            await changed.wait()


class MemoryBlockSource:
    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    async def header(self, at: Height | bytes) -> BlockHeader:
        await self._endpoint.call()
        header = self._chain.block(at).header
        if header.height > self._chain.height - self._endpoint.lag_blocks:
            raise NotFoundError("the endpoint has no such block")
        await self._endpoint.answer()
        return self._endpoint.report_header(header)

    async def blocks(self, first: Height, last: Height) -> Sequence[Block]:
        """One call an endpoint for each block, so that the chain may change in between, as it does elsewhere."""
        if not 0 <= last - first < MAX_BLOCK_RANGE or first < 0:
            raise RejectedError(f"ask for 1 to {MAX_BLOCK_RANGE} blocks, first to last")
        read: list[Block] = []
        may_have: set[bytes] = set()
        for height in range(first, last + 1):
            await self._endpoint.call()
            if height > self._chain.height - self._endpoint.lag_blocks:
                raise (ReorgedError if read else NotFoundError)(f"{self._chain.chain} does not reach height {height}")
            block = self._chain.block(Height(height))
            if read and block.header.parent_hash != read[-1].header.ref.hash:
                raise ReorgedError(f"{self._chain.chain} changed below height {height} while it was read")
            read.append(Block(block.header, self._endpoint.report_events(block)))
            if self._chain.may_have_events(block):
                may_have.add(block.header.ref.hash)
        omitted = await self._omitted(read, may_have)
        await self._endpoint.answer()
        return tuple(omitted.get(block.header.ref.hash, block) for block in read)

    async def _omitted(self, read: Sequence[Block], may_have: Set[bytes]) -> dict[bytes, Block]:
        """Return the whole of those blocks that may have events though none came; see `adapters.omitted`."""
        events = {block.header.ref.hash: block.events for block in read}
        heights = [(block.header.height, block.header.ref.hash) for block in read]
        newest = Height(self._chain.height - self._endpoint.lag_blocks)
        doubted = doubts(heights, events, may_have.__contains__, newest)
        found: dict[bytes, Block] = {}
        for asked in (doubted.first, doubted.rest):
            if asked:
                await self._endpoint.call()
                found |= {key: self._whole(key) for key in asked}
            if not any(block.events for block in found.values()):
                break
        return found

    def _whole(self, block_hash: bytes) -> Block:
        try:
            return self._chain.block(block_hash)
        except NotFoundError as error:
            raise ReorgedError(f"a block of {self._chain.chain} went away while its receipts were read") from error


class MemoryStateReader:
    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    async def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> BaseUnits:
        """Raise `NotFoundError` beyond the head, `RejectedError` for another chain's account or asset."""
        await self._endpoint.call()
        if {chain_of(account), chain_of(asset)} != {self._chain.chain}:
            raise RejectedError(f"{account} and {asset} are not both of {self._chain.chain}")
        newest = max(0, self._chain.height - self._endpoint.lag_blocks)
        if at is not None and not 0 <= at <= newest:
            raise NotFoundError(f"{self._chain.chain} has no block at {at}")
        key = ledger.balance_key(account, asset)
        return BaseUnits(self._chain.state.get(key, 0, newest if at is None else at))


class MemoryRecordReader:
    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    async def record(self, namespace: str, key: str) -> RecordView | None:
        await self._endpoint.call()
        newest: RecordView | None = None
        return self._chain.state.get(
            ledger.record_key(namespace, key), newest, max(0, self._chain.height - self._endpoint.lag_blocks)
        )


class MemoryLockReader:
    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        return await self.lock_at(lock_id, terms, None)

    async def check_payout(self, terms: LockTerms) -> None:
        await self._endpoint.call()
        reason = self._endpoint.report_refusal(self._chain.tokens.refusal(terms.asset, terms.receiver))
        if reason is not None:
            raise PayoutBlockedError(f"{terms.receiver} cannot be paid {terms.asset} now: {reason}", reason=reason)

    async def lock_at(self, lock_id: LockId, terms: LockTerms, at: Height | None) -> LockObservation:
        """The lock as of the finalized block at a height, None for the newest. Raise `NotFoundError`."""
        await self._endpoint.call()
        lock_owner(self._chain.chain, lock_id)
        final = self._chain.head_behind(self._endpoint.lag_blocks).finalized
        if at is not None and at > final.height:
            raise NotFoundError(f"the endpoint does not call height {at} final yet")
        final = final if at is None else self._chain.block(at).header
        none: ledger.LockRow | None = None
        row = self._chain.state.get(ledger.lock_key(lock_id), none, final.height)
        truth = LockObservation(
            lock_id=lock_id,
            status=LockStatus.ABSENT if row is None else row.status,
            terms_match=row is not None and row.terms == terms,
            at=final.ref,
            time=final.time,
            code_hash=self._chain.rules.deployed_code_hash,
        )
        return self._endpoint.report_lock(truth)


MemoryLocks = MemoryLockReader
"""The name of version 0.1, for programs that import it; it goes with 0.2."""


class MemoryTransactionSender:
    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    async def sequences(self, account: AccountId) -> SequenceView:
        await self._endpoint.call()
        key = ledger.sequence_key(account)
        seen = self._chain.head_behind(self._endpoint.lag_blocks)
        state = self._chain.state
        return SequenceView(state.get(key, 0, seen.head.height), state.get(key, 0, seen.finalized.height))

    async def fee_market(self) -> FeeMarket | None:
        await self._endpoint.call()
        return self._chain.fees

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        if transaction.reveals:
            raise RejectedError("a transaction that reveals a preimage is never simulated")
        await self._endpoint.call()
        if fee is not None:
            for asset, amount in self.cost(transaction, fee).items():
                held = self._chain.state.get(ledger.balance_key(transaction.sender, asset), 0)
                if held < amount:
                    raise RevertedError(f"insufficient balance: {held} of {amount} {asset}", reason="unaffordable")
        self._chain.check(transaction.sender, decode_message(transaction.body))

    def cost(self, transaction: UnsignedTransaction, fee: FeeBid | None) -> Mapping[AssetId, int]:
        message, native = decode_message(transaction.body), self._chain.rules.native
        items = message.items if isinstance(message, Batch) else (message,)
        assets = {AssetId(item.asset) for item in items if isinstance(item, Lock | Transfer)}
        found = {asset: ledger.moved(message, asset) for asset in assets}
        if fee is not None and native is not None:
            found[native] = found.get(native, 0) + self._chain.rules.gas * fee.max_fee
        return {asset: amount for asset, amount in found.items() if amount > 0}

    def exit_cost(self, fee: FeeBid | None) -> Mapping[AssetId, int]:
        native = self._chain.rules.native
        return {} if fee is None or native is None else {native: self._chain.rules.gas * fee.max_fee}

    async def cancellation(self, account: AccountId) -> UnsignedTransaction | None:
        return unsigned(self._chain.chain, account, Nothing(), "nothing, under a sequence that must be used up")

    async def fitted(self, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
        return transaction

    def assemble(
        self, transaction: UnsignedTransaction, sequence: int, fee: FeeBid | None, expiry: Height | None
    ) -> SigningRequest:
        body = Body(
            chain=transaction.chain,
            sender=transaction.sender,
            sequence=sequence,
            max_fee=fee.max_fee if fee else 0,
            priority_fee=fee.priority_fee if fee else 0,
            expiry_height=expiry or 0,
            message=decode_message(transaction.body),
        )
        return SigningRequest(transaction, sequence, "ed25519", payload(body))

    def attach(self, request: SigningRequest, signature: bytes) -> SignedTransaction:
        sender = request.transaction.sender
        if not self._chain.verifies(sender, request.payload, signature):
            raise RejectedError(f"the signature is not that of {sender}")
        raw = encode_wire(Wire(body_of(request.payload), signature))
        return SignedTransaction(request.transaction.chain, sender, request.sequence, transaction_hash(raw), raw)

    async def submit(self, signed: SignedTransaction) -> None:
        await self._endpoint.call()
        self._chain.take(signed.raw)
        self._endpoint.reply_to_submission()

    async def outcome(self, tx_hash: bytes) -> Outcome:
        await self._endpoint.call()
        return self._chain.outcome(tx_hash)


class MemoryBridgeBuilder:
    """Statements about other chains."""

    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    def attest(self, header: BlockHeader, sender: AccountId) -> UnsignedTransaction:
        return attest(self._chain.chain, sender, header.ref, header.time)

    async def attested(self, chain: ChainId) -> BlockRef | None:
        await self._endpoint.call()
        none: BlockRef | None = None
        return self._chain.state.get(ledger.attested_key(chain), none)


def access(chain: Blockchain, endpoint: Endpoint, htlc_code_hash: bytes) -> ChainAccess:
    """The bundle that rooms are given."""
    parameters = MemoryParameters(chain, htlc_code_hash)
    return ChainAccess(
        parameters=parameters,
        heads=MemoryHeadSource(chain, endpoint),
        blocks=MemoryBlockSource(chain, endpoint),
        state=MemoryStateReader(chain, endpoint),
        locks=MemoryLockReader(chain, endpoint),
        legs=MemoryLegBuilder(chain, endpoint),
        transactions=MemoryTransactionSender(chain, endpoint),
        batches=MemoryBatchBuilder(chain.chain) if chain.rules.batches else None,
        openings=Ed25519OpeningProofs(parameters, lambda key: account_of(chain.chain, key)),
        consents=MemoryConsentBuilder() if chain.rules.early_refunds else None,
        records=MemoryRecordReader(chain, endpoint),
        transfers=MemoryTransferBuilder(chain.chain),
    )
