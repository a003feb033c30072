"""The answers of reading as they leave."""

from typing import Any, Literal

import msgspec

from regulator_api.bodies import AmountView, AsOfView, PlacedView, SwapAnswer

MoveName = Literal["transfer", "lock", "claim", "refund", "covered"]


class MomentView(msgspec.Struct, frozen=True, kw_only=True):
    """The moment of an answer. `as_of` asks for it again; `labels` is the label version. `finalized`: no block that the
    answer rests on can be reverted."""

    as_of: str
    labels: int
    finalized: bool
    chains: list[AsOfView]


class AccountTagView(msgspec.Struct, frozen=True, kw_only=True):
    """A source's word about an account, valid at the moment of the answer."""

    label: str
    category: str
    source: str
    confidence: int
    list: str
    version: int


class AccountMoveView(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of value as the account sees it: `in` or `out`, and what moved it. `other` is null for issues and
    burns; for locks, claims and refunds it is the keeper of the chain's locks."""

    direction: Literal["in", "out"]
    kind: MoveName
    other: str | None
    amount: AmountView
    placed: PlacedView
    index: int


class MovesPage(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    items: list[AccountMoveView]
    next: str | None
    moment: MomentView


class PartnerView(msgspec.Struct, frozen=True, kw_only=True):
    """One other party and one asset: what the account received from it and sent to it. Amounts are base units."""

    account: str | None
    entity: str | None
    categories: list[str]
    amount_received: AmountView
    amount_sent: AmountView
    received: int
    sent: int
    first_s: int
    last_s: int


class PartnersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Counterparties, those with most moves first. `moves` were added up; with `whole` false there are older ones."""

    account: str
    items: list[PartnerView]
    moves: int
    whole: bool
    more: bool
    moment: MomentView


class BalanceView(msgspec.Struct, frozen=True, kw_only=True):
    """`exact` is false for native coins: there it is the sum of the payments that were indexed."""

    amount: AmountView
    exact: bool


class ProfileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One account. `keeper`: it keeps locks, and value only passes through it. `whole` is false if the chain has more
    assets than were looked at. Times are Unix seconds, null before the first move. `alerts` counts the alerts that
    stand now about the account, or about its entity, by typology."""

    account: str
    chain: str
    entity: str | None
    tags: list[AccountTagView]
    keeper: bool
    first_s: int | None
    last_s: int | None
    balances: list[BalanceView]
    whole: bool
    alerts: dict[str, int]
    moment: MomentView


class HoldingsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An entity's accounts, which tags name, and what they hold together by asset."""

    id: str
    name: str | None
    jurisdiction: str | None
    accounts: list[str]
    first_s: int | None
    last_s: int | None
    balances: list[BalanceView]
    more: bool
    moment: MomentView


class SwapStepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a swap. `leg` is `initiator`, `participant`, or `other` for a lock that belongs to no agreed leg."""

    time_s: int
    chain: str
    leg: Literal["initiator", "participant", "other"]
    what: Literal["locked", "claimed", "refunded", "refundable"]
    placed: PlacedView | None


class SwapDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A swap, and its steps on one axis of time; `refundable` is the timelock of a lock that is open."""

    swap: SwapAnswer
    steps: list[SwapStepView]
    as_of: list[AsOfView]
    moment: MomentView


class HitView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the words name. `path` leads to it."""

    kind: Literal["account", "transaction", "swap", "asset", "entity", "record", "contract"]
    id: str
    path: str
    detail: str


class SearchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    items: list[HitView]
    moment: MomentView


class SupplyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An asset as of one block. `locked` is what open locks hold, `in_flight` that part of it whose hashlock has an
    agreement. `residual` is 0 if what was issued and not burned is held or locked, and null for native coins, of
    which only payments are indexed."""

    asset: str
    chain: str
    issued: AmountView
    burned: AmountView
    held: AmountView
    locked: AmountView
    in_flight: AmountView
    residual: str | None
    moment: MomentView


class HolderView(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    entity: str | None
    categories: list[str]
    amount: AmountView


class ConcentrationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How an asset is spread. `hhi` is the Herfindahl-Hirschman index, 10,000 if one account holds everything;
    `top_ppm` is the share of `top` in all that is held, in parts per million. Both are rounded down."""

    asset: str
    holders: int
    total: AmountView
    hhi: int
    top: list[HolderView]
    top_ppm: int
    bundle: dict[str, Any] | None
    moment: MomentView


class CorridorView(msgspec.Struct, frozen=True, kw_only=True):
    """All completed swaps from one asset to another: `given` is what initiators paid, `taken` what they received."""

    from_chain: str
    to_chain: str
    swaps: int
    given: AmountView
    taken: AmountView


class CorridorsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Corridors, the most used first. `whole` is false if there were more swaps than are added up."""

    items: list[CorridorView]
    whole: bool
    bundle: dict[str, Any] | None
    moment: MomentView


class CountedAmount(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    amount: AmountView


class AssetActivity(msgspec.Struct, frozen=True, kw_only=True):
    """An asset's movements: transfers and locks by their block's time, claims and refunds by that of the block that
    settled the lock."""

    asset: str
    chain: str
    transferred: CountedAmount
    locked: CountedAmount
    claimed: CountedAmount
    refunded: CountedAmount


class CaseCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Cases opened and closed in the span, and those of them that were closed, by outcome. As they stand now."""

    opened: int
    closed: int
    outcomes: dict[str, int]


class ActivityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A span of time, both ends inclusive, as of a moment. `swaps` are those opened in it, by status; `corridors` those
    completed in it. `alerts` count by typology those that were last triggered in it and stand now; `cases` is null for
    callers without that scope. `whole` is false if there was more than is added up."""

    since_s: int
    until_s: int
    jurisdiction: str | None
    assets: list[AssetActivity]
    swaps: dict[str, int]
    corridors: list[CorridorView]
    alerts: dict[str, int]
    cases: CaseCounts | None
    whole: bool
    moment: MomentView


class BucketView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of time, from `from_s` on. `volume` adds up its transfers, in base units."""

    from_s: int
    transfers: int
    volume: str
    locks: int
    claims: int
    refunds: int


class SeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An asset's movements by steps of time; steps without any are left out. `velocity_ppm` is the volume of the span
    by what is held of the asset, in parts per million, rounded down; null if nothing is held, for native coins, and
    for callers who see some jurisdictions only. `whole` is false if there were more movements than are added up."""

    asset: str
    step_s: int
    since_s: int
    until_s: int
    items: list[BucketView]
    volume: AmountView
    velocity_ppm: int | None
    whole: bool
    bundle: dict[str, Any] | None
    moment: MomentView


class RecordView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a record. `digest` is the SHA-256 of its document, which the ledger keeps."""

    chain: str
    namespace: str
    key: str
    version: int
    author: str
    digest: str
    placed: PlacedView


class RecordsPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[RecordView]
    next: str | None
    moment: MomentView
