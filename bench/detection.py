"""Rules against generated traffic whose truth is known: precision and recall by typology, and speed.

    python -m bench.detection [--transfers 100000] [--seed 4711 ...] [--noise 1] [--curve] [--json]

    cases       injected cases of this typology
    met         injected cases, of whichever typology, that meet this one's definition: recomputed by
                `bench.definitions`, which knows the page of the definitions and nothing of the rules
    alerts      alerts of this typology
    recall      cases of which an alert of this typology names an account
    recall_met  cases that meet the definition, of which one names an account that takes part in this
    precision   alerts that name an account of an injected case which takes part in what meets this definition
    any         alerts that name an account of an injected case of whichever typology
    same        alerts that name an account of a case that was injected for this typology

Several seeds are added up. Parameters are the defaults; they were chosen on seeds 1 to 3, and the seeds of the
published figures were never looked at before.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from operator import itemgetter

from bench._progress import progress
from bench.definitions import Truth, truth_of
from bench.traffic import ASSETS, CHAINS, START_S, TYPOLOGIES, Plan, Traffic, generate
from regulator_api.rules.catalogue import RuleSet, default_rules
from regulator_api.rules.history import IN, NO_TAGS, OUT, Kind, Seen, Subject
from regulator_api.rules.observation import Alert, gather
from regulator_api.rules.running import run_paths, run_subject


def moves(traffic: Traffic) -> Iterator[tuple[str, Seen]]:
    """Return every move with its subject's name, in order of place."""
    names, listed = traffic.accounts, traffic.listed_from_s
    for one in traffic.transfers:
        chain, (asset, decimals, rate) = CHAINS[one.chain], ASSETS[one.chain]
        value = one.amount * rate // 10**decimals
        passage = f"{chain}/{one.height}/{one.event_index}"
        for direction, mine, theirs in ((OUT, one.sender, one.receiver), (IN, one.receiver, one.sender)):
            account, other, via, kind, here = names[mine], names[theirs], "", Kind.PLAIN, passage
            if one.swap >= 0 and "htlc" not in traffic.labels.get(account, NO_TAGS):
                swap = traffic.swaps[one.swap]
                first = mine in (swap.initiator[1], swap.participant[2])
                kind, here = Kind.CROSSING, f"swap/{one.swap}/{'initiator' if first else 'participant'}"
                ours = (swap.initiator[1], swap.participant[2]) if first else (swap.participant[1], swap.initiator[2])
                other = names[ours[1] if ours[0] == mine else ours[0]]
                leg = swap.initiator if one.chain == swap.initiator[0] else swap.participant
                via = names[leg[2] if leg[1] == mine else leg[1]]
            place = (one.time_s, chain, one.height, one.event_index, direction)
            own, tags = (_tags(traffic, one.time_s, listed, who) for who in ((account,), (other, via)))
            subject = traffic.entities.get(account, account)
            yield subject, Seen(*place, account, other, asset, one.amount, value, kind, here, via, own, tags)


def _tags(traffic: Traffic, time_s: int, listed: dict[str, int], who: tuple[str, ...]) -> frozenset[str]:
    found = NO_TAGS
    for account in who:
        labels = traffic.labels.get(account)
        if labels and time_s >= listed.get(account, 0):
            found = found | labels
    return found


def histories(traffic: Traffic) -> dict[str, list[Seen]]:
    """Return the moves of every subject, sorted."""
    found: dict[str, list[Seen]] = defaultdict(list)
    for subject, move in moves(traffic):
        found[subject].append(move)
    for history in found.values():
        history.sort(key=itemgetter(0, 1, 2, 3, 4))
    return found


def cold_run(found: dict[str, list[Seen]], traffic: Traffic, rules: RuleSet) -> list[Alert]:
    """Return all alerts of a traffic."""
    observations, links = [], []
    for name, history in found.items():
        seen, made = run_subject(Subject(name, None, START_S), history, rules)
        observations += seen
        links += made
    observations += run_paths(links, rules, lambda account: traffic.entities.get(account, account))
    return gather(observations)


