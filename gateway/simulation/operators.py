"""Acts of operators on their own relayers, by need or by mistake; all of them on the first one."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from math import inf
from typing import Any, Final

from adapters.memory.transactions import transfer
from core.model.transactions import FeeBid
from core.model.types import BaseUnits
from core.runtime.database import InlineDatabase
from gateway.simulation import hands
from gateway.simulation.leading import LedRelayer
from gateway.simulation.plan import CHAINS, COME_BACK_S, STORY_S, Meanwhile, Plan, Rough
from gateway.simulation.plan_operators import Leading, Rotation, Topped
from gateway.simulation.process import Process, Relayer
from gateway.simulation.statements import with_tables
from gateway.simulation.treasury import funder_of
from gateway.simulation.verdict.chains import all_locks
from gateway.simulation.verdict.record import Agreed, Filled, Record
from gateway.simulation.world import COIN, TOKEN
from relayer import switchboard
from relayer.client.store import SwapStore
from relayer.switches import EVERYTHING, Cause, Switch, scope_of_chain
from relayer.transactions import accounts

OLDER_S: Final = 12.0
"""How old a restored copy is."""
RESTORE_S: Final = 2.0
COPY_SHARE: Final = 0.4
"""Of databases that are lost, those of which there is an older copy, when the chains are read as well."""
HALF_CLAIMED_SHARE: Final = 0.5
LOOKED_FOR_S: Final = 8.0
"""How long a relayer is down until its disk is given up: what is read then has its locks."""
LONG_S: Final = 60.0
ON_THE_COPY_S: Final = 15.0
"""How long a relayer runs on an older copy before the newer one is found."""
ADOPT_S: Final = 20.0
"""When the operator has looked into what an empty database cannot know, and takes the accounts over."""
STARTED_S: Final = 5.0
"""How long a start may take."""
PAUSE_S: Final = 25.0
MODEST_BID: Final = FeeBid(2_500, 100)
"""A bid of a hand that has to look at its money: enough in a calm market."""
AT_ONCE_S: Final = 0.1
FILLED: Final = 5_000_000
"""Gas for some swaps more."""
WAITS_S: Final = 2.5
"""How long a provider takes at most that has all it needs."""
PAUSED_S: Final = 20.0
"""How long an operator keeps a chain, or everything, paused."""


async def _use_elsewhere(record: Record) -> None:
    """The operator moves some money with the relayer's own keys, looks into it, and in some towns does it again."""
    world, relayer = record.world, record.relayers[0]
    await world.clock.sleep(world.plan.at_s[Rough.USED_ELSEWHERE])
    await _use(record)
    if world.plan.used_again or world.plan.looked_into:
        await world.clock.sleep(ADOPT_S)
        await _adopt(record, relayer)
        record.acknowledged.append((relayer.name, world.clock.now()))
    if world.plan.used_again:
        world.faults["used-again"] += 1
        await _use(record)


async def _use(record: Record) -> None:
    world = record.world
    for chain in CHAINS:
        signer = record.relayers[0].signers[chain]
        # A purse that is short could never pay a hand's usual bid, and whatever waits behind that waits for ever.
        bid = MODEST_BID if Rough.SHORT_PURSE in world.plan.rough else hands.HAND_BID
        harmless = world.chains[chain].harmless(signer.account, TOKEN[chain])
        if not await hands.send(world, signer, harmless, bid=bid):
            continue  # the relayer's own transaction came first
        world.faults["used-elsewhere"] += 1
        record.foreign.append((record.relayers[0].name, world.clock.now()))


async def _restore(record: Record) -> None:
    """The disk is lost, and a copy that is some time old takes its place."""
    world, relayer = record.world, record.relayers[0]
    await world.clock.sleep(world.plan.at_s[Rough.RESTORED])
    older, copied_s = relayer.database.copy(), world.clock.now()
    await world.clock.sleep(OLDER_S)
    await _start_with(record, relayer, older, copied_s)
    record.forgotten.append((relayer.name, copied_s, world.clock.now()))
    world.faults["restored"] += 1


