"""Ledger time, result codes, and the promise about inclusion."""

from enum import IntEnum
from typing import Final

from core.model.errors import RejectedError

PROMISED_INCLUSION_S: Final = 8
"""From the broadcast of a claim or a refund of a protected lock to a block with it, whatever others send, while at
most one validator in four is down or dishonest and blocks are a second apart (docs/consortium-chain.md)."""
APP_VERSION: Final = 2
"""The version of the ledger's rules, as the `version.app` of a header names it. Version 2 knows hold orders and
proofs of double attestations; a chain stays with the version that it was founded with."""


CLOCK_PREFIX: Final = b"causeway clock v1\0"
MAX_CLOCK_MS: Final = 2**43 - 1


def encode_clock(time_ms: int) -> bytes:
    """The first entry of every block: the proposer's clock, milliseconds since the epoch, 8 bytes big-endian."""
    if not 0 < time_ms <= MAX_CLOCK_MS:
        raise RejectedError("a block's clock is a positive number of milliseconds below 2**43")
    return CLOCK_PREFIX + time_ms.to_bytes(8, "big")


def decode_clock(raw: bytes) -> int:
    """The milliseconds of a clock entry. Raise `RejectedError` for anything else; no transaction looks like one."""
    time_ms = int.from_bytes(raw[len(CLOCK_PREFIX) :], "big")
    if not raw.startswith(CLOCK_PREFIX) or len(raw) != len(CLOCK_PREFIX) + 8 or not 0 < time_ms <= MAX_CLOCK_MS:
        raise RejectedError("not a block's clock entry")
    return time_ms


class ResultCode(IntEnum):
    """How a transaction ended. Its `word` begins the log sentence, as in `too-late: …`.

    Codes up to `NO_ROOM` change nothing: nobody is known to have authorised it, or a block has no room for it. Once it
    is in a block, every other failure uses up the sequence and nothing else.
    """

    OK = 0
    MALFORMED = 1
    WRONG_CHAIN = 2
    WRONG_SEQUENCE = 3
    EXPIRED = 4
    BAD_SIGNATURE = 5
    BAD_CLOCK = 6
    TOO_COSTLY = 7
    """It asks for more work than one transaction may."""
    NO_ROOM = 8
    """The waiting transactions, or this block, have no room for it: send it again after the next block."""
    BAD_ADDRESS = 10
    BAD_AMOUNT = 11
    BAD_NAME = 12
    UNKNOWN_ASSET = 13
    INSUFFICIENT_FUNDS = 14
    NOT_ISSUER = 15
    OVERFLOW = 16
    ASSET_EXISTS = 17
    BAD_TIMELOCK = 20
    BAD_HASHLOCK = 21
    HASHLOCK_USED = 22
    UNKNOWN_LOCK = 23
    ALREADY_SETTLED = 24
    TOO_LATE = 25
    TOO_EARLY = 26
    TOO_MANY_LOCKS = 27
    BAD_DOCUMENT = 30
    NOT_OWNER = 31
    BAD_ACCESS = 32
    UNKNOWN_RECORD = 33
    BAD_HEADER = 40
    NOT_OPERATOR = 41
    DUPLICATE_VOTE = 42
    CONFLICTING_VOTE = 43
    BAD_QUERY = 44
    UNKNOWN_QUERY = 45
    QUERY_CLOSED = 46
    BAD_PROOF = 47
    TOO_MANY_QUERIES = 48
    MISSING_ROLE = 50
    BAD_ORGANISATION = 51
    UNKNOWN_PROPOSAL = 52
    PROPOSAL_CLOSED = 53
    TOO_MANY_PROPOSALS = 54
    NOT_ADMITTED = 55
    TOO_MANY_ADMITTED = 56
    HELD = 60
    """Two officers' order holds the account."""
    BAD_ORDER = 61
    UNKNOWN_ORDER = 62
    ORDER_CLOSED = 63
    SAME_OFFICER = 64
    TOO_MANY_ORDERS = 65

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")
