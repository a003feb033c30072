"""Planted violations of what operators and their machines rely on; `test_verdict` finds each."""

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from adapters.memory.transactions import transfer
from core.model.types import AccountId, BaseUnits, ChainId
from core.runtime.clock import NS_PER_S
from core.runtime.database import create_schema
from gateway.simulation.feeds import Price, PriceFeed
from gateway.simulation.leading import Lead, LedRelayer
from gateway.simulation.plan import POLICY, A, B, Style
from gateway.simulation.plan_operators import Pricing, Purpose, Topped
from gateway.simulation.process import Process
from gateway.simulation.regulator import HOOK, Posted
from gateway.simulation.treasury import TOP_UP, funder_of
from gateway.simulation.verdict import switches, withdrawals
from gateway.simulation.verdict.gates import needed
from gateway.simulation.verdict.record import Agreed, Filled, Ordered
from gateway.simulation.world import COIN, PURSE
from htlc.model import Role
from relayer.switches import Cause, Switch, scope_of_chain
from relayer.transactions.records import relayer_transaction_attempts, relayer_transactions
from relayer.treasury import orders
from relayer.treasury.orders import Withdrawal, WithdrawalStatus
from tests.simulation.stage import FEE, Stage, calm

LONG_S = 3_600


def receiver(stage: Stage, chain: ChainId) -> AccountId:
    return stage.world.signer("cold", chain, {}).account


async def ordered(stage: Stage, amount: int | None = 7, purpose: Purpose = Purpose.SOME) -> Withdrawal:
    """An order of the relayer's operator, which stands in its database."""
    now_ns = stage.world.clock.now_ns()
    whose, asset = stage.relayer.accounts[B], COIN[B]
    order = Withdrawal(
        "00" * 8,
        whose,
        receiver(stage, B),
        asset,
        None if amount is None else BaseUnits(amount),
        now_ns,
        now_ns + LONG_S * NS_PER_S,
    )
    await stage.relayer.database.write(lambda c: orders.write(c, order, b"a seal"))
    stage.record.orders.append(Ordered(stage.relayer.name, order, purpose, now_ns / NS_PER_S))
    return order


async def pay(stage: Stage, amount: int, chain: ChainId = B) -> None:
    transfers = stage.world.chains[chain].access().transfers
    assert transfers is not None
    account = stage.relayer.accounts[chain]
    unsigned = await transfers.transfer(account, receiver(stage, chain), COIN[chain], BaseUnits(amount))
    await stage.send(stage.relayer, unsigned)
    stage.mine()


async def status(stage: Stage, order: Withdrawal, now: WithdrawalStatus) -> None:
    await stage.relayer.database.write(lambda c: orders.change(c, order, now))


async def paid_unordered(stage: Stage) -> None:
    """Nobody who may has ordered it: the row has no seal of the operator's."""
    await stage.played()
    order = await ordered(stage, purpose=Purpose.FORGED)
    await pay(stage, 7)
    await status(stage, order, WithdrawalStatus.PAID)


async def paid_twice(stage: Stage) -> None:
    await stage.played()
    order = await ordered(stage, amount=None)
    await pay(stage, 7)
    await pay(stage, 7)
    await stage.relayer.database.write(lambda c: orders.change(c, order, WithdrawalStatus.PAID, taken=BaseUnits(14)))