async def _switch_back(record: Record) -> None:
    """An older copy was started by mistake; after a while the newer one takes its place again."""
    world, relayer = record.world, record.relayers[0]
    await world.clock.sleep(world.plan.at_s[Rough.SWITCHED_BACK])
    older, copied_s = relayer.database.copy(), world.clock.now()
    await world.clock.sleep(OLDER_S)
    newer = relayer.database
    switched_s = world.clock.now()
    await _start_with(record, relayer, older, copied_s)
    await world.clock.sleep(ON_THE_COPY_S)
    await _start_with(record, relayer, newer, switched_s)
    record.copies.append((relayer.name, copied_s, switched_s, world.clock.now()))
    record.forgotten.append((relayer.name, switched_s, world.clock.now()))
    world.faults["switched-back"] += 1
    await world.clock.sleep(ADOPT_S)
    await _adopt(record, relayer)


async def _empty(record: Record) -> None:
    """The disk is lost and there is no copy: an empty database, until the operator takes the accounts over."""
    world, relayer = record.world, record.relayers[0]
    await world.clock.sleep(world.plan.at_s[Rough.EMPTIED])
    empty = await with_tables()
    used = {
        chain: world.chains[chain].used(account, world.chains[chain].finalized_height)
        for chain, account in relayer.accounts.items()
    }
    emptied_s = world.clock.now()
    await _start_with(record, relayer, empty, emptied_s)
    if any(used.values()):
        record.unadopted[relayer.name] = emptied_s, inf
    record.forgotten.append((relayer.name, 0.0, world.clock.now()))
    world.faults["emptied"] += 1
    await world.clock.sleep(ADOPT_S)
    await _adopt(record, relayer)


async def _restore_from_chain(record: Record) -> None:
    """The disk is lost, and there is no copy, or an older one: open locks are found again from the chains. In some of
    the small towns it is lost as an initiator reveals: one leg is claimed by then, and the other one stands."""
    world, relayer = record.world, record.relayers[0]
    reveals = world.plan.small and random.Random(f"half claimed/{world.plan.seed}").random() < HALF_CLAIMED_SHARE
    down_s = RESTORE_S
    if reveals and await hands.until(world, lambda: _has_revealed(record), world.clock.now() + STORY_S):
        world.faults["lost-at-a-reveal"] += 1
        down_s = LOOKED_FOR_S
    elif not reveals:
        await world.clock.sleep(world.plan.at_s[Rough.FROM_CHAIN])
    if not reveals and random.Random(f"a copy/{world.plan.seed}").random() < COPY_SHARE:
        database, copied_s = relayer.database.copy(), world.clock.now()
        await world.clock.sleep(OLDER_S)
    else:
        database, copied_s = await with_tables(), 0.0
    relayer.restores = True
    await _start_with(record, relayer, database, copied_s or world.clock.now(), down_s)
    record.forgotten.append((relayer.name, copied_s, world.clock.now()))
    lost_s = world.clock.now()
    if not await hands.until(world, lambda: not relayer.restores, lost_s + LONG_S):
        return
    record.rebuilt[relayer.name] = lost_s, world.clock.now()
    found = relayer.found_again
    world.faults["from-chain"] += 1
    world.faults["found-again"] += 0 if found is None else len(found.recovered)
    await world.clock.sleep(ADOPT_S)
    await _adopt(record, relayer)


async def _restore_store(record: Record) -> None:
    """An initiator's disk is lost once its lock has left, and a copy from before takes its place."""
    world, dapp = record.world, record.dapps[0]
    while record.stored is None:
        if world.seconds > 2 * STORY_S:
            return  # nothing was agreed on
        await world.clock.sleep(AT_ONCE_S)
    older, copied_s = record.stored
    if not await hands.until(world, lambda: _has_locked(record, dapp), world.clock.now() + LONG_S):
        return
    await world.clock.sleep(world.plan.at_s[Rough.STORE_RESTORED])
    await _start_with(record, dapp, older, copied_s)
    record.forgotten.append((dapp.name, copied_s, world.clock.now()))
    world.faults["store-restored"] += 1
    known = {one.id for one in await SwapStore(older).swaps()}
    lost = [one for one in record.agreed if one.dapp == dapp.name and one.swap_id not in known]
    record.errands += [asyncio.create_task(_take_back(record, one)) for one in lost]


