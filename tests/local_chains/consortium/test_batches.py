"""Broadcasts of one batch are taken together, and answered as if they had come one after the other."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from core.model.consortium import ResultCode, Transfer, quantity
from core.proofs.cometbft.json import bytes_to_base64
from local_chains.consortium.engine.embedded import Pace
from local_chains.consortium.node import ConsortiumNode, init_home
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN

METHODS = ("broadcast_tx_sync", "broadcast_tx_async")


def pay(sequence: int, amount: int = 1) -> str:
    return bytes_to_base64(ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(amount))))


CALLS: list[dict[str, Any]] = [
    {"tx": pay(0)},
    {"tx": pay(1)},
    {"tx": pay(1)},
    {"tx": pay(3)},
    {"tx": 7},
    {},
    {"tx": pay(2, 10**9)},
    {"tx": pay(2)},
    {"tx": bytes_to_base64(bytes(70_000))},
    {"tx": bytes_to_base64(b"nothing")},
]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    init_home(tmp_path, CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    # Nothing is included meanwhile.
    async with ConsortiumNode(tmp_path, pace=Pace(interval_s=None, min_delay_s=3_600)) as running:
        yield running


async def ask(node: ConsortiumNode, body: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(node.rpc_url, data=msgspec.json.encode(body)) as response,
    ):
        assert response.status == 200
        return msgspec.json.decode(await response.read())


def request(number: int, method: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": CALLS[number]}


@pytest.mark.parametrize("method", METHODS)
async def test_a_batch_is_answered_as_single_calls_are(tmp_path: Path, node: ConsortiumNode, method: str) -> None:
    together = await ask(node, [request(number, method) for number in range(len(CALLS))])
    init_home(tmp_path / "other", CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    async with ConsortiumNode(tmp_path / "other", pace=Pace(interval_s=None, min_delay_s=3_600)) as other:
        one_by_one = [await ask(other, request(number, method)) for number in range(len(CALLS))]
    assert together == one_by_one
    assert len(node.engine.mempool) == 3, "sequences 0, 1 and 2, in their order"
    assert [answer["id"] for answer in together] == list(range(len(CALLS)))


async def test_other_calls_of_a_batch_keep_their_place(node: ConsortiumNode) -> None:
    calls = [
        request(0, METHODS[0]),
        {"jsonrpc": "2.0", "id": "count", "method": "num_unconfirmed_txs"},
        request(1, METHODS[0]),
        request(7, METHODS[1]),
        {"jsonrpc": "2.0", "id": "count again", "method": "num_unconfirmed_txs"},
    ]
    first, count, second, third, again = await ask(node, calls)
    assert [answer["result"]["code"] for answer in (first, second, third)] == [ResultCode.OK] * 3
    assert (count["result"]["total"], again["result"]["total"]) == ("1", "3")
