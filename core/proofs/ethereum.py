"""Ethereum headers, accounts, storage words and receipts, proven from their roots.

Source: Yellow Paper §4 "Blocks, State and Transactions" with the header fields of EIP-1559, EIP-4895, EIP-4844,
EIP-4788 and EIP-7685; EIP-1186 for account and storage proofs; EIP-2718 for typed receipts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.proofs import mpt, rlp
from core.proofs.errors import MalformedProofError
from core.proofs.keccak import keccak256

HASH_SIZE = 32
ADDRESS_SIZE = 20
BLOOM_SIZE = 256
NONCE_SIZE = 8
MAX_EXTRA_DATA = 32
MAX_HEADER_BYTES = 1024
MAX_LOGS = 1 << 16
MAX_TOPICS = 4
MAX_TRANSACTION_TYPE = 0x7F

EMPTY_CODE_HASH = keccak256(b"")

_BASE_FIELDS = 15
# Fork by fork, the fields that joined at the end of the header: London, Shanghai, Cancun, Prague (and Osaka).
_KNOWN_LENGTHS = (15, 16, 17, 20, 21)


@dataclass(frozen=True, slots=True)
class EthereumHeader:
    """An execution header. The fields from `base_fee_per_gas` on are None before the fork that brought them."""

    parent_hash: bytes
    ommers_hash: bytes
    beneficiary: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee_per_gas: int | None = None
    withdrawals_root: bytes | None = None
    blob_gas_used: int | None = None
    excess_blob_gas: int | None = None
    parent_beacon_block_root: bytes | None = None
    requests_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """An account's leaf in the state trie; `code_hash` is EIP-1052's, that of no code for a plain account."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """One event of a transaction."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction's receipt; `kind` is its EIP-2718 type, 0 for legacy. `status` is 1 for success."""

    kind: int
    status: int
    cumulative_gas_used: int
    logs_bloom: bytes
    logs: tuple[Log, ...]


# --- headers -----------------------------------------------------------------------------------------------------


def encode_header(header: EthereumHeader) -> bytes:
    """RLP of the header. Raise MalformedProofError if an optional field is missing before a later one."""
    fixed: list[rlp.Rlp] = [
        header.parent_hash,
        header.ommers_hash,
        header.beneficiary,
        header.state_root,
        header.transactions_root,
        header.receipts_root,
        header.logs_bloom,
        *map(
            rlp.encode_integer,
            (header.difficulty, header.number, header.gas_limit, header.gas_used, header.timestamp),
        ),
        header.extra_data,
        header.mix_hash,
        header.nonce,
    ]
    optional = (
        header.base_fee_per_gas,
        header.withdrawals_root,
        header.blob_gas_used,
        header.excess_blob_gas,
        header.parent_beacon_block_root,
        header.requests_hash,
    )
    present = [value for value in optional if value is not None]
    if None in optional[: len(present)] or _BASE_FIELDS + len(present) not in _KNOWN_LENGTHS:
        raise MalformedProofError("header has the fields of no known fork")
    tail = [rlp.encode_integer(value) if isinstance(value, int) else value for value in present]
    return rlp.encode([*fixed, *tail])


def header_hash(header: EthereumHeader) -> bytes:
    """Block hash, 32 bytes."""
    return keccak256(encode_header(header))


def decode_header(data: bytes) -> EthereumHeader:
    """Inverse of `encode_header`. Raise MalformedProofError."""
    if len(data) > MAX_HEADER_BYTES:
        raise MalformedProofError("header is too large", limit=MAX_HEADER_BYTES)
    items = rlp.decode_list(data)
    if len(items) not in _KNOWN_LENGTHS:
        raise MalformedProofError("header has the fields of no known fork", fields=len(items))
    extra_data = rlp.as_bytes(items[12])
    if len(extra_data) > MAX_EXTRA_DATA:
        raise MalformedProofError("header has too much extra data")
    optional = [*items[_BASE_FIELDS:], *[None] * (21 - len(items))]
    return EthereumHeader(
        parent_hash=rlp.as_bytes(items[0], HASH_SIZE),
        ommers_hash=rlp.as_bytes(items[1], HASH_SIZE),
        beneficiary=rlp.as_bytes(items[2], ADDRESS_SIZE),
        state_root=rlp.as_bytes(items[3], HASH_SIZE),
        transactions_root=rlp.as_bytes(items[4], HASH_SIZE),
        receipts_root=rlp.as_bytes(items[5], HASH_SIZE),
        logs_bloom=rlp.as_bytes(items[6], BLOOM_SIZE),
        difficulty=rlp.as_integer(items[7]),
        number=rlp.as_integer(items[8], 8),
        gas_limit=rlp.as_integer(items[9], 8),
        gas_used=rlp.as_integer(items[10], 8),
        timestamp=rlp.as_integer(items[11], 8),
        extra_data=extra_data,
        mix_hash=rlp.as_bytes(items[13], HASH_SIZE),
        nonce=rlp.as_bytes(items[14], NONCE_SIZE),
        base_fee_per_gas=_optional_integer(optional[0]),
        withdrawals_root=_optional_hash(optional[1]),
        blob_gas_used=_optional_integer(optional[2]),
        excess_blob_gas=_optional_integer(optional[3]),
        parent_beacon_block_root=_optional_hash(optional[4]),
        requests_hash=_optional_hash(optional[5]),
    )


