"""Questions of callers, and how their text becomes typed values."""

import re
from typing import Annotated, Final, Literal

import msgspec

from core.model.errors import RejectedError
from core.runtime.web import PageQuery
from regulator_api.knowledge.bodies import Jurisdiction
from regulator_api.requests import Hash32, Identifier, SwapStatusName

MAX_TIME_S: Final = 2**40 - 1
_AS_OF: Final = (
    r"^(latest|finalized|[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}@[0-9]{1,15}"
    r"(,[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}@[0-9]{1,15})*)$"
)
_AS_OF_MEANS: Final = "latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized."
AsOfText = Annotated[str, msgspec.Meta(max_length=400, pattern=_AS_OF, description=_AS_OF_MEANS)]
"""In a query: a request's first line has at most 8,190 bytes, also one that is written badly."""
AsOfBody = Annotated[str, msgspec.Meta(max_length=4_096, pattern=_AS_OF, description=_AS_OF_MEANS)]
LabelVersion = Annotated[
    int, msgspec.Meta(ge=0, le=2**53, description="Label version: what was known of accounts then. Default: newest.")
]
Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_S, description="Unix seconds.")]
AmountBound = Annotated[
    str, msgspec.Meta(pattern="^(0|[1-9][0-9]{0,77})$", description="Base units, a decimal integer.")
]
_HASH = re.compile(r"(0x|0X)?([0-9a-fA-F]{64})")


class MomentQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The moment that an answer shall be about."""

    as_of: AsOfText | None = None
    labels: LabelVersion | None = None


class PagedMomentQuery(PageQuery, frozen=True, kw_only=True):
    as_of: AsOfText | None = None
    labels: LabelVersion | None = None


class TransfersQuery(PagedMomentQuery, frozen=True, kw_only=True):
    """`account` fits as sender or receiver. Times are inclusive. `tx` is a transaction's hash, with `0x` or without.
    `jurisdiction` shows what a caller would see who sees that one alone."""

    chain: Identifier | None = None
    asset: Identifier | None = None
    account: Identifier | None = None
    counterparty: Identifier | None = None
    tx: Hash32 | None = None
    since_s: Time | None = None
    until_s: Time | None = None
    min_amount: AmountBound | None = None
    max_amount: AmountBound | None = None
    jurisdiction: Jurisdiction | None = None


class SwapsQuery(PagedMomentQuery, frozen=True, kw_only=True):
    """`jurisdiction` shows what a caller would see who sees that one alone."""

    chain: Identifier | None = None
    asset: Identifier | None = None
    status: SwapStatusName | None = None
    hashlock: Hash32 | None = None
    account: Identifier | None = None
    since_s: Time | None = None
    until_s: Time | None = None
    jurisdiction: Jurisdiction | None = None


class MovesQuery(PagedMomentQuery, frozen=True, kw_only=True):
    """The moves of one account have no other filters: they are one history."""


class PartnersQuery(MomentQuery, frozen=True, kw_only=True):
    """Counterparties over a span of time, both ends inclusive."""

    since_s: Time | None = None
    until_s: Time | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50


class SearchQuery(MomentQuery, frozen=True, kw_only=True):
    """Anything: an account or a bare address, a transaction's hash, a hashlock, a swap's id, an asset, an entity's
    id, a record as `namespace/key`."""

    q: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


def parse_hash(text: str, what: str = "a hash") -> bytes:
    """32 bytes of hex in either case, with `0x` or without. Raise `RejectedError`."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise RejectedError(f"{what} is 64 hex digits, with 0x or without")
    return bytes.fromhex(found[2])


class TopQuery(MomentQuery, frozen=True, kw_only=True):
    top: Annotated[int, msgspec.Meta(ge=1, le=100, description="The largest holders that are named.")] = 10
    evidence: bool = False


class SpanQuery(MomentQuery, frozen=True, kw_only=True):
    """A span of time, both ends inclusive. `jurisdiction` adds up what a caller sees who sees that one alone."""

    since_s: Time | None = None
    until_s: Time | None = None
    jurisdiction: Jurisdiction | None = None
    evidence: bool = False


class ActivityQuery(MomentQuery, frozen=True, kw_only=True):
    """A span of time, both ends inclusive; without it the last 7 days. `jurisdiction` adds up what a caller sees who
    sees that one alone."""

    since_s: Time | None = None
    until_s: Time | None = None
    jurisdiction: Jurisdiction | None = None


class SeriesQuery(SpanQuery, frozen=True, kw_only=True):
    """Without a span it is the last 30 days; one of more than `MAX_BUCKETS` steps is refused."""

    step: Literal["hour", "day", "week"] = "day"


class AssetsQuery(PagedMomentQuery, frozen=True, kw_only=True):
    chain: Identifier | None = None


class ContractsQuery(PagedMomentQuery, frozen=True, kw_only=True):
    chain: Identifier | None = None


class ConservationQuery(MomentQuery, frozen=True, kw_only=True):
    """`finality` is a short form of `as_of`; without either the answer is as of the finalized block."""

    finality: Literal["finalized", "latest"] | None = None


class RecordsQuery(PagedMomentQuery, frozen=True, kw_only=True):
    chain: Identifier | None = None
    namespace: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class VersionsQuery(PagedMomentQuery, frozen=True, kw_only=True):
    """The versions of one record have no filters."""


MAX_BUCKETS: Final = 1_000
STEP_S: Final = {"hour": 3_600, "day": 86_400, "week": 7 * 86_400}
DEFAULT_SPAN_S: Final = 30 * 86_400
