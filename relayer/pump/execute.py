"""The pump's second half: effects of the outbox become transactions, and what came of them becomes events.

Effects on one leg of a swap run one after the other; everything else runs side by side, so that no exit waits for a
chain that hangs. Each is safe to run again: a transaction is looked up under the effect's key before anything else,
and the outcome is stored together with the effect's end. Exits (claims with a public preimage, refunds) go out at
once, without quorum, finality or simulation; whatever funds or reveals is checked again right before it is signed.

Exits that are due on one chain at the same look share a transaction, where the chain has batches. None waits for
another: what becomes due a moment later goes by itself. A claim that is near its timelock, and an exit that failed
before, go alone. The batch is sent first; then each effect runs as always, and finds its transaction there, or sends
its own where the batch came to nothing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, assert_never, get_args

from sqlalchemy.engine import Connection

from core.model.effect_keys import EffectKey
from core.model.errors import (
    ConflictError,
    FatalError,
    FencedError,
    GateClosedError,
    NotFoundError,
    PayoutBlockedError,
    RejectedError,
    RetryableError,
    UnaffordableError,
)
from core.model.facts import LockStatus
from core.model.ports import ChainAccess
from core.model.transactions import UnsignedTransaction
from core.model.types import AssetId, ChainId, LockId, LockTerms, Preimage, SwapId
from core.runtime import journal, retry
from core.runtime.clock import NS_PER_S, Clock, true_seconds
from core.runtime.database import Database
from core.runtime.journal import EffectStatus, StoredEffect
from core.runtime.logging import get_logger
from core.runtime.retry import RetryPolicy
from core.runtime.signals import first_failure
from htlc import codec, decisions, effects, events, timelocks
from htlc.model import Agreement, Leg, Role, SwapState
from relayer import inventory
from relayer.metrics import RelayerMetrics
from relayer.pump import swaps, tables
from relayer.pump.allowances import MAX_PREPARATIONS
from relayer.pump.checks import Checks, PreimageVault
from relayer.pump.outcomes import outcome_event
from relayer.pump.updates import SwapUpdates
from relayer.transactions import records
from relayer.transactions.pipeline import Pipeline

EFFECT_TIMEOUT_S: Final = 30.0
"""One try of one effect; what hangs longer is tried again later, and gives way to the swap's other effects."""
MAX_LANES_AT_ONCE: Final = 64
"""For each chain, and for its exits apart."""
LOOK_S: Final = 3.0
"""How long an exit asks for what it can do without: an estimate, or a look at its lock if it failed before."""
IDLE_S: Final = 30.0
MAX_PENDING: Final = 500
SET_ASIDE_S: Final = 5.0
UNSIMULATED_TRIES: Final = 2
"""Exits for others that may fail in a block, one in a batch and one alone, before a node's simulation counts: the
chain's own reason is worth that much, and a node that errs holds nobody up."""
TOGETHER_TIMEOUT_S: Final = 10.0
"""A batch that is not signed and sent by then is left, and its exits go out one by one."""

OBSTACLES: Final = (UnaffordableError, PayoutBlockedError)
"""What does not pass by itself in a moment."""

log = get_logger("relayer.pump.execute")

Exit = effects.ClaimLeg | effects.RefundLeg
EXIT_KINDS: Final = frozenset(effects.leg_kind(kind, leg) for kind in get_args(Exit) for leg in Leg)
FUND_KINDS: Final = frozenset(effects.leg_kind(effects.FundLeg, leg) for leg in Leg)

Lane = tuple[str, str]
"""A swap and one of its legs (or whatever else its effects are about)."""
Room = tuple[str, bool]
"""A chain, and whether it is about exits: what runs side by side is counted by these."""


@dataclass(frozen=True, slots=True)
class ActingChain:
    """The ports by which the executor acts on one chain."""

    access: ChainAccess
    pipeline: Pipeline


