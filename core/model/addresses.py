"""Addresses by the rules of their own chains: each function gives an address its one canonical spelling, or refuses it.

A mistyped address must never become another account's. If a chain's addresses carry a checksum it is verified, and
letters change case only if the chain's own rule says that both spellings are the same address. Pure.
"""

import hashlib
import re
from typing import Final

from sha3 import keccak_256  # type: ignore[import-untyped]  # safe-pysha3 has no stubs

from core.model.errors import MalformedIdentifierError

BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
MAX_BECH32_CHARS: Final = 90
"""BIP-173: the most characters in which the checksum finds every error."""
EIP1191_CHAINS: Final = frozenset({"30", "31"})
"""Rootstock's networks: their wallets mix the chain id into the checksum (EIP-1191)."""

_BECH32_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_SUM: Final = 1
_BECH32M_SUM: Final = 0x2BC830A3
_BASE58_VALUES: Final = {character: value for value, character in enumerate(BASE58)}
_BECH32_VALUES: Final = {character: value for value, character in enumerate(BECH32)}
_ICAP = re.compile(r"XE[0-9]{2}[0-9A-Z]{1,31}", re.IGNORECASE)
_COPY_AGAIN: Final = "copy it again from where it comes from"


def evm_address(text: str, reference: str) -> str:
    """`0x` and 40 lower-case digits. `reference` is the number of the EVM chain.

    Digits in one case carry no checksum. Digits in mixed case are one, and it must hold (EIP-55, or EIP-1191 on the
    chains that use it). Raise `MalformedIdentifierError` otherwise.
    """
    if _ICAP.fullmatch(text):
        raise MalformedIdentifierError(f"{text!r} is an ICAP address: give its 0x form, which has 40 hex digits")
    if text[:2] not in ("0x", "0X"):
        raise MalformedIdentifierError(f"the EVM address {text!r} does not begin with 0x: {_COPY_AGAIN}")
    digits = text[2:]
    for position, character in enumerate(digits, 3):
        if character not in "0123456789abcdefABCDEF":
            raise MalformedIdentifierError(
                f"the EVM address {text!r} has {character!r} as character {position}, which is not a hex digit: "
                f"{_COPY_AGAIN}"
            )
    if len(digits) != 40:
        raise MalformedIdentifierError(
            f"the EVM address {text!r} has {len(digits)} digits after 0x instead of 40: {_COPY_AGAIN}"
        )
    lower = digits.lower()
    spellings = {lower, digits.upper(), checksummed(lower)}
    if reference in EIP1191_CHAINS:
        spellings.add(checksummed(lower, f"{reference}0x"))
    if digits not in spellings:
        raise MalformedIdentifierError(
            f"the checksum of the EVM address {text!r} is wrong (EIP-55): one of its characters is mistyped; "
            f"{_COPY_AGAIN}"
        )
    return f"0x{lower}"


def checksummed(lower: str, prefix: str = "") -> str:
    """Forty lower-case hex digits in the case that EIP-55 gives them; with the prefix `<chain>0x`, EIP-1191."""
    digest = keccak_256((prefix + lower).encode()).hexdigest()
    return "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit for digit, nibble in zip(lower, digest, strict=False)
    )


def ledger_address(text: str) -> str:
    """40 lower-case hex digits: an account of a consortium ledger. Raise `MalformedIdentifierError` otherwise.

    Its digits carry no checksum, so either case names the same 20 bytes.
    """
    if re.fullmatch(r"[0-9a-fA-F]{40}", text) is None:
        raise MalformedIdentifierError(
            f"{text!r} is not an account of a consortium ledger, which has 40 hex digits without 0x: {_COPY_AGAIN}"
        )
    return text.lower()


