"""Bounds on what is offered, spent, at stake and signed, which every party keeps at every instant."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import Final

from core.model.facts import Claimed, Locked, LockStatus, Refunded, Transferred
from core.model.types import AccountId, AssetId, ChainId, ChainTime, Hashlock, Height, LockId, LockTerms
from gateway.simulation.plan import CHAINS, FORGETFUL, Rough
from gateway.simulation.process import MOST, Process
from gateway.simulation.verdict.chains import all_locks, events_of
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import ROUNDED_S, Record
from gateway.simulation.wire import Sent
from gateway.simulation.world import GAS
from relayer.policy import EXPIRY_WINDOW_S

FEE_TIMES: Final = 40
"""The largest multiple of the dearest market that a fee may be: what urgency, or a liar, may make of it."""
PAID_TIMES: Final = 4
"""The most that a party's transactions may cost, in times of the dearest base fee, for each."""
MARGIN: Final = 2
MARKET_S: Final = 12.0
"""How old the market may be by which somebody bids, or computes a reserve, next to an endpoint that hangs."""
KNOWN_S: Final = 20.0
"""How long whoever signs may take to know of what others have signed with its key: some looks, a block apart."""
FRESH_S: Final = 30.0
"""A process that came back so shortly before a height may not have signed again yet."""


def problems(record: Record) -> Iterator[Problem]:
    """Every excess."""
    yield from _fees(record)
    yield from _gas(record)
    for chain in CHAINS:
        yield from _exposure(record, chain)
    yield from _exits_paid(record)
    yield from _overdrawn(record)
    yield from _signed_twice(record)
    yield from _sequences(record)
    yield from _spent(record)
    yield from _lapsed(record)


def _fees(record: Record) -> Iterator[Problem]:
    for sent in record.world.wire.firsts():
        dearest = record.world.dearest[sent.chain]
        if dearest and sent.body.max_fee > FEE_TIMES * dearest:
            text = f"{sent.party} offers {sent.body.max_fee} for a unit of gas; {sent.chain} cost {dearest} at most"
            yield Problem(Kind.FEE_BEYOND_BOUND, text)


def _gas(record: Record) -> Iterator[Problem]:
    """Fees: what every party's account holds less than the chain's events explain.

    What its operator sends by hand, at any price, is nobody else's fault.
    """
    if Rough.USED_ELSEWHERE in record.plan.rough:
        return
    for process in record.processes:
        for chain in CHAINS:
            here, account = record.world.chains[chain], process.accounts[chain]
            if here.native is None:
                continue
            paid = _flows(record, chain, here.native)[account] - here.balance(account, here.native)
            most = PAID_TIMES * GAS * record.world.dearest[chain] * here.used(account, here.height)
            if paid > most:
                text = f"{process.name} paid {paid} of {here.native} in fees, more than {most}"
                yield Problem(Kind.GAS_BEYOND_BOUND, text)


def _flows(record: Record, chain: ChainId, asset: AssetId) -> Counter[AccountId]:
    """Return what each account would hold of an asset without fees."""
    flows: Counter[AccountId] = Counter()
    terms_of: dict[LockId, LockTerms] = {}
    for logged, _, _ in events_of(record.world.chains[chain]):
        match logged.event:
            case Transferred(moved, sender, receiver, amount) if moved == asset:
                if receiver is not None:
                    flows[receiver] += amount
                if sender is not None:
                    flows[sender] -= amount
            case Locked(lock_id, terms) if terms.asset == asset:
                terms_of[lock_id] = terms
                flows[terms.sender] -= terms.amount
            case Claimed(lock_id) if lock_id in terms_of:
                flows[terms_of[lock_id].receiver] += terms_of[lock_id].amount
            case Refunded(lock_id) if lock_id in terms_of:
                flows[terms_of[lock_id].sender] += terms_of[lock_id].amount
            case _:
                pass
    return flows


