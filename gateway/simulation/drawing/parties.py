"""The parties that are drawn: how they fail, and what their endpoints and signers do."""

import random
from dataclasses import replace
from typing import Final

from adapters.memory import FaultRates
from gateway.simulation.drawing.deals import plain
from gateway.simulation.plan import (
    COME_BACK_S,
    COMMITS_OF,
    SENDINGS,
    STORY_S,
    Act,
    Aim,
    Branching,
    Deal,
    Death,
    Lie,
    Outage,
    Party,
    Plan,
    Style,
    Trouble,
    Twist,
)

LATER_LIES: Final = (Lie.FINAL, Lie.RICH)
"""Drawn from a source of their own, since they came later."""
OF_BALANCES: Final = (Lie.RICH, Lie.POOR)
"""The lies that matter to relayers with little of what they pay out."""
OF_BALANCES_SHARE: Final = 0.5
"""Of narrow relayers with several endpoints, those one of which lies about balances."""
LIES: Final = tuple(one for one in Lie if one not in (*LATER_LIES, Lie.POOR, Lie.ADDS, Lie.DROPPED, Lie.BRANCH))
OF_TRANSACTIONS: Final = (Lie.DROPPED, Lie.DROPPED, Lie.REFUSES)
OF_TRANSACTIONS_SHARE: Final = 0.08
"""Of small towns in which something is slow and nothing rough comes, those whose relayer asks somebody who lies about
transactions."""
MOODIEST_SHARE: Final = 0.12
"""Of the same, those in which the only endpoint of the relayer, or of the dApp, refuses most locks that it takes."""
MOODIEST: Final = (0.06, 0.1)
AMID_SHARE: Final = 0.25
"""Of small towns in which something is slow and nothing rough comes, and whose first swap is an honest pair's, those in
which its relayer dies amid an effect."""
UNHEARD_SHARE: Final = 0.45
"""Of small towns in which nothing rough comes, and whose databases are locked now and then, those in which they commit
and cannot say so."""
UNHEARD: Final = (0.02, 0.06)
BETWEEN_SHARE: Final = 0.15
"""Of the same, those in which somebody dies for a moment right after one of the first effects began or ended."""
FIRST_EFFECTS: Final = 6
A_MOMENT_S: Final = (0.0, 3.0)
LAGGING_SHARE: Final = 0.1
"""Of the same, those whose endpoints know of a transaction a little later than they count it."""
BALANCED_SHARE: Final = 0.2
"""Of the same, those in which the endpoints of honest operators have many nodes, some of which are a block behind."""
BEHIND, MOSTLY_BEHIND = (0.1, 0.4), (0.35, 0.5)
MANY_SHARE: Final = 0.6
"""Of these, the ones in which such parties ask several operators, most of which may be behind at a time."""
LAGS_S: Final = 0.4
"""Less than it takes to look as often as somebody else's use of a sequence needs."""
BRANCH_SHARE: Final = 0.2
"""Of towns in which something is slow and nothing rough comes, those in which somebody's endpoint has a branch of its
own."""
BRANCHES_OFF_S: Final = (8.0, 30.0)
"""When it parts from the true chain, if it follows that at first."""
FASTER: Final = (0.0, 0.3)
LATER_LIES_SHARE: Final = 0.5
"""Of parties with several operators none of which lies or hides anything, those that have such a liar."""
RARE_COMMITS: Final = frozenset({"place", "account", "signature", "agreement", "store"})
FICKLE_SHARE: Final = 0.3
"""Of parties, those whose signer does not always answer, or not in words that anybody knows."""
MOODY_SHARE: Final = 0.15
"""Of parties, those whose endpoints now and then refuse what they took."""
HIDING_SHARE: Final = 0.4
"""Of parties with several operators none of which lies, those of which one hides what happened in blocks."""
CALM_SHARE: Final = 0.12
SMALL_CALM_SHARE: Final = 0.18
"""Of towns, those in which nothing is slow."""
CALM_REVEAL_SHARE: Final = 0.4
UNTIL_REVEAL_S: Final = (22.0, 32.0)
"""How long a provider's lock waits, for a block that makes it final about when the reveal's gate closes."""
UNTIL_FUNDING_S: Final = (0.5, 6.0)
"""How long before the provider's gate closes a cheat's lock becomes final, more or less."""
FEW_OPERATORS: Final = 3
"""How many endpoints a party of a small town has at most."""


def party_of(source: random.Random, name: str, outage_s: float) -> Party:
    """A party that is never away for longer than `outage_s` at a time."""
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


def with_moods(source: random.Random, plan: Plan) -> Plan:
    """The same story with some endpoints' moods."""

    def moody(party: Party) -> Party:
        return replace(party, moody=source.uniform(0.01, 0.06)) if source.random() < MOODY_SHARE else party

    return replace(plan, relayers=tuple(map(moody, plan.relayers)), dapps=tuple(map(moody, plan.dapps)))


