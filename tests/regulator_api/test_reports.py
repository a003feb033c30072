"""A relayer's reports are what the supervision takes: both sides of one HTTP request."""

import aiohttp

from core.runtime import deliveries
from core.runtime.database import Database
from core.runtime.deliveries import DeliveryStatus
from htlc import model
from htlc.timelocks import DEVNET_POLICY
from relayer.notices.reports import Reporter, ReportTarget, enqueue
from tests.indexer.world import A, B, World
from tests.regulator_api.api import Api


async def test_a_relayers_report_is_taken(world: World, api: Api, database: Database) -> None:
    deal = world.deal()
    agreement = model.Agreement(
        swap_id=model.swap_id(deal.initiator, deal.participant),
        role=model.Role.LIQUIDITY_PROVIDER,
        initiator_leg=deal.initiator,
        participant_leg=deal.participant,
        initiator_timing=world.access(A).parameters.timing,
        participant_timing=world.access(B).parameters.timing,
        policy=DEVNET_POLICY,
        lock_deadline_s=int(world.clock.now()) + 100,
    )
    await world.lock(deal.initiator)
    await world.index()
    await database.write(lambda c: enqueue(c, agreement, "desk-7", world.clock.now_ns()))
    reporter = Reporter(database, ReportTarget(api.address, api.keys["relayer-1"]), world.clock)
    async with aiohttp.ClientSession() as session:
        assert await reporter.step(session) == 1
        assert await reporter.step(session) == 0
    assert await database.read(deliveries.counts) == {("reports", DeliveryStatus.TAKEN): 1}
    swap = (await api.get(f"/v1/swaps/{agreement.swap_id}"))["swap"]
    assert (swap["status"], swap["agreed_source"]) == ("initiator-locked", "relayer-1 (desk-7)")
