"""The storage words of the HashedTimelock contract: where a lock's lane is, and what its word says.

A lane is one word at slot `sender << 96 | lane`: commitment 224 | generation 16 | status 16. The commitment is the
high part of keccak256(hashlock ‖ terms ‖ sender ‖ amount ‖ asset), five words; terms = receiver 160 | timelock 40 |
flags 8, which are 0 | generation 16 | lane 32; asset = kind 96 | token 160. Source: the contract's own documentation
comments.
"""

import re
from dataclasses import dataclass
from enum import IntEnum

from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, LockId, LockTerms, address_of
from core.proofs.errors import InvalidProofError
from core.proofs.keccak import keccak256

ADDRESS_SIZE = 20
WORD_SIZE = 32
COMMITMENT_SIZE = 28
MAX_LANE = (1 << 32) - 1
MAX_GENERATION = (1 << 16) - 1

_LOCK_ID = re.compile(r"(0x[0-9a-f]{40})/(0|[1-9]\d{0,9})/(0|[1-9]\d{0,4})", re.ASCII)
_ASSET = re.compile(r"[^/]+/(?:slip44:60|erc20:(0x[0-9a-f]{40}))", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.ASCII)

ERC20_KIND = 1 << 160
"""The bit above a token's address in its committed word; the native coin's word is 0."""
_STATUS_MASK = 0xFFFF
_COMMITMENT_MASK = ((1 << 224) - 1) << 32


class LaneStatus(IntEnum):
    """The low 16 bits of a lane's word."""

    UNUSED = 0
    LOCKED = 1
    CLAIMED = 2
    REFUNDED = 3


_SAME_GENERATION = {
    LaneStatus.LOCKED: LockStatus.LOCKED,
    LaneStatus.CLAIMED: LockStatus.CLAIMED,
    LaneStatus.REFUNDED: LockStatus.REFUNDED,
}


@dataclass(frozen=True, slots=True)
class Lane:
    """The parts of a lock id: a use of lane `number` of `sender` (20 bytes).

    The first is generation 1, and 0 follows 65535: after 65,536 uses the names come round again.
    """

    sender: bytes
    number: int
    generation: int


def evm_address(account: AccountId) -> bytes:
    """The 20 bytes of a CAIP-10 account of an EVM chain. Raise `RejectedError`."""
    text = address_of(account)
    if not _ADDRESS.fullmatch(text):
        raise RejectedError(f"{account[:128]!r} is not an account of an EVM chain")
    return bytes.fromhex(text[2:])


def lane_lock_id(lane: Lane) -> LockId:
    """`<sender>/<lane>/<generation>`, the numbers in decimal."""
    return LockId(f"0x{lane.sender.hex()}/{lane.number}/{lane.generation}")


def parse_lane(name: LockId) -> Lane:
    """Inverse of `lane_lock_id`. Raise `RejectedError`."""
    match = _LOCK_ID.fullmatch(name)
    if match is None or int(match[2]) > MAX_LANE or int(match[3]) > MAX_GENERATION:
        raise RejectedError(f"{name[:128]!r} is not a lock id of an EVM chain")
    return Lane(bytes.fromhex(match[1][2:]), int(match[2]), int(match[3]))


def lane_slot(lane: Lane) -> int:
    """Storage slot of the lane's word."""
    return int.from_bytes(lane.sender, "big") << 96 | lane.number


def packed_terms(terms: LockTerms, lane: Lane) -> int:
    """The contract's `Terms` word. No flag is known, and the contract refuses any."""
    receiver = int.from_bytes(evm_address(terms.receiver), "big")
    return receiver << 96 | terms.timelock.seconds << 56 | lane.generation << 32 | lane.number


def asset_word(asset: AssetId) -> int:
    """The committed asset: 0 for the native coin, kind 1 and the token's address for `erc20:…`.

    The native coin is `slip44:60` on every EVM chain. Raise `RejectedError` for any other asset.
    """
    match = _ASSET.fullmatch(asset)
    if match is None:
        raise RejectedError(f"{asset[:128]!r} is neither the native coin nor an ERC-20 token")
    return 0 if match[1] is None else ERC20_KIND | int(match[1], 16)


def settled_word(terms: LockTerms, lane: Lane) -> int:
    """The lane's word for these terms with the status left zero: commitment 224 | generation 16 | 0."""
    words = (
        int.from_bytes(terms.hashlock, "big"),
        packed_terms(terms, lane),
        int.from_bytes(evm_address(terms.sender), "big"),
        terms.amount,
        asset_word(terms.asset),
    )
    digest = keccak256(b"".join(word.to_bytes(WORD_SIZE, "big") for word in words))
    return int.from_bytes(digest, "big") & _COMMITMENT_MASK | lane.generation << 16


def split_lane(word: int) -> tuple[LockStatus, int, bytes]:
    """(status, generation, commitment of 28 bytes) of a lane's word. Raise as `read_lane`."""
    if not word:
        return LockStatus.ABSENT, 0, bytes(COMMITMENT_SIZE)
    status = word & _STATUS_MASK
    if status not in _SAME_GENERATION:
        raise InvalidProofError("the word is not that of a lane", status=status)
    return (
        _SAME_GENERATION[LaneStatus(status)],
        word >> 16 & MAX_GENERATION,
        (word >> 32).to_bytes(COMMITMENT_SIZE, "big"),
    )


def read_lane(word: int, terms: LockTerms, lane: Lane) -> tuple[LockStatus, bool]:
    """(status, whether the terms are exactly these) of the lock that `lane` names, from its lane's word.

    Generations wrap at 2**16: one that is less than half a round ahead of the asked one has superseded it. Raise
    InvalidProofError for a word that this contract cannot have written.
    """
    status, generation, _ = split_lane(word)
    if status is LockStatus.ABSENT:
        return status, False
    if generation == lane.generation:
        return status, word & ~_STATUS_MASK == settled_word(terms, lane)
    ahead = (generation - lane.generation) & MAX_GENERATION
    return (LockStatus.SUPERSEDED if ahead <= MAX_GENERATION // 2 else LockStatus.ABSENT), False
