"""One seed's story: a quote, an agreement, and what each party makes of it, until every lock is settled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core.model.errors import CausewayError, RejectedError, RetryableError
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import BaseUnits, LockId, LockTerms
from core.runtime.clock import run_virtually
from gateway.simulation.party import Crash, Party
from gateway.simulation.plan import COME_BACK_S, POLICY, TIMING, A, B, Blocked, Death, Initiator, Plan, Provider, draw
from gateway.simulation.verdict import Verdict, judge, locks_of, state_of
from gateway.simulation.world import COIN, World
from htlc.model import Agreement, Role
from relayer import book
from relayer.desk import OpenSwap, SwapView
from relayer.quotes import Pair, QuoteRequest, Rate
from relayer.swap_worker import true_seconds
from relayer.watchtower import Registration

AMOUNT: Final = BaseUnits(1_000)
WARM_UP_S: Final = 6.0
SETTLING_S: Final = 60.0
"""After the last timelock: everybody is back, and refunds become final."""
TRIES: Final = 40
HAND_FEE: Final = 100_000
"""A cheat pays whatever gets him into the next block."""


@dataclass(slots=True)
class Story:
    """Who takes part, and what was agreed, if anything was."""

    world: World
    provider: Party
    initiator: Party
    tower: Party | None
    agreement: Agreement | None = None
    notes: list[str] = field(default_factory=list)

    def tell(self, what: str) -> None:
        self.notes.append(f"{self.world.seconds:7.2f} s  {what}")

    @property
    def parties(self) -> list[Party]:
        """Those that run a process: a cheat's hands need none."""
        honest = self.world.plan.initiator in (Initiator.HONEST, Initiator.VANISHES)
        others = [self.initiator if honest else None, self.tower]
        return [self.provider, *(party for party in others if party is not None)]


def run(seed: int) -> Verdict:
    """Play one seed to its end and judge it."""
    return play(draw(seed))


def play(plan: Plan) -> Verdict:
    """Play a plan to its end and judge it."""
    return run_virtually(_play(plan))


async def _play(plan: Plan) -> Verdict:
    world = World(plan)
    pairs = [
        Pair(COIN[chain], COIN[other], Rate(2, 1), BaseUnits(10), BaseUnits(10**6)) for chain, other in ((A, B), (B, A))
    ]
    story = Story(
        world,
        Party(world, "provider", pairs, plan.provider_deaths),
        Party(world, "initiator", (), plan.initiator_deaths if plan.initiator is Initiator.HONEST else ()),
        Party(world, "tower") if plan.watchtower else None,
    )
    async with _background(world.run(), *(party.run() for party in story.parties)):
        await world.clock.sleep(WARM_UP_S)
        await _agree(story)
        if story.agreement is not None:
            _block(story)
            async with _background(*_deeds(story, story.agreement)):
                await _settled(story, story.agreement)
    return await judge(world, story.parties, story.agreement, story.notes)