def base58(text: str) -> bytes:
    """Decode Base58 (draft-msporny-base58-02). Raise `MalformedIdentifierError` for other characters."""
    number = 0
    for position, character in enumerate(text, 1):
        if character not in _BASE58_VALUES:
            raise MalformedIdentifierError(
                f"the address {text!r} has {character!r} as character {position}, which is not a Base58 digit: "
                f"{_COPY_AGAIN}"
            )
        number = number * 58 + _BASE58_VALUES[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58check(text: str, versions: tuple[int, ...] = ()) -> str:
    """A Base58Check address of a version byte and 20 bytes, as it is: its letters' case is part of it.

    `versions` are the version bytes that the chain has, any if empty. Raise `MalformedIdentifierError` otherwise.
    """
    raw = base58(text)
    body, checksum = raw[:-4], raw[-4:]
    if len(raw) != 25 or hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] != checksum:
        raise MalformedIdentifierError(
            f"the checksum of the address {text!r} is wrong (Base58Check): one of its characters is mistyped or "
            f"missing; {_COPY_AGAIN}"
        )
    if versions and body[0] not in versions:
        raise MalformedIdentifierError(f"{text!r} is an address of another chain: {_COPY_AGAIN}")
    return text


def solana_address(text: str) -> str:
    """A Base58 address of 32 bytes, as it is. Raise `MalformedIdentifierError` otherwise."""
    if len(base58(text)) != 32:
        raise MalformedIdentifierError(f"the address {text!r} does not have 32 bytes in Base58: {_COPY_AGAIN}")
    return text


def bech32(text: str) -> tuple[str, list[int], int]:
    """(human-readable part, 5-bit values without the checksum, checksum constant) of a Bech32 or Bech32m text.

    BIP-173, BIP-350. Raise `MalformedIdentifierError` for mixed case, other characters or a wrong checksum.
    """
    lower = text.lower()
    prefix, separator, data = lower.rpartition("1")
    if text not in (lower, text.upper()):
        raise MalformedIdentifierError(f"the address {text!r} mixes upper and lower case (BIP-173): {_COPY_AGAIN}")
    if not separator or not prefix or len(data) < 6 or len(text) > MAX_BECH32_CHARS or set(data) - set(BECH32):
        raise MalformedIdentifierError(f"{text!r} is not a Bech32 address (BIP-173): {_COPY_AGAIN}")
    values = [_BECH32_VALUES[character] for character in data]
    high, low = [ord(character) >> 5 for character in prefix], [ord(character) & 31 for character in prefix]
    checksum = _bech32_sum([*high, 0, *low, *values])
    if checksum not in (_BECH32_SUM, _BECH32M_SUM):
        raise MalformedIdentifierError(
            f"the checksum of the address {text!r} is wrong (BIP-173): one of its characters is mistyped or missing; "
            f"{_COPY_AGAIN}"
        )
    return prefix, values[:-6], checksum


def cosmos_address(text: str) -> str:
    """A Bech32 address in lower case: both cases are the same address (BIP-173). Raise `MalformedIdentifierError`."""
    if bech32(text)[2] != _BECH32_SUM:
        raise MalformedIdentifierError(f"the checksum of the address {text!r} is wrong (BIP-173): {_COPY_AGAIN}")
    return text.lower()


def bitcoin_address(text: str) -> str:
    """A Base58Check address as it is, or a segregated-witness address in lower case (BIP-173, BIP-350).

    Raise `MalformedIdentifierError` for anything else.
    """
    for rule in (base58check, _segwit_address):
        try:
            return rule(text)
        except MalformedIdentifierError:
            continue
    raise MalformedIdentifierError(
        f"{text!r} is neither a Base58Check nor a segregated-witness address with a correct checksum: one of its "
        f"characters is mistyped, missing or in the wrong case; {_COPY_AGAIN}"
    )


def _segwit_address(text: str) -> str:
    """Witness version 0 has the checksum of BIP-173, later versions that of BIP-350."""
    _, values, checksum = bech32(text)
    if not values or values[0] > 16 or checksum != (_BECH32_SUM if values[0] == 0 else _BECH32M_SUM):
        raise MalformedIdentifierError(f"{text!r} is not a segregated-witness address (BIP-350)")
    return text.lower()


def _bech32_sum(values: list[int]) -> int:
    """The checksum of BIP-173, section "Checksum"."""
    found = 1
    for value in values:
        top = found >> 25
        found = (found & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATOR):
            found ^= generator if top >> bit & 1 else 0
    return found
