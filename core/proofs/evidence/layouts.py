"""Reviewed layouts of ERC-20 tokens: which code keeps its balances in which storage slots.

A storage slot is an account's balance only if the contract's code says so. Somebody has read that code, and the layout
pins it by hash: that of the token's own code and, behind a proxy, that of the implementation which the proxy names.
Any other code, an upgrade included, is not believed until somebody has read it, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from core.model.questions import MAX_SLOT
from core.model.types import MAX_IDENTIFIER_CHARS
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.keccak import keccak256

HASH_SIZE: Final = 32
WORD_BITS: Final = 256
LAYOUTS_VERSION: Final = 1
MAX_LAYOUTS: Final = 1_000


class MappingOrder(StrEnum):
    """How a compiler hashes a mapping's key with the mapping's own slot.

    Solidity, "Layout of State Variables in Storage": keccak256(key ‖ slot). Vyper: keccak256(slot ‖ key).
    """

    SOLIDITY = "key-slot"
    VYPER = "slot-key"


@dataclass(frozen=True, slots=True)
class ProxyLayout:
    """A proxy keeps its implementation's address in storage word `slot`; `code_hash` is the implementation's."""

    slot: int
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class TokenLayout:
    """One reviewed token contract.

    `code_hash` is that of the code at the token's address. `balances` is the slot of the mapping from accounts to
    balances; the low `bits` of each word are the balance (some contracts keep flags above it).
    """

    name: str
    code_hash: bytes
    balances: int
    order: MappingOrder = MappingOrder.SOLIDITY
    bits: int = WORD_BITS
    proxy: ProxyLayout | None = None

    def slot_of(self, holder: bytes) -> int:
        """The storage slot of a holder's balance (20 bytes)."""
        key, slot = holder.rjust(HASH_SIZE, b"\0"), self.balances.to_bytes(HASH_SIZE, "big")
        hashed = key + slot if self.order is MappingOrder.SOLIDITY else slot + key
        return int.from_bytes(keccak256(hashed), "big")

    def balance_in(self, word: int) -> int:
        """The balance that the word at that slot holds."""
        return word & ((1 << self.bits) - 1)


Layouts = tuple[TokenLayout, ...]

_TEST_TOKENS: Final = {
    6: "d22e5fdde86a838f73de1323a6fb27160dac02e86fa5397b3443ec010c08327e",
    18: "c34bdf879d26127ed905bb6311b5e53f14d9126e1196fccdf9d5217446a64006",
}
REVIEWED_LAYOUTS: Final[Layouts] = tuple(
    TokenLayout(f"TestToken of {decimals} decimals", bytes.fromhex(code_hash), balances=0)
    for decimals, code_hash in _TEST_TOKENS.items()
)
"""Of our own TestToken, which is OpenZeppelin's ERC20: its first storage variable maps accounts to balances. A verifier
adds what they have reviewed themselves."""


def proxy_slots(layouts: Layouts, code_hash: bytes) -> tuple[int | None, ...]:
    """Return the slots of implementations of contracts with this code, None for no proxy; empty if none is known."""
    proxies = [one.proxy for one in layouts if one.code_hash == code_hash]
    return tuple(dict.fromkeys(None if proxy is None else proxy.slot for proxy in proxies))


def layout_of(layouts: Layouts, code_hash: bytes, proxy: ProxyLayout | None) -> TokenLayout | None:
    """The layout of a token with this code and this implementation, None if nobody has reviewed it."""
    return next((one for one in layouts if (one.code_hash, one.proxy) == (code_hash, proxy)), None)


def encode_layouts(layouts: Sequence[TokenLayout]) -> bytes:
    """The file's bytes."""
    return canonical.dump({"version": LAYOUTS_VERSION, "layouts": [_to_json(one) for one in layouts]})


def decode_layouts(data: bytes) -> Layouts:
    """Parse a file of layouts, in any layout of its JSON, since people write these. Raise MalformedProofError."""
    fields = canonical.members(canonical.load(data, any_layout=True), "version", "layouts")
    if fields["version"] != LAYOUTS_VERSION:
        raise MalformedProofError("file of layouts has an unknown format version", supported=LAYOUTS_VERSION)
    layouts = tuple(_from_json(one) for one in canonical.items(fields["layouts"], MAX_LAYOUTS))
    if len({(one.code_hash, one.proxy) for one in layouts}) != len(layouts):
        raise MalformedProofError("two layouts are of the same code")
    return layouts


def _to_json(layout: TokenLayout) -> dict[str, Any]:
    proxy = layout.proxy
    return {
        "name": layout.name,
        "code_hash": layout.code_hash.hex(),
        "balances": str(layout.balances),
        "order": layout.order.value,
        "bits": layout.bits,
        "proxy": None if proxy is None else {"slot": str(proxy.slot), "code_hash": proxy.code_hash.hex()},
    }


def _from_json(value: Any) -> TokenLayout:
    fields = canonical.members(value, "name", "code_hash", "balances", "order", "bits", "proxy")
    if fields["order"] not in list(MappingOrder):
        raise MalformedProofError(f"order of a mapping is unknown: use one of {', '.join(MappingOrder)}")
    bits = canonical.integer(fields["bits"], WORD_BITS)
    if not bits:
        raise MalformedProofError("a balance has at least one bit")
    return TokenLayout(
        canonical.text(fields["name"], MAX_IDENTIFIER_CHARS),
        _hash(fields["code_hash"]),
        canonical.decimal(fields["balances"], MAX_SLOT),
        MappingOrder(fields["order"]),
        bits,
        canonical.optional(fields["proxy"], _proxy_from_json),
    )


def _proxy_from_json(value: Any) -> ProxyLayout:
    fields = canonical.members(value, "slot", "code_hash")
    return ProxyLayout(canonical.decimal(fields["slot"], MAX_SLOT), _hash(fields["code_hash"]))


def _hash(value: Any) -> bytes:
    raw = canonical.hex_bytes(value, HASH_SIZE)
    if len(raw) != HASH_SIZE:
        raise MalformedProofError("a code hash has 32 bytes")
    return raw
