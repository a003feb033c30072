"""The verdict: a story that nothing is wrong with is left alone, and every kind of problem is found if planted."""

from contextvars import Context
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import inf
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.memory import FaultRates
from core.model.transactions import FeeBid
from core.model.types import (
    Asset,
    BaseUnits,
    ChainId,
    ChainTime,
    Height,
    LockTerms,
    Preimage,
    PublicPreimage,
    Seconds,
)
from core.runtime import journal
from core.runtime.clock import run_virtually
from gateway.simulation import traces
from gateway.simulation.campaign import report
from gateway.simulation.feeds import KNOWN_AFTER, Price
from gateway.simulation.ledger import PlayedLedger
from gateway.simulation.logbook import HEARD, note
from gateway.simulation.plan import CHAINS, FINALITY_DEPTH, MAX_PENDING_S, TIMING, A, B, Doubt, Rough, Style
from gateway.simulation.process import MOST
from gateway.simulation.story import play
from gateway.simulation.verdict import exits, gates, switches, trust
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import ROUNDED_S, Agreed, CalledOff, Record
from gateway.simulation.verdict.secrets import holds
from gateway.simulation.world import CALM_FEES, COIN, GAS, TOKEN, DeepReorg
from htlc import codec, events
from htlc.model import Leg, Role
from relayer.pump.tables import relayer_swaps
from tests.simulation import planted_operators, planted_outcomes
from tests.simulation.stage import FEE, PREIMAGE, Stage, deal, plan


async def initiator_lost(stage: Stage) -> None:
    """The provider claims, and the initiator's own claim never comes."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)
    await stage.pass_to(agreed.participant_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)


async def initiator_locked_twice(stage: Stage) -> None:
    agreed = await stage.played()
    # By hand: what the wire has not seen, the chain has.
    again = replace(agreed.initiator_leg, amount=BaseUnits(1))
    unsigned, place = stage.lock_of(again, 1)
    stage.world.memory[A].take(await stage.sign(stage.dapp, unsigned))
    stage.mine()
    await stage.pass_to(again.timelock.seconds + 1)
    await stage.refund(stage.dapp, again, place)


async def provider_lost(stage: Stage) -> None:
    """The initiator claims, and the provider sleeps until the refund."""
    agreed = await stage.open(style=Style.LAST_SECOND, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def provider_locked_twice(stage: Stage) -> None:
    agreed = await stage.played()
    again = replace(agreed.participant_leg, amount=BaseUnits(1))
    unsigned, place = stage.lock_of(again, 1)
    stage.world.memory[B].take(await stage.sign(stage.relayer, unsigned, expiry=100))
    stage.mine()
    await stage.pass_to(again.timelock.seconds + 1)
    await stage.refund(stage.relayer, again, place)


async def not_conserved(stage: Stage) -> None:
    await stage.played()
    stage.world.memory[B].fund(stage.dapp.accounts[B], TOKEN[B], 5)
    stage.mine()


async def fee_beyond_bound(stage: Stage) -> None:
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg, fee=FeeBid(41_000, 100))
    await _meet(stage, agreed, first)


async def gas_beyond_bound(stage: Stage) -> None:
    """A tip as high as this is paid, though the bid is within bounds."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg, fee=FeeBid(39_000, 38_000))
    await _meet(stage, agreed, first)


async def exposure_in_all(stage: Stage) -> None:
    """Two receivers, two windows, together more than the limit."""
    await _locked_at_once(stage, MOST.per_counterparty - 40_000, gap_of_windows=True, same_receiver=False)


