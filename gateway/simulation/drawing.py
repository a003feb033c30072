"""Plans drawn from seeds: each part from a source of its own, so that a new one leaves the others as they are."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from adapters.memory import FaultRates
from core.model.types import ChainId
from gateway.simulation import treasury
from gateway.simulation.feeds import MAX_AGE_S
from gateway.simulation.plan import (
    AIMED,
    AIMED_AT_FUNDING,
    AWAY_S,
    CHAINS,
    COME_BACK_S,
    COMMITS_OF,
    FINALITY_DEPTH,
    FORGETFUL,
    MAX_BLOCK_TIME_S,
    MAX_SKEW_S,
    POLICY,
    SENDINGS,
    STORY_S,
    Act,
    Aim,
    B,
    Deal,
    Death,
    Fall,
    Leading,
    Lie,
    Outage,
    Party,
    Plan,
    Pricing,
    Reorg,
    Rough,
    Spike,
    Stranger,
    Style,
    Trouble,
)

LEDGER_SHARE: Final = 0.5
MIN_DEALS, MAX_DEALS = 14, 24
"""The fixed cost of a story is that of its blocks: the more swaps share it, the more are played."""
MIN_FEW, MAX_FEW = 2, 4
"""How many swaps a small town has."""
FEW_OPERATORS: Final = 3
"""How many endpoints a party of a small town has at most."""
SOONER: Final = 5
"""How many times earlier its swaps begin."""
MAX_RESTARTS: Final = 3
MAX_REORGS: Final = 5
MAX_SPIKE_BLOCKS: Final = 15
"""Full blocks in a row: enough to multiply the base fee by six (EIP-1559)."""
MIN_CLOCK_OFF_S, MAX_CLOCK_OFF_S = 22, 60
"""Beyond what a party takes for the age of a block: lag, inclusion and observation, next to the chain's own skew."""
WEIGHTS: Final = {
    Style.HONEST: 9,
    Style.NEVER_LOCKS: 1,
    Style.VANISHES: 1,
    Style.LAST_SECOND: 3,
    Style.LOCKS_TOO_LITTLE: 1,
    Style.LOCKS_TOO_SHORT: 1,
    Style.LOCKS_FOR_ANOTHER: 1,
    Style.LOCKS_LATE: 1,
    Style.DOUBLE_SPENDS: 1,
    Style.COPIED: 1,
}
LATER_LIES: Final = (Lie.FINAL, Lie.RICH)
"""Drawn from a source of their own, since they came later."""
LIES: Final = tuple(one for one in Lie if one not in LATER_LIES)
LATER_LIES_SHARE: Final = 0.5
"""Of parties with several operators none of which lies or hides anything, those that have such a liar."""
RARE_COMMITS: Final = frozenset({"place", "account", "signature", "agreement", "store"})
MAX_AIMS: Final = 3
MAX_AIMS_AT_FUNDING: Final = 1
SOON: Final = 0.3
"""How much sooner than others something comes that takes long to be believed."""
UNDONE_SHARE: Final = 0.4
"""Of claims in the last second, those that a reorg takes out."""
CROWDED_SHARE: Final = 0.15
"""Of small towns, those in which everybody wants much of the same; of those with narrow inventories all."""
BEYOND: Final = ((Style.HONEST, 45_000), (Style.VANISHES, 50_000))
"""Amounts of which `BEYOND_COUNT` are more than one counterparty may have, or than one window of timelocks."""
BEYOND_COUNT: Final = 3
BEYOND_SHARE: Final = 0.1
HELD_SHARE: Final = 0.3
"""Of small towns with narrow inventories, those in which somebody who never locks has most of it kept for a while."""
HELD_AMOUNT: Final = 78_000
MIN_MUCH, MAX_MUCH = 35_000, 60_000
"""The amounts there, in base units of what initiators give: limits allow two or three such swaps at a time."""
TWICE_SHARE: Final = 0.3
"""Of cheats who claim in the last second, those who lock a second time, which does not stay."""
FICKLE_SHARE: Final = 0.3
"""Of parties, those whose signer does not always answer, or not in words that anybody knows."""
MOODY_SHARE: Final = 0.15
"""Of parties, those whose endpoints now and then refuse what they took."""
HIDING_SHARE: Final = 0.4
"""Of parties with several operators none of which lies, those of which one hides what happened in blocks."""
PUBLIC_SHARE: Final = 0.5
"""Of cheats who would vanish or lock for another, those who publish their preimage instead, before they lock."""
NARROW_SHARE: Final = 0.3
"""Of towns, those whose relayers have little of what they pay out."""
BENDING_SHARE: Final = 0.2
"""Of towns, those whose relayers bend what they answer to an opening, now and then."""
LATE_WATCH_SHARE: Final = 0.5
"""Of watched swaps, those that are registered once both locks are there."""
SHORT_SHARE: Final = 0.05
"""Of towns, those that have relayers with a short purse, on top of those that are drawn like the others."""
BATCH_SHARE: Final = 0.3
FAILED_SHARE: Final = 0.2
DEAR_SHARE: Final = 0.6
"""Of those, the ones in which blocks become dear right after the first prices were given."""
DEAR_FROM_S: Final = (7.0, 11.0)
EXPIRING_SHARE: Final = 0.3
"""Of towns, those in which a refund outlives its first form, where a memory chain has expiries."""
CLOCK_SHARE: Final = 0.06
"""Of towns, those in which one party's clock goes wrong."""
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
NOTICED: Final = frozenset({Rough.FINALITY_STALLS, Rough.DEEP_REORG, Rough.CLOCK_WRONG})
"""Trouble that stops a relayer's offers by itself."""
LATECOMERS: Final = 3
LITTLE: Final = (100, 2_000)
"""The amounts that they want: whatever others have left of limits is enough for them."""
LATE_S: Final = (12.0, 58.0)
"""When they come, in seconds from when the trouble begins."""
PAUSED_SHARE: Final = 0.03
TOGETHER_SHARE: Final = 0.1
"""Of towns, those in which some swaps of one kind begin at the same moment, so that their locks can share a
transaction; in some of them that transaction waits, and one of its locks is over by then."""
TOGETHER: Final = 4
HELD_UP_S: Final = (6.0, 25.0)
"""How long it waits: the gates of the others are still open then, or closed."""
STORE_SHARE: Final = 0.06
DRAWN_APART: Final = (Rough.CLOCK_WRONG, Rough.OPERATOR_PAUSES, Rough.FROM_CHAIN, Rough.STORE_RESTORED)
"""Drawn from sources of their own, since they came later: the stories of other seeds stay as they are."""


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    source = random.Random(seed)
    rough = frozenset(one for one in Rough if one not in DRAWN_APART and source.random() < 0.04)
    count = source.choice((1, 1, 2))
    fees = frozenset(chain for chain in CHAINS if source.random() < 0.6)
    plan = Plan(
        seed=seed,
        deals=_deals(source, count, bool({Rough.PROVIDER_VANISHES, Rough.DATABASE_AWAY} & rough)),
        relayers=tuple(_party(source, f"relayer-{number}", POLICY.participant_outage_s) for number in range(count)),
        dapps=tuple(_party(source, f"dapp-{number}", POLICY.initiator_outage_s) for number in range(count)),
        tower=None,
        fees=fees,
        # A chain has fees or expiries, as Ethereum and the consortium chain have, now and then neither.
        expiries=frozenset(chain for chain in CHAINS if chain not in fees and source.random() < 0.8),
        batches=frozenset(chain for chain in CHAINS if source.random() < 0.6),
        block_time_s={chain: source.uniform(0.7, MAX_BLOCK_TIME_S) for chain in CHAINS},
        skew_s={chain: source.randint(-MAX_SKEW_S, MAX_SKEW_S) for chain in CHAINS},
        reorgs=_reorgs(source),
        spikes=_spikes(source, fees),
        rough=rough,
        strangers=frozenset(one for one in Stranger if source.random() < 0.1),
        repeats=frozenset(chain for chain in CHAINS if source.random() < 0.5),
        allowances=frozenset(chain for chain in CHAINS if source.random() < 0.4),
        stepwise=frozenset(chain for chain in CHAINS if source.random() < 0.4),
        early_refunds=source.random() < 0.5,
        attests=source.random() < 0.4,
        regulator=source.choice((None, None, True, False)),
        at_s={one: source.uniform(5, STORY_S) * (SOON if one is Rough.USED_ELSEWHERE else 1) for one in sorted(rough)},
        aims=(
            *_aims(random.Random(f"aims/{seed}"), AIMED, MAX_AIMS),
            *_aims(random.Random(f"aims at funding/{seed}"), AIMED_AT_FUNDING, MAX_AIMS_AT_FUNDING),
            *_starved_until_expired(random.Random(f"expiring/{seed}")),
            *_left_out_of_a_batch(random.Random(f"batch/{seed}")),
            *_failed_once(random.Random(f"failed once/{seed}")),
        ),
        narrow=random.Random(f"narrow/{seed}").random() < NARROW_SHARE,
        bending=random.Random(f"bending/{seed}").random() < BENDING_SHARE,
    )
    plan = replace(plan, deals=_undone(random.Random(f"undone/{seed}"), plan.deals))
    plan = _with_moods(random.Random(f"moods/{seed}"), plan)
    plan = _with_hiding(random.Random(f"hiding/{seed}"), plan)
    plan = _with_later_lies(random.Random(f"later lies/{seed}"), plan)
    if any(aim.trouble is Trouble.PAUSED and aim.act in (Act.LOCK, Act.FUND) for aim in plan.aims):
        # It takes a while to find out about a pause: slow blocks put as much between a lock and what follows it.
        plan = replace(plan, block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S))
    if any(party.lie is Lie.PENDING for party in plan.parties):
        # What that lie is about has to come to pass: something that waits nowhere any more.
        # Where nothing is outbid: that would send it again.
        forgotten = tuple(Aim(Trouble.EVICTED, Act.LOCK, number, 0.0) for number in (1, 2, 3))
        plan = replace(plan, aims=(*plan.aims, *forgotten), fees=frozenset(), spikes=())
    if Rough.DATABASE_AWAY in rough:
        away = Outage(plan.at_s[Rough.DATABASE_AWAY], AWAY_S, full=source.random() < 0.5)
        failing = replace(plan.relayers[0], outages=(away,), deaths=())
        plan = replace(plan, relayers=(failing, *plan.relayers[1:]))
    if Rough.PROVIDER_VANISHES in rough or any(deal.watched for deal in plan.deals):
        tower = _party(source, "tower", POLICY.participant_outage_s)
        object.__setattr__(plan, "tower", tower)
    if random.Random(f"short/{seed}").random() < SHORT_SHARE:
        plan = replace(plan, rough=plan.rough | {Rough.SHORT_PURSE})
    plan = _with_dear_blocks(random.Random(f"dear/{seed}"), plan)
    if (clocks := random.Random(f"clock/{seed}")).random() < CLOCK_SHARE:
        plan = _with_wrong_clock(clocks, plan)
    if (pauses := random.Random(f"an operator pauses/{seed}")).random() < PAUSED_SHARE and not plan.rough & FORGETFUL:
        at_s = {**plan.at_s, Rough.OPERATOR_PAUSES: pauses.uniform(5, STORY_S)}
        plan = replace(plan, rough=plan.rough | {Rough.OPERATOR_PAUSES}, at_s=at_s)
    if (lost := random.Random(f"from the chains/{seed}")).random() < FROM_CHAIN_SHARE and not plan.rough & UNLED:
        # Nothing else keeps it away meanwhile: whoever reads the chains at once loses nothing.
        first = replace(plan.relayers[0], deaths=(), outages=(), locked=0.0)
        plan = replace(
            plan,
            rough=plan.rough | {Rough.FROM_CHAIN},
            at_s={**plan.at_s, Rough.FROM_CHAIN: lost.uniform(0, STORY_S) * (SOON if plan.small else 1)},
            relayers=(first, *plan.relayers[1:]),
            deals=tuple(replace(one, provider_dies=False) for one in plan.deals),
        )
    if (together := random.Random(f"together/{seed}")).random() < TOGETHER_SHARE and plan.batches:
        plan = _together(together, plan)
    if random.Random(f"ledger/{seed}").random() < LEDGER_SHARE:
        plan = _on_ledger(plan)
    plan = _in_a_small_town(plan) if plan.small else plan
    plan = replace(
        plan,
        withdrawals=treasury.drawn(random.Random(f"withdrawals/{seed}"), plan),
        watchful=random.Random(f"watchful/{seed}").random() < WATCHFUL_SHARE,
    )
    plan = replace(plan, pricing=_pricing(random.Random(f"pricing/{seed}"), plan))
    plan = _with_latecomers(random.Random(f"latecomers/{seed}"), plan)
    plan = _led(random.Random(f"leading/{seed}"), plan)
    return _with_restored_store(random.Random(f"a store/{seed}"), plan)


