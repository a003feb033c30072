"""One seed's story: what everybody sets out to do, until every lock is settled; and the verdict on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from core.model.errors import CausewayError, RejectedError
from core.model.facts import LockStatus
from core.model.ports import ConsentSigner
from core.model.types import BaseUnits, ChainTime, Hashlock, LockId, LockTerms, Preimage
from core.runtime.clock import run_virtually
from gateway.simulation import hands, operators, strangers, traces, withdrawing
from gateway.simulation.doubts import hooks_of, withdraw
from gateway.simulation.drawing import draw
from gateway.simulation.journeys import journeys
from gateway.simulation.leading import LedRelayer
from gateway.simulation.ledger.tries import let_one_expire, try_rules
from gateway.simulation.logbook import HEARD
from gateway.simulation.lull import is_lull
from gateway.simulation.plan import COME_BACK_S, FINALITY_DEPTH, HOLD_S, POLICY, TIMING, Deal, Doubt, Plan, Rough, Style
from gateway.simulation.process import Dapp, Relayer, rate_of
from gateway.simulation.traces import Trace
from gateway.simulation.verdict import ends, gates, judge, machines
from gateway.simulation.verdict.chains import all_locks, lock_at
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record, Refusal
from gateway.simulation.world import COIN, TOKEN, World
from relayer.client import SwapClient
from relayer.provider.desk import OpenSwap
from relayer.provider.holds import opening_of
from relayer.provider.quoting import QuoteRequest
from relayer.watchtower import Registration

WARM_UP_S: Final = 6.0
SETTLING_S: Final = 60.0
"""After the last timelock: everybody is back, and refunds become final."""
REGISTER_S: Final = 2.0
"""How long a swap waits for the tower that it is to be watched by: its own time to lock passes."""
LATER_S: Final = 2.0
"""How long after its time to lock an initiator comes back who slept."""
TRY_AGAIN_S: Final = 1.0
TRIES: Final = 30
PATIENCE_S: Final = 60.0
SHORT: Final = "the relayer's inventory of"
"""How a provider says that it has no more to give away."""
ALLOWED: Final = 10**9
"""More of a token than a dApp locks in a story."""
ALLOWED_S: Final = 60
LONGEST_S: Final = 600.0
"""A story that has not ended by then never does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one seed ended. `problems` is empty if everything held. `seconds`: of the story's time. `journeys`: see
    `gateway.simulation.journeys`."""

    plan: Plan
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    swaps: int
    completed: int
    faults: dict[str, int]
    seconds: float
    traces: tuple[Trace, ...] = field(repr=False)
    journeys: dict[str, int] = field(repr=False)

    @property
    def ok(self) -> bool:
        return not self.problems


def run(seed: int) -> Verdict:
    """Play one seed to its end and judge it."""
    return play(draw(seed))


def play(plan: Plan) -> Verdict:
    """Play a plan to its end and judge it."""
    return run_virtually(_play(plan))


async def _play(plan: Plan) -> Verdict:
    world = World(plan)
    led = plan.leading is not None
    relayers = [
        LedRelayer(world, party) if led and number == 0 else Relayer(world, party)
        for number, party in enumerate(plan.relayers)
    ]
    dapps = [Dapp(world, party, relayer) for party, relayer in zip(plan.dapps, relayers, strict=True)]
    tower = None if plan.tower is None else Relayer(world, plan.tower, quotes=False)
    record = Record(world, relayers, dapps, tower)
    world.closes = partial(gates.closes_s, record)
    HEARD.set(world.wire)
    if plan.small:
        world.lull = partial(is_lull, record)
    found: list[Problem] = []
    try:
        async with asyncio.timeout(LONGEST_S), _background(world.run(), *(one.run() for one in record.processes)):
            await _allow_once(record)
            await world.clock.sleep(WARM_UP_S)
            if Rough.PAYEE_REFUSED in plan.rough:
                world.refuse(world.random.choice([*plan.relayers, *plan.dapps]).name)
            async with asyncio.TaskGroup() as group:
                for deal in plan.deals:
                    group.create_task(_deal(record, deal), name=f"deal {deal.number}")
                for mishap in sorted(operators.MISHAPS.keys() & plan.rough):
                    group.create_task(operators.MISHAPS[mishap](record))
                record.errands += [asyncio.create_task(strangers.act(record, one)) for one in sorted(plan.strangers)]
                record.errands += [
                    asyncio.create_task(withdrawing.order(record, number)) for number in range(len(plan.withdrawals))
                ]
                record.errands += [asyncio.create_task(one.feed.run()) for one in relayers if one.feed is not None]
                if plan.rotation is not None:
                    record.errands.append(asyncio.create_task(operators.rotate(record, plan.rotation)))
                if plan.topped is not None and not plan.topped.by_itself:
                    record.errands.append(asyncio.create_task(operators.fill(record, plan.topped)))
                if plan.leading is not None:
                    record.errands.append(asyncio.create_task(operators.fell_the_leader(record, plan.leading)))
                if world.ledger is not None:
                    record.errands.append(asyncio.create_task(try_rules(world)))
            await _settled(record)
            if world.ledger is not None:
                await let_one_expire(world)
    except TimeoutError:
        found.append(Problem(Kind.STORY_UNENDED, "the story did not come to its end"))
    verdict = await _judge(record, found)
    if verdict.ok:
        for process in record.processes:
            await process.let_go()
    return verdict


@asynccontextmanager
async def _background(*runs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these next to the block, and end them with it; what fails in them fails the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in runs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


# --- what people set out to do -----------------------------------------------------------------------------------


async def _deal(record: Record, deal: Deal) -> None:
    await record.world.clock.sleep(deal.start_s)
    if deal.style in (Style.HONEST, Style.COPIED):
        await _honest(record, deal)
        return
    agreed, preimage = await _opened_by_hand(record, deal)
    if agreed is not None:
        await _cheat(record, agreed, preimage)


async def _honest(record: Record, deal: Deal) -> None:
    """Quote, open and run by the dApp's client, however often its process dies on the way."""
    dapp, kind = record.dapps[deal.relayer], COIN if deal.coin else TOKEN
    quote = swap = agreed = None
    began_s = record.world.clock.now()
    waited = False
    for _ in range(TRIES):
        if agreed is None and record.world.clock.now() - began_s > PATIENCE_S:
            return  # nothing is offered, for longer than people wait
        client = await dapp.ready()
        try:
            quote = quote or await client.quote(kind[deal.first], kind[deal.second], **_amounts(record, deal))
            swap = swap or await client.open(quote)
            if agreed is None:
                agreed = _note_agreed(record, deal, swap, dapp.name)
                if dapp is record.dapps[0] and record.stored is None:
                    record.stored = dapp.database.copy(), record.world.clock.now()
                await _surround(record, agreed)
            await _run_to_its_end(record, agreed, client)
            return
        except RejectedError as error:
            if swap is None:
                record.note(f"deal {deal.number}: refused: {error.message}")
                quote = None
                short = SHORT in error.message
                if short:
                    record.refusals.append(Refusal(deal, dapp.relayer.name, record.world.clock.now()))
                if short and not waited:  # some of it may be held for somebody who never locks
                    waited = True
                    record.world.faults["came-again"] += 1
                    await record.world.clock.sleep(HOLD_S)
                elif dapp.client is client:
                    return
        except CausewayError:
            pass
        await record.world.clock.sleep(TRY_AGAIN_S)


