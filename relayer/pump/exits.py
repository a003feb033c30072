"""Exits that are due on one chain at the same look share a transaction, if the chain has batches.

None waits for another: what becomes due a moment later goes by itself. A claim that is near its timelock, and an exit
that failed before, go alone. The batch is sent first; then each effect runs as always, and finds its transaction there,
or sends its own if the batch came to nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import (
    FatalError,
)
from core.model.types import AccountId, ChainId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.journal import StoredEffect
from core.runtime.logging import get_logger
from htlc import codec, effects
from htlc.effects import Exit
from htlc.model import Role
from htlc.timelocks import claim_bound_s
from relayer.metrics import RelayerMetrics
from relayer.pump import neighbours, swaps
from relayer.pump.acting import EXIT_KINDS, exit_deadline_s, exit_transaction
from relayer.pump.checks import Checks
from relayer.pump.hands import ActingChain, Hands
from relayer.transactions import records

TOGETHER_TIMEOUT_S: Final = 10.0
"""A batch that is not signed and sent by then is left, and its exits go out one by one."""

log = get_logger("relayer.pump.exits")


class SharedExits:
    """The batches of one process on its chains."""

    def __init__(
        self,
        database: Database,
        hands: Hands,
        checks: Checks,
        clock: Clock,
        metrics: RelayerMetrics,
    ) -> None:
        self._database = database
        self._hands = hands
        self._checks = checks
        self._clock = clock
        self._metrics = metrics

    def sharing(self, due: Sequence[StoredEffect]) -> dict[ChainId, list[StoredEffect]]:
        """The exits among them that have time for it, by the chain that could take them together."""
        found: dict[ChainId, list[StoredEffect]] = {}
        for effect in due:
            if effect.kind not in EXIT_KINDS or (asked := _decoded_exit(effect)) is None:
                continue
            here = self._hands.chain(asked.terms.chain)
            if here is not None and here.access.batches is not None and not self._is_urgent(asked, here):
                found.setdefault(asked.terms.chain, []).append(effect)
        return found

    async def work(
        self, chain: ChainId, due: Sequence[StoredEffect], go_alone: Callable[[Sequence[StoredEffect]], None]
    ) -> None:
        """One transaction of each account for those that may share one; then each goes its own way. Ours wait for
        nobody else's."""
        ours, others = list(due), list[StoredEffect]()
        shared: list[Exit] = []
        async with self._together(chain):
            own, shared = await self._database.read(lambda c: self._that_may_share(c, due))
            keys = {effects.effect_key(asked) for asked in shared}
            others = [effect for effect in due if effect.key in keys]
            ours = [effect for effect in due if effect.key not in keys]
            for here, exits in own:
                await self._send_together(here, exits, in_time=True)
        go_alone(ours)
        if others:
            async with self._together(chain):
                await self._checks.before_exit_for_others(chain)
                await self._send_together(self._hands.present(chain), shared, in_time=False)
            go_alone(others)

    @asynccontextmanager
    async def _together(self, chain: ChainId) -> AsyncIterator[None]:
        """A batch saves gas and nothing else: whatever it meets, each exit goes its own way. Raise `FatalError`."""
        try:
            async with asyncio.timeout(TOGETHER_TIMEOUT_S):
                yield
        except FatalError:
            raise
        except Exception as error:
            log.warning("exits go out one by one", chain=chain, reason=str(error) or "it takes too long")

    async def _send_together(self, here: ActingChain, ready: Sequence[Exit], in_time: bool) -> None:
        """`in_time`: bid more as their timelocks come near."""
        if (batches := here.access.batches) is None:
            return
        exits = [exit_transaction(here, asked) for asked in ready]
        for indices in batches.divided(exits):
            part = [ready[index] for index in indices]
            deadlines = [exit_deadline_s(asked) for asked in part if in_time]
            soonest_s = min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)
            gate = None if in_time else neighbours.gate(part, here.access.parameters.timing, self._clock)
            await here.pipeline.send_together(
                [effects.effect_key(asked) for asked in part],
                batches.batch([exits[index] for index in indices]),
                soonest_s,
                gate,
            )
            self._metrics.exits_together.labels(here.pipeline.chain).inc(len(part))

    def _that_may_share(
        self, connection: Connection, due: Sequence[StoredEffect]
    ) -> tuple[list[tuple[ActingChain, list[Exit]]], list[Exit]]:
        """Those that are asked for the first time, and have no transaction yet: ours, by the account that sends them,
        and those for others that no other swap settles."""
        ours: dict[AccountId, tuple[ActingChain, list[Exit]]] = {}
        for_others: list[Exit] = []
        for effect in due:
            if (asked := _decoded_exit(effect)) is None:
                continue
            state = swaps.load(connection, asked.swap_id)
            attempt = state.attempt(effect.kind)
            first = attempt is not None and attempt.first and attempt.sequence == asked.sequence
            if not first or not state.leg(asked.leg).open:
                continue
            if records.by_effect(connection, effect.key) is not None:
                continue
            if state.agreement.role is not Role.WATCHTOWER:
                here = self._hands.of(state.agreement, asked.terms.chain)
                ours.setdefault(here.account, (here, []))[1].append(asked)
            elif not self._is_left(connection, asked, for_others):
                for_others.append(asked)
        return list(ours.values()), for_others

    def _is_left(self, connection: Connection, asked: Exit, before: Sequence[Exit]) -> bool:
        """Return true if another swap, or another watch of this batch, settles the same lock."""
        timing = self._hands.present(asked.terms.chain).access.parameters.timing
        again = any((one.lock_id, type(one)) == (asked.lock_id, type(asked)) for one in before)
        return again or neighbours.left_to(connection, asked, timing, self._clock.now()) is not None

    def _is_urgent(self, asked: Exit, here: ActingChain) -> bool:
        """Return true if a batch that comes to nothing would leave less time than a claim may need."""
        if (deadline_s := exit_deadline_s(asked)) is None:
            return False
        needed_s = claim_bound_s(here.access.parameters.timing)
        return deadline_s - self._clock.now() <= needed_s + TOGETHER_TIMEOUT_S


def _decoded_exit(effect: StoredEffect) -> Exit | None:
    """None for what cannot be read as the exit it is stored as: it goes its own way, and fails there."""
    try:
        asked = codec.decode_effect(effect.body)
    except Exception:
        return None
    return asked if isinstance(asked, Exit) else None
