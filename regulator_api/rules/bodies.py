"""Questions about rules, alerts and cases, and the answers as they leave."""

from typing import Annotated, Any, Literal

import msgspec

from core.runtime.web import PageQuery
from regulator_api.bodies import AsOfView
from regulator_api.knowledge.bodies import Jurisdiction, Seconds
from regulator_api.requests import Identifier

Typology = Literal[
    "structuring",
    "velocity",
    "pass_through",
    "accumulation",
    "dispersal",
    "dormant",
    "new_account",
    "sanctions",
    "sanctions_indirect",
    "mixer",
    "peel_chain",
    "chain_hopping",
    "round_trip",
]
RuleId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9_.-]{1,64}$", description="A rule's id.")]
AlertId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", description="An alert's id.")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, description="Why, in words.")]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Person = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[ -~]+$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
Subject = Annotated[
    str,
    msgspec.Meta(pattern="^[!-~]+$", max_length=256, description="An account (CAIP-10), or the id of an entity."),
]


class MoveView(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a move: of `account` in the block at `height`, the event `index`."""

    chain: str
    height: int
    index: int
    direction: Literal["in", "out"]
    time_s: int
    account: str


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """An alert. `figures` are what was measured and the thresholds, `figure_units` the units of those that have one:
    `cents` are minor units of the reporting currency. `explanation` says the same to people. `moves` are those that
    counted at the last trigger; `final`: all their blocks are. `withdrawn`: a reorg, a late block or a label took the
    reason away. `changed` grows with each change of any.
    """

    id: str
    typology: str
    title: str
    rule: str
    subject: str
    explanation: str
    figures: dict[str, str]
    figure_units: dict[str, str]
    moves: list[MoveView]
    others: list[str]
    first: MoveView
    last: MoveView
    observations: int
    final: bool
    withdrawn: bool
    label_version: int
    found_ns: str
    changed: int
    case_id: str | None


class RulesStateView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rules have read. `incomplete` says what only a cold run would add, empty if nothing."""

    seq: int
    label_version: int
    changed: int
    incomplete: str


class AlertsQuery(PageQuery, frozen=True, kw_only=True):
    """`since_s` and `until_s` bound the last trigger. `after_change`: instead of pages, what changed after a number.
    `jurisdiction` shows what a caller would see who sees that one alone."""

    typology: Typology | None = None
    rule: RuleId | None = None
    subject: Subject | None = None
    since_s: Seconds | None = None
    until_s: Seconds | None = None
    withdrawn: bool = False
    jurisdiction: Jurisdiction | None = None
    after_change: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None


class AlertsPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[AlertView]
    next: str | None
    as_of: list[AsOfView]
    rules: RulesStateView


class AlertAnswer(msgspec.Struct, frozen=True, kw_only=True):
    alert: AlertView
    as_of: list[AsOfView]
    rules: RulesStateView


class BundleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle, as `causeway verify` reads it: keep its bytes as they are."""

    version: int
    kind: str
    rule: dict[str, Any]
    alert: dict[str, Any]
    histories: list[dict[str, Any]]
    names: dict[str, str]
    label_version: int
    rates_sha256: str
    digest: str


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule: a typology with `parameters`; `parameter_units` has the units of those that have one: `cents` are minor
    units of the reporting currency, `thousandths` shares. In force at moves from `from_s` to just before `to_s` (null:
    without end)."""

    id: str
    typology: str
    title: str
    version: int
    parameters: dict[str, Any]
    parameter_units: dict[str, str]
    jurisdiction: str | None
    from_s: int
    to_s: int | None
    state: str
    reason: str
    proposed_by: str
    proposed_ns: str
    decided_by: str | None
    decided_ns: str | None


class RulesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    items: list[RuleView]
    state: RulesStateView


class RuleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule to propose. Parameters that are left out have their defaults (docs/supervising/methods.md). `threshold`,
    `floor` and `below` are in cents (minor units of the reporting currency), names with `_pm` in thousandths, with
    `_tenths` in tenths, with `_h` in hours, with `_days` in days."""

    typology: Typology
    parameters: dict[str, Any] = {}
    jurisdiction: Jurisdiction | None = None
    from_s: Seconds | None = None
    to_s: Seconds | None = None
    reason: Reason


class DryRunBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time to try a rule on. At most `max_moves` moves are read; `complete` of the answer says if that was all."""

    since_s: Seconds = 0
    until_s: Seconds | None = None
    max_moves: Annotated[int, msgspec.Meta(ge=1, le=500_000)] = 200_000


class DryRunAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts that the rule would have raised, and what the rules of its typology in force say of the same moves."""

    rule: str
    complete: bool
    subjects: int
    moves: int
    alerts: int
    in_force: int
    only_new: int
    only_in_force: int
    examples: list[AlertView]
    as_of: list[AsOfView]


class RateView(msgspec.Struct, frozen=True, kw_only=True):
    """`base_units` of the asset are worth `minor_units` of the reporting currency, from `from_s` on."""

    asset: str
    from_s: int
    minor_units: str
    base_units: str
    source: str


class RatesQuery(PageQuery, frozen=True, kw_only=True):
    asset: Identifier | None = None


class RatesPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[RateView]
    next: str | None


class CaseEntryView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a case. `sha256` covers it and the entry before: an export that was changed shows."""

    number: int
    kind: str
    who: str
    time_ns: str
    body: dict[str, Any]
    sha256: str


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    status: str
    assignee: str | None
    jurisdiction: str | None
    opened_by: str
    opened_ns: str
    closing_by: str | None
    closed_by: str | None
    closed_ns: str | None
    outcome: str | None
    alerts: list[str]
    entries: int


class CaseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A case with everything that happened to it."""

    case: CaseView
    entries: list[CaseEntryView]
    alerts: list[AlertView]


class CasesQuery(PageQuery, frozen=True, kw_only=True):
    """`jurisdiction` shows what a caller would see who sees that one alone."""

    status: Literal["open", "closing", "closed"] | None = None
    assignee: Person | None = None
    jurisdiction: Jurisdiction | None = None


class CasesPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[CaseView]
    next: str | None


class CaseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case to open. A caller that sees some jurisdictions only names one of them."""

    title: Title
    alerts: Annotated[list[AlertId], msgspec.Meta(max_length=100)] = []
    jurisdiction: Jurisdiction | None = None
    assignee: Person | None = None


class NoteBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: Text


class AssignBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    assignee: Person


class AttachBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The attachment: an alert, which brings its bundle, or a document (evidence that the API gave, for example)."""

    alert: AlertId | None = None
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    document: dict[str, Any] | None = None


class CloseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a case ends. The first person proposes it, another one closes; they state the same outcome."""

    outcome: Literal["reported", "referred", "unfounded", "duplicate"]
    reason: Reason


class ReopenBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the case is not to be closed, or is opened again."""

    reason: Reason