def _with_restored_store(source: random.Random, plan: Plan) -> Plan:
    """The same story with an initiator whose store is lost in the midst of its only swap, and was copied before it."""
    mine = [one.number for one in plan.deals if one.relayer == 0 and one.style is Style.HONEST]
    if source.random() >= STORE_SHARE or plan.rough or plan.leading is not None or not mine:
        return plan
    kept = (Style.HONEST, Style.COPIED)
    deals = tuple(one for one in plan.deals if one.number == mine[0] or one.relayer or one.style not in kept)
    dapp = replace(plan.dapps[0], deaths=(), outages=(), locked=0.0)
    return replace(
        plan,
        rough=plan.rough | {Rough.STORE_RESTORED},
        at_s={**plan.at_s, Rough.STORE_RESTORED: source.choice((0.0, source.uniform(0, 3), source.uniform(3, 12)))},
        deals=deals,
        dapps=(dapp, *plan.dapps[1:]),
    )


def _pricing(source: random.Random, plan: Plan) -> Pricing | None:
    """Of a price that jumps, and stands still, while people ask for it."""
    if source.random() >= PRICED_SHARE:
        return None
    story_s = STORY_S / SOONER if plan.small else STORY_S
    return Pricing(
        jump_at_s=source.uniform(3, story_s),
        jump_for_s=source.choice((0, 4, 15)),
        jump_percent=source.choice((60, 90, 110, 160)),
        stall_at_s=source.uniform(3, story_s),
        stall_for_s=source.choice((0, 5, 35)),
        flaky=source.choice((0.0, 0.1, 0.4)),
    )


