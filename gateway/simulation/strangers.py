"""People without any part in a swap, who do what chains and open doors let everybody do, to their neighbours' harm."""

import asyncio
from typing import Final

from core.model.errors import CausewayError, RejectedError
from core.model.types import AccountId, BaseUnits, ChainId, ChainTime, Hashlock, LockTerms, Preimage
from gateway.simulation import hands
from gateway.simulation.plan import CHAINS, Stranger
from gateway.simulation.process import Relayer
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.world import COIN, TOKEN
from relayer.provider.desk import OpenSwap
from relayer.provider.quoting import QuoteRequest
from relayer.watchtower import Registration

LATER_S: Final = 60
"""How long after now a stranger's own timelocks end."""
SOON_S: Final = 6
OPENS: Final = 8
OPEN_AMOUNT: Final = 60_000
BOGUS: Final = 9
"""Registrations, by as many callers as there are neighbours' addresses to ask from."""
CALLERS: Final = 3
DUST: Final = 4
"""Swaps of one unit that a stranger makes with an account of their own, and has watched."""


async def act(record: Record, stranger: Stranger) -> None:
    """Act as this stranger does, from the first agreement on that they hear of."""
    while not record.agreed:
        await record.world.clock.sleep(hands.LOOK_S)
    match stranger:
        case Stranger.SAME_LOCK_AGAIN:
            await asyncio.gather(*(_lock_again(record, chain) for chain in CHAINS))
        case Stranger.BOGUS_WATCHES:
            await _register_nonsense(record)
        case Stranger.EMPTY_OPENS:
            await _open_and_leave(record)
        case Stranger.WATCHED_DUST:
            await asyncio.gather(*(_dust(record, number) for number in range(DUST)))


async def _lock_again(record: Record, chain: ChainId) -> None:
    """The same lock a second time, if a chain lets the place of a settled one be used again: one that was claimed,
    and one under a neighbour's hashlock that was taken back. Whoever follows the chain reads both."""
    world, deal = record.world, record.agreed[0]
    signer = world.signer("repeater", chain)
    legs = world.chains[chain].access().legs
    preimage = Preimage.generate(world.secrets("repeater").token_bytes)
    now_s = int(world.clock.now())
    for hashlock, timelock_s in ((preimage.hashlock(), now_s + LATER_S), (deal.hashlock, now_s + SOON_S)):
        timelock = ChainTime(chain, timelock_s)
        terms = LockTerms(COIN[chain], BaseUnits(1), signer.account, signer.account, hashlock, timelock)
        place = await hands.lock(world, signer, terms)
        if hashlock == deal.hashlock:
            await hands.take_back(world, signer, place, terms, at_once=True)
            later = ChainTime(chain, int(world.clock.now()) + LATER_S)
            terms = LockTerms(COIN[chain], BaseUnits(1), signer.account, signer.account, hashlock, later)
        else:
            await hands.claim(world, signer, place, terms, preimage)
        await hands.send(world, signer, legs.lock(terms, place))
        world.faults["same-lock-again"] += 1


def _doors(record: Record) -> list[Relayer]:
    return [*record.relayers, *([record.tower] if record.tower else [])]


async def _register_nonsense(record: Record) -> None:
    """Swaps that nobody agreed on, some of them nearly right, for everybody to watch over."""
    for number in range(BOGUS):
        legs = _nearly(record, record.agreed[number % len(record.agreed)], number)
        for door in _doors(record):
            if door.service is None:
                continue
            try:
                await door.service.watchtower.register(Registration(*legs), f"bogus-{number % CALLERS}")
                record.world.faults["bogus-watch"] += 1
            except CausewayError as error:
                record.world.faults[f"bogus-watch-{error.code}"] += 1
        await record.world.clock.sleep(hands.LOOK_S)


def _nearly(record: Record, deal: Agreed, number: int) -> tuple[LockTerms, LockTerms]:
    """The legs of a swap that somebody else agreed on, changed a little."""
    first, second = deal.legs
    other = {chain: record.world.signer("bogus", chain).account for chain in CHAINS}
    changed = (
        (_with(first, amount=1), second),
        (first, _with(second, receiver=other[second.chain])),
        (_with(first, sender=other[first.chain]), _with(second, receiver=other[second.chain])),
        (second, first),
        (_with(first, hashlock=bytes([number]) * 32), _with(second, hashlock=bytes([number]) * 32)),
        (_with(first, timelock=second.timelock.seconds), second),
    )
    return changed[number % len(changed)]


def _with(
    terms: LockTerms,
    *,
    amount: int | None = None,
    sender: str | None = None,
    receiver: str | None = None,
    hashlock: bytes | None = None,
    timelock: int | None = None,
) -> LockTerms:
    return LockTerms(
        terms.asset,
        terms.amount if amount is None else BaseUnits(amount),
        terms.sender if sender is None else AccountId(sender),
        terms.receiver if receiver is None else AccountId(receiver),
        terms.hashlock if hashlock is None else Hashlock(hashlock),
        terms.timelock if timelock is None else ChainTime(terms.chain, timelock),
    )


async def _open_and_leave(record: Record) -> None:
    """Swaps that nobody means to lock on, opened over the API from a few addresses, to use up what is free."""
    world, relayer = record.world, record.relayers[0]
    secrets = world.secrets("opener")
    for number in range(OPENS):
        first, second = CHAINS if number % 2 else CHAINS[::-1]
        try:
            desk = (await relayer.ready()).desk
            quote = await desk.quote(QuoteRequest(COIN[first], COIN[second], BaseUnits(OPEN_AMOUNT)))
            accounts = [world.signer(f"opener-{number}", chain).account for chain in (first, second)]
            hashlock = Preimage.generate(secrets.token_bytes).hashlock()
            await desk.open_swap(OpenSwap(quote, hashlock, accounts[0], accounts[1]), f"opener-{number % CALLERS}")
            world.faults["empty-open"] += 1
        except CausewayError as error:
            world.faults[f"empty-open-{error.code}"] += 1
        await world.clock.sleep(hands.LOOK_S)


async def _dust(record: Record, number: int) -> None:
    """A swap of one unit with oneself, watched by everybody who watches: its exits cost them more than it is worth."""
    world = record.world
    preimage = Preimage.generate(world.secrets(f"dust-{number}").token_bytes)
    now_s = int(world.clock.now())
    legs = [
        LockTerms(
            asset[chain],
            BaseUnits(1),
            world.signer(f"dust-{number}", chain).account,
            world.signer(f"dust-payee-{number}", chain).account,
            preimage.hashlock(),
            ChainTime(chain, now_s + later_s),
        )
        for chain, asset, later_s in ((CHAINS[0], TOKEN, 2 * LATER_S), (CHAINS[1], COIN, LATER_S))
    ]
    for door in _doors(record):
        if door.service is not None:
            try:
                await door.service.watchtower.register(Registration(legs[0], legs[1]), f"dust-{number % CALLERS}")
                world.faults["watched-dust"] += 1
            except RejectedError as error:
                record.note(f"a stranger's dust is not watched: {error.message}")
            except CausewayError:
                continue
    signers = [world.signer(f"dust-{number}", leg.chain) for leg in legs]
    places = [await hands.lock(world, signer, leg) for signer, leg in zip(signers, legs, strict=True)]
    await hands.claim(world, signers[1], places[1], legs[1], preimage)
