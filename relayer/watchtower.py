"""Watching over a swap of two other parties: claims for the participant, refunds for whoever is due.

A claim pays the lock's receiver and a refund its sender, whoever sends them: so a watchtower needs no key of theirs,
and it learns a preimage when everybody does, from the chain. Once registered, a swap runs through the same state
machine, worker and executor as the relayer's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.model.ports import ChainAccess
from core.model.types import ChainId, LockTerms, PublicPreimage, SwapId
from core.runtime.clock import Clock
from core.runtime.database import Database
from htlc import events, timelocks
from htlc.model import Agreement, Leg, Role, swap_id
from indexer import feed
from indexer.projections import Agreement as IndexedAgreement
from indexer.projections import report_agreement
from relayer import book, observations, swaps
from relayer.book import Switchboard
from relayer.policy import RelayerPolicy
from relayer.swap_worker import true_seconds

MAX_LOCKS_READ = 100


@dataclass(frozen=True, slots=True)
class Registration:
    """Both legs as the two parties agreed on them."""

    initiator_leg: LockTerms
    participant_leg: LockTerms


class Watchtower:
    """Takes registrations; the relayer's workers do the rest."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, ChainAccess],
        policy: RelayerPolicy,
        switchboard: Switchboard,
        clock: Clock,
        source: str,
    ) -> None:
        self._database = database
        self._chains = chains
        self._policy = policy
        self._switchboard = switchboard
        self._clock = clock
        self._source = source

    async def register(self, request: Registration) -> SwapId:
        """Watch this swap from now on; again is harmless. What is on chain already is taken in.

        Raises `RejectedError` for legs that do not make a swap or that no claim could save any more. Other swaps under
        the same hashlock are swaps of their own: whoever copies one blocks nobody.
        """
        now_ns = self._clock.now_ns()
        agreement = self._agreement(request, true_seconds(now_ns))

        def store(connection: Connection) -> bool:
            if swaps.exists(connection, agreement.swap_id):
                return False
            book.begin(connection, agreement, None, now_s=true_seconds(now_ns), now_ns=now_ns)
            legs = IndexedAgreement(agreement.swap_id, agreement.initiator_leg, agreement.participant_leg, self._source)
            report_agreement(connection, legs, now_ns)
            book.take(connection, agreement.swap_id, past_events(connection, agreement), now_ns=now_ns)
            return True

        if await self._database.write(store):
            self._switchboard.changed([agreement.swap_id])
        return agreement.swap_id

    def _agreement(self, request: Registration, now_s: int) -> Agreement:
        first, second = request.initiator_leg, request.participant_leg
        for terms in (first, second):
            if terms.chain not in self._chains:
                raise RejectedError(f"{terms.chain} is not watched here")
            if terms.timelock.seconds <= now_s:
                raise RejectedError(f"the timelock on {terms.chain} has passed: nothing is left to watch over")
        timings = [self._chains[terms.chain].parameters.timing for terms in (first, second)]
        return Agreement(
            swap_id=swap_id(first, second),
            role=Role.WATCHTOWER,
            initiator_leg=first,
            participant_leg=second,
            initiator_timing=timings[0],
            participant_timing=timings[1],
            policy=self._policy.swap,
            lock_deadline_s=max(timelocks.lock_deadline_s(now_s, self._policy.swap), second.timelock.seconds),
        )


def past_events(connection: Connection, agreement: Agreement) -> list[events.ChainFact]:
    """What the facts show of this swap before it was ours to watch. Finality follows with the next final block."""
    told: list[events.ChainFact] = []
    for leg in Leg:
        shown = feed.history_of(connection, agreement.terms(leg), MAX_LOCKS_READ)
        told += [observations.seen(leg, logged) for logged in shown]
    preimage = feed.public_preimage(connection, agreement.hashlock)
    if preimage is not None:
        told.append(events.PreimageSeen(PublicPreimage(preimage), "a block of the past"))
    return told
