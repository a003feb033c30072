"""Switches that come by themselves: nothing is offered where a chain, or the own clock, is not to be trusted; and they
go once it is."""

from collections.abc import Iterator
from typing import Final

from core.runtime.clock import NS_PER_S
from gateway.simulation.plan import POLICY, TIMING, Rough
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.verdict.trust import NOTICE_S, has_never_seen, knows_no_better
from relayer.switches import Cause, Switch, scope_of_chain

LOOKS_S: Final = 6.0
"""How long a guard may take to see what is there: two looks, and answers that are late."""
STALL_S: Final = 2 * TIMING.finality_s + TIMING.inclusion_s + TIMING.observation_s + LOOKS_S
"""How long nothing may have become final until a relayer offers nothing more."""
LASTS_S: Final = 40.0
"""How long a switch may stand though its reason is gone, and how long one must have stood to be looked at."""


def problems(record: Record) -> Iterator[Problem]:
    """Every offer that should not have been made, and every switch that stays for nothing."""
    if record.plan.guarded:
        for deal in record.agreed:
            yield from _offered(record, deal)
        yield from _stuck(record)


def _offered(record: Record, deal: Agreed) -> Iterator[Problem]:
    """As of the quote, which comes before everything else."""
    quoted_s = deal.lock_deadline_s - POLICY.lock_s
    chains, who = {leg.chain for leg in deal.legs}, f"{deal.relayer} (deal {deal.deal.number})"
    if record.was_away(deal.relayer, quoted_s - LASTS_S, quoted_s):
        return  # it has to look for as long as that first
    if deal.relayer != record.plan.clock_of:
        for chain, since_s, until_s in record.world.stalled:
            if chain in chains and since_s + STALL_S < quoted_s < until_s:
                text = f"{who} quotes {quoted_s - since_s:.0f} s after {chain} made nothing final any more"
                yield Problem(Kind.OFFERED_ON_TROUBLE, text)
        for chain in chains & record.world.deep.keys():
            reorg = record.world.deep[chain]
            unknown = knows_no_better(record, deal.relayer, reorg) or has_never_seen(record, deal.relayer, reorg)
            if quoted_s > reorg.at_s + NOTICE_S + LOOKS_S and not unknown:
                text = f"{who} quotes though {chain} has replaced a finalized block"
                yield Problem(Kind.OFFERED_ON_TROUBLE, text)
    elif Rough.CLOCK_WRONG in record.plan.rough:
        wrong_s = record.world.clock.now() - record.world.seconds + record.plan.at_s[Rough.CLOCK_WRONG]
        if deal.agreed_at_s > wrong_s + LOOKS_S + LASTS_S / 2:
            yield Problem(Kind.OFFERED_ON_TROUBLE, f"{who} agrees though its clock contradicts both chains")


def _stuck(record: Record) -> Iterator[Problem]:
    now_s = record.world.clock.now()
    for relayer in record.relayers:
        service = relayer.last_service
        if service is None or record.was_away(relayer.name, now_s - LASTS_S, now_s):
            continue
        for switch in service.switches.own:
            if now_s - switch.since_ns / NS_PER_S > LASTS_S and not _holds(record, relayer.name, switch, now_s):
                text = f"{relayer.name} has stood still since {now_s - switch.since_ns / NS_PER_S:.0f} s for nothing"
                yield Problem(Kind.SWITCH_STUCK, f"{text}: {switch.sentence}")


def _holds(record: Record, name: str, switch: Switch, now_s: float) -> bool:
    """The reason is still there, or was until a while ago."""
    match switch.cause:
        case Cause.CLOCK_SKEW if name == record.plan.clock_of:
            return True
        case Cause.FINALITY_STALL | Cause.CLOCK_SKEW:  # what is final at once stands still as a whole: its time, too
            return any(
                scope_of_chain(chain) == switch.scope and now_s < until + LASTS_S
                for chain, _, until in record.world.stalled
            )
        case Cause.DEEP_REORG:
            return any(scope_of_chain(chain) == switch.scope for chain in record.world.deep)
        case _:  # what endpoints say, and what gas costs, may change at any time
            return True
