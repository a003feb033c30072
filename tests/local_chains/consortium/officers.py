"""A running chain with three officers, and an account that they may hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local_chains.consortium.engine.home import init_home
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset, GenesisMember
from local_chains.consortium.node import ConsortiumNode, Pace
from tests.local_chains.consortium.support import ANN, BEN, ISSUER, Actor
from tests.support import eventually

LI, WANG, ZHAO = Actor("officer li"), Actor("officer wang"), Actor("officer zhao")


@asynccontextmanager
async def chain_with_officers(home: Path) -> AsyncIterator[ConsortiumNode]:
    """The chain `test-1` with an asset `cnyd`, of which ANN and BEN have 1,000 each; it makes blocks when it enters."""
    officers = [
        GenesisMember(f"officer-{number}", one.address.hex(), ("regulator",))
        for number, one in enumerate((LI, WANG, ZHAO))
    ]
    accounts = [GenesisAccount(one.address.hex(), {"cnyd": "1000"}) for one in (ANN, BEN)]
    init_home(
        home, "test-1", assets=[GenesisAsset("cnyd", ISSUER.address.hex(), 2)], accounts=accounts, others=officers
    )
    async with ConsortiumNode(home, pace=Pace(interval_s=0.1)) as running:

        async def began() -> bool:
            return running.engine.tip.height > 1

        await eventually(began)
        yield running
