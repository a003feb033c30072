"""The faults that are drawn for chains and clocks: reorgs, full blocks, what is aimed, what befalls a ledger."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from core.model.types import ChainId, Seconds
from gateway.simulation.plan import (
    AIMED,
    AIMED_AT_FUNDING,
    CALM_BASE_FEE,
    CHAINS,
    FINALITY_DEPTH,
    MAX_BLOCK_TIME_S,
    SMALL_TOWNS,
    STORY_S,
    TIMING,
    Act,
    Aim,
    B,
    Lie,
    Plan,
    Reorg,
    Rough,
    Spike,
    Trouble,
)

MAX_AIMS: Final = 3
MAX_AIMS_AT_FUNDING: Final = 1
MAX_RESTARTS: Final = 3
MAX_REORGS: Final = 5
MAX_SPIKE_BLOCKS: Final = 15
"""Full blocks in a row: enough to multiply the base fee by six (EIP-1559)."""
MIN_CLOCK_OFF_S, MAX_CLOCK_OFF_S = 22, 60
"""Beyond what a party takes for the age of a block: lag, inclusion and observation, next to the chain's own skew."""
LEDGER_SHARE: Final = 0.5
EXPIRING_SHARE: Final = 0.3
"""Of towns, those in which a refund outlives its first form, where a memory chain has expiries."""
BATCH_SHARE: Final = 0.3
FAILED_SHARE: Final = 0.2
UNDONE_SHARE: Final = 0.15
SHORT_SHARE: Final = 0.05
"""Of towns, those that have relayers with a short purse, on top of those that are drawn like the others."""
DEAR_SHARE: Final = 0.6
"""Of those, the ones in which blocks become dear right after the first prices were given."""
DEAR_FROM_S: Final = (7.0, 11.0)
CEILING_SHARE: Final = 0.12
"""Of small towns with fees in which something is slow and nothing rough comes, those that come to their ceilings."""
CLIMB_BLOCKS: Final = (8, 14)
CLIMB_FROM_S: Final = (0.0, 12.0)
DEAR_BLOCKS: Final = (10, 30)
"""For how many blocks the base fee stays as it is then."""
CEILING_SHARES: Final = (0.5, 0.9)
"""The ceiling, as a share of the dearest base fee."""
SMALL_TIP_SHARE: Final = 0.12
"""Of small towns with fees, those in which blocks ask for hardly any tip."""
SMALL_TIPS: Final = (1, 7)
"""Of these an eighth is less than a unit: a raise that is rounded down is none."""
UNEVEN_SHARE: Final = 0.12
"""Of towns in which nothing rough comes, those in which one chain is believed to be slower than the other."""
MAX_MORE_S: Final = 4
"""How much slower, for each thing that is believed of it."""
IN_THE_MIDST_S: Final = (10.0, 18.0)
"""When a small town's first swaps have a lock and no reveal yet."""
CLOCK_SHARE: Final = 0.06
"""Of towns, those in which one party's clock goes wrong."""


def also(plan: Plan, rough: Rough, at_s: float, **changes: Any) -> Plan:
    """The same story with these changes, in which this rough thing begins at `at_s`."""
    return replace(plan, rough=plan.rough | {rough}, at_s={**plan.at_s, rough: at_s}, **changes)


def aims_of(seed: int) -> tuple[Aim, ...]:
    """The aims of a town, each kind from a source of its own."""
    return (
        *_aims(random.Random(f"aims/{seed}"), AIMED, MAX_AIMS),
        *_aims(random.Random(f"aims at funding/{seed}"), AIMED_AT_FUNDING, MAX_AIMS_AT_FUNDING),
        *_starved_until_expired(random.Random(f"expiring/{seed}")),
        *_left_out_of_a_batch(random.Random(f"batch/{seed}")),
        *_failed_once(random.Random(f"failed once/{seed}")),
        *(_undone_and_failing(random.Random(f"undone and failing/{seed}")) if seed >= SMALL_TOWNS else ()),
    )


def _aims(source: random.Random, kinds: Sequence[tuple[Trouble, Act, float]], most: int) -> tuple[Aim, ...]:
    chosen = source.sample(kinds, source.randint(0, most))
    return tuple(
        Aim(trouble, act, source.randint(1, 4), source.uniform(most_s / 3, most_s)) for trouble, act, most_s in chosen
    )


def _starved_until_expired(source: random.Random) -> tuple[Aim, ...]:
    """In some towns the first refund that can expire waits for longer than its first form lasts."""
    return (Aim(Trouble.STARVED, Act.REFUND, 1, source.uniform(30, 60)),) if source.random() < EXPIRING_SHARE else ()


def _left_out_of_a_batch(source: random.Random) -> tuple[Aim, ...]:
    """In some towns the first exits that share a transaction find their token paused: the transaction goes through."""
    return (Aim(Trouble.PAUSED, Act.BATCH, 1, source.uniform(8, 25)),) if source.random() < BATCH_SHARE else ()


def _failed_once(source: random.Random) -> tuple[Aim, ...]:
    """In some towns the first claim of a token that has time for it fails in its block, and has to be made again."""
    return (Aim(Trouble.PAUSED, Act.CLAIM, 1, source.uniform(5, 15)),) if source.random() < FAILED_SHARE else ()


def _undone_and_failing(source: random.Random) -> tuple[Aim, ...]:
    """In some small towns the block with the first claim of a token is replaced, and the next one that holds that claim
    finds the token paused: the preimage is out by then."""
    return (Aim(Trouble.UNDONE, Act.CLAIM, 1, source.uniform(5, 12)),) if source.random() < UNDONE_SHARE else ()


