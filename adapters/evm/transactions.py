"""From an unsigned call to a final one: EIP-1559 assembly, broadcast, outcome."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.evm.batches import is_incomplete, left_out
from adapters.evm.calls import CallBody, body_of, rpc_call, unsigned_call
from adapters.evm.decode import RawHeader, RawLog, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.errors import AlreadyKnownError, revert_reason
from adapters.evm.legs import SETTLE_TOKEN_GAS
from adapters.evm.limits import PLAIN_GAS, cost, fitted, priced
from adapters.evm.names import chain_number, hex_address, native_asset
from adapters.evm.rpc import Call, RpcClient, data_bytes, quantity
from adapters.evm.signing import SIGNATURE_SCHEME, recover_address
from core.model.errors import (
    CausewayError,
    ConflictError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
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
SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HEADER: Final = RawHeader | None


class RawReceipt(msgspec.Struct, rename="camel"):
    """The fields of eth_getTransactionReceipt that decide an outcome."""

    block_hash: str
    block_number: str
    status: str
    gas_used: str
    logs: list[RawLog]
    contract_address: str | None = None


class RawTransaction(msgspec.Struct, rename={"sender": "from", "data": "input"}):
    """The fields of eth_getTransactionByHash that a replay needs."""

    hash: str
    sender: str
    data: str
    value: str
    gas: str
    to: str | None = None


class RawTrace(msgspec.Struct):
    """The outermost frame of debug_traceTransaction's callTracer."""

    output: str = "0x"


class RawFeeHeader(msgspec.Struct, rename="camel"):
    base_fee_per_gas: str | None = None


class EvmTransactionSender:
    """`TransactionSender` for one chain."""

    def __init__(self, chain: ChainId, endpoints: Endpoints) -> None:
        self._chain = chain
        self._endpoints = endpoints

    async def sequences(self, account: AccountId) -> SequenceView:
        address = hex_address(evm_address(account))
        latest, finalized = await self._endpoints.batch_each(
            [Call("eth_getTransactionCount", (address, block)) for block in ("latest", "finalized")]
        )
        if isinstance(latest, CausewayError):
            raise latest
        known = not isinstance(finalized, CausewayError)
        return SequenceView(latest=quantity(latest), finalized=quantity(finalized) if known else None)

    async def fee_market(self) -> FeeMarket | None:
        header, tip = await self._endpoints.batch(
            [Call("eth_getBlockByNumber", ("latest", False), RawFeeHeader), Call("eth_maxPriorityFeePerGas")]
        )
        if header.base_fee_per_gas is None:
            raise RejectedError(f"{self._chain} has no base fee: it is older than EIP-1559")
        return FeeMarket(base_fee=quantity(header.base_fee_per_gas), priority_fee=quantity(tip))

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        """See the port: a transaction that reveals is refused unseen."""
        if transaction.reveals:
            raise RejectedError("a transaction that reveals a preimage is never simulated")
        try:
            await self._endpoints.call("eth_call", priced(rpc_call(body_of(transaction)), fee), "latest")
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
        """The EIP-1559 payload. Raises `RejectedError` without a fee; `expiry` has no meaning here."""
        if fee is None:
            raise RejectedError(f"a transaction on {self._chain} needs a fee")
        if not 0 <= fee.priority_fee <= fee.max_fee:
            raise RejectedError("the priority fee is part of the max fee, so it cannot be above it")
        if transaction.chain != self._chain:
            raise RejectedError(f"this transaction is for {transaction.chain}, this is {self._chain}")
        payload = DYNAMIC_FEE + rlp.encode(_fields(body_of(transaction), self._chain, sequence, fee))
        return SigningRequest(transaction, sequence, SIGNATURE_SCHEME, payload)

    def attach(self, request: SigningRequest, signature: bytes) -> SignedTransaction:
        """Append y-parity, r and s; the signature is r‖s‖v, 65 bytes, with low s (EIP-2)."""
        transaction = request.transaction
        if recover_address(request.payload, signature) != evm_address(transaction.sender):
            raise RejectedError(f"this signature is not {transaction.sender}'s")
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
        if s > SECP256K1_ORDER // 2:
            raise RejectedError("the signature's s is in the upper half, which Ethereum refuses")
        numbers = [rlp.encode_integer(value) for value in (signature[64], r, s)]
        raw = DYNAMIC_FEE + rlp.encode([*rlp.decode_list(request.payload[1:]), *numbers])
        return SignedTransaction(self._chain, transaction.sender, request.sequence, keccak256(raw), raw)

    async def submit(self, signed: SignedTransaction) -> None:
        """See the port. One endpoint that takes it, or has it, is success."""
        encoded = f"0x{signed.raw.hex()}"

        async def tell(client: RpcClient) -> str:
            return await client.call("eth_sendRawTransaction", encoded)

        def taken(answer: str | CausewayError) -> bool:
            return isinstance(answer, str | AlreadyKnownError)

        answers = await self._endpoints.broadcast(tell, taken)
        if any(map(taken, answers)):
            return
        failures = [answer for answer in answers if isinstance(answer, CausewayError)]
        if any(isinstance(failure, ConflictError) for failure in failures) and await self._is_known(signed.hash):
            return  # its sequence is used up, by itself
        raise _telling(failures)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        """See the port. A receipt of a block that is no longer canonical is none."""
        encoded = f"0x{tx_hash.hex()}"
        receipt, known, finalized = await self._endpoints.batch(
            [
                Call("eth_getTransactionReceipt", (encoded,), RawReceipt | None),
                Call("eth_getTransactionByHash", (encoded,), RawTransaction | None),
                Call("eth_getBlockByNumber", ("finalized", False), _HEADER),
            ]
        )
        if receipt is None:
            pending = known is not None or await self._is_known(tx_hash)
            return Outcome(OutcomeStatus.PENDING if pending else OutcomeStatus.DROPPED)
        height = int(receipt.block_number, 16)
        block = BlockRef(self._chain, Height(height), bytes.fromhex(receipt.block_hash[2:]))
        canonical: RawHeader | None = await self._endpoints.call(
            "eth_getBlockByNumber", hex(height), False, into=_HEADER
        )
        if canonical is None or canonical.hash != receipt.block_hash:
            return Outcome(OutcomeStatus.PENDING)
        final = finalized is not None and header_of(self._chain, finalized).height >= height
        if int(receipt.status, 16) == 1:
            if not is_incomplete(receipt.logs):
                return Outcome(OutcomeStatus.INCLUDED, final, block)
            if known is None or known.to is None:
                return Outcome(OutcomeStatus.PENDING)  # which of its items did nothing, its own data tells
            missing = left_out(known.to.lower(), data_bytes(known.data), receipt.logs)
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
        """Why an included transaction failed. From its trace; where the endpoint traces nothing, by doing it again on
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


def _telling(failures: Sequence[CausewayError]) -> CausewayError:
    """Of many refusals the one that says most: sequence taken, for now, for good."""
    for kind in (ConflictError, RetryableError):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    first = failures[0]
    return first if isinstance(first, RevertedError) else RevertedError(first.message, reason=first.message)


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
