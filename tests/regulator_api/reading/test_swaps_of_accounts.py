"""The swaps of an account are the same ones, whichever way they are found."""

import pytest
from sqlalchemy.engine import Connection

from core.model.types import AccountId, ChainId
from core.runtime.database import Database
from regulator_api.access.scope import Scope
from regulator_api.view import View, as_of
from regulator_api.view import swaps as swap_views
from regulator_api.view.swaps import SwapFilter, list_swaps
from tests.indexer.world import A, B, World
from tests.regulator_api.api import Api
from tests.regulator_api.test_api import claimed_swap


async def test_few_and_many_swaps_are_found_alike(
    world: World, api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[str | None] = []
    for number in (1, 2):
        await claimed_swap(world, api, number)
        moments.append(f"{A}@{world.a.height},{B}@{world.b.height}")
        await world.clock.advance(60)
    await world.lock(world.deal(3).initiator)  # nothing is agreed about it
    await world.lock(world.deal(4).participant)
    await world.index()
    moments.append(None)
    owners = [signer.account for side in (world.initiator, world.participant) for signer in side.values()]
    accounts = [*owners, AccountId(f"{A}:{'0' * 40}")]

    def found(connection: Connection) -> list[list[str]]:
        return [
            _pages(View(connection, Scope(None, frozenset()), as_of(connection, text, None)), account, chain)
            for text in moments
            for account in accounts
            for chain in (None, A)
        ]

    few = await database.read(found)
    monkeypatch.setattr(swap_views, "MAX_FEW", -1)
    assert few == await database.read(found)
    assert [len(one) for one in few[:: len(accounts) * 2]] == [1, 2, 3]
    assert few[-1] == []


def _pages(view: View, account: AccountId, chain: ChainId | None) -> list[str]:
    names: list[str] = []
    behind = None
    while True:
        page = list_swaps(view, SwapFilter(account=account, chain=chain), 1, behind)
        names += [one.swap_id for one in page.rows]
        if (behind := page.next) is None:
            return names
