"""After a run: nobody who followed the protocol lost money, every lock is settled, every journal replays."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from adapters.memory import MemoryChain
from core.model.errors import CausewayError, NotFoundError
from core.model.facts import Claimed, Locked, LockStatus, Refunded
from core.model.types import Hashlock, Height, LockId, LockTerms, SwapId
from core.runtime import journal
from gateway.simulation.party import Party
from gateway.simulation.plan import A, B, Initiator, Plan, Provider
from gateway.simulation.world import COIN, PURSE, World
from htlc import engine
from htlc.model import Agreement, Phase, SwapState


@dataclass(frozen=True, slots=True)
class LockOutcome:
    """One lock as its canonical chain has it in the end. `settled`: claimed or refunded in a final block."""

    lock_id: LockId
    terms: LockTerms
    status: LockStatus
    settled: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one seed ended. `problems` is empty where everything held."""

    plan: Plan
    phases: dict[str, Phase]
    locks: tuple[LockOutcome, ...]
    lives: dict[str, int]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    digest: str
    """SHA-256 over both chains' blocks and every party's journal: equal for equal runs."""

    @property
    def ok(self) -> bool:
        return not self.problems


def all_locks(chain: MemoryChain) -> list[LockOutcome]:
    """Every lock of a canonical chain, with what became of it. An id may come again once its lock is settled."""
    found: list[LockOutcome] = []
    standing: dict[LockId, int] = {}
    for height in range(chain.height + 1):
        final = height <= chain.finalized_height
        for logged in chain.block(Height(height)).events:
            match logged.event:
                case Locked(lock_id, terms):
                    standing[lock_id] = len(found)
                    found.append(LockOutcome(lock_id, terms, LockStatus.LOCKED, False))
                case Claimed(lock_id, _, _):
                    place = standing.pop(lock_id)
                    found[place] = replace(found[place], status=LockStatus.CLAIMED, settled=final)
                case Refunded(lock_id, _):
                    place = standing.pop(lock_id)
                    found[place] = replace(found[place], status=LockStatus.REFUNDED, settled=final)
    return found


def locks_of(world: World, hashlock: Hashlock) -> list[LockOutcome]:
    """Every lock under this hashlock on either chain."""
    return [lock for chain in world.chains.values() for lock in all_locks(chain) if lock.terms.hashlock == hashlock]


async def state_of(party: Party, swap_id: SwapId) -> SwapState | None:
    """What a party's database says of the swap; None where it takes no part."""

    def read(connection: Connection) -> SwapState | None:
        try:
            return engine.load(connection, swap_id)
        except NotFoundError:
            return None

    return await party.database.read(read)


async def judge(world: World, parties: Sequence[Party], agreement: Agreement | None, notes: Sequence[str]) -> Verdict:
    """Look at chains and databases once everything has stopped."""
    locks: list[LockOutcome] = []
    problems = await _conservation(world)
    phases: dict[str, Phase] = {}
    if agreement is None:
        problems.append("no agreement came about")
    else:
        locks = locks_of(world, agreement.hashlock)
        states = {party.name: await state_of(party, agreement.swap_id) for party in parties}
        phases = {name: state.phase for name, state in states.items() if state is not None}
        problems += _losses(world.plan, agreement, locks)
        problems += _loose_ends(world.plan, phases, locks)
        problems += await _replays(parties, agreement.swap_id)
    return Verdict(
        plan=world.plan,
        phases=phases,
        locks=tuple(locks),
        lives={party.name: party.lives for party in parties},
        problems=tuple(problems),
        notes=tuple(notes),
        seconds=world.seconds,
        digest=await _digest(world, parties, agreement),
    )


async def _journal(party: Party, swap_id: SwapId) -> list[journal.Entry]:
    return await party.database.read(lambda c: list(journal.replay(c, swap_id)))


async def _digest(world: World, parties: Sequence[Party], agreement: Agreement | None) -> str:
    digest = hashlib.sha256()
    for chain in world.chains.values():
        for height in range(chain.height + 1):
            digest.update(chain.block(Height(height)).header.ref.hash)
    for party in parties:
        entries = [] if agreement is None else await _journal(party, agreement.swap_id)
        for entry in entries:
            digest.update(entry.event)
    return digest.hexdigest()


async def _conservation(world: World) -> list[str]:
    """Nothing came from nowhere and nothing is gone, but for what is still locked."""
    problems = []
    for chain in (A, B):
        accounts = [signer.account for (_, on), signer in world.signers.items() if on == chain]
        state = world.chains[chain].access().state
        held = sum([await state.balance(account, COIN[chain]) for account in accounts])
        open_locks = [lock for lock in all_locks(world.chains[chain]) if lock.status is LockStatus.LOCKED]
        locked = sum(lock.terms.amount for lock in open_locks)
        issued = PURSE * len(accounts)
        if held + locked != issued and not (world.plan.fees and held + locked < issued):
            problems.append(f"{chain}: {held} held and {locked} locked are not what was issued, fees paid")
    return problems


def _losses(plan: Plan, agreement: Agreement, locks: Sequence[LockOutcome]) -> list[str]:
    """Who paid and was not paid. Only those who followed the protocol have a claim to complain."""
    first = [lock for lock in locks if lock.terms == agreement.initiator_leg]
    second = [lock for lock in locks if lock.terms == agreement.participant_leg]
    paid_first = any(lock.status is LockStatus.CLAIMED for lock in first)
    paid_second = any(lock.status is LockStatus.CLAIMED for lock in second)
    problems = []
    if plan.initiator is Initiator.HONEST and paid_first and not paid_second:
        problems.append("the initiator paid and was not paid")
    if plan.provider is Provider.HONEST and paid_second and not paid_first:
        problems.append("the provider paid and was not paid")
    if len(first) > 1 or len(second) > 1:
        problems.append("a leg was locked twice")
    return problems


def _loose_ends(plan: Plan, phases: dict[str, Phase], locks: Sequence[LockOutcome]) -> list[str]:
    problems = [
        f"the lock {lock.lock_id} of {lock.terms.chain} is {lock.status}, not finally settled"
        for lock in locks
        if not lock.settled
    ]
    problems += [f"{name} has not ended: {phase}" for name, phase in phases.items() if not phase.terminal]
    at_fault = {"provider": plan.provider is not Provider.HONEST, "initiator": plan.initiator is not Initiator.HONEST}
    problems += [
        f"{name} calls the swap lost"
        for name, phase in phases.items()
        if phase is Phase.LOST and not at_fault.get(name, True)
    ]
    return problems


async def _replays(parties: Sequence[Party], swap_id: SwapId) -> list[str]:
    problems = []
    for party in parties:
        if await state_of(party, swap_id) is None:
            continue
        try:
            await party.database.read(lambda c: engine.check_replay(c, swap_id))
        except CausewayError as error:
            problems.append(f"{party.name}: {error.message}")
    return problems