class Executor:
    """A named loop that runs the due effects of the outbox, each as often as it needs: every run finds what it
    began."""

    def __init__(
        self,
        database: Database,
        hands: Mapping[ChainId, ActingChain],
        checks: Checks,
        updates: SwapUpdates,
        clock: Clock,
        metrics: RelayerMetrics,
        vault: PreimageVault | None = None,
    ) -> None:
        self._database = database
        self._hands = hands
        self._checks = checks
        self._updates = updates
        self._clock = clock
        self._metrics = metrics
        self._vault = vault
        self._running: dict[Lane, Room] = {}
        for one in hands.values():
            one.pipeline.rebuild = self._rebuild
            one.pipeline.closed_gate = self._closed_gate

    async def run(self) -> None:
        """Run effects for ever as they become due. Raise `FencedError`, and what is fatal of the database."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._dispatch_or_wait(group)
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from failures

    async def _dispatch_or_wait(self, group: asyncio.TaskGroup) -> None:
        """Start what is due, or wait for more. An error here ends no effect that is running."""
        try:
            await self._dispatch(group)
        except RetryableError as error:
            log.warning("the database does not answer", reason=error.message)
            await self._clock.sleep(retry.CALL.delay_s(1))
        except FatalError:
            raise
        except Exception as error:
            self._metrics.faults.labels("effects").inc()
            log.error("effects cannot be started", error=str(error), exc_info=error)
            await self._clock.sleep(SET_ASIDE_S)

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        """Start what is due and not running, then wait for news or for the next retry."""
        seen, now_ns = self._updates.effects.count, self._clock.now_ns()
        due, next_ns = await self._database.read(partial(self._due, now_ns=now_ns))
        self._metrics.effect_backlog.set(len(due))
        first = {_lane(effect): effect for effect in reversed(due)}
        starting = self._with_room(first)
        self._running.update({lane: _room(first[lane]) for lane in starting})
        for chain, exits in self._sharing([first[lane] for lane in starting]).items():
            if len(exits) > 1:
                starting = [lane for lane in starting if lane not in {_lane(effect) for effect in exits}]
                group.create_task(self._work_together(group, chain, exits), name=f"exits of {chain}")
        for lane in starting:
            group.create_task(self._work(lane), name=f"effects of {lane}")
        await self._updates.effects.wait_beyond(seen, _idle_s(next_ns, now_ns))

    def _due(self, connection: Connection, now_ns: int) -> tuple[list[StoredEffect], int | None]:
        """Exits first, and as many of them however much else is due."""
        exits = journal.pending_effects(connection, now_ns, MAX_PENDING, EXIT_KINDS)
        known = {effect.key for effect in exits}
        others = [one for one in journal.pending_effects(connection, now_ns, MAX_PENDING) if one.key not in known]
        return [*exits, *others], journal.next_due_ns(connection)

    def _with_room(self, first: Mapping[Lane, StoredEffect]) -> list[Lane]:
        """Lanes to start, by their first effect. Each chain has room of its own, and its exits have theirs: what hangs
        there takes no place from the others."""
        taken = Counter(self._running.values())
        starting = []
        for lane, effect in sorted(first.items(), key=lambda item: item[1].kind not in EXIT_KINDS):
            if lane not in self._running and taken[_room(effect)] < MAX_LANES_AT_ONCE:
                taken[_room(effect)] += 1
                starting.append(lane)
        return starting

    # --- exits that share a transaction ---

    def _sharing(self, due: Sequence[StoredEffect]) -> dict[ChainId, list[StoredEffect]]:
        """The exits among them that have time for it, by the chain that could take them together."""
        found: dict[ChainId, list[StoredEffect]] = {}
        for effect in due:
            if effect.kind not in EXIT_KINDS or (asked := _decoded_exit(effect)) is None:
                continue
            hands = self._hands.get(asked.terms.chain)
            if hands is not None and hands.access.batches is not None and not self._is_urgent(asked, hands):
                found.setdefault(asked.terms.chain, []).append(effect)
        return found

    async def _work_together(self, group: asyncio.TaskGroup, chain: ChainId, due: Sequence[StoredEffect]) -> None:
        """One transaction for those that may share one; then each goes its own way. Ours wait for nobody else's."""
        ours, others = list(due), list[StoredEffect]()
        shared: list[Exit] = []
        async with self._together(chain):
            own, shared = await self._database.read(lambda c: self._that_may_share(c, due))
            keys = {effects.effect_key(asked) for asked in shared}
            others = [effect for effect in due if effect.key in keys]
            ours = [effect for effect in due if effect.key not in keys]
            await self._send_together(chain, own, in_time=True)
        self._go_alone(group, ours)
        if others:
            async with self._together(chain):
                await self._checks.before_exit_for_others(chain)
                await self._send_together(chain, shared, in_time=False)
            self._go_alone(group, others)

    def _go_alone(self, group: asyncio.TaskGroup, due: Sequence[StoredEffect]) -> None:
        for effect in due:
            group.create_task(self._work(_lane(effect)), name=f"effects of {_lane(effect)}")

    @asynccontextmanager
    async def _together(self, chain: ChainId) -> AsyncIterator[None]:
        """A batch saves gas and nothing else: whatever it meets, each exit goes its own way. Raises `FatalError`."""
        try:
            async with asyncio.timeout(TOGETHER_TIMEOUT_S):
                yield
        except FatalError:
            raise
        except Exception as error:
            log.warning("exits go out one by one", chain=chain, reason=str(error) or "it takes too long")

    async def _send_together(self, chain: ChainId, ready: Sequence[Exit], in_time: bool) -> None:
        """`in_time`: bid more as their timelocks come near."""
        hands = self._hands[chain]
        if (batches := hands.access.batches) is None:
            return
        for first in range(0, len(ready), batches.max_exits):
            part = ready[first : first + batches.max_exits]
            if len(part) < 2:
                return
            exits = [_exit_transaction(hands, asked) for asked in part]
            deadlines = [_exit_deadline_s(asked) for asked in part if in_time]
            soonest_s = min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)
            await hands.pipeline.send_together(
                [effects.effect_key(asked) for asked in part], batches.batch(exits), soonest_s
            )
            self._metrics.exits_together.labels(chain).inc(len(part))

    def _that_may_share(self, connection: Connection, due: Sequence[StoredEffect]) -> tuple[list[Exit], list[Exit]]:
        """Those that are asked for the first time, and have no transaction yet: ours, and those for others."""
        ready: dict[bool, list[Exit]] = {False: [], True: []}
        for effect in due:
            if (asked := _decoded_exit(effect)) is None:
                continue
            state = swaps.load(connection, asked.swap_id)
            attempt = state.attempt(effect.kind)
            first = attempt is not None and attempt.first and attempt.sequence == asked.sequence
            if not first or not state.leg(asked.leg).open:
                continue
            if records.by_effect(connection, effect.key) is None:
                ready[state.agreement.role is Role.WATCHTOWER].append(asked)
        return ready[False], ready[True]

    def _is_urgent(self, asked: Exit, hands: ActingChain) -> bool:
        """Return true if, should a batch come to nothing, less time would be left than a claim may need: to be
        included, reorged out and included again, as the gates reckon."""
        if (deadline_s := _exit_deadline_s(asked)) is None:
            return False
        timing = hands.access.parameters.timing
        needed_s = 2 * timing.inclusion_s + timing.finality_s + timing.lead_s
        return deadline_s - self._clock.now() <= needed_s + TOGETHER_TIMEOUT_S

    # --- one effect after the other ---

    async def _work(self, lane: Lane) -> None:
        try:
            while pending := await self._database.read(lambda c: self._pending_in(c, lane)):
                for effect in pending:
                    await self.execute(effect)
        except RetryableError as error:
            log.warning("the database does not answer", swap=lane[0], reason=error.message)
            await self._clock.sleep(retry.CALL.delay_s(1))
        except FatalError:
            raise
        except Exception as error:
            self._metrics.faults.labels("effects").inc()
            log.error("effects set aside for now", swap=lane[0], error=str(error), exc_info=error)
            await self._clock.sleep(SET_ASIDE_S)
        finally:
            self._running.pop(lane, None)
            self._updates.effects.notify()

    def _pending_in(self, connection: Connection, lane: Lane) -> list[StoredEffect]:
        now_ns = self._clock.now_ns()
        return [
            effect
            for effect in journal.stream_effects(connection, lane[0])
            if effect.status is EffectStatus.PENDING and effect.due_ns <= now_ns and _lane(effect) == lane
        ]

    async def execute(self, effect: StoredEffect) -> None:
        """Try one effect once and store what came of it.

        What it meets is its own business: an error that nobody planned for, also in its own swap's state, sets it
        aside, and it is tried again. Raise `FencedError`, and what the database raises.
        """
        try:
            await self._execute(effect)
        except (RetryableError, FencedError):
            raise
        except Exception as error:
            await self._set_aside(effect, error)

    async def _execute(self, effect: StoredEffect) -> None:
        asked: effects.SwapEffect | None = None
        try:
            asked = codec.decode_effect(effect.body)
            async with asyncio.timeout(EFFECT_TIMEOUT_S):
                outcome = await self._act(asked, effect.key)
        except (RetryableError, TimeoutError) as error:
            delays = retry.EFFECT if isinstance(error, OBSTACLES) else retry.MOMENT
            await self._retry(effect, str(error) or "it takes too long", delays)
        except RejectedError as error:
            if asked is None:
                raise
            await self._refused(effect, asked, error)
        else:
            self._metrics.effects.labels(_label(asked), "done").inc()
            await self._finish(effect, outcome)

    # --- what comes of it ---

    async def _retry(self, effect: StoredEffect, reason: str, delays: RetryPolicy = retry.EFFECT) -> None:
        delay_s = delays.delay_s(effect.attempts + 1)
        due_ns = self._clock.now_ns() + round(delay_s * NS_PER_S)
        log.warning("effect is tried again", effect=effect.key, delay_s=delay_s, reason=reason)
        self._metrics.effects.labels(effect.kind.split("-")[0], "retried").inc()
        await self._database.write(lambda c: journal.retry_effect(c, effect.key, due_ns=due_ns, error=reason))

    async def _set_aside(self, effect: StoredEffect, error: Exception) -> None:
        self._metrics.faults.labels("effects").inc()
        log.error("effect set aside for now", effect=effect.key, error=str(error), exc_info=error)
        await self._retry(effect, f"{type(error).__name__}: {error}")

    async def _refused(self, effect: StoredEffect, asked: effects.SwapEffect, error: RejectedError) -> None:
        log.warning("effect refused", effect=effect.key, code=error.code, reason=error.message)
        self._metrics.effects.labels(_label(asked), "refused").inc()
        if gate := error.fields.get("gate"):
            self._metrics.gates_closed.labels(str(gate)).inc()
        event = events.EffectRefused(effect.kind, effect.sequence, error.code, error.message)
        if isinstance(asked, effects.VerifyLock):
            await self._finish(effect, events.LockRefused(asked.leg, asked.lock_id, error.code, error.message))
        else:
            await self._finish(effect, event, failed=error.message)

    async def _finish(self, effect: StoredEffect, outcome: events.SwapEvent | None, failed: str | None = None) -> None:
        """The effect's end and the event that it means, in one transaction."""
        swap_id, now_ns = SwapId(effect.stream), self._clock.now_ns()

        def store(connection: Connection) -> bool:
            if failed is None:
                journal.complete_effect(connection, effect.key, now_ns=now_ns)
            else:
                journal.fail_effect(connection, effect.key, failed, now_ns=now_ns)
            return outcome is not None and swaps.take(connection, swap_id, [outcome], now_ns=now_ns)

        if await swaps.write(self._database, store):
            self._updates.changed([swap_id])

    # --- the acts ---

    async def _act(self, asked: effects.SwapEffect, key: str) -> events.SwapEvent | None:
        """Do what is asked for; returns the event that follows. Raises as `execute` sorts it."""
        match asked:
            case effects.VerifyLock():
                at = await self._checks.verified(asked)
                return events.LockVerified(asked.leg, asked.lock_id, at, true_seconds(self._clock.now_ns()))
            case effects.FundLeg():
                return await self._fund(asked, key)
            case effects.ClaimLeg() | effects.RefundLeg():
                return await self._exit(asked, key)
            case effects.RevealAndClaim():
                return await self._reveal(asked, key)
            case effects.SignEarlyRefund():
                return await self._give_back(asked, key)
            case effects.NotifyParty():
                log.warning("a swap needs attention", swap=asked.swap_id, code=asked.code, reason=asked.message)
                return None
            case effects.Finished():
                log.info("swap finished", swap=asked.swap_id, outcome=asked.outcome, code=asked.code)
                self._metrics.settled.labels(asked.outcome).inc()
                return None
            case _:
                assert_never(asked)

    async def _fund(self, asked: effects.FundLeg, key: str) -> events.SwapEvent:
        hands = self._hands_on(asked.terms.chain)
        if (sent := await hands.pipeline.transaction(key)) is None:
            state = await self._state(asked.swap_id)
            deadline_s = _lock_deadline_s(state.agreement)
            place, allowance, keep, _ = await asyncio.gather(
                self._checks.place(asked.swap_id, asked.terms),
                hands.access.legs.prepare(asked.terms),
                self._kept_for_exits(asked.terms.chain),
                self._checks.before_funding(state),
            )
            by_consent = None if allowance is None else await self._lock_by_consent(hands, asked.terms, place)
            if allowance is not None and by_consent is None:
                await self._allow(hands, asked.terms, f"{key}:prepare", deadline_s)
            self._checks.time_to_fund(state)
            lock = by_consent or hands.access.legs.lock(asked.terms, place)
            sent = await hands.pipeline.send(
                key,
                lock,
                deadline_s,
                watched=True,
                guarded=True,
                gate=partial(self._fund_gate, swap_id=asked.swap_id),
                keep=keep,
            )
        return _submitted(asked, sent)

    async def _kept_for_exits(self, chain: ChainId) -> Mapping[AssetId, int]:
        """Return what our lock must leave in the purse: the gas of an exit for every open swap in which anything is
        locked."""
        costs = await self._checks.exit_costs([chain])
        promised = await self._database.read(tables.promises)
        locked = [one for one in promised if chain in one.chains and (one.locked or one.funded)]
        return sum((inventory.exits([chain], costs) for _ in locked), Counter[AssetId]())

    def _fund_gate(self, connection: Connection, swap_id: SwapId) -> None:
        """With the state as it is now, and nothing awaited behind it. Raise as `decisions.check_fund_now`."""
        decisions.by_own_clock(decisions.check_fund_now, swaps.load(connection, swap_id), self._now_s())

    def _reveal_gate(self, connection: Connection, swap_id: SwapId) -> None:
        decisions.by_own_clock(decisions.check_reveal_now, swaps.load(connection, swap_id), self._now_s())

    def _now_s(self) -> int:
        return true_seconds(self._clock.now_ns())

    def _closed_gate(self, connection: Connection, effect_key: str, in_time: bool) -> str | None:
        """See `ClosedGate`: why our lock must not go out again. Of what locks nothing it knows nothing."""
        try:
            key = EffectKey.parse(effect_key)
        except RejectedError:  # an allowance, an attestation: not asked for by a swap
            return None
        if key.kind not in FUND_KINDS:
            return None
        try:
            state = swaps.load(connection, SwapId(key.stream))
            own = state.agreement.own_leg
            if own is None or state.leg(own).lock_id is not None:
                return None
            decisions.by_own_clock(decisions.check_fund_now, state, self._now_s())
        except GateClosedError as gate:
            return gate.message if in_time else None
        except NotFoundError:
            return None
        except RejectedError as error:
            return error.message
        return None

    async def _lock_by_consent(self, hands: ActingChain, terms: LockTerms, place: LockId) -> UnsignedTransaction | None:
        """A lock that needs no allowance before it; None where the asset or our signer knows no such thing."""
        builder, account = hands.access.consents, hands.pipeline.account
        draft = None if builder is None else await builder.lock(terms, place, terms.timelock)
        signature = None if draft is None else await hands.pipeline.consent(draft.consent)
        return None if draft is None or signature is None else draft.complete(signature, account)

    async def _allow(self, hands: ActingChain, terms: LockTerms, key: str, deadline_s: float) -> None:
        """Send the transactions that the chain wants before our lock, one after the other: an allowance that is short,
        for some tokens set to zero before it is raised."""
        for number in range(1, MAX_PREPARATIONS + 1):
            if (needed := await hands.access.legs.prepare(terms)) is None:
                return
            one = f"{key}{number}"
            await hands.pipeline.send(one, needed, deadline_s)
            done = await hands.pipeline.until(one, records.TransactionStatus.INCLUDED, records.TransactionStatus.FINAL)
            if done.reverted or not done.included:
                raise RejectedError(f"the allowance for our lock failed: {done.reason or done.status}")
        if await hands.access.legs.prepare(terms) is not None:
            raise RetryableError(
                f"{terms.asset} wants more than {MAX_PREPARATIONS} transactions before it can be locked"
            )

    async def _give_back(self, asked: effects.SignEarlyRefund, key: str) -> events.SwapEvent:
        """Pay the counterparty's leg back by our own transaction: the receiver who sends it need not sign."""
        hands = self._hands_on(asked.terms.chain)
        lock_id = (await self._state(asked.swap_id)).leg(asked.leg).lock_id
        if hands.access.consents is None or lock_id is None:
            raise RejectedError("nothing is locked here that could go back before its timelock")
        if await hands.pipeline.transaction(key) is None:
            await self._checks.before_exit_for_others(asked.terms.chain)
        draft = hands.access.consents.refund(asked.terms, lock_id, asked.terms.timelock)
        sent = await hands.pipeline.send(key, draft.complete(b"", hands.pipeline.account), watched=True)
        return _submitted(asked, sent)

    async def _exit(self, asked: Exit, key: str) -> events.SwapEvent:
        hands = self._hands_on(asked.terms.chain)
        unsigned = _exit_transaction(hands, asked)
        state = await self._state(asked.swap_id)
        for_others = state.agreement.role is Role.WATCHTOWER
        simulate = False
        if await hands.pipeline.transaction(key) is None:
            if not state.leg(asked.leg).open:
                raise RejectedError("this leg is settled already, as far as we can see")
            tries = await self._tries(asked)
            if tries and await self._is_settled(hands, asked):
                raise ConflictError(f"the lock {asked.lock_id} is settled in a finalized block: nothing is left to do")
            if for_others:
                await self._checks.before_exit_for_others(asked.terms.chain)
                simulate = tries >= UNSIMULATED_TRIES
            else:
                unsigned = await _fitted(hands, unsigned, tries)
        # What is done for others pays for nothing, so it does not bid more for being late. The pipeline treats it as an
        # ordinary transaction, which makes way for our exits.
        deadline_s = None if for_others else _exit_deadline_s(asked)
        sent = await hands.pipeline.send(key, unsigned, deadline_s, simulate=simulate, watched=True)
        return _submitted(asked, sent)

    async def _tries(self, asked: Exit | effects.RevealAndClaim) -> int:
        """How often the same was asked for before."""
        kind = effects.kind_of(asked)
        before = await self._database.read(lambda c: journal.stream_effects(c, asked.swap_id))
        return sum(one.kind == kind and one.sequence < asked.sequence for one in before)

    async def _is_settled(self, hands: ActingChain, asked: Exit) -> bool:
        """True if a quorum shows the lock as claimed or refunded in a finalized block: an exit that was refused, or
        reverted, may have come too late. Whoever settled it, the follower will say so."""
        try:
            async with asyncio.timeout(LOOK_S):
                seen = await hands.access.locks.lock(asked.lock_id, asked.terms)
        except (RetryableError, RejectedError, TimeoutError):
            return False
        return seen.status in (LockStatus.CLAIMED, LockStatus.REFUNDED)

    async def _reveal(self, asked: effects.RevealAndClaim, key: str) -> events.SwapEvent:
        """Sending is the reveal. It is journalled by now: the effect in the outbox is the intention to reveal."""
        if self._vault is None:
            raise RejectedError("this process holds no preimages")
        hands = self._hands_on(asked.terms.chain)
        claim = self._revealing_claim(hands, self._vault, asked)
        if await hands.pipeline.transaction(key) is None:
            if asked.first:
                await self._checks.before_reveal(await self._state(asked.swap_id))
            else:
                claim = await _fitted(hands, claim, await self._tries(asked))
        sent = await hands.pipeline.send(
            key,
            claim,
            float(asked.terms.timelock.seconds),
            watched=True,
            guarded=asked.first,
            gate=partial(self._reveal_gate, swap_id=asked.swap_id) if asked.first else None,
        )
        return _submitted(asked, sent)

    def _revealing_claim(
        self, hands: ActingChain, vault: PreimageVault, asked: effects.RevealAndClaim
    ) -> UnsignedTransaction:
        preimage = vault.preimage(asked.terms.hashlock)
        return hands.access.legs.claim(asked.terms, asked.lock_id, preimage, hands.pipeline.account)

    async def _rebuild(self, effect_key: str) -> UnsignedTransaction | None:
        """A claim whose body was not stored, from its effect and the vault; None for everything else."""
        try:
            stored = await self._database.read(lambda c: journal.effect(c, effect_key))
        except NotFoundError:
            return None
        asked = codec.decode_effect(stored.body)
        if not isinstance(asked, effects.RevealAndClaim) or self._vault is None:
            return None
        return self._revealing_claim(self._hands_on(asked.terms.chain), self._vault, asked)

    def _hands_on(self, chain: ChainId) -> ActingChain:
        if chain not in self._hands:
            raise RetryableError(f"{chain} is not configured here: configure it, its swap is waiting")
        return self._hands[chain]

    async def _state(self, swap_id: SwapId) -> SwapState:
        return await self._database.read(lambda c: swaps.load(c, swap_id))


