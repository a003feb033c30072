"""How the ledger sees state: a flat map of keys to leaves, and a layer of writes over it.

Accounts of few assets stay decoded in a layer and are encoded when its writes are taken: most of a block's work is
reading and writing the same few accounts. Those of many stay so until their transaction is over: decoded, they take
several times the memory of their leaves. Every write of an open transaction is in a journal, so that taking a
transaction back costs what it wrote.
"""

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

from local_chains.consortium.ledger.accounts import Account, decode_account, encode_account


class StateView(Protocol):
    """Anything that answers a key with its leaf."""

    def get(self, key: bytes) -> bytes | None:
        """The leaf at `key`, None if there is none."""


Writes = dict[bytes, bytes | None]
"""Keys and their new leaves; None deletes."""
Written: TypeAlias = bytes | Account | None

MAX_DECODED: Final = 8
"""Balances of an account that a layer of writes keeps decoded beyond a transaction."""

_MISSING: Final = object()


class Overlay:
    """Writes over another view that stays as it is. Dropping the overlay undoes them."""

    __slots__ = ("_base", "_journal", "_rich", "_written")

    def __init__(self, base: StateView) -> None:
        self._base = base
        self._written: dict[bytes, Written] = {}
        self._journal: list[tuple[bytes, Written | object]] | None = None
        """The leaves that the open transaction wrote over, in order; None before the first."""
        self._rich: set[bytes] = set()
        """The keys of accounts of many assets that may be decoded."""

    @property
    def written(self) -> Mapping[bytes, Written]:
        """Everything that was written, accounts of few assets decoded."""
        self._encode_rich()
        return self._written

    @property
    def writes(self) -> Writes:
        """Everything that was written, as leaves."""
        return {
            key: encode_account(leaf) if type(leaf) is Account else leaf  # type: ignore[misc]
            for key, leaf in self._written.items()
        }

    def get(self, key: bytes) -> bytes | None:
        found = self._written.get(key, _MISSING)
        if found is _MISSING:
            return self._base.get(key)
        return encode_account(found) if type(found) is Account else found  # type: ignore[return-value]

    def account(self, key: bytes) -> Account:
        """The account at `key`, an empty one if there is none. Raise `FatalError` if its leaf is damaged."""
        found = self._written.get(key, _MISSING)
        if type(found) is Account:
            return found
        if found is _MISSING:
            base = self._base
            return base.account(key) if type(base) is Overlay else decode_account(base.get(key))
        return decode_account(found)  # type: ignore[arg-type]

    def put(self, key: bytes, leaf: Written) -> None:
        if self._journal is not None:
            self._journal.append((key, self._written.get(key, _MISSING)))
        self._written[key] = leaf

    def put_account(self, key: bytes, account: Account) -> None:
        """Write an account under its key, `account_key` of its address."""
        self.put(key, account)
        if len(account.balances) > MAX_DECODED:
            self._rich.add(key)

    def delete(self, key: bytes) -> None:
        self.put(key, None)

    def begin(self) -> None:
        """Begin a transaction: what is written from now on can be taken back."""
        self._encode_rich()
        self._journal = []

    @property
    def mark(self) -> int:
        """This point of the open transaction, for `take_back`."""
        return len(self._journal or ())

    def take_back(self, mark: int = 0) -> None:
        """Undo what the open transaction wrote after `mark`; by default all of it."""
        journal, written = self._journal, self._written
        while journal is not None and len(journal) > mark:
            key, before = journal.pop()
            if before is _MISSING:
                del written[key]
            else:
                written[key] = before  # type: ignore[assignment]

    def settle(self, written: Mapping[bytes, Written]) -> None:
        """Forget what the view below has by now, as it stands here: `written` was written to it."""
        self._encode_rich()
        mine = self._written
        for key, leaf in written.items():
            if mine.get(key, leaf) == leaf:
                mine.pop(key, None)
        self._journal = None

    def _encode_rich(self) -> None:
        # What stands there may have been taken back, and an account may hold less by now.
        for key in self._rich:
            account = self._written.get(key)
            if type(account) is Account and len(account.balances) > MAX_DECODED:
                self._written[key] = encode_account(account)
        self._rich.clear()
