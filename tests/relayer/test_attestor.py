"""Validator operators vote for foreign blocks through their own pipelines."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from adapters.endpoints import Member, combine
from adapters.memory import Endpoint
from adapters.memory.ports import MemoryLockReader
from core.model.types import Height
from core.runtime.clock import run_virtually
from core.runtime.database import create_schema
from core.runtime.metrics import Metrics
from relayer.bridging.attestor import Attestor
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions.pipeline import Pipeline, PipelinePolicy
from relayer.transactions.records import relayer_transactions
from tests.relayer.house import A, B, House


@pytest.mark.parametrize("liar", [0, 1, 2])
def test_block_made_up_by_one_of_three_endpoints_is_not_attested(liar: int) -> None:
    async def story() -> None:
        house = House()
        await house.start()
        operator = house.chains[B].signer("operator")
        power = {operator.account: 1}
        house.chains[B].rules = replace(house.chains[B].rules, attestors=power)
        house.chains[B]._rulebook = replace(house.chains[B]._rulebook, attestors=power)
        foreign = house.chains[A]
        endpoints = [Endpoint(house.clock, number) for number in range(3)]
        # Not about the block that is final just now, for which it would be asked last from then on.
        endpoints[liar].lying_headers = frozenset(range(0, 1000, 4))
        access = combine(
            [Member(f"{n}", foreign.access(one), MemoryLockReader(foreign, one)) for n, one in enumerate(endpoints)]
        )
        home = house.chains[B].access()
        board, metrics = HeadBoard(home.heads), RelayerMetrics(Metrics())
        pipeline = Pipeline(house.database, home, operator, board, house.clock, PipelinePolicy(), metrics)
        await pipeline.start()
        await house.clock.sleep(8.3)
        while foreign.finalized_height % 4 != 1:
            await house.clock.sleep(1)
        voted = await Attestor(
            house.database, access.chain, access.heads, house.chains[B].bridge(), pipeline, every_blocks=4
        ).attest_newest()
        assert voted is not None
        assert voted == foreign.block(voted.height).header
        await house.clock.sleep(1)
        assert await house.chains[B].bridge().attested(A) == voted.ref
        await house.stop()

    run_virtually(story())


def test_operators_agree_on_the_newest_final_block_in_turn() -> None:
    async def story() -> None:
        house = House()
        await house.start()
        operators = [house.chains[B].signer(f"operator {n}") for n in range(4)]
        power = {operator.account: 1 for operator in operators}
        house.chains[B].rules = replace(house.chains[B].rules, attestors=power)
        house.chains[B]._rulebook = replace(house.chains[B]._rulebook, attestors=power)
        await house.database.write(create_schema)
        access, bridge = house.chains[B].access(), house.chains[B].bridge()
        attestors = []
        for operator in operators:
            board = HeadBoard(access.heads)
            metrics = RelayerMetrics(Metrics())
            pipeline = Pipeline(house.database, access, operator, board, house.clock, PipelinePolicy(), metrics)
            await pipeline.start()
            foreign = house.chains[A].access()
            attestors.append(Attestor(house.database, foreign.chain, foreign.heads, bridge, pipeline, every_blocks=4))
        await house.clock.sleep(8.3)
        final = house.chains[A].finalized_height
        voted = [await attestor.attest_newest() for attestor in attestors[:2]]
        await house.clock.sleep(1)
        assert await bridge.attested(A) is None  # two of four are not more than two thirds
        voted.append(await attestors[2].attest_newest())
        await house.clock.sleep(1)
        attested = await bridge.attested(A)
        assert attested is not None
        assert attested.height == final - final % 4
        assert {header.ref for header in voted if header} == {attested}
        assert attested == house.chains[A].block(Height(attested.height)).header.ref
        assert await attestors[3].attest_newest() is None
        await house.stop()

    run_virtually(story())


def test_account_that_voted_signs_no_other_block_at_the_height() -> None:
    """Neither in this process nor in the next one, whatever its endpoints say by then."""

    async def story() -> None:
        house = House()
        await house.start()
        operators = [house.chains[B].signer(f"operator {number}") for number in range(3)]
        power = {operator.account: 1 for operator in operators}
        house.chains[B].rules = replace(house.chains[B].rules, attestors=power)
        house.chains[B]._rulebook = replace(house.chains[B]._rulebook, attestors=power)
        home, foreign, bridge = house.chains[B].access(), house.chains[A].access(), house.chains[B].bridge()

        async def restarted() -> Attestor:
            board, metrics = HeadBoard(home.heads), RelayerMetrics(Metrics())
            pipeline = Pipeline(house.database, home, operators[0], board, house.clock, PipelinePolicy(), metrics)
            await pipeline.start()
            return Attestor(house.database, foreign.chain, foreign.heads, bridge, pipeline)

        async def signed() -> int:
            account = operators[0].account
            query = sa.select(sa.func.count()).where(relayer_transactions.c.account == account)
            return await house.database.read(lambda connection: connection.execute(query).scalar_one())

        await house.clock.sleep(8.3)
        attestor = await restarted()
        header = await attestor.attest_newest()
        assert header is not None
        votes = await signed()
        assert votes == 1
        replaced = replace(header, ref=replace(header.ref, hash=bytes(32)))
        later = replace(header, time=replace(header.time, seconds=header.time.seconds + 1))
        for one in (attestor, await restarted()):
            assert not await one.attest(replaced)
            assert not await one.attest(later)
        assert await signed() == votes
        await house.stop()

    run_virtually(story())
