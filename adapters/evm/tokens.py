"""Names, symbols and decimals of ERC-20 contracts, which EIP-20 leaves to each contract.

Texts are any bytes that a contract likes, in a `string` or, with tokens older than the ABI's strings, in one `bytes32`.
They are cut and cleaned here, so that nobody behind has to be careful with them. Two tokens may still call themselves
the same: what a token is, only its address says.
"""

import unicodedata
from typing import Final

from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address, token_asset
from adapters.evm.rpc import Call, data_bytes
from core.model.errors import RejectedError, RevertedError
from core.model.types import MAX_DECIMALS, Asset, ChainId

MAX_SYMBOL_CHARS: Final = 32
MAX_NAME_CHARS: Final = 128
MAX_MARKS: Final = 3
"""Combining marks on one character: languages need no more, and dozens of them cover the lines around."""
_MARKS: Final = ("Mn", "Me")
_MAX_TEXT_BYTES: Final = 4_096
NAME: Final = "0x06fdde03"
_SYMBOL: Final = "0x95d89b41"
_DECIMALS: Final = "0x313ce567"


async def read_token(endpoints: Endpoints, chain: ChainId, token: bytes) -> Asset:
    """Return an ERC-20 contract's own words about itself. Its name may be missing, and is empty then.

    Raise `RejectedError` if it says no symbol or decimals.
    """
    where = hex_address(token)
    try:
        symbol, decimals = await endpoints.batch([_view(where, _SYMBOL), _view(where, _DECIMALS)])
    except RevertedError as error:
        raise RejectedError(f"{where} has no symbol and decimals: it is not an ERC-20 token") from error
    text, shift = clean_text(abi_text(data_bytes(symbol)), MAX_SYMBOL_CHARS), data_bytes(decimals)
    if not text or len(shift) < 32:
        raise RejectedError(f"{where} has no symbol and decimals: it is not an ERC-20 token")
    if int.from_bytes(shift[:32], "big") > MAX_DECIMALS:
        raise RejectedError(f"{where} has more than {MAX_DECIMALS} decimals, which cannot be shown")
    name = await _name_of(endpoints, where)
    return Asset(token_asset(chain, token), text, int.from_bytes(shift[:32], "big"), name)


async def _name_of(endpoints: Endpoints, where: str) -> str:
    try:
        [answer] = await endpoints.batch([_view(where, NAME)])
    except RevertedError:
        return ""
    return clean_text(abi_text(data_bytes(answer)), MAX_NAME_CHARS)


def _view(where: str, selector: str) -> Call:
    return Call("eth_call", ({"to": where, "data": selector}, "latest"))


def abi_text(data: bytes) -> str:
    """Return the text in a returned `string`, or in a `bytes32` that zeros fill up; "" if there is none.

    Bytes that are not UTF-8 become U+FFFD. Only the beginning of a long text is looked at.
    """
    if len(data) == 32:
        raw = data.rstrip(b"\0")
    else:
        offset = int.from_bytes(data[:32], "big")
        if len(data) < 64 or offset > len(data) - 32:
            return ""
        length = int.from_bytes(data[offset : offset + 32], "big")
        raw = data[offset + 32 : offset + 32 + min(length, _MAX_TEXT_BYTES)]
    return raw.decode(errors="replace")


def clean_text(text: str, max_chars: int) -> str:
    """The text in one line of at most `max_chars` characters, without what is not seen or changes how others are read
    (control and formatting characters, such as those that turn the direction of writing), and with few marks on each
    character."""
    kept: list[str] = []
    marks = 0
    for one in " ".join(text.split()):
        if one.isprintable():
            marks = marks + 1 if unicodedata.category(one) in _MARKS else 0
            if marks <= MAX_MARKS:
                kept.append(one)
    return " ".join("".join(kept)[:max_chars].split())
