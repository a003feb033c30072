"""Short histories for tests: who pays whom, when, and how much."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from regulator_api.rules.catalogue import Rule, RuleSet, default_rules, make_rule
from regulator_api.rules.history import IN, NO_TAGS, OUT, Kind, Seen, Subject
from regulator_api.rules.observation import Alert, gather
from regulator_api.rules.running import run_paths, run_subject

DAY = 86_400
HOUR = 3_600
T0 = 1_800_000_000 - 1_800_000_000 % DAY
A, B, C = "eip155:1", "eip155:137", "causeway:main"
UNIT = 10**16
"""Base units of a cent: an asset of eighteen decimals, whose coin is worth one whole unit of the reporting currency."""


def on(chain: str, name: str) -> str:
    """An account of a person on a chain; names are made long enough to look like addresses."""
    digits = name.encode().hex().ljust(40, "0")[:40]
    return f"{chain}:{digits if chain == C else '0x' + digits}"


@dataclass
class Story:
    """Moves of all subjects. `labels`: categories by account from a time on; `entities`: subject by account."""

    labels: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    entities: dict[str, str] = field(default_factory=dict)
    moves: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    heights: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))

    def pay(
        self, time_s: float, sender: str, receiver: str, cents: int, chain: str = A, *, value: int | None = None
    ) -> None:
        """A transfer between people named by `sender` and `receiver`."""
        self._add(time_s, chain, on(chain, sender), on(chain, receiver), cents, value)

    def swap(self, time_s: float, person: str, maker: str, a: str, b: str, cents: int, number: int) -> None:
        """A joined swap: the person's value goes from chain a to chain b."""
        mine, theirs = (on(a, person), on(b, person)), (on(a, maker), on(b, maker))
        for chain, who, far, via, role, at, direction in (
            (a, mine[0], mine[1], theirs[0], "initiator", 0, OUT),
            (b, theirs[1], theirs[0], mine[1], "participant", 60, OUT),
            (b, mine[1], mine[0], theirs[1], "initiator", 120, IN),
            (a, theirs[0], theirs[1], mine[0], "participant", 180, IN),
        ):
            place = self._place(int(time_s) + at, chain)
            tags = self._tags((far, via), place[0])
            own = self._tags((who,), place[0])
            passage = f"swap/{number}/{role}"
            seen = Seen(
                *place,
                direction,
                who,
                far,
                f"{chain}/coin",
                cents * UNIT,
                cents,
                Kind.CROSSING,
                passage,
                via,
                own,
                tags,
            )
            self.moves[self.subject_of(who)].append(seen)

    def subject_of(self, account: str) -> str:
        return self.entities.get(account, account)

    def alerts(self, rules: RuleSet | None = None, since_s: int = 0) -> list[Alert]:
        """Alerts of all rules."""
        chosen = rules or RuleSet(default_rules())
        observations, links = [], []
        for name, moves in self.moves.items():
            seen, made = run_subject(Subject(name), sorted(moves), chosen, since_s)
            observations += seen
            links += made
        return gather(observations + run_paths(links, chosen, self.subject_of))

    def found(self, typology: str, rules: RuleSet | None = None) -> list[Alert]:
        return [alert for alert in self.alerts(rules) if alert.rule.startswith(f"{typology}-")]

    def _add(self, time_s: float, chain: str, sender: str, receiver: str, cents: int, value: int | None) -> None:
        place = self._place(int(time_s), chain)
        worth = cents if value is None else value
        passage = "/".join(map(str, place[1:]))
        for direction, mine, other in ((OUT, sender, receiver), (IN, receiver, sender)):
            own, tags = self._tags((mine,), place[0]), self._tags((other,), place[0])
            seen = Seen(
                *place, direction, mine, other, f"{chain}/coin", cents * UNIT, worth, Kind.PLAIN, passage, "", own, tags
            )
            self.moves[self.subject_of(mine)].append(seen)

    def _place(self, time_s: int, chain: str) -> tuple[int, str, int, int]:
        index = self.heights[chain, time_s]
        self.heights[chain, time_s] += 1
        return time_s, chain, time_s - T0 + 10**9, index

    def _tags(self, accounts: Iterable[str], time_s: int) -> frozenset[str]:
        found = NO_TAGS
        for account in accounts:
            category, from_s, to_s = self.labels.get(account, ("", 0, 0))
            if from_s <= time_s < to_s:
                found = found | {category}
        return found


def with_rule(typology: str, parameters: dict[str, object], jurisdiction: str | None = None, **times: int) -> Rule:
    """One rule of a typology with other parameters."""
    return make_rule(f"{typology}-test", typology, parameters, jurisdiction, times.get("from_s", 0), times.get("to_s"))
