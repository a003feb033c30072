"""The ledger's hold orders: two officers hold an address for a time, and lift that the same way.

An officer is an organisation with the role regulator. Spoken by the same rooms as `core.model.consortium`, whose
messages, leaves and events these are a part of.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import msgspec

OFFICER: Final = "regulator"
"""The role of an organisation whose account is an officer's."""
MAX_REASON_BYTES: Final = 256
"""Of a reason's UTF-8."""
CASE_BYTES: Final = 32
MAX_ORDER_S: Final = 90 * 24 * 3_600
"""Ledger time from an order's preparation to its expiry, at most: who needs more makes a new order."""
PREPARED_LIFETIME_MS: Final = 7 * 24 * 3_600 * 1_000
"""Ledger time during which a second officer may approve what the first one prepared."""
MAX_PREPARED: Final = 64
"""Orders of one officer that wait for a second one."""
MS_PER_S: Final = 1_000


class OrderTerms(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """The part of an order that both officers sign: hold `address` (20 bytes) until `expires` (Unix seconds of ledger
    time, exclusive).

    `case` is the SHA-256 of the case's id, which itself stays with the supervisor. The `reason` is public.
    """

    address: bytes
    reason: str
    case: bytes
    expires: int


# --- messages ----------------------------------------------------------------------------------------------------


class PrepareOrder(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="supervision/prepare", forbid_unknown_fields=True
):
    """The first officer's half of an order, which changes nothing by itself."""

    terms: OrderTerms


class ApproveOrder(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="supervision/approve", forbid_unknown_fields=True
):
    """Another officer puts order number `order` in force. `terms` are written again, so that they are signed twice."""

    order: int
    terms: OrderTerms


class PrepareLift(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="supervision/prepare-lift", forbid_unknown_fields=True
):
    """The first officer's half of ending order number `order` before it expires; the newest preparation counts.

    `address` is the one that the order holds, so that it is signed who is released.
    """

    order: int
    address: bytes
    reason: str


class ApproveLift(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="supervision/approve-lift", forbid_unknown_fields=True
):
    """Another officer ends order number `order`, which holds `address`, for the `reason` that was prepared."""

    order: int
    address: bytes
    reason: str


OrderMessage = PrepareOrder | ApproveOrder | PrepareLift | ApproveLift


# --- state -------------------------------------------------------------------------------------------------------

ORDERS: Final = b"supervision/orders"
"""The sequence of all orders; an entry is an `OrderLeaf`, by the order's number."""
HELD: Final = b"supervision/held/"
"""The beginning of a `HeldLeaf`'s key, before the 20 bytes of the address."""


def held_key(address: bytes) -> bytes:
    return HELD + address


class Step(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """An officer's half, and the ledger time of its block."""

    officer: bytes
    time_ms: int


class OrderLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One order for ever. `renewed_by` is the number of the order that took its place, 0 if none did."""

    terms: OrderTerms
    status: Literal["prepared", "in-force", "lifted", "renewed"]
    prepared: Step
    approved: Step | None = None
    lift_reason: str = ""
    lift_prepared: Step | None = None
    lift_approved: Step | None = None
    renewed_by: int = 0


class HeldLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """An address is held by order number `order`, as long as ledger time is before `until` (Unix seconds)."""

    order: int
    until: int

    def holds_at(self, time_ms: int) -> bool:
        """Return true if the address is held at this ledger time."""
        return time_ms < self.until * MS_PER_S


class OrderStatus(StrEnum):
    """How an order stands at a ledger time: `lapsed` was never approved, `expired` ended by itself."""

    PREPARED = "prepared"
    LAPSED = "lapsed"
    IN_FORCE = "in-force"
    EXPIRED = "expired"
    LIFTED = "lifted"
    RENEWED = "renewed"


def order_status(leaf: OrderLeaf, time_ms: int) -> OrderStatus:
    over = time_ms >= leaf.terms.expires * MS_PER_S
    if leaf.status == "prepared":
        lapsed = over or time_ms >= leaf.prepared.time_ms + PREPARED_LIFETIME_MS
        return OrderStatus.LAPSED if lapsed else OrderStatus.PREPARED
    if leaf.status == "in-force" and over:
        return OrderStatus.EXPIRED
    return OrderStatus(leaf.status)


def lift_waits(leaf: OrderLeaf, time_ms: int) -> bool:
    """Return true if a lift of an order in force was prepared and may still be approved."""
    prepared = leaf.lift_prepared
    in_force = order_status(leaf, time_ms) is OrderStatus.IN_FORCE
    return in_force and prepared is not None and time_ms < prepared.time_ms + PREPARED_LIFETIME_MS


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as it stands at one ledger time."""

    number: int
    leaf: OrderLeaf
    status: OrderStatus
    lift_waits: bool

    @classmethod
    def at(cls, number: int, leaf: OrderLeaf, time_ms: int) -> "OrderView":
        return cls(number, leaf, order_status(leaf, time_ms), lift_waits(leaf, time_ms))


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """Some of a ledger's orders, newest first, as of the block at `height`; `count`: how many there ever were."""

    height: int
    time_ms: int
    count: int
    orders: tuple[OrderView, ...]


def reason_fault(reason: str) -> str:
    """Why this is not a reason, empty if it is one: some text on one line, of characters that show as they are."""
    size = len(reason.encode(errors="replace"))
    if not 0 < size <= MAX_REASON_BYTES:
        return f"a reason has 1 to {MAX_REASON_BYTES} bytes of UTF-8, not {size}"
    if reason != reason.strip(" ") or any(_is_unseen(ord(character)) for character in reason):
        return "a reason has no line breaks, no characters that do not show, and no spaces around it"
    return ""


_UNSEEN: Final = (
    (0, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xD800, 0xDFFF),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Controls, marks of direction and other characters that a reader does not see (Unicode 15's
Default_Ignorable_Code_Point among them). Written out: tables of Unicode differ from one version of Python to the next,
and all nodes have to agree."""


def _is_unseen(code: int) -> bool:
    return any(first <= code <= last for first, last in _UNSEEN)


# --- events ------------------------------------------------------------------------------------------------------


class OrderPrepared(msgspec.Struct, frozen=True, gc=False, tag="supervision.prepare"):
    order: int
    address: bytes
    officer: bytes
    reason: str
    case: bytes
    expires: int


class AddressHeld(msgspec.Struct, frozen=True, gc=False, tag="supervision.hold"):
    """An order is in force from now on. `renews` is the number of the order whose place it takes, 0 if none."""

    order: int
    address: bytes
    officer: bytes
    expires: int
    renews: int


class LiftPrepared(msgspec.Struct, frozen=True, gc=False, tag="supervision.prepare-lift"):
    order: int
    address: bytes
    officer: bytes
    reason: str


class AddressReleased(msgspec.Struct, frozen=True, gc=False, tag="supervision.release"):
    """An order was lifted. One that expires has no event: its expiry is known from the beginning."""

    order: int
    address: bytes
    officer: bytes


OrdersEvent = OrderPrepared | AddressHeld | LiftPrepared | AddressReleased
