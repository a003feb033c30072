"""The ledger's events as typed chain facts."""

from dataclasses import replace
from typing import Final, assert_never

from core.model.consortium import (
    ADDRESS_BYTES,
    AccessSet,
    AssetCreated,
    AssetMoved,
    AttestorAppointed,
    EquivocationProven,
    HeaderAccepted,
    HeaderVoted,
    LedgerEvent,
    LockClaimed,
    LockCreated,
    LockLeaf,
    LockRefunded,
    QueryAnswered,
    QueryAsked,
    QueryExpired,
    RecordStored,
    caip_account,
    caip_asset,
    lock_id,
    value_of,
)
from core.model.consortium_members import (
    AccountAdmitted,
    MemberChanged,
    MemberProposed,
    MemberVoted,
    MisbehaviourSeen,
    ProposalVoided,
)
from core.model.consortium_orders import (
    CASE_BYTES,
    AddressHeld,
    AddressReleased,
    LiftPrepared,
    OrderPrepared,
    reason_fault,
)
from core.model.errors import RejectedError
from core.model.facts import (
    AssetDefined,
    ChainEvent,
    Claimed,
    HeaderAttested,
    Locked,
    OrderSigned,
    OrderStep,
    RecordWritten,
    Refunded,
    Transferred,
)
from core.model.types import (
    MAX_DECIMALS,
    MAX_TIMELOCK_S,
    AccountId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockTerms,
    PublicPreimage,
)

MAX_ORDER: Final = 2**63 - 1


def fact_of(chain: ChainId, event: LedgerEvent) -> ChainEvent | None:
    """None for what is the ledger's own affair. Raise `RejectedError` if the event contradicts itself."""
    match event:
        case AssetMoved():
            return Transferred(
                caip_asset(chain, event.asset),
                _party(chain, event.sender),
                _party(chain, event.receiver),
                BaseUnits(event.amount),
            )
        case AssetCreated():
            if not 0 <= event.decimals <= MAX_DECIMALS:
                raise RejectedError(f"an asset has 0 to {MAX_DECIMALS} decimals")
            issuer = caip_account(chain, event.issuer)
            return AssetDefined(caip_asset(chain, event.asset), issuer, shown_symbol(event.asset), event.decimals)
        case LockCreated():
            return Locked(lock_id(chain, event.sender, event.hashlock), _terms(chain, event, event.amount))
        case LockClaimed():
            name = lock_id(chain, event.sender, event.hashlock)
            return Claimed(name, Hashlock(event.hashlock), PublicPreimage(event.preimage))
        case LockRefunded():
            return Refunded(lock_id(chain, event.sender, event.hashlock), Hashlock(event.hashlock))
        case RecordStored():
            author = caip_account(chain, event.author)
            return RecordWritten(event.namespace, event.key, event.version, author, event.digest)
        case HeaderAccepted():
            return HeaderAttested(BlockRef(ChainId(event.chain), Height(event.height), event.block_hash))
        case AccessSet() | HeaderVoted() | MemberProposed() | MemberVoted() | MemberChanged():
            return None
        case ProposalVoided() | MisbehaviourSeen() | AccountAdmitted() | AttestorAppointed() | EquivocationProven():
            return None
        case QueryAsked() | QueryAnswered() | QueryExpired():
            return None
        case OrderPrepared() | AddressHeld() | LiftPrepared() | AddressReleased():
            return _order(chain, event)
        case _:
            assert_never(event)


def _order(chain: ChainId, event: OrderPrepared | AddressHeld | LiftPrepared | AddressReleased) -> OrderSigned:
    if not 0 < event.order <= MAX_ORDER or {len(event.address), len(event.officer)} != {ADDRESS_BYTES}:
        raise RejectedError(f"an order has a number and two addresses, not {event.order}")
    account, officer = caip_account(chain, event.address), caip_account(chain, event.officer)
    if isinstance(event, OrderPrepared | LiftPrepared) and (fault := reason_fault(event.reason)):
        raise RejectedError(f"order {event.order}: {fault}")
    if isinstance(event, OrderPrepared | AddressHeld) and not 0 < event.expires <= MAX_TIMELOCK_S:
        raise RejectedError(f"order {event.order} expires at {event.expires}, which is not a time")
    match event:
        case OrderPrepared():
            if len(event.case) != CASE_BYTES:
                raise RejectedError(f"order {event.order} names a case by {len(event.case)} bytes")
            half = OrderSigned(event.order, OrderStep.PREPARED, account, officer)
            return replace(half, reason=event.reason, case=event.case, expires=event.expires)
        case AddressHeld():
            if not 0 <= event.renews <= MAX_ORDER:
                raise RejectedError(f"order {event.order} renews {event.renews}, which is not an order")
            half = OrderSigned(event.order, OrderStep.IN_FORCE, account, officer)
            return replace(half, expires=event.expires, renews=event.renews)
        case LiftPrepared():
            return OrderSigned(event.order, OrderStep.LIFT_PREPARED, account, officer, event.reason)
        case AddressReleased():
            return OrderSigned(event.order, OrderStep.LIFTED, account, officer)


def shown_symbol(symbol: str) -> str:
    """The ledger's symbol as people read it."""
    return symbol.upper()


def terms_of(chain: ChainId, leaf: LockLeaf) -> LockTerms:
    """Raise `RejectedError` if the leaf contradicts itself."""
    return _terms(chain, leaf, value_of(leaf.amount))


def _terms(chain: ChainId, source: LockCreated | LockLeaf, amount: int) -> LockTerms:
    return LockTerms(
        asset=caip_asset(chain, source.asset),
        amount=BaseUnits(amount),
        sender=caip_account(chain, source.sender),
        receiver=caip_account(chain, source.receiver),
        hashlock=Hashlock(source.hashlock),
        timelock=ChainTime(chain, source.timelock),
    )


def _party(chain: ChainId, raw: bytes) -> AccountId | None:
    return caip_account(chain, raw) if raw else None
