"""The supervision API over a filled index, in a process of its own, and what it costs that process."""

import asyncio
import hashlib
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final

from bench._memory import peak_mb
from bench.traffic import ASSETS, CHAINS
from core.model.ports import ChainTiming
from core.model.types import AccountId, Asset, AssetId, ChainId, Seconds, chain_of
from core.runtime.clock import SystemClock
from core.runtime.database import create_schema, open_database
from core.runtime.garbage import collect_seldom
from core.runtime.metrics import Metrics
from core.runtime.web import ApiKey, KeyRing, serve
from regulator_api.access.callers import RegulatorCallers
from regulator_api.application import create_app
from regulator_api.auditing import Auditor
from regulator_api.service import RegulatorService, SupervisedChain
from regulator_api.signing import Signer

KEY: Final = "cwk_bench"
SCOPES: Final = frozenset({"read", "trace"})
_SECOND: Final = Seconds(1)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Implements `core.model.ports.ChainParameters` for a chain that nobody follows."""

    chain: ChainId
    assets: dict[AssetId, Asset]
    genesis_hash: bytes = b"\1" * 32
    timing: ChainTiming = ChainTiming(_SECOND, _SECOND, _SECOND, _SECOND, _SECOND, _SECOND)
    htlc_code_hash: bytes = b""
    htlc_holder: AccountId | None = None
    contract_names: dict[AccountId, str] = field(default_factory=dict)


async def _serve(url: str, pipe: Pipe) -> None:
    collect_seldom()
    clock, database = SystemClock(), open_database(url)
    await database.write(create_schema)
    assets = [Asset(AssetId(asset), asset.rpartition(":")[2][:8], decimals) for asset, decimals, _ in ASSETS]
    chains = [
        SupervisedChain(Parameters(ChainId(chain), {one.id: one for one in assets if chain_of(one.id) == chain}))
        for chain in CHAINS
    ]
    signer = Signer(b"s" * 32)
    auditor = Auditor(database, clock, signer)
    await auditor.prepare()
    key = ApiKey("bench", hashlib.sha256(KEY.encode()).hexdigest(), SCOPES)
    app = create_app(
        RegulatorService(database, chains, clock, b"c" * 32),
        auditor,
        callers=RegulatorCallers(KeyRing([key]), clock),
        metrics=Metrics(),
        clock=clock,
        version="0",
        signer=signer,
    )
    async with serve(app, "127.0.0.1", 0) as address:
        pipe.send(address)
        while await asyncio.to_thread(pipe.recv) == "cpu":
            pipe.send(time.process_time())
        pipe.send(peak_mb())
    await database.close()


def _run(url: str, pipe: Pipe) -> None:
    asyncio.run(_serve(url, pipe))


@dataclass(frozen=True, slots=True)
class Served:
    """The API's address, and its process."""

    address: str
    pipe: Pipe

    def cpu_s(self) -> float:
        """The processor time of the server so far, user and system."""
        self.pipe.send("cpu")
        return float(self.pipe.recv())


@contextmanager
def serving(url: str, figures: dict[str, Any]) -> Iterator[Served]:
    """Serve in a process. `figures["rss_mb"]` is its largest size in the end."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(url, theirs))
    process.start()
    try:
        if not ours.poll(60):
            raise RuntimeError("the server did not start within 60 s")
        yield Served(str(ours.recv()), ours)
        ours.send("stop")
        if ours.poll(30):
            figures["rss_mb"] = float(ours.recv())
        process.join(30)
    finally:
        if process.is_alive():
            process.terminate()
            process.join(10)
