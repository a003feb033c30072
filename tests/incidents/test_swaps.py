"""Incidents in which a swap was lost, stuck, or called finished although it was not."""

import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from core.model.errors import RetryableError
from core.model.facts import Claimed, Locked, Refunded
from core.model.transactions import SignedTransaction
from core.model.types import Preimage, Seconds
from core.runtime.clock import run_virtually
from htlc.model import Leg, Phase
from htlc.timelocks import DEVNET_POLICY, SwapPolicy
from relayer.provider.desk import SwapView
from relayer.transactions import records
from tests.relayer.house import COIN, A, B, House
from tests.relayer.test_pressure import Crowd

WIN = {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
MINUTE = Seconds(60)
PATIENT = SwapPolicy(lock_s=MINUTE, claim_s=MINUTE, initiator_outage_s=MINUTE, participant_outage_s=MINUTE)
BACKLOG = 40
LEAK_BYTES = 20_000
"""Bytes that a finished swap may leave behind in memory."""


def played(
    story: Callable[[House], Awaitable[None]], house_type: type[House] = House, swap: SwapPolicy = DEVNET_POLICY
) -> None:
    async def whole() -> None:
        house = house_type()
        house.policy = replace(house.policy, swap=swap)
        try:
            await house.start()
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


async def locked_both(house: House) -> SwapView:
    """A swap from A to B, of which both locks are final."""
    view = await house.open(A)
    await house.lock(view.initiator.terms)
    return await house.locked(view.id, Leg.PARTICIPANT)


def test_kdf_2175_reverted_claim_is_no_success() -> None:
    """A swap was marked as successful though its spend had reverted."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        house.chains[A].tokens.paused.add(COIN[A])
        await house.claim(view)
        await house.phase(view.id, Phase.CLAIMING)
        await house.clock.sleep(6)
        assert (await house.look(view.id)).phase is Phase.CLAIMING
        house.chains[A].tokens.paused.discard(COIN[A])
        await house.phase(view.id, Phase.COMPLETED, deadline_s=20)
        assert await house.gains() == WIN

    played(story)


def test_kdf_774_provider_claims_where_it_could_refund() -> None:
    """The maker tried a refund when the secret was out and it had to spend."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        await house.claim(view)
        await house.kill()
        await house.clock.sleep(view.participant.terms.timelock.seconds - house.clock.now() + 1)
        await house.start()
        await house.phase(view.id, Phase.COMPLETED)
        assert house.made(B, Refunded, view.hashlock) == []
        assert await house.gains() == WIN

    played(story, swap=PATIENT)


def test_kdf_1293_one_silent_chain_stalls_no_other() -> None:
    """One global lock around sequences: a chain that hung kept every other chain's claims waiting."""

    async def story(house: House) -> None:
        there = await house.open(A)
        await house.lock(there.initiator.terms)
        there = await house.locked(there.id, Leg.PARTICIPANT)
        secret = house.preimage
        back = await house.open(B)
        await house.lock(back.initiator.terms)
        await house.locked(back.id, Leg.PARTICIPANT)
        house.preimage = secret
        await house.claim(there)
        await house.phase(there.id, Phase.CLAIMING)
        house.endpoints[B].hang()

        async def claimed() -> bool:
            settle = (await house.look(there.id)).initiator.settle
            return settle is not None and settle.final

        await house.until(claimed, deadline_s=8)
        assert len(house.made(A, Claimed, there.hashlock)) == 1
        house.endpoints[B].wake()
        await house.phase(there.id, Phase.COMPLETED)

    played(story)


def test_kdf_2136_refund_goes_out_after_a_long_outage() -> None:
    async def story(house: House) -> None:
        view = await locked_both(house)
        await house.kill()
        await house.clock.sleep(view.initiator.terms.timelock.seconds - house.clock.now() + 100)
        await house.start()
        await house.phase(view.id, Phase.REFUNDED)
        assert (await house.gains())["relayer"] == (0, 0)

    played(story)


def test_raiden_2720_expired_lock_is_not_answered() -> None:
    """A lock that had expired was taken for a valid one."""

    async def story(house: House) -> None:
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        await house.kill()
        await house.clock.sleep(view.initiator.terms.timelock.seconds - house.clock.now() + 1)
        await house.start()
        await house.phase(view.id, Phase.ABANDONED, Phase.REFUNDED, Phase.COMPLETED)
        assert house.made(B, Locked, view.hashlock) == []

    played(story)


def test_loop_957_claim_that_no_block_takes_is_not_forgotten() -> None:
    """The preimage was out, and the sweep stayed in nobody's mempool."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        await house.claim(view)
        await house.phase(view.id, Phase.CLAIMING)
        deadline_s = view.initiator.terms.timelock.seconds - 8
        while house.clock.now() < deadline_s:
            for tx_hash in house.chains[A].pending():
                house.chains[A].forget(tx_hash)
            await house.clock.sleep(0.1)
        await house.phase(view.id, Phase.COMPLETED, deadline_s=8)
        assert await house.gains() == WIN

    played(story)


def test_electrum_10908_claim_goes_out_past_every_margin() -> None:
    """A funded lockup was never claimed once its safety margin was gone, and the whole of it was forfeited."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        await house.claim(view)
        await house.kill()
        await house.clock.sleep(view.initiator.terms.timelock.seconds - house.clock.now() - 4)
        await house.start()
        await house.phase(view.id, Phase.COMPLETED, deadline_s=10)
        assert len(house.made(A, Claimed, view.hashlock)) == 1
        assert await house.gains() == WIN

    played(story)


def test_xmr_btc_swap_1063_outage_is_not_punished() -> None:
    """Whoever was away for too long lost both sides. Here the absent provider has its own lock back."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        await house.kill()
        await house.clock.sleep(view.initiator.terms.timelock.seconds - house.clock.now() + 5)
        assert view.initiator.lock_id is not None
        await house.refund(view.initiator.terms, view.initiator.lock_id)
        await house.start()
        await house.phase(view.id, Phase.REFUNDED)
        assert await house.gains() == {"relayer": (0, 0), "initiator": (0, 0)}

    played(story)


def test_hyperlane_7751_stranger_who_claims_first_ends_our_tries() -> None:
    """Another relayer was faster, and ours tried the same message for ever."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        sender: Any = house.service.pump._executor._acts._hands.present(A).access.transactions
        real = sender.submit

        async def slow(signed: SignedTransaction) -> None:
            raise RetryableError("busy")

        sender.submit = slow
        await house.claim(view)
        await house.phase(view.id, Phase.CLAIMING)
        await house.claim(view, Leg.INITIATOR)
        sender.submit = real
        await house.phase(view.id, Phase.COMPLETED, deadline_s=15)
        sent = await house.database.read(lambda c: records.of_effect_prefix(c, view.id))
        before = [(one.effect_key, len(one.attempts)) for one in sent]
        await house.clock.sleep(30)
        sent = await house.database.read(lambda c: records.of_effect_prefix(c, view.id))
        assert [(one.effect_key, len(one.attempts)) for one in sent] == before
        assert await house.gains() == WIN

    played(story)


def test_hyperlane_8680_claim_above_the_cap_needs_no_restart() -> None:
    """The agent dropped whatever its gas cap had refused once, until somebody restarted it."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        await house.claim(view)
        await house.phase(view.id, Phase.CLAIMING)
        sender: Any = house.service.pump._executor._acts._hands.present(A).access.transactions
        real = sender.submit

        async def capped(signed: SignedTransaction) -> None:
            raise RetryableError("tx fee exceeds the configured cap")

        sender.submit = capped
        await house.clock.sleep(8)
        sender.submit = real
        await house.phase(view.id, Phase.COMPLETED, deadline_s=10)
        assert await house.gains() == WIN

    played(story)


def test_hermes_4071_backlog_delays_no_living_swap() -> None:
    """23,757 packets were cleared before anything new was relayed."""

    async def story(house: House) -> None:
        assert isinstance(house, Crowd)
        begun = house.clock.now()
        assert await house.swap(1) is Phase.COMPLETED
        alone_s = house.clock.now() - begun
        for number in range(BACKLOG):
            view = await house.open(A, amount=10 + number, preimage=Preimage(number.to_bytes(32, "big")))
            await house.lock(view.initiator.terms)
        begun = house.clock.now()
        assert await house.swap(4) is Phase.COMPLETED
        assert house.clock.now() - begun <= 1.5 * alone_s

    played(story, Crowd)


def test_hyperlane_3320_rate_limits_are_seen_and_cost_time_only() -> None:
    async def story(house: House) -> None:
        view = await house.open(A)
        house.endpoints[A].rates = replace(house.endpoints[A].rates, calls_per_s=7)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert house.endpoints[A].counts["rate_limit"]
        assert await house.gains() == WIN

    played(story, swap=PATIENT)


def test_kdf_2301_finished_swaps_leave_no_memory() -> None:
    async def story(house: House) -> None:
        async def swap() -> None:
            view = await locked_both(house)
            await house.claim(view)
            await house.phase(view.id, Phase.COMPLETED)

        for _ in range(5):
            await swap()
        tracemalloc.start()
        try:
            gc.collect()
            before = ours()
            for _ in range(10):
                await swap()
            gc.collect()
            assert ours() - before < 10 * LEAK_BYTES
        finally:
            tracemalloc.stop()

    def ours() -> int:
        """Return the bytes that the relayer's own modules hold."""
        found = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/relayer/*")])
        return sum(one.size for one in found.statistics("filename"))

    played(story)


@pytest.mark.parametrize("chain", [A, B])
def test_rly_267_start_without_a_chain_is_no_end(chain: Any) -> None:
    """The relayer ended at its start, since one chain did not answer."""

    async def whole() -> None:
        house = House()
        house.endpoints[chain].down = True
        await house.start()
        await house.clock.sleep(10)
        house.endpoints[chain].down = False
        await house.clock.sleep(10)
        view = await locked_both(house)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert await house.gains() == WIN
        await house.stop()

    run_virtually(whole())
