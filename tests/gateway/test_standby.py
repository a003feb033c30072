"""Three relayers on one PostgreSQL while swaps go on: whoever leads is paused, killed and cut off from the database.

One after the other takes over, within `TAKEN_OVER_S` of a kill. No swap is lost, no leg is locked twice, no sequence
signed for two things, and everybody holds to the unit what the swaps and their own fees left them.
"""

import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.registry import ConnectedChain
from core.model.errors import CausewayError, RetryableError
from core.model.identifiers import parse_asset
from core.model.types import AssetId, BaseUnits, ChainId
from core.runtime.database import open_database
from core.runtime.leadership import TAKEN_OVER_S
from core.runtime.sockets import HOST
from gateway import wiring
from gateway.connect import connect
from gateway.devnet.info import Keys
from htlc.model import Phase
from htlc.timelocks import PRODUCTION_POLICY
from indexer.tables import events
from relayer.client import SwapClient
from relayer.client.store import ClientSwap
from relayer.pump.tables import relayer_swaps
from relayer.transactions.accounts import relayer_accounts, relayer_foreign_uses
from relayer.transactions.records import GIVEN_UP, TransactionStatus, relayer_transactions
from tests.gateway.purses import Purses
from tests.gateway.town import Gate, RelayerProcess, Town, place_of, town
from tests.postgres import PostgresCluster, postgres_cluster
from tests.support import LONG, eventually

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.endurance]

OPERATOR = "operator"
USERS = ("alice", "bob", "carol", "dave")
SWAPS = 200 if LONG else 20
ROUNDS = 4 if LONG else 1
AT_ONCE = 3
"""Swaps of one user that go on together."""
WAIT_S = 90.0
GIVEN = 10**16


