"""One effect at a time becomes a transaction, and its outcome an event.

Each act is safe to repeat: a transaction is looked up under the effect's key before anything else. Exits (claims with a
public preimage, refunds) go out at once, without quorum, finality or (unless they failed before) simulation; whatever
funds or reveals is checked again right before it is signed.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, assert_never, get_args

from sqlalchemy.engine import Connection

from core.model.effect_keys import EffectKey
from core.model.errors import (
    ConflictError,
    GateClosedError,
    NotFoundError,
    RejectedError,
    RetryableError,
    UnaffordableError,
    refuse,
)
from core.model.facts import LockStatus
from core.model.transactions import UnsignedTransaction
from core.model.types import AssetId, LockId, LockTerms, Preimage, SwapId
from core.runtime import journal
from core.runtime.clock import Clock, true_seconds
from core.runtime.database import Database
from core.runtime.logging import get_logger
from htlc import codec, decisions, effects, events, timelocks
from htlc.effects import Exit
from htlc.model import Agreement, Leg, Role, SwapState
from relayer import inventory
from relayer.metrics import RelayerMetrics
from relayer.pump import neighbours, places, promises, swaps
from relayer.pump.absorb import heads_at_cursor
from relayer.pump.checks import Checks, PreimageVault, alarm_about
from relayer.pump.hands import ActingChain, Hands
from relayer.pump.locks import ReadyLock, SharedLocks
from relayer.pump.looks import LOOK_S, fitted, is_looked_at, would_succeed
from relayer.pump.outcomes import outcome_event
from relayer.transactions import records

UNSIMULATED_TRIES: Final = 2
"""Exits for others that may fail in a block, one in a batch and one alone, before a node's simulation counts: the
chain's own reason is worth that much, and a node that errs holds nobody up."""

FRESH_S: Final = 0.5
"""How old what was checked for a lock may be. An allowance takes some blocks, and so does a turn behind another's."""

log = get_logger("relayer.pump.acting")

EXIT_KINDS: Final = frozenset(effects.leg_kind(kind, leg) for kind in get_args(Exit) for leg in Leg)
FUND_KINDS: Final = frozenset(effects.leg_kind(effects.FundLeg, leg) for leg in Leg)