def _amounts(record: Record, deal: Deal) -> dict[str, int]:
    """Return the amount that an initiator names: of what they give, or of what they want to get."""
    trading = record.plan.trading
    if trading is None or deal.number not in trading.asks:
        return {"initiator_amount": deal.amount}
    record.world.faults["asked-what-to-give"] += 1
    rate = rate_of(record.plan)
    return {"participant_amount": deal.amount * rate.numerator // rate.denominator - trading.fee}


async def _run_to_its_end(record: Record, agreed: Agreed, client: SwapClient) -> None:
    """Return once the swap has ended. One whose lock went with a final block never may: nobody waits for it beyond
    what the last timelock allows."""
    before_lock, before_reveal = hooks_of(record, agreed)
    running = client.run(agreed.swap_id, before_lock=before_lock, before_reveal=before_reveal)
    if Rough.DEEP_REORG not in record.plan.rough:
        await running
        return
    left_s = agreed.initiator_leg.timelock.seconds + SETTLING_S - record.world.clock.now()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, left_s)):
            await running


def _note_agreed(record: Record, deal: Deal, swap: Any, dapp: str) -> Agreed:
    agreement = swap.agreement
    agreed = Agreed(
        deal,
        swap.id,
        agreement.initiator_leg,
        agreement.participant_leg,
        agreement.lock_deadline_s,
        record.world.clock.now(),
        record.relayers[deal.relayer].name,
        dapp,
    )
    _note(record, agreed)
    record.note(f"deal {deal.number}: {dapp} agreed on {swap.id[:8]}")
    return agreed


