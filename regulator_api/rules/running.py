"""Rules over histories: what the engine, a cold run and the verifier all call. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from regulator_api.rules.catalogue import Rule, RuleSet, Steps
from regulator_api.rules.flows import LINK_S, Links
from regulator_api.rules.history import DAY_S, OUT, Kind, Outline, Seen, Subject, is_quiet, outline, windowed
from regulator_api.rules.observation import Link, Observation
from regulator_api.rules.parameters import EXEMPT
from regulator_api.rules.paths import LookUp, NameOf, path_to
from regulator_api.rules.payments import Finding

LINKS_HISTORY_S: Final = LINK_S + DAY_S
FEW_MOVES: Final = 12
"""The most moves that are kept as they are in place of a run that is made of them, about 0.4 kB each."""
_SERVICES: Final = frozenset(EXEMPT)
_Entry = tuple[Callable[[Seen, list[Finding]], None], Rule]
MAX_FIGURE: Final = 2**63 - 1
"""A greater figure counts as this one: sums of what a hostile token claims to be worth end somewhere."""


class SubjectRun:
    """All rules of one subject, at work. May be dropped at any time: `history_needed` seconds of moves make it again.

    `before_s` is the time of the last move before those that it steps over, None if there is none. `few`: the outline
    of the moves that it will step over, None for any; rules that find nothing in such are left out.
    """

    __slots__ = ("_found", "_links", "_rules", "_steps", "links", "observations", "subject")

    def __init__(
        self, subject: Subject, rules: RuleSet, before_s: int | None = None, few: Outline | None = None
    ) -> None:
        self.subject = subject
        self.observations: list[Observation] = []
        self.links: list[Link] = []
        self._rules = rules
        self._steps: tuple[list[_Entry], list[_Entry], list[_Entry], list[_Entry]] = ([], [], [], [])
        ins, outs, tagged_ins, tagged_outs = self._steps
        for rule in rules.folds_of(subject.jurisdiction):
            typology = rule.typology
            if typology.fold is None or (few is not None and typology.idle(rule.parameters, few)):
                continue
            entry = (typology.fold(rule.parameters, subject, before_s).step, rule)
            tagged_outs.append(entry)
            if typology.steps is not Steps.OUT:
                tagged_ins.append(entry)
            if typology.steps is not Steps.TAGGED:
                outs.append(entry)
            if typology.steps is Steps.ALL:
                ins.append(entry)
        # A link joins a payment in and one out.
        self._links = Links(subject.name, _SERVICES) if few is None or (few.ins and few.outs) else None
        self._found: list[Finding] = []

    def step(self, m: Seen) -> None:
        """Take in the next move: what it triggers is added to `observations` and `links`."""
        if m.kind == Kind.REFUND:
            return
        found = self._found
        tagged = m.own or m.tags
        ins, outs, tagged_ins, tagged_outs = self._steps
        if m.direction == OUT:
            entries = tagged_outs if tagged else outs
        else:
            entries = tagged_ins if tagged else ins
        for step, rule in entries:
            step(m, found)
            if found:
                self._observe(rule, m)
                found.clear()
        if self._links is not None:
            self._links.step(m, self.links)

    def is_idle(self) -> bool:
        """Return true if every rule was left out."""
        return self._links is None and not self._steps[-1]

    def take(self) -> tuple[list[Observation], list[Link]]:
        """Return what was found since the last call."""
        observations, links = self.observations, self.links
        self.observations, self.links = [], []
        return observations, links

    def _observe(self, rule: Rule, m: Seen) -> None:
        if not m.own.isdisjoint(rule.exempt) or not self._rules.applies(rule, self.subject.jurisdiction, m.time_s):
            return
        for anchor, since_s, moves, others, figures in self._found:
            place = m.place
            figures = tuple(sorted((name, min(value, MAX_FIGURE)) for name, value in figures))
            self.observations.append(
                Observation(rule.rule_id, self.subject.name, anchor, place, since_s, moves, others, figures)
            )


def run_few(
    subject: Subject, rules: RuleSet, before_s: int | None, before: Sequence[Seen], judged: Sequence[Seen]
) -> tuple[list[Observation], list[Link]]:
    """Return what a few moves show that come after others (`before`), and the last move before these at `before_s`.

    The same as a run of any length finds at them. Most payments in, and many of the payments out, show by their outline
    that there is nothing to run.
    """
    run = SubjectRun(subject, rules, before_s, outline(before_s, before, judged))
    if run.is_idle():
        return [], []
    for move in before:
        run.step(move)
    run.take()
    for move in judged:
        run.step(move)
    return run.take()


def find_nothing(subject: Subject, rules: RuleSet, judged: Iterable[Seen]) -> bool:
    """Return true if nothing is found at these moves of a subject, whatever came before them: its history need not be
    read for them."""
    return rules.needs_payments_out(subject.jurisdiction) and is_quiet(judged)


def history_needed(rules: RuleSet) -> int:
    """Return how many seconds of moves before a trigger a run needs, next to the last move before them."""
    return max(rules.history_s, LINKS_HISTORY_S)


def run_subject(
    subject: Subject, moves: Iterable[Seen], rules: RuleSet, since_s: int = 0
) -> tuple[list[Observation], list[Link]]:
    """Return what a whole history shows at moves from `since_s` on. `moves` are sorted; only those that matter for
    this are read, so the same history gives the same result from wherever it begins."""
    before_s, window = windowed(moves, since_s - history_needed(rules))
    run = SubjectRun(subject, rules, before_s)
    for move in window:
        run.step(move)
    observations, links = run.take()
    if not since_s:
        return observations, links
    return (
        [one for one in observations if one.trigger.time_s >= since_s],
        [one for one in links if one.left.time_s >= since_s],
    )


def judge_path(
    last: Link, before: LookUp, rules: RuleSet, name_of: NameOf, jurisdiction_of: Callable[[str], str | None]
) -> list[Observation]:
    """Return what the path that ends in a link shows."""
    path = path_to(last, before)
    found: dict[tuple[str, str, str], Observation] = {}
    for rule in rules.rules:
        if rule.typology.judge is None:
            continue
        for one in rule.typology.judge(rule.rule_id, rule.parameters, path, name_of):
            if rules.applies(rule, jurisdiction_of(one.subject), one.trigger.time_s):
                found.setdefault((one.rule, one.subject, one.anchor), one)
    return list(found.values())


def run_paths(
    links: Iterable[Link],
    rules: RuleSet,
    name_of: NameOf = lambda account: account,
    jurisdiction_of: Callable[[str], str | None] = lambda _: None,
) -> list[Observation]:
    """Return what the paths over these links show. Keeps all of them in memory, about 1 kB each."""
    known = {link.after: link for link in links}
    return [one for link in known.values() for one in judge_path(link, known.get, rules, name_of, jurisdiction_of)]