def _exposure(record: Record, chain: ChainId) -> Iterator[Problem]:
    """Exposure: what each relayer had locked of one asset at once: in all, to one counterparty, in one window of
    timelocks. Swaps that name one account, whichever of the two it is, are one counterparty's.

    Not what hung on a replaced final block: its end was final once, and what it held was free. Nor what a lost database
    had agreed on: whoever took its place counts what it knows.
    """
    owners = {
        account: one.name
        for one in record.relayers
        for account in (*one.accounts.values(), *(former.account for former in one.former))
    }
    theirs = {one.hashlock: {one.initiator_leg.sender, one.participant_leg.receiver} for one in record.agreed}
    here, standing = record.world.chains[chain], dict[LockId, LockTerms]()
    unknown = record.world.undone | {one.hashlock for one in record.agreed if record.has_forgotten(one)}
    worst: dict[tuple[Kind, str, AssetId], int] = {}
    for height in range(here.height + 1):
        for logged in here.block(Height(height)).events:
            match logged.event:
                case Locked(lock_id, terms) if terms.sender in owners and terms.hashlock not in unknown:
                    standing[lock_id] = terms
                    place = Kind.EXPOSURE_TO_ONE, owners[terms.sender], terms.asset
                    worst[place] = max(worst.get(place, 0), _to_the_same(standing.values(), terms, theirs))
                case Claimed(lock_id) | Refunded(lock_id):
                    standing.pop(lock_id, None)
                case _:
                    pass
        sums: defaultdict[tuple[Kind, str, AssetId, object], int] = defaultdict(int)
        for terms in standing.values():
            groups = {
                Kind.EXPOSURE_IN_ALL: None,
                Kind.EXPOSURE_IN_WINDOW: terms.timelock.seconds // EXPIRY_WINDOW_S,
            }
            for kind, group in groups.items():
                sums[kind, owners[terms.sender], terms.asset, group] += terms.amount
        for (kind, name, asset, _), amount in sums.items():
            worst[kind, name, asset] = max(worst.get((kind, name, asset), 0), amount)
    limits = {
        Kind.EXPOSURE_IN_ALL: MOST.total,
        Kind.EXPOSURE_TO_ONE: MOST.per_counterparty,
        Kind.EXPOSURE_IN_WINDOW: MOST.per_window,
    }
    for (kind, name, asset), amount in worst.items():
        if amount > limits[kind]:
            yield Problem(kind, f"{name} had {amount} of {asset} locked at once, the limit is {limits[kind]}")


def _to_the_same(standing: Collection[LockTerms], newest: LockTerms, theirs: Mapping[Hashlock, set[AccountId]]) -> int:
    """Return the sum that is locked of one asset for swaps that have an account in common with the newest one's."""
    named = theirs.get(newest.hashlock, {newest.receiver})
    return sum(
        one.amount
        for one in standing
        if (one.sender, one.asset) == (newest.sender, newest.asset) and theirs.get(one.hashlock, {one.receiver}) & named
    )


def _exits_paid(record: Record) -> Iterator[Problem]:
    """A provider's locks leave in the purse what a refund of each of its own open locks costs, twice the lowest market
    that it may have seen: the base fee may double before it is sent."""
    for sent in record.world.wire.firsts():
        locks, here = sent.body.locks, record.world.chains[sent.chain]
        if not locks or here.native is None or sent.party not in {one.name for one in record.relayers}:
            continue
        at = sent.heights[sent.chain]
        mine = [lock for lock in all_locks(here) if lock.terms.sender == sent.body.sender]
        states = [here.lock_at(lock.lock_id, at) for lock in mine]
        standing = sum(state is not None and state.status is LockStatus.LOCKED for state in states)
        held = here.balance(AccountId(sent.body.sender), here.native, at)
        left = held - sum(terms.amount for terms in locks if terms.asset == here.native)
        lowest = min(record.world.base_fees(sent.chain, sent.at_s - MARKET_S), default=0)
        needed = (standing + len(locks)) * GAS * MARGIN * lowest
        if left < needed:
            text = f"{sent.party} locks and keeps {left} of {here.native}: {standing + len(locks)} exits cost {needed}"
            yield Problem(Kind.EXITS_UNPAID, text)


def _overdrawn(record: Record) -> Iterator[Problem]:
    """A party that locks, or pays out, can pay for all it has signed that a block may still hold: of the forms under
    one sequence for the dearest. Exits go out all the same."""
    if record.plan.rough & {*FORGETFUL, Rough.USED_ELSEWHERE, Rough.TWO_PROCESSES, Rough.DEEP_REORG}:
        return
    forms: defaultdict[tuple[str, ChainId, AccountId], dict[int, list[Sent]]] = defaultdict(dict)
    for sent in record.world.wire.firsts():
        mine, here = forms[sent.party, sent.chain, sent.body.sender], record.world.chains[sent.chain]
        fresh = sent.body.sequence not in mine
        mine.setdefault(sent.body.sequence, []).append(sent)
        if not fresh or not (sent.body.locks or _deed(sent)[-1]):
            continue
        at = sent.heights[sent.chain]
        account = AccountId(sent.body.sender)
        open_from = here.used(account, at)
        most: Counter[AssetId] = Counter()
        for sequence, those in mine.items():
            if sequence >= open_from:
                most.update(_dearest(those, here.native, at))
        for asset, amount in most.items():
            held = here.balance(account, asset, at)
            if amount > held:
                text = f"{sent.party} holds {held} of {asset}, and signed for {amount}"
                yield Problem(Kind.OVERDRAWN, text)


