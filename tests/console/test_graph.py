"""The picture of a trace as its page gets it."""

from typing import Any

from console.tracing import graph_of

UNIT = {"symbol": "USDX", "decimals": 0}


def holding(account: str) -> dict[str, Any]:
    return {
        "account": f"eip155:1:{account}",
        "asset": "eip155:1/slip44:60",
        "lock": None,
        "entity": None,
        "categories": [],
    }


def flow(sent: str | None, received: str, tx: str, taint: str) -> dict[str, Any]:
    return {
        "sent": None if sent is None else holding(sent),
        "received": holding(received),
        "time_s": 7,
        "amount": {"base_units": "10", "asset": "eip155:1/slip44:60", "symbol": "USDX", "decimals": 0},
        "swap": None,
        "tx_hash": tx,
        "chain": "eip155:1",
        "taint": taint,
    }


def test_a_movement_is_written_once_whoever_traces_it() -> None:
    fifo = {"method": "fifo", "flows": [flow(None, "a", "0x1", "10"), flow("a", "b", "0x2", "10")]}
    haircut = {"method": "haircut", "flows": [flow("a", "b", "0x2", "4"), flow("a", "b", "0x3", "4")]}
    methods = [{**fifo, "ends": [{"ledger": holding("b")}]}, {**haircut, "ends": [{"ledger": holding("c")}]}]
    graph = graph_of({"methods": methods}, UNIT)
    assert [one["account"] for one in graph["nodes"]] == ["eip155:1:a", "eip155:1:b", "eip155:1:c"]
    assert [one["number"] for one in graph["nodes"]] == [0, 1, 2]
    assert [(one["from"], one["to"], one["tx"]) for one in graph["movements"]] == [
        (None, 0, "0x1"),
        (0, 1, "0x2"),
        (0, 1, "0x3"),
    ]
    assert graph["methods"]["fifo"] == {"edges": [[0, "10", "10 USDX"], [1, "10", "10 USDX"]], "ends": [1]}
    assert graph["methods"]["haircut"] == {"edges": [[1, "4", "4 USDX"], [2, "4", "4 USDX"]], "ends": [2]}
