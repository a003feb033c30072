"""Each check before a lock or a reveal by itself."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import (
    ConflictError,
    DisagreementError,
    GateClosedError,
    NotFoundError,
    NotYetFinalError,
    PayoutBlockedError,
    RejectedError,
    ReorgedError,
    RetryableError,
    UnaffordableError,
)
from core.model.facts import Claimed, Locked, LockStatus, Refunded
from core.model.types import AccountId, BaseUnits, ChainId, LockId
from core.runtime import journal
from core.runtime.database import create_schema
from htlc import events
from htlc.effects import VerifyLock
from htlc.model import Agreement, Leg, Phase, Role, SwapState
from htlc.timelocks import ClockSkewError
from indexer.encoding import EVENT_COLUMNS, event_values
from indexer.feed import FactKind
from indexer.tables import blocks, deep_reorgs, facts
from indexer.tables import events as chain_events
from indexer.writing import insert_many
from relayer.policy import ExposureLimit
from relayer.pump import promises, swaps, tables
from relayer.pump.absorb import CURSOR, LOOK_S
from relayer.transactions.accounts import note_foreign_use
from tests.htlc.scenarios import (
    IDS,
    LEDGER_TIMING,
    NOW,
    PREIMAGE,
    A,
    B,
    begin,
    block,
    claim_final,
    claim_seen,
    lock_final,
    lock_seen,
)
from tests.relayer.office import CODE, FIRST, OURS, SECOND, Office, other_agreement, shown


@pytest_asyncio.fixture
async def initiators() -> AsyncIterator[Office]:
    made = Office(Role.INITIATOR)
    await made.database.write(create_schema)
    yield made
    await made.database.close()


# --- whoever was away ------------------------------------------------------------------------------------------------


async def back(office: Office, chain: ChainId, behind_s: int) -> None:
    """A process that has read this chain up to `behind_s` before the head that it sees."""
    office.was_away = True
    office.made()
    taken = {"chain": chain, "height": 5}
    read = {**taken, "hash": b"\x05", "parent_hash": b"\x04", "time_s": NOW - behind_s, "canonical": True}
    applied = {**taken, "seq": 1, "kind": FactKind.APPLIED, "block_hash": b"\x05"}

    def take_in(connection: Connection) -> None:
        insert_many(connection, blocks, [read])
        insert_many(connection, facts, [applied])
        journal.advance_cursor(connection, CURSOR, 0, 1)

    await office.database.write(take_in)


async def shows(office: Office, *happened: Locked | Refunded, first: int = 0) -> None:
    """The provider's chain shows these, in a block from this event on."""

    def row(index: int, event: Locked | Refunded) -> dict[str, Any]:
        place = {
            "chain": B,
            "block_hash": b"\x05",
            "event_index": index,
            "height": 5,
            "time_s": NOW,
            "tx_hash": b"\x01",
        }
        return {**place, "canonical": True, **dict(zip(EVENT_COLUMNS, event_values(event), strict=True))}

    rows = [row(*one) for one in enumerate(happened, first)]
    await office.database.write(lambda c: insert_many(c, chain_events, rows))


LATE_S = int(max(LEDGER_TIMING.observation_s, LOOK_S) + LEDGER_TIMING.block_time_s)
"""How far behind what was read may be."""


async def test_nobody_verifies_before_its_own_chain_is_read(office: Office) -> None:
    await office.begin()
    await back(office, B, LATE_S + 1)
    with pytest.raises(RetryableError, match=f"blocks of {B} up to its head are not read"):
        await office.checks.verified(verification(office))
    office.chains[B].head_s -= 1
    office.made()
    await office.checks.verified(verification(office))


async def test_nothing_read_yet_is_not_enough(office: Office) -> None:
    await office.begin()
    await back(office, A, 0)
    with pytest.raises(RetryableError, match=f"blocks of {B} up to its head are not read"):
        await office.checks.verified(verification(office))


async def test_an_initiator_verifies_whatever_its_own_chain_says(initiators: Office) -> None:
    await initiators.begin()
    await back(initiators, A, LATE_S + 1)
    await initiators.checks.verified(verification(initiators, SECOND))


