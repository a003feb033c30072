"""Questions and answers of traces as they travel."""

from typing import Annotated, Any, Literal

import msgspec

from regulator_api.bodies import AmountView
from regulator_api.reading.bodies import MomentView
from regulator_api.reading.questions import AsOfBody, LabelVersion, Time
from regulator_api.requests import Hash32, Identifier
from regulator_api.tracing.model import MAX_EDGES, MAX_HOPS

MethodName = Literal["fifo", "haircut", "poison"]
WayName = Literal["forward", "backward"]
StopName = Literal["service", "too-many-moves", "hops", "edges", "origin"]


class TransactionSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One movement of value. `index` names it if the transaction has several: the place in its block."""

    chain: Identifier
    tx: Hash32
    index: Annotated[int, msgspec.Meta(ge=0, le=2**31)] | None = None


class AccountSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an account sends (backward: receives) of an asset between two times, both inclusive."""

    account: Identifier
    asset: Identifier
    since_s: Time | None = None
    until_s: Time | None = None


class TraceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trace to be made. Give one source: `transaction` or `account`. With `evidence` the answer has a bundle."""

    way: WayName = "forward"
    methods: Annotated[list[MethodName], msgspec.Meta(min_length=1, max_length=3)] = msgspec.field(
        default_factory=lambda: ["fifo", "haircut", "poison"]
    )
    transaction: TransactionSource | None = None
    account: AccountSource | None = None
    hops: Annotated[int, msgspec.Meta(ge=1, le=MAX_HOPS)] = 5
    edges: Annotated[int, msgspec.Meta(ge=1, le=MAX_EDGES)] = 10_000
    as_of: AsOfBody | None = None
    labels: LabelVersion | None = None
    evidence: bool = False


class TraceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    evidence: bool = False


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    """An account's holding of an asset; `lock` is the place of the lock that it is in, null outside of locks."""

    account: str
    asset: str
    lock: str | None
    entity: str | None
    categories: list[str]


class EndView(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger that has value in the end (backward: gave it). `taint` is in base units of the source; by poison, of the
    ledger's own asset. `stop` says why the trace does not go on there, null if nothing went on."""

    ledger: LedgerView
    taint: str
    stop: StopName | None


class FlowView(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that carries traced value. `swap`: the swap whose two chains it crosses."""

    time_s: int
    chain: str
    height: int
    index: int
    tx_hash: str
    sent: LedgerView | None
    received: LedgerView | None
    amount: AmountView
    taint: str
    swap: str | None


class SumsView(msgspec.Struct, frozen=True, kw_only=True):
    """The whole source, by where it is: it is `held`, `stopped`, `in_flight` and `fees` together, to the last unit.
    `fees` went to nobody (backward: was issued)."""

    source: str
    held: str
    stopped: str
    in_flight: str
    fees: str
    conserved: bool


class MethodView(msgspec.Struct, frozen=True, kw_only=True):
    """One method's result: the largest `ends` and the first `flows`; `more` says how many were left out."""

    method: MethodName
    sums: SumsView | None
    ends: list[EndView]
    more_ends: int
    flows: list[FlowView]
    more_flows: int
    digest: str


class BoundView(msgspec.Struct, frozen=True, kw_only=True):
    """How many ledgers the trace stopped at for a reason."""

    stop: StopName
    ledgers: int


class CrossingView(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed lock that no agreed terms join, and claimed locks of other chains under its hashlock: value may have
    crossed there. The trace does not take it to have."""

    lock: str
    hashlock: str
    others: list[str]


class TraceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A trace. The same `id` gives the same answer again. `edges` were looked at, of `ledgers`."""

    id: str
    algorithm: int
    way: WayName
    hops: int
    edges: int
    ledgers: int
    bounds: list[BoundView]
    methods: list[MethodView]
    candidates: list[CrossingView]
    bundle: dict[str, Any] | None
    moment: MomentView