def reorgs(source: random.Random) -> tuple[Reorg, ...]:
    """The reorgs of a town, in their order."""
    count = source.choice((0, 0, 1, 2, MAX_REORGS))
    found = (
        Reorg(source.choice(CHAINS), source.uniform(1, 2 * STORY_S), source.randint(1, FINALITY_DEPTH), source.random())
        for _ in range(count)
    )
    return tuple(sorted(found, key=lambda reorg: reorg.at_s))


def spikes(source: random.Random, fees: frozenset[ChainId]) -> tuple[Spike, ...]:
    """The times at which blocks of a chain with fees are full."""
    return tuple(
        Spike(source.choice(sorted(fees)), source.uniform(1, 2 * STORY_S), source.randint(3, MAX_SPIKE_BLOCKS))
        for _ in range(source.choice((0, 1, 2)) if fees else 0)
    )


def with_slow_blocks(plan: Plan) -> Plan:
    """If a lock's token is to be paused, the same story with slow blocks: it takes a while to find out about a pause,
    and they put as much between a lock and what follows it."""
    if not any(aim.trouble is Trouble.PAUSED and aim.act in (Act.LOCK, Act.FUND) for aim in plan.aims):
        return plan
    return replace(plan, block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S))


def with_forgotten_locks(plan: Plan) -> Plan:
    """If an endpoint says of everything that it waits, the same story with what that lie is about: locks that wait
    nowhere any more. Nothing is outbid there: that would send them again."""
    if all(party.lie is not Lie.PENDING for party in plan.parties):
        return plan
    forgotten = tuple(Aim(Trouble.EVICTED, Act.LOCK, number, 0.0) for number in (1, 2, 3))
    return replace(plan, aims=(*plan.aims, *forgotten), fees=frozenset(), expiries=frozenset(CHAINS), spikes=())


def with_short_purses(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with relayers whose purse is short."""
    return replace(plan, rough=plan.rough | {Rough.SHORT_PURSE}) if source.random() < SHORT_SHARE else plan


def with_dear_blocks(source: random.Random, plan: Plan) -> Plan:
    """The same story with full blocks while a purse is short: an exit costs more than it did before."""
    if Rough.SHORT_PURSE not in plan.rough or not plan.fees or source.random() >= DEAR_SHARE:
        return plan
    chain = source.choice(sorted(plan.fees))
    return replace(plan, spikes=(*plan.spikes, Spike(chain, source.uniform(*DEAR_FROM_S), MAX_SPIKE_BLOCKS)))


def with_ceilings(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and blocks become so dear that nothing but an exit offers enough for a while:
    at most twice the ceiling of everybody's policy, so that a claim need not use up much of its time."""
    chains = sorted(plan.fees)
    if source.random() >= CEILING_SHARE or not plan.small or plan.rough or plan.is_calm or not chains:
        return plan
    blocks = source.randint(*CLIMB_BLOCKS)
    dearest = CALM_BASE_FEE
    for _ in range(blocks):
        dearest = dearest * 9 // 8
    climb = Spike(source.choice(chains), source.uniform(*CLIMB_FROM_S), blocks, source.randint(*DEAR_BLOCKS))
    return replace(plan, spikes=(climb,), ceiling=round(dearest * source.uniform(*CEILING_SHARES)))


def with_small_tips(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and blocks ask for hardly any tip."""
    if source.random() >= SMALL_TIP_SHARE or not plan.small or not plan.fees:
        return plan
    return replace(plan, tip=source.randint(*SMALL_TIPS))


def with_uneven_chains(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and everybody believes one chain to be slower, and less exact, than it is: whose
    bound a gate stands on shows only if the chains are not alike."""
    if source.random() >= UNEVEN_SHARE or plan.rough:
        return plan
    slower = source.choice(CHAINS)

    def more(believed_s: Seconds) -> Seconds:
        return Seconds(believed_s + source.randint(1, MAX_MORE_S))

    timing = replace(
        TIMING,
        inclusion_s=more(TIMING.inclusion_s),
        finality_s=more(TIMING.finality_s),
        observation_s=more(TIMING.observation_s),
        lead_s=more(TIMING.lead_s),
        lag_s=more(TIMING.lag_s),
    )
    return replace(plan, timing={**plan.timing, slower: timing})


def with_a_deep_reorg_in_the_midst(source: random.Random, plan: Plan) -> Plan:
    """In small towns in which a finalized block is replaced, that is while what was begun at once is about to be funded
    or revealed."""
    if not plan.small or Rough.DEEP_REORG not in plan.rough:
        return plan
    return replace(plan, at_s={**plan.at_s, Rough.DEEP_REORG: source.uniform(*IN_THE_MIDST_S)})


def with_wrong_clock(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with a clock that is off by more than any chain's time may be."""
    if source.random() >= CLOCK_SHARE:
        return plan
    return also(
        plan,
        Rough.CLOCK_WRONG,
        source.uniform(5, STORY_S),
        clock_of=source.choice([party.name for party in (*plan.relayers, *plan.dapps)]),
        clock_off_s=source.choice((-1, 1)) * source.randint(MIN_CLOCK_OFF_S, MAX_CLOCK_OFF_S),
    )


def on_ledger(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with the ledger for B, and with what befalls a ledger instead of what does not."""
    if source.random() >= LEDGER_SHARE:
        return plan
    restarts = random.Random(f"restarts/{plan.seed}")
    return replace(
        plan,
        ledger=True,
        fees=plan.fees - {B},
        expiries=plan.expiries | {B},
        batches=plan.batches - {B},
        reorgs=tuple(one for one in plan.reorgs if one.chain != B),
        spikes=tuple(one for one in plan.spikes if one.chain != B),
        restarts=tuple(sorted(restarts.uniform(1, 2 * STORY_S) for _ in range(restarts.randint(0, MAX_RESTARTS)))),
    )
