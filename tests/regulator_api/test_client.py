"""The client against the API: typed answers, pages to their end, and signatures that fit the very request."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from core.model.errors import NotFoundError, RejectedError, RetryableError
from regulator_api.client import RegulatorClient
from regulator_api.exports.routes import ExportBody
from regulator_api.reading.bodies import ProfileAnswer, SupplyAnswer
from regulator_api.service import SupervisedChain
from regulator_api.signing import Signer
from regulator_api.tracing.bodies import AccountSource, TraceBody
from tests.indexer.world import COIN, GOLD, A, World
from tests.regulator_api.api import Api, serving
from tests.regulator_api.test_api import claimed_swap

SIGNER = Signer(b"\x05" * 32)


@pytest.fixture
async def signed(world: World) -> AsyncIterator[Api]:
    chains = [SupervisedChain(world.access(chain).parameters) for chain in world.followers]
    async with serving(world.database, chains, world.clock, signer=SIGNER) as made:
        yield made


async def test_answers_are_typed_and_held_against_the_key(world: World, signed: Api) -> None:
    deal = await claimed_swap(world, signed)
    key = signed.keys["inspector"]
    async with RegulatorClient(signed.address, None, SIGNER.public_key, key=key, purpose="a test") as regulator:
        profile = await regulator.account(deal.initiator.sender)
        assert profile.balances[0].amount.asset == COIN
        assert (await regulator.swap("swap-1")).swap.status == "claimed"
        assert [hit.kind for hit in (await regulator.search("swap-1")).items] == ["swap"]
        source = AccountSource(account=deal.initiator.sender, asset=COIN)
        trace = await regulator.trace(TraceBody(account=source, as_of="latest", methods=["fifo"]))
        assert trace.methods[0].sums is not None
        assert trace.methods[0].sums.conserved
        assert (await regulator.corridors(as_of="latest")).items[0].from_chain == A
        assert (await regulator.supply(GOLD, as_of="latest")).residual == "0"
        exported = await regulator.export(ExportBody(what="transfers", format="jsonl", as_of="latest"))
        assert len(exported.splitlines()) == 2
        with pytest.raises(NotFoundError, match="no such swap"):
            await regulator.swap("swap-7")


async def test_answers_are_proven_and_computed_again(world: World, signed: Api) -> None:
    deal = await claimed_swap(world, signed)
    async with RegulatorClient(signed.address, None, SIGNER.public_key, key=signed.keys["prover"]) as regulator:
        supply, found = await regulator.proven(
            f"/v1/assets/{quote(GOLD, safe='')}/supply", SupplyAnswer, as_of="latest"
        )
        assert supply.residual == "0"
        assert "computed again from" in found.shows
        profile, found = await regulator.proven(f"/v1/accounts/{quote(deal.initiator.sender)}", ProfileAnswer)
        assert profile.account == deal.initiator.sender
        assert "no prover is configured" in found.caution


async def test_lists_are_read_to_their_end(world: World, signed: Api) -> None:
    for number in range(1, 6):
        await world.clock.advance(1)
        await claimed_swap(world, signed, number)
    async with RegulatorClient(signed.address, key=signed.keys["inspector"]) as regulator:
        assert [one.id async for one in regulator.swaps(limit=2)] == [f"swap-{number}" for number in range(5, 0, -1)]
        moved = [one.kind async for one in regulator.moves(world.initiator[A].account, limit=2)]
        assert moved == ["lock"] * 5 + ["transfer"]
        assert len([one async for one in regulator.transfers(limit=1)]) == 2


async def test_an_answer_of_another_key_is_refused(world: World, signed: Api) -> None:
    other: Any = Signer(b"\x06" * 32)
    async with RegulatorClient(signed.address, None, other.public_key, key=signed.keys["inspector"]) as regulator:
        with pytest.raises(RejectedError, match="did not sign"):
            await regulator.chains()


async def test_a_server_that_is_not_there_is_asked_again_later() -> None:
    async with RegulatorClient("http://127.0.0.1:9") as regulator:
        with pytest.raises(RetryableError, match="does not answer"):
            await regulator.chains()