async def exposure_to_one(stage: Stage) -> None:
    await _locked_at_once(stage, MOST.per_counterparty // 2 + 10_000, gap_of_windows=True, same_receiver=True)


async def exposure_in_window(stage: Stage) -> None:
    await _locked_at_once(stage, MOST.per_window // 2 + 5_000, gap_of_windows=False, same_receiver=False)


async def _locked_at_once(stage: Stage, amount: int, gap_of_windows: bool, same_receiver: bool) -> None:
    """Two swaps of this amount each, which end by refunds."""
    places = []
    for number in range(2):
        later_s = 600 * number if gap_of_windows else 0
        agreed = await stage.open(amount=amount // 2, quote_s=later_s, style=Style.VANISHES, honest=False)
        whose = stage.tower if number and not same_receiver else stage.dapp
        agreed.initiator_leg = replace(agreed.initiator_leg, sender=whose.accounts[A])
        agreed.participant_leg = replace(agreed.participant_leg, receiver=whose.accounts[B])
        first = await stage.lock(whose, agreed.initiator_leg, number)
        places.append((whose, agreed, first, await stage.lock(stage.relayer, agreed.participant_leg, number)))
    for whose, agreed, first, second in places:
        await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
        await stage.refund(stage.relayer, agreed.participant_leg, second)
        await stage.refund(whose, agreed.initiator_leg, first)


async def exits_unpaid(stage: Stage) -> None:
    """The provider, whose leg is on the chain with fees, locks all but nothing of its purse."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    held = stage.world.chains[A].balance(stage.relayer.accounts[A], COIN[A])
    t_a, t_b = (ChainTime(leg.chain, leg.timelock.seconds) for leg in agreed.legs)
    relayer, dapp = stage.relayer.accounts, stage.dapp.accounts
    hashlock, amount = agreed.hashlock, BaseUnits(held - GAS)
    agreed.initiator_leg = LockTerms(COIN[B], BaseUnits(1), dapp[B], relayer[B], hashlock, ChainTime(B, t_a.seconds))
    agreed.participant_leg = LockTerms(COIN[A], amount, relayer[A], dapp[A], hashlock, ChainTime(A, t_b.seconds))
    place = await stage.lock(stage.dapp, agreed.initiator_leg)
    unsigned, _ = stage.lock_of(agreed.participant_leg)
    stage.note(stage.relayer, A, await stage.sign(stage.relayer, unsigned))
    await stage.pass_to(t_a.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, place)


async def overdrawn(stage: Stage) -> None:
    """The provider signs for a unit more than it holds; nobody mines it."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    held = stage.world.chains[B].balance(stage.relayer.accounts[B], COIN[B])
    agreed.participant_leg = replace(agreed.participant_leg, amount=BaseUnits(held + 1))
    place = await stage.lock(stage.dapp, agreed.initiator_leg)
    unsigned, _ = stage.lock_of(agreed.participant_leg)
    stage.note(stage.relayer, B, await stage.sign(stage.relayer, unsigned))
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, place)


async def both_could_pay(stage: Stage) -> None:
    """A second signed form of the lock, under a sequence of its own, that is never mined."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    unsigned, _ = stage.lock_of(agreed.participant_leg, 1)
    stage.note(stage.relayer, B, await stage.sign(stage.relayer, unsigned, 7))
    await _meet(stage, agreed, first)


async def sequence_reused(stage: Stage) -> None:
    """A claim goes out under the sequence of a lock that was taken and still may be mined."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await _meet(stage, agreed, first)
    legs = stage.world.chains[B].access().legs
    claim = legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[B])
    stage.note(stage.relayer, B, await stage.sign(stage.relayer, claim, 0))


async def exit_lapsed(stage: Stage) -> None:
    """A refund expires, and another one comes only ten blocks later."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    refund = stage.world.chains[B].access().legs.refund(agreed.participant_leg, second, stage.relayer.accounts[B])
    expiry = stage.world.chains[B].height + 2
    stage.note(stage.relayer, B, await stage.sign(stage.relayer, refund, 1, expiry=expiry))
    stage.mine(10)
    stage.sequences[stage.relayer.name, B] = 1
    stage.world.memory[B].take(await stage.sign(stage.relayer, refund))
    stage.mine()
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def quoted_too_short(stage: Stage) -> None:
    await stage.played(quote_s=-1, gap_s=1)


async def quoted_too_long(stage: Stage) -> None:
    await stage.played(gap_s=gates.LONG_S)


async def gap_too_small(stage: Stage) -> None:
    await stage.played(gap_s=-1)


async def other_terms(stage: Stage) -> None:
    """Sign for another payee than was agreed; it is never mined."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    bent = replace(agreed.participant_leg, receiver=stage.tower.accounts[B])
    raw = await stage.sign(stage.relayer, stage.lock_of(bent)[0], 0)
    stage.world.wire.accepted.clear()  # the first one was never taken by anybody
    stage.note(stage.relayer, B, raw)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def funded_too_late(stage: Stage) -> None:
    agreed = await stage.open(style=Style.LOCKS_LATE, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await stage.pass_to(agreed.participant_leg.timelock.seconds - gates.needed_by(stage.world.plan, agreed).fund_s + 1)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def funded_on_nothing(stage: Stage) -> None:
    """The initiator's lock is in a block, and not yet final."""
    agreed = await stage.open()
    unsigned, first = stage.lock_of(agreed.initiator_leg)
    await stage.send(stage.dapp, unsigned)
    stage.mine(1)
    await _meet(stage, agreed, first)


async def locked_too_late(stage: Stage) -> None:
    """The initiator locks after the quote's time, and after that of its own gate."""
    agreed = await stage.open()
    await stage.pass_to(agreed.lock_deadline_s + 1.9)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await _meet(stage, agreed, first)


async def locked_past_deadline(stage: Stage) -> None:
    agreed = await stage.open(quote_s=60, gap_s=0)
    await stage.pass_to(agreed.lock_deadline_s + 2)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await _meet(stage, agreed, first)


async def locked_on_public_preimage(stage: Stage) -> None:
    """Somebody has shown the preimage before the provider locks."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    legs = stage.world.chains[A].access().legs
    early = legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.tower.accounts[A])
    stage.note(stage.tower, A, await stage.sign(stage.tower, early))
    await stage.world.clock.sleep(0.1)
    await _meet(stage, agreed, first)


async def revealed_too_late(stage: Stage) -> None:
    agreed = await stage.open(watched=True)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    stage.relayer.away.append((0.0, 60.0))
    await stage.pass_to(
        agreed.participant_leg.timelock.seconds - gates.needed_by(stage.world.plan, agreed).reveal_s + 1
    )
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def revealed_on_nothing(stage: Stage) -> None:
    """The participant's lock is in a block, and not yet final."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    unsigned, second = stage.lock_of(agreed.participant_leg)
    await stage.send(stage.relayer, unsigned)
    stage.mine(1)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def acted_unacknowledged(stage: Stage) -> None:
    agreed = await stage.open()
    stage.record.foreign.append((stage.relayer.name, stage.world.clock.now() - trust.FOREIGN_S - 1))
    await _meet(stage, agreed, await stage.lock(stage.dapp, agreed.initiator_leg))


async def acted_while_blocked(stage: Stage) -> None:
    agreed = await stage.open()
    now_s = stage.world.clock.now()
    stage.world.blocked.append((COIN[A], stage.relayer.accounts[A], now_s, now_s + 7.0))
    await stage.pass_to(now_s + 5.0)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await stage.pass_to(now_s + 7.5)
    await _meet(stage, agreed, first)


async def locked_while_paused(stage: Stage) -> None:
    """The operator has paused everything before the provider locks."""
    agreed = await stage.open()
    now_s = stage.world.clock.now()
    stage.record.paused.append((stage.relayer.name, "all", now_s, now_s + 3_600.0))
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await stage.pass_to(now_s + 5.0)
    await _meet(stage, agreed, first)


async def acted_called_off(stage: Stage) -> None:
    """The initiator says no before the reveal, and the client goes on."""
    agreed = await stage.open(doubt=Doubt.REVEAL)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    stage.record.called_off.append(CalledOff(agreed, stage.world.clock.now()))
    await stage.world.clock.sleep(0.1)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def preimage_shown(stage: Stage) -> None:
    stage.world.wire.shown.append((stage.world.clock.now(), "dapp-0", b"..." + PREIMAGE.expose() + b"..."))
    await stage.played()
    await stage.keep_secret()


async def preimage_kept(stage: Stage) -> None:
    """A swap that came to nothing, and the provider's database holds its preimage, in hex."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    await stage.keep_secret()
    shown = PREIMAGE.expose().hex()
    await stage.relayer.database.write(
        lambda c: c.execute(sa.insert(journal.cursors), {"name": shown, "position": 0, "updated_ns": 0})
    )
    assert agreed


async def preimage_logged(stage: Stage) -> None:
    """Right before the reveal, under a name that a real log hides."""
    agreed = await stage.open()
    await stage.keep_secret()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    event = {"event": "revealing", "preimage": PREIMAGE.expose()}
    Context().run(lambda: (HEARD.set(stage.world.wire), note(None, "info", event)))
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def nothing_agreed(stage: Stage) -> None:
    """An honest deal was wanted, and none came about."""
    stage.world.plan = replace(stage.world.plan, deals=(deal(),))
    await stage.open()
    stage.record.agreed.clear()


async def lock_left(stage: Stage) -> None:
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def not_completed(stage: Stage) -> None:
    """Two honest parties, nothing in their way, and both take their locks back."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def not_revealed(stage: Stage) -> None:
    """The other lock is final, there is time, and the initiator looks on until its own lock comes back."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    stage.world.histories[B].look()
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def not_funded(stage: Stage) -> None:
    """The initiator's lock is final, there is time, and the provider looks on."""
    agreed = await stage.open(quote_s=20)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    stage.world.histories[A].look()
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def took_too_long(stage: Stage) -> None:
    agreed = await stage.open(quote_s=200)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.agreed_at_s + 90)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def not_saved(stage: Stage) -> None:
    """The provider is gone, and so was the tower that watched."""
    agreed = await stage.open(style=Style.LAST_SECOND, honest=False, watched=True)
    agreed.watched_since_s = 1.0
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def process_ended(stage: Stage) -> None:
    await stage.played()
    stage.relayer.ends.append("relayer-0's process ended by itself: ValueError()")


async def not_fenced(stage: Stage) -> None:
    await stage.played()
    stage.relayer.unfenced = True


async def exit_left_alone(stage: Stage) -> None:
    """The provider's claim goes out once, no node keeps it, and the next one comes much later."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    legs = stage.world.chains[A].access().legs
    claim = legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[A])
    stage.note(stage.relayer, A, await stage.sign(stage.relayer, claim, 0))
    await stage.pass_to(stage.world.clock.now() + exits.AGAIN_S + 3)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def exit_sent_late(stage: Stage) -> None:
    """The preimage is public, and the provider looks on for a while."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.pass_to(stage.world.clock.now() + exits.CALM_S + ROUNDED_S + 2)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def exit_sent_twice(stage: Stage) -> None:
    """The provider signs its claim again, under another sequence, while the first one waits for its block."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    legs = stage.world.chains[A].access().legs
    claim = legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[A])
    await stage.send(stage.relayer, claim)
    stage.note(stage.relayer, A, await stage.sign(stage.relayer, claim))
    stage.mine()


async def refunded_too_early(stage: Stage) -> None:
    """The provider asks for its lock some seconds before its timelock, and again when that has come."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.participant_leg.timelock.seconds - 5)
    stage.mine()
    refund = stage.world.chains[B].access().legs.refund(agreed.participant_leg, second, stage.relayer.accounts[B])
    stage.note(stage.relayer, B, await stage.sign(stage.relayer, refund, 1))
    await stage.pass_to(agreed.participant_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def machine_unended(stage: Stage) -> None:
    """The provider's machine has seen only half of what its chains show."""
    agreed = await stage.played()
    await stage.begun(stage.relayer, agreed, Role.WATCHTOWER)
    await stage.told(stage.relayer, agreed, *stage.history(agreed)[:2])


async def machine_lost(stage: Stage) -> None:
    """Its claim came too late, as far as the machine knows."""
    agreed = await stage.played()
    await stage.begun(stage.tower, agreed, Role.WATCHTOWER)
    told = stage.history(agreed)
    locks = [one for one in told if isinstance(one, events.LockSeen | events.LockFinal)]
    claim = [one for one in told if one.leg is Leg.PARTICIPANT and one not in locks]
    late = ChainTime(A, agreed.initiator_leg.timelock.seconds + 1)
    [sighting] = [one for one in locks if isinstance(one, events.LockSeen) and one.leg is Leg.INITIATOR]
    refund = events.RefundSeen(Leg.INITIATOR, sighting.lock_id, sighting.block, sighting.tx_hash)
    await stage.told(stage.tower, agreed, *locks, *claim)
    await stage.told(stage.tower, agreed, events.TimeAdvanced(Leg.INITIATOR, late, late, late.seconds), refund)
    await stage.told(stage.tower, agreed, events.RefundFinal(Leg.INITIATOR, sighting.lock_id, sighting.block))
    await _done(stage)


async def machine_ended_early(stage: Stage) -> None:
    """The provider's machine hears that its claim is final long before it is."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    legs = stage.world.chains[A].access().legs
    await stage.send(stage.relayer, legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[A]))
    stage.mine(1)
    await stage.begun(stage.relayer, agreed, Role.LIQUIDITY_PROVIDER)
    await _completed(stage, agreed)
    await stage.world.clock.sleep(5.0)
    stage.mine()


async def final_too_early(stage: Stage) -> None:
    """A claim is called final in the block after the one that took it."""
    await machine_ended_early(stage)


async def effect_pending(stage: Stage) -> None:
    """It has ended, and the outbox still asks for something."""
    agreed = await stage.played()
    await stage.begun(stage.relayer, agreed, Role.LIQUIDITY_PROVIDER)
    await _completed(stage, agreed)
    asked = await stage.relayer.database.read(lambda c: journal.stream_effects(c, agreed.swap_id))
    table = journal.outbox
    await stage.relayer.database.write(
        lambda c: c.execute(sa.update(table).where(table.c.key == asked[0].key).values(status="pending"))
    )


async def state_off_journal(stage: Stage) -> None:
    """The stored state says what no event said."""
    agreed = await stage.played()
    await stage.begun(stage.relayer, agreed, Role.LIQUIDITY_PROVIDER)
    await _completed(stage, agreed)

    def bend(connection: Connection) -> None:
        table = journal.journal_state
        row = connection.execute(sa.select(table).where(table.c.stream == agreed.swap_id)).one()
        bent = codec.encode(replace_struct(codec.decode_state(row.state), now_s=1))
        connection.execute(sa.update(table).where(table.c.stream == agreed.swap_id).values(state=bent))

    await stage.relayer.database.write(bend)


async def state_off_chain(stage: Stage) -> None:
    """The machine believes in a claim that the chain does not have."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    told = stage.history(agreed)
    sightings = {one.leg: one for one in told if isinstance(one, events.LockSeen)}
    for leg, one in sightings.items():
        preimage = PublicPreimage(PREIMAGE.expose())
        told.append(events.ClaimSeen(leg, one.lock_id, preimage, one.block, b"\0" * 32))
        told.append(events.ClaimFinal(leg, one.lock_id, one.block))
    await stage.begun(stage.tower, agreed, Role.WATCHTOWER)
    await stage.told(stage.tower, agreed, *told)
    await _done(stage)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def acted_unadopted(stage: Stage) -> None:
    now_s = stage.world.clock.now()
    stage.record.unadopted[stage.relayer.name] = now_s, now_s + 600
    await stage.played()


async def acted_by_wrong_clock(stage: Stage) -> None:
    """The provider's clock has been a minute off since the beginning."""
    wrong = {Rough.CLOCK_WRONG: -60.0}
    stage.world.plan = replace(stage.world.plan, clock_of=stage.relayer.name, clock_off_s=60, at_s=wrong)
    await stage.played()


async def acted_on_standstill(stage: Stage, still_s: float = 20.0) -> None:
    """The provider locks though neither chain has made a block for longer than it may take."""
    agreed = await stage.open(quote_s=60)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await stage.world.clock.sleep(still_s)
    await _meet(stage, agreed, first)


async def acted_after_deep_reorg(stage: Stage) -> None:
    replaced_at_s = stage.world.clock.now() - trust.NOTICE_S - 1
    stage.world.deep[B] = DeepReorg(replaced_at_s, Height(0), replaced_at_s - 2 * trust.NOTICE_S)
    await stage.played()


async def _meet(stage: Stage, agreed: Agreed, first: Any) -> None:
    """The rest of a swap after the initiator's lock."""
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def _completed(stage: Stage, agreed: Agreed) -> None:
    """The provider's machine is shown everything, in the order of a swap, and its effects are done."""
    at = stage.history(agreed)
    first, second = at[:4], at[4:]
    own = events.EffectSubmitted("fund-participant", 1, b"\1" * 32)
    verified = events.LockVerified(Leg.INITIATOR, first[0].lock_id, first[0].block, int(agreed.agreed_at_s) + 3)
    await stage.told(stage.relayer, agreed, *first[:2], verified, own, *second, *first[2:])
    await _done(stage)


async def _done(stage: Stage) -> None:
    for process in (stage.relayer, stage.tower):
        await process.database.write(lambda c: c.execute(sa.update(journal.outbox).values(status="done")))


def replace_struct(value: Any, **changes: Any) -> Any:
    return type(value)(**{**{name: getattr(value, name) for name in value.__struct_fields__}, **changes})


async def ledger_rule(stage: Stage) -> None:
    """A leaf that no transaction wrote; `test_ledger` breaks every other rule of the ledger."""
    await stage.played()
    ledger = PlayedLedger(B, stage.world.clock, {COIN[B]: Asset(COIN[B], "CB", 0)}, TIMING, stage.world.faults)
    ledger.engine.state._leaves[b"made up"] = b"leaf"
    stage.world.ledger = ledger


ELSEWHERE = {Kind.STORY_UNENDED, Kind.TRACE_REFUSED}
"""Planted in whole stories: the first below, the second in `test_traces`."""
PLANTED = {kind: globals()[kind.replace("-", "_")] for kind in Kind if kind.replace("-", "_") in globals()}
PLANTED |= {
    Kind(act.__name__.replace("_", "-")): act for act in (*planted_operators.PLANTED, *planted_outcomes.PLANTED)
}


def judged(act: Any) -> list[Problem]:
    async def run() -> Any:
        stage = Stage()
        await act(stage)
        return await stage.problems()

    return run_virtually(run())


async def played(stage: Stage) -> None:
    await stage.played()


async def watched_machines(stage: Stage) -> None:
    agreed = await stage.played()
    await stage.begun(stage.relayer, agreed, Role.LIQUIDITY_PROVIDER)
    await _completed(stage, agreed)


async def place_used_again(stage: Stage) -> None:
    """A later swap has the place of the first one, on a chain that lets places of settled locks be used again."""
    await watched_machines(stage)
    await stage.pass_to(stage.world.clock.now() + 30.0)
    later = await stage.open()
    preimage = Preimage((2).to_bytes(32, "big"))
    first = await stage.lock(stage.dapp, later.initiator_leg, 1)
    second = await stage.lock(stage.relayer, later.participant_leg)
    for process, terms, place in (
        (stage.dapp, later.participant_leg, second),
        (stage.relayer, later.initiator_leg, first),
    ):
        legs = stage.world.chains[terms.chain].access().legs
        await stage.send(process, legs.claim(terms, place, preimage, process.accounts[terms.chain]))
        stage.mine()


def test_a_place_that_is_used_again_is_another_lock_s_by_then() -> None:
    """No exit of the first swap is the second one's, in the verdict or in the traces, and the first ended in time."""

    async def run() -> tuple[list[Problem], list[set[str]]]:
        stage = Stage(repeats=frozenset({B}))
        await place_used_again(stage)
        told = await traces.of(stage.record)
        of_wire = [{step["on"] for step in one.steps if step["of"] == "wire"} for one in told]
        return await stage.problems(), of_wire

    found, of_wire = run_virtually(run())
    assert found == []
    assert of_wire == [{"lockA", "lockB", "claimB", "claimA"}] * 2


@pytest.mark.parametrize("story", [played, watched_machines], ids=lambda story: story.__name__)
def test_a_story_without_fault_is_left_alone(story: Any) -> None:
    assert judged(story) == []


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in ELSEWHERE])
def test_a_planted_violation_is_found(kind: Any) -> None:
    found = judged(PLANTED[kind])
    assert kind in {problem.kind for problem in found}
    also = {problem.kind for problem in found} - {kind} - ALSO.get(kind, set())
    assert not also, [str(problem) for problem in found]


