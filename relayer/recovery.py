"""A relayer's open locks, found again from the chains alone: after its database was lost.

What was agreed is gone; what was locked is not. A swap of ours is two locks under one hashlock on two chains: one that
pays our account, and one that our account made. Each pair of which anything is open is watched over from then on, as
the watchtower does for two other parties: the claim goes out once the preimage is public, the refund once the timelock
has passed. Nothing is funded or revealed by that, so that a pair which is not what it seems costs gas at worst.

Plain functions over a `Connection`, after the index has reached the chains' heads.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection

from core.model.facts import LockStatus
from core.model.ports import ChainParameters
from core.model.types import AccountId, ChainId, SwapId
from core.runtime.clock import true_seconds
from htlc.model import Agreement, Role, swap_id
from indexer.projections import ReportedAgreement, report_agreement
from indexer.projections.locks import LockRow, locks_of, open_hashlocks_of
from relayer.policy import RelayerPolicy
from relayer.pump import swaps, tables
from relayer.pump.past import past_events

MAX_LOCKS: Final = 100
"""Locks under one hashlock that pay us and are looked at: anybody can copy a hashlock. Nobody else makes ours."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A swap that is watched over from now on: the leg that pays us, and the leg that we made."""

    swap_id: SwapId
    theirs: LockRow
    ours: LockRow


@dataclass(frozen=True, slots=True)
class Recovery:
    """The swaps that were found. `alone`: open locks of ours, or that pay us, whose other leg no followed chain has."""

    recovered: list[Recovered]
    alone: list[LockRow]


def recover(
    connection: Connection,
    accounts: Collection[AccountId],
    chains: Mapping[ChainId, ChainParameters],
    policy: RelayerPolicy,
    source: str,
    now_ns: int,
) -> Recovery:
    """Watch over every swap of these accounts of which a leg is open. Again is harmless: what is known stays."""
    found = Recovery([], [])
    for hashlock in open_hashlocks_of(connection, accounts):
        under = locks_of(connection, hashlock, accounts, MAX_LOCKS)
        paired = set[tuple[ChainId, int, int]]()
        for theirs, ours in _pairs(under, accounts):
            paired |= {theirs.place, ours.place}
            if LockStatus.LOCKED not in (theirs.status, ours.status):
                continue
            name = swap_id(theirs.terms, ours.terms)
            if not tables.exists(connection, name):
                _watch(connection, Recovered(name, theirs, ours), chains, policy, source, now_ns)
                found.recovered.append(Recovered(name, theirs, ours))
        found.alone.extend(row for row in under if row.status is LockStatus.LOCKED and row.place not in paired)
    return found


def _pairs(under: list[LockRow], accounts: Collection[AccountId]) -> Iterator[tuple[LockRow, LockRow]]:
    """A lock that pays us on one chain with one that we made on another."""
    for theirs in under:
        for ours in under:
            pays_us = theirs.terms.receiver in accounts
            if pays_us and ours.chain != theirs.chain and ours.terms.sender in accounts:
                yield theirs, ours


def _watch(
    connection: Connection,
    one: Recovered,
    chains: Mapping[ChainId, ChainParameters],
    policy: RelayerPolicy,
    source: str,
    now_ns: int,
) -> None:
    first, second, now_s = one.theirs.terms, one.ours.terms, true_seconds(now_ns)
    agreement = Agreement(
        swap_id=one.swap_id,
        role=Role.WATCHTOWER,
        initiator_leg=first,
        participant_leg=second,
        initiator_timing=chains[first.chain].timing,
        participant_timing=chains[second.chain].timing,
        policy=policy.swap,
        lock_deadline_s=now_s + policy.watch.unseen_s,
    )
    swaps.begin(connection, agreement, None, now_s=now_s, now_ns=now_ns)
    report_agreement(connection, ReportedAgreement(one.swap_id, first, second, source), now_ns)
    swaps.take(connection, one.swap_id, past_events(connection, agreement), now_ns=now_ns)
