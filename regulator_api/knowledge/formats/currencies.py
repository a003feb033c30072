"""The chains that published lists mean by their words for currencies."""

import re
from collections.abc import Mapping
from typing import Final

from core.model.errors import RejectedError
from core.model.types import ChainId

BITCOIN: Final = ChainId("bip122:000000000019d6689c085ae165831e93")
ETHEREUM: Final = ChainId("eip155:1")
TRON: Final = ChainId("tron:0x2b6653dc")
_CHAINS: Final[Mapping[str, ChainId]] = {
    "XBT": BITCOIN,
    "BTC": BITCOIN,
    "ETH": ETHEREUM,
    "ETC": ChainId("eip155:61"),
    "BSC": ChainId("eip155:56"),
    "BEP20": ChainId("eip155:56"),
    "ARB": ChainId("eip155:42161"),
    "TRX": TRON,
    "SOL": ChainId("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),
    "XRP": ChainId("xrpl:0"),
}
# Chains that no CAIP-2 namespace is registered for, and Bitcoin's descendants, whose addresses have rules of their own:
# the ticker of the list is the namespace.
_BY_TICKER: Final = ("LTC", "BCH", "BSV", "BTG", "DASH", "DOGE", "ZEC", "XMR", "XVG", "BEP2", "ADA", "DOT", "XLM")
_TOKENS: Final = frozenset({"USDT", "USDC"})
_EVM_ADDRESS: Final = re.compile(r"0[xX][0-9a-fA-F]{40}")
_TRON_ADDRESS: Final = re.compile(r"T[1-9A-HJ-NP-Za-km-z]{33}")
_MAX_ADDRESS_CHARS: Final = 128


def chain_of_currency(currency: str, address: str) -> tuple[ChainId, str]:
    """Return the chain that a listed address is on, and the address as CAIP-10 can carry it.

    Tokens exist on several chains: for them the form of the address says which. Raise `RejectedError` for a currency
    that is not known here.
    """
    if not 0 < len(address) <= _MAX_ADDRESS_CHARS:
        raise RejectedError(f"an address has 1 to {_MAX_ADDRESS_CHARS} characters, not {len(address)}")
    name = currency.upper()
    if name in _TOKENS:
        return _chain_by_form(address), address
    if name in _CHAINS:
        return _CHAINS[name], address
    if name in _BY_TICKER:
        return ChainId(f"{name.lower():->3}:mainnet"), address.rpartition(":")[2]
    known = ", ".join(sorted({*_CHAINS, *_TOKENS, *_BY_TICKER}))
    raise RejectedError(f"unknown currency {currency[:16]!a}: one of {known}")


def _chain_by_form(address: str) -> ChainId:
    if _EVM_ADDRESS.fullmatch(address):
        return ETHEREUM
    return TRON if _TRON_ADDRESS.fullmatch(address) else BITCOIN