ALSO = {
    # A lock that is taken back is not a swap, and a loss is seen by whoever watched it, too.
    Kind.INITIATOR_LOST: {Kind.NOT_COMPLETED},
    Kind.NOT_REVEALED: {Kind.NOT_COMPLETED},
    Kind.NOT_FUNDED: {Kind.NOT_COMPLETED},
    Kind.PROVIDER_LOST: {Kind.EXIT_SENT_LATE},
    Kind.NOT_SAVED: {Kind.PROVIDER_LOST, Kind.EXIT_SENT_LATE},
    # Whoever has no gas left cannot pay for the lock itself, and whoever gives all there is gives it for too little.
    Kind.EXITS_UNPAID: {Kind.OVERDRAWN, Kind.PRICED_OFF, Kind.LOCK_LEFT_LYING},
    Kind.OVERDRAWN: {Kind.PRICED_OFF},
    # A quote gives time for the first gate behind it.
    Kind.LOCKED_TOO_LATE: {Kind.LOCKED_PAST_DEADLINE},
    Kind.MACHINE_LOST: {Kind.STATE_OFF_CHAIN},
    Kind.LOCK_GIVEN_UP: {Kind.NOT_COMPLETED},
    Kind.LOCK_LEFT_LYING: {Kind.NOT_COMPLETED},
    Kind.LEFT_WAITING: {Kind.NOT_COMPLETED, Kind.NOT_FUNDED},
    # Nothing is left to lock.
    Kind.RESERVED_PAID_OUT: {Kind.NOT_COMPLETED, Kind.NOT_FUNDED},
    # No machine runs: what it would be is not what the chains show.
    Kind.PROMISED_BEYOND: {Kind.MACHINE_UNENDED, Kind.STATE_OFF_CHAIN, Kind.MACHINE_LOST},
    # The machine is marked as ended by hand.
    Kind.HOOK_NEVER: {Kind.MACHINE_UNENDED},
    # Whoever believes too early ends too early.
    Kind.MACHINE_ENDED_EARLY: {Kind.FINAL_TOO_EARLY},
    Kind.FINAL_TOO_EARLY: {Kind.MACHINE_ENDED_EARLY},
    Kind.VOIDED_TOO_EARLY: {Kind.MACHINE_ENDED_EARLY},
    # Nothing works there, so that nothing of what was sent is stored either.
    Kind.INDEX_BEHIND: {Kind.SENT_UNSTORED},
}


