"""Payments out of a relayer's accounts: only as its operator ordered, once, and nothing that swaps rely on."""

from collections.abc import Iterator
from typing import Final

from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, Height
from core.runtime.clock import NS_PER_S
from gateway.simulation.chains import Payment
from gateway.simulation.plan import FORGETFUL, POLICY, TIMING, Rough
from gateway.simulation.plan_operators import Purpose
from gateway.simulation.process import Process
from gateway.simulation.verdict.chains import all_locks, lock_at
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Ordered, Record
from gateway.simulation.wire import Sent
from gateway.simulation.world import CALM_FEES, GAS, TOKEN
from relayer.treasury import orders
from relayer.treasury.orders import Withdrawal, WithdrawalStatus

ENDS_S: Final = 60.0
"""How long after its time an order may wait to be called off: for finality, endpoints that hang, and a restart."""
SIGNED_S: Final = 2.0
"""How long before it is sent a payment may have been judged, and signed."""
READ_S: Final = 2.0 * TIMING.observation_s
"""How long a lock must have been final for its relayer to count it."""
UNSETTLED: Final = frozenset({Rough.USED_ELSEWHERE, Rough.SHORT_PURSE, Rough.DEEP_REORG, Rough.FINALITY_STALLS})
"""In these an order may wait for longer than a story lasts: for the operator, for gas, for a final block."""


async def problems(record: Record) -> list[Problem]:
    """Every payment that was not to be, and every order that did not end as the chains show."""
    found = [*_unordered(record), *_reserved(record)]
    if not record.plan.rough & FORGETFUL:
        for one in record.orders:
            if one.order.chain in record.world.deep:
                continue  # nothing is certain of what was final there
            process = record.process(one.relayer)
            rows = await process.database.read(lambda c, one=one: orders.find(c, [one.order.id]))  # type: ignore[misc]
            found += _off_chain(record, process, one, rows[0])
    return found


def _pays(sent: Sent) -> list[Payment]:
    """Payments to others: a chain may use up a sequence by one to the sender."""
    return [one for one in sent.body.pays if one.receiver != sent.body.sender]


def _unordered(record: Record) -> Iterator[Problem]:
    """Whoever is paid was to be, by somebody who may order it, and not more."""
    for sent in record.world.wire.firsts():
        if record.owner(AccountId(sent.body.sender)) != sent.party:
            continue
        for payment in _pays(sent):
            known = (one for one in record.orders if one.relayer == sent.party)
            order = next((one for one in known if one.order.receiver == payment.receiver), None)
            if order is None or not _may_pay(record, sent, order) or not _as_ordered(order.order, payment):
                text = f"{sent.party} pays {payment.amount} of {payment.asset} to {payment.receiver}"
                yield Problem(Kind.PAID_UNORDERED, f"{text}, as nobody who may has ordered")
    for one in record.orders:
        paid = _paid(record, one.order)
        most = record.world.chains[one.order.chain].balance(one.order.receiver, one.order.asset)
        largest = max((payment.amount for payment in paid), default=0)
        if most > largest:
            text = f"{one.relayer} paid {most} of {one.order.asset} to {one.order.receiver}, for one order of {largest}"
            yield Problem(Kind.PAID_TWICE, text)


def _may_pay(record: Record, sent: Sent, one: Ordered) -> bool:
    """Return false for an order that nobody may give. One that was for more than there was is paid if that has come."""
    if one.purpose is not Purpose.TOO_MUCH:
        return one.purpose.may_pay
    here, height = record.world.chains[sent.chain], sent.heights[sent.chain]
    return here.balance(AccountId(sent.body.sender), one.order.asset, height) >= (one.order.amount or 0)


def _as_ordered(order: Withdrawal, payment: Payment) -> bool:
    return payment.asset == order.asset and order.amount in (None, payment.amount)


def _paid(record: Record, order: Withdrawal) -> list[Payment]:
    """Every payment to the order's receiver that was ever signed."""
    firsts = record.world.wire.firsts()
    return [one for sent in firsts for one in _pays(sent) if one.receiver == order.receiver]