def _idle_s(next_ns: int | None, now_ns: int) -> float:
    """Until the next retry is due; what is due now is running, and its end wakes us."""
    if next_ns is None or next_ns <= now_ns:
        return IDLE_S
    return min(IDLE_S, (next_ns - now_ns) / NS_PER_S)


def _decoded_exit(effect: StoredEffect) -> Exit | None:
    """None for what cannot be read as the exit it is stored as: it goes its own way, and fails there."""
    try:
        asked = codec.decode_effect(effect.body)
    except Exception:
        return None
    return asked if isinstance(asked, Exit) else None


def _room(effect: StoredEffect) -> Room:
    """Return the room where it runs. An effect that cannot be read has a room of its own."""
    try:
        asked = codec.decode_effect(effect.body)
    except Exception:
        return "", False
    terms = getattr(asked, "terms", None)
    return ("" if terms is None else str(terms.chain)), effect.kind in EXIT_KINDS


async def _fitted(hands: ActingChain, unsigned: UnsignedTransaction, tries: int) -> UnsignedTransaction:
    """With room for what it does now, or as it is if the chain does not say soon: an exit waits for no estimate."""
    try:
        async with asyncio.timeout(LOOK_S):
            return await hands.access.transactions.fitted(unsigned, tries)
    except FatalError:
        raise
    except Exception as error:
        log.warning("goes out without an estimate", summary=unsigned.summary, reason=str(error) or "it takes too long")
        return unsigned


