"""Plans drawn from seeds: each part from a source of its own, so that a new one leaves the others as they are.

parties    who takes part, and how they fail         deals    who wants what, and how they behave
faults     of chains and clocks, and what is aimed   small    the few swaps of small towns
operators  how relayers are run, what is ordered, what is lost
signatures one that takes long                       rare     one rare thing, and nothing else
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.simulation.drawing import deals, faults, operators, parties, rare, signatures, small
from gateway.simulation.plan import (
    AWAY_S,
    CHAINS,
    MAX_BLOCK_TIME_S,
    MAX_SKEW_S,
    POLICY,
    STORY_S,
    Outage,
    Plan,
    Rough,
    Stranger,
)

NARROW_SHARE: Final = 0.3
"""Of towns, those whose relayers have little of what they pay out."""
BENDING_SHARE: Final = 0.2
"""Of towns, those whose relayers bend what they answer to an opening, now and then."""
DRAWN_APART: Final = (
    Rough.CLOCK_WRONG,
    Rough.OPERATOR_PAUSES,
    Rough.FROM_CHAIN,
    Rough.STORE_RESTORED,
    Rough.CHAIN_STANDS,
)
"""Drawn from sources of their own, since they came later: the stories of other seeds stay as they are."""

Part = Callable[[random.Random, Plan], Plan]
"""Changes a plan by what it draws from its source; many do so in a share of the towns only."""


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    source = random.Random(seed)
    plan = _with(_FIRST_PARTS, _beginning(source, seed))
    plan = faults.with_forgotten_locks(faults.with_slow_blocks(plan))
    plan = _with_a_tower(source, _with_database_away(source, plan))
    return _with(_LATER_PARTS, plan)


def _with(parts: tuple[tuple[str, Part], ...], plan: Plan) -> Plan:
    for name, part in parts:
        plan = part(random.Random(f"{name}/{plan.seed}"), plan)
    return plan


def _beginning(source: random.Random, seed: int) -> Plan:
    rough = frozenset(one for one in Rough if one not in DRAWN_APART and source.random() < 0.04)
    count = source.choice((1, 1, 2))
    fees = frozenset(chain for chain in CHAINS if source.random() < 0.6)
    return Plan(
        seed=seed,
        deals=deals.first_deals(source, count, bool({Rough.PROVIDER_VANISHES, Rough.DATABASE_AWAY} & rough)),
        relayers=tuple(
            parties.party_of(source, f"relayer-{number}", POLICY.participant_outage_s) for number in range(count)
        ),
        dapps=tuple(parties.party_of(source, f"dapp-{number}", POLICY.initiator_outage_s) for number in range(count)),
        tower=None,
        fees=fees,
        # A chain has fees or expiries, as Ethereum and the consortium chain have: on one with neither nothing that was
        # sent could ever be called off. The draws are from when some had neither.
        expiries=frozenset(chain for chain in CHAINS if chain not in fees and source.random() <= 1.0),
        batches=frozenset(chain for chain in CHAINS if source.random() < 0.6),
        block_time_s={chain: source.uniform(0.7, MAX_BLOCK_TIME_S) for chain in CHAINS},
        skew_s={chain: source.randint(-MAX_SKEW_S, MAX_SKEW_S) for chain in CHAINS},
        reorgs=faults.reorgs(source),
        spikes=faults.spikes(source, fees),
        rough=rough,
        strangers=frozenset(one for one in Stranger if source.random() < 0.1),
        repeats=frozenset(chain for chain in CHAINS if source.random() < 0.5),
        allowances=frozenset(chain for chain in CHAINS if source.random() < 0.4),
        stepwise=frozenset(chain for chain in CHAINS if source.random() < 0.4),
        early_refunds=source.random() < 0.5,
        attests=source.random() < 0.4,
        regulator=source.choice((None, None, True, False)),
        at_s={
            one: source.uniform(5, STORY_S) * (operators.SOON if one is Rough.USED_ELSEWHERE else 1)
            for one in sorted(rough)
        },
        aims=faults.aims_of(seed),
        narrow=random.Random(f"narrow/{seed}").random() < NARROW_SHARE,
        bending=random.Random(f"bending/{seed}").random() < BENDING_SHARE,
    )


def _with_database_away(source: random.Random, plan: Plan) -> Plan:
    if Rough.DATABASE_AWAY not in plan.rough:
        return plan
    away = Outage(plan.at_s[Rough.DATABASE_AWAY], AWAY_S, full=source.random() < 0.5)
    failing = replace(plan.relayers[0], outages=(away,), deaths=())
    return replace(plan, relayers=(failing, *plan.relayers[1:]))


def _with_a_tower(source: random.Random, plan: Plan) -> Plan:
    if Rough.PROVIDER_VANISHES not in plan.rough and not any(deal.watched for deal in plan.deals):
        return plan
    return replace(plan, tower=parties.party_of(source, "tower", POLICY.participant_outage_s))


def _with_moods(source: random.Random, plan: Plan) -> Plan:
    """The two have one source."""
    return deals.with_early_and_late_words(source, parties.with_moods(source, plan))


_FIRST_PARTS: Final[tuple[tuple[str, Part], ...]] = (
    ("undone", deals.with_undone_claims),
    ("moods", _with_moods),
    ("hiding", parties.with_hiding),
    ("later lies", parties.with_later_lies),
    ("balances", parties.with_lies_about_balances),
)
"""Each with the name of its source, in the order in which they change a plan."""
_LATER_PARTS: Final[tuple[tuple[str, Part], ...]] = (
    ("short", faults.with_short_purses),
    ("dear", faults.with_dear_blocks),
    ("clock", faults.with_wrong_clock),
    ("an operator pauses", operators.with_a_pause),
    ("from the chains", operators.with_a_restore_from_the_chains),
    ("together", deals.with_some_together),
    ("ledger", faults.on_ledger),
    ("small", small.in_a_small_town),
    ("in the midst", faults.with_a_deep_reorg_in_the_midst),
    ("withdrawals", operators.with_withdrawals),
    ("in a hurry", operators.with_a_withdrawal_that_waits),
    ("watchful", operators.with_watchful_guards),
    ("pricing", operators.with_a_price),
    ("gang", deals.with_a_gang),
    ("calm", parties.with_nothing_slow),
    ("latecomers", deals.with_latecomers),
    ("leading", operators.with_two_processes),
    ("a store", operators.with_restored_store),
    ("four at one moment", deals.with_a_batch_that_waits),
    ("doubts", deals.with_doubts),
    ("at a jump", deals.with_somebody_at_a_jump),
    ("never heard", parties.with_lies_about_transactions),
    ("late index", parties.with_lagging_endpoints),
    ("uneven", faults.with_uneven_chains),
    ("escapes", small.with_leaks),
    ("word", small.with_shown_preimages),
    ("brief", deals.with_brief_copies),
    ("used again", operators.with_a_second_use),
    ("unpaid", operators.with_payments_that_fail),
    ("branches", parties.with_branches),
    ("slow signatures", signatures.with_slow_signatures),
    ("ceilings", faults.with_ceilings),
    ("an exit behind another", small.with_an_exit_behind_another),
    ("top-ups", operators.with_top_ups),
    ("rotation", operators.with_a_rotation),
    ("trading", operators.with_a_fee),
    ("small tips", faults.with_small_tips),
    ("refused locks", parties.with_refused_locks),
    ("nodes behind", parties.with_nodes_behind),
    ("around a middle", small.with_timelocks_around_a_middle),
    ("between effects", parties.with_deaths_between_effects),
    ("expires", small.with_a_lock_that_expires),
    ("amid an effect", parties.with_deaths_amid_an_effect),
    ("an answer is lost", parties.with_unheard_commits),
    ("stands", deals.with_a_chain_that_stands),
    ("crowd", deals.with_a_crowd),
    ("rare", rare.with_one_rare_thing),
)
"""The same of what changes a plan once all parties are there."""
