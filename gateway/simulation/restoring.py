"""A relayer that is restored from the chains: before it works, its open locks are read from them into its database.

`gateway.restoring` over a town's own parts.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from core.model.ports import ChainAccess
from core.model.types import AccountId, ChainId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from gateway.daemons.life import run_until
from indexer.follower import Follower, FollowerState
from relayer.policy import RelayerPolicy
from relayer.recovery import Recovery, recover

LOOK_S: Final = 0.25


async def restore_from_chain(
    database: Database,
    followers: Sequence[Follower],
    access: Mapping[ChainId, ChainAccess],
    accounts: Mapping[ChainId, AccountId],
    policy: RelayerPolicy,
    source: str,
    clock: Clock,
    metrics: Metrics,
) -> Recovery:
    """Follow every chain to its head, and watch over every open swap of these accounts."""

    async def at_their_heads() -> None:
        reached: set[ChainId] = set()
        while len(reached) < len(followers):
            reached |= {one.status.chain for one in followers if one.status.state is FollowerState.LIVE}
            await clock.sleep(LOOK_S)

    reading = Supervisor(clock, metrics)
    reading.add(*(Worker(f"follower {one.status.chain}", one.run) for one in followers))
    await run_until(at_their_heads(), reading.run())
    parameters = {chain: one.parameters for chain, one in access.items()}
    work = partial(
        recover,
        accounts=list(accounts.values()),
        chains=parameters,
        policy=policy,
        source=source,
        now_ns=clock.now_ns(),
    )
    return await database.write(work)
