"""The client against a whole relayer, in virtual time."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.memory import Endpoint, FaultRates
from adapters.memory.transactions import transfer
from core.model.errors import ConflictError, FatalError, RejectedError, RetryableError
from core.model.facts import Claimed, Locked
from core.model.transactions import FeeMarket
from core.model.types import BaseUnits, ChainId
from htlc.model import Phase
from htlc.timelocks import DEVNET_POLICY
from relayer.client import ClientPolicy, SwapStep, SwapStore
from tests.relayer.client.world import POLICY, Shut, World, play
from tests.relayer.house import COIN, START, A, B, Crash, MortalDatabase


@pytest.mark.parametrize("first", [A, B])
def test_a_swap_in_either_direction(first: ChainId) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client, first)
            outcome = await client.run(swap, world.told.append)
            assert outcome.phase is Phase.COMPLETED
        await world.phase(swap.id, Phase.COMPLETED)
        gains = await world.gains()
        paid, received = (0, 1) if first == A else (1, 0)
        assert (gains["initiator"][paid], gains["initiator"][received]) == (-1000, 2000)
        assert (gains["relayer"][paid], gains["relayer"][received]) == (1000, -2000)
        for chain in (A, B):
            assert len(world.made(chain, Locked, swap.hashlock)) == 1
            assert len(world.made(chain, Claimed, swap.hashlock)) == 1
        steps = [step for step in world.steps() if step is not SwapStep.PARTICIPANT_CLAIMED]
        assert steps == [
            SwapStep.AGREED,
            SwapStep.LOCK_SENT,
            SwapStep.LOCKED,
            SwapStep.LOCK_FINAL,
            SwapStep.PARTICIPANT_LOCKED,
            SwapStep.PARTICIPANT_VERIFIED,
            SwapStep.REVEALING,
            SwapStep.CLAIMED,
            SwapStep.CLAIM_FINAL,
            SwapStep.FINISHED,
        ]
        await world.stop()

    play(story())


def test_relayer_vanishes_after_our_lock_and_the_lock_comes_back() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await world.kill()
            outcome = await client.run(swap, world.told.append)
        assert outcome.phase is Phase.REFUNDED
        assert world.steps()[-3:] == [SwapStep.REFUNDED, SwapStep.REFUND_FINAL, SwapStep.FINISHED]
        assert await world.gains() == {"relayer": (0, 0), "initiator": (0, 0)}
        refund = next(one for one in world.told if one.step is SwapStep.REFUNDED)
        assert outcome.initiator.refund is not None
        assert (refund.chain, refund.tx_hash) == (A, outcome.initiator.refund.tx_hash)
        await world.stop()

    play(story())


def test_relayer_down_after_both_locks_the_chain_suffices() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await client.lock(swap)
            await client.until(swap, SwapStep.PARTICIPANT_LOCKED)
            await world.kill()
            outcome = await client.run(swap)
        assert outcome.phase is Phase.COMPLETED
        await world.start()
        await world.phase(swap.id, Phase.COMPLETED)
        assert await world.gains() == {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
        await world.stop()

    play(story())


def test_a_caller_who_calls_off_the_reveal_gets_everything_back() -> None:
    async def story() -> None:
        world = World()
        await world.start()

        async def vanish(state: Any) -> None:
            assert state.verified is not None
            raise RuntimeError("gone")

        async with world.client() as client:
            swap = await world.agreed(client)
            outcome = await client.run(swap, world.told.append, before_reveal=vanish)
        assert outcome.phase is Phase.REFUNDED
        assert SwapStep.REVEALING not in world.steps()
        await world.phase(swap.id, Phase.REFUNDED)
        assert await world.gains() == {"relayer": (0, 0), "initiator": (0, 0)}
        await world.stop()

    play(story())


def test_held_back_reveal_goes_on_in_time_and_is_refused_late() -> None:
    async def story(wait_s: float, expected: Phase) -> None:
        world = World()
        await world.start()

        async def hold(_: object) -> None:
            await world.clock.sleep(wait_s)

        async with world.client() as client:
            swap = await world.agreed(client)
            outcome = await client.run(swap, world.told.append, before_reveal=hold)
            assert outcome.phase is expected
        await world.phase(swap.id, expected)
        await world.stop()

    play(story(1, Phase.COMPLETED))
    play(story(1_000, Phase.REFUNDED))


def test_a_caller_who_calls_off_the_lock_has_locked_nothing() -> None:
    async def story() -> None:
        world = World()
        await world.start()

        async def no(_: object) -> None:
            raise RuntimeError("changed my mind")

        async with world.client() as client:
            swap = await world.agreed(client)
            outcome = await client.run(swap, before_lock=no)
            assert outcome.phase is Phase.ABANDONED
            assert outcome.reason is not None
            assert outcome.reason.message == "the lock was called off: changed my mind"
            cancelled = await world.agreed(client)
            with pytest.raises(ConflictError, match="never begun"):
                await client.cancel(cancelled)
        assert not world.made(A, Locked, swap.hashlock)
        await world.stop()

    play(story())


def test_a_swap_that_is_cancelled_between_the_locks_comes_back() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await client.lock(swap)
            await client.locked(swap)
            await client.cancel(swap)
            outcome = await client.run(swap)
        assert outcome.phase is Phase.REFUNDED
        assert outcome.reason is not None
        assert outcome.reason.code == "cancelled"
        await world.phase(swap.id, Phase.REFUNDED)
        assert await world.gains() == {"relayer": (0, 0), "initiator": (0, 0)}
        await world.stop()

    play(story())


def test_a_reveal_that_is_not_signed_can_be_called_off() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)

            async def while_asked(_: object) -> None:
                assert (await client.state(swap)).phase is Phase.CLAIMING
                await client.cancel(swap)
                await client.cancel(swap, "once more")

            outcome = await client.run(swap, before_reveal=while_asked)
        assert outcome.phase is Phase.REFUNDED
        assert outcome.reason is not None
        assert outcome.reason.message == "cancelled by its owner"
        assert not world.made(B, Claimed, swap.hashlock)
        await world.phase(swap.id, Phase.REFUNDED)
        assert await world.gains() == {"relayer": (0, 0), "initiator": (0, 0)}
        await world.stop()

    play(story())


def test_a_reveal_that_is_signed_cannot_be_called_off() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await client.lock(swap)
            await client.claimed(swap)
            await client.cancel(swap)
            outcome = await client.run(swap)
        assert outcome.phase is Phase.COMPLETED
        assert outcome.reason is None
        await world.phase(swap.id, Phase.COMPLETED)
        await world.stop()

    play(story())


@pytest.mark.parametrize(
    "step",
    [
        SwapStep.AGREED,
        SwapStep.LOCK_SENT,
        SwapStep.LOCKED,
        SwapStep.LOCK_FINAL,
        SwapStep.PARTICIPANT_LOCKED,
        SwapStep.PARTICIPANT_VERIFIED,
        SwapStep.REVEALING,
        SwapStep.CLAIMED,
    ],
)
def test_a_client_that_dies_at_any_step_goes_on_where_it_was(step: SwapStep) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await client.lock(swap)
            await client.until(swap, step)
        async with world.client(Shut()) as client:
            assert [one.id for one in await client.swaps()] == [swap.id]
            outcome = await client.resume(swap.id, world.told.append)
        assert outcome.phase is Phase.COMPLETED
        await world.phase(swap.id, Phase.COMPLETED)
        assert await world.gains() == {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
        assert len(world.made(A, Locked, swap.hashlock)) == 1
        assert len(world.made(B, Claimed, swap.hashlock)) == 1
        assert len(set(world.told)) == len(world.told)
        await world.stop()

    play(story())


@pytest.mark.parametrize(("fatal", "after_commit"), [(3 + 5 * n, n % 2 == 0) for n in range(11)])
def test_a_client_whose_database_dies_at_any_write_loses_nothing(fatal: int, after_commit: bool) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
        inner = world.store.database
        world.store.database = MortalDatabase(inner, fatal, after_commit)
        with suppress(Crash, FatalError):
            async with world.client(Shut()) as client:
                await client.run(swap)
        world.store.database = inner
        async with world.client(Shut()) as client:
            outcome = await client.resume(swap.id)
        assert outcome.phase is Phase.COMPLETED
        await world.phase(swap.id, Phase.COMPLETED)
        assert await world.gains() == {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
        await world.stop()

    play(story())


def test_same_quote_opens_the_same_swap_and_crash_keeps_preimage() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            quote = await client.quote(COIN[A], COIN[B], initiator_amount=1000)
        async with world.client(Shut(), ClientPolicy(swap=DEVNET_POLICY, relayer_key=quote.key)) as client:
            with pytest.raises(RetryableError):
                await client.open(quote)
        first = await world.store.preimages()
        async with world.client() as client:
            swap = await client.open(quote)
            assert await client.open(quote) == swap
            assert {swap.hashlock} == set(first) == set(await world.store.preimages())
        await world.stop()

    play(story())


def test_an_account_that_its_owner_uses_elsewhere_meanwhile() -> None:
    async def story() -> None:
        world = World()
        await world.start()

        async def spend() -> None:
            for chain in (A, B):
                account, other = world.initiator[chain].account, world.relayer[chain].account
                await world.send(chain, transfer(chain, account, other, COIN[chain], BaseUnits(7)))
            await world.clock.sleep(2)

        async with world.client() as client:
            for _ in range(2):
                await spend()
                swap = await world.agreed(client)
                assert (await client.run(swap)).phase is Phase.COMPLETED
        await spend()
        async with world.client() as client:
            swap = await world.agreed(client)
            assert (await client.run(swap)).phase is Phase.COMPLETED
        await world.stop()

    play(story())


def test_many_swaps_side_by_side_in_both_directions() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swaps = [await world.agreed(client, first, 100 + n) for n, first in enumerate([A, B] * 4)]
            outcomes = await asyncio.gather(*(client.run(swap) for swap in swaps))
            assert {outcome.phase for outcome in outcomes} == {Phase.COMPLETED}
            assert await client.unfinished() == []
        await world.stop()

    play(story())


def test_a_file_of_preimages_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    async def story() -> None:
        store = SwapStore.file(tmp_path / "deep" / "swaps.sqlite")
        await store.prepare()
        files = list((tmp_path / "deep").iterdir())
        assert len(files) >= 2
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        await store.close()

    asyncio.run(story())


def test_preimage_is_in_no_log_repr_or_call_to_the_relayer(capfd: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await client.run(swap, world.told.append)
            preimage = (await world.store.preimages())[swap.hashlock].expose()
            spoken = "".join(repr(one) for one in (swap, world.store, client, *world.told))
            out, err = capfd.readouterr()
            for text in (spoken, out, err):
                assert preimage.hex() not in text
                assert repr(preimage)[2:-1] not in text
        await world.stop()

    play(story())


@pytest.mark.parametrize("seed", range(6))
def test_endpoints_that_fail_and_lag_cost_time_and_never_money(seed: int) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        rates = FaultRates(error=0.15, lost_reply=0.2, latency_s=(0.0, 0.4), repeat_head=0.2, drop_head=0.2)
        endpoints = {chain: Endpoint(world.clock, seed * 2 + n, rates) for n, chain in enumerate((A, B))}
        async with world.client(endpoints=endpoints) as client:
            swap = await world.agreed(client)
            outcome = await client.run(swap, world.told.append)
        ends = {Phase.COMPLETED: (-1000, 2000), Phase.REFUNDED: (0, 0), Phase.ABANDONED: (0, 0)}
        assert outcome.phase in ends, world.steps()
        assert (await world.gains())["initiator"] == ends[outcome.phase]
        await world.phase(swap.id, Phase.COMPLETED, Phase.REFUNDED, Phase.ABANDONED)
        assert len(world.made(A, Locked, swap.hashlock)) <= 1
        await world.stop()

    play(story())


def test_lying_endpoint_with_a_false_lock_gets_no_preimage() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        endpoints = {A: Endpoint(world.clock), B: Endpoint(world.clock, 7)}
        async with world.client(endpoints=endpoints) as client:
            swap = await world.agreed(client)
            await world.kill()
            await client.lock(swap)
            await client.until(swap, SwapStep.LOCK_FINAL)
            endpoints[B].lying = True
            outcome = await client.run(swap, world.told.append)
        assert outcome.phase is Phase.REFUNDED
        assert SwapStep.REVEALING not in world.steps()
        await world.stop()

    play(story())


def test_chains_with_a_fee_market() -> None:
    async def story() -> None:
        world = World(market=FeeMarket(base_fee=10, priority_fee=1))
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            assert (await client.run(swap)).phase is Phase.COMPLETED
            assert START - await world.balance(A, world.initiator[A].account) > 1000
            assert await world.balance(B, world.initiator[B].account) - START < 2000
        await world.stop()

    play(story())


def test_a_client_that_is_closed_while_somebody_waits_tells_him() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        client = world.client()
        async with client:
            swap = await world.agreed(client)
            await world.kill()
            waiting = asyncio.create_task(client.run(swap))
            await client.locked(swap)
        with pytest.raises(RejectedError, match="closed"):
            await waiting
        with pytest.raises(RejectedError, match="closed"):
            await client.lock(swap)
        await world.stop()

    play(story())


def test_a_store_with_open_swaps_wants_their_account() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            await client.lock(swap)
        ours = world.initiator
        world.initiator = dict(world.relayer)
        with pytest.raises(RejectedError, match=f"1 open swap.* begun with {ours[A].account}"):
            async with world.client():
                pass
        world.initiator = ours
        async with world.client() as client:
            assert (await client.run(swap)).phase is Phase.COMPLETED
        world.initiator = dict(world.relayer)
        async with world.client():
            pass
        await world.stop()

    play(story())


def test_client_that_insists_enters_only_swaps_that_are_kept() -> None:
    """The account cannot prove what it does not hold; without insisting the swap is agreed."""

    async def story() -> None:
        world = World()
        await world.start()
        world.initiator = {chain: world.chains[chain].signer("penniless", {}) for chain in (A, B)}
        await world.clock.sleep(2)
        insisting = replace(POLICY, reserved_only=True)
        async with world.client(policy=insisting) as client:
            with pytest.raises(ConflictError, match="keeps nothing for this swap: .* holds 0 of memory:a"):
                await world.agreed(client)
        async with world.client() as client:
            swap = await world.agreed(client)
        assert not (await world.look(swap.id)).reserved
        await world.stop()

    play(story())