def _exit_transaction(hands: ActingChain, asked: Exit) -> UnsignedTransaction:
    legs, account = hands.access.legs, hands.pipeline.account
    if isinstance(asked, effects.RefundLeg):
        return legs.refund(asked.terms, asked.lock_id, account)
    claim = legs.claim(asked.terms, asked.lock_id, Preimage(asked.preimage), account)
    return replace(claim, reveals=False)  # everybody knows this preimage: the body may be stored


def _exit_deadline_s(asked: Exit) -> float | None:
    """By when it has to be in a block; a refund has all the time in the world."""
    return float(asked.terms.timelock.seconds) if isinstance(asked, effects.ClaimLeg) else None


def _lane(effect: StoredEffect) -> Lane:
    return effect.stream, effect.kind.rpartition("-")[2]


def _lock_deadline_s(agreement: Agreement) -> float:
    """By when our lock should be on chain, if it is to be of use: fees rise towards it."""
    if agreement.own_leg is Leg.INITIATOR:
        return agreement.lock_deadline_s
    needed_s = timelocks.reveal_terms(agreement.participant_timing, agreement.policy)
    return agreement.participant_leg.timelock.seconds - sum(needed_s.values())


def _submitted(asked: effects.LegEffect, sent: records.TransactionRecord) -> events.SwapEvent:
    """Return `EffectSubmitted`, or the recorded outcome if there is one."""
    key = effects.effect_key(asked)
    [item] = [item for item in sent.effects if item.effect_key == key]
    known = outcome_event(sent, item)
    return known or events.EffectSubmitted(effects.kind_of(asked), asked.sequence, sent.newest.hash)


def _label(asked: effects.SwapEffect) -> str:
    return str(asked.__struct_config__.tag)