@pytest.mark.parametrize(
    ("story", "kind"),
    [
        (planted_outcomes.tower_asleep, Kind.EXIT_SENT_LATE),
        (planted_outcomes.failed_and_there, Kind.OUTCOME_OFF_CHAIN),
        (planted_outcomes.exposed_under_two_names, Kind.EXPOSURE_TO_ONE),
        (planted_outcomes.funded_in_the_second_of_the_gate, Kind.FUNDED_TOO_LATE),
        (planted_outcomes.lock_not_indexed, Kind.INDEX_OFF_CHAIN),
        (planted_outcomes.underbid_by_the_tip, Kind.UNDERBID),
        (planted_outcomes.a_unit_given_away, Kind.PRICED_OFF),
        (planted_outcomes.a_unit_kept, Kind.PRICED_OFF),
    ],
)
def test_a_violation_of_a_kind_planted_elsewhere_is_found(story: Any, kind: Kind) -> None:
    assert {problem.kind for problem in judged(story)} == {kind}


@pytest.mark.parametrize(("purse", "is_enough"), [(900_000, True), (700_000, False)])
def test_agreements_are_held_against_the_gas_of_their_exits(purse: int, is_enough: bool) -> None:
    """An exit keeps 400,000 on the chain with fees."""

    async def run() -> list[Problem]:
        stage = Stage(rough=frozenset({Rough.SHORT_PURSE}), purse=purse)
        await planted_outcomes.two_promised(stage)
        return await stage.problems()

    beyond = [problem for problem in run_virtually(run()) if problem.kind is Kind.PROMISED_BEYOND]
    assert len(beyond) == (0 if is_enough else 1), beyond


