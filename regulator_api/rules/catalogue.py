"""All typologies, and rules made of them: a typology with parameters, for a jurisdiction, from when to when.

A typology's `version` changes whenever its function gives other results for the same input, so that an observation
names exactly what found it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

import msgspec

from core.model.errors import RejectedError
from regulator_api.rules import paths
from regulator_api.rules.ages import Dormant, NewAccount
from regulator_api.rules.flows import Accumulation, Dispersal, PassThrough
from regulator_api.rules.history import DAY_S, QUIET, Outline, Seen, Subject
from regulator_api.rules.lists import Mixer, Sanctions
from regulator_api.rules.observation import Observation
from regulator_api.rules.parameters import (
    AccumulationParameters,
    ChainHoppingParameters,
    DispersalParameters,
    DormantParameters,
    IndirectSanctionsParameters,
    MixerParameters,
    NewAccountParameters,
    Parameters,
    PassThroughParameters,
    PeelChainParameters,
    RoundTripParameters,
    SanctionsParameters,
    StructuringParameters,
    VelocityParameters,
    read_parameters,
)
from regulator_api.rules.payments import Finding, Structuring, Velocity

FOREVER_S: Final = 2**40
MAX_RULES: Final = 64
"""Rules in force at a time."""


class Fold(Protocol):
    """A subject rule at work: steps over moves in order, and adds to `found` if its condition holds at the move."""

    def step(self, m: Seen, found: list[Finding]) -> None: ...


Judge = Callable[[str, Any, paths.Path, paths.NameOf], Iterable[Observation]]


class Steps(Enum):
    """The moves that make a difference to a fold: all of them, payments out, or those with labels."""

    ALL = "all"
    OUT = "out"
    TAGGED = "tagged"


@dataclass(frozen=True, slots=True)
class Typology:
    """One typology: either a fold over a subject's moves, or a judge of paths.

    A fold is made from parameters, subject, and the time of the last move before its history (None: there is none).
    `idle` sees by parameters and the outline of a few moves that the fold finds nothing in them. Most subjects have a
    few moves only, for whom a rule that counts ten payments is work for nothing. To see too little costs time and no
    more. `steps` names the moves that a fold takes notice of.
    """

    name: str
    version: int
    title: str
    parameters: type[Parameters]
    fold: Callable[[Any, Subject, int | None], Fold] | None = None
    judge: Judge | None = None
    idle: Callable[[Any, Outline], bool] = lambda *_: False
    steps: Steps = Steps.ALL


_ALL: Final = (
    Typology(
        "structuring",
        2,
        "Payments kept just below a threshold",
        StructuringParameters,
        lambda p, *_: Structuring(p),
        idle=lambda p, few: few.outs < p.min_count,
        steps=Steps.OUT,
    ),
    Typology(
        "velocity",
        1,
        "A day far above the usual",
        VelocityParameters,
        lambda p, *_: Velocity(p),
        # As many days before with payments, and as many payments on the day.
        idle=lambda p, few: few.outs < p.min_days + p.min_count,
        steps=Steps.OUT,
    ),
    Typology(
        "pass_through",
        2,
        "A large sum in and out again",
        PassThroughParameters,
        lambda p, *_: PassThrough(p),
        idle=lambda p, few: not few.outs or few.most_in < p.floor,
    ),
    Typology(
        "accumulation",
        2,
        "Many small payments gathered",
        AccumulationParameters,
        lambda p, subject, _: Accumulation(p, subject.complete_since_s),
        # A payment in of each sender, and one out.
        idle=lambda p, few: not few.outs or few.ins < p.min_senders,
    ),
    Typology(
        "dispersal",
        1,
        "A sum spread over many receivers",
        DispersalParameters,
        lambda p, subject, _: Dispersal(p, subject.complete_since_s),
        idle=lambda p, few: not few.ins or few.outs < p.min_receivers,
    ),
    Typology(
        "dormant",
        1,
        "A silent account wakes",
        DormantParameters,
        lambda p, _, before_s: Dormant(p, before_s),
        idle=lambda p, few: not few.outs or few.silence_s < p.silent_days * DAY_S,
    ),
    Typology(
        "new_account",
        1,
        "A new account only passes money on",
        NewAccountParameters,
        lambda p, subject, before_s: NewAccount(p, subject.complete_since_s, before_s),
        idle=lambda p, few: not few.outs or not few.is_new or few.came < p.floor,
    ),
    Typology(
        "sanctions",
        1,
        "Dealings with a listed account",
        SanctionsParameters,
        lambda p, *_: Sanctions(p),
        idle=lambda _, few: not few.is_tagged,
        steps=Steps.TAGGED,
    ),
    Typology(
        "mixer",
        1,
        "A mixer, or an account that works as one",
        MixerParameters,
        lambda p, *_: Mixer(p),
        idle=lambda p, few: not few.is_tagged and few.moves < p.min_deposits + p.min_receivers,
    ),
    Typology(
        "sanctions_indirect",
        1,
        "Value from or to a listed account over others",
        IndirectSanctionsParameters,
        judge=paths.indirect_sanctions,
    ),
    Typology("peel_chain", 2, "A sum handed on and on", PeelChainParameters, judge=paths.peel_chain),
    Typology(
        "chain_hopping", 1, "A sum carried over several chains", ChainHoppingParameters, judge=paths.chain_hopping
    ),
    Typology("round_trip", 2, "A sum comes back to its origin", RoundTripParameters, judge=paths.round_trip),
)
TYPOLOGIES: Final[Mapping[str, Typology]] = {typology.name: typology for typology in _ALL}


@dataclass(frozen=True, slots=True)
class Rule:
    """A typology in force. `rule_id` names function, version and parameters together and is never used again for
    others. Effective at moves with `from_s` ≤ time < `to_s`. `jurisdiction` None: the default parameters."""

    rule_id: str
    typology: Typology
    parameters: Parameters
    jurisdiction: str | None = None
    from_s: int = 0
    to_s: int = FOREVER_S
    exempt: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        object.__setattr__(self, "exempt", frozenset(self.parameters.exempt))


def default_rules() -> tuple[Rule, ...]:
    """Return every typology with its default parameters."""
    return tuple(Rule(f"{one.name}-{one.version}", one, one.parameters()) for one in _ALL)


def make_rule(
    rule_id: str, typology: str, parameters: Any, jurisdiction: str | None, from_s: int, to_s: int | None
) -> Rule:
    """Return a rule. Raise `RejectedError` for an unknown typology, and parameters out of their bounds."""
    known = TYPOLOGIES.get(typology)
    if known is None:
        raise RejectedError(f"unknown typology {typology[:64]!r}: use one of {', '.join(TYPOLOGIES)}")
    try:
        read = read_parameters(known.parameters, parameters)
    except msgspec.ValidationError as error:
        raise RejectedError(f"the parameters of {typology} are not in their form: {error}") from None
    end_s = FOREVER_S if to_s is None else to_s
    if not from_s < end_s:
        raise RejectedError(f"the rule is effective from {from_s} to {end_s}: the end comes after the beginning")
    return Rule(rule_id, known, read, jurisdiction, from_s, end_s)


class RuleSet:
    """Rules in force together. Of one typology the rules of a subject's jurisdiction go before the default ones, at
    the times at which they are effective. Raise `RejectedError` for more than `MAX_RULES`, and for a name used twice.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        if len(rules) > MAX_RULES:
            raise RejectedError(f"{len(rules)} rules are in force, at most {MAX_RULES} are possible: retire some")
        if len({rule.rule_id for rule in rules}) != len(rules):
            raise RejectedError("two rules have one id")
        self.rules = tuple(sorted(rules, key=lambda rule: rule.rule_id))
        self.jurisdictions = frozenset(rule.jurisdiction for rule in self.rules if rule.jurisdiction is not None)
        self.history_s = max((rule.typology.parameters.history_s for rule in self.rules), default=0)
        self._folds: dict[str | None, list[Rule]] = {
            one: [rule for rule in self._of(one) if rule.typology.fold is not None]
            for one in (None, *self.jurisdictions)
        }
        self._quiet = {
            one: all(rule.typology.idle(rule.parameters, QUIET) for rule in folds) for one, folds in self._folds.items()
        }

    def needs_payments_out(self, jurisdiction: str | None) -> bool:
        """Return true if no rule about the own moves of a subject of this jurisdiction finds anything at payments in
        without labels, whatever came before it."""
        return self._quiet.get(jurisdiction, self._quiet[None])

    def folds_of(self, jurisdiction: str | None) -> list[Rule]:
        """Return the rules about a subject's own moves that may apply to a subject of this jurisdiction."""
        return self._folds.get(jurisdiction, self._folds[None])

    def judges_of(self, jurisdiction: str | None) -> list[Rule]:
        """Return the rules about paths that may apply to a subject of this jurisdiction."""
        return [rule for rule in self._of(jurisdiction) if rule.typology.judge is not None]

    def applies(self, rule: Rule, jurisdiction: str | None, time_s: int) -> bool:
        """Return true if `rule` is the one of its typology that counts for this jurisdiction at this time."""
        if not rule.from_s <= time_s < rule.to_s or rule.jurisdiction not in (None, jurisdiction):
            return False
        return rule.jurisdiction is not None or not any(
            other.typology is rule.typology
            and other.jurisdiction == jurisdiction
            and other.from_s <= time_s < other.to_s
            for other in self.rules
            if other.jurisdiction is not None
        )

    def _of(self, jurisdiction: str | None) -> list[Rule]:
        return [rule for rule in self.rules if rule.jurisdiction in (None, jurisdiction)]
