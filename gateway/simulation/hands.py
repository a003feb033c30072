"""Acts of people by hand: sign and send past every pipeline. Cheats lock, claim, take back; strangers copy."""

import asyncio
from collections.abc import Callable
from typing import Final

from core.model.errors import CausewayError, ConflictError, RevertedError
from core.model.facts import LockStatus
from core.model.ports import Signer
from core.model.transactions import FeeBid, OutcomeStatus, UnsignedTransaction
from core.model.types import BaseUnits, ChainTime, Height, LockId, LockTerms, Preimage
from gateway.simulation.ledger.strangers import lock_that_fails, lock_with_payment
from gateway.simulation.plan import COME_BACK_S, MAX_SKEW_S
from gateway.simulation.verdict.chains import lock_at
from gateway.simulation.world import TOKEN, World

HAND_FEE: Final = 1_000_000
"""A hand pays whatever brings it into the next block."""
HAND_BID: Final = FeeBid(HAND_FEE, HAND_FEE)
WALLET_BID: Final = FeeBid(20_000, 100)
"""A wallet's bid: enough for a spike, and at no loss."""
LOOK_S: Final = 0.5
LOST_S: Final = 30.0
"""How long a hand waits, once a finalized block was replaced, for what its account had sent before."""
BRIEF_S: Final = 6
"""How long a lock stands that is to come back before anything else has ended."""
HOPELESS: Final = ("too-late", "already-settled", "hashlock-used", "bad-timelock", "unknown-lock", "expired")
"""Why the ledger takes a transaction into no block, now or later; a memory chain lets it fail in one."""


async def send(
    world: World, signer: Signer, unsigned: UnsignedTransaction, expiry: Height | None = None, bid: FeeBid = HAND_BID
) -> bool:
    """Sign and send, and again until a final block holds it, or none will; return true if one does."""
    chain = unsigned.chain
    sender = world.chains[chain].access().transactions
    fee = bid if chain in world.plan.fees else None
    sequence = (await sender.sequences(signer.account)).latest
    request = sender.assemble(unsigned, sequence, fee, expiry)
    signed = sender.attach(request, await signer.sign(request))
    behind_s = 0.0
    while not (outcome := await sender.outcome(signed.hash)).final:
        if outcome.block is None:
            try:
                await sender.submit(signed)
            except RevertedError as error:
                if error.fields.get("reason") in HOPELESS:
                    return False
            except CausewayError:
                pass
            used = await sender.sequences(signer.account)
            if (used.finalized or 0) > sequence:
                return False  # used by another transaction of the same account
            behind_s = behind_s + LOOK_S if chain in world.deep and used.latest < sequence else 0.0
            if behind_s > LOST_S:
                return False  # what came before it went with a final block, and nobody sends that again
        await world.clock.sleep(LOOK_S)
    return True


async def allow(world: World, signer: Signer, terms: LockTerms) -> None:
    """Whatever these terms need before they can be locked, one step after the other."""
    while await _allow_one_step(world, signer, terms, HAND_BID):
        pass


async def approve(world: World, signer: Signer, terms: LockTerms) -> None:
    """The first step towards that, as wallets ask for it at a first visit. Not again when a lock has used some of it:
    that would take the sequence that the next lock is just signed for."""
    await _allow_one_step(world, signer, terms, WALLET_BID)


async def _allow_one_step(world: World, signer: Signer, terms: LockTerms, bid: FeeBid) -> bool:
    """Return false if nothing is needed."""
    needed = await world.chains[terms.chain].access().legs.prepare(terms)
    if needed is None:
        return False
    world.faults["allowance"] += 1
    await send(world, signer, needed, bid=bid)
    return True


async def lock(world: World, signer: Signer, terms: LockTerms) -> LockId:
    """Lock these terms; returns once the lock is final."""
    await allow(world, signer, terms)
    legs = world.chains[terms.chain].access().legs
    place = await legs.lock_id(terms)
    await send(world, signer, legs.lock(terms, place))
    return place