@pytest.mark.parametrize("role", [Role.LIQUIDITY_PROVIDER, Role.INITIATOR])
async def test_no_lock_is_given_up_before_its_chain_is_read(role: Role, office: Office, initiators: Office) -> None:
    asked, own = (office, B) if role is Role.LIQUIDITY_PROVIDER else (initiators, A)
    state = await asked.begin()
    await back(asked, own, LATE_S + 1)
    with pytest.raises(RetryableError, match=f"blocks of {own} up to its head are not read"):
        await asked.checks.before_giving_up(state)
    asked.chains[own].head_s -= 1
    asked.made()
    await asked.checks.before_giving_up(state)


async def test_nothing_goes_back_early_next_to_a_lock_of_ours(office: Office) -> None:
    """The journal of whoever worked with an older database knows of none."""
    state, ours = await office.begin(), office.agreement.participant_leg
    await back(office, B, LATE_S + 1)
    with pytest.raises(RetryableError, match="not read"):
        await office.checks.before_giving_back(state)
    office.chains[B].head_s -= 1
    office.made()
    await office.checks.before_giving_back(state)
    await shows(office, Locked(IDS[SECOND], ours))
    with pytest.raises(ConflictError, match="a lock of ours stands"):
        await office.checks.before_giving_back(state)


async def test_what_came_back_holds_nothing_up(office: Office) -> None:
    state, ours = await office.begin(), office.agreement.participant_leg
    await back(office, B, 0)
    other = replace(ours, sender=AccountId(f"{B}:a stranger's"))
    again = Locked(LockId("once more"), ours)
    await shows(
        office, Locked(IDS[SECOND], ours), Refunded(IDS[SECOND], ours.hashlock), Locked(LockId("theirs"), other)
    )
    await office.checks.before_giving_back(state)
    await shows(office, again, first=3)
    with pytest.raises(ConflictError, match="a lock of ours stands"):
        await office.checks.before_giving_back(state)


# --- the other party's lock -----------------------------------------------------------------------------------------


def verification(office: Office, leg: Leg = FIRST) -> VerifyLock:
    terms = office.agreement
    return VerifyLock(swap_id=terms.swap_id, sequence=1, leg=leg, lock_id=IDS[leg], terms=terms.terms(leg))


async def test_lock_that_stands_as_agreed_is_verified(office: Office) -> None:
    await office.begin()
    await office.take(lock_seen(office.agreement, FIRST))
    assert await office.checks.verified(verification(office)) == block(FIRST, 8)
    assert office.chains[A].asked == [IDS[FIRST]]
    shown(office, FIRST, at=block(FIRST, 7))
    assert await office.checks.verified(verification(office)) == block(FIRST, 7)


async def test_lock_that_was_not_seen_is_verified_by_its_id_alone(office: Office) -> None:
    await office.begin()
    office.chains[A].canonical.clear()
    assert await office.checks.verified(verification(office)) == block(FIRST, 8)


@pytest.mark.parametrize(
    ("changes", "error", "why"),
    [
        ({"at": block(FIRST, 6)}, NotYetFinalError, "block 7 is not final for the quorum"),
        ({"status": LockStatus.ABSENT}, NotYetFinalError, "not in a finalized block"),
        ({"code_hash": bytes(32)}, RejectedError, "other code"),
        ({"terms_match": False}, RejectedError, "not to the agreed terms"),
        ({"status": LockStatus.CLAIMED}, RejectedError, "is claimed already"),
        ({"status": LockStatus.REFUNDED}, RejectedError, "is refunded already"),
        ({"status": LockStatus.SUPERSEDED}, RejectedError, "is superseded already"),
    ],
)
async def test_lock_that_is_not_as_agreed_is_not_verified(
    office: Office, changes: dict[str, Any], error: type[Exception], why: str
) -> None:
    await office.begin()
    await office.take(lock_seen(office.agreement, FIRST))
    shown(office, FIRST, **changes)
    with pytest.raises(error, match=why):
        await office.checks.verified(verification(office))


