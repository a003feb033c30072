"""Lists of addresses that no swap is made with, such as extracts of OFAC's list. Pure.

A file is text with one address a line (what follows `#` is a remark), or a JSON array of them. An address is a CAIP-10
account, which means that chain alone, or bare: 40 hex digits, with 0x or without, mean those 20 bytes on every chain.
Addresses of chains that no account of ours can be on (Bitcoin's, say) are counted and match nothing. A file with
anything else in it is refused as a whole: a mistyped address would let through whom it means.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.model.addresses import evm_address
from core.model.errors import RejectedError
from core.model.identifiers import parse_account
from core.model.types import AccountId, address_of

MAX_LIST_BYTES: Final = 16 * 1024 * 1024
MAX_LISTED: Final = 200_000
"""Addresses of one list."""
MAX_SHOWN_CHARS: Final = 80
ETHEREUM: Final = "1"

_BARE = re.compile(r"[0-9a-fA-F]{40}")
_HEX = re.compile(r"[0-9a-fA-F]*")
_ELSEWHERE = re.compile(r"[0-9A-Za-z]{20,120}")
"""An address of another kind of chain: letters and digits, but not of hex digits alone."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One list: 20-byte addresses of every chain, accounts of one chain, and how many of other kinds there are."""

    everywhere: frozenset[str]
    accounts: frozenset[AccountId]
    elsewhere: int

    def names(self, account: AccountId) -> bool:
        """Return true if the list means this account."""
        return account in self.accounts or address_of(account).lower().removeprefix("0x") in self.everywhere

    def __len__(self) -> int:
        return len(self.everywhere) + len(self.accounts) + self.elsewhere


def parse_list(raw: bytes) -> Listed:
    """Raise `RejectedError` with the line, or the place in the array, of what is not an address."""
    if len(raw) > MAX_LIST_BYTES:
        raise RejectedError(f"a list has at most {MAX_LIST_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RejectedError(f"a list is UTF-8: byte {error.start} is not") from None
    everywhere, accounts, elsewhere = set[str](), set[AccountId](), 0
    for count, (place, entry) in enumerate(_entries(text)):
        if count >= MAX_LISTED:
            raise RejectedError(f"a list has at most {MAX_LISTED} addresses")
        try:
            found = _address(entry)
        except RejectedError as error:
            raise RejectedError(f"{place}: {error.message}") from None
        if found is None:
            elsewhere += 1
        elif ":" in found:
            accounts.add(AccountId(found))
        else:
            everywhere.add(found)
    if not everywhere and not accounts:
        raise RejectedError("the list names no account that a swap could have: name the right file")
    return Listed(frozenset(everywhere), frozenset(accounts), elsewhere)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """(place, entry) of everything that a list names."""
    if not text.lstrip().startswith("["):
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.partition("#")[0].strip()
            if entry:
                yield f"line {number}", entry
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RejectedError(f"the list is not JSON: {error}") from None
    for number, entry in enumerate(found if isinstance(found, list) else [found], 1):
        if not isinstance(entry, str):
            raise RejectedError(f"entry {number} is not a text: a list in JSON is an array of addresses")
        yield f"entry {number}", entry


def _address(entry: str) -> str | None:
    """40 lower-case digits, a CAIP-10 account, or None for an address of another kind of chain."""
    if ":" in entry:
        return parse_account(entry)
    if entry[:2] in ("0x", "0X"):
        return evm_address(entry, ETHEREUM).removeprefix("0x")
    if _BARE.fullmatch(entry):
        return evm_address(f"0x{entry}", ETHEREUM).removeprefix("0x")
    if _ELSEWHERE.fullmatch(entry) and not _HEX.fullmatch(entry):
        return None
    raise RejectedError(f"{entry[:MAX_SHOWN_CHARS]!r} is not an address")
