"""`causeway relayer restore --from-chain`: what a database does not know, or no more, from the keys and the chains."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from core.model.types import ChainId
from core.runtime.clock import SystemClock
from core.runtime.metrics import Metrics
from gateway import wiring
from gateway.config import RelayerConfig
from gateway.daemons.life import run_until
from gateway.daemons.parts import check_starts, following, make_followers, sole_database
from indexer.feed import FactSignal
from indexer.follower import FollowerState
from indexer.projections.locks import LockRow
from relayer.recovery import Recovery, recover

LOOK_S: Final = 0.25


async def restore_from_chain(config: RelayerConfig, base: Path) -> Recovery:
    """Read the chains from `start` on into the configured database, and watch over every open swap of our accounts.

    Swaps that the database knows stay as they are. `causeway relayer run` then claims and refunds. Raise
    `ConflictError` if a process works on the database, and what a chain that does not answer raises.
    """
    clock, metrics = SystemClock(), Metrics()
    keys = wiring.open_keystore(config, base)
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(sole_database(config.database, base))
        chains = await stack.enter_async_context(wiring.connected(config.chains, metrics=metrics))
        await check_starts(config.chains, chains)
        followers = make_followers(config.chains, chains, own.database, FactSignal(), clock, metrics)

        async def at_their_heads() -> None:
            reached: set[ChainId] = set()
            while len(reached) < len(followers):
                reached |= {one.status.chain for one in followers if one.status.state is FollowerState.LIVE}
                await asyncio.sleep(LOOK_S)

        await run_until(at_their_heads(), following(followers, clock, metrics).run(), own.keep())
        signers = [*wiring.signers(config, chains, keys).values(), *wiring.retiring_signers(config, chains, keys)]
        accounts = [one.account for one in signers]
        parameters = {chain: one.access.parameters for chain, one in chains.items()}
        policy, now_ns = wiring.relayer_policy(config), clock.now_ns()
        return await own.database.write(lambda c: recover(c, accounts, parameters, policy, config.name, now_ns))


def describe_recovery(found: Recovery) -> Iterator[str]:
    """The same for people."""
    for one in found.recovered:
        yield f"swap {one.swap_id} is watched over"
        yield f"  pays us  {_line(one.theirs)}"
        yield f"  ours     {_line(one.ours)}"
    for row in found.alone:
        yield f"left alone, as its other leg is on no chain here: {_line(row)}"
    if found.recovered:
        yield "start it with causeway relayer run: it claims and refunds what is due"
    else:
        yield "no swap of these accounts is open"


def _line(row: LockRow) -> str:
    return f"{row.status}  {row.terms.amount} of {row.terms.asset}, timelock {row.terms.timelock.seconds}"


def recovery_to_json(found: Recovery) -> dict[str, Any]:
    """As `--json` shows it."""
    return {
        "swaps": [
            {"id": one.swap_id, "pays_us": _lock_to_json(one.theirs), "ours": _lock_to_json(one.ours)}
            for one in found.recovered
        ],
        "alone": [_lock_to_json(row) for row in found.alone],
    }


def _lock_to_json(row: LockRow) -> dict[str, Any]:
    terms = row.terms
    return {
        "chain": row.chain,
        "asset": terms.asset,
        "amount": str(terms.amount),
        "hashlock": terms.hashlock.hex(),
        "timelock": terms.timelock.seconds,
        "status": row.status.value,
        "transaction": row.locked.tx_hash.hex(),
    }
