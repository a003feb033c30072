"""A transaction and its receipt, proven in their block: both tries are built from all that the block holds."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from adapters.evm.endpoints import Endpoints
from adapters.evm.rpc import MAX_BATCH_CALLS, Call, data_bytes, quantity
from adapters.evm.tries import IndexTrie
from core.model.errors import NotFoundError, NotYetFinalError, ReorgedError, RetryableError
from core.model.questions import LogQuestion
from core.model.types import BlockRef, ChainId, Height
from core.proofs import ethereum
from core.proofs.errors import ProofError
from core.proofs.keccak import keccak256

MAX_BLOCK_TRANSACTIONS: Final = 10_000


class RawPlace(msgspec.Struct, rename="camel"):
    """The place of a transaction, from its receipt; null while it waits."""

    block_hash: str
    block_number: str
    transaction_index: str


class RawLog(msgspec.Struct):
    """One log of a receipt."""

    address: str
    topics: list[str]
    data: str


class RawReceipt(msgspec.Struct, rename="camel"):
    """The fields of a receipt that its trie holds."""

    status: str
    cumulative_gas_used: str
    logs_bloom: str
    logs: list[RawLog]
    type: str = "0x0"


@dataclass(frozen=True, slots=True)
class ReceiptNodes:
    """The block's header as RLP, the transaction's index, and the nodes of both tries."""

    block: BlockRef
    header: bytes
    index: int
    transaction_nodes: tuple[bytes, ...]
    receipt_nodes: tuple[bytes, ...]


async def read_log_proof(
    endpoints: Endpoints, chain: ChainId, question: LogQuestion, finalized: Height
) -> ReceiptNodes:
    """Raise `NotFoundError`, `NotYetFinalError`, `ReorgedError`, or `RetryableError` for entries that do not make
    the header's roots."""
    name = f"0x{question.transaction.hex()}"
    place: RawPlace | None = await endpoints.call("eth_getTransactionReceipt", name, into=RawPlace | None)
    if place is None:
        raise NotFoundError(f"{chain} has no transaction {name}: it is unknown, or still waits for its block")
    height = quantity(place.block_number)
    if height > finalized:
        raise NotYetFinalError(f"{chain} is final up to {finalized}, not {height}", finalized=finalized)
    at = hex(height)
    block, receipts = await endpoints.batch(
        [
            Call("eth_getBlockByNumber", (at, False), dict[str, Any] | None),
            Call("eth_getBlockReceipts", (at,), list[RawReceipt] | None),
        ]
    )
    if block is None or receipts is None or len(receipts) > MAX_BLOCK_TRANSACTIONS:
        raise NotFoundError(f"an endpoint of {chain} does not give the receipts of block {height}")
    if block.get("hash") != place.block_hash:
        raise ReorgedError(f"block {height} of {chain} was replaced while its receipts were read")
    calls = [Call("eth_getRawTransactionByBlockNumberAndIndex", (at, hex(index))) for index in range(len(receipts))]
    raws = []
    for start in range(0, len(calls), MAX_BATCH_CALLS):
        raws += await endpoints.batch(calls[start : start + MAX_BATCH_CALLS])
    try:
        return _checked(chain, question, quantity(place.transaction_index), block, receipts, raws)
    except ProofError as error:
        raise RetryableError(f"an endpoint of {chain} gave receipts that do not verify: {error}") from error


def _checked(
    chain: ChainId,
    question: LogQuestion,
    index: int,
    block: dict[str, Any],
    receipts: list[RawReceipt],
    raws: list[str],
) -> ReceiptNodes:
    header = ethereum.header_from_rpc(block)
    block_hash = ethereum.header_hash(header)
    entries = [data_bytes(raw) for raw in raws]
    transactions = IndexTrie(entries)
    logged = IndexTrie([ethereum.encode_receipt(_receipt(raw)) for raw in receipts])
    if (transactions.root, logged.root) != (header.transactions_root, header.receipts_root):
        raise RetryableError(
            f"an endpoint of {chain} gave other transactions or receipts than block {header.number} has"
        )
    if block_hash != data_bytes(str(block.get("hash"))):
        raise RetryableError(f"an endpoint of {chain} gave a header that does not have its own hash")
    if index >= len(entries) or keccak256(entries[index]) != question.transaction:
        raise RetryableError(f"an endpoint of {chain} names another place for the transaction than its block does")
    return ReceiptNodes(
        block=BlockRef(chain, Height(header.number), block_hash),
        header=ethereum.encode_header(header),
        index=index,
        transaction_nodes=transactions.nodes(index),
        receipt_nodes=logged.nodes(index),
    )


def _receipt(raw: RawReceipt) -> ethereum.Receipt:
    if quantity(raw.type) > ethereum.MAX_TRANSACTION_TYPE:
        raise RetryableError("an endpoint answered with a transaction type that does not exist (EIP-2718)")
    return ethereum.Receipt(
        quantity(raw.type),
        quantity(raw.status),
        quantity(raw.cumulative_gas_used),
        data_bytes(raw.logs_bloom),
        tuple(
            ethereum.Log(data_bytes(log.address), tuple(map(data_bytes, log.topics)), data_bytes(log.data))
            for log in raw.logs
        ),
    )
