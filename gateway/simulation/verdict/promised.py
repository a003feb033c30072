"""Agreements, held against what their provider had then, and what it may have at stake.

Counted is only what surely counts: agreements whose initiators had proven that they can pay, or had locked, that could
still be funded then, and that no block showed as funded yet. What is locked by then stands in the balance.
"""

from collections.abc import Iterator
from math import inf
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, ChainId, Height, chain_of
from core.runtime.clock import NS_PER_S
from gateway.simulation.plan import CHAINS, FORGETFUL, TIMING, Rough
from gateway.simulation.process import MOST
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.world import GAS
from relayer.policy import EXPIRY_WINDOW_S
from relayer.pump.tables import relayer_swaps

READ_S: Final = 12.0
"""How old a balance, or a block, may be that an answer stands on, next to an endpoint that hangs."""
ROUNDED_S: Final = 2.0
"""Times of blocks are whole seconds, and bytes are on their way for a moment."""
MARKET_S: Final = 5.0
"""How old the market may be by which gas is kept."""
EXIT_TIMES: Final = 4
"""The gas that is kept for an exit, in times of the base fee: its bid is twice that, and may double."""
UNCLEAR: Final = frozenset({*FORGETFUL, Rough.TWO_PROCESSES, Rough.DEEP_REORG, Rough.USED_ELSEWHERE, Rough.CLOCK_WRONG})


async def problems(record: Record) -> list[Problem]:
    """Every agreement for which there was nothing left."""
    if record.plan.rough & UNCLEAR:
        return []
    times: dict[str, tuple[int, float]] = {}
    for relayer in record.relayers:
        times |= await relayer.database.read(_times)
    known = [one for one in record.agreed if one.swap_id in times]
    locks = [lock for chain in CHAINS for lock in all_locks(record.world.chains[chain])]
    found: list[Problem] = []
    for new in sorted(known, key=lambda one: times[one.swap_id]):
        before = [one for one in known if one.relayer == new.relayer and times[one.swap_id] < times[new.swap_id]]
        found += _beyond(record, new, before, times[new.swap_id][1], locks)
    return found


def _times(connection: Connection) -> dict[str, tuple[int, float]]:
    """The place of each swap in the order in which they were stored, which is the order in which they were judged; and
    when it was agreed on (Unix seconds), by the provider's own word: its initiator may hear of it later."""
    place = sa.literal_column("rowid", sa.Integer).label("place")
    rows = connection.execute(sa.select(place, relayer_swaps.c.swap_id, relayer_swaps.c.created_ns))
    return {row.swap_id: (row.place, row.created_ns / NS_PER_S) for row in rows}


def _beyond(
    record: Record, new: Agreed, before: list[Agreed], at_s: float, locks: list[LockOutcome]
) -> Iterator[Problem]:
    wanted = new.participant_leg
    promised = [one for one in before if _is_promised(record, one, before, at_s, locks)]
    standing = [one for one in before if _stands(record, one, at_s, locks)]
    yield from _without_gas(record, new, promised, standing, at_s)
    open_ones = [one for one in promised if one.participant_leg.asset == wanted.asset]
    funded = [one for one in standing if one.participant_leg.asset == wanted.asset]
    taken = sum(one.participant_leg.amount for one in open_ones)
    who = f"deal {new.deal.number}: {new.relayer}"
    if (held := _held(record, wanted.sender, wanted.asset, at_s)) < taken + wanted.amount:
        text = f"{who} has {held} of {wanted.asset}, {taken} of it promised, and promises {wanted.amount}"
        yield Problem(Kind.PROMISED_BEYOND, text)
    for words, most, counted in (
        ("in all", MOST.total, [*open_ones, *funded]),
        ("to one", MOST.per_counterparty, [one for one in (*open_ones, *funded) if _is_same(one, new)]),
        ("in one window", MOST.per_window, [one for one in (*open_ones, *funded) if _window(one) == _window(new)]),
    ):
        whole = sum(one.participant_leg.amount for one in counted) + wanted.amount
        if whole > most:
            text = f"{who} promises {whole} of {wanted.asset} {words}, the limit is {most}"
            yield Problem(Kind.PROMISED_BEYOND, text)


