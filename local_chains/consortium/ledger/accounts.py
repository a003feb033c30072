"""Accounts as the ledger works with them, until they are leaves again."""

from typing import Final

import msgspec

from core.model.consortium import AccountLeaf, encode_leaf, quantity
from core.model.errors import FatalError

_decode: Final = msgspec.msgpack.Decoder(AccountLeaf).decode


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account's next sequence, and its balances above zero by symbol, in the form and the order in which a leaf has
    them: an account may hold hundreds, and a transaction moves one. No balance is ever changed in place."""

    sequence: int
    balances: dict[str, bytes]

    def balance(self, symbol: str) -> int:
        """The balance of one asset in base units."""
        return int.from_bytes(self.balances.get(symbol, b""), "big")

    def with_balance(self, symbol: str, amount: int) -> "Account":
        """The same account with another balance."""
        balances = self.balances.copy()
        if not amount:
            balances.pop(symbol, None)
        elif symbol in balances:
            balances[symbol] = quantity(amount)
        else:
            balances[symbol] = quantity(amount)
            # Comparing symbols alone is quicker than comparing items.
            balances = {name: balances[name] for name in sorted(balances)}
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
    return Account(leaf.sequence, dict(leaf.balances))


def decode_sequence(raw: bytes | None) -> int:
    """The next sequence of the account of a leaf, 0 for None. Raise `FatalError` if it is damaged."""
    try:
        return 0 if raw is None else _decode_head(raw).sequence
    except msgspec.MsgspecError as error:
        raise FatalError(_DAMAGED) from error


def encode_account(account: Account) -> bytes:
    """The leaf of an account; the same bytes however its balances came about."""
    return encode_leaf(AccountLeaf(account.sequence, tuple(account.balances.items())))
