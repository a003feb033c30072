"""Logs into typed events, sliced by hand: a log costs a few microseconds here, against a hundred through web3.

Layouts are those of `docs/htlc-contract.md` and of ERC-20's Transfer.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from adapters.evm.contract_events import ContractDecoder
from adapters.evm.lanes import event_lock_id
from adapters.evm.names import account, native_asset, token_asset
from core.model.errors import RejectedError, RetryableError
from core.model.facts import BlockHeader, ChainEvent, Claimed, Locked, LoggedEvent, Refunded, Transferred
from core.model.types import (
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockTerms,
    PublicPreimage,
)
from core.proofs.keccak import keccak256

LOCKED_TOPIC: Final = "0x" + keccak256(b"Locked(bytes32,uint256,address,uint256)").hex()
LOCKED_TOKEN_TOPIC: Final = "0x" + keccak256(b"LockedToken(bytes32,uint256,address,uint256,address)").hex()
CLAIMED_TOPIC: Final = "0x" + keccak256(b"Claimed(bytes32,uint256,bytes32)").hex()
REFUNDED_TOPIC: Final = "0x" + keccak256(b"Refunded(bytes32,uint256)").hex()
TRANSFER_TOPIC: Final = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()
TOPICS: Final = (LOCKED_TOPIC, LOCKED_TOKEN_TOPIC, CLAIMED_TOPIC, REFUNDED_TOPIC, TRANSFER_TOPIC)

_ZERO_ADDRESS: Final = bytes(20)


@dataclass(frozen=True, slots=True)
class Sources:
    """Whose logs are events. `htlc` is our contract and `tokens` the ERC-20 contracts, `0x…`, lower case."""

    htlc: str
    tokens: frozenset[str]
    contracts: ContractDecoder


class RawHeader(msgspec.Struct, rename="camel"):
    """The fields of eth_getBlockBy… that a follower needs."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    logs_bloom: str = ""


class RawLog(msgspec.Struct, rename="camel"):
    """One entry of eth_getLogs."""

    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str


class RawReceipt(msgspec.Struct):
    """One entry of eth_getBlockReceipts; its logs alone."""

    logs: list[RawLog]


def header_of(chain: ChainId, raw: RawHeader) -> BlockHeader:
    """Raises `RetryableError` for a header that is none: another endpoint may have a better one."""
    try:
        height = int(raw.number, 16)
        return BlockHeader(
            ref=BlockRef(chain, Height(height), bytes.fromhex(raw.hash[2:])),
            # The port's first block has no parent; Ethereum's names 32 zero bytes.
            parent_hash=bytes.fromhex(raw.parent_hash[2:]) if height else b"",
            time=ChainTime(chain, int(raw.timestamp, 16)),
        )
    except ValueError as error:
        raise RetryableError(f"an endpoint of {chain} answered with a malformed header") from error


def logged_event(block: BlockRef, sources: Sources, raw: RawLog) -> LoggedEvent | None:
    """The log as an event, or None for a log that is none of ours.

    Raises `RetryableError` for what the contract cannot have emitted.
    """
    try:
        event = _decode(block.chain, sources, raw)
        if event is None:
            return None
        return LoggedEvent(block, bytes.fromhex(raw.transaction_hash[2:]), int(raw.log_index, 16), event)
    except (ValueError, IndexError, RejectedError) as error:
        raise RetryableError(f"an endpoint of {block.chain} answered with a malformed log") from error


def _decode(chain: ChainId, sources: Sources, raw: RawLog) -> ChainEvent | None:
    topic = raw.topics[0] if raw.topics else ""
    data = bytes.fromhex(raw.data[2:])
    address = raw.address.lower()
    if address != sources.htlc:
        moved = _transferred(chain, raw, data) if topic == TRANSFER_TOPIC and address in sources.tokens else None
        return moved or sources.contracts.decode(address, raw.topics, data)
    if topic == LOCKED_TOPIC:
        return _locked(chain, raw, data, native_asset(chain))
    if topic == LOCKED_TOKEN_TOPIC:
        return _locked(chain, raw, data, token_asset(chain, data[108:128]))
    if topic not in (CLAIMED_TOPIC, REFUNDED_TOPIC):
        return None
    lock_id = event_lock_id(data[:20], int.from_bytes(data[:32], "big"))
    hashlock = Hashlock(bytes.fromhex(raw.topics[1][2:]))
    if topic == CLAIMED_TOPIC:
        return Claimed(lock_id, hashlock, PublicPreimage(data[32:64]))
    return Refunded(lock_id, hashlock)


def _locked(chain: ChainId, raw: RawLog, data: bytes, asset: AssetId) -> Locked:
    terms = int.from_bytes(data[:32], "big")
    sender = data[44:64]
    return Locked(
        event_lock_id(sender, terms),
        LockTerms(
            asset=asset,
            amount=BaseUnits(int.from_bytes(data[64:96], "big")),
            sender=account(chain, sender),
            receiver=account(chain, data[:20]),
            hashlock=Hashlock(bytes.fromhex(raw.topics[1][2:])),
            timelock=ChainTime(chain, terms >> 56 & 0xFFFFFFFFFF),
        ),
    )


def _transferred(chain: ChainId, raw: RawLog, data: bytes) -> Transferred | None:
    # ERC-721 has the same signature with its last field indexed.
    if len(raw.topics) != 3 or len(data) != 32:
        return None
    sender, receiver = (bytes.fromhex(topic[26:]) for topic in raw.topics[1:])
    return Transferred(
        asset=token_asset(chain, bytes.fromhex(raw.address[2:])),
        sender=None if sender == _ZERO_ADDRESS else account(chain, sender),
        receiver=None if receiver == _ZERO_ADDRESS else account(chain, receiver),
        amount=BaseUnits(int.from_bytes(data, "big")),
    )
