"""Rules that need neighbours: judged at a link, over the links that lead to it.

Each link has at most one link before it, which whoever runs the rules looks up: so a path is a walk of at most
`MAX_PATH` look-ups, without branches. `judge` is a pure function of the path.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from regulator_api.rules.history import DAY_S, HOUR_S, Place, chain_of
from regulator_api.rules.observation import Link, Observation, Reference, shown
from regulator_api.rules.parameters import (
    ChainHoppingParameters,
    IndirectSanctionsParameters,
    PeelChainParameters,
    RoundTripParameters,
)

MAX_PATH: Final = 16
"""Links of a path; of a longer one the newest."""
PATH_S: Final = 30 * DAY_S
HOP_S: Final = 24 * HOUR_S
"""The longest stay at an account of a peel chain."""

LookUp = Callable[[str], Link | None]
"""The link whose payment out has this passage."""
NameOf = Callable[[str], str]
"""The subject that an account belongs to."""
Path = Sequence[Link]


def path_to(last: Link, before: LookUp) -> list[Link]:
    """Return the links that lead to `last`, oldest first, with it: at most `MAX_PATH`, of `PATH_S` seconds."""
    path, known = [last], {last.after}
    while len(path) < MAX_PATH:
        link = before(path[-1].before)
        if link is None or link.after in known or last.left.time_s - link.arrived.time_s > PATH_S:
            break
        path.append(link)
        known.add(link.after)
    return path[::-1]


def peel_chain(rule: str, p: PeelChainParameters, path: Path, _: NameOf) -> Iterable[Observation]:
    """`min_hops` different accounts in a row each hand on `keep_pm` or more of what came, within a day, to another
    one. The row begins behind the last account that is in it twice."""
    part: list[Link] = []
    for link in reversed(path):
        slow = link.left.time_s - link.arrived.time_s > HOP_S
        again = any(one.account == link.account for one in part)
        if slow or again or link.value_out * 1_000 < p.keep_pm * link.value_in or link.to == link.account:
            break
        part.insert(0, link)
    if len(part) >= p.min_hops and part[0].value_in >= p.floor:
        yield _observed(rule, part, part[0].subject, (("hops", len(part)), ("min_hops", p.min_hops)))


def chain_hopping(rule: str, p: ChainHoppingParameters, path: Path, _: NameOf) -> Iterable[Observation]:
    """Value is on `min_chains` chains or more within some hours, and each step keeps `keep_pm` of it."""
    last = path[-1]
    part = [link for link in path if last.left.time_s - link.arrived.time_s <= p.within_h * HOUR_S]
    if not part or part[0].value_in < p.floor:
        return
    chains = _chains(part)
    kept, asked = last.value_out, part[0].value_in
    for _link in part:
        kept, asked = kept * 1_000, asked * p.keep_pm
    if len(chains) >= p.min_chains and kept >= asked:
        figures = (("chains", len(chains)), ("min_chains", p.min_chains), ("steps", len(part)))
        yield _observed(rule, part, part[0].subject, figures)


def round_trip(rule: str, p: RoundTripParameters, path: Path, name_of: NameOf) -> Iterable[Observation]:
    """The last payment goes to an account from which the path, some links earlier, began."""
    last = path[-1]
    for transfers in range(2, len(path) + 2):
        part = path[-(transfers - 1) :]
        if part[0].sender != last.to:
            continue
        far = last.left.time_s - part[0].arrived.time_s > p.within_days * DAY_S
        enough = last.value_out * 1_000 >= p.keep_pm * part[0].value_in and part[0].value_in >= p.floor
        if p.min_transfers <= transfers <= p.max_transfers and enough and not far:
            figures = (("transfers", transfers), ("chains", len(_chains(part))))
            yield _observed(rule, part, name_of(last.to), figures)
        return


def indirect_sanctions(rule: str, p: IndirectSanctionsParameters, path: Path, name_of: NameOf) -> Iterable[Observation]:
    """Value of a listed account comes to `to` over `max_hops` transfers or fewer, or goes from the path's sender to
    one."""
    last, listed = path[-1], frozenset(p.listed)
    if last.value_out < p.floor:
        return
    for links in range(1, min(p.max_hops, len(path) + 1)):
        part = path[-links:]
        if last.to and not listed.isdisjoint(part[0].from_tags):
            yield _observed(rule, part, name_of(last.to), (("hops", links + 1), ("from_listed", 1)))
            break
    if not listed.isdisjoint(last.to_tags):
        part = path[-(p.max_hops - 1) :]
        if part[0].sender:
            yield _observed(rule, part, name_of(part[0].sender), (("hops", len(part) + 1), ("from_listed", 0)))


def _chains(part: Path) -> set[str]:
    chains = {chain_of(account) for link in part for account in (link.account, link.to) if account}
    chains |= {link.arrived.chain for link in part}
    return chains | {chain_of(part[0].sender)} if part[0].sender else chains


def _observed(rule: str, part: Path, subject: str, figures: tuple[tuple[str, int], ...]) -> Observation:
    first, last = part[0], part[-1]
    accounts = dict.fromkeys([first.sender, *(link.account for link in part), last.to])
    moves = [Reference(first.arrived, first.account), *(Reference(link.left, link.account) for link in part)]
    return Observation(
        rule=rule,
        subject=subject,
        anchor=first.before,
        trigger=Place(*last.left),
        since_s=first.arrived.time_s,
        moves=shown(moves),
        others=tuple(account for account in accounts if account),
        figures=tuple(sorted((*figures, ("value_in", first.value_in), ("value_out", last.value_out)))),
    )
