"""Acts of others, and whatever one swap or a projection cannot digest, never keep a claim of ours from going out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, Claimed
from core.model.types import BaseUnits, ChainId, LockTerms, Preimage, Seconds, SwapId
from core.runtime import journal
from core.runtime.clock import run_virtually
from htlc import engine, events, transition
from htlc.model import Leg, Phase
from indexer.projections import keeping
from relayer.provider.desk import SwapView
from relayer.pump import set_aside
from tests.relayer.house import A, B, House


def broken(connection: Connection, swap_id: SwapId) -> bytes:
    """Damage one swap's stored state, as a bad disk does. Return what stood there."""
    table, of = journal.journal_state, journal.journal_state.c.stream == swap_id
    before: bytes = connection.execute(sa.select(table.c.state).where(of)).scalar_one()
    connection.execute(sa.update(table).where(of).values(state=b"{"))
    return before


def repaired(connection: Connection, swap_id: SwapId, state: bytes) -> None:
    table = journal.journal_state
    connection.execute(sa.update(table).where(table.c.stream == swap_id).values(state=state))


async def both_locked(house: House, first: bytes) -> SwapView:
    view = await house.open(A, preimage=Preimage(hashlib.sha256(first).digest()))
    await house.lock(view.initiator.terms)
    return await house.locked(view.id, Leg.PARTICIPANT)


def test_a_swap_that_cannot_be_read_stops_no_other() -> None:
    async def story() -> None:
        house = House()
        await house.start()
        one = await both_locked(house, b"one")
        secret = house.preimage
        two = await both_locked(house, b"two")
        state = await house.database.write(partial(broken, swap_id=one.id))
        await house.claim(two)
        await house.phase(two.id, Phase.COMPLETED)
        house.preimage = secret
        await house.claim(one)
        await house.until(lambda: kept(house))
        await house.clock.sleep(5)
        await house.database.write(partial(repaired, swap_id=one.id, state=state))
        await house.phase(one.id, Phase.COMPLETED)
        assert (await house.database.read(set_aside.standing)).count == 0
        assert await house.gains() == {"relayer": (2000, -4000), "initiator": (-2000, 4000)}
        await house.stop()

    async def kept(house: House) -> bool:
        return (await house.database.read(set_aside.standing)).count > 0

    run_virtually(story())


def test_an_event_that_a_swap_cannot_take_hides_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine fails with a stranger's lock under the same hashlock; the claim stands behind it in the block."""

    async def story() -> None:
        house = House()
        await house.start()
        view = await both_locked(house, b"one")
        terms = replace(view.participant.terms, amount=BaseUnits(1), sender=view.participant.terms.receiver)
        legs = house.chains[B].access().legs
        with monkeypatch.context() as patch:
            patch.setattr("htlc.engine.transition", failing_with(lambda event: isinstance(event, events.LockSeen)))
            assert view.participant.lock_id is not None
            place = view.participant.lock_id
            claim = legs.claim(view.participant.terms, place, house.preimage, house.initiator[B].account)
            await house.together(B, [legs.lock(terms, await legs.lock_id(terms)), claim])
            await house.until(lambda: claimed(house, view))
            assert (await house.database.read(set_aside.standing)).count == 1
        await house.phase(view.id, Phase.COMPLETED)
        assert (await house.database.read(set_aside.standing)).count == 0
        await house.stop()

    async def claimed(house: House, view: SwapView) -> bool:
        return len(house.made(A, Claimed, view.hashlock)) == 1

    run_virtually(story())


def test_a_claim_of_ours_needs_no_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a claim on chain to our own claim, all projections may fail with everything."""

    def poisoned(connection: Connection, blocks: Sequence[Block]) -> None:
        if any(block.events for block in blocks):
            raise LookupError("unexpected")

    async def story() -> None:
        house = House()
        monkeypatch.setattr(keeping, "_PARTS", tuple(replace(one, apply=poisoned) for one in keeping._PARTS))
        await house.start()
        view = await both_locked(house, b"one")
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert (await house.gains())["relayer"] == (1000, -2000)
        await house.stop()

    run_virtually(story())


@pytest.mark.parametrize("poisoned_chain", [A, B])
def test_a_stranger_who_uses_an_id_twice_robs_nobody(poisoned_chain: ChainId) -> None:
    """A stranger locks, claims and locks again under one id, for one unit; then the initiator claims."""

    async def story() -> None:
        house = House(lock_ids_repeat=True)
        await house.start()
        view = await both_locked(house, b"one")
        chain, secret = poisoned_chain, Preimage(b"s" * 32)
        legs, me = house.chains[chain].access().legs, house.initiator[chain].account
        later = house.chains[chain].head.head.time.plus(Seconds(500))
        terms = LockTerms(view_asset(house, chain), BaseUnits(1), me, me, secret.hashlock(), later)
        place = await legs.lock_id(terms)
        await house.send(chain, legs.lock(terms, place))
        for _ in range(3):
            await house.send(chain, legs.claim(terms, place, secret, me))
            await house.send(chain, legs.lock(terms, place))
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert (await house.gains())["relayer"] == (1000, -2000)
        await house.stop()

    def view_asset(house: House, chain: Any) -> Any:
        return next(iter(house.chains[chain].assets))

    run_virtually(story())


def test_kept_fact_of_a_replaced_block_shows_only_its_preimage() -> None:
    """The claim that the swap could not take in was in a block that is gone; what it showed is public all the same."""

    async def story() -> None:
        house = House(finality_depth=6)
        await house.start()
        view = await both_locked(house, b"one")
        state = await house.database.write(partial(broken, swap_id=view.id))
        await house.claim(view)
        await house.until(lambda: kept(house))
        house.chains[B].reorg(3, 4, keep=lambda _: False)
        await house.clock.sleep(3)
        await house.database.write(partial(repaired, swap_id=view.id, state=state))
        await house.until(lambda: ours(house, view))
        found = await house.database.read(lambda c: engine.load(c, view.id))
        assert found.preimage == house.preimage.expose()
        assert found.participant_leg.claim is None
        await house.kill()
        await house.stop()

    async def kept(house: House) -> bool:
        return (await house.database.read(set_aside.standing)).count > 0

    async def ours(house: House, view: SwapView) -> bool:
        return len(house.made(A, Claimed, view.hashlock)) == 1

    run_virtually(story())


def failing_with(poisoned: Callable[[events.SwapEvent], bool]) -> Callable[..., Any]:
    """The state machine with a mistake in it."""
    honest = transition.transition

    def mistaken(state: Any, event: events.SwapEvent, policy: Any) -> Any:
        if poisoned(event):
            raise AssertionError("unexpected")
        return honest(state, event, policy)

    return mistaken
