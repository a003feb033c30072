"""From an unsigned call to a final one: EIP-1559 assembly, broadcast, outcome."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.evm.batches import is_incomplete, left_out
from adapters.evm.calls import CallBody, body_of, rpc_call, unsigned_call
from adapters.evm.decode import Address, Hash, Number, Quantity, RawHeader, RawLog, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.errors import AlreadyKnownError, revert_reason
from adapters.evm.legs import SETTLE_TOKEN_GAS
from adapters.evm.limits import PLAIN_GAS, cost, fitted, priced
from adapters.evm.logs import lowered
from adapters.evm.market import fee_market
from adapters.evm.names import chain_number, hex_address, native_asset
from adapters.evm.rpc import Call, RpcClient, data_bytes, quantity
from adapters.evm.sequences import FinalSequences
from adapters.evm.signing import SECP256K1_ORDER, SIGNATURE_SCHEME, recover_address
from core.model.errors import (
    CausewayError,
    ConflictError,
    NotFoundError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
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
from core.model.types import AccountId, AssetId, BlockRef, ChainId, Height
from core.proofs import rlp
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address

DYNAMIC_FEE: Final = b"\x02"
"""EIP-2718 type of EIP-1559 transactions."""
EIP_155_V: Final = 35
"""EIP-155: v is this, twice the chain id, and the parity."""
_HEADER: Final = RawHeader | None


class RawReceipt(msgspec.Struct, rename="camel"):
    """The fields of eth_getTransactionReceipt that decide an outcome. Before Byzantium (EIP-658) it has no status."""

    transaction_hash: Hash
    block_hash: Hash
    block_number: Number
    status: Quantity | None
    logs: list[RawLog] | None
    contract_address: Address | None = None


class RawTransaction(msgspec.Struct, rename={"sender": "from", "data": "input"}):
    """The fields of eth_getTransactionByHash that a replay needs."""

    hash: Hash
    sender: Address
    data: str
    value: Quantity
    gas: Quantity
    to: Address | None = None


class RawTrace(msgspec.Struct):
    """The outermost frame of debug_traceTransaction's callTracer."""

    output: str = "0x"


