"""Payments of the native coin, which leave no logs: those that transactions make, and those inside of calls.

The facts of a block have one order. Logs keep the numbers that the chain gave them, from 0; payments follow behind all
logs, from `FIRST_PAYMENT` on, in the order in which they were executed. No block can have that many logs.

Traces are read in their flat form if a node has it: OpenEthereum's `trace_block`, which go-ethereum's
`flatCallTracer` copies. The nested one of `callTracer` comes last: calls may go deeper than a decoder follows, and such
a block cannot be read.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from adapters.evm.decode import FIRST_PAYMENT, RawHeader
from adapters.evm.names import account, native_asset, parse_address
from adapters.evm.rpc import Call, RpcClient, quantity
from core.model.errors import (
    CausewayError,
    NotFoundError,
    RejectedError,
    ReorgedError,
    RetryableError,
    UnclearRefusalError,
)
from core.model.facts import BlockHeader, LoggedEvent, NativeTransfers, Transferred
from core.model.types import MAX_BASE_UNITS, AccountId, BaseUnits, ChainId

MAX_DIRECT_RANGE: Final = 100
"""Blocks that are asked for at once with all their transactions."""
MAX_TRACED_RANGE: Final = 16
RECEIPTS_A_CALL: Final = 16
TRACES_A_CALL: Final = 4
"""Blocks whose receipts, or traces, are asked for in one request."""


class RawPayer(msgspec.Struct, rename="camel"):
    """A transaction of eth_getBlockByNumber; `to` is null if it creates a contract."""

    hash: str
    value: str
    sender: str = msgspec.field(name="from")
    to: str | None = None


class RawFullHeader(RawHeader, kw_only=True):
    """A block with its transactions."""

    transactions: list[RawPayer]


class RawListedHeader(RawHeader, kw_only=True):
    """A block with its transactions' hashes."""

    transactions: list[str]


H = TypeVar("H", RawFullHeader, RawListedHeader)


class RawOutcome(msgspec.Struct, rename="camel"):
    """One entry of eth_getBlockReceipts. Receipts before Byzantium (EIP-658) have no status."""

    transaction_hash: str
    status: str | None = None
    contract_address: str | None = None


class RawAction(msgspec.Struct, rename="camel"):
    """A trace's action: fields of calls and creations, and of a contract that destroys itself."""

    sender: str = msgspec.field(name="from", default="")
    to: str | None = None
    value: str = "0x0"
    call_type: str = ""
    address: str = ""
    refund_address: str = ""
    balance: str = "0x0"


class RawResult(msgspec.Struct):
    """`address`: the contract that was created."""

    address: str | None = None


class RawTrace(msgspec.Struct, rename="camel"):
    """One call, creation or self-destruction. Rewards have no transaction."""

    type: str
    action: RawAction
    trace_address: list[int] = []
    block_hash: str | None = None
    transaction_hash: str | None = None
    error: str | None = None
    result: RawResult | None = None


class RawFrame(msgspec.Struct):
    """One call of callTracer, with those inside of it."""

    type: str = ""
    sender: str = msgspec.field(name="from", default="")
    to: str | None = None
    value: str = "0x0"
    error: str | None = None
    calls: "list[RawFrame]" = []


class RawTraced(msgspec.Struct):
    """One transaction's traces, as debug_traceBlockByHash gives them: flat or nested, by the tracer."""

    result: list[RawTrace] | RawFrame


@dataclass(frozen=True, slots=True)
class Payment:
    """Native coin that moved, in wei. Addresses are `0x…`."""

    tx_hash: str
    sender: str
    receiver: str
    amount: int


Payments = dict[str, list[Payment]]
"""By the hash of their block, in the order of execution."""


class PaymentReader(ABC, Generic[H]):
    """Reads the payments of blocks. `header` is what a block is decoded as, `full` whether with whole transactions."""

    header: type[H]
    full: bool
    max_range: int

    def __init__(self, chain: ChainId) -> None:
        self._chain = chain
        self._asset = native_asset(chain)

    async def logged(
        self, client: RpcClient, raw: Sequence[H], headers: Sequence[BlockHeader]
    ) -> list[tuple[LoggedEvent, ...]]:
        """The payments of these blocks as events, block by block, as one endpoint shows them.

        Raise `ReorgedError` if a block went away, `RetryableError` for an answer that is not valid, `RejectedError`
        if the node cannot show payments.
        """
        found = await self._payments(client, [one for one in raw if one.transactions])
        return [tuple(self._events(header, found.get(one.hash, ()))) for one, header in zip(raw, headers, strict=True)]

    def _events(self, header: BlockHeader, paid: Iterable[Payment]) -> Iterator[LoggedEvent]:
        for place, one in enumerate(paid):
            if not 0 < one.amount <= MAX_BASE_UNITS:
                raise RetryableError(f"an endpoint of {self._chain} answered with a payment of more than there can be")
            moved = Transferred(
                self._asset, self._account(one.sender), self._account(one.receiver), BaseUnits(one.amount)
            )
            yield LoggedEvent(header.ref, _hash(one.tx_hash), FIRST_PAYMENT + place, moved)

    def _account(self, text: str) -> AccountId:
        # Not None for address zero, as with tokens: what is paid there is held there for ever.
        try:
            return account(self._chain, parse_address(text))
        except RejectedError as error:
            raise RetryableError(f"an endpoint of {self._chain} answered with a malformed address") from error

    @abstractmethod
    async def _payments(self, client: RpcClient, blocks: Sequence[H]) -> Payments: ...

    @abstractmethod
    async def probe(self, client: RpcClient, block: str) -> None:
        """Ask what `logged` will ask. Raise `RejectedError` if the node does not offer it."""

    async def _of_blocks(self, client: RpcClient, calls: Sequence[Call]) -> list[Any]:
        try:
            answers = await client.batch(calls)
        except NotFoundError as error:
            raise ReorgedError(f"a block of {self._chain} went away while its payments were read") from error
        if None in answers:
            raise ReorgedError(f"a block of {self._chain} went away while its payments were read")
        return answers