def _note(record: Record, agreed: Agreed) -> None:
    record.agreed.append(agreed)
    record.world.agreed += agreed.legs


async def _opened_by_hand(record: Record, deal: Deal) -> tuple[Agreed | None, Preimage]:
    """A cheat's agreement at the relayer's desk; the same request again after a failure."""
    world, relayer, kind = record.world, record.relayers[deal.relayer], COIN if deal.coin else TOKEN
    preimage = Preimage.generate(world.secrets(f"cheat-{deal.number}").token_bytes)
    sender = world.signer(deal.giver, deal.first).account
    receiver = world.signer(deal.payee, deal.second).account
    quote, asked_at_s = None, 0.0
    for _ in range(TRIES):
        service = await relayer.ready()
        try:
            request = QuoteRequest(kind[deal.first], kind[deal.second], BaseUnits(deal.amount))
            quote = quote or await service.desk.quote(request)
            if deal.style is Style.NEVER_LOCKS and deal.number % 2:  # an old price, as if it were an option for nothing
                await world.clock.sleep(quote.expires_at - world.clock.now())
                service = await relayer.ready()
                world.faults["opened-late"] += 1
            asked_at_s = asked_at_s or world.clock.now()  # what was stored then is answered again later
            opening = OpenSwap(quote, preimage.hashlock(), sender, receiver)
            if deal.style is Style.NEVER_LOCKS:
                opening = replace(opening, proof=await _proof(record, deal, opening))
            # Whoever is paid at one account like others has callers of its own: nothing else says that they are one.
            caller = None if deal.is_paid_as is None else f"caller-{deal.number}"
            view = await service.desk.open_swap(opening, caller)
        except RejectedError as error:
            record.note(f"deal {deal.number}: refused: {error.message}")
            return None, preimage
        except CausewayError:
            await world.clock.sleep(TRY_AGAIN_S)
            continue
        agreed = Agreed(
            deal,
            view.id,
            view.initiator.terms,
            view.participant.terms,
            view.lock_deadline_s,
            world.clock.now(),
            relayer.name,
            None,
            asked_at_s=asked_at_s,
            price_until_s=quote.expires_at,
        )
        _note(record, agreed)
        record.note(f"deal {deal.number}: a cheat ({deal.style}) agreed on {view.id[:8]}")
        await _surround(record, agreed)
        return agreed, preimage
    return None, preimage


async def _proof(record: Record, deal: Deal, opening: OpenSwap) -> bytes | None:
    """A cheat's proof that they hold what they will not give; None on a chain that knows none."""
    openings = record.world.chains[deal.first].access().openings
    signer = record.world.signer(deal.giver, deal.first)
    if openings is None or not isinstance(signer, ConsentSigner):
        return None
    return await signer.consent(openings.message(opening_of(opening, opening.quote.key)))


async def _surround(record: Record, agreed: Agreed) -> None:
    """Who else has to do with it: a tower that watches, a stranger who copies, a provider who vanishes."""
    watched = agreed.deal.watched and record.tower is not None
    if watched and not agreed.deal.late_watch:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REGISTER_S):
                await _register(record, agreed)
    background: list[Coroutine[Any, Any, None]] = []
    if agreed.deal.style is Style.COPIED:
        background.append(hands.copy(record.world, agreed.deal.number, agreed.legs, agreed.deal.brief))
    if watched and agreed.deal.late_watch:
        background.append(_watch_late(record, agreed))
    elif Rough.PROVIDER_VANISHES in record.plan.rough and agreed.watched_since_s is not None:
        background.append(_vanish(record, agreed))
    if Rough.INITIATOR_OVERSLEEPS in record.plan.rough and agreed.dapp is not None:
        if record.plan.small and agreed.deal.number % 2:
            record.dapps[agreed.deal.relayer].kill(POLICY.lock_s + LATER_S)
            record.world.faults["initiator-sleeps-at-once"] += 1
        else:
            background.append(_oversleep(record, agreed))
    if agreed.deal.doubt is Doubt.CANCEL and agreed.dapp is not None:
        background.append(withdraw(record, agreed))
    record.errands += [asyncio.create_task(one) for one in background]


