"""Transactions of the ledger on their way: assembled, signed, checked in, found again.

The chain has no fees, and a sequence is taken by the first transaction that is checked in, so nothing is replaced:
a transaction ends by its expiry height.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from adapters.consortium.inclusion import BlockScan
from adapters.consortium.messages import messages_of, transfer
from adapters.consortium.raw_blocks import RawBlock, fetch_block
from adapters.consortium.results import NO_INDEX, REMEMBER_S, BlockResults
from adapters.consortium.rpc import CometRpc, RpcError, base64_of, bytes_of, parsed, text_of
from adapters.consortium.simulation import check_messages
from adapters.consortium.state import read_account
from core.model.consortium import (
    SIGN_PREFIX,
    Burn,
    Lock,
    ResultCode,
    Transaction,
    TransactionBody,
    Transfer,
    address,
    caip_account,
    caip_asset,
    decode_transaction,
    encode_transaction,
    raw_address,
    sign_bytes,
    transaction_hash,
    value_of,
)
from core.model.errors import (
    CausewayError,
    ConflictError,
    NotFoundError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnclearRefusalError,
)
from core.model.transactions import (
    FeeBid,
    FeeMarket,
    Outcome,
    OutcomeStatus,
    SequenceView,
    SignedTransaction,
    SigningRequest,
    UnsignedTransaction,
)
from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, Height, chain_of
from core.proofs.cometbft.json import integer_from_json, list_from_json, object_from_json

NEVER: Final = Height(2**63 - 1)
"""The expiry height of a transaction that does not expire."""
MAX_PENDING: Final = 100
"""Waiting transactions that CometBFT lists at most."""
_ALREADY_SEEN: Final = "already exists in cache"
_NOT_NOW: Final = re.compile(r"mempool is|catching up|timed? ?out|rate limit|too many requests", re.IGNORECASE)
_log = structlog.get_logger(__name__)


class PublicKeys:
    """Public keys of the accounts that this process assembles for: the ledger's transactions carry them."""

    def __init__(self, chain: ChainId) -> None:
        self._chain = chain
        self._keys: dict[AccountId, bytes] = {}

    def learn(self, public_key: bytes) -> AccountId:
        """Return the key's account. Raise `RejectedError` if it is not an ed25519 key."""
        account = caip_account(self._chain, address(public_key))
        self._keys[account] = public_key
        return account

    def of(self, account: AccountId) -> bytes:
        """Raise `RejectedError` for an account whose key was never learnt."""
        try:
            return self._keys[account]
        except KeyError:
            raise RejectedError(f"the public key of {account} is not known here: `learn` it first") from None


