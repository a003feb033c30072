"""Small towns about one rare thing each, and nothing else that goes wrong: what independent draws show once in a
thousand towns. Each thing comes in its turn."""

import random
from dataclasses import replace
from typing import Final

from gateway.simulation.drawing.deals import plain
from gateway.simulation.drawing.rare import blocks, endpoints, people, purses
from gateway.simulation.drawing.rare.parts import calm_party
from gateway.simulation.drawing.small import MAX_FEW
from gateway.simulation.plan import BEGAN_AT_S, CALM_TIP, CHAINS, RARE_TOWNS, TIMING, Plan


def with_one_rare_thing(source: random.Random, plan: Plan) -> Plan:
    """In a town that is about one, another story, of two memory chains on which nothing is slow."""
    if not plan.is_rare:
        return plan
    quiet = replace(
        plan,
        deals=tuple(map(plain, plan.deals[:MAX_FEW])),
        relayers=(calm_party(plan.relayers[0].name),),
        dapps=(calm_party(plan.dapps[0].name),),
        tower=None,
        rough=frozenset(),
        at_s={},
        clock_of="",
        clock_off_s=0,
        used_again=False,
        attests=False,
        narrow=False,
        bending=False,
        pricing=None,
        trading=None,
        tip=CALM_TIP,
        began_at_s=BEGAN_AT_S,
        topped=None,
        leading=None,
        signing=None,
        rotation=None,
        ceiling=None,
        ledger=False,
        restarts=(),
        expiries=frozenset(CHAINS) - plan.fees,
        block_time_s=dict.fromkeys(CHAINS, TIMING.block_time_s),
        timing=dict.fromkeys(CHAINS, TIMING),
        withdrawals=(),
        strangers=frozenset(),
        allowances=frozenset(),
        reorgs=(),
        spikes=(),
        aims=(),
    )
    turn, place = divmod(plan.seed - RARE_TOWNS, len(THINGS))
    things = (*LATER, *THINGS[len(LATER) :]) if turn % 2 else THINGS
    return things[place](source, quiet)


THINGS: Final = (
    *(purses.gets_gas_by_itself, purses.changes_its_account, people.comes_back, blocks.falls_behind),
    *(blocks.is_undone, endpoints.asks_the_past, endpoints.hears_two_voices, people.funds_again),
    *(people.reveals, people.withdraws, people.bends, people.watches_alone, endpoints.hears_of_a_branch),
    *(purses.is_used_elsewhere, endpoints.hears_of_nothing, people.fails_to_watch, purses.waits_for_gas),
    *(endpoints.is_forgotten, endpoints.hears_large_numbers, people.fails_half_way),
    *(purses.has_less_than_is_wanted, blocks.takes_back, endpoints.hears_late),
    *(endpoints.hears_of_the_block_before, blocks.lets_a_lock_expire, purses.waits_for_its_allowance),
    *(people.is_ahead, people.opens_again, endpoints.hears_one_voice, blocks.is_overtaken),
    *(purses.is_looked_into, purses.all_at_once, blocks.go_alone, blocks.claims_again),
    people.begins_from_a_copy,
)
LATER: Final = (
    *(blocks.become_dear, endpoints.hears_refusals, people.signs_alone, purses.is_used_meanwhile),
    *(purses.costs_more_than_before, people.has_missed_a_refund, people.has_locked_unknown),
)
"""These take the first places in every other turn. New ones come behind them: the rest keep their towns."""