def with_hiding(source: random.Random, plan: Plan) -> Plan:
    """The same story with some endpoints that show blocks without what happened in them."""

    def hiding(party: Party) -> Party:
        hides = source.random() < HIDING_SHARE and party.operators > 1 and party.lie is None
        return replace(party, hides=hides)

    return replace(plan, relayers=tuple(map(hiding, plan.relayers)), dapps=tuple(map(hiding, plan.dapps)))


def with_later_lies(source: random.Random, plan: Plan) -> Plan:
    """The same story with some endpoints that call everything final, or everybody rich."""

    def lying(party: Party) -> Party:
        lies, lie = source.random() < LATER_LIES_SHARE, source.choice(LATER_LIES)
        return replace(party, lie=lie) if lies and party.operators > 1 and not (party.lie or party.hides) else party

    return replace(plan, relayers=tuple(map(lying, plan.relayers)), dapps=tuple(map(lying, plan.dapps)))


def with_lies_about_balances(source: random.Random, plan: Plan) -> Plan:
    """If relayers have little, the same story with some endpoints that make more of it, or less."""

    def lying(party: Party) -> Party:
        lies, lie, operators = source.random() < OF_BALANCES_SHARE, source.choice(OF_BALANCES), party.operators
        operators = max(operators, FEW_OPERATORS) if plan.small else operators
        return replace(party, lie=lie, hides=False, operators=operators) if lies and operators > 1 else party

    return replace(plan, relayers=tuple(map(lying, plan.relayers))) if plan.narrow else plan


