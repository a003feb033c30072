"""A relayer with two processes on one database, as on PostgreSQL: one leads, the other stands by, and takes over.

`gateway.daemons.life` without its doors: whoever has the lease works over a `FencedDatabase`, and stands by once it is
lost.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Final

from core.model.errors import FencedError
from core.model.ports import ChainAccess
from core.model.types import ChainId
from core.runtime import leases
from core.runtime.database import Database
from core.runtime.leadership import FencedDatabase, Leadership
from core.runtime.leases import Lease
from gateway.daemons.life import run_until
from gateway.daemons.parts import RELAYER_LEASE
from gateway.simulation.mortal import Crash
from gateway.simulation.plan import Outage, Party
from gateway.simulation.plan_operators import Fall
from gateway.simulation.process import Relayer
from gateway.simulation.world import World
from relayer.service import RelayerService

FIRST_LIFE_OF_THE_OTHER: Final = 1_000
"""Lives have names of their own, which their randomness hangs on."""


@dataclass(slots=True)
class Lead:
    """One process led under this epoch, from when until when (seconds of the story)."""

    process: int
    epoch: int
    since_s: float
    until_s: float = inf


class Seat(Relayer):
    """One process of two: it stands by until it leads. `house` is the relayer that both are."""

    can_pause = True

    def __init__(self, world: World, party: Party) -> None:
        super().__init__(world, party)
        self.house: LedRelayer

    async def live(self, database: Database, access: Mapping[ChainId, ChainAccess]) -> None:
        leadership = Leadership(database, RELAYER_LEASE, self.clock)
        while True:
            lease = await leadership.taken()
            lead = Lead(self.number, lease.epoch, self.world.seconds)
            self.house.leads.append(lead)
            try:
                await run_until(super().live(FencedDatabase(database, lease), access), leadership.keep(lease))
            except (FencedError, BaseExceptionGroup) as error:
                await self._stand_by(error, lease)
            finally:
                lead.until_s = self.world.seconds
                with suppress(FencedError):
                    await leadership.release(lease)

    async def _stand_by(self, error: FencedError | BaseExceptionGroup[BaseException], lease: Lease) -> None:
        """Return if another process has the lease by now; raise what else it was."""
        if isinstance(error, BaseExceptionGroup):
            if error.subgroup(Crash) is not None:
                raise Crash("killed")
            fenced = error.split(FencedError)[1] is None
        else:
            if isinstance(error, Crash):
                raise error
            fenced = True
        found = await self.database.read(lambda c: leases.find(c, lease.name))
        if not fenced or found is None or found.epoch == lease.epoch:
            raise error
        self.world.faults["leader-stands-by"] += 1

    def came_back(self, down_s: float) -> None:
        """The relayer was away only while neither of its processes led."""

    def serve(self, service: RelayerService) -> None:
        self.house.front(self.number, service)

    def stop_serving(self, service: RelayerService) -> None:
        self.house.close(self.number, service)

    async def cut_off(self, for_s: float) -> None:
        """Its database does not answer for this time."""
        self.outages.append(Outage(self.world.seconds, for_s, full=False))
        await self.world.clock.sleep(for_s)

    async def hold(self, for_s: float) -> None:
        """SIGSTOP, and SIGCONT after this time."""
        self._awake.clear()
        awake = self._awake
        await self.world.clock.sleep(for_s)
        awake.set()


class _Other(Seat):
    """The process that stands by at first: with the accounts and the database of the first one."""

    number = 1

    def __init__(self, house: "LedRelayer") -> None:
        super().__init__(house.world, house.party)
        self.house = house
        self.hands = house.hands
        self.lives = FIRST_LIFE_OF_THE_OTHER

    async def prepare(self) -> None:
        self.database = self.house.database


class LedRelayer(Seat):
    """The relayer: its first process, which knows the second. `leads`: who led when. `fallen`: which process could do
    nothing, from when until when (seconds of the story)."""

    def __init__(self, world: World, party: Party) -> None:
        super().__init__(world, party)
        self.house = self
        self.leads: list[Lead] = []
        self.fallen: list[tuple[int, float, float]] = []
        self._other = _Other(self)
        self._down_s: float | None = None
        self._services: dict[int, RelayerService] = {}

    async def run(self) -> None:
        await super().prepare()
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._other.run())

    async def prepare(self) -> None:
        """The database was made before either process."""

    @property
    def began(self) -> list[float]:
        """A process that stands by works once it leads."""
        return [lead.since_s for lead in self.leads]

    # --- who answers at the relayer's address ---

    def front(self, number: int, service: RelayerService) -> None:
        """This process leads, and works."""
        self._services[number] = service
        self.service = self.last_service = service
        if self._down_s is not None:
            self.away.append((self._down_s, self.world.seconds))
            self._down_s = None

    def close(self, number: int, service: RelayerService) -> None:
        """This process works no more."""
        self._services.pop(number, None)
        if self.service is service:
            self._nobody()

    def _nobody(self) -> None:
        self.service = None
        if self._down_s is None:
            self._down_s = self.world.seconds

    @property
    def down_s(self) -> float | None:
        """Since when nobody has led, seconds of the story; None while somebody does."""
        return self._down_s

    # --- trouble ---

    def kill(self, outage_s: float) -> None:
        """A power cut where the process is that leads."""
        self.falls(Fall.KILLED, outage_s)

    def falls(self, fall: Fall, for_s: float) -> None:
        """The process that leads can do nothing from now on, for this time."""
        number = self.leads[-1].process if self.leads else 0
        seat: Seat = self._other if number else self
        self.fallen.append((number, self.world.seconds, self.world.seconds + for_s))
        self.world.faults[f"leader-{fall}"] += 1
        if fall is Fall.KILLED:
            super(Seat, seat).kill(for_s)
            return
        self._nobody()
        self._paused.append(asyncio.create_task(self._back(seat, fall, for_s)))

    async def _back(self, seat: Seat, fall: Fall, for_s: float) -> None:
        """Paused, or cut off, and there again: it leads on if nobody has taken over meanwhile."""
        await (seat.hold(for_s) if fall is Fall.PAUSED else seat.cut_off(for_s))
        service = self._services.get(seat.number)
        if service is not None and self.leads[-1].process == seat.number:
            self.front(seat.number, service)
