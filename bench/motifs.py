"""The rules against motifs of another author: AMLSim's patterns in ordinary traffic with heavy-tailed degrees.

    python -m bench.motifs [--accounts 12000] [--each 20] [--seed 7 ...] [--scale published|tuned|hasty] [--json]

Nothing here knows the rules' cases or shares code with their generator (`bench.traffic`): ordinary accounts are joined
by a configuration model over a power law of degrees, their payments follow the six normal models of AMLSim's parameter
files (single, fan-in, fan-out, mutual, forward, periodical), and motifs are laid over accounts that go on with their
ordinary business (Suzumura and Kanezashi, "Anti-Money Laundering Datasets", github.com/IBM/AMLSim; Altman et al. 2023,
"Realistic Synthetic Financial Transactions for Anti-Money Laundering Models", for stack, bipartite, scatter-gather and
gather-scatter). The rules' parameters were chosen with seed 7.

`published` has AMLSim's own sizes: 5 to 10 accounts, payments of 100 to 200, 5 to 20 days, and a tenth kept at each
station. `tuned` is the same with parameters of the rules that suit it. `hasty` has the sizes of which the FATF's red
flags speak: 12 to 24 accounts, 10,000 to 90,000 together, all within two days, and a fiftieth kept at most.

    count      motifs of this kind
    recall     motifs of which an alert of a rule that is made for them (`SHOULD`) names, in their time, an account that
               it should name: the hub, or those who hand on
    found      the same by a rule of any kind
    precision  by rule, alerts that name an account of a motif in its time, of all alerts
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

from bench._progress import progress
from regulator_api.rules.catalogue import RuleSet, default_rules, make_rule
from regulator_api.rules.history import IN, NO_TAGS, OUT, Kind, Seen, Subject
from regulator_api.rules.observation import Alert, gather
from regulator_api.rules.running import run_paths, run_subject

DAYS: Final = 90
DAY: Final = 86_400
BEGIN_S: Final = 1_700_000_000 - 1_700_000_000 % DAY
SETTLED: Final = 35
"""Days before the first motif: rules about habits know none before."""
AFTER_S: Final = 3 * DAY
"""How long after a motif's last payment an alert is still about it: the longest span of hours of a rule."""
SHOULD: Final = {
    "fan_in": (),
    "fan_out": (),
    "bipartite": (),
    "scatter_gather": (),
    "cycle": ("round_trip",),
    "gather_scatter": ("dispersal",),
    "stack": ("dispersal",),
    "random": ("peel_chain", "pass_through"),
}
"""The rules that a motif's definition is one of. The first four have none: docs/supervising/methods.md says so."""


class Payment(NamedTuple):
    time_s: int
    sender: int
    receiver: int
    cents: int


