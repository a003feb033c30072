"""Watching over a swap of two other parties: claims for the participant, refunds for whoever is due.

A claim pays the lock's receiver and a refund its sender, whoever sends them: so a watchtower needs no key of theirs,
and it learns a preimage when everybody does, from the chain. Once registered, a swap runs through the same state
machine, worker and executor as the relayer's own.

Whoever registers proves nothing and pays nothing. So it is off by default, bounded in number and in what it may cost
(`relayer.policy.WatchPolicy`), simulated once it has failed twice, and comes after the gas that our own swaps keep.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError, TooManyError
from core.model.ports import ChainParameters
from core.model.types import ChainId, LockTerms, SwapId
from core.runtime import journal
from core.runtime.clock import Clock, true_seconds
from core.runtime.database import Database
from htlc import events, timelocks
from htlc.facts import ever_locked
from htlc.model import Agreement, Phase, Role, swap_id
from indexer.projections import ReportedAgreement, report_agreement
from relayer.policy import RelayerPolicy
from relayer.pump import promises, swaps, tables
from relayer.pump.past import past_events
from relayer.pump.updates import SwapUpdates
from relayer.switchboard import Switches


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
        chains: Mapping[ChainId, ChainParameters],
        policy: RelayerPolicy,
        updates: SwapUpdates,
        clock: Clock,
        source: str,
        switches: Switches,
    ) -> None:
        self._database = database
        self._chains = chains
        self._policy = policy
        self._updates = updates
        self._clock = clock
        self._source = source
        self._switches = switches

    @property
    def enabled(self) -> bool:
        return self._policy.watch.enabled

    async def register(self, request: Registration, caller: str | None = None) -> SwapId:
        """Watch this swap from now on; again is harmless. What is on chain already is taken in.

        `caller`: the id of who asks. Raise `NotFoundError` if the operator has not switched watching on,
        `RejectedError` for legs that do not make a swap or that no claim could save any more, `TooManyError` if the
        caller, or all of them, have as many watches as they may, `PausedError` while a switch keeps them back. Other
        swaps under the same hashlock are swaps of their own: whoever copies one blocks nobody.
        """
        if not self.enabled:
            raise NotFoundError("this relayer does not watch over other parties' swaps: its operator can switch it on")
        now_ns = self._clock.now_ns()
        agreement = self._agreement(request, true_seconds(now_ns))
        with self._updates.unsure_if_unheard():
            if await self._database.write(lambda c: self._store(c, agreement, caller, now_ns)):
                self._updates.changed([agreement.swap_id])
        return agreement.swap_id

    def _store(self, connection: Connection, agreement: Agreement, caller: str | None, now_ns: int) -> bool:
        """Return false if it is watched already, or was and ended."""
        promises.one_at_a_time(connection)
        known = tables.exists(connection, agreement.swap_id)
        if known and not self._ended_unseen(connection, agreement.swap_id):
            return False
        assets = agreement.initiator_leg.asset, agreement.participant_leg.asset
        self._switches.check_opening(connection, *assets, now_ns)
        if known:
            # Somebody registered it too early. Nothing was ever done for it.
            tables.forget(connection, agreement.swap_id)
            journal.forget(connection, agreement.swap_id)
        seen = past_events(connection, agreement)
        self._check_limits(
            tables.watch_counts(connection, caller), any(isinstance(one, events.LockSeen) for one in seen)
        )
        swaps.begin(connection, agreement, None, now_s=true_seconds(now_ns), now_ns=now_ns, caller=caller)
        legs = ReportedAgreement(agreement.swap_id, agreement.initiator_leg, agreement.participant_leg, self._source)
        report_agreement(connection, legs, now_ns)
        swaps.take(connection, agreement.swap_id, seen, now_ns=now_ns)
        return True

    def _ended_unseen(self, connection: Connection, swap_id: SwapId) -> bool:
        state = swaps.load(connection, swap_id)
        return state.phase is Phase.ABANDONED and state.agreement.role is Role.WATCHTOWER and not ever_locked(state)

    def _check_limits(self, counts: tables.WatchCounts, seen: bool) -> None:
        policy = self._policy.watch
        limits = [(counts.of_caller, policy.max_per_caller, "this caller has")]
        limits.append((counts.open, policy.max_watches, "all callers together have"))
        if not seen:
            limits.append(
                (counts.unseen, max(1, policy.max_watches // 2), "all callers together have, without a lock,")
            )
        for count, most, whose in limits:
            if count >= most:
                raise TooManyError(
                    f"{whose} {count} swaps watched, at most {most} may be: try again when some have ended",
                    retry_after_s=int(policy.unseen_s),
                )

    def _agreement(self, request: Registration, now_s: int) -> Agreement:
        first, second = request.initiator_leg, request.participant_leg
        for terms in (first, second):
            self._check_leg(terms, now_s)
        timings = [self._chains[terms.chain].timing for terms in (first, second)]
        return Agreement(
            swap_id=swap_id(first, second),
            role=Role.WATCHTOWER,
            initiator_leg=first,
            participant_leg=second,
            initiator_timing=timings[0],
            participant_timing=timings[1],
            policy=self._policy.swap,
            lock_deadline_s=now_s + self._policy.watch.unseen_s,
        )

    def _check_leg(self, terms: LockTerms, now_s: int) -> None:
        if terms.chain not in self._chains:
            raise RejectedError(f"{terms.chain} is not watched here")
        left_s = terms.timelock.seconds - now_s
        if left_s <= 0:
            raise RejectedError(f"the timelock on {terms.chain} has passed: nothing is left to watch over")
        if left_s > timelocks.MAX_PLAN_S:
            raise RejectedError(
                f"the timelock on {terms.chain} is {left_s} s away: at most {timelocks.MAX_PLAN_S} s are watched"
            )
        if terms.receiver == terms.sender:
            raise RejectedError(f"the leg on {terms.chain} pays its own sender: nothing is left to watch over")
        if terms.receiver == self._chains[terms.chain].htlc_holder:
            raise RejectedError(f"the leg on {terms.chain} pays the contract that holds it: name the party's account")