class Acts:
    """The acts of one process on its chains."""

    def __init__(
        self,
        database: Database,
        hands: Hands,
        checks: Checks,
        clock: Clock,
        metrics: RelayerMetrics,
        vault: PreimageVault | None = None,
    ) -> None:
        self._database = database
        self._hands = hands
        self._checks = checks
        self._clock = clock
        self._metrics = metrics
        self._vault = vault
        self._locks = {
            one.account: SharedLocks(
                database, one.access.batches, one.pipeline, partial(self._kept_for_exits, one), clock, metrics
            )
            for one in hands
        }
        for one in hands:
            one.pipeline.rebuild = self._rebuild
            one.pipeline.closed_gate = self._closed_gate
            one.pipeline.check_again = self._check_again
            one.pipeline.compose = partial(self._compose, one)

    async def do(self, asked: effects.SwapEffect, key: str) -> events.SwapEvent | None:
        """Do what is asked for; returns the event that follows. Raise as `execute` sorts it."""
        match asked:
            case effects.VerifyLock():
                at = await self._checks.verified(asked)
                return events.LockVerified(asked.leg, asked.lock_id, at, true_seconds(self._clock.now_ns()))
            case effects.FundLeg():
                return await self._fund_or_give_up(asked, key)
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

    async def _fund_or_give_up(self, asked: effects.FundLeg, key: str) -> events.SwapEvent:
        """A refusal ends the swap, and then nobody takes a lock back that is there all the same."""
        try:
            return await self._fund(asked, key)
        except RejectedError:
            await self._checks.before_giving_up(await self._state(asked.swap_id))
            raise

    async def _fund(self, asked: effects.FundLeg, key: str) -> events.SwapEvent:
        sent = await self._hands.present(asked.terms.chain).pipeline.transaction(key)
        if sent is None and (sent := await self._lock(asked, key, shared=True)) is None:
            # A batch that came to nothing took its time: everything that had to hold before it has to hold again.
            sent = await self._lock(asked, key, shared=False)
        if sent is None:
            refuse("a lock that goes alone is sent or refused", effect=key)
        return submitted(asked, sent)

    async def _lock(self, asked: effects.FundLeg, key: str, *, shared: bool) -> records.TransactionRecord | None:
        """Check everything and lock, with others if `shared` allows it; None if that came to nothing."""
        here = self._locking(asked.terms)
        locks, state = self._locks[here.account], await self._state(asked.swap_id)
        deadline_s = _lock_deadline_s(state.agreement)
        place, keep, _ = await asyncio.gather(
            self._checks.place(asked.swap_id, asked.terms),
            self._kept_for_exits(here, ()),
            self._checks.before_funding(state),
        )
        checked_s = self._clock.monotonic()
        async with here.allowances.turn(asked.terms) as short:
            by_consent = await self._lock_by_consent(here, asked.terms, place) if short else None
            if short and by_consent is None:
                await here.allowances.provide(asked.terms, f"{key}:prepare", deadline_s)
            if self._clock.monotonic() - checked_s > FRESH_S:
                await self._checks.before_funding(state := await self._state(asked.swap_id))
            self._checks.time_to_fund(state)
            ready = ReadyLock(
                key,
                asked.swap_id,
                asked.terms.asset,
                by_consent or here.access.legs.lock(asked.terms, place),
                deadline_s,
                partial(self._fund_gate, swap_id=asked.swap_id),
                keep,
                _gate_closes_s(state.agreement),
            )
            if shared and by_consent is None:
                return await locks.send(ready)
            return await locks.alone(ready)

    def _locking(self, terms: LockTerms) -> ActingChain:
        """Return the account that these terms name: nobody else can make the lock. Raise `RetryableError` if it is not
        here."""
        found = self._hands.by_account(terms.sender)
        if found is None:
            raise RetryableError(f"the account {terms.sender}, which is to lock, is not configured here: configure it")
        return found

    async def _kept_for_exits(self, here: ActingChain, more: Collection[SwapId]) -> Mapping[AssetId, int]:
        """Return what our lock must leave in the purse: the gas of an exit for every open swap of the account in which
        anything is locked, and for those `more`, which are about to be."""
        chain = here.pipeline.chain
        costs = await self._checks.exit_costs([chain])
        locked = await self._database.read(lambda c: promises.locked_on(c, chain, here.account, more))
        return {asset: locked * cost for asset, cost in inventory.exits([chain], costs).items() if locked * cost > 0}

    def _fund_gate(self, connection: Connection, swap_id: SwapId) -> None:
        """With the state as it is now, and nothing awaited behind it. Raise as `decisions.check_fund_now`, and as
        `Checks.still_allow_lock`."""
        state = swaps.load(connection, swap_id)
        decisions.by_own_clock(decisions.check_fund_now, state, self._no_earlier_s(connection, state.agreement))
        self._checks.still_allow_lock(connection, state)

    def _reveal_gate(self, connection: Connection, swap_id: SwapId) -> None:
        state = swaps.load(connection, swap_id)
        decisions.by_own_clock(decisions.check_reveal_now, state, self._no_earlier_s(connection, state.agreement))

    def _no_earlier_s(self, connection: Connection, agreement: Agreement) -> int:
        """Return the time by which gates are held, Unix seconds: our own, or the one that blocks which were read show,
        if that is later. A block's time is ahead of the true one by its chain's lead at most, so a clock of ours that
        has fallen behind keeps no gate open."""
        leads = {agreement.terms(leg).chain: agreement.timing(leg).lead_s for leg in Leg}
        shown = heads_at_cursor(connection, leads).values()
        times = [self._now_s(), *(head.seconds - leads[head.chain] for head in shown)]
        return max(times)

    def _now_s(self) -> int:
        return true_seconds(self._clock.now_ns())

    def _closed_gate(self, connection: Connection, effect_key: str, in_time: bool) -> str | None:
        """See `ClosedGate`: why our lock must not go out again. Of what locks nothing it knows nothing.

        A lock that a block has shown is not called off, and goes out again like one that none has: the chain may say
        that its block is gone before the blocks are read.
        """
        try:
            key = EffectKey.parse(effect_key)
        except RejectedError:  # an allowance, an attestation: not asked for by a swap
            return None
        if key.kind not in FUND_KINDS:
            return None
        try:
            state = swaps.load(connection, SwapId(key.stream))
        except NotFoundError:
            return None
        own = state.agreement.own_leg
        if own is None:
            return None
        if alarm := alarm_about(connection, (state.agreement.terms(leg).chain for leg in Leg)):
            # What is known of the other lock may be over.
            return alarm if in_time or state.leg(own).lock_id is None else None
        try:
            decisions.by_own_clock(decisions.check_fund_again, state, self._no_earlier_s(connection, state.agreement))
        except GateClosedError as gate:
            return gate.message if in_time else None
        except RejectedError as error:
            return error.message if in_time or state.leg(own).lock_id is None else None
        return None

    async def _check_again(self, effect_key: str) -> None:
        """See `CheckAgain`. Of what locks nothing, and of a lock that stands, nothing is asked."""
        try:
            key = EffectKey.parse(effect_key)
            if key.kind not in FUND_KINDS:
                return
            state = await self._state(SwapId(key.stream))
        except RejectedError:
            return
        if not _stands(state):
            try:
                await self._checks.before_repeating(state)
            except RejectedError:
                if not _stands(await self._state(state.swap_id)):
                    raise

    async def _lock_by_consent(self, here: ActingChain, terms: LockTerms, place: LockId) -> UnsignedTransaction | None:
        """A lock that needs no allowance before it; None if the asset or our signer knows no such thing."""
        builder, account = here.access.consents, here.pipeline.account
        draft = None if builder is None else await builder.lock(terms, place, terms.timelock)
        signature = None if draft is None else await here.pipeline.consent(draft.consent)
        return None if draft is None or signature is None else draft.complete(signature, account)

    async def _give_back(self, asked: effects.SignEarlyRefund, key: str) -> events.SwapEvent:
        """Pay the counterparty's leg back by our own transaction: the receiver who sends it need not sign."""
        state = await self._state(asked.swap_id)
        here, lock_id = self._hands.of(state.agreement, asked.terms.chain), state.leg(asked.leg).lock_id
        if here.access.consents is None or lock_id is None:
            raise RejectedError("nothing is locked here that could go back before its timelock")
        if await here.pipeline.transaction(key) is None:
            await self._checks.before_giving_back(state)
            await self._checks.before_exit_for_others(asked.terms.chain, here.account)
        draft = here.access.consents.refund(asked.terms, lock_id, asked.terms.timelock)
        sent = await here.pipeline.send(key, draft.complete(b"", here.pipeline.account), watched=True)
        return submitted(asked, sent)

    async def _exit(self, asked: Exit, key: str) -> events.SwapEvent:
        state = await self._state(asked.swap_id)
        here = self._hands.of(state.agreement, asked.terms.chain)
        try:
            return await self._exit_by(here, asked, key, state)
        except UnaffordableError:
            other = self._hands.present(asked.terms.chain)
            if other is here:
                raise
            # It pays the same account, whoever sends it: one of ours that is retiring may be empty by now.
            return await self._exit_by(other, asked, key, state)

    async def _exit_by(self, here: ActingChain, asked: Exit, key: str, state: SwapState) -> events.SwapEvent:
        known = await here.pipeline.transaction(key)
        if known is not None:
            here = self._hands.by_account(known.account) or here
        unsigned = exit_transaction(here, asked)
        for_others = state.agreement.role is Role.WATCHTOWER
        gate = neighbours.gate([asked], here.access.parameters.timing, self._clock) if for_others else None
        simulate = False
        if known is None:
            if not state.leg(asked.leg).open:
                raise RejectedError("this leg is settled already, as far as we can see")
            tries = await self._tries(asked)
            if tries and await self._is_settled(here, asked):
                raise ConflictError(f"the lock {asked.lock_id} is settled in a finalized block: nothing is left to do")
            if gate is not None:
                await self._database.read(gate)
                await self._checks.before_exit_for_others(asked.terms.chain)
                simulate = tries >= UNSIMULATED_TRIES
            else:
                if is_looked_at(tries):
                    await would_succeed(here, unsigned)
                unsigned = await fitted(here, unsigned, tries)
        # What is done for others pays for nothing, so it does not bid more for being late. The pipeline treats it as an
        # ordinary transaction, which makes way for our exits.
        deadline_s = None if for_others else exit_deadline_s(asked)
        sent = await here.pipeline.send(key, unsigned, deadline_s, simulate=simulate, watched=True, gate=gate)
        return submitted(asked, sent)

    async def _tries(self, asked: Exit | effects.RevealAndClaim) -> int:
        """How often the same was asked for before."""
        kind = effects.kind_of(asked)
        before = await self._database.read(lambda c: journal.stream_effects(c, asked.swap_id))
        return sum(one.kind == kind and one.sequence < asked.sequence for one in before)

    async def _is_settled(self, here: ActingChain, asked: Exit) -> bool:
        """True if a quorum shows the lock as claimed or refunded in a finalized block: an exit that was refused, or
        reverted, may have come too late. Whoever settled it, the follower will say so."""
        try:
            async with asyncio.timeout(LOOK_S):
                seen = await here.access.locks.lock(asked.lock_id, asked.terms)
        except (RetryableError, RejectedError, TimeoutError):
            return False
        return seen.status in (LockStatus.CLAIMED, LockStatus.REFUNDED)

    async def _reveal(self, asked: effects.RevealAndClaim, key: str) -> events.SwapEvent:
        """Sending is the reveal. It is journalled by now: the effect in the outbox is the intention to reveal."""
        if self._vault is None:
            raise RejectedError("this process holds no preimages")
        here = self._hands.present(asked.terms.chain)
        claim = self._revealing_claim(here, self._vault, asked)
        if await here.pipeline.transaction(key) is None:
            if asked.first:
                await self._checks.before_reveal(await self._state(asked.swap_id))
            else:
                claim = await fitted(here, claim, await self._tries(asked))
        sent = await here.pipeline.send(
            key,
            claim,
            float(asked.terms.timelock.seconds),
            watched=True,
            guarded=asked.first,
            gate=partial(self._reveal_gate, swap_id=asked.swap_id) if asked.first else None,
        )
        return submitted(asked, sent)

    def _revealing_claim(
        self, here: ActingChain, vault: PreimageVault, asked: effects.RevealAndClaim
    ) -> UnsignedTransaction:
        preimage = vault.preimage(asked.terms.hashlock)
        return here.access.legs.claim(asked.terms, asked.lock_id, preimage, here.pipeline.account)

    async def _rebuild(self, effect_key: str) -> UnsignedTransaction | None:
        """A claim whose body was not stored, from its effect and the vault; None for everything else."""
        try:
            stored = await self._database.read(lambda c: journal.effect(c, effect_key))
        except NotFoundError:
            return None
        asked = codec.decode_effect(stored.body)
        if not isinstance(asked, effects.RevealAndClaim) or self._vault is None:
            return None
        return self._revealing_claim(self._hands.present(asked.terms.chain), self._vault, asked)

    async def _compose(self, here: ActingChain, effect_keys: Sequence[str]) -> UnsignedTransaction | None:
        """The locks of these effects in one transaction, at the places that were written down for them; None if it
        cannot be made."""

        def read(connection: Connection) -> list[tuple[effects.SwapEffect, LockId | None]]:
            asked = [codec.decode_effect(journal.effect(connection, key).body) for key in effect_keys]
            return [(one, places.lock_place(connection, one.swap_id)) for one in asked]

        try:
            found = await self._database.read(read)
        except NotFoundError:
            return None
        locks = [
            here.access.legs.lock(asked.terms, place)
            for asked, place in found
            if isinstance(asked, effects.FundLeg) and place is not None
        ]
        if len(locks) != len(effect_keys) or here.access.batches is None:
            return None
        return locks[0] if len(locks) == 1 else here.access.batches.locks(locks)

    async def _state(self, swap_id: SwapId) -> SwapState:
        return await self._database.read(lambda c: swaps.load(c, swap_id))