class Motif(NamedTuple):
    """`members`: those that a rule should name. `accounts`: all."""

    kind: str
    members: frozenset[int]
    accounts: frozenset[int]
    begins_s: int
    ends_s: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of motifs: accounts on a side, cents of each side payment or of the whole, days, share that stays."""

    side: tuple[int, int]
    whole: tuple[int, int]
    days: tuple[float, float]
    margin: float
    rules: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


_PUBLISHED: Final = Scale((5, 10), (50_000, 200_000), (5, 20), 0.1)
SCALES: Final = {
    "published": _PUBLISHED,
    "tuned": replace(
        _PUBLISHED,
        rules={
            "round_trip": {"floor": 10_000, "keep_pm": 400},
            "dispersal": {"floor": 10_000, "min_receivers": 3, "out_pm": 700, "burst_pm": 400},
        },
    ),
    "hasty": Scale((12, 24), (1_000_000, 9_000_000), (0.5, 2), 0.02),
}


class _World:
    def __init__(self, seed: int, accounts: int, scale: Scale) -> None:
        self.random = random.Random(f"motifs {seed}")
        self.count, self.scale = accounts, scale
        self.payments: list[Payment] = []
        self.motifs: list[Motif] = []
        self._free: list[int] = self.random.sample(range(accounts), accounts)

    # --- ordinary business ---------------------------------------------------------------------------------------

    def ordinary(self) -> None:
        """Relations by a configuration model over a power law, and one normal model for each account."""
        degrees = [min(int(self.random.paretovariate(1.3)), self.count // 40) for _ in range(self.count)]
        payers = [one for one, degree in enumerate(degrees) for _ in range(degree)]
        payees = payers.copy()
        self.random.shuffle(payees)
        partners: dict[int, list[int]] = defaultdict(list)
        sources: dict[int, list[int]] = defaultdict(list)
        for payer, payee in zip(payers, payees, strict=True):
            if payer != payee:
                partners[payer].append(payee)
                sources[payee].append(payer)
        models = (self._single, self._fan_out, self._fan_in, self._forward, self._mutual, self._periodical)
        for one in range(self.count):
            self.random.choice(models)(one, partners[one], sources[one])

    def _cents(self) -> int:
        return int(min(self.random.lognormvariate(9.6, 1.3), 5_000_000)) + 1

    def _any_s(self) -> float:
        return BEGIN_S + self.random.random() * DAYS * DAY

    def _pay(self, time_s: float, sender: int, receiver: int, cents: float) -> None:
        if sender != receiver and BEGIN_S <= time_s < BEGIN_S + DAYS * DAY:
            self.payments.append(Payment(int(time_s), sender, receiver, max(1, int(cents))))

    def _single(self, one: int, partners: list[int], _: list[int]) -> None:
        for partner in partners:
            self._pay(self._any_s(), one, partner, self._cents())

    def _fan_out(self, one: int, partners: list[int], _: list[int]) -> None:
        for _round in range(self.random.randint(1, 3)):
            at, cents, days = self._any_s(), self._cents(), self.random.randint(1, 20)
            for partner in partners:
                self._pay(at + self.random.random() * days * DAY, one, partner, cents * self.random.uniform(0.8, 1.2))

    def _fan_in(self, one: int, _: list[int], sources: list[int]) -> None:
        for _round in range(self.random.randint(1, 3)):
            at, cents, days = self._any_s(), self._cents(), self.random.randint(1, 20)
            for source in sources:
                self._pay(at + self.random.random() * days * DAY, source, one, cents * self.random.uniform(0.8, 1.2))

    def _forward(self, one: int, partners: list[int], sources: list[int]) -> None:
        for partner in partners[:20]:
            at, cents = self._any_s(), self._cents()
            if sources:
                self._pay(at, self.random.choice(sources), one, cents)
                at += self.random.uniform(0.05, 10) * DAY
            self._pay(at, one, partner, cents * self.random.uniform(0.7, 1.0))

    def _mutual(self, one: int, partners: list[int], _: list[int]) -> None:
        for partner in partners[:20]:
            at, cents = self._any_s(), self._cents()
            self._pay(at, one, partner, cents)
            self._pay(at + self.random.uniform(1, 20) * DAY, partner, one, cents * self.random.uniform(0.5, 1.0))

    def _periodical(self, one: int, partners: list[int], _: list[int]) -> None:
        for partner in partners[:10]:
            at, cents, every = self._any_s() - 60 * DAY, self._cents(), self.random.choice((7, 14, 30))
            while at < BEGIN_S + DAYS * DAY:
                self._pay(at, one, partner, cents)
                at += every * DAY

    # --- motifs --------------------------------------------------------------------------------------------------

    def _take(self, count: int) -> list[int]:
        taken, self._free = self._free[:count], self._free[count:]
        if len(taken) < count:
            raise SystemExit("too few accounts for all motifs: give more with --accounts")
        return taken

    def _side(self) -> list[int]:
        return self._take(self.random.randint(*self.scale.side))

    def _begin(self, parts: int) -> tuple[float, float]:
        """Return when a motif begins, and how long each of its parts takes."""
        length_s = self.random.uniform(*self.scale.days) * DAY
        last_s = (DAYS - 1) * DAY - length_s
        return BEGIN_S + self.random.uniform(SETTLED * DAY, last_s), length_s / parts

    def _shares(self, whole: float, count: int) -> list[float]:
        weights = [self.random.uniform(0.7, 1.3) for _ in range(count)]
        return [whole * weight / sum(weights) for weight in weights]

    def _layer(self, at: float, span: float, payers: list[int], payees: list[int], whole: float) -> None:
        """All of a layer pay all of the next one, `whole` together."""
        pairs = [(payer, payee) for payer in payers for payee in payees]
        for (payer, payee), cents in zip(pairs, self._shares(whole, len(pairs)), strict=True):
            self._pay(at + self.random.random() * span, payer, payee, cents)

    def _motif(self, kind: str, members: list[int], accounts: list[int], at: float, length: float) -> None:
        self.motifs.append(Motif(kind, frozenset(members), frozenset(accounts), int(at), int(at + length)))

    def _layers(self, kind: str, *layers: list[int], members: list[int]) -> None:
        at, span = self._begin(len(layers) - 1)
        whole, keep = float(self.random.randint(*self.scale.whole)), 1 - self.scale.margin
        for number in range(len(layers) - 1):
            self._layer(at + number * span, span, layers[number], layers[number + 1], whole)
            whole *= keep
        self._motif(kind, members, [one for layer in layers for one in layer], at, span * (len(layers) - 1))

    def fan_in(self) -> None:
        hub = self._take(1)
        self._layers("fan_in", self._side(), hub, members=hub)

    def fan_out(self) -> None:
        hub = self._take(1)
        self._layers("fan_out", hub, self._side(), members=hub)

    def bipartite(self) -> None:
        left, right = self._side(), self._side()
        self._layers("bipartite", left, right, members=left + right)

    def gather_scatter(self) -> None:
        hub = self._take(1)
        self._layers("gather_scatter", self._side(), hub, self._side(), members=hub)

    def scatter_gather(self) -> None:
        first, middle, last = self._take(1), self._side(), self._take(1)
        self._layers("scatter_gather", first, middle, last, members=[*first, *middle, *last])

    def stack(self) -> None:
        middle = self._side()[:4]
        self._layers("stack", self._side(), middle, self._side(), members=middle)

    def cycle(self) -> None:
        ring = self._take(self.random.randint(3, 8))
        self._walk("cycle", [*ring, ring[0]], ring)

    def random_walk(self) -> None:
        path = self._take(self.random.randint(6, 10))
        self._walk("random", path, path[1:-1])

    def _walk(self, kind: str, path: list[int], members: list[int]) -> None:
        at, span = self._begin(len(path) - 1)
        cents, begun = float(self.random.randint(*self.scale.whole)), at
        for payer, payee in pairwise(path):
            self._pay(at, payer, payee, cents)
            at, cents = at + span * self.random.uniform(0.5, 1), cents * (1 - self.random.random() * self.scale.margin)
        self._motif(kind, members, path, begun, at - begun)


def world(seed: int, accounts: int, each: int, scale: str) -> tuple[list[Payment], list[Motif]]:
    """Return the payments in order of time, and the motifs among them: `each` of every kind."""
    made = _World(seed, accounts, SCALES[scale])
    made.ordinary()
    for kind in SHOULD:
        for _ in range(each):
            getattr(made, "random_walk" if kind == "random" else kind)()
    return sorted(made.payments), made.motifs


def name_of(account: int) -> str:
    return f"eip155:1:0x{account:040x}"


def alerts_of(payments: list[Payment], rules: RuleSet) -> list[Alert]:
    """Return what rules say about these payments, each in a block of its own."""
    found: dict[str, list[Seen]] = defaultdict(list)
    for height, one in enumerate(payments, 1):
        sides = ((OUT, name_of(one.sender), name_of(one.receiver)), (IN, name_of(one.receiver), name_of(one.sender)))
        for direction, mine, other in sides:
            place = (one.time_s, "eip155:1", height, 0, direction)
            seen = Seen(*place, mine, other, "usd", one.cents, one.cents, Kind.PLAIN, str(height), "", NO_TAGS, NO_TAGS)
            found[mine].append(seen)
    observations, links = [], []
    for subject, history in found.items():
        said, made = run_subject(Subject(subject, None, BEGIN_S), history, rules)
        observations += said
        links += made
    return gather(observations + run_paths(links, rules))


def _rules(scale: Scale) -> RuleSet:
    return RuleSet(
        [
            make_rule(one.rule_id, one.typology.name, scale.rules.get(one.typology.name, {}), None, 0, None)
            for one in default_rules()
        ]
    )


def measure(seeds: list[int], accounts: int, each: int, scale: str) -> dict[str, object]:
    """Return recall by motif, and precision by rule, of several worlds added up."""
    rules, transfers = _rules(SCALES[scale]), 0
    by_motif: dict[str, list[int]] = {kind: [0, 0, 0] for kind in SHOULD}
    by_rule: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with progress("motifs", len(seeds)) as advance:
        for seed in seeds:
            payments, motifs = world(seed, accounts, each, scale)
            transfers += len(payments)
            _count(alerts_of(payments, rules), motifs, by_motif, by_rule)
            advance(1)
    return {
        "scale": scale,
        "transfers": transfers,
        "motifs": {
            kind: {
                "should": " or ".join(SHOULD[kind]) or "none",
                "count": count,
                "recall": round(made_for / count, 3) if SHOULD[kind] else None,
                "found": round(found / count, 3),
            }
            for kind, (count, made_for, found) in by_motif.items()
        },
        "rules": {
            rule: {"alerts": alerts, "precision": round(right / alerts, 3)}
            for rule, (alerts, right) in sorted(by_rule.items())
        },
    }


def _count(
    alerts: list[Alert], motifs: list[Motif], by_motif: dict[str, list[int]], by_rule: dict[str, list[int]]
) -> None:
    of_account = {name_of(account): number for number, one in enumerate(motifs) for account in one.accounts}
    members = [frozenset(map(name_of, one.members)) for one in motifs]
    found_by: list[set[str]] = [set() for _ in motifs]
    for alert in alerts:
        rule = alert.rule.rpartition("-")[0]
        named = {alert.subject} | {move.account for move in alert.last.moves}
        right = False
        for number in {of_account[account] for account in named if account in of_account}:
            one = motifs[number]
            if one.begins_s <= alert.last.trigger.time_s and alert.first.time_s <= one.ends_s + AFTER_S:
                right = True
                if not named.isdisjoint(members[number]):
                    found_by[number].add(rule)
        by_rule[rule][0] += 1
        by_rule[rule][1] += right
    for one, rules in zip(motifs, found_by, strict=True):
        counted = by_motif[one.kind]
        counted[0] += 1
        counted[1] += not rules.isdisjoint(SHOULD[one.kind])
        counted[2] += bool(rules)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=12_000)
    parser.add_argument("--each", type=int, default=20, help="motifs of each kind")
    parser.add_argument("--seed", type=int, nargs="+", default=[7])
    parser.add_argument("--scale", choices=tuple(SCALES), nargs="+", default=list(SCALES))
    parser.add_argument("--json", action="store_true", help="the last line alone")
    chosen = parser.parse_args()
    results = [measure(chosen.seed, chosen.accounts, chosen.each, scale) for scale in chosen.scale]
    if not chosen.json:
        for result in results:
            print(f"{result['scale']}: {result['transfers']} transfers", file=sys.stderr)
            for part in ("motifs", "rules"):
                for name, figures in result[part].items():  # type: ignore[attr-defined]
                    print(f"  {name:20} {figures}", file=sys.stderr)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