def _off_chain(record: Record, process: Process, one: Ordered, row: Withdrawal) -> Iterator[Problem]:
    """In the end an order is paid if its receiver has it, and over in time."""
    here = record.world.chains[one.order.chain]
    held = here.balance(one.order.receiver, one.order.asset, here.finalized_height)
    what = f"{one.relayer}'s withdrawal {one.order.id} ({one.purpose})"
    ordered = row.taken if row.amount is None else row.amount
    # A token that began to take fees gives its receiver less.
    less = Rough.TOKEN_TAKES_FEES in record.plan.rough and one.order.asset == TOKEN[one.order.chain]
    if row.status is WithdrawalStatus.PAID and held != ordered and not (less and 0 < held < (ordered or 0)):
        yield Problem(Kind.ORDER_OFF_CHAIN, f"{what} is paid, and its receiver has {held}")
    if row.status.ended and row.status is not WithdrawalStatus.PAID and held:
        yield Problem(Kind.ORDER_OFF_CHAIN, f"{what} is {row.status}, and its receiver has {held}")
    paid_s = _paid_at_s(record, one)
    now_s = record.world.clock.now()
    is_long = paid_s is not None and now_s - paid_s > ENDS_S / 2 and not record.was_away(one.relayer, paid_s, now_s)
    if not row.status.ended and is_long:
        yield Problem(Kind.ORDER_OFF_CHAIN, f"{what} is {row.status}, and its receiver has {held} since long")
    late_s = record.world.clock.now() - one.order.until_ns / NS_PER_S
    patient = record.plan.rough & UNSETTLED or process.name == record.plan.clock_of
    if not row.status.ended and late_s > ENDS_S and not patient:
        yield Problem(Kind.ORDER_LEFT, f"{what} is {row.status} {late_s:.0f} s after its time")


def _paid_at_s(record: Record, one: Ordered) -> float | None:
    """When the receiver had something first, Unix seconds of true time; None if it has nothing that is final."""
    here, chain = record.world.chains[one.order.chain], one.order.chain
    for height in range(here.finalized_height + 1):
        if here.balance(one.order.receiver, one.order.asset, Height(height)):
            return here.block(Height(height)).header.time.seconds - record.plan.skew_s[chain]
    return None


def _reserved(record: Record) -> Iterator[Problem]:
    """A payment leaves what agreed swaps take whose initiator has locked, and a refund's gas for each own lock."""
    for sent in record.world.wire.firsts():
        if sent.chain in record.world.deep or not _pays(sent) or _was_replaced(record, sent):
            continue
        if sent.party not in {one.name for one in record.relayers}:
            continue
        here, at = record.world.chains[sent.chain], sent.heights[sent.chain]
        account = AccountId(sent.body.sender)
        for asset in {one.asset for one in _pays(sent)} | ({here.native} if here.native else set()):
            left = here.balance(account, asset, at) - sum(one.amount for one in _pays(sent) if one.asset == asset)
            needed = sum(int(deal.participant_leg.amount) for deal in _to_fund(record, sent, asset))
            if asset == here.native:
                needed += GAS * CALM_FEES.base_fee * _standing(record, sent, account, at)
            if left < needed:
                text = f"{sent.party} pays out and keeps {left} of {asset}: swaps that are agreed need {needed}"
                yield Problem(Kind.RESERVED_PAID_OUT, text)


def _was_replaced(record: Record, sent: Sent) -> bool:
    """True if the block of then went soon after: the one in its place may hold the payment itself."""
    began_s = record.world.clock.now() - record.world.seconds
    return any(
        name == sent.chain and sent.at_s <= began_s + at_s < sent.at_s + READ_S for name, at_s in record.world.reorged
    )


def _standing(record: Record, sent: Sent, account: AccountId, at: Height) -> int:
    here = record.world.chains[sent.chain]
    mine = [lock for lock in all_locks(here) if lock.terms.sender == account]
    states = [here.lock_at(lock.lock_id, at) for lock in mine]
    return sum(state is not None and state.status is LockStatus.LOCKED for state in states)


def _to_fund(record: Record, sent: Sent, asset: AssetId) -> Iterator[Agreed]:
    """The deals that this relayer has yet to lock for: an honest initiator has agreed, and has time to lock; or its
    lock was final for a while, and there is time to fund. What it has signed for, a purse counts anyway."""
    for deal in record.agreed:
        if deal.relayer != sent.party or deal.participant_leg.asset != asset or deal.dapp is None:
            continue
        left_s = deal.participant_leg.timelock.seconds - sent.at_s
        signed = any(
            terms == deal.participant_leg
            for one in record.world.wire.sent
            if one.at_s <= sent.at_s and one.party == sent.party
            for terms in one.body.locks
        )
        is_held = deal.agreed_at_s + SIGNED_S < sent.at_s <= deal.lock_deadline_s
        if signed or left_s <= needed_by(record.plan, deal).fund_s or not (is_held or _was_final(record, deal, sent)):
            continue
        if record.was_away(sent.party, sent.at_s - READ_S - POLICY.lock_s, sent.at_s) or record.has_forgotten(deal):
            continue
        yield deal


def _was_final(record: Record, deal: Agreed, sent: Sent) -> bool:
    """The initiator's lock stands in the finalized state of then, and was final `READ_S` before."""
    terms = deal.initiator_leg
    here, at = record.world.chains[terms.chain], sent.finalized[terms.chain]
    rows = [lock_at(here, lock.lock_id, at) for lock in all_locks(here) if lock.terms == terms]
    if not any(row is not None and row.status is LockStatus.LOCKED for row in rows):
        return False
    return record.final_at_s(terms) < sent.at_s - READ_S
