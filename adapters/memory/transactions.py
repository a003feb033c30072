"""The memory chain's transactions: messages, canonical bytes, and what is signed.

An account is opened with its ed25519 public key before it sends anything, so a transaction names only the address.
"""

import hashlib
from typing import Final

import msgspec

from core.model.consortium import quantity
from core.model.errors import RejectedError
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, ChainTime, LockId

SIGN_PREFIX: Final = b"causeway memory transaction v1\0"
MAX_TRANSACTION_BYTES: Final = 32 * 1024


class Lock(msgspec.Struct, frozen=True, array_like=True, tag="lock", forbid_unknown_fields=True):
    lock_id: str
    asset: str
    amount: bytes
    receiver: str
    hashlock: bytes
    timelock: int


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="claim", forbid_unknown_fields=True):
    lock_id: str
    preimage: bytes


class Refund(msgspec.Struct, frozen=True, array_like=True, tag="refund", forbid_unknown_fields=True):
    lock_id: str


class GiveBack(msgspec.Struct, frozen=True, array_like=True, tag="give-back", forbid_unknown_fields=True):
    """A refund before the timelock, by the lock's receiver."""

    lock_id: str


class Allow(msgspec.Struct, frozen=True, array_like=True, tag="allow", forbid_unknown_fields=True):
    """From now on locks may take this amount of the asset from the sender."""

    asset: str
    amount: bytes


class Transfer(msgspec.Struct, frozen=True, array_like=True, tag="transfer", forbid_unknown_fields=True):
    asset: str
    receiver: str
    amount: bytes


class WriteRecord(msgspec.Struct, frozen=True, array_like=True, tag="record", forbid_unknown_fields=True):
    namespace: str
    key: str
    document: bytes


class Attest(msgspec.Struct, frozen=True, array_like=True, tag="attest", forbid_unknown_fields=True):
    chain: str
    height: int
    block_hash: bytes
    time: int


class Batch(msgspec.Struct, frozen=True, array_like=True, tag="batch", forbid_unknown_fields=True):
    """Exits, or locks, that stand alone each: one that is refused is left out. Without `each`, all or none."""

    items: tuple[Lock | Claim | Refund, ...]
    each: bool = True


class Nothing(msgspec.Struct, frozen=True, array_like=True, tag="nothing", forbid_unknown_fields=True):
    """Uses up its sequence."""


Message = Lock | Claim | Refund | GiveBack | Allow | Transfer | WriteRecord | Attest | Batch | Nothing


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A transaction before its signature. Fees are per unit of gas, 0 on chains without; `expiry_height` 0 means
    never."""

    chain: str
    sender: str
    sequence: int
    max_fee: int
    priority_fee: int
    expiry_height: int
    message: Message


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    body: Body
    signature: bytes


_encoder = msgspec.msgpack.Encoder()
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_wire_decoder = msgspec.msgpack.Decoder(Wire)


def payload(body: Body) -> bytes:
    return SIGN_PREFIX + _encoder.encode(body)


def body_of(signed_payload: bytes) -> Body:
    """The inverse of `payload`, for bytes that this module made."""
    return msgspec.msgpack.decode(signed_payload[len(SIGN_PREFIX) :], type=Body)


def encode_message(message: Message) -> bytes:
    return _encoder.encode(message)


def decode_message(raw: bytes) -> Message:
    """Parse untrusted bytes. Raise `RejectedError`."""
    try:
        return _message_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"not a message of a memory chain: {error}") from None


def encode_wire(wire: Wire) -> bytes:
    return _encoder.encode(wire)


def decode_wire(raw: bytes) -> Wire:
    """Parse untrusted bytes. Raise `RejectedError` when too long, malformed or not canonical."""
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise RejectedError(f"a transaction is at most {MAX_TRANSACTION_BYTES} bytes")
    try:
        wire = _wire_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"not a transaction of a memory chain: {error}") from None
    if _encoder.encode(wire) != raw:
        raise RejectedError("the transaction is not in its canonical form")
    return wire


def transaction_hash(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def account_of(chain: ChainId, public_key: bytes) -> AccountId:
    return AccountId(f"{chain}:{hashlib.sha256(public_key).digest()[:20].hex()}")


def lock_owner(chain: ChainId, lock_id: LockId) -> AccountId:
    """The sender that a lock id `<address>/<number>` belongs to. Raise `RejectedError`."""
    address, slash, number = lock_id.partition("/")
    if not slash or len(address) != 40 or not number.isdecimal() or str(int(number[:20])) != number:
        raise RejectedError(f"{lock_id[:128]!r} is not a lock id of a memory chain")
    return AccountId(f"{chain}:{address}")


def unsigned(
    chain: ChainId, sender: AccountId, message: Message, summary: str, reveals: bool = False
) -> UnsignedTransaction:
    return UnsignedTransaction(chain, sender, encode_message(message), reveals, summary)


def transfer(
    chain: ChainId, sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits
) -> UnsignedTransaction:
    """Move `amount` of `asset`."""
    message = Transfer(asset, receiver, quantity(amount))
    return unsigned(chain, sender, message, f"transfer {amount} {asset} to {receiver}")


def write_record(chain: ChainId, sender: AccountId, namespace: str, key: str, document: bytes) -> UnsignedTransaction:
    """Append a version of a record; its first author owns it."""
    return unsigned(chain, sender, WriteRecord(namespace, key, document), f"write record {namespace}/{key}")


def attest(chain: ChainId, sender: AccountId, foreign: BlockRef, time: ChainTime) -> UnsignedTransaction:
    """A vote that a foreign block is final."""
    message = Attest(foreign.chain, foreign.height, foreign.hash, time.seconds)
    return unsigned(chain, sender, message, f"attest {foreign.chain} at {foreign.height}")
