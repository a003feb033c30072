"""A beacon node over HTTP that serves a toy beacon chain as real nodes do, or misbehaves as a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from core.model.beacon import BeaconFork
from core.proofs.beacon.containers import Bootstrap, Update
from core.proofs.evidence.beacon_json import bootstrap_to_json, update_to_json
from core.runtime.sockets import free_port
from tests.core.proofs.beacons import PERIOD, ToyBeacon

Change = Callable[[Any], Any]
ZERO_ROOT = f"0x{'00' * 32}"


@dataclass
class Node:
    """`slot` is the finalized one. `change` is applied to each body; `raw` answers instead of any body."""

    beacon: ToyBeacon
    start: int
    slot: int
    url: str = ""
    change: Change = lambda body: body
    raw: bytes | None = None
    status: int = 200
    asked: list[str] = field(default_factory=list)
    updates: dict[int, Update] = field(default_factory=dict)

    async def bootstrap(self, request: web.Request) -> web.StreamResponse:
        made = self.beacon.bootstrap(self.start)
        if request.match_info["root"] != f"0x{made.header.beacon.root().hex()}":
            return web.json_response({"code": 404, "message": "not found"}, status=404)
        return self._answer("bootstrap", self._versioned(bootstrap_to_json(made), made))

    async def periods(self, request: web.Request) -> web.StreamResponse:
        first, count = int(request.query["start_period"]), int(request.query["count"])
        last = self.beacon.network.period_of(self.slot)
        found = [self._period(period) for period in range(first, min(first + count, last + 1))]
        return self._answer("updates", [self._versioned(update_to_json(one), one) for one in found])

    def _period(self, period: int) -> Update:
        if period not in self.updates:
            self.updates[period] = self.beacon.update(period * PERIOD + 40, period * PERIOD + 24)
        return self.updates[period]

    async def finality(self, request: web.Request) -> web.StreamResponse:
        made = self.beacon.update(self.slot + 16, self.slot, following=False)
        return self._answer("finality_update", self._versioned(update_to_json(made), made))

    def _versioned(self, data: dict[str, Any], made: Bootstrap | Update) -> dict[str, Any]:
        """In the form of the newest header's fork: older headers have the fields of newer forks as zeros."""
        attested = made.header if isinstance(made, Bootstrap) else made.attested
        fork = self.beacon.network.fork_at(attested.slot).fork
        for name in ("header", "attested_header", "finalized_header"):
            header = data.get(name)
            if header is not None and fork >= BeaconFork.DENEB and "execution" in header:
                header["execution"] = {"blob_gas_used": "0", "excess_blob_gas": "0", **header["execution"]}
        return {"version": fork.name.lower(), "data": data}

    def _answer(self, name: str, body: Any) -> web.StreamResponse:
        self.asked.append(name)
        if self.raw is not None:
            return web.Response(body=self.raw, status=self.status, content_type="application/json")
        return web.json_response(self.change(body), status=self.status)


@asynccontextmanager
async def serving(beacon: ToyBeacon, start: int, slot: int) -> AsyncIterator[Node]:
    """A node on a free port."""
    node = Node(replace(beacon), start, slot)
    app = web.Application()
    path = "/eth/v1/beacon/light_client"
    app.router.add_get(f"{path}/bootstrap/{{root}}", node.bootstrap)
    app.router.add_get(f"{path}/updates", node.periods)
    app.router.add_get(f"{path}/finality_update", node.finality)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    node.url = f"http://127.0.0.1:{port}"
    try:
        yield node
    finally:
        await asyncio.shield(runner.cleanup())