def _dearest(forms: list[Sent], native: AssetId | None, at: Height) -> Counter[AssetId]:
    """The most that one of these may take, by asset. Those that have expired take nothing."""
    most: Counter[AssetId] = Counter()
    for sent in forms:
        if sent.body.expiry_height is not None and sent.body.expiry_height <= at:
            continue
        cost: Counter[AssetId] = Counter()
        for terms in sent.body.locks:
            cost[terms.asset] += terms.amount
        for payment in sent.body.pays:
            cost[payment.asset] += payment.amount
        if native is not None:
            cost[native] += GAS * sent.body.max_fee
        most |= cost
    return most


def _signed_twice(record: Record) -> Iterator[Problem]:
    """Two signed forms that lock under one hashlock could both be mined, unless they share a sequence, or the first
    one's sequence was finally used by something else, or it had finally expired."""
    seen: dict[tuple[str, bytes], list[Sent]] = {}
    locks = [(sent, terms) for sent in record.world.wire.firsts() for terms in sent.body.locks]
    for sent, terms in locks:
        if record.owner(terms.sender) is None:
            continue
        before = seen.setdefault((sent.party, terms.hashlock), [])
        for one in before:
            mine = (one.chain, one.body.sender) == (sent.chain, sent.body.sender)
            if mine and (one.body.sequence == sent.body.sequence or sent.used > one.body.sequence):
                continue
            if record.never_knew(sent.party, one.at_s, sent.at_s) and not _is_shown(record, one, sent):
                continue
            both = f"{one.body.sequence} and {sent.body.sequence}"
            text = f"{sent.party} signs a second lock under one hashlock: sequences {both}"
            yield Problem(Kind.BOTH_COULD_PAY, text)
        before.append(sent)


def _is_shown(record: Record, former: Sent, sent: Sent) -> bool:
    """A block showed that the former's sequence was used, when this left. What only waits for one, a database that does
    not know it cannot learn; nor what stands in a block of that height that took the place of another one later."""
    height = min(sent.heights[former.chain], record.height_at(former.chain, sent.at_s + ROUNDED_S))
    return record.world.chains[former.chain].used(former.body.sender, height) > former.body.sequence


def _sequences(record: Record) -> Iterator[Problem]:
    """A transaction that a chain took keeps its sequence, until that form has finally expired or can do nothing more,
    or the sequence is used; or until a quorum of the party's endpoints said that they do not take it any more. Of
    several locks some may be taken out."""
    taken: dict[tuple[str, ChainId, AccountId, int], Sent] = {}
    given_up_s: dict[tuple[str, ChainId, AccountId, int], float] = {}
    for sent in record.world.wire.firsts():
        deed = _deed(sent)
        if not any(deed):
            continue
        place = sent.party, sent.chain, sent.body.sender, sent.body.sequence
        former = taken.get(place)
        if former is not None and deed != _deed(former):
            expiry, final = former.body.expiry_height, sent.finalized[sent.chain]
            fewer = not sent.body.preimages and {*sent.body.locks} < {*former.body.locks}
            open_still = (expiry is None or expiry > final) and not _is_done_by_others(record, former, final)
            refused = given_up_s.get(place, inf) <= sent.at_s
            if not fewer and open_still and not refused and not record.never_knew(sent.party, former.at_s, sent.at_s):
                text = f"{sent.party} uses sequence {sent.body.sequence} of {sent.chain} for two things"
                yield Problem(Kind.SEQUENCE_REUSED, text)
            given_up_s.pop(place, None)
        if sent.raw in record.world.wire.accepted:
            taken[place] = sent
        # A form that was refused has taken the place of those before it, if a node has it all the same.
        form, wire = (sent.party, sent.raw), record.world.wire
        refused_s = min(record.world.refused_s.get(form, inf), wire.refused_late_s.get(form, inf))
        given_up_s[place] = min(given_up_s.get(place, inf), refused_s)


