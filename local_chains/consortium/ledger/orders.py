"""Supervision: officers hold an address by an order that two of them signed, for a time.

A held address moves no value out: it cannot transfer, burn, issue, lock or pay for a question, and no new lock names it
as its receiver. What was agreed before goes on: claims and refunds of open locks, answers and ends of open questions
execute, whoever sends them, and credit the account, which stays held. Otherwise an order could hand one party both legs
of a swap. Duties of members (votes, attestations, records) are not affected, and nobody can take what is held.
"""

from msgspec.structs import replace

from core.model.consortium import ResultCode, encode_leaf, sequence_key
from core.model.consortium_orders import (
    CASE_BYTES,
    MAX_ORDER_S,
    MAX_PREPARED,
    OFFICER,
    ORDERS,
    AddressHeld,
    AddressReleased,
    ApproveLift,
    ApproveOrder,
    HeldLeaf,
    LiftPrepared,
    OrderLeaf,
    OrderPrepared,
    OrderStatus,
    OrderTerms,
    PrepareLift,
    PrepareOrder,
    Step,
    held_key,
    lift_waits,
    order_status,
    reason_fault,
)
from local_chains.consortium.ledger.context import MS_PER_S, Context, refuse, require_address
from local_chains.consortium.ledger.leaves import PreparedLeaf, prepared_key, read, write
from local_chains.consortium.ledger.members import has_role, require_role
from local_chains.consortium.ledger.sequences import append, length
from local_chains.consortium.ledger.view import StateView

# --- what a hold forbids -----------------------------------------------------------------------------------------


def held_by(state: StateView, address: bytes, time_ms: int) -> HeldLeaf | None:
    """The order that holds an address at this ledger time, None if none does."""
    leaf = read(state, held_key(address), HeldLeaf)
    return leaf if leaf is not None and leaf.holds_at(time_ms) else None


def require_free_sender(context: Context) -> None:
    """Refuses a sender that is held: for every message that moves value out of its account."""
    held = held_by(context.state, context.sender, context.time_ms)
    if held is not None:
        refuse(ResultCode.HELD, f"order {held.order} holds this account until {held.until}: it can receive, not send")


def require_free_receiver(context: Context, receiver: bytes) -> None:
    """Refuses a new lock for a receiver that is held."""
    held = held_by(context.state, receiver, context.time_ms)
    if held is not None:
        refuse(ResultCode.HELD, f"order {held.order} holds the receiver until {held.until}: nothing is locked for it")


# --- messages ----------------------------------------------------------------------------------------------------


def prepare_order(context: Context, message: PrepareOrder) -> None:
    require_role(context, OFFICER)
    terms = message.terms
    _check_terms(context, terms)
    waiting = _still_waiting(context)
    if len(waiting) >= MAX_PREPARED:
        refuse(ResultCode.TOO_MANY_ORDERS, f"at most {MAX_PREPARED} orders of an officer wait for a second one")
    leaf = OrderLeaf(terms, "prepared", Step(context.sender, context.time_ms))
    number = append(context.state, ORDERS, encode_leaf(leaf))
    write(context.state, prepared_key(context.sender), PreparedLeaf((*waiting, number)))
    context.events.append(OrderPrepared(number, terms.address, context.sender, terms.reason, terms.case, terms.expires))


def approve_order(context: Context, message: ApproveOrder) -> None:
    require_role(context, OFFICER)
    number, leaf = message.order, _order(context, message.order)
    _require_status(context, leaf, OrderStatus.PREPARED)
    if message.terms != leaf.terms:
        refuse(ResultCode.BAD_ORDER, f"these are not the terms of order {number}: read it again")
    _require_second(context, leaf.prepared)
    terms = leaf.terms
    before = held_by(context.state, terms.address, context.time_ms)
    if before is not None:
        other = _order(context, before.order)
        _write(context, before.order, replace(other, status="renewed", renewed_by=number))
    _write(context, number, replace(leaf, status="in-force", approved=Step(context.sender, context.time_ms)))
    write(context.state, held_key(terms.address), HeldLeaf(number, terms.expires))
    _forget_waiting(context, leaf.prepared.officer, number)
    renews = 0 if before is None else before.order
    context.events.append(AddressHeld(number, terms.address, context.sender, terms.expires, renews))