@pytest.mark.parametrize(("slower", "kinds"), [(A, set()), (B, {Kind.GAP_TOO_SMALL})])
def test_a_gap_is_held_against_the_lag_of_its_own_chain(slower: ChainId, kinds: set[Kind]) -> None:
    """The timelocks are those of chains that are alike, and one of the two lags more."""

    async def run() -> list[Problem]:
        stage = Stage(timing={**dict.fromkeys(CHAINS, TIMING), slower: replace(TIMING, lag_s=Seconds(9))})
        missing_s = gates.needed(stage.world.plan, A, B).gap_s - gates.needed(plan(), A, B).gap_s
        await stage.played(gap_s=-missing_s)
        return await stage.problems()

    assert {problem.kind for problem in run_virtually(run())} == kinds


async def handed_on(stage: Stage, settled_blocks: int) -> None:
    """The tower's claim is taken, but the provider's comes first; so many blocks later its sequence is used again."""
    agreed, other = await stage.open(), await stage.open()
    secret = Preimage((2).to_bytes(32, "big"))
    first, later = [
        await stage.lock(stage.dapp, one.initiator_leg, number) for number, one in enumerate((agreed, other))
    ]
    second, last = [
        await stage.lock(stage.relayer, one.participant_leg, number) for number, one in enumerate((agreed, other))
    ]
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    on_a, on_b = (stage.world.chains[chain].access().legs for chain in (A, B))
    await stage.send(stage.dapp, on_b.claim(other.participant_leg, last, secret, stage.dapp.accounts[B]))
    stage.mine()
    helped = on_a.claim(agreed.initiator_leg, first, PREIMAGE, stage.tower.accounts[A])
    stage.note(stage.tower, A, await stage.sign(stage.tower, helped, 0))
    await stage.send(stage.relayer, on_a.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[A]))
    stage.mine(settled_blocks)
    again = on_a.claim(other.initiator_leg, later, secret, stage.tower.accounts[A])
    await stage.send(stage.tower, again, 0)
    stage.mine()


@pytest.mark.parametrize(("settled_blocks", "kinds"), [(1, {Kind.SEQUENCE_REUSED}), (1 + FINALITY_DEPTH, set())])
def test_sequence_is_handed_on_once_others_did_its_deed_finally(settled_blocks: Any, kinds: Any) -> None:
    async def story(stage: Stage) -> None:
        await handed_on(stage, settled_blocks)

    found = judged(story)
    assert {problem.kind for problem in found} == kinds, [str(problem) for problem in found]


async def signed_before_an_outage(stage: Stage, exit_behind: bool) -> None:
    """A lock that a process signed and never sent; the next one sends it though its counterpart pays nobody by now."""
    agreed, other = await stage.open(), await stage.open()
    for number, one in enumerate((agreed, other)):
        await stage.lock(stage.dapp, one.initiator_leg, number)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    unsigned, _ = stage.lock_of(other.participant_leg, 1)
    legs, now_s = stage.world.chains[B].access().legs, stage.world.clock.now()
    claim = legs.claim(agreed.participant_leg, second, PREIMAGE, stage.relayer.accounts[B])
    signed = [await stage.sign(stage.relayer, one) for one in (unsigned, *([claim] if exit_behind else []))]
    stage.record.signed_s |= dict.fromkeys(signed, now_s)
    stage.relayer.away.append((stage.world.seconds, stage.world.seconds + 2))
    stage.world.blocked.append((COIN[A], stage.relayer.accounts[A], now_s + 0.5, now_s + 60))
    await stage.pass_to(now_s + 4)
    for raw in signed:
        stage.note(stage.relayer, B, raw)


@pytest.mark.parametrize("exit_behind", [False, True])
def test_lock_of_a_dead_process_is_checked_before_an_exit_too(exit_behind: Any) -> None:
    async def story(stage: Stage) -> None:
        await signed_before_an_outage(stage, exit_behind)

    assert Kind.ACTED_WHILE_BLOCKED in {problem.kind for problem in judged(story)}


async def bid_up_while_blocked(stage: Stage, begins_again: bool) -> None:
    """A lock that has left is signed once more, when its counterpart pays nobody any more."""
    agreed = await stage.open()
    await stage.lock(stage.dapp, agreed.initiator_leg)
    unsigned, _ = stage.lock_of(agreed.participant_leg)
    now_s = stage.world.clock.now()
    first, again = [await stage.sign(stage.relayer, unsigned, 0, expiry=Height(height)) for height in (40, 50)]
    stage.note(stage.relayer, B, first)
    stage.world.blocked.append((COIN[A], stage.relayer.accounts[A], now_s + 0.5, now_s + 60))
    if begins_again:
        stage.relayer.began.append(stage.world.seconds + 3)
    await stage.pass_to(now_s + 4)
    stage.note(stage.relayer, B, again)


