"""Unsigned transactions, batch status, confirmations and the expected end, before a whole relayer on memory chains."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.memory import MemoryChain
from adapters.memory.transactions import Claim, GiveBack, Lock, Refund, decode_message, encode_message
from core.model.errors import CausewayError, ConflictError, RejectedError
from core.model.transactions import UnsignedTransaction
from core.model.types import ChainId, Preimage, SwapId
from htlc.model import Leg, LegStatus, Phase
from relayer.api.bodies import SwapBody, SwapsQuery, TransactionCall, WalletTransactionBody
from relayer.api.transactions import WalletTransactions
from tests.relayer.api.test_api import opening, quoted
from tests.relayer.api.world import ApiWorld, run_fast, served
from tests.relayer.house import A, B

PREIMAGE = Preimage(b"\x01" * 32)


def message(body: WalletTransactionBody, preimage: bytes = b"") -> Any:
    """The message that a memory chain's wallet would sign, with the preimage in its place."""
    assert body.other is not None
    raw = bytes.fromhex(body.other[2:])
    if body.preimage_at is not None:
        assert raw[body.preimage_at : body.preimage_at + 32] == bytes(32)
        raw = raw[: body.preimage_at] + preimage + raw[body.preimage_at + 32 :]
    return decode_message(raw)


async def send(world: ApiWorld, body: WalletTransactionBody, preimage: bytes = b"") -> None:
    chain = ChainId(body.chain)
    reveals = body.preimage_at is not None
    raw = encode_message(message(body, preimage))
    account = world.initiator[chain].account
    await world.send(chain, UnsignedTransaction(chain, account, raw, reveals, body.summary))


async def seen(world: ApiWorld, swap_id: str, holds: Callable[[SwapBody], bool]) -> SwapBody:
    async def look() -> bool:
        return holds(await world.api.swap(swap_id))

    await world.until(look)
    return await world.api.swap(swap_id)


def test_a_swap_goes_by_unsigned_transactions_alone() -> None:
    async def story(world: ApiWorld) -> None:
        agreed = await world.api.open_swap(opening(world, await quoted(world)))
        assert agreed.expected_at is not None
        assert agreed.expected_at > world.clock.now()
        with pytest.raises(ConflictError, match="an open lock was not seen"):
            await world.api.transaction(agreed.id, TransactionCall(act="claim"))
        lock = await world.api.transaction(agreed.id, TransactionCall(act="lock"))
        assert (lock.act, lock.chain, lock.valid_before) == ("lock", A, agreed.lock_deadline)
        assert isinstance(message(lock), Lock)
        await send(world, lock)
        locked = await seen(world, agreed.id, lambda swap: swap.participant.status is LegStatus.LOCKED)
        place = locked.initiator.lock
        assert place is not None
        assert place.confirmations is not None
        assert place.confirmations > 2
        with pytest.raises(ConflictError, match="no lock to wait for"):
            await world.api.transaction(agreed.id, TransactionCall(act="lock"))
        final = await seen(
            world, agreed.id, lambda swap: swap.participant.lock is not None and swap.participant.lock.final
        )
        claim = await world.api.transaction(agreed.id, TransactionCall(act="claim"))
        assert claim.preimage_at is not None
        assert claim.valid_before == final.participant.terms.timelock
        taken = message(claim, PREIMAGE.expose())
        assert taken == Claim(str(final.participant.lock_id), PREIMAGE.expose())
        await send(world, claim, PREIMAGE.expose())
        done = await seen(world, agreed.id, lambda swap: swap.done)
        assert (done.phase, done.expected_at) == (Phase.COMPLETED, None)

    served(story)