class EvmTransactionSender:
    """`TransactionSender` for one chain."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, base_fees: bool = True) -> None:
        """`base_fees`: whether the chain has them. Without, transactions are of the form before EIP-1559 (EIP-155)."""
        self._chain = chain
        self._endpoints = endpoints
        self._base_fees = base_fees
        self._final = FinalSequences(chain)

    async def sequences(self, account: AccountId) -> SequenceView:
        """See the port. What is final is asked for, or concluded from what was seen if the node lacks that state."""
        address = hex_address(evm_address(account))
        return await self._endpoints.first(lambda client: self._sequences_of(client, address))

    async def _sequences_of(self, client: RpcClient, address: str) -> SequenceView:
        latest, finalized = await client.batch_each(
            [Call("eth_getTransactionCount", (address, block), Number) for block in ("latest", "finalized")]
        )
        if isinstance(latest, CausewayError):
            raise latest
        if isinstance(finalized, str):
            return SequenceView(latest=quantity(latest), finalized=quantity(finalized))
        try:
            return SequenceView(latest=quantity(latest), finalized=await self._final.look(client, address))
        except CausewayError:
            return SequenceView(latest=quantity(latest), finalized=None)

    async def fee_market(self) -> FeeMarket | None:
        return await fee_market(self._chain, self._endpoints)

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        """See the port: a transaction that reveals is refused unseen."""
        if transaction.reveals:
            raise RejectedError("a transaction that reveals a preimage is never simulated")
        call = rpc_call(body_of(transaction))
        if self._base_fees:
            call = priced(call, fee)
        elif fee is not None:
            call["gasPrice"] = hex(fee.max_fee)
        try:
            await self._endpoints.call("eth_call", call, "latest")
        except UnaffordableError as error:
            raise RevertedError(error.message, reason=error.message) from error

    def cost(self, transaction: UnsignedTransaction, fee: FeeBid | None) -> Mapping[AssetId, int]:
        return cost(self._chain, body_of(transaction), fee)

    def exit_cost(self, fee: FeeBid | None) -> Mapping[AssetId, int]:
        """By the larger of the gas limits that claims begin with, which a token's has."""
        return {} if fee is None else {native_asset(self._chain): SETTLE_TOKEN_GAS * fee.max_fee}

    async def cancellation(self, account: AccountId) -> UnsignedTransaction | None:
        """A payment of nothing to oneself, the cheapest transaction there is."""
        address = evm_address(account)
        return unsigned_call(account, address, b"", gas=PLAIN_GAS, summary="Use up a sequence, with no other effect")

    async def fitted(self, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
        return await fitted(self._endpoints, transaction, tries)

    def assemble(
        self, transaction: UnsignedTransaction, sequence: int, fee: FeeBid | None, expiry: Height | None
    ) -> SigningRequest:
        """The EIP-1559 payload, or that of EIP-155 with the max fee as its price on a chain without base fees.

        Raise `RejectedError` without a fee; `expiry` has no meaning here.
        """
        if fee is None:
            raise RejectedError(f"a transaction on {self._chain} needs a fee")
        if not 0 <= fee.priority_fee <= fee.max_fee:
            raise RejectedError("the priority fee is part of the max fee, so it cannot be above it")
        if transaction.chain != self._chain:
            raise RejectedError(f"this transaction is for {transaction.chain}, this is {self._chain}")
        body = body_of(transaction)
        if self._base_fees:
            payload = DYNAMIC_FEE + rlp.encode(_fields(body, self._chain, sequence, fee))
        else:
            payload = rlp.encode(_legacy_fields(body, self._chain, sequence, fee))
        return SigningRequest(transaction, sequence, SIGNATURE_SCHEME, payload)

    def attach(self, request: SigningRequest, signature: bytes) -> SignedTransaction:
        """Append y-parity, r and s; the signature is r‖s‖v, 65 bytes, with low s (EIP-2)."""
        transaction = request.transaction
        if recover_address(request.payload, signature) != evm_address(transaction.sender):
            raise RejectedError(f"this signature is not {transaction.sender}'s")
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
        if s > SECP256K1_ORDER // 2:
            raise RejectedError("the signature's s is in the upper half, which Ethereum refuses")
        if request.payload.startswith(DYNAMIC_FEE):
            numbers = [rlp.encode_integer(value) for value in (signature[64], r, s)]
            raw = DYNAMIC_FEE + rlp.encode([*rlp.decode_list(request.payload[1:]), *numbers])
        else:
            v = EIP_155_V + 2 * chain_number(self._chain) + signature[64]
            numbers = [rlp.encode_integer(value) for value in (v, r, s)]
            raw = rlp.encode([*rlp.decode_list(request.payload)[:-3], *numbers])
        return SignedTransaction(self._chain, transaction.sender, request.sequence, keccak256(raw), raw)

    async def submit(self, signed: SignedTransaction) -> None:
        """See the port. One endpoint that takes it, or has it, is success."""
        encoded = f"0x{signed.raw.hex()}"

        async def send(client: RpcClient) -> str:
            return await client.call("eth_sendRawTransaction", encoded)

        def taken(answer: str | CausewayError) -> bool:
            return isinstance(answer, str | AlreadyKnownError)

        answers = await self._endpoints.broadcast(send, taken)
        if any(map(taken, answers)):
            return
        failures = [answer for answer in answers if isinstance(answer, CausewayError)]
        if any(isinstance(failure, ConflictError) for failure in failures) and await self._is_known(signed.hash):
            return  # its sequence is used up, by itself
        raise _telling(failures)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        """See the port. A receipt of a block that is no longer canonical is none."""
        return await self._endpoints.first(lambda client: self._outcome_of(client, tx_hash))

    async def _outcome_of(self, client: RpcClient, tx_hash: bytes) -> Outcome:
        encoded = f"0x{tx_hash.hex()}"
        receipt, known, finalized = await client.batch_each(
            [
                Call("eth_getTransactionReceipt", (encoded,), RawReceipt | None),
                Call("eth_getTransactionByHash", (encoded,), RawTransaction | None),
                Call("eth_getBlockByNumber", ("finalized", False), _HEADER),
            ]
        )
        if isinstance(receipt, NotFoundError):
            receipt = None  # some nodes refuse where others answer null
        if isinstance(receipt, CausewayError):
            raise receipt
        if isinstance(known, CausewayError):
            if receipt is None and not isinstance(known, NotFoundError):
                raise known
            known = None
        if receipt is None:
            pending = known is not None or await self._is_known(tx_hash)
            return Outcome(OutcomeStatus.PENDING if pending else OutcomeStatus.DROPPED)
        if data_bytes(receipt.transaction_hash) != tx_hash:
            raise RetryableError(f"{client} answered with the receipt of another transaction")
        height = quantity(receipt.block_number)
        block = BlockRef(self._chain, Height(height), data_bytes(receipt.block_hash))
        canonical: RawHeader | None = await client.call("eth_getBlockByNumber", hex(height), False, into=_HEADER)
        if canonical is None or header_of(self._chain, canonical).ref != block:
            return Outcome(OutcomeStatus.PENDING)
        final = isinstance(finalized, RawHeader) and header_of(self._chain, finalized).height >= height
        if _succeeded(client, receipt):
            if receipt.logs is None and known is not None and data_bytes(known.data):
                raise RetryableError(f"{client} answered with a call's receipt that has no logs")
            logs = [lowered(entry) for entry in receipt.logs or ()]
            if not is_incomplete(logs):
                return Outcome(OutcomeStatus.INCLUDED, final, block)
            if known is None or known.to is None:
                return Outcome(OutcomeStatus.PENDING)  # only its own data shows which of its items did nothing
            missing = left_out(known.to.lower(), data_bytes(known.data), logs)
            return Outcome(OutcomeStatus.INCLUDED, final, block, left_out=missing)
        reason = None if known is None else await self._reason(encoded, known, canonical)
        return Outcome(OutcomeStatus.REVERTED, final, block, reason)

    async def created_contract(self, tx_hash: bytes) -> bytes | None:
        """The address that an included transaction created a contract at."""
        receipt: RawReceipt | None = await self._endpoints.call(
            "eth_getTransactionReceipt", f"0x{tx_hash.hex()}", into=RawReceipt | None
        )
        if receipt is None or receipt.contract_address is None:
            return None
        return data_bytes(receipt.contract_address)

    async def _is_known(self, tx_hash: bytes) -> bool:
        answers = await self._endpoints.each(
            lambda client: client.call("eth_getTransactionByHash", f"0x{tx_hash.hex()}", into=RawTransaction | None)
        )
        return any(isinstance(answer, RawTransaction) for answer in answers)

    async def _reason(self, tx_hash: str, transaction: RawTransaction, block: RawHeader) -> str | None:
        """Why an included transaction failed. From its trace; if the endpoint traces nothing, by doing it again on
        the state before its block at its block's time. It is public by now, whatever it carries."""
        try:
            trace: RawTrace = await self._endpoints.call(
                "debug_traceTransaction", tx_hash, {"tracer": "callTracer"}, into=RawTrace
            )
            return revert_reason(data_bytes(trace.output))
        except CausewayError:
            pass
        call: dict[str, Any] = {
            "from": transaction.sender,
            "to": transaction.to,
            "value": transaction.value,
            "input": transaction.data,
            "gas": transaction.gas,
        }
        parent = hex(int(block.number, 16) - 1)
        try:
            await self._endpoints.call("eth_call", call, parent, {}, {"time": block.timestamp})
        except RevertedError as error:
            return str(error.fields["reason"])
        except CausewayError:
            pass
        return None


def _succeeded(client: RpcClient, receipt: RawReceipt) -> bool:
    """Return true if the transaction did what it should (EIP-658). Raise `RetryableError` if the receipt does not
    say."""
    status = None if receipt.status is None else quantity(receipt.status)
    if status not in (0, 1):
        raise RetryableError(f"{client} answered with a receipt that does not say whether its transaction failed")
    return status == 1


def _telling(failures: Sequence[CausewayError]) -> CausewayError:
    """Of many refusals the one that says most: sequence taken, for now, for good."""
    for kind in (ConflictError, UnaffordableError, UnclearRefusalError, RetryableError):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    reverted = [failure for failure in failures if isinstance(failure, RevertedError)]
    # Any other refusal says nothing about the transaction itself.
    return reverted[0] if reverted else UnclearRefusalError(failures[0].message)


def _fields(body: CallBody, chain: ChainId, sequence: int, fee: FeeBid) -> list[rlp.Rlp]:
    """EIP-1559: chain id, nonce, priority fee, max fee, gas limit, to, value, data, access list."""
    numbers = (chain_number(chain), sequence, fee.priority_fee, fee.max_fee, int(body.gas, 16))
    return [
        *(rlp.encode_integer(number) for number in numbers),
        b"" if body.to is None else bytes.fromhex(body.to[2:]),
        rlp.encode_integer(int(body.value, 16)),
        bytes.fromhex(body.data[2:]),
        [
            [bytes.fromhex(item.address[2:]), [bytes.fromhex(key[2:]) for key in item.storage_keys]]
            for item in body.access_list
        ],
    ]


def _legacy_fields(body: CallBody, chain: ChainId, sequence: int, fee: FeeBid) -> list[rlp.Rlp]:
    """EIP-155: nonce, gas price, gas limit, to, value, data, chain id, 0, 0. There are no access lists yet."""
    return [
        *(rlp.encode_integer(number) for number in (sequence, fee.max_fee, int(body.gas, 16))),
        b"" if body.to is None else bytes.fromhex(body.to[2:]),
        rlp.encode_integer(int(body.value, 16)),
        bytes.fromhex(body.data[2:]),
        *(rlp.encode_integer(number) for number in (chain_number(chain), 0, 0)),
    ]
