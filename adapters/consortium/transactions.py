"""Transactions of the ledger on their way: assembled, signed, checked in, found again.

The chain has no fees, and a sequence is taken by the first transaction that is checked in, so nothing is replaced:
a transaction ends by its expiry height.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from adapters.consortium.blocks import fetch_block
from adapters.consortium.messages import messages_of, transfer
from adapters.consortium.rpc import CometRpc, RpcError, base64_of, bytes_of, parsed
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
from core.model.errors import ConflictError, NotFoundError, RejectedError, RetryableError, RevertedError
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
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Height, chain_of
from core.proofs.cometbft.json import integer_from_json, list_from_json, object_from_json

NEVER: Final = Height(2**63 - 1)
"""The expiry height of a transaction that does not expire."""
MAX_PENDING: Final = 100
"""Waiting transactions that CometBFT lists at most."""
_ALREADY_SEEN: Final = "already exists in cache"


class PublicKeys:
    """Public keys of the accounts that this process assembles for: the ledger's transactions carry them."""

    def __init__(self, chain: ChainId) -> None:
        self._chain = chain
        self._keys: dict[AccountId, bytes] = {}

    def learn(self, public_key: bytes) -> AccountId:
        """Raises `RejectedError` for what is no ed25519 key."""
        account = caip_account(self._chain, address(public_key))
        self._keys[account] = public_key
        return account

    def of(self, account: AccountId) -> bytes:
        """Raises `RejectedError` for an account whose key was never learnt."""
        try:
            return self._keys[account]
        except KeyError:
            raise RejectedError(f"the public key of {account} is not known here: `learn` it first") from None


class ConsortiumTransactions:
    """`TransactionSender`."""

    def __init__(self, rpc: CometRpc, chain: ChainId, reference: str, keys: PublicKeys) -> None:
        self._rpc = rpc
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
        """One unit of whatever the account holds, to itself: the ledger moves no less."""
        held = (await read_account(self._rpc, account)).balances
        return transfer(account, account, caip_asset(self._chain, held[0][0]), BaseUnits(1)) if held else None

    async def fitted(self, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
        return transaction

    def assemble(
        self, transaction: UnsignedTransaction, sequence: int, fee: FeeBid | None, expiry: Height | None
    ) -> SigningRequest:
        """Raises `RejectedError` for another chain's transaction, or a sender whose public key was never learnt."""
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
        """Raises, beside what the port says, `RetryableError` while an earlier sequence is missing."""
        try:
            answer = await self._rpc.call_raw("broadcast_tx_sync", tx=base64_of(signed.raw))
        except RpcError as error:
            if _ALREADY_SEEN in error.text:
                return
            raise error.translated() from None
        code = parsed(lambda: integer_from_json(answer.get("code") or 0))
        log = str(answer.get("log") or "")
        if code == ResultCode.OK:
            return
        # Both are also what the ledger says of bytes that it has included long ago.
        if code in (ResultCode.WRONG_SEQUENCE, ResultCode.EXPIRED):
            if (await self.outcome(signed.hash)).status is not OutcomeStatus.DROPPED:
                return
            if code == ResultCode.WRONG_SEQUENCE:
                await self._refuse_sequence(signed, log)
        raise RevertedError(f"{self._chain} refuses the transaction: {log}", reason=_word(code, log), code=code)

    async def _refuse_sequence(self, signed: SignedTransaction, log: str) -> NoReturn:
        # In this order: what leaves the mempool for a block in between is seen in the account's sequence.
        pending = await self._pending()
        included = (await self.sequences(signed.sender)).latest
        held = any(_place(raw) == (raw_address(signed.sender), signed.sequence) for raw in pending)
        if signed.sequence < included or held:
            raise ConflictError(f"another transaction has taken sequence {signed.sequence}: {log}", included=included)
        raise RetryableError(f"an earlier transaction of this account is missing: {log}", included=included)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        """A transaction that failed at the ledger's gates has changed nothing: it is dropped, with the reason."""
        found = await self._included(tx_hash)
        if found is not None:
            return found
        if any(transaction_hash(raw) == tx_hash for raw in await self._pending()):
            return Outcome(OutcomeStatus.PENDING)
        # It may have moved from the mempool into a block between the two questions.
        return await self._included(tx_hash) or Outcome(OutcomeStatus.DROPPED)

    async def _included(self, tx_hash: bytes) -> Outcome | None:
        try:
            answer = await self._rpc.call("tx", hash=base64_of(tx_hash), prove=False)
        except NotFoundError:
            return None
        height, code, log = parsed(lambda: _tx_result(answer))
        if ResultCode.OK < code <= ResultCode.BAD_SIGNATURE:
            return Outcome(OutcomeStatus.DROPPED, reason=log)
        try:
            block = (await fetch_block(self._rpc, self._chain, height)).ref
        except NotFoundError as error:
            raise RetryableError(
                f"{self._chain} knows a transaction of block {height} but not the block yet"
            ) from error
        if code == ResultCode.OK:
            return Outcome(OutcomeStatus.INCLUDED, final=True, block=block)
        return Outcome(OutcomeStatus.REVERTED, final=True, block=block, reason=log)

    async def _pending(self) -> list[bytes]:
        answer = await self._rpc.call("unconfirmed_txs", limit=str(MAX_PENDING))
        return parsed(lambda: [bytes_of(raw) for raw in list_from_json(answer.get("txs"), MAX_PENDING)])


def _body_of(payload: bytes) -> TransactionBody:
    """The inverse of `sign_bytes`, for bytes that `assemble` made."""
    return msgspec.msgpack.decode(payload.removeprefix(SIGN_PREFIX), type=TransactionBody)


def _place(raw: bytes) -> tuple[bytes, int]:
    """The account and the sequence that a waiting transaction takes."""
    try:
        body = decode_transaction(raw).body
        return address(body.public_key), body.sequence
    except RejectedError:
        return b"", -1


def _tx_result(answer: Mapping[str, Any]) -> tuple[Height, int, str]:
    result = object_from_json(answer.get("tx_result"))
    code = integer_from_json(result.get("code") or 0)
    return Height(integer_from_json(answer.get("height"))), code, str(result.get("log") or "") or _word(code, "")


def _word(code: int, log: str) -> str:
    """The ledger's word for a code, as its log begins with it."""
    known = {int(result): result.word for result in ResultCode}
    return known.get(code, log.partition(":")[0] or f"code {code}")
