"""Typed events to rows and back. Inside a payload bytes are hex and amounts decimal strings, as people read them."""

from collections.abc import Callable
from typing import Any, Final, assert_never

import msgspec

from core.model.errors import FatalError
from core.model.facts import (
    ArgumentValue,
    ChainEvent,
    Claimed,
    ContractEvent,
    HeaderAttested,
    Locked,
    RecordWritten,
    Refunded,
    Transferred,
)
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    PublicPreimage,
)

_encode_json = msgspec.json.Encoder().encode


def terms_document(terms: LockTerms) -> dict[str, Any]:
    """Terms as JSON shows them: CAIP identifiers, hex, amounts as decimal strings, the timelock in Unix seconds."""
    return {
        "asset": terms.asset,
        "amount": str(terms.amount),
        "sender": terms.sender,
        "receiver": terms.receiver,
        "hashlock": terms.hashlock.hex(),
        "timelock": terms.timelock.seconds,
    }


def event_columns(event: ChainEvent) -> dict[str, Any]:
    """The columns of `indexer_events` that follow from the event alone: `kind`, the searchable copies, `payload`."""
    columns: dict[str, Any] = dict.fromkeys(("lock_id", "hashlock", "asset", "sender", "receiver", "amount"))
    match event:
        case Locked(lock_id, terms):
            columns |= {
                "kind": "locked",
                "lock_id": lock_id,
                "hashlock": terms.hashlock,
                "asset": terms.asset,
                "sender": terms.sender,
                "receiver": terms.receiver,
                "amount": terms.amount,
            }
            payload = {"lock_id": lock_id, "chain": terms.chain, **terms_document(terms)}
        case Claimed(lock_id, lock, preimage):
            columns |= {"kind": "claimed", "lock_id": lock_id, "hashlock": lock}
            payload = {"lock_id": lock_id, "hashlock": lock.hex(), "preimage": preimage.hex()}
        case Refunded(lock_id, lock):
            columns |= {"kind": "refunded", "lock_id": lock_id, "hashlock": lock}
            payload = {"lock_id": lock_id, "hashlock": lock.hex()}
        case Transferred(asset, sender, receiver, amount):
            columns |= {
                "kind": "transferred",
                "asset": asset,
                "sender": sender,
                "receiver": receiver,
                "amount": amount,
            }
            payload = {"asset": asset, "sender": sender, "receiver": receiver, "amount": str(amount)}
        case RecordWritten():
            columns |= {"kind": "record", "sender": event.author}
            payload = {
                "namespace": event.namespace,
                "key": event.key,
                "version": event.version,
                "author": event.author,
                "digest": event.digest.hex(),
            }
        case HeaderAttested(foreign):
            columns["kind"] = "attested"
            payload = {"chain": foreign.chain, "height": foreign.height, "hash": foreign.hash.hex()}
        case ContractEvent():
            columns["kind"] = "contract"
            payload = {
                "contract": event.contract,
                "name": event.name,
                "arguments": event.arguments,
                "undecoded": event.undecoded.hex(),
            }
        case _:
            assert_never(event)
    columns["payload"] = _encode_json(payload).decode()
    return columns


def _locked(p: dict[str, Any]) -> Locked:
    return Locked(
        LockId(p["lock_id"]),
        LockTerms(
            asset=AssetId(p["asset"]),
            amount=BaseUnits(int(p["amount"])),
            sender=AccountId(p["sender"]),
            receiver=AccountId(p["receiver"]),
            hashlock=Hashlock(bytes.fromhex(p["hashlock"])),
            timelock=ChainTime(ChainId(p["chain"]), p["timelock"]),
        ),
    )


def _claimed(p: dict[str, Any]) -> Claimed:
    return Claimed(
        LockId(p["lock_id"]),
        Hashlock(bytes.fromhex(p["hashlock"])),
        PublicPreimage(bytes.fromhex(p["preimage"])),
    )


def _refunded(p: dict[str, Any]) -> Refunded:
    return Refunded(LockId(p["lock_id"]), Hashlock(bytes.fromhex(p["hashlock"])))


def _transferred(p: dict[str, Any]) -> Transferred:
    return Transferred(AssetId(p["asset"]), p["sender"], p["receiver"], BaseUnits(int(p["amount"])))


def _record(p: dict[str, Any]) -> RecordWritten:
    return RecordWritten(p["namespace"], p["key"], p["version"], AccountId(p["author"]), bytes.fromhex(p["digest"]))


def _attested(p: dict[str, Any]) -> HeaderAttested:
    return HeaderAttested(BlockRef(ChainId(p["chain"]), Height(p["height"]), bytes.fromhex(p["hash"])))


def _contract(p: dict[str, Any]) -> ContractEvent:
    arguments = tuple((name, _argument(value)) for name, value in p["arguments"])
    return ContractEvent(AccountId(p["contract"]), p["name"], arguments, bytes.fromhex(p["undecoded"]))


def _argument(value: Any) -> ArgumentValue:
    return tuple(map(_argument, value)) if isinstance(value, list) else value


_DECODERS: Final[dict[str, Callable[[dict[str, Any]], ChainEvent]]] = {
    "locked": _locked,
    "claimed": _claimed,
    "refunded": _refunded,
    "transferred": _transferred,
    "record": _record,
    "attested": _attested,
    "contract": _contract,
}


def decode_event(kind: str, payload: str) -> ChainEvent:
    """The event behind a row. Raises `FatalError` for a kind that this version does not know."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise FatalError(f"the database holds events of the kind {kind!r}: start the version that wrote them")
    return decoder(msgspec.json.decode(payload))