def prepare_lift(context: Context, message: PrepareLift) -> None:
    require_role(context, OFFICER)
    leaf = _in_force(context, message.order, message.address)
    _check_reason(message.reason)
    prepared = Step(context.sender, context.time_ms)
    _write(context, message.order, replace(leaf, lift_reason=message.reason, lift_prepared=prepared))
    context.events.append(LiftPrepared(message.order, leaf.terms.address, context.sender, message.reason))


def approve_lift(context: Context, message: ApproveLift) -> None:
    require_role(context, OFFICER)
    leaf = _in_force(context, message.order, message.address)
    prepared = leaf.lift_prepared
    if prepared is None or not lift_waits(leaf, context.time_ms):
        refuse(ResultCode.ORDER_CLOSED, f"no lift of order {message.order} waits for a second officer: prepare one")
    if message.reason != leaf.lift_reason:
        refuse(ResultCode.BAD_ORDER, f"this is not the reason of the lift of order {message.order}: read it again")
    _require_second(context, prepared)
    lifted = Step(context.sender, context.time_ms)
    _write(context, message.order, replace(leaf, status="lifted", lift_approved=lifted))
    context.state.delete(held_key(leaf.terms.address))
    context.events.append(AddressReleased(message.order, leaf.terms.address, context.sender))


# --- parts -------------------------------------------------------------------------------------------------------


def _check_terms(context: Context, terms: OrderTerms) -> None:
    require_address(terms.address, "held party")
    _check_reason(terms.reason)
    if len(terms.case) != CASE_BYTES:
        refuse(ResultCode.BAD_ORDER, f"a case is named by {CASE_BYTES} bytes, not {len(terms.case)}")
    if not context.time_ms < terms.expires * MS_PER_S <= context.time_ms + MAX_ORDER_S * MS_PER_S:
        refuse(
            ResultCode.BAD_ORDER,
            f"an order expires after ledger time, at most {MAX_ORDER_S // 86_400} days ahead, not at {terms.expires}",
        )


def _check_reason(reason: str) -> None:
    fault = reason_fault(reason)
    if fault:
        refuse(ResultCode.BAD_ORDER, fault)


def _require_second(context: Context, first: Step) -> None:
    """Four eyes: refuses the officer who prepared it, and everybody if that one is not an officer any more."""
    if context.sender == first.officer:
        refuse(ResultCode.SAME_OFFICER, "this officer prepared it: another one approves it")
    if not has_role(context.state, first.officer, OFFICER):
        refuse(ResultCode.MISSING_ROLE, f"{first.officer.hex()}, who prepared it, is not an officer any more")


def _in_force(context: Context, number: int, address: bytes) -> OrderLeaf:
    """The order in force of this number, which has to hold `address`."""
    leaf = _order(context, number)
    _require_status(context, leaf, OrderStatus.IN_FORCE)
    if leaf.terms.address != address:
        refuse(ResultCode.BAD_ORDER, f"order {number} holds {leaf.terms.address.hex()}: read it again")
    return leaf


def _require_status(context: Context, leaf: OrderLeaf, wanted: OrderStatus) -> None:
    status = order_status(leaf, context.time_ms)
    if status is not wanted:
        refuse(ResultCode.ORDER_CLOSED, f"the order is {status}, not {wanted}")


def _order(context: Context, number: int) -> OrderLeaf:
    leaf = None
    if 0 < number <= length(context.state, ORDERS):
        leaf = read(context.state, sequence_key(ORDERS, number), OrderLeaf)
    if leaf is None:
        refuse(ResultCode.UNKNOWN_ORDER, f"there is no order {number}")
    return leaf


def _write(context: Context, number: int, leaf: OrderLeaf) -> None:
    write(context.state, sequence_key(ORDERS, number), leaf)


def _still_waiting(context: Context) -> tuple[int, ...]:
    """The sender's orders that wait for a second officer, oldest first."""
    known = read(context.state, prepared_key(context.sender), PreparedLeaf) or PreparedLeaf(())
    return tuple(
        number
        for number in known.orders
        if order_status(_order(context, number), context.time_ms) is OrderStatus.PREPARED
    )


def _forget_waiting(context: Context, officer: bytes, number: int) -> None:
    known = read(context.state, prepared_key(officer), PreparedLeaf) or PreparedLeaf(())
    others = tuple(other for other in known.orders if other != number)
    if others:
        write(context.state, prepared_key(officer), PreparedLeaf(others))
    else:
        context.state.delete(prepared_key(officer))
