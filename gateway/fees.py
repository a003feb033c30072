"""The fees that a relayer pays for its transactions, by account: of a day, of a week, for each swap.

The database says which transactions a block has; what each cost is read from its receipt. For display: nothing is
written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection

from core.model.ports import FeeReader
from core.model.types import AccountId, AssetId, ChainId, SwapId
from core.runtime.clock import NS_PER_S
from core.runtime.database import Database
from gateway.swaps import swaps_of
from relayer.transactions import records
from relayer.transactions.records import TransactionRecord, TransactionStatus

DAY_S: Final = 24 * 3_600
WEEK_S: Final = 7 * DAY_S
MAX_TRANSACTIONS: Final = 2_000
"""The newest of each chain that are looked at; a busier week is counted in part, and says so."""
MAX_KEPT: Final = 20_000
"""Fees of final transactions that are remembered: they change no more."""


@dataclass(frozen=True, slots=True)
class Fees:
    """The fees that one account paid, in base units of `asset`. `per_swap`: of a week, over the `swaps` that its
    transactions were for; None without one. `failed`: transactions of a week that reverted, which are paid all the
    same. `unknown`: transactions of a week whose receipt no endpoint gave. `whole`: the week is counted to its
    beginning."""

    account: AccountId
    chain: ChainId
    asset: AssetId
    day: int
    week: int
    transactions: int
    failed: int
    unknown: int
    swaps: int
    per_swap: int | None
    whole: bool


class FeeBook:
    """Fees of one relayer's accounts."""

    def __init__(self) -> None:
        self._final: dict[bytes, int] = {}

    async def look(self, database: Database, readers: Mapping[ChainId, FeeReader], now_ns: int) -> list[Fees]:
        """Return what each account paid on chains with fees. Raise `RetryableError` while a chain is silent."""

        since_ns = now_ns - WEEK_S * NS_PER_S

        def read(connection: Connection) -> dict[ChainId, list[TransactionRecord]]:
            return {chain: records.newest(connection, MAX_TRANSACTIONS, chain, since_ns) for chain in readers}

        lately = await database.read(read)
        whole = {chain: len(found) < MAX_TRANSACTIONS for chain, found in lately.items()}
        all_of_them = [one for found in lately.values() for one in found]
        held = [one for one in all_of_them if one.tx_hash is not None and one.block is not None]
        costs = await self._costs(held, readers)
        accounts = sorted({(one.chain, one.account) for one in held})
        return [
            _summed(
                account,
                readers[chain].asset,
                [one for one in held if one.account == account],
                costs,
                now_ns,
                whole[chain],
            )
            for chain, account in accounts
        ]

    async def _costs(
        self, held: Sequence[TransactionRecord], readers: Mapping[ChainId, FeeReader]
    ) -> dict[int, int | None]:
        """Return the cost of each transaction by its row's id."""
        costs: dict[int, int | None] = {}
        for chain, reader in readers.items():
            ours = [one for one in held if one.chain == chain and one.tx_hash is not None]
            asked = [one for one in ours if one.tx_hash not in self._final]
            costs.update((one.id, self._final[one.tx_hash]) for one in ours if one.tx_hash in self._final)
            paid = await reader.paid([one.tx_hash for one in asked if one.tx_hash is not None])
            for one, fee in zip(asked, paid, strict=True):
                costs[one.id] = fee
                if fee is not None and one.tx_hash is not None and one.status is TransactionStatus.FINAL:
                    self._keep(one.tx_hash, fee)
        return costs

    def _keep(self, tx_hash: bytes, fee: int) -> None:
        if len(self._final) >= MAX_KEPT:
            self._final.pop(next(iter(self._final)))
        self._final[tx_hash] = fee


def _summed(
    account: AccountId,
    asset: AssetId,
    ours: Sequence[TransactionRecord],
    costs: Mapping[int, int | None],
    now_ns: int,
    whole: bool,
) -> Fees:
    known = [(one, cost) for one in ours if (cost := costs[one.id]) is not None]
    week = sum(cost for _, cost in known)
    for_swaps: set[SwapId] = {swap for one, _ in known for swap in swaps_of(one)}
    spent_on_swaps = sum(cost for one, cost in known if swaps_of(one))
    return Fees(
        account=account,
        chain=ours[0].chain,
        asset=asset,
        day=sum(cost for one, cost in known if one.created_ns > now_ns - DAY_S * NS_PER_S),
        week=week,
        transactions=len(known),
        failed=sum(1 for one, _ in known if one.reverted),
        unknown=len(ours) - len(known),
        swaps=len(for_swaps),
        per_swap=spent_on_swaps // len(for_swaps) if for_swaps else None,
        whole=whole,
    )
