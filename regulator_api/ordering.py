"""The halves of orders as officers are asked to sign them: prepared from the chain's own state, by whoever reads it."""

import asyncio
from dataclasses import dataclass
from typing import Final

from core.model.consortium import caip_account
from core.model.consortium_orders import (
    MAX_ORDER_S,
    MS_PER_S,
    ApproveLift,
    ApproveOrder,
    OrderMessage,
    OrderStatus,
    OrderTerms,
    OrderView,
    PrepareLift,
    PrepareOrder,
    reason_fault,
)
from core.model.errors import ConflictError, RejectedError
from core.model.ports import HeadSource, OrderReader, TransactionSender
from core.model.types import AccountId, ChainId
from regulator_api.drafts import VALID_BLOCKS, Half

DAY_S: Final = 24 * 3_600


@dataclass(frozen=True, slots=True)
class OrderDesk:
    """One ledger's orders: who reads them, and what a transaction of an officer needs to know. It holds no key."""

    chain: ChainId
    reader: OrderReader
    transactions: TransactionSender
    heads: HeadSource

    async def prepare(self, officer: AccountId, terms: OrderTerms) -> Half:
        """The first half of an order. Raise `RejectedError` for terms or an officer that the ledger would refuse."""
        check_reason(terms.reason)
        now_s = await self.now_s()
        if not now_s < terms.expires <= now_s + MAX_ORDER_S:
            raise RejectedError(
                f"an order holds for at most {MAX_ORDER_S // DAY_S} days, and ends after now, {now_s}: not at "
                f"{terms.expires}"
            )
        return await self._half(officer, PrepareOrder(terms))

    async def approve(self, officer: AccountId, number: int) -> Half:
        """The second half of what waits for one under this number: the order itself, or its lift.

        Raise `NotFoundError`, `ConflictError` if nothing waits, or if this officer signed the first half.
        """
        order = await self.reader.order(number)
        leaf, first = order.leaf, order.leaf.prepared
        message: OrderMessage = ApproveOrder(number, leaf.terms)
        if order.status is not OrderStatus.PREPARED:
            if not order.lift_waits or leaf.lift_prepared is None:
                raise ConflictError(f"order {number} is {order.status}: nothing waits for a second officer")
            message, first = ApproveLift(number, leaf.terms.address, leaf.lift_reason), leaf.lift_prepared
        if officer == caip_account(self.chain, first.officer):
            raise ConflictError("this officer signed the first half: another one has to approve it")
        return await self._half(officer, message)

    async def lift(self, officer: AccountId, number: int, reason: str) -> Half:
        """The first half of the end of an order. Raise `NotFoundError`, `ConflictError` if it is not in force."""
        check_reason(reason)
        order = await self.reader.order(number)
        if order.status is not OrderStatus.IN_FORCE:
            raise ConflictError(f"order {number} is {order.status}: only one in force can be lifted")
        return await self._half(officer, PrepareLift(number, order.leaf.terms.address, reason))

    async def now_s(self) -> int:
        """Ledger time of the newest block, Unix seconds."""
        return (await self.reader.orders(0)).time_ms // MS_PER_S

    async def _half(self, officer: AccountId, message: OrderMessage) -> Half:
        if await self.reader.officer(officer) is None:
            raise RejectedError(
                f"{officer} is not an officer: an officer's account is that of a member with the role regulator"
            )
        sequences, head = await asyncio.gather(self.transactions.sequences(officer), self.heads.head())
        return Half(officer, sequences.latest, head.head.height + VALID_BLOCKS, message)


def check_reason(reason: str) -> None:
    """Raise `RejectedError` for text that cannot stand on the ledger as a reason."""
    fault = reason_fault(reason)
    if fault:
        raise RejectedError(f"this reason cannot stand on the ledger: {fault}")


def is_about(order: OrderView, account: bytes | None) -> bool:
    """Return true if an order is about this address (20 bytes), or if none is named."""
    return account in (None, order.leaf.terms.address)