class ConsortiumTransactionSender:
    """`TransactionSender`."""

    def __init__(self, rpc: CometRpc, chain: ChainId, reference: str, keys: PublicKeys, results: BlockResults) -> None:
        self._rpc = rpc
        self._results = results
        self._scan = BlockScan(rpc, chain)
        self._unindexed_until_s = 0.0
        self._chain = chain
        self._reference = reference
        self._keys = keys

    async def sequences(self, account: AccountId) -> SequenceView:
        sequence = (await read_account(self._rpc, account)).sequence
        return SequenceView(sequence, sequence)

    async def fee_market(self) -> FeeMarket | None:
        return None

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        if transaction.reveals:
            raise RejectedError("a transaction that reveals a preimage is never simulated")
        await check_messages(self._rpc, self._chain, transaction.sender, messages_of(transaction))

    def cost(self, transaction: UnsignedTransaction, fee: FeeBid | None) -> Mapping[AssetId, int]:
        found: dict[AssetId, int] = {}
        for message in messages_of(transaction):
            if isinstance(message, Lock | Transfer | Burn):
                asset = caip_asset(self._chain, message.asset)
                found[asset] = found.get(asset, 0) + value_of(message.amount)
        return found

    def exit_cost(self, fee: FeeBid | None) -> Mapping[AssetId, int]:
        return {}

    async def cancellation(self, account: AccountId) -> UnsignedTransaction | None:
        """Transfer one unit of an asset that the account holds to itself: the ledger moves nothing smaller."""
        held = (await read_account(self._rpc, account)).balances
        return transfer(account, account, caip_asset(self._chain, held[0][0]), BaseUnits(1)) if held else None

    async def fitted(self, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
        return transaction

    def assemble(
        self, transaction: UnsignedTransaction, sequence: int, fee: FeeBid | None, expiry: Height | None
    ) -> SigningRequest:
        """Raise `RejectedError` for another chain's transaction, or a sender whose public key was never learnt."""
        if {transaction.chain, chain_of(transaction.sender)} != {self._chain}:
            raise RejectedError(f"this transaction is not one of {self._chain}")
        body = TransactionBody(
            chain_id=self._reference,
            public_key=self._keys.of(transaction.sender),
            sequence=sequence,
            expiry_height=NEVER if expiry is None else expiry,
            messages=messages_of(transaction),
        )
        return SigningRequest(transaction, sequence, "ed25519", sign_bytes(body))

    def attach(self, request: SigningRequest, signature: bytes) -> SignedTransaction:
        sender = request.transaction.sender
        try:
            VerifyKey(self._keys.of(sender)).verify(request.payload, signature)
        except (BadSignatureError, ValueError):
            raise RejectedError(f"the signature is not that of {sender}") from None
        raw = encode_transaction(Transaction(_body_of(request.payload), signature))
        return SignedTransaction(self._chain, sender, request.sequence, transaction_hash(raw), raw)

    async def submit(self, signed: SignedTransaction) -> None:
        """Raise, next to what the port says, `RetryableError` while an earlier sequence is missing, and
        `UnclearRefusalError` if the node itself refuses in other words than that it has the bytes already."""
        try:
            answer = await self._rpc.call_raw("broadcast_tx_sync", tx=base64_of(signed.raw))
        except RpcError as error:
            if _ALREADY_SEEN in error.text:
                return
            await self._refuse_by_node(signed, error)
            return
        code = parsed(lambda: integer_from_json(answer.get("code") or 0))
        log = text_of(answer.get("log"))
        if code == ResultCode.OK:
            self._scan.taken(signed.hash)
            return
        if code == ResultCode.NO_ROOM:
            raise RetryableError(f"{self._rpc.origin} takes no transaction now: {log}")
        # Both are also what the ledger says of bytes that it has included long ago.
        if code in (ResultCode.WRONG_SEQUENCE, ResultCode.EXPIRED):
            if await self._is_known(signed.hash):
                return
            if code == ResultCode.WRONG_SEQUENCE or (self._scans and not self._scan.is_conclusive(signed.hash)):
                await self._refuse_sequence(signed, log, code)
        raise RevertedError(f"{self._chain} refuses the transaction: {log}", reason=_word(code, log), code=code)

    async def _refuse_by_node(self, signed: SignedTransaction, error: RpcError) -> None:
        """Return if the node has the transaction all the same."""
        with suppress(CausewayError):
            if await self._is_known(signed.hash):
                return
        if error.method_unknown or _NOT_NOW.search(error.text):
            raise RetryableError(f"{self._rpc.origin} takes no transaction now: {error.message}")
        raise UnclearRefusalError(f"{self._rpc.origin} refuses the transaction: {error.message}")

    async def _is_known(self, tx_hash: bytes) -> bool:
        """True if it waits, or is in a block with any effect."""
        found = await self._included(tx_hash)
        if found is None:
            if await self._is_pending(tx_hash):
                return True
            # It may have moved from the mempool into a block between the two questions.
            found = await self._included(tx_hash)
        return found is not None and found.status is not OutcomeStatus.DROPPED

    async def _refuse_sequence(self, signed: SignedTransaction, log: str, code: int) -> None:
        # In this order: what leaves the mempool for a block in between is seen in the account's sequence.
        pending = await self._pending()
        included = (await self.sequences(signed.sender)).latest
        held = any(_place(raw) == (raw_address(signed.sender), signed.sequence) for raw in pending)
        if signed.sequence < included or held:
            raise ConflictError(f"another transaction has taken sequence {signed.sequence}: {log}", included=included)
        if code == ResultCode.WRONG_SEQUENCE:
            raise RetryableError(f"an earlier transaction of this account is missing: {log}", included=included)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        """A transaction that failed at the ledger's gates has changed nothing: it is dropped, with the reason.

        On a node without an index of transactions the newest blocks are read for it; as long as they do not reach back
        to where it may be, it counts as pending.
        """
        found = await self._included(tx_hash)
        if found is not None:
            return found
        if await self._is_pending(tx_hash):
            return Outcome(OutcomeStatus.PENDING)
        # It may have moved from the mempool into a block between the two questions.
        found = await self._included(tx_hash)
        if found is not None:
            return found
        if self._scans and not self._scan.is_conclusive(tx_hash):
            _log.warning("a transaction may be in an older block than is read", endpoint=self._rpc.origin, why=NO_INDEX)
            return Outcome(OutcomeStatus.PENDING)
        return Outcome(OutcomeStatus.DROPPED)

    @property
    def _scans(self) -> bool:
        """True while the node is known to have no index of transactions."""
        return asyncio.get_running_loop().time() < self._unindexed_until_s

    async def _included(self, tx_hash: bytes) -> Outcome | None:
        if not self._scans:
            try:
                answer = await self._rpc.call_raw("tx", hash=base64_of(tx_hash), prove=False)
            except RpcError as error:
                if isinstance(error.translated(), NotFoundError):
                    return None
                self._unindexed_until_s = asyncio.get_running_loop().time() + REMEMBER_S
                _log.warning(
                    "blocks are read for outcomes", endpoint=self._rpc.origin, why=NO_INDEX, said=error.message
                )
            else:
                return await self._indexed(tx_hash, answer)
        return await self._scanned(tx_hash)

    async def _indexed(self, tx_hash: bytes, answer: Mapping[str, Any]) -> Outcome:
        height = parsed(lambda: Height(integer_from_json(answer.get("height"))))
        block = await self._block(height)
        if tx_hash not in map(transaction_hash, block.entries):
            raise RetryableError(f"{self._rpc.origin} names block {height} for a transaction that is not in it")
        return parsed(lambda: _outcome(block.ref, object_from_json(answer.get("tx_result"))))

    async def _scanned(self, tx_hash: bytes) -> Outcome | None:
        dropped: Outcome | None = None
        for height, position in sorted(await self._scan.find(tx_hash), reverse=True):
            block = await self._block(height)
            try:
                outcome = _outcome_at(block, await self._results.of(block), position)
            except RetryableError:  # a block is there before its results
                return Outcome(OutcomeStatus.PENDING)
            if outcome.status is not OutcomeStatus.DROPPED:
                return outcome
            dropped = outcome
        return dropped

    async def _block(self, height: Height) -> RawBlock:
        try:
            return await fetch_block(self._rpc, self._chain, height)
        except NotFoundError as error:
            sentence = f"{self._chain} knows a transaction of block {height} but does not show the block"
            raise RetryableError(sentence) from error

    async def _is_pending(self, tx_hash: bytes) -> bool:
        return any(transaction_hash(raw) == tx_hash for raw in await self._pending())

    async def _pending(self) -> list[bytes]:
        """Waiting transactions; none from a node that does not list them, which only means that it gets them again."""
        try:
            answer = await self._rpc.call_raw("unconfirmed_txs", limit=str(MAX_PENDING))
        except RpcError as error:
            _log.info("waiting transactions are not listed", endpoint=self._rpc.origin, said=error.message)
            return []
        return parsed(lambda: [bytes_of(raw) for raw in list_from_json(answer.get("txs"), MAX_PENDING)])


def _outcome_at(block: RawBlock, results: Sequence[Mapping[str, Any]], position: int) -> Outcome:
    return parsed(lambda: _outcome(block.ref, results[position]))


def _outcome(block: BlockRef, result: Mapping[str, Any]) -> Outcome:
    code = integer_from_json(result.get("code") or 0)
    log = text_of(result.get("log")) or _word(code, "")
    if code == ResultCode.OK:
        return Outcome(OutcomeStatus.INCLUDED, final=True, block=block)
    if code <= ResultCode.NO_ROOM:
        return Outcome(OutcomeStatus.DROPPED, reason=log)
    return Outcome(OutcomeStatus.REVERTED, final=True, block=block, reason=log)


def _body_of(payload: bytes) -> TransactionBody:
    """The inverse of `sign_bytes`, for bytes that `assemble` made."""
    return msgspec.msgpack.decode(payload.removeprefix(SIGN_PREFIX), type=TransactionBody)


def _place(raw: bytes) -> tuple[bytes, int]:
    """The account and the sequence that a waiting transaction takes."""
    try:
        body = decode_transaction(raw).body
        return address(body.public_key), body.sequence
    except RejectedError:  # other applications' entries, and nonsense
        return b"", -1


def _word(code: int, log: str) -> str:
    """The ledger's word for a code, as its log begins with it."""
    known = {int(result): result.word for result in ResultCode}
    return known.get(code, log.partition(":")[0] or f"code {code}")