def _without_gas(
    record: Record, new: Agreed, promised: list[Agreed], standing: list[Agreed], at_s: float
) -> Iterator[Problem]:
    """A swap is agreed on with gas for an exit on either chain, and for the own lock, next to that of all others."""
    for chain in sorted({leg.chain for leg in new.legs}):
        if (native := record.world.chains[chain].native) is None:
            continue
        account = _payer(new, chain)
        alike = [one for one in (*promised, new) if _payer(one, chain) == account]
        funded = [one for one in standing if _payer(one, chain) == account]
        locks = [one.participant_leg for one in alike if one.participant_leg.chain == chain]
        lowest = min(record.world.base_fees(chain, at_s - READ_S - MARKET_S, at_s + ROUNDED_S), default=0)
        gas = EXIT_TIMES * GAS * lowest * (len(alike) + len(funded) + len(locks))
        needed = gas + sum(leg.amount for leg in locks if leg.asset == native)
        if (held := _held(record, account, native, at_s)) < needed:
            text = f"deal {new.deal.number}: {new.relayer} has {held} of {native}, and {needed} are needed"
            yield Problem(Kind.PROMISED_BEYOND, f"{text}, with the gas of {len(alike) + len(funded)} swaps")


def _payer(deal: Agreed, chain: ChainId) -> AccountId:
    """The provider's account on this chain of the deal."""
    return deal.participant_leg.sender if deal.participant_leg.chain == chain else deal.initiator_leg.receiver


def _is_same(one: Agreed, other: Agreed) -> bool:
    return bool(_accounts(one) & _accounts(other))


def _accounts(deal: Agreed) -> set[AccountId]:
    return {deal.initiator_leg.sender, deal.participant_leg.receiver}


def _window(deal: Agreed) -> int:
    return deal.participant_leg.timelock.seconds // EXPIRY_WINDOW_S


def _is_promised(record: Record, deal: Agreed, before: list[Agreed], at_s: float, locks: list[LockOutcome]) -> bool:
    """To be funded: nobody could know yet of a lock of the provider's."""
    own = [lock for lock in locks if lock.terms == deal.participant_leg]
    if any(_made_s(record, lock) < at_s + ROUNDED_S for lock in own):
        return False
    shown_s = record.shown_at_s(deal.hashlock)
    is_public = shown_s is not None and shown_s < at_s + ROUNDED_S
    if is_public or at_s > deal.participant_leg.timelock.seconds - needed_by(record.plan, deal).fund_s - READ_S:
        return False
    theirs = [lock for lock in locks if lock.terms == deal.initiator_leg]
    if _has_proven(record, deal, before):
        return at_s <= deal.lock_deadline_s or any(_made_s(record, lock) < at_s - READ_S for lock in theirs)
    final_s = TIMING.finality_s + READ_S
    return any(_made_s(record, lock) < at_s - final_s for lock in theirs) and bool(own)


def _has_proven(record: Record, deal: Agreed, before: list[Agreed]) -> bool:
    """An initiator who signs openings, and locked on all that were answered before."""
    if deal.dapp is None or next(one.fickle for one in record.plan.dapps if one.name == deal.dapp):
        return False
    theirs = [one for one in before if one.dapp == deal.dapp and one.lock_deadline_s < deal.lock_deadline_s]
    chains = record.world.chains
    return all(any(lock.terms == one.initiator_leg for lock in all_locks(chains[one.deal.first])) for one in theirs)


def _stands(record: Record, deal: Agreed, at_s: float, locks: list[LockOutcome]) -> bool:
    """The provider's own lock was in a block then, and stayed there for a while."""
    own = [lock for lock in locks if lock.terms == deal.participant_leg and lock.status is not LockStatus.ABSENT]
    return any(_made_s(record, lock) + READ_S < at_s < _settled_s(record, lock) for lock in own)


def _made_s(record: Record, lock: LockOutcome) -> float:
    return lock.made_at_s - record.plan.skew_s[lock.terms.chain]


def _settled_s(record: Record, lock: LockOutcome) -> float:
    return inf if lock.settled_at_s is None else lock.settled_at_s - record.plan.skew_s[lock.terms.chain]


def _held(record: Record, account: AccountId, asset: AssetId, at_s: float) -> int:
    """The most that a provider's account held in any block that an answer may have stood on."""
    chain = chain_of(asset)
    here, skew_s = record.world.chains[chain], record.plan.skew_s[chain]
    heights = [
        height
        for height in range(here.height + 1)
        if at_s - READ_S <= here.block(Height(height)).header.time.seconds - skew_s <= at_s + ROUNDED_S
    ]
    return max(
        (here.balance(account, asset, Height(height)) for height in heights), default=here.balance(account, asset)
    )