class DirectPayments(PaymentReader[RawFullHeader]):
    """Payments by successful transactions themselves, creations too: from blocks and receipts, which every node has."""

    header: type[RawFullHeader] = RawFullHeader
    full = True
    max_range = MAX_DIRECT_RANGE

    async def probe(self, client: RpcClient, block: str) -> None:
        await client.batch([_receipts_of(block)])

    async def _payments(self, client: RpcClient, blocks: Sequence[RawFullHeader]) -> Payments:
        paying = {one.hash: [payer for payer in one.transactions if quantity(payer.value)] for one in blocks}
        asked = [block for block, payers in paying.items() if payers]
        found: Payments = {}
        for first in range(0, len(asked), RECEIPTS_A_CALL):
            part = asked[first : first + RECEIPTS_A_CALL]
            answers = await self._of_blocks(client, [_receipts_of(block) for block in part])
            for block, receipts in zip(part, answers, strict=True):
                outcomes = {one.transaction_hash: one for one in receipts}
                paid = (self._paid(payer, outcomes.get(payer.hash)) for payer in paying[block])
                found[block] = [one for one in paid if one is not None]
        return found

    def _paid(self, payer: RawPayer, outcome: RawOutcome | None) -> Payment | None:
        """None for a transaction that failed: nothing moved but its fee."""
        if outcome is None:
            raise RetryableError(f"an endpoint of {self._chain} left out the receipt of {payer.hash}")
        if outcome.status is None:
            raise RejectedError(
                f"{self._chain}: receipts as old as that of {payer.hash} do not say what failed; set "
                'native_transfers = "traced", or a later start'
            )
        if not quantity(outcome.status):
            return None
        return Payment(payer.hash, payer.sender, payer.to or outcome.contract_address or "", quantity(payer.value))


class TracedPayments(PaymentReader[RawListedHeader]):
    """All payments, those inside of calls too: from nodes that trace, back to the oldest state that they keep."""

    header: type[RawListedHeader] = RawListedHeader
    full = False
    max_range = MAX_TRACED_RANGE

    def __init__(self, chain: ChainId) -> None:
        super().__init__(chain)
        self._offered: WeakKeyDictionary[RpcClient, tuple[_Tracing, ...]] = WeakKeyDictionary()

    async def probe(self, client: RpcClient, block: str) -> None:
        header: RawListedHeader | None = await client.call(
            "eth_getBlockByHash", block, False, into=RawListedHeader | None
        )
        if header is not None:
            await self._traces(client, [header])

    async def _payments(self, client: RpcClient, blocks: Sequence[RawListedHeader]) -> Payments:
        found: Payments = {}
        for first in range(0, len(blocks), TRACES_A_CALL):
            part = blocks[first : first + TRACES_A_CALL]
            for block, traces in zip(part, await self._traces(client, part), strict=True):
                found[block.hash] = self._moved(block, traces)
        return found

    async def _traces(self, client: RpcClient, blocks: Sequence[RawListedHeader]) -> list[list[RawTrace]]:
        """In the first of the ways that the node offers, which is remembered."""
        refusal: CausewayError | None = None
        for tracing in self._offered.get(client, _TRACINGS):
            try:
                answers = await self._of_blocks(client, [tracing.call(block) for block in blocks])
                found = [tracing.flat(block, answer) for block, answer in zip(blocks, answers, strict=True)]
            except (RejectedError, UnclearRefusalError) as error:
                refusal = error
                continue
            if any(found):
                self._offered[client] = (tracing,)
            return found
        raise RejectedError(
            f"{self._chain}: the node traces no blocks, neither by trace_block nor by debug_traceBlockByHash "
            f"({refusal}); name one that does, or set native_transfers = true"
        )

    def _moved(self, block: RawListedHeader, traces: Iterable[RawTrace]) -> list[Payment]:
        by_transaction: dict[str, list[RawTrace]] = {tx_hash: [] for tx_hash in block.transactions}
        for one in traces:
            if one.block_hash is not None and one.block_hash != block.hash:
                raise ReorgedError(f"a trace of {self._chain} belongs to another branch")
            if one.transaction_hash is not None:
                by_transaction.setdefault(one.transaction_hash, []).append(one)
        if len(by_transaction) > len(block.transactions) or not all(by_transaction.values()):
            raise RetryableError(f"an endpoint of {self._chain} traced other transactions than {block.hash} has")
        return [paid for tx_hash, parts in by_transaction.items() for paid in payments_of(tx_hash, parts)]


