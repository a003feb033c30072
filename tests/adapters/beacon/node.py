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
from tests.core.proofs.beacons import CHAIN, PERIOD, ToyBeacon

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

    async def genesis(self, request: web.Request) -> web.StreamResponse:
        network = self.beacon.network
        root = f"0x{network.genesis_validators_root.hex()}"
        return self._answer(
            "genesis", {"data": {"genesis_time": str(network.genesis_time), "genesis_validators_root": root}}
        )

    async def spec(self, request: web.Request) -> web.StreamResponse:
        network = self.beacon.network
        found = {
            "DEPOSIT_CHAIN_ID": CHAIN.removeprefix("eip155:"),
            "GENESIS_FORK_VERSION": "0x00000001",
            "SECONDS_PER_SLOT": str(network.seconds_per_slot),
            "SLOTS_PER_EPOCH": str(network.slots_per_epoch),
            "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": str(network.epochs_per_period),
            "SYNC_COMMITTEE_SIZE": str(network.committee_size),
            "GLOAS_FORK_EPOCH": str(2**64 - 1),
            "BLOB_SCHEDULE": [],
        }
        for fork in network.forks:
            found[f"{fork.fork.name}_FORK_EPOCH"] = str(fork.epoch)
            found[f"{fork.fork.name}_FORK_VERSION"] = f"0x{fork.version.hex()}"
        return self._answer("spec", {"data": found})

    async def checkpoints(self, request: web.Request) -> web.StreamResponse:
        epoch = self.beacon.network.epoch_of(self.start)
        final = {"epoch": str(epoch), "root": f"0x{self.beacon.header(self.start).beacon.root().hex()}"}
        return self._answer("checkpoints", {"finalized": True, "data": {"finalized": final}})

    async def header(self, request: web.Request) -> web.StreamResponse:
        """Of every block up to the finalized one."""
        root = request.match_info["root"]
        slots = range(self.start - 16, self.slot + 1, 8)
        if root not in {f"0x{self.beacon.header(slot).beacon.root().hex()}" for slot in slots}:
            return web.json_response({"code": 404, "message": "not found"}, status=404)
        return self._answer("header", {"finalized": True, "data": {"root": root, "canonical": True}})

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
    app.router.add_get("/eth/v1/beacon/genesis", node.genesis)
    app.router.add_get("/eth/v1/config/spec", node.spec)
    app.router.add_get("/eth/v1/beacon/states/head/finality_checkpoints", node.checkpoints)
    app.router.add_get("/eth/v1/beacon/headers/{root}", node.header)
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
