"""The operators that are drawn: how they run their relayers, what they order, and what they lose."""

import random
from dataclasses import replace
from typing import Final

from gateway.simulation.drawing.deals import LITTLE, newcomer
from gateway.simulation.drawing.faults import DEAR_FROM_S, also
from gateway.simulation.drawing.parties import with_first_undisturbed
from gateway.simulation.drawing.small import SOONER
from gateway.simulation.plan import CHAINS, FORGETFUL, STORY_S, Act, Aim, Death, Plan, Rough, Spike, Style, Trouble
from gateway.simulation.plan_operators import Fall, Leading, Pricing, Purpose, Rotation, Topped, Trading, Withdrawing

SOON: Final = 0.3
"""How much sooner than others something comes that takes long to be believed."""
LOCKED_S: Final = 16.0
"""When both locks of a small town's first swaps are there, and stay if nobody claims."""
WITHDRAWALS_SHARE: Final = 0.35
"""Of towns, those in which an operator withdraws."""
MAX_WITHDRAWALS: Final = 3
MAX_PERCENT: Final = 90
IN_TIME_S, HURRIED_S = 90, 3
HURRIED_SHARE: Final = 0.15
"""Of withdrawals, those that have hardly any time."""
WAITING_SHARE: Final = 0.3
"""Of towns with withdrawals in which nothing rough comes, those in which blocks leave the first one lying."""
WAITING_S: Final = (15.0, 30.0)
HASTY_S: Final = 6
"""Enough time to sign it, and to send it."""
UNPAID_SHARE: Final = 0.4
"""Of towns in which an operator withdraws, those in which a token stops while the first payment of it is on its way."""
UNPAID_S: Final = (8.0, 20.0)
AFTER_SHARE: Final = 0.7
"""Of withdrawals, those that are ordered right after a swap was agreed on, when most of what it needs is only kept."""
RIGHT_AFTER_S: Final = 4.0
PURPOSES: Final = (Purpose.SOME, Purpose.SOME, Purpose.ALL, Purpose.ALL, Purpose.TOO_MUCH, *Purpose)
TRADED_SHARE: Final = 0.2
"""Of small towns without a price that moves and with nothing rough, those whose relayers keep a fee, at a rate that
leaves fractions."""
RATES: Final = ((1_997, 1_000), (1_399, 700), (13, 7))
FEES: Final = (1, 60)
ASKING_SHARE: Final = 0.6
"""Of deals there, those that name what is to be paid out."""
WATCHFUL_SHARE: Final = 0.2
"""Of towns in which nothing rough comes, those whose relayers' guards look."""
PRICED_SHARE: Final = 0.25
"""Of towns, those whose relayers trade at a price that changes."""
LED_SHARE: Final = 0.12
"""Of towns, those whose first relayer has two processes."""
UNLED: Final = FORGETFUL | {Rough.TWO_PROCESSES, Rough.PROVIDER_VANISHES, Rough.DATABASE_AWAY, Rough.CLOCK_WRONG}
"""Trouble that is about a relayer with one process."""
AIMED_FALL_SHARE: Final = 0.5
FALLEN_S: Final = (3.0, 30.0)
FROM_CHAIN_SHARE: Final = 0.05
ROTATED_SHARE: Final = 0.07
"""Of small towns in which something is slow and nothing rough comes, those whose relayer changes an account."""
ROTATED_S: Final = (8.0, 40.0)
TOPPED_SHARE: Final = 0.5
MADE_SHORT_SHARE: Final = 0.05
"""Of small towns with a short purse, and of those in which nothing rough comes, the ones whose purse is filled."""
FILLED_S: Final = (25.0, 40.0)
BEHIND_S: Final = (6.0, 20.0)
"""How long after that somebody else comes."""
BY_ITSELF_SHARE: Final = 0.5
DEAR_BLOCKS: Final = 12
USED_AGAIN_SHARE: Final = 0.7
"""Of small towns in which an account is used elsewhere, and nothing else is rough, those in which it is used again."""
BEHIND_USES_S: Final = (50.0, 65.0)
"""How long behind the first use people come who find that the second one is known."""
PAUSED_SHARE: Final = 0.03
SMALL_PAUSED_SHARE: Final = 0.038
SIGNED_AND_DOWN_S: Final = (4.0, 8.0)
STORE_SHARE: Final = 0.06


