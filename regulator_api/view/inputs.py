"""The rows that the figures of an answer follow from, read again at the moment of the answer."""

from typing import Final

from core.model.types import AccountId, AssetId, chain_of
from indexer.projections.balances import supply_rows
from indexer.projections.conservation import conservation_rows
from regulator_api import audit
from regulator_api.view.accounts import balances_of, dealings
from regulator_api.view.activity import moved_in, opened_in
from regulator_api.view.base import View
from regulator_api.view.figures import crossings, height_of, holders
from regulator_api.view.whole import lock_statuses, swap_statuses

Row = list[str | int | None]
NATIVE: Final = "/slip44:"


def of_supply(view: View, asset: AssetId) -> list[Row]:
    """Part, account of a holding, base units. For callers who see all."""
    rows = supply_rows(view.connection, asset, height_of(view, chain_of(asset)))
    return [[part, account, str(amount)] for part, account, amount in rows]


def of_conservation(view: View, asset: AssetId) -> list[Row]:
    """Part, base units. For callers who see all."""
    rows = conservation_rows(view.connection, asset, height_of(view, chain_of(asset)))
    return [[part, str(amount)] for part, amount in rows]


def of_counts(view: View) -> list[Row]:
    """`swap` or `lock`, its name, its status. For callers who see all."""
    named = (("swap", swap_statuses(view)), ("lock", lock_statuses(view)))
    return [[what, name, status] for what, rows in named for name, status in rows]


def of_partners(view: View, account: AccountId, since_s: int | None, until_s: int | None) -> list[Row]:
    """Block time, direction, the other party, asset, base units; the newest first."""
    rows, _ = dealings(view, account, since_s, until_s)
    return [[one.time_s, one.direction, one.other, one.asset, str(one.amount)] for one in rows]


def of_holdings(view: View, accounts: list[str]) -> list[Row]:
    """Account, asset, base units."""
    return [
        [account, one.asset, str(one.amount)]
        for account in accounts
        for one in balances_of(view, AccountId(account))[0]
    ]


def of_activity(view: View, since_s: int, until_s: int) -> list[Row]:
    """A part, asset, base units and time of each movement; `crossed`, both assets with base units, and time of each
    swap that both claimed; `swap`, name and status of each that was opened."""
    moved, _ = moved_in(view, since_s, until_s)
    crossed, _ = crossings(view, since_s, until_s)
    rows: list[Row] = [[one.part, one.asset, str(one.amount), one.time_s] for one in moved]
    for swap in crossed:
        rows.append(["crossed", swap.from_asset, str(swap.given), swap.to_asset, str(swap.taken), swap.time_s])
    for name, status in opened_in(view, since_s, until_s):
        rows.append(["swap", name, status.value])
    return rows


def of_velocity(view: View, asset: AssetId) -> list[Row]:
    """Account, base units; none for callers with jurisdictions, and for native coins."""
    if view.restricted or NATIVE in asset:
        return []
    return [[one.account, str(one.amount)] for one in holders(view, asset)]


def of_audit(view: View, numbers: list[int]) -> list[Row]:
    """The hash of the entry before each of these."""
    before = audit.hashes(view.connection, [number - 1 for number in numbers])
    return [[before[number - 1].hex()] for number in numbers]