class Trio:
    """Three relayers of one operator behind one door, which leads to whoever is ready. Each has its own way to the
    database."""

    def __init__(self, here: Town, keys: Keys, cluster: PostgresCluster) -> None:
        self.lines = [Gate((HOST, cluster.port)) for _ in range(3)]
        self.relayers = [
            here.relayer(f"relayer-{number}", keys, f"postgresql://postgres@{HOST}:{line.port}/postgres", "production")
            for number, line in enumerate(self.lines)
        ]
        self.door = Gate()
        self.took_s: dict[str, list[float]] = defaultdict(list)
        """Seconds until another one was ready, by what had happened to the leader."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.door.open()
        for line in self.lines:
            await line.open()
        leading = asyncio.create_task(self._lead_to_the_leader())
        try:
            await asyncio.gather(*(one.start() for one in self.relayers))
            yield
        finally:
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            for one in self.relayers:
                await one.end()
            for gate in (self.door, *self.lines):
                await gate.shut()

    async def _lead_to_the_leader(self) -> None:
        """As a proxy does that asks each of them for /readyz."""
        while True:
            with suppress(AssertionError):
                await self.door.turn_to(place_of((await self._ready())[0].url))
            await asyncio.sleep(0.2)

    async def _ready(self) -> list[RelayerProcess]:
        found = await asyncio.gather(*(one.ask("/readyz", 1.0) for one in self.relayers if one.url))
        ready = [one for one, (status, _) in zip(self.relayers, found, strict=False) if status == 200]
        assert len(ready) == 1, [status for status, _ in found]
        return ready

    async def leader(self, *, other_than: RelayerProcess | None = None) -> RelayerProcess:
        async def found() -> RelayerProcess:
            [one] = await self._ready()
            assert one is not other_than
            return one

        return await eventually(found, WAIT_S, 0.1)

    async def loses(self, how: Callable[[RelayerProcess], Awaitable[None]]) -> RelayerProcess:
        """Something happens to the leader, and another one takes over. Return the former one."""
        former = await self.leader()
        began_s = time.monotonic()
        await how(former)
        await self.leader(other_than=former)
        self.took_s[how.__name__].append(round(time.monotonic() - began_s, 1))
        return former

    async def stands_by(self, one: RelayerProcess) -> None:
        async def says() -> bool:
            status, problem = await one.ask("/readyz")
            return status == 503 and "process" in problem.get("leader", "")

        await eventually(says, WAIT_S, 0.2)
        status, problem = await one.ask("/v1/pairs")
        assert (status, problem["type"]) == (503, "urn:causeway:problem:standing-by")
        assert "process" in problem["detail"]

    async def is_paused(self, one: RelayerProcess) -> None:
        one.send(signal.SIGSTOP)

    async def is_killed(self, one: RelayerProcess) -> None:
        await one.end()

    async def is_cut_off(self, one: RelayerProcess) -> None:
        await self.lines[self.relayers.index(one)].shut()


async def test_of_three_relayers_one_leads_whatever_happens(tmp_path: Path) -> None:
    with postgres_cluster() as cluster:
        async with town(tmp_path, (OPERATOR, *USERS)) as here, wiring.connected(here.devnet.info.chains) as chains:
            info = here.devnet.info
            purses = Purses(info, chains, [info.user(name) for name in (OPERATOR, *USERS)])
            before, paid_before = await purses.held(), await purses.fees()
            trio = Trio(here, info.user(OPERATOR), cluster)
            async with trio.running():
                await trio.leader()
                swapping = asyncio.create_task(swap_all(here, chains, trio))
                try:
                    for _ in range(ROUNDS):
                        await misfortunes(trio)
                    ended = await swapping
                finally:
                    swapping.cancel()
                    await asyncio.gather(swapping, return_exceptions=True)
                assert Counter(phase for _, _, phase in ended) == {Phase.COMPLETED: SWAPS}
                await eventually(lambda: settled(cluster), WAIT_S)
                await trio.leader()
            print("taken over within seconds:", dict(trio.took_s))
            assert max(trio.took_s["is_killed"]) < TAKEN_OVER_S
            expected = Counter(before)
            for name, swap, _ in ended:
                move(expected, name, swap)
            expected.subtract(await purses.fees() - paid_before)
            assert await purses.held() == dict(expected)
            await judged(cluster)


def move(held: Counter[tuple[str, AssetId]], user: str, swap: ClientSwap) -> None:
    """Enter what one completed swap moves between its user and the relayer."""
    given, got = swap.agreement.initiator_leg, swap.agreement.participant_leg
    held[user, given.asset] -= given.amount
    held[OPERATOR, given.asset] += given.amount
    held[OPERATOR, got.asset] -= got.amount
    held[user, got.asset] += got.amount


async def misfortunes(trio: Trio) -> None:
    former = await trio.loses(trio.is_paused)
    former.send(signal.SIGCONT)
    await trio.stands_by(former)
    former = await trio.loses(trio.is_killed)
    await former.start()
    await trio.stands_by(former)
    former = await trio.loses(trio.is_cut_off)
    await trio.lines[trio.relayers.index(former)].open()
    await trio.stands_by(former)


async def swap_all(
    here: Town, chains: dict[ChainId, ConnectedChain], trio: Trio
) -> list[tuple[str, ClientSwap, Phase]]:
    """Swaps of all users, half each way, through the trio's door: whose, which, and how they ended."""
    url = f"http://{HOST}:{trio.door.port}"
    info = here.devnet.info

    async def swaps_of(keys: Keys) -> list[tuple[str, ClientSwap, Phase]]:
        secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
        store = here.directory / f"{keys.name}.sqlite"
        turns = asyncio.Semaphore(AT_ONCE)
        async with connect(url, chains, secrets, store, PRODUCTION_POLICY) as client:

            async def swap(number: int) -> tuple[str, ClientSwap, Phase]:
                async with turns:
                    return keys.name, *await one_swap(client, info.ether, info.yuan, backwards=number % 2 == 1)

            return await asyncio.gather(*(swap(number) for number in range(SWAPS // len(USERS))))

    return [one for some in await asyncio.gather(*(swaps_of(info.user(name)) for name in USERS)) for one in some]


async def one_swap(client: SwapClient, ether: str, yuan: str, *, backwards: bool) -> tuple[ClientSwap, Phase]:
    """As a dApp does: what does not answer is asked again."""
    give, get = (yuan, ether) if backwards else (ether, yuan)
    amount = BaseUnits(GIVEN // 500_000_000_000 if backwards else GIVEN)
    while True:
        try:
            quote = await client.quote(parse_asset(give), parse_asset(get), initiator_amount=amount)
            agreed = await client.open(quote)
        except RetryableError:
            await asyncio.sleep(0.5)
            continue
        except CausewayError as error:
            if error.code not in ("rejected", "gate-closed"):  # a quote that expired while nobody answered
                raise
            await asyncio.sleep(0.5)
            continue
        return agreed, (await client.run(agreed)).phase


async def settled(cluster: PostgresCluster) -> bool:
    """Every swap that was locked has ended at the relayer, too. (One that was only agreed may have been forgotten.)"""

    def read(connection: Connection) -> bool:
        phases = Counter(connection.execute(sa.select(relayer_swaps.c.phase)).scalars())
        return phases[Phase.COMPLETED] == SWAPS and phases.keys() <= {Phase.COMPLETED, Phase.AGREED, Phase.ABANDONED}

    database = open_database(cluster.url())
    try:
        return await database.read(read)
    finally:
        await database.close()


async def judged(cluster: PostgresCluster) -> None:
    """The journal and the index, once all is over."""
    database = open_database(cluster.url())
    try:
        sent = await database.read(transactions)
        foreign = await database.read(lambda c: c.execute(sa.select(relayer_foreign_uses)).all())
        locked = await database.read(own_locks)
    finally:
        await database.close()
    assert foreign == []  # nothing of these accounts is on chain that the journal does not know
    kept = Counter(place for place, status in sent if status not in (*GIVEN_UP, TransactionStatus.SUPERSEDED))
    assert set(kept.values()) == {1}
    assert Counter(locked.values()) == {1: SWAPS}


def transactions(connection: Connection) -> list[tuple[tuple[str, int], str]]:
    """Each transaction's chain and sequence, with its status."""
    sent = relayer_transactions.c
    rows = connection.execute(sa.select(sent.chain, sent.sequence, sent.status))
    return [((row.chain, row.sequence), row.status) for row in rows]


def own_locks(connection: Connection) -> Counter[bytes]:
    """How often the relayer has locked under each hashlock, as the chains show it."""
    seen = events.c
    accounts = sa.select(relayer_accounts.c.account)
    wanted = seen.canonical & (seen.kind == "locked") & seen.sender.in_(accounts)
    return Counter(connection.execute(sa.select(seen.hashlock).where(wanted)).scalars())