def tally(alerts: list[Alert], truth: Truth) -> dict[str, Counter[str]]:
    """Return of every typology the counts that its figures are shares of."""
    cases = truth.cases
    injected = {account for case, _ in cases for account in case.accounts | case.also}
    accounts_of: dict[str, set[str]] = defaultdict(set)
    for account, name in truth.entities.items():
        accounts_of[name].add(account)
    by_typology: dict[str, list[set[str]]] = defaultdict(list)
    for alert in alerts:
        named = {alert.subject, *accounts_of.get(alert.subject, ())} | {one.account for one in alert.last.moves}
        by_typology[alert.rule.rpartition("-")[0]].append(named)
    result = {}
    for name in TYPOLOGIES:
        said, own = by_typology[name], [case for case, _ in cases if case.typology == name]
        flat = {account for named in said for account in named}
        ours = {account for case in own for account in case.accounts | case.also}
        meeting = [typologies[name] for _, typologies in cases if name in typologies]
        instances = {account for accounts in meeting for account in accounts}
        result[name] = Counter(
            cases=len(own),
            found=sum(bool(case.accounts & flat) for case in own),
            met=len(meeting),
            found_met=sum(bool(accounts & flat) for accounts in meeting),
            alerts=len(said),
            right=sum(bool(named & instances) for named in said),
            any=sum(bool(named & injected) for named in said),
            same=sum(bool(named & ours) for named in said),
        )
    return result


def shares(counted: dict[str, Counter[str]]) -> dict[str, dict[str, float]]:
    """Return the figures of every typology."""
    return {
        name: {
            "cases": one["cases"],
            "met": one["met"],
            "alerts": one["alerts"],
            "recall": round(one["found"] / max(1, one["cases"]), 3),
            "recall_met": round(one["found_met"] / max(1, one["met"]), 3),
            "precision": round(one["right"] / max(1, one["alerts"]), 3),
            "any": round(one["any"] / max(1, one["alerts"]), 3),
            "same": round(one["same"] / max(1, one["alerts"]), 3),
        }
        for name, one in counted.items()
    }


def detection(alerts: list[Alert], truth: Truth) -> dict[str, dict[str, float]]:
    """Return the figures of every typology in one traffic."""
    return shares(tally(alerts, truth))


def measure(plans: list[Plan]) -> dict[str, object]:
    """Return the figures of several plans of one noise, added up."""
    spent, transfers, count, total = 0.0, 0, 0, {name: Counter[str]() for name in TYPOLOGIES}
    for plan in plans:
        traffic = generate(plan)
        found = histories(traffic)
        begun = time.process_time()
        alerts = cold_run(found, traffic, RuleSet(default_rules()))
        spent += time.process_time() - begun
        transfers, count = transfers + len(traffic.transfers), count + len(alerts)
        for name, counted in tally(alerts, truth_of(traffic)).items():
            total[name] += counted
    return {
        "transfers": transfers,
        "noise": plans[0].noise,
        "fold_transfers_per_s": round(transfers / spent),
        "alerts": count,
        "detection": shares(total),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=100_000, help="of each seed")
    parser.add_argument("--seed", type=int, nargs="+", default=[4711])
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--curve", action="store_true", help="noise 0, 1, 2, 5 and 10, one after another")
    parser.add_argument("--json", action="store_true", help="the last line alone")
    chosen = parser.parse_args()
    noises = (0.0, 1.0, 2.0, 5.0, 10.0) if chosen.curve else (chosen.noise,)
    results = []
    with progress("traffic", len(noises) * len(chosen.seed) * chosen.transfers) as advance:
        for noise in noises:
            results.append(measure([Plan(seed, chosen.transfers, noise) for seed in chosen.seed]))
            advance(len(chosen.seed) * chosen.transfers)
    if not chosen.json:
        for result in results:
            print(f"noise {result['noise']}: {result['fold_transfers_per_s']} transfers/s", file=sys.stderr)
            for name, figures in result["detection"].items():  # type: ignore[attr-defined]
                print(f"  {name:20} {figures}", file=sys.stderr)
    print(json.dumps(results[0] if len(results) == 1 else {"curve": results}))


if __name__ == "__main__":
    main()
