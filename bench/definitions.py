"""Which typologies' definitions the cases of generated traffic meet: recomputed plainly, and not by the rules.

    from bench.definitions import truth_of
    for case, typologies in truth_of(traffic).cases: ...

A case is injected for one typology and may meet the definitions of others: each account of a peeling chain passes a
large sum through, and most of them are new. So the truth about a case is every definition that it meets, and an alert
about one of these is right. Here the definitions of docs/supervising/methods.md are written down again from the page,
numbers included: by brute force over all spans and all walks, with everything in memory, without the rules' queues and
limits, and without their guess which payment carried which on. Nothing of `regulator_api` is imported.

Money is in cents, times in seconds. Accounts are names (CAIP-10); an owner is an entity or an account.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from bench.traffic import ASSETS, DAY, HOUR, START_S, Case, Traffic

SERVICES: Final = frozenset({"exchange", "htlc", "liquidity_provider"})
"""Labels of generated traffic whose accounts move their customers' money."""
MAX_STEPS: Final = 200_000
"""Walks that are tried for one case: more would mean that it is not a case but the whole town."""


class Entry(NamedTuple):
    """A movement as one of its two sides sees it. `order` sorts all of them; `plain`: not a leg of a swap."""

    time_s: int
    order: int
    incoming: bool
    cents: int
    account: str
    others: tuple[str, ...]
    amount: int
    plain: bool


class Flow(NamedTuple):
    """Value on its way from one account to another, which may be on another chain: it leaves, and then arrives.

    `amount`: what leaves, in base units. `via`: of a leg of a swap, who gets it on the chain that it leaves; or empty.
    """

    left_s: int
    left_order: int
    sent: int
    sender: str
    arrived_s: int
    arrived_order: int
    came: int
    receiver: str
    amount: int
    via: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """The injected cases of a traffic, each with the typologies that it meets, and of each of these the case's accounts
    that take part in it. `entities`: name by account, where several belong to one."""

    cases: list[tuple[Case, dict[str, frozenset[str]]]]
    entities: dict[str, str]