async def test_locked_swaps_of_a_chain_are_counted_as_promised(office: Office) -> None:
    cases = list(product((True, False), (True, False), (Phase.AGREED, Phase.INITIATOR_LOCKED)))
    for number, (done, funded, phase) in enumerate(cases):
        made = other_agreement(number + 1)
        values = {"done": done, "own_funded": funded, "phase": phase}

        def store(connection: Connection, made: Agreement = made, values: dict[str, Any] = values) -> None:
            swaps.begin(connection, made, f"q{made.swap_id}", now_s=NOW, now_ns=1)
            row = tables.relayer_swaps.c.swap_id == made.swap_id
            connection.execute(sa.update(tables.relayer_swaps).where(row).values(values))

        await office.database.write(store)
    open_ones = await office.database.read(promises.of_open_swaps)
    for chain in (A, B):
        expected = sum(chain in one.chains and (one.locked or one.funded) for one in open_ones)
        mine, other = OURS[chain], AccountId(f"{chain}:{'ab' * 20}")
        assert await office.database.read(partial(promises.locked_on, chain=chain, account=mine)) == expected
        assert await office.database.read(partial(promises.locked_on, chain=chain, account=other)) == 0
        assert (expected > 0) == (chain in open_ones[0].chains)


@pytest.mark.parametrize("shows", [NotFoundError("none"), ReorgedError("replaced"), bytes(32)])
async def test_lock_whose_block_was_replaced_is_asked_again(office: Office, shows: bytes | Exception) -> None:
    await office.begin()
    await office.take(lock_seen(office.agreement, FIRST))
    office.chains[A].canonical[7] = shows
    with pytest.raises(RetryableError, match="does not show block 7|replaced"):
        await office.checks.verified(verification(office))


async def test_swap_that_is_over_has_nothing_to_verify(initiators: Office) -> None:
    await initiators.ready_to_reveal()
    claimed = (claim_seen(SECOND), claim_final(SECOND))
    state = await initiators.take(*claimed)
    assert (state.phase, state.closed) == (Phase.COMPLETED, None)
    await nothing_is_verified(initiators)


async def test_swap_that_was_called_off_has_nothing_to_verify(initiators: Office) -> None:
    await initiators.begin()
    mine = (lock_seen(initiators.agreement, FIRST), lock_final(FIRST))
    state = await initiators.take(*mine, events.QuoteCancelled("no"))
    assert state.closed is not None
    assert not state.phase.terminal
    await nothing_is_verified(initiators)


async def nothing_is_verified(office: Office) -> None:
    with pytest.raises(ConflictError, match="ended, or was called off"):
        await office.checks.verified(verification(office, SECOND))
    assert office.chains[A].asked == office.chains[B].asked == []


async def test_chain_that_is_not_configured_is_asked_again(office: Office) -> None:
    await office.begin()
    del office.chains[A]
    with pytest.raises(RetryableError, match="not configured"):
        await office.made().verified(verification(office))


# --- before funding -------------------------------------------------------------------------------------------------


async def test_funding_is_allowed_if_everything_holds(office: Office) -> None:
    state = await office.ready_to_fund()
    await office.checks.before_funding(state)
    first, second = office.agreement.initiator_leg, office.agreement.participant_leg
    # Both claims can be paid, our refund too, and the other lock was looked at again.
    assert set(office.chains[A].asked) - {"market"} == {IDS[FIRST], (A, first.receiver)}
    assert set(office.chains[B].asked) - {"market"} == {(B, second.receiver), (B, second.sender)}


async def test_watchtower_funds_nothing() -> None:
    tower = Office(Role.WATCHTOWER)
    with pytest.raises(RejectedError, match="funds nothing"):
        await tower.checks.before_funding(begin(tower.agreement)[0])