async def _register(record: Record, agreed: Agreed) -> None:
    for _ in range(TRIES):
        tower = await record.tower.ready() if record.tower else None
        if tower is None:
            return
        try:
            await tower.watchtower.register(Registration(*agreed.legs))
        except RejectedError as error:
            record.note(f"the tower refuses deal {agreed.deal.number}: {error.message}")
            return
        except CausewayError:
            await record.world.clock.sleep(TRY_AGAIN_S)
            continue
        agreed.watched_since_s = record.world.seconds
        return


async def _watch_late(record: Record, agreed: Agreed) -> None:
    """Registered once both locks are there, and before anybody vanishes; in small towns some once the preimage is
    public, so that the tower has to find it in blocks of the past."""
    if not await _provider_locks(record.world, agreed, agreed.participant_leg.timelock.seconds):
        return
    late = record.plan.small and agreed.deal.number % 2 and Rough.PROVIDER_VANISHES not in record.plan.rough
    if late or agreed.deal.shows:
        latest_s = agreed.participant_leg.timelock.seconds
        await hands.until(record.world, lambda: record.shown_at_s(agreed.hashlock) is not None, latest_s)
        await record.world.clock.sleep(TIMING.observation_s)  # until the tower has read it
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REGISTER_S):
            await _register(record, agreed)
    if agreed.watched_since_s is not None:
        record.world.faults["watched-late"] += 1
        if Rough.PROVIDER_VANISHES in record.plan.rough:
            await _vanish(record, agreed)


async def _vanish(record: Record, agreed: Agreed) -> None:
    """The provider is gone from its own lock on until after every timelock, if all its swaps are watched by then."""
    world, relayer = record.world, record.relayers[agreed.deal.relayer]
    if not await _provider_locks(world, agreed, agreed.participant_leg.timelock.seconds):
        return
    theirs = [one for one in record.agreed if one.relayer == agreed.relayer]
    for one in theirs:
        if one.watched_since_s is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REGISTER_S):
                    await _register(record, one)
    if all(one.watched_since_s is not None for one in theirs):
        relayer.kill(agreed.initiator_leg.timelock.seconds + COME_BACK_S - world.clock.now())
        world.faults["provider-vanishes"] += 1


async def _oversleep(record: Record, agreed: Agreed) -> None:
    """The initiator is gone from the provider's lock on until there is no time left to reveal."""
    world, dapp = record.world, record.dapps[agreed.deal.relayer]
    latest_s = agreed.participant_leg.timelock.seconds - gates.needed_by(record.plan, agreed).reveal_s
    if await _provider_locks(world, agreed, latest_s):
        dapp.kill(max(0.0, latest_s - world.clock.now()))
        world.faults["initiator-oversleeps"] += 1


async def _provider_locks(world: World, agreed: Agreed, until_s: float) -> bool:
    """Wait for the provider's lock, at most until this Unix time; returns whether it came."""
    chain = world.chains[agreed.participant_leg.chain]
    return await hands.until(
        world, lambda: any(lock.terms == agreed.participant_leg for lock in all_locks(chain)), until_s
    )


