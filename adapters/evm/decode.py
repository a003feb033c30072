"""Logs into typed events, sliced by hand: a log costs a few microseconds here, against a hundred through web3.

Layouts are those of `docs/internals/htlc-contract.md` and of ERC-20's Transfer.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache, partial
from operator import attrgetter
from typing import Annotated, Final

import msgspec

from adapters.evm.contract_events import ContractDecoder
from adapters.evm.lanes import event_lock_id
from adapters.evm.names import account, native_asset, parse_address, token_asset
from core.model.errors import RejectedError, RetryableError
from core.model.facts import BlockHeader, ChainEvent, Claimed, Locked, LoggedEvent, Refunded, Transferred
from core.model.types import (
    AccountId,
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
HTLC_TOPICS: Final = (LOCKED_TOPIC, LOCKED_TOKEN_TOPIC, CLAIMED_TOPIC, REFUNDED_TOPIC)
TOPICS: Final = (*HTLC_TOPICS, TRANSFER_TOPIC)

_DATA_BYTES: Final = {LOCKED_TOPIC: 96, LOCKED_TOKEN_TOPIC: 128, CLAIMED_TOPIC: 64, REFUNDED_TOPIC: 32}

FIRST_PAYMENT: Final = 2**30
"""Logs have lower numbers in their block; payments of the native coin have this one and those behind it."""
MAX_ACCOUNTS: Final = 65_536
"""Accounts whose names are remembered: the same ones move again and again."""


class Sources:
    """Whose logs are events. `htlc` is our contract and `tokens` the ERC-20 contracts, `0x…`, lower case."""

    def __init__(self, chain: ChainId, htlc: str, tokens: Collection[str], contracts: ContractDecoder) -> None:
        self.chain, self.htlc, self.contracts = chain, htlc, contracts
        self.tokens = {token: token_asset(chain, parse_address(token)) for token in tokens}
        self.native = native_asset(chain)
        self.holder = lru_cache(MAX_ACCOUNTS)(partial(_holder, chain))
        """The account in an indexed topic, None for the zero address. Raise `ValueError` for a malformed topic."""


def _holder(chain: ChainId, topic: str) -> AccountId | None:
    word = bytes.fromhex(topic[2:])
    if len(word) != 32:
        raise ValueError("a topic has 32 bytes")
    return account(chain, word[12:]) if any(word[12:]) else None


Number = Annotated[str, msgspec.Meta(pattern=r"^0[xX]0*[0-7]?[0-9a-fA-F]{1,15}$")]
"""A quantity below 2**63, as databases hold them."""
Quantity = Annotated[str, msgspec.Meta(pattern=r"^0[xX][0-9a-fA-F]{1,64}$")]
Address = Annotated[str, msgspec.Meta(pattern=r"^0[xX][0-9a-fA-F]{40}$")]
Hash = Annotated[str, msgspec.Meta(pattern=r"^0[xX][0-9a-fA-F]{64}$")]


class RawHeader(msgspec.Struct, rename="camel", gc=False):
    """The fields of eth_getBlockBy… that a follower needs."""

    number: Number
    hash: Hash
    parent_hash: Hash
    timestamp: Number
    logs_bloom: str | None = ""


class RawLog(msgspec.Struct, rename="camel", gc=False):
    """One entry of eth_getLogs. Not watched by the garbage collector: it holds nothing but texts."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_hash: str
    transaction_hash: str
    log_index: str


class RawReceipt(msgspec.Struct):
    """One entry of eth_getBlockReceipts; its logs alone."""

    logs: list[RawLog] | None


def header_of(chain: ChainId, raw: RawHeader) -> BlockHeader:
    """Raise `RetryableError` for a malformed header: another endpoint may have a better one."""
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


def _word(text: str) -> bytes:
    """Return 32 bytes of `0x…`. Raise `ValueError` for anything else."""
    word = bytes.fromhex(text[2:])
    if len(word) != 32:
        raise ValueError("a hash has 32 bytes")
    return word


def logged_events(block: BlockRef, sources: Sources, logs: Iterable[RawLog]) -> tuple[LoggedEvent, ...]:
    """The logs of a block as events, by index, without foreign ones.

    Raise `RetryableError` for what the contract cannot have emitted.
    """
    events = []
    tx_text, tx_hash = "", b""
    try:
        for raw in logs:
            event = _decode(sources, raw)
            if event is None:
                continue
            if raw.transaction_hash != tx_text:
                tx_text, tx_hash = raw.transaction_hash, _word(raw.transaction_hash)
            events.append(LoggedEvent(block, tx_hash, int(raw.log_index, 16), event))
    except (ValueError, IndexError, RejectedError) as error:
        raise RetryableError(f"an endpoint of {block.chain} answered with a malformed log") from error
    events.sort(key=attrgetter("index"))
    if any(one.index == two.index for one, two in itertools.pairwise(events)):
        raise RetryableError(f"an endpoint of {block.chain} answered with a log twice")
    if events and not 0 <= events[0].index <= events[-1].index < FIRST_PAYMENT:
        raise RetryableError(f"an endpoint of {block.chain} numbered a log as no block can")
    return tuple(events)


def _decode(sources: Sources, raw: RawLog) -> ChainEvent | None:
    topic = raw.topics[0] if raw.topics else ""
    data = bytes.fromhex(raw.data[2:])
    address = raw.address.lower()
    if address != sources.htlc:
        asset = sources.tokens.get(address) if topic == TRANSFER_TOPIC else None
        moved = None if asset is None else _transferred(sources, raw.topics, data, asset)
        return moved or sources.contracts.decode(address, raw.topics, data)
    if len(data) < _DATA_BYTES.get(topic, 0):
        raise ValueError("our contract emits no such data")
    if topic == LOCKED_TOPIC:
        return _locked(sources, raw.topics, data, sources.native)
    if topic == LOCKED_TOKEN_TOPIC:
        return _locked(sources, raw.topics, data, token_asset(sources.chain, data[108:128]))
    if topic not in (CLAIMED_TOPIC, REFUNDED_TOPIC):
        return None
    lock_id = event_lock_id(data[:20], int.from_bytes(data[:32], "big"))
    hashlock = Hashlock(_word(raw.topics[1]))
    if topic == CLAIMED_TOPIC:
        return Claimed(lock_id, hashlock, PublicPreimage(data[32:64]))
    return Refunded(lock_id, hashlock)


def _locked(sources: Sources, topics: Sequence[str], data: bytes, asset: AssetId) -> Locked:
    chain, terms, sender = sources.chain, int.from_bytes(data[:32], "big"), data[44:64]
    return Locked(
        event_lock_id(sender, terms),
        LockTerms(
            asset=asset,
            amount=BaseUnits(int.from_bytes(data[64:96], "big")),
            sender=account(chain, sender),
            receiver=account(chain, data[:20]),
            hashlock=Hashlock(bytes.fromhex(topics[1][2:])),
            timelock=ChainTime(chain, terms >> 56 & 0xFFFFFFFFFF),
        ),
    )


def _transferred(sources: Sources, topics: Sequence[str], data: bytes, asset: AssetId) -> Transferred | None:
    # ERC-721 has the same signature with its last field indexed.
    if len(topics) != 3 or len(data) != 32:
        return None
    amount = BaseUnits(int.from_bytes(data, "big"))
    return Transferred(asset, sources.holder(topics[1]), sources.holder(topics[2]), amount)