async def _take_back(record: Record, agreed: Agreed) -> None:
    """The owner of a lock that the store does not know hears of it from the relayer (`POST /v1/restore`), and takes it
    back with another wallet: a refund pays the sender, whoever sends it."""
    world, terms = record.world, agreed.initiator_leg
    await world.clock.sleep(terms.timelock.seconds + COME_BACK_S - world.clock.now())
    wallet = world.signer(f"another wallet of {agreed.dapp}", terms.chain)
    for lock in all_locks(world.chains[terms.chain]):
        if lock.terms == terms and not lock.settled:
            world.faults["taken-back-unknown"] += 1
            await hands.take_back(world, wallet, lock.lock_id, terms)


def _has_revealed(record: Record) -> bool:
    """Return true once an honest initiator of the first relayer has sent its claim."""
    return any(one.party == record.dapps[0].name and one.body.preimages for one in record.world.wire.sent)


def _has_locked(record: Record, process: Process) -> bool:
    return any(one.party == process.name and one.body.locks for one in record.world.wire.sent)


async def _start_with(
    record: Record, relayer: Process, database: InlineDatabase, copied_s: float, down_s: float = RESTORE_S
) -> None:
    """Whatever it is doing, also if it is down already: its next life has the other database, which was made, or
    copied, then (Unix seconds)."""
    relayer.replacement = database
    relayer.kill(down_s)
    await hands.until(record.world, lambda: relayer.database is database, record.world.clock.now() + LONG_S)
    emptied_s, _ = record.unadopted.get(relayer.name, (0.0, 0.0))
    if copied_s < emptied_s:  # a copy from before the loss knows the accounts
        _end_unadopted(record, relayer)


def _end_unadopted(record: Record, process: Process) -> None:
    if process.name in record.unadopted:
        since_s, until_s = record.unadopted[process.name]
        record.unadopted[process.name] = since_s, min(until_s, record.world.clock.now())


async def _adopt(record: Record, relayer: Relayer) -> None:
    """`causeway relayer adopt`: whatever waits for the operator is acknowledged."""
    _end_unadopted(record, relayer)
    now_ns = record.world.clock.now_ns()
    record.world.faults["adopted"] += await relayer.database.write(
        lambda c: accounts.acknowledge(c, accounts.unacknowledged(c), now_ns)
    )


def _works(relayer: Relayer) -> bool:
    """Return true once it has opened its accounts: whoever is paused before that takes them over as it wakes."""
    return relayer.service is not None and relayer.world.seconds - relayer.began[-1] > STARTED_S


async def _start_twice(record: Record) -> None:
    """The process is paused, as by SIGSTOP; another is started on its database; then the first one wakes."""
    world, relayer = record.world, record.relayers[0]
    await world.clock.sleep(world.plan.at_s[Rough.TWO_PROCESSES])
    if not await hands.until(world, lambda: _works(relayer), world.clock.now() + STORY_S):
        return  # it is gone for longer, and does not wake next to anybody
    relayer.pause(PAUSE_S)
    world.faults["two-processes"] += 1


def _is_about(plan: Plan, meanwhile: Meanwhile) -> bool:
    """True if this is to come to pass while a signer is at work."""
    return plan.signing is not None and plan.signing.meanwhile is meanwhile


