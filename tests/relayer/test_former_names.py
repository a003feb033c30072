"""Programs that import the places of version 0.1 find the same things there."""

import importlib

import pytest

from adapters.memory import ports
from relayer import heads
from relayer.signals import HeadBoard
from tests.relayer.test_transactions import House


@pytest.mark.parametrize(
    ("former", "name", "place"),
    [
        ("relayer.signals", "Signal", "core.runtime.signals"),
        ("relayer.quotes", "Pair", "relayer.provider.quoting"),
        ("relayer.checks", "Checks", "relayer.pump.checks"),
        ("relayer.transactions.tables", "TransactionStatus", "relayer.transactions.records"),
        ("relayer.swaps", "relayer_locks", "relayer.pump.tables"),
    ],
)
def test_a_former_name_is_the_same_thing(former: str, name: str, place: str) -> None:
    assert getattr(importlib.import_module(former), name) is getattr(importlib.import_module(place), name)


def test_a_former_lock_reader_is_the_same_thing() -> None:
    assert ports.MemoryLocks is ports.MemoryLockReader


async def test_a_former_board_is_made_of_a_chain_as_a_whole() -> None:
    access = House().access
    former, board = HeadBoard(access), heads.HeadBoard(access.heads)
    assert isinstance(former, heads.HeadBoard)
    assert await former.current() == await board.current()
