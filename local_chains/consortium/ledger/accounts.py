"""Accounts as the ledger works with them: their amounts as integers, until they are leaves again."""

from typing import Final

import msgspec

from core.model.consortium import AccountLeaf, encode_leaf, quantity
from core.model.errors import FatalError

_decode: Final = msgspec.msgpack.Decoder(AccountLeaf).decode


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account's next sequence, and its balances above zero in base units by symbol. No balance is ever changed in
    place."""

    sequence: int
    balances: dict[str, int]

    def with_balance(self, symbol: str, amount: int) -> "Account":
        """The same account with another balance."""
        balances = self.balances.copy()
        if amount:
            balances[symbol] = amount
        else:
            balances.pop(symbol, None)
        return Account(self.sequence, balances)


class _Head(msgspec.Struct, array_like=True, gc=False):
    """An account's leaf, its balances unread."""

    sequence: int
    balances: msgspec.Raw


_decode_head: Final = msgspec.msgpack.Decoder(_Head).decode

NO_ACCOUNT: Final = Account(0, {})
_DAMAGED: Final = "an account's leaf is damaged: restore the chain's home from a backup"


def decode_account(raw: bytes | None) -> Account:
    """The account of a leaf, an empty one for None. The ledger wrote it itself: raise `FatalError` if it is damaged."""
    if raw is None:
        return NO_ACCOUNT
    try:
        leaf = _decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError(_DAMAGED) from error
    balances = {}
    for symbol, amount in leaf.balances:
        balances[symbol] = int.from_bytes(amount, "big")
    return Account(leaf.sequence, balances)


def decode_sequence(raw: bytes | None) -> int:
    """The next sequence of the account of a leaf, 0 for None. Raise `FatalError` if it is damaged."""
    try:
        return 0 if raw is None else _decode_head(raw).sequence
    except msgspec.MsgspecError as error:
        raise FatalError(_DAMAGED) from error


def encode_account(account: Account) -> bytes:
    """The leaf of an account; the same bytes however its balances came about."""
    balances = [(symbol, quantity(amount)) for symbol, amount in account.balances.items()]
    # Symbols are distinct, so amounts are never compared.
    balances.sort()
    return encode_leaf(AccountLeaf(account.sequence, tuple(balances)))
