"""Everything that can happen to a query. Past facts; each is journalled before anything follows from it.

    the request     Asked · RequestSeen · RequestReverted
    time            AnsweringAdvanced · AskingAdvanced · TimeAdvanced
    the proof       Proven · NotProven                                       (answers to `effects.Prove`)
    the end         SettlementSeen · SettlementFinal · SettlementReverted
    our delivery    DeliverySubmitted · DeliveryFailed · DeliveryRefused     (answers to `effects.Deliver`)

Of what our delivery does on chain, blocks say more than its receipt: an answer by anybody settles a query.
"""

from typing import get_args

import msgspec

from core.model.types import BlockRef, ChainTime, Height
from queries.model import End, Proof, Request


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """A query is known. `block` has the request, None if a caller of ours asked."""

    request: Request
    block: BlockRef | None
    now_s: int


class RequestSeen(msgspec.Struct, frozen=True, tag="request-seen"):
    """The request stands in this block, perhaps after a reorg."""

    block: BlockRef


class RequestReverted(msgspec.Struct, frozen=True, tag="request-reverted"):
    """A reorg took the block with the request."""

    block: BlockRef


class AnsweringAdvanced(msgspec.Struct, frozen=True, tag="answering-advanced"):
    """The answering chain has finalized this height."""

    finalized: Height


class AskingAdvanced(msgspec.Struct, frozen=True, tag="asking-advanced"):
    """The asking chain's newest time, and that of its newest finalized block: its settlements come before it."""

    head: ChainTime
    finalized: ChainTime


class TimeAdvanced(msgspec.Struct, frozen=True, tag="time-advanced"):
    """True time by our own clock, in Unix seconds: it is what a caller's deadline counts by."""

    now_s: int


class Proven(msgspec.Struct, frozen=True, tag="proven"):
    """A proof was made, verified, and kept. `sequence` names the effect."""

    sequence: int
    proof: Proof


class NotProven(msgspec.Struct, frozen=True, tag="not-proven"):
    """No proof could be made. `never`: none ever can, such as of a pruned height or a question without an answer."""

    sequence: int
    reason: str
    never: bool


class SettlementSeen(msgspec.Struct, frozen=True, tag="settlement-seen"):
    """A block of the asking chain has an answer, by anybody, or gives the fee back."""

    end: End
    block: BlockRef


class SettlementFinal(msgspec.Struct, frozen=True, tag="settlement-final"):
    block: BlockRef


class SettlementReverted(msgspec.Struct, frozen=True, tag="settlement-reverted"):
    block: BlockRef


class DeliverySubmitted(msgspec.Struct, frozen=True, tag="delivery-submitted"):
    """Signed and on its way: from now on it may be included at any time. A caller of ours has it with that."""

    sequence: int


class DeliveryFailed(msgspec.Struct, frozen=True, tag="delivery-failed"):
    """Included without effect, dropped, or never to be mined. `cost` is true for the first, which costs a fee."""

    sequence: int
    reason: str
    cost: bool


class DeliveryRefused(msgspec.Struct, frozen=True, tag="delivery-refused"):
    """Nothing was signed: it would fail, or pay less than it costs."""

    sequence: int
    reason: str


QueryEvent = (
    Asked
    | RequestSeen
    | RequestReverted
    | AnsweringAdvanced
    | AskingAdvanced
    | TimeAdvanced
    | Proven
    | NotProven
    | SettlementSeen
    | SettlementFinal
    | SettlementReverted
    | DeliverySubmitted
    | DeliveryFailed
    | DeliveryRefused
)

EVENT_TYPES: tuple[type[QueryEvent], ...] = get_args(QueryEvent)


def event_name(event: QueryEvent | type[QueryEvent]) -> str:
    """`request-seen`: the tag under which it is journalled and drawn."""
    return str(event.__struct_config__.tag)