@pytest.mark.parametrize("begins_again", [False, True])
def test_lock_that_has_left_is_bid_up_by_the_same_process_only(begins_again: Any) -> None:
    async def story(stage: Stage) -> None:
        await bid_up_while_blocked(stage, begins_again)

    assert (Kind.ACTED_WHILE_BLOCKED in {problem.kind for problem in judged(story)}) is begins_again


@pytest.mark.parametrize(("refused_for_s", "found"), [(0.1, False), (-0.1, True)])
def test_exit_that_endpoints_refuse_is_asked_for_by_a_dearer_one(refused_for_s: float, found: bool) -> None:
    """They took it all the same, so that only a transaction that offers more is taken in its place."""

    async def story(stage: Stage) -> None:
        await planted_outcomes.raised_soon(stage)
        former, later = [sent for sent in stage.world.wire.firsts() if sent.chain == A and sent.body.settles]
        stage.world.refused_s[stage.relayer.name, former.raw] = later.at_s - refused_for_s

    assert (Kind.RAISED_SOON in {problem.kind for problem in judged(story)}) is found


@pytest.mark.parametrize(
    ("of_bid_percent", "gap_s", "found"), [(110, 10**6, set()), (110, 0, {0, 1}), (115, 10**6, {0, 1})]
)
def test_exit_is_raised_beyond_a_ceiling_for_one_behind_it_too(
    of_bid_percent: int, gap_s: int, found: set[int]
) -> None:
    """Two claims wait, one behind the other, and another form of each bids an eighth more. The first timelock is
    far off, the other one `gap_s` further off than it must be."""

    async def run() -> list[Problem]:
        stage = Stage(ceiling=FEE.max_fee * of_bid_percent // 100)
        await planted_outcomes.two_raised_late(stage, 10**6, gap_s)
        return await stage.problems()

    late = [str(problem) for problem in run_virtually(run()) if problem.kind is Kind.RAISED_LATE]
    assert {number for number in range(2) if any(f"sequence {number} " in one for one in late)} == found


@pytest.mark.parametrize(("still_s", "is_too_long"), [(12.0, False), (20.0, True)])
def test_blocks_may_be_as_old_as_the_bounds_say(still_s: float, is_too_long: bool) -> None:
    found = judged(partial(acted_on_standstill, still_s=still_s))
    assert {problem.kind for problem in found} == ({Kind.ACTED_ON_STANDSTILL} if is_too_long else set())


def test_every_kind_of_problem_has_its_planted_violation() -> None:
    assert set(PLANTED) | ELSEWHERE == set(Kind)


def test_a_story_that_does_not_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.simulation.story.LONGEST_S", 12.0)
    verdict = play(plan(deals=(deal(),), tower=None))
    assert Kind.STORY_UNENDED in {problem.kind for problem in verdict.problems}, report(verdict)


@pytest.mark.parametrize("known", [True, False])
def test_a_loss_of_a_swap_that_no_database_knows_is_excused(known: bool) -> None:
    async def run() -> Any:
        stage = Stage(rough=frozenset({Rough.RESTORED}))
        if not known:
            stage.record.forgotten.append((stage.record.relayers[0].name, 0.0, inf))
        await provider_lost(stage)
        return {problem.kind for problem in await stage.problems()}

    assert run_virtually(run()) == ({Kind.PROVIDER_LOST} if known else set())


@pytest.mark.parametrize("loss", [initiator_lost, provider_lost, lock_left], ids=lambda loss: loss.__name__)
def test_a_loss_by_a_replaced_final_block_is_excused(loss: Any) -> None:
    async def run() -> Any:
        stage = Stage(rough=frozenset({Rough.DEEP_REORG}))
        stage.world.undone.add(PREIMAGE.hashlock())
        await loss(stage)
        return await stage.problems()

    assert run_virtually(run()) == []


@pytest.mark.parametrize("excess", [exposure_in_all, exposure_to_one, exposure_in_window], ids=lambda one: one.__name__)
def test_what_a_replaced_final_block_settled_is_no_exposure(excess: Any) -> None:
    async def story(stage: Stage) -> None:
        stage.world.undone.add(PREIMAGE.hashlock())
        await excess(stage)

    assert judged(story) == []


@pytest.mark.parametrize("excess", [exposure_in_all, exposure_to_one, exposure_in_window], ids=lambda one: one.__name__)
def test_what_a_lost_database_had_agreed_on_is_no_exposure(excess: Any) -> None:
    async def story(stage: Stage) -> None:
        await excess(stage)
        stage.record.forgotten.append((stage.relayer.name, 0.0, stage.world.clock.now()))

    assert not {problem.kind for problem in judged(story)} & {
        *(Kind.EXPOSURE_IN_ALL, Kind.EXPOSURE_TO_ONE, Kind.EXPOSURE_IN_WINDOW)
    }


@pytest.mark.parametrize("proven_first", [True, False])
def test_promises_count_in_the_order_in_which_they_are_stored(proven_first: Any) -> None:
    """Answered at once, the one that was asked for first may be stored last: it is held against the other."""

    async def story(stage: Stage) -> None:
        most = MOST.per_counterparty // 4 + 1
        proven = await stage.open(amount=most)
        other = await stage.open(amount=most, style=Style.VANISHES, honest=False)
        for one in (proven, other) if proven_first else (other, proven):
            await stage.begun(stage.relayer, one, Role.LIQUIDITY_PROVIDER)
        await stage.lock(stage.dapp, proven.initiator_leg)
        created = relayer_swaps.c.created_ns
        earlier = sa.update(relayer_swaps).where(relayer_swaps.c.swap_id == proven.swap_id)
        await stage.relayer.database.write(lambda c: c.execute(earlier.values({created: created - 1})))

    assert (Kind.PROMISED_BEYOND in {problem.kind for problem in judged(story)}) is proven_first


@pytest.mark.parametrize(("reorg_after_s", "found"), [(-1.0, True), (1.0, False)])
def test_exit_that_went_with_a_final_block_may_lapse(reorg_after_s: Any, found: bool) -> None:
    """Only a form that was sent before the block went."""

    async def story(stage: Stage) -> None:
        await exit_lapsed(stage)
        [refund, *_] = [one for one in stage.world.wire.firsts() if one.body.settles]
        stage.world.undone.add(PREIMAGE.hashlock())
        stage.world.deep[B] = DeepReorg(refund.at_s + reorg_after_s, Height(1), refund.at_s)

    assert (Kind.EXIT_LAPSED in {problem.kind for problem in judged(story)}) is found


@pytest.mark.parametrize(("other_back_s", "found"), [(-3.0, False), (-18.0, True)])
def test_nobody_takes_over_from_a_leader_while_both_are_down(other_back_s: float, found: bool) -> None:
    async def story(stage: Stage) -> None:
        made = await planted_operators.led(stage)
        await stage.played()
        made.fallen += [(0, -20.0, -1.0), (1, -25.0, other_back_s)]
        made.away.append((-20.0, -1.0))

    assert (Kind.NOT_TAKEN_OVER in {problem.kind for problem in judged(story)}) is found


@pytest.mark.parametrize("mined", [True, False])
def test_a_lock_is_mined_in_any_form(mined: bool) -> None:
    """Its second form is refused by the endpoint that takes it."""

    async def story(stage: Stage) -> None:
        agreed = await stage.open()
        unsigned, _ = stage.lock_of(agreed.initiator_leg)
        stage.note(stage.dapp, A, await stage.sign(stage.dapp, unsigned, 0))
        dearer = FeeBid(2 * FEE.max_fee, 2 * FEE.priority_fee)
        raw = await stage.sign(stage.dapp, unsigned, 0, fee=dearer)
        stage.world.wire.note(stage.dapp.name, A, raw)
        if mined:
            stage.world.memory[A].take(raw)
            stage.mine()
        await stage.pass_to(agreed.lock_deadline_s + 10)

    assert (Kind.LOCK_LEFT_LYING in {problem.kind for problem in judged(story)}) is not mined


@pytest.mark.parametrize(("late_s", "found"), [(MAX_PENDING_S, True), (MAX_PENDING_S + 1, False)])
def test_who_locks_behind_several_late_ones_need_not_complete(late_s: float, found: bool) -> None:
    """Blocks leave what stands before a lock lying for these seconds, and then the lock itself."""

    async def story(stage: Stage) -> None:
        await not_completed(stage)
        [lock] = [one for one in stage.world.wire.sent if one.body.locks and one.party == stage.dapp.name]
        sent_s = lock.at_s - stage.world.clock.now() + stage.world.seconds
        stage.world.late[lock.body.sender, lock.body.sequence] = sent_s, sent_s + late_s

    assert (Kind.NOT_COMPLETED in {problem.kind for problem in judged(story)}) is found


@pytest.mark.parametrize(("timelock_s", "found"), [(1, False), (-9, True)])
def test_a_lock_in_no_block_is_over_at_its_timelock(timelock_s: int, found: bool) -> None:
    kinds = {one.kind for one in judged(partial(planted_outcomes.called_off_at, timelock_s=timelock_s))}
    assert (Kind.MACHINE_ENDED_EARLY in kinds) is found


@pytest.mark.parametrize("held_up", ["paused", "left lying", ""])
def test_whoever_gets_gas_and_is_held_up_has_locked(held_up: str) -> None:
    """The provider's lock leaves once it has gas, and no block takes it: its token has stopped, or it is left lying."""

    async def story(stage: Stage) -> None:
        async def sends(agreed: Agreed) -> None:
            lock, _ = stage.lock_of(agreed.participant_leg)
            stage.note(stage.relayer, B, await stage.sign(stage.relayer, lock))
            now_s = stage.world.clock.now()
            if held_up == "paused":
                stage.world.blocked.append((agreed.participant_leg.asset, None, now_s + 1, now_s + 9))
            elif held_up:
                stage.world.aims.disturbed.add(agreed.hashlock)

        await planted_operators.left_waiting(stage, sends)

    found = {problem.kind for problem in judged(story)}
    assert (Kind.LEFT_WAITING in found) is (not held_up)


@pytest.mark.parametrize(
    ("emptied", "fair_answers", "found"),
    [(True, 0, False), (True, KNOWN_AFTER - 1, False), (True, KNOWN_AFTER, True), (False, 0, True)],
)
def test_whoever_lost_its_prices_believes_the_first_one(emptied: Any, fair_answers: int, found: bool) -> None:
    """The price has jumped from one to three by the time at which a relayer gives two."""

    async def story(stage: Stage) -> None:
        now_s = stage.world.clock.now()
        planted_operators.priced(stage, now_s, Fraction(1))
        fair, jumped = Price(now_s, Fraction(1)), Price(now_s, Fraction(3), jumped=True)
        assert stage.relayer.feed is not None
        stage.relayer.feed.published.append(jumped)
        stage.relayer.feed.answered += [(now_s, one) for one in [*[fair] * fair_answers, jumped]]
        stage.relayer.began.append(stage.world.seconds)
        if emptied:
            stage.record.forgotten.append((stage.relayer.name, 0.0, now_s))
        await stage.played()

    assert (Kind.PRICED_OFF in {problem.kind for problem in judged(story)}) is found


@pytest.mark.parametrize(("away_before_s", "found"), [(trust.NOTICE_S, False), (trust.NOTICE_S - 1, True)])
def test_a_replaced_block_is_seen_by_who_knew_it_final(away_before_s: Any, found: bool) -> None:
    """Both processes were away when it was replaced: since when decides if they had read that it was final."""

    async def story(stage: Stage) -> None:
        replaced_s = -trust.NOTICE_S - 1  # seconds of the story
        for process in (stage.relayer, stage.dapp):
            process.away.append((replaced_s - away_before_s, replaced_s + 0.5))
        await acted_after_deep_reorg(stage)

    assert {problem.kind for problem in judged(story)} == ({Kind.ACTED_AFTER_DEEP_REORG} if found else set())


@pytest.mark.parametrize(("late_s", "wrong", "found"), [(2, True, False), (2, False, True), (20, True, True)])
def test_a_wrong_clock_has_what_blocks_show_for_another_form(late_s: Any, wrong: Any, found: bool) -> None:
    """Of a lock that left in time: blocks show the time to lock as over a little later than it is."""

    async def story(stage: Stage) -> None:
        agreed = await stage.open(quote_s=60, gap_s=0)
        if wrong:
            behind = {Rough.CLOCK_WRONG: 60.0}
            stage.world.plan = replace(stage.world.plan, clock_of=stage.dapp.name, clock_off_s=-60, at_s=behind)
        unsigned, _ = stage.lock_of(agreed.initiator_leg)
        stage.note(stage.dapp, A, await stage.sign(stage.dapp, unsigned, 0))
        await stage.pass_to(agreed.lock_deadline_s + late_s)
        stage.note(stage.dapp, A, await stage.sign(stage.dapp, unsigned, 0, fee=FeeBid(2_300, 150)))

    assert (Kind.LOCKED_PAST_DEADLINE in {problem.kind for problem in judged(story)}) is found


@pytest.mark.parametrize("calm", [True, False])
@pytest.mark.parametrize("final_for_s", [trust.SEEN_S - 0.1, trust.SEEN_S + 0.1])
def test_a_block_final_for_a_moment_not_everybody_has_read(final_for_s: Any, calm: bool) -> None:
    async def story(stage: Stage) -> None:
        if not calm:
            shaken = FaultRates(latency_s=(0.0, 0.1))
            parties = [replace(one, rates=shaken) for one in (*stage.world.plan.relayers, *stage.world.plan.dapps)]
            stage.world.plan = replace(stage.world.plan, relayers=(parties[0],), dapps=(parties[1],))
        await acted_after_deep_reorg(stage)
        reorg = stage.world.deep[B]
        stage.world.deep[B] = replace(reorg, final_s=reorg.at_s - final_for_s)

    found = {problem.kind for problem in judged(story)}
    assert (Kind.ACTED_AFTER_DEEP_REORG in found) is (calm or final_for_s > trust.SEEN_S)


@pytest.mark.parametrize("dear_for_s", [0.0, 1_000.0])
def test_whoever_gets_too_little_gas_for_what_it_costs_waits_on(dear_for_s: float) -> None:
    """Behind the filling blocks are too dear for the purse, for a while."""

    async def story() -> list[Problem]:
        stage = Stage(fees=frozenset(CHAINS), expiries=frozenset())
        held = stage.world.chains[B].balance(stage.relayer.accounts[B], COIN[B])
        stage.world._base_fees[B] = [(0.0, held), (stage.world.clock.now() + dear_for_s, CALM_FEES.base_fee)]
        await planted_operators.left_waiting(stage)
        return await stage.problems()

    found = {problem.kind for problem in run_virtually(story())}
    assert (Kind.LEFT_WAITING in found) is (dear_for_s == 0)


@pytest.mark.parametrize(
    ("takes_out", "dear", "found"), [(True, True, False), (True, False, True), (False, True, True)]
)
def test_whoever_was_emptied_before_it_became_dear_cannot_lock(takes_out: bool, dear: bool, found: bool) -> None:
    async def story() -> list[Problem]:
        stage = Stage(fees=frozenset(CHAINS), expiries=frozenset())
        held = stage.world.chains[B].balance(stage.relayer.accounts[B], COIN[B])
        if takes_out:
            await planted_operators.pay(stage, 7)
        stage.world._base_fees[B] = [(0.0, held if dear else CALM_FEES.base_fee)]
        await not_funded(stage)
        return await stage.problems()

    found_kinds = {problem.kind for problem in run_virtually(story())}
    assert (Kind.NOT_FUNDED in found_kinds) is (Kind.NOT_COMPLETED in found_kinds) is found


@pytest.mark.parametrize(("away_before_s", "found"), [(trust.NOTICE_S, False), (trust.NOTICE_S - 1, True)])
def test_whoever_never_knew_a_replaced_block_may_quote(away_before_s: Any, found: bool) -> None:
    async def story(stage: Stage) -> None:
        stage.world.plan = replace(stage.world.plan, watchful=True)
        replaced_s = -switches.LASTS_S - trust.NOTICE_S  # seconds of the story
        stage.relayer.away.append((replaced_s - away_before_s, replaced_s + 0.5))
        at_s = stage.world.clock.now() + replaced_s
        stage.world.deep[B] = DeepReorg(at_s, Height(0), at_s - 2 * trust.NOTICE_S)
        await stage.played()

    assert (Kind.OFFERED_ON_TROUBLE in {problem.kind for problem in judged(story)}) is found


@pytest.mark.parametrize("early", [True, False])
def test_refund_from_its_timelock_on_gives_nothing_back(early: Any) -> None:
    """The provider's own lock still stands: before the other one's timelock that is a gift, and then anybody may."""

    async def story(stage: Stage) -> None:
        agreed = await stage.open(style=Style.VANISHES, honest=False)
        first = await stage.lock(stage.dapp, agreed.initiator_leg)
        await stage.lock(stage.relayer, agreed.participant_leg)
        await stage.pass_to(agreed.initiator_leg.timelock.seconds + (-10 if early else 1))
        stage.mine(1)
        back = stage.world.chains[A].access().legs.refund(agreed.initiator_leg, first, stage.relayer.accounts[A])
        stage.note(stage.relayer, A, await stage.sign(stage.relayer, back, 0))

    assert (Kind.GAVE_BACK_TOO_EARLY in {problem.kind for problem in judged(story)}) is early


@pytest.mark.parametrize(("down_s", "found"), [((2.0, 4.0), False), ((20.0, 21.0), True)])
def test_who_ends_at_a_no_may_not_have_stored_it(down_s: Any, found: bool) -> None:
    async def story(stage: Stage) -> None:
        await acted_called_off(stage)
        stage.dapp.away.append(down_s)

    assert {problem.kind for problem in judged(story)} == ({Kind.ACTED_CALLED_OFF} if found else set())


def test_a_claim_after_the_reveal_is_an_exit() -> None:
    """It goes out again though a finalized block was replaced meanwhile."""

    async def story(stage: Stage) -> None:
        agreed = await stage.played()
        now_s = stage.world.clock.now()
        stage.world.deep[B] = DeepReorg(now_s, Height(0), now_s - trust.SEEN_S)
        await stage.pass_to(now_s + trust.NOTICE_S + 1)
        leg, sender = agreed.participant_leg, stage.dapp.accounts[B]
        claim = stage.world.chains[B].access().legs.claim(leg, stage.lock_of(leg)[1], PREIMAGE, sender)
        stage.note(stage.dapp, B, await stage.sign(stage.dapp, claim))

    assert judged(story) == []


def test_a_preimage_is_found_as_bytes_and_as_hex() -> None:
    secret = Preimage(bytes(range(32))).expose()
    assert holds(b"a" + secret, secret)
    assert holds(secret.hex().upper().encode(), secret)
    assert not holds(secret[1:], secret)


def test_bytes_that_a_copy_never_knew_excuse_its_time_only() -> None:
    nobody: Any = None
    record = Record(nobody, [], [], None)
    record.copies.append(("relayer-0", 10.0, 20.0, 30.0))
    record.forgotten.append(("relayer-0", 40.0, 50.0))
    assert record.never_knew("relayer-0", 15.0, 25.0)
    assert not record.never_knew("relayer-0", 15.0, 31.0)
    assert not record.never_knew("relayer-0", 5.0, 25.0)
    assert not record.never_knew("dapp-0", 15.0, 25.0)
    assert record.never_knew("relayer-0", 45.0, 99.0)
    assert not record.never_knew("relayer-0", 45.0, 49.0)