def _led(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with two processes of the first relayer, one of which falls: that, and nothing else
    that would have it away for longer than is promised."""
    if source.random() >= LED_SHARE or plan.rough & UNLED:
        return plan
    first = replace(plan.relayers[0], deaths=(), outages=(), locked=0.0)
    fall = source.choice(list(Fall))
    is_aimed = source.random() < AIMED_FALL_SHARE
    return replace(
        plan,
        relayers=(first, *plan.relayers[1:]),
        deals=tuple(replace(one, provider_dies=one.provider_dies and one.relayer > 0) for one in plan.deals),
        leading=Leading(
            fall,
            at_s=source.uniform(5, 2 * STORY_S),
            for_s=source.uniform(*FALLEN_S),
            funding=source.randint(1, max(1, len(plan.deals) // 2)) if is_aimed else 0,
        ),
    )


def _with_latecomers(source: random.Random, plan: Plan) -> Plan:
    """The same story with people who come while relayers should have noticed that something is wrong, and after it."""
    began = [plan.at_s[one] for one in sorted(plan.rough & NOTICED)]
    began += [plan.pricing.stall_at_s] if plan.pricing is not None and plan.pricing.stall_for_s > MAX_AGE_S else []
    if not began:
        return plan
    began_s = min(began)
    later = tuple(
        replace(
            source.choice(plan.deals),
            number=max(one.number for one in plan.deals) + number,
            style=Style.HONEST,
            amount=source.randint(*LITTLE),
            start_s=began_s + source.uniform(*LATE_S),
            watched=False,
            late_watch=False,
            undone=False,
            twice=False,
            public=False,
            provider_dies=False,
        )
        for number in range(1, LATECOMERS + 1)
    )
    return replace(plan, deals=(*plan.deals, *later))


def _in_a_small_town(plan: Plan) -> Plan:
    """The beginning of the same story, with its first provider."""
    source = random.Random(f"small/{plan.seed}")
    first = plan.deals[: source.randint(MIN_FEW, MAX_FEW)]
    deals = tuple(replace(one, relayer=0, start_s=one.start_s / SOONER) for one in first)
    deals = _twice(random.Random(f"twice/{plan.seed}"), deals)
    crowd = random.Random(f"crowded/{plan.seed}")
    if crowd.random() < CROWDED_SHARE or plan.narrow:
        deals = _crowded(crowd, deals)
    if plan.narrow and not plan.rough:
        deals = _held(random.Random(f"held/{plan.seed}"), deals)
    elif not plan.rough:
        deals = _beyond_limits(random.Random(f"beyond limits/{plan.seed}"), deals)
    relayers, dapps = (_few_endpoints(plan.relayers[0]),), (_few_endpoints(plan.dapps[0]),)
    is_watched = Rough.PROVIDER_VANISHES in plan.rough or any(one.watched for one in deals)
    named = {one.name for one in (*relayers, *dapps)}
    return replace(
        plan,
        deals=deals,
        relayers=relayers,
        dapps=dapps,
        tower=_few_endpoints(plan.tower) if plan.tower is not None and is_watched else None,
        clock_of=plan.clock_of if plan.clock_of in named else relayers[0].name if plan.clock_of else "",
    )


def _crowded(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, all of them for one pair of assets, and for amounts that come near limits and inventory."""
    first = deals[0]
    return tuple(
        replace(one, coin=first.coin, first=first.first, amount=source.randint(MIN_MUCH, MAX_MUCH)) for one in deals
    )


def _held(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, or of the first two only one can be answered at a time: a cheat proves that they could pay for
    nearly all there is, and never locks; or proves nothing, locks before the other, and vanishes."""
    if source.random() >= HELD_SHARE:
        return deals
    first, second = (
        replace(one, watched=False, late_watch=False, undone=False, twice=False, public=False, provider_dies=False)
        for one in deals[:2]
    )
    style, amount, start_s = source.choice(((Style.NEVER_LOCKS, MIN_MUCH, 1.0), (Style.VANISHES, MAX_MUCH, 0.3)))
    first = replace(first, style=style, amount=HELD_AMOUNT, start_s=0.0)
    return (first, replace(second, style=Style.HONEST, amount=amount, start_s=start_s), *deals[2:])


def _together(source: random.Random, plan: Plan) -> Plan:
    """The same story with its first deals at one moment, for one pair of assets and with the first provider."""
    second = source.choice(sorted(plan.batches & plan.fees or plan.batches))
    first = next(chain for chain in CHAINS if chain != second)
    deals = [
        replace(one, first=first, coin=True, relayer=0, start_s=1.0, amount=source.randint(1_000, 15_000))
        for one in plan.deals[:TOGETHER]
    ]
    if held_up := source.random() < 0.7:
        cheat = replace(deals[0], style=Style.VANISHES, watched=False, public=False, undone=False, provider_dies=False)
        deals[0] = replace(cheat, blabs=True)
    aims = (Aim(Trouble.STARVED, Act.FUND, 1, source.choice(HELD_UP_S)),) if held_up else ()
    return replace(plan, deals=(*deals, *plan.deals[TOGETHER:]), aims=(*aims, *plan.aims))


def _beyond_limits(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, or three at once that are more than a limit lets be: of one initiator, whom openings count; or of
    three who prove nothing, whom only their locks count."""
    if len(deals) < BEYOND_COUNT or source.random() >= BEYOND_SHARE:
        return deals
    style, amount = source.choice(BEYOND)
    those = tuple(
        replace(
            one,
            first=deals[0].first,
            coin=deals[0].coin,
            style=style,
            amount=amount,
            start_s=number / 10,
            watched=False,
            late_watch=False,
            undone=False,
            twice=False,
            public=False,
            provider_dies=False,
        )
        for number, one in enumerate(deals[:BEYOND_COUNT])
    )
    return (*those, *deals[BEYOND_COUNT:])


def _few_endpoints(party: Party) -> Party:
    """The same party with the fewest endpoints that outvote one of them: each is asked for every head. Next to one that
    hangs the others answer: two of three that say nothing are more than a minority."""
    rates = replace(party.rates, error=0.0) if party.lie is Lie.HANGS else party.rates
    fewer = min(party.operators, FEW_OPERATORS)
    return replace(party, operators=fewer, liar=min(party.liar, FEW_OPERATORS - 1), rates=rates)


def _with_moods(source: random.Random, plan: Plan) -> Plan:
    """The same story with some endpoints' moods, some published preimages, and some late registrations."""

    def moody(party: Party) -> Party:
        return replace(party, moody=source.uniform(0.01, 0.06)) if source.random() < MOODY_SHARE else party

    def changed(deal: Deal) -> Deal:
        public = source.random() < PUBLIC_SHARE and deal.style in (Style.VANISHES, Style.LOCKS_FOR_ANOTHER)
        late = source.random() < LATE_WATCH_SHARE
        return replace(deal, public=public and not deal.watched, late_watch=late and deal.watched)

    return replace(
        plan,
        relayers=tuple(map(moody, plan.relayers)),
        dapps=tuple(map(moody, plan.dapps)),
        deals=tuple(map(changed, plan.deals)),
    )


def _with_hiding(source: random.Random, plan: Plan) -> Plan:
    """The same story with some endpoints that show blocks without what happened in them."""

    def hiding(party: Party) -> Party:
        hides = source.random() < HIDING_SHARE and party.operators > 1 and party.lie is None
        return replace(party, hides=hides)

    return replace(plan, relayers=tuple(map(hiding, plan.relayers)), dapps=tuple(map(hiding, plan.dapps)))


def _with_later_lies(source: random.Random, plan: Plan) -> Plan:
    """The same story with some endpoints that call everything final, or everybody rich."""

    def lying(party: Party) -> Party:
        lies, lie = source.random() < LATER_LIES_SHARE, source.choice(LATER_LIES)
        return replace(party, lie=lie) if lies and party.operators > 1 and not (party.lie or party.hides) else party

    return replace(plan, relayers=tuple(map(lying, plan.relayers)), dapps=tuple(map(lying, plan.dapps)))


def _with_dear_blocks(source: random.Random, plan: Plan) -> Plan:
    """The same story with full blocks while a purse is short: an exit costs more than it did before."""
    if Rough.SHORT_PURSE not in plan.rough or not plan.fees or source.random() >= DEAR_SHARE:
        return plan
    chain = source.choice(sorted(plan.fees))
    return replace(plan, spikes=(*plan.spikes, Spike(chain, source.uniform(*DEAR_FROM_S), MAX_SPIKE_BLOCKS)))


def _with_wrong_clock(source: random.Random, plan: Plan) -> Plan:
    """The same story with a clock that is off by more than any chain's time may be."""
    return replace(
        plan,
        rough=plan.rough | {Rough.CLOCK_WRONG},
        at_s={**plan.at_s, Rough.CLOCK_WRONG: source.uniform(5, STORY_S)},
        clock_of=source.choice([party.name for party in (*plan.relayers, *plan.dapps)]),
        clock_off_s=source.choice((-1, 1)) * source.randint(MIN_CLOCK_OFF_S, MAX_CLOCK_OFF_S),
    )


def _on_ledger(plan: Plan) -> Plan:
    """The same story with the ledger for B, and with what befalls a ledger instead of what does not."""
    source = random.Random(f"restarts/{plan.seed}")
    return replace(
        plan,
        ledger=True,
        fees=plan.fees - {B},
        expiries=plan.expiries | {B},
        batches=plan.batches - {B},
        reorgs=tuple(one for one in plan.reorgs if one.chain != B),
        spikes=tuple(one for one in plan.spikes if one.chain != B),
        restarts=tuple(sorted(source.uniform(1, 2 * STORY_S) for _ in range(source.randint(0, MAX_RESTARTS)))),
    )


def _deals(source: random.Random, relayers: int, vanishes: bool) -> tuple[Deal, ...]:
    count = source.randint(MIN_DEALS, MAX_DEALS)
    styles = source.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=count)
    return tuple(
        Deal(
            number=number,
            first=source.choice(CHAINS),
            coin=source.random() < 0.6,
            amount=source.randint(100, 100_000) * 3 // 5,
            start_s=source.uniform(0, STORY_S) if source.random() < 0.6 else 1.0,
            style=style,
            relayer=source.randrange(relayers),
            watched=vanishes or source.random() < 0.2,
            before_timelock_s=source.uniform(1.5, 8.0),
            provider_dies=style is Style.LAST_SECOND and source.random() < 0.4,
        )
        for number, style in enumerate(styles)
    )


def _undone(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, of some of which the cheat's claim does not stay. None of those is watched: to a tower a swap in
    which one leg is claimed and the other refunded is lost, whoever lost it."""
    can = {deal.number for deal in deals if deal.style is Style.LAST_SECOND and not deal.watched}
    return tuple(replace(deal, undone=deal.number in can and source.random() < UNDONE_SHARE) for deal in deals)


def _twice(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, on some of which the cheat locks a second time."""
    late = [deal.number for deal in deals if deal.style is Style.LAST_SECOND and source.random() < TWICE_SHARE]
    return tuple(replace(deal, twice=deal.number in late) for deal in deals)


def _party(source: random.Random, name: str, outage_s: float) -> Party:
    operators, kind = source.choice((1, 1, 3, 3, 5)), name.split("-", maxsplit=1)[0]
    trouble, longest_s = source.random(), outage_s - COME_BACK_S
    outage = Outage(source.uniform(2, 2 * STORY_S), source.uniform(1, longest_s), full=source.random() < 0.5)
    moods = random.Random(f"fickle/{name}/{outage.at_s}")
    return Party(
        name=name,
        operators=operators,
        lie=source.choice((*LIES, Lie.FROM_THE_PAST)) if operators > 1 and source.random() < 0.7 else None,
        rates=_rates(source),
        # One at a time: together they would be longer than what is promised.
        deaths=_deaths(source, kind, longest_s) if trouble < 0.6 else (),
        outages=(outage,) if trouble > 0.8 else (),
        locked=source.choice((0.0, 0.0, 0.01, 0.03)),
        liar=source.randrange(operators),
        fickle=moods.uniform(0.02, 0.1) if moods.random() < FICKLE_SHARE else 0.0,
    )


def _rates(source: random.Random) -> FaultRates:
    if source.random() < 0.4:
        return FaultRates()
    return FaultRates(
        error=source.uniform(0, 0.005),
        lost_reply=source.uniform(0, 0.2),
        latency_s=(0.0, source.choice((0.0, 0.02, 0.1))),
        repeat_head=source.uniform(0, 0.2),
        drop_head=source.uniform(0, 0.1),
        late_head=source.uniform(0, 0.1),
    )


def _deaths(source: random.Random, kind: str, longest_s: float) -> tuple[Death, ...]:
    outage_s, after = source.uniform(0, longest_s), source.random() < 0.5
    match source.choice(("commit", "commit", "commit", "sending", "time")):
        case "commit":
            commit = source.choice(COMMITS_OF[kind])
            count = source.randint(1, 3 if commit in RARE_COMMITS else 30)
            return (Death(outage_s, commit=commit, count=count, after=after),)
        case "sending":
            return (Death(outage_s, sending=source.choice(SENDINGS), count=source.choice((1, 1, 2)), after=after),)
        case _:
            return (Death(outage_s, at_s=source.uniform(2, 2 * STORY_S)),)


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


def _reorgs(source: random.Random) -> tuple[Reorg, ...]:
    count = source.choice((0, 0, 1, 2, MAX_REORGS))
    found = (
        Reorg(source.choice(CHAINS), source.uniform(1, 2 * STORY_S), source.randint(1, FINALITY_DEPTH), source.random())
        for _ in range(count)
    )
    return tuple(sorted(found, key=lambda reorg: reorg.at_s))


def _spikes(source: random.Random, fees: frozenset[ChainId]) -> tuple[Spike, ...]:
    return tuple(
        Spike(source.choice(sorted(fees)), source.uniform(1, 2 * STORY_S), source.randint(3, MAX_SPIKE_BLOCKS))
        for _ in range(source.choice((0, 1, 2)) if fees else 0)
    )