async def _cheat(record: Record, agreed: Agreed, preimage: Preimage) -> None:
    world, deal, terms = record.world, agreed.deal, agreed.initiator_leg
    signer = world.signer(deal.giver, terms.chain)
    fund_s = gates.needed_by(record.plan, agreed).fund_s
    match deal.style:
        case Style.NEVER_LOCKS | Style.HONEST | Style.COPIED:
            return
        case Style.DOUBLE_SPENDS:
            await hands.double_spend(world, signer, terms)
            await _claim_if_there(record, agreed, preimage, 0.0)
            return
        case Style.LOCKS_LATE:
            final_s = agreed.participant_leg.timelock.seconds - fund_s - deal.before_timelock_s
            await world.clock.sleep(final_s - await _final_within_s(world, terms) - world.clock.now())
        case _:
            pass
    if deal.public:
        record.errands.append(asyncio.create_task(hands.publish(world, deal.number, agreed.legs, preimage)))
        latest_s = agreed.participant_leg.timelock.seconds - fund_s
        if await hands.until(world, lambda: record.shown_at_s(agreed.hashlock) is not None, latest_s):
            await world.clock.sleep(TIMING.observation_s)  # until everybody has read it
    if deal.signals:
        is_at_work = partial(_is_at_work, record, agreed)
        record.errands.append(asyncio.create_task(hands.publish(world, deal.number, agreed.legs, preimage, is_at_work)))
    if deal.blabs:
        record.errands.append(asyncio.create_task(_blab(record, agreed, preimage)))
    if deal.shows:
        record.errands.append(asyncio.create_task(_show(record, agreed, preimage)))
    locked = _bent(terms, deal.style, world)
    place = await hands.lock(world, signer, locked)
    async with asyncio.TaskGroup() as group:
        if deal.twice and terms.chain in world.memory:
            group.create_task(_lock_again(record, agreed))
        group.create_task(hands.take_back(world, signer, place, locked))
        if deal.leaks:
            world.faults["leaked"] += 1
            group.create_task(hands.claim(world, signer, place, locked, preimage))
        elif deal.style is Style.VANISHES:
            group.create_task(_ask_back(record, agreed, place))
        else:
            group.create_task(_claim_if_there(record, agreed, preimage, deal.before_timelock_s))


async def _final_within_s(world: World, terms: LockTerms) -> float:
    """How long a lock by hand takes until it is final, more or less, with the allowance that it needs before."""
    blocks = 1 + (FINALITY_DEPTH if terms.chain in world.memory else 0)
    needs_more = await world.chains[terms.chain].access().legs.prepare(terms) is not None
    return (2 if needs_more else 1) * blocks * world.plan.block_time_s[terms.chain]


async def _blab(record: Record, agreed: Agreed, preimage: Preimage) -> None:
    """Publish the preimage once the provider's lock has left in one transaction with others."""
    world, mine = record.world, agreed.participant_leg
    late_s = mine.timelock.seconds - gates.needed_by(world.plan, agreed).fund_s - agreed.deal.before_timelock_s

    def left() -> bool:
        if agreed.deal.blabs_late and world.clock.now() < late_s:
            return False
        return any(mine in sent.body.locks and len(sent.body.locks) > 1 for sent in world.wire.sent)

    await hands.publish(world, agreed.deal.number, agreed.legs, preimage, left)


def _is_at_work(record: Record, agreed: Agreed) -> bool:
    """True once somebody's signer has begun to take its time over this swap."""
    return any(agreed.hashlock in one.hashlocks for one in record.world.at_work)


async def _show(record: Record, agreed: Agreed, preimage: Preimage) -> None:
    """Publish the preimage once the provider's lock stands, right after the provider's power has failed."""
    world, mine = record.world, agreed.participant_leg
    outage_s = POLICY.participant_outage_s - COME_BACK_S

    def stands() -> bool:
        there = any(lock.terms == mine for lock in all_locks(world.chains[mine.chain]))
        if there:
            record.relayers[agreed.deal.relayer].kill(outage_s)
            world.faults["shown-meanwhile"] += 1
        return there

    await hands.publish(world, agreed.deal.number, agreed.legs, preimage, stands)


async def _lock_again(record: Record, agreed: Agreed) -> None:
    """A second lock under the same terms, once the provider has locked; it does not stay."""
    world, terms = record.world, agreed.initiator_leg
    latest_s = agreed.participant_leg.timelock.seconds - gates.needed_by(record.plan, agreed).reveal_s
    if await _provider_locks(world, agreed, latest_s):
        await hands.double_spend(world, world.signer(agreed.deal.giver, terms.chain), terms)
        world.faults["locked-twice"] += 1


async def _ask_back(record: Record, agreed: Agreed, place: LockId) -> None:
    """Ask the provider, once its own lock has come back, for what was locked in vain; it may be refused for ever."""
    world, relayer, first = record.world, record.relayers[agreed.deal.relayer], agreed.initiator_leg
    await world.clock.sleep(agreed.participant_leg.timelock.seconds - world.clock.now())
    while record.plan.early_refunds and world.clock.now() < first.timelock.seconds:
        if (found := lock_at(world.chains[first.chain], place)) is None or found.status is not LockStatus.LOCKED:
            world.faults["early-refund"] += 1
            return
        with contextlib.suppress(CausewayError):
            await (await relayer.ready()).desk.give_back(agreed.swap_id)
        await world.clock.sleep(TRY_AGAIN_S)


