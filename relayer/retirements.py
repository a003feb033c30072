"""Accounts of ours that retire: what each has left to do, and a word once that is nothing.

A new account opens swaps; the former one ends those that began with it: it makes the locks that were agreed, sends
their claims and refunds, and pays what is left to the new one. See ADR 14.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.types import AccountId, chain_of
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer.metrics import RelayerMetrics
from relayer.pump import tables
from relayer.pump.wiring import Pump
from relayer.transactions import records
from relayer.treasury import orders

LOOK_S: Final = 5.0
SHORTAGE_AGE_S: Final = 5.0
"""How old a look at the gas may be: whoever asks for our health does not poll our endpoints."""

log = get_logger("relayer.retirements")


@dataclass(frozen=True, slots=True)
class Left:
    """The work that an account has left: open swaps that need it, transactions that may change, withdrawals."""

    swaps: int
    transactions: int
    withdrawals: int

    @property
    def total(self) -> int:
        return self.swaps + self.transactions + self.withdrawals

    def __str__(self) -> str:
        return f"{self.swaps} open swaps, {self.transactions} transactions and {self.withdrawals} withdrawals"


def left_to_do(connection: Connection, account: AccountId) -> Left:
    """Return what this account of ours has left to do."""
    return Left(
        tables.count_of_account(connection, account),
        len(records.open_transactions(connection, chain_of(account), account)),
        sum(order.account == account for order, _ in orders.waiting(connection)),
    )


class Retirements:
    """A named loop that looks every `LOOK_S`."""

    def __init__(self, database: Database, pump: Pump, clock: Clock, metrics: RelayerMetrics) -> None:
        self._database = database
        self._pump = pump
        self._clock = clock
        self._metrics = metrics
        self._ended: set[AccountId] = set()
        self._short: tuple[float, Mapping[AccountId, str]] | None = None

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.step()
            await self._clock.sleep(LOOK_S)

    async def step(self) -> None:
        """Look once at each account that retires."""
        for account in (one.account for one in self._pump.retiring):
            left = await self._database.read(partial(left_to_do, account=account))
            self._metrics.retiring.labels(account).set(left.total)
            if not left.total and account not in self._ended:
                self._ended.add(account)
                commands = (
                    f"causeway relayer sweep --retiring, then causeway relayer rotate {chain_of(account)} --finish"
                )
                log.info("an account has ended what it began: empty it and take it out", account=account, by=commands)

    async def shortages(self) -> Mapping[AccountId, str]:
        """Return which of them cannot pay for their exits, with a sentence about each. Raise `RetryableError`."""
        now_s = self._clock.monotonic()
        if self._short is None or now_s - self._short[0] >= SHORTAGE_AGE_S:
            self._short = now_s, await self._pump.checks.retiring_shortages()
        return self._short[1]