@asynccontextmanager
async def _background(*runs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these beside the block, and end them with it; what fails in them fails the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in runs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _agree(story: Story) -> None:
    """Quote and agreement at the provider's desk, however often it dies on the way; and the tower is told."""
    view = await _opened(story)
    if view is None:
        story.tell("no agreement came about")
        return
    story.agreement = _agreement(view)
    away_s = [leg.terms.timelock.seconds - story.world.clock.now() for leg in (view.initiator, view.participant)]
    story.tell(f"agreed on {view.id}: refunds open in {away_s[0]:.0f} s and {away_s[1]:.0f} s")
    if story.tower is not None:
        await _register(story, story.tower, Registration(view.initiator.terms, view.participant.terms))


def _block(story: Story) -> None:
    """From now on the token refuses whom the plan names."""
    plan, world = story.world.plan, story.world
    if plan.blocked is Blocked.NOBODY:
        return
    payee, chain = (story.provider, plan.first) if plan.blocked is Blocked.PROVIDER else (story.initiator, plan.second)
    world.chains[chain].tokens.refused.add((COIN[chain], payee.accounts[chain]))
    story.tell(f"the token on {chain} refuses {payee.name}")


async def _opened(story: Story) -> SwapView | None:
    """The same request again after a failure, a new one after a refusal; None where the provider never answers."""
    plan, quote = story.world.plan, None
    hashlock = story.initiator.vault.fresh()
    accounts = story.initiator.accounts[plan.first], story.initiator.accounts[plan.second]
    for _ in range(TRIES):
        service = await story.provider.ready()
        try:
            quote = quote or await service.desk.quote(QuoteRequest(COIN[plan.first], COIN[plan.second], AMOUNT))
            return await service.desk.open_swap(OpenSwap(quote, hashlock, *accounts))
        except (RetryableError, Crash):
            pass
        except RejectedError as error:
            story.tell(f"refused: {error.message}")
            quote, hashlock = None, story.initiator.vault.fresh()
        await story.world.clock.sleep(1)
    return None


async def _register(story: Story, party: Party, legs: Registration) -> None:
    for _ in range(TRIES):
        tower = await party.ready()
        with contextlib.suppress(RetryableError):
            await tower.watchtower.register(legs)
            return
        await story.world.clock.sleep(1)


def _agreement(view: SwapView) -> Agreement:
    """The initiator's side of what was agreed."""
    return Agreement(
        swap_id=view.id,
        role=Role.INITIATOR,
        initiator_leg=view.initiator.terms,
        participant_leg=view.participant.terms,
        initiator_timing=TIMING,
        participant_timing=TIMING,
        policy=POLICY,
        lock_deadline_s=view.lock_deadline_s,
    )


# --- what the parties do -----------------------------------------------------------------------------------------


def _deeds(story: Story, agreement: Agreement) -> list[Coroutine[Any, Any, None]]:
    plan = story.world.plan
    deeds = [_timed_death(story, agreement, death) for death in plan.provider_deaths if death.write is None]
    if plan.provider is Provider.VANISHES:
        deeds.append(_vanish(story, story.provider, agreement))
    match plan.initiator:
        case Initiator.HONEST:
            deeds.append(_begin(story, agreement))
        case Initiator.NEVER_LOCKS:
            story.tell("the initiator never locks")
        case Initiator.VANISHES:
            deeds.append(_begin(story, agreement))
            deeds.append(_vanish_after_lock(story, agreement))
        case Initiator.LAST_SECOND:
            deeds.append(_cheat(story, agreement))
        case Initiator.LOCKS_TOO_LITTLE:
            deeds.append(_lock_too_little(story, agreement))
    return deeds


async def _begin(story: Story, agreement: Agreement) -> None:
    """The initiator's own machine takes over."""
    now_ns = story.world.clock.now_ns()
    service = await story.initiator.ready()
    await story.initiator.database.write(
        lambda c: book.begin(c, agreement, None, now_s=true_seconds(now_ns), now_ns=now_ns)
    )
    service.switchboard.changed([agreement.swap_id])


async def _timed_death(story: Story, agreement: Agreement, death: Death) -> None:
    at_s = agreement.participant_leg.timelock.seconds - (death.before_participant_timelock_s or 0)
    await story.world.clock.sleep(at_s - story.world.clock.now())
    story.tell(f"the provider's power fails for {death.outage_s} s")
    story.provider.kill(death.outage_s)


async def _vanish(story: Story, party: Party, agreement: Agreement) -> None:
    until_s = agreement.initiator_leg.timelock.seconds + COME_BACK_S - story.world.clock.now()
    story.tell(f"{party.name} vanishes for {until_s:.0f} s")
    party.kill(until_s)


async def _vanish_after_lock(story: Story, agreement: Agreement) -> None:
    while not locks_of(story.world, agreement.hashlock):
        await story.world.clock.sleep(0.5)
    await _vanish(story, story.initiator, agreement)


async def _cheat(story: Story, agreement: Agreement) -> None:
    """Lock by hand, claim as late as a claim can still get through, and take back what nobody claimed."""
    place = await _lock_by_hand(story, agreement.initiator_leg)
    async with asyncio.TaskGroup() as group:
        group.create_task(_refund_by_hand(story, agreement.initiator_leg, place))
        group.create_task(_claim_in_the_last_second(story, agreement))


async def _claim_in_the_last_second(story: Story, agreement: Agreement) -> None:
    world, second = story.world, agreement.participant_leg
    while not (theirs := [lock for lock in locks_of(world, agreement.hashlock) if lock.terms == second]):
        await world.clock.sleep(0.5)
    await world.clock.sleep(second.timelock.seconds - world.plan.cheat_before_timelock_s - world.clock.now())
    legs = world.chains[second.chain].access().legs
    preimage = story.initiator.vault.preimage(agreement.hashlock)
    story.tell("the initiator claims in the last second")
    account = story.initiator.accounts[second.chain]
    await _send_by_hand(story, legs.claim(second, theirs[0].lock_id, preimage, account))


async def _lock_too_little(story: Story, agreement: Agreement) -> None:
    less = replace(agreement.initiator_leg, amount=BaseUnits(AMOUNT - 1))
    await _refund_by_hand(story, less, await _lock_by_hand(story, less))


async def _lock_by_hand(story: Story, terms: LockTerms) -> LockId:
    legs = story.world.chains[terms.chain].access().legs
    place = await legs.lock_id(terms)
    await _send_by_hand(story, legs.lock(terms, place))
    return place


async def _refund_by_hand(story: Story, terms: LockTerms, place: LockId) -> None:
    """Even a cheat wants his own money back, a while after his timelock."""
    await story.world.clock.sleep(terms.timelock.seconds + COME_BACK_S - story.world.clock.now())
    if any(lock.lock_id == place and not lock.settled for lock in locks_of(story.world, terms.hashlock)):
        legs = story.world.chains[terms.chain].access().legs
        await _send_by_hand(story, legs.refund(terms, place, story.initiator.accounts[terms.chain]))


async def _send_by_hand(story: Story, unsigned: UnsignedTransaction) -> None:
    """Sign and send past every pipeline, and again until a final block holds it."""
    world = story.world
    sender = world.chains[unsigned.chain].access().transactions
    signer = world.signer(story.initiator.name, unsigned.chain)
    view = await sender.sequences(signer.account)
    fee = FeeBid(HAND_FEE, HAND_FEE) if world.plan.fees else None
    request = sender.assemble(unsigned, view.latest, fee, None)
    signed = sender.attach(request, await signer.sign(request))
    while not (outcome := await sender.outcome(signed.hash)).final:
        if outcome.block is None:
            with contextlib.suppress(CausewayError):
                await sender.submit(signed)
        await world.clock.sleep(1)


# --- the end -----------------------------------------------------------------------------------------------------


async def _settled(story: Story, agreement: Agreement) -> None:
    """Until every machine has ended and every lock is finally settled, or the story has lasted too long."""
    give_up = agreement.initiator_leg.timelock.seconds + SETTLING_S
    while story.world.clock.now() < give_up:
        await story.world.clock.sleep(2)
        if await _all_ended(story, agreement) and all(
            lock.settled for lock in locks_of(story.world, agreement.hashlock)
        ):
            return
    story.tell("the story did not come to its end")


async def _all_ended(story: Story, agreement: Agreement) -> bool:
    if story.world.clock.now() < agreement.lock_deadline_s:
        return False
    states = [await state_of(party, agreement.swap_id) for party in story.parties]
    return all(state is None or state.phase.terminal for state in states)
