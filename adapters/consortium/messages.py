"""Unsigned transactions of the ledger: `UnsignedTransaction.body` is the MessagePack array of its messages."""

import msgspec

from core.model.consortium import (
    MAX_MESSAGES,
    AttestHeader,
    Claim,
    Issue,
    Message,
    Transfer,
    WriteRecord,
    asset_symbol,
    quantity,
    raw_address,
)
from core.model.errors import RejectedError
from core.model.facts import BlockHeader
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, chain_of

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[tuple[Message, ...]] = msgspec.msgpack.Decoder(tuple[Message, ...])


def unsigned(
    chain: ChainId, sender: AccountId, messages: tuple[Message, ...], summary: str, reveals: bool = False
) -> UnsignedTransaction:
    """Several messages are applied all or none. Raise `RejectedError` for none or too many."""
    if not 0 < len(messages) <= MAX_MESSAGES:
        raise RejectedError(f"a transaction has 1 to {MAX_MESSAGES} messages")
    reveals = reveals or any(isinstance(message, Claim) for message in messages)
    return UnsignedTransaction(chain, sender, _encoder.encode(messages), reveals, summary)


def messages_of(transaction: UnsignedTransaction) -> tuple[Message, ...]:
    """Raise `RejectedError` for a malformed body."""
    try:
        return _decoder.decode(transaction.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"not messages of the consortium ledger: {error}") from None


def transfer(sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits) -> UnsignedTransaction:
    """Move `amount` of `asset` from `sender` to `receiver`."""
    message = Transfer(asset_symbol(asset), raw_address(receiver), quantity(amount))
    return unsigned(chain_of(sender), sender, (message,), f"transfer {amount} {asset} to {receiver}")


def issue(issuer: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits) -> UnsignedTransaction:
    """Create `amount` of `asset`; only its issuer may."""
    message = Issue(asset_symbol(asset), raw_address(receiver), quantity(amount))
    return unsigned(chain_of(issuer), issuer, (message,), f"issue {amount} {asset} to {receiver}")


def write_record(sender: AccountId, namespace: str, key: str, document: bytes) -> UnsignedTransaction:
    """Append a version of the JSON `document` at `namespace`/`key`."""
    message = WriteRecord(namespace, key, document)
    return unsigned(chain_of(sender), sender, (message,), f"write record {namespace}/{key}")


def attest(header: BlockHeader, sender: AccountId) -> UnsignedTransaction:
    """A validator operator's vote that a foreign header is final."""
    message = AttestHeader(header.chain, header.height, header.ref.hash, header.time.seconds)
    return unsigned(chain_of(sender), sender, (message,), f"attest {header.chain} at {header.height}")