def header_from_rpc(block: Mapping[str, Any]) -> EthereumHeader:
    """Header from the fields of `eth_getBlockBy…`; other members are ignored. Raise MalformedProofError.

    Compare `header_hash` of the result with the hash you asked for: the node's own `hash` member proves nothing.
    """
    return EthereumHeader(
        parent_hash=_rpc_bytes(block, "parentHash", HASH_SIZE),
        ommers_hash=_rpc_bytes(block, "sha3Uncles", HASH_SIZE),
        beneficiary=_rpc_bytes(block, "miner", ADDRESS_SIZE),
        state_root=_rpc_bytes(block, "stateRoot", HASH_SIZE),
        transactions_root=_rpc_bytes(block, "transactionsRoot", HASH_SIZE),
        receipts_root=_rpc_bytes(block, "receiptsRoot", HASH_SIZE),
        logs_bloom=_rpc_bytes(block, "logsBloom", BLOOM_SIZE),
        difficulty=_rpc_integer(block, "difficulty"),
        number=_rpc_integer(block, "number"),
        gas_limit=_rpc_integer(block, "gasLimit"),
        gas_used=_rpc_integer(block, "gasUsed"),
        timestamp=_rpc_integer(block, "timestamp"),
        extra_data=_rpc_bytes(block, "extraData", None),
        mix_hash=_rpc_bytes(block, "mixHash", HASH_SIZE),
        nonce=_rpc_bytes(block, "nonce", NONCE_SIZE),
        base_fee_per_gas=_rpc_integer(block, "baseFeePerGas") if _has(block, "baseFeePerGas") else None,
        withdrawals_root=_rpc_optional_hash(block, "withdrawalsRoot"),
        blob_gas_used=_rpc_integer(block, "blobGasUsed") if _has(block, "blobGasUsed") else None,
        excess_blob_gas=_rpc_integer(block, "excessBlobGas") if _has(block, "excessBlobGas") else None,
        parent_beacon_block_root=_rpc_optional_hash(block, "parentBeaconBlockRoot"),
        requests_hash=_rpc_optional_hash(block, "requestsHash"),
    )


# --- state -------------------------------------------------------------------------------------------------------


def verify_account(state_root: bytes, address: bytes, nodes: Sequence[bytes]) -> Account | None:
    """The account at `address`, or None if it is proven absent (EIP-1186 `accountProof`)."""
    leaf = mpt.verify(state_root, keccak256(address), nodes)
    if leaf is None:
        return None
    items = rlp.decode_list(leaf)
    if len(items) != 4:
        raise MalformedProofError("account does not have four fields")
    return Account(
        rlp.as_integer(items[0], 8),
        rlp.as_integer(items[1]),
        rlp.as_bytes(items[2], HASH_SIZE),
        rlp.as_bytes(items[3], HASH_SIZE),
    )


def verify_storage(storage_root: bytes, slot: int, nodes: Sequence[bytes]) -> int:
    """The 256-bit word at `slot`; a slot that is proven absent holds zero (EIP-1186 `storageProof`)."""
    leaf = mpt.verify(storage_root, keccak256(slot.to_bytes(HASH_SIZE, "big")), nodes)
    if leaf is None:
        return 0
    word = rlp.as_integer(rlp.decode(leaf))
    if not word:
        raise MalformedProofError("a stored word is never zero")
    return word


