"""Planted violations about signed forms, prices, and what a database says became of its transactions."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Locked
from core.model.transactions import FeeBid
from core.model.types import BaseUnits, ChainId, Height, Preimage
from core.runtime import journal
from gateway.simulation.plan import A, B, Style
from gateway.simulation.process import MOST
from gateway.simulation.verdict import gates
from gateway.simulation.verdict.record import Agreed, Refusal
from gateway.simulation.world import TOKEN
from htlc import events
from htlc.model import Leg, Role
from indexer import tables
from relayer.pump import swaps
from relayer.transactions import accounts, records
from relayer.transactions.records import SignedForm, TransactionStatus
from tests.simulation.stage import FEE, PREIMAGE, Stage


async def opened_past_price(stage: Stage) -> None:
    agreed = await stage.played()
    agreed.asked_at_s, agreed.price_until_s = 30.0, 30.0


async def underbid(stage: Stage) -> None:
    """A lock is signed again for a twentieth more, which no node takes."""
    agreed = await stage.open()
    unsigned, _ = stage.lock_of(agreed.initiator_leg)
    former = FeeBid(FEE.max_fee * 20 // 21, FEE.priority_fee * 20 // 21)
    stage.note(stage.dapp, A, await stage.sign(stage.dapp, unsigned, 0, fee=former))
    await stage.world.clock.sleep(1.0)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def underbid_by_the_tip(stage: Stage) -> None:
    """A lock is signed again for a quarter more, and for the same tip: no node takes that."""
    agreed = await stage.open()
    unsigned, _ = stage.lock_of(agreed.initiator_leg)
    former = FeeBid(FEE.max_fee * 20 // 25, FEE.priority_fee)
    stage.note(stage.dapp, A, await stage.sign(stage.dapp, unsigned, 0, fee=former))
    await stage.world.clock.sleep(1.0)
    await _both_claimed(stage, agreed)


async def a_unit_given_away(stage: Stage) -> None:
    """The provider gives one more than its rate makes of what it gets."""
    await _both_claimed(stage, await _of_other_amount(stage, 1))


async def a_unit_kept(stage: Stage) -> None:
    """And one less."""
    await _both_claimed(stage, await _of_other_amount(stage, -1))


async def _of_other_amount(stage: Stage, more: int) -> Agreed:
    agreed = await stage.open()
    leg = agreed.participant_leg
    agreed.participant_leg = replace(leg, amount=BaseUnits(leg.amount + more))
    return agreed


async def _both_claimed(stage: Stage, agreed: Agreed) -> None:
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def raised_late(stage: Stage) -> None:
    """The provider's claim waits for half a minute, and goes out again and again with its first bid."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    claim = stage.world.chains[A].access().legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[A])
    raw = await stage.sign(stage.relayer, claim, 0)
    for _ in range(8):
        stage.note(stage.relayer, A, raw)
        await stage.world.clock.sleep(4.0)
    stage.world.memory[A].take(raw)
    stage.mine()


async def two_raised_late(stage: Stage, *gaps_s: int) -> None:
    """Two claims of the provider's wait for half a minute, one behind the other, with their first bids."""
    claims = []
    for number, gap_s in enumerate(gaps_s):
        agreed = await stage.open(gap_s=gap_s)
        first = await stage.lock(stage.dapp, agreed.initiator_leg, number)
        preimage = Preimage((number + 1).to_bytes(32, "big")) if number else PREIMAGE
        legs = stage.world.chains[A].access().legs
        claim = legs.claim(agreed.initiator_leg, first, preimage, stage.relayer.accounts[A])
        claims.append(await stage.sign(stage.relayer, claim, number))
    for _ in range(8):
        for raw in claims:
            stage.note(stage.relayer, A, raw)
        await stage.world.clock.sleep(4.0)


