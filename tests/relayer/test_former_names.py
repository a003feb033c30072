"""Programs that import the places of version 0.1 find the same things there."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("former", "name", "place"),
    [
        ("relayer.signals", "HeadBoard", "relayer.heads"),
        ("relayer.signals", "Signal", "core.runtime.signals"),
        ("relayer.quotes", "Pair", "relayer.provider.quoting"),
        ("relayer.checks", "Checks", "relayer.pump.checks"),
        ("relayer.transactions.tables", "TransactionStatus", "relayer.transactions.records"),
    ],
)
def test_a_former_name_is_the_same_thing(former, name, place):
    assert getattr(importlib.import_module(former), name) is getattr(importlib.import_module(place), name)