def with_lies_about_transactions(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and one of the relayer's three endpoints has heard of no transaction, or says
    that each would fail."""
    if source.random() >= OF_TRANSACTIONS_SHARE or not plan.small or plan.rough or plan.is_calm:
        return plan
    first = plan.relayers[0]
    lie, liar = source.choice(OF_TRANSACTIONS), source.randrange(FEW_OPERATORS)
    liar = 0 if lie is Lie.DROPPED else liar  # whoever answers first is heard first
    lying = replace(first, lie=lie, liar=liar, hides=False, operators=FEW_OPERATORS)
    return replace(plan, relayers=(lying, *plan.relayers[1:]))


def with_lagging_endpoints(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and endpoints look transactions up in an index that lags behind their
    blocks."""
    if source.random() >= LAGGING_SHARE or not plan.small or plan.rough or plan.is_calm:
        return plan
    relayers, dapps = (tuple(replace(one, lags_s=LAGS_S) for one in those) for those in (plan.relayers, plan.dapps))
    return replace(plan, relayers=relayers, dapps=dapps)


def with_deaths_between_effects(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and a relayer or a dApp that would never be away dies right after one of its
    first effects began, or ended, and is back at once: what was not stored with that is lost, and everything has to go
    on."""
    busy = plan.rough or plan.is_calm or plan.leading is not None or plan.signing is not None
    if source.random() >= BETWEEN_SHARE or not plan.small or busy:
        return plan
    death = Death(source.uniform(*A_MOMENT_S), commit="effect", count=source.randint(1, FIRST_EFFECTS))
    lively = [one for one in (plan.relayers[0], plan.dapps[0]) if not (one.deaths or one.outages)]
    mortal = source.choice(lively) if lively else None

    def dying(party: Party) -> Party:
        return replace(party, deaths=(death,)) if party is mortal else party

    return replace(plan, relayers=tuple(map(dying, plan.relayers)), dapps=tuple(map(dying, plan.dapps)))


def with_deaths_amid_an_effect(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and a relayer dies right after its first commit that is about an effect and
    changes no swap: what came of an effect belongs to its end."""
    busy = plan.rough or plan.is_calm or plan.leading is not None or plan.signing is not None
    mortal, first = plan.relayers[0], plan.deals[0]
    if source.random() >= AMID_SHARE or not plan.small or busy or mortal.deaths or mortal.outages:
        return plan
    if first.style is not Style.HONEST or first.doubt is not None:
        return plan  # what was lost is missed by whoever waits for it
    death = Death(source.uniform(*A_MOMENT_S), commit="effect", alone=True)
    return replace(plan, relayers=(replace(mortal, deaths=(death,)), *plan.relayers[1:]))


def with_unheard_commits(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and those whose databases are locked now and then do not hear of some commits
    either: whoever cannot know if something was stored looks again."""
    busy = plan.rough or plan.leading is not None or plan.signing is not None
    if source.random() >= UNHEARD_SHARE or not plan.small or busy:
        return plan
    unheard = source.uniform(*UNHEARD)

    def deaf(party: Party) -> Party:
        return replace(party, unheard=unheard) if party.locked else party

    return replace(plan, relayers=tuple(map(deaf, plan.relayers)), dapps=tuple(map(deaf, plan.dapps)))


def with_refused_locks(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and somebody's only endpoint takes most locks, and says that it does not:
    they are in blocks, or wait for one, all the same."""
    if source.random() >= MOODIEST_SHARE or not plan.small or plan.rough or plan.is_calm:
        return plan
    moody, relays = source.uniform(*MOODIEST), source.random() < 0.7

    def alone(party: Party) -> Party:
        return replace(party, moody=moody, operators=1, liar=0, lie=None, branching=None, hides=False)

    if relays:
        return replace(plan, relayers=(alone(plan.relayers[0]), *plan.relayers[1:]))
    return replace(plan, dapps=(alone(plan.dapps[0]), *plan.dapps[1:]))


def with_nodes_behind(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and of the nodes that answer for an endpoint some are a block behind."""
    if source.random() >= BALANCED_SHARE or not plan.small or plan.rough or plan.is_calm:
        return plan

    many = source.random() < MANY_SHARE

    def balanced(party: Party) -> Party:
        behind, operators = (
            source.uniform(*(MOSTLY_BEHIND if many else BEHIND)),
            FEW_OPERATORS if many else party.operators,
        )
        honest = party.lie is None and not party.hides
        return replace(party, behind=behind, operators=operators) if honest else party

    return replace(plan, relayers=tuple(map(balanced, plan.relayers)), dapps=tuple(map(balanced, plan.dapps)))


def with_branches(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and one of the endpoints of somebody who had no liar has a chain of its own, from
    the beginning or from later on."""
    honest = [one for one in (plan.relayers[0], plan.dapps[0]) if one.lie is None and not one.hides and not one.is_calm]
    if source.random() >= BRANCH_SHARE or plan.rough or not honest:
        return plan
    branching = Branching(
        source.choice((0.0, source.uniform(*BRANCHES_OFF_S))), source.choice(list(Twist)), source.choice(FASTER)
    )
    party, liar = source.choice(honest), source.choice((0, 0, 1, 2))
    operators = max(party.operators, FEW_OPERATORS)

    def lying(one: Party) -> Party:
        return (
            replace(one, lie=Lie.BRANCH, branching=branching, liar=liar, operators=operators) if one == party else one
        )

    return replace(plan, relayers=tuple(map(lying, plan.relayers)), dapps=tuple(map(lying, plan.dapps)))


def with_nothing_slow(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and nothing that anybody stands on is slow or fails: gates are held against their
    very second there. Cheats lock so late that the provider finds its gate about to close. In small towns the
    provider's own lock waits until the reveal's gate is, or everybody is honest, and goes on late."""
    if source.random() >= (SMALL_CALM_SHARE if plan.small else CALM_SHARE) or plan.rough or plan.leading is not None:
        return plan
    aims, deals = plan.aims, tuple(_locking_late(source, one) if _is_alone(one) else one for one in plan.deals)
    if plan.small and source.random() < CALM_REVEAL_SHARE:
        aims, deals = (Aim(Trouble.STARVED, Act.FUND, 1, source.uniform(*UNTIL_REVEAL_S)),), plan.deals
    elif plan.small and plan.narrow:
        deals = plan.deals
    elif plan.small:
        deals = tuple(replace(plain(one), style=Style.HONEST) if _is_alone(one) else one for one in plan.deals)
    return replace(
        plan,
        relayers=tuple(Party(one.name, one.operators, None, FaultRates()) for one in plan.relayers),
        dapps=tuple(Party(one.name, one.operators, None, FaultRates()) for one in plan.dapps),
        aims=aims,
        deals=deals,
    )


def _is_alone(deal: Deal) -> bool:
    """True for somebody who belongs to no gang, and hands no preimage on."""
    return deal.gives_as is None and deal.is_paid_as is None and not deal.blabs


def _locking_late(source: random.Random, deal: Deal) -> Deal:
    """The same deal of a cheat who locks about when the provider's gate closes; an honest one's stays."""
    if deal.style in (Style.HONEST, Style.COPIED):
        return deal
    return replace(
        deal,
        style=Style.LOCKS_LATE,
        watched=False,
        late_watch=False,
        provider_dies=False,
        before_timelock_s=source.uniform(*UNTIL_FUNDING_S),
    )


def with_first_undisturbed(plan: Plan) -> Plan:
    """The same story, and the first relayer is never away, nor is its database locked."""
    first = replace(plan.relayers[0], deaths=(), outages=(), locked=0.0)
    return replace(plan, relayers=(first, *plan.relayers[1:]))


def with_few_endpoints(party: Party) -> Party:
    """The same party with the fewest endpoints that outvote one of them: each is asked for every head. Next to one that
    hangs the others answer: two of three that say nothing are more than a minority."""
    rates = replace(party.rates, error=0.0) if party.lie is Lie.HANGS else party.rates
    fewer = min(party.operators, FEW_OPERATORS)
    return replace(party, operators=fewer, liar=min(party.liar, FEW_OPERATORS - 1), rates=rates)
