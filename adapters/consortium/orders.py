"""The ledger's hold orders as they stand in the newest block. Unproven: for display, and for early refusals."""

import asyncio
from typing import Final

from adapters.consortium.rpc import CometRpc, count_of, parsed
from adapters.consortium.state import query, read_count, read_leaf
from core.model.consortium import CLOCK_KEY, raw_address, sequence_count_key, sequence_key
from core.model.consortium_members import Organisation, organisation_key, organisation_of_key
from core.model.consortium_orders import OFFICER, ORDERS, HeldLeaf, OrderLeaf, OrdersPage, OrderView, held_key
from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.types import AccountId, ChainId, Height, chain_of

AT_ONCE: Final = 16
"""Orders that are asked for at the same time."""


class ConsortiumOrderReader:
    """`OrderReader`."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain

    async def held(self, account: AccountId) -> HeldLeaf | None:
        """Raise `RejectedError` for another chain's account."""
        raw = self._raw(account)
        found = await query(self._rpc, held_key(raw))
        if found.value is None:
            return None
        leaf = await read_leaf(self._rpc, held_key(raw), HeldLeaf, found.height)
        return leaf if leaf is not None and leaf.holds_at(await self._time_ms(found.height)) else None

    async def order(self, number: int) -> OrderView:
        page = await self.orders(1, number + 1)
        if not page.orders or page.orders[0].number != number:
            raise NotFoundError(f"{self._chain} has no order {number}")
        return page.orders[0]

    async def orders(self, most: int, before: int | None = None) -> OrdersPage:
        clock = await query(self._rpc, CLOCK_KEY)
        at, time_ms = clock.height, parsed(lambda: count_of(clock.value))
        count = await read_count(self._rpc, sequence_count_key(ORDERS), at)
        newest = count if before is None else min(count, max(0, before - 1))
        numbers = range(newest, max(0, newest - most), -1)
        found: list[OrderView] = []
        for first in range(0, len(numbers), AT_ONCE):
            part = numbers[first : first + AT_ONCE]
            leaves = await asyncio.gather(*(self._leaf(number, at) for number in part))
            found += [OrderView.at(number, leaf, time_ms) for number, leaf in zip(part, leaves, strict=True)]
        return OrdersPage(at, time_ms, count, tuple(found))

    async def officer(self, account: AccountId) -> str | None:
        """Raise `RejectedError` for another chain's account."""
        named = await query(self._rpc, organisation_of_key(self._raw(account)))
        if named.value is None:
            return None
        name = parsed(named.value.decode)
        organisation = await read_leaf(self._rpc, organisation_key(name), Organisation, named.height)
        return name if organisation is not None and OFFICER in organisation.roles else None

    async def _leaf(self, number: int, at: Height) -> OrderLeaf:
        leaf = await read_leaf(self._rpc, sequence_key(ORDERS, number), OrderLeaf, at)
        if leaf is None:
            raise RetryableError(f"{self._rpc.origin} counts an order at height {at} that is not there")
        return leaf

    async def _time_ms(self, at: Height) -> int:
        clock = await query(self._rpc, CLOCK_KEY, at)
        return parsed(lambda: count_of(clock.value))

    def _raw(self, account: AccountId) -> bytes:
        if chain_of(account) != self._chain:
            raise RejectedError(f"{account} is not an account of {self._chain}")
        return raw_address(account)
