"""Events of configured contracts: stored, found by their arguments, undone by reorgs, built again from the facts."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import RejectedError
from core.model.facts import ArgumentValue, ChainEvent, ContractEvent
from core.model.types import AccountId, Height
from core.runtime.clock import ManualClock
from core.runtime.database import Database
from indexer.encoding import EVENT_COLUMNS, decode_event, event_values
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.contract_events import ContractEventFilter, list_contract_events
from indexer.projections.rebuild import PROJECTED, rebuild
from tests.indexer.scripted import CHAIN, Parameters, ScriptedBlocks, ScriptedChain
from tests.indexer.test_swaps import projected
from tests.indexer.truth import all_facts, replay

SHOP, BANK = AccountId(f"{CHAIN}:shop"), AccountId(f"{CHAIN}:bank")

values: st.SearchStrategy[ArgumentValue] = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.text(max_size=5, alphabet="abc"), values), max_size=4), st.binary(max_size=9))
def test_events_come_back_as_they_were(arguments: list[tuple[str, ArgumentValue]], undecoded: bytes) -> None:
    event = ContractEvent(SHOP, "Sold", tuple(arguments), undecoded)
    row = SimpleNamespace(**dict(zip(EVENT_COLUMNS, event_values(event), strict=True)))
    assert decode_event(row) == event


def sold(height: int) -> Sequence[ChainEvent]:
    """Two events a block; one has a text that no database column would take."""
    parity = "even" if height % 2 == 0 else "odd"
    return [
        ContractEvent(SHOP, "Sold", (("item", parity), ("price", str(height)), ("note", "zero \0 byte"))),
        ContractEvent(BANK, "Paid", (("item", parity), ("late", height > 5), ("to", ("a", "b")))),
    ]


async def test_events_are_found_by_contract_name_and_arguments(database: Database) -> None:
    chain = ScriptedChain()
    chain.extend(9, sold)
    follower = Follower(
        Parameters(), chain, ScriptedBlocks(chain), database, FactSignal(), ManualClock(), Height(0), max_range=4
    )
    await follower.open()
    await follower.catch_up(chain.update)

    async def heights(wanted: ContractEventFilter, after: tuple[int, int] | None = None, limit: int = 100) -> list[int]:
        found = await database.read(lambda c: list_contract_events(c, wanted, limit, after))
        assert all(isinstance(one.event, ContractEvent) and one.event.contract == wanted.contract for one in found)
        return [one.block.height for one in found]

    assert await heights(ContractEventFilter(SHOP)) == list(range(1, 10))
    assert await heights(ContractEventFilter(SHOP, "Sold", {"item": "even"})) == [2, 4, 6, 8]
    assert await heights(ContractEventFilter(SHOP, "Sold", {"item": "even", "price": "4"})) == [4]
    assert await heights(ContractEventFilter(SHOP, "Paid")) == []
    assert await heights(ContractEventFilter(BANK, "Paid", {"late": "true"}, last=Height(7))) == [6, 7]
    assert await heights(ContractEventFilter(BANK, first=Height(4)), limit=2) == [4, 5]
    assert await heights(ContractEventFilter(BANK, first=Height(4)), after=(5, 1), limit=2) == [6, 7]
    with pytest.raises(RejectedError):
        await heights(ContractEventFilter(SHOP), limit=0)

    del chain.blocks[6:]
    chain.extend(2, sold)
    await follower.catch_up(chain.update)
    assert await heights(ContractEventFilter(SHOP)) == list(range(1, 8))
    chains, _ = replay(await database.read(all_facts))
    assert chains[CHAIN] == chain.blocks
    grown = await database.read(projected)
    assert grown["indexer_contract_events"]
    assert grown["indexer_contract_arguments"]
    await database.write(rebuild)
    assert await database.read(projected) == grown
    assert {table.name for table in PROJECTED} == set(grown)