class Asked:
    """Somebody to ask, who notes it, and refuses if so made."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.asked: list[tuple[str, int]] = []

    async def before_lock(self, state: SwapState) -> None:
        self._answer("lock", state)

    async def before_giving_up(self, state: SwapState) -> None:
        self._answer("give up", state)

    def still_allow_lock(self, connection: Connection, state: SwapState) -> None:
        self._answer("still", state)

    async def before_repeating(self, state: SwapState) -> None:
        self._answer("repeat", state)

    async def before_reveal(self, state: SwapState) -> None:
        self._answer("reveal", state)

    def _answer(self, what: str, state: SwapState) -> None:
        self.asked.append((what, state.sequence))
        if self.refusal is not None:
            raise self.refusal


async def test_consultation_comes_before_everything_else(office: Office) -> None:
    state = await office.ready_to_fund()
    asked = Asked()
    await office.made(consultation=asked).before_funding(state)
    assert asked.asked == [("lock", state.sequence)]
    for chain in office.chains.values():
        chain.asked.clear()
    with pytest.raises(RejectedError, match="not today"):
        await office.made(consultation=Asked(RejectedError("not today"))).before_funding(state)
    assert office.chains[A].asked == office.chains[B].asked == []


async def test_consultation_is_asked_where_the_signature_is_stored(office: Office) -> None:
    state = await office.ready_to_fund()
    asked = Asked()
    await office.database.read(lambda c: office.made(consultation=asked).still_allow_lock(c, state))
    assert asked.asked == [("still", state.sequence)]
    refusing = office.made(consultation=Asked(RetryableError("not yet")))
    with pytest.raises(RetryableError, match="not yet"):
        await office.database.read(lambda c: refusing.still_allow_lock(c, state))


async def test_lock_signed_by_an_earlier_process_is_asked_about(office: Office) -> None:
    state = await office.ready_to_fund()
    asked = Asked()
    await office.made(consultation=asked).before_repeating(state)
    assert asked.asked == [("repeat", state.sequence)]
    with pytest.raises(RejectedError, match="not any more"):
        await office.made(consultation=Asked(RejectedError("not any more"))).before_repeating(state)


async def test_late_funding_waits_for_nobody(office: Office) -> None:
    state = await office.ready_to_fund()
    await office.clock.advance(40)
    with pytest.raises(GateClosedError):
        await office.checks.before_funding(state)
    assert office.chains[A].asked == office.chains[B].asked == []
    assert office.chains[A].heads_asked == office.chains[B].heads_asked == 0


async def alarm(office: Office, chain: ChainId) -> None:
    row = {"chain": chain, "seq": 1, "fork_height": 1, "finalized_height": 2, "noticed_ns": 0}
    await office.database.write(lambda c: c.execute(sa.insert(deep_reorgs).values(**row)))


@pytest.mark.parametrize("chain", [A, B])
async def test_replaced_final_block_stops_funding(office: Office, chain: ChainId) -> None:
    state = await office.ready_to_fund()
    await alarm(office, chain)
    with pytest.raises(DisagreementError, match=f"finalized block of {chain} was replaced"):
        await office.checks.before_funding(state)
    other = B if chain == A else A
    await office.checks.no_alarms(other)


@pytest.mark.parametrize("chain", [A, B])
async def test_foreign_use_of_our_account_stops_funding(office: Office, chain: ChainId) -> None:
    state = await office.ready_to_fund()

    def used(account: AccountId) -> Callable[[Connection], bool]:
        return lambda c: note_foreign_use(c, chain, account, 3, 4, 0)

    await office.database.write(used(AccountId(f"{chain}:somebody else's")))
    await office.checks.before_funding(state)
    await office.database.write(used(OURS[chain]))
    with pytest.raises(RetryableError, match="not by this journal"):
        await office.checks.before_funding(state)


@pytest.mark.parametrize(("chain", "apart"), [(A, 2), (A, -5), (B, 2), (B, -5)])
async def test_skewed_chain_stops_funding(office: Office, chain: ChainId, apart: int) -> None:
    state = await office.ready_to_fund()
    office.chains[chain].head_s = NOW + apart
    with pytest.raises(ClockSkewError):
        await office.checks.before_funding(state)


async def test_lock_that_changed_since_stops_funding(office: Office) -> None:
    state = await office.ready_to_fund()
    shown(office, FIRST, status=LockStatus.REFUNDED)
    with pytest.raises(RejectedError, match="refunded already"):
        await office.checks.before_funding(state)
    shown(office, FIRST, status=LockStatus.LOCKED)
    office.chains[A].canonical[7] = bytes(32)
    with pytest.raises(RetryableError, match="replaced"):
        await office.checks.before_funding(state)


@pytest.mark.parametrize("payee", ["initiator claims", "we claim", "we refund"])
async def test_payee_that_cannot_be_paid_stops_funding(office: Office, payee: str) -> None:
    state = await office.ready_to_fund()
    first, second = office.agreement.initiator_leg, office.agreement.participant_leg
    account = {"initiator claims": second.receiver, "we claim": first.receiver, "we refund": second.sender}[payee]
    office.chains[A if payee == "we claim" else B].blocked.add(account)
    with pytest.raises(PayoutBlockedError):
        await office.checks.before_funding(state)


async def test_short_purse_may_be_filled(office: Office) -> None:
    state = await office.ready_to_fund()
    asset = office.agreement.participant_leg.asset
    office.chains[B].held[asset] = office.agreement.participant_leg.amount
    await office.checks.before_funding(state)
    office.chains[B].held[asset] -= 1
    with pytest.raises(UnaffordableError, match="inventory") as short:
        await office.checks.before_funding(state)
    assert short.value.fields == {"asset": asset, "free": office.agreement.participant_leg.amount - 1}


async def test_earlier_promises_come_first_and_later_ones_do_not(office: Office) -> None:
    asset, amount = office.agreement.participant_leg.asset, office.agreement.participant_leg.amount
    await office.begin(other_agreement(1), quote="earlier")
    await office.clock.advance(1)
    state = await office.ready_to_fund()
    await office.clock.advance(1)
    await office.begin(other_agreement(2, 10**6), quote="later")
    office.chains[B].held[asset] = amount + 500
    await office.checks.before_funding(state)
    office.chains[B].held[asset] -= 1
    with pytest.raises(UnaffordableError):
        await office.checks.before_funding(state)


async def test_promise_that_is_not_firm_reserves_nothing(office: Office) -> None:
    await office.begin(other_agreement(1, 10**6), quote="unproven", proven=False)
    await office.begin(other_agreement(2, 10**6), quote="over", hold_until_ns=office.clock.now_ns() - 1)
    asset, state = office.agreement.participant_leg.asset, await office.ready_to_fund()
    office.chains[B].held[asset] = office.agreement.participant_leg.amount
    await office.checks.before_funding(state)
    office.chains[B].held[asset] -= 1
    with pytest.raises(UnaffordableError) as short:
        await office.checks.before_funding(state)
    assert short.value.fields == {"asset": asset, "free": office.agreement.participant_leg.amount - 1}


async def test_exposure_is_looked_at_again_before_funding(office: Office) -> None:
    """Without this swap itself, even if its row says by now that its lock was seen."""
    amount, asset = office.agreement.participant_leg.amount, office.agreement.participant_leg.asset
    state = await office.ready_to_fund()
    funded = sa.update(tables.relayer_swaps).values(own_funded=True)
    await office.database.write(lambda c: c.execute(funded))
    enough, short = (ExposureLimit(BaseUnits(most), amount, amount) for most in (amount, amount - 1))
    await office.made(exposure={asset: enough}, max_open_swaps=1).before_funding(state)
    with pytest.raises(ConflictError, match="exposure limit in all"):
        await office.made(exposure={asset: short}).before_funding(state)


async def test_preimage_that_any_chain_showed_stops_funding(office: Office) -> None:
    state = await office.ready_to_fund()
    claimed = event_values(Claimed(LockId("another lock"), office.agreement.hashlock, PREIMAGE))
    place = {"chain": B, "block_hash": bytes(32), "event_index": 0, "height": 5, "time_s": NOW, "tx_hash": b"\x01"}
    row = {**place, "canonical": False, **dict(zip(EVENT_COLUMNS, claimed, strict=True))}
    await office.database.write(lambda c: insert_many(c, chain_events, [row]))
    with pytest.raises(ConflictError, match="the preimage is public"):
        await office.checks.before_funding(state)


async def test_swap_that_is_done_is_not_funded(office: Office) -> None:
    state = await office.ready_to_fund()
    await office.database.write(lambda c: c.execute(sa.update(tables.relayer_swaps).values(done=True)))
    with pytest.raises(ConflictError, match="not open any more"):
        await office.checks.before_funding(state)


# --- before revealing -----------------------------------------------------------------------------------------------


async def test_reveal_is_allowed_if_everything_holds(initiators: Office) -> None:
    state = await initiators.ready_to_reveal()
    await initiators.checks.before_reveal(state)
    first, second = initiators.agreement.initiator_leg, initiators.agreement.participant_leg
    assert initiators.chains[A].asked == [(A, first.receiver)]
    assert initiators.chains[B].asked == [IDS[SECOND], (B, second.receiver)]


async def test_reveal_is_checked_against_the_state_after_consultation(initiators: Office) -> None:
    state = await initiators.ready_to_reveal()
    asked = Asked()
    await initiators.made(consultation=asked).before_reveal(state)
    assert asked.asked == [("reveal", state.sequence)]
    with pytest.raises(RejectedError, match="wait"):
        await initiators.made(consultation=Asked(RejectedError("wait"))).before_reveal(state)
    await initiators.take(events.LockReverted(SECOND, IDS[SECOND], block(SECOND)))
    with pytest.raises(ConflictError):
        await initiators.made(consultation=asked).before_reveal(state)


async def test_late_reveal_waits_for_nobody(initiators: Office) -> None:
    state = await initiators.ready_to_reveal()
    await initiators.clock.advance(40)
    with pytest.raises(GateClosedError):
        await initiators.checks.before_reveal(state)
    assert initiators.chains[A].asked == initiators.chains[B].asked == []
    assert initiators.chains[A].heads_asked == initiators.chains[B].heads_asked == 0


@pytest.mark.parametrize("chain", [A, B])
async def test_alarm_or_skew_stops_a_reveal(initiators: Office, chain: ChainId) -> None:
    state = await initiators.ready_to_reveal()
    initiators.chains[chain].head_s = NOW + 2
    with pytest.raises(ClockSkewError):
        await initiators.checks.before_reveal(state)
    initiators.chains[chain].head_s = NOW
    await alarm(initiators, chain)
    with pytest.raises(DisagreementError):
        await initiators.checks.before_reveal(state)


@pytest.mark.parametrize("chain", [A, B])
async def test_payee_that_cannot_be_paid_stops_a_reveal(initiators: Office, chain: ChainId) -> None:
    state = await initiators.ready_to_reveal()
    leg = FIRST if chain == A else SECOND
    initiators.chains[chain].blocked.add(initiators.agreement.terms(leg).receiver)
    with pytest.raises(PayoutBlockedError):
        await initiators.checks.before_reveal(state)


async def test_lock_that_changed_since_stops_a_reveal(initiators: Office) -> None:
    state = await initiators.ready_to_reveal()
    shown(initiators, SECOND, code_hash=bytes(32))
    with pytest.raises(RejectedError, match="other code"):
        await initiators.checks.before_reveal(state)
    shown(initiators, SECOND, code_hash=CODE, at=block(SECOND, 6))
    with pytest.raises(NotYetFinalError):
        await initiators.checks.before_reveal(state)


# --- the last look at the clock ---------------------------------------------------------------------------------------


async def test_last_look_is_at_the_gate_of_the_own_role(office: Office, initiators: Office) -> None:
    """A provider needs 2 + 1 + 1 + 2 + 8 s before T_B, 24 s after the quote; an initiator 2 + 3 + 1 s more."""
    provider, initiator = await office.ready_to_fund(), await initiators.begin()
    await office.clock.advance(9)
    office.checks.time_to_fund(provider)
    await initiators.clock.advance(3)
    initiators.checks.time_to_fund(initiator)
    await office.clock.advance(1)
    with pytest.raises(GateClosedError, match="fund gate"):
        office.checks.time_to_fund(provider)
    await initiators.clock.advance(1)
    with pytest.raises(GateClosedError, match="lock gate"):
        initiators.checks.time_to_fund(initiator)
