"""Everything that a query may ask for. Stored with the event it follows from, and run under `query_id:sequence:kind`.

    Prove     ask a prover, verify what it answers, keep it           → Proven | NotProven
    Deliver   check the deadline again, then send the answer          → DeliverySubmitted | DeliveryFailed |
                                                                        DeliveryRefused
    Finished  the query has ended: notify whoever follows it

Answers to a caller of ours are kept for them under the query's id; `Deliver` then only makes them known.
"""

from typing import get_args

import msgspec

from core.model.types import Height
from queries.model import Phase, Proof, QueryId


class Prove(msgspec.Struct, frozen=True, kw_only=True, tag="prove"):
    """`at` is the newest admissible height that is final."""

    query_id: QueryId
    sequence: int
    uri: str
    at: Height


class Deliver(msgspec.Struct, frozen=True, kw_only=True, tag="deliver"):
    query_id: QueryId
    sequence: int
    proof: Proof


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    query_id: QueryId
    sequence: int
    phase: Phase
    reason: str | None


QueryEffect = Prove | Deliver | Finished

EFFECT_TYPES: tuple[type[QueryEffect], ...] = get_args(QueryEffect)


def kind_of(effect: QueryEffect) -> str:
    """Return the kind under which it is stored: its tag."""
    return str(effect.__struct_config__.tag)
