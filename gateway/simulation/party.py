"""One party's process: a whole relayer service with its followers over its own database, which may die and come back.

An initiator and a watchtower are made of the same parts as a liquidity provider; they only quote nothing.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from nacl.signing import SigningKey
from sqlalchemy.engine import Connection

from core.model.errors import FencedError, NotFoundError
from core.model.types import Hashlock, Height, Preimage
from core.runtime.clock import SeededSecrets
from core.runtime.database import Database, InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from gateway.simulation.plan import POLICY, A, B, Death
from gateway.simulation.world import World
from indexer.feed import FactSignal
from indexer.follower import Follower
from relayer.policy import RelayerPolicy, WatchPolicy
from relayer.quotes import Pair
from relayer.service import RelayerService, RelayerSetup

T = TypeVar("T")

EXPIRE_S: Final = 2.0


class Crash(FencedError):
    """The process ends here, between two instructions."""


class MortalDatabase:
    """Dies at the `write`-th write, before or after its commit; nothing gets through afterwards."""

    def __init__(self, inner: Database, death: Death | None) -> None:
        self._inner = inner
        self._death = death
        self._writes = 0
        self._dead = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        self._alive()
        self._writes += 1
        if self._death is not None and self._writes == self._death.write:
            self._dead = True
            if self._death.after_commit:
                await self._inner.write(work)
            raise Crash("killed at a write")
        return await self._inner.write(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._alive()
        return await self._inner.read(work)

    async def close(self) -> None:
        """The file outlives the process."""

    def _alive(self) -> None:
        if self._dead:
            raise Crash("the process is dead")


class Vault:
    """An initiator's preimages, as safe as his database."""

    def __init__(self, secrets: SeededSecrets) -> None:
        self._secrets = secrets
        self._kept: dict[Hashlock, Preimage] = {}

    def fresh(self) -> Hashlock:
        made = Preimage.generate(self._secrets.token_bytes)
        self._kept[made.hashlock()] = made
        return made.hashlock()

    def preimage(self, hashlock: Hashlock) -> Preimage:
        if hashlock not in self._kept:
            raise NotFoundError("no preimage under this hashlock")
        return self._kept[hashlock]


class Party:
    """See the module's text. `service` is None while the process is down."""

    def __init__(self, world: World, name: str, pairs: Sequence[Pair] = (), deaths: Sequence[Death] = ()) -> None:
        self.world = world
        self.name = name
        self.accounts = {chain: world.signer(name, chain).account for chain in (A, B)}
        self.database = InlineDatabase()
        self.vault = Vault(SeededSecrets(random.Random(f"{name}/{world.plan.seed}").getrandbits(64)))
        self.service: RelayerService | None = None
        self.lives = 0
        self._pairs = pairs
        self._deaths = list(deaths)
        self._killed = asyncio.Event()
        self._outage_s = 0.0
        self._access = {chain: world.access(chain) for chain in (A, B)}

    async def run(self) -> None:
        """Live, die as the plan has it, come back, for ever."""
        await self.database.write(create_schema)
        while True:
            death = self._deaths.pop(0) if self._deaths and self._deaths[0].write is not None else None
            self._outage_s = 0.0 if death is None else death.outage_s
            life = asyncio.create_task(self._live(MortalDatabase(self.database, death)))
            try:
                # Not awaited itself: a group that fails in the moment in which it is cancelled from outside forgets the
                # cancelling (CPython issue 116720), and the party would live on for ever.
                await asyncio.wait({life})
                life.result()
            finally:
                life.cancel()
                await asyncio.gather(life, return_exceptions=True)
            await self.world.clock.sleep(self._outage_s)

    def kill(self, outage_s: float) -> None:
        """A power cut now, for so long."""
        self._outage_s = outage_s
        self._killed.set()

    async def ready(self) -> RelayerService:
        """The service, once it is up."""
        while self.service is None:
            await self.world.clock.sleep(0.5)
        return self.service

    async def _live(self, database: MortalDatabase) -> None:
        self.lives += 1
        self._killed.clear()
        signal, clock = FactSignal(), self.world.clock
        seed = f"{self.name}/{self.world.plan.seed}/{self.lives}"
        service = RelayerService(
            database,
            self._setup(),
            signal,
            clock,
            Metrics(),
            SeededSecrets(random.Random(seed).getrandbits(64)),
            random.Random(seed),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for access in self._access.values():
                    follower = Follower(
                        access.parameters, access.heads, access.blocks, database, signal, clock, Height(0)
                    )
                    group.create_task(follower.run(), name=f"{self.name} follows {access.chain}")
                group.create_task(service.supervisor.run(), name=f"{self.name} works")
                group.create_task(self._expire(service), name=f"{self.name} expires quotes")
                group.create_task(self._until_killed(), name=f"{self.name} lives")
                self.service = service
        except* Crash:
            pass
        finally:
            self.service = None

    def _setup(self) -> RelayerSetup:
        return RelayerSetup(
            chains=self._access,
            signers={chain: self.world.signer(self.name, chain) for chain in (A, B)},
            policy=RelayerPolicy(swap=POLICY, watch=WatchPolicy(enabled=True)),
            pairs=self._pairs,
            quote_key=SigningKey(self.name.encode().ljust(32, b"\0")),
            source=self.name,
            vault=self.vault,
        )

    async def _expire(self, service: RelayerService) -> None:
        """What the service's scheduler triggers; that one looks at real time."""
        while True:
            await self.world.clock.sleep(EXPIRE_S)
            await service.expire_quotes()

    async def _until_killed(self) -> None:
        await self._killed.wait()
        raise Crash("killed from outside")