async def _allow_once(record: Record) -> None:
    """A dApp's user lets the contract take tokens at their first visit, as wallets do."""
    world = record.world
    for dapp in record.dapps:
        for chain, signer in dapp.signers.items():
            later = ChainTime(chain, int(world.clock.now()) + ALLOWED_S)
            none = Hashlock(bytes(32))
            terms = LockTerms(TOKEN[chain], BaseUnits(ALLOWED), signer.account, signer.account, none, later)
            record.errands.append(asyncio.create_task(hands.approve(world, signer, terms)))


def _bent(terms: LockTerms, style: Style, world: World) -> LockTerms:
    """The terms that a cheat locks under instead of the agreed ones."""
    match style:
        case Style.LOCKS_TOO_LITTLE:
            return replace(terms, amount=BaseUnits(terms.amount - 1))
        case Style.LOCKS_TOO_SHORT:
            return replace(terms, timelock=ChainTime(terms.chain, terms.timelock.seconds - POLICY.participant_outage_s))
        case Style.LOCKS_FOR_ANOTHER:
            return replace(terms, receiver=world.signer("accomplice", terms.chain).account)
        case _:
            return terms


async def _claim_if_there(record: Record, agreed: Agreed, preimage: Preimage, before_s: float) -> None:
    """Claim what the relayer has locked, as late before its timelock as that (at once for 0)."""
    world, second = record.world, agreed.participant_leg
    chain = world.chains[second.chain]

    def theirs() -> list[LockId]:
        return [lock.lock_id for lock in all_locks(chain) if lock.terms == second]

    if not await hands.until(world, lambda: bool(theirs()), second.timelock.seconds):
        return
    if before_s:
        await world.clock.sleep(second.timelock.seconds - before_s - world.clock.now())
    if agreed.deal.provider_dies:
        outage_s = POLICY.participant_outage_s - COME_BACK_S
        record.relayers[agreed.deal.relayer].kill(outage_s)
        world.faults["provider-dies-at-the-claim"] += 1
    places = theirs()
    if places:
        signer = world.signer(agreed.deal.payee, second.chain)
        await (hands.claim_undone if agreed.deal.undone else hands.claim)(world, signer, places[0], second, preimage)


# --- the end -----------------------------------------------------------------------------------------------------


async def _settled(record: Record) -> None:
    """Until every machine has ended and every lock of ours is finally settled, or it has lasted too long."""
    world = record.world
    # What a provider opened for somebody who refused its answer has to end, too.
    last_s = max((one.initiator_leg.timelock.seconds for one in record.agreed), default=world.clock.now())
    # A refund that blocks leave lying until now needs as long from then on as any other.
    while world.clock.now() < max(last_s, world.aims.starved_until_s) + SETTLING_S:
        await world.clock.sleep(3)
        if any(problem.kind is Kind.LOCK_LEFT for problem in ends.problems(record)):
            continue
        over = all(one.lock_deadline_s < world.clock.now() for one in record.agreed)
        if over and not await machines.problems(record):
            break
    for errand in record.errands:
        errand.cancel()
    await asyncio.gather(*record.errands, return_exceptions=True)


async def _judge(record: Record, found: list[Problem]) -> Verdict:
    found += await judge.problems(record)
    played = await traces.of(record)
    found += [Problem(Kind.TRACE_REFUSED, text) for text in traces.problems(played)]
    claimed = {
        lock.terms for chain in record.world.chains.values() for lock in all_locks(chain) if lock.status == "claimed"
    }
    faults = record.world.faults.copy()
    for endpoint in record.world.endpoints:
        faults.update({f"endpoint-{name}": count for name, count in endpoint.counts.items()})
    faults.update({f"raised-{name}": count for name, count in record.world.wire.errors.items()})
    faults += record.world.wire.shared()
    faults.update(f"style-{one.deal.style}" for one in record.agreed)
    faults.update(f"stranger-{one}" for one in record.plan.strangers)
    faults.update(f"rough-{rough}" for rough in record.plan.rough)
    return Verdict(
        plan=record.plan,
        problems=tuple(found),
        notes=tuple(record.notes),
        swaps=len(record.agreed),
        completed=sum(set(one.legs) <= claimed for one in record.agreed),
        faults=dict(faults),
        seconds=record.world.seconds,
        traces=tuple(played),
        journeys=dict(await journeys(record)),
    )
