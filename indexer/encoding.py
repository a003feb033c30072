"""Typed events to rows and back. Inside a payload bytes are hex and amounts decimal strings, as people read them."""

from collections.abc import Callable
from typing import Any, Final, assert_never

import msgspec

from core.model.errors import FatalError
from core.model.facts import (
    ArgumentValue,
    AssetDefined,
    ChainEvent,
    Claimed,
    ContractEvent,
    HeaderAttested,
    Locked,
    OrderSigned,
    OrderStep,
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
    chain_of,
)

_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode


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


EVENT_COLUMNS: Final = ("kind", "lock_id", "hashlock", "asset", "sender", "receiver", "amount", "payload")
"""The columns of `indexer_events` that follow from the event alone. `payload` is what the others leave out, as JSON."""


def event_values(event: ChainEvent) -> tuple[Any, ...]:
    """The values of `EVENT_COLUMNS`, in their order."""
    # What moves most stands first.
    match event:
        case Transferred(asset, sender, receiver, amount):
            return ("transferred", None, None, asset, sender, receiver, amount, "")
        case Locked(lock_id, terms):
            payload = _text({"timelock": terms.timelock.seconds})
            return (
                "locked",
                lock_id,
                terms.hashlock,
                terms.asset,
                terms.sender,
                terms.receiver,
                terms.amount,
                payload,
            )
        case Claimed(lock_id, lock, preimage):
            return ("claimed", lock_id, lock, None, None, None, None, _text({"preimage": preimage.hex()}))
        case Refunded(lock_id, lock):
            return ("refunded", lock_id, lock, None, None, None, None, "")
        case AssetDefined(asset, issuer, symbol, decimals):
            payload = _text({"symbol": symbol, "decimals": decimals})
            return ("asset", None, None, asset, issuer, None, None, payload)
        case RecordWritten():
            payload = _text(
                {
                    "namespace": event.namespace,
                    "key": event.key,
                    "version": event.version,
                    "digest": event.digest.hex(),
                }
            )
            return ("record", None, None, None, event.author, None, None, payload)
        case HeaderAttested(foreign):
            payload = _text({"chain": foreign.chain, "height": foreign.height, "hash": foreign.hash.hex()})
            return ("attested", None, None, None, None, None, None, payload)
        case OrderSigned():
            payload = _text(
                {
                    "order": event.order,
                    "step": event.step,
                    "reason": event.reason,
                    "case": event.case.hex(),
                    "expires": event.expires,
                    "renews": event.renews,
                }
            )
            return ("order", None, None, None, event.officer, event.account, None, payload)
        case ContractEvent():
            payload = _text(
                {
                    "contract": event.contract,
                    "name": event.name,
                    "arguments": event.arguments,
                    "undecoded": event.undecoded.hex(),
                }
            )
            return ("contract", None, None, None, None, None, None, payload)
        case _:
            assert_never(event)


def _text(document: dict[str, Any]) -> str:
    return _encode_json(document).decode()


def _locked(row: Any) -> Locked:
    return Locked(
        LockId(row.lock_id),
        LockTerms(
            asset=AssetId(row.asset),
            amount=BaseUnits(row.amount),
            sender=AccountId(row.sender),
            receiver=AccountId(row.receiver),
            hashlock=Hashlock(row.hashlock),
            timelock=ChainTime(chain_of(AssetId(row.asset)), _rest(row)["timelock"]),
        ),
    )


def _claimed(row: Any) -> Claimed:
    return Claimed(LockId(row.lock_id), Hashlock(row.hashlock), PublicPreimage(bytes.fromhex(_rest(row)["preimage"])))


def _refunded(row: Any) -> Refunded:
    return Refunded(LockId(row.lock_id), Hashlock(row.hashlock))


def _transferred(row: Any) -> Transferred:
    return Transferred(AssetId(row.asset), row.sender, row.receiver, BaseUnits(row.amount))


def _asset(row: Any) -> AssetDefined:
    rest = _rest(row)
    return AssetDefined(AssetId(row.asset), AccountId(row.sender), rest["symbol"], rest["decimals"])


def _record(row: Any) -> RecordWritten:
    rest = _rest(row)
    return RecordWritten(
        rest["namespace"], rest["key"], rest["version"], AccountId(row.sender), bytes.fromhex(rest["digest"])
    )


def _attested(row: Any) -> HeaderAttested:
    rest = _rest(row)
    return HeaderAttested(BlockRef(ChainId(rest["chain"]), Height(rest["height"]), bytes.fromhex(rest["hash"])))


def _order(row: Any) -> OrderSigned:
    rest = _rest(row)
    parts = rest["reason"], bytes.fromhex(rest["case"]), rest["expires"], rest["renews"]
    return OrderSigned(rest["order"], OrderStep(rest["step"]), AccountId(row.receiver), AccountId(row.sender), *parts)


def _contract(row: Any) -> ContractEvent:
    rest = _rest(row)
    arguments = tuple((name, _argument(value)) for name, value in rest["arguments"])
    return ContractEvent(AccountId(rest["contract"]), rest["name"], arguments, bytes.fromhex(rest["undecoded"]))


def _rest(row: Any) -> dict[str, Any]:
    rest: dict[str, Any] = _decode_json(row.payload)
    return rest


def _argument(value: Any) -> ArgumentValue:
    return tuple(map(_argument, value)) if isinstance(value, list) else value


_DECODERS: Final[dict[str, Callable[[Any], ChainEvent]]] = {
    "locked": _locked,
    "claimed": _claimed,
    "refunded": _refunded,
    "transferred": _transferred,
    "asset": _asset,
    "record": _record,
    "attested": _attested,
    "contract": _contract,
    "order": _order,
}


def decode_event(row: Any) -> ChainEvent:
    """The event behind a row with the columns of `EVENT_COLUMNS`. Raise `FatalError` for a kind that this version
    does not know."""
    decoder = _DECODERS.get(row.kind)
    if decoder is None:
        raise FatalError(f"the database holds events of the kind {row.kind!r}: start the version that wrote them")
    return decoder(row)
