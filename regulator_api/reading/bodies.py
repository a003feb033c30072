"""The answers of reading as they leave."""

from typing import Literal

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


class TagView(msgspec.Struct, frozen=True, kw_only=True):
    """A source's word about an account, valid at the moment of the answer."""

    label: str
    category: str
    source: str
    confidence: int
    list: str
    version: int


class MoveView(msgspec.Struct, frozen=True, kw_only=True):
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
    items: list[MoveView]
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
    assets than were looked at. Times are Unix seconds, null before the first move."""

    account: str
    chain: str
    entity: str | None
    tags: list[TagView]
    keeper: bool
    first_s: int | None
    last_s: int | None
    balances: list[BalanceView]
    whole: bool
    moment: MomentView


class EntityAnswer(msgspec.Struct, frozen=True, kw_only=True):
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


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a swap. `leg` is `initiator`, `participant`, or `other` for a lock that belongs to no agreed leg."""

    time_s: int
    chain: str
    leg: Literal["initiator", "participant", "other"]
    what: Literal["locked", "claimed", "refunded", "refundable"]
    placed: PlacedView | None


class SwapDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A swap, and its steps on one axis of time; `refundable` is the timelock of a lock that is open."""

    swap: SwapAnswer
    steps: list[StepView]
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