async def _pause(record: Record) -> None:
    """`causeway relayer pause`, in the midst of swaps: everything, or one chain; and `resume` after a while."""
    world, relayer = record.world, record.relayers[0]
    await world.clock.sleep(world.plan.at_s[Rough.OPERATOR_PAUSES])
    if _is_about(world.plan, Meanwhile.PAUSE):
        await hands.until(world, lambda: bool(world.at_work), world.clock.now() + STORY_S)
    elif any(one.sending == "lock" for one in relayer.party.deaths):
        await hands.until(world, lambda: relayer.service is None, world.clock.now() + STORY_S)
    if _is_about(world.plan, Meanwhile.PAUSE) and not world.at_work:
        return
    scope = random.Random(f"scope/{world.plan.seed}").choice([EVERYTHING, *map(scope_of_chain, CHAINS)])
    now_ns = world.clock.now_ns()
    await relayer.database.write(
        lambda c: switchboard.set_switch(c, Switch(scope, Cause.OPERATOR, "maintenance", now_ns))
    )
    record.paused.append((relayer.name, scope, world.clock.now(), world.clock.now() + PAUSED_S))
    world.faults["operator-pauses"] += 1
    await world.clock.sleep(PAUSED_S)
    await relayer.database.write(switchboard.lift)


async def rotate(record: Record, rotation: Rotation) -> None:
    """`causeway relayer rotate`, and a restart: another account begins swaps from now on."""
    world, relayer = record.world, record.relayers[0]
    await world.clock.sleep(rotation.at_s - world.seconds)
    relayer.rotate(rotation.chain)
    relayer.kill(RESTORE_S)
    world.faults["rotated"] += 1


async def fill(record: Record, topped: Topped) -> None:
    """Pay gas to the first relayer's accounts by hand, once a swap waits for it, or when it is time."""
    world, relayer = record.world, record.relayers[0]
    until_s = world.clock.now() + topped.at_s - world.seconds
    await hands.until(world, lambda: any(_waits(record, deal) for deal in record.agreed), until_s)
    for chain in sorted(world.plan.fees):
        funder = funder_of(world, chain)
        gas = transfer(chain, funder.account, relayer.accounts[chain], COIN[chain], BaseUnits(FILLED))
        await hands.send(world, funder, gas)
        record.filled.append(Filled(relayer.name, chain, world.clock.now()))
        world.faults["filled"] += 1


def _waits(record: Record, deal: Agreed) -> bool:
    """The provider has had time to lock, and has not."""
    if deal.relayer != record.relayers[0].name or any(
        deal.participant_leg in one.body.locks for one in record.world.wire.sent
    ):
        return False
    return record.world.clock.now() - record.final_at_s(deal.initiator_leg) > WAITS_S


async def fell_the_leader(record: Record, leading: Leading) -> None:
    """The process that leads falls at its time, or right after a lock of the relayer has left, or while it has one
    signed."""
    world, relayer = record.world, record.relayers[0]
    if not isinstance(relayer, LedRelayer):
        return
    if _is_about(world.plan, Meanwhile.FALL):
        if not await hands.until(world, lambda: bool(world.at_work), world.clock.now() + 2 * STORY_S):
            return
    elif leading.funding:
        locks = 0
        while locks < leading.funding:
            if world.seconds > 2 * STORY_S:
                return
            await world.clock.sleep(AT_ONCE_S)
            locks = len({one.body.sequence for one in world.wire.sent if one.party == relayer.name and one.body.locks})
    else:
        await world.clock.sleep(leading.at_s - world.seconds)
    relayer.falls(leading.fall, leading.for_s)


MISHAPS: Final[Mapping[Rough, Callable[[Record], Coroutine[Any, Any, None]]]] = {
    Rough.USED_ELSEWHERE: _use_elsewhere,
    Rough.RESTORED: _restore,
    Rough.SWITCHED_BACK: _switch_back,
    Rough.EMPTIED: _empty,
    Rough.FROM_CHAIN: _restore_from_chain,
    Rough.TWO_PROCESSES: _start_twice,
    Rough.OPERATOR_PAUSES: _pause,
    Rough.STORE_RESTORED: _restore_store,
}
