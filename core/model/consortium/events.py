"""Events of the ledger, and the same as ABCI attributes."""

from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec

from core.model.consortium_members import (
    MembersEvent,
)
from core.model.consortium_orders import OrdersEvent
from core.model.errors import RejectedError

# As CometBFT carries them: a type and string attributes. Integers are decimal, bytes are hex.


class AssetMoved(msgspec.Struct, frozen=True, gc=False, tag="bank.transfer"):
    """`sender` is empty for an issue, `receiver` for a burn."""

    asset: str
    sender: bytes
    receiver: bytes
    amount: int


class AssetCreated(msgspec.Struct, frozen=True, gc=False, tag="bank.create"):
    asset: str
    issuer: bytes
    decimals: int


class LockCreated(msgspec.Struct, frozen=True, gc=False, tag="htlc.lock"):
    asset: str
    amount: int
    sender: bytes
    receiver: bytes
    hashlock: bytes
    timelock: int


class LockClaimed(msgspec.Struct, frozen=True, gc=False, tag="htlc.claim"):
    sender: bytes
    hashlock: bytes
    preimage: bytes


class LockRefunded(msgspec.Struct, frozen=True, gc=False, tag="htlc.refund"):
    sender: bytes
    hashlock: bytes


class RecordStored(msgspec.Struct, frozen=True, gc=False, tag="records.write"):
    namespace: str
    key: str
    version: int
    author: bytes
    digest: bytes


class AccessSet(msgspec.Struct, frozen=True, gc=False, tag="records.access"):
    """`digest` is the SHA-256 of all writers' addresses, one after the other."""

    namespace: str
    key: str
    version: int
    owner: bytes
    digest: bytes


class HeaderVoted(msgspec.Struct, frozen=True, gc=False, tag="bridge.vote"):
    chain: str
    height: int
    block_hash: bytes
    voter: bytes


class HeaderAccepted(msgspec.Struct, frozen=True, gc=False, tag="bridge.attested"):
    chain: str
    height: int
    block_hash: bytes


class AttestorAppointed(msgspec.Struct, frozen=True, tag="bridge.appoint"):
    """`attestor` attests for `operator` from now on; empty: the operator alone."""

    operator: bytes
    attestor: bytes


class EquivocationProven(msgspec.Struct, frozen=True, gc=False, tag="bridge.equivocation"):
    """`attestor`, an account of `operator`, attested two blocks at `height` of the foreign `chain`."""

    chain: str
    height: int
    operator: bytes
    attestor: bytes


class QueryAsked(msgspec.Struct, frozen=True, gc=False, tag="bridge.ask"):
    """`fee` is in base units of `asset`."""

    number: int
    asker: bytes
    uri: str
    first: int
    last: int
    deadline: int
    asset: str
    fee: int


class QueryAnswered(msgspec.Struct, frozen=True, gc=False, tag="bridge.answer"):
    """`digest` is the SHA-256 of the answer that the query's leaf holds."""

    number: int
    answerer: bytes
    height: int
    digest: bytes


class QueryExpired(msgspec.Struct, frozen=True, gc=False, tag="bridge.expire"):
    number: int


LedgerEvent = (
    AssetMoved
    | AssetCreated
    | LockCreated
    | LockClaimed
    | LockRefunded
    | RecordStored
    | AccessSet
    | HeaderVoted
    | HeaderAccepted
    | AttestorAppointed
    | EquivocationProven
    | QueryAsked
    | QueryAnswered
    | QueryExpired
    | MembersEvent
    | OrdersEvent
)
_EVENT_TYPES: Final[dict[str, type[LedgerEvent]]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(LedgerEvent)
}


def event_to_attributes(event: LedgerEvent) -> tuple[str, dict[str, str]]:
    """(type, attributes) as an ABCI event carries them."""
    attributes = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        attributes[name] = value.hex() if isinstance(value, bytes) else str(value)
    return str(event.__struct_config__.tag), attributes


def event_from_attributes(kind: str, attributes: dict[str, str]) -> LedgerEvent | None:
    """The event behind an ABCI event, None for a type that is not the ledger's. Raise `RejectedError` if malformed."""
    struct = _EVENT_TYPES.get(kind)
    if struct is None:
        return None
    parsers: dict[Any, Callable[[str], Any]] = {str: str, bytes: bytes.fromhex, int: int}
    try:
        return struct(
            **{field.name: parsers[field.type](attributes[field.name]) for field in msgspec.structs.fields(struct)}
        )
    except (KeyError, ValueError) as error:
        raise RejectedError(f"malformed {kind} event: {error}") from None