def test_claim_of_a_public_preimage_needs_nothing_put_in() -> None:
    async def story(world: ApiWorld) -> None:
        view = await world.open()
        await world.lock(view.initiator.terms)
        swap = await seen(
            world, view.id, lambda swap: swap.participant.lock is not None and swap.participant.lock.final
        )
        refund = await world.api.transaction(swap.id, TransactionCall(act="refund"))
        assert refund.valid_from == swap.initiator.terms.timelock
        assert isinstance(message(refund), Refund)
        with pytest.raises(RejectedError, match="no refund before the timelock"):
            await world.api.transaction(swap.id, TransactionCall(act="early-refund"))
        await world.claim(await world.look(view.id))
        await seen(world, swap.id, lambda swap: swap.preimage is not None)
        body = await world.api.transaction(swap.id, TransactionCall(act="claim", leg=Leg.INITIATOR))
        assert body.preimage_at is None
        assert message(body) == Claim(str(swap.initiator.lock_id), world.preimage.expose())

    served(story)


class Giving(ApiWorld):
    """Its chains know refunds before the timelock."""

    def _chain(self, *given: Any) -> MemoryChain:
        chain = super()._chain(*given)
        chain.rules = replace(chain.rules, early_refunds=True)
        return chain


def test_receiver_alone_gives_a_lock_back_before_its_timelock() -> None:
    async def story() -> None:
        world = Giving()
        async with world.served():
            view = await world.open()
            await world.lock(view.initiator.terms)
            await seen(world, view.id, lambda swap: swap.participant.status is LegStatus.LOCKED)
            call = TransactionCall(act="early-refund")
            with pytest.raises(RejectedError, match="ask for early-refund of the swap"):
                await world.api.transaction(
                    view.id, TransactionCall(act="early-refund", leg=Leg.INITIATOR, sender=world.initiator[A].account)
                )
            back = await world.api.transaction(view.id, call)
            assert (back.sender, back.valid_before) == (
                world.initiator[B].account,
                view.participant.terms.timelock.seconds,
            )
            assert isinstance(message(back), GiveBack)
            await world.claim(await world.look(view.id))
            await seen(world, view.id, lambda swap: swap.preimage is not None)
            with pytest.raises(ConflictError):
                await world.api.transaction(view.id, call)

    run_fast(story())


def test_transaction_that_cannot_succeed_is_refused() -> None:
    async def story(world: ApiWorld) -> None:
        agreed = await world.api.open_swap(opening(world, await quoted(world)))

        async def refused(kind: type[CausewayError], words: str, **call: Any) -> None:
            with pytest.raises(kind, match=words):
                await world.api.transaction(agreed.id, TransactionCall(**call))

        await refused(RejectedError, "relayer, which locks by itself", act="lock", leg="participant")
        await refused(RejectedError, "can lock on this leg", act="lock", sender=world.relayer[A].account)
        await refused(RejectedError, "not an account on", act="lock", sender=world.initiator[B].account)
        await refused(ConflictError, "open lock was not seen", act="refund")
        until = await world.api.transaction(agreed.id, TransactionCall(act="lock"))
        assert until.valid_before is not None
        await world.clock.sleep(until.valid_before - world.clock.now() + 1)
        await refused(CausewayError, "too late to lock|no lock to wait for", act="lock")

    served(story)


def test_transaction_on_a_chain_no_longer_followed_is_refused() -> None:
    async def story(world: ApiWorld) -> None:
        agreed = await world.api.open_swap(opening(world, await quoted(world)))
        view = await world.service.desk.swap(SwapId(agreed.id))
        with pytest.raises(ConflictError, match="not followed here any more"):
            await WalletTransactions({}, world.clock).build(view, TransactionCall(act="lock"))

    served(story)


def test_several_swaps_are_asked_for_in_one_call() -> None:
    async def story(world: ApiWorld) -> None:
        first, second, third = [
            await world.api.open_swap(opening(world, await quoted(world), number)) for number in (1, 2, 3)
        ]
        asked = SwapsQuery(id=[first.id, third.id, "0" * 32])
        assert {swap.id for swap in await world.api.swaps(asked)} == {first.id, third.id}
        assert {swap.id for swap in await world.api.swaps()} == {first.id, second.id, third.id}
        with pytest.raises(RejectedError):
            await world.api.swaps(SwapsQuery(id=[first.id] * 51))

    served(story)