def payments_of(tx_hash: str, traces: Iterable[RawTrace]) -> Iterator[Payment]:
    """Yield what one transaction's traces moved, in the order of execution. What failed moved nothing, nor did anything
    inside of it."""
    failed: list[int] | None = None
    for one in sorted(traces, key=attrgetter("trace_address")):
        if failed is not None and one.trace_address[: len(failed)] == failed:
            continue
        if one.error is not None:
            failed = one.trace_address
            continue
        action = one.action
        match one.type:
            # Code that is borrowed (delegatecall, callcode) shows a value that stays where it is.
            case "call" if action.call_type == "call":
                sender, receiver, amount = action.sender, action.to, action.value
            case "create":
                sender, receiver, amount = action.sender, one.result.address if one.result else None, action.value
            # In its own favour a contract pays nobody.
            case "suicide" | "selfdestruct" if action.address != action.refund_address:
                sender, receiver, amount = action.address, action.refund_address, action.balance
            case _:
                continue
        if quantity(amount):
            yield Payment(tx_hash, sender, receiver or "", quantity(amount))


@dataclass(frozen=True, slots=True)
class _Tracing:
    """One way to ask: the call for a block, and its answer as a flat list with the transactions' hashes."""

    call: Callable[[RawListedHeader], Call]
    flat: Callable[[RawListedHeader, Any], list[RawTrace]]


def _by_transaction(
    block: RawListedHeader, answer: list[RawTraced], flat: Callable[[list[RawTrace] | RawFrame], list[RawTrace]]
) -> list[RawTrace]:
    """debug_traceBlockByHash answers in the order of the block's transactions."""
    if len(answer) != len(block.transactions):
        raise RetryableError(f"an endpoint traced {len(answer)} of the transactions of {block.hash}")
    found: list[RawTrace] = []
    for tx_hash, traced in zip(block.transactions, answer, strict=True):
        for one in flat(traced.result):
            one.transaction_hash = tx_hash
            found.append(one)
    return found


def _as_it_is(result: list[RawTrace] | RawFrame) -> list[RawTrace]:
    if isinstance(result, RawFrame):
        raise RejectedError("the node does not know the flatCallTracer")
    return result


def _flattened(result: list[RawTrace] | RawFrame) -> list[RawTrace]:
    if not isinstance(result, RawFrame) or not result.type:
        raise RejectedError("the node does not know the callTracer")
    found: list[RawTrace] = []
    left: list[tuple[RawFrame, list[int]]] = [(result, [])]
    while left:
        frame, where = left.pop()
        action = RawAction(
            sender=frame.sender,
            to=frame.to,
            value=frame.value,
            call_type=frame.type.lower(),
            address=frame.sender,
            refund_address=frame.to or "",
            balance=frame.value,
        )
        kind = _KINDS.get(frame.type, "call")
        found.append(RawTrace(kind, action, where, error=frame.error, result=RawResult(frame.to)))
        left += [(inner, [*where, place]) for place, inner in enumerate(frame.calls)]
    return found


_KINDS: Final = {"CREATE": "create", "CREATE2": "create", "SELFDESTRUCT": "suicide"}
_TRACED: Final = list[RawTraced] | None
_FLAT: Final = {"tracer": "flatCallTracer", "tracerConfig": {"includePrecompiles": True}}
_NESTED: Final = {"tracer": "callTracer"}
_TRACE_BLOCK: Final = _Tracing(
    lambda block: Call("trace_block", (block.number,), list[RawTrace] | None), lambda _, answer: answer
)
_FLAT_TRACER: Final = _Tracing(
    lambda block: Call("debug_traceBlockByHash", (block.hash, _FLAT), _TRACED),
    lambda block, answer: _by_transaction(block, answer, _as_it_is),
)
_CALL_TRACER: Final = _Tracing(
    lambda block: Call("debug_traceBlockByHash", (block.hash, _NESTED), _TRACED),
    lambda block, answer: _by_transaction(block, answer, _flattened),
)
_TRACINGS: Final = (_TRACE_BLOCK, _FLAT_TRACER, _CALL_TRACER)


def payment_reader(chain: ChainId, wanted: NativeTransfers) -> PaymentReader[Any] | None:
    match wanted:
        case NativeTransfers.NONE:
            return None
        case NativeTransfers.DIRECT:
            return DirectPayments(chain)
        case NativeTransfers.TRACED:
            return TracedPayments(chain)


def _receipts_of(block: str) -> Call:
    return Call("eth_getBlockReceipts", (block,), list[RawOutcome] | None)


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise RetryableError("an endpoint answered with a malformed hash") from error
