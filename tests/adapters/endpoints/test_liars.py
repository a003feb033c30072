"""One of three endpoints lies about one thing, or fails in some way: what that may cause, by port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest

from adapters.endpoints import Member, combine
from adapters.endpoints.blocks import WITNESS_S
from adapters.endpoints.voting import GRACE_S, HEDGE_S, PATIENCE_S, UNDECIDED_S
from adapters.memory import Endpoint, FaultRates, MemoryChain, MemorySigner
from adapters.memory.ports import MemoryLockReader
from core.model.errors import (
    CausewayError,
    ConflictError,
    DisagreementError,
    FatalError,
    NotFoundError,
    RejectedError,
    ReorgedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.model.facts import Block, BlockHeader, HeadUpdate, LoggedEvent
from core.model.ports import ChainAccess
from core.model.transactions import FeeMarket, Outcome, OutcomeStatus, SequenceView, SignedTransaction
from core.model.types import BaseUnits, BlockRef, ChainTime, Height, LockTerms, Preimage
from core.runtime.clock import VirtualClock, run_virtually
from tests.adapters.memory.harness import CHAIN, GOLD, make_chain

TIMEOUT_S = 5.0
LIARS = (0, 1, 2)
FOREIGN = [KeyError("status"), RecursionError(), AssertionError(), UnicodeDecodeError("utf-8", b"", 0, 1, "x")]
ERRORS = [
    RetryableError("busy"),
    RejectedError("no"),
    NotFoundError("no"),
    ConflictError("no"),
    RevertedError("no"),
    ReorgedError("no"),
    FatalError("no"),
    *FOREIGN,
]


class Liar:
    """A port of the true endpoint, some of whose methods answer as the test likes."""

    def __init__(self, inner: Any, **answers: Callable[..., Any]) -> None:
        self._inner = inner
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        lie = self._answers.get(name)
        if lie is None:
            return getattr(self._inner, name)

        async def answer(*arguments: Any) -> Any:
            said = lie(*arguments)
            return await said if isinstance(said, Awaitable) else said

        return answer


@dataclass
class World:
    chain: MemoryChain
    clock: VirtualClock
    sender: MemorySigner
    endpoints: list[Endpoint]
    accesses: list[ChainAccess]

    @property
    def access(self) -> ChainAccess:
        members = [
            Member(f"operator-{number}", access, MemoryLockReader(self.chain, self.endpoints[number]))
            for number, access in enumerate(self.accesses)
        ]
        return combine(members, TIMEOUT_S, 0.5)

    def lie(self, who: int, port: str, **answers: Callable[..., Any]) -> None:
        inner = getattr(self.accesses[who], port)
        self.accesses[who] = replace(self.accesses[who], **{port: Liar(inner, **answers)})

    async def pay(self, amount: int = 1) -> SignedTransaction:
        terms = LockTerms(
            GOLD,
            BaseUnits(amount),
            self.sender.account,
            self.sender.account,
            Preimage.generate().hashlock(),
            ChainTime(CHAIN, int(self.clock.now()) + 1000),
        )
        honest = self.chain.access(self.endpoints[0])
        lock_id = await honest.legs.lock_id(terms)
        sequence = (await honest.transactions.sequences(self.sender.account)).latest
        request = honest.transactions.assemble(honest.legs.lock(terms, lock_id), sequence, None, None)
        return honest.transactions.attach(request, await self.sender.sign(request))


def play(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        chain = make_chain(clock)
        endpoints = [Endpoint(clock, seed) for seed in LIARS]
        sender = chain.signer("sender", {GOLD: 1000})
        chain.mine(5)
        await scenario(World(chain, clock, sender, endpoints, [chain.access(each) for each in endpoints]))

    run_virtually(main())


def raising(error: Exception) -> Callable[..., Any]:
    def lie(*_: Any) -> Any:
        raise error

    return lie


async def hang(*_: Any) -> Any:
    await asyncio.Event().wait()


# --- anything, and raises; anything, and hangs ---


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_member_that_raises_anything_spoils_no_port(error: Exception) -> None:
    async def scenario(w: World) -> None:
        w.lie(0, "heads", head=raising(error), final_block=raising(error))
        w.lie(0, "blocks", header=raising(error), blocks=raising(error))
        w.lie(0, "state", balance=raising(error), record=raising(error))
        w.lie(0, "legs", lock_id=raising(error), prepare=raising(error))
        methods = ("sequences", "fee_market", "simulate", "submit", "outcome")
        w.lie(0, "transactions", **{name: raising(error) for name in methods})
        access = w.access
        signed = await w.pay()
        await access.transactions.submit(signed)
        assert (await access.transactions.outcome(signed.hash)).status is OutcomeStatus.PENDING
        w.chain.mine(3)
        assert (await access.transactions.outcome(signed.hash)).final
        assert await access.transactions.sequences(w.sender.account) == SequenceView(1, 1)
        assert await access.heads.head() == w.chain.head
        assert await access.heads.final_block(Height(2)) == w.chain.block(Height(2)).header
        assert await access.blocks.header(Height(2)) == w.chain.block(Height(2)).header
        blocks = await access.blocks.blocks(Height(0), w.chain.height)
        assert [block.header for block in blocks] == [w.chain.block(block.header.height).header for block in blocks]
        assert await access.state.balance(w.sender.account, GOLD) == 999
        assert await access.transactions.fee_market() == w.chain.fees

    play(scenario)


def test_a_stream_that_raises_is_begun_again() -> None:
    async def scenario(w: World) -> None:
        begun = []

        async def heads() -> AsyncIterator[HeadUpdate]:
            begun.append(1)
            yield w.chain.head
            raise KeyError("result")

        for who in LIARS:
            inner = w.accesses[who].heads
            broken = Liar(inner)
            broken.heads = heads  # type: ignore[attr-defined]
            w.accesses[who] = replace(w.accesses[who], heads=broken)
        stream = w.access.heads.heads()
        assert await anext(stream) == w.chain.head
        for _ in range(3):
            w.chain.mine()
            assert await anext(stream) == w.chain.head
        assert len(begun) > len(LIARS)
        await stream.aclose()  # type: ignore[attr-defined]

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
def test_a_member_that_hangs_now_and_then_delays_by_a_bound(liar: int) -> None:
    """It answers heads well, so that it never falls behind for good, and hangs in all that costs it something."""

    async def scenario(w: World) -> None:
        w.lie(liar, "blocks", header=hang, blocks=hang)
        w.lie(liar, "state", balance=hang)
        w.lie(liar, "transactions", sequences=hang, fee_market=hang, simulate=hang, submit=hang, outcome=hang)
        access, signed = w.access, await w.pay()

        async def within(seconds: float, asked: Awaitable[Any]) -> Any:
            await access.heads.head()
            begun_s = w.clock.monotonic()
            answer = await asked
            assert w.clock.monotonic() - begun_s <= seconds + 0.001
            return answer

        for _ in range(3):
            await within(0.0, access.transactions.submit(signed))
            await within(GRACE_S, access.transactions.outcome(signed.hash))
            await within(GRACE_S, access.transactions.sequences(w.sender.account))
            await within(UNDECIDED_S, access.transactions.fee_market())
            await within(HEDGE_S, access.state.balance(w.sender.account, GOLD))
            await within(HEDGE_S, access.blocks.header(Height(1)))
            await within(HEDGE_S + WITNESS_S, access.blocks.blocks(Height(0), Height(3)))

    play(scenario)


# --- outcomes ---


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("lie", ["pending", "included", "final", "reverted"])
def test_a_lone_liar_keeps_nothing_from_being_sent_again(liar: int, lie: str) -> None:
    async def scenario(w: World) -> None:
        place = BlockRef(CHAIN, Height(4), b"\x07" * 32)
        said = {
            "pending": Outcome(OutcomeStatus.PENDING),
            "included": Outcome(OutcomeStatus.INCLUDED, block=place),
            "final": Outcome(OutcomeStatus.INCLUDED, True, place),
            "reverted": Outcome(OutcomeStatus.REVERTED, True, place, "no"),
        }[lie]
        w.lie(liar, "transactions", outcome=lambda _: said, submit=lambda _: None)
        signed, access = await w.pay(), w.access
        assert (await access.transactions.outcome(signed.hash)).status is OutcomeStatus.DROPPED
        await access.transactions.submit(signed)
        await asyncio.sleep(0)
        assert (await access.transactions.outcome(signed.hash)).status is OutcomeStatus.PENDING
        w.chain.mine(3)
        outcome = await access.transactions.outcome(signed.hash)
        assert (outcome.status, outcome.final, outcome.block != place) == (OutcomeStatus.INCLUDED, True, True)

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
def test_a_lone_liar_cannot_make_it_final_or_lost(liar: int) -> None:
    async def scenario(w: World) -> None:
        signed = await w.pay()
        true = w.accesses[liar].transactions

        async def at_once_final(tx_hash: bytes) -> Outcome:
            return replace(await true.outcome(tx_hash), final=True)

        w.lie(liar, "transactions", outcome=at_once_final)
        await w.access.transactions.submit(signed)
        w.chain.mine(1)
        outcome = await w.access.transactions.outcome(signed.hash)
        assert (outcome.status, outcome.final) == (OutcomeStatus.INCLUDED, False)
        w.lie(liar, "transactions", outcome=lambda _: Outcome(OutcomeStatus.DROPPED))
        assert (await w.access.transactions.outcome(signed.hash)).status is OutcomeStatus.INCLUDED

    play(scenario)


# --- submissions ---


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("error", [ConflictError("nonce too low"), RevertedError("reverted"), UnaffordableError("no")])
def test_one_refusal_is_not_the_answer_if_another_took_it(liar: int, error: CausewayError) -> None:
    async def scenario(w: World) -> None:
        w.lie(liar, "transactions", submit=raising(error))
        signed, access = await w.pay(), w.access
        for _ in range(2):
            await access.transactions.submit(signed)
        assert w.chain.pending() == (signed.hash,)

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("error", [ConflictError("used"), RevertedError("no"), UnaffordableError("no")])
def test_a_lone_taken_hides_refusals_only_once(liar: int, error: CausewayError) -> None:
    async def scenario(w: World) -> None:
        for who in LIARS:
            w.lie(who, "transactions", submit=(lambda _: None) if who == liar else raising(error))
        signed, access = await w.pay(), w.access
        with pytest.raises(type(error)):
            for _ in range(2):
                await access.transactions.submit(signed)
                await asyncio.sleep(0.01)

    play(scenario)


@pytest.mark.parametrize(("late_s", "taken"), [(PATIENCE_S / 2, True), (PATIENCE_S * 2, False)])
def test_a_success_behind_refusals_is_waited_for_a_while(late_s: float, taken: bool) -> None:
    async def scenario(w: World) -> None:
        for who in (1, 2):
            w.lie(who, "transactions", submit=raising(RevertedError("no")))
        signed, access = await w.pay(), w.access
        w.endpoints[0].rates = FaultRates(latency_s=(late_s, late_s))
        with nullcontext() if taken else pytest.raises(RevertedError):
            await access.transactions.submit(signed)

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
def test_what_no_quorum_takes_yet_waits_for_none_that_hangs(liar: int) -> None:
    """A predecessor is missing, an answer is lost: what stands in the way is seen to no sooner than that is known."""

    async def scenario(w: World) -> None:
        for who in LIARS:
            missing = raising(RetryableError("an earlier transaction of this account is missing"))
            w.lie(who, "transactions", submit=hang if who == liar else missing)
        signed, begun_s = await w.pay(), w.clock.monotonic()
        with pytest.raises(RetryableError, match="missing"):
            await w.access.transactions.submit(signed)
        assert w.clock.monotonic() - begun_s == pytest.approx(PATIENCE_S)

    play(scenario)


def test_refusals_of_a_class_count_before_a_lone_conflict() -> None:
    async def scenario(w: World) -> None:
        w.lie(0, "transactions", submit=raising(ConflictError("used")))
        for who in (1, 2):
            w.lie(who, "transactions", submit=raising(RevertedError("no")))
        with pytest.raises(RevertedError):
            await w.access.transactions.submit(await w.pay())

    play(scenario)


def test_an_unclear_refusal_keeps_its_class() -> None:
    async def scenario(w: World) -> None:
        for who in LIARS:
            w.lie(who, "transactions", submit=raising(UnclearRefusalError("?") if who else RetryableError("busy")))
        with pytest.raises(UnclearRefusalError):
            await w.access.transactions.submit(await w.pay())

    play(scenario)


# --- numbers ---


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("said", [0, 2**64, 10**30])
def test_a_lone_sequence_is_outvoted(liar: int, said: int) -> None:
    async def scenario(w: World) -> None:
        w.lie(liar, "transactions", sequences=lambda _: SequenceView(said, said))
        await w.access.transactions.submit(await w.pay())
        w.chain.mine(3)
        assert await w.access.transactions.sequences(w.sender.account) == SequenceView(1, 1)

    play(scenario)


@pytest.mark.parametrize("knowing", [1, 2, 3])
def test_a_final_sequence_needs_a_quorum_that_knows_it(knowing: int) -> None:
    async def scenario(w: World) -> None:
        for who in LIARS[knowing:]:
            w.lie(who, "transactions", sequences=lambda _: SequenceView(0, None))
        final = (await w.access.transactions.sequences(w.sender.account)).finalized
        assert final == (0 if knowing > 1 else None)

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("said", [0, 10**30, -1])
def test_a_lone_fee_market_is_outvoted(liar: int, said: int) -> None:
    async def scenario(w: World) -> None:
        for who in LIARS:
            shown = FeeMarket(said, said) if who == liar else FeeMarket(10**9, 10**8)
            w.lie(who, "transactions", fee_market=lambda shown=shown: shown)
        assert await w.access.transactions.fee_market() == FeeMarket(10**9, 10**8)

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("said", [0, 10**30])
@pytest.mark.parametrize("at_head", [False, True])
def test_a_lone_balance_is_outvoted(at_head: bool, liar: int, said: int) -> None:
    """A purse that is said to be empty would keep back an exit, and every quote."""

    async def scenario(w: World) -> None:
        account, asset = w.sender.account, _terms(w).asset
        true = await w.accesses[liar].state.balance(account, asset)
        w.lie(liar, "state", balance=lambda *_: said)
        assert 0 < true < 10**30
        assert await w.access.state.balance(account, asset, None if at_head else w.chain.height) == true

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("at_head", [False, True])
def test_a_lone_balance_is_outvoted_though_another_one_fails(at_head: bool, liar: int) -> None:
    """One that lies and one that fails are two of three: the one that failed is asked once more."""

    async def scenario(w: World) -> None:
        account, asset = w.sender.account, _terms(w).asset
        at = None if at_head else w.chain.height
        failing, asked = (liar + 1) % len(LIARS), list[object]()
        inner, then = w.accesses[failing].state, list[Callable[..., Any]]()
        true = await inner.balance(account, asset, at)

        def fails_once(*given: Any) -> Any:
            asked.append(given)
            return raising(RetryableError("busy"))() if len(asked) == 1 else then[0](*given)

        async def held(second: Callable[..., Any]) -> int:
            asked.clear()
            then[:] = [second]
            return await w.access.state.balance(account, asset, at)

        w.lie(failing, "state", balance=fails_once)
        assert await held(inner.balance) == true
        assert len(asked) == 1, "the others say the same: nobody asks again"
        w.lie(liar, "state", balance=lambda *_: true // 10)
        assert await held(inner.balance) == true
        assert await held(raising(RetryableError("down"))) == true // 10
        began_s = w.clock.monotonic()
        assert await held(hang) == true // 10
        assert w.clock.monotonic() - began_s <= HEDGE_S
        assert len(asked) == 2

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("amount", [1, 10**20])
def test_a_lone_estimate_is_outvoted(liar: int, amount: int) -> None:
    async def scenario(w: World) -> None:
        legs, terms = w.accesses[liar].legs, _terms(w)
        place = await legs.lock_id(terms)
        true, other = (legs.lock(replace(terms, amount=BaseUnits(each)), place) for each in (2, amount))
        w.lie(liar, "transactions", fitted=lambda *_: other)
        assert await w.access.transactions.fitted(true, 1) == true

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
def test_a_lone_simulation_is_outvoted(liar: int) -> None:
    async def scenario(w: World) -> None:
        legs = w.accesses[liar].legs
        never = legs.refund(_terms(w), await legs.lock_id(_terms(w)), w.sender.account)
        w.lie(liar, "transactions", simulate=lambda *_: None)
        with pytest.raises(RejectedError):
            await w.access.transactions.simulate(never)
        for who in LIARS:
            refuses = who == liar
            w.lie(who, "transactions", simulate=raising(RevertedError("no")) if refuses else lambda *_: None)
        await w.access.transactions.simulate(never)
        others = [who for who in LIARS if who != liar]
        w.lie(others[0], "transactions", simulate=raising(RetryableError("down")))
        with pytest.raises(DisagreementError):
            await w.access.transactions.simulate(never)

    play(scenario)


def _terms(w: World) -> LockTerms:
    return LockTerms(
        GOLD, BaseUnits(1), w.sender.account, w.sender.account, Preimage.generate().hashlock(), ChainTime(CHAIN, 1)
    )


# --- blocks ---


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("lie", ["hidden", "invented", "other branch", "too few", "wrong heights"])
def test_a_lone_liar_changes_no_block(liar: int, lie: str) -> None:
    async def scenario(w: World) -> None:
        signed = await w.pay()
        await w.access.transactions.submit(signed)
        w.chain.mine(3)
        true = w.accesses[liar].blocks

        async def blocks(first: Height, last: Height) -> Any:
            read = await true.blocks(first, last)
            if lie == "too few":
                return read[:-1]
            if lie == "wrong heights":
                return [*read[1:], read[0]]
            return [changed(block) for block in read]

        def changed(block: Block) -> Block:
            if lie == "hidden":
                return Block(block.header, ())
            if lie == "other branch":
                ref = replace(block.header.ref, hash=bytes(reversed(block.header.ref.hash)))
                parent = bytes(reversed(block.header.parent_hash))
                return Block(replace(block.header, ref=ref, parent_hash=parent), ())
            event = LoggedEvent(block.header.ref, b"\x01" * 32, 999, found[0])
            return Block(block.header, (*block.events, event))

        honest = await true.blocks(Height(0), w.chain.height)
        found = [logged.event for block in honest for logged in block.events]
        assert found, "the chain shows at least the lock"
        w.lie(liar, "blocks", blocks=blocks)
        assert tuple(await w.access.blocks.blocks(Height(0), w.chain.height)) == tuple(honest)

    play(scenario)


def test_whoever_shows_blocks_of_another_branch_is_asked_last() -> None:
    """Its headers would say again and again that the branch has changed, and those of others that it has not."""

    async def scenario(w: World) -> None:
        other = forged(w.chain, Height(0), w.chain.height)
        of_height = {header.height: header for header in other.values()}

        async def blocks(first: Height, last: Height) -> Any:
            return [Block(of_height[Height(at)], ()) for at in range(first, last + 1)]

        w.lie(0, "blocks", blocks=blocks, header=lambda at: of_height[at])
        access = w.access
        assert await access.blocks.header(Height(2)) == of_height[Height(2)], "nobody knows better yet"
        read = await access.blocks.blocks(Height(1), Height(3))
        assert [block.header for block in read] == [w.chain.block(Height(at)).header for at in (1, 2, 3)]
        assert await access.blocks.header(Height(2)) == w.chain.block(Height(2)).header

    play(scenario)


def forged(chain: MemoryChain, fork: Height, count: int) -> dict[bytes, BlockHeader]:
    """Headers that link to the chain's block at `fork`, and are not the chain's."""
    parent, made = chain.block(fork).header, {}
    for number in range(1, count + 1):
        ref = BlockRef(CHAIN, Height(fork + number), bytes([number]) * 32)
        parent = BlockHeader(ref, parent.ref.hash, parent.time)
        made[ref.hash] = parent
    return made


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("lead", [1, 2, 5, 100])
def test_an_invented_branch_ends_where_the_chain_goes_on(liar: int, lead: int) -> None:
    async def scenario(w: World) -> None:
        fork = w.chain.height
        branch = forged(w.chain, fork, lead)
        newest, true = list(branch.values())[-1], w.accesses[liar].blocks

        async def header(at: Any) -> BlockHeader:
            if isinstance(at, int):
                return next((one for one in branch.values() if one.height == at), None) or await true.header(Height(at))
            return branch.get(at) or await true.header(at)

        w.lie(liar, "heads", head=lambda: HeadUpdate(newest, w.chain.head.finalized))
        w.lie(liar, "blocks", header=header)
        access = w.access
        assert (await access.heads.head()).head in (newest, w.chain.head.head)
        w.chain.mine(1)
        assert await access.heads.head() == w.chain.head
        slow = next(endpoint for number, endpoint in enumerate(w.endpoints) if number != liar)
        w.chain.mine(1)
        slow.lag_blocks = 1
        assert (await access.heads.head()).head in [w.chain.block(Height(fork + up)).header for up in (1, 2)]

    play(scenario)


@pytest.mark.parametrize("fastest", LIARS)
def test_the_fastest_head_is_taken_wherever_it_stands(fastest: int) -> None:
    async def scenario(w: World) -> None:
        for number, endpoint in enumerate(w.endpoints):
            endpoint.lag_blocks = 0 if number == fastest else 2
        for _ in range(3):
            w.chain.mine(1)
            assert (await w.access.heads.head()).head == w.chain.head.head

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
def test_the_fastest_cannot_hide_an_event_either(liar: int) -> None:
    async def scenario(w: World) -> None:
        await w.access.transactions.submit(await w.pay())
        w.chain.mine(1)
        true = w.accesses[liar].blocks
        honest = tuple(await true.blocks(Height(0), w.chain.height))

        async def blocks(first: Height, last: Height) -> Any:
            return [Block(block.header, ()) for block in await true.blocks(first, last)]

        w.lie(liar, "blocks", blocks=blocks)
        others = [endpoint for number, endpoint in enumerate(w.endpoints) if number != liar]
        for endpoint in others:
            endpoint.lag_blocks = 1

        async def catch_up() -> None:
            await w.clock.sleep(WITNESS_S / 2)
            for endpoint in others:
                endpoint.lag_blocks = 0

        catching_up = asyncio.create_task(catch_up())
        assert tuple(await w.access.blocks.blocks(Height(0), w.chain.height)) == honest
        await catching_up

    play(scenario)


def test_without_a_quorum_no_event_is_missed() -> None:
    async def scenario(w: World) -> None:
        await w.access.transactions.submit(await w.pay())
        w.chain.mine(3)
        true = w.accesses[0].blocks
        honest = tuple(await true.blocks(Height(0), w.chain.height))

        async def blocks(first: Height, last: Height) -> Any:
            return [Block(block.header, ()) for block in await true.blocks(first, last)]

        w.lie(0, "blocks", blocks=blocks)
        w.endpoints[2].down = True
        assert tuple(await w.access.blocks.blocks(Height(0), w.chain.height)) == honest

    play(scenario)


@pytest.mark.parametrize("liar", LIARS)
def test_another_block_than_asked_for_is_no_answer(liar: int) -> None:
    async def scenario(w: World) -> None:
        w.lie(liar, "blocks", header=lambda _: w.chain.block(Height(1)).header)
        wanted = w.chain.block(Height(3)).header
        assert await w.access.blocks.header(Height(3)) == wanted
        assert await w.access.blocks.header(wanted.ref.hash) == wanted

    play(scenario)