async def claim(world: World, signer: Signer, place: LockId, terms: LockTerms, preimage: Preimage) -> None:
    legs = world.chains[terms.chain].access().legs
    await send(world, signer, legs.claim(terms, place, preimage, signer.account))


async def claim_undone(world: World, signer: Signer, place: LockId, terms: LockTerms, preimage: Preimage) -> None:
    """Claim; the block with the claim goes, and does not bring it back. A ledger's block stays."""
    chain = world.memory.get(terms.chain)
    if chain is None:
        await claim(world, signer, place, terms, preimage)
        return
    access = chain.access()
    sender = access.transactions
    fee = HAND_BID if terms.chain in world.plan.fees else None
    sequence = (await sender.sequences(signer.account)).latest
    unsigned = access.legs.claim(terms, place, preimage, signer.account)
    request = sender.assemble(unsigned, sequence, fee, None)
    claimed = sender.attach(request, await signer.sign(request))
    await sender.submit(claimed)
    while (outcome := await sender.outcome(claimed.hash)).block is None:
        await world.clock.sleep(0.05)
    while chain.height < outcome.block.height + chain.rules.finality_depth - 1:
        await world.clock.sleep(0.05)
    depth = chain.height - outcome.block.height + 1
    if outcome.status is OutcomeStatus.INCLUDED and depth <= chain.height - chain.finalized_height:
        chain.reorg(depth, keep=lambda tx: tx != claimed.hash)
        world.reorged.append((terms.chain, world.seconds))
        world.faults["claim-undone"] += 1


async def take_back(world: World, signer: Signer, place: LockId, terms: LockTerms, *, at_once: bool = False) -> None:
    """Even a cheat wants the own money back: a while after the timelock, or as soon as that has passed for sure."""
    wait_s = MAX_SKEW_S + 1 if at_once else COME_BACK_S
    await world.clock.sleep(terms.timelock.seconds + wait_s - world.clock.now())
    while (found := lock_at(world.chains[terms.chain], place)) is not None and found.status is LockStatus.LOCKED:
        legs = world.chains[terms.chain].access().legs
        await send(world, signer, legs.refund(terms, place, signer.account))
        await world.clock.sleep(LOOK_S)


async def double_spend(world: World, signer: Signer, terms: LockTerms) -> None:
    """Lock; once the lock is in a block, that block goes, and the sequence is used for something else."""
    if terms.chain not in world.memory:
        await _spend_at_once(world, signer, terms)
        return
    chain = world.memory[terms.chain]
    access = chain.access()
    await allow(world, signer, terms)
    place = await access.legs.lock_id(terms)
    sender = access.transactions
    fee = FeeBid(HAND_FEE, HAND_FEE) if terms.chain in world.plan.fees else None
    sequence = (await sender.sequences(signer.account)).latest
    request = sender.assemble(access.legs.lock(terms, place), sequence, fee, None)
    locked = sender.attach(request, await signer.sign(request))
    await sender.submit(locked)
    while (outcome := await sender.outcome(locked.hash)).block is None:
        await world.clock.sleep(0.05)
    # Long enough for whoever does not wait for finality, short enough that a reorg may still do it.
    while chain.height < outcome.block.height + chain.rules.finality_depth - 1:
        await world.clock.sleep(0.05)
    depth = chain.height - outcome.block.height + 1
    if depth > chain.height - chain.finalized_height:
        return
    chain.reorg(depth, keep=lambda tx: tx != locked.hash, fill=False)
    world.reorged.append((terms.chain, world.seconds))
    world.faults["double-spend"] += 1
    nothing = chain.harmless(signer.account, TOKEN[terms.chain])
    await send(world, signer, nothing)