def with_a_second_use(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and the operator uses the relayer's keys again, once the first use has been
    acknowledged; somebody comes after that."""
    alone = plan.small and plan.rough == {Rough.USED_ELSEWHERE}
    if not alone or source.random() >= USED_AGAIN_SHARE:
        return plan
    comes_s = plan.at_s[Rough.USED_ELSEWHERE] + source.uniform(*BEHIND_USES_S)
    later = newcomer(plan, source.choice(plan.deals), source.randint(*LITTLE), comes_s)
    return replace(plan, deals=(*plan.deals, later), used_again=True)


def with_a_price(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story at a price that jumps, and stands still, while people ask for it."""
    if source.random() >= PRICED_SHARE:
        return plan
    story_s = STORY_S / SOONER if plan.small else STORY_S
    pricing = Pricing(
        jump_at_s=source.uniform(3, story_s),
        jump_for_s=source.choice((0, 4, 15)),
        jump_percent=source.choice((60, 90, 110, 160)),
        stall_at_s=source.uniform(3, story_s),
        stall_for_s=source.choice((0, 5, 35)),
        flaky=source.choice((0.0, 0.1, 0.4)),
    )
    return replace(plan, pricing=pricing)


def with_a_fee(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story at a rate that leaves fractions, less a fee, and some who come name what they
    want to get."""
    if source.random() >= TRADED_SHARE or not plan.small or plan.rough or plan.narrow or plan.pricing is not None:
        return plan
    asks = frozenset(deal.number for deal in plan.deals if source.random() < ASKING_SHARE)
    return replace(plan, trading=Trading(source.choice(RATES), source.randint(*FEES), asks))


def with_two_processes(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with two processes of the first relayer, one of which falls: that, and nothing else
    that would have it away for longer than is promised."""
    if source.random() >= LED_SHARE or plan.rough & UNLED:
        return plan
    fall = source.choice(list(Fall))
    is_aimed = source.random() < AIMED_FALL_SHARE
    return replace(
        with_first_undisturbed(plan),
        deals=tuple(replace(one, provider_dies=one.provider_dies and one.relayer > 0) for one in plan.deals),
        leading=Leading(
            fall,
            at_s=source.uniform(5, 2 * STORY_S),
            for_s=source.uniform(*FALLEN_S),
            funding=source.randint(1, max(1, len(plan.deals) // 2)) if is_aimed else 0,
        ),
    )


def with_restored_store(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with an initiator whose store is lost in the midst of its only swap, and was copied
    before it."""
    mine = [one.number for one in plan.deals if one.relayer == 0 and one.style is Style.HONEST]
    if source.random() >= STORE_SHARE or plan.rough or plan.leading is not None or not mine:
        return plan
    kept = (Style.HONEST, Style.COPIED)
    deals = tuple(one for one in plan.deals if one.number == mine[0] or one.relayer or one.style not in kept)
    dapp = replace(plan.dapps[0], deaths=(), outages=(), locked=0.0)
    at_s = source.choice((0.0, source.uniform(0, 3), source.uniform(3, 12)))
    return also(plan, Rough.STORE_RESTORED, at_s, deals=deals, dapps=(dapp, *plan.dapps[1:]))


def with_a_pause(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and the operator pauses the first relayer for a while: in some small ones while it
    is down, and has a lock that was signed and never left."""
    share = source.random()
    if share >= (SMALL_PAUSED_SHARE if plan.small else PAUSED_SHARE) or plan.rough & FORGETFUL:
        return plan
    at_s = source.uniform(5, STORY_S)
    if share < PAUSED_SHARE:
        return also(plan, Rough.OPERATOR_PAUSES, at_s)
    death = Death(source.uniform(*SIGNED_AND_DOWN_S), sending="lock", after=False)
    relayer = replace(plan.relayers[0], deaths=(death,), outages=(), locked=0.0)
    return also(plan, Rough.OPERATOR_PAUSES, 0.0, relayers=(relayer, *plan.relayers[1:]))


def with_a_restore_from_the_chains(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with a relayer whose database is lost. Nothing else keeps it away meanwhile: whoever
    reads the chains at once loses nothing."""
    if source.random() >= FROM_CHAIN_SHARE or plan.rough & UNLED:
        return plan
    at_s = source.uniform(0, STORY_S)
    if plan.small:  # while what was begun at once is open, and was so for longer than it takes to read it
        at_s = LOCKED_S + at_s * SOON
    deals = tuple(replace(one, provider_dies=False) for one in plan.deals)
    return also(with_first_undisturbed(plan), Rough.FROM_CHAIN, at_s, deals=deals)


def with_watchful_guards(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with guards that look though nothing rough comes."""
    return replace(plan, watchful=source.random() < WATCHFUL_SHARE)


def with_top_ups(source: random.Random, plan: Plan) -> Plan:
    """In some small towns with a short purse the same story, and it is filled: afterwards everything goes on, and
    others come. In some others the purse is made short for that."""
    short = plan.rough == {Rough.SHORT_PURSE}
    busy = plan.is_calm or plan.leading is not None or plan.signing is not None or plan.ceiling is not None
    if busy or not plan.small or not plan.fees or not (short or not plan.rough):
        return plan
    if source.random() >= (TOPPED_SHARE if short else MADE_SHORT_SHARE):
        return plan
    filled_s = source.uniform(*FILLED_S)
    comes = newcomer(plan, plan.deals[0], source.randint(*LITTLE), filled_s + source.uniform(*BEHIND_S))
    chain = source.choice(sorted(plan.fees))
    dear = Spike(chain, source.uniform(*DEAR_FROM_S), DEAR_BLOCKS)
    spikes = plan.spikes if short else (dear,)
    topped = Topped(source.random() < BY_ITSELF_SHARE, filled_s)
    return replace(
        plan,
        rough=frozenset({Rough.SHORT_PURSE}),
        deals=(*plan.deals, comes),
        spikes=spikes,
        topped=topped,
        pricing=None,
        narrow=False,
    )


def with_a_rotation(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and the relayer begins again with another account on a chain, in the midst of
    swaps; somebody comes after that."""
    busy = plan.rough or plan.leading is not None or plan.signing is not None
    if source.random() >= ROTATED_SHARE or not plan.small or busy or plan.is_calm:
        return plan
    rotation = Rotation(source.choice(CHAINS), source.uniform(*ROTATED_S))
    later_s = rotation.at_s + source.uniform(*BEHIND_S)
    comes = newcomer(plan, plan.deals[0], source.randint(*LITTLE), later_s)
    rotated = replace(with_first_undisturbed(plan), deals=(*plan.deals, comes), rotation=rotation)
    deals = tuple(replace(one, provider_dies=False) for one in rotated.deals)
    return replace(rotated, deals=deals, attests=False, withdrawals=(), narrow=False, ceiling=None)


def with_withdrawals(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and operators withdraw in the midst of swaps."""
    if source.random() >= WITHDRAWALS_SHARE:
        return plan
    withdrawals = tuple(_withdrawal(source, plan) for _ in range(source.randint(1, MAX_WITHDRAWALS)))
    return replace(plan, withdrawals=withdrawals)


def with_a_withdrawal_that_waits(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and an operator has hardly any time for what blocks leave lying: it is called off,
    or expires."""
    hurried = next((at for at, one in enumerate(plan.withdrawals) if one.purpose.may_pay), None)
    if source.random() >= WAITING_SHARE or plan.rough or hurried is None:
        return plan
    withdrawals = list(plan.withdrawals)
    withdrawals[hurried] = replace(withdrawals[hurried], within_s=HASTY_S)
    waits = Aim(Trouble.STARVED, Act.PAYMENT, 1, source.uniform(*WAITING_S))
    return replace(plan, withdrawals=tuple(withdrawals), aims=(*plan.aims, waits))


def with_payments_that_fail(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and a payment that an operator ordered finds its token paused in its block."""
    can = any(one.purpose.may_pay and (one.after or not one.coin) for one in plan.withdrawals)
    if not can or source.random() >= UNPAID_SHARE:
        return plan
    return replace(plan, aims=(*plan.aims, Aim(Trouble.PAUSED, Act.PAYMENT, 1, source.uniform(*UNPAID_S))))


def _withdrawal(source: random.Random, plan: Plan) -> Withdrawing:
    deal = source.choice(plan.deals)
    is_aimed = source.random() < AFTER_SHARE
    purpose = source.choice(PURPOSES)
    if purpose is Purpose.ALL and Rough.USED_ELSEWHERE in plan.rough:
        purpose = Purpose.SOME  # the other hand has to pay, too, and waits for its block
    return Withdrawing(
        relayer=deal.relayer,
        purpose=purpose,
        # Of what somebody wants just then.
        chain=deal.second,
        coin=deal.coin,
        percent=source.randint(5, MAX_PERCENT),
        at_s=source.uniform(0, RIGHT_AFTER_S) if is_aimed else source.uniform(5, STORY_S),
        after=source.randint(1, (len(plan.deals) + 1) // 2) if is_aimed else 0,
        within_s=HURRIED_S if source.random() < HURRIED_SHARE else IN_TIME_S,
    )
