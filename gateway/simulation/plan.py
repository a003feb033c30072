"""What one seed has in store. Drawn at once, before anything runs, so that a plan can be printed and read."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapters.memory import FaultRates
from core.model.ports import ChainTiming
from core.model.types import ChainId, Seconds
from htlc.timelocks import SwapPolicy

A: Final = ChainId("memory:a")
B: Final = ChainId("memory:b")

TIMING: Final = ChainTiming(
    block_time_s=Seconds(1),
    inclusion_s=Seconds(4),
    finality_s=Seconds(3),
    observation_s=Seconds(4),
    lead_s=Seconds(2),
    lag_s=Seconds(3),
)
"""What the parties believe of both chains. The faults below stay inside it, but go near its edges."""
POLICY: Final = SwapPolicy(
    lock_s=Seconds(4), claim_s=Seconds(4), initiator_outage_s=Seconds(8), participant_outage_s=Seconds(12)
)
FINALITY_DEPTH: Final = 2
MAX_SKEW_S: Final = 2
MAX_PENDING_S: Final = 2
"""How long a block producer may leave a transaction lying: inclusion less a rebroadcast and a block."""
MAX_REORGS: Final = 6
MAX_SPIKE_BLOCKS: Final = 20
"""Enough to multiply the base fee by ten."""
COME_BACK_S: Final = 4
"""What a process needs after an outage to start, follow and look at its transactions; part of R."""


class Initiator(StrEnum):
    """HONEST follows the machine. The others lock by their own hand, or not at all."""

    HONEST = "honest"
    NEVER_LOCKS = "never-locks"
    VANISHES = "vanishes"
    LAST_SECOND = "last-second"
    LOCKS_TOO_LITTLE = "locks-too-little"


class Provider(StrEnum):
    """VANISHES: gone from the agreement until after every timelock; its own loss is its own fault."""

    HONEST = "honest"
    VANISHES = "vanishes"


class Blocked(StrEnum):
    """Whom the token of the leg that pays them refuses, from the agreement on: a blacklist, or a payee that takes
    nothing. Nobody funds or reveals into that."""

    NOBODY = "nobody"
    PROVIDER = "provider"
    INITIATOR = "initiator"


@dataclass(frozen=True, slots=True)
class Death:
    """A process dies at its `write`-th write, or `at_s` seconds into the story, for `outage_s`."""

    outage_s: float
    write: int | None = None
    after_commit: bool = True
    at_s: float | None = None
    before_participant_timelock_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reorg:
    """`at_s` seconds into the story the newest `depth` blocks go; of their transactions a share returns."""

    chain: ChainId
    at_s: float
    depth: int
    returning: float


@dataclass(frozen=True, slots=True)
class Spike:
    """From `at_s` on every block is full for `blocks` blocks: the base fee rises by an eighth each (EIP-1559)."""

    chain: ChainId
    at_s: float
    blocks: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run depends on besides the code."""

    seed: int
    first: ChainId
    initiator: Initiator
    provider: Provider
    watchtower: bool
    operators: int
    liar: bool
    rates: FaultRates
    skew_s: dict[ChainId, int]
    reorgs: tuple[Reorg, ...]
    fees: bool
    spikes: tuple[Spike, ...]
    provider_deaths: tuple[Death, ...]
    initiator_deaths: tuple[Death, ...]
    cheat_before_timelock_s: float
    blocked: Blocked = Blocked.NOBODY

    @property
    def second(self) -> ChainId:
        return B if self.first == A else A


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    source = random.Random(seed)
    initiator = source.choices(list(Initiator), weights=(5, 1, 2, 3, 1))[0]
    provider = Provider.VANISHES if initiator is Initiator.HONEST and source.random() < 0.2 else Provider.HONEST
    operators = source.choice((1, 1, 3))
    return Plan(
        seed=seed,
        first=source.choice((A, B)),
        initiator=initiator,
        provider=provider,
        watchtower=provider is Provider.VANISHES or source.random() < 0.3,
        operators=operators,
        liar=operators > 2 and source.random() < 0.7,
        rates=_rates(source),
        skew_s={chain: source.randint(-MAX_SKEW_S, MAX_SKEW_S) for chain in (A, B)},
        reorgs=_reorgs(source),
        fees=(fees := source.random() < 0.4),
        spikes=_spikes(source) if fees else (),
        provider_deaths=_provider_deaths(source, initiator),
        initiator_deaths=_initiator_deaths(source),
        cheat_before_timelock_s=source.uniform(1.5, 8.0),
        blocked=source.choices(list(Blocked), weights=(18, 1, 1))[0],
    )


def _rates(source: random.Random) -> FaultRates:
    if source.random() < 0.3:
        return FaultRates()
    return FaultRates(
        error=source.uniform(0, 0.005),
        lost_reply=source.uniform(0, 0.2),
        latency_s=(0.0, source.uniform(0.01, 0.2)),
        repeat_head=source.uniform(0, 0.2),
        drop_head=source.uniform(0, 0.2),
    )


def _reorgs(source: random.Random) -> tuple[Reorg, ...]:
    count = source.choice((0, 0, 1, 2, MAX_REORGS))
    found = (
        Reorg(source.choice((A, B)), source.uniform(1, 60), source.randint(1, FINALITY_DEPTH), source.random())
        for _ in range(count)
    )
    return tuple(sorted(found, key=lambda reorg: reorg.at_s))


def _spikes(source: random.Random) -> tuple[Spike, ...]:
    count = source.choice((0, 1, 3))
    return tuple(
        Spike(source.choice((A, B)), source.uniform(1, 60), source.randint(3, MAX_SPIKE_BLOCKS)) for _ in range(count)
    )


def _provider_deaths(source: random.Random, initiator: Initiator) -> tuple[Death, ...]:
    longest_s = POLICY.participant_outage_s - COME_BACK_S
    if initiator is Initiator.LAST_SECOND and source.random() < 0.6:
        return (Death(longest_s, before_participant_timelock_s=source.uniform(0, 6)),)
    if source.random() < 0.4:
        return ()
    write = source.randint(1, 120)
    return (Death(source.uniform(0, longest_s), write=write, after_commit=source.random() < 0.5),)


def _initiator_deaths(source: random.Random) -> tuple[Death, ...]:
    if source.random() < 0.5:
        return ()
    longest_s = POLICY.initiator_outage_s - COME_BACK_S
    return (Death(source.uniform(0, longest_s), write=source.randint(1, 80), after_commit=source.random() < 0.5),)