async def raised_soon(stage: Stage) -> None:
    """The provider's claim has waited for a fifth of a block when it offers a fifth more."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    claim = stage.world.chains[A].access().legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[A])
    stage.note(stage.relayer, A, await stage.sign(stage.relayer, claim, 0))
    await stage.world.clock.sleep(0.2)
    dearer = await stage.sign(stage.relayer, claim, 0, fee=FeeBid(FEE.max_fee * 6 // 5, FEE.priority_fee * 6 // 5))
    stage.note(stage.relayer, A, dearer)
    stage.world.memory[A].take(dearer)
    stage.mine()


async def cheaper_ahead(stage: Stage) -> None:
    """Something cheap of the provider's waits before the claim that it bids more for; at last a hand bids enough."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    nothing = stage.world.chains[A].harmless(stage.relayer.accounts[A], TOKEN[A])
    stage.note(stage.relayer, A, await stage.sign(stage.relayer, nothing, 0))
    claim = stage.world.chains[A].access().legs.claim(agreed.initiator_leg, first, PREIMAGE, stage.relayer.accounts[A])
    dearer = FeeBid(FEE.max_fee * 6 // 5, FEE.priority_fee * 6 // 5)
    raw = await stage.sign(stage.relayer, claim, 1, fee=dearer)
    for _ in range(4):
        stage.note(stage.relayer, A, raw)
        await stage.world.clock.sleep(2.5)
    stage.world.memory[A].take(await stage.sign(stage.relayer, nothing, 0, fee=FeeBid(9_000, 100)))
    stage.world.memory[A].take(raw)
    stage.mine()


async def promised_beyond(stage: Stage) -> None:
    """One counterparty is promised more than it may have; it locks on half of it."""
    whole, half = MOST.per_counterparty, MOST.per_counterparty // 2
    agreed = await stage.open(amount=whole // 4)
    await stage.begun(stage.relayer, agreed, Role.LIQUIDITY_PROVIDER)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    other = await stage.open(amount=half // 2 + 1, style=Style.VANISHES, honest=False)
    await stage.begun(stage.relayer, other, Role.LIQUIDITY_PROVIDER)
    await stage.world.clock.sleep(3.0)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def exposed_under_two_names(stage: Stage) -> None:
    """Two swaps lock from one account and are paid at two, each within the limit to one counterparty."""
    places = []
    for number in range(2):
        agreed = await stage.open(
            amount=MOST.per_counterparty // 4 + 5_000, quote_s=600 * number, style=Style.VANISHES, honest=False
        )
        if number:
            agreed.participant_leg = replace(agreed.participant_leg, receiver=stage.tower.accounts[B])
        first = await stage.lock(stage.dapp, agreed.initiator_leg, number)
        places.append((agreed, first, await stage.lock(stage.relayer, agreed.participant_leg, number)))
    for agreed, first, second in places:
        await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
        await stage.refund(stage.relayer, agreed.participant_leg, second)
        await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def lock_outlives(stage: Stage) -> None:
    """The provider's lock may be mined at any time of the next hours."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg, expiry=9_999)
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def lock_left_lying(stage: Stage) -> None:
    """No block takes the initiator's lock in time, and nobody calls it off."""
    agreed = await stage.open()
    unsigned, _ = stage.lock_of(agreed.initiator_leg)
    stage.note(stage.dapp, A, await stage.sign(stage.dapp, unsigned))
    await stage.pass_to(agreed.lock_deadline_s + 10)


async def gave_back_too_early(stage: Stage) -> None:
    """The provider gives the initiator's lock back while its own still stands."""
    agreed = await stage.open()
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    back = stage.world.chains[A].access().legs.refund(agreed.initiator_leg, first, stage.relayer.accounts[A])
    stage.note(stage.relayer, A, await stage.sign(stage.relayer, back, 0))
    await stage.claim(stage.dapp, agreed.participant_leg, second)
    await stage.claim(stage.relayer, agreed.initiator_leg, first)


async def outcome_off_chain(stage: Stage) -> None:
    """The provider's database calls a transaction final that no block holds."""
    agreed = await stage.played()
    block = stage.world.chains[A].block(stage.world.chains[A].height).header.ref
    row = {
        "effect_key": f"{agreed.swap_id}:1:fund-participant",
        "chain": A,
        "account": stage.relayer.accounts[A],
        "sequence": 0,
        "status": TransactionStatus.FINAL,
        "summary": "",
        "created_ns": 0,
        "reverted": False,
        "exits": False,
        "tx_hash": b"\1" * 32,
        "block_height": block.height,
        "block_hash": block.hash,
    }

    def write(connection: sa.engine.Connection) -> None:
        number = connection.execute(records.INSERT_TRANSACTION, row).scalar_one()
        records.insert_attempt(connection, number, A, 1, SignedForm(b"\1" * 32, b"", None, None, 0))

    await stage.relayer.database.write(write)


async def voided_too_early(stage: Stage) -> None:
    """The provider's machine hears that its lock is impossible, while nodes still have it."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    unsigned, _ = stage.lock_of(agreed.participant_leg)
    stage.note(stage.relayer, B, await stage.sign(stage.relayer, unsigned, 0))
    await _hears_of_its_lock(stage, agreed, events.EffectVoided)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def called_off_at(stage: Stage, *, timelock_s: int) -> None:
    """The provider's lock is in no block, and its machine hears that so many seconds behind its timelock are final."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    unsigned, _ = stage.lock_of(agreed.participant_leg)
    stage.note(stage.relayer, B, await stage.sign(stage.relayer, unsigned, 0))
    await _hears_of_its_lock(stage, agreed, events.EffectDropped)
    timelock = agreed.participant_leg.timelock
    await stage.pass_to(timelock.seconds + timelock_s)
    stage.mine(10)
    await stage.told(stage.relayer, agreed, events.TimeAdvanced(Leg.PARTICIPANT, timelock, timelock, timelock.seconds))
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def failed_and_there(stage: Stage) -> None:
    """The provider's machine hears that its lock failed for good, and a block holds it."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await _hears_of_its_lock(stage, agreed, partial(events.EffectReverted, reason="left out", final=True), shown=2)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)
    await stage.told(stage.relayer, agreed, *stage.history(agreed))
    await stage.relayer.database.write(lambda c: c.execute(sa.update(journal.outbox).values(status="done")))


async def _hears_of_its_lock(
    stage: Stage, agreed: Agreed, outcome: Callable[[str, int], events.EffectOutcome], shown: int = 0
) -> None:
    """The provider is asked to lock, does so, and its machine hears of this outcome; nothing is asked of it any more.
    Before that it hears of the next `shown` facts of the chains."""
    await stage.begun(stage.relayer, agreed, Role.LIQUIDITY_PROVIDER)
    seen, final, *more = stage.history(agreed)
    verified = events.LockVerified(Leg.INITIATOR, seen.lock_id, seen.block, int(agreed.agreed_at_s) + 3)
    await stage.told(stage.relayer, agreed, seen, final, verified)
    state = await stage.relayer.database.read(lambda c: swaps.load(c, agreed.swap_id))
    asked = state.attempts["fund-participant"].sequence
    await stage.told(stage.relayer, agreed, events.EffectSubmitted("fund-participant", asked, b"\1" * 32))
    await stage.told(stage.relayer, agreed, *more[:shown], outcome("fund-participant", asked))
    await stage.relayer.database.write(lambda c: c.execute(sa.update(journal.outbox).values(status="done")))


async def refused_freely(stage: Stage) -> None:
    """The provider says that its inventory is short, though it has promised nothing."""
    agreed = await stage.played()
    stage.record.refusals.append(Refusal(agreed.deal, stage.relayer.name, stage.world.clock.now()))


async def tower_asleep(stage: Stage) -> None:
    """The provider comes back long after its timelock, and its tower has sent nothing meanwhile."""
    agreed = await stage.open(style=Style.VANISHES, honest=False, watched=True)
    agreed.watched_since_s = stage.world.seconds
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.participant_leg.timelock.seconds + 1)
    stage.relayer.away.append((stage.world.seconds - 5.0, stage.world.seconds + 20.0))
    stage.mine()
    await stage.pass_to(stage.world.clock.now() + 20.0)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def funded_in_the_second_of_the_gate(stage: Stage) -> None:
    """Exactly as much time is left as the gate asks for more than."""
    agreed = await stage.open(style=Style.VANISHES, honest=False)
    first = await stage.lock(stage.dapp, agreed.initiator_leg)
    await stage.pass_to(agreed.participant_leg.timelock.seconds - gates.needed_by(stage.world.plan, agreed).fund_s)
    second = await stage.lock(stage.relayer, agreed.participant_leg)
    await stage.pass_to(agreed.initiator_leg.timelock.seconds + 1)
    await stage.refund(stage.relayer, agreed.participant_leg, second)
    await stage.refund(stage.dapp, agreed.initiator_leg, first)


async def bid_beyond_ceiling(stage: Stage) -> None:
    """Both parties' policies allow no more than half as much as they offer."""
    stage.world.plan = replace(stage.world.plan, ceiling=FEE.max_fee // 2)
    await stage.played()


async def lock_given_up(stage: Stage) -> None:
    """The initiator's lock has left, and is called off a moment later, with all the time left."""
    agreed = await stage.open()
    dearer = FeeBid(FEE.max_fee * 6 // 5, FEE.priority_fee * 6 // 5)
    stage.world.plan = replace(stage.world.plan, ceiling=dearer.max_fee)
    unsigned, _ = stage.lock_of(agreed.initiator_leg)
    await stage.send(stage.dapp, unsigned, 0)
    await stage.world.clock.sleep(0.5)
    nothing = await stage.world.chains[A].access().transactions.cancellation(stage.dapp.accounts[A])
    assert nothing is not None
    await stage.send(stage.dapp, nothing, 0, fee=dearer)
    stage.mine()


async def index_off_chain(stage: Stage) -> None:
    """The provider's index calls a block final that the chain never had."""
    agreed = await stage.played()
    await _indexed(stage, agreed.participant_leg.chain, Height(1), bytes(32))


async def index_behind(stage: Stage) -> None:
    """The tower's process is up, and has read nothing."""
    await stage.played()
    stage.tower.lives = 1
    await stage.world.clock.sleep(60.0)
    stage.mine(1)


async def lock_not_indexed(stage: Stage) -> None:
    """The provider's index has the block that holds its lock, and nothing in it."""
    agreed = await stage.played()
    here = stage.world.memory[agreed.participant_leg.chain]
    blocks = (here.block(Height(height)) for height in range(here.finalized_height))
    held = next(block.header for block in blocks if any(isinstance(one.event, Locked) for one in block.events))
    await _indexed(stage, here.chain, held.height, held.ref.hash)


async def _indexed(stage: Stage, chain: ChainId, height: Height, block_hash: bytes) -> None:
    """The provider's index has this block of the chain, no other one, and calls it final."""
    at = {"height": height, "parent_hash": b"", "time_s": 0, "canonical": True}

    def write(connection: Connection) -> None:
        connection.execute(sa.insert(tables.cursors).values(chain=chain, finalized_height=height))
        connection.execute(sa.insert(tables.blocks).values(chain=chain, hash=block_hash, **at))

    await stage.relayer.database.write(write)


async def sequence_spent(stage: Stage) -> None:
    """Somebody else uses the provider's key; long after that the provider signs something under the same sequence."""
    nothing = stage.world.chains[A].harmless(stage.relayer.accounts[A], TOKEN[A])
    stage.world.memory[A].take(await stage.sign(stage.relayer, nothing))
    stage.mine()
    await stage.played()
    await stage.world.clock.sleep(60.0)
    stage.mine()
    stage.note(
        stage.relayer, A, await stage.sign(stage.relayer, nothing, 0, fee=FeeBid(FEE.max_fee + 1, FEE.priority_fee))
    )


async def use_invented(stage: Stage) -> None:
    """The provider's claim stands in a block, and its database says that somebody else has used that sequence."""
    await stage.played()
    account, now_ns = stage.relayer.accounts[A], stage.world.clock.now_ns()
    await stage.relayer.database.write(lambda c: accounts.note_foreign_use(c, A, account, 0, 1, now_ns))


async def two_promised(stage: Stage) -> None:
    """Two swaps are agreed on, one after the other; nobody locks."""
    for _ in range(2):
        await stage.begun(stage.relayer, await stage.open(), Role.LIQUIDITY_PROVIDER)


PLANTED = (
    opened_past_price,
    underbid,
    raised_late,
    raised_soon,
    cheaper_ahead,
    promised_beyond,
    lock_outlives,
    lock_left_lying,
    gave_back_too_early,
    outcome_off_chain,
    voided_too_early,
    refused_freely,
    bid_beyond_ceiling,
    lock_given_up,
    index_off_chain,
    index_behind,
    use_invented,
    sequence_spent,
)