async def _spend_at_once(world: World, signer: Signer, terms: LockTerms) -> None:
    """Lock on a chain that stands still: use the lock's sequence for something else while it waits, lock all the
    same."""
    chain = world.chains[terms.chain]
    access = chain.access()
    await until(world, lambda: chain.balance(signer.account, terms.asset) > 0, terms.timelock.seconds)
    other = chain.harmless(signer.account, TOKEN[terms.chain])
    wanted = access.legs.lock(terms, await access.legs.lock_id(terms))
    sender = access.transactions
    sequence = (await sender.sequences(signer.account)).latest
    for unsigned in (wanted, other):
        request = sender.assemble(unsigned, sequence, None, None)
        try:
            await sender.submit(sender.attach(request, await signer.sign(request)))
        except ConflictError:
            world.faults["ledger-double-spend-refused"] += 1
        except CausewayError:
            pass
    await send(world, signer, wanted)


async def copy(world: World, number: int, legs: tuple[LockTerms, LockTerms], brief: bool = False) -> None:
    """A stranger who saw a hashlock locks a unit under it on both chains; `brief`: and takes it back at once."""
    if brief:
        await asyncio.gather(*(_copy_briefly(world, number, terms) for terms in legs))
        return
    for terms in legs:
        stranger = world.signer(f"stranger-{number}", terms.chain)
        later = ChainTime(terms.chain, terms.timelock.seconds + 20)
        copied = LockTerms(terms.asset, BaseUnits(1), stranger.account, stranger.account, terms.hashlock, later)
        await (_copy_on_ledger if terms.chain not in world.memory else lock)(world, stranger, copied)
        world.faults["copied-hashlock"] += 1


async def _copy_briefly(world: World, number: int, leg: LockTerms) -> None:
    """Whoever reads the chain sees a refund under the hashlock of a swap that goes on."""
    stranger = world.signer(f"stranger-{number}", leg.chain)
    soon = ChainTime(leg.chain, int(world.clock.now()) + BRIEF_S)
    copied = LockTerms(leg.asset, BaseUnits(1), stranger.account, stranger.account, leg.hashlock, soon)
    place = await lock(world, stranger, copied)
    await take_back(world, stranger, place, copied, at_once=True)
    world.faults["copied-briefly"] += 1


async def _copy_on_ledger(world: World, signer: Signer, terms: LockTerms) -> None:
    """Use the rules that a ledger alone has: a transaction that expires, messages that hold together or not at all."""
    chain = world.chains[terms.chain]
    legs = chain.access().legs
    place = await legs.lock_id(terms)
    await send(world, signer, lock_that_fails(legs, terms, place))
    if chain.lock_at(place) is None:
        world.faults["ledger-batch-refused"] += 1
    await send(world, signer, chain.harmless(signer.account, terms.asset), Height(chain.height + 1))
    await send(world, signer, lock_with_payment(legs, terms, place))
    world.faults["ledger-batch"] += 1


async def publish(
    world: World,
    number: int,
    legs: tuple[LockTerms, LockTerms],
    preimage: Preimage,
    when: Callable[[], bool] = lambda: True,
) -> None:
    """Lock a unit under the hashlock of a swap on its second chain, and claim it once `when` holds, if it ever does:
    everybody can read the preimage."""
    second = legs[1]
    signer = world.signer(f"publisher-{number}", second.chain)
    later = ChainTime(second.chain, second.timelock.seconds + 20)
    terms = LockTerms(second.asset, BaseUnits(1), signer.account, signer.account, second.hashlock, later)
    place = await lock(world, signer, terms)
    if await until(world, when, second.timelock.seconds):
        await claim(world, signer, place, terms, preimage)
        world.faults["preimage-published"] += 1


async def until(world: World, holds: Callable[[], bool], until_s: float) -> bool:
    """Wait for it, at most until this Unix time; returns whether it came."""
    while not holds():
        if world.clock.now() >= until_s:
            return False
        await world.clock.sleep(LOOK_S)
    return True