async def reserved_paid_out(stage: Stage) -> None:
    """The initiator has locked long since, and what the provider is to lock for it is paid out."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    stage.world.histories[A].look()
    await stage.world.clock.sleep(withdrawals.READ_S + 1)
    order = await ordered(stage, amount=None)
    await pay(stage, PURSE - 1)
    await stage.relayer.database.write(
        lambda c: orders.change(c, order, WithdrawalStatus.PAID, taken=BaseUnits(PURSE - 1))
    )
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def order_off_chain(stage: Stage) -> None:
    """It is called paid, and nobody was."""
    await stage.played()
    await status(stage, await ordered(stage), WithdrawalStatus.PAID)


async def order_left(stage: Stage) -> None:
    await stage.played()
    await ordered(stage)
    await stage.world.clock.sleep(LONG_S + withdrawals.ENDS_S + 1)


# --- two processes of one relayer ------------------------------------------------------------------------------------


async def led(stage: Stage) -> LedRelayer:
    """The relayer has two processes."""
    made = LedRelayer(stage.world, calm("relayer-0"))
    await made.database.write(create_schema)
    stage.record.relayers[0] = stage.relayer = made
    return made


async def not_taken_over(stage: Stage) -> None:
    made = await led(stage)
    await stage.played()
    made.away.append((-20.0, -1.0))


async def taken_from_a_leader(stage: Stage) -> None:
    """The second process takes over from the first one, which goes on until it hears of that."""
    made = await led(stage)
    now_s = stage.world.seconds
    made.leads += [Lead(0, 1, now_s - 20, now_s - 9), Lead(1, 2, now_s - 10)]
    await stage.played()


async def sent_unstored(stage: Stage) -> None:
    """The process has lived, and its database knows nothing of what it sent."""
    await stage.played()
    stage.relayer.lives = 1


async def signed_unled(stage: Stage) -> None:
    """The second process has taken over when the first one signs."""
    made = await led(stage)
    now_s = stage.world.seconds
    made.leads += [Lead(0, 1, now_s - 20, now_s - 9), Lead(1, 2, now_s - 10)]
    made.fallen.append((0, now_s - 20, now_s - 9))
    await stage.played()
    await stored(stage, made)
    made.lives = 1


async def stored(stage: Stage, process: Process) -> None:
    """Everything that it sent stands in its database, signed when it was sent."""
    mine = [sent for sent in stage.world.wire.firsts() if sent.party == process.name]
    for number, sent in enumerate(mine, 1):
        row = {"id": number, "effect_key": str(number), "chain": sent.chain, "account": sent.body.sender}
        row |= {"sequence": sent.body.sequence, "status": "final", "summary": "", "created_ns": 0, "reverted": False}
        form = {"chain": sent.chain, "hash": hashlib.sha256(sent.raw).digest(), "transaction_id": number, "number": 1}
        form |= {"raw": sent.raw, "signed_ns": round(sent.at_s * NS_PER_S)}
        await process.database.write(lambda c, row=row: c.execute(sa.insert(relayer_transactions).values(**row)))  # type: ignore[misc]
        await process.database.write(
            lambda c, form=form: c.execute(sa.insert(relayer_transaction_attempts).values(**form))  # type: ignore[misc]
        )


# --- webhooks and switches -------------------------------------------------------------------------------------------


def post(stage: Stage, name: str, secret: bytes = HOOK.secret, status: int | None = 200) -> None:
    """A message about the first swap as its webhook gets it."""
    swap_id = stage.record.agreed[0].swap_id
    body = json.dumps({"data": {"id": swap_id, "version": 1, "phase": "completed"}}).encode()
    seal = base64.b64encode(hmac.new(secret, f"{name}.1.".encode() + body, hashlib.sha256).digest()).decode()
    headers = {"webhook-id": name, "webhook-timestamp": "1", "webhook-signature": f"v1,{seal}"}
    stage.world.posted.append(Posted(stage.relayer.name, stage.world.clock.now(), headers, body, status))


async def reported(stage: Stage) -> None:
    """A town with webhooks, and a swap in it."""
    stage.world.plan = replace(stage.world.plan, regulator=True)
    await stage.played()


async def hook_unsigned(stage: Stage) -> None:
    await reported(stage)
    post(stage, "m", secret=b"another secret")


async def hook_twice(stage: Stage) -> None:
    await reported(stage)
    post(stage, "m")
    post(stage, "m")


async def hook_never(stage: Stage) -> None:
    """The swap is over, and nobody writes a message down."""
    stage.world.plan = replace(stage.world.plan, regulator=True)
    agreed = await stage.open(style=Style.NEVER_LOCKS, honest=False)
    await stage.begun(stage.relayer, agreed, Role.LIQUIDITY_PROVIDER)
    await stage.relayer.database.write(
        lambda c: c.exec_driver_sql("UPDATE relayer_swaps SET done = 1, phase = 'abandoned'")
    )
    of_swap = needed(stage.world.plan, A, B)
    await stage.world.clock.sleep(of_swap.quote_s + of_swap.gap_s)


def standing(stage: Stage, *own: Switch) -> None:
    """The relayer works, with these switches."""
    service: Any = SimpleNamespace(switches=SimpleNamespace(own=own))
    stage.relayer.last_service = service


async def offered_on_trouble(stage: Stage) -> None:
    now_s = stage.world.clock.now()
    stage.world.plan = replace(stage.world.plan, watchful=True)
    stage.world.stalled.append((A, now_s - switches.STALL_S - POLICY.lock_s, now_s + LONG_S))
    await stage.played()


async def switch_stuck(stage: Stage) -> None:
    stage.world.plan = replace(stage.world.plan, watchful=True)
    await stage.played()
    since_ns = stage.world.clock.now_ns()
    await stage.world.clock.sleep(switches.LASTS_S + 1)
    standing(stage, Switch(scope_of_chain(A), Cause.FINALITY_STALL, "nothing became final", since_ns))


# --- prices ----------------------------------------------------------------------------------------------------------


def priced(stage: Stage, at_s: float, value: Fraction) -> None:
    """The relayer trades at this price, which was published at this time (Unix seconds)."""
    stage.relayer.feed = PriceFeed(stage.world, Pricing(0, 0, 100, 0, 0, 0.0))
    stage.relayer.feed.published = [Price(at_s, value)]


async def priced_stale(stage: Stage) -> None:
    priced(stage, stage.world.clock.now() - LONG_S, Fraction(3))
    await stage.played()


async def priced_off(stage: Stage) -> None:
    """It gives two for one, and less the spread that is too much."""
    priced(stage, stage.world.clock.now(), Fraction(2))
    await stage.played()


async def topped_up_wrongly(stage: Stage) -> None:
    """The funder pays more at once than it may pay in a day."""
    stage.world.plan = replace(stage.world.plan, topped=Topped(by_itself=True, at_s=0.0))
    await stage.open()
    funder, sender = funder_of(stage.world, A), stage.world.chains[A].access().transactions
    stage.mine(1)  # it has something from then on
    gas = transfer(A, funder.account, stage.relayer.accounts[A], COIN[A], BaseUnits(TOP_UP[-1] + 1))
    request = sender.assemble(gas, 0, FEE, None)
    stage.note(stage.relayer, A, sender.attach(request, await funder.sign(request)).raw)
    stage.record.agreed.clear()


async def _nothing(_: Agreed) -> None:
    """The provider does not lock."""


async def left_waiting(stage: Stage, then: Callable[[Agreed], Awaitable[None]] = _nothing) -> None:
    """The provider has gas from then on, all the time that it needs, and does not lock."""
    stage.world.plan = replace(stage.world.plan, topped=Topped(by_itself=False, at_s=0.0))
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    for one in stage.world.histories.values():
        one.look()
    stage.record.filled.append(Filled(stage.relayer.name, B, stage.world.clock.now()))
    await then(agreed)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


PLANTED = (
    topped_up_wrongly,
    left_waiting,
    priced_stale,
    priced_off,
    paid_unordered,
    paid_twice,
    reserved_paid_out,
    order_off_chain,
    order_left,
    not_taken_over,
    taken_from_a_leader,
    sent_unstored,
    signed_unled,
    hook_unsigned,
    hook_twice,
    hook_never,
    offered_on_trouble,
    switch_stuck,
)