def _spent(record: Record) -> Iterator[Problem]:
    """Nothing is signed for the first time under a sequence that a block has used up long ago, whoever's that was."""
    if record.plan.rough & {*FORGETFUL, Rough.TWO_PROCESSES, Rough.DEEP_REORG}:
        return
    places: set[tuple[str, ChainId, AccountId, int]] = set()
    for sent in record.world.wire.firsts():
        place = sent.party, sent.chain, sent.body.sender, sent.body.sequence
        fresh = place not in places and record.signed_s.get(sent.raw, sent.at_s) > sent.at_s - ROUNDED_S
        places.add(place)
        if fresh and sent.spent and not record.was_away(sent.party, sent.at_s - KNOWN_S, sent.at_s):
            long_ago = record.height_at(sent.chain, sent.at_s - KNOWN_S)
            if record.world.chains[sent.chain].used(sent.body.sender, long_ago) > sent.body.sequence:
                text = f"{sent.party} signs something under sequence {sent.body.sequence} of {sent.chain}"
                yield Problem(Kind.SEQUENCE_SPENT, f"{text}, which a block has used up {KNOWN_S:.0f} s ago")


def _deed(sent: Sent) -> tuple[object, ...]:
    payments = tuple(one for one in sent.body.pays if one.receiver != sent.body.sender)
    return sent.body.locks, sent.body.preimages, payments


def _is_done_by_others(record: Record, sent: Sent, at: Height) -> bool:
    """True for exits alone, each of a lock that was claimed or refunded in the state after the final block at `at`:
    whoever mines these bytes moves nothing by them."""
    here = record.world.chains[sent.chain]
    states = [here.lock_at(lock_id, at) for lock_id in sent.body.settles]
    settled = [state is not None and state.status is not LockStatus.LOCKED for state in states]
    return bool(settled) and all(settled) and not sent.body.locks


def _lapsed(record: Record) -> Iterator[Problem]:
    """An exit is signed again before its last form expires, while its lock stands and its process lives."""
    if record.plan.rough & FORGETFUL:
        return
    forms: defaultdict[tuple[str, ChainId, LockId], list[Sent]] = defaultdict(list)
    for sent in record.world.wire.firsts():
        for lock_id in sent.body.settles:
            forms[sent.party, sent.chain, lock_id].append(sent)
    for (party, chain, lock_id), those in forms.items():
        for sent in those:
            here, expiry = record.world.chains[chain], sent.body.expiry_height
            if (
                expiry is None
                or expiry >= here.height
                or here.used(AccountId(sent.body.sender), expiry) > sent.body.sequence
            ):
                continue
            if any(_outlives(one, expiry) for one in those) or not _still_due(record, sent, lock_id, expiry):
                continue
            if _was_unfinal(record, sent) or _went_with_a_final_block(record, sent, lock_id):
                continue
            if not _was_away(record, record.process(party), here.block(expiry).header.time):
                text = f"{party} lets its exit from {lock_id} of {chain} expire"
                yield Problem(Kind.EXIT_LAPSED, f"{text}, under sequence {sent.body.sequence}")


def _outlives(other: Sent, expiry: Height) -> bool:
    """True for a form that was there before the block at `expiry`, and may be mined behind it."""
    return other.heights[other.chain] < expiry and (other.body.expiry_height or expiry + 1) > expiry


def _still_due(record: Record, sent: Sent, lock_id: LockId, at: Height) -> bool:
    """The lock stands, and for a claim there is time."""
    here = record.world.chains[sent.chain]
    state = here.lock_at(lock_id, at)
    if state is None or state.status is not LockStatus.LOCKED:
        return False
    claims = any(hashlib.sha256(one).digest() == state.terms.hashlock for one in sent.body.preimages)
    return not claims or here.block(at).header.time < state.terms.timelock


def _was_unfinal(record: Record, sent: Sent) -> bool:
    """True if finality stood still, and the block that held these bytes, however old, went after they had expired."""
    began_s = record.world.clock.now() - record.world.seconds
    stalled = any(chain == sent.chain and until_s > sent.at_s for chain, _, until_s in record.world.stalled)
    return stalled and any(chain == sent.chain and began_s + at_s > sent.at_s for chain, at_s in record.world.reorged)


def _went_with_a_final_block(record: Record, sent: Sent, lock_id: LockId) -> bool:
    """True for a form from before a deep reorg, if what it settles hung on a replaced final block: whoever had seen it
    settled finally looks after it no more."""
    reorg, locks = record.world.deep.get(sent.chain), all_locks(record.world.chains[sent.chain])
    undone = {lock.lock_id for lock in locks if lock.terms.hashlock in record.world.undone}
    return reorg is not None and sent.at_s < reorg.at_s and lock_id in undone


def _was_away(record: Record, process: Process, at: ChainTime) -> bool:
    """True if the process was down shortly before that time of its chain."""
    world = record.world
    began_s = world.clock.now() - world.seconds
    at_s = at.seconds - world.plan.skew_s[at.chain] - began_s
    away = any(since - 1 < at_s and until > at_s - FRESH_S for since, until in process.away)
    return away or record.was_signing(process.name, began_s + at_s - FRESH_S, began_s + at_s)