class Book:
    """The movements of the owners that have a part in a case, and the flows by the account that they come from, and
    that they go to."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.entries: dict[str, list[Entry]] = defaultdict(list)
        self.out_of: dict[str, list[Flow]] = defaultdict(list)
        self.into: dict[str, list[Flow]] = defaultdict(list)
        self._owners = {self.owner(account) for case in traffic.truth for account in case.accounts | case.also}
        for flow in _flows(traffic):
            self._add(flow)
        for entries in self.entries.values():
            entries.sort(key=lambda one: one.order)

    def owner(self, account: str) -> str:
        return self.traffic.entities.get(account, account)

    def is_listed(self, account: str, time_s: int) -> bool:
        since_s = self.traffic.listed_from_s.get(account)
        return since_s is not None and time_s >= since_s

    def is_service(self, account: str) -> bool:
        return not SERVICES.isdisjoint(self.traffic.labels.get(account, ()))

    def _add(self, flow: Flow) -> None:
        out, into, via = flow.sender, flow.receiver, (flow.via,) if flow.via else ()
        payer, payee = self.owner(out), self.owner(into)
        if payer in self._owners:
            self.out_of[out].append(flow)
            self.entries[payer].append(
                Entry(flow.left_s, flow.left_order, False, flow.sent, out, (into, *via), flow.amount, not via)
            )
        if payee in self._owners:
            self.into[into].append(flow)
            self.entries[payee].append(
                Entry(flow.arrived_s, flow.arrived_order, True, flow.came, into, (out, *via), flow.amount, not via)
            )


def _flows(traffic: Traffic) -> Iterator[Flow]:
    """Give every payment, and then both ways of every swap that were locked and claimed."""
    names = traffic.accounts
    steps: dict[int, dict[str, tuple[int, int, int]]] = defaultdict(dict)
    for order, one in enumerate(traffic.transfers):
        _, decimals, rate = ASSETS[one.chain]
        at = one.time_s, order, one.amount * rate // 10**decimals
        if one.swap >= 0:
            steps[one.swap][one.step] = at
        else:
            yield Flow(*at, names[one.sender], *at, names[one.receiver], one.amount)
    for number, made in steps.items():
        swap = traffic.swaps[number]
        for locked, claimed, leg, other in (
            ("lock initiator", "claim participant", swap.initiator, swap.participant),
            ("lock participant", "claim initiator", swap.participant, swap.initiator),
        ):
            if locked in made and claimed in made:
                _, sender, via, amount = leg
                yield Flow(*made[locked], names[sender], *made[claimed], names[other[2]], amount, names[via])


def truth_of(traffic: Traffic) -> Truth:
    """Return what an alert about a traffic is right about. Takes all of its transfers."""
    book = Book(traffic)
    return Truth([(case, _of_case(book, case)) for case in traffic.truth], traffic.entities)


def _of_case(book: Book, case: Case) -> dict[str, frozenset[str]]:
    inside = frozenset(account for account in case.accounts | case.also if not book.is_service(account))
    found: dict[str, set[str]] = defaultdict(set)
    for owner in sorted({book.owner(account) for account in inside}):
        entries = book.entries[owner]
        members = {account for account in inside if book.owner(account) == owner}
        for name, holds in OWN.items():
            if holds(entries):
                found[name] |= members
        if any(book.is_listed(one, entry.time_s) for entry in entries for one in (entry.account, *entry.others)):
            found["sanctions"] |= members
    for walk in _walks(book, inside):
        for name, on_walk in ON_WALKS.items():
            if on_walk(book, walk):
                ends = (walk[0].sender, walk[-1].receiver)
                found[name] |= {account for account in (*_stations(walk), *ends) if account in inside}
    return {name: frozenset(accounts) for name, accounts in found.items()}


# --- definitions about one owner's own movements -----------------------------------------------------------------


def _outs(entries: Sequence[Entry]) -> list[Entry]:
    return [one for one in entries if not one.incoming]


def _ins(entries: Sequence[Entry]) -> list[Entry]:
    return [one for one in entries if one.incoming]


def structuring(entries: Sequence[Entry]) -> bool:
    """Within 1, 7 or 30 days 3, 4 or 5 payments out of 900.00 to 999.99 that sum to 1,000.00 or more and are at least
    half of all the payments out. One of exactly the amount and the receiver of another, 5 days or more later, is a
    standing order and does not count."""
    outs = _outs(entries)
    for last in outs:
        month = [one for one in outs if last.time_s - 30 * DAY < one.time_s and one.order <= last.order]
        for days, least in ((1, 3), (7, 4), (30, 5)):
            span = [one for one in month if last.time_s - days * DAY < one.time_s]
            near = [one for one in span if 90_000 <= one.cents < 100_000 and not _is_standing(one, month)]
            if len(near) >= least and sum(one.cents for one in near) >= 100_000 and 2 * len(near) >= len(span):
                return True
    return False


def _is_standing(one: Entry, month: list[Entry]) -> bool:
    same = [
        other.time_s
        for other in month
        if other.order < one.order
        and (other.others, other.account, other.amount) == (one.others, one.account, one.amount)
    ]
    return bool(same) and one.time_s - max(same) >= 5 * DAY


def velocity(entries: Sequence[Entry]) -> bool:
    """A day with 10 payments out or more, of 5,000.00 or more, by number and by sum above median + 3 · 1.4826 · MAD of
    the 30 days before, and above twice the highest of them; of these at least 10 days have payments."""
    days: dict[int, list[int]] = defaultdict(list)
    for one in _outs(entries):
        days[one.time_s // DAY].append(one.cents)
    for day, paid in days.items():
        before = [days.get(day - ago, []) for ago in range(1, 31)]
        if sum(1 for one in before if one) < 10 or len(paid) < 10 or sum(paid) < 500_000:
            continue
        if all(
            measure(paid) > max(_limit([measure(one) for one in before]), 2 * max(measure(one) for one in before))
            for measure in (len, sum)
        ):
            return True
    return False


def _limit(values: list[int]) -> float:
    middle = median(values)
    return float(middle + 3 * 1.4826 * median(abs(value - middle) for value in values))


def pass_through(entries: Sequence[Entry]) -> bool:
    """A payment in of 10,000.00 or more, after which 90% to 110% of all that came in since has left within 24 hours by
    at most 10 payments; of what came within 72 hours before it, not more is left than half of it."""
    for at, first in enumerate(entries):
        if not first.incoming or first.cents < 1_000_000:
            continue
        before = [one for one in entries[:at] if one.time_s >= first.time_s - 72 * HOUR]
        if 2 * (sum(one.cents for one in _ins(before)) - sum(one.cents for one in _outs(before))) > first.cents:
            continue
        came = left = outs = 0
        for one in entries[at:]:
            if one.time_s > first.time_s + 24 * HOUR:
                break
            if one.incoming:
                came += one.cents
                continue
            left, outs = left + one.cents, outs + 1
            if outs > 10:
                break
            if 90 * came <= 100 * left <= 110 * came:
                return True
    return False


def accumulation(entries: Sequence[Entry]) -> bool:
    """Within 72 hours payments in below 1,000.00 from 10 senders or more, of 3,000.00 or more together, which are most
    of the payments in of 30 days; and 80% of their sum out again by at most 5 payments after the first of them."""
    for last in _outs(entries):
        before = [one for one in entries if one.order <= last.order]
        recent = [one for one in _ins(before) if one.time_s >= last.time_s - 30 * DAY]
        small = [one for one in recent if one.time_s >= last.time_s - 72 * HOUR and one.plain and one.cents < 100_000]
        total = sum(one.cents for one in small)
        if len({one.others[0] for one in small}) < 10 or total < 300_000 or 10 * len(small) < 6 * len(recent):
            continue
        outs = [one for one in _outs(before) if one.order > small[0].order]
        if len(outs) <= 5 and 10 * sum(one.cents for one in outs) >= 8 * total:
            return True
    return False


def dispersal(entries: Sequence[Entry]) -> bool:
    """Within 72 hours 5,000.00 or more in, and 80% to 110% of it out to 10 receivers or more, by most of the payments
    out of 30 days."""
    for last in _outs(entries):
        before = [one for one in entries if last.time_s - 30 * DAY <= one.time_s and one.order <= last.order]
        span = [one for one in before if one.time_s >= last.time_s - 72 * HOUR]
        outs, came = _outs(span), sum(one.cents for one in _ins(span))
        if len({one.others[0] for one in outs}) < 10 or 10 * len(outs) < 6 * len(_outs(before)):
            continue
        if came >= 500_000 and 80 * came <= 100 * sum(one.cents for one in outs) <= 110 * came:
            return True
    return False


def dormant(entries: Sequence[Entry]) -> bool:
    """No movement for 365 days, and then 10,000.00 or more out within 7 days of the first movement."""
    for at in range(1, len(entries)):
        first = entries[at]
        if first.time_s - entries[at - 1].time_s >= 365 * DAY:
            paid = sum(one.cents for one in _outs(entries[at:]) if one.time_s <= first.time_s + 7 * DAY)
            if paid >= 1_000_000:
                return True
    return False


def new_account(entries: Sequence[Entry]) -> bool:
    """Within 7 days of the first movement 10,000.00 or more comes in, and 95% to 110% of it leaves. Who moved in the
    first 30 days of the traffic is not known to be new."""
    if not entries or entries[0].time_s < START_S + 30 * DAY:
        return False
    came = left = 0
    for one in entries:
        if one.time_s > entries[0].time_s + 7 * DAY:
            break
        if one.incoming:
            came += one.cents
            continue
        left += one.cents
        if came >= 1_000_000 and 95 * came <= 100 * left <= 110 * came:
            return True
    return False


def mixer(entries: Sequence[Entry]) -> bool:
    """Within 7 days 10 payments in or more of exactly one amount, a power of ten of base units, by 8 accounts or more;
    payments out of that amount less at most 3% to 3 accounts or more that paid nothing in; 80% of all moves."""
    plain = [one for one in entries if one.plain]
    for last in _outs(plain):
        span = [one for one in plain if last.time_s - 7 * DAY <= one.time_s and one.order <= last.order]
        for unit in {one.amount for one in _ins(span) if one.amount == 10 ** (len(str(one.amount)) - 1)}:
            ins = [one for one in _ins(span) if one.amount == unit]
            outs = [one for one in _outs(span) if 97 * unit <= 100 * one.amount <= 100 * unit]
            payers = {one.others[0] for one in ins}
            others = {one.others[0] for one in outs} - payers
            if len(ins) >= 10 and len(payers) >= 8 and len(others) >= 3 and 10 * len((*ins, *outs)) >= 8 * len(span):
                return True
    return False


OWN: Final[dict[str, Callable[[Sequence[Entry]], bool]]] = {
    one.__name__: one
    for one in (structuring, velocity, pass_through, accumulation, dispersal, dormant, new_account, mixer)
}


# --- definitions about value that is handed on -------------------------------------------------------------------

Walk = Sequence[Flow]
"""Flows each of which carries on the one before: it leaves the account to which that came, within 5 days, with 80% to
100% of its value; at most 17, of 30 days."""


def _walks(book: Book, inside: frozenset[str]) -> Iterator[Walk]:
    """Give every walk of two flows or more whose stations are accounts of `inside`, services and busy ones left out."""
    open_to = {account for account in inside if not _is_busy(book, account)}
    steps = 0
    for start in (flow for account in sorted(open_to) for flow in book.into[account]):
        waiting: list[tuple[Flow, ...]] = [(start,)]
        while waiting:
            walk = waiting.pop()
            last = walk[-1]
            if last.receiver not in open_to or len(walk) == 17:
                continue
            for flow in book.out_of[last.receiver]:
                if flow.left_order <= last.arrived_order or flow.left_s - last.arrived_s > 5 * DAY:
                    continue
                if flow in walk or not 8 * last.came <= 10 * flow.sent <= 10 * last.came:
                    continue
                if flow.left_s - start.arrived_s > 30 * DAY:
                    continue
                steps += 1
                if steps > MAX_STEPS:
                    raise RuntimeError(f"more than {MAX_STEPS} walks in one case: make it smaller")
                waiting.append((*walk, flow))
                yield waiting[-1]


def _is_busy(book: Book, account: str) -> bool:
    """More than 16 payments in within 5 days, at any time."""
    times = sorted(flow.arrived_s for flow in book.into[account])
    return any(bisect_right(times, one) - bisect_left(times, one - 5 * DAY) > 16 for one in times)


def _stations(walk: Walk) -> list[str]:
    return [flow.receiver for flow in walk[:-1]]


def peel_chain(_: Book, walk: Walk) -> bool:
    """5 different accounts or more in a row hand on 80% or more of 5,000.00 or more, within a day each."""
    stations = _stations(walk)
    quick = all(flow.left_s - before.arrived_s <= DAY for before, flow in pairwise(walk))
    return walk[0].came >= 500_000 and len(set(stations)) == len(stations) >= 5 and quick


def chain_hopping(_: Book, walk: Walk) -> bool:
    """5,000.00 or more are on 3 chains or more within 24 hours, and each step keeps 97% on average."""
    chains = {account.rpartition(":")[0] for account in (walk[0].sender, *_stations(walk), walk[-1].receiver)}
    kept = walk[-1].sent >= 0.97 ** (len(walk) - 1) * walk[0].came
    return len(chains) >= 3 and walk[0].came >= 500_000 and walk[-1].left_s - walk[0].arrived_s <= DAY and kept


def round_trip(_: Book, walk: Walk) -> bool:
    """1,000.00 or more come back to the account that they left, after 3 to 8 transfers, with 90% of their value."""
    back = walk[0].sender == walk[-1].receiver and walk[0].came >= 100_000
    return back and 3 <= len(walk) <= 8 and 100 * walk[-1].sent >= 90 * walk[0].came


def sanctions_indirect(book: Book, walk: Walk) -> bool:
    """100.00 or more come from an account that was listed then, or go to one, over at most 5 transfers."""
    first, last = walk[0], walk[-1]
    ends = ((first.sender, first.arrived_s), (first.via, first.arrived_s), (last.receiver, last.left_s))
    return last.sent >= 10_000 and len(walk) <= 5 and any(book.is_listed(*end) for end in ends)


ON_WALKS: Final[dict[str, Callable[[Book, Walk], bool]]] = {
    one.__name__: one for one in (peel_chain, chain_hopping, round_trip, sanctions_indirect)
}
TYPOLOGIES: Final = (*OWN, "sanctions", *ON_WALKS)