def _stands(state: SwapState) -> bool:
    """Return true if a block shows our own lock."""
    own = state.agreement.own_leg
    return own is None or state.leg(own).lock is not None


def exit_transaction(here: ActingChain, asked: Exit) -> UnsignedTransaction:
    legs, account = here.access.legs, here.pipeline.account
    if isinstance(asked, effects.RefundLeg):
        return legs.refund(asked.terms, asked.lock_id, account)
    claim = legs.claim(asked.terms, asked.lock_id, Preimage(asked.preimage), account)
    return replace(claim, reveals=False)  # everybody knows this preimage: the body may be stored


def exit_deadline_s(asked: Exit) -> float | None:
    """By when it has to be in a block; a refund has all the time in the world."""
    return float(asked.terms.timelock.seconds) if isinstance(asked, effects.ClaimLeg) else None


def _lock_deadline_s(agreement: Agreement) -> float:
    """By when our lock should be on chain, if it is to be of use: fees rise towards it."""
    if agreement.own_leg is Leg.INITIATOR:
        return agreement.lock_deadline_s
    needed_s = timelocks.reveal_terms(agreement.participant_timing, agreement.policy)
    return agreement.participant_leg.timelock.seconds - sum(needed_s.values())


def _gate_closes_s(agreement: Agreement) -> int:
    """Return when (true time, Unix seconds) the time gate of our lock closes."""
    t_b, first, second = agreement.participant_leg.timelock, agreement.initiator_timing, agreement.participant_timing
    if agreement.own_leg is Leg.PARTICIPANT:
        return t_b.seconds - sum(timelocks.fund_terms(second, agreement.policy).values())
    needed_s = sum(timelocks.quote_terms(first, second, agreement.policy).values()) - agreement.policy.lock_s
    return min(agreement.lock_deadline_s, t_b.seconds - needed_s)


def submitted(asked: effects.LegEffect, sent: records.TransactionRecord) -> events.SwapEvent:
    """Return `EffectSubmitted`, or the recorded outcome if there is one."""
    key = effects.effect_key(asked)
    [item] = [item for item in sent.effects if item.effect_key == key]
    known = outcome_event(sent, item)
    return known or events.EffectSubmitted(effects.kind_of(asked), asked.sequence, sent.newest.hash)
