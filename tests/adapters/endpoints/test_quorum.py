"""Three endpoints of one honest chain, some of which lie, hang, lag or die. Time is virtual."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from adapters.endpoints import Member, combine
from adapters.endpoints.voting import PATIENCE_S, UNDECIDED_S
from adapters.memory import Endpoint, FaultRates, MemoryChain, MemorySigner
from adapters.memory.ledger import Allowances
from adapters.memory.ports import MemoryLockReader
from core.model.errors import (
    ConflictError,
    DisagreementError,
    FatalError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    RetryableError,
    RevertedError,
)
from core.model.facts import LockStatus
from core.model.openings import Opening
from core.model.ports import ChainAccess
from core.model.transactions import OutcomeStatus, SignedTransaction
from core.model.types import BaseUnits, ChainTime, Height, LockId, LockTerms, Preimage
from core.runtime.clock import VirtualClock, run_virtually
from relayer.transactions.fees import Market
from relayer.transactions.signing import EXIT_ASKS_S
from tests.adapters.memory.harness import CHAIN, GOLD, make_chain

TIMEOUT_S = 5.0


@dataclass
class World:
    chain: MemoryChain
    endpoints: list[Endpoint]
    access: ChainAccess
    sender: MemorySigner
    receiver: MemorySigner
    clock: VirtualClock

    async def signed_lock(self) -> tuple[LockTerms, LockId, SignedTransaction]:
        now = int(self.clock.now())
        terms = LockTerms(
            asset=GOLD,
            amount=BaseUnits(10),
            sender=self.sender.account,
            receiver=self.receiver.account,
            hashlock=Preimage.generate().hashlock(),
            timelock=ChainTime(CHAIN, now + 1000),
        )
        lock_id = await self.access.legs.lock_id(terms)
        transactions = self.access.transactions
        sequence = (await transactions.sequences(self.sender.account)).latest
        request = transactions.assemble(self.access.legs.lock(terms, lock_id), sequence, None, None)
        return terms, lock_id, transactions.attach(request, await self.sender.sign(request))

    async def final_lock(self) -> tuple[LockTerms, LockId]:
        terms, lock_id, signed = await self.signed_lock()
        await self.access.transactions.submit(signed)
        self.chain.mine(3)
        return terms, lock_id


def member(operator: str, chain: MemoryChain, endpoint: Endpoint) -> Member:
    return Member(operator, chain.access(endpoint), MemoryLockReader(chain, endpoint))


def world(operators: tuple[str, ...] = ("alpha", "beta", "gamma")) -> World:
    clock = VirtualClock()
    chain = make_chain(clock)
    endpoints = [Endpoint(clock, seed) for seed in range(len(operators))]
    members = [member(operator, chain, endpoint) for operator, endpoint in zip(operators, endpoints, strict=True)]
    sender, receiver = chain.signer("sender", {GOLD: 1000}), chain.signer("receiver")
    chain.mine(5)
    return World(chain, endpoints, combine(members, TIMEOUT_S), sender, receiver, clock)


def play(scenario: Callable[[World], Awaitable[None]], operators: tuple[str, ...] = ("alpha", "beta", "gamma")) -> None:
    async def main() -> None:
        await scenario(world(operators))

    run_virtually(main())


def test_a_lying_minority_does_not_make_us_see_a_lock() -> None:
    async def scenario(w: World) -> None:
        terms, lock_id, _ = await w.signed_lock()
        w.endpoints[0].lying = True
        seen = await w.access.locks.lock(lock_id, terms)
        assert (seen.status, seen.terms_match) == (LockStatus.ABSENT, False)
        assert seen.at.height == w.chain.finalized_height

    play(scenario)


def test_a_lying_minority_does_not_hide_a_lock() -> None:
    async def scenario(w: World) -> None:
        terms, lock_id = await w.final_lock()
        w.endpoints[2].lying = True
        seen = await w.access.locks.lock(lock_id, terms)
        assert (seen.status, seen.terms_match) == (LockStatus.LOCKED, True)

    play(scenario)


@pytest.mark.parametrize("liar", [0, 1, 2])
def test_a_final_block_is_what_a_quorum_shows(liar: int) -> None:
    async def scenario(w: World) -> None:
        height = Height(w.chain.finalized_height - 1)
        w.endpoints[liar].lying_headers = frozenset({height})
        assert await w.access.heads.final_block(height) == w.chain.block(height).header
        with pytest.raises(NotYetFinalError):
            await w.access.heads.final_block(Height(w.chain.finalized_height + 1))
        w.endpoints[(liar + 1) % 3].lying_headers = frozenset({height})
        with pytest.raises(DisagreementError):
            await w.access.heads.final_block(height)

    play(scenario)


@pytest.mark.parametrize("how", ["down", "hang", "lag"])
def test_two_of_three_that_do_not_answer_leave_no_ground_to_act(how: str) -> None:
    async def scenario(w: World) -> None:
        terms, lock_id = await w.final_lock()
        for endpoint in w.endpoints[1:]:
            if how == "down":
                endpoint.down = True
            elif how == "hang":
                endpoint.hang()
            else:
                endpoint.lag_blocks = 4
        if how == "lag":
            # Both laggards agree on an older finalized block, where the lock is not yet.
            assert (await w.access.locks.lock(lock_id, terms)).status is LockStatus.ABSENT
            return
        with pytest.raises(DisagreementError):
            await w.access.locks.lock(lock_id, terms)
        with pytest.raises(DisagreementError):
            await w.access.heads.head()
        assert w.clock.monotonic() <= 4 * TIMEOUT_S

    play(scenario)


def test_silenced_honest_members_leave_no_decision_to_a_liar() -> None:
    async def scenario(w: World) -> None:
        terms, lock_id, _ = await w.signed_lock()
        w.endpoints[0].lying = True
        w.endpoints[1].hang()
        w.endpoints[2].down = True
        with pytest.raises(DisagreementError):
            await w.access.locks.lock(lock_id, terms)

    play(scenario)


def test_endpoints_of_one_operator_are_one_voice() -> None:
    async def scenario(w: World) -> None:
        terms, lock_id, _ = await w.signed_lock()
        for endpoint in w.endpoints[:3]:
            endpoint.lying = True
        seen = await w.access.locks.lock(lock_id, terms)
        assert seen.status is LockStatus.ABSENT

    play(scenario, ("alpha", "alpha", "alpha", "beta", "gamma"))


def test_an_operator_that_contradicts_itself_has_no_voice() -> None:
    async def scenario(w: World) -> None:
        terms, lock_id, _ = await w.signed_lock()
        w.endpoints[0].lying = True  # alpha's other endpoint is honest
        w.endpoints[3].down = True  # gamma
        with pytest.raises(DisagreementError):
            await w.access.locks.lock(lock_id, terms)

    play(scenario, ("alpha", "alpha", "beta", "gamma"))


def test_reads_fail_over_and_come_back() -> None:
    async def scenario(w: World) -> None:
        w.endpoints[0].down = True
        assert await w.access.state.balance(w.sender.account, GOLD) == 1000
        w.endpoints[1].hang()
        assert len(await w.access.blocks.blocks(Height(0), w.chain.height)) == w.chain.height + 1
        waited_s = w.clock.monotonic()
        assert await w.access.state.balance(w.sender.account, GOLD) == 1000
        assert w.clock.monotonic() == waited_s, "the endpoint that hangs is asked last now"
        for endpoint in w.endpoints:
            endpoint.down = True
        with pytest.raises(RetryableError):
            await w.access.state.balance(w.sender.account, GOLD)
        w.endpoints[0].down = False
        assert await w.access.state.balance(w.sender.account, GOLD) == 1000

    play(scenario)


@pytest.mark.parametrize("behind", [0, 1, 2])
def test_what_a_lock_needs_before_it_is_what_a_quorum_shows(behind: int) -> None:
    """One member does not know yet that the allowance is there; two do."""

    async def scenario(w: World) -> None:
        w.chain.rules = replace(w.chain.rules, allowances=Allowances(frozenset({GOLD})))
        terms, _, _ = await w.signed_lock()
        allowance = await w.access.legs.prepare(terms)
        assert allowance is not None
        transactions = w.access.transactions
        sequence = (await transactions.sequences(w.sender.account)).latest
        request = transactions.assemble(allowance, sequence, None, None)
        await transactions.submit(transactions.attach(request, await w.sender.sign(request)))
        w.endpoints[behind].lag_blocks = 3
        w.chain.mine()
        assert await w.access.legs.prepare(terms) is None
        w.endpoints[(behind + 1) % 3].down = True
        with pytest.raises(DisagreementError):
            await w.access.legs.prepare(terms)

    play(scenario)


def test_a_member_that_is_behind_does_not_hide_a_block() -> None:
    async def scenario(w: World) -> None:
        w.endpoints[0].lag_blocks = 3
        assert (await w.access.blocks.header(w.chain.height)).height == w.chain.height
        with pytest.raises(NotFoundError):
            await w.access.blocks.header(Height(w.chain.height + 1))

    play(scenario)


def test_one_answer_is_enough_for_a_submission() -> None:
    async def scenario(w: World) -> None:
        _, _, signed = await w.signed_lock()
        w.endpoints[0].hang()
        w.endpoints[1].down = True
        before_s = w.clock.monotonic()
        await w.access.transactions.submit(signed)
        assert w.clock.monotonic() == before_s, "an endpoint that hangs delays nobody"
        assert w.chain.pending() == (signed.hash,)
        w.endpoints[0].wake()
        w.chain.mine(3)
        assert (await w.access.transactions.outcome(signed.hash)).final

    play(scenario)


def test_submission_that_nobody_takes_is_refused_by_a_quorum() -> None:
    async def scenario(w: World) -> None:
        _, _, signed = await w.signed_lock()
        await w.access.transactions.submit(signed)
        w.chain.mine()
        terms, lock_id, late = await w.signed_lock()
        refund = w.access.legs.refund(terms, lock_id, w.sender.account)
        again = w.access.transactions.assemble(refund, 0, None, None)
        used = w.access.transactions.attach(again, await w.sender.sign(again))
        with pytest.raises(ConflictError):
            await w.access.transactions.submit(used)
        w.endpoints[0].down = w.endpoints[1].down = True
        with pytest.raises(RetryableError):
            await w.access.transactions.submit(used)
        await w.access.transactions.submit(late)
        forged = SignedTransaction(CHAIN, w.sender.account, 0, bytes(32), b"nonsense")
        w.endpoints[0].down = False
        with pytest.raises(RevertedError):
            await w.access.transactions.submit(forged)

    play(scenario)


def test_a_quorum_s_refusal_waits_for_no_endpoint_that_hangs() -> None:
    """Whoever gives a broadcast some seconds has to hear that its sequence is in the way of what stands behind it."""

    async def scenario(w: World) -> None:
        _, _, signed = await w.signed_lock()
        forged = replace(signed, raw=b"nonsense")
        w.endpoints[0].hang()
        before_s = w.clock.monotonic()
        with pytest.raises(RevertedError):
            await w.access.transactions.submit(forged)
        assert w.clock.monotonic() <= before_s + PATIENCE_S

    play(scenario)


def test_minority_cannot_call_a_transaction_included_or_dropped() -> None:
    async def scenario(w: World) -> None:
        _, _, signed = await w.signed_lock()
        w.endpoints[1].down = w.endpoints[2].down = True
        with pytest.raises(DisagreementError):
            await w.access.transactions.outcome(signed.hash)
        await w.access.transactions.submit(signed)
        w.chain.mine(3)
        assert (await w.access.transactions.outcome(signed.hash)).status is OutcomeStatus.PENDING
        w.endpoints[1].down = False
        assert (await w.access.transactions.outcome(signed.hash)).status is OutcomeStatus.INCLUDED

    play(scenario)


def test_finality_follows_the_quorum_not_the_boldest() -> None:
    async def scenario(w: World) -> None:
        w.endpoints[1].lying = True
        update = await w.access.heads.head()
        assert update == w.chain.head
        assert await w.access.heads.head() == w.chain.head

    play(scenario)


def test_the_stream_lives_while_one_member_does() -> None:
    async def scenario(w: World) -> None:
        for endpoint in w.endpoints:
            endpoint.dead_heads = True
        stream = w.access.heads.heads()
        assert await anext(stream) == w.chain.head
        w.chain.mine()
        assert await anext(stream) == w.chain.head, "a poll goes on next to the dead streams"
        w.endpoints[0].hang()
        w.chain.mine()
        assert await anext(stream) == w.chain.head
        await stream.aclose()  # type: ignore[attr-defined]

    play(scenario)


def test_members_of_different_chains_are_refused() -> None:
    async def main() -> None:
        clock = VirtualClock()
        one, two = make_chain(clock), make_chain(clock, skew_s=7)
        endpoint = Endpoint(clock)
        with pytest.raises(FatalError):
            combine([member("alpha", one, endpoint), member("beta", two, endpoint)])
        with pytest.raises(RejectedError):
            combine([])
        alone = member("alpha", one, endpoint)
        assert combine([alone]) is alone.access

    run_virtually(main())


def test_a_flaky_network_still_gets_a_lock_through() -> None:
    async def scenario(w: World) -> None:
        for endpoint in w.endpoints:
            endpoint.rates = FaultRates(error=0.2, lost_reply=0.3, latency_s=(0.0, 0.2))
        signed = None
        for _ in range(50):
            try:
                terms, lock_id, signed = await w.signed_lock()
                break
            except RetryableError:
                continue
        assert signed is not None
        for _ in range(50):
            try:
                await w.access.transactions.submit(signed)
                break
            except RetryableError:
                continue
        w.chain.mine(3)
        for _ in range(50):
            try:
                assert (await w.access.locks.lock(lock_id, terms)).status is LockStatus.LOCKED
                return
            except RetryableError:
                continue
        raise AssertionError("never read")

    play(scenario)


@pytest.mark.parametrize("liar", [0, 1, 2])
def test_an_invented_head_stops_nobody(liar: int) -> None:
    """Wherever the liar stands in the order of preference, and also if only one honest operator is ahead."""

    async def scenario(w: World) -> None:
        w.endpoints[liar].lying = True
        assert await w.access.heads.head() == w.chain.head
        slow = next(endpoint for number, endpoint in enumerate(w.endpoints) if number != liar)
        w.chain.mine(1)
        slow.lag_blocks = 1
        seen = await w.access.heads.head()
        assert w.chain.height - 1 <= seen.head.height <= w.chain.height
        assert seen.head == w.chain.block(seen.head.height).header

    play(scenario)


def test_the_fastest_honest_endpoint_is_waited_for_by_nobody() -> None:
    """Claims show a preimage: whoever sees the block first is enough to look into it."""

    async def scenario(w: World) -> None:
        for endpoint in w.endpoints[1:]:
            endpoint.lag_blocks = 1
        w.chain.mine(1)
        assert (await w.access.heads.head()).head == w.chain.head.head

    play(scenario)


def test_a_member_that_hangs_is_waited_for_in_vain_once() -> None:
    """Every lock asks for the market several times: a lone silent operator must not eat its time up."""

    async def scenario(w: World) -> None:
        w.endpoints[1].hang()
        took_s = []
        for _ in range(3):
            began_s = w.clock.monotonic()
            await w.access.transactions.fee_market()
            took_s.append(w.clock.monotonic() - began_s)
        assert took_s == pytest.approx([UNDECIDED_S, PATIENCE_S, PATIENCE_S])
        w.endpoints[1].wake()
        await w.access.transactions.fee_market()
        began_s = w.clock.monotonic()
        await w.access.transactions.fee_market()
        assert w.clock.monotonic() == began_s

    play(scenario)


def test_an_exit_hears_of_the_market_next_to_a_silent_member() -> None:
    """Its patience is longer than the endpoints'; a claim that finds no market is never signed."""

    async def scenario(w: World) -> None:
        w.endpoints[0].hang()
        market = Market(w.access.transactions.fee_market, w.clock, 1.0)
        assert await market.now(EXIT_ASKS_S) is None  # this chain has no fees

    play(scenario)


def test_a_member_is_known_as_silent_though_the_caller_gave_up() -> None:
    async def scenario(w: World) -> None:
        w.endpoints[0].hang()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await w.access.transactions.fee_market()
        began_s = w.clock.monotonic()
        await w.access.transactions.fee_market()
        assert w.clock.monotonic() - began_s == pytest.approx(PATIENCE_S)

    play(scenario)


def test_proof_of_an_opening_is_checked_with_few_nodes() -> None:
    async def scenario(w: World) -> None:
        openings = w.access.openings
        assert openings is not None
        opening = Opening(
            account=w.sender.account,
            relayer=bytes(32),
            quote_id="quote",
            hashlock=Preimage.generate().hashlock(),
            given_asset=GOLD,
            given_amount=BaseUnits(10),
            given_to=w.receiver.account,
            wanted_asset=GOLD,
            wanted_amount=BaseUnits(20),
            wanted_to=w.sender.account,
            expires_at=0,
        )
        proof = await w.sender.consent(openings.message(opening))
        for endpoint in w.endpoints:
            endpoint.down = True
        await openings.check(opening, proof)
        with pytest.raises(RejectedError, match="signature"):
            await openings.check(replace(opening, quote_id="another"), proof)

    play(scenario)
