"""Leaves of the ledger's state: the values that proofs are about."""

from typing import Literal, TypeVar

import msgspec

from core.model.consortium_members import (
    AdmissionLeaf,
    MisbehaviourLeaf,
    Organisation,
    ProposalLeaf,
    ValidatorsLeaf,
)
from core.model.consortium_orders import HeldLeaf, OrderLeaf
from core.model.errors import RejectedError

_encoder = msgspec.msgpack.Encoder()


class AccountLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One account: its next sequence and its balances as (symbol, quantity), sorted by symbol, zeros left out."""

    sequence: int
    balances: tuple[tuple[str, bytes], ...]


class AssetLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One asset: who may issue it, how to read its amounts, and how much of it exists (locks included)."""

    issuer: bytes
    decimals: int
    supply: bytes


class LockLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One lock for ever: its terms, and how it ended. `preimage` is empty until it is claimed."""

    asset: str
    amount: bytes
    sender: bytes
    receiver: bytes
    hashlock: bytes
    timelock: int
    status: Literal["locked", "claimed", "refunded"]
    preimage: bytes


class RecordLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One version of a record, for ever."""

    document: bytes
    author: bytes
    version: int
    time_ms: int


class AccessLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """Who owns a record, and who else may write, sorted. Without one its first author owns it alone."""

    owner: bytes
    writers: tuple[bytes, ...]


class QueryLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One question to a foreign chain for ever: what `AskQuery` asked, and how it ended.

    `answer` is the JSON of the answer as evidence has it (`core.proofs.evidence.forms`), `height` and `block_hash`
    those of the block that answers, and `answerer` proved it; 0 and empty until then.
    """

    asker: bytes
    uri: str
    first: int
    last: int
    deadline: int
    asset: str
    fee: bytes
    status: Literal["open", "answered", "expired"]
    answerer: bytes = b""
    height: int = 0
    block_hash: bytes = b""
    answer: bytes = b""


class HeaderLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """A foreign block that more than ⅔ of the power attested as final. `time` is its own Unix time in seconds."""

    block_hash: bytes
    time: int


class EquivocationLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """Two blocks, each with its own time in Unix seconds, that `attestor` attested at one height; who reported it, and
    when by the ledger's clock."""

    attestor: bytes
    first_hash: bytes
    first_time: int
    second_hash: bytes
    second_time: int
    reporter: bytes
    time_ms: int


Leaf = (
    AccountLeaf
    | AssetLeaf
    | LockLeaf
    | RecordLeaf
    | AccessLeaf
    | HeaderLeaf
    | EquivocationLeaf
    | QueryLeaf
    | Organisation
    | ProposalLeaf
    | ValidatorsLeaf
    | AdmissionLeaf
    | MisbehaviourLeaf
    | OrderLeaf
    | HeldLeaf
)
L = TypeVar("L", bound=Leaf)


def encode_leaf(leaf: Leaf) -> bytes:
    return _encoder.encode(leaf)


def decode_leaf(raw: bytes, kind: type[L]) -> L:
    """Parse a leaf. Raise `RejectedError` when it is not one of that kind, in canonical form."""
    try:
        leaf = msgspec.msgpack.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise RejectedError(f"not a {kind.__name__}: {error}") from None
    if _encoder.encode(leaf) != raw:
        raise RejectedError(f"this {kind.__name__} is not in its canonical form")
    return leaf
