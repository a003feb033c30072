"""The one way from text to a chain, an account or an asset: CAIP-2, CAIP-10 and CAIP-19 identifiers.

Whatever a person, a file, a caller or a peer writes goes through `parse_chain`, `parse_account` or `parse_asset`: the
grammar first, then the rule of its namespace, which also gives the one spelling that is compared and stored.

| namespace | accounts | kept as |
|---|---|---|
| eip155 | 40 hex digits after 0x; mixed case is an EIP-55 checksum | lower case |
| causeway | 40 hex digits | lower case |
| bip122 | Base58Check, or Bech32 for witness programs | as written; Bech32 in lower case |
| cosmos | Bech32 | lower case |
| solana, tron | Base58 of 32 bytes, Base58Check | as written |
| any other | as the grammar allows | as written, byte for byte |

Every function raises `MalformedIdentifierError`, a `RejectedError`, with a sentence that says what is wrong.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from core.model import addresses
from core.model.errors import MalformedIdentifierError
from core.model.types import MAX_IDENTIFIER_CHARS, AccountId, AssetId, ChainId

MAX_SLIP44: Final = 2**31 - 1
"""SLIP-44: coin types are hardened indices of BIP-32."""
MAX_TOKEN_ID: Final = 2**256 - 1
SHOWN_CHARS: Final = 160
TRON_VERSION: Final = 0x41

_CHAIN_GRAMMAR: Final = r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}"
_CHAIN = re.compile(_CHAIN_GRAMMAR)
_ACCOUNT = re.compile(rf"({_CHAIN_GRAMMAR}):([-.%a-zA-Z0-9]{{1,128}})")
# A symbol of a consortium ledger may have an underscore, which the reference in CAIP-19 may not.
_ASSET = re.compile(rf"({_CHAIN_GRAMMAR})/([-a-z0-9]{{3,8}}):([-_.%a-zA-Z0-9]{{1,128}})(?:/([-.%a-zA-Z0-9]{{1,78}}))?")
_EVM_NUMBER = re.compile(r"0|[1-9][0-9]{0,31}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")
_LEDGER_SYMBOL = re.compile(r"[a-z0-9][-_.a-z0-9]{0,63}")
_EVM_TOKEN = re.compile(r"erc[a-z0-9]{2,5}")


def parse_chain(text: str) -> ChainId:
    """A CAIP-2 chain id, such as `eip155:31337`. Raise `MalformedIdentifierError`."""
    _check_characters(text, "chain id")
    if _CHAIN.fullmatch(text) is None:
        raise MalformedIdentifierError(f"{_shown(text)} is not a CAIP-2 chain id such as eip155:31337")
    namespace, reference = text.split(":")
    if namespace in _CHAIN_RULES:
        _CHAIN_RULES[namespace](reference)
    return ChainId(text)


def parse_account(text: str) -> AccountId:
    """A CAIP-10 account id, such as `eip155:1:0xab…`, in its canonical spelling. Raise `MalformedIdentifierError`."""
    _check_characters(text, "account id")
    match = _ACCOUNT.fullmatch(text)
    if match is None:
        raise MalformedIdentifierError(
            f"{_shown(text)} is not a CAIP-10 account id such as eip155:31337:0xab…: write <chain id>:<address>"
        )
    chain = parse_chain(match[1])
    namespace, reference = chain.split(":")
    rule = _ACCOUNT_RULES.get(namespace)
    return AccountId(f"{chain}:{match[2] if rule is None else rule(match[2], reference)}")


def parse_asset(text: str) -> AssetId:
    """A CAIP-19 asset id in its canonical spelling, such as `eip155:1/slip44:60`. Raise `MalformedIdentifierError`.

    A fungible asset is an asset type of CAIP-19; `/<token id>` behind it names one token of a collection.
    """
    _check_characters(text, "asset id")
    match = _ASSET.fullmatch(text)
    if match is None or ("_" in match[3] and not text.startswith("causeway:")):
        raise MalformedIdentifierError(
            f"{_shown(text)} is not a CAIP-19 asset id such as eip155:31337/slip44:60: write "
            "<chain id>/<kind of asset>:<reference>"
        )
    chain, kind, reference, token = parse_chain(match[1]), match[2], match[3], match[4]
    canonical = f"{chain}/{kind}:{_asset_reference(chain, kind, reference)}"
    if token is None:
        return AssetId(canonical)
    if kind in _FUNGIBLE:
        raise MalformedIdentifierError(
            f"{_shown(text)} names a token id, which {kind} assets do not have: leave it out"
        )
    if chain.startswith("eip155:") and (_DECIMAL.fullmatch(token) is None or int(token) > MAX_TOKEN_ID):
        raise MalformedIdentifierError(f"the token id of {_shown(text)} is not a decimal number below 2**256")
    return AssetId(f"{canonical}/{token}")


_FUNGIBLE: Final = frozenset({"slip44", "erc20", "asset"})


def _asset_reference(chain: ChainId, kind: str, reference: str) -> str:
    namespace, number = chain.split(":")
    if kind == "slip44":
        if _DECIMAL.fullmatch(reference) is None or int(reference) > MAX_SLIP44:
            raise MalformedIdentifierError(
                f"slip44:{_shown(reference)[1:-1]} is not a coin type of SLIP-44: a decimal number without leading "
                "zeros, such as slip44:60"
            )
        return reference
    if kind == "erc20" and namespace != "eip155":
        raise MalformedIdentifierError(f"{chain} has no erc20 assets: these are on eip155 chains (CAIP-21)")
    if namespace == "eip155" and _EVM_TOKEN.fullmatch(kind):
        return addresses.evm_address(reference, number)
    if namespace == "causeway":
        if kind != "asset" or _LEDGER_SYMBOL.fullmatch(reference) is None:
            raise MalformedIdentifierError(
                f"{_shown(f'{kind}:{reference}')} is not an asset of a consortium ledger, such as asset:cnyd: "
                "lower-case letters, digits, '-', '_' and '.'"
            )
        return reference
    if namespace == "solana" and kind in ("token", "nft"):
        return addresses.solana_address(reference)
    return reference


def _check_characters(text: str, what: str) -> None:
    """Refuse what no identifier has, in words: a space or a look-alike letter cannot be seen on a screen."""
    if not text:
        raise MalformedIdentifierError(f"the {what} is empty")
    if len(text) > MAX_IDENTIFIER_CHARS:
        raise MalformedIdentifierError(
            f"the {what} has {len(text)} characters, at most {MAX_IDENTIFIER_CHARS} are possible"
        )
    for position, character in enumerate(text, 1):
        if not "!" <= character <= "~":
            name = unicodedata.name(character, "a control character")
            raise MalformedIdentifierError(
                f"the {what} {_shown(text)} has U+{ord(character):04X} ({name}) as character {position}: remove or "
                "replace it"
            )


def _shown(text: str) -> str:
    return ascii(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...")


def _evm_chain(reference: str) -> None:
    if _EVM_NUMBER.fullmatch(reference) is None:
        raise MalformedIdentifierError(
            f"'eip155:{reference}' is not an EVM chain: its number is decimal, without leading zeros (CAIP-2, eip155)"
        )


def _bip122_chain(reference: str) -> None:
    if re.fullmatch(r"[0-9a-f]{32}", reference) is None:
        raise MalformedIdentifierError(
            f"'bip122:{reference}' is not a chain: write the first 32 lower-case hex digits of its genesis hash"
        )


def _solana_chain(reference: str) -> None:
    if len(reference) != 32 or set(reference) - set(addresses.BASE58):
        raise MalformedIdentifierError(
            f"'solana:{reference}' is not a cluster: write the first 32 characters of its genesis hash in Base58"
        )


_CHAIN_RULES: Final[Mapping[str, Callable[[str], None]]] = {
    "eip155": _evm_chain,
    "bip122": _bip122_chain,
    "solana": _solana_chain,
}
_ACCOUNT_RULES: Final[Mapping[str, Callable[[str, str], str]]] = {
    "eip155": addresses.evm_address,
    "causeway": lambda text, _: addresses.ledger_address(text),
    "bip122": lambda text, _: addresses.bitcoin_address(text),
    "cosmos": lambda text, _: addresses.cosmos_address(text),
    "solana": lambda text, _: addresses.solana_address(text),
    "tron": lambda text, _: addresses.base58check(text, (TRON_VERSION,)),
}