# --- receipts ----------------------------------------------------------------------------------------------------


def index_key(index: int) -> bytes:
    """Key of entry `index` in the tries of a block's transactions and receipts: its RLP (Yellow Paper §4.3)."""
    return rlp.encode(rlp.encode_integer(index))


def verify_receipt(receipts_root: bytes, index: int, nodes: Sequence[bytes]) -> Receipt | None:
    """Receipt of transaction `index` of the block, or None if the block has no such transaction."""
    leaf = mpt.verify(receipts_root, index_key(index), nodes, max_node_bytes=mpt.MAX_RECEIPT_NODE_BYTES)
    return None if leaf is None else decode_receipt(leaf)


def decode_receipt(data: bytes) -> Receipt:
    """Parse a legacy or typed receipt after Byzantium (EIP-658, EIP-2718). Raise MalformedProofError."""
    kind = data[0] if data and data[0] <= MAX_TRANSACTION_TYPE else 0
    if data[:1] == b"\x00":
        raise MalformedProofError("a legacy receipt carries no type")
    items = rlp.decode_list(data[1:] if kind else data)
    if len(items) != 4:
        raise MalformedProofError("receipt does not have four fields")
    status = rlp.as_integer(items[0], 1)
    if status > 1:
        raise MalformedProofError("receipt status is neither success nor failure")
    logs = rlp.as_list(items[3])
    if len(logs) > MAX_LOGS:
        raise MalformedProofError("receipt has too many logs", limit=MAX_LOGS)
    return Receipt(
        kind,
        status,
        rlp.as_integer(items[1], 8),
        rlp.as_bytes(items[2], BLOOM_SIZE),
        tuple(_decode_log(log) for log in logs),
    )


def encode_receipt(receipt: Receipt) -> bytes:
    """Inverse of `decode_receipt`; what the receipts trie holds."""
    logs: list[rlp.Rlp] = [[log.address, list(log.topics), log.data] for log in receipt.logs]
    body = rlp.encode(
        [
            rlp.encode_integer(receipt.status),
            rlp.encode_integer(receipt.cumulative_gas_used),
            receipt.logs_bloom,
            logs,
        ]
    )
    return bytes([receipt.kind]) + body if receipt.kind else body


def _decode_log(item: rlp.Rlp) -> Log:
    fields = rlp.as_list(item)
    if len(fields) != 3:
        raise MalformedProofError("log does not have three fields")
    topics = rlp.as_list(fields[1])
    if len(topics) > MAX_TOPICS:
        raise MalformedProofError("log has too many topics", limit=MAX_TOPICS)
    return Log(
        rlp.as_bytes(fields[0], ADDRESS_SIZE),
        tuple(rlp.as_bytes(topic, HASH_SIZE) for topic in topics),
        rlp.as_bytes(fields[2]),
    )


# --- fields ------------------------------------------------------------------------------------------------------


def _optional_integer(item: rlp.Rlp | None) -> int | None:
    return None if item is None else rlp.as_integer(item)


def _optional_hash(item: rlp.Rlp | None) -> bytes | None:
    return None if item is None else rlp.as_bytes(item, HASH_SIZE)


def _has(block: Mapping[str, Any], name: str) -> bool:
    return block.get(name) is not None


def _rpc_bytes(block: Mapping[str, Any], name: str, size: int | None) -> bytes:
    value = block.get(name)
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 2 * MAX_HEADER_BYTES:
        raise MalformedProofError("block member is missing or not hex", member=name)
    try:
        raw = bytes.fromhex(value[2:])
    except ValueError as error:
        raise MalformedProofError("block member is not hex", member=name) from error
    if size is not None and len(raw) != size:
        raise MalformedProofError("block member has the wrong size", member=name, size=size)
    return raw


def _rpc_optional_hash(block: Mapping[str, Any], name: str) -> bytes | None:
    return _rpc_bytes(block, name, HASH_SIZE) if _has(block, name) else None


def _rpc_integer(block: Mapping[str, Any], name: str) -> int:
    value = block.get(name)
    if not isinstance(value, str) or not value.startswith("0x") or not 3 <= len(value) <= 66:
        raise MalformedProofError("block member is missing or not a quantity", member=name)
    try:
        return int(value[2:], 16)
    except ValueError as error:
        raise MalformedProofError("block member is not a quantity", member=name) from error
