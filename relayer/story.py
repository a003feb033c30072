"""A swap's story in the log, at info: agreed, locked, final, claimed, refunded; each once, with heights and hashes.

Each time that a swap has changed, what its state says is held against what was said before. What a state said before
this process began counts as said; what a reorg takes out and puts into another block is said again, as another fact.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError
from core.model.types import SwapId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from htlc import engine
from htlc.model import AttemptStatus, Leg, Sighting, SwapState
from relayer.pump import tables
from relayer.pump.updates import SwapUpdates

MAX_SAID: Final = 3_000
"""Swaps whose story is remembered; of more, the one that changed longest ago is forgotten, and said once more."""
GATHER_S: Final = 0.5
"""How long changes are gathered: what happens within one block is read once."""

Fact = tuple[str, ...]
"""The name of one thing that happened, and what distinguishes it from another of that name."""

log = get_logger("relayer.story")


def facts_of(state: SwapState) -> Iterator[tuple[Fact, str, dict[str, Any]]]:
    """Yield everything that has happened to a swap, in order: its name, the message, and the fields."""
    agreement = state.agreement
    yield (
        ("agreed",),
        "swap agreed",
        {
            "role": agreement.role,
            "hashlock": bytes(agreement.hashlock),
            "gives": f"{agreement.initiator_leg.amount} {agreement.initiator_leg.asset}",
            "wants": f"{agreement.participant_leg.amount} {agreement.participant_leg.asset}",
            "timelocks": [agreement.terms(leg).timelock.seconds for leg in Leg],
        },
    )
    for kind, attempt in sorted(state.attempts.items(), key=lambda one: one[1].sequence):
        if attempt.tx_hash is not None and attempt.status in (AttemptStatus.SENT, AttemptStatus.DONE):
            yield ("sent", kind, attempt.tx_hash.hex()), "sent", {"what": kind, "tx": attempt.tx_hash}
    for leg in Leg:
        seen = state.leg(leg)
        here = {"leg": leg, "chain": agreement.terms(leg).chain, "lock": seen.lock_id}
        for verb, sighting in (("locked", seen.lock), ("claimed", seen.claim), ("refunded", seen.refund)):
            if sighting is not None:
                yield from _sighted(verb, leg, sighting, here)
    if state.verified is not None:
        at = state.verified
        yield ("verified", at.hash.hex()), "the other lock is as agreed", {"chain": at.chain, "height": at.height}
    if state.preimage is not None:
        yield ("public",), "the preimage is public", {}


def _sighted(
    verb: str, leg: Leg, sighting: Sighting, here: dict[str, Any]
) -> Iterator[tuple[Fact, str, dict[str, Any]]]:
    block = sighting.block
    fields = {**here, "height": block.height, "block": block.hash, "tx": sighting.tx_hash}
    yield (verb, leg, block.hash.hex()), verb, fields
    if sighting.final:
        yield (verb, "final", leg, block.hash.hex()), f"{verb}, finally", fields


class Story:
    """A named loop that logs what has become of swaps: of those that this process stores."""

    def __init__(self, database: Database, updates: SwapUpdates, clock: Clock) -> None:
        self._database = database
        self._updates = updates
        self._clock = clock
        self._said: dict[SwapId, array[int]] = {}
        """Facts by their hashes: a swap has a score of them, whose names would take kilobytes."""

    async def run(self) -> None:
        """Log for ever. Raise `RetryableError`."""
        subscription = self._updates.subscribe()
        try:
            if not self._said:
                for state in await self._database.read(lambda c: _loaded(c, tables.open_ids(c))):
                    self._said[state.swap_id] = array("q", [hash(fact) for fact, _, _ in facts_of(state)])
            while True:
                first = await subscription.next()
                await self._clock.sleep(GATHER_S)
                changed = [first, *subscription.rest()]
                for state in await self._database.read(partial(_loaded, swap_ids=changed)):
                    self.say(state)
        finally:
            subscription.close()

    def say(self, state: SwapState) -> None:
        """Log what this state says and nobody has said yet."""
        said = self._said.pop(state.swap_id, array("q"))
        for fact, message, fields in facts_of(state):
            if (mark := hash(fact)) not in said:
                log.info(message, swap=state.swap_id, **fields)
                said.append(mark)
        self._said[state.swap_id] = said
        while len(self._said) > MAX_SAID:
            del self._said[next(iter(self._said))]


def _loaded(connection: Connection, swap_ids: Sequence[SwapId]) -> list[SwapState]:
    """Load these swaps; one that was forgotten meanwhile is left out."""
    found = []
    for swap_id in swap_ids:
        with suppress(NotFoundError):
            found.append(engine.load(connection, swap_id))
    return found
